/* Any request is either run or refused by naming the field: random values of random parameters, in and out of range, on
 * turbo, SFT and base models, with recordings of every kind. Each accepted one is planned to the last byte of its
 * memory; some are run. The first argument is how many requests there are (60), so that `./test long` tries 10 000. */
#include "songs.h"

#include <math.h>

#include "audio/write.h"
#include "engine/engine.h"
#include "request/params.h"
#include "request/text.h"

enum { USUAL = 60, FAMILIES = 3, TEXT = 1 << 13 };

static int wanted = USUAL;

typedef struct fixture {
  songs songs;
  char sources[6][512]; /* none, song, silence, too short, missing, text */
  ace_engine *engines[FAMILIES];
} fixture;

/* xorshift64*: the same requests every time. */
static uint64_t state_of_dice = 20240917;

static uint32_t dice(uint32_t sides) {
  state_of_dice ^= state_of_dice >> 12;
  state_of_dice ^= state_of_dice << 25;
  state_of_dice ^= state_of_dice >> 27;
  return (uint32_t)((state_of_dice * 2685821657736338717u) >> 33) % sides;
}

static double share(void) {
  return dice(1 << 20) / (double)((1 << 20) - 1);
}

static const char *one_of(const char *const *list, uint32_t n) {
  return list[dice(n)];
}
#define ONE_OF(...) \
  one_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void write_sound(const char *path, double seconds, float level) {
  audio_buffer b;
  ace_error err;
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * 48000), 2, 48000, &err), ACE_OK);
  for (int64_t i = 0; i < 2 * b.frames; i++) b.samples[i] = level * (float)sin((double)i * 0.03);
  if (audio_write(path, &b, AUDIO_WAV, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  audio_buffer_free(&b);
}

static int make_fixture(void **state) {
  static const char *const files[] = {NULL, "song.wav", "silence.wav", "short.wav", "missing.wav", "text.wav"};
  static fixture f; /* lives through the group */
  songs_make(&f.songs);
  for (int i = 1; i < 6; i++) snprintf(f.sources[i], sizeof f.sources[i], "%s/%s", f.songs.folder.folder, files[i]);
  write_sound(f.sources[1], 0.6, 0.4f);
  write_sound(f.sources[2], 5, 0);
  write_sound(f.sources[3], 0.01, 0.4f);
  temp_put(&f.songs.folder, "text.wav", "no sound", 8);
  char from[600], to[600];
  snprintf(from, sizeof from, "%s/acestep-v15-base", f.songs.models);
  snprintf(to, sizeof to, "%s/acestep-v15-sft", f.songs.models);
  assert_int_equal(symlink(from, to), 0);
  f.engines[0] = songs_engine(&f.songs, "acestep-v15-turbo", 2, 0);
  f.engines[1] = songs_engine(&f.songs, "acestep-v15-sft", 2, 0);
  f.engines[2] = songs_engine(&f.songs, "acestep-v15-base", 2, 0);
  *state = &f;
  return 0;
}

static int remove_fixture(void **state) {
  fixture *f = *state;
  for (int i = 0; i < FAMILIES; i++) ace_engine_close(f->engines[i]);
  return songs_remove(&f->songs);
}

/* ---- random values ----------------------------------------------------------------------------------------------- */

static void random_number(const req_param *p, char *out) {
  double x = p->lo + share() * (p->hi - p->lo);
  if (dice(4) == 0) x = dice(2) ? p->lo : p->hi;
  if (dice(8) == 0) x = dice(2) ? p->lo - 1 - share() : p->hi * 1.5 + 1;
  if (p->type == REQ_INT) x = floor(x);
  if (p->step >= 0.01 && p->type == REQ_NUMBER) x = round(x / p->step) * p->step;
  char text[REQ_NUMBER_SIZE];
  snprintf(out, TEXT, "%s", dice(30) == 0 ? ONE_OF("nan", "1e999", "ten", "", "0x10") : req_number_format(x, text));
}

static void random_codes(char *out) {
  out[0] = 0;
  for (uint32_t i = 0, n = dice(60); i < n; i++) sprintf(out + strlen(out), "<|audio_code_%u|>", dice(500));
  if (dice(6) == 0) strcpy(out, "no codes at all");
}

static void random_value(const fixture *f, const req_param *p, char out[TEXT]) {
  uint32_t names = 0;
  while (p->values && p->values[names]) names++;
  switch (p->type) {
    case REQ_BOOL: strcpy(out, ONE_OF("true", "false", "on", "0", "perhaps")); return;
    case REQ_TRI: strcpy(out, ONE_OF("true", "false", "auto", "")); return;
    case REQ_SEED:
    case REQ_SEEDS: strcpy(out, ONE_OF("-1", "7", "1,2,3", "4294967295", "4294967296", "x,,9", "-5")); return;
    case REQ_TIMESTEPS: strcpy(out, ONE_OF("1,0.5,0", "0.97,0.5,0.28", "0.3,0.9", "2,1", "fast", "0", "")); return;
    case REQ_TRACKS: strcpy(out, ONE_OF("drums,bass", "vocals", "strings|fx", "zither", "")); return;
    case REQ_PATH: strcpy(out, f->sources[dice(6)]); return;
    default: break;
  }
  if (names > 0) strcpy(out, dice(8) == 0 ? "zither" : p->values[dice(names)]);
  else if (p->type == REQ_INT || p->type == REQ_NUMBER) random_number(p, out);
  else if (strcmp(p->name, "audio_codes") == 0) random_codes(out);
  else
    strcpy(out, ONE_OF("", "calm piano", "[Verse]\nla la la\n[Chorus]\nl\xC3\xA0 \xE6\xAD\x8C\n", "# Caption\n# Metas",
                       "<|endoftext|>", "\xFF\xFE", "instrumental", "a \"quoted\" text: with a colon:"));
}

/* The message names a parameter, or says that memory is short. */
static void check_refusal(const ace_error *err, const char *request) {
  char name[64];
  size_t n = strcspn(err->message, ":");
  snprintf(name, sizeof name, "%.*s", (int)(n < 60 ? n : 60), err->message);
  if (!err->message[n] || strchr(err->message, '\n') || (!req_param_find(name) && strcmp(name, "memory") != 0))
    fail_msg("\"%s\" does not name a field of\n%s", err->message, request);
  if (err->status == ACE_EINTERNAL) fail_msg("\"%s\" is a defect, for\n%s", err->message, request);
}

/* Sets one parameter; what is out of range must be refused by its name, which changes nothing. */
static void set_random(const fixture *f, ace_request *r, const req_param *p) {
  char value[TEXT];
  ace_error err;
  random_value(f, p, value);
  if (ace_request_set(r, p->name, value, &err) == ACE_OK) return;
  if (strncmp(err.message, p->name, strlen(p->name)) != 0) fail_msg("%s: \"%s\"", p->name, err.message);
}

static ace_request *random_request(const fixture *f) {
  ace_request *r = ace_request_new((ace_profile)dice(ACE_PROFILE_COUNT));
  size_t n;
  const req_param *p = req_params(&n);
  assert_non_null(r);
  r->task_type = (int)dice(REQ_TASK_COUNT);
  if (dice(5)) assert_int_equal(req_set_string(&r->src_audio, f->sources[1 + dice(2)], NULL), ACE_OK);
  if (dice(4)) r->track_name = 1 + (int)dice(12);
  if (dice(4)) set_random(f, r, req_param_find("complete_track_classes"));
  uint32_t often = 3 + dice(30); /* few changes or many */
  for (size_t i = 0; i < n; i++)
    if (!p[i].result && dice(40) < often && strcmp(p[i].name, "task_type") != 0) set_random(f, r, &p[i]);
  if (dice(10)) r->use_constrained_decoding = true;
  return r;
}

/* ---- the property ------------------------------------------------------------------------------------------------ */

/* As short as it goes; everything else stays. */
static void shorten(ace_request *r) {
  r->duration = 10;
  r->batch_size = r->batch_size > 1 ? 2 : 1;
  r->inference_steps = 2;
  r->flow_edit_n_avg = r->flow_edit_n_avg > 1 ? 2 : 1;
  if (r->timesteps.count > 4) r->timesteps.count = 0;
  if (r->repainting_start < -2) r->repainting_start = -2;
  if (r->repainting_end > 7) r->repainting_end = 7;
}

static void run_it(ace_engine *e, ace_request *r, const char *text) {
  ace_error err;
  ace_result *result = ace_generate(e, r, NULL, &err);
  if (!result) {
    check_refusal(&err, text);
    return;
  }
  assert_int_equal(ace_result_count(result), r->batch_size);
  for (int i = 0; i < r->batch_size; i++) {
    ace_audio a = ace_result_audio(result, i);
    assert_true(a.frames > 0);
    for (int64_t k = 0; k < a.frames * a.channels; k++)
      if (!isfinite(a.samples[k])) fail_msg("a sample that is no number, for\n%s", text);
    ace_request *again = ace_request_new(ACE_PROFILE_CLI);
    const char *json = ace_result_json(result, i);
    if (ace_request_set_json(again, json, strlen(json), &err) != ACE_OK) fail_msg("%s, for\n%s", err.message, json);
    ace_request_free(again);
  }
  ace_result_free(result);
}

static void every_request_is_run_or_refused_by_name(void **state) {
  const fixture *f = *state;
  int accepted = 0, run = 0, each = wanted > USUAL ? 25 : 3;
  for (int i = 0; i < wanted; i++) {
    ace_request *r = random_request(f);
    ace_engine *e = f->engines[dice(FAMILIES)];
    ace_error err;
    song_plan plan;
    char *text = ace_request_to_json(r);
    if (engine_plan(e, r, &plan, NULL, &err) != ACE_OK) {
      check_refusal(&err, text);
    } else if (accepted++ % each == 0) {
      shorten(r);
      run_it(e, r, text);
      run++;
    }
    free(text);
    ace_request_free(r);
  }
  printf("%d requests, %d accepted, %d of them run\n", wanted, accepted, run);
  assert_true(accepted > wanted / 8 && accepted < wanted * 7 / 8);
}

int main(int argc, char **argv) {
  if (argc > 1) wanted = atoi(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_request_is_run_or_refused_by_name)};
  return cmocka_run_group_tests(tests, make_fixture, remove_fixture);
}
