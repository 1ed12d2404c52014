/* teacher.h - a base model that shows a turbo model where each of its few steps shall lead.
 *
 * Distillation of guided trajectories (Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion
 * Models"; Meng et al. 2023, "On Distillation of Guided Diffusion Models"). From x at time t the teacher goes to time `to`
 * in K equal Euler steps with classifier-free guidance; the student shall arrive there in one step. So it learns, by the
 * mean square, the velocity
 *
 *   (x - x_K) / (t - to) = 1/K Σ u(x_k, t_k),   u = v_null + g (v_condition - v_null)
 *
 * and needs no guidance to sing. The teacher sees the same words, source and timbre through encoders of its own.
 */
#ifndef ACE_TRAIN_TEACHER_H
#define ACE_TRAIN_TEACHER_H

#include "models/dit.h"

/* One step of the student. */
typedef struct teacher_path {
  double t, to;    /* 1 >= t > to >= 0 */
  int steps;       /* K, 1 or more */
  double guidance; /* g; 1: the velocity under the condition alone */
} teacher_path;

/* A model for that student, both by name for messages. ACE_EINVAL when the student is no turbo model, the teacher is one,
 * or they do not take the same latents and words. acestep_dit_close() it. */
acestep_dit *teacher_open(const char *folder, const char *name, const acestep_dit *student, const char *student_name,
                          ace_error *err);

/* Evaluations of the teacher for one velocity. */
int teacher_evaluations(const teacher_path *p);

/* condition [1, L, He] of the teacher's encoders, context [1, T, 2C], x [1, T, C] -> that velocity [1, T, C]. Not to be
 * called under a tape. NULL after a failure. */
tens *teacher_velocity(tens_ctx *c, const acestep_dit *m, const teacher_path *p, const tens *condition,
                       const tens *context, const tens *x);

#endif
