/* ops_fsq.c - finite scalar quantisation (Mentzer et al. 2023): d numbers in -1..1, each on one of its levels, and the
 * index that they spell in mixed radix, first digit fastest. */
#include "tensor/grad.h"

#include <string.h>

enum { MAX_DIGITS = 16 };

/* Levels of 2 or more whose product is an I32. */
static bool levels_fit(tens_ctx *c, const char *op, const int *levels, int d) {
  if (d < 1 || d > MAX_DIGITS) {
    tens_fail(c, ACE_EINVAL, "%s: %d levels are outside 1..%d", op, d, (int)MAX_DIGITS);
    return false;
  }
  int64_t product = 1;
  for (int i = 0; i < d; i++) {
    if (levels[i] < 2 || levels[i] > INT32_MAX / product) {
      tens_fail(c, ACE_EINVAL, "%s: level %d of digit %d is outside 2..%lld", op, levels[i], i,
                (long long)(INT32_MAX / product));
      return false;
    }
    product *= levels[i];
  }
  return true;
}

static bool digits_fit(tens_ctx *c, const char *op, const tens *x, int d) {
  if (op_last(x) == d) return true;
  tens_fail(c, ACE_EINVAL, "%s: x %s has not %d digits", op, TENS_SHAPE(x), d);
  return false;
}

/* ---- fsq_quantize: numbers -> codes on their levels ------------------------------------------------------------- */

tens *op_fsq_quantize(tens_ctx *c, const tens *z, const int *levels, int d) {
  if (!op_begin(c) || !op_arg(c, "fsq_quantize", "z", z, OP_F32, 1, 4) || !levels_fit(c, "fsq_quantize", levels, d) ||
      !digits_fit(c, "fsq_quantize", z, d))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, z, d);
  if (y && !c->plan) c->device->fsq_quantize(c, y, z, levels, d);
  grad_levels saved = {{0}};
  memcpy(saved.level, levels, (size_t)d * sizeof *levels);
  return tape_note(c, op_end(c, y), grad_fsq_quantize, TAPE_IN(z), &saved, sizeof saved);
}

/* ---- fsq_index: codes -> index ---------------------------------------------------------------------------------- */

tens *op_fsq_index(tens_ctx *c, const tens *codes, const int *levels, int d) {
  if (!op_begin(c) || !op_arg(c, "fsq_index", "codes", codes, OP_F32, 2, 4) || !levels_fit(c, "fsq_index", levels, d) ||
      !digits_fit(c, "fsq_index", codes, d))
    return NULL;
  tens *y = tens_new(c, TENS_I32, codes->rank - 1, codes->dim);
  if (y && !c->plan) c->device->fsq_index(c, y, codes, levels, d);
  return op_end(c, y);
}

/* ---- fsq_codes: index -> codes ---------------------------------------------------------------------------------- */

tens *op_fsq_codes(tens_ctx *c, const tens *index, const int *levels, int d) {
  if (!op_begin(c) || !op_arg(c, "fsq_codes", "index", index, OP_I32, 1, 3) || !levels_fit(c, "fsq_codes", levels, d))
    return NULL;
  int64_t dim[TENS_MAX_RANK];
  for (int i = 0; i < index->rank; i++) dim[i] = index->dim[i];
  dim[index->rank] = d;
  tens *y = tens_new(c, TENS_F32, index->rank + 1, dim);
  if (y && !c->plan) c->device->fsq_codes(c, y, index, levels, d);
  return op_end(c, y);
}
