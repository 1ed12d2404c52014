/* dice.h - the chance of the conservatory: a stream of numbers for every purpose, so that a decision about the drums never
 * moves one about the melody.
 *
 *   dice d = dice_for(seed, "drums", 3);     // the same stream whenever the same three are given
 *   if (dice_chance(&d, 0.3)) ...
 *
 * SplitMix64 (Steele, Lea and Flood, 2014): one multiplication chain a number, good for the millions that noise takes.
 * What generates songs uses base/rng.h instead, which is bound to PyTorch's streams.
 */
#ifndef CONSERVATORY_DICE_H
#define CONSERVATORY_DICE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dice {
  uint64_t state;
} dice;

static inline uint64_t dice_next(dice *d) {
  uint64_t z = d->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline dice dice_for(uint64_t seed, const char *purpose, uint64_t number) {
  dice d = {seed * 0x9e3779b97f4a7c15u + number};
  for (; *purpose; purpose++) d.state = (d.state ^ (uint8_t)*purpose) * 0x100000001b3u;
  dice_next(&d);
  d.state ^= number << 32;
  return d;
}

/* 0 <= x < 1 */
static inline double dice_unit(dice *d) {
  return (double)(dice_next(d) >> 11) * 0x1p-53;
}
/* lo <= x < hi */
static inline double dice_between(dice *d, double lo, double hi) {
  return lo + (hi - lo) * dice_unit(d);
}
/* 0 .. n-1; n at least 1 */
static inline int dice_roll(dice *d, int n) {
  return (int)((dice_next(d) >> 32) * (uint64_t)n >> 32);
}
static inline bool dice_chance(dice *d, double p) {
  return dice_unit(d) < p;
}
/* White noise, -1 <= x < 1. */
static inline float dice_noise(dice *d) {
  return (float)(int32_t)(dice_next(d) >> 32) * 0x1p-31f;
}

#endif
