/* grad_small.c - gradients of sums, of factors for channels, and of operations that move rows. */
#include "tensor/grad.h"

#include <math.h>
#include <string.h>

/* ---- add, scale --------------------------------------------------------------------------------------------------- */

void grad_sum(tens_ctx *c, const tape_node *n, const tens *dy) {
  grad_add(c, tape_grad(c, n->in[0]), dy);
  grad_add(c, tape_grad(c, n->in[1]), dy);
}

typedef struct scale_job {
  float *dx;
  const float *dy, *w;
  int64_t N;
} scale_job;

static void scale_rows(void *arg, int64_t first, int64_t count, int worker) {
  const scale_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t i = 0; i < j->N; i++) j->dx[r * j->N + i] += j->dy[r * j->N + i] * j->w[i];
}

void grad_scale(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *w = n->in[1];
  tens *dx = tape_grad(c, x);
  if (dx) {
    scale_job j = {tens_f32(dx), tens_f32(dy), tens_f32(w), op_last(x)};
    grad_for(c, tens_count(x) / j.N, j.N, scale_rows, &j);
  }
  grad_add_columns(c, tape_grad(c, w), dy, x);
}

/* ---- rows that move: each block of `width` values of dy has one place in a gradient -------------------------------- */

/* dx block at to(i) += dy block i. Blocks may share a place, so a worker takes columns of all blocks. */
typedef struct move_job {
  float *dx;
  const float *dy;
  int64_t n, width;
  int64_t (*to)(const struct move_job *j, int64_t i); /* -1: nowhere */
  const int32_t *index;
  int64_t a, b; /* what `to` needs to know */
} move_job;

static void move_columns(void *arg, int64_t first, int64_t count, int worker) {
  const move_job *j = arg;
  for (int64_t i = 0; i < j->n; i++) {
    int64_t to = j->to(j, i);
    for (int64_t h = first; to >= 0 && h < first + count; h++) j->dx[to * j->width + h] += j->dy[i * j->width + h];
  }
}

static void move(tens_ctx *c, tens *dx, const tens *dy, move_job j) {
  if (!dx) return;
  j.dx = tens_f32(dx);
  j.dy = tens_f32(dy);
  j.n = tens_count(dy) / j.width;
  grad_for(c, j.width, j.n, move_columns, &j);
}

/* modulation: y[i, b] = table[i] + rows[b, i]; a: B, b: n */
static int64_t to_table(const move_job *j, int64_t i) {
  return i / j->a;
}

static int64_t to_rows(const move_job *j, int64_t i) {
  return i % j->a * j->b + i / j->a;
}

void grad_modulation(tens_ctx *c, const tape_node *n, const tens *dy) {
  move_job j = {.width = op_last(dy), .a = dy->dim[1], .b = dy->dim[0], .to = to_table};
  move(c, tape_grad(c, n->in[0]), dy, j);
  j.to = to_rows;
  move(c, tape_grad(c, n->in[1]), dy, j);
}

/* outer_add: y[n, p] = x[n] + rows[p]; a: P */
static int64_t to_outer(const move_job *j, int64_t i) {
  return i / j->a;
}

static int64_t to_inner(const move_job *j, int64_t i) {
  return i % j->a;
}

void grad_outer_add(tens_ctx *c, const tape_node *n, const tens *dy) {
  move_job j = {.width = op_last(dy), .a = dy->dim[1], .to = to_outer};
  move(c, tape_grad(c, n->in[0]), dy, j);
  j.to = to_inner;
  move(c, tape_grad(c, n->in[1]), dy, j);
}

/* gather: y[b, i] = x[b, index[b, i]]; a: N, b: S */
static int64_t to_gathered(const move_job *j, int64_t i) {
  return j->index[i] < 0 ? -1 : i / j->a * j->b + j->index[i];
}

void grad_gather(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *index = n->in[1];
  move_job j = {.width = op_last(dy), .index = tens_i32(index), .a = index->dim[1], .b = x->dim[1], .to = to_gathered};
  move(c, tape_grad(c, x), dy, j);
}

/* prepend: y[b] = row, then x[b]; a: S + 1 */
static int64_t to_behind_row(const move_job *j, int64_t i) {
  return i % j->a == 0 ? -1 : i / j->a * (j->a - 1) + i % j->a - 1;
}

static int64_t to_row(const move_job *j, int64_t i) {
  return i % j->a == 0 ? 0 : -1;
}

void grad_prepend(tens_ctx *c, const tape_node *n, const tens *dy) {
  move_job j = {.width = op_last(dy), .a = dy->dim[1], .to = to_behind_row};
  move(c, tape_grad(c, n->in[0]), dy, j);
  j.to = to_row;
  move(c, tape_grad(c, n->in[1]), dy, j);
}

/* resize: y[b] = the first rows of x[b]; a: rows of y, b: rows of x */
static int64_t to_resized(const move_job *j, int64_t i) {
  return i % j->a < j->b ? i / j->a * j->b + i % j->a : -1;
}

void grad_resize(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0];
  move(c, tape_grad(c, x), dy, (move_job){.width = op_last(dy), .a = dy->dim[1], .b = x->dim[1], .to = to_resized});
}

/* ---- concat, join: dx += the part of each row of dy that came from x ----------------------------------------------- */

typedef struct part_job {
  float *dx;
  const float *dy;
  int64_t width, whole; /* of the part, of all */
} part_job;

static void part_rows(void *arg, int64_t first, int64_t count, int worker) {
  const part_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t i = 0; i < j->width; i++) j->dx[r * j->width + i] += j->dy[r * j->whole + i];
}

/* Parts of rows of `rows` rows in all. */
static void split(tens_ctx *c, const tape_node *n, const tens *dy, int64_t rows) {
  int64_t at = 0;
  for (int i = 0; i < n->n; i++) {
    tens *dx = tape_grad(c, n->in[i]);
    int64_t width = tens_count(n->in[i]) / rows;
    if (dx) {
      part_job j = {tens_f32(dx), c->plan ? NULL : tens_f32(dy) + at, width, tens_count(dy) / rows};
      grad_for(c, rows, width, part_rows, &j);
    }
    at += width;
  }
}

void grad_concat(tens_ctx *c, const tape_node *n, const tens *dy) {
  split(c, n, dy, tens_count(dy) / op_last(dy));
}

void grad_join(tens_ctx *c, const tape_node *n, const tens *dy) {
  split(c, n, dy, dy->dim[0]);
}

/* ---- finite scalar quantisation: soft clamp s tanh(z/s), clamp; the rounding behind it counts as the identity ------ */

typedef struct fsq_job {
  float *dz;
  const float *z, *dy;
  const int *level;
  int64_t d;
} fsq_job;

static void fsq_values(void *arg, int64_t first, int64_t count, int worker) {
  const fsq_job *j = arg;
  for (int64_t i = first; i < first + count; i++) {
    double soft = 1 + 1.0 / (j->level[i % j->d] - 1), bent = tanh((double)j->z[i] / soft);
    if (fabs(soft * bent) <= 1) j->dz[i] += (float)((double)j->dy[i] * (1 - bent * bent));
  }
}

void grad_fsq_quantize(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dz = tape_grad(c, n->in[0]);
  if (!dz) return;
  fsq_job j = {tens_f32(dz), tens_f32(n->in[0]), tens_f32(dy), ((const grad_levels *)n->saved)->level, op_last(dy)};
  grad_for(c, tens_count(dy), 32, fsq_values, &j);
}

/* ---- the heavy ones ------------------------------------------------------------------------------------------------ */

void grad_attention(tens_ctx *c, const tape_node *n, const tens *dy) {
  op_attention_backward(c, tape_grad(c, n->in[0]), tape_grad(c, n->in[1]), tape_grad(c, n->in[2]), dy, n->in[0],
                        n->in[1], n->in[2], n->y, n->saved);
}

void grad_conv1d(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dx = tape_grad(c, n->in[0]), *dw = tape_grad(c, n->in[1]), *dbias = tape_grad(c, n->in[2]);
  grad_add_columns(c, dbias, dy, NULL);
  if (dx || dw) op_conv1d_backward(c, dx, dw, dy, n->in[0], n->in[1], n->saved);
}

void grad_conv1d_transposed(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dx = tape_grad(c, n->in[0]), *dw = tape_grad(c, n->in[1]), *dbias = tape_grad(c, n->in[2]);
  grad_add_columns(c, dbias, dy, NULL);
  if (dx || dw) op_conv_transpose1d_backward(c, dx, dw, dy, n->in[0], n->in[1], n->saved);
}

void grad_snake(tens_ctx *c, const tape_node *n, const tens *dy) {
  op_snake_backward(c, tape_grad(c, n->in[0]), tape_grad(c, n->in[1]), tape_grad(c, n->in[2]), dy, n->in[0], n->in[1],
                    n->in[2]);
}
