/* prepare_words.c - the second and the third pass: a song's words as hidden states, and all of it as a sample. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/prepare_inner.h"
#include "formats/safetensors.h"
#include "models/condition.h"
#include "models/qwen3.h"
#include "render/prompt.h"
#include "render/tokens.h"

/* The Python trainer's limits; texts are filled up to them. */
enum { REFERENCE_TEXT = 256, REFERENCE_LYRIC = 512 };

/* Work in a context, with the memory that a plan of it asks for. */
typedef bool (*context_work)(tens_ctx *c, void *user);

static ace_status in_context(preparing *w, context_work work, void *user, size_t mapped, tens_ctx **out,
                             ace_error *err) {
  *out = NULL;
  tens_ctx *plan = tens_open(&(tens_options){.plan = true}, err);
  if (!plan) return ACE_ENOMEM;
  bool ok = work(plan, user);
  size_t bytes = tens_peak(plan);
  ace_status status = ok ? ACE_OK : tens_error(plan, err);
  tens_close(plan);
  if (status != ACE_OK) return status;
  if (bytes > engine_room(w->e, mapped))
    return ace_fail(err, ACE_ENOMEM, "memory: %zu MiB are needed; raise the limit", bytes >> 20);
  tens_ctx *c = engine_context(w->e, bytes, w->notify, err);
  if (!c) return ACE_ENOMEM;
  if (work(c, user)) {
    *out = c;
    return ACE_OK;
  }
  status = tens_error(c, err);
  tens_close(c);
  return status;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

typedef struct reading {
  const qwen3 *model;
  bpe_ids text, lyric;
  size_t n_text, n_lyric; /* without what fills them up */
  tens *hidden, *rows;    /* [1, Lt, Dt], [1, Ll, Dt] */
} reading;

static tens *ids_tensor(tens_ctx *c, const bpe_ids *ids) {
  return tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)ids->n), ids->id);
}

static bool read_words(tens_ctx *c, void *user) {
  reading *r = user;
  r->hidden = qwen3_hidden(c, r->model, ids_tensor(c, &r->text), NULL);
  r->rows = qwen3_embed(c, r->model, ids_tensor(c, &r->lyric));
  return r->hidden && r->rows;
}

static ace_status fill(const bpe *tokenizer, bpe_ids *ids, size_t n, ace_error *err) {
  int32_t pad = bpe_find(tokenizer, "<|endoftext|>");
  ace_status status = pad < 0 ? ace_fail(err, ACE_EFORMAT, "tokenizer: it has no <|endoftext|>") : ACE_OK;
  while (status == ACE_OK && ids->n < n) status = bpe_ids_add(ids, pad, err);
  return status;
}

static ace_status tokenise(preparing *w, const song_text *text, reading *r, ace_error *err) {
  bool reference = w->o->profile == SONG_TEXT_REFERENCE;
  const bpe *tokenizer = w->e->tokenizer;
  ace_status status = tokens_encode(tokenizer, text->prompt, PROMPT_TEXT_TOKENS, &r->text, err);
  if (status == ACE_OK)
    status = tokens_encode(tokenizer, text->lyrics, reference ? REFERENCE_LYRIC : PROMPT_LYRIC_TOKENS, &r->lyric, err);
  r->n_text = r->text.n;
  r->n_lyric = r->lyric.n;
  if (status == ACE_OK && reference) status = fill(tokenizer, &r->text, REFERENCE_TEXT, err);
  if (status == ACE_OK && reference) status = fill(tokenizer, &r->lyric, REFERENCE_LYRIC, err);
  return status;
}

/* One float a row: 1 for a token, 0 for what fills up. */
static void mark(float *mask, size_t tokens, size_t n) {
  for (size_t i = 0; i < n; i++) mask[i] = i < tokens;
}

static ace_status write_words(const prepare_item *item, const char *key, const reading *r, ace_error *err) {
  float text[PROMPT_TEXT_TOKENS + 1], lyric[PROMPT_LYRIC_TOKENS + 1];
  mark(text, r->n_text, r->text.n);
  mark(lyric, r->n_lyric, r->lyric.n);
  int64_t n_text = r->hidden->dim[1], n_lyric = r->rows->dim[1], width = r->hidden->dim[2];
  const st_tensor tensors[] = {
      {.name = "text", .dtype = ST_F32, .rank = 2, .dim = {n_text, width}, .data = r->hidden->data},
      {.name = "lyric", .dtype = ST_F32, .rank = 2, .dim = {n_lyric, width}, .data = r->rows->data},
      {.name = "text_mask", .dtype = ST_F32, .rank = 2, .dim = {n_text, 1}, .data = text},
      {.name = "lyric_mask", .dtype = ST_F32, .rank = 2, .dim = {n_lyric, 1}, .data = lyric}};
  return st_write(item->words, tensors, 4, (const char *const[]){"key", key}, 1, err);
}

/* The text of a song whose latents are there. */
static ace_status text_of(preparing *w, const prepare_item *item, int64_t frames, song_text *text, ace_error *err) {
  return song_text_make(w->d, item->sample, item->by_genre, prepare_seconds(w, frames), w->o->profile, text, err);
}

static void make_words_key(const preparing *w, const song_text *text, char key[HASH_HEX]) {
  hash h;
  hash_begin(&h);
  prepare_hash(&h, w->o->profile == SONG_TEXT_REFERENCE ? "words 1 reference" : "words 1 matched");
  prepare_hash(&h, text->prompt);
  prepare_hash(&h, text->lyrics);
  prepare_hash(&h, w->text_sha);
  hash_end(&h, key);
}

static ace_status frames_of(const prepare_item *item, int64_t *frames, ace_error *err) {
  st_file *f = st_open(item->latents, err);
  if (!f) return err->status;
  const st_tensor *t = st_find(f, "latents");
  ace_status status = ACE_OK;
  if (t && t->rank == 2) *frames = t->dim[0];
  else status = ace_fail(err, ACE_EFORMAT, "%s: there are no latents in it; remove the file", item->latents);
  st_close(f);
  return status;
}

ace_status prepare_words(preparing *w, prepare_item *item, ace_error *err) {
  int64_t frames = 0;
  song_text text = {0};
  char key[HASH_HEX];
  reading r = {.model = w->e->text};
  tens_ctx *c = NULL;
  ace_status status = frames_of(item, &frames, err);
  if (status == ACE_OK) status = text_of(w, item, frames, &text, err);
  if (status != ACE_OK) return status;
  make_words_key(w, &text, key);
  if (!prepare_is_current(item->words, key)) {
    status = tokenise(w, &text, &r, err);
    if (status == ACE_OK) status = in_context(w, read_words, &r, ckpt_mapped_bytes(r.model->checkpoint, ""), &c, err);
    if (status == ACE_OK) status = write_words(item, key, &r, err);
  }
  tens_close(c);
  bpe_ids_free(&r.text), bpe_ids_free(&r.lyric);
  song_text_free(&text);
  return status;
}

/* ---- the sample -------------------------------------------------------------------------------------------------- */

typedef struct joining {
  const preparing *w;
  int64_t frames, channels, n_text, n_lyric, width;
  float *latents, *text, *lyric;
  int32_t *text_mask, *lyric_mask;
  tens *condition;
  int32_t *mask; /* of the condition; owned */
} joining;

static bool join(tens_ctx *c, void *user) {
  joining *j = user;
  const acestep_dit *dit = j->w->e->dit;
  int32_t first = 0;
  tens *clips = j->w->o->cover ? tens_from(c, TENS_F32, TENS_DIMS(1, j->frames, j->channels), j->latents)
                               : acestep_silence(c, dit, 0, dit->cfg.timbre_frames);
  if (!j->w->o->cover && j->w->o->profile == SONG_TEXT_REFERENCE) {
    clips = tens_new(c, TENS_F32, TENS_DIMS(1, 1, j->channels));
    if (clips && !tens_planning(c)) memset(clips->data, 0, (size_t)j->channels * sizeof(float));
  }
  condition_input in = {.text = tens_from(c, TENS_F32, TENS_DIMS(1, j->n_text, j->width), j->text),
                        .text_mask = j->text_mask,
                        .lyric = tens_from(c, TENS_F32, TENS_DIMS(1, j->n_lyric, j->width), j->lyric),
                        .lyric_mask = j->lyric_mask,
                        .clips = clips,
                        .clip_order = &first};
  free(j->mask);
  j->condition = condition_encode(c, dit, &in, &j->mask);
  return j->condition;
}

/* A mask of the second pass as integers; NULL on failure. */
static int32_t *load_mask(const char *path, const char *name, int64_t n, ace_error *err) {
  int64_t rows = 0, columns = 0;
  float *values = prepare_load(path, name, &rows, &columns, err);
  int32_t *mask = values && rows == n ? malloc((size_t)n * sizeof *mask) : NULL;
  if (values && !mask) ace_fail(err, ACE_EFORMAT, "%s: tensor %s has another shape; remove the file", path, name);
  for (int64_t i = 0; i < n && mask; i++) mask[i] = values[i] != 0;
  free(values);
  return mask;
}

static ace_status load_parts(joining *j, const prepare_item *item, ace_error *err) {
  int64_t width = 0;
  j->latents = prepare_load(item->latents, "latents", &j->frames, &j->channels, err);
  if (j->latents) j->text = prepare_load(item->words, "text", &j->n_text, &j->width, err);
  if (j->text) j->lyric = prepare_load(item->words, "lyric", &j->n_lyric, &width, err);
  if (j->lyric) j->text_mask = load_mask(item->words, "text_mask", j->n_text, err);
  if (j->text_mask) j->lyric_mask = load_mask(item->words, "lyric_mask", j->n_lyric, err);
  if (!j->lyric_mask) return err->status;
  const dit_config *cfg = &j->w->e->dit->cfg;
  if (j->channels == cfg->latent_channels && j->width == cfg->text_hidden && width == j->width) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: made for another model; remove the file", item->words);
}

/* The song as its own source: latents | ones. */
static float *own_context(const joining *j) {
  float *context = malloc((size_t)(j->frames * 2 * j->channels) * sizeof *context);
  for (int64_t t = 0; t < j->frames && context; t++)
    for (int64_t i = 0; i < 2 * j->channels; i++)
      context[t * 2 * j->channels + i] = i < j->channels ? j->latents[t * j->channels + i] : 1;
  return context;
}

static json_t *about_of(const preparing *w, const prepare_item *item, const song_text *text, double seconds) {
  static const char *const copied[] = {"audio_path",     "filename",      "lyrics",   "genre",           "bpm",
                                       "keyscale",       "timesignature", "language", "is_instrumental", "custom_tag",
                                       "prompt_override"};
  json_t *about = json_pack("{s:s, s:I, s:s}", "caption", text->caption, "duration", (json_int_t)seconds,
                            "preprocess_mode", w->o->cover ? "lokr" : "lora");
  for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
    json_object_set(about, copied[i], json_object_get(w->d->sample[item->sample].fields, copied[i]));
  return about;
}

static json_t *tags_of(const preparing *w, const prepare_item *item, const song_text *text) {
  char now[32] = "";
  time_t seconds = time(NULL);
  struct tm utc;
  if (gmtime_r(&seconds, &utc)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const char *name = json_text(json_object_get(w->hashes, "diffusion"), "name");
  return json_pack(
      "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "preprocess_mode", w->o->cover ? "lokr" : "lora",
      "prep_profile", w->o->profile == SONG_TEXT_REFERENCE ? "reference" : "matched", "text_prompt", text->prompt,
      "lyric_text", text->lyrics, "model_variant", name, "model_sha", w->model_sha, "vae_sha", w->vae_sha, "created_at",
      now, "source_size", item->size, "source_mtime", item->mtime, "key", item->key, "latents_key", item->latents_key);
}

static ace_status write_sample(preparing *w, const prepare_item *item, const joining *j, ace_error *err) {
  song_text text;
  ace_status status = text_of(w, item, j->frames, &text, err);
  if (status != ACE_OK) return status;
  int64_t tokens = j->condition->dim[1];
  sample s = {.shape = {j->frames, j->channels, tokens, j->condition->dim[2]},
              .target = j->latents,
              .condition = tens_f32(j->condition),
              .context = w->o->cover ? own_context(j) : NULL,
              .about = about_of(w, item, &text, prepare_seconds(w, j->frames)),
              .tags = tags_of(w, item, &text)};
  bool padded = false;
  for (int64_t i = 0; i < tokens; i++) padded |= !j->mask[i];
  if (padded) s.condition_mask = malloc((size_t)tokens);
  for (int64_t i = 0; i < tokens && s.condition_mask; i++) s.condition_mask[i] = j->mask[i] != 0;
  if (!s.about || !s.tags || (padded && !s.condition_mask) || (w->o->cover && !s.context))
    status = ace_fail(err, ACE_ENOMEM, "out of memory");
  if (status == ACE_OK) status = sample_write(item->path, &s, err);
  free(s.context), free(s.condition_mask);
  json_decref(s.about), json_decref(s.tags);
  song_text_free(&text);
  return status;
}

ace_status prepare_sample(preparing *w, prepare_item *item, ace_error *err) {
  joining j = {.w = w};
  tens_ctx *c = NULL;
  ace_status status = load_parts(&j, item, err);
  if (status == ACE_OK) status = in_context(w, join, &j, ckpt_mapped_bytes(w->e->dit->checkpoint, "encoder."), &c, err);
  if (status == ACE_OK) status = write_sample(w, item, &j, err);
  tens_close(c);
  free(j.latents), free(j.text), free(j.lyric), free(j.text_mask), free(j.lyric_mask), free(j.mask);
  if (status != ACE_OK) return status;
  item->state = PREPARE_DONE;
  unlink(item->latents), unlink(item->words);
  return ACE_OK;
}
