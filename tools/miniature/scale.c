/* scale.c - an autoencoder whose latents have the size that flow matching expects: each channel's root mean square over some
 * pieces of the conservatory becomes 1. The factors go into the weights of the encoder's last and the decoder's first
 * convolution, so that what comes out of both together stays the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conservatory/render.h"
#include "formats/safetensors.h"
#include "miniature/miniature.h"
#include "models/vae.h"
#include "render/latents.h"

enum { TILE = 250 /* frames */, CONFIG_LIMIT = 1 << 20 };

/* ---- measuring ----------------------------------------------------------------------------------------------------- */

static ace_status add_squares(tens_ctx *c, const vae *m, const audio_buffer *b, double *sum, double *frames,
                              ace_error *err) {
  int64_t width = m->cfg.encoder_hidden / 2, n = b->frames / m->cfg.hop;
  float *moments = NULL;
  ace_status status = latents_encode(c, m, NULL, b->samples, b->frames, TILE, NULL, &moments, err);
  for (int64_t t = 0; status == ACE_OK && t < n; t++)
    for (int64_t i = 0; i < width; i++)
      sum[i] += (double)moments[t * 2 * width + i] * (double)moments[t * 2 * width + i];
  *frames += (double)n;
  free(moments);
  return status;
}

/* Root mean squares [channels], free(); NULL on failure. */
static double *measure(const miniature_order *o, const vae *m, ace_error *err) {
  waves *w = waves_new(err);
  size_t bytes = vae_encode_memory(m, TILE + 2 * vae_encoder_halo(&m->cfg));
  tens_ctx *c = tens_open(&(tens_options){.threads = o->threads, .capacity = bytes}, err);
  int channels = m->cfg.encoder_hidden / 2;
  double *size = calloc((size_t)channels, sizeof *size), frames = 0;
  ace_status status = w && c && size ? ACE_OK : ace_fail(err, ACE_ENOMEM, "scale: out of memory");
  for (int i = 0; i < o->count && status == ACE_OK; i++) {
    cons_sound s = {0};
    cons_piece *p = cons_compose(&(cons_wish){.seed = o->seed + (uint64_t)i, .seconds = o->seconds}, err);
    status = p ? cons_render(p, w, &s, err) : err->status;
    if (status == ACE_OK) status = add_squares(c, m, &s.mix, size, &frames, err);
    cons_sound_free(&s);
    cons_piece_free(p);
  }
  for (int i = 0; i < channels && status == ACE_OK; i++) {
    size[i] = sqrt(size[i] / frames);
    if (!(size[i] > 1e-6 && isfinite(size[i])))
      status = ace_fail(err, ACE_EINVAL, "scale: channel %d of the latents is silent", i);
  }
  tens_close(c);
  free((void *)w);
  if (status == ACE_OK) return size;
  free(size);
  return NULL;
}

/* ---- weights ------------------------------------------------------------------------------------------------------- */

/* All tensors of a checkpoint, in F32. */
typedef struct weights_file {
  st_tensor *tensor;
  int n;
} weights_file;

static float *data_of(const weights_file *f, const char *name, int64_t *count) {
  for (int i = 0; i < f->n; i++)
    if (strcmp(f->tensor[i].name, name) == 0) {
      if (count) *count = f->tensor[i].count;
      return (float *)f->tensor[i].data;
    }
  return NULL;
}

static ace_status widen(const ckpt *k, weights_file *f, ace_error *err) {
  f->tensor = calloc((size_t)ckpt_tensor_count(k) + 1, sizeof *f->tensor);
  for (; f->tensor && f->n < ckpt_tensor_count(k); f->n++) {
    const st_tensor *t = ckpt_at(k, f->n);
    float *x = malloc((size_t)t->count * sizeof *x);
    if (!x) break;
    st_widen(t, 0, t->count, x);
    f->tensor[f->n] = *t;
    f->tensor[f->n].dtype = ST_F32;
    f->tensor[f->n].data = x;
    f->tensor[f->n].size = (size_t)t->count * sizeof *x;
  }
  return f->tensor && f->n == ckpt_tensor_count(k) ? ACE_OK : ace_fail(err, ACE_ENOMEM, "scale: out of memory");
}

/* Means by 1 / size; raw deviations, which are near their logarithms, lower by log size. */
static void scale_encoder(float *gain, float *bias, const double *size, int channels) {
  for (int i = 0; i < channels; i++) {
    gain[i] = (float)((double)gain[i] / size[i]);
    bias[i] = (float)((double)bias[i] / size[i]);
    bias[channels + i] = (float)((double)bias[channels + i] - log(size[i]));
  }
}

/* v [out, channels, taps] under norms g [out]: each input by its size. */
static void scale_decoder(float *g, float *v, int64_t out, int channels, int64_t taps, const double *size) {
  for (int64_t o = 0; o < out; o++) {
    float *row = v + o * channels * taps;
    double before = 0, after = 0;
    for (int64_t i = 0; i < channels * taps; i++) before += (double)row[i] * (double)row[i];
    for (int64_t i = 0; i < channels * taps; i++) row[i] = (float)((double)row[i] * size[i / taps]);
    for (int64_t i = 0; i < channels * taps; i++) after += (double)row[i] * (double)row[i];
    g[o] = (float)((double)g[o] * sqrt(after / before));
  }
}

static ace_status scale_weights(const weights_file *f, const double *size, int channels, ace_error *err) {
  int64_t outputs = 0, values = 0;
  float *gain = data_of(f, "encoder.conv2.weight_g", NULL), *bias = data_of(f, "encoder.conv2.bias", NULL);
  float *g = data_of(f, "decoder.conv1.weight_g", &outputs), *v = data_of(f, "decoder.conv1.weight_v", &values);
  if (!gain || !bias || !g || !v) return ace_fail(err, ACE_EFORMAT, "scale: the autoencoder lacks its convolutions");
  scale_encoder(gain, bias, size, channels);
  scale_decoder(g, v, outputs, channels, values / outputs / channels, size);
  return ACE_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static ace_status write_folder(const miniature_order *o, const weights_file *f, ace_error *err) {
  size_t n = 0;
  char *from = file_join(o->vae, "config.json"), *config = file_join(o->folder, "config.json");
  char *path = file_join(o->folder, "diffusion_pytorch_model.safetensors");
  ace_status status = from && config && path ? ACE_OK : ace_fail(err, ACE_ENOMEM, "scale: out of memory");
  if (status == ACE_OK) status = file_make_directory(o->folder, err);
  char *text = status == ACE_OK ? file_read(from, CONFIG_LIMIT, &n, err) : NULL;
  if (status == ACE_OK) status = text ? file_write(config, text, n, err) : err->status;
  if (status == ACE_OK) status = st_write(path, f->tensor, f->n, (const char *const[]){"format", "pt"}, 1, err);
  free(from), free(config), free(path), free(text);
  return status;
}

ace_status miniature_scale(const miniature_order *o, ace_error *err) {
  weights_file f = {0};
  vae *m = vae_open(o->vae, VAE_ENCODER | VAE_DECODER, err); /* both: their shapes are checked */
  double *size = m ? measure(o, m, err) : NULL;
  ace_status status = size ? widen(m->checkpoint, &f, err) : err->status;
  if (status == ACE_OK) status = scale_weights(&f, size, m->cfg.encoder_hidden / 2, err);
  if (status == ACE_OK) status = write_folder(o, &f, err);
  for (int i = 0; i < f.n; i++) free((void *)f.tensor[i].data);
  free(f.tensor), free(size);
  vae_close(m);
  return status;
}
