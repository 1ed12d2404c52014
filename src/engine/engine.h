/* engine.h - the inside of an engine and of a result; everyone else sees acestep.h. */
#ifndef ACE_ENGINE_H
#define ACE_ENGINE_H

#include "audio/loudness.h"
#include "engine/lm_server.h"
#include "models/adapters.h"
#include "planner/think.h"
#include "render/song.h"

typedef struct engine_adapter {
  char *name, *path; /* owned */
  char hash[65];     /* "" until asked for */
} engine_adapter;

struct ace_engine {
  char *folder, *model_name, *vae_name;
  char *lm_name, *cache; /* owned like the above; may be NULL */
  pool *threads;
  bool int8, lm_int8; /* as in ace_engine_options */
  uint64_t memory;    /* budget in bytes; 0: what the machine has free when a job starts */
  bpe *tokenizer;
  qwen3 *text;
  acestep_dit *dit;
  plan_lm *lm;             /* NULL until it is needed */
  engine_server server;    /* that does its work */
  bool frugal;             /* the language model takes one item at a time */
  vae *vae;                /* its decoder; the encoder once a job needed it */
  int vae_parts;           /* VAE_DECODER | VAE_ENCODER */
  latents_cache *encoded;  /* what it made of recordings */
  bool random, tiny;       /* models of random.h; of the miniature's sizes */
  uint64_t seed;           /* of random models */
  adapters *adapters;      /* NULL until one is loaded */
  engine_adapter *adapter; /* what they are called, in their order */
};

/* Bytes of that: forty minutes of sound. */
enum { ENGINE_ENCODED = 32 << 20 };

/* An engine without models: its options, the names of its models but the diffusion model's, and no threads yet. NULL on
 * failure. */
ace_engine *engine_new(const char *folder, const char *vae_name, const ace_engine_options *options, ace_error *err);

/* The models of a job. The encoder is there after engine_need_vae only. */
song_models engine_models(const ace_engine *e);

/* Names of the folders that an engine opens beside the diffusion checkpoint. */
#define ENGINE_TEXT_ENCODER "Qwen3-Embedding-0.6B"
#define ENGINE_VAE          "vae"

req_model engine_family(const ace_engine *e);
/* The same of a diffusion model by its folder's name: its configuration says turbo or not, SFT and base differ by name
 * only. */
req_model engine_family_of(const char *name, bool turbo);

/* Where a model of that name lies in a folder: the folder NAME, the file NAME where that is a GGUF file (folders that
 * hold nothing else count as it), or "NAME-*.gguf" beside the folders. NULL when it is nowhere; free() it. */
char *engine_locate(const char *folder, const char *name);

typedef enum engine_kind { ENGINE_DIFFUSION, ENGINE_LANGUAGE, ENGINE_AUTOENCODER, ENGINE_TEXT } engine_kind;
/* How an engine's options and messages call it: "model", "lm", "vae". */
const char *engine_kind_option(engine_kind kind);
/* Of which kind the model in that folder or GGUF file is, by its configuration; `name` is the last part of the path.
 * False: none that an engine opens. */
bool engine_kind_of(const char *path, const char *name, engine_kind *kind);
/* Fails: a model of that kind was named that does not lie in the folder. The message lists those that do. */
ace_status engine_missing(const char *folder, const char *name, engine_kind kind, ace_error *err);

/* Makes sure that the autoencoder has these parts. */
ace_status engine_need_vae(ace_engine *e, int parts, ace_error *err);
/* Makes sure that the language model is open. */
ace_status engine_need_lm(ace_engine *e, ace_error *err);
/* Bytes of its weights that are mapped here; 0 when a server has them. It is open. */
size_t engine_lm_mapped(const ace_engine *e);
/* What a song may take: the engine's limit for the whole process, or most of what the system reports as available. */
song_budget engine_budget(const ace_engine *e);
/* Working memory that a job may take whose mapped weights are `weights` bytes: what the limit leaves beside them and
 * the process as it is. */
size_t engine_room(const ace_engine *e, size_t weights);

/* Work of a request in the unit of song_work, or the seconds that it took: the language model's part, and the rest. */
typedef struct engine_work {
  double think, song;
} engine_work;

/* Memory and work of a request before it runs. */
typedef struct engine_memory {
  engine_work work;
  song_plan song;
  size_t think_weights, think_memory; /* of the language model, when it is asked: mapped weights, working memory */
  size_t total;                       /* of the fullest moment */
  song_budget budget;
} engine_memory;

/* What ace_generate would plan now. Reads the recordings that the request names. Fails as ace_generate would. */
ace_status engine_memory_of(ace_engine *e, const ace_request *request, engine_memory *out, ace_error *err);
/* As a JSON object, a new reference. */
json_t *engine_memory_json(const engine_memory *plan);

/* Makes the packed copies of a model's weights where the device wants any and they take no more than half of what is
 * free; else the weights are read as they are, slower. Copies are part of the process's memory. */
void engine_pack(const ace_engine *e, ckpt *checkpoint);

/* Hashes of the opened models as a JSON object {"diffusion": {"name", "sha256"}, ...}, a new reference; NULL on
 * failure. Each is computed once per file state and remembered in the cache folder. `p`: the job that this is a part
 * of; NULL: it is a job of its own. */
json_t *engine_hashes(ace_engine *e, progress *p, const ace_callbacks *notify, ace_error *err);
/* Work of that, in the unit of song_work. */
double engine_hash_work(const ace_engine *e);

/* The adapters that songs are made with now, as they stand in a song's JSON: [{"name", "path", "type", "sha256",
 * "scale"}]. A new reference; NULL on failure. */
json_t *engine_adapters(ace_engine *e, ace_error *err);
void engine_free_adapters(ace_engine *e);

/* Whether the language model plans this request; where that is left open, only one that is open already does. */
bool engine_thinks(const ace_engine *e, const ace_request *request);
/* What it is asked for. Strings and seeds are borrowed. source_seconds: see engine_think. */
plan_wish engine_wish(const ace_engine *e, const ace_request *request, double source_seconds, const uint32_t *seeds,
                      const ace_callbacks *notify);
/* Lets the language model plan the request: fills what the user left open, makes codes for each item of `song`. `song`
 * is empty when nothing was to be planned; it has no codes where a source of `source_seconds` (0: none) leads. */
ace_status engine_think(ace_engine *e, ace_request *request, double source_seconds, const uint32_t *seeds, progress *p,
                        const ace_callbacks *notify, plan_song *song, ace_error *err);
/* Work of that, in the unit of song_work. */
double engine_think_work(const ace_engine *e, const ace_request *request);

/* Where each field of a plan came from: {"bpm": "user", "keyscale": "model", "lyrics": "default", ...}, a new reference;
 * NULL when out of memory. `out` and `asked` are JSON forms of requests; of `asked` only what counts. */
json_t *engine_sources(const json_t *out, const json_t *asked);

/* Where the constrained decoder writes its steps: notify->log when the request asks for them, else nowhere. */
plan_grammar_log engine_grammar_log(const ace_request *request, const ace_callbacks *notify);

/* A context whose operations stop when the caller says so. NULL on failure. */
tens_ctx *engine_context(const ace_engine *e, size_t bytes, const ace_callbacks *notify, ace_error *err);

struct ace_result {
  ace_request *request; /* as run: what the language model filled in included */
  plan_song song;       /* its codes; empty when it was not asked */
  int items;
  song_latents latents[REQ_BATCH_MAX];
  audio_buffer audio[REQ_BATCH_MAX]; /* empty when no sound was made */
  audio_loudness loudness[REQ_BATCH_MAX];
  uint32_t seeds[REQ_BATCH_MAX], retake_seeds[REQ_BATCH_MAX];
  json_t *about;                 /* the "result" object shared by all items */
  engine_work work, seconds;     /* what it took */
  json_t *scores[REQ_BATCH_MAX]; /* what ace_result_score found; NULL: it was not asked */
  char *json[REQ_BATCH_MAX];
};

/* Told of each item as soon as its sound is finished and can be saved, while others are still latents: of `result` only
 * that item may be used. A failure ends the job. */
typedef struct engine_listener {
  ace_status (*finished)(void *user, const ace_result *result, int item, ace_error *err);
  void *user;
} engine_listener;

/* ace_generate; without `sound` the latents are all that is made. listener may be NULL. */
ace_result *engine_generate(ace_engine *engine, const ace_request *request, bool sound, const engine_listener *listener,
                            const ace_callbacks *notify, ace_error *err);

/* Writes what ace_result_save writes beside the sound, as `path`: again, after something was added to it. */
ace_status engine_save_json(const ace_result *r, int item, const char *path, ace_error *err);

/* What ace_generate finds out before it computes: refusals, and memory and work (may be NULL) of the items together with
 * what the request says of length and codes. */
ace_status engine_plan(ace_engine *engine, const ace_request *request, song_plan *plan, engine_work *work,
                       ace_error *err);

/* The recordings of a request, in the autoencoder's form. */
typedef struct engine_recordings {
  audio_buffer reference, source;
} engine_recordings;

/* Points the job to those that there are. engine_free_recordings also after a failure. */
ace_status engine_load_recordings(ace_engine *e, const ace_request *r, engine_recordings *in, song_job *job,
                                  ace_error *err);
void engine_free_recordings(engine_recordings *in);
/* Items first..first+n-1 of the result, which have equally many codes, as a job; the rest as in `all`. */
song_job engine_part_of(const ace_result *result, const song_job *all, int first, int n);

/* The JSON of one item with `format` (REQ_FORMAT_*) as its audio_format. free() it; NULL when out of memory. */
char *result_json(const ace_result *r, int item, int format);

#endif
