#include "render/guidance.h"

#include <math.h>
#include <string.h>

bool guidance_applies(const guidance_params *p, float t) {
  return p->scale > 1 && t >= (float)p->start && t <= (float)p->end;
}

/* The null condition, one token an item: [B, 1, He]. */
static tens *null_condition(tens_ctx *c, const acestep_dit *m, int64_t batch) {
  int64_t width = tens_count(&m->null_condition);
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(batch, 1, width));
  if (x && !tens_planning(c))
    for (int64_t b = 0; b < batch; b++)
      memcpy(tens_f32(x) + b * width, tens_f32(&m->null_condition), (size_t)width * sizeof(float));
  return x;
}

bool guidance_open(tens_ctx *c, const acestep_dit *m, const guidance_params *p, const tens *x, guidance *g) {
  *g = (guidance){.p = p};
  if (!dit_attend(c, m, null_condition(c, m, x->dim[0]), &g->none)) return false;
  if (p->adg) return true;
  g->running = tens_new(c, TENS_F32, x->rank, x->dim);
  if (g->running && !tens_planning(c)) memset(g->running->data, 0, (size_t)tens_count(x) * sizeof(float));
  return g->running != NULL;
}

bool guidance_into(tens_ctx *c, guidance *g, tens *v, const tens *none, const tens *x, float t, bool correction) {
  const double scale = g->p->scale;
  if (g->p->adg && t > 0) { /* at level 0 nothing is left to turn */
    const op_adg turn = {.t = t, .weight = scale - 1 + 1e-3, .clip = 3.14 / 6};
    return op_adg_into(c, v, x, v, none, &turn);
  }
  if (correction || g->p->adg) return op_mix_into(c, v, (float)scale, v, (float)(1 - scale), none);
  const op_apg project = {.scale = scale, .momentum = -0.75, .threshold = 2.5};
  return op_apg_into(c, v, g->running, v, none, &project);
}
