/* grammar.h - what the 5 Hz language model may say next: constrained decoding of metadata, audio codes and lyrics.
 *
 *   plan_grammar *g = plan_grammar_new(tokenizer, &(plan_grammar_config){.codes = 64000}, &err);  // once a tokenizer
 *   plan_grammar_state s;
 *   plan_grammar_begin(g, &settings, &limits, &s, &err);                                          // once a sequence
 *   while (!plan_grammar_done(&s)) {
 *     plan_allowed a;
 *     plan_grammar_allowed(g, &s, NULL, &a);           // before any logit is computed
 *     if (a.kind == PLAN_ALLOW_ONE) token = a.id[0];   // nothing to compute but the cache
 *     else if (a.kind == PLAN_ALLOW_FEW) ...           // logits of a.id[0..a.n) alone
 *     else if (a.kind == PLAN_ALLOW_CODES) ...         // logits of one stretch of ids, and perhaps of the end token
 *     else plan_grammar_mask(g, &s, logits);           // all logits; what is not allowed becomes -infinity
 *     plan_grammar_accept(g, &s, token, &err);
 *   }
 *
 * What is written: "<think>\nbpm: 120\ncaption: ...\nduration: 60\ngenres: ...\nkeyscale: C major\nlanguage: en\n
 * timesignature: 4\n", then the end token, or "</think>" and lyrics or audio codes. Names and closed values are spelled
 * by tables, in the tokenizer's own tokens. Free text ends at a line feed behind which the model does not want to
 * indent. It never holds special tokens, "<" (which spells tags), control characters, or, in captions, backticks; a
 * line of a caption that is not indented holds no colon, so that it cannot pass for another field.
 *
 * With settings->unconstrained none of this holds: any token may follow any other until one ends the sequence.
 *
 * The grammar is immutable: threads may share it. A state is plain data: copy it to branch a sequence.
 */
#ifndef ACE_PLANNER_GRAMMAR_H
#define ACE_PLANNER_GRAMMAR_H

#include "planner/settings.h"
#include "text/bpe.h"

enum {
  PLAN_MOST_FEW = 128,    /* ids of a short list */
  PLAN_MOST_GIVEN = 96,   /* tokens of all values that the user gave */
  PLAN_MOST_CAPTION = 512 /* tokens of a caption */
};

typedef struct plan_grammar plan_grammar;

typedef struct plan_grammar_config {
  int codes; /* audio codes that are valid: the product of the quantiser's levels; 0: none will be asked for */
  int rows;  /* logits that the model computes; 0: one for each id of the tokenizer */
  bool reference_names; /* names of fields by longest tokens first, as the reference forces them, not as it trained */
} plan_grammar_config;

/* Everything that does not change from song to song. The tokenizer must outlive it. */
plan_grammar *plan_grammar_new(const bpe *tokenizer, const plan_grammar_config *config, ace_error *err);
void plan_grammar_free(plan_grammar *g);
int plan_grammar_rows(const plan_grammar *g);
int32_t plan_grammar_end(const plan_grammar *g);                      /* the token that ends a sequence */
int32_t plan_grammar_code(const plan_grammar *g, int32_t token);      /* its audio code; -1: not a valid one */
int32_t plan_grammar_code_token(const plan_grammar *g, int32_t code); /* -1: outside of the codes */

/* ---- one sequence ------------------------------------------------------------------------------------------------ */

/* Receives one short line per step, without a line feed. */
typedef struct plan_grammar_log {
  void (*line)(void *user, const char *line); /* NULL: no log */
  void *user;
} plan_grammar_log;

typedef struct plan_grammar_limits {
  int max_duration;       /* seconds, 10..600; 0: 600 */
  double target_duration; /* seconds of audio codes, at most max_duration; not above 0: the model ends when it likes */
  bool closed_lyrics;     /* lyrics hold no special tokens but the one that ends them, not only no audio codes */
  plan_grammar_log log;
} plan_grammar_limits;

/* All inside. */
typedef struct plan_grammar_state {
  uint8_t place, field, run, line, skip; /* skip: a bit for each field */
  uint8_t given_first[PLAN_FIELDS], given_n[PLAN_FIELDS];
  bool stop, lyrics, closed_lyrics, blank;
  int32_t at;    /* in a run, in the given tokens, or the node of a value */
  int32_t count; /* tokens of this free text */
  int32_t codes, target, max_duration;
  int32_t given[PLAN_MOST_GIVEN];
  plan_grammar_log log;
} plan_grammar_state;

/* Values of settings->user that the grammar can spell are put into their usual form: tempo and length into their
 * ranges, "Am" as "A minor", "4/4" as "4". Other keys and time signatures are written as given, an unknown language is
 * left to the model, and so are caption and genres. limits may be NULL. Nothing of the settings is kept. */
ace_status plan_grammar_begin(const plan_grammar *g, const plan_settings *settings, const plan_grammar_limits *limits,
                              plan_grammar_state *s, ace_error *err);
bool plan_grammar_done(const plan_grammar_state *s);
/* Metadata from somewhere else, brought to what the grammar would have written: numbers in range (a length is clamped to
 * 10..max_duration), keys, languages and time signatures in their usual form; what cannot be is taken out. */
ace_status plan_grammar_tidy(plan_metadata *m, int max_duration, ace_error *err);
/* What the sequence is at: "bpm", "caption", "codes", "lyrics", "end", ... */
const char *plan_grammar_where(const plan_grammar_state *s);
/* Audio codes so far. */
int plan_grammar_codes(const plan_grammar_state *s);

typedef enum plan_allow {
  PLAN_ALLOW_NONE,  /* the sequence is over */
  PLAN_ALLOW_ONE,   /* id[0] */
  PLAN_ALLOW_FEW,   /* id[0..n), ascending: sample among these */
  PLAN_ALLOW_BEST,  /* id[0..n), ascending: the best of these, whatever the temperature; the lowest if equal */
  PLAN_ALLOW_CODES, /* first .. last, and `end` if it is not -1 */
  PLAN_ALLOW_WIDE,  /* the bits of `mask` */
  PLAN_ALLOW_LOOK   /* the logits of all ids decide: ask again with them */
} plan_allow;

typedef struct plan_allowed {
  plan_allow kind;
  int n; /* how many ids; 0 while undecided */
  int32_t id[PLAN_MOST_FEW];
  int32_t first, last, end; /* PLAN_ALLOW_CODES */
  const uint64_t *mask;     /* PLAN_ALLOW_WIDE: bit i % 64 of word i / 64, for ids below `rows`; the grammar's own */
  int32_t rows;
} plan_allowed;

/* `logits`, one for each row and not yet masked, may be NULL: then PLAN_ALLOW_BEST and PLAN_ALLOW_LOOK stay open. With
 * logits neither is returned, and a decision is kept in the state. NaN counts as minus infinity. */
plan_allow plan_grammar_allowed(const plan_grammar *g, plan_grammar_state *s, const float *logits, plan_allowed *out);
bool plan_allowed_has(const plan_allowed *a, int32_t id);
/* The same on the logits themselves: those that are not allowed become minus infinity. Where one id is left its logit
 * becomes 0 if it is not finite. */
void plan_grammar_mask(const plan_grammar *g, plan_grammar_state *s, float *logits);
/* Takes the token that was chosen. One that is not allowed, or comes before an open decision was made, is an error and
 * changes nothing. */
ace_status plan_grammar_accept(const plan_grammar *g, plan_grammar_state *s, int32_t token, ace_error *err);
/* The tokens that follow without any choice, at most `most`, for one pass of the model instead of one each. The caller
 * accepts them one by one. */
int plan_grammar_forced(const plan_grammar *g, const plan_grammar_state *s, int32_t *ids, int most);

#endif
