/* check_train.c - losses and gradients of training. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "render/prepare.h"
#include "train/adamw.h"
#include "train/loss.h"

/* ---- the batch of a case ------------------------------------------------------------------------------------------- */

enum { MOST_ITEMS = 4 };

typedef struct batch {
  sample sample[MOST_ITEMS];
  train_item item[MOST_ITEMS];
  int n;
} batch;

/* Data, noise [B, T, 64], context [B, T, 128], condition [B, L, He], t [B]: all items belong to the case. */
static bool make_batch(golden_case *k, const tens *data, const tens *noise, const tens *context, const tens *condition,
                       const tens *t, batch *b) {
  if (!data || !noise || !context || !condition || !t || data->dim[0] > MOST_ITEMS) return false;
  int64_t T = data->dim[1], C = data->dim[2], L = condition->dim[1], He = condition->dim[2];
  *b = (batch){.n = (int)data->dim[0]};
  for (int i = 0; i < b->n; i++) {
    b->sample[i] = (sample){.shape = {T, C, L, He},
                            .target = tens_f32(data) + i * T * C,
                            .context = tens_f32(context) + i * T * 2 * C,
                            .condition = tens_f32(condition) + i * L * He};
    b->item[i] = (train_item){.s = &b->sample[i], .t = (double)tens_f32(t)[i], .noise = tens_f32(noise) + i * T * C};
  }
  return true;
}

static bool read_batch(golden_case *k, batch *b) {
  return make_batch(k, case_tensor(k, "in.x0"), case_tensor(k, "in.x1"), case_tensor(k, "in.context_latents"),
                    case_tensor(k, "in.encoder_hidden_states"), case_tensor(k, "in.t"), b);
}

static acestep_dit *open_base(golden_case *k) {
  ace_error err;
  char *folder = golden_checkpoint(k->g, "acestep-v15-base");
  acestep_dit *m = folder ? acestep_dit_open(folder, &err) : NULL;
  if (!m) case_fail(k, "acestep-v15-base", err.message);
  free(folder);
  return m;
}

/* ---- LoRA ---------------------------------------------------------------------------------------------------------- */

/* "in", "out" or "out.grad" in front, ".weight" behind. */
static const char *name_of(const trainee_tensor *x, const char *what, char out[160]) {
  snprintf(out, 160, "%s.base_model.model.%s.%s.weight", what, x->module, x->part);
  return out;
}

/* The adapter of the case; factors that it does not give stay zero. */
static trainee *open_adapter(golden_case *k, acestep_dit *m) {
  ace_error err;
  trainee_options o = {
      .rank = (int)case_number(k, "r", 4), .alpha = case_number(k, "alpha", 8), .self = true, .cross = true};
  trainee *t = trainee_open(m, &o, &err);
  if (!t) case_fail(k, "adapter", err.message);
  char name[160];
  for (int i = 0; t && i < t->n; i++) {
    const trainee_tensor *x = &t->tensor[i];
    int64_t count = 0;
    const float *value = case_has(k, name_of(x, "in", name)) ? case_floats(k, name, &count) : NULL;
    if (value && count == x->rows * x->columns) memcpy(t->values + x->first, value, (size_t)count * sizeof *value);
    else if (value) case_fail(k, name, "has another shape");
  }
  return t;
}

/* The mean loss of the batch; its gradient replaces the last one. */
static double step(golden_case *k, trainee *t, const batch *b, bool gradient) {
  ace_error err;
  double loss[MOST_ITEMS] = {0}, sum = 0;
  train_options o = {.reference = true, .gradient = gradient, .recompute = true, .weight = 1};
  memset(t->grads, 0, (size_t)t->count * sizeof *t->grads);
  if (train_loss(k->g->c, t, b->item, b->n, &o, loss, &err) != ACE_OK) case_fail(k, "loss", err.message);
  for (int i = 0; i < b->n; i++) sum += loss[i];
  return sum / b->n;
}

static void compare_number(golden_case *k, const char *name, double got, double tolerance) {
  float value = (float)got;
  case_compare_floats(k, name, &value, 1, tolerance);
}

void check_train_lora_grads(golden_case *k) {
  batch b;
  acestep_dit *m = open_base(k);
  trainee *t = m && read_batch(k, &b) ? open_adapter(k, m) : NULL;
  char name[160];
  if (t) compare_number(k, "out.loss", step(k, t, &b, true), 1e-5);
  for (int i = 0; t && i < t->n; i++) {
    const trainee_tensor *x = &t->tensor[i];
    case_compare_floats(k, name_of(x, "out.grad", name), t->grads + x->first, x->rows * x->columns, k->tolerance);
  }
  trainee_close(t);
  acestep_dit_close(m);
}

/* AdamW divides by the size of the gradient, so where gradients of several steps nearly cancel, their last digits decide:
 * one value of 256 moves by more than the tolerance when gradients are off by a millionth of their tensor's largest. The
 * reference's own float sums are off by up to five times that (README of the data), and train_lora_grads finds no more
 * than rounding between it and us. So each step is tried with gradients off by this share, in every combination of
 * signs; what that moves by as much as the reference is away cannot be told apart from it. */
#define GRADIENT_ROUNDING 1e-6

enum { STEPS = 4 };

typedef struct course {
  float *start, *grads[STEPS], *moments, *values, *spread; /* [count], moments twice */
} course;

static bool open_course(course *c, int64_t count) {
  float *all = calloc((size_t)count * (STEPS + 5), sizeof *all);
  if (!all) return false;
  c->start = all;
  for (int i = 0; i < STEPS; i++) c->grads[i] = all + (i + 1) * count;
  c->moments = all + (STEPS + 1) * count;
  c->values = all + (STEPS + 3) * count;
  c->spread = all + (STEPS + 4) * count;
  return true;
}

static void one_step(const golden_case *k, int i, int64_t count, const float *g, float *values, float *moments) {
  double norm = adamw_norm(k->g->threads, count, g);
  adamw a = {case_number(k, "lr", 0), case_number(k, "weight_decay", 0), i + 1};
  adamw_step(&a, k->g->threads, count, g, adamw_clip(norm, case_number(k, "max_grad_norm", 0)), values, moments,
             moments + count);
}

/* How far rounding may move each value. */
static void find_spread(const golden_case *k, const trainee *t, course *c) {
  float *g = malloc((size_t)t->count * sizeof *g);
  for (int signs = 0; g && signs < 1 << STEPS; signs++) {
    memcpy(c->values, c->start, (size_t)t->count * sizeof *g);
    memset(c->moments, 0, (size_t)t->count * 2 * sizeof *g);
    for (int i = 0; i < STEPS; i++) {
      for (int j = 0; j < t->n; j++) {
        const float *from = c->grads[i] + t->tensor[j].first;
        int64_t n = t->tensor[j].rows * t->tensor[j].columns;
        double most = 0;
        for (int64_t e = 0; e < n; e++) most = fmax(most, fabs((double)from[e]));
        double off = GRADIENT_ROUNDING * (signs >> i & 1 ? most : -most);
        for (int64_t e = 0; e < n; e++) g[t->tensor[j].first + e] = (float)((double)from[e] + off);
      }
      one_step(k, i, t->count, g, c->values, c->moments);
    }
    for (int64_t e = 0; e < t->count; e++) c->spread[e] = fmaxf(c->spread[e], fabsf(c->values[e] - t->values[e]));
  }
  free(g);
}

/* A value that is off by more than the tolerance may be so if rounding can have moved it as far; such are one in a
 * hundred at most. */
static void compare_values(golden_case *k, const char *name, float *got, const float *spread, int64_t n) {
  int64_t count = 0, moved = 0;
  const float *ref = case_floats(k, name, &count);
  double most = 0;
  for (int64_t e = 0; ref && count == n && e < n; e++) most = fmax(most, fabs((double)ref[e]));
  for (int64_t e = 0; ref && count == n && e < n; e++)
    if (fabs((double)got[e] - (double)ref[e]) > k->tolerance * most && fabsf(got[e] - ref[e]) <= spread[e]) {
      got[e] = ref[e];
      moved++;
    }
  if (moved * 100 > n) case_fail(k, name, "is decided by rounding");
  case_compare_floats(k, name, got, n, k->tolerance);
}

void check_train_lora_adamw(golden_case *k) {
  batch b;
  course c = {0};
  acestep_dit *m = open_base(k);
  trainee *t = m && read_batch(k, &b) ? open_adapter(k, m) : NULL;
  if (t && open_course(&c, t->count)) {
    float loss[STEPS + 1], norms[STEPS];
    size_t size = (size_t)t->count * sizeof *t->values;
    memcpy(c.start, t->values, size);
    for (int i = 0; i < STEPS; i++) {
      loss[i] = (float)step(k, t, &b, true);
      norms[i] = (float)adamw_norm(k->g->threads, t->count, t->grads);
      memcpy(c.grads[i], t->grads, size);
      one_step(k, i, t->count, t->grads, t->values, c.moments);
    }
    loss[STEPS] = (float)step(k, t, &b, false);
    case_compare_floats(k, "out.losses", loss, STEPS + 1, 1e-4);
    case_compare_floats(k, "out.grad_norms", norms, STEPS, k->tolerance);
    find_spread(k, t, &c);
  }
  char name[160];
  for (int i = 0; c.start && i < t->n; i++) {
    const trainee_tensor *x = &t->tensor[i];
    if (case_has(k, name_of(x, "out", name)))
      compare_values(k, name, t->values + x->first, c.spread + x->first, x->rows * x->columns);
  }
  free(c.start);
  trainee_close(t);
  acestep_dit_close(m);
}

/* ---- from the inputs of the encoders to the loss ------------------------------------------------------------------- */

void check_train_forward(golden_case *k) {
  acestep_dit *m = open_base(k);
  if (!m) return;
  acestep_dit own = golden_with_silence(k, m);
  prepare_input in = {.condition = golden_condition(k),
                      .source = case_tensor(k, "in.src_latents"),
                      .chunk_mask = case_tensor(k, "in.chunk_masks"),
                      .is_cover = case_ints(k, "in.is_covers", NULL)};
  const float *chance = case_floats(k, "in.cfg_rand", NULL);
  batch b;
  prepared p = {0};
  if (chance && in.is_cover && in.condition.clip_order) p = prepare_condition(k->g->c, &own, &in, NULL);
  if (make_batch(k, case_tensor(k, "in.hidden_states"), case_tensor(k, "in.x1"), p.context, p.encoded,
                 case_tensor(k, "in.t"), &b)) {
    for (int i = 0; i < b.n; i++) b.item[i].unconditioned = (double)chance[i] < case_number(k, "cfg_ratio", 0);
    trainee *t = open_adapter(k, m);
    if (t) compare_number(k, "out.loss", step(k, t, &b, false), k->tolerance);
    trainee_close(t);
  }
  acestep_dit_close(m);
}
