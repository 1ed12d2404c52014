/* Whatever the language model's weights say, what it writes must read back as metadata in range, with the user's own
 * values in it, and as exactly the audio codes that were asked for. A tiny tokenizer built here, full of tokens that
 * would break out of a field, pins the rules; the recorded walks over the published vocabulary run where the golden
 * data is present. */
#include "grammar_testing.h"

#include <math.h>
#include <unistd.h>

#include "../tools/golden_check/grammar_walk.h"

static plan_grammar_state begin(const bench *b, plan_settings settings, plan_grammar_limits limits) {
  plan_grammar_state s;
  ace_error err = {0};
  if (plan_grammar_begin(b->g, &settings, &limits, &s, &err) != ACE_OK) fail_msg("%s", err.message);
  return s;
}

static const plan_settings plain = {.phase = PLAN_COT, .stop_at_reasoning = true, .skip_genres = true};

static void take(const bench *b, plan_grammar_state *s, int32_t token) {
  ace_error err = {0};
  if (plan_grammar_accept(b->g, s, token, &err) != ACE_OK) fail_msg("%s", err.message);
}

static int32_t id_of(const bench *b, const char *token) {
  int32_t id = bpe_find(b->tokenizer, token);
  if (id < 0) fail_msg("no token \"%s\"", token);
  return id;
}

/* Takes what follows without a choice. */
static void take_forced(const bench *b, plan_grammar_state *s) {
  int32_t ids[256];
  int n = plan_grammar_forced(b->g, s, ids, 256);
  for (int i = 0; i < n; i++) take(b, s, ids[i]);
}

/* Takes a text token by token as the tokenizer cuts it. */
static void take_text(const bench *b, plan_grammar_state *s, const char *words) {
  bpe_ids ids = {0};
  assert_int_equal(bpe_encode(b->tokenizer, words, strlen(words), 0, &ids, NULL), ACE_OK);
  for (size_t i = 0; i < ids.n; i++) take(b, s, ids.id[i]);
  bpe_ids_free(&ids);
}

static bool allows(const bench *b, plan_grammar_state *s, int32_t token) {
  plan_allowed a;
  plan_grammar_allowed(b->g, s, NULL, &a);
  return plan_allowed_has(&a, token);
}

/* Logits with one id above all others. */
static const float *peak(int32_t id) {
  static float logits[ROWS];
  for (int i = 0; i < ROWS; i++) logits[i] = -10;
  if (id >= 0) logits[id] = 5;
  return logits;
}

static plan_grammar_state at_caption(const bench *b) {
  plan_grammar_state s = begin(b, plain, (plan_grammar_limits){0});
  take_forced(b, &s);
  take_text(b, &s, "120\n");
  take_forced(b, &s);
  assert_string_equal(plan_grammar_where(&s), "caption");
  return s;
}

static plan_grammar_state at_lyrics(const bench *b, bool closed) {
  static const char *const values[] = {"100", "", "100", "", "C major", "en", "4"};
  plan_settings settings = {.phase = PLAN_UNDERSTAND, .skip_caption = true, .skip_genres = true};
  for (int f = 0; f < PLAN_FIELDS; f++)
    plan_set_text(&settings.user, (plan_field)f, values[f], strlen(values[f]), NULL);
  plan_grammar_state s = begin(b, settings, (plan_grammar_limits){.closed_lyrics = closed});
  plan_metadata_free(&settings.user);
  take_forced(b, &s);
  assert_string_equal(plan_grammar_where(&s), "lyrics");
  return s;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void expect_forced(const bench *b, const plan_grammar *g, const char *want) {
  plan_grammar_state s;
  plan_settings settings = plain;
  int32_t ids[64];
  assert_int_equal(plan_grammar_begin(g, &settings, NULL, &s, NULL), ACE_OK);
  int n = plan_grammar_forced(g, &s, ids, 64);
  text t = {.n = 0};
  for (int i = 0; i < n; i++) {
    char *token = bpe_decode(b->tokenizer, &ids[i], 1, 0, NULL);
    add(&t, "%s|", token);
    free(token);
  }
  assert_string_equal(t.s, want);
}

/* The model was trained on names in the tokenizer's own spelling; comparing with the reference needs its spelling. */
static void test_names(void **state) {
  bench b = bench_open(usual);
  expect_forced(&b, b.g, "<think>|\n|b|pm|:| |");
  plan_grammar *g =
      plan_grammar_new(b.tokenizer, &(plan_grammar_config){.codes = CODES, .reference_names = true}, NULL);
  expect_forced(&b, g, "<think>|\n|bp|m|:| |");
  plan_grammar_free(g);
  bench_close(&b);
}

static void test_numbers_stay_in_range(void **state) {
  static const struct {
    const char *digits, *next; /* every digit that may follow, and "." for the end */
    int most;
  } cases[] = {
      {"", "123456789", 600}, {"2", "0123456789", 600}, {"3", "0123456789", 600}, {"30", ".0123456789", 600},
      {"60", ".0", 600},      {"61", ".", 600},         {"600", ".", 600},        {"48", ".0", 480},
      {"49", ".", 480},       {"4", "0123456789", 480}, {"1", "01234567", 17},    {"", "1", 17},
      {"17", ".", 17},        {"", "123456789", 240},   {"24", ".0", 240},        {"", "1", 10},
  };
  bench b = bench_open(usual);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plan_settings settings = plain;
    settings.skip_caption = true;
    plan_set_number(&settings.user, PLAN_BPM, 100);
    plan_grammar_state s = begin(&b, settings, (plan_grammar_limits){.max_duration = cases[i].most});
    int32_t ids[64];
    while (strcmp(plan_grammar_where(&s), "duration") != 0) {
      assert_int_equal(plan_grammar_forced(b.g, &s, ids, 1), 1);
      take(&b, &s, ids[0]);
    }
    take(&b, &s, ' ');
    take_text(&b, &s, cases[i].digits);
    for (int c = '0'; c <= '9'; c++)
      if (allows(&b, &s, c) != (strchr(cases[i].next, c) != NULL)) fail_msg("%s, then %c", cases[i].digits, c);
    assert_int_equal(allows(&b, &s, '\n'), strchr(cases[i].next, '.') != NULL);
    assert_false(allows(&b, &s, id_of(&b, " 60")));
  }
  bench_close(&b);
}

static void test_language_is_the_best_one(void **state) {
  bench b = bench_open(usual);
  plan_settings settings = plain;
  settings.skip_caption = true;
  plan_set_number(&settings.user, PLAN_BPM, 100);
  plan_set_number(&settings.user, PLAN_DURATION, 100);
  plan_set_text(&settings.user, PLAN_KEYSCALE, "C major", 7, NULL);
  plan_grammar_state s = begin(&b, settings, (plan_grammar_limits){0});
  take_forced(&b, &s);
  plan_allowed a;
  assert_int_equal(plan_grammar_allowed(b.g, &s, NULL, &a), PLAN_ALLOW_BEST);
  for (int i = 0; i < a.n; i++) {
    plan_allowed best;
    assert_int_equal(plan_grammar_allowed(b.g, &s, peak(a.id[i]), &best), PLAN_ALLOW_ONE);
    assert_int_equal(best.id[0], a.id[i]);
  }
  float logits[ROWS];
  for (int i = 0; i < ROWS; i++) logits[i] = NAN;
  plan_allowed best;
  assert_int_equal(plan_grammar_allowed(b.g, &s, logits, &best), PLAN_ALLOW_ONE);
  assert_int_equal(best.id[0], a.id[0]);
  logits[a.id[1]] = -100;
  plan_grammar_allowed(b.g, &s, logits, &best);
  assert_int_equal(best.id[0], a.id[1]);
  plan_metadata_free(&settings.user);
  bench_close(&b);
}

static void test_caption_holds_nothing_that_ends_it(void **state) {
  const layout layouts[] = {usual, turned};
  for (int i = 0; i < 2; i++) {
    bench b = bench_open(layouts[i]);
    plan_settings settings = plain;
    plan_set_number(&settings.user, PLAN_BPM, 100);
    plan_grammar_state s = begin(&b, settings, (plan_grammar_limits){0});
    take_forced(&b, &s);
    static const char *const fine[] = {"a",    " ",  ":",  ".",          "\n",     ".\n",
                                       "\n\n", "a:", ": ", " bpm: 10\n", "bpm: 7", "\t-"};
    static const char *const barred[] = {"`",
                                         "``",
                                         "a`b",
                                         "<",
                                         "<think",
                                         "</thin",
                                         " <|au",
                                         "\r\n",
                                         "x\nbpm: 10\n",
                                         "\n  ",
                                         "\nbpm: 1",
                                         "\x01z",
                                         "<|im_end|>",
                                         "<|endoftext|>",
                                         "<|im_start|>",
                                         "<think>",
                                         "</think>",
                                         "<|audio_code_0|>",
                                         "<|audio_code_15|>"};
    for (size_t k = 0; k < sizeof fine / sizeof *fine; k++)
      if (!allows(&b, &s, id_of(&b, fine[k]))) fail_msg("\"%s\" is barred", fine[k]);
    for (size_t k = 0; k < sizeof barred / sizeof *barred; k++)
      if (allows(&b, &s, id_of(&b, barred[k]))) fail_msg("\"%s\" is allowed", barred[k]);
    /* Published tokenizers keep all added tokens behind the text. */
    assert_int_equal(allows(&b, &s, id_of(&b, "[VERSE]")), i == 1);
    assert_false(allows(&b, &s, -1));
    assert_false(allows(&b, &s, ROWS - 1)); /* a logit without a token */
    assert_false(allows(&b, &s, ROWS));
    assert_false(allows(&b, &s, INT32_MAX));
    plan_metadata_free(&settings.user);
    bench_close(&b);
  }
}

static void test_caption_ends_where_the_model_does_not_indent(void **state) {
  bench b = bench_open(usual);
  static const char *const others[] = {"d", "key", "<|im_end|>", "</think>", "\n", "x"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    plan_grammar_state s = at_caption(&b);
    take_text(&b, &s, " Soft");
    take(&b, &s, id_of(&b, ".\n"));
    plan_allowed a;
    assert_int_equal(plan_grammar_allowed(b.g, &s, NULL, &a), PLAN_ALLOW_LOOK);
    ace_error err = {0};
    assert_int_equal(plan_grammar_accept(b.g, &s, 'd', &err), ACE_EINVAL); /* nobody has decided */
    assert_non_null(strstr(err.message, "logits"));
    assert_int_equal(plan_grammar_allowed(b.g, &s, peak(id_of(&b, others[i])), &a), PLAN_ALLOW_ONE);
    assert_int_equal(a.id[0], 'd');
    take_text(&b, &s, "duration:");
    assert_string_equal(plan_grammar_where(&s), "duration");
  }
  bench_close(&b);
}

/* What is best is read from the logits of tokens; the lowest id counts among equals. */
static void test_best_token(void **state) {
  bench b = bench_open(usual);
  plan_grammar_state s = at_caption(&b), again;
  take_text(&b, &s, " Soft\n");
  float logits[ROWS];
  plan_allowed a;
  static const struct {
    int high, low; /* logits 5 and 4 */
    plan_allow kind;
  } cases[] = {{ROWS - 1, ' ', PLAN_ALLOW_WIDE}, {ROWS - 1, 'x', PLAN_ALLOW_ONE}, {'x', ' ', PLAN_ALLOW_ONE}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    memcpy(logits, peak(cases[i].high), sizeof logits);
    logits[cases[i].low] = 4;
    again = s;
    assert_int_equal(plan_grammar_allowed(b.g, &again, logits, &a), cases[i].kind);
  }
  memcpy(logits, peak(' '), sizeof logits);
  logits['!'] = logits[' '];
  again = s;
  assert_int_equal(plan_grammar_allowed(b.g, &again, logits, &a), PLAN_ALLOW_WIDE);
  memcpy(logits, peak('\t'), sizeof logits);
  logits[1] = logits['\t'];
  logits[0] = NAN;
  again = s;
  assert_int_equal(plan_grammar_allowed(b.g, &again, logits, &a), PLAN_ALLOW_ONE);
  bench_close(&b);
}

/* A model with fewer logits than its tokenizer has tokens. */
static void expect_fewer_logits(layout l, int fewer) {
  bench b = bench_open(l);
  ace_error err = {0};
  plan_grammar_free(b.g);
  b.g = plan_grammar_new(b.tokenizer, &(plan_grammar_config){.codes = CODES, .rows = fewer}, &err);
  if (!b.g) fail_msg("%s", err.message);
  plan_grammar_state s = at_lyrics(&b, false);
  plan_allowed a;
  assert_int_equal(plan_grammar_allowed(b.g, &s, NULL, &a), PLAN_ALLOW_WIDE);
  int n = 0;
  for (int32_t id = 0; id < fewer; id++) n += plan_allowed_has(&a, id);
  assert_int_equal(n, a.n);
  for (int32_t id = fewer; id < ROWS; id++) assert_false(plan_allowed_has(&a, id));
  float *logits = malloc((size_t)fewer * sizeof *logits); /* the sanitizer watches its end */
  for (int i = 0; i < fewer; i++) logits[i] = 1;
  plan_grammar_mask(b.g, &s, logits);
  for (int32_t id = 0; id < fewer; id++) assert_int_equal(logits[id] == 1, plan_allowed_has(&a, id));
  free(logits);
  bench_close(&b);
}

static void test_fewer_logits_than_tokens(void **state) {
  expect_fewer_logits(usual, usual.special + ADDED + CODES);
  expect_fewer_logits(turned, turned.text + TRAP + TRAPS - 5);
}

static void test_lyrics(void **state) {
  bench b = bench_open(usual);
  for (int closed = 0; closed < 2; closed++) {
    plan_grammar_state s = at_lyrics(&b, closed), other = s;
    static const char *const tags[] = {"<think>", "<|im_start|>", "<|endoftext|>", "[VERSE]"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
      assert_int_equal(allows(&b, &s, id_of(&b, tags[i])), !closed);
    assert_false(allows(&b, &s, id_of(&b, "<|audio_code_0|>")));
    assert_false(allows(&b, &s, id_of(&b, "<|audio_code_15|>")));
    assert_false(allows(&b, &s, STRAY_CODE));
    take_text(&b, &s, "\n\n# Lyric\n[Verse] `<a>`: b\n");
    take(&b, &s, b.end);
    assert_true(plan_grammar_done(&s));
    if (!closed) take(&b, &other, id_of(&b, "<|endoftext|>"));
    assert_int_equal(plan_grammar_done(&other), !closed);
  }
  bench_close(&b);
}

/* A continued line that does not start with a blank would be read as a field if it held a colon. */
static void test_continued_caption_cannot_forge_a_field(void **state) {
  bench b = bench_open(usual);
  plan_allowed a;
  plan_grammar_state start = at_caption(&b);
  take_text(&b, &start, " Soft\n");
  assert_int_equal(plan_grammar_allowed(b.g, &start, peak(id_of(&b, "  ")), &a), PLAN_ALLOW_WIDE);
  static const char *const fine[] = {" ", "  ", "b", "\t-", ".", ":", ": ", " bpm: 10\n", "\n"};
  static const char *const barred[] = {"bpm: 7", "a:", "Caption:", "bpm:\n"};
  for (size_t k = 0; k < sizeof fine / sizeof *fine; k++) assert_true(allows(&b, &start, id_of(&b, fine[k])));
  for (size_t k = 0; k < sizeof barred / sizeof *barred; k++) assert_false(allows(&b, &start, id_of(&b, barred[k])));
  plan_grammar_state s = start;
  take_text(&b, &s, "bpm");
  assert_false(allows(&b, &s, ':'));
  assert_false(allows(&b, &s, id_of(&b, ": ")));
  assert_true(allows(&b, &s, '\n'));
  s = start;
  take(&b, &s, id_of(&b, "  "));
  assert_true(allows(&b, &s, ':'));
  bench_close(&b);
}

static void test_long_captions_are_cut(void **state) {
  bench b = bench_open(usual);
  plan_grammar_state s = at_caption(&b);
  for (int i = 0; i < PLAN_MOST_CAPTION; i++) take(&b, &s, 'a');
  plan_grammar_state broken = s;
  plan_allowed a;
  assert_int_equal(plan_grammar_allowed(b.g, &s, peak(' '), &a), PLAN_ALLOW_ONE);
  assert_int_equal(a.id[0], '\n');
  take(&b, &s, '\n');
  assert_int_equal(plan_grammar_allowed(b.g, &s, peak(' '), &a), PLAN_ALLOW_ONE);
  assert_int_equal(a.id[0], 'd'); /* no second line */
  ace_error err = {0};
  assert_int_equal(plan_grammar_accept(b.g, &broken, 'a', &err), ACE_EINVAL);
  bench_close(&b);
}

static plan_grammar_state at_genres(const bench *b) {
  plan_settings settings = {.phase = PLAN_UNDERSTAND, .skip_caption = true};
  plan_set_number(&settings.user, PLAN_BPM, 100);
  plan_set_number(&settings.user, PLAN_DURATION, 100);
  plan_grammar_state s = begin(b, settings, (plan_grammar_limits){0});
  take_forced(b, &s);
  assert_string_equal(plan_grammar_where(&s), "genres");
  return s;
}

static void test_genres_are_never_empty_and_end(void **state) {
  bench b = bench_open(usual);
  plan_allowed a;
  plan_grammar_state s = at_genres(&b);
  for (int i = 0; i < 3; i++, take(&b, &s, ' ')) {
    assert_false(allows(&b, &s, '\n'));
    assert_false(allows(&b, &s, id_of(&b, ".\n")));
    assert_false(allows(&b, &s, b.end));
    assert_true(allows(&b, &s, 'p'));
  }
  take(&b, &s, 'p');
  plan_grammar_state likely = s, unlikely = s, equal = s;
  assert_int_equal(plan_grammar_allowed(b.g, &s, NULL, &a), PLAN_ALLOW_LOOK);
  assert_int_equal(plan_grammar_allowed(b.g, &likely, peak('\n'), &a), PLAN_ALLOW_ONE);
  assert_int_equal(a.id[0], '\n');
  assert_int_equal(plan_grammar_allowed(b.g, &equal, peak(-1), &a), PLAN_ALLOW_WIDE);
  assert_int_equal(plan_grammar_allowed(b.g, &unlikely, peak('x'), &a), PLAN_ALLOW_WIDE);
  float level[ROWS];
  memcpy(level, peak('\n'), sizeof level);
  level['x'] = level['\n']; /* as likely: not forced */
  plan_grammar_state level_state = s;
  assert_int_equal(plan_grammar_allowed(b.g, &level_state, level, &a), PLAN_ALLOW_WIDE);
  assert_true(plan_allowed_has(&a, '\n'));
  assert_true(plan_allowed_has(&a, id_of(&b, ".\n")));
  assert_false(plan_allowed_has(&a, id_of(&b, "\n  ")));
  take(&b, &unlikely, id_of(&b, ".\n"));
  assert_string_equal(plan_grammar_where(&unlikely), "name of keyscale");
  take(&b, &likely, '\n');
  assert_string_equal(plan_grammar_where(&likely), "name of keyscale");
  s = at_genres(&b);
  int n = 0;
  while (plan_grammar_allowed(b.g, &s, peak('x'), &a) == PLAN_ALLOW_WIDE && ++n < 1000) take(&b, &s, 'x');
  assert_int_equal(n, 128);
  assert_int_equal(a.id[0], '\n');
  bench_close(&b);
}

static void test_codes_are_counted(void **state) {
  static const struct {
    double seconds;
    int most, codes; /* -1: the model ends */
  } cases[] = {{0.8, 0, 4}, {1, 0, 5},        {2.5, 0, 12},    {3.99, 0, 19},      {45.7, 0, 228},
               {10, 0, 50}, {600, 480, 2400}, {1e300, 10, 50}, {INFINITY, 10, 50}, {0.1, 0, 0},
               {0, 0, -1},  {-1, 0, -1},      {NAN, 0, -1}};
  bench b = bench_open(usual);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plan_grammar_state s =
        begin(&b, (plan_settings){.phase = PLAN_CODES},
              (plan_grammar_limits){.target_duration = cases[i].seconds, .max_duration = cases[i].most});
    for (int n = 0; n < cases[i].codes || (cases[i].codes < 0 && n < 20); n++) {
      int32_t code = plan_grammar_code_token(b.g, n % CODES);
      assert_int_equal(plan_grammar_code(b.g, code), n % CODES);
      assert_int_equal(allows(&b, &s, b.end), cases[i].codes < 0);
      assert_false(allows(&b, &s, code + CODES));
      assert_false(allows(&b, &s, 'a'));
      take(&b, &s, code);
    }
    assert_int_equal(plan_grammar_codes(&s), cases[i].codes < 0 ? 20 : cases[i].codes);
    assert_int_equal(allows(&b, &s, plan_grammar_code_token(b.g, 0)), cases[i].codes < 0);
    take(&b, &s, b.end);
    assert_true(plan_grammar_done(&s));
    assert_false(allows(&b, &s, b.end));
  }
  assert_int_equal(plan_grammar_code_token(b.g, CODES), -1);
  assert_int_equal(plan_grammar_code_token(b.g, -1), -1);
  assert_int_equal(plan_grammar_code(b.g, id_of(&b, "<|audio_code_12|>")), -1);
  assert_int_equal(plan_grammar_code(b.g, 'a'), -1);
  bench_close(&b);
}

static void test_what_cannot_work_is_refused(void **state) {
  static const char *const needed[] = {"<|im_end|>", "<think>", "</think>", "<|endoftext|>"};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    bpe *t = tiny(usual, needed[i]);
    ace_error err = {0};
    assert_null(plan_grammar_new(t, &(plan_grammar_config){0}, &err));
    assert_non_null(strstr(err.message, needed[i]));
    bpe_close(t);
  }
  bench b = bench_open(usual);
  ace_error err = {0};
  assert_null(plan_grammar_new(b.tokenizer, &(plan_grammar_config){.codes = CODE_TOKENS + 1}, &err));
  assert_non_null(strstr(err.message, "16"));
  assert_null(plan_grammar_new(b.tokenizer, &(plan_grammar_config){.codes = CODES, .rows = 320}, &err));
  assert_non_null(strstr(err.message, "logits"));
  assert_null(plan_grammar_new(NULL, &(plan_grammar_config){0}, &err));
  plan_grammar_state s;
  plan_settings settings = plain, codes = {.phase = PLAN_CODES}, odd = {.phase = (plan_phase)7};
  assert_int_equal(plan_grammar_begin(b.g, &odd, NULL, &s, &err), ACE_EINVAL);
  assert_int_equal(plan_grammar_begin(b.g, &settings, &(plan_grammar_limits){.max_duration = 9}, &s, &err), ACE_EINVAL);
  assert_int_equal(plan_grammar_begin(b.g, &settings, &(plan_grammar_limits){.max_duration = 601}, &s, &err),
                   ACE_EINVAL);
  assert_true(plan_grammar_done(&s));
  plan_grammar *mute = plan_grammar_new(b.tokenizer, &(plan_grammar_config){0}, NULL);
  assert_int_equal(plan_grammar_begin(mute, &codes, NULL, &s, &err), ACE_EUNSUPPORTED);
  assert_int_equal(plan_grammar_begin(mute, &settings, NULL, &s, &err), ACE_OK);
  plan_grammar_free(mute);
  bench_close(&b);
}

/* ---- values of the user ------------------------------------------------------------------------------------------ */

static const struct {
  plan_field field;
  const char *asked, *written; /* NULL: left to the model */
} given[] = {
    {PLAN_BPM, "120", "120"},
    {PLAN_BPM, "12", "30"},
    {PLAN_BPM, "99.9", "99"},
    {PLAN_BPM, "1000000000000", "300"},
    {PLAN_BPM, "N/A", NULL},
    {PLAN_BPM, "-5", NULL},
    {PLAN_DURATION, "5", "10"},
    {PLAN_DURATION, "222", "222"},
    {PLAN_DURATION, "9999", "480"},
    {PLAN_DURATION, "", NULL},
    {PLAN_KEYSCALE, "A minor", "A minor"},
    {PLAN_KEYSCALE, "C Major", "C major"},
    {PLAN_KEYSCALE, " Am ", "A minor"},
    {PLAN_KEYSCALE, "f# min", "F# minor"},
    {PLAN_KEYSCALE, "F\u266f minor", "F\u266f minor"},
    {PLAN_KEYSCALE, "B\u266dm", "B\u266d minor"},
    {PLAN_KEYSCALE, "bb minor", "Bb minor"},
    {PLAN_KEYSCALE, "B minor", "B minor"},
    {PLAN_KEYSCALE, "E flat major", "Eb major"},
    {PLAN_KEYSCALE, "C sharp minor", "C# minor"},
    {PLAN_KEYSCALE, "G", "G major"},
    {PLAN_KEYSCALE, "DM", "D major"},
    {PLAN_KEYSCALE, "D Dorian", "D Dorian"},
    {PLAN_KEYSCALE, "n/a", NULL},
    {PLAN_LANGUAGE, "yue", "yue"},
    {PLAN_LANGUAGE, "EN", "en"},
    {PLAN_LANGUAGE, "xx", NULL},
    {PLAN_TIMESIGNATURE, "4/4", "4"},
    {PLAN_TIMESIGNATURE, "6/8", "6"},
    {PLAN_TIMESIGNATURE, "3", "3"},
    {PLAN_TIMESIGNATURE, "5/4", "5/4"},
    {PLAN_TIMESIGNATURE, "N/A", NULL},
};
enum { GIVEN = sizeof given / sizeof *given };

/* The tokens that may follow the name of a field, up to the line feed, while there is no choice. */
static void test_given_values(void **state) {
  bench b = bench_open(usual);
  for (int i = 0; i < GIVEN; i++) {
    plan_settings settings = plain;
    settings.skip_caption = true;
    static const char *const rest[] = {"100", "", "100", "", "C major", "en", "4"};
    for (int f = 0; f < PLAN_FIELDS; f++) plan_set_text(&settings.user, (plan_field)f, rest[f], strlen(rest[f]), NULL);
    plan_set_text(&settings.user, given[i].field, given[i].asked, strlen(given[i].asked), NULL);
    plan_grammar_state s = begin(&b, settings, (plan_grammar_limits){.max_duration = 480});
    int32_t ids[256];
    int n = plan_grammar_forced(b.g, &s, ids, 256);
    char *all = bpe_decode(b.tokenizer, ids, (size_t)n, 0, NULL), want[80];
    snprintf(want, sizeof want, "\n%s: %s\n", plan_field_name(given[i].field),
             given[i].written ? given[i].written : "");
    if (given[i].written && (!strstr(all, want) || !strstr(all, "<|im_end|>")))
      fail_msg("\"%s\": %s", given[i].asked, all);
    if (!given[i].written && strstr(all, "<|im_end|>")) fail_msg("\"%s\": %s", given[i].asked, all);
    free(all);
    plan_metadata_free(&settings.user);
  }
  static const char *const refused[] = {"C\nbpm: 10", "<think>", "a\x01", "\xFF",
                                        "a key with a name that goes on and on and on and on until nobody reads it"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    plan_settings settings = plain;
    plan_grammar_state s;
    ace_error err = {0};
    plan_set_text(&settings.user, PLAN_KEYSCALE, refused[i], strlen(refused[i]), NULL);
    assert_int_equal(plan_grammar_begin(b.g, &settings, NULL, &s, &err), ACE_EINVAL);
    assert_non_null(strstr(err.message, "keyscale"));
    assert_null(strchr(err.message, '\n'));
    plan_metadata_free(&settings.user);
  }
  bench_close(&b);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

static void keep_line(void *user, const char *line) {
  assert_null(strchr(line, '\n'));
  add(user, "%s\n", line);
}

/* Without constraint every token is allowed until one ends the sequence, or there are as many codes as were asked for. */
static void test_unconstrained(void **state) {
  bench b = bench_open(usual);
  plan_settings settings = {.phase = PLAN_CODES, .unconstrained = true};
  plan_grammar_limits limits = {.target_duration = 0.4};
  plan_grammar_state s;
  plan_allowed a;
  assert_int_equal(plan_grammar_begin(b.g, &settings, &limits, &s, NULL), ACE_OK);
  assert_int_equal(plan_grammar_allowed(b.g, &s, NULL, &a), PLAN_ALLOW_WIDE);
  assert_true(plan_allowed_has(&a, b.end));
  assert_true(plan_allowed_has(&a, byte_id(b.l, '`')));
  const int32_t code = plan_grammar_code_token(b.g, 0), words[] = {code, byte_id(b.l, 'x'), code};
  for (int i = 0; i < 3; i++) {
    assert_false(plan_grammar_done(&s));
    assert_int_equal(plan_grammar_accept(b.g, &s, words[i], NULL), ACE_OK);
  }
  assert_true(plan_grammar_done(&s));
  settings.phase = PLAN_UNDERSTAND;
  assert_int_equal(plan_grammar_begin(b.g, &settings, NULL, &s, NULL), ACE_OK);
  assert_int_equal(plan_grammar_accept(b.g, &s, b.end, NULL), ACE_OK);
  assert_true(plan_grammar_done(&s));
  bench_close(&b);
}

/* What such a sequence says is brought into range and form, or dropped. */
static void test_tidy(void **state) {
  static const struct {
    plan_field field;
    const char *written, *kept; /* kept NULL: dropped */
  } cases[] = {{PLAN_BPM, "999", NULL},          {PLAN_BPM, " 120 ", "120"},       {PLAN_BPM, "fast", NULL},
               {PLAN_DURATION, "5", "10"},       {PLAN_DURATION, "9999", "240"},   {PLAN_DURATION, "-3", NULL},
               {PLAN_KEYSCALE, "Am", "A minor"}, {PLAN_KEYSCALE, "H major", NULL}, {PLAN_LANGUAGE, "EN", "en"},
               {PLAN_LANGUAGE, "klingon", NULL}, {PLAN_TIMESIGNATURE, "4/4", "4"}, {PLAN_TIMESIGNATURE, "5/4", NULL},
               {PLAN_CAPTION, "Soft.", "Soft."}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plan_metadata m = {0};
    assert_int_equal(plan_set_text(&m, cases[i].field, cases[i].written, strlen(cases[i].written), NULL), ACE_OK);
    assert_int_equal(plan_grammar_tidy(&m, 240, NULL), ACE_OK);
    const plan_value *v = &m.field[cases[i].field];
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)v->number);
    const char *kept = v->kind == PLAN_ABSENT ? NULL : v->kind == PLAN_NUMBER ? number : v->text;
    if (cases[i].kept ? !kept || strcmp(kept, cases[i].kept) != 0 : kept != NULL)
      fail_msg("%s: %s became %s", plan_field_name(cases[i].field), cases[i].written, kept ? kept : "nothing");
    plan_metadata_free(&m);
  }
}

static void test_log(void **state) {
  bench b = bench_open(usual);
  text *t = calloc(1, sizeof *t);
  plan_settings settings = plain;
  plan_set_number(&settings.user, PLAN_BPM, 12);
  plan_grammar_state s = begin(&b, settings, (plan_grammar_limits){.log = {keep_line, t}});
  take_forced(&b, &s);
  take(&b, &s, 'x');
  take(&b, &s, '\n');
  plan_allowed a;
  plan_grammar_allowed(b.g, &s, peak('q'), &a);
  take_forced(&b, &s);
  take(&b, &s, '7');
  static const char *const lines[] = {"bpm: 12 is outside 30..300\n",
                                      "bpm: given: 30\n",
                                      "start: \"<think>\" (313) forced\n",
                                      "start: \"\\n\" (10) forced\n",
                                      "name of bpm: \"pm\" (256) forced\n",
                                      "caption: \"x\" (120) of ",
                                      "the best token is \"q\" (113): the next field\n",
                                      "duration: \"7\" (55) of 9 allowed\n"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (!strstr(t->s, lines[i])) fail_msg("no line \"%s\" in\n%s", lines[i], t->s);
  free(t);
  plan_metadata_free(&settings.user);
  bench_close(&b);
}

/* ---- the published vocabulary ------------------------------------------------------------------------------------ */

#define GOLDEN ACE_SOURCE_DIR "/../shared/golden/"

static void complain(const char *line) {
  print_message("%s\n", line);
}

static void test_golden_walks(void **state) {
  ace_error err = {0};
  if (access(GOLDEN "text/fsm.json", R_OK) != 0 || access(GOLDEN "tokenizer/vocab.json", R_OK) != 0) {
    print_message("golden text/fsm.json and tokenizer: absent\n");
    skip();
  }
  json_t *file = json_parse_file(GOLDEN "text/fsm.json", 64 << 20, &err);
  if (!file) fail_msg("%s", err.message);
  json_t *vocab = json_object_get(file, "vocab");
  bpe *t = walk_open_tokenizer(GOLDEN "tokenizer", (int)json_integer_value(json_object_get(vocab, "audio_first_id")),
                               (int)json_integer_value(json_object_get(vocab, "audio_count")), &err);
  walk_counts counts;
  if (!t || walk_all(t, file, complain, &counts, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(counts.wrong, 0);
  assert_int_equal(counts.walks, json_array_size(json_object_get(file, "walks")));
  assert_true(counts.steps > counts.walks);
  bpe_close(t);
  json_decref(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_numbers_stay_in_range),
      cmocka_unit_test(test_language_is_the_best_one),
      cmocka_unit_test(test_caption_holds_nothing_that_ends_it),
      cmocka_unit_test(test_caption_ends_where_the_model_does_not_indent),
      cmocka_unit_test(test_best_token),
      cmocka_unit_test(test_fewer_logits_than_tokens),
      cmocka_unit_test(test_lyrics),
      cmocka_unit_test(test_continued_caption_cannot_forge_a_field),
      cmocka_unit_test(test_long_captions_are_cut),
      cmocka_unit_test(test_genres_are_never_empty_and_end),
      cmocka_unit_test(test_codes_are_counted),
      cmocka_unit_test(test_what_cannot_work_is_refused),
      cmocka_unit_test(test_given_values),
      cmocka_unit_test(test_unconstrained),
      cmocka_unit_test(test_tidy),
      cmocka_unit_test(test_log),
      cmocka_unit_test(test_golden_walks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
