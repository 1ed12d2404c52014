/* Requests to other machines: what a slow, broken, hostile or moved server does to a download or a question. */
#include "stand_in.h"

#include "net/http.h"

static const char page[] = "0123456789abcdefghijklmnopqrstuvwxyz";
enum { PAGE = sizeof page - 1, SLOW_BYTES = 300 };

/* A server with one page for each kind of behaviour. */
typedef struct site {
  stand_in server, other;
  char key_seen[1024], other_key_seen[1024];
  atomic_int slow_begins, slow_ends;
} site;

static void answer_other(void *user, const stand_request *r, int fd) {
  site *s = user;
  stand_header(r, "Authorization", s->other_key_seen);
  stand_file(fd, r, "", page, PAGE);
}

static void answer_slowly(site *s, int fd) {
  stand_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 42);
  s->slow_begins++;
  int sent = 0;
  for (; sent < SLOW_BYTES && send(fd, "x", 1, MSG_NOSIGNAL) == 1; sent++) stand_wait(10);
  if (sent < SLOW_BYTES) s->slow_ends++; /* the client went away before */
}

static void answer_headers(int fd) {
  char line[4000];
  memset(line, 'h', sizeof line);
  stand_send(fd, "HTTP/1.1 200 OK\r\n", 17);
  for (int i = 0; i < 30; i++) {
    stand_send(fd, "x-many: ", 8);
    stand_send(fd, line, sizeof line);
    stand_send(fd, "\r\n", 2);
  }
}

static void answer(void *user, const stand_request *r, int fd) {
  site *s = user;
  const char *t = r->target;
  char to[1200];
  if (strcmp(t, "/page") == 0) stand_header(r, "Authorization", s->key_seen), stand_file(fd, r, "", page, PAGE);
  else if (strcmp(t, "/whole") == 0) stand_bytes(fd, 200, "", page, PAGE);
  else if (strcmp(t, "/elsewhere") == 0) stand_bytes(fd, 206, "Content-Range: bytes 3-35/36\r\n", page + 3, PAGE - 3);
  else if (strcmp(t, "/hop") == 0) stand_redirect(fd, "/page");
  else if (strcmp(t, "/away") == 0)
    stand_redirect(fd, (snprintf(to, sizeof to, "http://127.0.0.1:%d/page", s->other.port), to));
  else if (strcmp(t, "/round") == 0) stand_redirect(fd, "/round");
  else if (strcmp(t, "/file") == 0) stand_redirect(fd, "file:///etc/passwd");
  else if (strcmp(t, "/silent") == 0) recv(fd, to, sizeof to, 0);
  else if (strcmp(t, "/slow") == 0) answer_slowly(s, fd);
  else if (strcmp(t, "/short") == 0) stand_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", 45);
  else if (strcmp(t, "/headers") == 0) answer_headers(fd);
  else if (strcmp(t, "/echo") == 0) stand_bytes(fd, 200, "", r->body, r->length);
  else if (strcmp(t, "/keeper") == 0) stand_text(fd, 401, "your key hush-hush-secret is no good");
  else if (strcmp(t, "/broken") == 0) stand_text(fd, 500, "{\"error\": \"boiler\"}");
  else stand_text(fd, 404, "nothing");
}

static int set_up(void **state) {
  static site s;
  stand_open(&s.server, answer, &s);
  stand_open(&s.other, answer_other, &s);
  *state = &s;
  return 0;
}

static int tear_down(void **state) {
  site *s = *state;
  stand_close(&s->server);
  stand_close(&s->other);
  return 0;
}

static ace_status get(site *s, const char *path, net_request *r, net_text *out, ace_error *err) {
  r->url = stand_url(&s->server, path);
  return net_exchange(r, 1000, out, NULL, NULL, err);
}

static void expect_page(site *s, const char *path, const char *bearer) {
  net_request r = {.bearer = bearer};
  net_text text;
  ace_error err = {0};
  if (get(s, path, &r, &text, &err) != ACE_OK) fail_msg("%s: %s", path, err.message);
  assert_int_equal(text.length, PAGE);
  assert_memory_equal(text.data, page, PAGE);
  free(text.data);
}

/* The request must fail, with a message that holds `says`, and names the server. */
static net_request expect_failure(site *s, const char *path, net_request r, ace_status status, const char *says) {
  net_text text;
  ace_error err = {0};
  char port[16];
  assert_int_equal(get(s, path, &r, &text, &err), status);
  if (!strstr(err.message, says)) fail_msg("%s: \"%s\" does not say \"%s\"", path, err.message, says);
  snprintf(port, sizeof port, ":%d", s->server.port);
  assert_non_null(strstr(err.message, port));
  assert_null(strstr(err.message, "secret"));
  return r;
}

static void test_pages_and_redirects(void **state) {
  site *s = *state;
  expect_page(s, "/page", NULL);
  assert_string_equal(s->key_seen, "");
  expect_page(s, "/hop", "key-of-mine");
  assert_string_equal(s->key_seen, "Bearer key-of-mine");
  expect_failure(s, "/round", (net_request){0}, ACE_EFORMAT, "redirects more than 5 times");
  expect_failure(s, "/file", (net_request){0}, ACE_EFORMAT, "not followed");
}

/* A hub sends people to another host for the data: the key must not go there. */
static void test_key_stays_with_its_server(void **state) {
  site *s = *state;
  strcpy(s->other_key_seen, "unset");
  expect_page(s, "/away", "key-of-mine");
  assert_string_equal(s->other_key_seen, "");
  bool keep;
  assert_true(net_may_follow("https://a/x", "https://a/y", &keep) && keep);
  assert_true(net_may_follow("https://a/x", "https://b/y", &keep) && !keep);
  assert_true(net_may_follow("http://a/x", "https://a/y", &keep) && !keep);
  assert_false(net_may_follow("https://a/x", "http://a/y", &keep));
  assert_false(net_may_follow("https://a/x", "ftp://a/y", &keep));
  assert_false(net_may_follow("https://a/x", "https://u:p@a/y", &keep));
}

static void test_failures_say_what_to_do(void **state) {
  site *s = *state;
  net_request r = expect_failure(s, "/keeper", (net_request){.bearer = "hush-hush-secret"}, ACE_EINVAL, "key");
  assert_string_equal(r.excerpt, ""); /* the server repeated the key */
  r = expect_failure(s, "/broken", (net_request){0}, ACE_EIO, "HTTP 500");
  assert_true(r.again);
  assert_string_equal(r.excerpt, "{\"error\": \"boiler\"}");
  assert_false(expect_failure(s, "/nowhere", (net_request){0}, ACE_ENOTFOUND, "HTTP 404").again);
  assert_true(expect_failure(s, "/short", (net_request){0}, ACE_EIO, "broke off").again);
  assert_true(expect_failure(s, "/silent", (net_request){.seconds = 1}, ACE_EIO, "too slow").again);
  assert_true(expect_failure(s, "/slow", (net_request){.seconds = 1}, ACE_EIO, "too slow").again);
  expect_failure(s, "/headers", (net_request){0}, ACE_EFORMAT, "headers");
}

static void test_unreachable(void **state) {
  ace_error err = {0};
  net_text text;
  net_request gone = {.url = "http://127.0.0.1:1/?token=secret"};
  assert_int_equal(net_exchange(&gone, 10, &text, NULL, NULL, &err), ACE_EIO);
  assert_string_equal(err.message, "127.0.0.1:1: nothing answers there; is the server running, and is the port right?");
  net_request nobody = {.url = "http://nobody.invalid/"};
  assert_int_equal(net_exchange(&nobody, 10, &text, NULL, NULL, &err), ACE_ENOTFOUND);
  assert_non_null(strstr(err.message, "nobody.invalid"));
}

static void test_urls(void **state) {
  char host[NET_HOST_SIZE];
  assert_string_equal(net_host("https://user:secret@host:8000/path?q", host), "host:8000");
  assert_string_equal(net_host("ftp://host", host), "?");
  static const char *const bad[] = {
      "", "host:80", "http://", "file:///x", "http://u:secret@h/", "http://a b/", "http://a\n/"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ace_error err = {0};
    assert_int_equal(net_check_url(bad[i], "--lm-url", &err), ACE_EINVAL);
    assert_null(strstr(err.message, "secret"));
  }
}

static void test_limit_of_the_body(void **state) {
  site *s = *state;
  net_text text;
  ace_error err = {0};
  net_request r = {.url = stand_url(&s->server, "/page")};
  assert_int_equal(net_exchange(&r, PAGE - 1, &text, NULL, NULL, &err), ACE_EFORMAT);
  assert_non_null(strstr(err.message, "more than the 35 bytes"));
  assert_int_equal(net_exchange(&r, PAGE, &text, NULL, NULL, &err), ACE_OK);
  free(text.data);
}

static void test_post(void **state) {
  site *s = *state;
  net_text text;
  ace_error err = {0};
  net_request r = {.body = "{\"a\": 1}", .body_length = 8};
  assert_int_equal(get(s, "/echo", &r, &text, &err), ACE_OK);
  assert_string_equal(text.data, "{\"a\": 1}");
  free(text.data);
  /* Sending a question twice is not for this side to decide. */
  expect_failure(s, "/hop", r, ACE_EFORMAT, "redirects");
}

/* ---- resuming ---------------------------------------------------------------------------------------------------- */

typedef struct part {
  net_request r;
  char got[PAGE + 1];
  size_t n;
  uint64_t at;
  bool started;
} part;

static ace_status begin_part(void *user, const net_head *head, ace_error *err) {
  part *p = user;
  p->at = p->n = head->at;
  return ACE_OK;
}

static ace_status keep_part(void *user, const void *bytes, size_t n, ace_error *err) {
  part *p = user;
  memcpy(p->got + p->n, bytes, n);
  p->n += n;
  return ACE_OK;
}

static net_turn next_part(void *user, net_request **out) {
  part *p = user;
  if (p->started) return NET_END;
  p->started = true;
  *out = &p->r;
  return NET_START;
}

static ace_status part_done(void *user, net_request *r, ace_error *err) {
  return r->error.status == ACE_OK ? ACE_OK : ace_fail(err, r->error.status, "%s", r->error.message);
}

static ace_status resume(site *s, const char *path, part *p, ace_error *err) {
  *p = (part){.r = {.url = stand_url(&s->server, path),
                    .from = 10,
                    .most = PAGE,
                    .begin = begin_part,
                    .data = keep_part,
                    .user = p}};
  memcpy(p->got, page, 10);
  return net_run(&(net_queue){.at_once = 2, .next = next_part, .done = part_done, .user = p}, err);
}

static void test_resuming(void **state) {
  site *s = *state;
  part p;
  ace_error err = {0};
  assert_int_equal(resume(s, "/page", &p, &err), ACE_OK);
  assert_int_equal(p.at, 10);
  assert_string_equal(p.got, page);
  assert_int_equal(resume(s, "/whole", &p, &err), ACE_OK); /* a server that knows no ranges sends all of it */
  assert_int_equal(p.at, 0);
  assert_string_equal(p.got, page);
  assert_int_equal(resume(s, "/elsewhere", &p, &err), ACE_EFORMAT);
  assert_non_null(strstr(err.message, "another part"));
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static bool once_it_sends(void *user) {
  const site *s = user;
  return s->slow_begins > 0;
}

static void test_cancelling_closes_the_connection(void **state) {
  site *s = *state;
  net_text text;
  ace_error err = {0};
  while (s->server.open > 0) stand_wait(1); /* those of earlier tests */
  s->slow_begins = s->slow_ends = 0;
  net_request r = {.url = stand_url(&s->server, "/slow")};
  assert_int_equal(net_exchange(&r, 1000, &text, once_it_sends, s, &err), ACE_ECANCELED);
  for (int i = 0; i < 3000 && s->slow_ends == 0; i++) stand_wait(10);
  assert_int_equal(s->slow_ends, 1); /* else the server would go on working for nobody */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages_and_redirects),
      cmocka_unit_test(test_key_stays_with_its_server),
      cmocka_unit_test(test_failures_say_what_to_do),
      cmocka_unit_test(test_unreachable),
      cmocka_unit_test(test_urls),
      cmocka_unit_test(test_limit_of_the_body),
      cmocka_unit_test(test_post),
      cmocka_unit_test(test_resuming),
      cmocka_unit_test(test_cancelling_closes_the_connection),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
