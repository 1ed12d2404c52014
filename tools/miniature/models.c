/* models.c - a folder of models before training: tokenizers, first weights, silence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conservatory/describe.h"
#include "engine/tiny_parts.h"
#include "engine/weights_fresh.h"
#include "miniature/configs.h"
#include "miniature/miniature.h"

static const char VAE[] = "vae", TEXT[] = "Qwen3-Embedding-0.6B", LM[] = "acestep-5Hz-lm-0.6B";
static const char BASE[] = "acestep-v15-base", TURBO[] = "acestep-v15-turbo", WEIGHTS[] = "model.safetensors";

/* ---- the vocabulary ------------------------------------------------------------------------------------------------ */

enum { PIECES = 1200, TEXTS = 3 /* of each */, SECONDS = 30 };

/* Pieces far from those that are trained on: words repeat, seeds do not matter. */
static const uint64_t FIRST_SEED = 50000000;

static char *fields_of(const cons_piece *p) {
  json_t *about = cons_describe(p);
  char *text = malloc(512);
  if (text)
    snprintf(text, 512, "bpm: %d\nkeyscale: %.20s\n- keyscale: %.20s\n%.60s\n", p->bpm, json_text(about, "keyscale"),
             json_text(about, "keyscale"), json_text(about, "genre"));
  json_decref(about);
  return text;
}

/* NULL-terminated, free_corpus; what the prompts are made of comes first. NULL: out of memory. */
static char **make_corpus(ace_error *err) {
  int fixed = 0, n = 0;
  while (tiny_corpus[fixed]) fixed++;
  char **texts = calloc((size_t)fixed + PIECES * TEXTS + 1, sizeof *texts);
  for (int i = 0; texts && i < fixed; i++) texts[n++] = strdup(tiny_corpus[i]);
  for (int i = 0; texts && i < PIECES; i++) {
    cons_piece *p = cons_compose(&(cons_wish){.seed = FIRST_SEED + (uint64_t)i, .seconds = SECONDS}, err);
    char *const words[] = {p ? cons_caption(p) : NULL, p ? cons_lyrics(p) : NULL, p ? fields_of(p) : NULL};
    for (int k = 0; k < TEXTS; k++)
      if (words[k]) texts[n++] = words[k];
    cons_piece_free(p);
  }
  if (!texts) ace_fail(err, ACE_ENOMEM, "models: out of memory");
  return texts;
}

static void free_corpus(char **texts) {
  for (int i = 0; texts && texts[i]; i++) free(texts[i]);
  free(texts);
}

/* ---- the models ---------------------------------------------------------------------------------------------------- */

static ace_status write_transformer(const tiny_job *job, const char *part, weight_list *l, int layers, ace_error *err) {
  weights_fresh(l, layers);
  ace_status status = tiny_write_list(job, part, WEIGHTS, l, err);
  weight_list_free(l);
  return status;
}

static ace_status make_qwen3(const tiny_job *job, const tiny_merges *m, bool lm, ace_error *err) {
  const char *part = lm ? LM : TEXT;
  char text[MINIATURE_CONFIG_SIZE];
  qwen3_config cfg;
  tiny_ids ids;
  weight_list l;
  ace_status status = tiny_write_tokenizer(job, part, m, lm ? MINIATURE_CODES : 0, &ids, err);
  if (lm) miniature_lm_text(text, ids.vocabulary, ids.end_of_text, ids.end_of_turn);
  else miniature_text_text(text, ids.vocabulary, ids.end_of_text);
  json_t *json = json_parse(text, strlen(text), part, err);
  if (status == ACE_OK) status = json ? cfg_read_qwen3(json, part, &cfg, err) : ACE_EINTERNAL;
  json_decref(json);
  if (status == ACE_OK) status = tiny_write_text(job, part, "config.json", text, err);
  if (status == ACE_OK) status = weights_of_qwen3(&l, &cfg, lm, err);
  return status == ACE_OK ? write_transformer(job, part, &l, cfg.layers, err) : status;
}

static ace_status make_dit(const tiny_job *job, bool turbo, const float *silence, ace_error *err) {
  const char *part = turbo ? TURBO : BASE;
  char text[MINIATURE_CONFIG_SIZE];
  dit_config cfg;
  weight_list l;
  miniature_dit_text(text, turbo);
  json_t *json = json_parse(text, strlen(text), part, err);
  ace_status status = json ? cfg_read_dit(json, part, &cfg, err) : ACE_EINTERNAL;
  json_decref(json);
  if (status == ACE_OK) status = tiny_write_text(job, part, "config.json", text, err);
  if (status == ACE_OK) status = tiny_write_silence(job, part, silence, err);
  if (status == ACE_OK) status = weights_of_dit(&l, &cfg, err);
  return status == ACE_OK ? write_transformer(job, part, &l, cfg.layers, err) : status;
}

static ace_status copy_vae(const tiny_job *job, const char *from, ace_error *err) {
  enum { LIMIT = 256 << 20 };
  static const char *const files[] = {"config.json", "diffusion_pytorch_model.safetensors"};
  ace_status status = ACE_OK;
  for (int i = 0; i < 2 && status == ACE_OK; i++) {
    size_t n = 0;
    char *path = file_join(from, files[i]), *to = tiny_path(job, VAE, files[i], err);
    char *data = path && to ? file_read(path, LIMIT, &n, err) : NULL;
    status = data ? file_write(to, data, n, err) : err->status;
    free(path), free(to), free(data);
  }
  return status;
}

static ace_status make_folders(const char *folder, ace_error *err) {
  static const char *const parts[] = {VAE, TEXT, LM, BASE, TURBO};
  ace_status status = ACE_OK;
  for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ACE_OK; i++) {
    char *path = file_join(folder, parts[i]);
    status = path ? file_make_directory(path, err) : ace_fail(err, ACE_ENOMEM, "models: out of memory");
    free(path);
  }
  return status;
}

ace_status miniature_models(const miniature_order *o, ace_error *err) {
  tiny_job job = {.folder = o->folder, .steps = 1, .to = 1};
  tiny_merges *m = calloc(1, sizeof *m);
  char **corpus = make_corpus(err);
  float *silence = NULL;
  ace_status status = m && corpus ? make_folders(o->folder, err) : ace_fail(err, ACE_ENOMEM, "models: out of memory");
  if (status == ACE_OK) status = tiny_learn(m, (const char *const *)corpus, MINIATURE_VOCABULARY, err);
  if (status == ACE_OK) status = make_qwen3(&job, m, false, err);
  if (status == ACE_OK) status = make_qwen3(&job, m, true, err);
  if (status == ACE_OK) status = copy_vae(&job, o->vae, err);
  if (status == ACE_OK && !(silence = tiny_silence(&job, VAE, err))) status = err->status;
  if (status == ACE_OK) status = make_dit(&job, false, silence, err);
  if (status == ACE_OK) status = make_dit(&job, true, silence, err);
  free(silence), free(m);
  free_corpus(corpus);
  return status;
}
