#include "planner/remote_wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "request/text.h"

/* ---- questions --------------------------------------------------------------------------------------------------- */

/* A list of tens of thousands of ids is written directly: as objects it would take a hundred times the memory. */
static void add_ids(req_text *t, const int32_t *id, size_t n, bool *first) {
  for (size_t i = 0; i < n; i++) {
    req_text_addf(t, "%s%" PRId32, *first ? "" : ",", id[i]);
    *first = false;
  }
}

static void add_range(req_text *t, int32_t from, int32_t to, bool *first) {
  for (int32_t id = from; id <= to; id++) add_ids(t, &id, 1, first);
}

static void add_allowed(req_text *t, const plan_allowed *a) {
  bool first = true;
  req_text_add(t, ",\"allowed_token_ids\":[");
  if (a->kind == PLAN_ALLOW_CODES) {
    add_range(t, a->first, a->last, &first);
    if (a->end >= 0) add_ids(t, &a->end, 1, &first);
  } else if (a->kind == PLAN_ALLOW_WIDE) {
    for (int32_t id = 0; id < a->rows; id++)
      if (a->mask[id / 64] >> id % 64 & 1) add_ids(t, &id, 1, &first);
  } else {
    add_ids(t, a->id, (size_t)a->n, &first);
  }
  req_text_add(t, "]");
}

char *wire_ask(const wire_question *q, size_t *length) {
  req_text t = {0};
  bool first = true, greedy = q->sampling.temperature <= 1e-6;
  bool top_p = q->sampling.top_p > 0 && q->sampling.top_p < 1;
  json_t *model = json_string(q->model);
  char *name = model ? json_dumps(model, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
  json_decref(model);
  if (!name) return NULL;
  req_text_addf(&t, "{\"model\":%s,\"prompt\":[", name);
  free(name);
  add_ids(&t, q->prompt, q->n_prompt, &first);
  add_ids(&t, q->more, q->n_more, &first);
  req_text_addf(&t, "],\"max_tokens\":%d,\"temperature\":%.9g,\"top_p\":%.9g,\"top_k\":%d,\"repetition_penalty\":1.0",
                q->most, greedy ? 0.0 : q->sampling.temperature, top_p && !greedy ? q->sampling.top_p : 1.0,
                greedy || q->sampling.top_k < 0 ? 0 : q->sampling.top_k);
  req_text_addf(&t, ",\"seed\":%" PRIu32 ",\"stop_token_ids\":[%" PRId32 "],\"return_token_ids\":true", q->seed,
                q->end);
  if (q->best) req_text_add(&t, ",\"logprobs\":1,\"return_tokens_as_token_ids\":true");
  if (q->all) req_text_addf(&t, ",\"min_tokens\":%d", q->most);
  if (q->allowed) add_allowed(&t, q->allowed);
  req_text_add(&t, "}");
  *length = t.size;
  return req_text_take(&t);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void wire_answer_free(wire_answer *a) {
  free(a->id), free(a->best);
  *a = (wire_answer){0};
}

static bool read_id(const json_t *value, int32_t *out) {
  json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
  *out = id >= 0 && id < INT32_MAX ? (int32_t)id : -1;
  return *out >= 0;
}

/* {"token_id:198": -0.1, "token_id:271": -3.0}: the greatest. -1 when there is none. */
static int32_t best_of(const json_t *places) {
  const char *name;
  json_t *value;
  int32_t best = -1;
  double highest = -INFINITY;
  json_object_foreach((json_t *)places, name, value) {
    int32_t id;
    int used = 0;
    if (!json_is_number(value) || sscanf(name, "token_id:%9" SCNd32 "%n", &id, &used) != 1 || name[used] || id < 0)
      continue;
    double x = json_number_value(value);
    if (!(x > highest) && !(x == highest && id < best)) continue;
    highest = x;
    best = id;
  }
  return best;
}

static ace_status read_choice(const json_t *choice, int most, const char *where, wire_answer *out, ace_error *err) {
  const json_t *ids = json_object_get(choice, "token_ids");
  const json_t *tops = json_object_get(json_object_get(choice, "logprobs"), "top_logprobs");
  if (!json_is_array(ids))
    return ace_fail(err, ACE_EFORMAT,
                    "%s: its answer has no token_ids; a vLLM server of version 0.15 or later is needed", where);
  size_t n = json_array_size(ids);
  if (n > (size_t)most)
    return ace_fail(err, ACE_EFORMAT, "%s: it wrote %zu tokens where %d were asked for", where, n, most);
  if (n == 0) return ace_fail(err, ACE_EFORMAT, "%s: its answer is empty", where);
  out->id = malloc(n * sizeof *out->id);
  out->best = malloc(n * sizeof *out->best);
  if (!out->id || !out->best) return ace_fail(err, ACE_ENOMEM, "language model server: out of memory");
  out->n = n;
  for (size_t i = 0; i < n; i++) {
    if (!read_id(json_array_get(ids, i), &out->id[i]))
      return ace_fail(err, ACE_EFORMAT, "%s: a token of its answer is no number", where);
    out->best[i] = best_of(json_array_get(tops, i));
  }
  return ACE_OK;
}

ace_status wire_read_answer(const char *text, size_t length, int most, const char *where, wire_answer *out,
                            ace_error *err) {
  *out = (wire_answer){0};
  json_t *json = json_parse(text, length, where, err);
  if (!json) return ACE_EFORMAT;
  ace_status status = read_choice(json_array_get(json_object_get(json, "choices"), 0), most, where, out, err);
  json_decref(json);
  if (status != ACE_OK) wire_answer_free(out);
  return status;
}

ace_status wire_read_models(const char *text, size_t length, const char *wanted, const char *where,
                            char name[WIRE_NAME_SIZE], int *most, ace_error *err) {
  json_t *json = json_parse(text, length, where, err), *m;
  if (!json) return ACE_EFORMAT;
  size_t i;
  bool found = false;
  *most = 0;
  json_array_foreach(json_object_get(json, "data"), i, m) {
    const char *id = json_string_value(json_object_get(m, "id"));
    const json_int_t positions = json_integer_value(json_object_get(m, "max_model_len"));
    if (found || !id || !*id || strlen(id) >= WIRE_NAME_SIZE || (wanted && strcmp(id, wanted) != 0)) continue;
    found = true;
    strcpy(name, id);
    if (positions > 0 && positions < INT32_MAX) *most = (int)positions;
  }
  json_decref(json);
  if (found) return ACE_OK;
  if (wanted) return ace_fail(err, ACE_ENOTFOUND, "%s: the server offers no model %.100s", where, wanted);
  return ace_fail(err, ACE_EFORMAT, "%s: this is not a vLLM server: it lists no models at /v1/models", where);
}

void wire_read_failure(const char *text, char out[WIRE_NAME_SIZE]) {
  json_t *json = json_loads(text, 0, NULL);
  const json_t *error = json_object_get(json, "error");
  const char *message = json_string_value(json_object_get(json_is_object(error) ? error : json, "message"));
  if (!message) message = json_string_value(json_object_get(json, "detail"));
  snprintf(out, WIRE_NAME_SIZE, "%s", message ? message : "");
  json_decref(json);
}
