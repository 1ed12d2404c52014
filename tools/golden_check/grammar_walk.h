/* grammar_walk.h - recorded walks through constrained decoding: at each step the set of tokens that may follow. For
 * golden-check and for the tests of the grammar. */
#ifndef ACE_GOLDEN_GRAMMAR_WALK_H
#define ACE_GOLDEN_GRAMMAR_WALK_H

#include "base/json.h"
#include "planner/grammar.h"

/* The published vocabulary in `folder` with `count` audio codes from id `first` on. NULL when it cannot be read. */
bpe *walk_open_tokenizer(const char *folder, int first, int count, ace_error *err);

typedef struct walk_counts {
  int walks, steps; /* that agree */
  int wrong;        /* walks */
} walk_counts;

/* All walks of a file of format "ace-text/fsm/1" with the grammar of its vocabulary. `complain` gets a line for each
 * walk that differs. */
ace_status walk_all(const bpe *tokenizer, const json_t *file, void (*complain)(const char *line), walk_counts *counts,
                    ace_error *err);

#endif
