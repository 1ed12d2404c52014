/* weights.h - which tensors the models have, and what random numbers stand for them when nothing was trained: for the
 * miniature (tiny.h) and for measuring at the published sizes (random.h).
 *
 *   weight_list l;
 *   if (weights_of_dit(&l, &cfg, &err) == ACE_OK) ...      // every tensor of the published layout, in no order
 *   weight_list_free(&l);
 */
#ifndef ACE_ENGINE_WEIGHTS_H
#define ACE_ENGINE_WEIGHTS_H

#include "formats/config.h"

enum { WEIGHTS_MAX = 1024 /* the longest published list has 829 */, WEIGHT_NAME_SIZE = 96 };

/* value = mean + deviation * normal. `split`: the second half of the values is scaled by `second` and moved by `moved`.
 * `balanced`: the taps of a filter are shifted to a sum of 0. */
typedef struct weight {
  char name[WEIGHT_NAME_SIZE];
  int rank;
  int64_t dim[3];
  double mean, deviation;
  bool split, balanced;
  double second, moved;
} weight;

typedef struct weight_list {
  weight *at; /* owned */
  int n;
} weight_list;

ace_status weights_of_dit(weight_list *l, const dit_config *cfg, ace_error *err);
ace_status weights_of_vae(weight_list *l, const vae_config *cfg, ace_error *err);
ace_status weights_of_qwen3(weight_list *l, const qwen3_config *cfg, bool language_model, ace_error *err);
/* By name. */
void weight_list_sort(weight_list *l);
void weight_list_free(weight_list *l);

int64_t weight_count(const weight *w);
/* A number for the generator of this tensor, from the names of its folder and of itself: so its numbers do not depend
 * on what else is in the file. */
uint64_t weight_seed(const char *part, const char *name);
/* The values as BF16, the same on every machine. normal: room for as many floats. */
void weight_fill(const weight *w, uint64_t seed, float *normal, uint16_t *out);

#endif
