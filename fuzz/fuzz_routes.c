/* The HTTP server and every route of the table, against a service with a finished song, an upload, a dataset and
 * prepared samples in a data folder of its own.
 *
 * An input is a request as text: the first line, headers, an empty line, the body; line ends become CRLF in the head,
 * and Host and Content-Length are added. "$J" is the finished job, "$L" the job that was named last, "$U" the upload,
 * "$D" the data folder, "$$" a dollar. An input that begins with "!" is sent as it is, for the parser of HTTP. Jobs fail
 * at once, since the models are gone by then: what they do has tests and targets of its own.
 *
 * Whatever is sent, an answer comes or the connection ends, within seconds; it is never "Internal Server Error", and what
 * says that it is JSON is JSON.
 */
#define _GNU_SOURCE /* memmem, strcasestr */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/tiny.h"
#include "server/route.h"

enum { MOST_SENT = 1 << 18, MOST_READ = 1 << 22, SECONDS = 15, PRUNED = 2000 };

static struct {
  char folder[64], models[80], data[80];
  char job[JOBS_ID], last[JOBS_ID], upload[64];
  service *service;
  server *web;
  int routes;
} site;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* The service is wrong, or the target: stop here with a report. */
static void broken(const char *what, const char *detail) {
  fprintf(stderr, "fuzz routes: %s: %.2000s\n", what, detail);
  abort();
}

/* ---- a client ---------------------------------------------------------------------------------------------------- */

/* Of many connections those that are closed here would keep their ports for a minute: this end says that it may go. */
static int dial(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(site.web))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct linger gone = {.l_onoff = 1};
  if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) != 0) broken("cannot connect", "");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(s, SOL_SOCKET, SO_LINGER, &gone, sizeof gone);
  return s;
}

static bool is_stream(const char *answer) {
  return strstr(answer, "text/event-stream") != NULL;
}

/* Everything that comes until the connection ends; of a stream, what comes within a moment. Bytes read. */
static size_t listen_to(int s, char *out, size_t room) {
  double until = clock_seconds() + SECONDS;
  size_t used = 0;
  *out = 0;
  for (;;) {
    bool stream = is_stream(out);
    struct pollfd p = {.fd = s, .events = POLLIN};
    int ready = poll(&p, 1, stream ? 20 : 1000);
    if (ready == 0 && stream) return used;
    if (ready == 0 && clock_seconds() > until) broken("no end of an answer", out);
    ssize_t n = ready > 0 ? recv(s, out + used, room - 1 - used, 0) : 0;
    if (ready > 0 && n <= 0) return used;
    used += (size_t)n;
    out[used] = 0;
    if (used == room - 1) return used;
  }
}

static void send_all(int s, const char *data, size_t n) {
  while (n > 0) {
    ssize_t sent = send(s, data, n, MSG_NOSIGNAL);
    if (sent <= 0) return; /* the server had enough, and says so */
    data += sent, n -= (size_t)sent;
  }
}

/* A stream notices that nobody listens when it has something to say. Then nothing is under way when the next input comes,
 * and a leak belongs to this one. */
static void end_stream(void) {
  double until = clock_seconds() + SECONDS;
  json_t *nothing = json_object();
  while (server_connections(site.web) > 0) {
    events_publish(jobs_events(service_jobs(site.service)), "", "", "service", nothing);
    if (clock_seconds() > until) broken("a connection does not end", "");
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  json_decref(nothing);
}

/* The answer to these bytes, in memory that the next call uses again. */
static const char *ask(const char *request, size_t n, size_t *length) {
  static char *answer;
  if (!answer && !(answer = malloc(MOST_READ))) broken("out of memory", "");
  int s = dial();
  send_all(s, request, n);
  shutdown(s, SHUT_WR);
  *length = listen_to(s, answer, MOST_READ);
  close(s);
  if (is_stream(answer)) end_stream();
  return answer;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

typedef struct text {
  char at[MOST_SENT];
  size_t n;
} text;

static void put(text *t, const char *data, size_t n) {
  if (n > MOST_SENT - 512 - t->n) n = MOST_SENT - 512 - t->n;
  memcpy(t->at + t->n, data, n);
  t->n += n;
}

static void say(text *t, const char *words) {
  put(t, words, strlen(words));
}

/* One byte, or what a "$X" stands for; how many bytes of the input that was. */
static size_t expand(text *t, const char *p, size_t left) {
  const char *name = NULL;
  if (*p == '$' && left > 1) {
    if (p[1] == 'J') name = site.job;
    if (p[1] == 'L') name = site.last;
    if (p[1] == 'U') name = site.upload;
    if (p[1] == 'D') name = site.data;
    if (p[1] == '$') name = "$";
  }
  if (name) say(t, name);
  else put(t, p, 1);
  return name ? 2 : 1;
}

/* The head's own lines, and those that every request needs; a first line without a version gets one. */
static void build(const char *p, size_t n, text *out) {
  static text body;
  const char *gap = memmem(p, n, "\n\n", 2);
  size_t head = gap ? (size_t)(gap - p) : n;
  char length[128];
  body.n = out->n = 0;
  for (size_t i = gap ? head + 2 : n; i < n;) i += expand(&body, p + i, n - i);
  bool first = true;
  for (size_t i = 0; i <= head;) {
    if (i < head && p[i] != '\n') {
      i += expand(out, p + i, head - i);
      continue;
    }
    say(out, first ? " HTTP/1.1\r\nHost: localhost\r\n" : "\r\n");
    first = false, i++;
  }
  snprintf(length, sizeof length, "Connection: close\r\nContent-Length: %zu\r\n\r\n", body.n);
  say(out, length);
  put(out, body.at, body.n);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void remember_job(const json_t *answer) {
  const json_t *data = json_object_get(answer, "data");
  const char *id = json_string_value(json_object_get(data, "id"));
  if (!id) id = json_string_value(json_object_get(data, "task_id"));
  if (id && strlen(id) == JOBS_ID - 1) snprintf(site.last, sizeof site.last, "%s", id);
}

static void check(const char *answer, size_t n) {
  const char *end = strstr(answer, "\r\n\r\n");
  int status;
  if (n == 0 || !end) return; /* what was no request ends the connection */
  if (sscanf(answer, "HTTP/1.%*d %d", &status) != 1) broken("no answer of HTTP", answer);
  if (strcmp(end + 4, "Internal Server Error") == 0) broken("the server could not answer", answer);
  const char *type = strcasestr(answer, "\r\nContent-Type: application/json"),
             *length = strcasestr(answer, "\r\nContent-Length: ");
  if (!type || type > end || !length || length > end || n >= MOST_READ - 1) return;
  size_t size = strtoul(length + 18, NULL, 10);
  json_error_t why;
  json_t *json = json_loadb(end + 4, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
  /* HEAD and answers without a body have none */
  if (!json && (size_t)(answer + n - end) >= size + 4 && size > 0) broken(why.text, answer);
  remember_job(json);
  json_decref(json);
}

/* ---- what is there before ---------------------------------------------------------------------------------------- */

/* The JSON of an answer to a request that must go well, a new reference. */
static json_t *ask_well(const char *request) {
  static text t;
  size_t n;
  build(request, strlen(request), &t);
  const char *answer = ask(t.at, t.n, &n), *body = strstr(answer, "\r\n\r\n");
  if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || !body) broken("setting up", answer);
  return json_loads(body + 4, 0, NULL);
}

static void make_song(void) {
  json_t *all = ask_well(
      "POST /release_task\nContent-Type: application/json\n\n{\"prompt\":\"a\",\"duration\":10,"
      "\"inference_steps\":1,\"batch_size\":1,\"audio_format\":\"wav\",\"use_cot_caption\":false,"
      "\"use_cot_language\":false}");
  snprintf(site.job, sizeof site.job, "%s",
           json_string_value(json_object_get(json_object_get(all, "data"), "task_id")));
  json_decref(all);
  json_t *job = jobs_wait(service_jobs(site.service), site.job, 600, NULL);
  if (strcmp(json_text(job, "state"), "succeeded") != 0) broken("no song", json_dumps(job, 0));
  json_decref(job);
  jobs_favourite(service_jobs(site.service), site.job, 0, true, NULL); /* it stays when others are removed */
}

/* A second of a rising saw. */
static void make_upload(void) {
  static text t;
  char wav[44 + 9600] = "RIFF\xa4\x25\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x25\0\0\0\x4b\0\0\2\0\x10\0data\x80\x25";
  size_t n;
  for (size_t i = 44; i < sizeof wav; i++) wav[i] = i % 2 ? (char)(i / 8 % 64) : 0;
  t.n = 0;
  say(&t,
      "POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: multipart/form-data; "
      "boundary=cut\r\n");
  char head[] = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
       end[] = "\r\n--cut--\r\n";
  char line[64];
  snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", strlen(head) + sizeof wav + strlen(end));
  say(&t, line), say(&t, head), put(&t, wav, sizeof wav), say(&t, end);
  const char *answer = ask(t.at, t.n, &n), *id = strstr(answer, "\"id\":\"");
  if (!id) broken("no upload", answer);
  snprintf(site.upload, sizeof site.upload, "%.*s", (int)strcspn(id + 6, "\""), id + 6);
}

static void remove_site(void) {
  server_close(site.web);
  service_close(site.service, 0);
  file_remove_tree(site.folder, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  ace_error err;
  signal(SIGPIPE, SIG_IGN);
  strcpy(site.folder, "/tmp/acestep-fuzz-XXXXXX");
  if (!mkdtemp(site.folder)) broken("no folder", site.folder);
  snprintf(site.models, sizeof site.models, "%s/models", site.folder);
  snprintf(site.data, sizeof site.data, "%s/data", site.folder);
  if (tiny_make(site.models, NULL, &err) != ACE_OK) broken("no models", err.message);
  site.service = service_open(&(service_options){.models = site.models, .data = site.data, .threads = 1}, &err);
  if (!site.service) broken("no service", err.message);
  /* Said to be open to the world, so that nobody reads folders elsewhere; it listens on this machine alone. */
  struct sockaddr_in here = {.sin_family = AF_INET};
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 511) != 0)
    broken("cannot listen", "");
  site.web = server_open(&(server_options){.service = site.service,
                                           .http = {.address = "0.0.0.0", .listener = listener},
                                           .acecpp = true,
                                           .acecpp_batch = 2},
                         &err);
  if (!site.web) broken("no server", err.message);
  while (route_at(site.routes)) site.routes++;
  atexit(remove_site);
  make_song();
  strcpy(site.last, site.job);
  make_upload();
  json_decref(ask_well("POST /v1/studio/unload\n"));
  char songs[128];
  snprintf(songs, sizeof songs, "POST /v1/dataset/scan\n\n{\"audio_dir\":\"$D/outputs/%s\"}", site.job);
  json_decref(ask_well(songs));
  json_decref(ask_well("POST /v1/dataset/save\n\n{\"save_path\":\"songs.json\"}"));
  if (file_remove_tree(site.models, &err) != ACE_OK) broken("models stay", err.message);
  return 0;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

/* The first line of a request for some route, with something for each star. */
static size_t route_line(unsigned random, char *out, size_t room) {
  static const char *const parts[] = {"$J", "0", "$L", "$U", "1.wav", "-1", "a", "acestep-v15-turbo", "%2e%2e"};
  const route *r = route_at((int)(random % (unsigned)site.routes));
  size_t n = (size_t)snprintf(out, room, "%s ", r->method);
  random /= (unsigned)site.routes;
  for (const char *p = r->path; *p && n + 24 < room; p++) {
    if (*p != '*') {
      out[n++] = *p;
      continue;
    }
    const size_t count = sizeof parts / sizeof *parts;
    n += (size_t)snprintf(out + n, room - n, "%s", parts[random % count]);
    random /= (unsigned)count;
  }
  return n;
}

/* Now and then the same request goes to another route; else libFuzzer's own changes. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  char line[256];
  size_t n = route_line(seed / 4, line, sizeof line);
  const uint8_t *end = memchr(data, '\n', size);
  size_t rest = end ? size - (size_t)(end - data) : 0;
  if (seed % 4 != 0 || n + rest > most) return LLVMFuzzerMutate(data, size, most);
  memmove(data + n, data + size - rest, rest);
  memcpy(data, line, n);
  return n + rest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static text request;
  static int runs;
  size_t n;
  int removed;
  const char *input = (const char *)data;
  if (size > 0 && *input == '!') request.n = 0, put(&request, input + 1, size - 1);
  else build(input, size, &request);
  const char *answer = ask(request.at, request.n, &n);
  check(answer, n);
  /* Jobs that have ended would pile up. */
  if (++runs % PRUNED == 0) jobs_prune(service_jobs(site.service), 0.01, 0, &removed, NULL);
  return 0;
}
