/* timestep.h - at which times of the flow a model is trained. Turbo models run at few times and are trained at those;
 * base and SFT models at all of them, the middle most often. */
#ifndef ACE_TRAIN_TIMESTEP_H
#define ACE_TRAIN_TIMESTEP_H

#include "base/json.h"
#include "train/stream.h"

typedef enum timestep_mode {
  TIMESTEP_DISCRETE,     /* one of the eight steps s u / (1 + (s - 1) u), u = 1, 7/8, ..., 1/8, equally often */
  TIMESTEP_LOGIT_NORMAL, /* the larger one of two draws of sigmoid(N(mu, sigma)) */
  TIMESTEP_FIXED         /* always the same: to see whether a model can learn at all */
} timestep_mode;

typedef struct timesteps {
  timestep_mode mode;
  double shift;     /* s, of TIMESTEP_DISCRETE */
  double mu, sigma; /* of TIMESTEP_LOGIT_NORMAL */
  double fixed;
} timesteps;

enum { TIMESTEP_COUNT = 8 };
/* Step i = 0..7 of the table; i = 8: 0, where the last step leads. */
double timestep_discrete(double shift, int i);

/* Discrete with that shift, or logit-normal with the timestep_mu and timestep_sigma of a model's configuration. */
timesteps timesteps_of(const json_t *config, bool discrete, double shift);

/* The time of a stream (STREAM_TIME or STREAM_CHECK_TIME), in (0, 1]; and which of the eight steps it is where they are
 * discrete. */
double timestep_draw(const timesteps *t, const stream *s);
int timestep_draw_step(const stream *s);

#endif
