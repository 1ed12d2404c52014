/* latents.h - what an engine's parts do when they are asked for alone: sound to latents and back, and the language
 * model's plan of a song without the song.
 *
 *   engine_latents l;
 *   if (engine_encode(e, "song.wav", &notify, &l, &err) == ACE_OK) ... l.x[l.frames * l.width] ...
 *   free(l.x);
 */
#ifndef ACE_ENGINE_LATENTS_H
#define ACE_ENGINE_LATENTS_H

#include "engine/engine.h"

typedef struct engine_latents {
  float *x; /* [frames, width], 25 frames a second; owned, free() */
  int64_t frames;
  int width; /* 64 in the published models */
} engine_latents;

/* The means of a recording's latents. Empty on failure. */
ace_status engine_encode(ace_engine *e, const char *path, const ace_callbacks *notify, engine_latents *out,
                         ace_error *err);
/* Their sound, as it comes out of the autoencoder. Empty on failure. */
ace_status engine_decode(ace_engine *e, const engine_latents *in, const ace_callbacks *notify, audio_buffer *out,
                         ace_error *err);

/* Files of little-endian F32 without a header, `width` values a frame. A file of another length is ACE_EFORMAT, one of
 * over `most` frames ACE_EINVAL. */
ace_status engine_latents_read(const char *path, int width, int64_t most, engine_latents *out, ace_error *err);
ace_status engine_latents_write(const char *path, const engine_latents *l, ace_error *err);

/* What ace_generate lets the language model do before a song: fills what the request leaves open, and makes codes for
 * each item of `song`, which is the caller's. Seeds are those of the request. */
ace_status engine_think_alone(ace_engine *e, ace_request *request, const ace_callbacks *notify, plan_song *song,
                              ace_error *err);

#endif
