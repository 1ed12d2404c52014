/* site.h - a whole server on the tiny models, and a client that speaks JSON with it.
 *
 *   site w = open_site(state, NULL, 0, 0);              // *state is a songs
 *   json_t *health = json_of(get(&w, "/health"), 200);
 *   close_site(&w);
 */
#ifndef ACE_TESTS_SITE_H
#define ACE_TESTS_SITE_H

#include <time.h>

#include "base/file.h"
#include "http_testing.h"
#include "server/server.h"
#include "songs.h"

typedef struct site {
  songs *models;
  temp data;
  service *s;
  server *web;
  int port;
} site;

/* Begins to serve what is in its folder. */
static inline void site_begin(site *w, service_options o, server_options web) {
  ace_error err;
  o.models = w->models->models, o.data = w->data.folder;
  w->s = service_open(&o, &err);
  if (!w->s) fail_msg("%s", err.message);
  web.service = w->s, web.http.listener = -1;
  if (!web.http.address) web.http.address = "127.0.0.1";
  w->web = server_open(&web, &err);
  if (!w->web) fail_msg("%s", err.message);
  w->port = server_port(w->web);
}

/* Folders and service are filled in, and the address where there is none. */
static inline site open_site_with(void **state, service_options o, server_options web) {
  site w = {.models = *state, .data = temp_open()};
  site_begin(&w, o, web);
  return w;
}

static inline site open_site(void **state, const char *key, int init_lm, int most_waiting) {
  return open_site_with(state, (service_options){.init_lm = init_lm, .most_waiting = most_waiting},
                        (server_options){.api_key = key});
}

/* The program ends at once, in good order: what runs goes on next time. */
static inline void site_end(site *w) {
  server_close(w->web);
  service_close(w->s, 0);
}

static inline void close_site(site *w) {
  site_end(w);
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", w->data.folder);
  assert_int_equal(system(command), 0);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The JSON of an answer with this status. */
static inline json_t *json_of(reply r, int status) {
  if (r.status != status) fail_msg("status %d, expected %d: %.300s", r.status, status, r.body ? r.body : "");
  json_t *json = json_loads(r.body, 0, NULL);
  assert_non_null(json);
  reply_free(&r);
  return json;
}

static inline reply get(const site *w, const char *path) {
  char request[4096];
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  return http_ask(w->port, request);
}

static inline reply post_as(const site *w, const char *path, const char *type, const char *body) {
  char head[512];
  snprintf(head, sizeof head, "POST %s HTTP/1.1%s%s", path, type ? "\r\nContent-Type: " : "", type ? type : "");
  return http_post(w->port, head, body, strlen(body));
}

static inline reply post(const site *w, const char *path, const char *body) {
  return post_as(w, path, "application/json", body);
}

static inline const char *text_of(const json_t *o, const char *field) {
  const char *s = json_string_value(json_object_get(o, field));
  return s ? s : "(none)";
}

/* The data of a good envelope; `all` owns it. */
static inline json_t *data_of(json_t *all) {
  assert_int_equal(json_integer_value(json_object_get(all, "code")), 200);
  assert_true(json_is_null(json_object_get(all, "error")));
  assert_true(json_is_null(json_object_get(all, "extra")));
  assert_non_null(json_object_get(all, "extra"));
  return json_object_get(all, "data");
}

static inline void expect_detail(reply r, int status, const char *detail) {
  json_t *json = json_of(r, status);
  if (!strstr(text_of(json, "detail"), detail)) fail_msg("\"%s\", expected \"%s\"", text_of(json, "detail"), detail);
  json_decref(json);
}

static inline void submit_as(const site *w, const char *type, const char *body, char id[64]) {
  json_t *all = json_of(post_as(w, "/release_task", type, body), 200), *data = data_of(all);
  assert_string_equal(text_of(data, "status"), "queued");
  assert_true(json_integer_value(json_object_get(data, "queue_position")) >= 1);
  assert_int_equal(strlen(text_of(data, "task_id")), 36);
  strcpy(id, text_of(data, "task_id"));
  json_decref(all);
}

static inline json_t *query(const site *w, const char *id) {
  char body[200];
  snprintf(body, sizeof body, "{\"task_id_list\": [\"%s\"]}", id);
  json_t *all = json_of(post(w, "/query_result", body), 200);
  json_t *item = json_incref(json_array_get(data_of(all), 0));
  json_decref(all);
  return item;
}

/* Polls until the job has this status; its decoded result. */
static inline json_t *await(const site *w, const char *id, int status) {
  for (int i = 0; i < 6000; i++) {
    json_t *item = query(w, id);
    int now = (int)json_integer_value(json_object_get(item, "status"));
    json_t *result = json_loads(text_of(item, "result"), 0, NULL);
    assert_true(json_is_array(result));
    if (now != 0 && now != status) fail_msg("status %d: %s", now, text_of(item, "result"));
    json_decref(item);
    if (now == status) return result;
    json_decref(result);
    nanosleep(&(struct timespec){0, 50000000}, NULL);
  }
  fail_msg("the job did not end");
  return NULL;
}

#define SHORT                                                                                                   \
  "\"prompt\":\"a\",\"inference_steps\":1,\"batch_size\":1,\"audio_format\":\"wav\",\"use_cot_caption\":false," \
  "\"use_cot_language\":false"

/* A finished song of ten seconds. */
static inline json_t *song(const site *w, const char *more) {
  char body[1024], id[64];
  snprintf(body, sizeof body, "{" SHORT "%s}", more);
  submit_as(w, "application/json", body, id);
  return await(w, id, 1);
}

#endif
