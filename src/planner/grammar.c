/* grammar.c - the machine that walks the tables of constrained decoding. See grammar.h.
 *
 *   open -> name(bpm) -> value -> name -> value -> ... -> end                 (metadata alone)
 *                                                     \-> close -> lyrics     (understand, create, format)
 *                                                                \-> codes    (metadata and song in one)
 *   A value is given (by the user), closed (a trie) or free (caption, genres).
 */
#include "planner/grammar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/grammar_table.h"

enum {
  PLACE_RUN,
  PLACE_GIVEN,
  PLACE_TRIE,
  PLACE_CAPTION,
  PLACE_GENRES,
  PLACE_CODES,
  PLACE_LYRICS,
  PLACE_FREE,
  PLACE_DONE
};

/* Where free text stands in its line. */
enum {
  LINE_FREE,  /* nothing to watch */
  LINE_START, /* of a line that continues a caption */
  LINE_BARE,  /* such a line began without a blank */
  LINE_LOOK,  /* the logits must say whether the text goes on */
  LINE_OVER   /* they said no: a line feed is next */
};

enum { MOST_GENRES = 128 }; /* tokens */

/* ---- moving ---- */

static void enter_run(plan_grammar_state *s, int run) {
  s->place = PLACE_RUN;
  s->run = (uint8_t)run;
  s->at = 0;
}

/* The name of the first field behind `field` that is not skipped, or what ends the metadata. */
static void enter_next(plan_grammar_state *s, int field) {
  do field++;
  while (field < PLAN_FIELDS && s->skip >> field & 1);
  enter_run(s, field < PLAN_FIELDS ? RUN_NAME + field : s->stop ? RUN_END : RUN_CLOSE);
}

static void enter_value(const plan_grammar *g, plan_grammar_state *s, int field) {
  s->field = (uint8_t)field;
  s->count = 0;
  s->line = LINE_FREE;
  s->blank = true;
  if (s->given_n[field] > 0) {
    s->place = PLACE_GIVEN;
    s->at = s->given_first[field];
  } else if (g->root[field] != GRAM_NO_TRIE) {
    s->place = PLACE_TRIE;
    s->at = g->root[field];
  } else {
    s->place = field == PLAN_CAPTION ? PLACE_CAPTION : PLACE_GENRES;
  }
}

static void leave_run(const plan_grammar *g, plan_grammar_state *s) {
  s->count = 0;
  if (s->run == RUN_OPEN) enter_next(s, -1);
  else if (s->run < RUN_CLOSE) enter_value(g, s, s->run - RUN_NAME);
  else if (s->run == RUN_END) s->place = PLACE_DONE;
  else s->place = s->lyrics ? PLACE_LYRICS : PLACE_CODES;
}

/* ---- begin ---- */

static ace_status check_limits(const plan_grammar *g, const plan_settings *settings, const plan_grammar_limits *limits,
                               ace_error *err) {
  if (!settings || (unsigned)settings->phase > PLAN_UNDERSTAND)
    return ace_fail(err, ACE_EINVAL, "planner: unknown phase; metadata, codes and understand are known");
  if (limits->max_duration && (limits->max_duration < GRAM_DURATION_LOW || limits->max_duration > GRAM_DURATION_HIGH))
    return ace_fail(err, ACE_EINVAL, "planner: a longest duration of %d s is outside %d..%d", limits->max_duration,
                    GRAM_DURATION_LOW, GRAM_DURATION_HIGH);
  bool codes = settings->phase == PLAN_CODES || (settings->phase == PLAN_COT && !settings->stop_at_reasoning);
  if (codes && g->codes == 0)
    return ace_fail(err, ACE_EUNSUPPORTED, "planner: this tokenizer has no audio codes; one of a 5 Hz model is needed");
  return ACE_OK;
}

ace_status plan_grammar_begin(const plan_grammar *g, const plan_settings *settings, const plan_grammar_limits *limits,
                              plan_grammar_state *s, ace_error *err) {
  static const plan_grammar_limits none = {0};
  if (!limits) limits = &none;
  *s = (plan_grammar_state){.place = PLACE_DONE};
  ace_status status = check_limits(g, settings, limits, err);
  if (status != ACE_OK) return status;
  plan_grammar_state fresh = {.stop = settings->stop_at_reasoning,
                              .lyrics = settings->phase == PLAN_UNDERSTAND,
                              .closed_lyrics = limits->closed_lyrics,
                              .target = -1,
                              .max_duration = limits->max_duration ? limits->max_duration : GRAM_DURATION_HIGH,
                              .log = limits->log};
  fresh.skip = (uint8_t)(settings->skip_genres << PLAN_GENRES | settings->skip_caption << PLAN_CAPTION |
                         settings->skip_language << PLAN_LANGUAGE);
  if (limits->target_duration > 0)
    fresh.target = (int32_t)plan_code_count(fmin(limits->target_duration, fresh.max_duration));
  enter_run(&fresh, RUN_OPEN);
  if (settings->unconstrained) fresh.place = PLACE_FREE;
  else if (settings->phase == PLAN_CODES) fresh.place = PLACE_CODES;
  else status = gram_take_given(g, &settings->user, &fresh, err);
  if (status == ACE_OK) *s = fresh;
  return status;
}

bool plan_grammar_done(const plan_grammar_state *s) {
  return s->place == PLACE_DONE;
}

int plan_grammar_codes(const plan_grammar_state *s) {
  return s->codes;
}

const char *plan_grammar_where(const plan_grammar_state *s) {
  static const char *const names[] = {[RUN_OPEN] = "start",
                                      [RUN_NAME + PLAN_BPM] = "name of bpm",
                                      [RUN_NAME + PLAN_CAPTION] = "name of caption",
                                      [RUN_NAME + PLAN_DURATION] = "name of duration",
                                      [RUN_NAME + PLAN_GENRES] = "name of genres",
                                      [RUN_NAME + PLAN_KEYSCALE] = "name of keyscale",
                                      [RUN_NAME + PLAN_LANGUAGE] = "name of language",
                                      [RUN_NAME + PLAN_TIMESIGNATURE] = "name of timesignature",
                                      [RUN_CLOSE] = "end of metadata",
                                      [RUN_END] = "end"};
  switch (s->place) {
    case PLACE_RUN: return names[s->run];
    case PLACE_CODES: return "codes";
    case PLACE_LYRICS: return "lyrics";
    case PLACE_FREE: return "free";
    case PLACE_DONE: return "over";
    default: return plan_field_name((plan_field)s->field);
  }
}

/* ---- looking at logits ---- */

enum { BLOCK = 64 }; /* logits that are compared without a branch between them */

/* The lowest id of the largest logit. */
static int32_t best_token(const float *x, int32_t n) {
  float best = -INFINITY;
  int32_t at = 0, i = 0;
  for (; n - i >= BLOCK; i += BLOCK) {
    int larger = 0;
    for (int k = 0; k < BLOCK; k++) larger |= x[i + k] > best;
    for (int k = 0; larger && k < BLOCK; k++)
      if (x[i + k] > best) best = x[at = i + k];
  }
  for (; i < n; i++)
    if (x[i] > best) best = x[at = i];
  return at;
}

static int32_t best_of_few(const float *x, const plan_allowed *a) {
  int32_t best = a->id[0];
  for (int i = 1; i < a->n; i++)
    if (x[a->id[i]] > x[best] || (isnan(x[best]) && !isnan(x[a->id[i]]))) best = a->id[i];
  return best;
}

/* No other logit reaches that of `id`. */
static bool stands_alone(const float *x, int32_t n, int32_t id) {
  int reached = 0;
  for (int32_t i = 0; i < n; i++) reached += x[i] >= x[id];
  return reached == 1;
}

/* A caption goes on behind a line feed when the model wants to indent, genres end when a line feed is likelier than
 * everything else. */
static void look(const plan_grammar *g, plan_grammar_state *s, const float *logits) {
  const int32_t ids = g->known < g->rows ? g->known : g->rows;
  if (s->place == PLACE_GENRES) {
    s->line = stands_alone(logits, ids, g->line_feed) ? LINE_OVER : LINE_FREE;
    return;
  }
  int32_t best = best_token(logits, ids);
  bool on = g->trait[best] & TRAIT_BLANK_START;
  char shown[GRAM_SHOWN_SIZE];
  gram_log(s, "caption: behind a line feed the best token is %s (%d): %s", gram_show(g, best, shown), (int)best,
           on ? "the caption goes on" : "the next field");
  if (on) s->line = LINE_START;
  else enter_next(s, PLAN_CAPTION);
}

/* ---- what is allowed ---- */

static plan_allow one(plan_allowed *out, int32_t id) {
  out->n = 1;
  out->id[0] = id;
  return out->kind = PLAN_ALLOW_ONE;
}

static plan_allow wide(const plan_grammar *g, plan_allowed *out, int mask) {
  out->n = g->mask_count[mask];
  out->mask = g->mask[mask];
  out->rows = g->rows;
  return out->kind = PLAN_ALLOW_WIDE;
}

static plan_allow undecided(plan_allowed *out) {
  out->n = 0;
  return out->kind = PLAN_ALLOW_LOOK;
}

/* Edges of the node, those out of range left out. At least one is left: a node is only reached by an edge with a value
 * in range behind it. */
static plan_allow few(const plan_grammar *g, const plan_grammar_state *s, const float *logits, plan_allowed *out) {
  const gram_node *node = &g->node[s->at];
  const int32_t most = s->field == PLAN_DURATION ? s->max_duration : INT32_MAX;
  out->n = 0;
  for (int i = 0; i < node->n; i++) {
    const gram_edge *e = &g->edge[node->first + i];
    if (e->least <= most) out->id[out->n++] = e->id;
  }
  if (out->n == 1) return one(out, out->id[0]);
  if (s->field != PLAN_LANGUAGE) return out->kind = PLAN_ALLOW_FEW;
  return logits ? one(out, best_of_few(logits, out)) : (out->kind = PLAN_ALLOW_BEST);
}

static plan_allow codes(const plan_grammar *g, const plan_grammar_state *s, plan_allowed *out) {
  if (s->target >= 0 && s->codes >= s->target) return one(out, g->end);
  out->first = g->first_code;
  out->last = g->first_code + g->codes - 1;
  out->end = s->target < 0 ? g->end : -1;
  out->n = g->codes + (s->target < 0);
  return out->kind = PLAN_ALLOW_CODES;
}

static plan_allow caption(const plan_grammar *g, const plan_grammar_state *s, plan_allowed *out) {
  if (s->line == LINE_LOOK) return undecided(out);
  if (s->count >= PLAN_MOST_CAPTION) return one(out, g->line_feed);
  return wide(g, out,
              s->line == LINE_START  ? MASK_CAPTION_START
              : s->line == LINE_BARE ? MASK_CAPTION_BARE
                                     : MASK_CAPTION);
}

static plan_allow genres(const plan_grammar *g, const plan_grammar_state *s, plan_allowed *out) {
  if (s->count >= MOST_GENRES || s->line == LINE_OVER) return one(out, g->line_feed);
  if (s->line == LINE_LOOK) return undecided(out);
  return wide(g, out, s->blank ? MASK_GENRES_BLANK : MASK_GENRES);
}

plan_allow plan_grammar_allowed(const plan_grammar *g, plan_grammar_state *s, const float *logits, plan_allowed *out) {
  bool text = s->place == PLACE_CAPTION || (s->place == PLACE_GENRES && s->count < MOST_GENRES);
  if (text && s->line == LINE_LOOK && logits) look(g, s, logits);
  switch (s->place) {
    case PLACE_RUN: return one(out, g->run[g->run_first[s->run] + s->at]);
    case PLACE_GIVEN: return one(out, s->given[s->at]);
    case PLACE_TRIE: return few(g, s, logits, out);
    case PLACE_CAPTION: return caption(g, s, out);
    case PLACE_GENRES: return genres(g, s, out);
    case PLACE_CODES: return codes(g, s, out);
    case PLACE_LYRICS: return wide(g, out, s->closed_lyrics ? MASK_LYRICS_CLOSED : MASK_LYRICS);
    case PLACE_FREE: return wide(g, out, MASK_ALL);
    default: out->n = 0; return out->kind = PLAN_ALLOW_NONE;
  }
}

bool plan_allowed_has(const plan_allowed *a, int32_t id) {
  if (a->kind == PLAN_ALLOW_CODES) return (id >= a->first && id <= a->last) || (id >= 0 && id == a->end);
  if (a->kind == PLAN_ALLOW_WIDE) return id >= 0 && id < a->rows && a->mask[id / 64] >> id % 64 & 1;
  for (int i = 0; i < a->n; i++)
    if (a->id[i] == id) return true;
  return false;
}

/* ---- masking ---- */

static void fill(float *x, int32_t from, int32_t to) {
  for (int32_t i = from; i < to; i++) x[i] = -INFINITY;
}

static void mask_few(const plan_grammar *g, float *x, const plan_allowed *a) {
  float kept[PLAN_MOST_FEW];
  for (int i = 0; i < a->n; i++) kept[i] = x[a->id[i]];
  if (a->n == 1 && !isfinite(kept[0])) kept[0] = 0;
  fill(x, 0, g->rows);
  for (int i = 0; i < a->n; i++) x[a->id[i]] = kept[i];
}

static void mask_codes(const plan_grammar *g, float *x, const plan_allowed *a) {
  float end = a->end >= 0 ? x[a->end] : 0;
  fill(x, 0, a->first);
  fill(x, a->last + 1, g->rows);
  if (a->end >= 0) x[a->end] = end;
}

/* Words of 64 ids are mostly all in or all out; in the others few are out. */
static void mask_wide(const plan_grammar *g, float *x, const plan_allowed *a) {
  for (int32_t word = 0; word * 64 < g->rows; word++) {
    uint64_t out = ~a->mask[word];
    int32_t first = word * 64, n = g->rows - first < 64 ? g->rows - first : 64;
    if (out == UINT64_MAX) fill(x, first, first + n);
    else
      for (int32_t i = 0; out && i < n; i++, out >>= 1)
        if (out & 1) x[first + i] = -INFINITY;
  }
}

void plan_grammar_mask(const plan_grammar *g, plan_grammar_state *s, float *logits) {
  plan_allowed a;
  switch (plan_grammar_allowed(g, s, logits, &a)) {
    case PLAN_ALLOW_CODES: mask_codes(g, logits, &a); break;
    case PLAN_ALLOW_WIDE: mask_wide(g, logits, &a); break;
    default: mask_few(g, logits, &a); break;
  }
}

/* ---- taking a token ---- */

static void take_value(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  const gram_node *node = &g->node[s->at];
  const gram_edge *e = &g->edge[node->first];
  while (e->id != token) e++;
  if (e->to == GRAM_LEAVE) enter_next(s, s->field);
  else s->at = e->to;
}

static void take_caption(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  const unsigned t = g->trait[token];
  s->count++;
  if (t & TRAIT_LINE_FEED) {
    if (s->count >= PLAN_MOST_CAPTION) enter_next(s, PLAN_CAPTION);
    else s->line = LINE_LOOK;
  } else if (s->line == LINE_START) {
    s->line = t & (TRAIT_BLANK_START | TRAIT_COLON_START) ? LINE_FREE : LINE_BARE;
  }
}

static void take_genres(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  s->count++;
  if (g->trait[token] & TRAIT_INK) s->blank = false;
  if (g->trait[token] & TRAIT_LINE_FEED) enter_next(s, PLAN_GENRES);
  else s->line = s->blank ? LINE_FREE : LINE_LOOK;
}

static void take_lyrics(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  s->count++;
  if (token == g->end || token == g->end_of_text) s->place = PLACE_DONE;
}

static void take_code(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  if (token == g->end) s->place = PLACE_DONE;
  else s->codes++;
}

/* Codes beyond those that were asked for would be cut off in the end. */
static void take_free(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  s->codes += plan_grammar_code(g, token) >= 0;
  if (token == g->end || token == g->end_of_text || (s->target >= 0 && s->codes >= s->target)) s->place = PLACE_DONE;
}

static void take(const plan_grammar *g, plan_grammar_state *s, int32_t token) {
  switch (s->place) {
    case PLACE_RUN:
      if (++s->at == g->run_first[s->run + 1] - g->run_first[s->run]) leave_run(g, s);
      break;
    case PLACE_GIVEN:
      if (++s->at == s->given_first[s->field] + s->given_n[s->field]) enter_next(s, s->field);
      break;
    case PLACE_TRIE: take_value(g, s, token); break;
    case PLACE_CAPTION: take_caption(g, s, token); break;
    case PLACE_GENRES: take_genres(g, s, token); break;
    case PLACE_LYRICS: take_lyrics(g, s, token); break;
    case PLACE_FREE: take_free(g, s, token); break;
    default: take_code(g, s, token); break;
  }
}

ace_status plan_grammar_accept(const plan_grammar *g, plan_grammar_state *s, int32_t token, ace_error *err) {
  plan_allowed a;
  plan_allow kind = plan_grammar_allowed(g, s, NULL, &a);
  if (kind == PLAN_ALLOW_LOOK)
    return ace_fail(err, ACE_EINVAL, "planner: %s: the logits decide what follows; ask with them first",
                    plan_grammar_where(s));
  if (!plan_allowed_has(&a, token))
    return ace_fail(err, ACE_EINVAL, "planner: %s: token %d is not allowed here", plan_grammar_where(s), (int)token);
  gram_log_taken(g, s, &a, token);
  take(g, s, token);
  return ACE_OK;
}

int plan_grammar_forced(const plan_grammar *g, const plan_grammar_state *s, int32_t *ids, int most) {
  plan_grammar_state ahead = *s;
  plan_allowed a;
  int n = 0;
  ahead.log = (plan_grammar_log){0};
  while (n < most && plan_grammar_allowed(g, &ahead, NULL, &a) == PLAN_ALLOW_ONE) {
    ids[n++] = a.id[0];
    take(g, &ahead, a.id[0]);
  }
  return n;
}
