/* json.c - the saved form of a request: one JSON object, one key a parameter, plus one object "result" for everything
 * that a finished song knows and a request does not (versions, model hashes, times, files). "result" is skipped when a
 * request is read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "request/value.h"

enum { JSON_MOST_BYTES = 8 << 20 };

/* Keys that the reference writes into its own files beside a song and that say nothing about the request. */
static const char *const foreign_keys[] = {"result",
                                           "lora_loaded",
                                           "use_lora",
                                           "lora_scale",
                                           "lora_weights_hash",
                                           "repaint_source_latents_file",
                                           "session_artifact_file",
                                           "session_artifact_kind"};

static bool is_foreign(const char *key) {
  for (size_t i = 0; i < sizeof foreign_keys / sizeof *foreign_keys; i++)
    if (strcmp(key, foreign_keys[i]) == 0) return true;
  return false;
}

static ace_status wrong_kind(const req_param *p, const char *wanted, ace_error *err) {
  return ace_fail(err, ACE_EINVAL, "%s: not %s", p->name, wanted);
}

/* The text of a JSON string without a NUL inside; NULL otherwise. */
static const char *plain_text(const json_t *value) {
  if (!json_is_string(value)) return NULL;
  const char *s = json_string_value(value);
  return strlen(s) == json_string_length(value) ? s : NULL;
}

/* A JSON number as text, so that one path checks ranges. */
static const char *number_text(const json_t *value, char out[REQ_NUMBER_SIZE]) {
  if (json_is_integer(value)) {
    snprintf(out, REQ_NUMBER_SIZE, "%lld", (long long)json_integer_value(value));
    return out;
  }
  return json_is_real(value) ? req_number_format(json_real_value(value), out) : NULL;
}

static ace_status seeds_from_list(const req_param *p, const json_t *list, req_seeds *out, ace_error *err) {
  *out = (req_seeds){0};
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    char number[REQ_NUMBER_SIZE];
    const char *text = json_is_null(item) ? "-1" : json_is_string(item) ? plain_text(item) : number_text(item, number);
    if (!text || strchr(text, ',')) return ace_fail(err, ACE_EINVAL, "%s: entry %zu is not a seed", p->name, i + 1);
    if (json_is_real(item) && floor(json_real_value(item)) != json_real_value(item))
      return ace_fail(err, ACE_EINVAL, "%s: %s is not a whole number", p->name, text);
    req_seeds one;
    ace_status status = req_seeds_parse(text, p->name, &one, err);
    if (status != ACE_OK) return status;
    if (out->count < REQ_BATCH_MAX) out->value[out->count++] = one.count ? one.value[0] : -1;
  }
  return ACE_OK;
}

static ace_status seeds_from_json(ace_request *r, const req_param *p, const json_t *value, ace_error *err) {
  req_seeds list;
  json_t *alone = NULL;
  if (!json_is_array(value)) { /* a single number is a list of one */
    if (!json_is_number(value)) return wrong_kind(p, "a seed, a list of seeds or text", err);
    alone = json_pack("[O]", value);
    if (!alone) return ace_fail(err, ACE_ENOMEM, "request: out of memory");
    value = alone;
  }
  ace_status status = seeds_from_list(p, value, &list, err);
  json_decref(alone);
  if (status != ACE_OK) return status;
  if (p->type == REQ_SEEDS) {
    *(req_seeds *)req_field(r, p) = list;
  } else {
    r->seed = list.count == 1 ? list.value[0] : -1;
    r->seeds = list.count > 1 ? list : (req_seeds){0};
  }
  return ACE_OK;
}

static ace_status levels_from_json(ace_request *r, const req_param *p, const json_t *value, ace_error *err) {
  req_timesteps list = {0};
  size_t i;
  json_t *item;
  if (!json_is_array(value)) return wrong_kind(p, "a list of numbers or text", err);
  json_array_foreach(value, i, item) {
    char number[REQ_NUMBER_SIZE];
    if (!json_is_number(item)) return ace_fail(err, ACE_EINVAL, "%s: entry %zu is not a number", p->name, i + 1);
    double x = json_number_value(item) + 0.0;
    if (!(x >= p->lo && x <= p->hi))
      return ace_fail(err, ACE_EINVAL, "%s: %s is outside 0..1", p->name, req_number_format(x, number));
    if (list.count >= REQ_TIMESTEPS_MAX - 1 && (x != 0 || list.count >= REQ_TIMESTEPS_MAX))
      return ace_fail(err, ACE_EINVAL, "%s: more than %d levels", p->name, REQ_TIMESTEPS_MAX);
    list.value[list.count++] = x;
  }
  if (list.count && list.value[list.count - 1] != 0) list.value[list.count++] = 0;
  *(req_timesteps *)req_field(r, p) = list; /* of a copy: ace_request_set_json is all or nothing */
  return req_value_check(r, p, err);
}

/* A list of names becomes the text form, which is then read as such. */
static ace_status tracks_from_json(ace_request *r, const req_param *p, const json_t *value, ace_error *err) {
  req_text text = {0};
  size_t i;
  json_t *item;
  if (!json_is_array(value)) return wrong_kind(p, "a list of track names or text", err);
  json_array_foreach(value, i, item) {
    const char *s = plain_text(item);
    if (!s || strpbrk(s, ",|")) {
      free(req_text_take(&text));
      return ace_fail(err, ACE_EINVAL, "%s: entry %zu is not a track name", p->name, i + 1);
    }
    if (i) req_text_add(&text, ",");
    req_text_add(&text, s);
  }
  char *joined = req_text_take(&text);
  if (!joined) return ace_fail(err, ACE_ENOMEM, "request: out of memory");
  ace_status status = req_value_from_text(r, p, joined, err);
  free(joined);
  return status;
}

/* null: "not given" where the parameter has that, else the default. */
static ace_status value_from_null(ace_request *r, const req_param *p, ace_error *err) {
  bool has_nothing = p->nullable || p->type == REQ_TRI || p->type == REQ_SEEDS || p->type == REQ_TIMESTEPS ||
                     p->type == REQ_TRACKS || p->type == REQ_PATH;
  return has_nothing ? req_value_from_text(r, p, "", err) : req_value_reset(r, p, err);
}

ace_status req_value_from_json(ace_request *r, const req_param *p, const json_t *value, ace_error *err) {
  char number[REQ_NUMBER_SIZE];
  if (json_is_null(value)) return value_from_null(r, p, err);
  if (json_is_string(value)) {
    const char *s = plain_text(value);
    if (!s) return ace_fail(err, ACE_EINVAL, "%s: a NUL character inside", p->name);
    return req_value_from_text(r, p, s, err);
  }
  const char *digits = number_text(value, number);
  switch (p->type) {
    case REQ_BOOL:
    case REQ_TRI:
      if (!json_is_boolean(value)) return wrong_kind(p, "true or false", err);
      return req_value_from_text(r, p, json_is_true(value) ? "true" : "false", err);
    case REQ_INT:
    case REQ_NUMBER:
      if (!digits) return wrong_kind(p, "a number", err);
      return req_value_from_text(r, p, digits, err);
    case REQ_STRING: /* "timesignature": 4 */
      if (!digits || !p->values) return wrong_kind(p, "text", err);
      return req_value_from_text(r, p, digits, err);
    case REQ_ENUM:
    case REQ_PATH: return wrong_kind(p, "text", err);
    case REQ_SEED:
    case REQ_SEEDS: return seeds_from_json(r, p, value, err);
    case REQ_TIMESTEPS: return levels_from_json(r, p, value, err);
    case REQ_TRACKS: return tracks_from_json(r, p, value, err);
  }
  return ace_fail(err, ACE_EINTERNAL, "%s: no such type", p->name);
}

static ace_status unknown_key(const char *key, size_t length, ace_error *err) {
  char name[REQ_EXCERPT_SIZE];
  const req_param *near = req_param_nearest(key);
  return ace_fail(err, ACE_EINVAL, "request: there is no parameter \"%s\"%s%s%s", req_excerpt(key, length, name),
                  near ? "; did you mean \"" : "", near ? near->name : "", near ? "\"?" : "");
}

/* All keys known? Then the table's order decides, so that {"seeds", "seed"} and {"seed", "seeds"} mean the same. */
static ace_status apply(ace_request *r, const json_t *object, ace_error *err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) {
    const req_param *p = req_param_find(key);
    if (!is_foreign(key) && !(p && strcmp(p->name, key) == 0)) return unknown_key(key, strlen(key), err);
  }
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    value = json_object_get(object, p[i].name);
    if (!value) continue;
    ace_status status = req_value_from_json(r, &p[i], value, err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

ace_status ace_request_set_json(ace_request *request, const char *json, size_t length, ace_error *err) {
  if (!request || !json) return ace_fail(err, ACE_EINVAL, "request: nothing to read");
  if (length > JSON_MOST_BYTES)
    return ace_fail(err, ACE_EINVAL, "request: %zu bytes of JSON are more than the %d that are accepted", length,
                    JSON_MOST_BYTES);
  json_t *object = json_parse(json, length, "request", err);
  if (!object) return ACE_EFORMAT;
  ace_status status = ACE_OK;
  ace_request *changed = NULL;
  if (!json_is_object(object)) status = ace_fail(err, ACE_EINVAL, "request: the JSON is not an object");
  if (status == ACE_OK && !(changed = ace_request_copy(request)))
    status = ace_fail(err, ACE_ENOMEM, "request: out of memory");
  if (status == ACE_OK) status = apply(changed, object, err);
  if (status == ACE_OK) { /* all or nothing */
    ace_request swap = *request;
    *request = *changed;
    *changed = swap;
  }
  ace_request_free(changed);
  json_decref(object);
  return status;
}

char *ace_request_to_json(const ace_request *request) {
  if (!request) return NULL;
  size_t n;
  const req_param *p = req_params(&n);
  req_text out = {0};
  req_text_add(&out, "{\n");
  for (size_t i = 0; i < n; i++) {
    req_text_addf(&out, "  \"%s\": ", p[i].name);
    req_value_to_json(request, &p[i], &out);
    req_text_add(&out, i + 1 < n ? ",\n" : "\n");
  }
  req_text_add(&out, "}\n");
  return req_text_take(&out);
}

json_t *req_json(const ace_request *r) {
  char *text = ace_request_to_json(r);
  json_t *json = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  return json;
}
