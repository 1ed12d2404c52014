/* matrix.c - linear layers, the gated unit and convolutions as products (product.h); embeddings. */
#include "tensor/cpu/product.h"
#include "tensor/cpu/product_small.h"

#include "base/half.h"
#include "tensor/int8.h"

#include <string.h>

static const float *values(const tens *x) {
  return x ? tens_f32(x) : NULL;
}

/* ---- linear, swiglu: x [..., K], w [N, K] ------------------------------------------------------------------------ */

static product linear_product(tens *y, const tens *x, const tens *w) {
  int64_t K = w->dim[1], N = w->dim[0], M = tens_count(x) / K;
  return (product){.x = tens_f32(x),
                   .items = 1,
                   .in_rows = M,
                   .width = K,
                   .out_rows = M,
                   .stride = 1,
                   .taps = 1,
                   .w = w->data,
                   .bf16 = w->dtype == TENS_BF16,
                   .columns = N,
                   .w_column = K,
                   .y = tens_f32(y),
                   .y_item = M * N,
                   .period = N};
}

/* w_up of the type of w, or NULL; the gate has a row for each gate_rows. */
static void multiply(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const tens *w_up,
                     const cpu_finish *finish, int64_t gate_rows) {
  if (w->dtype == TENS_F32 || w->dtype == TENS_BF16) {
    product p = linear_product(y, x, w);
    p.w_up = w_up ? w_up->data : NULL;
    p.finish = *finish;
    p.gate_rows = gate_rows;
    product_run(m, c, &p);
    return;
  }
  int64_t K = w->dim[1];
  product_small p = {.x = tens_f32(x),
                     .y = tens_f32(y),
                     .rows = tens_count(x) / K,
                     .width = K,
                     .columns = w->dim[0],
                     .w = w,
                     .w_up = w_up,
                     .finish = *finish,
                     .gate_rows = gate_rows};
  product_small_run(m, c, &p);
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

/* ---- convolutions: x [B, T, C] ----------------------------------------------------------------------------------- */

static cpu_finish conv_finish(const op_conv *p) {
  return (cpu_finish){.bias = values(p->bias),
                      .alpha = values(p->alpha),
                      .inv_beta = values(p->inv_beta),
                      .residual = values(p->residual)};
}

void cpu_conv1d(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *v) {
  int64_t O = w->dim[0], taps = w->dim[1], C = w->dim[2];
  product p = {.x = tens_f32(x),
               .items = x->dim[0],
               .in_rows = x->dim[1],
               .width = C,
               .out_rows = y->dim[1],
               .stride = v->stride,
               .dilation = v->dilation,
               .offset = -(int64_t)v->pad,
               .taps = taps,
               .w = w->data,
               .bf16 = w->dtype == TENS_BF16,
               .columns = O,
               .w_column = taps * C,
               .w_tap = C,
               .y = tens_f32(y),
               .y_item = y->dim[1] * O,
               .finish = conv_finish(v),
               .period = O,
               .gate_rows = 1};
  product_run(m, c, &p);
}

/* Output t*stride + k - pad of taps k = phase + j*stride: for each phase a convolution over input rows t, t-1, ... with
 * the taps of that phase. In w [taps, O, C] the phases lie side by side, so they are stride*O columns of one product
 * whose rows are `stride` output rows long, and begin `pad` output rows early. */
void cpu_conv1d_transposed(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, const op_conv *v) {
  int64_t O = w->dim[1], C = w->dim[2], columns = v->stride * O;
  product p = {.x = tens_f32(x),
               .items = x->dim[0],
               .in_rows = x->dim[1],
               .width = C,
               .out_rows = (y->dim[1] - 1 + v->pad) / v->stride + 1,
               .stride = 1,
               .dilation = -1,
               .taps = w->dim[0] / v->stride,
               .w = w->data,
               .bf16 = w->dtype == TENS_BF16,
               .columns = columns,
               .w_column = C,
               .w_tap = columns * C,
               .y = tens_f32(y),
               .y_item = y->dim[1] * O,
               .y_skip = v->pad * O,
               .finish = conv_finish(v),
               .period = O,
               .gate_rows = 1};
  product_run(m, c, &p);
}

/* ---- embedding --------------------------------------------------------------------------------------------------- */

void cpu_embedding(tens_ctx *c, tens *y, const tens *table, const tens *ids) {
  int64_t n = tens_count(ids), H = table->dim[1];
  for (int64_t i = 0; i < n; i++) {
    int64_t row = tens_i32(ids)[i];
    const void *from = (const uint8_t *)table->data + tens_bytes(table->dtype, row * H);
    float *out = tens_f32(y) + i * H;
    switch (table->dtype) {
      case TENS_BF16:
        for (int64_t h = 0; h < H; h++) out[h] = bf16_to_f32(((const uint16_t *)from)[h]);
        break;
      case TENS_I8: int8_decode(out, from, table->scale[row], H); break;
      case TENS_Q8_0: q8_0_decode(out, from, H); break;
      default: memcpy(out, from, (size_t)H * sizeof *out); break;
    }
  }
}
