/* From a folder of songs to samples for training: what is learnt must be what inference would say of the song; work that
 * was cut off or done already must not be done twice; a song that cannot be used must not cost the others. */
#include "engine/prepare.h"

#include <fcntl.h>
#include "audio/read.h"
#include "dataset_testing.h"
#include "models/condition.h"
#include "models/qwen3.h"
#include "render/latents.h"
#include "render/tokens.h"
#include "songs.h"
#include "train/sample.h"
#include "train/sample_set.h"
#include "train/scan.h"

enum { SECONDS = 1, FRAMES_A_SECOND = 25 };

typedef struct place {
  songs models;
  char songs[512], out[512];
  dataset d;
  heard heard;
} place;

static void open_place(place *p, const char *out) {
  ace_error err = {0};
  scan_report found;
  snprintf(p->songs, sizeof p->songs, "%s/songs", p->models.folder.folder);
  snprintf(p->out, sizeof p->out, "%s/%s", p->models.folder.folder, out);
  mkdir(p->songs, 0700);
  folder_song(p->songs, "a.wav", SECONDS, 220, 0.5);
  folder_song(p->songs, "b.wav", SECONDS + 0.1, 330, 0.5);
  folder_song(p->songs, "short.wav", 0.5, 330, 0.5);
  folder_song(p->songs, "silent.wav", SECONDS, 330, 0);
  folder_put(p->songs, "a.json",
             "{\"caption\": \"slow waltz\", \"bpm\": 90, \"lyrics\": \"la la\", \"language\": \"de\"}");
  folder_put(p->songs, "b.caption.txt", "fast polka");
  folder_put(p->songs, "short.caption.txt", "x");
  folder_put(p->songs, "silent.caption.txt", "x");
  if (dataset_scan(&p->d, p->songs, "mine", NULL, &found, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(p->d.n, 4);
  assert_int_equal(dataset_set_tag(&p->d, "zx", "prepend", &err), ACE_OK);
  p->heard.text[0] = 0;
}

static prepare_report prepare(place *p, ace_engine *e, const prepare_options *o) {
  ace_error err = {0};
  prepare_report report;
  ace_callbacks notify = {.log = hear, .user = &p->heard};
  if (engine_prepare(e, &p->d, o, &notify, &report, &err) != ACE_OK) fail_msg("%s", err.message);
  return report;
}

static sample load(const place *p, const ace_engine *e, int i, ace_status expected) {
  char path[1024];
  ace_error err = {0};
  sample s;
  snprintf(path, sizeof path, "%s/%s.safetensors", p->out, dataset_text(&p->d, i, "id"));
  if (sample_read(path, &e->dit->silence, &s, &err) != expected) fail_msg("%s", err.message);
  return s;
}

/* The file is no sound any more, which goes unnoticed unless it is read again. */
static void spoil(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  FILE *f = fopen(path, "r+b");
  assert_true(f && fwrite("gone", 1, 4, f) == 4 && fclose(f) == 0);
  assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
}

/* As BF16 stores it. */
static void expect_near(const float *a, const float *b, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (!(fabs((double)a[i] - (double)b[i]) <= fabs((double)b[i]) / 256 + 1e-6))
      fail_msg("value %lld: %g instead of %g", (long long)i, a[i], b[i]);
}

/* The sample against the models asked directly, with the prompt written out by hand. */
static void expect_as_inference(const ace_engine *e, const sample *s, const char *song) {
  static const char prompt[] =
      "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n"
      "# Caption\nzx, slow waltz\n\n# Metas\n- bpm: 90\n- timesignature: N/A\n"
      "- keyscale: N/A\n- duration: 1 seconds\n<|endoftext|>\n",
                    words[] = "# Languages\nde\n\n# Lyric\nla la<|endoftext|>";
  ace_error err = {0};
  bpe_ids text = {0}, lyric = {0};
  tens_ctx *c = engine_context(e, (size_t)256 << 20, NULL, &err);
  assert_non_null(c);
  assert_int_equal(tokens_encode(e->tokenizer, prompt, 256, &text, &err), ACE_OK);
  assert_int_equal(tokens_encode(e->tokenizer, words, 2048, &lyric, &err), ACE_OK);
  int32_t first = 0;
  condition_input in = {
      .text = qwen3_hidden(c, e->text, tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)text.n), text.id), NULL),
      .lyric = qwen3_embed(c, e->text, tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)lyric.n), lyric.id)),
      .clips = acestep_silence(c, e->dit, 0, e->dit->cfg.timbre_frames),
      .clip_order = &first};
  tens *condition = condition_encode(c, e->dit, &in, NULL);
  assert_non_null(condition);
  assert_int_equal(s->shape.tokens, condition->dim[1]);
  assert_int_equal(s->shape.width, condition->dim[2]);
  expect_near(s->condition, tens_f32(condition), s->shape.tokens * s->shape.width);
  assert_null(s->condition_mask);
  bpe_ids_free(&text), bpe_ids_free(&lyric);
  tens_close(c);

  audio_buffer b;
  float *moments, mean[SECONDS * FRAMES_A_SECOND * 64];
  assert_int_equal(audio_read(song, &b, &err), ACE_OK);
  assert_int_equal(audio_to_model(&b, e->vae->cfg.sampling_rate, &err), ACE_OK);
  size_t bytes = vae_encode_memory(e->vae, b.frames / e->vae->cfg.hop);
  assert_non_null(c = engine_context(e, bytes, NULL, &err));
  assert_int_equal(latents_encode(c, e->vae, NULL, b.samples, b.frames, b.frames, NULL, &moments, &err), ACE_OK);
  assert_int_equal(s->shape.frames, SECONDS * FRAMES_A_SECOND);
  assert_int_equal(s->shape.channels, 64);
  latents_draw(moments, s->shape.frames, 64, NULL, mean, &err);
  expect_near(s->target, mean, s->shape.frames * 64);
  free(moments);
  audio_buffer_free(&b);
  tens_close(c);
}

static void test_matched(void **state) {
  place *p = *state;
  open_place(p, "matched");
  ace_engine *e = songs_engine(&p->models, NULL, 2, 0);
  prepare_options o = prepare_defaults(p->out);
  prepare_report r = prepare(p, e, &o);
  assert_int_equal(r.done, 2);
  assert_int_equal(r.failed, 2);
  assert_non_null(strstr(p->heard.text, "Failed: short.wav: 0.50 s of sound"));
  assert_non_null(strstr(p->heard.text, "Failed: silent.wav: the recording is silent"));
  char song[600];
  snprintf(song, sizeof song, "%s/a.wav", p->songs);
  sample s = load(p, e, 0, ACE_OK);
  expect_as_inference(e, &s, song);
  for (int64_t t = 0; t < s.shape.frames; t++)
    for (int k = 0; k < 128; k++)
      assert_true(s.context[t * 128 + k] == (k < 64 ? tens_f32(&e->dit->silence)[t * 64 + k] : 1));
  assert_string_equal(json_text(s.about, "caption"), "zx, slow waltz");
  assert_int_equal(json_integer_value(json_object_get(s.about, "duration")), SECONDS);
  assert_string_equal(sample_tag(&s, "prep_profile"), "matched");
  assert_string_equal(sample_tag(&s, "model_variant"), "acestep-v15-turbo");
  assert_int_equal(strlen(sample_tag(&s, "model_sha")), 64);
  sample_free(&s);

  sample_set set;
  ace_error err = {0};
  assert_int_equal(sample_set_open(&set, p->out, NULL, &err), ACE_OK);
  assert_true(set.listed);
  assert_int_equal(set.n, 2);
  assert_int_equal(set.unlisted, 0); /* nothing half-made stays behind */
  assert_string_equal(sample_set_text(&set, "custom_tag"), "zx");
  sample_set_free(&set);

  /* Once more: nothing to do. One caption changed: one song is made, from the latents that are there. */
  sample before = load(p, e, 1, ACE_OK);
  r = prepare(p, e, &o);
  assert_int_equal(r.done, 0);
  assert_int_equal(r.skipped, 2);
  json_t *changes = json_pack("{s:s}", "caption", "another");
  assert_int_equal(dataset_edit(&p->d, 1, changes, &err), ACE_OK);
  json_decref(changes);
  char other[600];
  snprintf(other, sizeof other, "%s/b.wav", p->songs);
  spoil(other);
  r = prepare(p, e, &o);
  assert_int_equal(r.done, 1);
  assert_int_equal(r.skipped, 1);
  s = load(p, e, 1, ACE_OK);
  assert_string_equal(json_text(s.about, "caption"), "zx, another");
  assert_memory_equal(s.target, before.target, (size_t)(s.shape.frames * 64) * sizeof *s.target);
  sample_free(&s), sample_free(&before);
  ace_engine_close(e);
  dataset_free(&p->d);
}

typedef struct stopping {
  int seen, at;
} stopping;

static void count_pass(void *user, const ace_progress *p) {
  stopping *s = user;
  s->seen += strcmp(p->stage, "words") == 0;
}

static bool stop(void *user) {
  const stopping *s = user;
  return s->seen > s->at;
}

/* Stopped after the long pass: the next start does not repeat it, and the result is the same as in one go. */
static void test_goes_on(void **state) {
  place *p = *state;
  open_place(p, "cut");
  json_object_set_new(p->d.sample[1].fields, "labeled", json_false());
  ace_engine *e = songs_engine(&p->models, NULL, 1, 0);
  prepare_options o = prepare_defaults(p->out);
  stopping s = {.at = 0};
  ace_callbacks notify = {.progress = count_pass, .cancelled = stop, .user = &s};
  ace_error err = {0};
  prepare_report r;
  assert_int_equal(engine_prepare(e, &p->d, &o, &notify, &r, &err), ACE_ECANCELED);
  char part[1024], song[1024];
  struct stat before, after;
  snprintf(part, sizeof part, "%s/%s.latents.part.safetensors", p->out, dataset_text(&p->d, 0, "id"));
  assert_int_equal(stat(part, &before), 0);
  snprintf(song, sizeof song, "%s/a.wav", p->songs);
  spoil(song);
  r = prepare(p, e, &o);
  assert_int_equal(r.done, 1);
  assert_int_not_equal(stat(part, &after), 0);
  sample a = load(p, e, 0, ACE_OK);
  snprintf(p->out, sizeof p->out, "%s/matched", p->models.folder.folder);
  sample b = load(p, e, 0, ACE_OK);
  assert_memory_equal(a.target, b.target, (size_t)(a.shape.frames * a.shape.channels) * sizeof *a.target);
  assert_memory_equal(a.condition, b.condition, (size_t)(a.shape.tokens * a.shape.width) * sizeof *a.condition);
  sample_free(&a), sample_free(&b);
  ace_engine_close(e);
  dataset_free(&p->d);
}

/* A file of the first pass that holds something else is told of, not read; the other songs are made, and this one once it
 * is gone. */
static void test_latents_that_are_none(void **state) {
  place *p = *state;
  open_place(p, "none");
  ace_engine *e = songs_engine(&p->models, NULL, 1, 0);
  prepare_options o = prepare_defaults(p->out);
  stopping s = {.at = 0};
  ace_callbacks notify = {.progress = count_pass, .cancelled = stop, .user = &s};
  ace_error err = {0};
  prepare_report r;
  assert_int_equal(engine_prepare(e, &p->d, &o, &notify, &r, &err), ACE_ECANCELED);
  char part[1024], key[100];
  snprintf(part, sizeof part, "%s/%s.latents.part.safetensors", p->out, dataset_text(&p->d, 0, "id"));
  st_file *f = st_open(part, &err);
  assert_non_null(f);
  snprintf(key, sizeof key, "%s", st_metadata(f, "key"));
  st_close(f);
  static const float x[8];
  static const struct {
    const char *name;
    int rank;
  } wrong[] = {{"latent", 2}, {"latents", 1}};
  for (int i = 0; i < 2; i++) {
    st_tensor t = {
        .name = wrong[i].name, .dtype = ST_F32, .rank = wrong[i].rank, .count = 8, .data = x, .size = sizeof x};
    t.dim[0] = wrong[i].rank == 1 ? 8 : 2, t.dim[1] = 4;
    assert_int_equal(st_write(part, &t, 1, (const char *const[]){"key", key}, 1, &err), ACE_OK);
    p->heard.text[0] = 0;
    r = prepare(p, e, &o);
    assert_int_equal(r.done, i ? 0 : 1); /* b.wav, the first time */
    if (!strstr(p->heard.text, "there are no latents in it; remove the file")) fail_msg("%s", p->heard.text);
  }
  remove(part);
  assert_int_equal(prepare(p, e, &o).done, 1);
  ace_engine_close(e);
  dataset_free(&p->d);
}

/* The Python trainer's way: 512 and 256 tokens with padding, and the song as its own source. */
static void test_reference(void **state) {
  place *p = *state;
  open_place(p, "reference");
  json_object_set_new(p->d.sample[1].fields, "labeled", json_false());
  ace_engine *e = songs_engine(&p->models, NULL, 2, 0);
  prepare_options o = prepare_defaults(p->out);
  o.profile = SONG_TEXT_REFERENCE;
  o.cover = true;
  o.max_duration = 1;
  assert_int_equal(prepare(p, e, &o).done, 1);
  sample s = load(p, e, 0, ACE_OK);
  assert_int_equal(s.shape.frames, FRAMES_A_SECOND);
  assert_int_equal(s.shape.tokens, 512 + 1 + 256);
  assert_non_null(s.condition_mask);
  int tokens = 0;
  for (int64_t i = 0; i < s.shape.tokens; i++) {
    assert_true(!s.condition_mask[i] || tokens == i); /* tokens first */
    tokens += s.condition_mask[i];
  }
  assert_in_range(tokens, 10, 300);
  for (int64_t t = 0; t < s.shape.frames; t++)
    for (int k = 0; k < 128; k++) assert_true(s.context[t * 128 + k] == (k < 64 ? s.target[t * 64 + k] : 1));
  assert_string_equal(sample_tag(&s, "lyric_text"), "la la");
  sample_free(&s);
  ace_engine_close(e);
  dataset_free(&p->d);
}

static void test_refusals(void **state) {
  place *p = *state;
  ace_error err = {0};
  prepare_report r;
  dataset d;
  ace_engine *e = songs_engine(&p->models, NULL, 1, 0);
  prepare_options o = prepare_defaults(p->out);
  assert_int_equal(dataset_new(&d, "x", &err), ACE_OK);
  assert_int_equal(engine_prepare(e, &d, &o, NULL, &r, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "", "no labeled samples");
  o.max_duration = 0.5;
  assert_int_equal(engine_prepare(e, &d, &o, NULL, &r, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "max duration", "1..600");
  dataset_free(&d);
  ace_engine_close(e);
}

static int open_all(void **state) {
  static place p;
  songs_make(&p.models);
  *state = &p;
  return 0;
}

static int close_all(void **state) {
  place *p = *state;
  return songs_remove(&p->models);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matched),   cmocka_unit_test(test_goes_on),  cmocka_unit_test(test_latents_that_are_none),
      cmocka_unit_test(test_reference), cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
