/* The HTTP layer: what a client sends arrives whole, what is too much or too slow is refused, files come in ranges. */
#include "http_testing.h"

#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "server/http.h"

typedef struct site {
  temp t;
  http *h;
  char song[800];
} site;

static http_wish admit(void *user, http_call *c) {
  if (strcmp(http_path(c), "/closed") == 0) http_text(c, 401, "no");
  if (strcmp(http_path(c), "/files") == 0) return (http_wish){.body = 1000, .upload = 100000, .parts = 4};
  return (http_wish){.body = 1000};
}

/* What the server understood, as text. */
static void tell(http_call *c) {
  char text[4096];
  int n, used = snprintf(text, sizeof text, "%s %s", http_method(c), http_path(c));
  const http_field *f = http_query_fields(c, &n);
  for (int i = 0; i < n; i++)
    used += snprintf(text + used, sizeof text - (size_t)used, " ?%s=%s", f[i].name, f[i].value);
  f = http_fields(c, &n);
  for (int i = 0; i < n; i++) {
    if (!f[i].path) {
      used += snprintf(text + used, sizeof text - (size_t)used, " %s=%s", f[i].name, f[i].value);
      continue;
    }
    struct stat st;
    assert_int_equal(stat(f[i].path, &st), 0);
    assert_int_equal(st.st_size, f[i].bytes);
    used += snprintf(text + used, sizeof text - (size_t)used, " %s:%s:%d", f[i].name, f[i].file_name, (int)f[i].bytes);
  }
  size_t length;
  const char *body = http_body(c, &length);
  if (body && n == 0) snprintf(text + used, sizeof text - (size_t)used, " [%s]", body);
  http_text(c, 200, text);
}

typedef struct ticks {
  http *h;
  int left;
} ticks;

static size_t next_tick(void *source, char *out, size_t room) {
  ticks *t = source;
  while (t->left == 0 && !http_closing(t->h)) nanosleep(&(struct timespec){0, 20000000}, NULL);
  return t->left-- > 0 ? (size_t)snprintf(out, room, "tick\n") : 0;
}

static void answer(void *user, http_call *c) {
  site *s = user;
  if (strcmp(http_path(c), "/song") == 0) http_file(c, s->song, "audio/wav");
  else if (strcmp(http_path(c), "/silent") == 0) return; /* a handler that forgot to answer */
  else if (strcmp(http_path(c), "/ticks") == 0) {
    ticks *t = malloc(sizeof *t);
    *t = (ticks){http_of(c), 3};
    http_stream(c, 200, "text/event-stream", next_tick, t, free);
  } else {
    tell(c);
  }
}

static site *site_open(int head_seconds) {
  site *s = calloc(1, sizeof *s);
  ace_error err;
  s->t = temp_open();
  snprintf(s->song, sizeof s->song, "%s", temp_path(&s->t, "song"));
  s->h = http_open(&(http_options){.address = "127.0.0.1",
                                   .listener = -1,
                                   .uploads = s->t.folder,
                                   .head_seconds = head_seconds,
                                   .admit = admit,
                                   .answer = answer,
                                   .user = s},
                   &err);
  if (!s->h) fail_msg("%s", err.message);
  return s;
}

static void site_close(site *s) {
  http_close(s->h);
  temp_close(&s->t);
  free(s);
}

static void expect(reply r, int status, const char *body) {
  assert_int_equal(r.status, status);
  if (body) assert_string_equal(r.body, body);
  reply_free(&r);
}

static void test_what_is_sent_arrives(void **state) {
  site *s = site_open(0);
  int port = http_port(s->h);
  expect(http_ask(port, "GET /a%20b?x=1&y=%C3%A4+b&x=2&empty= HTTP/1.1\r\nHost: x\r\n\r\n"), 200,
         "GET /a b ?x=1 ?y=\xc3\xa4 b ?x=2 ?empty=");
  expect(http_post(port, "POST /j HTTP/1.1\r\nContent-Type: application/json", "{\"a\": 1}", 8), 200,
         "POST /j [{\"a\": 1}]");
  expect(http_post(port, "POST /f HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded",
                   "a=1&b=x+%26%zz&c&=d&&a=2", 24),
         200, "POST /f a=1 b=x &%zz c= =d a=2");
  expect(http_ask(port,
                  "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
         200, "POST /c [abcde]");
  site_close(s);
}

static const char form_type[] = "POST /files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut";
#define PART "--cut\r\nContent-Disposition: form-data; name="

/* Files of forms are gone once the calls are, a moment after the answers. */
static void expect_no_files(site *s) {
  for (int i = 0; i < 500 && temp_count(&s->t) > 0; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
  assert_int_equal(temp_count(&s->t), 0);
}

static void test_forms_with_files(void **state) {
  site *s = site_open(0);
  int port = http_port(s->h);
  static const char form[] = PART "\"prompt\"\r\n\r\nlofi\r\n" PART
                                  "\"src\"; filename=\"../../etc/x.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n\r\n"
                                  "data\r\n" PART "\"empty\"\r\n\r\n\r\n--cut--\r\n";
  expect(http_post(port, form_type, form, sizeof form - 1), 200,
         "POST /files prompt=lofi src:../../etc/x.wav:12 empty=");
  expect_no_files(s);
  site_close(s);
}

static void test_too_much_is_refused(void **state) {
  site *s = site_open(0);
  int port = http_port(s->h);
  char *big = calloc(1, 400000);
  memset(big, 'a', 399999);
  expect(http_post(port, "POST /j HTTP/1.1", big, 1001), 413, NULL);
  expect(http_ask(port, "POST /j HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"), 413, NULL);
  /* a file over the limit, one where none is taken, a field over the limit, too many fields, a form that breaks off */
  int n = sprintf(big, PART "\"f\"; filename=\"f\"\r\n\r\n");
  memset(big + n, 'b', 200000);
  strcpy(big + n + 200000, "\r\n--cut--\r\n");
  expect(http_post(port, form_type, big, strlen(big)), 413, NULL);
  expect(http_post(port, "POST /j HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut", big, strlen(big)), 413,
         NULL);
  n = sprintf(big, PART "\"v\"\r\n\r\n");
  memset(big + n, 'b', 2000);
  strcpy(big + n + 2000, "\r\n--cut--\r\n");
  expect(http_post(port, form_type, big, strlen(big)), 400, NULL);
  *big = 0;
  for (int i = 0; i < 5; i++) strcat(big, PART "\"v\"\r\n\r\nx\r\n");
  expect(http_post(port, form_type, strcat(big, "--cut--\r\n"), strlen(big)), 400, NULL);
  strcpy(big, PART "\"v\"\r\n\r\nx");
  expect(http_post(port, form_type, big, strlen(big)), 400, NULL);
  expect(http_post(port, "POST /closed HTTP/1.1", "abc", 3), 401, "no");
  expect(http_ask(port, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n"), 500, NULL);
  expect_no_files(s);
  free(big);
  site_close(s);
}

static reply ask_range(site *s, const char *range) {
  char request[1400];
  snprintf(request, sizeof request, "GET /song HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", range);
  return http_ask(http_port(s->h), request);
}

static void test_files_in_ranges(void **state) {
  site *s = site_open(0);
  temp_put(&s->t, "song", "0123456789", 10);
  reply r = ask_range(s, "X: y");
  assert_int_equal(r.status, 200);
  assert_string_equal(r.body, "0123456789");
  assert_string_equal(reply_header(&r, "Content-Type"), "audio/wav");
  assert_string_equal(reply_header(&r, "Accept-Ranges"), "bytes");
  char tag[1100];
  snprintf(tag, sizeof tag, "If-None-Match: %s", reply_header(&r, "ETag"));
  reply_free(&r);
  static const struct {
    const char *range;
    int status;
    const char *body, *says;
  } cases[] = {
      {"Range: bytes=0-3", 206, "0123", "bytes 0-3/10"},
      {"Range: bytes=8-", 206, "89", "bytes 8-9/10"},
      {"Range: bytes=8-99", 206, "89", "bytes 8-9/10"},
      {"Range: bytes=-3", 206, "789", "bytes 7-9/10"},
      {"Range: bytes=-99", 206, "0123456789", "bytes 0-9/10"},
      {"Range: bytes=10-", 416, NULL, "bytes */10"},
      {"Range: bytes=-0", 416, NULL, "bytes */10"},
      {"Range: bytes=5-2", 200, "0123456789", NULL},
      {"Range: bytes=1-2,4-5", 200, "0123456789", NULL},
      {"Range: lines=1-2", 200, "0123456789", NULL},
      {"Range: bytes=0-18446744073709551615", 206, "0123456789", "bytes 0-9/10"},
      {"Range: bytes=1-2\r\nIf-Range: \"another\"", 200, "0123456789", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    r = ask_range(s, cases[i].range);
    if (r.status != cases[i].status) fail_msg("%s: status %d", cases[i].range, r.status);
    if (cases[i].body) assert_string_equal(r.body, cases[i].body);
    const char *says = reply_header(&r, "Content-Range");
    if (cases[i].says) assert_string_equal(says, cases[i].says);
    else assert_null(says);
    reply_free(&r);
  }
  expect(ask_range(s, tag), 304, NULL);
  unlink(s->song);
  expect(ask_range(s, "X: y"), 404, NULL);
  assert_int_equal(symlink("/etc/hostname", s->song), 0);
  expect(ask_range(s, "X: y"), 404, NULL);
  unlink(s->song);
  site_close(s);
}

static void test_a_stream_ends_with_the_server(void **state) {
  site *s = site_open(0);
  int c = http_connect(http_port(s->h));
  static const char request[] = "GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n";
  http_send(c, request, sizeof request - 1);
  char heard[4096] = "";
  while (!strstr(heard, "tick\n\r\n5\r\ntick\n\r\n5\r\ntick")) {
    size_t used = strlen(heard);
    ssize_t n = recv(c, heard + used, sizeof heard - used - 1, 0);
    assert_true(n > 0);
    heard[used + (size_t)n] = 0;
  }
  site_close(s); /* returns, though the client is still listening */
  close(c);
}

/* Who sends his head one byte at a time is cut off; others are served meanwhile and afterwards. */
static void test_a_slow_client_is_cut_off(void **state) {
  site *s = site_open(1);
  int port = http_port(s->h), slow = http_connect(port);
  static const char head[] = "GET /x HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  bool cut = false;
  for (size_t i = 0; i < sizeof head - 1 && !cut; i++) {
    cut = send(slow, head + i, 1, MSG_NOSIGNAL) < 0;
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    if (i == 5) expect(http_ask(port, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"), 200, "GET /ok");
  }
  assert_true(cut);
  close(slow);
  expect(http_ask(port, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"), 200, "GET /ok");
  site_close(s);
}

static void test_ports_and_addresses(void **state) {
  site *s = site_open(0);
  ace_error err;
  http_options o = {.address = "127.0.0.1", .port = http_port(s->h), .listener = -1, .uploads = s->t.folder};
  assert_null(http_open(&o, &err));
  expect_error(&err, ACE_EIO, "port", "--port");
  o.address = "nowhere";
  assert_null(http_open(&o, &err));
  expect_error(&err, ACE_EINVAL, "nowhere", "127.0.0.1");
  site_close(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_sent_arrives),          cmocka_unit_test(test_forms_with_files),
      cmocka_unit_test(test_too_much_is_refused),           cmocka_unit_test(test_files_in_ranges),
      cmocka_unit_test(test_a_stream_ends_with_the_server), cmocka_unit_test(test_a_slow_client_is_cut_off),
      cmocka_unit_test(test_ports_and_addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
