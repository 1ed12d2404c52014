#include "train/autoencoder_init.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/notify.h"
#include "formats/config.h"
#include "formats/safetensors.h"
#include "train/lapped.h"
#include "train/stream.h"

enum {
  CHANNELS = 2,
  UNITS = 3,
  UNIT_TAPS = 7,
  EDGE_TAPS = 7,
  LATENT_TAPS = 3,
  PIECES = 48, /* of sound that the transform is made for */
  PIECE_SECONDS = 2,
  NAME_SIZE = 96,
  CONFIG_LIMIT = 1 << 16,
  TENSORS_MOST = 64 * CFG_MAX_STAGES
};

/* What residual units add at first; 1 / e^x of the snakes in front of strides; of channels that are free; the first
 * deviation of latents, as a raw scale. */
static const double unit_gain = 0.05, straight = 3, free_gain = 0.5, free_sound = 0.02, raw_scale = -2.97;

typedef struct making {
  vae_config cfg;
  uint64_t seed;
  int n;
  st_tensor tensor[TENSORS_MOST];
  char name[TENSORS_MOST][NAME_SIZE];
  bool failed;
  ace_error *err;
} making;

/* What the linear codec knows of a stage: channels in front of it and behind it that it uses, their deviations, and its
 * directions [behind][front * stride]. */
typedef struct stage {
  int stride, front, behind;
  double *front_deviation, *behind_deviation, *direction;
} stage;

/* ---- tensors ------------------------------------------------------------------------------------------------------ */

/* Zeros [a, b, c], or [a] where b is 0. A failure sticks; then some memory that is of no use. */
static float *add(making *m, int64_t a, int64_t b, int64_t c, const char *format, ...) ACE_PRINTF(5, 6);
static float *add(making *m, int64_t a, int64_t b, int64_t c, const char *format, ...) {
  int64_t count = b ? a * b * c : a;
  float *x = m->n < TENSORS_MOST ? calloc((size_t)count, sizeof *x) : NULL;
  if (!x) {
    if (!m->failed) ace_fail(m->err, ACE_ENOMEM, "train: out of memory for first weights");
    m->failed = true;
    return NULL;
  }
  va_list list;
  va_start(list, format);
  vsnprintf(m->name[m->n], NAME_SIZE, format, list);
  va_end(list);
  m->tensor[m->n] = (st_tensor){.name = m->name[m->n],
                                .dtype = ST_F32,
                                .rank = b ? 3 : 1,
                                .dim = {a, b, c},
                                .count = count,
                                .data = x,
                                .size = (size_t)count * sizeof *x};
  m->n++;
  return x;
}

static void add_snake(making *m, int64_t channels, double beta, const char *name) {
  add(m, 1, channels, 1, "%s.alpha", name);
  float *b = add(m, 1, channels, 1, "%s.beta", name);
  for (int64_t i = 0; b && i < channels; i++) b[i] = (float)beta;
}

/* v [a, b, taps] of a convolution. Each v[i] is random, of length `gain` until set_lengths. NULL after a failure. */
typedef struct conv {
  float *g, *v, *bias;
  int64_t a, n; /* n: of v[i] */
} conv;

static conv add_conv(making *m, double gain, int64_t a, int64_t b, int64_t taps, int64_t bias, const char *name) {
  conv w = {.a = a, .n = b * taps};
  if (bias) w.bias = add(m, bias, 0, 0, "%s.bias", name);
  w.g = add(m, a, 1, 1, "%s.weight_g", name);
  int index = m->n + 1;
  w.v = add(m, a, b, taps, "%s.weight_v", name);
  if (m->failed) return w;
  stream s = stream_of(m->seed, STREAM_INIT, (uint32_t)index, 0, 0);
  stream_normal(&s, 0, a * w.n, w.v);
  for (int64_t i = 0; i < a * w.n; i++) w.v[i] *= (float)(gain / sqrt((double)w.n));
  return w;
}

/* The weights that are to run stand in v: g takes their lengths. */
static void set_lengths(making *m, const conv *w) {
  for (int64_t i = 0; !m->failed && i < w->a; i++) {
    double sum = 0;
    for (int64_t j = 0; j < w->n; j++) sum += pow((double)w->v[i * w->n + j], 2);
    w->g[i] = (float)sqrt(sum);
  }
}

static void add_units(making *m, int64_t channels, const char *block) {
  char name[NAME_SIZE];
  for (int i = 1; i <= UNITS; i++) {
    snprintf(name, sizeof name, "%.60s.res_unit%d.snake1", block, i);
    add_snake(m, channels, 0, name);
    snprintf(name, sizeof name, "%.60s.res_unit%d.conv1", block, i);
    conv w = add_conv(m, 1, channels, channels, UNIT_TAPS, channels, name);
    set_lengths(m, &w);
    snprintf(name, sizeof name, "%.60s.res_unit%d.snake2", block, i);
    add_snake(m, channels, 0, name);
    snprintf(name, sizeof name, "%.60s.res_unit%d.conv2", block, i);
    w = add_conv(m, unit_gain, channels, channels, 1, channels, name);
    set_lengths(m, &w);
  }
}

/* ---- the codec as convolutions -------------------------------------------------------------------------------------- */

static int64_t multiple(const vae_config *cfg, int i) {
  return i == 0 ? 1 : cfg->multiples[i - 1];
}

/* Tap k of channel `front` for direction `behind`. */
static double kernel(const stage *s, int behind, int front, int k) {
  const double *d = s->direction + ((int64_t)behind * s->front + front) * s->stride;
  double sum = 0;
  for (int i = 0; i < s->stride; i++) sum += d[i] * lapped_basis(s->stride, i, k);
  return sum;
}

static void add_encoder_stride(making *m, const stage *s, int64_t in, int64_t out, const char *name) {
  int taps = 2 * s->stride;
  conv w = add_conv(m, free_gain, out, in, taps, out, name);
  for (int o = 0; !m->failed && o < s->behind; o++) {
    memset(w.v + o * w.n, 0, (size_t)w.n * sizeof *w.v);
    for (int c = 0; c < s->front; c++)
      for (int k = 0; k < taps; k++)
        w.v[o * w.n + c * taps + k] = (float)(kernel(s, o, c, k) * s->front_deviation[c] / s->behind_deviation[o]);
  }
  set_lengths(m, &w);
}

static void add_decoder_stride(making *m, const stage *s, int64_t in, int64_t out, const char *name) {
  int taps = 2 * s->stride;
  conv w = add_conv(m, free_sound * sqrt((double)(out * taps)), in, out, taps, out, name);
  for (int o = 0; !m->failed && o < s->behind; o++)
    for (int c = 0; c < s->front; c++)
      for (int k = 0; k < taps; k++)
        w.v[o * w.n + c * taps + k] = (float)(kernel(s, o, c, k) * s->behind_deviation[o] / s->front_deviation[c]);
  set_lengths(m, &w);
}

/* Sum and difference of left and right, each divided by sqrt 2: the channels that the codec begins with. */
static double side_of(int channel, int ear) {
  return channel && ear ? -0.70710678118654752 : 0.70710678118654752;
}

static void add_encoder(making *m, const stage *s, const stage *latent) {
  const vae_config *cfg = &m->cfg;
  int64_t width = cfg->encoder_channels;
  char block[NAME_SIZE], name[NAME_SIZE + 16];
  conv w = add_conv(m, 1 / s[0].front_deviation[0], width, CHANNELS, EDGE_TAPS, width, "encoder.conv1");
  for (int c = 0; !m->failed && c < s[0].front; c++) {
    memset(w.v + c * w.n, 0, (size_t)w.n * sizeof *w.v);
    for (int ear = 0; ear < CHANNELS; ear++)
      w.v[c * w.n + ear * EDGE_TAPS + EDGE_TAPS / 2] = (float)(side_of(c, ear) / s[0].front_deviation[c]);
  }
  set_lengths(m, &w);
  for (int i = 0; i < cfg->stages; i++) {
    int64_t in = width * multiple(cfg, i), out = width * multiple(cfg, i + 1);
    snprintf(block, sizeof block, "encoder.block.%d", i);
    add_units(m, in, block);
    snprintf(name, sizeof name, "%s.snake1", block);
    add_snake(m, in, straight, name);
    snprintf(name, sizeof name, "%s.conv1", block);
    add_encoder_stride(m, &s[i], in, out, name);
  }
  int64_t deepest = width * multiple(cfg, cfg->stages);
  add_snake(m, deepest, straight, "encoder.snake1");
  w = add_conv(m, 0.02, cfg->encoder_hidden, deepest, LATENT_TAPS, cfg->encoder_hidden, "encoder.conv2");
  for (int o = 0; !m->failed && o < latent->behind; o++) {
    memset(w.v + o * w.n, 0, (size_t)w.n * sizeof *w.v);
    for (int c = 0; c < latent->front; c++)
      w.v[o * w.n + c * LATENT_TAPS + LATENT_TAPS / 2] =
          (float)(latent->direction[o * latent->front + c] * latent->front_deviation[c] / latent->behind_deviation[o]);
  }
  for (int o = cfg->encoder_hidden / 2; !m->failed && o < cfg->encoder_hidden; o++) w.bias[o] = (float)raw_scale;
  set_lengths(m, &w);
}

static void add_decoder(making *m, const stage *s, const stage *latent) {
  const vae_config *cfg = &m->cfg;
  int64_t width = cfg->decoder_channels, deepest = width * multiple(cfg, cfg->stages);
  char block[NAME_SIZE], name[NAME_SIZE + 16];
  conv w = add_conv(m, free_gain, deepest, cfg->decoder_input, EDGE_TAPS, deepest, "decoder.conv1");
  for (int c = 0; !m->failed && c < latent->front; c++) {
    memset(w.v + c * w.n, 0, (size_t)w.n * sizeof *w.v);
    for (int o = 0; o < latent->behind; o++)
      w.v[c * w.n + o * EDGE_TAPS + EDGE_TAPS / 2] =
          (float)(latent->direction[o * latent->front + c] * latent->behind_deviation[o] / latent->front_deviation[c]);
  }
  set_lengths(m, &w);
  for (int i = 0; i < cfg->stages; i++) {
    int from = cfg->stages - 1 - i;
    int64_t in = width * multiple(cfg, from + 1), out = width * multiple(cfg, from);
    snprintf(block, sizeof block, "decoder.block.%d", i);
    snprintf(name, sizeof name, "%s.snake1", block);
    add_snake(m, in, straight, name);
    snprintf(name, sizeof name, "%s.conv_t1", block);
    add_decoder_stride(m, &s[from], in, out, name);
    add_units(m, out, block);
  }
  add_snake(m, width, straight, "decoder.snake1");
  w = add_conv(m, free_sound, CHANNELS, width, EDGE_TAPS, 0, "decoder.conv2");
  for (int ear = 0; !m->failed && ear < CHANNELS; ear++)
    for (int c = 0; c < s[0].front; c++)
      for (int k = 0; k < EDGE_TAPS; k++)
        w.v[ear * w.n + c * EDGE_TAPS + k] =
            k == EDGE_TAPS / 2 ? (float)(side_of(c, ear) * s[0].front_deviation[c]) : 0;
  set_lengths(m, &w);
}

/* ---- the codec ---------------------------------------------------------------------------------------------------- */

static int at_most(int64_t a, int64_t b) {
  return (int)(a < b ? a : b);
}

/* Sum and difference of crops of sounds, spread over all of them. */
static ace_status first_signal(const making *m, const sound_set *sounds, lapped_signal *out, ace_error *err) {
  int64_t frames = PIECE_SECONDS * m->cfg.sampling_rate / m->cfg.hop * m->cfg.hop;
  for (int i = 0; i < sounds->n; i++) frames = sounds->frames[i] < frames ? sounds->frames[i] : frames;
  frames = frames / m->cfg.hop * m->cfg.hop;
  *out = (lapped_signal){.pieces = PIECES, .channels = CHANNELS, .frames = frames};
  if (!frames) return ace_fail(err, ACE_EINVAL, "train: a sound is shorter than a latent frame");
  out->x = malloc((size_t)(PIECES * frames * CHANNELS) * sizeof *out->x);
  if (!out->x) return ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  for (int i = 0; i < PIECES; i++) {
    int sound = (int)((int64_t)i * sounds->n / PIECES);
    stream s = stream_of(m->seed, STREAM_CROP, 1, 0, (uint32_t)i);
    int64_t first = stream_integer(&s, 0, (uint32_t)(sounds->frames[sound] - frames) + 1);
    float *x = out->x + i * frames * CHANNELS;
    sound_set_crop(sounds, sound, first, frames, x);
    for (int64_t t = 0; t < frames; t++) {
      double l = (double)x[2 * t], r = (double)x[2 * t + 1];
      x[2 * t] = (float)(side_of(0, 0) * l + side_of(0, 1) * r),
            x[2 * t + 1] = (float)(side_of(1, 0) * l + side_of(1, 1) * r);
    }
  }
  return ACE_OK;
}

/* A stage that turns `in` into `in` with `most` channels at most; stride 1: no transform. */
static ace_status learn_stage(stage *s, lapped_signal *in, int stride, int64_t most, uint64_t seed, ace_error *err) {
  lapped_signal turned = *in, out = {0};
  *s = (stage){.stride = stride, .front = in->channels};
  s->front_deviation = malloc((size_t)s->front * sizeof(double));
  ace_status status = s->front_deviation ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  if (status != ACE_OK) return status;
  lapped_deviations(in, s->front_deviation);
  if (stride > 1) status = lapped_transform(in, stride, &turned, err);
  s->behind = at_most(turned.channels, most);
  s->direction = malloc((size_t)s->behind * (size_t)turned.channels * sizeof(double));
  s->behind_deviation = malloc((size_t)s->behind * sizeof(double));
  if (status == ACE_OK && (!s->direction || !s->behind_deviation))
    status = ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  if (status == ACE_OK) status = lapped_components(&turned, s->behind, seed, s->direction, err);
  if (status == ACE_OK) status = lapped_project(&turned, s->direction, s->behind, &out, err);
  if (status == ACE_OK) lapped_deviations(&out, s->behind_deviation);
  if (turned.x != in->x) free(turned.x);
  free(in->x);
  *in = out;
  return status;
}

static ace_status learn(making *m, const sound_set *sounds, stage *stages, const ace_callbacks *notify) {
  const vae_config *cfg = &m->cfg;
  lapped_signal x = {0};
  ace_status status = first_signal(m, sounds, &x, m->err);
  for (int i = 0; i <= cfg->stages && status == ACE_OK; i++) {
    bool last = i == cfg->stages;
    int64_t encoder = cfg->encoder_channels * multiple(cfg, last ? i : i + 1);
    int64_t decoder = cfg->decoder_channels * multiple(cfg, last ? i : i + 1),
            most = encoder < decoder ? encoder : decoder;
    if (notify_stopped(notify)) status = ace_fail(m->err, ACE_ECANCELED, "train: stopped");
    else
      status = learn_stage(&stages[i], &x, last ? 1 : cfg->strides[i], last ? cfg->decoder_input : most,
                           m->seed + (uint64_t)i, m->err);
  }
  free(x.x);
  return status;
}

static ace_status write_all(making *m, const char *folder, const char *text, size_t length) {
  char *config = file_join(folder, "config.json"), *weights = file_join(folder, "diffusion_pytorch_model.safetensors");
  ace_status status = config && weights ? file_make_directory(folder, m->err)
                                        : ace_fail(m->err, ACE_ENOMEM, "train: out of memory for first weights");
  if (status == ACE_OK) status = st_write(weights, m->tensor, m->n, (const char *const[]){"format", "pt"}, 1, m->err);
  if (status == ACE_OK) status = file_write(config, text, length, m->err);
  free(config), free(weights);
  return status;
}

static ace_status read_config(making *m, const char *config, const char *text, size_t length) {
  json_t *json = json_parse(text, length, config, m->err);
  ace_status status = json ? cfg_read_vae(json, config, &m->cfg, m->err) : m->err->status;
  json_decref(json);
  if (status != ACE_OK) return status;
  if (m->cfg.audio_channels != CHANNELS || m->cfg.encoder_hidden != 2 * m->cfg.decoder_input)
    return ace_fail(m->err, ACE_EUNSUPPORTED,
                    "%s: not stereo, or encoder_hidden_size is not twice decoder_input_channels", config);
  for (int i = 0; i < m->cfg.stages; i++)
    if (m->cfg.strides[i] % 2 != 0)
      return ace_fail(m->err, ACE_EUNSUPPORTED,
                      "%s: downsampling_ratios: %d is odd; such a model cannot decode in tiles", config,
                      m->cfg.strides[i]);
  return ACE_OK;
}

ace_status autoencoder_init(const char *folder, const char *config, const sound_set *sounds, uint64_t seed,
                            const ace_callbacks *notify, ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  size_t length = 0;
  char *text = file_read(config, CONFIG_LIMIT, &length, err);
  if (!text) return err->status;
  making *m = calloc(1, sizeof *m);
  stage stages[CFG_MAX_STAGES + 1] = {{0}};
  ace_status status = m ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory for first weights");
  if (m) m->seed = seed, m->err = err;
  if (status == ACE_OK) status = read_config(m, config, text, length);
  if (status == ACE_OK) status = learn(m, sounds, stages, notify);
  if (status == ACE_OK) {
    add_encoder(m, stages, &stages[m->cfg.stages]);
    add_decoder(m, stages, &stages[m->cfg.stages]);
    status = m->failed ? err->status : write_all(m, folder, text, length);
  }
  for (int i = 0; m && i < m->n; i++) free((void *)(uintptr_t)m->tensor[i].data);
  for (int i = 0; i <= CFG_MAX_STAGES; i++)
    free(stages[i].front_deviation), free(stages[i].behind_deviation), free(stages[i].direction);
  free(m), free(text);
  return status;
}
