#include "render/progress.h"

#include "base/clock.h"

/* Steps a second since counting began; 0 while that is a guess. */
static double rate_of(const progress *p, double at) {
  const double enough = 0.05; /* seconds */
  double passed = at - p->counted_from;
  return p->counted_from > 0 && passed > enough ? (p->step - p->first_counted) / passed : 0;
}

static void report(progress *p) {
  if (!p->notify || !p->notify->progress) return;
  double fraction = p->total > 0 ? p->done / p->total : 0;
  if (fraction > 1) fraction = 1;
  if (fraction < p->highest) fraction = p->highest;
  p->highest = fraction;
  double elapsed = clock_seconds() - p->started;
  const double enough = 0.01; /* below that the pace is a guess */
  ace_progress state = {.stage = p->stage,
                        .fraction = fraction,
                        .seconds_left = fraction > enough ? elapsed * (1 - fraction) / fraction : -1,
                        .rate = rate_of(p, clock_seconds()),
                        .step = p->step,
                        .steps = p->steps};
  p->notify->progress(p->notify->user, &state);
}

void progress_start(progress *p, const ace_callbacks *notify, double total) {
  *p = (progress){.notify = notify, .total = total, .started = clock_seconds(), .stage = ""};
}

void progress_stage(progress *p, const char *stage, int steps) {
  p->stage = stage;
  p->counted_from = 0;
  p->step = 0;
  p->steps = steps;
  report(p);
}

void progress_advance(progress *p, double work) {
  p->done += work;
  if (p->steps) p->step++;
  report(p);
}

void progress_count(progress *p, double work, int step, int steps) {
  p->done += work;
  if (p->counted_from <= 0 || step < p->step) {
    p->counted_from = clock_seconds();
    p->first_counted = step;
  }
  p->step = step;
  p->steps = steps;
  report(p);
}
