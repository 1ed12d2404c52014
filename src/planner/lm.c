#include "planner/lm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/remote.h"

enum {
  MOST_ROWS = 2 * PLAN_MOST_ITEMS,
  MOST_RUN = OP_CACHED_FEW, /* tokens without a choice in one pass: as if they came one by one */
  PREFILL = 512,            /* prompt positions in one pass */
  MOST_PAGES = 1024         /* of one row */
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

plan_lm *plan_lm_from(bpe *tokenizer, qwen3 *model, int codes, ace_error *err) {
  plan_lm *lm = tokenizer && model ? calloc(1, sizeof *lm) : NULL;
  if (!lm) {
    if (tokenizer && model) ace_fail(err, ACE_ENOMEM, "language model: out of memory");
    bpe_close(tokenizer);
    qwen3_close(model);
    return NULL;
  }
  lm->tokenizer = tokenizer;
  lm->model = model;
  ckpt_reader head = {.checkpoint = model->checkpoint, .err = err};
  if (!model->head.packed)
    model->head = ckpt_packable(&head, model->head, 0); /* a table, which is multiplied with here */
  if (head.failed) {
    plan_lm_close(lm);
    return NULL;
  }
  if (bpe_vocab_size(tokenizer) > model->cfg.vocab)
    ace_fail(err, ACE_EFORMAT, "%s: the tokenizer has %d tokens, the model only %d", ckpt_folder(model->checkpoint),
             bpe_vocab_size(tokenizer), model->cfg.vocab);
  else lm->grammar = plan_grammar_new(tokenizer, &(plan_grammar_config){.codes = codes, .rows = model->cfg.vocab}, err);
  if (lm->grammar) return lm;
  plan_lm_close(lm);
  return NULL;
}

plan_lm *plan_lm_open_words(const char *folder, int codes, ace_error *err) {
  plan_lm *lm = calloc(1, sizeof *lm);
  if (!lm) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
    return NULL;
  }
  lm->tokenizer = bpe_open(folder, err);
  if (lm->tokenizer) lm->grammar = plan_grammar_new(lm->tokenizer, &(plan_grammar_config){.codes = codes}, err);
  if (lm->grammar) return lm;
  plan_lm_close(lm);
  return NULL;
}

bool plan_lm_is_remote(const plan_lm *lm, double guidance) {
  return lm->remote && !(guidance > 1);
}

ace_status plan_lm_can(const plan_lm *lm, double guidance, ace_error *err) {
  if (lm->model || plan_lm_is_remote(lm, guidance)) return ACE_OK;
  return ace_fail(err, ACE_EUNSUPPORTED,
                  "lm_cfg_scale: %g needs guidance, which a vLLM server does not have, and there are no weights of a "
                  "language model here to do it with; set it to 1, or fetch them (acestep download)",
                  guidance);
}

void plan_lm_close(plan_lm *lm) {
  if (!lm) return;
  plan_grammar_free(lm->grammar);
  qwen3_close(lm->model);
  bpe_close(lm->tokenizer);
  free(lm);
}

void plan_output_free(plan_output *out) {
  for (int i = 0; i < PLAN_MOST_ITEMS; i++) bpe_ids_free(&out->item[i]);
  *out = (plan_output){0};
}

/* ---- rows: sequences in the cache -------------------------------------------------------------------------------- */

typedef struct lm_row {
  int32_t page[MOST_PAGES];
  int pages, length; /* positions stored */
} lm_row;

typedef struct lm_item {
  plan_grammar_state state;
  int32_t next[MOST_RUN]; /* tokens to feed: the chosen one and what follows without a choice */
  int n_next, steps;
  bool done;
} lm_item;

typedef struct lm_run {
  const plan_lm *lm;
  const plan_job *job;
  const plan_how *how;
  tens_ctx *c;
  qwen3_cache cache;
  bool guided;
  int items, free_page, pages;
  lm_item *item;   /* [items] */
  lm_row *row;     /* [items], then as many unconditional ones */
  float *logits;   /* [2 * items][vocab] */
  float *scratch;  /* [vocab] */
  tens_mark start; /* behind the cache */
  plan_output *out;
} lm_run;

static int pages_for(size_t positions) {
  return (int)((positions + QWEN3_PAGE - 1) / QWEN3_PAGE);
}

/* Feeds n tokens to each of `rows` rows: hidden states [rows, n, H]. */
static tens *feed(lm_run *r, int rows, lm_row *const *row, const int32_t *ids, int n) {
  int32_t table[MOST_ROWS * MOST_PAGES], length[MOST_ROWS];
  int most = 1;
  for (int i = 0; i < rows; i++) {
    while (row[i]->pages < pages_for((size_t)(row[i]->length + n)) && row[i]->pages < MOST_PAGES)
      row[i]->page[row[i]->pages++] = r->free_page++;
    if (row[i]->pages > most) most = row[i]->pages;
    length[i] = row[i]->length;
  }
  memset(table, 0, sizeof table[0] * (size_t)(rows * most));
  for (int i = 0; i < rows; i++) memcpy(table + i * most, row[i]->page, sizeof table[0] * (size_t)row[i]->pages);
  r->cache.table = tens_from(r->c, TENS_I32, TENS_DIMS(rows, most), table);
  r->cache.length = tens_from(r->c, TENS_I32, TENS_DIMS(rows), length);
  tens *hidden = qwen3_extend(r->c, r->lm->model, &r->cache, tens_from(r->c, TENS_I32, TENS_DIMS(rows, n), ids));
  for (int i = 0; i < rows; i++) row[i]->length += n;
  r->out->passes++;
  return hidden;
}

/* The last position of each row: [rows, 1, H]. */
static tens *last_position(lm_run *r, const tens *hidden) {
  if (!hidden) return NULL;
  int32_t last[MOST_ROWS];
  for (int64_t i = 0; i < hidden->dim[0]; i++) last[i] = (int32_t)hidden->dim[1] - 1;
  return op_gather(r->c, hidden, tens_from(r->c, TENS_I32, TENS_DIMS(hidden->dim[0], 1), last));
}

/* Rows that go on where the first one stands: whole pages are shared, one that is not full is copied. */
static bool fork_row(lm_run *r, lm_row *rows, int n_rows) {
  for (int i = 1; i < n_rows; i++) {
    rows[i] = rows[0];
    if (rows[0].length % QWEN3_PAGE == 0) continue;
    int last = rows[0].pages - 1;
    rows[i].page[last] = r->free_page++;
    if (!qwen3_cache_copy(r->c, r->lm->model, &r->cache, rows[0].page[last], rows[i].page[last])) return false;
  }
  return true;
}

/* Stores a prompt for `rows` rows; it is computed once. Where it is cut depends on its length alone, so that an item
 * does not depend on how many there are. -> last hidden states [rows, 1, H], all the same. */
static tens *prefill(lm_run *r, lm_row *rows, int n_rows, const bpe_ids *prompt) {
  int total = (int)prompt->n, pieces = (total + PREFILL - 1) / PREFILL;
  tens_mark start = tens_here(r->c);
  tens *last = NULL;
  for (int i = 0; i < pieces; i++) {
    int at = total * i / pieces, n = total * (i + 1) / pieces - at;
    tens_release(r->c, start);
    last = last_position(r, feed(r, 1, (lm_row *[]){rows}, prompt->id + at, n));
    if (!last) return NULL;
  }
  if (!fork_row(r, rows, n_rows)) return NULL;
  int32_t all[PLAN_MOST_ITEMS] = {0};
  last = tens_view(r->c, last, TENS_DIMS(1, 1, last->dim[2]));
  tens *spread = op_gather(r->c, last, tens_from(r->c, TENS_I32, TENS_DIMS(1, n_rows), all));
  return tens_keep(r->c, start, spread ? tens_view(r->c, spread, TENS_DIMS(n_rows, 1, spread->dim[2])) : NULL);
}

/* ---- logits: only those that the grammar can choose among -------------------------------------------------------- */

/* Writes the logits of hidden [R, 1, H] to each row's place, [at, at + n). */
static bool put_logits(lm_run *r, const tens *logits, const int *to, int64_t at) {
  if (!logits) return false;
  int64_t n = logits->dim[2], vocab = r->lm->model->cfg.vocab;
  for (int64_t i = 0; i < logits->dim[0]; i++)
    memcpy(r->logits + to[i] * vocab + at, tens_f32(logits) + i * n, (size_t)n * sizeof(float));
  return true;
}

/* For the rows in `to`, all of which may choose what `a` says. The logits of a list stand in its order from 0; those of
 * codes stand at their ids; the end token's at its own id. */
static bool compute_logits(lm_run *r, const tens *hidden, const int *to, const plan_allowed *a) {
  const qwen3 *m = r->lm->model;
  tens_mark mark = tens_here(r->c);
  bool ok;
  if (a->kind == PLAN_ALLOW_FEW || a->kind == PLAN_ALLOW_BEST) {
    ok = put_logits(r, qwen3_logits_of(r->c, m, hidden, tens_from(r->c, TENS_I32, TENS_DIMS(a->n), a->id)), to, 0);
  } else if (a->kind == PLAN_ALLOW_CODES) {
    ok = put_logits(r, qwen3_logits_range(r->c, m, hidden, a->first, a->last - a->first + 1), to, a->first);
    if (ok && a->end >= 0) ok = put_logits(r, qwen3_logits_range(r->c, m, hidden, a->end, 1), to, a->end);
  } else {
    ok = put_logits(r, qwen3_logits(r->c, m, hidden), to, 0);
  }
  tens_release(r->c, mark);
  return ok;
}

/* logits = u + scale (c - u) over [from, from + n) of an item's two rows. */
static void guide(lm_run *r, int item, int64_t from, int64_t n) {
  int64_t vocab = r->lm->model->cfg.vocab;
  float *c = r->logits + item * vocab + from, scale = (float)r->job->guidance;
  const float *u = r->logits + (r->items + item) * vocab + from;
  for (int64_t i = 0; i < n; i++) c[i] = u[i] + scale * (c[i] - u[i]);
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static int32_t draw(lm_run *r, int item, float *logits, int n) {
  plan_draw_key key = {r->job->seeds[item], (uint32_t)r->job->settings->phase, (uint32_t)r->item[item].steps};
  return plan_draw(&r->job->sampling, key, logits, n, r->scratch);
}

/* Codes and perhaps the end token: moved together, the end token last. */
static int32_t draw_code(lm_run *r, int item, const plan_allowed *a) {
  float *x = r->logits + (int64_t)item * r->lm->model->cfg.vocab;
  int n = a->last - a->first + 1;
  if (r->guided) {
    guide(r, item, a->first, n);
    if (a->end >= 0) guide(r, item, a->end, 1);
  }
  float end = a->end >= 0 ? x[a->end] : 0;
  memmove(x, x + a->first, (size_t)n * sizeof *x);
  if (a->end >= 0) x[n] = end;
  int chosen = draw(r, item, x, n + (a->end >= 0));
  return chosen == n ? a->end : a->first + chosen;
}

static int32_t choose(lm_run *r, int item, plan_allowed *a) {
  int vocab = r->lm->model->cfg.vocab;
  float *x = r->logits + (int64_t)item * vocab;
  if (a->kind == PLAN_ALLOW_CODES) return draw_code(r, item, a);
  bool listed = a->kind == PLAN_ALLOW_FEW || a->kind == PLAN_ALLOW_BEST;
  if (r->guided) guide(r, item, 0, listed ? a->n : vocab);
  if (a->kind == PLAN_ALLOW_BEST) {
    int best = 0;
    for (int i = 1; i < a->n; i++)
      if (x[i] > x[best] || isnan(x[best])) best = i;
    return a->id[best];
  }
  if (listed) return a->id[draw(r, item, x, a->n)];
  plan_grammar_mask(r->lm->grammar, &r->item[item].state, x);
  return draw(r, item, x, vocab);
}

/* Takes a token and what follows it without a choice; notes what must be fed to the model next. */
static ace_status take(lm_run *r, int item, int32_t token, ace_error *err) {
  lm_item *it = &r->item[item];
  const plan_grammar *g = r->lm->grammar;
  it->n_next = 0;
  for (int32_t forced[MOST_RUN]; !it->done;) {
    ace_status status = plan_grammar_accept(g, &it->state, token, err);
    if (status != ACE_OK) return status;
    it->steps++;
    it->done = token == plan_grammar_end(g) || plan_grammar_done(&it->state) || it->steps >= r->job->most;
    if (token != plan_grammar_end(g)) status = bpe_ids_add(&r->out->item[item], token, err);
    if (status != ACE_OK) return status;
    it->next[it->n_next++] = token;
    /* Runs of several rows would have different lengths: only a lone row takes them at once. */
    bool lone = r->items == 1 && !r->guided && it->n_next < MOST_RUN;
    if (it->done || !lone || plan_grammar_forced(g, &it->state, forced, 1) == 0) break;
    token = forced[0];
  }
  return ACE_OK;
}

/* Decides for one item whose hidden state is in; `hidden` holds its rows. */
static ace_status decide(lm_run *r, int item, const tens *const hidden[2], const int *place, ace_error *err) {
  lm_item *it = &r->item[item];
  plan_allowed a;
  plan_grammar_allowed(r->lm->grammar, &it->state, NULL, &a);
  if (a.kind == PLAN_ALLOW_NONE) {
    it->done = true;
    return ACE_OK;
  }
  if (a.kind == PLAN_ALLOW_ONE) return take(r, item, a.id[0], err);
  for (int side = 0; side <= r->guided; side++) {
    int to = side * r->items + item;
    int64_t width = hidden[side]->dim[2];
    tens row = {
        .dtype = TENS_F32, .rank = 3, .dim = {1, 1, width}, .data = tens_f32(hidden[side]) + place[item] * width};
    if (!compute_logits(r, &row, &to, &a)) return tens_error(r->c, err);
  }
  return take(r, item, choose(r, item, &a), err);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static int active_items(const lm_run *r, int *list) {
  int n = 0;
  for (int i = 0; i < r->items; i++)
    if (!r->item[i].done) list[n++] = i;
  return n;
}

/* Items that choose codes, or anything, are served by one product: they read the same rows of the table. */
static bool all_choose_alike(lm_run *r, const int *list, int n, plan_allowed *a) {
  for (int i = 0; i < n; i++) {
    plan_allowed own;
    plan_grammar_allowed(r->lm->grammar, &r->item[list[i]].state, NULL, &own);
    if (own.kind != PLAN_ALLOW_CODES && own.kind != PLAN_ALLOW_WIDE) return false;
    if (i > 0 && (own.kind != a->kind || (own.kind == PLAN_ALLOW_CODES && own.end != a->end))) return false;
    *a = own;
  }
  return n > 0;
}

/* hidden[0], hidden[1]: last states of the active items' conditional and unconditional rows. */
static ace_status decide_all(lm_run *r, const int *list, int n, const tens *const hidden[2], ace_error *err) {
  plan_allowed a;
  ace_status status = ACE_OK;
  if (all_choose_alike(r, list, n, &a)) {
    for (int side = 0; side <= r->guided; side++) {
      int to[PLAN_MOST_ITEMS];
      for (int i = 0; i < n; i++) to[i] = side * r->items + list[i];
      if (!compute_logits(r, hidden[side], to, &a)) return tens_error(r->c, err);
    }
    for (int i = 0; i < n && status == ACE_OK; i++) status = take(r, list[i], choose(r, list[i], &a), err);
    return status;
  }
  int place[PLAN_MOST_ITEMS] = {0};
  for (int i = 0; i < n; i++) place[list[i]] = i;
  for (int i = 0; i < n && status == ACE_OK; i++) status = decide(r, list[i], hidden, place, err);
  return status;
}

static void report(const lm_run *r) {
  int longest = 0;
  for (int i = 0; i < r->items; i++)
    if (r->item[i].steps > longest) longest = r->item[i].steps;
  int expected = r->item[0].state.target > 0 ? r->item[0].state.target : 0;
  if (r->how->step) r->how->step(r->how->user, longest, expected);
}

/* Feeds what was taken to the rows of the active items and gives their last states: all rows in one pass. */
static ace_status advance(lm_run *r, const int *list, int n, const tens *out[2], ace_error *err) {
  lm_row *row[MOST_ROWS];
  int32_t ids[MOST_ROWS * MOST_RUN];
  int each = r->item[list[0]].n_next, sides = 1 + r->guided;
  for (int side = 0; side < sides; side++)
    for (int i = 0; i < n; i++) {
      row[side * n + i] = &r->row[side * r->items + list[i]];
      memcpy(ids + (side * n + i) * each, r->item[list[i]].next, sizeof *ids * (size_t)each);
    }
  tens *last = last_position(r, feed(r, sides * n, row, ids, each));
  if (!last) return tens_error(r->c, err);
  for (int side = 0; side < sides; side++) out[side] = tens_rows(r->c, last, side * n, n);
  return ACE_OK;
}

static ace_status run_loop(lm_run *r, const bpe_ids prompt[2], ace_error *err) {
  int list[PLAN_MOST_ITEMS], n = active_items(r, list);
  const tens *hidden[2] = {prefill(r, r->row, r->items, &prompt[0])};
  if (r->guided) hidden[1] = prefill(r, r->row + r->items, r->items, &prompt[1]);
  if (!hidden[0] || (r->guided && !hidden[1])) return tens_error(r->c, err);
  for (;;) {
    ace_status status = decide_all(r, list, n, hidden, err);
    if (status != ACE_OK) return status;
    report(r);
    n = active_items(r, list);
    if (n == 0) return ACE_OK;
    tens_release(r->c, r->start);
    status = advance(r, list, n, hidden, err);
    if (status != ACE_OK) return status;
  }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int job_pages(int items, bool guided, size_t prompt, size_t unconditional, int most) {
  int pages = items * (pages_for(prompt + (size_t)most) + 1);
  return pages + (guided ? items * (pages_for(unconditional + (size_t)most) + 1) : 0);
}

size_t plan_lm_memory(const plan_lm *lm, tens_dtype cache, int items, bool guided, size_t prompt, size_t unconditional,
                      int most) {
  tens_ctx *c = tens_open(&(tens_options){.plan = true}, NULL);
  if (!c) return SIZE_MAX;
  int rows = items * (1 + guided);
  qwen3_cache pages;
  size_t bytes = SIZE_MAX;
  if (qwen3_cache_make(c, lm->model, cache, job_pages(items, guided, prompt, unconditional, most), &pages)) {
    const struct { int rows, n; } passes[] = {{1, PREFILL}, {rows, 1}, {1, MOST_RUN}};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
      tens_mark mark = tens_here(c);
      pages.table = tens_new(c, TENS_I32, TENS_DIMS(passes[i].rows, MOST_PAGES));
      pages.length = tens_new(c, TENS_I32, TENS_DIMS(passes[i].rows));
      tens *ids = tens_new(c, TENS_I32, TENS_DIMS(passes[i].rows, passes[i].n));
      tens *hidden = qwen3_extend(c, lm->model, &pages, ids);
      tens *last = op_gather(c, hidden, tens_new(c, TENS_I32, TENS_DIMS(passes[i].rows, 1)));
      qwen3_logits(c, lm->model, last);
      tens_release(c, mark);
    }
    size_t logits = ((size_t)rows + 1) * (size_t)lm->model->cfg.vocab * sizeof(float);
    if (tens_status(c) == ACE_OK) bytes = tens_peak(c) + logits + (1 << 20); /* and last states, small tensors */
  }
  tens_close(c);
  return bytes;
}

/* ---- one job ----------------------------------------------------------------------------------------------------- */

/* Positions of a row: of the model here or of the server's, where that tells. */
static size_t positions(const plan_lm *lm, bool remote) {
  if (remote) return plan_remote_positions(lm->remote) > 0 ? (size_t)plan_remote_positions(lm->remote) : SIZE_MAX;
  size_t limit = (size_t)MOST_PAGES * QWEN3_PAGE;
  bool fewer = lm->model->cfg.max_positions > 0 && (size_t)lm->model->cfg.max_positions < limit;
  return fewer ? (size_t)lm->model->cfg.max_positions : limit;
}

/* *most: tokens of an item that there is room for. Free text may end where the positions do; a song may not. */
static ace_status check_job(const plan_lm *lm, const plan_job *job, const bpe_ids prompt[2], bool remote, int *most,
                            ace_error *err) {
  if (job->items < 1 || job->items > PLAN_MOST_ITEMS)
    return ace_fail(err, ACE_EINVAL, "language model: %d items are outside 1..%d", job->items, (int)PLAN_MOST_ITEMS);
  const char *whose = remote ? plan_remote_host(lm->remote) : "language model";
  const char *larger = remote ? ", or start the server with a larger --max-model-len" : "";
  size_t longest = prompt[0].n > prompt[1].n ? prompt[0].n : prompt[1].n, limit = positions(lm, remote);
  if (longest + 1 > limit)
    return ace_fail(err, ACE_EINVAL,
                    "%s: a prompt of %zu tokens leaves no room in its %zu positions; shorten the lyrics, the caption "
                    "or the codes%s",
                    whose, longest, limit, larger);
  int64_t codes = job->settings->phase == PLAN_CODES && job->limits ? plan_code_count(job->limits->target_duration) : 0;
  if (codes > 0 && longest + (size_t)(codes < job->most ? codes : job->most) > limit)
    return ace_fail(err, ACE_EINVAL,
                    "%s: %lld codes behind a prompt of %zu tokens are more than its %zu positions; shorten the lyrics "
                    "or the song%s",
                    whose, (long long)codes, longest, limit, larger);
  *most = longest + (size_t)job->most > limit ? (int)(limit - longest) : job->most;
  return ACE_OK;
}

static ace_status run_items(lm_run *r, const bpe_ids prompt[2], ace_error *err) {
  for (int i = 0; i < r->items; i++) {
    ace_status status = plan_grammar_begin(r->lm->grammar, r->job->settings, r->job->limits, &r->item[i].state, err);
    if (status != ACE_OK) return status;
  }
  int pages = job_pages(r->items, r->guided, prompt[0].n, prompt[1].n, r->job->most);
  if (!qwen3_cache_make(r->c, r->lm->model, r->how->cache, pages, &r->cache)) return tens_error(r->c, err);
  r->start = tens_here(r->c);
  return run_loop(r, prompt, err);
}

static ace_status run_job(const plan_lm *lm, const plan_job *job, const plan_how *how, const bpe_ids prompt[2],
                          plan_output *out, ace_error *err) {
  lm_run r = {.lm = lm, .job = job, .how = how, .items = job->items, .guided = prompt[1].n > 0, .out = out};
  int rows = r.items * (1 + r.guided), vocab = lm->model->cfg.vocab;
  size_t bytes = plan_lm_memory(lm, how->cache, r.items, r.guided, prompt[0].n, prompt[1].n, job->most);
  if (bytes > how->memory)
    return ace_fail(err, ACE_ENOMEM, "language model: %d items need %zu MiB of working memory, %zu MiB are allowed",
                    r.items, (bytes >> 20) + 1, how->memory >> 20);
  r.c = tens_open(
      &(tens_options){.threads = how->threads, .capacity = bytes, .cancelled = how->cancelled, .user = how->user}, err);
  if (!r.c) return ACE_ENOMEM;
  r.item = calloc((size_t)r.items, sizeof *r.item);
  r.row = calloc((size_t)rows, sizeof *r.row);
  r.logits = malloc((size_t)rows * (size_t)vocab * sizeof *r.logits);
  r.scratch = malloc((size_t)vocab * sizeof *r.scratch);
  ace_status status = r.item && r.row && r.logits && r.scratch
                          ? run_items(&r, prompt, err)
                          : ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  free(r.item), free(r.row), free(r.logits), free(r.scratch);
  tens_close(r.c);
  return status;
}

ace_status plan_lm_run(const plan_lm *lm, const plan_job *job, const plan_how *how, plan_output *out, ace_error *err) {
  *out = (plan_output){.items = job->items};
  bool guided = job->unconditional && job->guidance > 1;
  bpe_ids prompt[2] = {{0}};
  plan_job own = *job;
  ace_status status = plan_prompt_encode(job->prompt, lm->tokenizer, &prompt[0], err);
  if (status == ACE_OK && guided) status = plan_prompt_encode(job->unconditional, lm->tokenizer, &prompt[1], err);
  if (status == ACE_OK) status = plan_lm_can(lm, guided ? job->guidance : 1, err);
  bool remote = plan_lm_is_remote(lm, guided ? job->guidance : 1);
  if (status == ACE_OK) status = check_job(lm, job, prompt, remote, &own.most, err);
  if (status == ACE_OK)
    status = remote ? plan_remote_run(lm->remote, lm->grammar, &own, &prompt[0], how, out, err)
                    : run_job(lm, &own, how, prompt, out, err);
  bpe_ids_free(&prompt[0]);
  bpe_ids_free(&prompt[1]);
  if (status != ACE_OK) plan_output_free(out);
  return status;
}
