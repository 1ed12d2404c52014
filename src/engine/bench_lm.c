/* bench_lm.c - the language model: how fast it takes in a prompt and how fast it writes codes, through the engine that
 * plans songs. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/notify.h"
#include "engine/bench.h"
#include "engine/random.h"
#include "models/cost.h"

enum { SEED = 1, PREFILL_TOKENS = 1000, CODES = 64000 };

static const char caption[] = "A slow and gentle song for piano and strings, warm and quiet";
static const char verse[] = "The river runs below the town and carries every evening down\n";

typedef struct lm_bench {
  bench_machine *machine;
  const bench_options *o;
  plan_lm *lm;
  plan_prompt prompt, unguided;
  size_t prompt_tokens, unguided_tokens;
  /* Of the run that is going on: when it began, and when how many tokens were there first and last. */
  double begin, first, last;
  int first_tokens, last_tokens;
} lm_bench;

static void on_step(void *user, int tokens, int expected) {
  lm_bench *b = user;
  b->last = clock_seconds();
  b->last_tokens = tokens;
  if (b->first > 0) return;
  b->first = b->last;
  b->first_tokens = tokens;
}

static bool stopped(void *user) {
  const lm_bench *b = user;
  return notify_stopped(b->machine->notify);
}

/* Writes `codes` codes for each item. */
static ace_status write_codes(lm_bench *b, int items, bool guided, int codes, ace_error *err) {
  uint32_t seeds[PLAN_MOST_ITEMS];
  for (int i = 0; i < items; i++) seeds[i] = (uint32_t)i;
  plan_settings settings = {.phase = PLAN_CODES};
  plan_grammar_limits limits = {.max_duration = REQ_LONGEST, .target_duration = (double)codes / PLAN_CODES_A_SECOND};
  plan_job job = {.prompt = &b->prompt,
                  .unconditional = guided ? &b->unguided : NULL,
                  .guidance = guided ? 2 : 1,
                  .settings = &settings,
                  .limits = &limits,
                  .sampling = {.temperature = 0.85, .top_p = 0.9},
                  .items = items,
                  .seeds = seeds,
                  .most = codes + 1};
  plan_how how = {.threads = b->machine->threads,
                  .memory = b->o->memory ? (size_t)b->o->memory : SIZE_MAX,
                  .cache = TENS_BF16,
                  .cancelled = b->machine->notify ? stopped : NULL,
                  .step = on_step,
                  .user = b};
  plan_output out;
  b->first = 0;
  b->begin = clock_seconds();
  ace_status status = plan_lm_run(b->lm, &job, &how, &out, err);
  plan_output_free(&out);
  return status;
}

/* Seconds until the first code is chosen. */
static ace_status measure_prefill(void *arg, double *value, ace_error *err) {
  lm_bench *b = arg;
  ace_status status = write_codes(b, 1, false, 1, err);
  *value = b->first - b->begin;
  return status;
}

/* Seconds of a step, over all codes but the first. */
static ace_status measure_decode(void *arg, double *value, ace_error *err) {
  lm_bench *b = arg;
  ace_status status = write_codes(b, b->o->batch, b->o->guided, b->o->codes, err);
  int steps = b->last_tokens - b->first_tokens;
  *value = steps > 0 ? (b->last - b->first) / steps : 0;
  return status;
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

static ace_status tokens_of(const plan_lm *lm, const plan_prompt *p, size_t *n, ace_error *err) {
  bpe_ids ids = {0};
  ace_status status = plan_prompt_encode(p, lm->tokenizer, &ids, err);
  *n = ids.n;
  bpe_ids_free(&ids);
  return status;
}

static void free_prompts(lm_bench *b) {
  plan_prompt_free(&b->prompt);
  plan_prompt_free(&b->unguided);
}

/* Prompts of a song whose lyrics repeat the verse so often. */
static ace_status make_prompts(lm_bench *b, int verses, ace_error *err) {
  free_prompts(b);
  char *words = malloc((size_t)verses * strlen(verse) + 1);
  if (!words) return ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  *words = 0;
  for (int i = 0; i < verses; i++) memcpy(words + (size_t)i * strlen(verse), verse, sizeof verse);
  plan_input in = {.caption = caption, .lyrics = words, .keyscale = "", .timesignature = "", .negative_prompt = ""};
  plan_metadata m = {0};
  plan_set_number(&m, PLAN_BPM, 90);
  ace_status status = plan_ask_codes(&b->prompt, &in, &m, err);
  if (status == ACE_OK) status = plan_ask_codes_unguided(&b->unguided, &in, err);
  if (status == ACE_OK) status = tokens_of(b->lm, &b->prompt, &b->prompt_tokens, err);
  if (status == ACE_OK) status = tokens_of(b->lm, &b->unguided, &b->unguided_tokens, err);
  free(words);
  return status;
}

/* Lengthens the lyrics until the prompt has at least that many tokens. */
static ace_status lengthen_prompt(lm_bench *b, size_t least, ace_error *err) {
  ace_status status = make_prompts(b, 1, err);
  size_t one = b->prompt_tokens;
  if (status == ACE_OK) status = make_prompts(b, 2, err);
  size_t each = status == ACE_OK ? b->prompt_tokens - one : 1;
  if (status == ACE_OK && b->prompt_tokens < least && each > 0)
    status = make_prompts(b, 2 + (int)((least - b->prompt_tokens + each - 1) / each), err);
  return status;
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static double attention_work(const qwen3_config *cfg, double queries, double keys) {
  return 4.0 * cfg->block.heads * cfg->block.head_dim * queries * keys * cfg->layers;
}

static int codes_of(const plan_lm *lm) {
  int32_t first;
  int n = bpe_audio_codes(lm->tokenizer, &first);
  return n < CODES ? n : CODES;
}

/* Bytes that a step in the middle of the run must read: the blocks, the codes' rows of the table, keys and values. What
 * items share of the prompt counts once. */
static double step_bytes(const lm_bench *b) {
  const qwen3 *m = b->lm->model;
  double table = (double)tens_bytes(m->embed.dtype, tens_count(&m->embed));
  double row = table / m->cfg.vocab;
  double weights = (double)ckpt_memory_bytes(m->checkpoint) - table + row * codes_of(b->lm);
  double rows = b->o->batch * (b->o->guided ? 2.0 : 1.0);
  double position = 2.0 * m->cfg.layers * m->cfg.block.kv_heads * m->cfg.block.head_dim * sizeof(uint16_t);
  double kept = (double)b->prompt_tokens + (b->o->guided ? (double)b->unguided_tokens : 0) + rows * b->o->codes / 2;
  return weights + position * kept;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static plan_lm *open_lm(const bench_machine *m, const bench_options *o, ace_error *err) {
  if (o->random) {
    random_models r = {.threads = m->threads, .seed = SEED, .int8 = o->int8, .notify = m->notify};
    r.tiny = strcmp(o->random, RANDOM_TINY) == 0;
    return random_lm(&r, o->lm, err);
  }
  char *path = file_join(o->models, o->lm);
  ckpt *k = path ? ckpt_open(path, err) : NULL;
  if (k && o->int8) ckpt_use_int8(k, m->threads, m->notify);
  plan_lm *lm = k ? plan_lm_from(bpe_open(path, err), qwen3_from(k, err), CODES, err) : NULL;
  if (!path) ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  free(path);
  return lm;
}

static ace_status measure_all(lm_bench *b, json_t *stages, ace_error *err) {
  bench_samples prefill = {0}, decode = {0};
  bench_machine *m = b->machine;
  const qwen3_config *cfg = &b->lm->model->cfg;
  m->total = b->o->repeat * (2 * bench_ceiling_count() + 2);
  ace_status status = lengthen_prompt(b, PREFILL_TOKENS, err);
  double n = (double)b->prompt_tokens;
  double work = cost_qwen3(cfg, (int64_t)n) + attention_work(cfg, n, n / 2) + 2.0 * cfg->block.hidden * codes_of(b->lm);
  for (int r = 0; r < b->o->repeat && status == ACE_OK; r++) {
    status = bench_ceilings(m, err);
    if (status == ACE_OK) status = bench_measure(m, measure_prefill, b, &prefill, err);
  }
  if (status == ACE_OK) status = make_prompts(b, 2, err);
  for (int r = 0; r < b->o->repeat && status == ACE_OK; r++) {
    status = bench_ceilings(m, err);
    if (status == ACE_OK) status = bench_measure(m, measure_decode, b, &decode, err);
  }
  if (status != ACE_OK) return status;
  double seconds = bench_median(&prefill), step = bench_median(&decode);
  json_object_set_new(stages, "lm_prefill",
                      json_pack("{s:f, s:f, s:f, s:f}", "seconds", seconds, "flops", work, "fraction_of_peak",
                                work / seconds / bench_peak(m), "tokens", n));
  json_object_set_new(
      stages, "lm_decode",
      json_pack("{s:f, s:f, s:f, s:f}", "seconds", step, "tokens_per_second", b->o->batch / step,
                "fraction_of_bandwidth", step_bytes(b) / step / bench_median(&m->read), "step_bytes", step_bytes(b)));
  return ACE_OK;
}

ace_status bench_lm(bench_machine *m, const bench_options *o, json_t *stages, json_t *job, ace_error *err) {
  lm_bench b = {.machine = m, .o = o, .lm = open_lm(m, o, err)};
  if (!b.lm) return err->status;
  ace_status status = measure_all(&b, stages, err);
  json_object_set_new(job, "lm", json_string(o->lm));
  json_object_set_new(job, "batch", json_integer(o->batch));
  json_object_set_new(job, "guided", json_boolean(o->guided));
  json_object_set_new(job, "codes", json_integer(o->codes));
  json_object_set_new(job, "prompt_tokens", json_integer((json_int_t)b.prompt_tokens));
  free_prompts(&b);
  plan_lm_close(b.lm);
  return status;
}
