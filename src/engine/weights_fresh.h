/* weights_fresh.h - first weights of a model that is going to be trained from nothing. weights.h makes models whose every
 * part can be heard and measured; these are to learn: norms of one, biases of zero, residual branches that begin small or
 * closed.
 *
 *   weights_of_dit(&l, &cfg, &err), weights_fresh(&l, cfg.layers);
 */
#ifndef ACE_ENGINE_WEIGHTS_FRESH_H
#define ACE_ENGINE_WEIGHTS_FRESH_H

#include "engine/weights.h"

/* For lists of transformers. layers: of the longest stack of blocks. */
void weights_fresh(weight_list *l, int layers);

#endif
