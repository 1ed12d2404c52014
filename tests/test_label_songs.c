/* The language model describes a folder of songs: what it says of one song must never be written down for another, whatever
 * happens to the files meanwhile, and a song that cannot be described must not cost the others. */
#include "engine/label.h"

#include "base/file.h"
#include "dataset_testing.h"
#include "songs.h"
#include "train/scan.h"

typedef struct place {
  songs *models;
  temp data;
  char songs[300], save[300];
  dataset d;
  ace_engine *e;
  int change; /* the song whose file is replaced once another one is labeled; -1: none */
  int stop;   /* songs after which to stop; 0: never */
  int labeled;
  char failure[3][400];
} place;

static void open_place(place *p, void **state) {
  ace_error err = {0};
  scan_report found;
  *p = (place){.models = *state, .data = temp_open(), .change = -1};
  snprintf(p->songs, sizeof p->songs, "%s/songs", p->data.folder);
  snprintf(p->save, sizeof p->save, "%s/mine.json", p->data.folder);
  mkdir(p->songs, 0700);
  folder_song(p->songs, "a.wav", 1, 220, 0.5);
  folder_song(p->songs, "b.wav", 1, 330, 0.5);
  folder_song(p->songs, "c.wav", 1, 440, 0.5);
  if (dataset_scan(&p->d, p->songs, "mine", NULL, &found, &err) != ACE_OK) fail_msg("%s", err.message);
  p->e = songs_engine(p->models, NULL, 1, 0);
}

static void close_place(place *p) {
  ace_engine_close(p->e);
  dataset_free(&p->d);
  folder_remove(&p->data);
}

static void on_labeled(void *user, int i, const char *failure) {
  place *p = user;
  p->labeled++;
  snprintf(p->failure[i], sizeof p->failure[i], "%s", failure ? failure : "");
  if (p->change == i + 1) folder_song(p->songs, i == 0 ? "b.wav" : "c.wav", 2, 550, 0.5);
}

static bool on_cancelled(void *user) {
  const place *p = user;
  return p->stop && p->labeled >= p->stop;
}

static ace_status label(place *p, label_report *r) {
  ace_error err = {0};
  label_job job = {.save = p->save, .options = {.only_unlabeled = true}, .labeled = on_labeled, .user = p};
  ace_callbacks notify = {.cancelled = on_cancelled, .user = p};
  p->labeled = 0;
  ace_status status = engine_label(p->e, &p->d, &job, &notify, r, &err);
  if (status != ACE_OK && status != ACE_ECANCELED) fail_msg("%s", err.message);
  return status;
}

/* Its codes are those of a sound that is gone. */
static void test_a_file_that_changes_is_not_described(void **state) {
  static place p;
  label_report r;
  open_place(&p, state);
  p.change = 1;
  assert_int_equal(label(&p, &r), ACE_OK);
  assert_int_equal(r.total, 3);
  assert_non_null(strstr(p.failure[1], "has changed or gone since it was listened to"));
  assert_true(r.failed >= 1);
  assert_string_equal(dataset_text(&p.d, 1, "caption"), "");
  assert_false(dataset_flag(&p.d, 1, "labeled"));
  for (int i = 0; i < 3; i += 2) assert_null(strstr(p.failure[i], "has changed"));
  close_place(&p);
}

/* Work that was cut off goes on with the codes that it has found, but not for a file that has become another one. */
static void test_codes_are_of_the_file_as_it_is(void **state) {
  static place p;
  label_report r;
  open_place(&p, state);
  p.stop = 1;
  assert_int_equal(label(&p, &r), ACE_ECANCELED);
  char path[400], *before[2], *after;
  snprintf(path, sizeof path, "%s.codes.json", p.save);
  json_t *codes = json_load_file(path, 0, NULL);
  assert_int_equal(json_object_size(codes), 3);
  for (int i = 0; i < 2; i++)
    before[i] =
        strdup(json_string_value(json_object_get(json_object_get(codes, dataset_text(&p.d, i + 1, "id")), "codes")));
  json_decref(codes);
  folder_song(p.songs, "b.wav", 3, 550, 0.5);
  p.stop = 1;
  assert_int_equal(label(&p, &r), ACE_ECANCELED);
  codes = json_load_file(path, 0, NULL);
  for (int i = 0; i < 2; i++) {
    after =
        strdup(json_string_value(json_object_get(json_object_get(codes, dataset_text(&p.d, i + 1, "id")), "codes")));
    assert_true((strcmp(after, before[i]) == 0) == (i == 1));
    free(after), free(before[i]);
  }
  json_decref(codes);
  close_place(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_file_that_changes_is_not_described),
      cmocka_unit_test(test_codes_are_of_the_file_as_it_is),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
