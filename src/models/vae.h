/* vae.h - the autoencoder between latents and sound (Oobleck; Evans et al. 2024): strided convolutions, residual units
 * with dilations 1, 3, 9 and snake activations.
 *
 * Everything is time-major: audio [B, samples, channels], latents [B, frames, 64]. One frame is `hop` samples (1920).
 */
#ifndef ACE_VAE_H
#define ACE_VAE_H

#include "formats/checkpoint.h"
#include "formats/config.h"
#include "tensor/ops.h"

typedef struct vae_snake {
  tens alpha, inv_beta; /* [C]: exp(alpha), 1 / (exp(beta) + 1e-9) of the stored logarithms */
} vae_snake;

typedef struct vae_conv {
  tens w, bias; /* [O, taps, C] or, transposed, [taps, O, C]; bias [O], data NULL where the checkpoint has none */
} vae_conv;

typedef struct vae_unit {
  vae_snake snake1, snake2;
  vae_conv conv1, conv2;
} vae_unit;

typedef struct vae_block {
  vae_snake snake;
  vae_conv resample; /* strided in the encoder (last), transposed in the decoder (first) */
  vae_unit units[3];
  int stride;
} vae_block;

typedef struct vae_half {
  vae_conv first, last;
  vae_snake snake;
  vae_block blocks[CFG_MAX_STAGES];
} vae_half;

typedef struct vae {
  ckpt *checkpoint; /* owned */
  vae_config cfg;
  vae_half encoder, decoder;
} vae;

enum { VAE_DECODER = 1, VAE_ENCODER = 2 };

/* parts: which halves to load. */
vae *vae_open(const char *folder, int parts, ace_error *err);
/* The same over an open checkpoint, which it takes over, also when it fails; NULL for NULL. */
vae *vae_from(ckpt *checkpoint, int parts, ace_error *err);
void vae_close(vae *m);

/* latents [B, T, decoder_input] -> audio [B, hop*T, audio_channels]. */
tens *vae_decode(tens_ctx *c, const vae *m, const tens *latents);
/* audio [B, N, audio_channels] -> [B, N/hop, encoder_hidden]: mean in the first half of the channels, raw scale in the
 * second; standard deviation = softplus(scale) + 1e-4. */
tens *vae_encode(tens_ctx *c, const vae *m, const tens *audio);
/* Standard deviations from raw scales: softplus(scale) + 1e-4, n values. */
void vae_deviation(const float *scale, float *deviation, int64_t n);

/* ---- long signals in bounded memory: tiles with a halo, trimmed and put side by side ----------------------------- */

/* Frames on each side that can influence a frame of the result. With at least this overlap a tiled result equals the
 * untiled one to rounding. */
int vae_decoder_halo(const vae_config *cfg);
int vae_encoder_halo(const vae_config *cfg);

typedef struct vae_tiling {
  int64_t core;                                            /* frames a tile contributes */
  int64_t overlap;                                         /* frames of context on each side */
  void (*done)(void *user, int64_t frames, int64_t total); /* after each tile; may be NULL */
  void *user;
} vae_tiling;

/* latents [T, decoder_input] -> audio [hop*T, audio_channels], both in host memory of the caller. */
ace_status vae_decode_tiled(tens_ctx *c, const vae *m, const float *latents, int64_t frames, const vae_tiling *tiling,
                            float *audio, ace_error *err);
/* audio [samples, audio_channels] -> moments [samples/hop, encoder_hidden]. */
ace_status vae_encode_tiled(tens_ctx *c, const vae *m, const float *audio, int64_t samples, const vae_tiling *tiling,
                            float *moments, ace_error *err);
/* Bytes of working memory for one tile of that many frames (core + 2 overlap). */
size_t vae_decode_memory(const vae *m, int64_t frames);
size_t vae_encode_memory(const vae *m, int64_t frames);

#endif
