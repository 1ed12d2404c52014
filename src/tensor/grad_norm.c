/* grad_norm.c - gradients of RMS norms. With r = 1 / sqrt(mean(x²) + eps) and g the gradient of w x r:
 *
 *   dx_i = r w_i g_i - x_i r³/n Σ_j g_j w_j x_j,   dw_i = Σ over rows of g_i x_i r
 */
#include "tensor/grad.h"

#include <math.h>
#include <string.h>

typedef struct norm_job {
  const float *x, *w, *dy, *scale; /* scale: [items, N] or NULL */
  float *dx, *g, *normed;          /* dx may be NULL; g: of w x r, normed: x r, for the sums over rows; or NULL */
  double eps;
  int64_t N, rows;       /* width of a norm; rows of each item */
  int64_t heads, length; /* head_norm: norms of each position; positions of each item */
  const op_rope *rope;   /* or NULL */
} norm_job;

/* One norm of width N whose result's gradient before scale and rotation is g. */
static void norm_row(const norm_job *j, int64_t r, const float *g) {
  const float *x = j->x + r * j->N;
  double squares = 0, along = 0;
  for (int64_t i = 0; i < j->N; i++) squares += (double)x[i] * (double)x[i];
  for (int64_t i = 0; i < j->N; i++) along += (double)(g[i] * j->w[i]) * (double)x[i];
  double inverse = 1 / sqrt(squares / (double)j->N + j->eps);
  float one = (float)inverse, cubed = (float)(inverse * inverse * inverse / (double)j->N * along);
  if (j->dx)
    for (int64_t i = 0; i < j->N; i++) j->dx[r * j->N + i] += one * (j->w[i] * g[i]) - x[i] * cubed;
  if (j->normed)
    for (int64_t i = 0; i < j->N; i++) j->normed[r * j->N + i] = x[i] * one;
}

/* ---- rms_norm, plain and modulated: y = (w x r) (1 + scale) + shift ----------------------------------------------- */

static void rms_rows(void *arg, int64_t first, int64_t count, int worker) {
  const norm_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    float *g = j->g + r * j->N;
    const float *dy = j->dy + r * j->N, *scale = j->scale ? j->scale + r / j->rows * j->N : NULL;
    for (int64_t i = 0; i < j->N; i++) g[i] = scale ? dy[i] * (1.0f + scale[i]) : dy[i];
    norm_row(j, r, g);
  }
}

static void times_w(void *arg, int64_t first, int64_t count, int worker) {
  const norm_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t i = 0; i < j->N; i++) j->normed[r * j->N + i] *= j->w[i];
}

void grad_rms_norm(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *w = n->in[1], *scale = n->in[2];
  tens *dx = tape_grad(c, x), *dw = tape_grad(c, w), *dscale = tape_grad(c, scale);
  grad_add_columns(c, tape_grad(c, n->in[3]), dy, NULL);
  tens *g = op_new_last(c, TENS_F32, x, op_last(x)), *normed = op_new_last(c, TENS_F32, x, op_last(x));
  if (!g || !normed) return;
  int64_t N = op_last(x), rows = tens_count(x) / N;
  norm_job j = {.x = tens_f32(x),
                .w = tens_f32(w),
                .dy = tens_f32(dy),
                .scale = scale ? tens_f32(scale) : NULL,
                .dx = dx ? tens_f32(dx) : NULL,
                .g = tens_f32(g),
                .normed = tens_f32(normed),
                .eps = (double)((const grad_norm *)n->saved)->eps,
                .N = N,
                .rows = rows / x->dim[0]};
  grad_for(c, rows, 4 * N, rms_rows, &j);
  grad_add_columns(c, dw, g, normed);
  if (!dscale) return;
  grad_for(c, rows, N, times_w, &j);
  grad_add_columns(c, dscale, dy, normed);
}

/* ---- head_norm: RMS norm over each head, then rotation ------------------------------------------------------------ */

/* The gradient in front of a rotation: turned back. g may be dy. */
static void turn_back(const op_rope *rope, double position, int64_t D, int64_t heads, const float *dy, float *g) {
  int64_t half = D / 2;
  for (int64_t i = 0; i < half; i++) {
    double angle = position * pow(rope->theta, -2.0 * (double)i / (double)D);
    float cosine = (float)cos(angle), sine = (float)sin(angle);
    for (int64_t h = 0; h < heads; h++) {
      float a = dy[h * D + i], b = dy[h * D + i + half];
      g[h * D + i] = a * cosine + b * sine;
      g[h * D + i + half] = b * cosine - a * sine;
    }
  }
}

static void head_positions(void *arg, int64_t first, int64_t count, int worker) {
  const norm_job *j = arg;
  int64_t width = j->heads * j->N;
  for (int64_t s = first; s < first + count; s++) {
    float *g = j->g + s * width;
    if (j->rope) {
      double position = (double)(j->rope->first + s % j->length);
      if (j->rope->start) position += tens_i32(j->rope->start)[s / j->length];
      turn_back(j->rope, position, j->N, j->heads, j->dy + s * width, g);
    } else memcpy(g, j->dy + s * width, (size_t)width * sizeof *g);
    for (int64_t h = 0; h < j->heads; h++) norm_row(j, s * j->heads + h, g + h * j->N);
  }
}

void grad_head_norm(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *w = n->in[1];
  const grad_norm *saved = n->saved;
  tens *dx = tape_grad(c, x), *dw = tape_grad(c, w);
  tens *g = op_new_last(c, TENS_F32, x, op_last(x)), *normed = dw ? op_new_last(c, TENS_F32, x, op_last(x)) : NULL;
  if (!g || (dw && !normed)) return;
  int64_t D = w->dim[0], heads = x->dim[2] / D, positions = x->dim[0] * x->dim[1];
  norm_job j = {.x = tens_f32(x),
                .w = tens_f32(w),
                .dy = tens_f32(dy),
                .dx = dx ? tens_f32(dx) : NULL,
                .g = tens_f32(g),
                .normed = normed ? tens_f32(normed) : NULL,
                .eps = (double)saved->eps,
                .N = D,
                .heads = heads,
                .length = x->dim[1],
                .rope = saved->rotated ? &saved->rope : NULL};
  grad_for(c, positions, 8 * heads * D, head_positions, &j);
  if (!dw) return;
  /* Every head of every position is a row of its own. */
  tens rows_g = *g, rows_n = *normed;
  rows_g.rank = rows_n.rank = 2;
  rows_g.dim[0] = rows_n.dim[0] = positions * heads;
  rows_g.dim[1] = rows_n.dim[1] = D;
  grad_add_columns(c, dw, &rows_g, &rows_n);
}
