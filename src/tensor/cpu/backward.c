/* backward.c - gradients of linear layers as products (panel.h). Matrix tiles have no part in them: on
 * "amx" they run on the vector loops, in F32. */
#include "tensor/cpu/backward.h"

#include <string.h>

#include "tensor/cpu/panel.h"
#include "tensor/int8.h"

/* ---- linear, input: dx [M, K] += dy [M, N] w [N, K] --------------------------------------------------------------- */

typedef struct linear_job {
  const float *dy;
  int64_t N, K;
  const tens *w;
} linear_job;

static void pack_dy(const panel_product *p, const panel_block *out, int64_t item, int64_t row, int64_t rows, int64_t at,
                    int64_t depth) {
  const linear_job *j = p->arg;
  for (int64_t r = 0; r < rows; r++)
    memcpy(out->x + r * out->row, j->dy + (row + r) * j->N + at, (size_t)depth * sizeof(float));
}

static void weight_rows(const panel_product *p, const void **row, int64_t item, int64_t tap, int64_t at,
                        int64_t depth) {
  const linear_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) row[k] = (const uint8_t *)j->w->data + tens_bytes(j->w->dtype, (at + k) * j->K);
}

/* Rows of TENS_I8 weights are turned: w = Tᵀ q, T the turning of int8.h with inverse Tᵀ / B. So T dx / B takes what the
 * rows as they lie give, and is turned back. */
typedef struct turn_job {
  const cpu_micro *m;
  tens_ctx *c;
  float *dx;
  int64_t K, block;
} turn_job;

static void turn_rows(void *arg, int64_t first, int64_t count, int worker) {
  const turn_job *j = arg;
  float share = 1.0f / (float)j->block;
  for (float *x = j->dx + first * j->K; x < j->dx + (first + count) * j->K; x += j->K) {
    j->m->turn(x, j->K);
    for (int64_t k = 0; k < j->K; k++) x[k] *= share;
  }
}

/* T = H D, so Tᵀ = D H = D T D with the signs D. */
static void turn_rows_back(void *arg, int64_t first, int64_t count, int worker) {
  const turn_job *j = arg;
  float *sign = tens_worker_scratch(j->c, worker);
  for (int64_t k = 0; k < j->block; k++) sign[k] = __builtin_parityll((unsigned long long)(k & k >> 1)) ? -1 : 1;
  for (float *x = j->dx + first * j->K; x < j->dx + (first + count) * j->K; x += j->K) {
    for (int64_t i = 0; i < j->K; i += j->block)
      for (int64_t k = 0; k < j->block; k++) x[i + k] *= sign[k];
    j->m->turn(x, j->K);
    for (int64_t i = 0; i < j->K; i += j->block)
      for (int64_t k = 0; k < j->block; k++) x[i + k] *= sign[k];
  }
}

void cpu_linear_backward_input(const cpu_micro *m, tens_ctx *c, tens *dx, const tens *dy, const tens *w) {
  linear_job j = {.dy = tens_f32(dy), .N = w->dim[0], .K = w->dim[1], .w = w};
  panel_product p = {.arg = &j,
                     .items = 1,
                     .rows = tens_count(dx) / j.K,
                     .depth = j.N,
                     .taps = 1,
                     .columns = j.K,
                     .dtype = w->dtype,
                     .scale = w->scale,
                     .pack_x = pack_dy,
                     .find_rows = weight_rows,
                     .y = tens_f32(dx),
                     .y_row = j.K};
  turn_job t = {m, c, p.y, j.K, int8_block(j.K)};
  if (w->dtype == TENS_I8) cpu_for(c, p.rows, 12 * j.K, turn_rows, &t);
  panel_product_run(m, c, &p);
  if (w->dtype == TENS_I8) cpu_for(c, p.rows, 12 * j.K, turn_rows_back, &t);
}

/* ---- linear, weight: dw [N, K] += dyᵀ [N, M] x [M, K] -------------------------------------------------------------- */

typedef struct outer_job {
  const float *dy, *x;
  int64_t N, K;
} outer_job;

static void pack_dy_across(const panel_product *p, const panel_block *out, int64_t item, int64_t row, int64_t rows,
                           int64_t at, int64_t depth) {
  const outer_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++)
    memcpy(out->x + k * out->step, j->dy + (at + k) * j->N + row, (size_t)rows * sizeof(float));
}

static void input_rows(const panel_product *p, const void **row, int64_t item, int64_t tap, int64_t at, int64_t depth) {
  const outer_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) row[k] = j->x + (at + k) * j->K;
}

void cpu_linear_backward_weight(const cpu_micro *m, tens_ctx *c, tens *dw, const tens *dy, const tens *x) {
  outer_job j = {tens_f32(dy), tens_f32(x), dw->dim[0], dw->dim[1]};
  panel_product p = {.arg = &j,
                     .items = 1,
                     .rows = j.N,
                     .depth = tens_count(x) / j.K,
                     .taps = 1,
                     .columns = j.K,
                     .across = true,
                     .dtype = TENS_F32,
                     .pack_x = pack_dy_across,
                     .find_rows = input_rows,
                     .y = tens_f32(dw),
                     .y_row = j.K};
  panel_product_run(m, c, &p);
}
