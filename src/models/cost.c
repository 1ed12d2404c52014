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

double cost_velocity(const dit_config *cfg, int64_t frames, int64_t condition) {
  const block_config *d = &cfg->decoder;
  double patches = (double)((frames + cfg->patch - 1) / cfg->patch);
  double cross = 2.0 * d->hidden * d->head_dim * d->heads; /* q and o; k and v are there already */
  double work = 2 * patches * d->hidden * cfg->patch * (cfg->in_channels + cfg->latent_channels);
  for (int i = 0; i < cfg->layers; i++) {
    double seen =
        cfg->sliding[i] && cfg->window >= 0 && patches > 2.0 * cfg->window + 1 ? 2.0 * cfg->window + 1 : patches;
    work += 2 * patches * (block_weights_count(d) + cross) + attention_products(d, patches, seen + (double)condition);
  }
  return work;
}

double cost_condition(const dit_config *cfg, int64_t text, int64_t lyric, int64_t timbre) {
  const block_config *e = &cfg->encoder;
  double tokens = (double)(text + lyric + 1);
  double key_values = 2.0 * cfg->decoder.hidden * cfg->decoder.head_dim * cfg->decoder.kv_heads * cfg->layers;
  return 2 * block_weights_count(e) * ((double)lyric * cfg->lyric_layers + (double)timbre * cfg->timbre_layers) +
         2 * tokens * key_values;
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
  return half_cost(cfg, cfg->encoder_hidden);
}
