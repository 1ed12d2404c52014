#include "render/flow_edit.h"

/* Steps of the schedule: [a, b) go along the difference, [b, n) along the target alone. */
typedef struct spans {
  int a, b, n;
} spans;

static spans spans_of(const sampler_params *p) {
  int n = p->n_levels - 1;
  return (spans){.a = (int)(n * p->edit.n_min), .b = (int)(n * p->edit.n_max), .n = n};
}

/* One of the two descriptions; tensors are [B, T, 64]. */
typedef struct branch {
  const sampler_condition *condition;
  guidance guidance;
  tens *previous; /* velocity of the step before; NULL: nothing is smoothed */
  bool has_previous;
} branch;

typedef struct edit {
  velocity_model model;
  const sampler_params *p;
  const sampler_input *in;
  spans spans;
  bool guided; /* at some level */
  branch source, target;
  tens *z; /* what the source has become */
} edit;

/* What the draws of one step add up to, for one branch. */
typedef struct draws {
  tens *mean;        /* of the velocities */
  tens *start, *end; /* the running difference before the step, and the mean of what draws make of it; NULL where the
                        level is not guided */
} draws;

static tens *alike(const edit *e) {
  return tens_new(e->model.c, TENS_F32, e->in->source->rank, e->in->source->dim);
}

/* dst = share * x, or dst += share * x behind the first draw. */
static bool add(tens_ctx *c, tens *dst, float share, const tens *x, bool first) {
  return op_mix_into(c, dst, share, x, first ? 0.0f : 1.0f, first ? NULL : dst);
}

static bool open_draws(const edit *e, const branch *b, float t, draws *d) {
  *d = (draws){.mean = alike(e)};
  if (!e->guided || !(tens_planning(e->model.c) || guidance_applies(&e->p->guidance, t))) return d->mean != NULL;
  d->start = alike(e);
  d->end = alike(e);
  return sampler_copy(e->model.c, d->start, b->guidance.running) && d->mean && d->end;
}

static bool add_draw(const edit *e, branch *b, draws *d, const tens *x, float t, bool first) {
  tens_ctx *c = e->model.c;
  float share = (float)(1.0 / e->p->edit.n_avg);
  if (d->start && !sampler_copy(c, b->guidance.running, d->start)) return false;
  tens *v = velocity_at(&e->model, b->condition, e->guided ? &b->guidance : NULL, x, t, false);
  if (!add(c, d->mean, share, v, first)) return false;
  return !d->start || add(c, d->end, share, b->guidance.running, first);
}

/* Smooths the branch's velocity and remembers it. */
static bool settle(const edit *e, branch *b, tens *v) {
  tens_ctx *c = e->model.c;
  if (!velocity_smooth(c, v, b->has_previous ? b->previous : NULL, e->p->ema_factor)) return false;
  b->has_previous = b->previous != NULL;
  return !b->previous || sampler_copy(c, b->previous, v);
}

static bool close_draws(const edit *e, branch *b, draws *d) {
  if (d->start && !sampler_copy(e->model.c, b->guidance.running, d->end)) return false;
  return settle(e, b, d->mean);
}

/* The source at level t with fresh noise, and what it has become with the same: z - source comes first, so that what
 * has not changed is the same in both to the last bit. */
static bool noisy(const edit *e, int step, float t, tens **zs, tens **zt) {
  tens_ctx *c = e->model.c;
  tens *noise = alike(e);
  *zs = alike(e);
  *zt = alike(e);
  if (!noise || !*zs || !*zt) return false;
  if (!tens_planning(c)) e->in->renoise(e->in->user, step, tens_f32(noise), tens_count(noise));
  return op_mix_into(c, *zs, 1.0f - t, e->in->source, t, noise) &&
         op_mix_into(c, *zt, 1.0f, e->z, -1.0f, e->in->source) && op_mix_into(c, *zt, 1.0f, *zs, 1.0f, *zt);
}

/* A step along the difference. */
static bool morph(edit *e, int step) {
  tens_ctx *c = e->model.c;
  float t = e->p->levels[step], next = e->p->levels[step + 1];
  tens_mark mark = tens_here(c);
  draws source, target;
  if (!open_draws(e, &e->source, t, &source) || !open_draws(e, &e->target, t, &target)) return false;
  int walked = tens_planning(c) ? 1 : e->p->edit.n_avg;
  for (int i = 0; i < walked; i++) {
    tens_mark draw = tens_here(c);
    tens *zs, *zt;
    if (!noisy(e, step, t, &zs, &zt) || !add_draw(e, &e->source, &source, zs, t, i == 0) ||
        !add_draw(e, &e->target, &target, zt, t, i == 0))
      return false;
    tens_release(c, draw);
  }
  bool ok = close_draws(e, &e->source, &source) && close_draws(e, &e->target, &target) &&
            op_mix_into(c, target.mean, 1.0f, target.mean, -1.0f, source.mean) &&
            op_mix_into(c, e->z, 1.0f, e->z, next - t, target.mean);
  tens_release(c, mark);
  return ok;
}

/* A step along the target alone; the first of them puts noise on what there is. */
static bool follow(edit *e, int step) {
  tens_ctx *c = e->model.c;
  float t = e->p->levels[step], next = e->p->levels[step + 1];
  tens_mark mark = tens_here(c);
  tens *zs, *zt;
  if (step == e->spans.b && !(noisy(e, step, t, &zs, &zt) && sampler_copy(c, e->z, zt))) return false;
  tens *v = velocity_at(&e->model, e->target.condition, e->guided ? &e->target.guidance : NULL, e->z, t, false);
  bool ok = settle(e, &e->target, v) && op_mix_into(c, e->z, 1.0f, e->z, next - t, v);
  tens_release(c, mark);
  return ok;
}

static bool open_branch(edit *e, branch *b, const sampler_condition *condition) {
  b->condition = condition;
  if (e->p->ema_factor > 0 && !(b->previous = alike(e))) return false;
  return !e->guided || guidance_open(e->model.c, e->model.m, &e->p->guidance, e->in->source, &b->guidance);
}

tens *flow_edit_run(tens_ctx *c, const acestep_dit *m, const sampler_params *p, const sampler_input *in) {
  edit e = {.model = {.c = c, .m = m, .norm_threshold = p->norm_threshold}, .p = p, .in = in, .spans = spans_of(p)};
  const spans s = e.spans;
  if (!in->source) return NULL;
  for (int step = s.a; step < s.n; step++) e.guided |= guidance_applies(&p->guidance, p->levels[step]);
  if (!open_branch(&e, &e.source, in->from) || !open_branch(&e, &e.target, in->first)) return NULL;
  e.z = alike(&e);
  if (!sampler_copy(c, e.z, in->source)) return NULL;
  for (int step = s.a; step < s.n; step++) {
    if (!(step < s.b ? morph(&e, step) : follow(&e, step))) return NULL;
    if (in->stepped) in->stepped(in->user, step - s.a + 1, s.n - s.a);
    if (tens_planning(c)) step = step < s.b ? s.b - 1 : s.n; /* one of each kind is enough */
  }
  return e.z;
}

int flow_edit_steps(const sampler_params *p) {
  spans s = spans_of(p);
  return s.n - s.a;
}

sampler_work flow_edit_step_work(const sampler_params *p, int step) {
  spans s = spans_of(p);
  int guided = guidance_applies(&p->guidance, p->levels[s.a + step]), n = p->edit.n_avg;
  if (s.a + step >= s.b) return (sampler_work){.conditional = 1, .unconditional = guided};
  return (sampler_work){.conditional = n, .source = n, .unconditional = 2 * guided * n};
}
