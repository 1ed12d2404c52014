/* tiny_silence.c - the latents of silence, as the miniature's own autoencoder gives them.
 *
 * The encoder sees a bounded stretch, so of a long silence only the frames near both ends differ from each other: a
 * short piece is encoded and its middle frame stands for all frames in between. The values are rounded to a grid far
 * coarser than what kernels of different machines disagree by, so that the file's bytes are the same everywhere; the
 * distance from the grid's edges is held open by a test.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tiny_parts.h"
#include "formats/torch_pt.h"
#include "models/vae.h"

static const double GRID = 50; /* values in a unit */

/* One run of the encoder over `frames` frames of zeros; the first half of its channels are the means. */
static ace_status encode_zeros(const vae *m, const tiny_job *job, int64_t frames, float *out, ace_error *err) {
  tens_options options = {.capacity = vae_encode_memory(m, frames)};
  if (job->notify) options.cancelled = job->notify->cancelled, options.user = job->notify->user;
  int64_t samples = frames * m->cfg.hop, channels = m->cfg.audio_channels, width = m->cfg.encoder_hidden;
  options.threads = pool_new(0, err);
  tens_ctx *c = options.threads ? tens_open(&options, err) : NULL;
  ace_status status = c ? ACE_OK : ACE_ENOMEM;
  tens *zeros = c ? tens_new(c, TENS_F32, TENS_DIMS(1, samples, channels)) : NULL;
  if (zeros) memset(zeros->data, 0, (size_t)(samples * channels) * sizeof(float));
  tens *y = c ? vae_encode(c, m, zeros) : NULL;
  for (int64_t t = 0; y && t < frames; t++)
    memcpy(out + t * (width / 2), tens_f32(y) + t * width, (size_t)(width / 2) * sizeof(float));
  if (c && !y) status = tens_error(c, err);
  tens_close(c);
  pool_free(options.threads);
  return status;
}

/* [frames, channels] with its middle repeated, rounded and transposed, to [channels, TINY_SILENCE_FRAMES]. */
static void extend(const float *piece, int64_t frames, int64_t channels, float *out) {
  int64_t middle = frames / 2, total = TINY_SILENCE_FRAMES;
  for (int64_t t = 0; t < total; t++) {
    int64_t from_end = total - 1 - t, at = middle;
    if (t < middle) at = t;
    else if (from_end < middle) at = frames - 1 - from_end;
    for (int64_t ch = 0; ch < channels; ch++)
      out[ch * total + t] = (float)(rint(piece[at * channels + ch] * GRID) / GRID);
  }
}

float *tiny_silence(const tiny_job *job, const char *vae_part, ace_error *err) {
  char *folder = tiny_path(job, vae_part, "", err);
  vae *m = folder ? vae_open(folder, VAE_ENCODER, err) : NULL;
  free(folder);
  if (!m) return NULL;
  int64_t frames = 2 * vae_encoder_halo(&m->cfg) + 1, channels = m->cfg.encoder_hidden / 2;
  float *piece = malloc((size_t)(frames * channels) * sizeof *piece);
  float *out = malloc((size_t)(channels * TINY_SILENCE_FRAMES) * sizeof *out);
  ace_status status =
      piece && out ? encode_zeros(m, job, frames, piece, err) : ace_fail(err, ACE_ENOMEM, "silence: out of memory");
  if (status == ACE_OK) extend(piece, frames, channels, out);
  free(piece);
  vae_close(m);
  if (status == ACE_OK) return out;
  free(out);
  return NULL;
}

ace_status tiny_write_silence(const tiny_job *job, const char *part, const float *silence, ace_error *err) {
  char *path = tiny_path(job, part, "silence_latent.pt", err);
  if (!path) return ACE_ENOMEM;
  ace_status status = pt_write(path, "silence_latent", silence, 3, (const int64_t[]){1, 64, TINY_SILENCE_FRAMES}, err);
  free(path);
  return status;
}
