/* song.h - from a validated request and its seeds to sound, whatever the task: task.h says what each task reads.
 *
 * Stages: the two prompts as tokens; recordings as latents; text encoder and embedding rows; condition encoder; noise;
 * the sampler; the autoencoder; what the task keeps of its source. Items of a batch differ in their seeds only (and in
 * what follows from them), and each comes out the same alone or among others.
 */
#ifndef ACE_RENDER_SONG_H
#define ACE_RENDER_SONG_H

#include "audio/buffer.h"
#include "models/acestep_dit.h"
#include "models/qwen3.h"
#include "models/vae.h"
#include "render/latents_cache.h"
#include "render/progress.h"
#include "request/request.h"
#include "text/bpe.h"

/* All borrowed. */
typedef struct song_models {
  const bpe *tokenizer;
  const qwen3 *text;
  const acestep_dit *dit;
  const vae *vae;         /* the decoder; the encoder too when there is a recording */
  latents_cache *encoded; /* recordings of earlier jobs; NULL: each is encoded */
} song_models;

typedef struct song_job {
  const ace_request *request; /* validated */
  req_model family;
  int items;
  uint32_t seeds[REQ_BATCH_MAX], retake_seeds[REQ_BATCH_MAX];
  const int32_t *codes[REQ_BATCH_MAX]; /* planned codes of each item, n_codes each; codes[0] NULL: those of the request,
                                          if any, for all items */
  size_t n_codes;
  const audio_buffer *reference; /* stereo at the autoencoder's rate; NULL: silence as timbre */
  const audio_buffer *source;    /* stereo at the autoencoder's rate, when task_reads_source; else NULL */
  /* Told in song_render of each item (0..items-1) as soon as its sound is in its buffer, while others are still latents;
   * a failure ends the job. NULL: nobody waits for it. */
  ace_status (*finished)(void *user, int item, ace_error *err);
  void *user;
} song_job;

/* What a job may take of main memory. */
typedef struct song_budget {
  size_t bytes;   /* for the whole process */
  size_t process; /* that it takes before the job: its own pages, and mapped weights that nobody will release */
  int threads;
  bool soft; /* nobody set a limit: where mapped weights do not fit, the system may read them again and again */
} song_budget;

typedef enum song_phase {
  SONG_ENCODE,    /* recordings become latents */
  SONG_CONDITION, /* prompts become what the transformer attends to */
  SONG_DIFFUSE,
  SONG_DECODE,
  SONG_PHASES
} song_phase;

/* "encode", ... */
const char *song_phase_name(song_phase phase);

/* Bytes of main memory, by phase; `process` and `scratch` stay through all of them. */
typedef struct song_memory {
  size_t process, scratch;
  size_t weights[SONG_PHASES]; /* mapped ones that were read */
  size_t arena[SONG_PHASES];   /* tensors */
  size_t host[SONG_PHASES];    /* noise, latents, recordings, sound */
  size_t total;                /* of the fullest phase */
} song_memory;

/* Of one phase, `process` and `scratch` included. */
size_t song_phase_bytes(const song_memory *m, song_phase phase);

/* How a job is cut so that it fits the memory. Results do not depend on it. */
typedef struct song_plan {
  int group;    /* items that are diffused together */
  int64_t core; /* frames a tile of the autoencoder contributes */
  bool release; /* weights leave memory when their phase is over, tensors too */
  bool stream;  /* even so mapped weights do not fit (only under a soft budget) */
  size_t bytes; /* capacity of the context */
  song_memory memory;
} song_plan;

/* Refuses what cannot be rendered, before anything is computed: a region outside of the source, codes that are none. */
ace_status song_check(const song_models *m, const song_job *job, ace_error *err);
/* Chooses the largest group and tile within the budget, and releases weights where that is not enough; ACE_ENOMEM with
 * what would fit when nothing does. */
ace_status song_make_plan(const song_models *m, const song_job *job, const song_budget *budget, song_plan *plan,
                          ace_error *err);
/* Work of the whole job, in floating-point operations, for progress_start. `sound`: the latents are decoded. */
double song_work(const song_models *m, const song_job *job, bool sound);

/* What diffusion gives for one item, before the request's shift and scale. */
typedef struct song_latents {
  float *x; /* [T, 64]; owned, free() */
  int64_t frames;
} song_latents;

/* c: a context of at least plan->bytes. latents: job->items of them. out: job->items buffers, finished but for what the
 * request asks of the file (normalisation, fades); NULL: no sound is made. On failure all of them are empty. */
ace_status song_render(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                       song_latents *latents, audio_buffer *out, ace_error *err);

#endif
