#include "cli/reference_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strings.h"
#include "request/text.h"

static const char usual_instruction[] = "Fill the audio semantic mask based on the given conditions:";

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void add(reference_line *l, const char *word) {
  if (l->n < REFERENCE_WORDS - 1 && word) l->word[l->n++] = strdup(word);
}

static void add_pair(reference_line *l, const char *flag, const char *value) {
  add(l, flag), add(l, value);
}

static void free_line(reference_line *l) {
  for (int i = 0; i < l->n; i++) free(l->word[i]);
  l->n = 0;
}

void reference_free(reference_run *r) {
  free_line(&r->first), free_line(&r->song);
  free(r->folder);
}

static const char *text_of(const json_t *s, const char *key) {
  return json_text(s, key);
}

/* A number, text, a switch, or a list of them with commas, as one word. free() it; NULL: nothing was said. */
static char *word_of(const json_t *v) {
  req_text out = {0};
  size_t i;
  const json_t *one;
  if (json_is_string(v)) return *json_string_value(v) ? strdup(json_string_value(v)) : NULL;
  if (json_is_boolean(v)) return strdup(json_is_true(v) ? "true" : "false");
  if (json_is_integer(v)) req_text_addf(&out, "%lld", (long long)json_integer_value(v));
  if (json_is_real(v)) req_text_addf(&out, "%.10g", json_real_value(v));
  json_array_foreach((json_t *)v, i, one) {
    char *item = json_is_array(one) ? NULL : word_of(one);
    if (item) req_text_addf(&out, "%s%s", i ? "," : "", item);
    free(item);
  }
  return req_text_take(&out);
}

/* ---- settings that are parameters -------------------------------------------------------------------------------- */

typedef struct entry {
  const char *key, *flag;
  bool positive; /* zero and below: not said */
} entry;

static const entry entries[] = {{"bpm", "--bpm", true},
                                {"duration", "--duration", true},
                                {"keyscale", "--keyscale", false},
                                {"timesignature", "--timesignature", false},
                                {"vocal_language", "--vocal-language", false},
                                {"task_type", "--task-type", false},
                                {"reference_audio", "--reference-audio", false},
                                {"src_audio", "--src-audio", false},
                                {"repainting_start", "--repainting-start", false},
                                {"repainting_end", "--repainting-end", false},
                                {"audio_cover_strength", "--audio-cover-strength", false},
                                {"complete_tracks", "--complete-track-classes", false},
                                {"inference_steps", "--inference-steps", true},
                                {"guidance_scale", "--guidance-scale", true},
                                {"use_adg", "--use-adg", false},
                                {"cfg_interval_start", "--cfg-interval-start", false},
                                {"cfg_interval_end", "--cfg-interval-end", false},
                                {"shift", "--shift", true},
                                {"infer_method", "--infer-method", false},
                                {"timesteps", "--timesteps", false},
                                {"thinking", "--thinking", false},
                                {"lm_temperature", "--lm-temperature", false},
                                {"lm_cfg_scale", "--lm-cfg-scale", false},
                                {"lm_top_k", "--lm-top-k", false},
                                {"lm_top_p", "--lm-top-p", false},
                                {"lm_negative_prompt", "--lm-negative-prompt", false},
                                {"use_cot_metas", "--use-cot-metas", false},
                                {"use_cot_caption", "--use-cot-caption", false},
                                {"use_cot_lyrics", "--use-cot-lyrics", false},
                                {"use_cot_language", "--use-cot-language", false},
                                {"use_constrained_decoding", "--use-constrained-decoding", false},
                                {"constrained_decoding_debug", "--constrained-decoding-debug", false},
                                {"allow_lm_batch", "--allow-lm-batch", false},
                                {"lm_batch_chunk_size", "--lm-batch-chunk-size", true},
                                {"audio_codes", "--audio-codes", false}};

static void add_entries(reference_line *l, const json_t *s) {
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    const json_t *v = json_object_get(s, entries[i].key);
    bool unsaid = entries[i].positive && json_is_number(v) && json_number_value(v) <= 0;
    char *word = v && !unsaid ? word_of(v) : NULL, pair[64];
    if (word && json_is_boolean(v)) {
      snprintf(pair, sizeof pair, "%s=%s", entries[i].flag, word);
      add(l, pair);
    } else if (word) {
      add_pair(l, entries[i].flag, word);
    }
    free(word);
  }
}

static bool edits(const char *task) {
  static const char *const tasks[] = {"cover", "repaint", "lego", "extract", "complete"};
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
    if (strcmp(task, tasks[i]) == 0) return true;
  return false;
}

static bool for_base(const char *task) {
  return strcmp(task, "lego") == 0 || strcmp(task, "extract") == 0 || strcmp(task, "complete") == 0;
}

static const char *track_of(const json_t *s, const char *task) {
  return strcmp(task, "lego") == 0      ? text_of(s, "lego_track")
         : strcmp(task, "extract") == 0 ? text_of(s, "extract_track")
                                        : "";
}

static const char *caption_of(const json_t *s) {
  const char *caption = text_of(s, "caption");
  return *caption ? caption : text_of(s, "prompt");
}

/* ---- what goes together ------------------------------------------------------------------------------------------ */

static ace_status check(const json_t *s, ace_error *err) {
  const char *task = text_of(s, "task_type"), *instruction = text_of(s, "instruction");
  bool told = *instruction && strcmp(instruction, usual_instruction) != 0;
  bool sampled = json_is_true(json_object_get(s, "sample_mode")) || *text_of(s, "sample_query");
  if (*task && strcmp(task, "text2music") != 0 && !edits(task))
    return ace_fail(err, ACE_EINVAL,
                    "task_type: \"%.40s\" is not one of text2music, cover, repaint, lego, extract, complete", task);
  if (edits(task) && sampled) return ace_fail(err, ACE_EINVAL, "sample_query: works with text2music only");
  if (edits(task) && !*text_of(s, "src_audio")) return ace_fail(err, ACE_EINVAL, "src_audio: %s needs it", task);
  if (edits(task) && strcmp(task, "extract") != 0 && !*caption_of(s))
    return ace_fail(err, ACE_EINVAL, "caption: %s needs one", task);
  if (for_base(task) && *text_of(s, "config_path") && !strstr(text_of(s, "config_path"), "base"))
    return ace_fail(err, ACE_EINVAL, "config_path: %s needs a base model", task);
  if (strcmp(task, "complete") == 0 && !told && !json_object_get(s, "complete_tracks"))
    return ace_fail(err, ACE_EINVAL, "complete_tracks: complete needs tracks, or an instruction");
  if (for_base(task) && strcmp(task, "complete") != 0 && !told && !*track_of(s, task))
    return ace_fail(err, ACE_EINVAL, "%s_track: %s needs a track, or an instruction", task, task);
  const json_t *end = json_object_get(s, "repainting_end");
  double from = json_number_value(json_object_get(s, "repainting_start")), to = end ? json_number_value(end) : -1;
  if (strcmp(task, "repaint") == 0 && to != -1 && to <= from)
    return ace_fail(err, ACE_EINVAL, "repainting_end: it lies behind repainting_start, or is -1");
  return ACE_OK;
}

/* ---- lyrics, seeds, models --------------------------------------------------------------------------------------- */

/* Words, or a file beside the settings or here; "generate" leaves them to the language model. */
static void add_lyrics(reference_line *l, const json_t *s, const char *path) {
  const char *lyrics = text_of(s, "lyrics");
  bool none = json_is_true(json_object_get(s, "instrumental")) || req_same(lyrics, strlen(lyrics), "[Instrumental]");
  if (none) {
    add(l, "--instrumental");
  } else if (strcmp(lyrics, "generate") == 0) {
    add(l, "--use-cot-lyrics"), add(l, "--thinking=true");
  } else if (*lyrics) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path + 1)) : strdup("");
    bool short_one = strlen(lyrics) < 1024 && !strchr(lyrics, '\n');
    char *beside = short_one && folder ? file_join(*folder ? folder : ".", lyrics) : NULL;
    if (beside && access(beside, R_OK) == 0) add_pair(l, "--lyrics", beside);
    else if (short_one && access(lyrics, R_OK) == 0) add_pair(l, "--lyrics", lyrics);
    else add_pair(l, "--lyrics-text", lyrics);
    free(beside), free(folder);
  }
}

static void add_seeds(reference_line *l, const json_t *s) {
  json_t *seeds = json_object_get(s, "seeds"), *random = json_object_get(s, "use_random_seed");
  json_t *batch = json_object_get(s, "batch_size");
  char number[24], *list = seeds ? word_of(seeds) : NULL;
  size_t n = json_array_size(seeds);
  for (const char *p = list; !n && p && *p; p++) n += *p == ',' && p[1] ? 1 : 0;
  if (json_is_string(seeds)) n++;
  if (list && n == 0) n = 1;
  snprintf(number, sizeof number, "%lld",
           list                     ? (long long)n
           : json_is_integer(batch) ? (long long)json_integer_value(batch)
                                    : 2LL);
  add_pair(l, "--batch-size", number);
  if (list) add_pair(l, "--seeds", list);
  else if (random && json_is_false(random) && json_object_get(s, "seed")) {
    char *seed = word_of(json_object_get(s, "seed"));
    if (seed) add_pair(l, "--seed", seed);
    free(seed);
  }
  free(list);
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

static void add_models(reference_line *l, const json_t *s, const char *backend, bool lm) {
  if (!backend) backend = text_of(s, "backend");
  if (*text_of(s, "checkpoint_dir")) add_pair(l, "--models", text_of(s, "checkpoint_dir"));
  if (*text_of(s, "config_path")) add_pair(l, "--model", last_part(text_of(s, "config_path")));
  if (lm && *text_of(s, "lm_model_path")) add_pair(l, "--lm", last_part(text_of(s, "lm_model_path")));
  if (*backend) add_pair(l, "--lm-backend", strcmp(backend, "vllm") == 0 ? "vllm" : "pt");
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void plan_first(reference_run *r, const json_t *s, const char *path, const char *backend) {
  const char *query = text_of(s, "sample_query"), *language = text_of(s, "vocal_language");
  r->before = *query || json_is_true(json_object_get(s, "sample_mode")) ? "plan"
              : json_is_true(json_object_get(s, "use_format"))          ? "format"
                                                                        : NULL;
  if (!r->before) return;
  reference_line *l = &r->first;
  add(l, "--quiet");
  add_models(l, s, backend, true);
  if (strcmp(r->before, "plan") == 0) {
    if (*language) add_pair(l, "--vocal-language", language);
    if (json_is_true(json_object_get(s, "instrumental"))) add(l, "--instrumental");
    if (*query) add(l, "--"), add(l, query);
  } else {
    add_lyrics(l, s, path);
    if (*caption_of(s)) add(l, "--"), add(l, caption_of(s));
  }
}

ace_status reference_plan(reference_run *out, const json_t *s, const char *path, const char *backend, ace_error *err) {
  *out = (reference_run){0};
  ace_status status = check(s, err);
  if (status != ACE_OK) return status;
  reference_line *l = &out->song;
  const char *task = text_of(s, "task_type"), *instruction = text_of(s, "instruction");
  const char *format = text_of(s, "audio_format"), *folder = text_of(s, "save_dir");
  out->folder = strdup(*folder ? folder : "output");
  if (!out->folder) return ace_fail(err, ACE_ENOMEM, "cli: out of memory");
  plan_first(out, s, path, backend);
  add_models(l, s, backend, json_is_true(json_object_get(s, "thinking")));
  add_pair(l, "--output", out->folder);
  add_pair(l, "--audio-format", *format ? format : "flac");
  add_entries(l, s);
  if (*track_of(s, task)) add_pair(l, "--track-name", track_of(s, task));
  if (*instruction && strcmp(instruction, usual_instruction) != 0) add_pair(l, "--instruction", instruction);
  if (!out->before) add_lyrics(l, s, path);
  add_seeds(l, s);
  if (!out->before && *caption_of(s)) add(l, "--"), add(l, caption_of(s));
  return ACE_OK;
}
