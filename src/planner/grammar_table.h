/* grammar_table.h - the tables behind grammar.h: runs of fixed tokens, tries of closed values, masks of free text.
 * Inside of the planner's grammar only. */
#ifndef ACE_PLANNER_GRAMMAR_TABLE_H
#define ACE_PLANNER_GRAMMAR_TABLE_H

#include "planner/grammar.h"

enum {
  GRAM_BPM_LOW = 30,
  GRAM_BPM_HIGH = 300,
  GRAM_DURATION_LOW = 10, /* seconds */
  GRAM_DURATION_HIGH = 600,
  GRAM_MOST_RUN = 192,  /* tokens of all runs */
  GRAM_MOST_VALUE = 40, /* tokens of one value */
  GRAM_LEAVE = -1,      /* an edge that ends the value */
  GRAM_NO_TRIE = -1
};

/* Runs of tokens without a choice. */
enum { RUN_OPEN, RUN_NAME, RUN_CLOSE = RUN_NAME + PLAN_FIELDS, RUN_END, RUNS };

/* What a token is made of, as far as the grammar cares. */
enum {
  TRAIT_TEXT = 1,         /* exists and is no audio code */
  TRAIT_LINE_FEED = 2,    /* has one, at its end */
  TRAIT_BLANK_START = 4,  /* begins with a space or a tab */
  TRAIT_COLON = 8,        /* has one */
  TRAIT_COLON_START = 16, /* begins with one */
  TRAIT_INK = 32,         /* has something that is not white space */
  TRAIT_BACKTICK = 64,    /* has one */
  TRAIT_BARRED = 128      /* never in free text: special, "<", control characters, text behind a line feed */
};

/* Masks of free text. */
enum {
  MASK_CAPTION,
  MASK_CAPTION_START, /* first token of a line that continues a caption */
  MASK_CAPTION_BARE,  /* such a line that began without a blank: no colon */
  MASK_GENRES,        /* line feed included */
  MASK_GENRES_BLANK,  /* nothing but white space so far: no line feed */
  MASK_LYRICS,        /* all but audio codes */
  MASK_LYRICS_CLOSED, /* nothing special but the end token */
  MASK_ALL,           /* every token that there is */
  MASKS
};

/* A step of a closed value: token `id`, the node behind it or GRAM_LEAVE, and the least number that lies there. */
typedef struct gram_edge {
  int32_t id, to, least;
} gram_edge;

/* edge[first .. first + n), ascending by id. */
typedef struct gram_node {
  int32_t first, n;
} gram_node;

struct plan_grammar {
  const bpe *tokenizer;
  int32_t rows, known; /* logits; ids of the tokenizer */
  int32_t line_feed, end, end_of_text;
  int32_t first_barred; /* this id and all above are special, added or audio codes */
  int32_t first_code;
  int codes, code_tokens; /* valid ones; those that the tokenizer has */
  int32_t run[GRAM_MOST_RUN];
  int run_first[RUNS + 1];
  gram_node *node;
  gram_edge *edge;
  int n_nodes, n_edges;
  int root[PLAN_FIELDS]; /* GRAM_NO_TRIE: free text */
  uint8_t *trait;        /* [known] */
  uint64_t *mask[MASKS]; /* [rows / 64, rounded up] */
  int mask_count[MASKS];
};

/* Tokens behind "name:" of " value", without its line feed, as they stand in "name: value". More than GRAM_MOST_VALUE
 * is an error. */
ace_status gram_value_tokens(const plan_grammar *g, plan_field field, const char *value, int32_t out[GRAM_MOST_VALUE],
                             int *n, ace_error *err);
/* The i-th legal value of a field with closed values; NULL behind the last. */
enum { GRAM_VALUE_SIZE = 32 };
const char *gram_value(plan_field field, int i, char buffer[GRAM_VALUE_SIZE]);

/* grammar_mask.c: traits and masks; everything else is built. */
ace_status gram_build_masks(plan_grammar *g, ace_error *err);

/* grammar_given.c: fills s->given with the values of the user. */
ace_status gram_take_given(const plan_grammar *g, const plan_metadata *user, plan_grammar_state *s, ace_error *err);

/* grammar_log.c: all do nothing without a log. */
void gram_log(const plan_grammar_state *s, const char *format, ...) ACE_PRINTF(2, 3);
void gram_log_taken(const plan_grammar *g, const plan_grammar_state *s, const plan_allowed *a, int32_t token);
/* The token as a quoted string with escapes. */
enum { GRAM_SHOWN_SIZE = 96 };
const char *gram_show(const plan_grammar *g, int32_t token, char out[GRAM_SHOWN_SIZE]);

#endif
