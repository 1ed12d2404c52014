/* terminal.h - the one line on stderr that says how far a long job is. On a terminal it is redrawn in place, at most
 * ten times a second; elsewhere (a log, a pipe) a plain line appears when a stage begins and now and then.
 *
 *   diffuse 3/8  [###########-----------------]  42%  1:05 left
 */
#ifndef ACE_CLI_TERMINAL_H
#define ACE_CLI_TERMINAL_H

#include <acestep.h>

typedef struct terminal {
  bool quiet, live; /* live: redraw in place */
  bool drawn;       /* a line stands there and must be cleared before anything else is written */
  double last;      /* seconds, when something was written */
  double told;      /* seconds, when `progress` was told */
  char stage[24];
  ace_progress progress; /* as told last; its stage is the copy above */
} terminal;

void term_open(terminal *t, bool quiet);
void term_progress(terminal *t, const ace_progress *p);
/* Redraws with less time left when the last drawing is old. */
void term_tick(terminal *t);
/* Takes the line away. Call before anything else goes to the terminal. */
void term_clear(terminal *t);

/* The line in at most `columns` columns (a terminal's width less one) and `size` bytes. ASCII only. */
void term_format(char *out, size_t size, const ace_progress *p, int columns);
/* "0:42", "12:05", "1:02:33" */
enum { TERM_TIME_SIZE = 32 };
const char *term_time(double seconds, char out[TERM_TIME_SIZE]);
/* Columns of the terminal behind a file descriptor; 80 if it is none. */
int term_columns(int fd);

#endif
