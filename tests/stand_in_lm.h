/* stand_in_lm.h - a vLLM server inside a test: the Completions API and the list of models, for the fields that are
 * documented for version 0.15.0 and no other (anything else is answered with 400), with a model of ours behind it and
 * any fault that is wanted.
 *
 *   lm_site s;
 *   lm_site_open(&s, "models/acestep-5Hz-lm-0.6B");
 *   ... s.url ...
 *   lm_site_close(&s);
 */
#ifndef ACE_TESTS_STAND_IN_LM_H
#define ACE_TESTS_STAND_IN_LM_H

#include "stand_in.h"

#include <jansson.h>
#include <math.h>

#include "models/qwen3_cached.h"
#include "planner/sample.h"

typedef enum lm_fault {
  LM_WELL,
  LM_LOCKED,     /* wants the key "right" */
  LM_CUT,        /* answers break off */
  LM_CUT_ONCE,   /* the first one does */
  LM_GARBAGE,    /* answers are no JSON */
  LM_OTHER,      /* answers are JSON of another kind */
  LM_DOWN,       /* HTTP 500 */
  LM_DOWN_LATER, /* after five good answers */
  LM_HUGE,       /* answers without end */
  LM_WILD,       /* does not keep to allowed_token_ids */
  LM_SLOW        /* says nothing until the client goes away */
} lm_fault;

typedef struct lm_site {
  stand_in server;
  char url[64], refusal[256];
  qwen3 *model;
  pthread_mutex_t lock;
  lm_fault fault;
  int end, positions; /* the end token; max_model_len */
  bool gather;        /* codes: a question waits (a while) for another one */
  atomic_int completions, at_once, most_at_once, gone;
} lm_site;

/* ---- the question ------------------------------------------------------------------------------------------------ */

typedef struct lm_question {
  int32_t *prompt;
  size_t n;
  int most, least, logprobs, stop;
  plan_sampling sampling;
  uint32_t seed;
  bool return_ids, as_ids;
  const json_t *allowed;
} lm_question;

static inline void lm_refuse(lm_site *s, const char *why, const char *field) {
  snprintf(s->refusal, sizeof s->refusal, "%s: %s", field, why);
}

static inline double lm_number(lm_site *s, const json_t *q, const char *field, double fallback, double lo, double hi,
                               bool whole) {
  const json_t *v = json_object_get(q, field);
  if (!v) return fallback;
  double x = json_number_value(v);
  if (!json_is_number(v) || (whole && !json_is_integer(v)) || !(x >= lo && x <= hi))
    lm_refuse(s, "out of range", field);
  return x;
}

/* False: the question is refused, and s->refusal says why. Call with the lock held. */
static inline bool lm_read(lm_site *s, const json_t *q, lm_question *out) {
  static const char *const known[] = {"model",
                                      "prompt",
                                      "max_tokens",
                                      "temperature",
                                      "top_p",
                                      "top_k",
                                      "repetition_penalty",
                                      "seed",
                                      "stop_token_ids",
                                      "allowed_token_ids",
                                      "min_tokens",
                                      "logprobs",
                                      "return_token_ids",
                                      "return_tokens_as_token_ids"};
  const char *field;
  json_t *value;
  s->refusal[0] = 0;
  json_object_foreach((json_t *)q, field, value) {
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) found |= strcmp(field, known[i]) == 0;
    if (!found) lm_refuse(s, "Extra inputs are not permitted", field);
  }
  const char *model = json_string_value(json_object_get(q, "model"));
  if (!model || strcmp(model, "tiny-lm") != 0) lm_refuse(s, "does not exist", "model");
  const json_t *prompt = json_object_get(q, "prompt"), *stop = json_object_get(q, "stop_token_ids");
  int vocab = s->model->cfg.vocab;
  *out = (lm_question){.n = json_array_size(prompt), .allowed = json_object_get(q, "allowed_token_ids")};
  out->prompt = calloc(out->n + 1, sizeof *out->prompt);
  for (size_t i = 0; i < out->n; i++) {
    json_int_t id = json_integer_value(json_array_get(prompt, i));
    if (!json_is_integer(json_array_get(prompt, i)) || id < 0 || id >= vocab)
      lm_refuse(s, "out of vocabulary", "prompt");
    else out->prompt[i] = (int32_t)id;
  }
  if (out->n == 0) lm_refuse(s, "is empty", "prompt");
  for (size_t i = 0; i < json_array_size(out->allowed); i++)
    if (json_integer_value(json_array_get(out->allowed, i)) >= vocab)
      lm_refuse(s, "out of vocabulary", "allowed_token_ids");
  if (out->allowed && json_array_size(out->allowed) == 0) lm_refuse(s, "is empty", "allowed_token_ids");
  out->most = (int)lm_number(s, q, "max_tokens", 16, 1, 100000, true);
  out->least = (int)lm_number(s, q, "min_tokens", 0, 0, out->most, true);
  out->logprobs = (int)lm_number(s, q, "logprobs", -1, 0, 20, true);
  out->sampling.temperature = lm_number(s, q, "temperature", 1, 0, 2, false);
  out->sampling.top_p = lm_number(s, q, "top_p", 1, 1e-9, 1, false);
  out->sampling.top_k = (int)lm_number(s, q, "top_k", 0, -1, vocab, true);
  if (lm_number(s, q, "repetition_penalty", 1, 1e-9, 2, false) != 1)
    lm_refuse(s, "only 1 is used", "repetition_penalty");
  out->seed = (uint32_t)lm_number(s, q, "seed", 0, 0, 4294967295.0, true);
  out->stop = (int)json_integer_value(json_array_get(stop, 0));
  out->return_ids = json_is_true(json_object_get(q, "return_token_ids"));
  out->as_ids = json_is_true(json_object_get(q, "return_tokens_as_token_ids"));
  if (out->n + (size_t)out->most > (size_t)s->positions) lm_refuse(s, "exceeds max_model_len", "max_tokens");
  return !s->refusal[0];
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

typedef struct lm_machine {
  const qwen3 *model;
  tens_ctx *c;
  qwen3_cache cache;
  int32_t table[64], length;
  int pages;
} lm_machine;

/* Logits behind n more tokens; valid until the next call. */
static inline float *lm_feed(lm_machine *m, const int32_t *ids, int n) {
  m->cache.table = tens_from(m->c, TENS_I32, TENS_DIMS(1, m->pages), m->table);
  m->cache.length = tens_from(m->c, TENS_I32, TENS_DIMS(1), &m->length);
  tens *hidden = qwen3_extend(m->c, m->model, &m->cache, tens_from(m->c, TENS_I32, TENS_DIMS(1, n), ids));
  int32_t last = n - 1;
  tens *row = op_gather(m->c, hidden, tens_from(m->c, TENS_I32, TENS_DIMS(1, 1), &last));
  tens *logits = qwen3_logits(m->c, m->model, row);
  m->length += n;
  return logits ? tens_f32(logits) : NULL;
}

static inline int32_t lm_argmax(const float *x, int n) {
  int32_t best = 0;
  for (int32_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

static inline double lm_log_probability(const float *x, int n, int32_t id) {
  double most = x[lm_argmax(x, n)], sum = 0;
  for (int i = 0; i < n; i++) sum += exp(x[i] - most);
  return x[id] - most - log(sum);
}

static inline void lm_add_logprobs(json_t *list, const float *x, int vocab, int32_t best, int32_t token) {
  char name[32];
  json_t *place = json_object();
  snprintf(name, sizeof name, "token_id:%d", (int)best);
  json_object_set_new(place, name, json_real(lm_log_probability(x, vocab, best)));
  snprintf(name, sizeof name, "token_id:%d", (int)token);
  json_object_set_new(place, name, json_real(lm_log_probability(x, vocab, token)));
  json_array_append_new(list, place);
}

static inline int32_t lm_choose(lm_site *s, const lm_question *q, int step, float *x, float *scratch) {
  int vocab = s->model->cfg.vocab;
  if (q->allowed && s->fault != LM_WILD) {
    float *kept = malloc((size_t)vocab * sizeof *kept);
    for (int i = 0; i < vocab; i++) kept[i] = -INFINITY;
    for (size_t i = 0; i < json_array_size(q->allowed); i++) {
      json_int_t id = json_integer_value(json_array_get(q->allowed, i));
      kept[id] = x[id];
    }
    memcpy(x, kept, (size_t)vocab * sizeof *x);
    free(kept);
  }
  if (step < q->least) x[q->stop] = x[s->end] = -INFINITY;
  plan_draw_key key = {q->seed, 77, (uint32_t)step};
  return plan_draw(&q->sampling, key, x, vocab, scratch);
}

static inline json_t *lm_write(lm_site *s, const lm_question *q) {
  int vocab = s->model->cfg.vocab;
  lm_machine m = {.model = s->model, .pages = 64};
  ace_error err;
  m.c = tens_open(&(tens_options){.capacity = 512 << 20}, &err);
  for (int i = 0; i < m.pages; i++) m.table[i] = i;
  if (!m.c || !qwen3_cache_make(m.c, s->model, TENS_BF16, m.pages, &m.cache)) abort();
  float *scratch = malloc((size_t)vocab * sizeof *scratch), *raw = malloc((size_t)vocab * sizeof *raw);
  json_t *ids = json_array(), *tops = json_array();
  tens_mark mark = tens_here(m.c);
  float *x = lm_feed(&m, q->prompt, (int)q->n);
  const char *reason = "length";
  for (int step = 0; step < q->most; step++) {
    memcpy(raw, x, (size_t)vocab * sizeof *raw);
    int32_t token = lm_choose(s, q, step, x, scratch);
    json_array_append_new(ids, json_integer(token));
    if (q->logprobs >= 0 && q->as_ids) lm_add_logprobs(tops, raw, vocab, lm_argmax(raw, vocab), token);
    if (token == q->stop || token == s->end) reason = "stop";
    if (*reason == 's' || step + 1 == q->most) break;
    tens_release(m.c, mark);
    x = lm_feed(&m, &token, 1);
  }
  free(scratch), free(raw);
  tens_close(m.c);
  json_t *choice = json_pack("{s:i, s:s, s:s}", "index", 0, "text", "...", "finish_reason", reason);
  if (q->return_ids) json_object_set(choice, "token_ids", ids);
  if (q->logprobs >= 0) json_object_set_new(choice, "logprobs", json_pack("{s:O}", "top_logprobs", tops));
  json_decref(ids), json_decref(tops);
  return json_pack("{s:s, s:s, s:[o]}", "id", "cmpl-1", "object", "text_completion", "choices", choice);
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static inline void lm_send(int fd, int status, json_t *json) {
  char *text = json_dumps(json, JSON_COMPACT);
  stand_bytes(fd, status, "Content-Type: application/json\r\n", text, strlen(text));
  free(text);
  json_decref(json);
}

static inline void lm_complete(lm_site *s, const stand_request *r, int fd) {
  pthread_mutex_lock(&s->lock);
  json_t *q = json_loadb(r->body, r->length, JSON_REJECT_DUPLICATES, NULL);
  lm_question question = {0};
  if (!q) strcpy(s->refusal, "the body is no JSON");
  if (q && lm_read(s, q, &question)) lm_send(fd, 200, lm_write(s, &question));
  else
    lm_send(fd, 400,
            json_pack("{s:{s:s, s:s, s:i}}", "error", "message", s->refusal, "type", "BadRequestError", "code", 400));
  free(question.prompt);
  json_decref(q);
  pthread_mutex_unlock(&s->lock);
}

static inline void lm_send_without_end(int fd) {
  char block[65536];
  memset(block, ' ', sizeof block);
  stand_send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19);
  for (int i = 0; i < 2000 && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0; i++) continue;
}

static inline void lm_wait_for_leave(lm_site *s, int fd) {
  char byte;
  while (recv(fd, &byte, 1, 0) > 0) continue;
  s->gone++;
}

static inline void lm_answer(void *user, const stand_request *r, int fd) {
  lm_site *s = user;
  char key[1024];
  bool locked = s->fault == LM_LOCKED && strcmp(stand_header(r, "Authorization", key), "Bearer right") != 0;
  if (locked) {
    stand_text(fd, 401, "{\"error\": \"Unauthorized\"}");
  } else if (strcmp(r->method, "GET") == 0 && strcmp(r->target, "/v1/models") == 0) {
    lm_send(fd, 200,
            json_pack("{s:s, s:[{s:s, s:s, s:i}]}", "object", "list", "data", "id", "tiny-lm", "object", "model",
                      "max_model_len", s->positions));
  } else if (strcmp(r->method, "POST") != 0 || strcmp(r->target, "/v1/completions") != 0) {
    stand_text(fd, 404, "{\"detail\": \"Not Found\"}");
  } else {
    int count = ++s->completions, together = ++s->at_once;
    if (together > s->most_at_once) s->most_at_once = together;
    for (int i = 0; s->gather && strstr(r->body, "min_tokens") && s->most_at_once < 2 && i < 500; i++) stand_wait(10);
    bool cut = s->fault == LM_CUT || (s->fault == LM_CUT_ONCE && count == 1);
    bool down = s->fault == LM_DOWN || (s->fault == LM_DOWN_LATER && count > 5);
    if (cut) stand_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\": [", 54);
    else if (down) stand_text(fd, 500, "{\"error\": {\"message\": \"EngineDeadError\"}}");
    else if (s->fault == LM_GARBAGE) stand_text(fd, 200, "<html>gateway</html>");
    else if (s->fault == LM_OTHER) stand_text(fd, 200, "{\"choices\": [{\"text\": \"hello\"}]}");
    else if (s->fault == LM_HUGE) lm_send_without_end(fd);
    else if (s->fault == LM_SLOW) lm_wait_for_leave(s, fd);
    else lm_complete(s, r, fd);
    s->at_once--;
  }
}

/* end: the id of the end token in the model's tokenizer. */
static inline void lm_site_open(lm_site *s, const char *folder, int end) {
  ace_error err;
  *s = (lm_site){.end = end, .positions = 4096, .model = qwen3_open(folder, &err)};
  if (!s->model) fail_msg("%s", err.message);
  pthread_mutex_init(&s->lock, NULL);
  stand_open(&s->server, lm_answer, s);
  snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->server.port);
}

static inline void lm_site_close(lm_site *s) {
  stand_close(&s->server);
  pthread_mutex_destroy(&s->lock);
  qwen3_close(s->model);
}

#endif
