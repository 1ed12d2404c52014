/* random_engine.c - tokenizers, language models and whole engines of random models. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/random.h"
#include "engine/tiny_parts.h"

enum { CODES = 64000, SILENCE_FRAMES = 15000 };

bpe *random_tokenizer(int codes, ace_error *err) {
  tiny_merges *m = calloc(1, sizeof *m);
  tiny_ids ids;
  char *text = NULL;
  bpe *t = NULL;
  if (!m) ace_fail(err, ACE_ENOMEM, "tokenizer: out of memory");
  else if (tiny_learn(m, tiny_corpus, TINY_VOCABULARY, err) == ACE_OK) {
    text = tiny_tokenizer_text(m, codes, &ids);
    if (text) t = bpe_open_json(text, strlen(text), "random models: tokenizer", err);
    else ace_fail(err, ACE_ENOMEM, "tokenizer: out of memory");
  }
  free(text);
  free(m);
  return t;
}

plan_lm *random_lm(const random_models *r, const char *name, ace_error *err) {
  if (published_kind(name) != ENGINE_LANGUAGE) {
    ace_fail(err, ACE_EINVAL, "lm: \"%.60s\" is none of %s, %s, %s", name, published_at(ENGINE_LANGUAGE, 0),
             published_at(ENGINE_LANGUAGE, 1), published_at(ENGINE_LANGUAGE, 2));
    return NULL;
  }
  ckpt *k = random_checkpoint(r, name, err);
  if (!k) return NULL;
  int codes = r->tiny ? TINY_CODES : CODES;
  bpe *tokenizer = random_tokenizer(codes, err);
  return plan_lm_from(tokenizer, qwen3_from(k, err), codes, err);
}

ace_status engine_random_lm(ace_engine *e, ace_error *err) {
  random_models r = {.threads = e->threads, .seed = e->seed, .tiny = e->tiny, .int8 = e->lm_int8};
  e->lm = random_lm(&r, e->lm_name ? e->lm_name : published_at(ENGINE_LANGUAGE, 0), err);
  if (e->lm) engine_pack(e, e->lm->model->checkpoint);
  return e->lm ? ACE_OK : err->status;
}

/* A table as long as the published one, [frames, channels]. */
static tens random_silence(const random_models *r, int64_t channels, ace_error *err) {
  tens t = {.dtype = TENS_F32, .rank = 2, .dim = {SILENCE_FRAMES, channels}};
  rng_torch generator;
  float *values = malloc((size_t)tens_count(&t) * sizeof *values);
  if (!values) ace_fail(err, ACE_ENOMEM, "random models: out of memory");
  rng_torch_seed(&generator, r->seed);
  if (values) rng_torch_randn(&generator, values, tens_count(&t));
  t.data = values;
  return t;
}

acestep_dit *random_dit(const random_models *r, const char *name, ace_error *err) {
  enum { LATENT_CHANNELS = 64 /* of every published model, and of the miniature */ };
  if (published_kind(name) != ENGINE_DIFFUSION) {
    ace_fail(err, ACE_EINVAL, "random: %.60s is not a diffusion model", name);
    return NULL;
  }
  ckpt *k = random_checkpoint(r, name, err);
  if (!k) return NULL;
  tens silence = random_silence(r, LATENT_CHANNELS, err);
  if (silence.data) return acestep_dit_from(k, silence, err);
  ckpt_close(k);
  return NULL;
}

static bool open_all(ace_engine *e, const ace_callbacks *notify, ace_error *err) {
  random_models r = {.threads = e->threads, .seed = e->seed, .tiny = e->tiny, .int8 = e->int8, .notify = notify};
  e->tokenizer = random_tokenizer(0, err);
  if (e->tokenizer) e->dit = random_dit(&r, e->model_name, err);
  if (e->dit) e->text = qwen3_from(random_checkpoint(&r, ENGINE_TEXT_ENCODER, err), err);
  e->vae_parts = VAE_DECODER | VAE_ENCODER;
  if (e->text) e->vae = vae_from(random_checkpoint(&r, ENGINE_VAE, err), e->vae_parts, err);
  if (!e->vae) return false;
  engine_pack(e, e->text->checkpoint);
  engine_pack(e, e->dit->checkpoint);
  engine_pack(e, e->vae->checkpoint);
  return true;
}

ace_engine *engine_open_random(const char *model, uint64_t seed, const ace_engine_options *options, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  ace_engine *e = engine_new("random", ENGINE_VAE, options, err);
  if (!e) return NULL;
  e->random = true;
  e->seed = seed;
  e->tiny = strcmp(model, RANDOM_TINY) == 0;
  e->model_name = strdup(e->tiny ? published_at(ENGINE_DIFFUSION, 0) : model);
  if (e->model_name) e->threads = pool_new(options->threads, err);
  else ace_fail(err, ACE_ENOMEM, "engine: out of memory");
  if (e->threads && open_all(e, &options->notify, err)) return e;
  ace_engine_close(e);
  return NULL;
}
