/* ops_train.c - dropout and losses, with their gradients. They run on the threads of the context for every device. */
#include "tensor/ops_train.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/grad.h"

/* ---- dropout: y = mask x ------------------------------------------------------------------------------------------ */

typedef struct drop_job {
  float *y;
  const float *x;
  const op_dropout *d;
  int64_t per_item, blocks; /* values and blocks of four of an item */
  bool add;
} drop_job;

enum { BLOCK = 4 };

static void drop_blocks(void *arg, int64_t first, int64_t count, int worker) {
  const drop_job *j = arg;
  float kept = 1 / (1 - j->d->p);
  for (int64_t at = first; at < first + count; at++) {
    int64_t item = at / j->blocks, block = at % j->blocks, from = item * j->per_item + block * BLOCK;
    const op_stream *s = &j->d->stream[item];
    uint32_t word[BLOCK];
    rng_philox_block(s->key, (const uint32_t[]){(uint32_t)block, s->word[0], s->word[1], s->word[2]}, word);
    for (int64_t i = 0; i < BLOCK && block * BLOCK + i < j->per_item; i++) {
      float y = (float)(word[i] >> 8) * 0x1p-24f < j->d->p ? 0 : kept * j->x[from + i];
      j->y[from + i] = j->add ? j->y[from + i] + y : y;
    }
  }
}

static void drop(tens_ctx *c, tens *y, const tens *x, const op_dropout *d, bool add) {
  int64_t items = x->dim[0], per_item = tens_count(x) / items;
  drop_job j = {tens_f32(y), tens_f32(x), d, per_item, (per_item + BLOCK - 1) / BLOCK, add};
  grad_for(c, items * j.blocks, 64, drop_blocks, &j);
}

void grad_dropout(tens_ctx *c, const tape_node *n, const tens *dy) {
  tens *dx = tape_grad(c, n->in[0]);
  if (dx) drop(c, dx, dy, n->saved, true);
}

tens *op_dropout_apply(tens_ctx *c, const tens *x, const op_dropout *d) {
  if (!op_begin(c) || !op_arg(c, "dropout", "x", x, OP_F32, 1, 4)) return NULL;
  if (!(d->p >= 0 && d->p < 1)) return tens_fail(c, ACE_EINVAL, "dropout: %g is outside 0..1", (double)d->p);
  tens *y = op_new_last(c, TENS_F32, x, op_last(x));
  if (!y) return NULL;
  drop(c, y, x, d, false);
  return tape_note(c, op_end(c, y), grad_dropout, TAPE_IN(x), d, sizeof *d);
}

/* ---- mean_square -------------------------------------------------------------------------------------------------- */

static bool counts(const tens *mask, int64_t row) {
  return !mask || tens_i32(mask)[row];
}

static int64_t counted(const tens *mask, int64_t item, int64_t rows) {
  int64_t n = 0;
  for (int64_t r = 0; r < rows; r++) n += counts(mask, item * rows + r);
  return n;
}

typedef struct square_job {
  float *dx, *dy; /* may be NULL */
  const float *x, *y, *dloss;
  const tens *mask;
  int64_t T, C;
} square_job;

static void square_items(void *arg, int64_t first, int64_t count, int worker) {
  const square_job *j = arg;
  for (int64_t b = first; b < first + count; b++) {
    double scale = 2 * (double)j->dloss[b] / (double)(counted(j->mask, b, j->T) * j->C);
    for (int64_t r = b * j->T; r < (b + 1) * j->T; r++)
      for (int64_t i = r * j->C; counts(j->mask, r) && i < (r + 1) * j->C; i++) {
        float d = (float)(scale * ((double)j->x[i] - (double)j->y[i]));
        if (j->dx) j->dx[i] += d;
        if (j->dy) j->dy[i] -= d;
      }
  }
}

void grad_mean_square(tens_ctx *c, const tape_node *n, const tens *dloss) {
  const tens *x = n->in[0];
  tens *dx = tape_grad(c, x), *dy = tape_grad(c, n->in[1]);
  square_job j = {.x = tens_f32(x), .y = tens_f32(n->in[1]), .dloss = tens_f32(dloss), .mask = n->in[2]};
  if (dx) j.dx = tens_f32(dx);
  if (dy) j.dy = tens_f32(dy);
  j.T = x->dim[1];
  j.C = x->dim[2];
  grad_for(c, x->dim[0], j.T * j.C, square_items, &j);
}

tens *op_mean_square(tens_ctx *c, const tens *x, const tens *y, const tens *mask) {
  const char *op = "mean_square";
  if (!op_begin(c) || !op_arg(c, op, "x", x, OP_F32, 3, 3) || !op_shaped(c, op, "y", y, OP_F32, 3, x->dim) ||
      (mask && !op_shaped(c, op, "mask", mask, OP_I32, TENS_DIMS(x->dim[0], x->dim[1]))))
    return NULL;
  int64_t B = x->dim[0], T = x->dim[1], C = x->dim[2];
  tens *loss = tens_new(c, TENS_F32, TENS_DIMS(B));
  for (int64_t b = 0; loss && !c->plan && b < B; b++) {
    int64_t rows = counted(mask, b, T);
    if (rows == 0) return tens_fail(c, ACE_EINVAL, "%s: every frame of item %lld is padding", op, (long long)b);
    double sum = 0;
    for (int64_t r = b * T; r < (b + 1) * T; r++)
      for (int64_t i = r * C; counts(mask, r) && i < (r + 1) * C; i++) {
        double d = (double)tens_f32(x)[i] - (double)tens_f32(y)[i];
        sum += d * d;
      }
    tens_f32(loss)[b] = (float)(sum / (double)(rows * C));
  }
  return tape_note(c, op_end(c, loss), grad_mean_square, TAPE_IN(x, y, mask), NULL, 0);
}

/* ---- cross_entropy ------------------------------------------------------------------------------------------------ */

/* log Σ exp(x) */
static double log_sum(const float *x, int64_t n) {
  double top = (double)x[0], sum = 0;
  for (int64_t i = 1; i < n; i++) top = fmax(top, (double)x[i]);
  for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - top);
  return top + log(sum);
}

static int64_t labelled(const tens *labels) {
  int64_t n = 0;
  for (int64_t i = 0; i < tens_count(labels); i++) n += tens_i32(labels)[i] >= 0;
  return n;
}

typedef struct entropy_job {
  const float *x;
  const int32_t *label;
  double *lost; /* of each row; or NULL */
  float *dx;    /* or NULL */
  int64_t V;
  double scale;
} entropy_job;

static void entropy_rows(void *arg, int64_t first, int64_t count, int worker) {
  const entropy_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    if (j->label[r] < 0) continue;
    const float *x = j->x + r * j->V;
    double all = log_sum(x, j->V);
    if (j->lost) j->lost[r] = all - (double)x[j->label[r]];
    for (int64_t i = 0; j->dx && i < j->V; i++)
      j->dx[r * j->V + i] += (float)(j->scale * (exp((double)x[i] - all) - (i == j->label[r])));
  }
}

void grad_cross_entropy(tens_ctx *c, const tape_node *n, const tens *dloss) {
  const tens *x = n->in[0], *labels = n->in[1];
  tens *dx = tape_grad(c, x);
  if (!dx || c->plan) return;
  entropy_job j = {tens_f32(x), tens_i32(labels), NULL, tens_f32(dx), op_last(x), 0};
  j.scale = (double)tens_f32(dloss)[0] / (double)labelled(labels);
  grad_for(c, tens_count(labels), 32 * j.V, entropy_rows, &j);
}

/* Whether every label is one of V words, or none, and one of them counts. */
static bool labels_fit(tens_ctx *c, const char *op, const tens *labels, int64_t V) {
  for (int64_t i = 0; i < tens_count(labels); i++)
    if (tens_i32(labels)[i] < -1 || tens_i32(labels)[i] >= V) {
      tens_fail(c, ACE_EINVAL, "%s: label %d is outside -1..%lld", op, tens_i32(labels)[i], (long long)V - 1);
      return false;
    }
  if (labelled(labels)) return true;
  tens_fail(c, ACE_EINVAL, "%s: no label counts", op);
  return false;
}

tens *op_cross_entropy(tens_ctx *c, const tens *logits, const tens *labels) {
  const char *op = "cross_entropy";
  if (!op_begin(c) || !op_arg(c, op, "logits", logits, OP_F32, 2, 4) ||
      !op_shaped(c, op, "labels", labels, OP_I32, logits->rank - 1, logits->dim))
    return NULL;
  int64_t rows = tens_count(labels), V = op_last(logits);
  tens *loss = tens_new(c, TENS_F32, TENS_DIMS(1));
  tens_mark mark = {c->data.used, c->nodes.used};
  double *lost = tens_scratch(c, (size_t)rows * sizeof *lost);
  if (!loss || !lost) return NULL;
  if (!c->plan) {
    if (!labels_fit(c, op, labels, V)) return NULL;
    memset(lost, 0, (size_t)rows * sizeof *lost);
    entropy_job j = {tens_f32(logits), tens_i32(labels), lost, NULL, V, 0};
    grad_for(c, rows, 16 * V, entropy_rows, &j);
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += lost[i];
    tens_f32(loss)[0] = (float)(sum / (double)labelled(labels));
  }
  tens_release(c, mark);
  return tape_note(c, op_end(c, loss), grad_cross_entropy, TAPE_IN(logits, labels), NULL, 0);
}

/* ---- word_entropy: rows in groups, whose logits are forgotten, and computed again on the way back ------------------ */

enum { WORD_ROWS = 64 };

static int64_t group_at(const tens *x, int64_t first) {
  return x->dim[0] - first < WORD_ROWS ? x->dim[0] - first : WORD_ROWS;
}

static tens *group_logits(tens_ctx *c, const tens *x, const tens *table, int64_t first, int64_t n) {
  return op_linear(c, tens_rows(c, x, first, n), table, NULL);
}

void grad_word_entropy(tens_ctx *c, const tape_node *n, const tens *dloss) {
  const tens *x = n->in[0], *table = n->in[1], *labels = n->in[2];
  tens *dx = tape_grad(c, x), *dtable = tape_grad(c, table);
  int64_t V = table->dim[0];
  double scale = c->plan ? 0 : (double)tens_f32(dloss)[0] / (double)labelled(labels);
  for (int64_t first = 0; (dx || dtable) && first < x->dim[0]; first += WORD_ROWS) {
    tens_mark mark = tens_here(c);
    int64_t rows = group_at(x, first);
    tens *logits = group_logits(c, x, table, first, rows), *d = tens_new(c, TENS_F32, TENS_DIMS(rows, V));
    if (!logits || !d) return;
    if (!c->plan) {
      memset(d->data, 0, (size_t)(rows * V) * sizeof(float));
      entropy_job j = {tens_f32(logits), tens_i32(labels) + first, NULL, tens_f32(d), V, scale};
      grad_for(c, rows, 32 * V, entropy_rows, &j);
    }
    if (dx) op_linear_backward_input(c, tens_rows(c, dx, first, rows), d, table);
    if (dtable) op_linear_backward_weight(c, dtable, d, tens_rows(c, x, first, rows));
    tens_release(c, mark);
  }
}

/* The sum over all labelled rows. */
static double entropy_of_groups(tens_ctx *c, const tens *x, const tens *table, const tens *labels) {
  double sum = 0;
  for (int64_t first = 0; first < x->dim[0]; first += WORD_ROWS) {
    tens_mark mark = tens_here(c);
    int64_t rows = group_at(x, first);
    double lost[WORD_ROWS] = {0};
    tens *logits = group_logits(c, x, table, first, rows);
    if (!logits) return 0;
    entropy_job j = {.x = tens_f32(logits), .label = tens_i32(labels), .lost = lost, .V = table->dim[0]};
    if (!c->plan) j.label += first;
    grad_for(c, rows, 16 * j.V, entropy_rows, &j);
    for (int64_t i = 0; i < rows; i++) sum += lost[i];
    tens_release(c, mark);
  }
  return sum;
}

tens *op_word_entropy(tens_ctx *c, const tens *x, const tens *table, const tens *labels) {
  const char *op = "word_entropy";
  if (!op_begin(c) || !op_arg(c, op, "x", x, OP_F32, 2, 2) || !op_arg(c, op, "table", table, OP_WEIGHT, 2, 2) ||
      !op_shaped(c, op, "labels", labels, OP_I32, TENS_DIMS(x->dim[0])))
    return NULL;
  if (!c->plan && !labels_fit(c, op, labels, table->dim[0])) return NULL;
  tens *loss = tens_new(c, TENS_F32, TENS_DIMS(1));
  bool recording = c->recording;
  c->recording = false; /* one note for all */
  double sum = loss ? entropy_of_groups(c, x, table, labels) : 0;
  c->recording = recording;
  if (loss && !c->plan) tens_f32(loss)[0] = (float)(sum / (double)labelled(labels));
  return tape_note(c, op_end(c, loss), grad_word_entropy, TAPE_IN(x, table, labels), NULL, 0);
}
