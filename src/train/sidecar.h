/* sidecar.h - what lies beside a sound file and says what it is:
 *
 *   song.caption.txt    its caption
 *   song.lyrics.txt     its lyrics; else song.txt
 *   song.json           {"caption", "bpm", "keyscale", "timesignature", "language", "genre", "lyrics", ...}
 *   any.csv             in the folder that is scanned: columns File (required), BPM, Key, Caption, in any case
 *
 * A caption of the JSON goes before that of the text file, one of the CSV before both; tempo and key of the CSV go before
 * the JSON's. Text is UTF-8, blanks at its ends do not count.
 */
#ifndef ACE_TRAIN_SIDECAR_H
#define ACE_TRAIN_SIDECAR_H

#include "base/json.h"

/* Which kinds were there. */
typedef struct sidecar_found {
  bool json, caption, lyrics, csv;
  bool decided; /* the JSON said whether it is instrumental */
} sidecar_found;

/* Puts what the files beside `path` and the rows of `csv` (sidecar_read_csv) say into `fields`, of a dataset's sample.
 * A file that cannot be used is told to notify->log and left out; only running out of memory fails. */
ace_status sidecar_read(const char *path, const json_t *csv, json_t *fields, sidecar_found *found,
                        const ace_callbacks *notify, ace_error *err);

/* The same of one JSON in memory. */
ace_status sidecar_take_json(const char *text, size_t length, const char *where, json_t *fields, sidecar_found *found,
                             ace_error *err);

/* Adds the rows of a CSV to `rows`, {"song.wav": {"bpm": 120, "keyscale": "A minor", "caption": "..."}}; a row replaces
 * an earlier one of the same file. Separated by commas, semicolons or tabs, whichever stand most often in its first
 * line; fields may stand in double quotes. ACE_EFORMAT without a column "File". */
ace_status sidecar_read_csv(const char *text, size_t length, const char *where, json_t *rows, ace_error *err);

#endif
