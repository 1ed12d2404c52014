/* attention.c - attention split into heads and blocks of queries (attend_impl.h does a block), and the probabilities
 * themselves. */
#include "tensor/context.h"
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

_Static_assert(CPU_ATTEND_FLOATS(1024) * 4 <= TENS_WORKER_SCRATCH, "scratch holds heads of width 1024");

typedef struct attention_job {
  const cpu_micro *m;
  tens_ctx *c;
  tens *y;
  const tens *q, *k, *v;
  const op_attn *a;
  int64_t depth, blocks; /* of queries */
  const int *heads;      /* of probabilities */
  int n;
} attention_job;

static int64_t key_head(const attention_job *j, int64_t head) {
  return head / (j->a->heads / j->a->kv_heads);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static void attend_block(void *arg, int number, int worker) {
  const attention_job *j = arg;
  int64_t block = number % j->blocks, rest = number / j->blocks, head = rest % j->a->heads, b = rest / j->a->heads;
  int64_t Sq = j->q->dim[1], Sk = j->k->dim[1], first = block * j->m->queries;
  int64_t q_at = (b * Sq + first) * j->q->dim[2] + head * j->depth;
  int64_t kv_at = b * Sk * j->k->dim[2] + key_head(j, head) * j->depth;
  cpu_attend a = {.q = tens_f32(j->q) + q_at,
                  .q_row = j->q->dim[2],
                  .k = tens_f32(j->k) + kv_at,
                  .v = tens_f32(j->v) + kv_at,
                  .kv_row = j->k->dim[2],
                  .y = tens_f32(j->y) + q_at,
                  .first = first,
                  .count = cpu_min(j->m->queries, Sq - first),
                  .keys = Sk,
                  .depth = j->depth,
                  .causal = j->a->causal,
                  .window = j->a->window < 0 ? -1 : j->a->window,
                  .scratch = tens_worker_scratch(j->c, worker)};
  if (j->a->key_mask) a.mask = tens_i32(j->a->key_mask) + b * Sk;
  j->m->attend(&a);
}

void cpu_attention(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const tens *k, const tens *v,
                   const op_attn *a) {
  if (m->attention && !op_exact(c) && m->attention(c, y, q, k, v, a)) return;
  attention_job j = {.m = m,
                     .c = c,
                     .y = y,
                     .q = q,
                     .k = k,
                     .v = v,
                     .a = a,
                     .depth = q->dim[2] / a->heads,
                     .blocks = cpu_ceil(q->dim[1], m->queries)};
  tens_parallel(c, (int)(q->dim[0] * a->heads * j.blocks), attend_block, &j);
}

/* ---- attention_probs --------------------------------------------------------------------------------------------- */

static bool sees(const attention_job *j, int64_t b, int64_t i, int64_t key) {
  int64_t distance = i > key ? i - key : key - i;
  return !(j->a->causal && key > i) && !(j->a->window >= 0 && distance > j->a->window) &&
         !(j->a->key_mask && !tens_i32(j->a->key_mask)[b * j->k->dim[1] + key]);
}

static void probability_rows(void *arg, int64_t first, int64_t count, int worker) {
  const attention_job *j = arg;
  int64_t Sq = j->q->dim[1], Sk = j->k->dim[1];
  float scale = 1.0f / sqrtf((float)j->depth);
  for (int64_t r = first; r < first + count; r++) {
    int64_t i = r % Sq, head = j->heads[r / Sq % j->n], b = r / Sq / j->n;
    const float *q = tens_f32(j->q) + (b * Sq + i) * j->q->dim[2] + head * j->depth;
    const float *k = tens_f32(j->k) + b * Sk * j->k->dim[2] + key_head(j, head) * j->depth;
    float *p = tens_f32(j->y) + r * Sk;
    bool blind = true;
    for (int64_t key = 0; key < Sk; key++) {
      bool seen = sees(j, b, i, key);
      p[key] = seen ? j->m->dot(q, k + key * j->k->dim[2], j->depth) * scale : -INFINITY;
      blind = blind && !seen;
    }
    if (blind) memset(p, 0, (size_t)Sk * sizeof *p);
    j->m->softmax(p, Sk);
  }
}

void cpu_attention_probs(const cpu_micro *m, tens_ctx *c, tens *y, const tens *q, const tens *k, const op_attn *a,
                         const int *heads, int n) {
  attention_job j = {
      .m = m, .c = c, .y = y, .q = q, .k = k, .a = a, .depth = q->dim[2] / a->heads, .heads = heads, .n = n};
  cpu_for(c, q->dim[0] * n * q->dim[1], k->dim[1] * j.depth, probability_rows, &j);
}
