/* scan.h - a folder of songs as a dataset.
 *
 *   scan_report found;
 *   if (dataset_scan(&d, "songs", "my_lora_dataset", notify, &found, &err) == ACE_OK) ... found.captions ...
 *
 * Sound files of the folder and of those in it, by their extensions, sorted by path; links to folders are not followed.
 * What lies beside each is read (sidecar.h). The audio_path of a sample is absolute, its id comes from the path relative
 * to the folder: the same folder gives the same ids again.
 */
#ifndef ACE_TRAIN_SCAN_H
#define ACE_TRAIN_SCAN_H

#include "train/dataset.h"

#define SCAN_FORMATS "wav, mp3, flac, ogg, opus, m4a"

typedef struct scan_report {
  int json, captions, lyrics, csv; /* samples of which there was such a file, or a row */
  int failed;                      /* files that were left out */
} scan_report;

/* Paths, sorted bytewise; free with scan_paths_free. */
typedef struct scan_paths {
  char **at; /* owned */
  int n;
} scan_paths;

/* The sound files alone, by their names; none is ACE_ENOTFOUND. `folder` may be relative, then so are the paths. */
ace_status scan_sounds(const char *folder, scan_paths *sounds, const ace_callbacks *notify, ace_error *err);
void scan_paths_free(scan_paths *p);

/* A file that cannot be used is told to notify->log and left out, two of the same name or with the same content are told.
 * Progress has the stage "scan". A folder without songs is ACE_ENOTFOUND. On failure `d` is empty. */
ace_status dataset_scan(dataset *d, const char *folder, const char *name, const ace_callbacks *notify,
                        scan_report *found, ace_error *err);

#endif
