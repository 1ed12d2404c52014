/* The command line: what users type must reach the right parameter, and slips must be named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

#define PARSE(...)                              \
  const char *const argv[] = {__VA_ARGS__};     \
  int argc = (int)(sizeof argv / sizeof *argv); \
  ace_error err = {0};                          \
  args a;                                       \
  ace_status status = args_parse(&a, &cmd_generate, argc, argv, &err)

static const char *param(const args *a, const char *name) {
  const char *value = NULL;
  for (int i = 0; i < a->n_given; i++)
    if (a->given[i].param && strcmp(a->given[i].param->name, name) == 0) value = a->given[i].value;
  return value ? value : "(not given)";
}

/* Every parameter that can be set is a flag, by its name with dashes and with underscores. */
static void test_every_parameter(void **state) {
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    if (p[i].result || strcmp(p[i].name, "lyrics") == 0) continue; /* --lyrics takes a file */
    char dashes[REQ_FLAG_SIZE], underscores[REQ_FLAG_SIZE];
    req_param_flag(&p[i], dashes);
    snprintf(underscores, sizeof underscores, "--%s", p[i].name);
    const char *forms[] = {dashes, underscores};
    for (int k = 0; k < 2; k++) {
      PARSE(forms[k], "1");
      bool is_switch = !req_param_operand(&p[i]);
      assert_int_equal(status, ACE_OK);
      assert_string_equal(param(&a, p[i].name), is_switch ? "true" : "1");
      args_free(&a);
    }
  }
}

static void test_forms(void **state) {
  PARSE("a caption", "--duration=30", "--seed", "-1", "-ox.flac", "--no-use-adg", "--thinking=auto", "--batch", "2",
        "--batch_size", "3", "-q", "--keyscale=", "--title", "-not a flag-", "--lyrics", "-");
  assert_int_equal(status, ACE_OK);
  assert_int_equal(a.n_operands, 1);
  assert_string_equal(a.operand[0], "a caption");
  assert_string_equal(param(&a, "duration"), "30");
  assert_string_equal(param(&a, "seed"), "-1");
  assert_string_equal(param(&a, "use_adg"), "false");
  assert_string_equal(param(&a, "thinking"), "auto");
  assert_string_equal(param(&a, "batch_size"), "3");
  assert_string_equal(param(&a, "keyscale"), "");
  assert_string_equal(param(&a, "title"), "-not a flag-");
  assert_string_equal(args_value(&a, "output"), "x.flac");
  assert_string_equal(args_value(&a, "lyrics"), "-");
  assert_true(args_on(&a, "quiet"));
  assert_false(args_on(&a, "json"));
  assert_true(args_gives(&a, "seed"));
  assert_false(args_gives(&a, "seeds"));
  args_free(&a);
}

/* Behind a switch that is a parameter its value may stand as a word; other words are operands. */
static void test_switches_with_words(void **state) {
  PARSE("--thinking", "false", "--no-think", "--think", "--instrumental", "true", "--use-adg", "truely");
  assert_int_equal(status, ACE_OK);
  assert_string_equal(param(&a, "thinking"), "true");
  assert_string_equal(a.given[0].value, "false");
  assert_string_equal(a.given[1].value, "false");
  assert_string_equal(param(&a, "instrumental"), "true");
  assert_string_equal(param(&a, "use_adg"), "true");
  assert_int_equal(a.n_operands, 1);
  assert_string_equal(a.operand[0], "truely");
  args_free(&a);
}

/* A command has only the parameters that do something in it, and suggests no others. */
static void test_some_parameters(void **state) {
  static const char *const taken[] = {"x", "--instrumental", "--lm-top-k", "5"}, *const steps[] = {"x", "--steps", "5"},
                           *const near[] = {"--lm-temperatur", "1"}, *const far[] = {"--duratoin", "30"};
  ace_error err = {0};
  args a;
  assert_int_equal(args_parse(&a, &cmd_plan, 4, taken, &err), ACE_OK);
  assert_string_equal(param(&a, "lm_top_k"), "5");
  args_free(&a);
  assert_int_equal(args_parse(&a, &cmd_plan, 3, steps, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "plan: there is no flag --steps"));
  args_free(&a);
  assert_int_equal(args_parse(&a, &cmd_plan, 2, near, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "did you mean --lm-temperature?"));
  args_free(&a);
  assert_int_equal(args_parse(&a, &cmd_plan, 2, far, &err), ACE_EINVAL);
  assert_null(strstr(err.message, "--duration"));
  args_free(&a);
}

static void test_double_dash_ends_flags(void **state) {
  PARSE("-q", "--", "--duration");
  assert_int_equal(status, ACE_OK);
  assert_int_equal(a.n_operands, 1);
  assert_string_equal(a.operand[0], "--duration");
  args_free(&a);
}

static void expect_failure(const char *wanted, int argc, const char *const *argv) {
  ace_error err = {0};
  args a;
  assert_int_equal(args_parse(&a, &cmd_generate, argc, argv, &err), ACE_EINVAL);
  if (!strstr(err.message, wanted)) fail_msg("\"%s\" does not say \"%s\"", err.message, wanted);
  args_free(&a);
}

#define EXPECT(wanted, ...)                                          \
  do {                                                               \
    const char *const argv[] = {__VA_ARGS__};                        \
    expect_failure(wanted, (int)(sizeof argv / sizeof *argv), argv); \
  } while (0)

static void test_slips_are_named(void **state) {
  EXPECT("did you mean --duration?", "--duratoin", "30");
  EXPECT("did you mean --audio-format?", "--format", "mp3");
  EXPECT("did you mean --models?", "--modles", "x");
  EXPECT("there is no flag --xyzzyplugh (", "--xyzzyplugh");
  EXPECT("there is no flag -x", "-x");
  EXPECT("there is no flag ---", "---");
  EXPECT("--duration needs SECONDS behind it: 10..600", "--duration");
  EXPECT("--duration needs SECONDS", "--duration", "--seed", "3"); /* --seed is no number of seconds */
  EXPECT("--output needs FILE", "x", "--output");
  EXPECT("only switches can be turned off", "--no-duration");
  EXPECT("takes no value", "--json=yes");
  EXPECT("one operand too many", "jazz", "trio");
}

/* A terminal must not be at the mercy of what was typed or pasted. */
static void test_messages_are_printable(void **state) {
  ace_error err = {0};
  args a;
  const char *const argv[] = {"--\x1b[2Jevil\n"};
  assert_int_equal(args_parse(&a, &cmd_generate, 1, argv, &err), ACE_EINVAL);
  for (const char *p = err.message; *p; p++) assert_true(*p >= ' ' && *p <= '~');
  args_free(&a);
}

static void test_bytes(void **state) {
  static const struct {
    const char *text;
    uint64_t bytes; /* 0: refused */
  } cases[] = {{"6G", 6ULL << 30},
               {"1.5g", 3ULL << 29},
               {"512MiB", 512ULL << 20},
               {"2097152", 2097152},
               {"64mb", 64ULL << 20},
               {"6", 0},
               {"-1G", 0},
               {"", 0},
               {"G", 0},
               {"6X", 0},
               {"6GG", 0},
               {"1e9T", 0},
               {"nan", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t bytes = 0;
    ace_error err = {0};
    ace_status status = args_bytes(cases[i].text, "--memory", &bytes, &err);
    assert_int_equal(status, cases[i].bytes ? ACE_OK : ACE_EINVAL);
    assert_int_equal(bytes, cases[i].bytes);
    if (status != ACE_OK) assert_non_null(strstr(err.message, "--memory"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_parameter),        cmocka_unit_test(test_forms),
      cmocka_unit_test(test_double_dash_ends_flags), cmocka_unit_test(test_slips_are_named),
      cmocka_unit_test(test_switches_with_words),    cmocka_unit_test(test_some_parameters),
      cmocka_unit_test(test_messages_are_printable), cmocka_unit_test(test_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
