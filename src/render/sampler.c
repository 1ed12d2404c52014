#include "render/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/flow_edit.h"
#include "render/schedule.h"

/* The schedule behind what cover noise dropped. */
typedef struct span {
  const float *levels;
  int n_levels, steps;
  float start; /* level that the run starts from */
} span;

static span span_of(const sampler_params *p) {
  float start = 1;
  int dropped = schedule_truncate_for_cover(p->levels, p->n_levels, !p->turbo, p->cover_noise, &start);
  int n = p->n_levels - dropped;
  return (span){.levels = p->levels + dropped, .n_levels = n, .steps = p->turbo ? n : n - 1, .start = start};
}

static float level_at(const span *s, int step) {
  return step < s->n_levels ? s->levels[step] : 0.0f;
}

/* Turbo's last step goes straight to the music, whatever the method. */
static bool finishes(const sampler_params *p, const span *s, int step) {
  return p->turbo && step + 1 == s->steps;
}

/* The run: tensors that live from step to step, all [B, T, 64]. */
typedef struct sampler {
  tens_ctx *c;
  velocity_model model;
  const sampler_params *p;
  const sampler_input *in;
  const sampler_condition *condition;
  span span;
  bool guided; /* at some level */
  guidance guidance;
  tens *x, *previous, *noise, *repaint_mask;
  bool has_previous;
} sampler;

bool sampler_copy(tens_ctx *c, tens *dst, const tens *src) {
  return op_mix_into(c, dst, 1.0f, src, 0.0f, NULL);
}

static tens *velocity(sampler *s, const tens *x, float t, bool correction) {
  return velocity_at(&s->model, s->condition, s->guided ? &s->guidance : NULL, x, t, correction);
}

/* The plain update to `next`, with Heun's second evaluation averaged into v when asked for. */
static bool advance(sampler *s, tens *v, float t, float next) {
  if (s->p->heun) {
    tens *ahead = tens_new(s->c, TENS_F32, v->rank, v->dim);
    if (!ahead || !op_mix_into(s->c, ahead, 1.0f, s->x, -(t - next), v)) return false;
    tens *v2 = velocity(s, ahead, next, true);
    if (!velocity_smooth(s->c, v2, v, s->p->ema_factor) || !op_mix_into(s->c, v, 0.5f, v, 0.5f, v2)) return false;
  }
  return op_mix_into(s->c, s->x, 1.0f, s->x, -(t - next), v);
}

/* Predicts the music, then puts fresh noise of level `next` on it. */
static bool renoise(sampler *s, const tens *v, int step, float t) {
  float next = s->p->turbo ? level_at(&s->span, step + 1) : (float)(1.0 - (double)(step + 1) / s->span.steps);
  tens *fresh = tens_new(s->c, TENS_F32, v->rank, v->dim);
  if (!fresh) return false;
  if (!tens_planning(s->c)) s->in->renoise(s->in->user, step, tens_f32(fresh), tens_count(fresh));
  return op_mix_into(s->c, s->x, 1.0f, s->x, -t, v) && op_mix_into(s->c, s->x, next, fresh, 1.0f - next, s->x);
}

/* Puts the part to keep back, at noise level `next`. */
static bool inject(sampler *s, float next) {
  tens *kept = tens_new(s->c, TENS_F32, s->x->rank, s->x->dim);
  return kept && op_mix_into(s->c, kept, next, s->noise, 1.0f - next, s->in->clean) &&
         op_blend_into(s->c, s->x, s->repaint_mask, s->x, kept);
}

static bool take_step(sampler *s, int step) {
  tens_ctx *c = s->c;
  float t = level_at(&s->span, step), next = level_at(&s->span, step + 1);
  bool finish = finishes(s->p, &s->span, step);
  tens_mark mark = tens_here(c);
  tens *v = velocity(s, s->x, t, false);
  if (!velocity_smooth(c, v, s->has_previous ? s->previous : NULL, s->p->ema_factor)) return false;
  tens *estimate = NULL;
  if (s->p->dcw.mode != DCW_OFF) {
    estimate = tens_new(c, TENS_F32, v->rank, v->dim);
    if (!estimate || !op_mix_into(c, estimate, 1.0f, s->x, -t, v)) return false;
  }
  bool ok = finish      ? op_mix_into(c, s->x, 1.0f, s->x, -t, v)
            : s->p->sde ? renoise(s, v, step, t)
                        : advance(s, v, t, next);
  if (ok && estimate) ok = dcw_correct(c, &s->p->dcw, s->x, estimate, t);
  if (ok && s->previous) ok = s->has_previous = sampler_copy(c, s->previous, v);
  int injected = (int)nearbyint(s->p->inject_ratio * s->span.steps); /* halves to even */
  if (ok && s->repaint_mask && step < injected && !finish) ok = inject(s, next);
  tens_release(c, mark);
  return ok;
}

/* Ramps of n interior points from 0 to 1 outside each side of the span of ones, for rows that have both. */
static void soften(float *mask, int64_t frames, int crossfade) {
  int64_t first = 0, end = frames;
  while (first < frames && mask[first] <= 0) first++;
  if (first == frames) return;
  while (end > first && mask[end - 1] <= 0) end--;
  int64_t from = first > crossfade ? first - crossfade : 0, to = end + crossfade < frames ? end + crossfade : frames;
  for (int64_t i = from; i < first; i++) mask[i] = (float)(i - from + 1) / (float)(first - from + 1);
  for (int64_t i = end; i < to; i++) mask[i] = 1.0f - (float)(i - end + 1) / (float)(to - end + 1);
}

static bool blend_boundary(sampler *s) {
  int64_t batch = s->x->dim[0], frames = s->x->dim[1];
  float *soft = malloc((size_t)(batch * frames) * sizeof *soft);
  if (!soft) return tens_fail(s->c, ACE_ENOMEM, "sampler: out of memory");
  memcpy(soft, s->in->repaint_mask, (size_t)(batch * frames) * sizeof *soft);
  for (int64_t b = 0; b < batch; b++) soften(soft + b * frames, frames, s->p->crossfade);
  tens *mask = tens_from(s->c, TENS_F32, TENS_DIMS(batch, frames), soft);
  free(soft);
  return op_blend_into(s->c, s->x, mask, s->x, s->in->clean);
}

/* Allocates what lives through the loop and sets x to its start. */
static bool start(sampler *s) {
  const tens *noise = s->in->noise;
  if (!noise) return false;
  s->span = span_of(s->p);
  s->noise = (tens *)noise;
  s->x = tens_new(s->c, TENS_F32, noise->rank, noise->dim);
  if (s->p->ema_factor > 0) s->previous = tens_new(s->c, TENS_F32, noise->rank, noise->dim);
  if (s->in->repaint_mask)
    s->repaint_mask = tens_from(s->c, TENS_F32, TENS_DIMS(noise->dim[0], noise->dim[1]), s->in->repaint_mask);
  if (s->span.steps < 1) return tens_fail(s->c, ACE_EINVAL, "sampler: an empty schedule");
  for (int step = 0; step < s->span.steps; step++) s->guided |= sampler_step_work(s->p, step).unconditional > 0;
  if (s->guided && !guidance_open(s->c, s->model.m, &s->p->guidance, noise, &s->guidance)) return false;
  float t0 = s->span.start;
  return s->p->cover_noise > 0 ? op_mix_into(s->c, s->x, t0, noise, 1.0f - t0, s->in->source)
                               : sampler_copy(s->c, s->x, noise);
}

tens *sampler_retake(tens_ctx *c, const tens *noise, const tens *other, double variance) {
  const double quarter_turn = 1.57079632679489661923;
  tens *y = noise ? tens_new(c, TENS_F32, noise->rank, noise->dim) : NULL;
  float keep = (float)cos(variance * quarter_turn), take = (float)sin(variance * quarter_turn);
  return y && op_mix_into(c, y, keep, noise, take, other) ? y : NULL;
}

int sampler_steps(const sampler_params *p) {
  return p->edit.n_avg > 0 ? flow_edit_steps(p) : span_of(p).steps;
}

sampler_work sampler_step_work(const sampler_params *p, int step) {
  if (p->edit.n_avg > 0) return flow_edit_step_work(p, step);
  span s = span_of(p);
  bool two = p->heun && !p->sde && !finishes(p, &s, step);
  return (sampler_work){.conditional = 1 + two,
                        .unconditional = guidance_applies(&p->guidance, level_at(&s, step)) +
                                         (two && guidance_applies(&p->guidance, level_at(&s, step + 1)))};
}

tens *sampler_run(tens_ctx *c, const acestep_dit *m, const sampler_params *p, const sampler_input *in) {
  if (p->edit.n_avg > 0) return flow_edit_run(c, m, p, in);
  sampler s = {
      .c = c, .model = {.c = c, .m = m, .norm_threshold = p->norm_threshold}, .p = p, .in = in, .condition = in->first};
  if (!start(&s)) return NULL;
  bool nominal = p->nominal_steps > 0 && !(p->cover_noise > 0);
  int covered = (int)((nominal ? p->nominal_steps : s.span.steps) * p->cover_strength);
  int walked = tens_planning(c) ? 1 : s.span.steps;
  for (int step = 0; step < walked; step++) {
    if (step >= covered && in->then) s.condition = in->then;
    if (!take_step(&s, step)) return NULL;
    if (in->stepped) in->stepped(in->user, step + 1, s.span.steps);
  }
  if (s.repaint_mask && p->crossfade > 0 && !blend_boundary(&s)) return NULL;
  return s.x;
}
