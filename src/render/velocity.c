#include "render/velocity.h"

/* v(x, t) as the model gives it. */
static tens *evaluate(const velocity_model *vm, const dit_condition *attend, const tens *context, const tens *x,
                      float t) {
  int64_t batch = x->dim[0];
  tens *time = tens_new(vm->c, TENS_F32, TENS_DIMS(batch));
  if (!time) return NULL;
  if (!tens_planning(vm->c))
    for (int64_t b = 0; b < batch; b++) tens_f32(time)[b] = t;
  return dit_velocity(vm->c, vm->m, attend, context, x, time, time);
}

/* Moves v away from the velocity without a condition. */
static bool guide(const velocity_model *vm, const tens *context, guidance *g, tens *v, const tens *x, float t,
                  bool correction) {
  if (!g || !(tens_planning(vm->c) || guidance_applies(g->p, t))) return v != NULL;
  tens_mark mark = tens_here(vm->c);
  tens *none = evaluate(vm, &g->none, context, x, t);
  bool ok = guidance_into(vm->c, g, v, none, x, t, correction);
  tens_release(vm->c, mark);
  return ok;
}

tens *velocity_at(const velocity_model *vm, const sampler_condition *condition, guidance *g, const tens *x, float t,
                  bool correction) {
  if (!x) return NULL;
  tens *v = evaluate(vm, &condition->attend, condition->context, x, t);
  if (!guide(vm, condition->context, g, v, x, t, correction)) return NULL;
  return vm->norm_threshold > 0 ? op_norm_clamp(vm->c, v, x, (float)vm->norm_threshold) : v;
}

bool velocity_smooth(tens_ctx *c, tens *v, const tens *before, double share) {
  if (share <= 0 || !before) return v != NULL;
  return op_mix_into(c, v, (float)(1 - share), v, (float)share, before);
}
