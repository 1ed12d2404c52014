/* course.h - what a training keeps of its course: OUTPUT/train_log.jsonl, one object for each step that is logged,
 *
 *   {"step": 120, "epoch": 3, "loss": 0.5713, "ema": 0.5890, "lr": 9.8e-05, "grad_norm": 0.21, "sec": 66.0}
 *
 * the points of the plot, and how fast it goes. Inside this room.
 */
#ifndef ACE_TRAIN_COURSE_H
#define ACE_TRAIN_COURSE_H

#include <stdio.h>

#include "train/trainer.h"

#define COURSE_NAME "train_log.jsonl"

enum { COURSE_RECENT = 50, COURSE_POINTS = 1000 };

typedef struct train_course {
  FILE *file;
  double started;
  double at[COURSE_RECENT]; /* seconds, of the last steps, round and round */
  int64_t seen;             /* steps since the start */
} train_course;

/* output: NULL: no file, of the processes behind the first. A log that goes beyond `step` (of a training that died behind its last checkpoint) is cut there. */
ace_status course_open(train_course *r, const char *output, int64_t step, ace_error *err);
void course_close(train_course *r);

/* Fills seconds and left, and adds a point to the history [[step, loss, ema], ...]. */
void course_step(train_course *r, train_step *s, json_t *history);
/* False: the disk does not take it. */
bool course_write(train_course *r, const train_step *s);

#endif
