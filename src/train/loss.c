#include "train/loss.h"

#include <stdlib.h>
#include <string.h>

#include "models/dit.h"
#include "train/stream.h"
#include "train/trainee_inner.h"

/* ---- items without their padding ----------------------------------------------------------------------------------- */

static bool counts(const uint8_t *mask, int64_t i) {
  return !mask || mask[i];
}

/* Up to the last one that counts. */
static int64_t length_of(const uint8_t *mask, int64_t n) {
  while (n > 0 && !counts(mask, n - 1)) n--;
  return n;
}

/* Items that are computed together, all of T frames and L rows of condition. */
typedef struct batch {
  const train_item *item;
  int n;
  int64_t T, L, channels, width;
  bool padded; /* as the reference: with what lies behind the ends of the shorter ones */
} batch;

static int64_t tokens_of(const sample *s) {
  int64_t n = 0;
  for (int64_t i = 0; i < s->shape.tokens; i++) n += counts(s->condition_mask, i);
  return n;
}

static batch batch_of(const train_item *item, int n, bool padded) {
  batch b = {.item = item, .n = n, .padded = padded};
  for (int i = 0; i < n; i++) {
    const sample *s = item[i].s;
    int64_t T = padded ? s->shape.frames : length_of(s->frame_mask, s->shape.frames);
    int64_t L = padded ? s->shape.tokens : tokens_of(s);
    if (T > b.T) b.T = T;
    if (L > b.L) b.L = L;
    b.channels = s->shape.channels, b.width = s->shape.width;
  }
  return b;
}

/* ---- what the model is given --------------------------------------------------------------------------------------- */

/* All [n, T or L, ...]; mask NULL: every frame counts. */
typedef struct given {
  tens *x, *target, *context, *condition, *t, *mask;
} given;

static void fill_flow(const batch *b, int i, const given *g) {
  const train_item *item = &b->item[i];
  int64_t T = item->s->shape.frames < b->T ? item->s->shape.frames : b->T, count = T * b->channels;
  float *x = tens_f32(g->x) + i * b->T * b->channels, *v = tens_f32(g->target) + i * b->T * b->channels;
  float t = (float)item->t;
  for (int64_t j = 0; j < count; j++) {
    x[j] = t * item->noise[j] + (1 - t) * item->s->target[j];
    v[j] = item->noise[j] - item->s->target[j];
  }
  for (int64_t j = count; b->padded && j < b->T * b->channels; j++) { /* latents of zeros under noise */
    x[j] = t * item->noise[j];
    v[j] = item->noise[j];
  }
  memcpy(tens_f32(g->context) + i * b->T * 2 * b->channels, item->s->context, (size_t)count * 2 * sizeof(float));
  tens_f32(g->t)[i] = t;
}

static void fill_condition(const batch *b, int i, const given *g, const acestep_dit *m) {
  const train_item *item = &b->item[i];
  float *to = tens_f32(g->condition) + i * b->L * b->width;
  int64_t rows = b->padded && item->unconditioned ? b->L : item->s->shape.tokens;
  for (int64_t row = 0; row < rows; row++) {
    if (!b->padded && !counts(item->s->condition_mask, row)) continue;
    const float *from = item->unconditioned ? tens_f32(&m->null_condition) : item->s->condition + row * b->width;
    memcpy(to, from, (size_t)b->width * sizeof *to);
    to += b->width;
  }
}

static tens *zeros(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim) {
  tens *x = tens_new(c, dtype, rank, dim);
  if (x && !tens_planning(c)) memset(x->data, 0, tens_bytes(dtype, tens_count(x)));
  return x;
}

static bool give(tens_ctx *c, const batch *b, const acestep_dit *m, given *g) {
  *g = (given){.x = zeros(c, TENS_F32, TENS_DIMS(b->n, b->T, b->channels)),
               .target = zeros(c, TENS_F32, TENS_DIMS(b->n, b->T, b->channels)),
               .context = zeros(c, TENS_F32, TENS_DIMS(b->n, b->T, 2 * b->channels)),
               .condition = zeros(c, TENS_F32, TENS_DIMS(b->n, b->L, b->width)),
               .t = zeros(c, TENS_F32, TENS_DIMS(b->n))};
  if (!b->padded) g->mask = zeros(c, TENS_I32, TENS_DIMS(b->n, b->T));
  if (tens_status(c) != ACE_OK) return false;
  for (int i = 0; !tens_planning(c) && i < b->n; i++) {
    fill_flow(b, i, g);
    fill_condition(b, i, g, m);
    for (int64_t f = 0; g->mask && f < b->T; f++) tens_i32(g->mask)[i * b->T + f] = counts(b->item[i].s->frame_mask, f);
  }
  return true;
}

/* ---- one pass ------------------------------------------------------------------------------------------------------ */

/* Streams of masks for every module and item; NULL: no memory. With dropout off, everything is off. */
static op_stream *drop(trainee *t, const batch *b, const train_options *o) {
  trainee_inner *in = t->inner;
  bool on = o->dropout && t->options.dropout > 0 && t->options.kind == TRAINEE_LORA;
  op_stream *streams = calloc((size_t)in->modules * (size_t)b->n, sizeof *streams);
  for (int i = 0; streams && i < in->modules; i++) {
    op_stream *of = streams + (ptrdiff_t)i * b->n;
    for (int j = 0; j < b->n; j++) {
      stream s = stream_of(o->seed, STREAM_DROPOUT, (uint32_t)i, b->item[j].epoch, b->item[j].index);
      of[j] = (op_stream){.key = s.key, .word = {s.word[0], s.word[1], s.word[2]}};
    }
    in->module[i].delta.drop = on ? (op_dropout){t->options.dropout, of} : (op_dropout){0};
  }
  return streams;
}

static void drop_nothing(trainee *t) {
  for (int i = 0; i < t->inner->modules; i++) t->inner->module[i].delta.drop = (op_dropout){0};
}

/* Losses of the items, and with `share` of each of them in the gradient. */
static void pass(tens_ctx *c, trainee *t, const batch *b, const train_options *o, float share, double *loss) {
  given g;
  dit_condition condition;
  tens_mark mark = tens_here(c);
  if (!give(c, b, t->m, &g)) return;
  if (o->gradient) {
    tape_recompute(t->inner->tape, o->recompute);
    tape_begin(c, t->inner->tape);
  }
  dit_attend(c, t->m, g.condition, &condition);
  tens *v = dit_velocity(c, t->m, &condition, g.context, g.x, g.t, g.t);
  tens *lost = op_mean_square(c, v, g.target, g.mask);
  if (lost && o->gradient) tape_backward(c, lost, share);
  tape_end(c);
  for (int i = 0; loss && lost && !tens_planning(c) && i < b->n; i++) loss[i] = (double)tens_f32(lost)[i];
  tens_release(c, mark);
}

static ace_status check(const trainee *t, const train_item *items, int n, ace_error *err) {
  for (int i = 0; i < n; i++) {
    const sample_shape *s = &items[i].s->shape;
    if (s->channels != t->m->cfg.latent_channels || s->width != t->m->cfg.encoder.hidden)
      return ace_fail(err, ACE_EINVAL,
                      "training: sample %d was made for another model: %lld channels and conditions of width %lld "
                      "instead of %d and %d",
                      i, (long long)s->channels, (long long)s->width, t->m->cfg.latent_channels,
                      t->m->cfg.encoder.hidden);
    if (length_of(items[i].s->frame_mask, s->frames) < 1 || tokens_of(items[i].s) < 1)
      return ace_fail(err, ACE_EINVAL, "training: sample %d is nothing but padding", i);
  }
  return n > 0 ? ACE_OK : ace_fail(err, ACE_EINVAL, "training: a batch of no samples");
}

ace_status train_loss(tens_ctx *c, trainee *t, const train_item *items, int n, const train_options *options,
                      double *loss, ace_error *err) {
  ace_status status = check(t, items, n, err);
  int together = options->reference ? n : 1;
  bool exact = tens_exact(c, true); /* with and without gradients alike */
  for (int i = 0; i < n && status == ACE_OK; i += together) {
    batch b = batch_of(items + i, together, options->reference);
    op_stream *streams = drop(t, &b, options);
    if (!streams) status = ace_fail(err, ACE_ENOMEM, "training: out of memory");
    else pass(c, t, &b, options, (float)(options->weight / n), loss ? loss + i : NULL);
    drop_nothing(t);
    free(streams);
    if (status == ACE_OK) status = tens_error(c, err);
  }
  if (tens_status(c) != ACE_OK) tens_reset(c);
  tens_exact(c, exact);
  return status;
}

size_t train_memory(trainee *t, const sample_shape *shapes, int n, const train_options *options, pool *threads,
                    ace_error *err) {
  tens_ctx *c = tens_open(&(tens_options){.threads = threads, .plan = true}, err);
  train_item *items = calloc((size_t)n + 1, sizeof *items);
  sample *samples = calloc((size_t)n + 1, sizeof *samples);
  size_t bytes = 0;
  if (c && items && samples) {
    for (int i = 0; i < n; i++) {
      samples[i].shape = shapes[i];
      items[i].s = &samples[i];
    }
    if (train_loss(c, t, items, n, options, NULL, err) == ACE_OK) bytes = tens_peak(c);
  } else if (c) ace_fail(err, ACE_ENOMEM, "training: out of memory");
  free(items);
  free(samples);
  tens_close(c);
  return bytes;
}
