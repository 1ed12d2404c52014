/* The table of training settings: the guide's defaults on the page and the command line, the published ones over REST,
 * what other trainers call them, and that nothing out of range gets through to a run of many hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/settings.h"

static train_settings make(train_surface surface, int adapter) {
  train_settings s;
  assert_int_equal(train_settings_init(&s, surface, adapter, NULL), ACE_OK);
  return s;
}

static void test_guide(void **state) {
  train_settings s = make(TRAIN_SURFACE_GUIDE, TRAIN_LORA);
  assert_int_equal(s.rank, 64);
  assert_true(s.alpha == 128 && s.dropout == 0.1 && s.learning_rate == 1e-4 && s.shift == 3.0);
  assert_int_equal(s.epochs, 500);
  assert_int_equal(s.batch_size, 1);
  assert_int_equal(s.gradient_accumulation, 1);
  assert_int_equal(s.save_every, 200);
  assert_int_equal(s.seed, 42);
  assert_string_equal(s.output_dir, "./lora_output");
  assert_int_equal(train_settings_check(&s, NULL), ACE_OK);
  train_settings_free(&s);
}

static void test_rest_and_lokr(void **state) {
  train_settings s = make(TRAIN_SURFACE_REST, TRAIN_LORA);
  assert_int_equal(s.epochs, 10);
  assert_int_equal(s.gradient_accumulation, 4);
  assert_int_equal(s.save_every, 5);
  train_settings_free(&s);
  s = make(TRAIN_SURFACE_GUIDE, TRAIN_LOKR);
  assert_int_equal(s.adapter, TRAIN_LOKR);
  assert_true(s.learning_rate == 1e-3);
  assert_string_equal(s.output_dir, "./lokr_output");
  train_settings_free(&s);
}

static void refused(train_settings *s, const char *name, const char *value, const char *says) {
  ace_error err = {0};
  assert_int_equal(train_settings_set(s, name, value, &err), ACE_EINVAL);
  if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

static void test_refusals(void **state) {
  train_settings s = make(TRAIN_SURFACE_GUIDE, TRAIN_LORA);
  refused(&s, "rank", "0", "1 to 256");
  refused(&s, "rank", "6.5", "whole");
  refused(&s, "rank", "", "rank");
  refused(&s, "learning_rate", "nan", "learning_rate");
  refused(&s, "learning_rate", "1e-4x", "1e-4x");
  refused(&s, "scheduler", "sine", "cosine_restarts");
  refused(&s, "bias", "all", "none");
  refused(&s, "cfg_ratio", "-0.5", "automatic");
  refused(&s, "lokr_factor", "0", "automatic");
  refused(&s, "use_rslora", "maybe", "true nor false");
  refused(&s, "rnak", "3", "rnak");
  assert_int_equal(s.rank, 64);
  assert_int_equal(train_settings_set(&s, "target_modules", "q_proj,banana", NULL), ACE_OK);
  assert_int_equal(train_settings_check(&s, NULL), ACE_EINVAL);
  train_settings_free(&s);
}

static void test_names_of_others(void **state) {
  train_settings s = make(TRAIN_SURFACE_GUIDE, TRAIN_LORA);
  assert_int_equal(train_settings_set(&s, "lr", "3e-4", NULL), ACE_OK);
  assert_int_equal(train_settings_set(&s, "lora-rank", "8", NULL), ACE_OK);
  assert_int_equal(train_settings_set(&s, "save-every-n-epochs", "7", NULL), ACE_OK);
  assert_true(s.learning_rate == 3e-4 && s.rank == 8 && s.save_every == 7);
  for (const char *const *a = train_setting_aliases; *a; a++) assert_non_null(train_setting_find(*a));
  train_settings_free(&s);
}

/* What run_config.json keeps reads back as the same settings. */
static void test_json(void **state) {
  train_settings s = make(TRAIN_SURFACE_GUIDE, TRAIN_LOKR), again = make(TRAIN_SURFACE_REST, TRAIN_LORA);
  assert_int_equal(train_settings_set(&s, "seed", "7", NULL), ACE_OK);
  assert_int_equal(train_settings_set(&s, "sample_caption", "süß", NULL), ACE_OK);
  json_t *first = train_settings_json(&s);
  assert_int_equal(train_settings_set_json(&again, first, NULL), ACE_OK);
  json_t *second = train_settings_json(&again);
  assert_true(json_equal(first, second));
  json_decref(second);
  json_object_set_new(first, "epohcs", json_integer(3));
  assert_int_equal(train_settings_set_json(&again, first, NULL), ACE_EINVAL);
  json_decref(first);
  first = json_pack("{s:s, s:n, s:b}", "tensor_dir", "x", "rank", "length_buckets", 1);
  assert_int_equal(train_settings_set_json(&again, first, NULL), ACE_OK);
  assert_string_equal(again.dataset_dir, "x");
  json_decref(first);
  first = json_pack("{s:[]}", "rank");
  assert_int_equal(train_settings_set_json(&again, first, NULL), ACE_EINVAL);
  json_decref(first);
  json_t *schema = train_settings_schema(TRAIN_SURFACE_REST, TRAIN_LORA);
  int n;
  train_settings_table(&n);
  json_t *whole = train_settings_schema(TRAIN_SURFACE_GUIDE, TRAIN_FULL);
  assert_int_equal(json_array_size(whole), n);
  assert_int_equal(json_array_size(schema), n - 6); /* without those of a full training */
  json_decref(schema), json_decref(whole);
  train_settings_free(&s);
  train_settings_free(&again);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_guide), cmocka_unit_test(test_rest_and_lokr),
                                     cmocka_unit_test(test_refusals), cmocka_unit_test(test_names_of_others),
                                     cmocka_unit_test(test_json)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
