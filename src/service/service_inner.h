/* service_inner.h - what the files of service.h share. */
#ifndef ACE_SERVICE_INNER_H
#define ACE_SERVICE_INNER_H

#include <pthread.h>

#include "service/dataset.h"
#include "service/downloads.h"
#include "service/tasks.h"
#include "service/training.h"

struct service {
  service_options options; /* texts are ours */
  char *models, *spare, *data, *uploads, *cache, *recordings;
  jobs *jobs;
  downloads *downloads;
  pthread_mutex_t lock;     /* of the state */
  pthread_mutex_t decoding; /* one upload is looked at at a time */
  service_state state;
  pthread_mutex_t learning; /* of the dataset */
  service_dataset dataset;
  pthread_mutex_t training_lock;
  service_training training;
  json_t *adapters; /* of slot 1; see service_adapters */
  bool use_adapters;
  pthread_mutex_t engines_lock;       /* held by the worker while a job runs */
  ace_engine *engines[SERVICE_SLOTS]; /* under that lock */
};

/* ---- loading (load.c): on the worker's thread ------------------------------------------------------------------ */

/* The engine of a slot 1..3, opened if it has to be. NULL on failure, which the state remembers. */
ace_engine *service_engine(service *s, int slot, job_running *j, ace_error *err);
/* The same with the language model open. ACE_EUNSUPPORTED when none may be loaded. */
ace_engine *service_engine_lm(service *s, int slot, job_running *j, ace_error *err);
/* Forgets the engine of one slot, 0: of all. */
void service_unload(service *s, int slot);

/* Progress and cancellation of a job as callbacks. */
ace_callbacks service_callbacks(job_running *j);

/* ---- one function a kind of job; see tasks.h --------------------------------------------------------------------- */

json_t *run_generate(service *s, job_running *j, ace_error *err);
json_t *run_create(service *s, job_running *j, ace_error *err);
json_t *run_format(service *s, job_running *j, ace_error *err);
json_t *run_understand(service *s, job_running *j, ace_error *err);
json_t *run_codes(service *s, job_running *j, ace_error *err);
json_t *run_score(service *s, job_running *j, ace_error *err);
json_t *run_lrc(service *s, job_running *j, ace_error *err);
json_t *run_init(service *s, job_running *j, ace_error *err);
json_t *run_unload(service *s, job_running *j, ace_error *err);
json_t *run_label(service *s, job_running *j, ace_error *err);
json_t *run_prepare(service *s, job_running *j, ace_error *err);
json_t *run_train(service *s, job_running *j, ace_error *err);
json_t *run_think(service *s, job_running *j, ace_error *err);
json_t *run_encode(service *s, job_running *j, ace_error *err);
json_t *run_decode(service *s, job_running *j, ace_error *err);
json_t *run_hear(service *s, job_running *j, ace_error *err);
json_t *run_lora(service *s, job_running *j, ace_error *err);

/* A file of latents becomes a file of sound in an audio_format. */
ace_status run_decode_to(ace_engine *e, const char *latents, const char *path, int format, job_running *j,
                         ace_error *err);

/* Remembers what a song took, for predictions (predict.c). */
void predict_learn(service *s, const ace_engine *e, const ace_result *r);

/* Text that is JSON as an object, a new reference; frees the text. NULL on failure, also for a text of NULL. */
json_t *run_parsed(char *text, ace_error *err);
/* What the language model does to a request before it is sung; `first` as in tasks.h. */
ace_status run_first(ace_engine *e, const char *first, const char *query, ace_request *r, const ace_callbacks *notify,
                     ace_error *err);

#endif
