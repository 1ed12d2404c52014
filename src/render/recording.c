#include "render/recording.h"

#include <stdlib.h>
#include <string.h>

#include "models/audio_tokenizer.h"
#include "models/cost.h"

static const int64_t cores[] = {256, 128, 64, 32, 16};
enum { N_CORES = sizeof cores / sizeof *cores };

static int64_t frames_of(const vae *v, const audio_buffer *b) {
  int64_t frames = b->frames / v->cfg.hop;
  return frames > 0 ? frames : 1;
}

static size_t tokenizer_memory(const acestep_dit *m, int64_t frames) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  if (!c) return SIZE_MAX;
  audio_tokenize(c, m, tens_new(c, TENS_F32, TENS_DIMS(1, frames, m->cfg.latent_channels)));
  size_t bytes = tens_status(c) == ACE_OK ? tens_peak(c) : SIZE_MAX;
  tens_close(c);
  return bytes;
}

int64_t recording_plan(const acestep_dit *m, const vae *v, const audio_buffer *b, size_t budget, size_t *bytes) {
  size_t tokens = tokenizer_memory(m, frames_of(v, b));
  for (int i = 0; i < N_CORES && tokens <= budget; i++) {
    size_t tile = vae_encode_memory(v, cores[i] + 2 * vae_encoder_halo(&v->cfg));
    *bytes = tile > tokens ? tile : tokens;
    if (tile <= budget) return cores[i];
  }
  return 0;
}

/* What a tile's end reports. */
typedef struct encoding {
  progress *p;
  double each;
  int64_t before;
} encoding;

static void tile_done(void *user, int64_t frames, int64_t total) {
  encoding *e = user;
  progress_advance(e->p, e->each * (double)(frames - e->before));
  e->before = frames;
}

/* Means of the latents, [frames, 64]. */
static ace_status encode_means(tens_ctx *c, const vae *v, const audio_buffer *b, int64_t core, progress *p,
                               float *latents, ace_error *err) {
  int64_t frames = frames_of(v, b), width = v->cfg.encoder_hidden / 2, channels = b->channels;
  float *moments = malloc((size_t)(frames * 2 * width) * sizeof *moments);
  float *padded = NULL;
  if (b->frames < v->cfg.hop) { /* shorter than a frame */
    padded = calloc((size_t)(v->cfg.hop * channels), sizeof *padded);
    if (padded) memcpy(padded, b->samples, (size_t)(b->frames * channels) * sizeof *padded);
  }
  ace_status status =
      moments && (padded || b->frames >= v->cfg.hop) ? ACE_OK : ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  encoding e = {.p = p, .each = cost_vae_encode(&v->cfg)};
  vae_tiling tiling = {.core = core, .overlap = vae_encoder_halo(&v->cfg), .done = tile_done, .user = &e};
  if (status == ACE_OK)
    status =
        vae_encode_tiled(c, v, padded ? padded : b->samples, padded ? v->cfg.hop : b->frames, &tiling, moments, err);
  for (int64_t t = 0; status == ACE_OK && t < frames; t++)
    memcpy(latents + t * width, moments + 2 * t * width, (size_t)width * sizeof *latents);
  free(moments);
  free(padded);
  return status;
}

ace_status recording_codes(tens_ctx *c, const acestep_dit *m, const vae *v, const audio_buffer *b, int64_t core,
                           progress *p, int32_t **codes, size_t *n, ace_error *err) {
  int64_t frames = frames_of(v, b), width = m->cfg.latent_channels;
  *codes = NULL;
  *n = 0;
  if (v->cfg.encoder_hidden != 2 * width || v->cfg.audio_channels != b->channels)
    return ace_fail(err, ACE_EUNSUPPORTED, "recording: the autoencoder's latents do not fit the audio tokenizer");
  float *latents = malloc((size_t)(frames * width) * sizeof *latents);
  if (!latents) return ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  ace_status status = encode_means(c, v, b, core, p, latents, err);
  if (status == ACE_OK) {
    tens *index = audio_tokenize(c, m, tens_from(c, TENS_F32, TENS_DIMS(1, frames, width), latents)).index;
    *codes = index ? malloc((size_t)tens_count(index) * sizeof **codes) : NULL;
    if (!index) status = tens_error(c, err);
    else if (!*codes) status = ace_fail(err, ACE_ENOMEM, "recording: out of memory");
    else {
      *n = (size_t)tens_count(index);
      memcpy(*codes, tens_i32(index), *n * sizeof **codes);
    }
  }
  free(latents);
  return status;
}
