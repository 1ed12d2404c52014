/* progress.h - one job's progress: stages are weighed by the arithmetic they will take, time left follows from the
 * pace.
 *
 *   progress p;
 *   progress_start(&p, notify, encode_cost + steps * step_cost + frames * frame_cost);
 *   progress_stage(&p, "diffuse", steps);
 *   progress_advance(&p, step_cost);          // once a step
 */
#ifndef ACE_RENDER_PROGRESS_H
#define ACE_RENDER_PROGRESS_H

#include <acestep.h>

typedef struct progress {
  const ace_callbacks *notify; /* may be NULL */
  double total, done;          /* in any one unit of work; total may be corrected on the way */
  double highest;              /* fraction reported so far: it never falls */
  double started;              /* seconds, monotonic */
  const char *stage;
  int step, steps;
  double counted_from; /* when progress_count was called first in this stage, and with which step; 0: not yet */
  int first_counted;
} progress;

void progress_start(progress *p, const ace_callbacks *notify, double total);
/* Reports the beginning of a stage; steps: 0 where counting makes no sense. */
void progress_stage(progress *p, const char *stage, int steps);
/* Reports work done, and a step when the stage counts them. */
void progress_advance(progress *p, double work);
/* The same where what is counted comes in larger numbers: tokens. steps 0: nobody knows how many there will be. */
void progress_count(progress *p, double work, int step, int steps);

#endif
