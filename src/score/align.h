/* align.h - from attention to time: in which frames is each token of the lyrics sung?
 *
 *   align_stack s;
 *   align_open(&s, tokens, frames, &err);
 *   for (each chosen head) align_add(&s, map, &err);         // [tokens, frames], who looks at whom
 *   align_times(&s, seconds, spans, &err);                   // spans[tokens], in seconds
 *   align_close(&s);
 *
 * Some heads of the diffusion transformer's cross-attention look at the words that they are just singing. Each map is
 * sharpened: softmax along frames times softmax along tokens, less twice the median of each token, less twice the
 * median of each frame, squared. The maps, standardised over all of them, are averaged; the cheapest monotone path
 * through the average (dynamic time warping, Sakoe & Chiba 1978) gives each token its frames.
 */
#ifndef ACE_SCORE_ALIGN_H
#define ACE_SCORE_ALIGN_H

#include "base/error.h"

typedef struct align_stack {
  int64_t tokens, frames;
  int maps;
  float *plain;        /* [tokens, frames] sum of the maps as they came */
  float *sharp;        /* [tokens, frames] sum of the sharpened maps */
  double sum, squares; /* of every value of every sharpened map */
  float *scratch;
} align_stack;

/* align_close also after a failure. */
ace_status align_open(align_stack *s, int64_t tokens, int64_t frames, ace_error *err);
/* Probabilities, 0..1; anything else is ACE_EFORMAT. The order of maps has no say. */
ace_status align_add(align_stack *s, const float *map, ace_error *err);
void align_close(align_stack *s);
/* Bytes that a stack of that size takes, the path included. */
size_t align_memory(int64_t tokens, int64_t frames);

typedef struct align_span {
  double start, end; /* seconds: the beginning of the first frame and of the last one */
} align_span;

/* spans[tokens]: starts and ends never fall from token to token, and lie within 0..seconds. When all maps together
 * prefer nothing (an untrained model) the tokens are spread evenly. */
ace_status align_times(const align_stack *s, double seconds, align_span *spans, ace_error *err);

/* The path from the first token in the first frame to the last in the last that gathers the most: one step a frame, a
 * token, or both. */
typedef struct align_step {
  int32_t token, frame;
} align_step;

/* gain [tokens, frames], finite. free(*path). */
ace_status align_path(const float *gain, int64_t tokens, int64_t frames, align_step **path, int64_t *n, ace_error *err);

#endif
