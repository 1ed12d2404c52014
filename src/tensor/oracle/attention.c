/* attention.c - attention, as in ops.h. */
#include "tensor/oracle/oracle.h"

#include <math.h>

/* One query row of one head and the keys it meets. */
typedef struct query {
  const float *q, *k; /* [D]; [Sk, kv_heads*D] at this head's columns */
  int64_t D, keys, stride;
  int64_t i; /* position of the query */
  const op_attn *a;
  const int32_t *mask; /* [Sk] or NULL */
  bool blind;          /* sees no key, so all alike */
} query;

static bool sees(const query *r, int64_t j) {
  int64_t distance = r->i > j ? r->i - j : j - r->i;
  return !(r->a->causal && j > r->i) && !(r->a->window >= 0 && distance > r->a->window) && !(r->mask && !r->mask[j]);
}

static query query_at(const tens *q, const tens *k, const op_attn *a, int64_t b, int64_t head, int64_t i) {
  query r = {.D = q->dim[2] / a->heads, .keys = k->dim[1], .stride = k->dim[2], .i = i, .a = a, .blind = true};
  r.q = tens_f32(q) + (b * q->dim[1] + i) * q->dim[2] + head * r.D;
  r.k = tens_f32(k) + b * r.keys * r.stride + head / (a->heads / a->kv_heads) * r.D;
  if (a->key_mask) r.mask = tens_i32(a->key_mask) + b * r.keys;
  for (int64_t j = 0; j < r.keys && r.blind; j++) r.blind = !sees(&r, j);
  return r;
}

static double score(const query *r, int64_t j) {
  if (r->blind) return 0;
  if (!sees(r, j)) return -INFINITY;
  double sum = 0;
  for (int64_t d = 0; d < r->D; d++) sum += (double)r->q[d] * r->k[j * r->stride + d];
  return sum / sqrt((double)r->D);
}

static double highest(const query *r) {
  double top = -INFINITY;
  for (int64_t j = 0; j < r->keys; j++) top = fmax(top, score(r, j));
  return top;
}

void oracle_attention(tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a) {
  double *out = tens_worker_scratch(c, 0);
  for (int64_t b = 0; b < q->dim[0]; b++)
    for (int64_t head = 0; head < a->heads; head++)
      for (int64_t i = 0; i < q->dim[1]; i++) {
        query r = query_at(q, k, a, b, head, i);
        double top = highest(&r), sum = 0;
        for (int64_t d = 0; d < r.D; d++) out[d] = 0;
        for (int64_t j = 0; j < r.keys; j++) {
          double p = exp(score(&r, j) - top);
          sum += p;
          for (int64_t d = 0; d < r.D && p > 0; d++) out[d] += p * tens_f32(v)[r.k - tens_f32(k) + j * r.stride + d];
        }
        for (int64_t d = 0; d < r.D; d++) tens_f32(y)[r.q - tens_f32(q) + d] = (float)(out[d] / sum);
      }
}

void oracle_attention_probs(tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a, const int *heads,
                            int n) {
  int64_t Sq = q->dim[1], Sk = k->dim[1];
  for (int64_t b = 0; b < q->dim[0]; b++)
    for (int h = 0; h < n; h++)
      for (int64_t i = 0; i < Sq; i++) {
        query r = query_at(q, k, a, b, heads[h], i);
        float *out = tens_f32(y) + ((b * n + h) * Sq + i) * Sk;
        double top = highest(&r), sum = 0;
        for (int64_t j = 0; j < Sk; j++) sum += exp(score(&r, j) - top);
        for (int64_t j = 0; j < Sk; j++) out[j] = (float)(exp(score(&r, j) - top) / sum);
      }
}
