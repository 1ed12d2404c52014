/* label.h - the language model describes the songs of a dataset.
 *
 *   label_job job = {.save = "mine.json", .options = {.only_unlabeled = true}};
 *   label_report found;
 *   if (engine_label(e, &d, &job, notify, &found, &err) == ACE_OK) ... found.done, found.failed ...
 *
 * Two passes: audio codes of all songs, then the language model over all of them. With a place to save, the dataset is
 * written after every song, a line about it goes to SAVE.autolabel.jsonl, and codes lie in SAVE.codes.json until the end:
 * work that was cut off goes on from there with only_unlabeled.
 */
#ifndef ACE_ENGINE_LABEL_H
#define ACE_ENGINE_LABEL_H

#include "engine/engine.h"
#include "train/label.h"

typedef struct label_job {
  label_options options;
  const char *save; /* dataset JSON; NULL: nowhere */
  /* After each song that is labeled: keeps it, in place of saving the dataset. A failure ends the work. NULL: saved. */
  ace_status (*keep)(void *user, int i, ace_error *err);
  /* After each song: its sample is labeled, or why not. May be NULL. */
  void (*labeled)(void *user, int i, const char *failure);
  void *user;
} label_job;

typedef struct label_report {
  int total, done, failed;
  int needs_lyrics; /* labeled songs with a voice of which nobody knows the words */
} label_report;

/* A song that cannot be described is told to notify->log, keeps its fields and stops nothing. What was labeled before a
 * cancellation or a full disk stays labeled. Progress has the stages "encode" and "think", whose steps are songs. */
ace_status engine_label(ace_engine *e, dataset *d, const label_job *job, const ace_callbacks *notify,
                        label_report *report, ace_error *err);

#endif
