/* attention_backward.c - gradients of attention, as in ops_backward.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

typedef struct inputs {
  const tens_attention_grads *g;
  const tens *dy, *q, *k, *v, *y;
  const op_attn *a;
} inputs;

/* One query head of one item. */
typedef struct head {
  const op_attn *a;
  int64_t D, Sq, Sk, q_row, kv_row, q_at, kv_at;
  const float *q, *y, *dy; /* of query 0 */
  const float *k, *v;      /* of key 0 */
  const int32_t *mask;     /* [Sk] or NULL */
  double *log_sum, *delta; /* [Sq] */
} head;

static head head_at(const inputs *in, int64_t b, int64_t number) {
  const op_attn *a = in->a;
  head h = {.a = a, .D = in->q->dim[2] / a->heads, .Sq = in->q->dim[1], .Sk = in->k->dim[1]};
  h.q_row = in->q->dim[2], h.kv_row = in->k->dim[2];
  h.q_at = b * h.Sq * h.q_row + number * h.D;
  h.kv_at = b * h.Sk * h.kv_row + number / (a->heads / a->kv_heads) * h.D;
  h.q = tens_f32(in->q) + h.q_at, h.y = tens_f32(in->y) + h.q_at, h.dy = tens_f32(in->dy) + h.q_at;
  h.k = tens_f32(in->k) + h.kv_at, h.v = tens_f32(in->v) + h.kv_at;
  if (a->key_mask) h.mask = tens_i32(a->key_mask) + b * h.Sk;
  h.log_sum = in->g->log_sum + (b * a->heads + number) * h.Sq;
  h.delta = in->g->delta + (b * a->heads + number) * h.Sq;
  return h;
}

static bool sees(const head *h, int64_t i, int64_t j) {
  int64_t distance = i > j ? i - j : j - i;
  return !(h->a->causal && j > i) && !(h->a->window >= 0 && distance > h->a->window) && !(h->mask && !h->mask[j]);
}

static double dot(const float *a, const float *b, int64_t n) {
  double sum = 0;
  for (int64_t d = 0; d < n; d++) sum += (double)a[d] * b[d];
  return sum;
}

static double score(const head *h, int64_t i, int64_t j) {
  if (!sees(h, i, j)) return -INFINITY;
  return dot(h->q + i * h->q_row, h->k + j * h->kv_row, h->D) / sqrt((double)h->D);
}

/* The weight of key j for query i, and the gradient of q k. A query that sees no key weighs all alike, whatever it is. */
static void weigh(const head *h, int64_t i, int64_t j, double *p, double *ds) {
  if (isinf(h->log_sum[i])) {
    *p = 1.0 / (double)h->Sk, *ds = 0;
    return;
  }
  *p = exp(score(h, i, j) - h->log_sum[i]);
  double dp = dot(h->dy + i * h->q_row, h->v + j * h->kv_row, h->D);
  *ds = *p * (dp - h->delta[i]) / sqrt((double)h->D);
}

/* A query that sees no key has an infinite sum. */
static void sum_queries(const head *h) {
  for (int64_t i = 0; i < h->Sq; i++) {
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < h->Sk; j++) top = fmax(top, score(h, i, j));
    for (int64_t j = 0; j < h->Sk && top > -INFINITY; j++) sum += exp(score(h, i, j) - top);
    h->log_sum[i] = top > -INFINITY ? top + log(sum) : INFINITY;
    h->delta[i] = dot(h->dy + i * h->q_row, h->y + i * h->q_row, h->D);
  }
}

static void add_queries(const head *h, float *dq, double *sum) {
  for (int64_t i = 0; i < h->Sq; i++) {
    for (int64_t d = 0; d < h->D; d++) sum[d] = 0;
    for (int64_t j = 0; j < h->Sk; j++) {
      double p, ds;
      weigh(h, i, j, &p, &ds);
      for (int64_t d = 0; d < h->D; d++) sum[d] += ds * h->k[j * h->kv_row + d];
    }
    for (int64_t d = 0; d < h->D; d++) dq[h->q_at + i * h->q_row + d] += (float)sum[d];
  }
}

/* What all query heads of a key head give key j. */
static void sum_key(const inputs *in, int64_t b, int64_t kv_head, int64_t j, double *dk, double *dv) {
  int64_t group = in->a->heads / in->a->kv_heads;
  for (int64_t n = kv_head * group; n < (kv_head + 1) * group; n++) {
    head h = head_at(in, b, n);
    for (int64_t i = 0; i < h.Sq; i++) {
      double p, ds;
      weigh(&h, i, j, &p, &ds);
      for (int64_t d = 0; d < h.D; d++) {
        dk[d] += ds * h.q[i * h.q_row + d];
        dv[d] += p * h.dy[i * h.q_row + d];
      }
    }
  }
}

static void add_keys(const inputs *in, int64_t b, int64_t kv_head, double *dk, double *dv) {
  head h = head_at(in, b, kv_head * (in->a->heads / in->a->kv_heads));
  for (int64_t j = 0; j < h.Sk; j++) {
    for (int64_t d = 0; d < h.D; d++) dk[d] = dv[d] = 0;
    sum_key(in, b, kv_head, j, dk, dv);
    for (int64_t d = 0; d < h.D; d++) {
      if (in->g->dk) tens_f32(in->g->dk)[h.kv_at + j * h.kv_row + d] += (float)dk[d];
      if (in->g->dv) tens_f32(in->g->dv)[h.kv_at + j * h.kv_row + d] += (float)dv[d];
    }
  }
}

void oracle_attention_backward(tens_ctx *c, const tens_attention_grads *g, const tens *dy, const tens *q, const tens *k,
                               const tens *v, const tens *y, const op_attn *a) {
  inputs in = {g, dy, q, k, v, y, a};
  double *sum = tens_worker_scratch(c, 0);
  for (int64_t b = 0; b < q->dim[0]; b++) {
    for (int64_t n = 0; n < a->heads; n++) {
      head h = head_at(&in, b, n);
      sum_queries(&h);
      if (g->dq) add_queries(&h, tens_f32(g->dq), sum);
    }
    for (int64_t n = 0; n < a->kv_heads && (g->dk || g->dv); n++) add_keys(&in, b, n, sum, sum + q->dim[2] / a->heads);
  }
}
