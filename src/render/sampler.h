/* sampler.h - from noise to latents: the ordinary differential equation dx/dt = v(x, t) of the flow, integrated from t
 * = 1 to t = 0 over a given schedule by Euler's or Heun's method, or re-noised after each step (SDE).
 *
 * Order inside a step: velocity, guidance, norm clamp, smoothing, update, wavelet correction, repaint injection; the
 * boundary blend of a repaint comes after the loop.
 */
#ifndef ACE_RENDER_SAMPLER_H
#define ACE_RENDER_SAMPLER_H

#include "render/dcw.h"
#include "render/velocity.h"

/* An edit of a source by words instead of a song from noise; see flow_edit.h. */
typedef struct sampler_edit {
  int n_avg;           /* draws of noise a step; 0: no edit */
  double n_min, n_max; /* shares of the schedule, 0 <= n_min <= n_max <= 1 */
} sampler_edit;

typedef struct sampler_params {
  bool turbo;          /* the schedule has no final 0 and the last step goes straight to the music */
  const float *levels; /* schedule.h */
  int n_levels;
  guidance_params guidance; /* of base and SFT models; a turbo model has learnt it */
  bool sde, heun;           /* sde wins over heun */
  double norm_threshold;    /* ‖v‖ is held below this times ‖x‖; 0: off */
  double ema_factor;        /* share of the previous step's velocity; 0: off */
  dcw_params dcw;
  double cover_strength; /* share of the steps under `first`; the others run under `then` */
  int nominal_steps;     /* steps that the share is of; 0: those that are taken */
  double cover_noise;    /* start from the source instead of noise alone; 0: off */
  double inject_ratio;   /* repaint: share of the steps after which the kept part is put back */
  int crossfade;         /* repaint: frames of the final blend on each side; 0: no blend */
  sampler_edit edit;     /* only levels, guidance (projected), clamp and smoothing count beside it; the schedule has its
                            final 0 */
} sampler_params;

typedef struct sampler_input {
  const sampler_condition *first;
  const sampler_condition *then; /* needed when cover_strength < 1, else NULL */
  const sampler_condition *from; /* of an edit: what the source is, while `first` is what it shall be */
  const tens *noise;             /* [B, T, 64]; not for an edit */
  const tens *source;            /* [B, T, 64], needed when cover_noise > 0 and for an edit */
  const float *repaint_mask;     /* [B, T], 1 = generate; NULL: no repaint */
  const tens *clean;             /* [B, T, 64]: what the kept part is */
  /* Fresh normals for step `step` of the SDE or of an edit, B*T*64 values. */
  void (*renoise)(void *user, int step, float *out, int64_t n);
  /* After each step, 1..steps. */
  void (*stepped)(void *user, int step, int steps);
  void *user;
} sampler_input;

/* A variation of a song: cos(v pi/2) * noise + sin(v pi/2) * other, v = variance in 0..1. */
tens *sampler_retake(tens_ctx *c, const tens *noise, const tens *other, double variance);

/* dst = src, of one shape. */
bool sampler_copy(tens_ctx *c, tens *dst, const tens *src);

/* Steps that the parameters will take (cover noise and an edit drop some). */
int sampler_steps(const sampler_params *p);

/* Evaluations of the model in a step, for weighing progress: under the condition, under that of an edit's source, and
 * their twins without one. */
typedef struct sampler_work {
  int conditional, source, unconditional;
} sampler_work;
sampler_work sampler_step_work(const sampler_params *p, int step);

/* -> latents [B, T, 64], NULL after a failure. When planning, one step of each kind is walked through. */
tens *sampler_run(tens_ctx *c, const acestep_dit *m, const sampler_params *p, const sampler_input *in);

#endif
