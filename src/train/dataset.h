/* dataset.h - songs that shall be learnt and what is known of each: the dataset JSON of the studio and of the Python
 * trainer.
 *
 *   dataset d;
 *   if (dataset_load(&d, "mine.json", notify, &err) == ACE_OK) {
 *     dataset_edit(&d, 0, changes, &err);              // changes: {"caption": "slow waltz", "bpm": 90}
 *     dataset_save(&d, "mine.json", &err);
 *   }
 *   dataset_free(&d);
 *
 * The file is {"metadata": {...}, "samples": [{...}, ...]}. In memory a sample is a JSON object with exactly these
 * fields, each of its type, whatever the file had:
 *
 *   id                8 or more hex digits; letters, digits, _ and - are accepted: it becomes a file name
 *   audio_path        as found, absolute          filename        its last part
 *   caption           what it sounds like         genre           tags, separated by commas
 *   lyrics            what is trained             raw_lyrics      of a file beside the sound, never edited
 *   formatted_lyrics  of the language model, or as last edited
 *   bpm               whole number, or null       keyscale        "D major"
 *   timesignature     "2", "3", "4", "6"          duration        whole seconds, cut off
 *   language          "en", "unknown"             is_instrumental, labeled      booleans
 *   custom_tag        copy of the dataset's       prompt_override "caption", "genre", or null: as genre_ratio says
 *
 * and metadata one with name, custom_tag, tag_position, created_at, num_samples, all_instrumental, genre_ratio.
 */
#ifndef ACE_TRAIN_DATASET_H
#define ACE_TRAIN_DATASET_H

#include "base/json.h"

#define DATASET_INSTRUMENTAL "[Instrumental]"

enum { DATASET_MOST = 100000 /* samples */ };

typedef struct dataset_sample {
  json_t *fields; /* owned */
  bool decided;   /* whether it is instrumental was said of this one, and dataset_set_instrumental leaves it alone */
  bool missing;   /* there is no such sound file */
} dataset_sample;

typedef struct dataset {
  json_t *metadata;
  dataset_sample *sample; /* [n] */
  int n;
} dataset;

/* Without samples. dataset_free also after a failure. */
ace_status dataset_new(dataset *d, const char *name, ace_error *err);
void dataset_free(dataset *d);

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* Reads a dataset; fields that are missing get their defaults, unknown ones are dropped, an array of samples alone will
 * do. A relative audio_path is looked for beside the file, and any path by its last part if it is not there. What is not
 * as it should be, but no reason to refuse all, is told to notify->log (may be NULL). On failure `d` is empty. */
ace_status dataset_load(dataset *d, const char *path, const ace_callbacks *notify, ace_error *err);
/* The same of a text; `folder` is where relative paths begin, `where` stands in messages. */
ace_status dataset_parse(dataset *d, const char *text, size_t length, const char *folder, const char *where,
                         const ace_callbacks *notify, ace_error *err);
/* The whole file as an object, a new reference; NULL when out of memory. created_at is now. */
json_t *dataset_json(const dataset *d);
/* Writes it: two blanks of indent, nothing escaped that need not be; whole or not at all. */
ace_status dataset_save(const dataset *d, const char *path, ace_error *err);

/* ---- what a user says of it ---------------------------------------------------------------------------------------- */

const char *dataset_name(const dataset *d);
ace_status dataset_set_name(dataset *d, const char *name, ace_error *err);
/* The word that shall call up what was learnt, "" for none, and where it stands: "prepend", "append" or "replace". Both
 * may be NULL: as it is. */
ace_status dataset_set_tag(dataset *d, const char *tag, const char *position, ace_error *err);
/* Per cent of the labeled samples that are described by their genre, 0..100. */
ace_status dataset_set_genre_ratio(dataset *d, int64_t percent, ace_error *err);
/* Whether all songs are without a voice. Songs that have lyrics of their own, and those of which it was said, stay. */
ace_status dataset_set_instrumental(dataset *d, bool all, ace_error *err);
/* Changes fields of one sample, which is labeled from then on; unknown names and fields that are the program's own
 * (id, audio_path, raw_lyrics, ...) are errors. */
ace_status dataset_edit(dataset *d, int i, const json_t *changes, ace_error *err);

/* ---- what follows -------------------------------------------------------------------------------------------------- */

int dataset_labeled(const dataset *d);
/* A text field; "" where it is null. */
const char *dataset_text(const dataset *d, int i, const char *field);
bool dataset_flag(const dataset *d, int i, const char *field);

/* Adds a sample of these fields (any object, as in a file), which are copied; its id is made unique. `decided` as
 * above. */
ace_status dataset_add(dataset *d, const json_t *fields, bool decided, const char *where, ace_error *err);
/* The id of a song: digits of the SHA-256 of its path, relative to the folder that was scanned; more of them where eight
 * are taken. */
enum { DATASET_ID = 65 };
void dataset_make_id(const dataset *d, const char *path, char out[DATASET_ID]);

#endif
