/* lrc.h - timed lyrics as text: LRC lines "[01:02.34]words", and subtitles made of them.
 *
 *   char *lrc = lrc_write(times.line, times.n_lines);
 *   lrc_cues cues;
 *   lrc_read_cues(lrc, strlen(lrc), 180, &cues, &err);
 *   char *vtt = lrc_write_vtt(&cues);                  // "WEBVTT\n\n1\n00:01:02.340 --> 00:01:05.000\nwords\n\n..."
 *
 * Times are rounded to the unit that is printed, halves up.
 */
#ifndef ACE_SCORE_LRC_H
#define ACE_SCORE_LRC_H

#include "score/lines.h"

/* Lines joined by line feeds, without one at the end. free() it; NULL when out of memory. */
char *lrc_write(const lyric_line *line, size_t n);

typedef struct lrc_cue {
  double start, end; /* seconds */
  char *text;        /* lines that begin within two seconds stand together */
} lrc_cue;

typedef struct lrc_cues {
  lrc_cue *cue;
  size_t n;
} lrc_cues;

enum { LRC_MOST = 256 << 10 }; /* bytes of text that are read */

/* Any text: lines without a time stamp, or with nothing else, are left out. A second stamp is the line's end. duration:
 * seconds of the song, 0: not known. On failure `out` is empty. */
ace_status lrc_read_cues(const char *text, size_t length, double duration, lrc_cues *out, ace_error *err);
void lrc_cues_free(lrc_cues *c);
char *lrc_write_vtt(const lrc_cues *c);

enum { LRC_STAMP_SIZE = 32 };
/* "00:01:02.340". */
void lrc_vtt_time(double seconds, char out[LRC_STAMP_SIZE]);

#endif
