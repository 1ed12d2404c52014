/* What those rely on who run the server: figures, readiness, logs, an end that loses nothing, sockets from a supervisor,
 * TLS, proxies. The real program, but where a server in the test itself does. */
#include "program.h"
#include "site.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stddef.h>
#include <sys/un.h>

/* A program with a folder of its own. */
typedef struct place {
  songs *models;
  temp data;
} place;

static place open_place(void **state) {
  return (place){*state, temp_open()};
}

static void close_place(place *p) {
  ace_error err;
  if (file_remove_tree(p->data.folder, &err) != ACE_OK) fail_msg("%s", err.message);
}

static site reach(const program *p) {
  return (site){.port = p->port};
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static double figure(const char *text, const char *name) {
  const char *at = text;
  size_t n = strlen(name);
  while (at && strncmp(at, name, n) != 0) at = (at = strchr(at, '\n')) ? at + 1 : NULL;
  if (!at) fail_msg("%s is missing", name);
  return strtod(at + n, NULL);
}

/* Every line is a comment or a name, labels in quotes, and a number: the form that Prometheus reads. */
static void check_form(const char *text) {
  for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
    const char *end = strchr(line, '\n'), *space = end;
    assert_non_null(end);
    if (*line == '#') {
      assert_true(strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0);
      continue;
    }
    while (space > line && *space != ' ') space--;
    char *stop;
    strtod(space + 1, &stop);
    if (space == line || stop != end) fail_msg("%.*s", (int)(end - line), line);
  }
}

static void test_figures_for_prometheus(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_decref(json_of(get(&w, "/health"), 200));
  expect_detail(get(&w, "/nope"), 404, "Not Found");
  json_decref(song(&w, ",\"duration\":10,\"inference_steps\":3"));
  reply r = get(&w, "/metrics");
  assert_int_equal(r.status, 200);
  assert_non_null(strstr(reply_header(&r, "Content-Type"), "version=0.0.4"));
  check_form(r.body);
  assert_true(figure(r.body, "acestep_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} ") == 1);
  assert_true(figure(r.body, "acestep_http_requests_total{method=\"\",route=\"none\",status=\"404\"} ") == 1);
  assert_true(figure(r.body, "acestep_http_request_seconds_bucket{method=\"GET\",route=\"/health\",le=\"+Inf\"} ") ==
              1);
  assert_true(figure(r.body, "acestep_jobs{state=\"succeeded\"} ") == 1);
  assert_true(figure(r.body, "acestep_jobs_ended_total{state=\"succeeded\"} ") == 1);
  assert_true(figure(r.body, "acestep_stage_steps_total{stage=\"diffuse\"} ") == 3);
  assert_true(figure(r.body, "acestep_stage_seconds_total{stage=\"decode\"} ") > 0);
  assert_true(figure(r.body, "process_resident_memory_bytes ") > 1e6);
  assert_true(figure(r.body, "process_open_fds ") >= 3);
  reply_free(&r);
  close_site(&w);
  w = open_site(state, "key", 0, 0);
  expect_detail(get(&w, "/metrics"), 401, "Missing Authorization header");
  close_site(&w);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* After SIGTERM new songs are refused with a time to come back, the running one is finished, and the program ends well;
 * what still waited is made after the next start. */
static void test_an_end_that_loses_nothing(void **state) {
  place p = open_place(state);
  program it = program_serve(p.data.folder, p.models->models, PAIRS("--quiet"));
  site w = reach(&it);
  char running[64], waiting[64];
  json_decref(json_of(get(&w, "/ready"), 200));
  submit_as(&w, "application/json", "{" SHORT ",\"duration\":20,\"inference_steps\":6}", running);
  submit_as(&w, "application/json", "{" SHORT ",\"duration\":10}", waiting);
  for (int i = 0; i < 500; i++) {
    json_t *item = query(&w, running);
    bool begun = strstr(text_of(item, "result"), "\"queued\"") == NULL;
    json_decref(item);
    if (begun) break;
    nap(0.005);
  }
  kill(it.pid, SIGTERM);
  reply r = {0};
  for (int i = 0; i < 400; i++) {
    r = get(&w, "/ready");
    if (r.status == 503 && strstr(r.body, "draining")) break; /* before, it may say "loading" */
    reply_free(&r);
    nap(0.005);
  }
  assert_int_equal(r.status, 503);
  reply_free(&r);
  r = post(&w, "/release_task", "{\"prompt\":\"late\"}");
  assert_int_equal(r.status, 503);
  assert_true(atoi(reply_header(&r, "Retry-After")) > 0);
  reply_free(&r);
  assert_int_equal(program_end(&it, 0), 0);

  it = program_serve(p.data.folder, p.models->models, PAIRS("--quiet"));
  w = reach(&it);
  json_decref(await(&w, running, 1));
  json_decref(await(&w, waiting, 1));
  assert_int_equal(program_end(&it, SIGTERM), 0);
  close_place(&p);
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

static void log_to(void *file) {
  int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, STDERR_FILENO);
}

static void test_a_log_for_programs(void **state) {
  place p = open_place(state);
  char file[600];
  snprintf(file, sizeof file, "%s.log", p.data.folder);
  program it = program_serve_with(p.data.folder, p.models->models, PAIRS("--log-format", "json", "--log-requests"),
                                  log_to, file);
  site w = reach(&it);
  reply r = get(&w, "/health?secret=word");
  reply_free(&r);
  r = get(&w, "/%ff%00\"x");
  reply_free(&r);
  assert_int_equal(program_end(&it, SIGTERM), 0);
  size_t n;
  ace_error err;
  char *text = file_read(file, 1 << 20, &n, &err), *rest = NULL;
  int requests = 0, others = 0, healthy = 0;
  assert_non_null(text);
  assert_null(strstr(text, "secret")); /* queries may hold what nobody should read */
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    json_t *o = json_loads(line, 0, NULL);
    if (!o) fail_msg("not JSON: %s", line);
    bool request = strcmp(text_of(o, "event"), "request") == 0;
    requests += request, others += !request;
    assert_int_equal(strlen(text_of(o, "time")), 20);
    if (request && strcmp(text_of(o, "path"), "/health") == 0) {
      assert_int_equal(json_integer_value(json_object_get(o, "status")), 200);
      healthy++;
    }
    json_decref(o);
  }
  assert_true(healthy == 1 && requests >= 1 && others >= 3);
  free(text);
  unlink(file);
  close_place(&p);
}

/* ---- a supervisor ------------------------------------------------------------------------------------------------ */

typedef struct handover {
  int socket, fds;
  const char *notify;
} handover;

static void hand_over(void *user) {
  const handover *h = user;
  char text[32];
  if (h->socket >= 0) dup2(h->socket, 3);
  snprintf(text, sizeof text, "%ld", (long)getpid());
  setenv("LISTEN_PID", text, 1);
  snprintf(text, sizeof text, "%d", h->fds);
  setenv("LISTEN_FDS", text, 1);
  if (h->notify) setenv("NOTIFY_SOCKET", h->notify, 1);
}

static int listening(int *port) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t n = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(s, 16), 0);
  assert_int_equal(getsockname(s, (struct sockaddr *)&a, &n), 0);
  *port = ntohs(a.sin_port);
  return s;
}

static int notified(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
  struct timeval patience = {.tv_sec = 30};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return s;
}

static void expect_state(int socket, const char *state) {
  char text[200];
  ssize_t n = recv(socket, text, sizeof text - 1, 0);
  assert_true(n > 0);
  text[n] = 0;
  assert_string_equal(text, state);
}

/* A request that came before the server was there is answered by it. */
static void test_a_socket_from_a_supervisor(void **state) {
  place p = open_place(state);
  char path[108];
  snprintf(path, sizeof path, "%.90s.sock", p.data.folder);
  int port, door = listening(&port), states = notified(path);
  int early = http_connect(port);
  http_send(early, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 42);
  handover h = {door, 1, path};
  program it = program_serve_with(p.data.folder, p.models->models, PAIRS("--quiet"), hand_over, &h);
  close(door);
  assert_int_equal(it.port, port);
  expect_state(states, "READY=1");
  reply r = http_read(early);
  assert_int_equal(r.status, 200);
  reply_free(&r);
  close(early);
  assert_int_equal(program_end(&it, SIGTERM), 0);
  expect_state(states, "STOPPING=1");
  close(states);
  unlink(path);
  close_place(&p);
}

static void test_a_useless_socket_is_refused(void **state) {
  place p = open_place(state);
  int plain = socket(AF_INET, SOCK_STREAM, 0);
  handover h = {plain, 1, NULL};
  program it = program_start(
      PAIRS("serve", "--quiet", "--data", p.data.folder, "--models", p.models->models, "--port", "0"), hand_over, &h);
  assert_int_equal(program_end(&it, 0), 2);
  close(plain);
  close_place(&p);
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

static void put_pem(temp *t, const char *name, gnutls_datum_t d) {
  temp_put(t, name, d.data, d.size);
  gnutls_free(d.data);
}

/* A certificate that signed itself, for localhost. */
static void make_certificate(temp *t) {
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t crt;
  gnutls_datum_t d;
  const unsigned char serial = 1;
  gnutls_x509_privkey_init(&key), gnutls_x509_crt_init(&crt);
  assert_int_equal(
      gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
  gnutls_x509_crt_set_version(crt, 3), gnutls_x509_crt_set_serial(crt, &serial, 1);
  gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
  gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
  gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
  gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
  gnutls_x509_crt_set_key(crt, key);
  assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d), 0);
  put_pem(t, "cert.pem", d);
  assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &d), 0);
  put_pem(t, "key.pem", d);
  gnutls_x509_crt_deinit(crt), gnutls_x509_privkey_deinit(key);
}

/* Asks over TLS as a client that trusts this certificate alone; the status. */
static int ask_tls(int port, const char *ca, char *answer, size_t room) {
  gnutls_session_t session;
  gnutls_certificate_credentials_t trust;
  int s = http_connect(port), status = 0;
  gnutls_certificate_allocate_credentials(&trust);
  assert_int_equal(gnutls_certificate_set_x509_trust_file(trust, ca, GNUTLS_X509_FMT_PEM), 1);
  gnutls_init(&session, GNUTLS_CLIENT);
  gnutls_set_default_priority(session);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, trust);
  gnutls_session_set_verify_cert(session, "localhost", 0);
  gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", 9);
  gnutls_transport_set_int(session, s);
  int shake = gnutls_handshake(session);
  if (shake < 0) fail_msg("%s", gnutls_strerror(shake));
  static const char request[] = "GET /v1/studio HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  gnutls_record_send(session, request, sizeof request - 1);
  size_t used = 0;
  for (ssize_t n; used < room - 1 && (n = gnutls_record_recv(session, answer + used, room - 1 - used)) > 0;)
    used += (size_t)n;
  answer[used] = 0;
  sscanf(answer, "HTTP/1.1 %d", &status);
  gnutls_deinit(session), gnutls_certificate_free_credentials(trust);
  close(s);
  return status;
}

static void test_tls(void **state) {
  place p = open_place(state);
  temp pem = temp_open();
  make_certificate(&pem);
  char certificate[600], key[600], *answer = malloc(1 << 20);
  snprintf(certificate, sizeof certificate, "%s/cert.pem", pem.folder);
  snprintf(key, sizeof key, "%s/key.pem", pem.folder);
  program it =
      program_serve(p.data.folder, p.models->models, PAIRS("--tls-cert", certificate, "--tls-key", key, "--quiet"));
  assert_int_equal(ask_tls(it.port, certificate, answer, 1 << 20), 200);
  assert_non_null(strstr(answer, "acestep_session="));
  assert_non_null(strstr(answer, "; Secure")); /* the session must not travel in the open later */
  /* plain HTTP is no way in */
  int s = http_connect(it.port);
  http_send(s, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 42);
  char byte[512];
  ssize_t n = recv(s, byte, sizeof byte - 1, 0);
  assert_true(n <= 0 || memcmp(byte, "HTTP/1.1 200", 12) != 0);
  close(s);
  assert_int_equal(program_end(&it, SIGTERM), 0);
  free(answer);
  temp_close(&pem);
  close_place(&p);
}

/* ---- proxies ----------------------------------------------------------------------------------------------------- */

static const char *cookie_of(const reply *r) {
  const char *cookie = reply_header(r, "Set-Cookie");
  return cookie ? cookie : "(none)";
}

/* Behind a proxy the server lies under a path, the connection of the client is encrypted, and the client is who the
 * proxy says. */
static void test_behind_a_proxy(void **state) {
  site w = open_site_with(state, (service_options){.init_lm = 0},
                          (server_options){.base = "/music", .http.proxies = PAIRS("127.0.0.1"), .api_key = "k"});
  json_decref(json_of(get(&w, "/music/health"), 200));
  json_decref(json_of(get(&w, "/music/api/health"), 200));
  json_decref(json_of(get(&w, "/health"), 200)); /* the proxy has taken the path off */
  expect_detail(get(&w, "/musical/health"), 404, "Not Found");
  json_t *all = json_of(get(&w, "/openapi.json"), 200);
  assert_string_equal(text_of(json_array_get(json_object_get(all, "servers"), 0), "url"), "/music");
  json_decref(all);
#define FROM "GET /music/v1/studio HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n"
  reply r = http_ask(w.port, FROM "X-Forwarded-Proto: https\r\nX-Forwarded-Host: localhost\r\n\r\n");
  assert_int_equal(r.status, 200);
  assert_non_null(strstr(cookie_of(&r), "; Path=/music;"));
  assert_non_null(strstr(cookie_of(&r), "; Secure"));
  reply_free(&r);
  /* the name that counts is the one that the client used */
  r = http_ask(w.port, FROM "X-Forwarded-Host: evil.example\r\n\r\n");
  assert_int_equal(r.status, 421);
  reply_free(&r);
  /* failures to sign in are counted for the client, not for the proxy: another client may go on */
  for (int i = 0; i < 20; i++) {
    char head[300];
    snprintf(head, sizeof head,
             "POST /v1/studio/login HTTP/1.1\r\nContent-Type: application/json\r\nX-Forwarded-For: 203.0.113.%d",
             i < 15 ? 9 : 10);
    r = http_post(w.port, head, "{\"key\":\"no\"}", 12);
    assert_int_equal(r.status, i >= 8 && i < 15 ? 429 : 401);
    reply_free(&r);
  }
  /* a proxy may add a line of its own behind what the client claims: the last one counts */
  for (int last = 9; last < 12; last += 2) {
    char head[300];
    snprintf(head, sizeof head,
             "POST /v1/studio/login HTTP/1.1\r\nContent-Type: application/json\r\nX-Forwarded-For: 203.0.113.%d\r\n"
             "X-Forwarded-For: 203.0.113.%d",
             20 - last, last);
    r = http_post(w.port, head, "{\"key\":\"no\"}", 12);
    assert_int_equal(r.status, last == 9 ? 429 : 401);
    reply_free(&r);
  }
  close_site(&w);
}

/* Nobody else is believed: a client cannot choose whose session he has, nor claim to be encrypted. */
static void test_a_stranger_is_no_proxy(void **state) {
  site w = open_site(state, NULL, 0, 0);
  reply r = http_ask(w.port,
                     "GET /v1/studio HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n"
                     "X-Forwarded-Host: evil.example\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
  assert_int_equal(r.status, 200);
  assert_null(strstr(cookie_of(&r), "Secure"));
  reply_free(&r);
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_figures_for_prometheus),
      cmocka_unit_test(test_an_end_that_loses_nothing),
      cmocka_unit_test(test_a_log_for_programs),
      cmocka_unit_test(test_a_socket_from_a_supervisor),
      cmocka_unit_test(test_a_useless_socket_is_refused),
      cmocka_unit_test(test_tls),
      cmocka_unit_test(test_behind_a_proxy),
      cmocka_unit_test(test_a_stranger_is_no_proxy),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
