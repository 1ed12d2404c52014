#include "planner/remote.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/http.h"
#include "planner/remote_wire.h"

enum {
  ANSWER_SECONDS = 120,
  ANSWER_MOST = 4 << 20, /* bytes */
  TEXT_STRETCH = 64,     /* tokens of free text in one answer */
  CODE_STRETCH = 256,    /* audio codes in one answer */
  TRIES = 3,
  IDLE_MOST = 4 /* answers without a token that can be used, one after the other */
};

struct plan_remote {
  char *url, *key; /* url: up to /v1 */
  char host[NET_HOST_SIZE], model[WIRE_NAME_SIZE];
  int seconds, positions; /* positions 0: not told */
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static char *base_url(const char *url) {
  size_t n = strlen(url);
  while (n > 0 && url[n - 1] == '/') n--;
  bool version = n > 3 && strncmp(url + n - 3, "/v1", 3) == 0;
  char *base = malloc(n + 4);
  if (base) sprintf(base, "%.*s%s", (int)n, url, version ? "" : "/v1");
  return base;
}

static char *join(const char *base, const char *tail) {
  char *url = malloc(strlen(base) + strlen(tail) + 1);
  if (url) sprintf(url, "%s%s", base, tail);
  return url;
}

static ace_status find_model(plan_remote *r, const char *wanted, bool (*cancelled)(void *user), void *user,
                             ace_error *err) {
  enum { PATIENCE = 20 };
  net_text text;
  char *url = join(r->url, "/models");
  if (!url) return ace_fail(err, ACE_ENOMEM, "language model server: out of memory");
  net_request q = {.url = url, .bearer = r->key, .seconds = PATIENCE};
  ace_status status = net_exchange(&q, ANSWER_MOST, &text, cancelled, user, err);
  if (status == ACE_OK) {
    status = wire_read_models(text.data, text.length, wanted, r->host, r->model, &r->positions, err);
    free(text.data);
  }
  free(url);
  return status;
}

plan_remote *plan_remote_open(const plan_remote_options *o, bool (*cancelled)(void *user), void *user, ace_error *err) {
  if (net_check_url(o->url, "language model server", err) != ACE_OK) return NULL;
  plan_remote *r = calloc(1, sizeof *r);
  bool ok = r && (r->url = base_url(o->url)) && (!o->key || (r->key = strdup(o->key)));
  if (!ok) ace_fail(err, ACE_ENOMEM, "language model server: out of memory");
  if (ok) {
    net_host(o->url, r->host);
    r->seconds = o->seconds > 0 ? o->seconds : ANSWER_SECONDS;
    ok = find_model(r, o->model, cancelled, user, err) == ACE_OK;
  }
  if (ok) return r;
  plan_remote_close(r);
  return NULL;
}

void plan_remote_close(plan_remote *r) {
  if (!r) return;
  free(r->url), secret_free(r->key);
  free(r);
}

int plan_remote_positions(const plan_remote *r) {
  return r->positions;
}

const char *plan_remote_host(const plan_remote *r) {
  return r->host;
}

/* ---- one item ---------------------------------------------------------------------------------------------------- */

typedef struct run run;

typedef enum item_turn { ITEM_ASKS, ITEM_WAITS, ITEM_ANSWERED, ITEM_DONE } item_turn;

typedef struct item {
  run *all;
  plan_grammar_state state;
  int index, steps, idle;
  bool strict;   /* the last answer began with a token that is not allowed: name those that are */
  bool strictly; /* the present question does */
  item_turn turn;
  int asked; /* tokens of the present question */
  net_retry retry;
  char *body;    /* owned */
  net_text text; /* owned */
  net_request request;
} item;

struct run {
  const plan_remote *remote;
  const plan_grammar *g;
  const plan_job *job;
  const bpe_ids *prompt;
  const plan_how *how;
  plan_output *out;
  char *url;
  float *logits; /* [rows]: one token stands out */
  item item[PLAN_MOST_ITEMS];
};

static ace_status take(item *it, int32_t token, ace_error *err) {
  run *r = it->all;
  ace_status status = plan_grammar_accept(r->g, &it->state, token, err);
  if (status != ACE_OK) return status;
  it->steps++;
  if (token == plan_grammar_end(r->g) || plan_grammar_done(&it->state) || it->steps >= r->job->most)
    it->turn = ITEM_DONE;
  return token == plan_grammar_end(r->g) ? ACE_OK : bpe_ids_add(&r->out->item[it->index], token, err);
}

/* Writes what is forced; afterwards the item is done or there is something to ask. */
static ace_status write_forced(item *it, plan_allowed *a, ace_error *err) {
  ace_status status = ACE_OK;
  while (it->turn != ITEM_DONE && status == ACE_OK) {
    plan_allow kind = plan_grammar_allowed(it->all->g, &it->state, NULL, a);
    if (kind == PLAN_ALLOW_NONE) it->turn = ITEM_DONE;
    else if (kind == PLAN_ALLOW_ONE) status = take(it, a->id[0], err);
    else break;
  }
  return status;
}

/* A seed for each place: the same one for every stretch would repeat its draws. */
static uint32_t seed_of(const item *it) {
  const plan_job *job = it->all->job;
  plan_draw_key key = {job->seeds[it->index], (uint32_t)job->settings->phase, (uint32_t)it->steps};
  return (uint32_t)(plan_uniform(key) * 0x1p31);
}

static ace_status ask(item *it, ace_error *err) {
  run *r = it->all;
  plan_allowed a;
  ace_status status = write_forced(it, &a, err);
  if (status != ACE_OK || it->turn == ITEM_DONE) return status;
  bool text = a.kind == PLAN_ALLOW_WIDE || a.kind == PLAN_ALLOW_LOOK, codes = a.kind == PLAN_ALLOW_CODES;
  int most = text ? TEXT_STRETCH : codes ? CODE_STRETCH : 1;
  if (most > r->job->most - it->steps) most = r->job->most - it->steps;
  bool all = codes && a.end < 0;
  if (all && most > it->state.target - it->state.codes) most = it->state.target - it->state.codes;
  it->strictly = (!text || it->strict) && a.kind != PLAN_ALLOW_LOOK;
  const bpe_ids *written = &r->out->item[it->index];
  wire_question q = {.model = r->remote->model,
                     .prompt = r->prompt->id,
                     .n_prompt = r->prompt->n,
                     .more = written->id,
                     .n_more = written->n,
                     .most = most,
                     .all = all,
                     .sampling = r->job->sampling,
                     .seed = seed_of(it),
                     .end = plan_grammar_end(r->g),
                     .allowed = it->strictly ? &a : NULL,
                     .best = text};
  if (a.kind == PLAN_ALLOW_BEST) q.sampling.temperature = 0;
  free(it->body);
  it->body = wire_ask(&q, &it->request.body_length);
  it->asked = most;
  it->retry = (net_retry){0};
  it->turn = ITEM_ASKS;
  return it->body ? ACE_OK : ace_fail(err, ACE_ENOMEM, "language model server: out of memory");
}

/* The grammar decides by the likeliest token alone: all others are given as impossible. */
static void look(item *it, int32_t best) {
  run *r = it->all;
  plan_allowed a;
  if (best < 0 || best >= plan_grammar_rows(r->g)) return;
  r->logits[best] = 0;
  plan_grammar_allowed(r->g, &it->state, r->logits, &a);
  r->logits[best] = -INFINITY;
}

/* Takes the tokens of an answer as far as the grammar allows them. */
static ace_status use(item *it, const wire_answer *answer, ace_error *err) {
  run *r = it->all;
  int before = it->steps;
  bool refused = false, decided = false;
  for (size_t i = 0; i < answer->n && it->turn != ITEM_DONE && !refused; i++) {
    plan_allowed a;
    if (plan_grammar_allowed(r->g, &it->state, NULL, &a) == PLAN_ALLOW_LOOK) {
      look(it, answer->best[i]);
      if (plan_grammar_allowed(r->g, &it->state, NULL, &a) == PLAN_ALLOW_LOOK)
        return ace_fail(err, ACE_EFORMAT, "%s: its answer does not tell the likeliest tokens (logprobs)",
                        r->remote->host);
      decided = true;
    }
    refused = !plan_allowed_has(&a, answer->id[i]);
    ace_status status = refused ? ACE_OK : take(it, answer->id[i], err);
    if (status != ACE_OK) return status;
  }
  if (refused && it->steps == before && it->strictly)
    return ace_fail(err, ACE_EFORMAT,
                    "%s: it does not keep to allowed_token_ids; a vLLM server of version 0.15 or later is needed",
                    r->remote->host);
  it->strict = refused && it->steps == before;
  it->idle = it->steps > before || decided ? 0 : it->idle + 1;
  if (it->idle >= IDLE_MOST)
    return ace_fail(err, ACE_EFORMAT, "%s: its answers do not fit the question; is it an ACE-Step language model?",
                    r->remote->host);
  return ACE_OK;
}

static ace_status read_answer(item *it, ace_error *err) {
  wire_answer answer;
  ace_status status = wire_read_answer(it->text.data, it->text.length, it->asked, it->all->remote->host, &answer, err);
  if (status != ACE_OK) return status;
  it->turn = ITEM_ASKS;
  status = use(it, &answer, err);
  wire_answer_free(&answer);
  return status;
}

/* ---- the questions of all items at once -------------------------------------------------------------------------- */

static ace_status keep(void *user, const void *bytes, size_t n, ace_error *err) {
  item *it = user;
  return net_text_add(&it->text, bytes, n, err);
}

static net_turn next_question(void *user, net_request **out) {
  run *r = user;
  bool waiting = false;
  for (int i = 0; i < r->job->items; i++) {
    item *it = &r->item[i];
    if (it->turn != ITEM_ASKS) continue;
    waiting = true;
    if (clock_seconds() < it->retry.not_before) continue;
    it->turn = ITEM_WAITS;
    it->text.length = 0;
    it->request = (net_request){.url = r->url,
                                .bearer = r->remote->key,
                                .body = it->body,
                                .body_length = it->request.body_length,
                                .most = ANSWER_MOST,
                                .seconds = r->remote->seconds,
                                .patience = r->remote->seconds,
                                .data = keep,
                                .user = it};
    *out = &it->request;
    return NET_START;
  }
  return waiting ? NET_WAIT : NET_END;
}

static ace_status question_done(void *user, net_request *q, ace_error *err) {
  item *it = q->user;
  run *r = it->all;
  char said[WIRE_NAME_SIZE];
  it->turn = ITEM_ANSWERED;
  if (q->error.status == ACE_OK) {
    r->out->passes++;
    return ACE_OK;
  }
  if (q->again && net_retry_again(&it->retry, TRIES)) {
    it->turn = ITEM_ASKS;
    return ACE_OK;
  }
  wire_read_failure(q->excerpt, said);
  if (!*said) return ace_fail(err, q->error.status, "%s", q->error.message);
  return ace_fail(err, q->error.status, "%s; it says: %s", q->error.message, said);
}

static bool is_cancelled(void *user) {
  const run *r = user;
  return r->how->cancelled && r->how->cancelled(r->how->user);
}

static void report(const run *r) {
  int longest = 0, target = r->item[0].state.target;
  for (int i = 0; i < r->job->items; i++)
    if (r->item[i].steps > longest) longest = r->item[i].steps;
  if (r->how->step) r->how->step(r->how->user, longest, target > 0 ? target : 0);
}

static bool any_left(const run *r) {
  for (int i = 0; i < r->job->items; i++)
    if (r->item[i].turn != ITEM_DONE) return true;
  return false;
}

static ace_status converse(run *r, ace_error *err) {
  const net_queue q = {
      .at_once = r->job->items, .next = next_question, .done = question_done, .cancelled = is_cancelled, .user = r};
  for (;;) {
    ace_status status = ACE_OK;
    for (int i = 0; i < r->job->items && status == ACE_OK; i++)
      if (r->item[i].turn == ITEM_ASKS) status = ask(&r->item[i], err);
    if (status == ACE_OK) status = net_run(&q, err);
    for (int i = 0; i < r->job->items && status == ACE_OK; i++)
      if (r->item[i].turn == ITEM_ANSWERED) status = read_answer(&r->item[i], err);
    if (status != ACE_OK || !any_left(r)) return status;
    report(r);
  }
}

ace_status plan_remote_run(const plan_remote *remote, const plan_grammar *g, const plan_job *job, const bpe_ids *prompt,
                           const plan_how *how, plan_output *out, ace_error *err) {
  int rows = plan_grammar_rows(g);
  run r = {.remote = remote, .g = g, .job = job, .prompt = prompt, .how = how, .out = out};
  r.url = join(remote->url, "/completions");
  r.logits = malloc((size_t)rows * sizeof *r.logits);
  ace_status status = r.url && r.logits ? ACE_OK : ace_fail(err, ACE_ENOMEM, "language model server: out of memory");
  for (int i = 0; r.logits && i < rows; i++) r.logits[i] = -INFINITY;
  for (int i = 0; i < job->items && status == ACE_OK; i++) {
    r.item[i] = (item){.all = &r, .index = i, .turn = ITEM_ASKS};
    status = plan_grammar_begin(g, job->settings, job->limits, &r.item[i].state, err);
  }
  if (status == ACE_OK) status = converse(&r, err);
  for (int i = 0; i < job->items; i++) free(r.item[i].body), free(r.item[i].text.data);
  free(r.url), free(r.logits);
  return status;
}
