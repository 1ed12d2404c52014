/* Adapters through the library and the command line: songs are sung with them, tell with which, and can be made again;
 * without them the engine is what it was. */
#include "engine_adapters.h"

#include "cli/cli.h"
#include "cli/lora.h"
#include "engine/engine.h"

static const char *const usual[] = {"caption", "a test",          "duration", "10", "inference_steps", "2", "seed",
                                    "5",       "use_random_seed", "false",    NULL};

static const recipe lora = {.what = "LoRA", .alpha = 6}, lokr = {.what = "LoKr", .lokr = true, .alpha = 1};

static void need(bool ok, const ace_error *err) {
  if (!ok) fail_msg("%s", err->message);
}

static const char *load(ace_engine *e, const char *path, double scale) {
  ace_error err;
  const char *name = ace_adapter_load(e, path, NULL, scale, NULL, &err);
  need(name, &err);
  return name;
}

/* A song as far as its latents: what adapters change. */
static ace_result *sing(ace_engine *e, const char *const *pairs) {
  ace_error err;
  ace_request *r = songs_request(usual, pairs);
  ace_result *result = engine_generate(e, r, false, NULL, NULL, &err);
  need(result, &err);
  ace_request_free(r);
  return result;
}

static bool same_song(const ace_engine *e, const ace_result *a, int i, const ace_result *b, int j) {
  const song_latents *x = &a->latents[i], *y = &b->latents[j];
  size_t bytes = (size_t)(x->frames * e->dit->cfg.latent_channels) * sizeof(float);
  return x->frames == y->frames && memcmp(x->x, y->x, bytes) == 0;
}

static void expect_song(ace_engine *e, const ace_result *want, bool same, const char *when) {
  ace_result *r = sing(e, NULL);
  if (same_song(e, r, 0, want, 0) != same) fail_msg("%s", when);
  ace_result_free(r);
}

static void songs_change_and_come_back(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 2, 0);
  ace_error err;
  temp t = temp_open();
  ace_result *plain = sing(e, NULL);
  const char *name = load(e, write_adapter(e, &t, &lora, 1, 0, NULL), 0.5);
  ace_result *with = sing(e, NULL);
  assert_false(same_song(e, plain, 0, with, 0));
  need(ace_adapter_set_scale(e, name, 0, &err) == ACE_OK, &err);
  expect_song(e, plain, true, "scale 0 is not the model alone");
  need(ace_adapter_set_scale(e, name, 0.5, &err) == ACE_OK, &err);
  expect_song(e, with, true, "the same scale gives another song");
  need(ace_adapter_enable(e, name, false, &err) == ACE_OK, &err);
  expect_song(e, plain, true, "off is not the model alone");
  need(ace_adapter_enable(e, NULL, true, &err) == ACE_OK, &err);
  expect_song(e, with, true, "on again gives another song");
  const char *second = load(e, write_adapter(e, &t, &lokr, 2, 0, NULL), 0.5);
  expect_song(e, with, false, "a second adapter is not heard");
  need(ace_adapter_unload(e, second, &err) == ACE_OK, &err);
  expect_song(e, with, true, "unloading the second changed the first");
  need(ace_adapter_unload(e, NULL, &err) == ACE_OK, &err);
  expect_song(e, plain, true, "unloaded is not the model alone");
  ace_result_free(plain), ace_result_free(with);
  ace_engine_close(e);
  temp_close(&t);
}

/* An item of a batch is the item alone, with an adapter as without. */
static void a_batch_shares_its_adapters(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 2, 0);
  temp t = temp_open();
  load(e, write_adapter(e, &t, &lokr, 3, 0, NULL), 1);
  load(e, write_adapter(e, &t, &lora, 4, 0, NULL), 0.3);
  ace_result *two = sing(e, PAIRS("batch_size", "2", "seed", "5,6"));
  ace_result *second = sing(e, PAIRS("seed", "6"));
  expect_song(e, two, true, "the first item");
  assert_true(same_song(e, two, 1, second, 0));
  ace_result_free(two), ace_result_free(second);
  ace_engine_close(e);
  temp_close(&t);
}

/* Two steps of sampling, of all that is between words and latents. */
static void a_song_equals_that_of_merged_weights(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 2, 0);
  temp t = temp_open();
  static float *sums[ADAPTER_MOST_LAYERS];
  linear *linears[ADAPTER_MOST_LAYERS];
  tens before[ADAPTER_MOST_LAYERS];
  int n;
  load(e, write_adapter(e, &t, &lora, 5, 0.2, sums), 0.2);
  ace_result *beside = sing(e, NULL);
  assert_int_equal(ace_adapter_unload(e, NULL, NULL), ACE_OK);
  free(adapter_layers_of(e->dit, &n, linears));
  for (int i = 0; i < n; i++) {
    before[i] = linears[i]->w;
    if (sums[i]) linears[i]->w.dtype = TENS_F32, linears[i]->w.data = sums[i];
  }
  ace_result *merged = sing(e, NULL);
  const song_latents *a = &beside->latents[0], *b = &merged->latents[0];
  assert_int_equal(a->frames, b->frames);
  double worst = 0, most = 0;
  for (int64_t i = 0; i < a->frames * e->dit->cfg.latent_channels; i++) {
    worst = fmax(worst, fabs((double)a->x[i] - b->x[i]));
    most = fmax(most, fabs((double)b->x[i]));
  }
  if (!(worst <= 1e-3 * most)) fail_msg("%g of %g", worst, most);
  for (int i = 0; i < n; i++) {
    linears[i]->w = before[i];
    free(sums[i]);
  }
  ace_result_free(beside), ace_result_free(merged);
  ace_engine_close(e);
  temp_close(&t);
}

static void adapters_have_names(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 1, 0);
  temp t = temp_open();
  ace_error err;
  const char *path = write_adapter(e, &t, &lora, 1, 0, NULL);
  assert_string_equal(load(e, path, 1), strrchr(path, '/') + 1);
  const char *second = load(e, path, 1);
  assert_string_equal(second + strlen(second) - 2, "-2");
  assert_string_equal(ace_adapter_load(e, path, "voice", -1, NULL, &err), "voice");
  assert_null(ace_adapter_load(e, path, "voice", 1, NULL, &err));
  expect_error(&err, ACE_EINVAL, "voice", "already in use");
  assert_int_equal(ace_adapter_set_scale(e, "voices", 1, &err), ACE_ENOTFOUND);
  expect_error(&err, ACE_ENOTFOUND, "voices", "voice");
  assert_int_equal(ace_adapter_set_scale(e, "voice", NAN, &err), ACE_EINVAL);
  assert_null(ace_adapter_load(e, path, NULL, 5, NULL, &err));
  expect_error(&err, ACE_EINVAL, "scale 5", "-4..4");
  assert_int_equal(ace_adapter_enable(e, "voice", false, &err), ACE_OK);
  char *text = ace_adapter_list(e);
  json_t *list = json_loads(text, 0, NULL), *last = json_array_get(list, 2);
  assert_int_equal(json_array_size(list), 3);
  assert_string_equal(json_string_value(json_object_get(last, "name")), "voice");
  assert_string_equal(json_string_value(json_object_get(last, "type")), "lora");
  assert_string_equal(json_string_value(json_object_get(last, "path")), path);
  assert_int_equal(json_integer_value(json_object_get(last, "rank")), LORA_RANK);
  assert_true(json_number_value(json_object_get(last, "alpha")) == lora.alpha);
  assert_true(json_number_value(json_object_get(last, "scale")) == -1);
  assert_true(json_is_false(json_object_get(last, "enabled")));
  assert_int_equal(json_array_size(json_object_get(last, "targets")), 8);
  json_decref(list);
  free(text);
  assert_int_equal(ace_adapter_unload(e, second, &err), ACE_OK);
  assert_int_equal(ace_adapter_set_scale(e, "voice", 0.5, &err), ACE_OK); /* names follow their adapters */
  ace_engine_close(e);
  temp_close(&t);
}

/* An adapter that would leave too little of the allowed memory to work with is refused, and nothing of it stays. */
static void adapters_count_as_memory(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 1, (uint64_t)1 << 30);
  temp t = temp_open();
  ace_error err;
  const char *path = write_adapter(e, &t, &lora, 1, 0, NULL);
  load(e, path, 1);
  size_t bytes = adapters_bytes(e->adapters);
  e->memory = 2 * bytes;
  assert_null(ace_adapter_load(e, path, NULL, 1, NULL, &err));
  expect_error(&err, ACE_ENOMEM, "adapter", "MiB");
  assert_int_equal(adapters_count(e->adapters), 1);
  assert_int_equal(adapters_bytes(e->adapters), bytes);
  ace_engine_close(e);
  temp_close(&t);
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static ace_status cli_load(ace_engine *e, const char *const *argv, int argc, const saved *from, bool strict,
                           ace_error *err) {
  args a;
  report r;
  report_open(&r, false, true);
  need(args_parse(&a, &cmd_generate, argc, argv, err) == ACE_OK, err);
  ace_adapter_unload(e, NULL, NULL);
  ace_status status = lora_load(e, &a, from, strict, &r, err);
  args_free(&a);
  return status;
}

static void expect_scales(ace_engine *e, int n, double first, double second) {
  assert_int_equal(e->adapters ? adapters_count(e->adapters) : 0, n);
  if (n > 0) assert_true(adapters_at(e->adapters, 0)->scale == first);
  if (n > 1) assert_true(adapters_at(e->adapters, 1)->scale == second);
}

static void the_command_line_takes_paths_with_scales(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 1, 0);
  temp t = temp_open();
  ace_error err;
  saved none = {0};
  char path[300], scaled[320], odd[320];
  snprintf(path, sizeof path, "%s", write_adapter(e, &t, &lora, 1, 0, NULL));
  snprintf(scaled, sizeof scaled, "--lora=%s:-0.25", path);
  snprintf(odd, sizeof odd, "%s:loud", path);
  need(cli_load(e, (const char *[]){"--lora", path, scaled}, 3, &none, false, &err) == ACE_OK, &err);
  expect_scales(e, 2, 1, -0.25);
  assert_int_equal(cli_load(e, (const char *[]){"--lora", odd}, 2, &none, false, &err), ACE_ENOTFOUND);
  expect_error(&err, ACE_ENOTFOUND, "--lora", ":loud");
  need(cli_load(e, NULL, 0, &none, false, &err) == ACE_OK, &err);
  expect_scales(e, 0, 0, 0);
  ace_engine_close(e);
  temp_close(&t);
}

/* The JSON beside a song brings its adapters back, says when they changed, and what to do when they are gone. */
static void a_song_brings_its_adapters_back(void **state) {
  ace_engine *e = songs_engine(*state, NULL, 1, 0);
  temp t = temp_open();
  ace_error err;
  char path[300];
  snprintf(path, sizeof path, "%s", write_adapter(e, &t, &lora, 1, 0, NULL));
  load(e, path, 0.5);
  ace_adapter_enable(e, load(e, path, 0.7), false, NULL);
  ace_result *song = songs_generate(e, usual, NULL);
  json_t *json = json_loads(ace_result_json(song, 0), 0, NULL);
  saved from = {.result = json_object_get(json, "result")};
  json_t *list = json_object_get(from.result, "adapters");
  assert_int_equal(json_array_size(list), 1); /* the one that was on */
  assert_int_equal(strlen(json_string_value(json_object_get(json_array_get(list, 0), "sha256"))), 64);
  need(cli_load(e, NULL, 0, &from, true, &err) == ACE_OK, &err);
  expect_scales(e, 1, 0.5, 0);
  expect_song(e, song, true, "made again with its adapter, the song is another");
  need(cli_load(e, (const char *[]){"--lora", "none"}, 2, &from, true, &err) == ACE_OK, &err);
  expect_scales(e, 0, 0, 0);
  write_adapter(e, &t, &lora, 2, 0, NULL); /* another one in its place */
  need(cli_load(e, NULL, 0, &from, false, &err) == ACE_OK, &err);
  assert_int_equal(cli_load(e, NULL, 0, &from, true, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "--strict", "sha256");
  unlink(temp_path(&t, "adapter_config.json")), unlink(temp_path(&t, "adapter_model.safetensors"));
  assert_int_equal(cli_load(e, NULL, 0, &from, false, &err), ACE_ENOTFOUND);
  expect_error(&err, ACE_ENOTFOUND, path, "--lora");
  json_decref(json);
  ace_result_free(song);
  ace_engine_close(e);
  temp_close(&t);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(songs_change_and_come_back),
      cmocka_unit_test(a_batch_shares_its_adapters),
      cmocka_unit_test(a_song_equals_that_of_merged_weights),
      cmocka_unit_test(adapters_have_names),
      cmocka_unit_test(adapters_count_as_memory),
      cmocka_unit_test(the_command_line_takes_paths_with_scales),
      cmocka_unit_test(a_song_brings_its_adapters_back),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
