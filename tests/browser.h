/* browser.h - a browser as far as the page's routes see one: it keeps cookies and speaks JSON.
 *
 *   browser b = open_browser(&w);                        // w: a site
 *   json_t *data = good(fetch(&b, "/v1/jobs"));
 */
#ifndef ACE_TESTS_BROWSER_H
#define ACE_TESTS_BROWSER_H

#include "site.h"

typedef struct browser {
  const site *w;
  char cookies[400]; /* "a=b; c=d" */
} browser;

/* Keeps the cookie that an answer sets. */
static inline void keep_cookie(browser *b, const reply *r) {
  const char *set = reply_header(r, "Set-Cookie");
  if (!set) return;
  size_t used = strlen(b->cookies);
  snprintf(b->cookies + used, sizeof b->cookies - used, "%s%.*s", used ? "; " : "", (int)strcspn(set, ";"), set);
}

static inline reply ask(browser *b, const char *method, const char *path, const char *type, const void *body,
                        size_t length) {
  char head[1400];
  snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nCookie: %s\r\nContent-Type: %s", method, path, b->cookies, type);
  reply r = http_post(b->w->port, head, body, length);
  keep_cookie(b, &r);
  return r;
}

static inline reply send_json(browser *b, const char *method, const char *path, const char *body) {
  return ask(b, method, path, "application/json", body, strlen(body));
}

static inline reply fetch(browser *b, const char *path) {
  return send_json(b, "GET", path, "");
}

/* The data of a good answer, a new reference. */
static inline json_t *good(reply r) {
  json_t *all = json_of(r, 200), *data = json_incref(data_of(all));
  json_decref(all);
  return data;
}

static inline browser open_browser(const site *w) {
  browser b = {.w = w};
  json_decref(good(fetch(&b, "/v1/studio")));
  assert_non_null(strstr(b.cookies, "acestep_session="));
  return b;
}

static inline void expect_refusal(reply r, int status, const char *kind, const char *field) {
  json_t *all = json_of(r, status);
  if (kind) assert_string_equal(text_of(all, "kind"), kind);
  if (field) assert_string_equal(text_of(all, "field"), field);
  assert_true(strlen(text_of(all, "detail")) > 0);
  json_decref(all);
}

/* The job once it has ended. */
static inline json_t *ended(browser *b, const char *id) {
  char path[128];
  snprintf(path, sizeof path, "/v1/jobs/%s", id);
  for (int i = 0; i < 6000; i++) {
    json_t *job = good(fetch(b, path));
    const char *state = text_of(job, "state");
    if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0) return job;
    json_decref(job);
    nanosleep(&(struct timespec){0, 20000000}, NULL);
  }
  fail_msg("the job did not end");
  return NULL;
}

#define SONG "\"caption\":\"a test\",\"inference_steps\":1,\"duration\":10,\"batch_size\":1,\"audio_format\":\"wav\","

/* Submits; the id. */
static inline json_t *sing(browser *b, const char *request, const char *more, char id[64]) {
  char body[2048];
  snprintf(body, sizeof body, "{\"request\":{" SONG "%s},\"note\":{\"mode\":\"custom\"}%s}", request, more);
  json_t *data = good(send_json(b, "POST", "/v1/songs", body));
  strcpy(id, text_of(data, "id"));
  return data;
}

#endif
