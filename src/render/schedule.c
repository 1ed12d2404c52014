/* schedule.c - timestep schedules of ACE-Step 1.5 (its model code, and the flow-matching shift of Stable Diffusion 3:
 * Esser et al., 2024). Turbo levels are computed in double and rounded once, base levels in float32 throughout, each as
 * the reference does. */
#include "render/schedule.h"

#include <math.h>
#include <stddef.h>

/* The levels that turbo models were distilled on; on a tie the earlier one is taken. */
static const double TRAINED[SCHEDULE_TURBO_STEPS] = {
    1.0,
    0.9545454545454546,
    0.9333333333333333,
    0.9,
    0.875,
    0.8571428571428571,
    0.8333333333333334,
    0.7692307692307693,
    0.75,
    0.6666666666666666,
    0.6428571428571429,
    0.625,
    0.5454545454545454,
    0.5,
    0.4,
    0.375,
    0.3,
    0.25,
    0.2222222222222222,
    0.125,
};

double schedule_shift(double t, double shift) {
  return shift * t / (1 + (shift - 1) * t);
}

/* NaN counts as 1 too. */
static double usable_shift(double shift) {
  return shift > 0 && isfinite(shift) ? shift : 1;
}

static int nearest(const double *list, int n, double value) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (fabs(list[i] - value) < fabs(list[best] - value)) best = i;
  return best;
}

static int turbo_custom(float *t, int capacity, const float *custom, int n) {
  if (n > SCHEDULE_TURBO_STEPS) n = SCHEDULE_TURBO_STEPS;
  if (n > capacity) return 0;
  for (int i = 0; i < n; i++) t[i] = (float)TRAINED[nearest(TRAINED, SCHEDULE_TURBO_STEPS, (double)custom[i])];
  return n;
}

int schedule_turbo(float *t, int capacity, double shift, int steps, const float *custom, int n_custom) {
  shift = usable_shift(shift);
  while (n_custom > 0 && custom[n_custom - 1] == 0.0f) n_custom--;
  if (n_custom > 0) return turbo_custom(t, capacity, custom, n_custom);
  int n = steps;
  if (steps <= 0) { /* the published tables are the eight-step schedules of the whole shifts */
    static const double whole[3] = {1, 2, 3};
    shift = whole[nearest(whole, 3, shift)];
    n = 8;
  }
  if (n > SCHEDULE_TURBO_STEPS) n = SCHEDULE_TURBO_STEPS;
  if (n > capacity) return 0;
  for (int i = 0; i < n; i++) t[i] = (float)schedule_shift(1 - (double)i / n, shift);
  return n;
}

/* linspace(1, 0, n) in float32, rounded as PyTorch's on a CPU with vectors of eight: counted from the nearer end, in
 * runs of eight whose first value is computed and the others stepped from it, with the last n mod 16 values one by one.
 * The last bit matters only in that a song equals the reference's. */
static void linspace_down(float *t, int n) {
  float step = -1.0f / (float)(n - 1);
  int runs = n - n % 16;
  for (int i = 0; i < n; i++) {
    int first = i < runs ? i - i % 8 : i;
    float base = first < n / 2 ? 1.0f + step * (float)first : -(step * (float)(n - 1 - first));
    t[i] = base + step * (float)(i - first);
  }
}

int schedule_base(float *t, int capacity, double shift, int steps, const float *custom, int n_custom) {
  if (n_custom > 0) {
    if (n_custom > capacity) return 0;
    for (int i = 0; i < n_custom; i++) t[i] = custom[i];
    return n_custom;
  }
  if (steps < 1 || steps >= capacity) return 0;
  shift = usable_shift(shift);
  float s = (float)shift, s1 = (float)(shift - 1);
  int n = steps + 1;
  linspace_down(t, n);
  for (int i = 0; shift != 1 && i < n; i++) t[i] = s * t[i] / (1.0f + s1 * t[i]);
  return n;
}

int schedule_truncate_for_cover(const float *t, int n, bool closed, double strength, float *start) {
  int levels = closed ? n - 1 : n, best = 0;
  if (start) *start = 1.0f;
  if (!(strength > 0) || levels < 1) return 0;
  double wanted = 1 - strength;
  for (int i = 1; i < levels; i++)
    if (fabs((double)t[i] - wanted) < fabs((double)t[best] - wanted)) best = i;
  if (start) *start = t[best];
  return best;
}
