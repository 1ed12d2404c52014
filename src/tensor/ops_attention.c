/* ops_attention.c - grouped-query attention with a causal, window or key mask. */
#include "tensor/grad.h"

/* So that a device can keep a head in its scratch memory. */
enum { MAX_HEAD = 1024 };

bool op_attention_fits(tens_ctx *c, const char *op, const tens *q, const tens *k, const op_attn *a) {
  if (!op_arg(c, op, "q", q, OP_F32, 3, 3) || !op_arg(c, op, "k", k, OP_F32, 3, 3)) return false;
  if (a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads) {
    tens_fail(c, ACE_EINVAL, "%s: %d heads do not share %d key/value heads evenly", op, a->heads, a->kv_heads);
    return false;
  }
  if (q->dim[2] % a->heads || k->dim[2] % a->kv_heads || q->dim[2] / a->heads != k->dim[2] / a->kv_heads ||
      q->dim[0] != k->dim[0]) {
    tens_fail(c, ACE_EINVAL, "%s: q %s of %d heads does not fit k %s of %d heads", op, TENS_SHAPE(q), a->heads,
              TENS_SHAPE(k), a->kv_heads);
    return false;
  }
  if (q->dim[2] / a->heads > MAX_HEAD) {
    tens_fail(c, ACE_EINVAL, "%s: heads of width %lld are wider than %d", op, (long long)(q->dim[2] / a->heads),
              (int)MAX_HEAD);
    return false;
  }
  if (a->causal && q->dim[1] != k->dim[1]) {
    tens_fail(c, ACE_EINVAL, "%s: causal attention needs as many queries as keys, not q %s, k %s", op, TENS_SHAPE(q),
              TENS_SHAPE(k));
    return false;
  }
  return !a->key_mask || op_shaped(c, op, "key_mask", a->key_mask, OP_I32, TENS_DIMS(k->dim[0], k->dim[1]));
}

/* ---- attention: softmax(q kᵀ / sqrt(D)) v --------------------------------------------------------------------- */

tens *op_attention(tens_ctx *c, const tens *q, const tens *k, const tens *v, const op_attn *a) {
  if (!op_begin(c) || !op_attention_fits(c, "attention", q, k, a) ||
      !op_shaped(c, "attention", "v", v, OP_F32, 3, k->dim))
    return NULL;
  tens *y = op_new_last(c, TENS_F32, q, q->dim[2]);
  if (y && !c->plan) c->device->attention(c, y, q, k, v, a);
  return tape_note(c, op_end(c, y), grad_attention, TAPE_IN(q, k, v), a, sizeof *a);
}

/* ---- attention_probs: softmax(q kᵀ / sqrt(D)) for chosen heads ------------------------------------------------ */

tens *op_attention_probs(tens_ctx *c, const tens *q, const tens *k, const op_attn *a, const int *heads, int n) {
  if (!op_begin(c) || !op_attention_fits(c, "attention_probs", q, k, a)) return NULL;
  if (n < 1) return tens_fail(c, ACE_EINVAL, "attention_probs: no head chosen");
  for (int i = 0; i < n; i++)
    if (heads[i] < 0 || heads[i] >= a->heads)
      return tens_fail(c, ACE_EINVAL, "attention_probs: head %d is outside 0..%d", heads[i], a->heads - 1);
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(q->dim[0], n, q->dim[1], k->dim[1]));
  if (y && !c->plan) c->device->attention_probs(c, y, q, k, a, heads, n);
  return op_end(c, y);
}
