/* matrix.c - linear layers, the gated unit and convolutions as products (product.h); embeddings. */
#include "tensor/cpu/product.h"

#include "base/half.h"
#include "tensor/int8.h"

#include <string.h>

static const float *values(const tens *x) {
  return x ? tens_f32(x) : NULL;
}

/* ---- the weight of a product ------------------------------------------------------------------------------------- */

product product_of_weight(const tens *w, int stride) {
  int64_t C = w->dim[w->rank - 1];
  /* Convolutions follow one another by the dozen without a norm in between: what rounding does to them adds up. */
  product p = {.w = w->data, .bf16 = w->dtype == TENS_BF16, .fine = w->rank == 3, .taps = 1, .width = C};
  if (w->rank == 2) { /* [N, K] */
    p.columns = w->dim[0];
    p.w_column = C;
  } else if (!stride) { /* [O, taps, C] */
    p.taps = w->dim[1];
    p.columns = w->dim[0];
    p.w_column = p.taps * C;
    p.w_tap = C;
  } else { /* [taps, O, C] */
    p.taps = w->dim[0] / stride;
    p.columns = stride * w->dim[1];
    p.w_column = C;
    p.w_tap = p.columns * C;
  }
  if (w->packed && w->packed->data && w->packed->stride == stride) {
    p.packed = w->packed->data;
    p.packed_columns = stride ? p.columns : w->packed->rows;
    p.packed_column = w->packed_row;
  }
  return p;
}

/* ---- linear, swiglu: x [..., K], w [N, K] ------------------------------------------------------------------------ */

static product linear_product(tens *y, const tens *x, const tens *w) {
  product p = product_of_weight(w, 0);
  int64_t M = tens_count(x) / p.width;
  p.x = tens_f32(x);
  p.items = 1;
  p.in_rows = p.out_rows = M;
  p.stride = 1;
  p.y = tens_f32(y);
  p.y_item = M * p.columns;
  p.period = p.columns;
  return p;
}

/* w_up of the type of w, or NULL; the gate has a row for each gate_rows. */
static void multiply(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const tens *w_up,
                     const cpu_finish *finish, int64_t gate_rows) {
  product p = linear_product(y, x, w);
  if (w_up) p.w_up = w_up->data, p.packed_up = product_of_weight(w_up, 0).packed;
  p.finish = *finish;
  p.gate_rows = gate_rows;
  if (w->dtype == TENS_F32 || w->dtype == TENS_BF16) product_run(m, c, &p);
  else product_small_run(m, c, &p, w, w_up);
}

void cpu_linear(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_epilogue *e) {
  cpu_finish finish = {
      .bias = values(e->bias), .act = e->act, .gate = values(e->gate), .residual = values(e->residual)};
  multiply(m, c, y, x, w, NULL, &finish, tens_count(x) / w->dim[1] / x->dim[0]);
}

/* silu(u) * v when the two weights are of one type; else one after the other, with the first product in y. */
void cpu_swiglu(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w_gate, const tens *w_up) {
  if (w_gate->dtype == w_up->dtype) {
    multiply(m, c, y, x, w_gate, w_up, &(cpu_finish){0}, 1);
    return;
  }
  multiply(m, c, y, x, w_gate, NULL, &(cpu_finish){.act = OP_ACT_SILU}, 1);
  multiply(m, c, y, x, w_up, NULL, &(cpu_finish){.gate = tens_f32(y)}, 1);
}

/* ---- finish: what products do before they are stored, on its own -------------------------------------------------- */

typedef struct finish_job {
  const cpu_micro *m;
  float *y;
  const float *x;
  cpu_finish finish; /* of row 0 */
  int64_t N, gate_rows;
} finish_job;

static void finish_rows(void *arg, int64_t first, int64_t count, int worker) {
  const finish_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    cpu_finish f = j->finish;
    if (f.gate) f.gate += r / j->gate_rows * j->N;
    if (f.residual) f.residual += r * j->N;
    if (f.up) f.up += r * j->N;
    j->m->finish(j->y + r * j->N, j->x + r * j->N, j->N, &f);
  }
}

void cpu_finish_rows(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *up, const op_epilogue *e) {
  int64_t N = x->dim[x->rank - 1], rows = tens_count(x) / N;
  finish_job j = {.m = m, .y = tens_f32(y), .x = tens_f32(x), .N = N, .gate_rows = rows / x->dim[0]};
  j.finish = (cpu_finish){.bias = values(e->bias),
                          .act = e->act,
                          .gate = values(e->gate),
                          .residual = values(e->residual),
                          .up = values(up)};
  cpu_for(c, rows, 4 * N, finish_rows, &j);
}

/* ---- convolutions: x [B, T, C] ----------------------------------------------------------------------------------- */

static cpu_finish conv_finish(const op_conv *p) {
  return (cpu_finish){.bias = values(p->bias),
                      .alpha = values(p->alpha),
                      .inv_beta = values(p->inv_beta),
                      .residual = values(p->residual)};
}

void cpu_conv1d(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *v) {
  product p = product_of_weight(w, 0);
  p.x = tens_f32(x);
  p.items = x->dim[0];
  p.in_rows = x->dim[1];
  p.out_rows = y->dim[1];
  p.stride = v->stride;
  p.dilation = v->dilation;
  p.offset = -(int64_t)v->pad;
  p.y = tens_f32(y);
  p.y_item = y->dim[1] * p.columns;
  p.finish = conv_finish(v);
  p.period = p.columns;
  p.gate_rows = 1;
  product_run(m, c, &p);
}

/* Output t*stride + k - pad of taps k = phase + j*stride: for each phase a convolution over input rows t, t-1, ... with
 * the taps of that phase. In w [taps, O, C] the phases lie side by side, so they are stride*O columns of one product
 * whose rows are `stride` output rows long, and begin `pad` output rows early. */
void cpu_conv1d_transposed(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *v) {
  product p = product_of_weight(w, v->stride);
  int64_t O = w->dim[1];
  p.x = tens_f32(x);
  p.items = x->dim[0];
  p.in_rows = x->dim[1];
  p.out_rows = (y->dim[1] - 1 + v->pad) / v->stride + 1;
  p.stride = 1;
  p.dilation = -1;
  p.y = tens_f32(y);
  p.y_item = y->dim[1] * O;
  p.y_skip = v->pad * O;
  p.finish = conv_finish(v);
  p.period = O;
  p.gate_rows = 1;
  product_run(m, c, &p);
}

/* ---- embedding --------------------------------------------------------------------------------------------------- */

void cpu_weight_row(const tens *w, int64_t i, float *v) {
  int64_t K = w->dim[1];
  const void *from = (const uint8_t *)w->data + tens_bytes(w->dtype, i * K);
  switch (w->dtype) {
    case TENS_BF16:
      for (int64_t k = 0; k < K; k++) v[k] = bf16_to_f32(((const uint16_t *)from)[k]);
      break;
    case TENS_I8: int8_decode(v, from, w->scale[i], K); break;
    case TENS_Q8_0: q8_0_decode(v, from, K); break;
    default: memcpy(v, from, (size_t)K * sizeof *v); break;
  }
}

void cpu_embedding(tens_ctx *c, tens *y, const tens *table, const tens *ids) {
  int64_t n = tens_count(ids), H = table->dim[1];
  for (int64_t i = 0; i < n; i++) cpu_weight_row(table, tens_i32(ids)[i], tens_f32(y) + i * H);
}
