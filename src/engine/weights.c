/* weights.c - the random weights of models that nobody trained: scaled like a fresh network, so that activations stay near
 * unit variance from layer to layer (Glorot & Bengio 2010).
 *
 * Gains that are not 1 were tuned once by measuring, and are constants: nothing measured while making a set may reach a
 * file, or the bytes would depend on the machine's arithmetic.
 */
#include "engine/weights.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/hash.h"
#include "base/rng.h"

/* The tuned gains. */
static const double VELOCITY_GAIN = 0.5; /* of the diffusion transformer: velocities of order 1 */
static const double WORDS_GAIN = 2;      /* of its cross-attention: another caption is another song */
static const double CODE_GAIN = 1.2;     /* in front of the quantiser: all levels occur */
static const double LISTEN_GAIN = 4;     /* of the autoencoder's first convolution: sound is small */
static const double UNIT_GAIN = 0.4;     /* of a residual unit, next to what it is added to */
static const double STRIDE_GAIN = 0.7;   /* makes up for what the residual units add */
static const double LATENT_GAIN = 0.8;   /* latents of order 1 */
static const double SOUND_GAIN = 0.06;   /* unit latents give a peak between 0.05 and 1 */

/* ---- lists of tensors ------------------------------------------------------------------------------------------- */

#define DIMS(...)                                                                \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { \
    __VA_ARGS__                                                                  \
  }

static weight *add(weight_list *l, double mean, double deviation, int rank, const int64_t *dim, const char *format, ...)
    ACE_PRINTF(6, 7);
static weight *add(weight_list *l, double mean, double deviation, int rank, const int64_t *dim, const char *format,
                   ...) {
  weight *w = &l->at[l->n < WEIGHTS_MAX - 1 ? l->n++ : WEIGHTS_MAX - 1];
  *w = (weight){0};
  va_list args;
  va_start(args, format);
  vsnprintf(w->name, sizeof w->name, format, args);
  va_end(args);
  w->mean = mean;
  w->deviation = deviation;
  w->rank = rank;
  memcpy(w->dim, dim, (size_t)rank * sizeof *dim);
  return w;
}

/* The usual kinds. A matrix [out, in] keeps unit variance times gain². */
#define NORM(l, n, ...)               add(l, 1, 0.05, DIMS(n), __VA_ARGS__)
#define BIAS(l, n, ...)               add(l, 0, 0.02, DIMS(n), __VA_ARGS__)
#define MATRIX(l, gain, out, in, ...) add(l, 0, (gain) / sqrt(in), DIMS(out, in), __VA_ARGS__)

static ace_status open_list(weight_list *l, ace_error *err) {
  *l = (weight_list){.at = calloc(WEIGHTS_MAX, sizeof *l->at)};
  return l->at ? ACE_OK : ace_fail(err, ACE_ENOMEM, "weights: out of memory");
}

void weight_list_free(weight_list *l) {
  free(l->at);
  *l = (weight_list){0};
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const weight *)a)->name, ((const weight *)b)->name);
}

void weight_list_sort(weight_list *l) {
  qsort(l->at, (size_t)l->n, sizeof *l->at, by_name);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

int64_t weight_count(const weight *w) {
  int64_t n = 1;
  for (int i = 0; i < w->rank; i++) n *= w->dim[i];
  return n;
}

uint64_t weight_seed(const char *part, const char *name) {
  char hex[HASH_HEX];
  hash h;
  hash_begin(&h);
  hash_add(&h, part, strlen(part));
  hash_add(&h, "/", 1);
  hash_add(&h, name, strlen(name));
  hash_end(&h, hex);
  hex[8] = 0;
  return strtoull(hex, NULL, 16);
}

void weight_fill(const weight *w, uint64_t seed, float *normal, uint16_t *out) {
  int64_t n = weight_count(w), taps = w->dim[w->rank - 1];
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, normal, n);
  for (int64_t i = 0; w->balanced && i < n; i += taps) {
    double sum = 0;
    for (int64_t k = 0; k < taps; k++) sum += normal[i + k];
    for (int64_t k = 0; k < taps; k++) normal[i + k] -= (float)(sum / (double)taps);
  }
  for (int64_t i = 0; i < n; i++) {
    double value = w->mean + w->deviation * normal[i];
    if (w->split && i >= n / 2) value = value * w->second + w->moved;
    out[i] = f32_to_bf16((float)value);
  }
}

/* ---- transformer blocks ----------------------------------------------------------------------------------------- */

static void add_attention(weight_list *l, const block_config *b, double gain, const char *name) {
  int64_t q = (int64_t)b->heads * b->head_dim, kv = (int64_t)b->kv_heads * b->head_dim, h = b->hidden;
  MATRIX(l, 1, q, h, "%s.q_proj.weight", name);
  MATRIX(l, 1, kv, h, "%s.k_proj.weight", name);
  MATRIX(l, 1, kv, h, "%s.v_proj.weight", name);
  MATRIX(l, gain, h, q, "%s.o_proj.weight", name);
  NORM(l, b->head_dim, "%s.q_norm.weight", name);
  NORM(l, b->head_dim, "%s.k_norm.weight", name);
}

static void add_mlp(weight_list *l, const block_config *b, const char *name) {
  /* silu(gate) * up of unit normals has a deviation of about 0.6 */
  MATRIX(l, 1, b->intermediate, b->hidden, "%s.gate_proj.weight", name);
  MATRIX(l, 1, b->intermediate, b->hidden, "%s.up_proj.weight", name);
  MATRIX(l, 1.6, b->hidden, b->intermediate, "%s.down_proj.weight", name);
}

static void add_blocks(weight_list *l, const block_config *b, int n, const char *stack) {
  for (int i = 0; i < n; i++) {
    char name[WEIGHT_NAME_SIZE];
    snprintf(name, sizeof name, "%.60s.%d.self_attn", stack, i);
    add_attention(l, b, 1, name);
    snprintf(name, sizeof name, "%.60s.%d.mlp", stack, i);
    add_mlp(l, b, name);
    NORM(l, b->hidden, "%s.%d.input_layernorm.weight", stack, i);
    NORM(l, b->hidden, "%s.%d.post_attention_layernorm.weight", stack, i);
  }
}

ace_status weights_of_qwen3(weight_list *l, const qwen3_config *cfg, bool language_model, ace_error *err) {
  if (open_list(l, err) != ACE_OK) return ACE_ENOMEM;
  /* A language model's table also makes its logits: small rows keep their spread near 2. */
  double embedding = language_model ? 2 / sqrt((double)cfg->block.hidden) : 1;
  add(l, 0, embedding, DIMS(cfg->vocab, cfg->block.hidden), "embed_tokens.weight");
  add_blocks(l, &cfg->block, cfg->layers, "layers");
  NORM(l, cfg->block.hidden, "norm.weight");
  return ACE_OK;
}

/* ---- diffusion transformer -------------------------------------------------------------------------------------- */

static void add_linear(weight_list *l, double gain, int64_t out, int64_t in, const char *name) {
  MATRIX(l, gain, out, in, "%s.weight", name);
  BIAS(l, out, "%s.bias", name);
}

static void add_condition_encoder(weight_list *l, const dit_config *cfg) {
  int64_t he = cfg->encoder.hidden;
  MATRIX(l, 1, he, cfg->text_hidden, "encoder.text_projector.weight");
  add_linear(l, 1, he, cfg->text_hidden, "encoder.lyric_encoder.embed_tokens");
  add_blocks(l, &cfg->encoder, cfg->lyric_layers, "encoder.lyric_encoder.layers");
  NORM(l, he, "encoder.lyric_encoder.norm.weight");
  add_linear(l, 1, he, cfg->timbre_hidden, "encoder.timbre_encoder.embed_tokens");
  add(l, 0, 1, DIMS(1, 1, he), "encoder.timbre_encoder.special_token");
  add_blocks(l, &cfg->encoder, cfg->timbre_layers, "encoder.timbre_encoder.layers");
  NORM(l, he, "encoder.timbre_encoder.norm.weight");
  add(l, 0, 1, DIMS(1, 1, he), "null_condition_emb");
}

static void add_audio_tokenizer(weight_list *l, const dit_config *cfg) {
  int64_t he = cfg->encoder.hidden;
  add_linear(l, 1, he, cfg->latent_channels, "tokenizer.audio_acoustic_proj");
  add_linear(l, 1, he, he, "tokenizer.attention_pooler.embed_tokens");
  /* A small token: what is pooled then comes from the frames, and codes vary with them. */
  add(l, 0, 0.1, DIMS(1, 1, he), "tokenizer.attention_pooler.special_token");
  add_blocks(l, &cfg->encoder, cfg->pooler_layers, "tokenizer.attention_pooler.layers");
  NORM(l, he, "tokenizer.attention_pooler.norm.weight");
  add_linear(l, CODE_GAIN, cfg->n_levels, he, "tokenizer.quantizer.project_in");
  add_linear(l, 1.5, cfg->fsq_dim, cfg->n_levels, "tokenizer.quantizer.project_out");
  add_linear(l, 1, he, cfg->fsq_dim, "detokenizer.embed_tokens");
  add(l, 0, 1, DIMS(1, cfg->pool_window, he), "detokenizer.special_tokens");
  add_blocks(l, &cfg->encoder, cfg->pooler_layers, "detokenizer.layers");
  NORM(l, he, "detokenizer.norm.weight");
  add_linear(l, 1, cfg->latent_channels, he, "detokenizer.proj_out");
}

enum { SINUSOID_WIDTH = 256 };

static void add_time_embed(weight_list *l, int64_t h, const char *name) {
  char part[WEIGHT_NAME_SIZE];
  snprintf(part, sizeof part, "decoder.%s.linear_1", name);
  add_linear(l, 1.4, h, SINUSOID_WIDTH, part); /* cosines and sines have half the variance */
  snprintf(part, sizeof part, "decoder.%s.linear_2", name);
  add_linear(l, 1.6, h, h, part);
  snprintf(part, sizeof part, "decoder.%s.time_proj", name);
  add_linear(l, 0.5, 6 * h, h, part);
}

static void add_dit_layer(weight_list *l, const dit_config *cfg, int i) {
  const block_config *b = &cfg->decoder;
  char name[WEIGHT_NAME_SIZE];
  NORM(l, b->hidden, "decoder.layers.%d.self_attn_norm.weight", i);
  NORM(l, b->hidden, "decoder.layers.%d.cross_attn_norm.weight", i);
  NORM(l, b->hidden, "decoder.layers.%d.mlp_norm.weight", i);
  add(l, 0, 0.5, DIMS(1, 6, b->hidden), "decoder.layers.%d.scale_shift_table", i);
  snprintf(name, sizeof name, "decoder.layers.%d.self_attn", i);
  add_attention(l, b, 1, name);
  snprintf(name, sizeof name, "decoder.layers.%d.cross_attn", i);
  add_attention(l, b, WORDS_GAIN, name);
  snprintf(name, sizeof name, "decoder.layers.%d.mlp", i);
  add_mlp(l, b, name);
}

static void add_decoder(weight_list *l, const dit_config *cfg) {
  int64_t h = cfg->decoder.hidden, c = cfg->latent_channels, p = cfg->patch;
  add(l, 0, 1 / sqrt((double)(cfg->in_channels * p)), DIMS(h, cfg->in_channels, p), "decoder.proj_in.1.weight");
  BIAS(l, h, "decoder.proj_in.1.bias");
  add_time_embed(l, h, "time_embed");
  add_time_embed(l, h, "time_embed_r");
  add_linear(l, 1, h, cfg->encoder.hidden, "decoder.condition_embedder");
  for (int i = 0; i < cfg->layers; i++) add_dit_layer(l, cfg, i);
  NORM(l, h, "decoder.norm_out.weight");
  add(l, 0, 0.2, DIMS(1, 2, h), "decoder.scale_shift_table");
  add(l, 0, VELOCITY_GAIN / sqrt((double)h), DIMS(h, c, p), "decoder.proj_out.1.weight");
  BIAS(l, c, "decoder.proj_out.1.bias");
}

ace_status weights_of_dit(weight_list *l, const dit_config *cfg, ace_error *err) {
  if (open_list(l, err) != ACE_OK) return ACE_ENOMEM;
  add_condition_encoder(l, cfg);
  add_audio_tokenizer(l, cfg);
  add_decoder(l, cfg);
  return ACE_OK;
}

/* ---- autoencoder ------------------------------------------------------------------------------------------------ */

/* A weight-normalised convolution [out, in, taps]: an output has `gain` times the deviation of its inputs. */
static weight *add_conv(weight_list *l, double gain, int64_t out, int64_t in, int64_t taps, bool bias,
                        const char *name) {
  add(l, gain, 0.05 * gain, DIMS(out, 1, 1), "%s.weight_g", name);
  if (bias) BIAS(l, out, "%s.bias", name);
  return add(l, 0, 1 / sqrt((double)(in * taps)), DIMS(out, in, taps), "%s.weight_v", name);
}

/* Transposed, [in, out, 2 stride]: the norm runs over what one input channel gives, and each output has two taps. */
static void add_conv_transposed(weight_list *l, double gain, int64_t in, int64_t out, int64_t stride,
                                const char *name) {
  double norm = gain * sqrt((double)(out * stride) / (double)in);
  add(l, norm, 0.05 * norm, DIMS(in, 1, 1), "%s.weight_g", name);
  add(l, 0, 1 / sqrt((double)(out * 2 * stride)), DIMS(in, out, 2 * stride), "%s.weight_v", name);
  BIAS(l, out, "%s.bias", name);
}

static void add_snake(weight_list *l, int64_t channels, const char *name) {
  add(l, 0, 0.1, DIMS(1, channels, 1), "%s.alpha", name);
  add(l, 0, 0.1, DIMS(1, channels, 1), "%s.beta", name);
}

static void add_units(weight_list *l, int64_t channels, const char *block) {
  for (int i = 1; i <= 3; i++) {
    char name[WEIGHT_NAME_SIZE];
    snprintf(name, sizeof name, "%.48s.res_unit%d.snake1", block, i);
    add_snake(l, channels, name);
    snprintf(name, sizeof name, "%.48s.res_unit%d.conv1", block, i);
    add_conv(l, 1, channels, channels, 7, true, name);
    snprintf(name, sizeof name, "%.48s.res_unit%d.snake2", block, i);
    add_snake(l, channels, name);
    snprintf(name, sizeof name, "%.48s.res_unit%d.conv2", block, i);
    add_conv(l, UNIT_GAIN, channels, channels, 1, true, name);
  }
}

/* Channel multiple before stage i = 0..stages. */
static int64_t multiple(const vae_config *cfg, int i) {
  return i == 0 ? 1 : cfg->multiples[i - 1];
}

/* The last convolution of the encoder: means, then raw deviations. Means get a wide bias, so that silence is not 0; the
 * deviations are small beside them. */
static void add_latent_conv(weight_list *l, int64_t width, int64_t in, const char *name) {
  weight *g = add(l, LATENT_GAIN, 0.05 * LATENT_GAIN, DIMS(width, 1, 1), "%s.weight_g", name);
  weight *bias = add(l, 0, 0.3, DIMS(width), "%s.bias", name);
  add(l, 0, 1 / sqrt((double)(in * 3)), DIMS(width, in, 3), "%s.weight_v", name);
  g->split = bias->split = true;
  g->second = bias->second = 0.5;
  bias->moved = -3;
}

static void add_vae_encoder(weight_list *l, const vae_config *cfg) {
  int64_t width = cfg->encoder_channels, deepest = width * multiple(cfg, cfg->stages);
  add_conv(l, LISTEN_GAIN, width, cfg->audio_channels, 7, true, "encoder.conv1");
  for (int i = 0; i < cfg->stages; i++) {
    int64_t in = width * multiple(cfg, i), out = width * multiple(cfg, i + 1);
    char block[48], name[WEIGHT_NAME_SIZE];
    snprintf(block, sizeof block, "encoder.block.%d", i);
    add_units(l, in, block);
    snprintf(name, sizeof name, "%s.snake1", block);
    add_snake(l, in, name);
    snprintf(name, sizeof name, "%s.conv1", block);
    add_conv(l, STRIDE_GAIN, out, in, 2 * cfg->strides[i], true, name);
  }
  add_snake(l, deepest, "encoder.snake1");
  add_latent_conv(l, cfg->encoder_hidden, deepest, "encoder.conv2");
}

static void add_vae_decoder(weight_list *l, const vae_config *cfg) {
  int64_t width = cfg->decoder_channels;
  add_conv(l, 1, width * multiple(cfg, cfg->stages), cfg->decoder_input, 7, true, "decoder.conv1");
  for (int i = 0; i < cfg->stages; i++) {
    int64_t in = width * multiple(cfg, cfg->stages - i), out = width * multiple(cfg, cfg->stages - i - 1);
    char block[48], name[WEIGHT_NAME_SIZE];
    snprintf(block, sizeof block, "decoder.block.%d", i);
    snprintf(name, sizeof name, "%s.snake1", block);
    add_snake(l, in, name);
    snprintf(name, sizeof name, "%s.conv_t1", block);
    add_conv_transposed(l, STRIDE_GAIN, in, out, cfg->strides[cfg->stages - i - 1], name);
    add_units(l, out, block);
  }
  add_snake(l, width, "decoder.snake1");
  /* Balanced: the constant part that snake adds stays out of the sound. */
  add_conv(l, SOUND_GAIN, cfg->audio_channels, width, 7, false, "decoder.conv2")->balanced = true;
}

ace_status weights_of_vae(weight_list *l, const vae_config *cfg, ace_error *err) {
  if (open_list(l, err) != ACE_OK) return ACE_ENOMEM;
  add_vae_encoder(l, cfg);
  add_vae_decoder(l, cfg);
  return ACE_OK;
}
