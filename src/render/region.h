/* region.h - the part of a recording that is made anew while the rest stays, and the music before or behind it.
 *
 *   recording            |--------------------|
 *   start 2, end 4       |     |=====|        |      a part
 *   start -3, end -1  |==|--------------------|      a new head (head: samples added in front)
 *   end beyond it        |-----------------|=====|   a new tail (tail: samples added behind)
 *
 * Everything here counts from the beginning of the recording with its head: frames at 25 Hz, samples at the
 * autoencoder's rate, of all channels at once.
 */
#ifndef ACE_RENDER_REGION_H
#define ACE_RENDER_REGION_H

#include "audio/buffer.h"
#include "request/request.h"

typedef struct region {
  bool active;         /* there is one; else only `samples` counts */
  int64_t head, tail;  /* samples of silence added on either side */
  int64_t samples;     /* of the recording with both */
  int64_t first, end;  /* frames to make: [first, end) */
  int64_t from, to;    /* samples to make: [from, to) */
  double inject_ratio; /* share of the steps after which the kept part is put back */
  int crossfade;       /* frames of the blend of latents on each side */
  int64_t ramp;        /* samples of the crossfade of sound on each side */
} region;

/* The request's region in a recording of `samples` samples at `rate`, `hop` of them a frame. Refused: a region that is
 * empty or begins behind the end, and more than an hour in all. */
ace_status region_make(const ace_request *r, int64_t samples, int rate, int hop, region *out, ace_error *err);
/* Keeps the frames within `frames`, at least one of them. */
void region_fit(region *g, int64_t frames);
/* 1 for frames to make, 0 for others; all 1 where no region is. */
void region_mask(const region *g, int64_t frames, float *mask);

/* The recording with its head and tail. When it has none, `out` only borrows from it: true is returned when `out` is
 * the caller's to free. */
ace_status region_pad(const region *g, const audio_buffer *recording, audio_buffer *out, bool *owned, ace_error *err);

/* Puts the recording (with head and tail) back around the region of `made`, ramps on either side mixing both. Outside
 * of the ramps the samples are the recording's own. What the decoder leaves over at the end, less than a frame, is
 * added when it is outside. */
ace_status region_splice(const region *g, const audio_buffer *recording, audio_buffer *made, ace_error *err);

#endif
