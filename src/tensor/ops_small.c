/* ops_small.c - sums, activations, and operations that only move rows. */
#include "tensor/grad.h"

/* ---- add -------------------------------------------------------------------------------------------------------- */

tens *op_add(tens_ctx *c, const tens *a, const tens *b) {
  if (!op_begin(c) || !op_arg(c, "add", "a", a, OP_F32, 1, 4) || !op_arg(c, "add", "b", b, OP_F32, 1, 4)) return NULL;
  if (!op_same_shape(a, b))
    return tens_fail(c, ACE_EINVAL, "add: a %s has not the shape of b %s", TENS_SHAPE(a), TENS_SHAPE(b));
  tens *y = op_new_last(c, TENS_F32, a, op_last(a));
  if (y && !c->plan) c->device->add(c, y, a, b);
  return tape_note(c, op_end(c, y), grad_sum, TAPE_IN(a, b), NULL, 0);
}

/* ---- silu: y = x / (1 + exp(-x)) -------------------------------------------------------------------------------- */

tens *op_silu(tens_ctx *c, const tens *x) {
  if (!op_begin(c) || !op_arg(c, "silu", "x", x, OP_F32, 1, 4)) return NULL;
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (y && !c->plan) c->device->silu(c, y, x);
  return tape_note(c, op_end(c, y), grad_silu, TAPE_IN(x), NULL, 0);
}

/* ---- modulation: y[i, b] = table[i] + rows[b, i] ---------------------------------------------------------------- */

tens *op_modulation(tens_ctx *c, const tens *table, const tens *rows) {
  if (!op_begin(c) || !op_arg(c, "modulation", "table", table, OP_F32, 2, 2) ||
      !op_arg(c, "modulation", "rows", rows, OP_F32, 2, 2))
    return NULL;
  if (rows->dim[1] != table->dim[0] * table->dim[1])
    return tens_fail(c, ACE_EINVAL, "modulation: rows %s do not fit table %s", TENS_SHAPE(rows), TENS_SHAPE(table));
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(table->dim[0], rows->dim[0], table->dim[1]));
  if (y && !c->plan) c->device->modulation(c, y, table, rows);
  return tape_note(c, op_end(c, y), grad_modulation, TAPE_IN(table, rows), NULL, 0);
}

/* ---- sinusoid: timestep embedding, cosines then sines ----------------------------------------------------------- */

tens *op_sinusoid(tens_ctx *c, const tens *t, int width, float scale) {
  if (!op_begin(c) || !op_arg(c, "sinusoid", "t", t, OP_F32, 1, 1) || !tape_none(c, "sinusoid", TAPE_IN(t)))
    return NULL;
  if (width < 2 || width % 2)
    return tens_fail(c, ACE_EINVAL, "sinusoid: width %d is not a positive even number", width);
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(t->dim[0], width));
  if (y && !c->plan) c->device->sinusoid(c, y, t, scale);
  return op_end(c, y);
}

/* ---- concat: parts joined on the last dim ----------------------------------------------------------------------- */

tens *op_concat(tens_ctx *c, int n, const tens *const *parts) {
  if (!op_begin(c)) return NULL;
  if (n < 1 || n > 4) return tens_fail(c, ACE_EINVAL, "concat: %d parts are outside 1..4", n);
  int64_t last = 0;
  for (int i = 0; i < n; i++) {
    if (!op_arg(c, "concat", "part", parts[i], OP_F32, 1, 4)) return NULL;
    bool fits = parts[i]->rank == parts[0]->rank;
    for (int j = 0; fits && j < parts[0]->rank - 1; j++) fits = parts[i]->dim[j] == parts[0]->dim[j];
    if (!fits)
      return tens_fail(c, ACE_EINVAL, "concat: part %d %s does not fit part 0 %s", i, TENS_SHAPE(parts[i]),
                       TENS_SHAPE(parts[0]));
    last += op_last(parts[i]);
  }
  tens *y = op_new_last(c, TENS_F32, parts[0], last);
  if (y && !c->plan) c->device->concat(c, y, n, parts);
  return tape_note(c, op_end(c, y), grad_concat, n, parts, NULL, 0);
}

/* ---- join: parts one behind the other in time, i.e. concat of each item's rows laid out flat -------------------- */

tens *op_join(tens_ctx *c, int n, const tens *const *parts) {
  if (!op_begin(c)) return NULL;
  if (n < 1 || n > 4) return tens_fail(c, ACE_EINVAL, "join: %d parts are outside 1..4", n);
  tens flat[4];
  const tens *flat_parts[4];
  int64_t length = 0;
  for (int i = 0; i < n; i++) {
    const tens *x = parts[i];
    if (!op_arg(c, "join", "part", x, OP_F32, 3, 3)) return NULL;
    if (x->dim[0] != parts[0]->dim[0] || x->dim[2] != parts[0]->dim[2])
      return tens_fail(c, ACE_EINVAL, "join: part %d %s does not fit part 0 %s", i, TENS_SHAPE(x),
                       TENS_SHAPE(parts[0]));
    flat[i] = (tens){.dtype = TENS_F32, .rank = 2, .dim = {x->dim[0], x->dim[1] * x->dim[2]}, .data = x->data};
    flat_parts[i] = &flat[i];
    length += x->dim[1];
  }
  int64_t batch = parts[0]->dim[0], width = parts[0]->dim[2];
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(batch, length, width));
  if (!y) return NULL;
  tens rows = {.dtype = TENS_F32, .rank = 2, .dim = {batch, length * width}, .data = y->data};
  if (!c->plan) c->device->concat(c, &rows, n, flat_parts);
  return tape_note(c, op_end(c, y), grad_join, n, parts, NULL, 0);
}

/* ---- gather: chosen rows of each item --------------------------------------------------------------------------- */

tens *op_gather(tens_ctx *c, const tens *x, const tens *index) {
  if (!op_begin(c) || !op_arg(c, "gather", "x", x, OP_F32, 3, 3) || !op_arg(c, "gather", "index", index, OP_I32, 2, 2))
    return NULL;
  if (x->dim[0] != index->dim[0])
    return tens_fail(c, ACE_EINVAL, "gather: index %s does not fit x %s", TENS_SHAPE(index), TENS_SHAPE(x));
  if (!c->plan) {
    int64_t n = tens_count(index);
    const int32_t *row = tens_i32(index);
    for (int64_t i = 0; i < n; i++)
      if (row[i] < -1 || row[i] >= x->dim[1])
        return tens_fail(c, ACE_EINVAL, "gather: row %d at position %lld is outside -1..%lld", row[i], (long long)i,
                         (long long)x->dim[1] - 1);
  }
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], index->dim[1], x->dim[2]));
  if (y && !c->plan) c->device->gather(c, y, x, index);
  return tape_note(c, op_end(c, y), grad_gather, TAPE_IN(x, index), NULL, 0);
}

/* ---- prepend: one row in front of every item -------------------------------------------------------------------- */

tens *op_prepend(tens_ctx *c, const tens *x, const tens *row) {
  if (!op_begin(c) || !op_arg(c, "prepend", "x", x, OP_F32, 3, 3) ||
      !op_shaped(c, "prepend", "row", row, OP_F32, TENS_DIMS(x->dim[2])))
    return NULL;
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], x->dim[1] + 1, x->dim[2]));
  if (y && !c->plan) c->device->prepend(c, y, x, row);
  return tape_note(c, op_end(c, y), grad_prepend, TAPE_IN(x, row), NULL, 0);
}

/* ---- resize: zero rows added at the end, or rows cut ------------------------------------------------------------ */

tens *op_resize(tens_ctx *c, const tens *x, int64_t length) {
  if (!op_begin(c) || !op_arg(c, "resize", "x", x, OP_F32, 3, 3)) return NULL;
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], length, x->dim[2]));
  if (y && !c->plan) c->device->resize(c, y, x);
  return tape_note(c, op_end(c, y), grad_resize, TAPE_IN(x), NULL, 0);
}

/* ---- outer_add: y[n, p] = x[n] + rows[p] ------------------------------------------------------------------------ */

tens *op_outer_add(tens_ctx *c, const tens *x, const tens *rows) {
  if (!op_begin(c) || !op_arg(c, "outer_add", "x", x, OP_F32, 2, 2) ||
      !op_arg(c, "outer_add", "rows", rows, OP_F32, 2, 2))
    return NULL;
  if (x->dim[1] != rows->dim[1])
    return tens_fail(c, ACE_EINVAL, "outer_add: x %s does not fit rows %s", TENS_SHAPE(x), TENS_SHAPE(rows));
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(x->dim[0], rows->dim[0], x->dim[1]));
  if (y && !c->plan) c->device->outer_add(c, y, x, rows);
  return tape_note(c, op_end(c, y), grad_outer_add, TAPE_IN(x, rows), NULL, 0);
}
