/* acestep.h - music from words with the ACE-Step 1.5 models.
 *
 *   ace_error err;
 *   ace_engine *engine = ace_engine_open("checkpoints", NULL, &err);          // a folder of published checkpoints
 *   ace_request *song = ace_request_new(ACE_PROFILE_CLI);                     // every parameter at its default
 *   ace_request_set(song, "caption", "jazz trio in a smoky bar", &err);      // any parameter, as text
 *   ace_result *result = ace_generate(engine, song, NULL, &err);             // words become sound
 *   if (result) ace_result_save(result, 0, "song.flac", &err);               // whole file or no file
 *   else fprintf(stderr, "%s\n", err.message);                               // what, where, how to mend it
 *   ace_result_free(result), ace_request_free(song), ace_engine_close(engine);
 *
 * Conventions. Functions that can fail take an `ace_error *` (may be NULL) and return a status or NULL; on success the
 * error is left untouched. Strings are UTF-8 and NUL-terminated. Free functions accept NULL. An engine may be used from
 * one thread at a time; different engines are independent; requests and results belong to the caller.
 */
#ifndef ACESTEP_H
#define ACESTEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define ACE_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* What kind of failure; ace_error.message says the rest. The values are stable. */
typedef enum ace_status {
  ACE_OK = 0,
  ACE_EINVAL = 1,       /* a value outside its range, an unknown name, a request that makes no sense */
  ACE_EFORMAT = 2,      /* a file is not what it claims to be */
  ACE_ENOTFOUND = 3,    /* a file, a model, a tensor is missing */
  ACE_EIO = 4,          /* the system could not read or write */
  ACE_ENOMEM = 5,       /* not enough memory for this job */
  ACE_ECANCELED = 6,    /* the caller asked to stop */
  ACE_EUNSUPPORTED = 7, /* understood, but not by this model or build */
  ACE_EINTERNAL = 8,    /* a defect of this library */
  ACE_EBUSY = 9         /* too much work is waiting already; try again later */
} ace_status;

/* One line, lower case, with what was wrong, where, and the accepted range or remedy. */
typedef struct ace_error {
  ace_status status;
  char message[512];
} ace_error;

/* A stable lower-case word for a status ("invalid", "format", "missing", ...). Never NULL. */
const char *ace_status_name(ace_status status);

/* ---- progress, log, cancel ------------------------------------------------------------------------------------ */

typedef struct ace_progress {
  const char *stage;   /* "load", "think", "encode", "diffuse", "decode", "hash", "save", "align", "score" */
  double fraction;     /* of the whole job, 0..1, never falling */
  double seconds_left; /* estimate; negative while unknown */
  double rate; /* of `step`, a second, where they come fast enough to count (thinking: tokens of each song); else 0 */
  int step, steps; /* inside the stage (thinking: tokens); steps is 0 where nobody knows how many there will be, both
                      are where counting makes no sense */
} ace_progress;

/* All members may be NULL. They are called on the thread that called the library. `cancelled` is polled several times a
 * second; once it returns true the call ends with ACE_ECANCELED and nothing is left behind. */
typedef struct ace_callbacks {
  void (*progress)(void *user, const ace_progress *progress);
  void (*log)(void *user, const char *line);
  bool (*cancelled)(void *user);
  void *user;
} ace_callbacks;

/* ---- request -------------------------------------------------------------------------------------------------- */

/* Which column of defaults a new request starts from. */
typedef enum ace_profile {
  ACE_PROFILE_CLI,  /* the command line and this library */
  ACE_PROFILE_PAGE, /* the web studio */
  ACE_PROFILE_REST, /* the REST API */
  ACE_PROFILE_CHAT, /* the chat-completions API */
  ACE_PROFILE_COUNT
} ace_profile;

typedef struct ace_request ace_request;

/* A request with every parameter at its default of that profile. NULL only when memory is exhausted. */
ace_request *ace_request_new(ace_profile profile);
ace_request *ace_request_copy(const ace_request *request);
void ace_request_free(ace_request *request);

/* Sets one parameter by name from text: numbers in decimal, booleans as true/false, lists separated by commas, "" for
 * null. `acestep schema` prints every name with its range. The value is checked against the parameter's own range. */
ace_status ace_request_set(ace_request *request, const char *name, const char *value, ace_error *err);

/* The current value of one parameter as text, in the form that ace_request_set reads. The string belongs to the caller
 * (free() it); NULL if there is no such parameter. */
char *ace_request_get(const ace_request *request, const char *name);

/* Reads parameters out of a JSON object (the saved form, or any subset of it). Unknown keys are an error naming the key
 * unless they are the result fields that a saved song carries. */
ace_status ace_request_set_json(ace_request *request, const char *json, size_t length, ace_error *err);

/* The request as JSON, two-space indent, one key a parameter. The string belongs to the caller. */
char *ace_request_to_json(const ace_request *request);

/* JSON Schema (draft 2020-12) of the JSON form, made from the parameter table. The string belongs to the caller. */
char *ace_request_schema(ace_profile profile);

/* Checks every parameter and the combinations of them. The message names the first offending field. */
ace_status ace_request_validate(const ace_request *request, ace_error *err);

/* ---- engine --------------------------------------------------------------------------------------------------- */

typedef struct ace_engine ace_engine;

typedef struct ace_engine_options {
  const char *model; /* diffusion checkpoint folder, e.g. "acestep-v15-turbo"; NULL: the first usable one */
  const char *vae;   /* autoencoder folder, relative to the models folder or absolute; NULL: "vae" */
  const char *lm;    /* language model folder, e.g. "acestep-5Hz-lm-0.6B"; NULL: the first one, once it is needed */
  const char *lm_backend; /* "vllm" or NULL: plans songs of a batch together; "pt": one after the other, with the memory
                             of one and equal results; "mlx": taken for "pt", which a line in the log says */
  const char *cache;      /* folder for what can be made again (hashes of models); NULL: nothing is kept */
  int threads;            /* 0: as many as the CPUs this process may use */
  uint64_t memory;        /* budget in bytes for working memory; 0: what the machine has free */
  bool int8;              /* large matrices of diffusion model and text encoder as int8, made while opening */
  bool lm_int8;           /* the same for the language model; folders that hold int8 need neither */
  ace_callbacks notify;   /* progress and log while opening */

  /* URL of a vLLM server that does the language model's work; NULL: done here. Of `lm` only the tokenizer is needed
   * then, except for guidance and scores. See docs/LM_SERVER.md. */
  const char *lm_server;
  const char *lm_server_model; /* its name there; NULL: the first that the server offers */
  const char *lm_server_key;   /* NULL: none */
  bool lm_fallback;            /* when that server cannot be used, `lm` does the work, and the log says so */
} ace_engine_options;

/* Opens the models under `models_dir` (see `acestep info DIR`). Weights are memory-mapped, so this is quick. */
ace_engine *ace_engine_open(const char *models_dir, const ace_engine_options *options, ace_error *err);
void ace_engine_close(ace_engine *engine);

/* What is open, as a JSON object: model names, sizes, instruction set, threads. The string belongs to the caller. */
char *ace_engine_describe(const ace_engine *engine);

/* ---- adapters --------------------------------------------------------------------------------------------------- */

/* LoRA and LoKr adapters change how the diffusion model sings. Several may be loaded; every song is made with all that
 * are on, each at its scale, and tells in its JSON which they were. The model's own weights stay untouched: changes
 * take a fraction of a second, and without adapters the engine gives the bits that it gave before. */

/* Loads a PEFT folder, a .safetensors file or a LoKr file, and switches it on. `name`: how it is called from here on;
 * NULL: the last part of the path, with a number when that is taken. Names in the file that the model does not have
 * are told to notify->log. Returns the name, which lasts until it is unloaded; NULL on failure: nothing changed. */
const char *ace_adapter_load(ace_engine *engine, const char *path, const char *name, double scale,
                             const ace_callbacks *notify, ace_error *err);
/* NULL: all. */
ace_status ace_adapter_unload(ace_engine *engine, const char *name, ace_error *err);
/* -4..4; 1 is the adapter as it was trained, 0 the model alone. */
ace_status ace_adapter_set_scale(ace_engine *engine, const char *name, double scale, ace_error *err);
/* Off keeps the scale. NULL: all. */
ace_status ace_adapter_enable(ace_engine *engine, const char *name, bool on, ace_error *err);
/* What is loaded, as a JSON array in the order of loading: [{"name", "path", "type": "lora" or "lokr", "scale",
 * "enabled", "rank", "alpha", "dora", "layers", "targets": ["self_attn.q_proj", ...], "unknown", "bytes"}]. The string
 * belongs to the caller. */
char *ace_adapter_list(const ace_engine *engine);

/* ---- what the language model does on its own --------------------------------------------------------------------- */

/* The first three return a JSON object that ace_request_set_json reads: {"caption", "lyrics", "bpm", "duration",
 * "keyscale", "vocal_language", "timesignature", "result": {"genres", "seed", "sources"}}, a new sample's also "instrumental";
 * null where nothing is known. "result" holds what is no parameter: the genres in words, the seed that made the answer,
 * and who chose each field: {"bpm": "user", "keyscale": "model", "lyrics": "default", ...}. The string belongs to the caller. The request gives sampling parameters and seed. */

/* From a few words to a whole request: `query` "" asks for any song. The request's instrumental and vocal_language
 * count. */
char *ace_create_sample(ace_engine *engine, const char *query, const ace_request *request, const ace_callbacks *notify,
                        ace_error *err);
/* The request's caption and lyrics in better words; its bpm, duration, keyscale, timesignature and language stay. */
char *ace_format_sample(ace_engine *engine, const ace_request *request, const ace_callbacks *notify, ace_error *err);
/* From audio codes in their text form to metadata and lyrics. */
char *ace_understand(ace_engine *engine, const char *codes, const ace_request *request, const ace_callbacks *notify,
                     ace_error *err);
/* The audio codes of a recording, "<|audio_code_1|><|audio_code_2|>...", five a second. The string belongs to the
 * caller. */
char *ace_audio_to_codes(ace_engine *engine, const char *path, const ace_callbacks *notify, ace_error *err);

/* ---- result --------------------------------------------------------------------------------------------------- */

typedef struct ace_result ace_result;

/* Runs one request from words to sound. NULL on failure or cancellation, with `err` set. */
ace_result *ace_generate(ace_engine *engine, const ace_request *request, const ace_callbacks *notify, ace_error *err);
void ace_result_free(ace_result *result);

typedef struct ace_audio {
  const float *samples; /* interleaved, [frames, channels], -1..1; valid until the result is freed */
  int64_t frames;
  int channels;    /* 2 */
  int sample_rate; /* 48000 */
  uint32_t seed;   /* the seed that made this item */
} ace_audio;

int ace_result_count(const ace_result *result);
ace_audio ace_result_audio(const ace_result *result, int item);

/* Every parameter that made the item, resolved (seeds, duration, model hashes): the JSON that `--from` reads back. The
 * string belongs to the result. */
const char *ace_result_json(const ace_result *result, int item);

/* The item's lyrics as LRC, "[mm:ss.xx]line": when the model sings each line. ACE_EINVAL for a song without a voice.
 * The string belongs to the caller. The engine must be the one that made the result (or have the same models). Progress
 * has the stage "align". */
char *ace_result_lrc(ace_engine *engine, const ace_result *result, int item, const ace_callbacks *notify,
                     ace_error *err);
/* The same in full, as JSON: {"lrc_text", "sentence_timestamps": [{"text", "start", "end", "tokens", "confidence"}],
 * "token_timestamps": [{"token_id", "text", "start", "end", "probability"}]}, times in seconds. */
char *ace_result_timestamps(ace_engine *engine, const ace_result *result, int item, const ace_callbacks *notify,
                            ace_error *err);
/* LRC as WebVTT subtitles; duration of the song in seconds, 0: not known. The string belongs to the caller. */
char *ace_lrc_to_vtt(const char *lrc, double duration, ace_error *err);

/* How well the item is what was asked for, as JSON; numbers are 0..1, higher is better, null where there is none:
 *
 *   {"score": 0.61,                                            all conditions together
 *    "conditions": {"bpm": 0.9, "caption": 0.55, ...},          what the language model finds again in the codes
 *    "lyrics_alignment": {"lm_score": 0.2, "dit_score": 0.4},   how clearly the diffusion model sings the words: from
 *                                                               the words alone, and in this song
 *    "sensitivity": 0.5,
 *    "notes": ["..."]}                                          why something is null
 *
 * sensitivity, 0.01..1, spreads caption and lyrics: smaller tells small differences apart; 0: 0.5. The scores become
 * part of ace_result_json (whose earlier string is gone) and of what ace_result_save writes. An error when there is
 * neither code nor voice to score. The string belongs to the caller. */
char *ace_result_score(ace_engine *engine, ace_result *result, int item, double sensitivity,
                       const ace_callbacks *notify, ace_error *err);

/* Writes the item's audio to `path` in the request's audio_format and "<path without extension>.json" beside it. Both
 * appear whole or not at all; an existing file is replaced. */
ace_status ace_result_save(const ace_result *result, int item, const char *path, ace_error *err);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
