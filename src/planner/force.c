#include "planner/force.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  TOGETHER = 256, /* positions in one pass */
  BLOCK = 32      /* of them whose logits are there at a time: a row is the whole vocabulary */
};

typedef struct forcing {
  const plan_lm *lm;
  const plan_how *how;
  tens_ctx *c;
  qwen3_cache cache;
  tens *table, *length; /* one row that owns all pages in order */
  int fed, expected;    /* tokens, for how->step */
  void (*take)(void *user, int target, const plan_forced *token);
  void *user;
} forcing;

static plan_forced look_up(const float *logits, int64_t n, int32_t id) {
  float own = logits[id], most = logits[0];
  int rank = 1;
  for (int64_t i = 0; i < n; i++) {
    if (logits[i] > most) most = logits[i];
    rank += logits[i] > own || (logits[i] == own && i < id);
  }
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)expf(logits[i] - most);
  return (plan_forced){id, (double)own - (double)most - log(sum), rank};
}

/* Feeds n tokens at position `at`: hidden states [1, n, H], NULL after a failure. */
static tens *feed(forcing *f, int at, const int32_t *ids, int n) {
  if (!tens_planning(f->c)) tens_i32(f->length)[0] = at;
  tens *hidden = qwen3_extend(f->c, f->lm->model, &f->cache, tens_from(f->c, TENS_I32, TENS_DIMS(1, n), ids));
  f->fed += n;
  if (hidden && f->how->step) f->how->step(f->how->user, f->fed, f->expected);
  return hidden;
}

/* Each of the n rows of `hidden` predicts one of `next`. */
static bool judge(forcing *f, const tens *hidden, const int32_t *next, int n, int target) {
  if (!hidden) return false;
  int64_t width = hidden->dim[2], vocab = f->lm->model->head.dim[0];
  for (int at = 0, rows; at < n; at += rows) {
    rows = n - at < BLOCK ? n - at : BLOCK;
    tens_mark mark = tens_here(f->c);
    tens block = {.dtype = TENS_F32, .rank = 3, .dim = {1, rows, width}, .data = hidden->data};
    if (!tens_planning(f->c)) block.data = tens_f32(hidden) + at * width;
    tens *logits = qwen3_logits(f->c, f->lm->model, &block);
    if (!logits) return false;
    for (int i = 0; i < rows && !tens_planning(f->c); i++) {
      plan_forced token = look_up(tens_f32(logits) + i * vocab, vocab, next[at + i]);
      f->take(f->user, target, &token);
    }
    tens_release(f->c, mark);
  }
  return true;
}

/* All of the prompt but its last token, whose state begins each target. */
static bool feed_prompt(forcing *f, const bpe_ids *prompt) {
  int end = (int)prompt->n - 1;
  for (int at = 0, n; at < end; at += n) {
    n = end - at < TOGETHER ? end - at : TOGETHER;
    tens_mark mark = tens_here(f->c);
    if (!feed(f, at, prompt->id + at, n)) return false;
    tens_release(f->c, mark);
  }
  return true;
}

/* all: the prompt's last token, then the target's, `n` of them. */
static bool feed_target(forcing *f, int from, const int32_t *all, int n, int target) {
  for (int at = 0, rows; at < n; at += rows) {
    rows = n - at < TOGETHER ? n - at : TOGETHER;
    tens_mark mark = tens_here(f->c);
    if (!judge(f, feed(f, from + at, all + at, rows), all + at + 1, rows, target)) return false;
    tens_release(f->c, mark);
  }
  return true;
}

/* The cache for so many positions; its one row holds the pages in their order. */
static bool open_cache(forcing *f, size_t positions) {
  int pages = (int)((positions + QWEN3_PAGE - 1) / QWEN3_PAGE);
  if (!qwen3_cache_make(f->c, f->lm->model, f->how->cache, pages, &f->cache)) return false;
  f->cache.table = f->table = tens_new(f->c, TENS_I32, TENS_DIMS(1, pages));
  f->cache.length = f->length = tens_new(f->c, TENS_I32, TENS_DIMS(1));
  if (!f->table || !f->length) return false;
  for (int i = 0; i < pages && !tens_planning(f->c); i++) tens_i32(f->table)[i] = i;
  return true;
}

static size_t memory(const plan_lm *lm, const plan_how *how, size_t positions) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  if (!c) return SIZE_MAX;
  plan_how quiet = {.cache = how->cache};
  forcing f = {.lm = lm, .how = &quiet, .c = c};
  int32_t ids[TOGETHER + 1] = {0};
  bool ok = open_cache(&f, positions) && feed_target(&f, 0, ids, TOGETHER, 0);
  size_t bytes = ok && tens_status(c) == ACE_OK ? tens_peak(c) : SIZE_MAX;
  tens_close(c);
  return bytes;
}

static ace_status check_length(const plan_lm *lm, size_t positions, ace_error *err) {
  const size_t most = 1 << 16;
  size_t limit = lm->model->cfg.max_positions > 0 ? (size_t)lm->model->cfg.max_positions : most;
  if (limit > most) limit = most;
  if (positions <= limit) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "language model: a text of %zu tokens is longer than its %zu positions", positions,
                  limit);
}

/* ids[0]: the prompt, then the n targets. */
static ace_status run(forcing *f, const bpe_ids *ids, int n, size_t longest, ace_error *err) {
  size_t positions = ids[0].n + longest, bytes = memory(f->lm, f->how, positions);
  if (bytes > f->how->memory)
    return ace_fail(err, ACE_ENOMEM, "language model: scoring needs %zu MiB of working memory, %zu MiB are allowed",
                    (bytes >> 20) + 1, f->how->memory >> 20);
  int32_t *all = malloc((longest + 1) * sizeof *all);
  if (!all) return ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  f->c = tens_open(
      &(tens_options){
          .threads = f->how->threads, .capacity = bytes, .cancelled = f->how->cancelled, .user = f->how->user},
      err);
  ace_status status = f->c ? ACE_OK : ACE_ENOMEM;
  bool ok = f->c && open_cache(f, positions) && feed_prompt(f, &ids[0]);
  for (int i = 1; ok && i <= n; i++) {
    all[0] = ids[0].id[ids[0].n - 1];
    memcpy(all + 1, ids[i].id, ids[i].n * sizeof *all);
    ok = feed_target(f, (int)ids[0].n - 1, all, (int)ids[i].n, i - 1);
  }
  if (f->c && !ok) status = tens_error(f->c, err);
  tens_close(f->c);
  free(all);
  return status;
}

ace_status plan_force(const plan_lm *lm, const plan_prompt *prompt, const plan_prompt *targets, int n,
                      const plan_how *how, void (*take)(void *user, int target, const plan_forced *token), void *user,
                      ace_error *err) {
  forcing f = {.lm = lm, .how = how, .take = take, .user = user};
  bpe_ids *ids = calloc((size_t)n + 1, sizeof *ids);
  if (!ids) return ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  size_t longest = 0, total = 0;
  ace_status status = plan_prompt_encode(prompt, lm->tokenizer, &ids[0], err);
  for (int i = 0; i < n && status == ACE_OK; i++) {
    status = plan_prompt_encode(&targets[i], lm->tokenizer, &ids[i + 1], err);
    if (ids[i + 1].n > longest) longest = ids[i + 1].n;
    total += ids[i + 1].n;
  }
  if (status == ACE_OK && ids[0].n == 0) status = ace_fail(err, ACE_EINVAL, "language model: the prompt is empty");
  if (status == ACE_OK) status = check_length(lm, ids[0].n + longest, err);
  f.expected = (int)(ids[0].n + total);
  if (status == ACE_OK) status = run(&f, ids, n, longest, err);
  for (int i = 0; i <= n; i++) bpe_ids_free(&ids[i]);
  free(ids);
  return status;
}
