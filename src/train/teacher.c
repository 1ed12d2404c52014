#include "train/teacher.h"

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static ace_status check(const dit_config *teacher, const char *name, const dit_config *student,
                        const char *student_name, ace_error *err) {
  if (!student->turbo)
    return ace_fail(err, ACE_EINVAL,
                    "teacher: %s has to be a turbo model to learn from one (is_turbo in its config.json)",
                    student_name);
  if (teacher->turbo)
    return ace_fail(err, ACE_EINVAL, "teacher: %s is a turbo model itself; name a base or SFT model", name);
  const struct {
    const char *what;
    int teacher, student;
  } widths[] = {{"channels of latents", teacher->latent_channels, student->latent_channels},
                {"numbers a token of text", teacher->text_hidden, student->text_hidden},
                {"frames of timbre", teacher->timbre_frames, student->timbre_frames}};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
    if (widths[i].teacher != widths[i].student)
      return ace_fail(err, ACE_EINVAL, "teacher: %s takes %d %s, %s takes %d", name, widths[i].teacher, widths[i].what,
                      student_name, widths[i].student);
  return ACE_OK;
}

acestep_dit *teacher_open(const char *folder, const char *name, const acestep_dit *student, const char *student_name,
                          ace_error *err) {
  acestep_dit *m = acestep_dit_open(folder, err);
  if (m && check(&m->cfg, name, &student->cfg, student_name, err) == ACE_OK) return m;
  acestep_dit_close(m);
  return NULL;
}

/* ---- the way ------------------------------------------------------------------------------------------------------ */

typedef struct walk {
  const acestep_dit *m;
  dit_condition with, without;
  bool guided;
  float guidance;
  const tens *context;
} walk;

static bool is_guided(const teacher_path *p) {
  return p->guidance != 1;
}

int teacher_evaluations(const teacher_path *p) {
  return p->steps * (is_guided(p) ? 2 : 1);
}

/* One token says "no condition" as well as many of it (render/guidance.h). */
static bool attend(tens_ctx *c, walk *w, const tens *condition) {
  const tens *none = tens_view(c, &w->m->null_condition, TENS_DIMS(1, 1, w->m->cfg.encoder.hidden));
  return dit_attend(c, w->m, condition, &w->with) && (!w->guided || dit_attend(c, w->m, none, &w->without));
}

/* u(x, t) [1, T, C]; NULL after a failure. */
static tens *velocity(tens_ctx *c, const walk *w, const tens *x, double t) {
  const float now = (float)t;
  const tens *time = tens_from(c, TENS_F32, TENS_DIMS(1), &now);
  tens *v = dit_velocity(c, w->m, &w->with, w->context, x, time, time);
  if (!w->guided) return v;
  const tens *none = dit_velocity(c, w->m, &w->without, w->context, x, time, time);
  return op_mix_into(c, v, w->guidance, v, 1 - w->guidance, none) ? v : NULL;
}

/* mean = mean of the velocities on the way, x goes with them; both [1, T, C]. */
static bool go(tens_ctx *c, const walk *w, const teacher_path *p, tens *x, tens *mean) {
  double step = (p->t - p->to) / p->steps;
  float share = 1 / (float)p->steps;
  bool ok = true;
  for (int k = 0; k < p->steps && ok; k++) {
    tens_mark mark = tens_here(c);
    const tens *v = velocity(c, w, x, p->t - k * step);
    ok = k ? op_mix_into(c, mean, 1, mean, share, v) : op_mix_into(c, mean, share, v, 0, NULL);
    ok = ok && op_mix_into(c, x, 1, x, -(float)step, v);
    tens_release(c, mark);
  }
  return ok;
}

tens *teacher_velocity(tens_ctx *c, const acestep_dit *m, const teacher_path *p, const tens *condition,
                       const tens *context, const tens *x) {
  if (!x) return NULL;
  walk w = {.m = m, .guided = is_guided(p), .guidance = (float)p->guidance, .context = context};
  tens_mark mark = tens_here(c);
  tens *mean = tens_new(c, TENS_F32, x->rank, x->dim), *at = tens_new(c, TENS_F32, x->rank, x->dim);
  bool ok = attend(c, &w, condition) && op_mix_into(c, at, 1, x, 0, NULL) && go(c, &w, p, at, mean);
  return ok ? tens_keep(c, mark, mean) : NULL;
}
