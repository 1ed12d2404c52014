#include "cli/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_SIZE = 256, BAR_MOST = 30, BAR_LEAST = 8 };

static const double redraw_seconds = 0.1, plain_seconds = 10;

int term_columns(int fd) {
  struct winsize w;
  if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) return w.ws_col;
  return 80;
}

const char *term_time(double seconds, char out[TERM_TIME_SIZE]) {
  const double longest = 99 * 3600.0; /* beyond that it is a guess anyway */
  long s = seconds < 0 || !(seconds == seconds) ? 0 : (long)((seconds < longest ? seconds : longest) + 0.5);
  if (s >= 3600) snprintf(out, TERM_TIME_SIZE, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else snprintf(out, TERM_TIME_SIZE, "%ld:%02ld", s / 60, s % 60);
  return out;
}

/* "diffuse 3/8" or "think 57  21.3/s", then "  42%  1:05 left". */
static void parts(const ace_progress *p, char *head, char *tail, size_t size) {
  char left[TERM_TIME_SIZE];
  double f = p->fraction > 0 ? (p->fraction < 1 ? p->fraction : 1) : 0;
  if (p->steps > 0) snprintf(head, size, "%.20s %d/%d", p->stage, p->step, p->steps);
  else if (p->step > 0) snprintf(head, size, "%.20s %d", p->stage, p->step);
  else snprintf(head, size, "%.20s", p->stage);
  size_t used = strlen(head);
  if (p->rate > 0) snprintf(head + used, size - used, "  %.*f/s", p->rate < 100 ? 1 : 0, p->rate < 1e6 ? p->rate : 1e6);
  int n = snprintf(tail, size, "  %3d%%", (int)(100 * f));
  if (p->seconds_left >= 0) snprintf(tail + n, size - (size_t)n, "  %s left", term_time(p->seconds_left, left));
}

void term_format(char *out, size_t size, const ace_progress *p, int columns) {
  char head[64], tail[64], bar[BAR_MOST + 1] = "";
  parts(p, head, tail, sizeof head);
  int taken = (int)(strlen(head) + strlen(tail)), room = columns - taken - 4; /* blanks and brackets of the bar */
  if (room > BAR_MOST) room = BAR_MOST;
  if (room >= BAR_LEAST) {
    double f = p->fraction > 0 ? (p->fraction < 1 ? p->fraction : 1) : 0;
    int full = (int)(f * room);
    memset(bar, '#', (size_t)full);
    memset(bar + full, '-', (size_t)(room - full));
    bar[room] = 0;
    snprintf(out, size, "%s  [%s]%s", head, bar, tail);
  } else {
    snprintf(out, size, "%s%s", head, tail);
  }
  if (columns >= 0 && (size_t)columns < strlen(out)) out[columns] = 0;
}

void term_open(terminal *t, bool quiet) {
  const char *kind = getenv("TERM");
  *t = (terminal){.quiet = quiet, .last = -1e9};
  t->live = !quiet && isatty(STDERR_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

static void draw(terminal *t, double now) {
  char line[LINE_SIZE];
  ace_progress p = t->progress;
  p.stage = t->stage;
  if (p.seconds_left >= 0) p.seconds_left = p.seconds_left > now - t->told ? p.seconds_left - (now - t->told) : 0;
  t->last = now;
  if (!t->live) {
    term_format(line, sizeof line, &p, 0x7f);
    char head[64], tail[64];
    parts(&p, head, tail, sizeof head);
    fprintf(stderr, "%s%s\n", head, tail);
    return;
  }
  term_format(line, sizeof line, &p, term_columns(STDERR_FILENO) - 1);
  fprintf(stderr, "\r%s\x1b[K", line);
  fflush(stderr);
  t->drawn = true;
}

void term_progress(terminal *t, const ace_progress *p) {
  if (t->quiet) return;
  double now = clock_seconds();
  bool new_stage = strncmp(t->stage, p->stage, sizeof t->stage - 1) != 0;
  snprintf(t->stage, sizeof t->stage, "%s", p->stage);
  t->progress = *p;
  t->told = now;
  bool due = now - t->last >= (t->live ? redraw_seconds : plain_seconds);
  if (due || (new_stage && !t->live)) draw(t, now);
}

void term_tick(terminal *t) {
  const double tick = 0.5;
  if (!t->live || !t->drawn || !*t->stage) return;
  double now = clock_seconds();
  if (now - t->last >= tick) draw(t, now);
}

void term_clear(terminal *t) {
  if (!t->drawn) return;
  fputs("\r\x1b[K", stderr);
  fflush(stderr);
  t->drawn = false;
}
