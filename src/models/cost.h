/* cost.h - how much arithmetic the models take, in floating-point operations (a multiply and an add are two). Used to
 * weigh progress and to predict time. Attention scores are left out where the products around them dominate.
 */
#ifndef ACE_COST_H
#define ACE_COST_H

#include "models/acestep_dit.h"
#include "models/qwen3.h"
#include "models/vae.h"

/* One evaluation of the velocity for `frames` latent frames under a condition of `condition` tokens, its keys and
 * values being there already. */
double cost_velocity(const dit_config *cfg, int64_t frames, int64_t condition);
/* One step of training a LoRA adapter of `rank` on all attention, for one song: forward, with the condition's keys and
 * values; back through the frozen weights, attention (2.5 times its forward: weights are computed again) and the factors;
 * `recompute`: every layer forward once more. */
double cost_lora_step(const dit_config *cfg, int64_t frames, int64_t condition, int rank, bool recompute);
/* The condition encoder and the cross-attention keys and values, for prompts of these lengths. */
double cost_condition(const dit_config *cfg, int64_t text, int64_t lyric, int64_t timbre);
/* `tokens` positions through the stack of blocks. */
double cost_qwen3(const qwen3_config *cfg, int64_t tokens);
/* Per latent frame. */
double cost_vae_decode(const vae_config *cfg);
double cost_vae_encode(const vae_config *cfg);

#endif
