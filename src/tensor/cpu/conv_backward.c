/* conv_backward.c - gradients of convolutions as products (panel.h), and of snake.
 *
 * What reaches input row i comes from rows of dy that are a fixed step apart from tap to tap, so dx is a product whose
 * terms run through taps and, within a tap, through the channels of dy. For a stride, input rows fall into as many phases,
 * each with its own taps. dw is one product for all taps: rows of x shifted by a tap are that tap's columns.
 */
#include <string.h>

#include "tensor/cpu/backward.h"
#include "tensor/cpu/panel.h"

typedef struct conv_job {
  const float *dy, *x;
  int64_t B, T, C, Ty, O, taps; /* x [B, T, C], dy [B, Ty, O] */
  const tens *w;
  const op_conv *v;
  /* dx: row r of the result meets rows r*step + first + n*tap_step of dy, n = 0, 1 .., with the weights of tap
   * tap + n*every. */
  int64_t step, first, tap_step, tap, every;
  int64_t w_tap, w_row; /* elements of w from tap to tap and from output channel to output channel */
} conv_job;

static conv_job job_of(const tens *dy, const tens *x, const tens *w, const op_conv *v) {
  return (conv_job){.dy = tens_f32(dy),
                    .x = tens_f32(x),
                    .B = x->dim[0],
                    .T = x->dim[1],
                    .C = x->dim[2],
                    .Ty = dy->dim[1],
                    .O = dy->dim[2],
                    .w = w,
                    .v = v};
}

/* ---- input -------------------------------------------------------------------------------------------------------- */

/* Rows are often of a few channels: no call for each. */
static inline void copy_row(float *to, const float *from, int64_t n) {
  enum { STEP = 8 };
  int64_t i = 0;
  for (; i + STEP <= n; i += STEP) memcpy(to + i, from + i, STEP * sizeof *to);
  for (; i < n; i++) to[i] = from[i];
}

static inline void clear_row(float *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = 0;
}

static void pack_rows(const panel_product *p, const panel_block *out, int64_t item, int64_t row, int64_t rows,
                      int64_t at, int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0, n; k < depth; k += n) {
      int64_t tap = (at + k) / j->O, o = (at + k) % j->O;
      int64_t t = (row + r) * j->step + j->first + tap * j->tap_step;
      float *to = out->x + r * out->row + k;
      n = cpu_min(j->O - o, depth - k);
      if (t < 0 || t >= j->Ty) clear_row(to, n);
      else copy_row(to, j->dy + (item * j->Ty + t) * j->O + o, n);
    }
}

static void weight_rows(const panel_product *p, const void **row, int64_t item, int64_t group, int64_t at,
                        int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) {
    int64_t tap = j->tap + (at + k) / j->O * j->every, o = (at + k) % j->O;
    row[k] = (const uint8_t *)j->w->data + tens_bytes(j->w->dtype, tap * j->w_tap + o * j->w_row);
  }
}

/* `rows` rows of dx, `apart` from one another, from number `from` on, with `taps` taps each. */
static void add_inputs(const cpu_micro *m, tens_ctx *c, tens *dx, const conv_job *j, int64_t from, int64_t apart,
                       int64_t rows, int64_t taps) {
  panel_product p = {.arg = j,
                     .items = j->B,
                     .rows = rows,
                     .depth = taps * j->O,
                     .taps = 1,
                     .columns = j->C,
                     .dtype = j->w->dtype,
                     .pack_x = pack_rows,
                     .find_rows = weight_rows,
                     .y = tens_f32(dx) + from * j->C,
                     .y_item = j->T * j->C,
                     .y_row = apart * j->C};
  if (rows > 0 && taps > 0) panel_product_run(m, c, &p);
}

/* ---- weight: the terms run through items and time ----------------------------------------------------------------- */

static void pack_outputs(const panel_product *p, const panel_block *out, int64_t item, int64_t row, int64_t rows,
                         int64_t at, int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) copy_row(out->x + k * out->step, j->dy + (at + k) * j->O + row, rows);
}

static void shifted_inputs(const panel_product *p, const void **row, int64_t item, int64_t tap, int64_t at,
                           int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) {
    int64_t b = (at + k) / j->Ty, t = (at + k) % j->Ty * j->v->stride + tap * j->v->dilation - j->v->pad;
    row[k] = t < 0 || t >= j->T ? NULL : j->x + (b * j->T + t) * j->C;
  }
}

/* ---- conv1d: y[t, o] = Σ x[t*stride + k*dilation - pad, c] w[o, k, c] ---------------------------------------------- */

static int64_t common_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b, b = rest;
  }
  return a;
}

/* Input rows i with (i + pad) % stride == phase take taps k with k*dilation % stride == phase: every so many. */
static void add_phase(const cpu_micro *m, tens_ctx *c, tens *dx, conv_job j, int64_t phase) {
  int64_t stride = j.v->stride, dilation = j.v->dilation;
  j.every = stride / common_divisor(stride, dilation % stride);
  while (j.tap < j.every && j.tap * dilation % stride != phase) j.tap++;
  if (j.tap >= j.every || j.tap >= j.taps) return;
  int64_t i = (phase + stride - j.v->pad % stride) % stride;
  if (i >= j.T) return;
  j.step = 1;
  j.first = (i + j.v->pad - j.tap * dilation) / stride;
  j.tap_step = -(j.every * dilation / stride);
  add_inputs(m, c, dx, &j, i, stride, (j.T - 1 - i) / stride + 1, (j.taps - 1 - j.tap) / j.every + 1);
}

void cpu_conv1d_backward(const cpu_micro *m, tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x,
                         const tens *w, const op_conv *v) {
  conv_job j = job_of(dy, x, w, v);
  j.taps = w->dim[1];
  j.w_tap = j.C;
  j.w_row = j.taps * j.C;
  for (int64_t phase = 0; dx && phase < v->stride; phase++) add_phase(m, c, dx, j, phase);
  if (!dw) return;
  panel_product p = {.arg = &j,
                     .items = 1,
                     .rows = j.O,
                     .depth = j.B * j.Ty,
                     .taps = j.taps,
                     .columns = j.C,
                     .across = true,
                     .dtype = TENS_F32,
                     .pack_x = pack_outputs,
                     .find_rows = shifted_inputs,
                     .y = tens_f32(dw),
                     .y_row = j.taps * j.C,
                     .y_tap = j.C};
  panel_product_run(m, c, &p);
}

/* ---- conv1d_transposed: y[t*stride + k - pad, o] += Σ x[t, c] w[k, o, c] ------------------------------------------- */

/* Tap `item` of every row of x. */
static void pack_shifted_outputs(const panel_product *p, const panel_block *out, int64_t item, int64_t row,
                                 int64_t rows, int64_t at, int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) {
    int64_t b = (at + k) / j->T, t = (at + k) % j->T * j->v->stride + item - j->v->pad;
    float *to = out->x + k * out->step;
    if (t < 0 || t >= j->Ty) clear_row(to, rows);
    else copy_row(to, j->dy + (b * j->Ty + t) * j->O + row, rows);
  }
}

static void input_rows(const panel_product *p, const void **row, int64_t item, int64_t tap, int64_t at, int64_t depth) {
  const conv_job *j = p->arg;
  for (int64_t k = 0; k < depth; k++) row[k] = j->x + (at + k) * j->C;
}

void cpu_conv1d_transposed_backward(const cpu_micro *m, tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x,
                                    const tens *w, const op_conv *v) {
  conv_job j = job_of(dy, x, w, v);
  j.taps = w->dim[0];
  j.every = j.tap_step = 1;
  j.step = v->stride;
  j.first = -(int64_t)v->pad;
  j.w_tap = j.O * j.C;
  j.w_row = j.C;
  if (dx) add_inputs(m, c, dx, &j, 0, 1, j.T, j.taps);
  if (!dw) return;
  panel_product p = {.arg = &j,
                     .items = j.taps,
                     .rows = j.O,
                     .depth = j.B * j.T,
                     .taps = 1,
                     .columns = j.C,
                     .across = true,
                     .dtype = TENS_F32,
                     .pack_x = pack_shifted_outputs,
                     .find_rows = input_rows,
                     .y = tens_f32(dw),
                     .y_item = j.O * j.C,
                     .y_row = j.C};
  panel_product_run(m, c, &p);
}

/* ---- snake: rows in blocks, whose shares of the sums over all rows are put side by side and then added up ------------ */

enum {
  SNAKE_WIDTH = 256, /* values that the sums run beside each other for */
  SNAKE_ROWS = 64    /* of them are added up in F32 */
};

typedef struct snake_job {
  const cpu_micro *m;
  const tens_snake_grads *g;
  const float *dy, *x, *alpha, *inv_beta;
  int64_t rows, C, block; /* block: rows of one */
} snake_job;

/* `rows` rows of n values of which `apart` are between rows, n a multiple of the channels at alpha or part of them. The
 * sums of value i go to channel i % channels. */
static void add_snake_rows(const snake_job *j, int64_t at, int64_t rows, int64_t apart, const float *alpha,
                           const float *inv_beta, int64_t n, int64_t channels, double *dalpha, double *dinv_beta) {
  for (int64_t r = 0; r < rows; r += SNAKE_ROWS) {
    float sum[SNAKE_WIDTH] = {0}, sum2[SNAKE_WIDTH] = {0};
    cpu_snake_row t = {.alpha = alpha, .inv_beta = inv_beta, .dalpha = sum, .dinv_beta = sum2};
    for (int64_t i = r; i < cpu_min(rows, r + SNAKE_ROWS); i++) {
      t.dy = j->dy + at + i * apart;
      t.x = j->x + at + i * apart;
      if (j->g->dx) t.dx = tens_f32(j->g->dx) + at + i * apart;
      j->m->snake_backward(&t, n);
    }
    for (int64_t i = 0; i < n; i++) dalpha[i % channels] += (double)sum[i], dinv_beta[i % channels] += (double)sum2[i];
  }
}

/* Few channels: several rows are one, with the channels' factors repeated. */
static void add_narrow_block(const snake_job *j, int64_t row, int64_t rows, double *sums) {
  float alpha[SNAKE_WIDTH], inv_beta[SNAKE_WIDTH];
  int64_t together = SNAKE_WIDTH / 4 / j->C, n = together * j->C, whole = rows / together;
  for (int64_t i = 0; i < n; i++) alpha[i] = j->alpha[i % j->C], inv_beta[i] = j->inv_beta[i % j->C];
  add_snake_rows(j, row * j->C, whole, n, alpha, inv_beta, n, j->C, sums, sums + j->C);
  int64_t rest = rows - whole * together;
  add_snake_rows(j, (row + whole * together) * j->C, rest, j->C, alpha, inv_beta, j->C, j->C, sums, sums + j->C);
}

static void add_snake_block(void *arg, int number, int worker) {
  const snake_job *j = arg;
  int64_t row = number * j->block, rows = cpu_min(j->block, j->rows - row);
  double *sums = j->g->sums + number * 2 * j->C;
  memset(sums, 0, (size_t)(2 * j->C) * sizeof *sums);
  if (j->C <= SNAKE_WIDTH / 8) {
    add_narrow_block(j, row, rows, sums);
    return;
  }
  for (int64_t c = 0; c < j->C; c += SNAKE_WIDTH) {
    int64_t n = cpu_min(SNAKE_WIDTH, j->C - c);
    add_snake_rows(j, row * j->C + c, rows, j->C, j->alpha + c, j->inv_beta + c, n, n, sums + c, sums + j->C + c);
  }
}

void cpu_snake_backward(const cpu_micro *m, tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x,
                        const tens *alpha, const tens *inv_beta) {
  snake_job j = {m, g, tens_f32(dy), tens_f32(x), tens_f32(alpha), tens_f32(inv_beta), 0, alpha->dim[0], 0};
  j.rows = tens_count(x) / j.C;
  j.block = tens_snake_block(j.C);
  int64_t blocks = cpu_ceil(j.rows, j.block);
  tens_parallel(c, (int)blocks, add_snake_block, &j);
  for (int64_t i = 0; i < j.C; i++) {
    double sum = 0, sum2 = 0;
    for (int64_t b = 0; b < blocks; b++) sum += g->sums[b * 2 * j.C + i], sum2 += g->sums[(b * 2 + 1) * j.C + i];
    if (g->dalpha) tens_f32(g->dalpha)[i] += (float)sum;
    if (g->dinv_beta) tens_f32(g->dinv_beta)[i] += (float)sum2;
  }
}
