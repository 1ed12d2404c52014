/* Change of sample rate by libsoxr. */
#include "audio/resample.h"

#include <soxr.h>
#include <stdlib.h>

enum { BLOCK_FRAMES = 1 << 16 };

/* Feeds all of `in` and takes at most `room` frames. Returns NULL or the reason. */
static soxr_error_t run(soxr_t r, const audio_buffer *in, float *out, int64_t room) {
  int64_t used = 0, made = 0;
  for (;;) {
    size_t give = (size_t)(in->frames - used < BLOCK_FRAMES ? in->frames - used : BLOCK_FRAMES);
    size_t want = (size_t)(room - made < BLOCK_FRAMES ? room - made : BLOCK_FRAMES);
    size_t took = 0, got = 0;
    /* A NULL input tells soxr that the sound is over and its tail may come out. */
    const float *from = give ? in->samples + used * in->channels : NULL;
    soxr_error_t e = soxr_process(r, from, give, &took, out + made * in->channels, want, &got);
    if (e) return e;
    used += (int64_t)took;
    made += (int64_t)got;
    if (made >= room || (!give && !got)) return NULL;
  }
}

ace_status audio_resampled(const audio_buffer *b, int sample_rate, audio_buffer *out, ace_error *err) {
  *out = (audio_buffer){0};
  if (sample_rate < AUDIO_RATE_LEAST || sample_rate > AUDIO_RATE_MOST || b->sample_rate < AUDIO_RATE_LEAST ||
      b->sample_rate > AUDIO_RATE_MOST)
    return ace_fail(err, ACE_EINVAL, "audio: cannot resample from %d Hz to %d Hz, both must be in %d..%d",
                    b->sample_rate, sample_rate, AUDIO_RATE_LEAST, AUDIO_RATE_MOST);
  if (b->frames > INT64_MAX / AUDIO_RATE_MOST / 4)
    return ace_fail(err, ACE_EINVAL, "audio: %lld frames are too many to resample", (long long)b->frames);

  /* round(frames * new / old), halves up. The silence that a new buffer holds covers the odd frame soxr may not give.
   */
  int64_t frames = (2 * b->frames * sample_rate + b->sample_rate) / (2 * (int64_t)b->sample_rate);
  ace_status status = audio_buffer_new(out, frames, b->channels, sample_rate, err);
  if (status != ACE_OK) return status;

  soxr_error_t e = NULL;
  soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
  soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  soxr_t r = soxr_create(b->sample_rate, sample_rate, (unsigned)b->channels, &e, &io, &quality, &runtime);
  if (r && !e) e = run(r, b, out->samples, frames);
  soxr_delete(r);
  if (r && !e) return ACE_OK;
  audio_buffer_free(out);
  return ace_fail(err, ACE_ENOMEM, "audio: cannot resample from %d Hz to %d Hz: %s", b->sample_rate, sample_rate,
                  e ? e : "out of memory");
}

ace_status audio_resample(audio_buffer *b, int sample_rate, ace_error *err) {
  if (sample_rate == b->sample_rate) return ACE_OK;
  audio_buffer out;
  ace_status status = audio_resampled(b, sample_rate, &out, err);
  if (status != ACE_OK) return status;
  audio_buffer_free(b);
  *b = out;
  return ACE_OK;
}
