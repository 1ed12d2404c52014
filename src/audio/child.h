/* child.h - another program as a helper: started without a shell, fed and read through its standard streams, ended when
 * it hangs or is not wanted any more. What it crashes on crashes nobody else.
 */
#ifndef ACE_AUDIO_CHILD_H
#define ACE_AUDIO_CHILD_H

#include "base/error.h"

/* The program's path, free() it: the first executable file of that name along $PATH. NULL: there is none. */
char *child_find(const char *name);

typedef struct child_streams {
  int in;  /* becomes its standard input; -1: it is fed by `give` */
  int out; /* becomes its standard output; -1: what it writes goes to `take` */
  /* The next bytes for it, valid until the next call; *size 0: that was all. */
  void (*give)(void *user, const void **data, size_t *size);
  /* False: enough, the program is ended. */
  bool (*take)(void *user, const uint8_t *data, size_t size);
  bool (*cancelled)(void *user); /* may be NULL */
  void *user;
} child_streams;

enum { CHILD_WORDS = 200 };

/* Runs the program argv[0], a path; argv ends in NULL. `words` receives the first line that it wrote to its standard
 * error. ACE_OK: it ended well, or `take` had enough. ACE_ECANCELED, ACE_EIO: it failed, or did nothing for a minute. */
ace_status child_run(const char *const *argv, const child_streams *streams, char words[CHILD_WORDS], ace_error *err);

#endif
