/* Seeds: the same request must make the same song again, and every item must say which seed made it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "request/request.h"

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden/text/codes.json"

/* Entropy that counts: draw k gives the seed 1000 + k. */
typedef struct counter {
  uint64_t draws;
} counter;

static bool count_next(void *user, uint64_t *bits) {
  counter *c = user;
  *bits = (1000 + c->draws++) << 32 | 0xdeadbeef;
  return true;
}

static bool dry(void *user, uint64_t *bits) {
  return false;
}

static void resolve(const char *text, int n, uint32_t out[REQ_BATCH_MAX]) {
  counter c = {0};
  req_entropy entropy = {count_next, &c};
  req_seeds list;
  ace_error err;
  assert_int_equal(req_seeds_parse(text, "seed", &list, &err), ACE_OK);
  assert_int_equal(req_seeds_resolve(&list, false, n, &entropy, out, &err), ACE_OK);
}

static void each_item_gets_its_entry(void **state) {
  uint32_t s[REQ_BATCH_MAX];
  resolve("1, 2 ,3", 3, s);
  assert_true(s[0] == 1 && s[1] == 2 && s[2] == 3);
  resolve("5,-1,,7", 4, s);
  assert_true(s[0] == 5 && s[1] == 1000 && s[2] == 1001 && s[3] == 7);
  resolve("1,2", 3, s);
  assert_true(s[0] == 1 && s[1] == 2 && s[2] == 1000);
  resolve("x,9,1.9", 3, s);
  assert_true(s[0] == 1000 && s[1] == 9 && s[2] == 1);
  resolve("4294967295,0", 2, s);
  assert_true(s[0] == 4294967295u && s[1] == 0);
}

static void one_seed_belongs_to_the_first_item_only(void **state) {
  uint32_t s[REQ_BATCH_MAX];
  resolve("7", 3, s);
  assert_true(s[0] == 7 && s[1] == 1000 && s[2] == 1001);
  resolve("7,", 2, s);
  assert_true(s[0] == 7 && s[1] == 1000);
}

static void negative_and_unreadable_entries_draw(void **state) {
  uint32_t s[REQ_BATCH_MAX];
  resolve("-5,6,-7", 3, s);
  assert_true(s[0] == 1000 && s[1] == 6 && s[2] == 1001);
  resolve("nan,0x10,5 6", 3, s);
  assert_true(s[0] == 1000 && s[1] == 1001 && s[2] == 1002);
  resolve("", 1, s);
  assert_int_equal(s[0], 1000);
}

static void a_seed_beyond_32_bits_is_refused_not_replaced(void **state) {
  req_seeds list = {.count = 3};
  ace_error err = {0};
  assert_int_equal(req_seeds_parse("1,4294967296", "seeds", &list, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "seeds: 4294967296 is outside 0..4294967295"));
  assert_int_equal(list.count, 3);
  assert_int_equal(req_seeds_parse("1e999", "seed", &list, &err), ACE_EINVAL);
}

static void entries_beyond_the_largest_batch_are_dropped(void **state) {
  req_seeds list;
  assert_int_equal(req_seeds_parse("1,2,3,4,5,6,7,8,9,10", "seeds", &list, NULL), ACE_OK);
  assert_int_equal(list.count, REQ_BATCH_MAX);
  assert_int_equal(list.value[7], 8);
}

static void random_mode_ignores_the_seeds(void **state) {
  counter c = {0};
  req_entropy entropy = {count_next, &c};
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  uint32_t s[REQ_BATCH_MAX];
  assert_int_equal(ace_request_set(r, "seed", "1,2", NULL), ACE_OK);
  r->batch_size = 2;
  r->use_random_seed = true;
  assert_int_equal(req_resolve_seeds(r, &entropy, s, NULL), ACE_OK);
  assert_true(s[0] == 1000 && s[1] == 1001);
  r->use_random_seed = false;
  assert_int_equal(req_resolve_seeds(r, &entropy, s, NULL), ACE_OK);
  assert_true(s[0] == 1 && s[1] == 2);
  ace_request_free(r);
}

static void a_later_seed_replaces_an_earlier_list(void **state) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  uint32_t s[REQ_BATCH_MAX];
  assert_int_equal(ace_request_set(r, "seeds", "1,2", NULL), ACE_OK);
  assert_int_equal(ace_request_set(r, "seed", "9", NULL), ACE_OK);
  assert_int_equal(req_resolve_seeds(r, NULL, s, NULL), ACE_OK);
  assert_int_equal(s[0], 9);
  const char *both = "{\"seeds\": [4, 5], \"seed\": -1}";
  assert_int_equal(ace_request_set_json(r, both, strlen(both), NULL), ACE_OK);
  assert_int_equal(req_resolve_seeds(r, NULL, s, NULL), ACE_OK);
  assert_int_equal(s[0], 4);
  ace_request_free(r);
}

static void a_pinned_request_repeats_its_item(void **state) {
  ace_request *r = ace_request_new(ACE_PROFILE_PAGE); /* random by default there */
  uint32_t seed = 4294967295u, retake = 12, s[REQ_BATCH_MAX], t[REQ_BATCH_MAX];
  r->batch_size = 1;
  req_pin_seed(r, seed, &retake);
  char *json = ace_request_to_json(r);
  ace_request *again = ace_request_new(ACE_PROFILE_PAGE);
  assert_int_equal(ace_request_set_json(again, json, strlen(json), NULL), ACE_OK);
  assert_int_equal(req_resolve_seeds(again, NULL, s, NULL), ACE_OK);
  assert_int_equal(req_resolve_retake(again, NULL, t, NULL), ACE_OK);
  assert_true(s[0] == seed && t[0] == retake);
  free(json);
  ace_request_free(r);
  ace_request_free(again);
}

static void without_entropy_the_request_fails_instead_of_repeating_a_seed(void **state) {
  req_entropy none = {dry, NULL};
  req_seeds list = {0};
  uint32_t s[REQ_BATCH_MAX];
  ace_error err = {0};
  assert_int_equal(req_seeds_resolve(&list, false, 1, &none, s, &err), ACE_EIO);
  assert_non_null(strstr(err.message, "seeds:"));
  assert_int_equal(req_seeds_resolve(&list, false, REQ_BATCH_MAX + 1, NULL, s, &err), ACE_EINVAL);
}

static void the_systems_draws_differ(void **state) {
  req_seeds list = {0};
  uint32_t s[REQ_BATCH_MAX];
  assert_int_equal(req_seeds_resolve(&list, false, REQ_BATCH_MAX, NULL, s, NULL), ACE_OK);
  bool differ = false;
  for (int i = 1; i < REQ_BATCH_MAX; i++) differ = differ || s[i] != s[0];
  assert_true(differ);
}

/* ---- golden ---- */

static void golden_seeds(void **state) {
  if (!file_exists(GOLDEN)) skip();
  ace_error err = {0};
  json_t *all = json_parse_file(GOLDEN, 1 << 24, &err), *item, *want;
  assert_non_null(all);
  size_t i, k, checked = 0;
  json_array_foreach(json_object_get(all, "seeds"), i, item) {
    const json_t *seed = json_object_get(item, "seed");
    int n = (int)json_integer_value(json_object_get(item, "n"));
    const char *id = json_string_value(json_object_get(item, "id"));
    ace_request *r = ace_request_new(ACE_PROFILE_CLI);
    json_t *body = json_object();
    json_object_set(body, "seed", (json_t *)seed);
    char *text = json_dumps(body, 0);
    if (ace_request_set_json(r, text, strlen(text), &err) != ACE_OK) fail_msg("%s: %s", id, err.message);
    counter c = {0};
    req_entropy entropy = {count_next, &c};
    uint32_t out[REQ_BATCH_MAX];
    r->batch_size = n;
    assert_int_equal(req_resolve_seeds(r, &entropy, out, NULL), ACE_OK);
    uint64_t draws = 0;
    json_array_foreach(json_object_get(item, "out"), k, want) {
      uint32_t expected = json_is_null(want) ? (uint32_t)(1000 + draws++) : (uint32_t)json_integer_value(want);
      if (out[k] != expected) fail_msg("%s: item %zu has seed %u instead of %u", id, k, out[k], expected);
    }
    assert_int_equal(draws, c.draws);
    checked++;
    free(text);
    json_decref(body);
    ace_request_free(r);
  }
  assert_int_equal(checked, 35);
  json_decref(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_item_gets_its_entry),
      cmocka_unit_test(one_seed_belongs_to_the_first_item_only),
      cmocka_unit_test(negative_and_unreadable_entries_draw),
      cmocka_unit_test(a_seed_beyond_32_bits_is_refused_not_replaced),
      cmocka_unit_test(entries_beyond_the_largest_batch_are_dropped),
      cmocka_unit_test(random_mode_ignores_the_seeds),
      cmocka_unit_test(a_later_seed_replaces_an_earlier_list),
      cmocka_unit_test(a_pinned_request_repeats_its_item),
      cmocka_unit_test(without_entropy_the_request_fails_instead_of_repeating_a_seed),
      cmocka_unit_test(the_systems_draws_differ),
      cmocka_unit_test(golden_seeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
