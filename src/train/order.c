#include "train/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/stream.h"

/* Fisher and Yates. */
static void shuffle(const stream *s, int *x, int n) {
  for (int i = n - 1; i > 0; i--) {
    int j = (int)stream_integer(s, i, (uint32_t)i + 1), other = x[j];
    x[j] = x[i];
    x[i] = other;
  }
}

static int ascending(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return x < y ? -1 : x > y;
}

static int kept_of(int n, double split) {
  if (n < 2 || !(split > 0)) return 0;
  int kept = (int)floor(n * split);
  return kept < 1 ? 1 : kept < n ? kept : n - 1;
}

int order_split(uint64_t seed, int n, double split, int *training, int *validation) {
  int kept = kept_of(n, split);
  stream s = stream_of(seed, STREAM_SPLIT, 0, 0, 0);
  for (int i = 0; i < n; i++) training[i] = i;
  shuffle(&s, training, n);
  memcpy(validation, training, (size_t)kept * sizeof *validation);
  qsort(validation, (size_t)kept, sizeof *validation, ascending);
  for (int i = 0, t = 0, v = 0; i < n; i++)
    if (v < kept && validation[v] == i) v++;
    else training[t++] = i;
  return kept;
}

void order_epoch(uint64_t seed, int epoch, const int *list, int n, int *out) {
  stream s = stream_of(seed, STREAM_ORDER, 0, (uint32_t)epoch, 0);
  memcpy(out, list, (size_t)n * sizeof *out);
  shuffle(&s, out, n);
}

/* By insertion, which keeps the order of equals; pieces are short. */
static void sort_piece(int *order, int n, const int64_t *lengths) {
  for (int i = 1; i < n; i++) {
    int moved = order[i], j = i;
    for (; j > 0 && lengths[order[j - 1]] > lengths[moved]; j--) order[j] = order[j - 1];
    order[j] = moved;
  }
}

void order_bucket(int *order, int n, int piece, const int64_t *lengths) {
  for (int first = 0; first < n; first += piece)
    sort_piece(order + first, n - first < piece ? n - first : piece, lengths);
}
