#include "engine/share.h"

#include "base/notify.h"

share share_begin(progress *p, const ace_callbacks *notify, double work) {
  return (share){.p = p, .notify = notify, .from = p->done, .work = work};
}

static void on_progress(void *user, const ace_progress *part) {
  share *s = user;
  double now = s->from + s->work * part->fraction;
  if (now > s->p->done) progress_count(s->p, now - s->p->done, s->p->step, s->p->steps);
}

static void on_log(void *user, const char *line) {
  const share *s = user;
  if (s->notify && s->notify->log) s->notify->log(s->notify->user, line);
}

static bool on_cancelled(void *user) {
  const share *s = user;
  return notify_stopped(s->notify);
}

ace_callbacks share_callbacks(share *s) {
  return (ace_callbacks){.progress = on_progress, .log = on_log, .cancelled = on_cancelled, .user = s};
}

void share_end(share *s, int step, int steps) {
  progress_count(s->p, s->from + s->work - s->p->done, step, steps);
}
