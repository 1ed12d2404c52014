#include "audio/loudness.h"

#include <ebur128.h>
#include <math.h>

#include "audio/process.h"

static ace_status read_meter(ebur128_state *meter, const audio_buffer *b, audio_loudness *out, ace_error *err) {
  if (ebur128_add_frames_float(meter, b->samples, (size_t)b->frames) != EBUR128_SUCCESS)
    return ace_fail(err, ACE_ENOMEM, "loudness: out of memory");
  double loudest = 0, lufs;
  if (ebur128_loudness_global(meter, &lufs) != EBUR128_SUCCESS)
    return ace_fail(err, ACE_EINTERNAL, "loudness: it cannot be measured");
  for (int ch = 0; ch < b->channels; ch++) {
    double peak = 0;
    if (ebur128_true_peak(meter, (unsigned)ch, &peak) != EBUR128_SUCCESS)
      return ace_fail(err, ACE_EINTERNAL, "loudness: the peak cannot be measured");
    loudest = fmax(loudest, peak);
  }
  *out = (audio_loudness){.integrated = lufs, .true_peak = loudest > 0 ? 20 * log10(loudest) : -HUGE_VAL};
  return ACE_OK;
}

ace_status audio_measure(const audio_buffer *b, audio_loudness *out, ace_error *err) {
  *out = (audio_loudness){.integrated = -HUGE_VAL, .true_peak = -HUGE_VAL};
  if (b->frames == 0) return ACE_OK;
  if (b->channels < 1 || b->channels > 2)
    return ace_fail(err, ACE_EINVAL, "loudness: %d channels are outside 1..2", b->channels);
  ebur128_state *meter =
      ebur128_init((unsigned)b->channels, (unsigned long)b->sample_rate, EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK);
  if (!meter)
    return ace_fail(err, ACE_EINVAL, "loudness: a sound at %d Hz cannot be measured, or memory is short",
                    b->sample_rate);
  ace_status status = read_meter(meter, b, out, err);
  ebur128_destroy(&meter);
  return status;
}

ace_status audio_normalise_loudness(audio_buffer *b, double target, double most_peak, ace_error *err) {
  audio_loudness now;
  ace_status status = audio_measure(b, &now, err);
  if (status != ACE_OK || isinf(now.integrated) || isinf(now.true_peak)) return status;
  audio_scale(b, (float)pow(10, fmin(target - now.integrated, most_peak - now.true_peak) / 20));
  return ACE_OK;
}
