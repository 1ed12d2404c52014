#include "engine/latents.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/read.h"
#include "base/file.h"
#include "models/cost.h"
#include "render/latents.h"

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* The largest tile that the memory allows, and the bytes that it takes; 0: none. */
static int64_t tile_of(const ace_engine *e, size_t (*memory)(const vae *v, int64_t frames), int halo, size_t *bytes) {
  size_t room = engine_room(e, ckpt_mapped_bytes(e->vae->checkpoint, ""));
  for (int i = 0; i < LATENTS_TILES; i++) {
    *bytes = memory(e->vae, latents_tile[i] + 2 * halo);
    if (*bytes <= room) return latents_tile[i];
  }
  return 0;
}

static ace_status too_little(size_t bytes, ace_error *err) {
  return ace_fail(err, ACE_ENOMEM, "memory: the autoencoder needs %zu MiB; raise the limit", bytes >> 20);
}

/* ---- sound to latents -------------------------------------------------------------------------------------------- */

static ace_status encode(ace_engine *e, const audio_buffer *b, const ace_callbacks *notify, engine_latents *out,
                         ace_error *err) {
  const vae_config *v = &e->vae->cfg;
  size_t bytes;
  float *moments = NULL;
  int64_t core = tile_of(e, vae_encode_memory, vae_encoder_halo(v), &bytes);
  if (core == 0) return too_little(bytes, err);
  if (b->frames < v->hop) return ace_fail(err, ACE_EINVAL, "recording: it is shorter than a frame of the latents");
  *out = (engine_latents){.frames = b->frames / v->hop, .width = v->encoder_hidden / 2};
  ace_status status = latents_check(e->vae, b->channels, out->width, "recording", err);
  tens_ctx *c = status == ACE_OK ? engine_context(e, bytes, notify, err) : NULL;
  if (!c) return err->status;
  progress p;
  progress_start(&p, notify, cost_vae_encode(v) * (double)out->frames);
  progress_stage(&p, "encode", 0);
  status = latents_encode(c, e->vae, e->encoded, b->samples, b->frames, core, &p, &moments, err);
  out->x = status == ACE_OK ? malloc((size_t)(out->frames * out->width) * sizeof *out->x) : NULL;
  if (status == ACE_OK && !out->x) status = ace_fail(err, ACE_ENOMEM, "recording: out of memory");
  if (status == ACE_OK) status = latents_draw(moments, out->frames, out->width, NULL, out->x, err);
  free(moments);
  tens_close(c);
  return status;
}

ace_status engine_encode(ace_engine *e, const char *path, const ace_callbacks *notify, engine_latents *out,
                         ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  audio_buffer b = {0};
  *out = (engine_latents){0};
  ace_status status = engine_need_vae(e, VAE_ENCODER, err);
  if (status == ACE_OK) status = audio_read(path, &b, err);
  if (status == ACE_OK) status = audio_to_model(&b, e->vae->cfg.sampling_rate, err);
  if (status == ACE_OK) status = encode(e, &b, notify, out, err);
  audio_buffer_free(&b);
  if (status == ACE_OK) return status;
  free(out->x);
  *out = (engine_latents){0};
  return status;
}

/* ---- latents to sound -------------------------------------------------------------------------------------------- */

typedef struct decoding {
  progress p;
  int64_t frames; /* done */
  double each;
} decoding;

static void tile_done(void *user, int64_t frames, int64_t total) {
  decoding *d = user;
  progress_advance(&d->p, d->each * (double)(frames - d->frames));
  d->frames = frames;
}

ace_status engine_decode(ace_engine *e, const engine_latents *in, const ace_callbacks *notify, audio_buffer *out,
                         ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  *out = (audio_buffer){0};
  ace_status status = engine_need_vae(e, VAE_DECODER, err);
  if (status != ACE_OK) return status;
  const vae_config *v = &e->vae->cfg;
  size_t bytes;
  int64_t core = tile_of(e, vae_decode_memory, vae_decoder_halo(v), &bytes);
  if (core == 0) return too_little(bytes, err);
  if (in->frames < 1 || in->width != v->decoder_input)
    return ace_fail(err, ACE_EINVAL, "latents: %d values a frame are needed, and at least one frame", v->decoder_input);
  tens_ctx *c = engine_context(e, bytes, notify, err);
  if (!c) return err->status;
  decoding d = {.each = cost_vae_decode(v)};
  progress_start(&d.p, notify, d.each * (double)in->frames);
  progress_stage(&d.p, "decode", 0);
  vae_tiling tiling = {.core = core, .overlap = vae_decoder_halo(v), .done = tile_done, .user = &d};
  status = audio_buffer_new(out, in->frames * v->hop, v->audio_channels, v->sampling_rate, err);
  if (status == ACE_OK) status = vae_decode_tiled(c, e->vae, in->x, in->frames, &tiling, out->samples, err);
  if (status != ACE_OK) audio_buffer_free(out);
  tens_close(c);
  return status;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

ace_status engine_latents_read(const char *path, int width, int64_t most, engine_latents *out, ace_error *err) {
  size_t n, frame = (size_t)width * sizeof(float);
  *out = (engine_latents){.width = width};
  char *data = file_read(path, (size_t)most * frame + 1, &n, err);
  if (!data) return err ? err->status : ACE_EIO;
  ace_status status = ACE_OK;
  if (n > (size_t)most * frame) status = ace_fail(err, ACE_EINVAL, "latents: over %lld frames", (long long)most);
  else if (n == 0 || n % frame) status = ace_fail(err, ACE_EFORMAT, "latents: %zu bytes are no whole frames", n);
  for (size_t i = 0; status == ACE_OK && i < n / sizeof(float); i++)
    if (!isfinite(((const float *)(void *)data)[i])) status = ace_fail(err, ACE_EFORMAT, "latents: not finite");
  if (status != ACE_OK) {
    free(data);
    return status;
  }
  out->x = (float *)(void *)data, out->frames = (int64_t)(n / frame);
  return ACE_OK;
}

ace_status engine_latents_write(const char *path, const engine_latents *l, ace_error *err) {
  return file_write(path, (const char *)l->x, (size_t)(l->frames * l->width) * sizeof *l->x, err);
}

/* ---- the language model ------------------------------------------------------------------------------------------ */

ace_status engine_think_alone(ace_engine *e, ace_request *r, const ace_callbacks *notify, plan_song *song,
                              ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  uint32_t seeds[REQ_BATCH_MAX];
  progress p;
  *song = (plan_song){0};
  ace_status status = ace_request_validate(r, err);
  if (status == ACE_OK) status = req_resolve_seeds(r, NULL, seeds, err);
  progress_start(&p, notify, status == ACE_OK ? engine_think_work(e, r) : 1);
  return status == ACE_OK ? engine_think(e, r, 0, seeds, &p, notify, song, err) : status;
}
