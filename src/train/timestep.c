#include "train/timestep.h"

#include <math.h>

double timestep_discrete(double shift, int i) {
  double u = 1 - (double)i / TIMESTEP_COUNT;
  return shift * u / (1 + (shift - 1) * u);
}

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

timesteps timesteps_of(const json_t *config, bool discrete, double shift) {
  const json_t *mu = json_object_get(config, "timestep_mu"), *sigma = json_object_get(config, "timestep_sigma");
  return (timesteps){.mode = discrete ? TIMESTEP_DISCRETE : TIMESTEP_LOGIT_NORMAL,
                     .shift = shift,
                     .mu = json_is_number(mu) ? json_number_value(mu) : -0.4,
                     .sigma = json_is_number(sigma) ? json_number_value(sigma) : 1.0};
}

int timestep_draw_step(const stream *s) {
  return (int)stream_integer(s, 0, TIMESTEP_COUNT);
}

double timestep_draw(const timesteps *t, const stream *s) {
  float z[2];
  switch (t->mode) {
    case TIMESTEP_DISCRETE: return timestep_discrete(t->shift, timestep_draw_step(s));
    case TIMESTEP_LOGIT_NORMAL:
      stream_normal(s, 0, 2, z);
      return sigmoid(t->mu + t->sigma * (double)(z[0] > z[1] ? z[0] : z[1]));
    case TIMESTEP_FIXED: break;
  }
  return t->fixed;
}
