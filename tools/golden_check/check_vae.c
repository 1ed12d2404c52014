/* check_vae.c - the autoencoder, whole and in tiles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

static vae *open_vae(golden_case *k, int parts) {
  const char *name = strstr(k->name, "multipliers") ? "vae-multipliers" : "vae";
  ace_error err;
  char *folder = golden_checkpoint(k->g, name);
  vae *m = folder ? vae_open(folder, parts, &err) : NULL;
  if (!m) case_fail(k, name, err.message);
  free(folder);
  return m;
}

void check_vae_decode(golden_case *k) {
  vae *m = open_vae(k, VAE_DECODER);
  if (!m) return;
  tens_ctx *c = k->g->c;
  case_compare_product(k, "out.audio",
                       swap_last_two(c, vae_decode(c, m, swap_last_two(c, case_tensor(k, "in.latents")))));
  vae_close(m);
}

/* The first half of the channels of moments [B, T, 2n] as [B, n, T], or the second. */
static tens *half(tens_ctx *c, const tens *moments, int which) {
  if (!moments) return NULL;
  int64_t batch = moments->dim[0], frames = moments->dim[1], n = moments->dim[2] / 2;
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(batch, n, frames));
  for (int64_t b = 0; y && b < batch; b++)
    for (int64_t t = 0; t < frames; t++)
      for (int64_t i = 0; i < n; i++)
        tens_f32(y)[(b * n + i) * frames + t] = tens_f32(moments)[(b * frames + t) * 2 * n + which * n + i];
  return y;
}

void check_vae_encode(golden_case *k) {
  vae *m = open_vae(k, VAE_ENCODER);
  if (!m) return;
  tens_ctx *c = k->g->c;
  tens *moments = vae_encode(c, m, swap_last_two(c, case_tensor(k, "in.audio")));
  tens *mean = half(c, moments, 0), *scale = half(c, moments, 1);
  case_compare_product(k, "out.mean", mean);
  case_compare_product(k, "out.scale", scale);
  int64_t n = 0;
  const float *eps = case_floats(k, "in.eps", &n);
  tens *std = mean ? tens_new(c, TENS_F32, mean->rank, mean->dim) : NULL;
  tens *sample = mean ? tens_new(c, TENS_F32, mean->rank, mean->dim) : NULL;
  if (std && sample && eps && n == tens_count(mean)) {
    vae_deviation(tens_f32(scale), tens_f32(std), n);
    for (int64_t i = 0; i < n; i++) tens_f32(sample)[i] = tens_f32(mean)[i] + tens_f32(std)[i] * eps[i];
  }
  case_compare_product(k, "out.std", std);
  case_compare_product(k, "out.sample", sample);
  vae_close(m);
}

void check_vae_tiled_decode(golden_case *k) {
  vae *m = open_vae(k, VAE_DECODER);
  if (!m) return;
  tens_ctx *c = k->g->c;
  int64_t overlap = (int64_t)case_number(k, "overlap", 0), chunk = (int64_t)case_number(k, "chunk_size", 0);
  tens *x = swap_last_two(c, case_tensor(k, "in.latents"));
  if (x) {
    tens *y = tens_new(c, TENS_F32, TENS_DIMS(1, x->dim[1] * m->cfg.hop, m->cfg.audio_channels));
    vae_tiling tiling = {.core = chunk - 2 * overlap, .overlap = overlap};
    ace_error err;
    if (y && vae_decode_tiled(c, m, tens_f32(x), x->dim[1], &tiling, tens_f32(y), &err) == ACE_OK)
      case_compare_product(k, "out.audio_tiled", swap_last_two(c, y));
    else case_fail(k, "out.audio_tiled", err.message);
  }
  vae_close(m);
}

void check_vae_tiled_encode(golden_case *k) {
  vae *m = open_vae(k, VAE_ENCODER);
  if (!m) return;
  tens_ctx *c = k->g->c;
  tens *x = swap_last_two(c, case_tensor(k, "in.audio"));
  if (x) {
    int64_t hop = m->cfg.hop, frames = x->dim[1] / hop;
    int64_t overlap = (int64_t)case_number(k, "overlap", 0) / hop;
    int64_t chunk = (int64_t)case_number(k, "chunk_size", 0) / hop;
    tens *y = tens_new(c, TENS_F32, TENS_DIMS(1, frames, m->cfg.encoder_hidden));
    vae_tiling given = {.core = chunk - 2 * overlap, .overlap = overlap};
    vae_tiling whole = {.core = frames};
    ace_error err;
    if (y && vae_encode_tiled(c, m, tens_f32(x), x->dim[1], &given, tens_f32(y), &err) == ACE_OK)
      case_compare_product(k, "out.mean_tiled", half(c, y, 0));
    else case_fail(k, "out.mean_tiled", err.message);
    if (y && vae_encode_tiled(c, m, tens_f32(x), x->dim[1], &whole, tens_f32(y), &err) == ACE_OK)
      case_compare_product(k, "out.mean_full", half(c, y, 0));
    else case_fail(k, "out.mean_full", err.message);
  }
  vae_close(m);
}
