/* service.h - the studio as a running service: which models are loaded, and what each kind of job does with them.
 *
 *   service *s = service_open(&(service_options){.models = "checkpoints", .data = data}, &err);
 *   jobs_submit(service_jobs(s), &(job_new){.kind = "generate", .request = task, ...}, id, NULL, &err);
 *   json_t *state = service_state(s);
 *   service_close(s, 30);
 *
 * Models belong to the worker of the queue (jobs/jobs.h): they are opened by the first job that needs them, or by a job
 * of the kind "init". Everyone else reads a snapshot of the state. There are up to three slots, each with a diffusion
 * model of its own; the language model serves all of them.
 *
 * Kinds of jobs and their requests (objects; see tasks.h for how they are made and what comes out):
 *   "generate"    a song, or several
 *   "create"      a request out of a few words           "format"   caption and lyrics in better words
 *   "understand"  metadata and lyrics out of codes       "codes"    codes out of a recording
 *   "score"       how good a sample is                   "lrc"      when its lines are sung
 *   "init"        load a model, or another one           "unload"   let go of all of them
 */
#ifndef ACE_SERVICE_H
#define ACE_SERVICE_H

#include "jobs/jobs.h"
#include "service/inventory.h"
#include "service/tiers.h"

enum { SERVICE_SLOTS = 3 };

typedef struct service service;

typedef struct service_options {
  const char *models;               /* folder of checkpoints */
  const char *data;                 /* data folder: database, outputs, uploads, cache */
  const char *slots[SERVICE_SLOTS]; /* diffusion models; the first NULL: the usual one; others NULL: no such slot */
  const char *lm;                   /* language model; NULL: by the tier */
  int init_lm;                      /* 1: may be loaded; 0: never unless a job of kind "init" asks; -1: by the tier */
  bool load_now;                    /* queue the loading at once */
  int threads;                      /* 0: every CPU */
  uint64_t memory;                  /* bytes that a job may use; 0: most of what is free */
  bool int8, lm_int8;               /* diffusion model and text encoder, the language model: as int8 */
  int most_waiting, window;         /* see jobs_options */
  double average;
} service_options;

service *service_open(const service_options *options, ace_error *err);
/* See jobs_close. */
void service_close(service *s, double patience);

jobs *service_jobs(service *s);
const char *service_models(const service *s);  /* folder */
const char *service_data(const service *s);    /* folder */
const char *service_uploads(const service *s); /* folder; there and writable */
/* A new name in there that nobody can guess, with this suffix (".wav", ""). free() it; NULL on failure. */
char *service_upload_path(const service *s, const char *suffix);
/* What lies in the folder of models now. */
ace_status service_inventory(const service *s, inventory *out, ace_error *err);

/* A snapshot; all members may be read without a lock, text belongs to the snapshot. */
typedef struct service_slot {
  char name[256]; /* configured; "": no such slot */
  bool loaded;
  req_model family;
} service_slot;

typedef struct service_state {
  service_slot slot[SERVICE_SLOTS];
  char lm[256]; /* the one that is loaded or would be; "": none here */
  bool lm_loaded;
  bool lm_allowed;   /* a job may load it */
  bool loading;      /* right now */
  char failure[512]; /* of the last loading; "": it went well */
  tier_machine machine;
  int seconds, batch; /* limits in force: with the language model when it is loaded */
} service_state;

void service_look(service *s, service_state *out);

/* The limits of another tier hold from now on; false: there is none of that name. */
bool service_set_tier(service *s, const char *key);

#endif
