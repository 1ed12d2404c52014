/* Peak, length and fades. */
#include "audio/process.h"

#include <math.h>

void audio_scale(audio_buffer *b, float gain) {
  for (int64_t i = 0, n = b->frames * b->channels; i < n; i++) b->samples[i] *= gain;
}

void audio_limit_peak(audio_buffer *b) {
  float peak = audio_peak(b);
  if (!(peak > 1) || isinf(peak)) return;
  /* Division, not a gain: the peak itself becomes exactly 1. */
  for (int64_t i = 0, n = b->frames * b->channels; i < n; i++) b->samples[i] /= peak;
}

void audio_normalise(audio_buffer *b, double db) {
  float peak = audio_peak(b);
  if (!(db <= 0) || peak < 1e-6f || isinf(peak)) return;
  audio_scale(b, (float)(pow(10, db / 20) / (double)peak));
}

void audio_clip(const float *in, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = in[i] < -1 ? -1 : in[i] > 1 ? 1 : in[i];
}

/* Frames of a ramp, at most the whole sound; halves go to the even number. */
static int64_t ramp_length(const audio_buffer *b, double seconds) {
  if (!(seconds > 0)) return 0;
  double frames = nearbyint(seconds * b->sample_rate);
  return frames < (double)b->frames ? (int64_t)frames : b->frames;
}

/* Multiplies a frame; -0 would be an odd thing to find in a file, so a full fade gives +0. */
static void scale_frame(audio_buffer *b, int64_t frame, float gain) {
  for (int c = 0; c < b->channels; c++) {
    float *x = &b->samples[frame * b->channels + c];
    *x = gain == 0 ? 0 : *x * gain;
  }
}

void audio_fade(audio_buffer *b, double in_seconds, double out_seconds) {
  int64_t in = ramp_length(b, in_seconds), out = ramp_length(b, out_seconds);
  /* A ramp of one frame is its first point: 0 on the way in, 1 on the way out. */
  for (int64_t i = 0; i < in; i++) scale_frame(b, i, in > 1 ? (float)((double)i / (double)(in - 1)) : 0);
  for (int64_t i = 0; i < out && out > 1; i++)
    scale_frame(b, b->frames - 1 - i, (float)((double)i / (double)(out - 1)));
}

void audio_trim(audio_buffer *b, int64_t frames) {
  if (frames < 0) frames = 0;
  if (frames < b->frames) b->frames = frames;
}
