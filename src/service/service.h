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
 *   "label" describe the songs of a dataset         "prepare" make samples for training of it
 *   "init"        load a model, or another one           "unload"   let go of all of them
 *   "lora"        adapters come, go, and change
 */
#ifndef ACE_SERVICE_H
#define ACE_SERVICE_H

#include "jobs/jobs.h"
#include "service/inventory.h"
#include "service/tiers.h"

enum { SERVICE_SLOTS = 3 };

typedef struct service service;

typedef struct service_options {
  const char *models;               /* folder of checkpoints; downloads go there */
  const char *spare;                /* another one, used while there is no diffusion model in `models`; may be NULL */
  const char *data;                 /* data folder: database, outputs, uploads, cache */
  const char *slots[SERVICE_SLOTS]; /* diffusion models; the first NULL: the usual one; others NULL: no such slot */
  const char *lm;                   /* language model; NULL: by the tier */
  int init_lm;                      /* 1: may be loaded; 0: never unless a job of kind "init" asks; -1: by the tier */
  bool load_now;                    /* queue the loading at once */
  int threads;                      /* 0: every CPU */
  uint64_t memory;                  /* bytes that a job may use; 0: most of what is free */
  const char *vae;                  /* autoencoder; NULL: the usual one */
  const char *lm_backend;           /* "vllm", "pt"; NULL: by the tier */
  bool int8, lm_int8;               /* as in ace_engine_options, also these: */
  const char *lm_server, *lm_server_model, *lm_server_key;
  bool lm_fallback;
  const struct hub
      *hubs; /* where models are fetched from, in the order in which they are tried; must outlive the service */
  int n_hubs, files_at_once;
  uint64_t most_recordings; /* bytes of all uploads that are kept; 0: 10 GB */
  int most_waiting, window; /* see jobs_options */
  double average;
} service_options;

service *service_open(const service_options *options, ace_error *err);
/* See jobs_close. */
void service_close(service *s, double patience);

jobs *service_jobs(service *s);
const char *service_models(const service *s);  /* folder that models are opened from now */
const char *service_data(const service *s);    /* folder */
int service_threads(const service *s);         /* that a job computes with */
const char *service_uploads(const service *s); /* folder; there and writable */
/* A new name in there that nobody can guess, with this suffix (".wav", ""). free() it; NULL on failure. */
char *service_upload_path(const service *s, const char *suffix);
struct downloads *service_downloads(service *s); /* downloads.h */
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
  char job[JOBS_ID]; /* that loads; "": none does */
  char vae[256];     /* "": the usual one */
  char backend[8];   /* "vllm" or "pt" */
  bool int8, lm_int8;
  char failure[512]; /* of the last loading; "": it went well */
  tier_machine machine;
  int seconds, batch; /* limits in force: with the language model when it is loaded */
} service_state;

void service_look(service *s, service_state *out);
/* What everybody may know of it, a new reference:
 *   {"service": {"slots": [{"name", "loaded", "family"}], "lm", "lm_loaded", "lm_allowed", "lm_server": bool, "loading",
 *                "failure", "job", "backend", "int8", "lm_int8", "vae", "adapters": [...]},
 *    "limits": {"seconds", "batch"}} */
json_t *service_json(service *s);
/* Tells everybody who listens: the event "service" with that. */
void service_tell(service *s);
/* "turbo", "sft", "base" */
const char *service_family_name(req_model family);
/* Names of the formats of sound that can be written here, a new reference to an array. */
json_t *service_formats(void);
/* The family of the model in a slot, loaded or not; of a model that is not there 0. */
req_model service_family(service *s, int slot);

/* The adapters of slot 1 as ace_adapter_list gives them, each with "active": whether it is on when adapters are used.
 * *use: they are. A new reference. */
json_t *service_adapters(service *s, bool *use);

/* What a request would take if it ran now in that slot, a new reference:
 *   {"seconds" or null, "low", "high", "wait_seconds", "runs": finished ones that this rests on,
 *    "memory": as engine_memory_json with "fits", or {"fits": false, "message"}, or null}
 * seconds and memory are null while the model is not loaded or a job is running; seconds also until a first song was made
 * with this model on this machine. */
json_t *service_predict(service *s, const ace_request *r, int slot);

/* The limits of another tier hold from now on; false: there is none of that name. */
bool service_set_tier(service *s, const char *key);

#endif
