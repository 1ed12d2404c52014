/* sample_set.h - the folder of prepared samples that a training reads, and its manifest.json:
 *
 *   {"metadata": {"name": ..., "custom_tag": ..., ...}, "samples": ["3fa9c1d2.safetensors", ...], "num_samples": 12}
 *
 *   sample_set set;
 *   if (sample_set_open(&set, "tensors", notify, &err) == ACE_OK) ... set.path[0..set.n-1] ...
 *   sample_set_free(&set);
 *
 * The order of the manifest is the order of the set: a sample's place in it never depends on the file system. Without a
 * manifest, all *.safetensors and *.pt of the folder, sorted.
 */
#ifndef ACE_TRAIN_SAMPLE_SET_H
#define ACE_TRAIN_SAMPLE_SET_H

#include "base/json.h"

#define SAMPLE_MANIFEST "manifest.json"

typedef struct sample_set {
  char **path; /* [n], owned */
  int n;
  json_t *metadata; /* of the dataset; an object, empty without a manifest */
  bool listed;      /* by a manifest */
  int missing;      /* files that the manifest names and that are not there, or lie elsewhere */
  int unlisted;     /* files that are there and that the manifest does not name */
} sample_set;

/* Files that are missing or unlisted are told to notify->log (notify may be NULL). A folder without samples is
 * ACE_ENOTFOUND. */
ace_status sample_set_open(sample_set *s, const char *folder, const ace_callbacks *notify, ace_error *err);
void sample_set_free(sample_set *s);
/* The dataset's name and tag; "" where nothing is known. */
const char *sample_set_text(const sample_set *s, const char *field);

/* Writes the manifest; `samples`: an array of names of files in the folder. */
ace_status sample_set_write(const char *folder, const json_t *metadata, const json_t *samples, ace_error *err);

#endif
