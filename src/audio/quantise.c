/* Floats to 16 and 24 bits: full scale 1.0 is 2^15 or 2^23 steps, and what lies beyond is clipped. */
#include "audio/quantise.h"

#include <math.h>

/* Triangular noise in (-1, 1): the difference of two uniforms, from one step of SplitMix64 (Steele, Lea, Flood 2014).
 */
static double triangular(quantise_dither *d) {
  uint64_t z = d->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return ((double)(z >> 32) - (double)(uint32_t)z) * 0x1p-32;
}

static double clip(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

void quantise_16(quantise_dither *d, const float *in, int16_t *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    double x = (double)in[i] * 32768, noise = d ? triangular(d) : 0;
    double y = nearbyint(x) == x ? x : nearbyint(x + noise);
    out[i] = (int16_t)clip(y, -32768, 32767);
  }
}

void quantise_24(const float *in, int32_t *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    double y = clip(nearbyint((double)in[i] * 8388608), -8388608, 8388607);
    out[i] = (int32_t)y * 256;
  }
}
