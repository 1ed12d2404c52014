#include "models/linear.h"

#include <string.h>

static int64_t last_of(const tens *x) {
  return x->dim[x->rank - 1];
}

/* v [N] as [count, N]. */
static tens *spread(tens_ctx *c, const tens *v, int64_t count) {
  tens *zero = tens_new(c, TENS_I32, TENS_DIMS(1, count));
  if (!zero) return NULL;
  if (!tens_planning(c)) memset(zero->data, 0, (size_t)count * sizeof(int32_t));
  tens *copies = op_gather(c, tens_view(c, v, TENS_DIMS(1, 1, v->dim[0])), zero);
  return copies ? tens_view(c, copies, TENS_DIMS(count, v->dim[0])) : NULL;
}

/* A gate [B, N] (NULL: ones) times factors [N] (rank 0: ones). */
static const tens *gate_with(tens_ctx *c, const tens *gate, const tens *factors, int64_t items) {
  if (!factors->rank) return gate;
  return gate ? op_scale(c, gate, factors) : spread(c, factors, items);
}

/* residual + gate (rows * (columns * x) Wᵀ + bias): what is left of W alone. */
static tens *base(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  const linear_delta *d = l->delta;
  op_epilogue own = *e;
  if (d->columns.rank) x = op_scale(c, x, &d->columns);
  if (!d->rows.rank || !x) return op_linear(c, x, &l->w, &own);
  own.gate = gate_with(c, e->gate, &d->rows, x->dim[0]);
  if (!own.gate) return NULL;
  if (e->bias) { /* factors are for the weight, not for the bias */
    if (e->gate || e->residual) return tens_fail(c, ACE_EINTERNAL, "linear: a bias under row factors stands alone");
    int64_t dim[TENS_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = l->w.dim[0];
    tens *all = spread(c, e->bias, tens_count(x) / last_of(x));
    own.bias = NULL;
    own.residual = all ? tens_view(c, all, x->rank, dim) : NULL;
    if (!own.residual) return NULL;
  }
  return op_linear(c, x, &l->w, &own);
}

/* factor * w, both watched or not, in the shape of w. */
static const tens *times(tens_ctx *c, const tens *w, const tens *factor) {
  if (!factor->rank) return w;
  const tens *one = tens_view(c, factor, TENS_DIMS(1)), *each = tens_view(c, w, TENS_DIMS(tens_count(w), 1));
  each = one && each ? op_scale(c, each, one) : NULL;
  return each ? tens_view(c, each, w->rank, w->dim) : NULL;
}

/* What the blocks are mixed with last: it carries the scalar. */
static const tens *last_mixed(tens_ctx *c, const linear_kron *k) {
  return times(c, k->w1_left.rank ? &k->w1_left : &k->w1, &k->scalar);
}

/* y + gate * rows * (columns * x) (w1 kron w2)ᵀ: w2 on every block of x, then sums of blocks. */
static tens *add_kron(tens_ctx *c, const tens *x, const linear_kron *k, const tens *gate, const tens *y) {
  if (k->columns.rank) x = op_scale(c, x, &k->columns);
  if (!x || !y) return NULL;
  int64_t blocks = k->w1.dim[1], dim[TENS_MAX_RANK];
  tens *each = tens_view(c, x, TENS_DIMS(tens_count(x) / last_of(x) * blocks, k->w2.dim[1]));
  tens *turned = op_linear(c, each, &k->w2, NULL);
  if (k->middle.rank) turned = op_scale(c, turned, &k->middle);
  if (k->w2_left.rank) turned = op_linear(c, turned, &k->w2_left, NULL);
  if (!turned) return NULL;
  memcpy(dim, x->dim, sizeof dim);
  dim[x->rank - 1] = blocks * last_of(turned);
  turned = tens_view(c, turned, x->rank, dim);
  if (k->w1_left.rank) turned = op_mix_blocks(c, turned, &k->w1, NULL);
  op_epilogue e = {.gate = gate_with(c, gate, &k->rows, x->dim[0]), .residual = y};
  return op_mix_blocks(c, turned, last_mixed(c, k), &e);
}

/* left right, [a, r] and [r, b]; right alone where left has rank 0. */
static const tens *product(tens_ctx *c, const tens *left, const tens *right) {
  if (!left || !left->rank) return right;
  int64_t r = right->dim[0], b = right->dim[1];
  tens *y = op_mix_blocks(c, tens_view(c, right, TENS_DIMS(1, r * b)), left, NULL);
  return y ? tens_view(c, y, TENS_DIMS(left->dim[0], b)) : NULL;
}

/* m / (norm(V) + eps) for each row. */
static tens *lengths(tens_ctx *c, const linear *l, const linear_kron *k) {
  const tens *left = last_mixed(c, k), *w1 = k->w1_left.rank && left ? product(c, left, &k->w1) : left;
  const tens *w2 = product(c, &k->w2_left, &k->w2);
  if (k->middle.rank && w2) w2 = times(c, w2, tens_rows(c, &k->middle, 0, 1));
  return op_kron_lengths(c, &l->w, w1, w2, &k->magnitude, k->eps);
}

/* The layer under a magnitude that is trained. */
static tens *decomposed(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  const linear_kron *k = l->delta->kron;
  tens *y = add_kron(c, x, k, NULL, op_linear(c, x, &l->w, NULL));
  y = op_scale(c, y, lengths(c, l, k));
  return e->bias || e->gate || e->residual ? op_finish(c, y, NULL, e) : y;
}

/* Gate and residual distribute over the sum of base and deltas, so no part of it needs a kernel of its own. */
static tens *adapted(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  const linear_delta *d = l->delta;
  if (d->n_kron == 1 && d->kron->magnitude.rank) return decomposed(c, x, l, e);
  tens *y = base(c, x, l, e);
  if (d->a.rank) {
    const tens *kept = d->drop.p > 0 ? op_dropout_apply(c, x, &d->drop) : x;
    tens *low = op_linear(c, kept, &d->a, NULL);
    if (d->middle.rank) low = op_scale(c, low, &d->middle);
    y = y ? op_linear(c, low, &d->b, &(op_epilogue){.gate = e->gate, .residual = y}) : NULL;
  }
  for (int i = 0; i < d->n_kron; i++) y = add_kron(c, x, &d->kron[i], e->gate, y);
  return y;
}

tens *linear_forward(tens_ctx *c, const tens *x, const linear *l, const op_epilogue *e) {
  static const op_epilogue none = {0};
  if (!l->delta) return op_linear(c, x, &l->w, e);
  if (!e) e = &none;
  if (e->act == OP_ACT_NONE) return adapted(c, x, l, e);
  if (e->gate || e->residual) return tens_fail(c, ACE_EINTERNAL, "linear: an activation under an adapter stands alone");
  return op_silu(c, adapted(c, x, l, &(op_epilogue){.bias = e->bias}));
}

tens *linear_swiglu(tens_ctx *c, const tens *x, const linear *gate, const linear *up) {
  if (!gate->delta && !up->delta) return op_swiglu(c, x, &gate->w, &up->w);
  tens *open = linear_forward(c, x, gate, NULL);
  return op_finish(c, open, linear_forward(c, x, up, NULL), NULL);
}
