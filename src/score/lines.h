/* lines.h - from tokens with times to the lines of the lyrics.
 *
 *   lyric_times t;
 *   lyric_times_make(tokenizer, ids, spans, n, &t, &err);
 *   ... t.line[0].text, t.line[0].start ...
 *   lyric_times_free(&t);
 *
 * A token that holds a line feed ends its line, the rest behind the last one is a line too. Lines lose the white space
 * around them, blank ones are left out; structural tags such as [Verse] are lines like others.
 */
#ifndef ACE_SCORE_LINES_H
#define ACE_SCORE_LINES_H

#include "score/align.h"
#include "text/bpe.h"

typedef struct lyric_token {
  int32_t id;
  double start, end; /* seconds */
  char *text;        /* what this token completes: "" while a character is unfinished */
} lyric_token;

typedef struct lyric_line {
  char *text;
  double start, end;    /* seconds, in milliseconds' steps */
  size_t first, tokens; /* of the list of tokens */
} lyric_line;

typedef struct lyric_times {
  lyric_token *token;
  size_t n_tokens;
  lyric_line *line;
  size_t n_lines;
} lyric_times;

/* On failure `out` is empty. */
ace_status lyric_times_make(const bpe *tokenizer, const int32_t *ids, const align_span *spans, size_t n,
                            lyric_times *out, ace_error *err);
void lyric_times_free(lyric_times *t);

#endif
