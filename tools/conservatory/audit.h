/* audit.h - the conservatory against its own ear: pieces are made in memory, heard, and compared with their truth. */
#ifndef CONSERVATORY_AUDIT_H
#define CONSERVATORY_AUDIT_H

#include <stdio.h>

#include "base/pool.h"
#include "conservatory/hear.h"
#include "conservatory/wave.h"

/* What is heard in a sound that ought to be a piece, and whether it is right. */
typedef struct audit_hearing {
  double tempo, features[HEAR_FEATURES];
  hear_key key;
  bool tempo_agrees, hears[TRACK_COUNT]; /* tempo within 4%, an octave allowed */
  int key_agrees;                        /* hear_key_agrees */
} audit_hearing;

ace_status audit_hear(const cons_piece *p, const audio_buffer *sound, audit_hearing *out, ace_error *err);

/* Makes `count` pieces as cons_wish says, with seeds from wish->seed on, and prints a line for each (when `each`) and the shares
 * that were heard right. */
ace_status audit(const cons_wish *wish, int count, bool each, const waves *w, pool *threads, FILE *out, ace_error *err);

/* What is heard in a sound file, beside what its JSON says where there is one; a line to `out`. */
ace_status audit_file(const char *path, FILE *out, ace_error *err);

#endif
