/* grad_kron.c - gradients of what adapters are made of beside matrix products (ops_kron.c). */
#include "tensor/cpu/cpu.h"
#include "tensor/grad.h"

/* ---- mix_blocks: y = residual + gate * (w kron I) x, w [P, Q] ----------------------------------------------------- */

typedef struct mix_job {
  const float *x, *w, *du;
  float *dx, *dw;
  int64_t P, Q, C, rows;
} mix_job;

static void mix_input_rows(void *arg, int64_t first, int64_t count, int worker) {
  const mix_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    for (int64_t q = 0; q < j->Q; q++) {
      float *dx = j->dx + (r * j->Q + q) * j->C;
      for (int64_t p = 0; p < j->P; p++) {
        const float *du = j->du + (r * j->P + p) * j->C;
        float w = j->w[p * j->Q + q];
        for (int64_t k = 0; k < j->C; k++) dx[k] += w * du[k];
      }
    }
}

static void mix_weight_entries(void *arg, int64_t first, int64_t count, int worker) {
  const mix_job *j = arg;
  for (int64_t i = first; i < first + count; i++) {
    int64_t p = i / j->Q, q = i % j->Q;
    double sum = 0;
    for (int64_t r = 0; r < j->rows; r++)
      sum += cpu_short_dot(j->du + (r * j->P + p) * j->C, j->x + (r * j->Q + q) * j->C, j->C);
    j->dw[i] += (float)sum;
  }
}

void grad_mix_blocks(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *x = n->in[0], *w = n->in[1];
  tens *dx = tape_grad(c, x), *dw = tape_grad(c, w);
  grad_add(c, tape_grad(c, n->in[4]), dy);
  const tens *du = dx || dw ? grad_gated(c, dy, n->in[3]) : NULL;
  if (!du) return;
  int64_t K = op_last(x);
  mix_job j = {.x = tens_f32(x), .w = tens_f32(w), .du = tens_f32(du), .P = w->dim[0], .Q = w->dim[1]};
  j.C = K / j.Q;
  j.rows = tens_count(x) / K;
  if (dx) {
    j.dx = tens_f32(dx);
    grad_for(c, j.rows, K * j.P, mix_input_rows, &j);
  }
  if (dw) {
    j.dw = tens_f32(dw);
    grad_for(c, j.P * j.Q, j.rows * j.C, mix_weight_entries, &j);
  }
}

/* ---- kron_lengths: y = m / (n + eps), n = |V| for each row i = p C + c of V = w + w1 kron w2 ---------------------- */

/* dL/dV = (dL/dn / n) V for each row, of which w1[p, q] gets the share of w2[c, :] and w2[c, d] that of w1[p, :]. V is
 * formed again, a row at a time, once for each of the two: rows of one p lie together, those of one c apart. */
typedef struct length_job {
  tens_ctx *c;
  const tens *w, *w1, *w2;
  const float *m, *dy;
  float *dm, *dw1, *dw2; /* may be NULL */
  double *slope;         /* [N] dL/dn / n */
  double eps;
} length_job;

/* Row i of V into v; slope[i] and dm[i]. */
static void length_slope(const length_job *j, int64_t i, float *v) {
  double n = cpu_kron_row(j->w, j->w1, j->w2, i, v), whole = n + j->eps, dy = (double)j->dy[i];
  j->slope[i] = n > 0 ? -dy * (double)j->m[i] / (whole * whole * n) : 0;
  if (j->dm && whole > 0) j->dm[i] += (float)(dy / whole);
}

static void length_left(void *arg, int64_t first, int64_t count, int worker) {
  const length_job *j = arg;
  int64_t Q = j->w1->dim[1], C = j->w2->dim[0], D = j->w2->dim[1];
  float *v = tens_worker_scratch(j->c, worker);
  double *sum = (double *)(v + (Q * D + 1) / 2 * 2); /* [Q] */
  for (int64_t p = first; p < first + count; p++) {
    for (int64_t q = 0; q < Q; q++) sum[q] = 0;
    for (int64_t k = 0; k < C; k++) {
      int64_t i = p * C + k;
      length_slope(j, i, v);
      if (!j->dw1) continue;
      for (int64_t q = 0; q < Q; q++) sum[q] += j->slope[i] * cpu_short_dot(v + q * D, tens_f32(j->w2) + k * D, D);
    }
    for (int64_t q = 0; q < Q && j->dw1; q++) j->dw1[p * Q + q] += (float)sum[q];
  }
}

static void length_right(void *arg, int64_t first, int64_t count, int worker) {
  const length_job *j = arg;
  int64_t P = j->w1->dim[0], Q = j->w1->dim[1], C = j->w2->dim[0], D = j->w2->dim[1];
  float *v = tens_worker_scratch(j->c, worker), *share = v + Q * D; /* [D] */
  double *sum = (double *)(v + (Q * D + D + 1) / 2 * 2);            /* [D] */
  for (int64_t k = first; k < first + count; k++) {
    for (int64_t d = 0; d < D; d++) sum[d] = 0;
    for (int64_t p = 0; p < P; p++) {
      const float *left = tens_f32(j->w1) + p * Q;
      cpu_kron_row(j->w, j->w1, j->w2, p * C + k, v);
      for (int64_t d = 0; d < D; d++) share[d] = 0;
      for (int64_t q = 0; q < Q; q++)
        for (int64_t d = 0; d < D; d++) share[d] += left[q] * v[q * D + d];
      for (int64_t d = 0; d < D; d++) sum[d] += j->slope[p * C + k] * (double)share[d];
    }
    for (int64_t d = 0; d < D; d++) j->dw2[k * D + d] += (float)sum[d];
  }
}

void grad_kron_lengths(tens_ctx *c, const tape_node *n, const tens *dy) {
  const tens *w = n->in[0], *w1 = n->in[1], *w2 = n->in[2], *m = n->in[3];
  tens *dw1 = tape_grad(c, w1), *dw2 = tape_grad(c, w2), *dm = tape_grad(c, m);
  length_job j = {.c = c,
                  .w = w,
                  .w1 = w1,
                  .w2 = w2,
                  .m = tens_f32(m),
                  .dy = tens_f32(dy),
                  .slope = tens_scratch(c, (size_t)w->dim[0] * sizeof(double)),
                  .eps = *(const float *)n->saved};
  if (dm) j.dm = tens_f32(dm);
  if (dw1) j.dw1 = tens_f32(dw1);
  if (dw2) j.dw2 = tens_f32(dw2);
  grad_for(c, w1->dim[0], w2->dim[0] * w->dim[1], length_left, &j);
  if (dw2) grad_for(c, w2->dim[0], w1->dim[0] * w->dim[1], length_right, &j);
}
