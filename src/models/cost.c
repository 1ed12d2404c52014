#include "models/cost.h"

/* Weights of one attention (q, k, v, o) and of one gated mlp. */
static double attention_weights(const block_config *b) {
  return (double)b->hidden * b->head_dim * (2.0 * b->heads + 2.0 * b->kv_heads);
}

static double block_weights_count(const block_config *b) {
  return attention_weights(b) + 3.0 * b->hidden * b->intermediate;
}

/* Scores and weighted sums of `queries` positions over `keys` each. */
static double attention_products(const block_config *b, double queries, double keys) {
  return 4.0 * b->heads * b->head_dim * queries * keys;
}

static double patches_of(const dit_config *cfg, int64_t frames) {
  return (double)((frames + cfg->patch - 1) / cfg->patch);
}

/* Both attentions of all layers. */
static double all_attention(const dit_config *cfg, double patches, double condition) {
  double work = 0;
  for (int i = 0; i < cfg->layers; i++) {
    double seen =
        cfg->sliding[i] && cfg->window >= 0 && patches > 2.0 * cfg->window + 1 ? 2.0 * cfg->window + 1 : patches;
    work += attention_products(&cfg->decoder, patches, seen + condition);
  }
  return work;
}

/* The keys and values of the cross-attention. */
static double condition_products(const dit_config *cfg, double tokens) {
  const block_config *d = &cfg->decoder;
  return 2 * tokens * 2.0 * d->hidden * d->head_dim * d->kv_heads * cfg->layers;
}

/* All linear layers over patches; keys and values of the condition are there already. */
static double all_linear(const dit_config *cfg, double patches) {
  const block_config *d = &cfg->decoder;
  double cross = 2.0 * d->hidden * d->head_dim * d->heads; /* q and o */
  return 2 * patches *
         (d->hidden * cfg->patch * (cfg->in_channels + cfg->latent_channels) +
          cfg->layers * (block_weights_count(d) + cross));
}

double cost_velocity(const dit_config *cfg, int64_t frames, int64_t condition) {
  double patches = patches_of(cfg, frames);
  return all_linear(cfg, patches) + all_attention(cfg, patches, (double)condition);
}

double cost_lora_step(const dit_config *cfg, int64_t frames, int64_t condition, int rank, bool recompute) {
  const block_config *d = &cfg->decoder;
  double patches = patches_of(cfg, frames), tokens = (double)condition;
  double wide = d->hidden + (double)d->head_dim * d->heads, narrow = d->hidden + (double)d->head_dim * d->kv_heads;
  double factors =
      2.0 * rank * cfg->layers * (patches * (2 * wide + 2 * narrow) + patches * 2 * wide + tokens * 2 * narrow);
  double products = all_linear(cfg, patches), attention = all_attention(cfg, patches, tokens);
  double forward = products + attention + condition_products(cfg, tokens) + factors;
  return (recompute ? 2 : 1) * forward + products + 2.5 * attention + 2 * factors;
}

double cost_condition(const dit_config *cfg, int64_t text, int64_t lyric, int64_t timbre) {
  const block_config *e = &cfg->encoder;
  double tokens = (double)(text + lyric + 1);
  return 2 * block_weights_count(e) * ((double)lyric * cfg->lyric_layers + (double)timbre * cfg->timbre_layers) +
         condition_products(cfg, tokens);
}

double cost_qwen3(const qwen3_config *cfg, int64_t tokens) {
  return 2 * (double)tokens * cfg->layers * block_weights_count(&cfg->block);
}

/* Three residual units of `width` channels, a sample. */
static double units(double width) {
  enum { UNITS = 3, TAPS = 7 };
  return 2 * UNITS * width * width * (TAPS + 1);
}

static double multiple_at(const vae_config *cfg, int i) {
  return i == 0 ? 1 : cfg->multiples[i - 1];
}

/* Both directions have the same products: units at the finer side of a stage, one resampling of two taps a sample. */
static double half_cost(const vae_config *cfg, double width) {
  double rate = cfg->hop, work = 0; /* samples a frame, from the finest stage down */
  for (int i = 0; i < cfg->stages; i++) {
    double fine = width * multiple_at(cfg, i), coarse = width * multiple_at(cfg, i + 1);
    work += rate * units(fine) + 2 * rate * 2 * fine * coarse;
    rate /= cfg->strides[i];
  }
  return work;
}

double cost_vae_decode(const vae_config *cfg) {
  return half_cost(cfg, cfg->decoder_channels);
}

double cost_vae_encode(const vae_config *cfg) {
  return half_cost(cfg, cfg->encoder_channels);
}
