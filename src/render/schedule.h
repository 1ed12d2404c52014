/* schedule.h - the levels of noise t (1 = noise, 0 = music) that a song passes through.
 *
 *   float t[SCHEDULE_CAPACITY];
 *   int n = schedule_turbo(t, SCHEDULE_CAPACITY, 3.0, 8, NULL, 0);     // 1, 0.9545, 0.9, ..., 0.3: n = 8 steps
 *   int m = schedule_base(t, SCHEDULE_CAPACITY, 1.0, 50, NULL, 0);     // 1, 0.98, ..., 0.02, 0: m = 51, 50 steps
 *
 * A turbo schedule leaves the final 0 out (its last step goes straight to the music); a base schedule includes it.
 * Levels are float32, rounded where the reference rounds.
 */
#ifndef ACE_RENDER_SCHEDULE_H
#define ACE_RENDER_SCHEDULE_H

#include <stdbool.h>

enum {
  SCHEDULE_CAPACITY = 1024, /* comfortable for every request; steps are at most a few hundred */
  SCHEDULE_TURBO_STEPS = 20 /* most steps of a turbo model, and the number of levels that it was trained on */
};

/* Levels of a distilled (turbo) model, in order of precedence:
 *   custom (n_custom > 0): trailing zeros dropped, at most 20 kept, each moved to the nearest trained level;
 *   steps > 0:             evenly spaced from 1, at most 20, then shifted;
 *   otherwise:             the eight-level table of the shift nearest to 1, 2 or 3.
 * Returns the number of levels, or 0 when `capacity` is too small (SCHEDULE_TURBO_STEPS always suffices). A shift that
 * is not positive counts as 1. */
int schedule_turbo(float *t, int capacity, double shift, int steps, const float *custom, int n_custom);

/* Levels of a base or SFT model, the final 0 included: `custom` as it stands when given (it should end in 0), else
 * linspace(1, 0, steps + 1), shifted. Returns the number of levels, i.e. steps + 1, or 0 when `capacity` is too small
 * or steps < 1 without a list. */
int schedule_base(float *t, int capacity, double shift, int steps, const float *custom, int n_custom);

/* Starting from a cover instead of from noise: with cover_noise_strength s > 0 the song starts at the level nearest to
 * 1 - s (the earlier one of two equally near). Returns how many leading levels to drop and gives that level in
 * *start; the first latent is start*noise + (1 - start)*cover. For s <= 0 nothing is dropped and *start is 1: noise
 * alone. n: levels in t; closed: t ends in a final 0 (base), which is not a starting level. */
int schedule_truncate_for_cover(const float *t, int n, bool closed, double strength, float *start);

/* The map of "shift" on one level: s*t / (1 + (s - 1)*t). */
double schedule_shift(double t, double shift);

#endif
