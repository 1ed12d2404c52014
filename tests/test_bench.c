/* Measuring: random models have the published sizes, the same numbers every time and finite activations; what
 * `acestep bench` finds has the keys that other programs read. */
#include <math.h>

#include "base/load.h"
#include "engine/bench.h"
#include "engine/random.h"
#include "engine/weights.h"
#include "render/stages.h"
#include "sanitized.h"
#include "temp.h"
#include "tensor/cpu/isa.h"

/* ---- random models ----------------------------------------------------------------------------------------------- */

static int64_t parameters_of(const char *name) {
  char text[PUBLISHED_SIZE];
  ace_error err;
  assert_true(published_config(name, text));
  json_t *json = json_parse(text, strlen(text), name, &err);
  assert_non_null(json);
  weight_list l = {0};
  ace_status status;
  if (published_kind(name) == ENGINE_DIFFUSION) {
    dit_config cfg;
    status = cfg_read_dit(json, name, &cfg, &err);
    if (status == ACE_OK) status = weights_of_dit(&l, &cfg, &err);
  } else if (published_kind(name) == ENGINE_AUTOENCODER) {
    vae_config cfg;
    status = cfg_read_vae(json, name, &cfg, &err);
    if (status == ACE_OK) status = weights_of_vae(&l, &cfg, &err);
  } else {
    qwen3_config cfg;
    status = cfg_read_qwen3(json, name, &cfg, &err);
    if (status == ACE_OK) status = weights_of_qwen3(&l, &cfg, false, &err);
  }
  if (status != ACE_OK) fail_msg("%s", err.message);
  int64_t n = 0;
  for (int i = 0; i < l.n; i++) n += weight_count(&l.at[i]);
  weight_list_free(&l);
  json_decref(json);
  return n;
}

/* Speed and memory measured on other sizes than the published ones would mean nothing. */
static void test_published_sizes(void **state) {
  assert_int_equal(parameters_of("acestep-v15-turbo"), 2393872518);
  assert_int_equal(parameters_of("acestep-v15-base"), 2393872518);
  assert_int_equal(parameters_of("acestep-v15-xl-turbo"), 4987310726);
  assert_int_equal(parameters_of("vae"), 168695426);
  assert_int_equal(parameters_of("Qwen3-Embedding-0.6B"), 595776512);
  assert_int_equal(parameters_of("acestep-5Hz-lm-0.6B"), 662884352);
  assert_int_equal(parameters_of("acestep-5Hz-lm-1.7B"), 1854243840);
  assert_int_equal(parameters_of("acestep-5Hz-lm-4B"), 4189554176);
}

static ckpt *tiny_checkpoint(const char *name, int threads, uint64_t seed) {
  ace_error err;
  pool *p = pool_new(threads, &err);
  assert_non_null(p);
  random_models r = {.threads = p, .seed = seed, .tiny = true};
  ckpt *k = random_checkpoint(&r, name, &err);
  if (!k) fail_msg("%s", err.message);
  pool_free(p);
  return k;
}

static void test_same_seed_same_weights(void **state) {
  ckpt *one = tiny_checkpoint("vae", 1, 7), *two = tiny_checkpoint("vae", 3, 7), *other = tiny_checkpoint("vae", 1, 8);
  char hash[3][65];
  assert_int_equal(ckpt_hash(one, hash[0], NULL, NULL), ACE_OK);
  assert_int_equal(ckpt_hash(two, hash[1], NULL, NULL), ACE_OK);
  assert_int_equal(ckpt_hash(other, hash[2], NULL, NULL), ACE_OK);
  assert_string_equal(hash[0], hash[1]);
  assert_string_not_equal(hash[0], hash[2]);
  ckpt_close(one), ckpt_close(two), ckpt_close(other);
}

/* The bulk of the numbers is normal: kernels are measured, and accuracy judged, on such. */
static void test_numbers_are_normal(void **state) {
  ckpt *k = tiny_checkpoint("acestep-v15-turbo", 1, 1);
  const st_tensor *t = ckpt_find(k, "decoder.time_embed.time_proj.weight");
  assert_non_null(t);
  double sum = 0, squares = 0, fourth = 0, scale = sqrt((double)t->dim[1]) / 0.5; /* made with this gain */
  for (int64_t i = 0; i < t->count; i++) {
    uint32_t bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    double z = x * scale;
    sum += z, squares += z * z, fourth += z * z * z * z;
  }
  double n = (double)t->count;
  assert_true(fabs(sum / n) < 5 / sqrt(n));
  assert_true(fabs(squares / n - 1) < 0.05);
  assert_true(fabs(fourth / n - 3) < 0.3);
  ckpt_close(k);
}

static void test_unknown_names_are_refused(void **state) {
  ace_error err = {0};
  ace_engine_options options = {.threads = 1};
  assert_null(engine_open_random("acestep-v15-huge", 1, &options, &err));
  expect_error(&err, ACE_EINVAL, "acestep-v15-huge", "acestep-v15-xl-turbo");
  assert_null(engine_open_random("acestep-5Hz-lm-4B", 1, &options, &err));
  expect_error(&err, ACE_EINVAL, "acestep-5Hz-lm-4B", "not a diffusion model");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* From here on the high-water mark counts anew; false where the system has no such thing. */
static bool reset_peak(void) {
  FILE *f = fopen("/proc/self/clear_refs", "w");
  bool ok = f && fputs("5", f) >= 0;
  return f && fclose(f) == 0 && ok;
}

/* A process that was let in does not take more than it said: over lengths, batches and ways of making a song. */
static void test_plan_holds(void **state) {
  static const char *const songs[][6] = {
      {"duration", "10"},
      {"duration", "15", "batch_size", "3"},
      {"duration", "10", "retake_variance", "0.2", "retake_seed", "3"},
      {"duration", "10", "batch_size", "2", "audio_codes", "<|audio_code_1|><|audio_code_7|>"},
  };
  ace_error err;
  ace_engine_options options = {.threads = 2};
  ace_engine *e = engine_open_random("tiny", 1, &options, &err);
  if (!e) fail_msg("%s", err.message);
  for (size_t i = 0; i < sizeof songs / sizeof *songs; i++) {
    ace_request *r = ace_request_new(ACE_PROFILE_CLI);
    assert_int_equal(ace_request_set(r, "caption", "a test", &err), ACE_OK);
    assert_int_equal(ace_request_set(r, "inference_steps", "1", &err), ACE_OK);
    for (int k = 0; k < 6 && songs[i][k]; k += 2)
      if (ace_request_set(r, songs[i][k], songs[i][k + 1], &err) != ACE_OK) fail_msg("%s", err.message);
    engine_memory plan;
    if (engine_memory_of(e, r, &plan, &err) != ACE_OK) fail_msg("%s", err.message);
    bool counts = reset_peak();
    ace_result *result = engine_generate(e, r, true, NULL, NULL, &err);
    if (!result) fail_msg("%s", err.message);
    size_t peak = load_peak_memory();
    if (counts && !SANITIZED && peak > plan.total)
      fail_msg("song %zu: %zu bytes planned, %zu taken", i, plan.total, peak);
    ace_result_free(result);
    ace_request_free(r);
  }
  ace_engine_close(e);
}

/* Working memory of the language model in the plan of a request. */
static size_t think_memory(ace_engine *e, const char *const *pairs) {
  ace_error err;
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  assert_int_equal(ace_request_set(r, "caption", "a test", &err), ACE_OK);
  assert_int_equal(ace_request_set(r, "thinking", "true", &err), ACE_OK);
  for (; *pairs; pairs += 2)
    if (ace_request_set(r, pairs[0], pairs[1], &err) != ACE_OK) fail_msg("%s", err.message);
  engine_memory plan;
  if (engine_memory_of(e, r, &plan, &err) != ACE_OK) fail_msg("%s", err.message);
  ace_request_free(r);
  return plan.think_memory;
}

/* The plan counts what the language model will be asked: codes where it makes some, as many songs at once as it may. */
static void test_thinking_is_planned_as_it_runs(void **state) {
#define THINK(...) think_memory(e, (const char *const[]){__VA_ARGS__, NULL})
  ace_error err;
  ace_engine_options options = {.threads = 2};
  ace_engine *e = engine_open_random("tiny", 1, &options, &err);
  if (!e) fail_msg("%s", err.message);
  static const char codes[] = "<|audio_code_1|><|audio_code_7|>";
  size_t words = THINK("duration", "10", "audio_codes", codes); /* there are codes: metadata alone */
  assert_true(words > 0);
  assert_int_equal(THINK("duration", "600", "batch_size", "4", "audio_codes", codes), words);
  size_t one = THINK("duration", "600"), four = THINK("duration", "600", "batch_size", "4", "allow_lm_batch", "true");
  assert_true(one > words && four > one);
  assert_int_equal(THINK("duration", "600", "batch_size", "4"), one);
  assert_int_equal(THINK("duration", "600", "batch_size", "4", "allow_lm_batch", "true", "lm_batch_chunk_size", "1"),
                   one);
  assert_true(THINK("duration", "600", "lm_cfg_scale", "1") < one);
  assert_int_equal(THINK("duration", "10", "task_type", "cover", "audio_codes", codes), 0); /* nothing to plan */
  assert_int_equal(THINK("duration", "10", "thinking", "false"), 0);
  ace_engine_close(e);
#undef THINK
}

static void refuse(ace_engine *e, const char *duration, const char *batch, const char *remedy) {
  ace_error err = {0};
  engine_memory plan;
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  ace_request_set(r, "caption", "a test", NULL);
  ace_request_set(r, "duration", duration, NULL);
  ace_request_set(r, "batch_size", batch, NULL);
  assert_int_not_equal(engine_memory_of(e, r, &plan, &err), ACE_OK);
  expect_error(&err, ACE_ENOMEM, "MiB are allowed", remedy);
  ace_request_free(r);
}

/* Who asks for too much is told what would fit, not only that it does not. */
static void test_refusals_say_what_fits(void **state) {
  ace_error err;
  ace_engine_options options = {.threads = 1};
  ace_engine *e = engine_open_random("tiny", 1, &options, &err);
  if (!e) fail_msg("%s", err.message);
  e->memory = load_own_memory() + ((size_t)200 << 20);
  refuse(e, "400", "8", "batch_size 1 would fit");
  refuse(e, "600", "1", " s would fit");
  e->memory = 1 << 20;
  refuse(e, "30", "1", "10 s need");
  ace_engine_close(e);
}

/* ---- bench ------------------------------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_number(value)) fail_msg("no number \"%s\"", key);
  return json_number_value(value);
}

static json_t *measure(bench_options o) {
  ace_error err;
  json_t *found = bench_run(&o, NULL, &err);
  if (!found) fail_msg("%s", err.message);
  return found;
}

static void expect_machine(const json_t *found) {
  const json_t *ceilings = json_object_get(found, "ceilings"), *machine = json_object_get(found, "machine");
  assert_true(number(ceilings, "multiply_add") > 0 && number(ceilings, "read") > 0);
  const json_t *tiles = json_object_get(ceilings, "tiles"), *isa = json_object_get(machine, "isa");
  assert_true(json_is_string(isa) && json_is_boolean(json_object_get(machine, "calm")));
  if (tens_isa_has_tiles(json_string_value(isa))) assert_true(json_real_value(tiles) > 0);
  else assert_true(json_is_null(tiles));
  assert_true(number(machine, "threads") >= 1);
}

static void test_stages_have_their_keys(void **state) {
  static const song_stage stages[] = {SONG_TEXT_ENCODER, SONG_CONDITION_ENCODER, SONG_DIT_STEP, SONG_LINEAR};
  bench_options o = {.random = "tiny", .duration = 10, .batch = 2, .repeat = 2, .threads = 1};
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) o.stages |= 1u << stages[i];
  json_t *found = measure(o);
  expect_machine(found);
  assert_int_equal(json_object_size(json_object_get(found, "stages")), 4);
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
    const json_t *stage = json_object_get(json_object_get(found, "stages"), song_stage_name(stages[i]));
    double seconds = number(stage, "seconds"), flops = number(stage, "flops");
    assert_true(seconds > 0 && flops > 0 && number(stage, "fraction_of_peak") > 0);
  }
  json_decref(found);
  assert_string_equal(song_stage_name(SONG_VAE_ENCODE), "vae_encode");
  assert_string_equal(song_stage_name(SONG_VAE_DECODE), "vae_decode");
  assert_string_equal(song_stage_name(SONG_DIT_STEP), "dit_step");
}

/* A step with an adapter stands beside one without, and the adapter fits the model. */
static void test_adapters_have_their_keys(void **state) {
  json_t *found = measure((bench_options){.random = "tiny",
                                          .duration = 10,
                                          .batch = 1,
                                          .repeat = 1,
                                          .threads = 1,
                                          .lora_rank = 3,
                                          .stages = 1u << SONG_DIT_STEP});
  const json_t *stages = json_object_get(found, "stages");
  assert_true(number(json_object_get(stages, "dit_step"), "seconds") > 0);
  assert_true(number(json_object_get(stages, "dit_step_plain"), "seconds") > 0);
  assert_true(number(json_object_get(stages, "lora_switch"), "seconds") > 0);
  json_decref(found);
}

/* A step of training is measured on the task that trains: it fits its plan, and layers run twice where memory is short. */
static void test_train_step_has_its_keys(void **state) {
  bench_options o = {.random = "tiny", .duration = 10, .repeat = 1, .threads = 1, .lora_rank = 4, .train_step = true};
  json_t *found = measure(o);
  expect_machine(found);
  const json_t *stages = json_object_get(found, "stages"), *step = json_object_get(stages, "train_step");
  assert_int_equal(json_object_size(stages), 1);
  double seconds = number(step, "seconds"), forward = number(step, "forward_seconds"), flops = number(step, "flops");
  assert_true(seconds > 0 && forward > 0 && flops > 0 && number(step, "fraction_of_peak") > 0);
  assert_true(fabs(number(step, "ratio") - seconds / forward) < 1e-6);
  assert_true(json_is_false(json_object_get(step, "recompute")));
  assert_int_equal((int)number(json_object_get(found, "job"), "lora_rank"), 4);
  const json_t *memory = json_object_get(found, "memory");
  double planned = number(memory, "planned_bytes");
  assert_true(planned > 0);
  json_decref(found);
  if (!SANITIZED) { /* whose own memory no limit should know */
    o.memory = (uint64_t)planned - (4 << 20);
    found = measure(o);
    step = json_object_get(json_object_get(found, "stages"), "train_step");
    assert_true(json_is_true(json_object_get(step, "recompute")));
    assert_true(number(step, "flops") > 1.2 * flops); /* every layer is run forward once more */
    json_decref(found);
  }
  o.memory = 1 << 20;
  ace_error err = {0};
  assert_null(bench_run(&o, NULL, &err));
  expect_error(&err, ACE_ENOMEM, "train", "MB are free");
}

static void test_language_model_has_its_keys(void **state) {
  json_t *found = measure((bench_options){.random = "tiny",
                                          .lm = "acestep-5Hz-lm-0.6B",
                                          .batch = 2,
                                          .guided = true,
                                          .repeat = 1,
                                          .codes = 10,
                                          .threads = 1});
  expect_machine(found);
  const json_t *stages = json_object_get(found, "stages");
  assert_true(number(json_object_get(stages, "lm_prefill"), "seconds") > 0);
  assert_true(number(json_object_get(stages, "lm_prefill"), "tokens") >= 1000);
  assert_true(number(json_object_get(stages, "lm_decode"), "tokens_per_second") > 0);
  assert_true(number(json_object_get(stages, "lm_decode"), "fraction_of_bandwidth") > 0);
  json_decref(found);
}

/* One pass through everything: activations stay finite, or the song is refused. */
static void test_memory_has_its_keys(void **state) {
  json_t *found = measure((bench_options){.random = "tiny", .duration = 10, .batch = 1, .threads = 1});
  const json_t *memory = json_object_get(found, "memory");
  assert_true(number(memory, "planned_bytes") > 0);
  if (load_peak_memory()) assert_true(number(memory, "peak_bytes") > 0);
  json_decref(found);
}

static bool at_once(void *user) {
  return true;
}

static void test_cancelled(void **state) {
  ace_error err = {0};
  ace_callbacks notify = {.cancelled = at_once};
  bench_options o = {.random = "tiny", .duration = 10, .batch = 1, .repeat = 1, .threads = 1};
  assert_null(bench_run(&o, &notify, &err));
  assert_int_equal(err.status, ACE_ECANCELED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_published_sizes),
      cmocka_unit_test(test_same_seed_same_weights),
      cmocka_unit_test(test_numbers_are_normal),
      cmocka_unit_test(test_unknown_names_are_refused),
      cmocka_unit_test(test_plan_holds),
      cmocka_unit_test(test_thinking_is_planned_as_it_runs),
      cmocka_unit_test(test_refusals_say_what_fits),
      cmocka_unit_test(test_stages_have_their_keys),
      cmocka_unit_test(test_adapters_have_their_keys),
      cmocka_unit_test(test_train_step_has_its_keys),
      cmocka_unit_test(test_language_model_has_its_keys),
      cmocka_unit_test(test_memory_has_its_keys),
      cmocka_unit_test(test_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
