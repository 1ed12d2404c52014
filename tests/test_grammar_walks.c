/* Ten thousand songs planned by a model that is out of its mind: logits that are random, NaN, infinite or set on
 * breaking out. Every one must end in time and read back as complete metadata in range with the user's values in it, or
 * as the codes that were asked for. */
#include "grammar_testing.h"

#include <math.h>

#include "request/params.h"

enum { WALKS = 10000, MOST_STEPS = 1200, MOST_LYRICS = 40 };

/* ---- chance ---- */

static uint64_t chance = 1;

static uint32_t draw(uint32_t below) {
  chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((chance >> 33) % below);
}

/* ---- a song that is asked for ---- */

static const struct {
  const char *asked, *written;
} tempi[] = {{"120", "120"}, {"7", "30"}, {"4000", "300"}},
  keys[] = {{"Am", "A minor"}, {"E\u266d Major", "E\u266d major"}}, tongues[] = {{"YUE", "yue"}, {"no", "no"}},
  meters[] = {{"4/4", "4"}, {"6/8", "6"}};

typedef struct wish {
  plan_settings settings;
  plan_grammar_limits limits;
  const char *written[PLAN_FIELDS]; /* NULL: up to the model */
  char length[16];
  int longest; /* seconds */
} wish;

static void ask(wish *w, plan_field field, const char *asked, const char *written) {
  assert_int_equal(plan_set_text(&w->settings.user, field, asked, strlen(asked), NULL), ACE_OK);
  w->written[field] = written;
}

static void make_wish(wish *w) {
  static const int longest[] = {10, 17, 240, 480, 600};
  *w = (wish){.longest = longest[draw(5)]};
  w->limits.max_duration = w->longest;
  w->settings.phase = (plan_phase)(draw(8) == 0 ? PLAN_CODES : draw(2) ? PLAN_COT : PLAN_UNDERSTAND);
  w->settings.stop_at_reasoning = draw(3) > 0;
  w->settings.skip_genres = draw(2);
  w->settings.skip_caption = draw(3) == 0;
  w->settings.skip_language = draw(3) == 0;
  w->limits.closed_lyrics = draw(2);
  w->limits.target_duration = draw(3) ? (double)draw(100) / 5 : 0;
  uint32_t k = draw(6);
  if (k < 3) ask(w, PLAN_BPM, tempi[k].asked, tempi[k].written);
  if ((k = draw(4)) < 2) ask(w, PLAN_KEYSCALE, keys[k].asked, keys[k].written);
  if ((k = draw(6)) < 2) ask(w, PLAN_LANGUAGE, tongues[k].asked, tongues[k].written);
  if ((k = draw(4)) < 2) ask(w, PLAN_TIMESIGNATURE, meters[k].asked, meters[k].written);
  if (draw(3) == 0) {
    int seconds = 1 + (int)draw(700), kept = seconds < 10 ? 10 : seconds > w->longest ? w->longest : seconds;
    char asked[16];
    snprintf(asked, sizeof asked, "%d", seconds);
    snprintf(w->length, sizeof w->length, "%d", kept);
    ask(w, PLAN_DURATION, asked, w->length);
  }
}

/* ---- a model ---- */

static void fill(float *x, float value) {
  for (int i = 0; i < ROWS; i++) x[i] = value;
}

static void imagine(const bench *b, float *x, int mood) {
  fill(x, -INFINITY);
  switch (mood) {
    case 0: break;
    case 1: fill(x, NAN); break;
    case 2: fill(x, INFINITY); break;
    case 3: /* all that is special, and logits without a token */
      fill(x, -1);
      for (int i = 0; i < ADDED + CODE_TOKENS; i++) x[b->l.special + i] = INFINITY;
      for (int i = 380; i < ROWS; i++) x[i] = INFINITY;
      break;
    case 4: x[b->l.text + TRAP + (int)draw(TRAPS)] = 3; break;
    case 5: /* one line after the other, indented */
      fill(x, 0);
      x[byte_id(b->l, ' ')] = 9;
      x[byte_id(b->l, '\n')] = 8;
      break;
    default:
      for (int i = 0; i < ROWS; i++) x[i] = (float)draw(1000) / 100;
      if (draw(3) == 0) x[byte_id(b->l, '\n')] = 20;
  }
}

/* What is left by the mask is what is allowed, and its logits are as they were. */
static void expect_mask(const bench *b, plan_grammar_state *s, const float *x, const plan_allowed *a) {
  float masked[ROWS];
  memcpy(masked, x, sizeof masked);
  plan_grammar_mask(b->g, s, masked);
  int n = 0;
  for (int i = 0; i < ROWS; i++) {
    bool in = plan_allowed_has(a, i);
    bool repaired = a->n == 1 && !isfinite(x[i]); /* a single choice is always one that can be made */
    bool kept = repaired ? masked[i] == 0 : memcmp(&masked[i], &x[i], sizeof *x) == 0;
    if (in ? !kept : !(isinf(masked[i]) && masked[i] < 0)) fail_msg("id %d in %s", i, plan_grammar_where(s));
    n += in;
  }
  assert_int_equal(n, a->n);
}

/* Any of the allowed ids, or the one that the model likes best. */
static int32_t choose(const plan_allowed *a, const float *x) {
  bool greedy = draw(2);
  int32_t chosen = -1;
  int seen = 0;
  for (int32_t i = 0; i < ROWS; i++) {
    if (!plan_allowed_has(a, i)) continue;
    seen++;
    if (chosen < 0 || (greedy ? x[i] > x[chosen] : draw((uint32_t)seen) == 0)) chosen = i;
  }
  assert_true(chosen >= 0);
  return chosen;
}

static size_t walk(const bench *b, const wish *w, int32_t *ids) {
  plan_grammar_state s;
  ace_error err = {0};
  if (plan_grammar_begin(b->g, &w->settings, &w->limits, &s, &err) != ACE_OK) fail_msg("%s", err.message);
  size_t n = 0;
  int mood = (int)draw(10), lyrics = 0;
  float x[ROWS];
  while (!plan_grammar_done(&s)) {
    plan_allowed a, before;
    plan_grammar_allowed(b->g, &s, NULL, &before);
    imagine(b, x, draw(4) ? mood : (int)draw(10));
    plan_grammar_allowed(b->g, &s, x, &a);
    if (before.kind != PLAN_ALLOW_LOOK && before.kind != PLAN_ALLOW_BEST) assert_int_equal(a.kind, before.kind);
    if (n % 8 == 0) expect_mask(b, &s, x, &a);
    int32_t token = choose(&a, x);
    if (strcmp(plan_grammar_where(&s), "lyrics") == 0 && ++lyrics > MOST_LYRICS) token = b->end;
    if (strcmp(plan_grammar_where(&s), "codes") == 0 && w->limits.target_duration == 0 && plan_grammar_codes(&s) > 50)
      token = b->end;
    int32_t next;
    if (plan_grammar_forced(b->g, &s, &next, 1) == 1 && next != token) fail_msg("%d forced, %d taken", next, token);
    if (plan_grammar_accept(b->g, &s, token, &err) != ACE_OK) fail_msg("%s", err.message);
    assert_true(n < MOST_STEPS);
    ids[n++] = token;
  }
  return n;
}

/* ---- reading back --------------------------------------------------------------------------------------------------
 * As the rules say: the text inside <think>, or all up to the first code; a line with a colon that does not start with
 * white space is a field, its name in any case; the last one of a name counts.
 */

typedef struct reading {
  char *value[PLAN_FIELDS]; /* point into the text; NULL: absent */
  int order[PLAN_FIELDS], n;
} reading;

static void read_line(reading *r, char *line) {
  char *colon = strchr(line, ':');
  if (line[0] == '<' || strchr(" \t\r\n", line[0]) || !colon) return;
  *colon = 0;
  if (colon == line) return; /* a field without a name */
  plan_field field = plan_field_find(line, strlen(line));
  if (field == PLAN_FIELDS) fail_msg("a field \"%s\" came out of nowhere", line);
  if (r->value[field]) fail_msg("two fields \"%s\"", line);
  r->value[field] = colon + 1;
  r->order[r->n++] = (int)field;
}

static reading read_back(char *s) {
  reading r = {0};
  char *end = strstr(s, "</think>");
  if (!end) end = strstr(s, "<|im_end|>");
  assert_non_null(end);
  *end = 0;
  assert_ptr_equal(strstr(s, "<think>\n"), s);
  assert_null(strchr(s + 1, '<')); /* no tag, no code, nothing that a later prompt would take for one */
  for (char *line = s + strlen("<think>\n"), *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    read_line(&r, line);
  }
  return r;
}

static bool is_number(const char *value, int low, int high) {
  char spelled[16];
  int x = atoi(value);
  snprintf(spelled, sizeof spelled, " %d", x);
  return strcmp(spelled, value) == 0 && x >= low && x <= high;
}

static bool is_key(const char *value) {
  static const char *const tails[] = {"", "#", "b", "\u266f", "\u266d"};
  char spelled[32];
  for (int i = 0; i < 70; i++) {
    snprintf(spelled, sizeof spelled, " %c%s %s", "ABCDEFG"[i / 10], tails[i % 5], i / 5 % 2 ? "major" : "minor");
    if (strcmp(spelled, value) == 0) return true;
  }
  return false;
}

static bool is_language(const char *value) {
  for (const char *const *l = req_languages(); *l; l++)
    if (value[0] == ' ' && strcmp(*l, value + 1) == 0) return true;
  return false;
}

static bool is_blank(const char *value) {
  return value[strspn(value, " \t")] == 0;
}

static void expect_metadata(const wish *w, char *s) {
  reading r = read_back(s);
  bool skipped[PLAN_FIELDS] = {[PLAN_CAPTION] = w->settings.skip_caption,
                               [PLAN_GENRES] = w->settings.skip_genres,
                               [PLAN_LANGUAGE] = w->settings.skip_language};
  for (int i = 1; i < r.n; i++) assert_true(r.order[i - 1] < r.order[i]);
  for (int f = 0; f < PLAN_FIELDS; f++) {
    const char *name = plan_field_name((plan_field)f);
    if (skipped[f] != (r.value[f] == NULL)) fail_msg("%s %s", name, skipped[f] ? "is there" : "is missing");
    if (w->written[f] && !skipped[f] && strcmp(r.value[f] + 1, w->written[f]) != 0)
      fail_msg("%s:%s, expected %s", name, r.value[f], w->written[f]);
  }
  if (!is_number(r.value[PLAN_BPM], 30, 300)) fail_msg("bpm:%s", r.value[PLAN_BPM]);
  if (!is_number(r.value[PLAN_DURATION], 10, w->longest)) fail_msg("duration:%s", r.value[PLAN_DURATION]);
  if (!is_key(r.value[PLAN_KEYSCALE])) fail_msg("keyscale:%s", r.value[PLAN_KEYSCALE]);
  if (!skipped[PLAN_LANGUAGE] && !is_language(r.value[PLAN_LANGUAGE])) fail_msg("language:%s", r.value[PLAN_LANGUAGE]);
  assert_true(is_number(r.value[PLAN_TIMESIGNATURE], 2, 6) && strcmp(r.value[PLAN_TIMESIGNATURE], " 5") != 0);
  if (!skipped[PLAN_CAPTION]) assert_null(strchr(r.value[PLAN_CAPTION], '`'));
  /* Blanks alone are cut off in the end. */
  if (!skipped[PLAN_GENRES]) assert_true(!is_blank(r.value[PLAN_GENRES]) || strlen(r.value[PLAN_GENRES]) >= 128);
}

/* The codes from id[from] on, then the end. */
static void expect_codes(const bench *b, const wish *w, const int32_t *ids, size_t from, size_t n) {
  int64_t want = plan_code_count(w->limits.target_duration < w->longest ? w->limits.target_duration : w->longest);
  if (w->limits.target_duration > 0) assert_int_equal(n - from, want + 1);
  for (size_t i = from; i + 1 < n; i++) assert_true(plan_grammar_code(b->g, ids[i]) >= 0);
  assert_int_equal(ids[n - 1], b->end);
}

static void expect_lyrics(const bench *b, const wish *w, const int32_t *ids, size_t from, size_t n) {
  for (size_t i = from; i + 1 < n; i++) {
    if (ids[i] >= b->l.special + ADDED && ids[i] < b->l.special + ADDED + CODE_TOKENS) fail_msg("a code in the lyrics");
    assert_int_not_equal(ids[i], STRAY_CODE);
    if (w->limits.closed_lyrics) assert_false(bpe_is_special(b->tokenizer, ids[i]));
  }
}

static void walk_often(layout l, int walks) {
  bench b = bench_open(l);
  const int32_t close = bpe_find(b.tokenizer, "</think>");
  int32_t *ids = malloc((MOST_STEPS + 1) * sizeof *ids);
  size_t longest = 0;
  for (int i = 0; i < walks; i++) {
    wish w;
    chance = (uint64_t)i * 77 + 1; /* each walk can be repeated alone */
    draw(2);
    make_wish(&w);
    size_t n = walk(&b, &w, ids), from = 0;
    if (n > longest) longest = n;
    while (from < n && ids[from] != close && w.settings.phase != PLAN_CODES) from++;
    if (w.settings.phase != PLAN_CODES) {
      size_t length;
      char *words = bpe_decode(b.tokenizer, ids, n, 0, &length);
      if (from == n || w.settings.phase == PLAN_COT) assert_int_equal(strlen(words), length);
      assert_int_equal(from == n, w.settings.stop_at_reasoning);
      expect_metadata(&w, words);
      free(words);
      from++;
    }
    if (w.settings.phase == PLAN_UNDERSTAND) expect_lyrics(&b, &w, ids, from, n);
    else if (from < n) expect_codes(&b, &w, ids, from, n);
    plan_metadata_free(&w.settings.user);
  }
  print_message("%d walks, the longest took %zu tokens\n", walks, longest);
  free(ids);
  bench_close(&b);
}

static void test_any_model(void **state) {
  walk_often(usual, WALKS * 9 / 10);
}

static void test_any_model_with_special_tokens_first(void **state) {
  walk_often(turned, WALKS / 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_model),
      cmocka_unit_test(test_any_model_with_special_tokens_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
