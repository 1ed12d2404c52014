/* grad_matrix.c - gradients of matrix products and of what is done to them before they are stored. */
#include "tensor/grad.h"

#include <math.h>
#include <string.h>

/* ---- linear: y = residual + gate * (x wᵀ + bias) ------------------------------------------------------------------ */

void grad_linear(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *w = n->in[1];
  tens *dx = tape_grad(c, x), *dw = tape_grad(c, w), *dbias = tape_grad(c, n->in[2]);
  grad_add(c, tape_grad(c, n->in[4]), dy);
  if (!dx && !dw && !dbias) return;
  const tens *du = grad_gated(c, dy, n->in[3]);
  if (!du) return;
  grad_add_columns(c, dbias, du, NULL);
  if (dx) op_linear_backward_input(c, dx, du, w);
  if (dw) op_linear_backward_weight(c, dw, du, x);
}

/* ---- finish: y = residual + gate * act(x + bias), or silu(x) * up ------------------------------------------------- */

typedef struct finish_job {
  const float *x, *dy, *bias, *gate, *up;
  float *dx, *value; /* value: what the gate multiplies; for dgate and dup */
  int64_t N, rows;   /* rows: of each item */
  bool silu;
} finish_job;

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

static void finish_rows(void *arg, int64_t first, int64_t count, int worker) {
  const finish_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t i = 0; i < j->N; i++) {
      int64_t at = r * j->N + i;
      float x = j->x[at] + (j->bias ? j->bias[i] : 0.0f), d = j->dy[at];
      float s = j->silu ? (float)sigmoid((double)x) : 1.0f;
      if (j->value) j->value[at] = j->silu ? x * s : x;
      if (j->gate) d *= j->gate[r / j->rows * j->N + i];
      if (j->up) d *= j->up[at];
      if (j->dx) j->dx[at] = j->silu ? d * (s * (1.0f + x * (1.0f - s))) : d;
    }
}

void grad_finish(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *bias = n->in[1], *gate = n->in[2], *up = n->in[4];
  const op_epilogue *e = n->saved;
  tens *dx = tape_grad(c, x), *dbias = tape_grad(c, bias), *dgate = tape_grad(c, gate), *dup = tape_grad(c, up);
  grad_add(c, tape_grad(c, n->in[3]), dy);
  tens *du = dx || dbias ? op_new_last(c, TENS_F32, x, op_last(x)) : NULL;
  tens *value = dgate || dup ? op_new_last(c, TENS_F32, x, op_last(x)) : NULL;
  if (tens_status(c) != ACE_OK) return;
  int64_t N = op_last(x), rows = tens_count(x) / N;
  finish_job j = {.x = tens_f32(x), .dy = tens_f32(dy), .N = N, .rows = rows / x->dim[0]};
  j.silu = up || e->act == OP_ACT_SILU;
  if (bias) j.bias = tens_f32(bias);
  if (gate) j.gate = tens_f32(gate);
  if (up) j.up = tens_f32(up);
  if (du) j.dx = tens_f32(du);
  if (value) j.value = tens_f32(value);
  grad_for(c, rows, N * 16, finish_rows, &j);
  grad_add(c, dx, du);
  grad_add_columns(c, dbias, du, NULL);
  grad_add_columns(c, dgate, dy, value);
  grad_add_product(c, dup, dy, value);
}

/* ---- silu --------------------------------------------------------------------------------------------------------- */

typedef struct silu_job {
  const float *x, *dy;
  float *dx;
} silu_job;

static void silu_values(void *arg, int64_t first, int64_t count, int worker) {
  const silu_job *j = arg;
  for (int64_t i = first; i < first + count; i++) {
    float x = j->x[i], s = (float)sigmoid((double)x);
    j->dx[i] += j->dy[i] * (s * (1.0f + x * (1.0f - s)));
  }
}

void grad_silu(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dx = tape_grad(c, n->in[0]);
  if (!dx) return;
  silu_job j = {tens_f32(n->in[0]), tens_f32(dy), tens_f32(dx)};
  grad_for(c, tens_count(dx), 16, silu_values, &j);
}

/* ---- embedding: rows of a table ----------------------------------------------------------------------------------- */

typedef struct embedding_job {
  const float *dy;
  const int32_t *ids;
  float *dtable;
  int64_t n, H;
} embedding_job;

static void embedding_columns(void *arg, int64_t first, int64_t count, int worker) {
  const embedding_job *j = arg;
  for (int64_t i = 0; i < j->n; i++)
    for (int64_t h = first; h < first + count; h++) j->dtable[j->ids[i] * j->H + h] += j->dy[i * j->H + h];
}

void grad_embedding(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dtable = tape_grad(c, n->in[0]);
  if (!dtable) return;
  int64_t H = op_last(dy), rows = tens_count(dy) / H;
  embedding_job j = {tens_f32(dy), tens_i32(n->in[1]), tens_f32(dtable), rows, H};
  grad_for(c, H, rows, embedding_columns, &j);
}
