/* Scores and timestamps of songs: numbers that mean nothing, lines that are missing, a song that is scored as another
 * one. */
#include "songs.h"

#include <jansson.h>
#include <math.h>

#include "engine/engine.h"
#include "models/dit_probe.h"
#include "score/lm_score.h"
#include "score/lyric_score.h"

/* ---- formulas ---------------------------------------------------------------------------------------------------- */

static void scores_follow_their_formulas(void **state) {
  assert_float_equal(lm_score_pmi(1, 0.1), 0.99995460, 1e-8);
  assert_float_equal(lm_score_pmi(1, 0.5), 0.88079708, 1e-8);
  assert_float_equal(lm_score_pmi(-1e6, 0.01), 0, 0);
  assert_float_equal(lm_score_recall(1), 1, 1e-12);
  assert_float_equal(lm_score_recall(4), 0.7, 1e-12);
  assert_float_equal(lm_score_recall(10), 0.1, 1e-12);
  assert_float_equal(lm_score_recall(11), 0, 0);
  lm_score s = {.has = {[PLAN_CAPTION] = true, [PLAN_BPM] = true, [PLAN_KEYSCALE] = true},
                .field = {[PLAN_CAPTION] = 0.9, [PLAN_BPM] = 0.6, [PLAN_KEYSCALE] = 0.8}};
  assert_float_equal(lm_score_global(&s), (0.5 * 0.9 + 0.2 * 0.7) / 0.7, 1e-12);
  s.has_lyrics = true, s.lyrics = 0.5;
  assert_float_equal(lm_score_global(&s), 0.5 * 0.9 + 0.3 * 0.5 + 0.2 * 0.7, 1e-12);
  assert_float_equal(lm_score_global(&(lm_score){0}), 0, 0);
}

enum { TOKENS = 8, FRAMES = 160 };

static lyric_parts score_of(const float *map, const bool *sung) {
  lyric_parts p;
  assert_int_equal(lyric_score(map, TOKENS, FRAMES, sung, &p, NULL), ACE_OK);
  return p;
}

/* Each token its own frames, in order `at`. */
static void draw(float *map, const int *at) {
  for (int i = 0; i < TOKENS * FRAMES; i++) map[i] = 0.001f;
  for (int i = 0; i < TOKENS; i++)
    for (int j = 0; j < FRAMES / TOKENS; j++) map[i * FRAMES + at[i] * (FRAMES / TOKENS) + j] = 0.5f;
}

static void clear_singing_scores_high(void **state) {
  static const int forward[] = {0, 1, 2, 3, 4, 5, 6, 7}, backward[] = {7, 6, 5, 4, 3, 2, 1, 0};
  bool all[TOKENS], none[TOKENS] = {false};
  float map[TOKENS * FRAMES];
  for (int i = 0; i < TOKENS; i++) all[i] = true;
  draw(map, forward);
  lyric_parts p = score_of(map, all);
  assert_true(p.score > 0.95 && p.score <= 1); /* between words the path may pass a cell that nothing looks at */
  draw(map, backward);
  p = score_of(map, all);
  assert_float_equal(p.coverage, 1, 1e-9);
  assert_float_equal(p.monotonicity, 0, 1e-9);
  assert_float_equal(p.score, 0, 1e-9);
  for (int j = 0; j < FRAMES; j++) map[3 * FRAMES + j] = 0.001f; /* a word that nobody sings */
  assert_float_equal(score_of(map, all).coverage, 7.0 / 8, 1e-9);
  assert_float_equal(score_of(map, none).coverage, 1, 1e-9);
  for (int i = 0; i < TOKENS * FRAMES; i++) map[i] = 0.125f;
  assert_float_equal(score_of(map, all).score, 0, 0);
}

/* Heads come from the checkpoint; what it says in another form, or about layers that it has not, does no harm. */
static void heads_are_read_from_the_checkpoint(void **state) {
  static const struct {
    const char *config;
    int n, layer, head;
  } cases[] = {
      {"{\"lyric_alignment_layers_config\": {\"1\": [0, 2], \"2\": [1]}}", 3, 1, 0},
      {"{\"lyric_alignment_layers_config\": {\"23\": [15], \"24\": [0], \"3\": [16, -1]}}", 1, 23, 15},
      {"{\"lyric_alignment_layers_config\": {\"30\": [1]}}", 0, 0, 0},
      {"{\"lyric_alignment_layers_config\": [2, 6]}", 7, 2, 6},
      {"{\"lyric_alignment_layers_config\": {\"two\": [6]}}", 7, 2, 6},
      {"{\"lyric_alignment_layers_config\": {\"1\": [\"a\"]}}", 7, 2, 6},
      {"{}", 7, 2, 6},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *config = json_loads(cases[i].config, 0, NULL);
    dit_heads heads;
    dit_heads_read(config, 24, 16, &heads);
    assert_int_equal(heads.n, cases[i].n);
    if (heads.n > 0) assert_int_equal(heads.head[0].layer, cases[i].layer);
    if (heads.n > 0) assert_int_equal(heads.head[0].head, cases[i].head);
    json_decref(config);
  }
}

/* ---- songs of the tiny set --------------------------------------------------------------------------------------- */

static ace_engine *open_engine(const songs *s, int threads) {
  return songs_engine(s, NULL, threads, 0);
}

static const char words[] = "[Verse]\nover the hill\nround the bend\n\n[Chorus]\nwe go home";

static const char *const usual[] = {"caption",  "a test", "duration", "10",  "inference_steps", "2",
                                    "seeds",    "7",      "lyrics",   words, "vocal_language",  "en",
                                    "thinking", "false",  NULL};

static ace_request *request(const char *const *pairs) {
  return songs_request(usual, pairs);
}

/* Latents alone, unless sound is asked for. */
static ace_result *make(ace_engine *e, bool sound, const char *const *pairs) {
  ace_error err;
  ace_request *r = request(pairs);
  ace_result *result = engine_generate(e, r, sound, NULL, NULL, &err);
  if (!result) fail_msg("%s", err.message);
  ace_request_free(r);
  return result;
}

static char *lrc_of(ace_engine *e, const ace_result *r, int item) {
  ace_error err;
  char *lrc = ace_result_lrc(e, r, item, NULL, &err);
  if (!lrc) fail_msg("%s", err.message);
  return lrc;
}

/* Every line of the lyrics in its order, each with a stamp, none before the one above, all inside the song. */
static void every_line_is_timed(void **state) {
  static const char *const lines[] = {"[Verse]", "over the hill", "round the bend", "[Chorus]", "we go home"};
  ace_engine *e = open_engine(*state, 2);
  ace_result *r = make(e, false, NULL);
  char *lrc = lrc_of(e, r, 0), *at = lrc;
  double before = 0;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    int minutes, hundredths, length = 0;
    assert_int_equal(sscanf(at, "[%2d:%d.%n", &minutes, &hundredths, &length), 2);
    assert_int_equal(length, 7);
    double seconds = minutes * 60 + atof(at + 4);
    assert_true(seconds >= before && seconds < 10);
    before = seconds;
    at = strchr(at, ']') + 1;
    assert_memory_equal(at, lines[i], strlen(lines[i]));
    at += strlen(lines[i]);
    assert_int_equal(*at, i + 1 < sizeof lines / sizeof *lines ? '\n' : 0);
    at += *at == '\n';
  }
  ace_error err;
  char *vtt = ace_lrc_to_vtt(lrc, 10, &err), *full = ace_result_timestamps(e, r, 0, NULL, &err);
  assert_non_null(strstr(vtt, "WEBVTT\n\n1\n00:00:0"));
  json_t *json = json_loads(full, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(json, "lrc_text")), lrc);
  assert_int_equal(json_array_size(json_object_get(json, "sentence_timestamps")), 5);
  json_decref(json);
  free(lrc), free(vtt), free(full);
  ace_result_free(r);
  ace_engine_close(e);
}

/* The same song has the same timestamps and scores: with its sound, made again from its JSON, beside others, with more
 * threads, after other questions. */
static void a_song_is_scored_as_itself(void **state) {
  ace_error err;
  ace_engine *one = open_engine(*state, 1), *three = open_engine(*state, 3);
  ace_result *song = make(one, true, PAIRS("thinking", "true", "seeds", "8"));
  ace_result *batch = make(three, false, PAIRS("thinking", "true", "seeds", "7,8", "batch_size", "2"));
  char *lrc = lrc_of(one, song, 0), *score = ace_result_score(one, song, 0, 0, NULL, &err);
  if (!score) fail_msg("%s", err.message);
  const char *json = ace_result_json(song, 0);
  ace_request *again = ace_request_new(ACE_PROFILE_CLI);
  assert_int_equal(ace_request_set_json(again, json, strlen(json), &err), ACE_OK);
  ace_result *second = engine_generate(three, again, false, NULL, NULL, &err);
  if (!second) fail_msg("%s", err.message);
  char *second_score = ace_result_score(three, second, 0, 0.5, NULL, &err);
  char *second_lrc = lrc_of(three, second, 0);
  assert_string_equal(lrc, second_lrc);
  assert_string_equal(score, second_score);
  json_t *saved = json_loads(json, 0, NULL), *scores = json_loads(score, 0, NULL);
  assert_true(json_equal(json_object_get(json_object_get(saved, "result"), "scores"), scores));
  json_decref(saved), json_decref(scores);
  char *first = lrc_of(three, batch, 0);
  assert_non_null(first);
  free(first), free(second_lrc), free(second_score), free(lrc), free(score);
  ace_request_free(again);
  ace_result_free(song), ace_result_free(batch), ace_result_free(second);
  ace_engine_close(one), ace_engine_close(three);
}

/* Items of a batch are told apart, and each is aligned as if it were alone. */
static void items_are_aligned_on_their_own(void **state) {
  ace_engine *e = open_engine(*state, 2);
  ace_result *batch = make(e, false, PAIRS("seeds", "7,8", "batch_size", "2"));
  ace_result *second = make(e, false, PAIRS("seeds", "8"));
  char *a = lrc_of(e, batch, 1), *b = lrc_of(e, second, 0);
  assert_string_equal(a, b);
  free(a), free(b);
  ace_result_free(batch), ace_result_free(second);
  ace_engine_close(e);
}

static json_t *score_json(ace_engine *e, ace_result *r) {
  ace_error err;
  char *text = ace_result_score(e, r, 0, 0, NULL, &err);
  if (!text) fail_msg("%s", err.message);
  json_t *json = json_loads(text, 0, NULL);
  assert_non_null(json);
  free(text);
  return json;
}

static void expect_share(const json_t *number) {
  assert_true(json_is_real(number) && json_real_value(number) >= 0 && json_real_value(number) <= 1);
}

/* What can be scored is; what cannot is null, and the notes say why. */
static void scores_say_what_they_lack(void **state) {
  ace_error err = {0};
  ace_engine *e = open_engine(*state, 2);
  ace_result *planned = make(e, false, PAIRS("thinking", "true", "bpm", "100", "keyscale", "A minor"));
  json_t *s = score_json(e, planned), *conditions = json_object_get(s, "conditions");
  expect_share(json_object_get(s, "score"));
  static const char *const keys[] = {"bpm", "caption", "duration", "keyscale", "lyrics", "timesignature"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) expect_share(json_object_get(conditions, keys[i]));
  expect_share(json_object_get(json_object_get(s, "lyrics_alignment"), "lm_score"));
  expect_share(json_object_get(json_object_get(s, "lyrics_alignment"), "dit_score"));
  json_decref(s);
  ace_result *plain = make(e, false, NULL); /* no codes */
  s = score_json(e, plain);
  assert_true(json_is_null(json_object_get(s, "score")));
  assert_true(json_is_object(json_object_get(s, "lyrics_alignment")));
  assert_int_equal(json_array_size(json_object_get(s, "notes")), 1);
  json_decref(s);
  ace_result *neither = make(e, false, PAIRS("lyrics", "", "instrumental", "true"));
  assert_null(ace_result_score(e, neither, 0, 0, NULL, &err));
  assert_int_equal(err.status, ACE_EINVAL);
  assert_null(ace_result_lrc(e, neither, 0, NULL, &err));
  assert_int_equal(err.status, ACE_EINVAL);
  assert_null(ace_result_lrc(e, plain, 1, NULL, &err));
  assert_null(ace_result_score(e, plain, 0, 2, NULL, &err));
  expect_error(&err, ACE_EINVAL, "sensitivity", "0.01");
  assert_int_not_equal(ace_result_save(plain, 0, "nowhere.wav", &err), ACE_OK); /* there is no sound to save */
  ace_result_free(planned), ace_result_free(plain), ace_result_free(neither);
  ace_engine_close(e);
}

static bool stop(void *user) {
  return true;
}

static void a_stop_is_a_stop(void **state) {
  ace_error err;
  ace_engine *e = open_engine(*state, 2);
  ace_result *r = make(e, false, PAIRS("thinking", "true"));
  ace_callbacks notify = {.cancelled = stop};
  assert_null(ace_result_lrc(e, r, 0, &notify, &err));
  assert_int_equal(err.status, ACE_ECANCELED);
  assert_null(ace_result_score(e, r, 0, 0, &notify, &err));
  assert_int_equal(err.status, ACE_ECANCELED);
  ace_result_free(r);
  ace_engine_close(e);
}

/* ---- teacher forcing --------------------------------------------------------------------------------------------- */

typedef struct taken {
  plan_forced token[4096];
  int target[4096], n;
} taken;

static void take(void *user, int target, const plan_forced *token) {
  taken *t = user;
  assert_true(t->n < 4096);
  t->token[t->n] = *token;
  t->target[t->n++] = target;
}

/* The model run over prompt and target at once, without a cache. */
static void compare_uncached(const plan_lm *lm, const bpe_ids *prompt, const bpe_ids *target, const plan_forced *got) {
  ace_error err;
  size_t n = prompt->n + target->n;
  int64_t vocab = lm->model->head.dim[0];
  int32_t *all = malloc(n * sizeof *all);
  memcpy(all, prompt->id, prompt->n * sizeof *all);
  memcpy(all + prompt->n, target->id, target->n * sizeof *all);
  tens_ctx *c = tens_open(&(tens_options){.capacity = (size_t)1 << 30}, &err);
  tens *logits = qwen3_logits(c, lm->model,
                              qwen3_hidden(c, lm->model, tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)n), all), NULL));
  assert_non_null(logits);
  for (size_t i = 0; i < target->n; i++) {
    const float *row = tens_f32(logits) + (int64_t)(prompt->n - 1 + i) * vocab;
    double sum = 0;
    int better = 0;
    for (int64_t k = 0; k < vocab; k++) {
      sum += exp((double)row[k]);
      better += row[k] > row[target->id[i]] + 1e-4f;
    }
    assert_int_equal(got[i].id, target->id[i]);
    assert_float_equal(got[i].log_probability, (double)row[target->id[i]] - log(sum), 1e-3);
    assert_true(got[i].rank > better);
  }
  tens_close(c);
  free(all);
}

/* Each token has the probability that one pass over everything gives it, for prompts and targets longer than a pass,
 * and whatever other targets there are. */
static void forced_text_has_the_models_probabilities(void **state) {
  ace_error err;
  ace_engine *e = open_engine(*state, 2);
  assert_int_equal(engine_need_lm(e, &err), ACE_OK);
  char codes[400 * 20 + 1] = "", lyrics[3001] = "";
  for (int i = 0; i < 330; i++) snprintf(codes + strlen(codes), 20, "<|audio_code_%d|>", i * 7 % 400);
  for (int i = 0; i < 300; i++) snprintf(lyrics + strlen(lyrics), 11, "%c%c word\n", 'a' + i % 26, 'a' + i / 26);
  plan_prompt prompt, target[3];
  plan_settings settings;
  plan_value value = {.kind = PLAN_NUMBER, .number = 120};
  assert_int_equal(plan_ask_understand(&prompt, &settings, codes, &err), ACE_OK);
  assert_int_equal(plan_expect_value(&target[0], PLAN_BPM, &value, &err), ACE_OK);
  assert_int_equal(plan_expect_lyrics(&target[1], lyrics, &err), ACE_OK);
  assert_int_equal(plan_expect_value(&target[2], PLAN_BPM, &value, &err), ACE_OK);
  plan_how how = {.threads = e->threads, .memory = (size_t)1 << 30, .cache = TENS_F32};
  taken *t = calloc(1, sizeof *t);
  if (plan_force(e->lm, &prompt, target, 3, &how, take, t, &err) != ACE_OK) fail_msg("%s", err.message);
  bpe_ids ids = {0}, of[3] = {{0}};
  assert_int_equal(plan_prompt_encode(&prompt, e->lm->tokenizer, &ids, &err), ACE_OK);
  assert_true(ids.n > 300);
  int at = 0;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(plan_prompt_encode(&target[i], e->lm->tokenizer, &of[i], &err), ACE_OK);
    assert_int_equal(t->target[at], i);
    compare_uncached(e->lm, &ids, &of[i], t->token + at);
    at += (int)of[i].n;
  }
  assert_int_equal(t->n, at);
  assert_true(of[1].n > 600);
  for (size_t i = 0; i < of[0].n; i++)
    assert_float_equal(t->token[i].log_probability, t->token[of[0].n + of[1].n + i].log_probability, 0);
  how.memory = 1 << 16;
  assert_int_equal(plan_force(e->lm, &prompt, target, 3, &how, take, t, &err), ACE_ENOMEM);
  for (int i = 0; i < 3; i++) plan_prompt_free(&target[i]), bpe_ids_free(&of[i]);
  bpe_ids_free(&ids);
  plan_prompt_free(&prompt);
  plan_settings_free(&settings);
  free(t);
  ace_engine_close(e);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scores_follow_their_formulas),
      cmocka_unit_test(clear_singing_scores_high),
      cmocka_unit_test(heads_are_read_from_the_checkpoint),
      cmocka_unit_test(every_line_is_timed),
      cmocka_unit_test(a_song_is_scored_as_itself),
      cmocka_unit_test(items_are_aligned_on_their_own),
      cmocka_unit_test(scores_say_what_they_lack),
      cmocka_unit_test(a_stop_is_a_stop),
      cmocka_unit_test(forced_text_has_the_models_probabilities),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
