/* prepare_inner.h - what the files of prepare.h share. */
#ifndef ACE_ENGINE_PREPARE_INNER_H
#define ACE_ENGINE_PREPARE_INNER_H

#include "base/hash.h"
#include "engine/prepare.h"
#include "train/sample.h"

typedef enum prepare_state {
  PREPARE_TO_DO,
  PREPARE_CURRENT /* was there */,
  PREPARE_DONE,
  PREPARE_FAILED
} prepare_state;

typedef struct prepare_item {
  int sample; /* of the dataset */
  bool by_genre;
  prepare_state state;
  char *path, *latents, *words;              /* files; owned */
  char key[HASH_HEX], latents_key[HASH_HEX]; /* of the sample, and of its latents */
  char size[24], mtime[40];                  /* of the sound file */
  double work;                               /* of its sound, for the progress */
} prepare_item;

typedef struct preparing {
  ace_engine *e;
  const dataset *d;
  const prepare_options *o;
  const ace_callbacks *notify;
  const char *model_sha, *vae_sha, *text_sha; /* borrowed of `hashes` */
  json_t *hashes;
  prepare_item *item;
  int n;
  progress p;
  ace_error *err;
} preparing;

/* One song through one pass. ACE_EIO, ACE_ECANCELED and ACE_ENOMEM of the host end the work, other failures the song. */
ace_status prepare_sound(preparing *w, prepare_item *item, ace_error *err);
ace_status prepare_words(preparing *w, prepare_item *item, ace_error *err);
ace_status prepare_sample(preparing *w, prepare_item *item, ace_error *err);

/* The file is there, whole, and was made from what `key` stands for. */
bool prepare_is_current(const char *path, const char *key);
/* The latents of a file of the first pass: [frames, channels], the caller's. NULL on failure. */
float *prepare_load(const char *path, const char *name, int64_t *rows, int64_t *columns, ace_error *err);
/* Seconds of the song that the latents stand for. */
double prepare_seconds(const preparing *w, int64_t frames);
/* Adds a field of a key: its length too, so that no two lists of fields look the same. */
void prepare_hash(hash *h, const char *text);

#endif
