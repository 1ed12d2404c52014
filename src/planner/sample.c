#include "planner/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static const double COLD = 1e-6;

double plan_uniform(plan_draw_key key) {
  const uint32_t counter[4] = {key.step, key.phase, 0, 0};
  uint32_t word[4];
  rng_philox_block(key.seed, counter, word);
  uint64_t bits = ((uint64_t)word[0] << 32 | word[1]) >> 11;
  return (double)bits * 0x1p-53;
}

static int best_of(const float *x, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

/* The k-th largest of n values, by a heap of the k largest seen. */
static float kth_largest(const float *x, int n, int k, float *heap) {
  int size = 0;
  for (int i = 0; i < n; i++) {
    int at;
    if (size < k) {
      for (at = size++; at > 0 && heap[(at - 1) / 2] > x[i]; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    } else if (x[i] > heap[0]) {
      at = 0;
      for (int below; (below = 2 * at + 1) < size; at = below) {
        if (below + 1 < size && heap[below + 1] < heap[below]) below++;
        if (heap[below] >= x[i]) break;
        heap[at] = heap[below];
      }
    } else {
      continue;
    }
    heap[at] = x[i];
  }
  return heap[0];
}

/* Weights are sorted into drawers by the upper bits of their floats, so that a nucleus is found without sorting all. */
enum { DRAWER_BITS = 12, DRAWERS = 1 << DRAWER_BITS };

static int drawer_of(float weight) {
  uint32_t bits;
  memcpy(&bits, &weight, sizeof bits);
  return (int)(bits >> (31 - DRAWER_BITS)); /* weights are not negative */
}

static int larger_first(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

/* The smallest weight that belongs to the nucleus, and how many weights of exactly that size do, lowest index first. */
static float nucleus_floor(const float *weight, int n, double share, float *scratch, int *of_floor) {
  double mass[DRAWERS] = {0}, total = 0, above = 0;
  for (int i = 0; i < n; i++) mass[drawer_of(weight[i])] += weight[i];
  for (int d = 0; d < DRAWERS; d++) total += mass[d];
  int d = DRAWERS - 1;
  while (d > 0 && above + mass[d] < share * total) above += mass[d--];
  int m = 0;
  for (int i = 0; i < n; i++)
    if (drawer_of(weight[i]) == d) scratch[m++] = weight[i];
  qsort(scratch, (size_t)m, sizeof *scratch, larger_first);
  int last = 0; /* the first is kept whenever nothing lies above it */
  for (double before = above; last + 1 < m; last++) {
    before += scratch[last];
    if (before >= share * total) break;
  }
  *of_floor = 0;
  for (int i = 0; i <= last; i++) *of_floor += scratch[i] == scratch[last];
  return scratch[last];
}

static void keep_nucleus(float *weight, int n, double share, float *scratch) {
  int left;
  float floor = nucleus_floor(weight, n, share, scratch, &left);
  for (int i = 0; i < n; i++) {
    if (weight[i] < floor || (weight[i] == floor && left == 0)) weight[i] = 0;
    else if (weight[i] == floor) left--;
  }
}

int plan_draw(const plan_sampling *how, plan_draw_key key, float *logits, int n, float *scratch) {
  for (int i = 0; i < n; i++)
    if (isnan(logits[i])) logits[i] = -INFINITY;
  int best = best_of(logits, n);
  if (how->temperature <= COLD || n == 1 || logits[best] == -INFINITY) return best;
  float top = logits[best];
  if (top == INFINITY) return best;
  if (how->top_k > 0 && how->top_k < n) {
    float floor = kth_largest(logits, n, how->top_k, scratch);
    for (int i = 0; i < n; i++)
      if (logits[i] < floor) logits[i] = -INFINITY;
  }
  for (int i = 0; i < n; i++) logits[i] = expf((logits[i] - top) / (float)how->temperature);
  if (how->top_p > 0 && how->top_p < 1) keep_nucleus(logits, n, how->top_p, scratch);
  double total = 0, at = 0;
  for (int i = 0; i < n; i++) total += logits[i];
  double target = plan_uniform(key) * total;
  int last = best;
  for (int i = 0; i < n; i++) {
    if (logits[i] <= 0) continue;
    last = i;
    at += logits[i];
    if (at > target) return i;
  }
  return last;
}
