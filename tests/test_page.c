/* The studio's page as a browser fetches it: a page that may only load what is its own, files that are sent once, a table
 * of parameters for its form. It is the built page or the one that says how to build it. */
#include "site.h"

static int status_of(const site *w, const char *path, const char *headers) {
  char text[1024];
  snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, headers);
  reply r = http_ask(w->port, text);
  int status = r.status;
  reply_free(&r);
  return status;
}

static void test_page(void **state) {
  site w = open_site(state, NULL, 0, 0);
  reply r = get(&w, "/");
  assert_int_equal(r.status, 200);
  assert_non_null(strstr(r.body, "<!doctype html>"));
  assert_string_equal(reply_header(&r, "Content-Type"), "text/html; charset=utf-8");
  assert_non_null(strstr(reply_header(&r, "Content-Security-Policy"), "script-src 'self';"));
  char tag[64], known[128];
  assert_non_null(strstr(reply_header(&r, "Set-Cookie"), "acestep_session="));
  snprintf(tag, sizeof tag, "%.60s", reply_header(&r, "ETag"));
  reply_free(&r);

  /* A visitor who comes back does not fetch it again. */
  snprintf(known, sizeof known, "If-None-Match: %s\r\n", tag);
  assert_int_equal(status_of(&w, "/", known), 304);
  assert_int_equal(status_of(&w, "/", "If-None-Match: \"0000000000000000\"\r\n"), 200);

  /* Compressed for whoever asks, and then under another tag: the bytes differ. */
  r = http_ask(w.port, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: br, gzip\r\n\r\n");
  assert_int_equal(r.status, 200);
  if (reply_header(&r, "Content-Encoding")) {
    assert_memory_equal(r.body, "\x1f\x8b", 2);
    assert_string_not_equal(reply_header(&r, "ETag"), tag);
  }
  reply_free(&r);
  r = http_ask(w.port, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
  assert_null(reply_header(&r, "Content-Encoding"));
  reply_free(&r);

  /* Nothing but the page's own files. */
  assert_int_equal(status_of(&w, "/assets/nothing.js", ""), 404);
  assert_int_equal(status_of(&w, "/assets/..%2findex.html", ""), 404);
  assert_int_equal(status_of(&w, "/assets/../index.html", ""), 404);
  close_site(&w);
}

/* The address of the studio's script, which the page fetches ahead, below its own folder; "": it has none. */
static void script_of(const char *page, char out[128]) {
  static const char begin[] = "rel=\"modulepreload\" href=\"./";
  const char *at = strstr(page, begin);
  *out = 0;
  if (at) snprintf(out, 128, "%.*s", (int)strcspn(at + strlen(begin), "\""), at + strlen(begin));
}

/* Behind a proxy that serves it below a path the page asks for nothing outside of that path. */
static void test_below_a_path(void **state) {
  char script[128], path[200];
  site w = open_site_with(state, (service_options){0}, (server_options){.base = "/music"});
  reply r = get(&w, "/music");
  assert_int_equal(r.status, 308);
  assert_string_equal(reply_header(&r, "Location"), "/music/");
  reply_free(&r);
  static const char *const pages[] = {"/music/", "/"};
  for (int i = 0; i < 2; i++) {
    r = get(&w, pages[i]);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(reply_header(&r, "Set-Cookie"), "; Path=/music;"));
    assert_null(strstr(r.body, "=\"/"));
    script_of(r.body, script);
    reply_free(&r);
    if (!*script) continue; /* the studio is not part of this build */
    snprintf(path, sizeof path, "%s%s", pages[i], script);
    r = get(&w, path);
    assert_int_equal(r.status, 200);
    assert_true(strstr(r.body, "v1/studio") && !strstr(r.body, "/v1/"));
    reply_free(&r);
  }
  assert_int_equal(status_of(&w, "/music/v1/studio", ""), 200);
  assert_int_equal(status_of(&w, "/musical", ""), 404);
  close_site(&w);
}

static void test_parameters(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *schema = json_of(get(&w, "/v1/parameters"), 200);
  const json_t *all = json_object_get(schema, "properties");
  assert_non_null(json_object_get(all, "caption"));
  /* The page's own defaults: two songs, as the guide says. */
  assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "batch_size"), "default")), 2);
  json_decref(schema);
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_page), cmocka_unit_test(test_below_a_path),
                                     cmocka_unit_test(test_parameters)};
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
