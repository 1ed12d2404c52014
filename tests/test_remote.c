/* A language model server: it gives what the model here gives, what the user fixed stays fixed, and a server that is
 * away, slow, broken or another thing altogether is named as such, or replaced by the model here. */
#include "gguf_files.h"
#include "songs.h"
#include "stand_in_lm.h"

#include "engine/engine.h"

static const char *const usual[] = {"caption",      "a test", "duration", "10",   "inference_steps", "1",
                                    "seeds",        "7",      "thinking", "true", "use_cot_caption", "false",
                                    "lm_cfg_scale", "1",      NULL};

typedef struct scene {
  songs songs;
  lm_site site;
  char words[512]; /* a folder of models in which the language model has no weights */
  char log[1024];
  bool stop;
} scene;

static int set_up(void **state) {
  static scene s;
  char command[2048], folder[600];
  songs_make(&s.songs);
  snprintf(folder, sizeof folder, "%s/acestep-5Hz-lm-0.6B", s.songs.models);
  bpe *tokenizer = bpe_open(folder, NULL);
  lm_site_open(&s.site, folder, bpe_find(tokenizer, "<|im_end|>"));
  bpe_close(tokenizer);
  snprintf(s.words, sizeof s.words, "%s/words", s.songs.folder.folder);
  snprintf(command, sizeof command, "cp -r '%s' '%s' && rm '%s/acestep-5Hz-lm-0.6B/'*.safetensors", s.songs.models,
           s.words, s.words);
  if (system(command) != 0) return 1;
  *state = &s;
  return 0;
}

static int tear_down(void **state) {
  scene *s = *state;
  lm_site_close(&s->site);
  return songs_remove(&s->songs);
}

static int start(void **state) {
  scene *s = *state;
  s->site.fault = LM_WELL;
  s->site.positions = 4096;
  s->site.completions = s->site.most_at_once = s->site.gone = 0;
  s->site.gather = false;
  s->site.refusal[0] = 0;
  s->log[0] = 0;
  s->stop = false;
  return 0;
}

static void on_log(void *user, const char *line) {
  scene *s = user;
  snprintf(s->log, sizeof s->log, "%s", line);
}

static bool on_poll(void *user) {
  scene *s = user;
  return s->stop && s->site.completions > 0; /* once the server is at work */
}

static ace_callbacks callbacks(scene *s) {
  return (ace_callbacks){.log = on_log, .cancelled = on_poll, .user = s};
}

static ace_engine *open_engine(const char *models, ace_engine_options options) {
  ace_error err;
  options.threads = 2;
  ace_engine *e = ace_engine_open(models, &options, &err);
  if (!e) fail_msg("%s", err.message);
  return e;
}

/* What the model plans: metadata, codes. */
static char *plan(ace_engine *e, scene *s, const char *const *pairs, ace_error *err) {
  ace_request *r = songs_request(usual, pairs);
  ace_callbacks notify = callbacks(s);
  uint32_t seeds[REQ_BATCH_MAX];
  progress p;
  plan_song song;
  char *text = NULL;
  progress_start(&p, NULL, 1);
  assert_int_equal(req_resolve_seeds(r, NULL, seeds, err), ACE_OK);
  if (engine_think(e, r, 0, seeds, &p, &notify, &song, err) == ACE_OK) {
    json_t *codes = json_array();
    for (int i = 0; i < song.items; i++)
      for (size_t k = 0; k < song.n_codes[i]; k++) json_array_append_new(codes, json_integer(song.codes[i][k]));
    json_t *all = json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "bpm", r->bpm, "key", r->keyscale, "metre",
                            r->timesignature, "language", r->vocal_language, "caption", r->caption, "codes", codes);
    text = json_dumps(all, JSON_SORT_KEYS);
    json_decref(all);
    plan_song_free(&song);
  }
  ace_request_free(r);
  return text;
}

static char *must_plan(ace_engine *e, scene *s, const char *const *pairs) {
  ace_error err = {0};
  char *text = plan(e, s, pairs, &err);
  if (!text) fail_msg("%s (%s)", err.message, s->site.refusal);
  return text;
}

/* ---- the same results -------------------------------------------------------------------------------------------- */

/* Without chance in it the server's model and the one here write the same, token for token. */
static void test_the_server_gives_what_the_model_gives(void **state) {
  scene *s = *state;
  ace_engine *here = open_engine(s->songs.models, (ace_engine_options){0});
  ace_engine *there = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  const char *const *const cases[] = {PAIRS("lm_temperature", "0"),
                                      PAIRS("lm_temperature", "0", "use_cot_caption", "true", "bpm", "77"),
                                      PAIRS("lm_temperature", "0", "caption", "another", "keyscale", "F# minor")};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *a = must_plan(here, s, cases[i]), *b = must_plan(there, s, cases[i]);
    assert_string_equal(a, b);
    free(a), free(b);
  }
  assert_true(s->site.completions > 0);
  ace_engine_close(here), ace_engine_close(there);
}

/* The other questions, caption, genres and lyrics included. An untrained model never ends its lyrics: the server's ends
 * where its positions do, and until there they are the same. */
static void test_samples_are_the_same(void **state) {
  scene *s = *state;
  ace_error err = {0};
  ace_engine *here = open_engine(s->songs.models, (ace_engine_options){0});
  ace_engine *there = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  ace_request *r = songs_request(usual, PAIRS("lm_temperature", "0", "bpm", "120", "vocal_language", "de"));
  s->site.positions = 900;
  char *a = ace_format_sample(here, r, NULL, &err), *b = ace_format_sample(there, r, NULL, &err);
  if (!a || !b) fail_msg("%s (%s)", err.message, s->site.refusal);
  json_t *one = json_loads(a, 0, NULL), *two = json_loads(b, 0, NULL);
  const char *words = json_string_value(json_object_get(two, "lyrics"));
  assert_true(strlen(words) > 20);
  assert_int_equal(strncmp(words, json_string_value(json_object_get(one, "lyrics")), strlen(words) - 8), 0);
  json_object_del(one, "lyrics"), json_object_del(two, "lyrics");
  assert_true(json_equal(one, two));
  json_decref(one), json_decref(two);
  free(a), free(b);
  ace_request_free(r);
  ace_engine_close(here), ace_engine_close(there);
}

/* With chance: the same seed is the same song, what the user gave stays, items are asked for side by side. */
static void test_seeds_and_given_fields(void **state) {
  scene *s = *state;
  ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  const char *const *pairs =
      PAIRS("bpm", "93", "keyscale", "C major", "batch_size", "2", "seeds", "7,8", "allow_lm_batch", "true");
  s->site.gather = true;
  char *first = must_plan(e, s, pairs), *again = must_plan(e, s, pairs);
  assert_string_equal(first, again);
  assert_true(s->site.most_at_once >= 2);
  char *other = must_plan(e, s, PAIRS("bpm", "93", "keyscale", "C major", "batch_size", "2", "seeds", "9,8"));
  assert_string_not_equal(first, other);
  json_t *json = json_loads(first, 0, NULL), *codes = json_object_get(json, "codes");
  assert_int_equal(json_integer_value(json_object_get(json, "bpm")), 93);
  assert_string_equal(json_string_value(json_object_get(json, "key")), "C major");
  assert_int_equal(json_array_size(codes), 100);
  json_decref(json);
  free(first), free(again), free(other);
  ace_engine_close(e);
}

/* ---- guidance ---------------------------------------------------------------------------------------------------- */

/* A server has no guidance: the metadata comes from it, the codes are made here, or nothing is. */
static void test_guidance(void **state) {
  scene *s = *state;
  ace_error err = {0};
  const char *const *pairs = PAIRS("lm_temperature", "0", "lm_cfg_scale", "2");
  ace_engine *here = open_engine(s->songs.models, (ace_engine_options){0});
  ace_engine *both = open_engine(s->songs.models, (ace_engine_options){.lm_server = s->site.url});
  char *a = must_plan(here, s, pairs), *b = must_plan(both, s, pairs);
  assert_string_equal(a, b);
  assert_true(s->site.completions > 3);
  ace_engine *there = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  s->site.completions = 0;
  assert_null(plan(there, s, pairs, &err));
  assert_int_equal(err.status, ACE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "lm_cfg_scale"));
  assert_int_equal(s->site.completions, 0); /* said before anything is asked */
  free(a), free(b);
  ace_engine_close(here), ace_engine_close(both), ace_engine_close(there);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void expect_failure(scene *s, lm_fault fault, ace_engine_options options, ace_status status, const char *says) {
  ace_error err = {0};
  s->site.fault = fault;
  if (!options.lm_server) options.lm_server = s->site.url;
  ace_engine *e = open_engine(s->words, options);
  assert_null(plan(e, s, NULL, &err));
  if (err.status != status || !strstr(err.message, says))
    fail_msg("%d: \"%s\" does not say \"%s\"", err.status, err.message, says);
  assert_null(strstr(err.message, "hush"));
  ace_engine_close(e);
}

static void test_trouble(void **state) {
  scene *s = *state;
  const ace_engine_options usual_options = {0};
  expect_failure(s, LM_WELL, (ace_engine_options){.lm_server = "http://127.0.0.1:1"}, ACE_EIO, "nothing answers there");
  expect_failure(s, LM_WELL, (ace_engine_options){.lm_server_model = "gpt"}, ACE_ENOTFOUND, "no model gpt");
  expect_failure(s, LM_LOCKED, usual_options, ACE_EINVAL, "wants a key");
  expect_failure(s, LM_LOCKED, (ace_engine_options){.lm_server_key = "hush"}, ACE_EINVAL, "is the key right");
  expect_failure(s, LM_GARBAGE, usual_options, ACE_EFORMAT, "not valid JSON");
  expect_failure(s, LM_OTHER, usual_options, ACE_EFORMAT, "token_ids");
  expect_failure(s, LM_HUGE, usual_options, ACE_EFORMAT, "sends more than");
  expect_failure(s, LM_WILD, usual_options, ACE_EFORMAT, "allowed_token_ids");
  expect_failure(s, LM_DOWN, usual_options, ACE_EIO, "HTTP 500");
  expect_failure(s, LM_CUT, usual_options, ACE_EIO, "broke off");
}

static void test_one_broken_answer_is_asked_for_again(void **state) {
  scene *s = *state;
  s->site.fault = LM_CUT_ONCE;
  ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url, .lm_server_key = "right"});
  free(must_plan(e, s, NULL));
  ace_engine_close(e);
}

static void test_the_key_opens(void **state) {
  scene *s = *state;
  s->site.fault = LM_LOCKED;
  ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url, .lm_server_key = "right"});
  free(must_plan(e, s, NULL));
  ace_engine_close(e);
}

/* With --lm-fallback the model here makes what it would have made alone. */
static void test_the_model_here_takes_over(void **state) {
  scene *s = *state;
  ace_engine *here = open_engine(s->songs.models, (ace_engine_options){0});
  char *wanted = must_plan(here, s, NULL);
  static const lm_fault faults[] = {LM_DOWN_LATER, LM_GARBAGE};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    s->site.fault = faults[i];
    s->site.completions = 0;
    ace_engine *e = open_engine(s->songs.models, (ace_engine_options){.lm_server = s->site.url, .lm_fallback = true});
    char *got = must_plan(e, s, NULL);
    assert_string_equal(got, wanted);
    assert_non_null(strstr(s->log, "takes over"));
    free(got);
    ace_engine_close(e);
  }
  ace_engine *e =
      open_engine(s->songs.models, (ace_engine_options){.lm_server = "http://127.0.0.1:1", .lm_fallback = true});
  char *got = must_plan(e, s, NULL);
  assert_string_equal(got, wanted);
  free(got), free(wanted);
  ace_engine_close(e), ace_engine_close(here);
}

/* The strings of a JSON list, or of lists of two with a blank between, as an array of a GGUF file. */
static void put_strings(bytes *b, const char *key, const json_t *list) {
  put_text(b, key);
  put_uint(b, 9, 4), put_uint(b, 8, 4), put_uint(b, json_array_size(list), 8);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *one = json_array_get(list, i);
    char pair[256];
    snprintf(pair, sizeof pair, "%s %s", json_string_value(json_array_get(one, 0)),
             json_string_value(json_array_get(one, 1)));
    put_text(b, json_is_array(one) ? pair : json_string_value(one));
  }
}

/* The language model of a folder, tokenizer included, as one file. */
static void put_language_gguf(const char *folder, temp *t, const char *name) {
  char path[700];
  ace_error err = {0};
  snprintf(path, sizeof path, "%s/tokenizer.json", folder);
  ckpt *k = ckpt_open(folder, &err);
  json_t *tokenizer = json_load_file(path, 0, NULL), *model = json_object_get(tokenizer, "model");
  if (!k || !model) fail_msg("%s", err.message);
  json_t *tokens = json_array(), *id, *vocabulary = json_object_get(model, "vocab");
  const char *token;
  for (size_t i = 0; i < json_object_size(vocabulary); i++) json_array_append_new(tokens, json_null());
  json_object_foreach(vocabulary, token, id) {
    json_array_set_new(tokens, (size_t)json_integer_value(id), json_string(token));
  }
  char *config = json_dumps(ckpt_config(k), 0);
  bytes b = {0}, data = {0};
  put_head(&b, (uint64_t)ckpt_tensor_count(k), 4);
  put_pair(&b, "general.architecture", "acestep-lm");
  put_pair(&b, "acestep.config_json", config);
  put_strings(&b, "tokenizer.ggml.tokens", tokens);
  put_strings(&b, "tokenizer.ggml.merges", json_object_get(model, "merges"));
  for (int i = 0; i < ckpt_tensor_count(k); i++) {
    const st_tensor *tensor = ckpt_at(k, i);
    assert_int_equal(tensor->dtype, ST_BF16);
    put_tensor(&b, tensor->name, tensor->rank, tensor->dim, 30 /* BF16 */, data.n);
    put(&data, tensor->data, tensor->size);
    pad(&data, 32);
  }
  pad(&b, 32);
  put(&b, data.at, data.n);
  temp_put(t, name, b.at, b.n);
  free(b.at), free(data.at), free(config);
  json_decref(tokens), json_decref(tokenizer);
  ckpt_close(k);
}

/* The same when that model is a GGUF file; and it does what a server cannot. */
static void test_a_file_takes_over(void **state) {
  scene *s = *state;
  ace_error err = {0};
  temp t = temp_open();
  char command[2048], folder[600];
  snprintf(command, sizeof command, "cp -r '%s'/* '%s' && rm -r '%s/acestep-5Hz-lm-0.6B'", s->songs.models, t.folder,
           t.folder);
  assert_int_equal(system(command), 0);
  snprintf(folder, sizeof folder, "%s/acestep-5Hz-lm-0.6B", s->songs.models);
  put_language_gguf(folder, &t, "acestep-5Hz-lm-0.6B-BF16.gguf");
  ace_engine *here = open_engine(t.folder, (ace_engine_options){0});
  char *wanted = must_plan(here, s, NULL);
  ace_engine *e = open_engine(t.folder, (ace_engine_options){.lm_server = "http://127.0.0.1:1", .lm_fallback = true});
  char *got = must_plan(e, s, NULL);
  assert_string_equal(got, wanted);
  assert_non_null(strstr(s->log, "takes over"));
  free(got), free(wanted);
  ace_engine_close(e), ace_engine_close(here);
  e = open_engine(t.folder, (ace_engine_options){.lm_server = s->site.url});
  got = plan(e, s, PAIRS("lm_cfg_scale", "2"), &err);
  if (!got) fail_msg("%s", err.message);
  free(got);
  ace_engine_close(e);
  snprintf(command, sizeof command, "rm -r '%s'/*", t.folder);
  assert_int_equal(system(command), 0);
  temp_close(&t);
}

static void test_a_slow_server_can_be_left(void **state) {
  scene *s = *state;
  ace_error err = {0};
  s->site.fault = LM_SLOW;
  s->stop = true;
  ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  assert_null(plan(e, s, NULL, &err));
  assert_int_equal(err.status, ACE_ECANCELED);
  for (int i = 0; i < 300 && s->site.gone == 0; i++) stand_wait(10);
  assert_true(s->site.gone > 0); /* the server is told by the closed connection */
  ace_engine_close(e);
}

/* A song never comes out shorter than it was asked for: a server with too few positions for all its codes is refused,
 * before it writes any. */
static void test_too_few_positions_for_the_song(void **state) {
  enum { SONG = 50, ENOUGH = 900, NONE = 40 };
  scene *s = *state;
  const char *const *given = PAIRS("bpm", "93", "keyscale", "C major", "timesignature", "4", "vocal_language", "en");
  ace_error err = {0};
  char *text = NULL;
  int refused = 0;
  for (int most = NONE, fits = ENOUGH; most + 1 < fits;) { /* where it begins to fit */
    s->site.positions = most + (fits - most) / 2;
    ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
    text = plan(e, s, given, &err);
    ace_engine_close(e);
    if (text) {
      json_t *json = json_loads(text, 0, NULL);
      assert_int_equal(json_array_size(json_object_get(json, "codes")), SONG);
      json_decref(json);
      fits = s->site.positions;
    } else {
      assert_int_equal(err.status, ACE_EINVAL);
      assert_non_null(strstr(err.message, "--max-model-len"));
      refused += strstr(err.message, "50 codes behind a prompt") != NULL;
      most = s->site.positions;
    }
    free(text);
  }
  assert_true(refused > 0);
}

/* A server with too few positions ends a text; it does not fail. */
static void test_short_contexts(void **state) {
  scene *s = *state;
  ace_error err = {0};
  s->site.positions = 40;
  ace_engine *e = open_engine(s->words, (ace_engine_options){.lm_server = s->site.url});
  assert_null(plan(e, s, NULL, &err));
  assert_non_null(strstr(err.message, "--max-model-len"));
  ace_engine_close(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_the_server_gives_what_the_model_gives, start),
      cmocka_unit_test_setup(test_samples_are_the_same, start),
      cmocka_unit_test_setup(test_seeds_and_given_fields, start),
      cmocka_unit_test_setup(test_guidance, start),
      cmocka_unit_test_setup(test_trouble, start),
      cmocka_unit_test_setup(test_one_broken_answer_is_asked_for_again, start),
      cmocka_unit_test_setup(test_the_key_opens, start),
      cmocka_unit_test_setup(test_the_model_here_takes_over, start),
      cmocka_unit_test_setup(test_a_file_takes_over, start),
      cmocka_unit_test_setup(test_a_slow_server_can_be_left, start),
      cmocka_unit_test_setup(test_too_few_positions_for_the_song, start),
      cmocka_unit_test_setup(test_short_contexts, start),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
