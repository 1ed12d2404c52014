/* tasks.h - the requests of jobs, and their results.
 *
 * "generate":
 *   {"request": {...},            every parameter, as ace_request_to_json writes it; seeds drawn
 *    "slot": 1,
 *    "lm": "need" | "want" | "no",  fail without a language model, do without, or leave it alone
 *    "first": "create" | "format", optional: what the language model does to the request beforehand
 *    "query": "...",               for "create"
 *    "only": "metadata" | "codes" | "analysis", optional: no sound; the last two read src_audio
 *    "score": false, "lrc": false, also made for each sample, after all of them are there
 *    "sensitivity": of the score; 0: the usual one
 *    "uploads": ["..."],           files that go when the job ends
 *    "src_latents": path,          optional, as "ref_latents": instead of src_audio, reference_audio (engine/latents.h)
 *    "latents": false,             files "1.latents" ... too
 *    "rest": [{"request", "slot", "lm"}, ...]} optional: more songs, whose samples follow
 *   -> {"request": {...} as run, "model", "lm" (null: not used), "seeds": [...], "seconds": {"total"}}
 *      samples: files "1.mp3", "1.json" ...; about {"seed", "duration", "format", "lrc", "scores"}
 *   only "metadata": {"request", ...}; "codes": {"audio_codes"}; "analysis": {"audio_codes", "found": as "understand",
 *   or null without a language model}
 *
 * "create" {"query", "request"}, "format" {"request"}, "understand" {"audio_codes", "request"}
 *   -> the object of ace_create_sample and its like
 * "codes" {"src_audio", "uploads"} -> {"audio_codes"}
 * "score" {"job", "item", "sensitivity"} -> as ace_result_score; also becomes part of the sample's about
 * "lrc"   {"job", "item"} -> as ace_result_timestamps; "lrc" becomes part of the sample's about
 * "think"  {"request", "first"} -> {"requests": [{...}, one for each item, with its audio_codes]}
 * "encode" {"src_audio" or "src_latents"} -> {"frames"}; file "1.latents"
 * "decode" {"src_latents", "audio_format"} -> {}; sample 0 is the sound
 * "hear"   {"src_audio" or "src_latents", "request"} -> {"found": as "understand", "audio_codes"}; file "1.latents"
 * "label" {"dataset": as in its file, "only_unlabeled", "skip_metas", "captions_only", "format_lyrics", "transcribe_lyrics",
 *          "save_path": optional}
 *   -> {"message", "labeled_count", "failed", "needs_lyrics", "log": lines about single songs}
 * "prepare" {"dataset", "output_dir", "again", "preprocess_mode", "prep_profile", "max_duration"}
 *   -> {"message", "output_dir", "num_tensors", "skipped", "failed", "log"}
 * "train" {"settings": as train_settings_json}
 *   -> {"message", "folder", "epoch", "step", "loss"}; a stop is a cancellation, and leaves a checkpoint
 * "init"  {"slot", "model": name or null, "init_lm": bool, "lm": name or null, "settings": {"vae", "backend", "int8",
 *         "lm_int8", "init_lm": whether jobs may load it}, optional like each of them}
 *   -> {"slot", "model", "lm": name or null, "reloaded": ["DiT/VAE/Text Encoder", "LLM"]}
 * "unload" {} -> {}
 * "lora"  {"do": "load", "path", "name": text or null, "scale", "stack": bool}, {"do": "unload", "name" or null},
 *         {"do": "use", "on": bool}, {"do": "scale", "name" or null: the newest, "scale"}
 *   -> {"name": the adapter's, "type"}
 */
#ifndef ACE_SERVICE_TASKS_H
#define ACE_SERVICE_TASKS_H

#include "service/service.h"

/* Of latents that callers bring: ten minutes. */
enum { TASK_MOST_FRAMES = 15000 };

/* What the request of "generate" is made of. */
typedef struct task_song {
  const ace_request *request;       /* its seeds need not be drawn yet */
  int slot;                         /* 1..3 */
  const char *lm;                   /* "need", "want", "no" */
  const char *first, *query, *only; /* NULL: none */
  bool score, lrc;
  const char *const *uploads; /* ends with NULL; NULL: none */
} task_song;

/* Draws the request's seeds and puts the object together. Whether its parameters go together is for the job to say. A new
 * reference; NULL on failure. */
json_t *task_generate(const task_song *t, ace_error *err);

/* A request back from its JSON form, with the defaults of the command line for what it does not say. NULL on failure. */
ace_request *task_request(const json_t *json, ace_error *err);

#endif
