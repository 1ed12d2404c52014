/* norm.c - RMS norms, plain and per head with rotary positions (Su et al. 2021), and the activations that work row by
 * row. */
#include "tensor/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* ---- rms_norm: x [..., H]; scale, shift [B, H] or NULL ----------------------------------------------------------- */

typedef struct norm_job {
  const cpu_micro *m;
  tens_ctx *c;
  float *y;
  const float *x, *w, *scale, *shift;
  int64_t width, rows_per_item;
  float eps;
  int64_t items, length, heads; /* per head */
  const op_rope *rope;
} norm_job;

static void norm_rows(void *arg, int64_t first, int64_t count, int worker) {
  const norm_job *j = arg;
  for (int64_t r = first; r < first + count; r++) {
    int64_t item = r / j->rows_per_item * j->width;
    j->m->rms_norm(j->y + r * j->width, j->x + r * j->width, j->w, j->width, j->eps, j->scale ? j->scale + item : NULL,
                   j->shift ? j->shift + item : NULL);
  }
}

void cpu_rms_norm(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, float eps, const tens *scale,
                  const tens *shift) {
  int64_t H = w->dim[0], rows = tens_count(x) / H;
  norm_job j = {.m = m,
                .c = c,
                .y = tens_f32(y),
                .x = tens_f32(x),
                .w = tens_f32(w),
                .width = H,
                .rows_per_item = rows / x->dim[0],
                .eps = eps};
  if (scale) j.scale = tens_f32(scale), j.shift = tens_f32(shift);
  cpu_for(c, rows, H, norm_rows, &j);
}

/* ---- head_norm: x [B, S, heads*D] -------------------------------------------------------------------------------- */

/* Where a worker keeps theta^(-2j/D) and the cosines and sines of one position. Heads too wide for its scratch are
 * rotated in pieces. */
enum { ROPE_PIECE = 32 * 1024 };

typedef struct rope_table {
  double rate[ROPE_PIECE];
  float cosine[ROPE_PIECE], sine[ROPE_PIECE];
} rope_table;
_Static_assert(sizeof(rope_table) <= TENS_WORKER_SCRATCH, "scratch");

static void rope_rates(const norm_job *j, rope_table *t, int64_t at, int64_t n) {
  for (int64_t i = 0; i < n; i++) t->rate[i] = pow(j->rope->theta, -2.0 * (double)(at + i) / (double)j->width);
}

static void rope_angles(rope_table *t, double position, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double angle = position * t->rate[i];
    t->cosine[i] = (float)cos(angle);
    t->sine[i] = (float)sin(angle);
  }
}

/* Positions first..first+count-1 of every item and head, normed. */
static void norm_positions(void *arg, int64_t first, int64_t count, int worker) {
  const norm_job *j = arg;
  int64_t half = j->width / 2, row = j->heads * j->width;
  for (int64_t b = 0; b < j->items; b++)
    for (int64_t i = (b * j->length + first) * j->heads; i < (b * j->length + first + count) * j->heads; i++)
      j->m->rms_norm(j->y + i * j->width, j->x + i * j->width, j->w, j->width, j->eps, NULL, NULL);
  if (!j->rope) return;
  rope_table *t = tens_worker_scratch(j->c, worker);
  for (int64_t at = 0; at < half; at += ROPE_PIECE) {
    int64_t n = cpu_min(ROPE_PIECE, half - at);
    rope_rates(j, t, at, n);
    for (int64_t s = first; s < first + count; s++) {
      for (int64_t b = 0; b < j->items; b++) {
        const int32_t *start = j->rope->start ? tens_i32(j->rope->start) : NULL;
        if (b == 0 || start) rope_angles(t, (double)(j->rope->first + s) + (start ? start[b] : 0), n);
        for (int64_t h = 0; h < j->heads; h++)
          j->m->rotate(j->y + (b * j->length + s) * row + h * j->width + at, half, t->cosine, t->sine, n);
      }
    }
  }
}

void cpu_head_norm(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *w, float eps,
                   const op_rope *rope) {
  norm_job j = {.m = m,
                .c = c,
                .y = tens_f32(y),
                .x = tens_f32(x),
                .w = tens_f32(w),
                .width = w->dim[0],
                .eps = eps,
                .items = x->dim[0],
                .length = x->dim[1],
                .heads = x->dim[2] / w->dim[0],
                .rope = rope};
  cpu_for(c, x->dim[1], x->dim[0] * x->dim[2] + (rope ? 16 * w->dim[0] : 0), norm_positions, &j);
}

/* ---- silu, snake ------------------------------------------------------------------------------------------------- */

typedef struct row_job {
  const cpu_micro *m;
  float *y;
  const float *x;
  int64_t width;
  cpu_finish finish;
} row_job;

static void finish_rows(void *arg, int64_t first, int64_t count, int worker) {
  const row_job *j = arg;
  for (int64_t r = first; r < first + count; r++)
    j->m->finish(j->y + r * j->width, j->x + r * j->width, j->width, &j->finish);
}

static void finish_values(void *arg, int64_t first, int64_t count, int worker) {
  const row_job *j = arg;
  j->m->finish(j->y + first, j->x + first, count, &j->finish);
}

void cpu_silu(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x) {
  row_job j = {.m = m, .y = tens_f32(y), .x = tens_f32(x), .finish.act = OP_ACT_SILU};
  cpu_for(c, tens_count(x), 2, finish_values, &j);
}

void cpu_snake(const cpu_micro *m, tens_ctx *c, tens *y, const tens *x, const tens *alpha, const tens *inv_beta) {
  row_job j = {.m = m, .y = tens_f32(y), .x = tens_f32(x), .width = alpha->dim[0]};
  j.finish = (cpu_finish){.alpha = tens_f32(alpha), .inv_beta = tens_f32(inv_beta)};
  cpu_for(c, tens_count(x) / j.width, 2 * j.width, finish_rows, &j);
}
