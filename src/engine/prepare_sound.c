/* prepare_sound.c - the first pass: a song as latents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/process.h"
#include "audio/read.h"
#include "base/file.h"
#include "engine/prepare_inner.h"
#include "engine/share.h"
#include "formats/safetensors.h"
#include "models/cost.h"
#include "render/latents.h"

/* Seconds below which a song teaches nothing. */
static const double SHORTEST = 1;

/* Noise of sampled latents, beside the id of the song. */
enum { NOISE_SEED = 42 };

static ace_status read_song(const preparing *w, const prepare_item *item, audio_buffer *b, ace_error *err) {
  const vae_config *v = &w->e->vae->cfg;
  const char *path = dataset_text(w->d, item->sample, "audio_path");
  ace_status status = audio_read(path, b, err);
  if (status == ACE_OK) status = audio_to_model(b, v->sampling_rate, err);
  if (status != ACE_OK) return status == ACE_EIO ? ace_fail(err, ACE_ENOTFOUND, "%s: cannot be read", path) : status;
  audio_trim(b, (int64_t)(w->o->max_duration * v->sampling_rate));
  if (audio_seconds(b) < SHORTEST)
    return ace_fail(err, ACE_EINVAL, "%.2f s of sound; at least %g s are needed", audio_seconds(b), SHORTEST);
  if (audio_is_silent(b)) return ace_fail(err, ACE_EINVAL, "the recording is silent");
  return latents_check(w->e->vae, b->channels, w->e->dit->cfg.latent_channels, "recording", err);
}

/* The largest tile that the memory allows; 0: none. */
static int64_t choose_tile(const preparing *w, size_t *bytes, ace_error *err) {
  const vae *v = w->e->vae;
  size_t room = engine_room(w->e, ckpt_mapped_bytes(v->checkpoint, "encoder."));
  for (int i = 0; i < LATENTS_TILES; i++) {
    *bytes = vae_encode_memory(v, latents_tile[i] + 2 * vae_encoder_halo(&v->cfg));
    if (*bytes <= room) return latents_tile[i];
  }
  ace_fail(err, ACE_ENOMEM, "memory: %zu MiB are needed to encode a song; raise the limit", *bytes >> 20);
  return 0;
}

static ace_status encode(preparing *w, const prepare_item *item, const audio_buffer *b, float *latents,
                         ace_error *err) {
  const vae *v = w->e->vae;
  int64_t frames = b->frames / v->cfg.hop;
  size_t bytes;
  int64_t tile = choose_tile(w, &bytes, err);
  tens_ctx *c = tile ? engine_context(w->e, bytes, w->notify, err) : NULL;
  if (!c) return err->status;
  share s = share_begin(&w->p, w->notify, item->work);
  ace_callbacks notify = share_callbacks(&s);
  progress own;
  progress_start(&own, &notify, cost_vae_encode(&v->cfg) * (double)frames);
  float *moments = NULL;
  ace_status status = latents_encode(c, v, w->e->encoded, b->samples, b->frames, tile, &own, &moments, err);
  tens_close(c);
  rng_noise noise;
  bool sampled = w->o->profile == SONG_TEXT_REFERENCE;
  if (sampled) {
    char hex[HASH_HEX];
    const char *id = dataset_text(w->d, item->sample, "id");
    hash_memory(id, strlen(id), hex);
    hex[16] = 0;
    rng_noise_open(&noise, RNG_TORCH_CUDA, NULL, strtoull(hex, NULL, 16) ^ NOISE_SEED);
  }
  if (status == ACE_OK)
    status = latents_draw(moments, frames, v->cfg.encoder_hidden / 2, sampled ? &noise : NULL, latents, err);
  free(moments);
  return status;
}

static ace_status write_latents(const prepare_item *item, float *latents, int64_t frames, int64_t width,
                                ace_error *err) {
  st_tensor t = {.name = "latents", .dtype = ST_F32, .rank = 2, .dim = {frames, width}, .data = latents};
  return st_write(item->latents, &t, 1, (const char *const[]){"key", item->latents_key}, 1, err);
}

/* A song of which only the words have changed has its latents in the sample that is there, rounded as they would be
 * again. Where they become part of the condition they must not be. */
static bool take_over(const preparing *w, const prepare_item *item) {
  sample s = {0};
  bool same = !w->o->cover && !w->o->again && file_exists(item->path) &&
              sample_read(item->path, &w->e->dit->silence, &s, NULL) == ACE_OK &&
              strcmp(sample_tag(&s, "latents_key"), item->latents_key) == 0 &&
              write_latents(item, s.target, s.shape.frames, s.shape.channels, NULL) == ACE_OK;
  sample_free(&s);
  return same;
}

ace_status prepare_sound(preparing *w, prepare_item *item, ace_error *err) {
  if (prepare_is_current(item->latents, item->latents_key) || take_over(w, item)) return ACE_OK;
  audio_buffer b = {0};
  ace_status status = read_song(w, item, &b, err);
  int64_t frames = status == ACE_OK ? b.frames / w->e->vae->cfg.hop : 0, width = w->e->dit->cfg.latent_channels;
  float *latents = frames ? malloc((size_t)(frames * width) * sizeof *latents) : NULL;
  if (status == ACE_OK && !latents) status = ace_fail(err, ACE_ENOMEM, "out of memory");
  if (status == ACE_OK) status = encode(w, item, &b, latents, err);
  audio_buffer_free(&b);
  if (status == ACE_OK) status = write_latents(item, latents, frames, width, err);
  free(latents);
  return status;
}
