/* half.h - bfloat16 and IEEE half precision as bits. Rounding is to nearest even; NaN stays NaN. */
#ifndef ACE_BASE_HALF_H
#define ACE_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float bf16_to_f32(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static inline uint16_t f32_to_bf16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 0x1fu, mantissa = h & 0x3ffu, bits;
  if (exponent == 31) bits = sign | 0x7f800000u | mantissa << 13;
  else if (exponent != 0) bits = sign | (exponent + 112) << 23 | mantissa << 13;
  else {
    float tiny = (float)mantissa * 0x1p-24f;
    memcpy(&bits, &tiny, sizeof bits);
    bits |= sign;
  }
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* Beyond 65520 it is infinity. */
static inline uint16_t f32_to_f16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
  if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
  if (size < 0x38800000u) { /* below 2^-14: multiples of 2^-24, which the sum with 2^-1 rounds to */
    float magnitude;
    memcpy(&magnitude, &size, sizeof magnitude);
    magnitude += 0x1p-1f;
    memcpy(&size, &magnitude, sizeof size);
    return (uint16_t)(sign | (size - 0x3f000000u));
  }
  return (uint16_t)(sign | ((size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13));
}

#endif
