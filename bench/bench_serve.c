/* bench_serve.c - what many clients cost a server that is making a song, and what the song costs them.
 *
 *   acestep serve --port 7860 &
 *   nice bench_serve 7860 [POLLERS [LISTENERS [DURATION [STEPS [ROUNDS]]]]]       500 50 240 60 5
 *
 * Each round makes a song alone, then one while POLLERS clients ask about it every 2 seconds, each on its own connection,
 * and LISTENERS hear its events; a machine that does other work too is then as busy for both. Told are the medians over
 * the rounds. Time of a sampler's step comes from the server's /metrics. One thread, sockets that do not block; its own
 * processor time is reported, since it takes it from the server. Run it with nice: a poll ends when the kernel has its
 * answer (SO_TIMESTAMPNS), however long this program then waits for its turn.
 */
#define _GNU_SOURCE /* SO_TIMESTAMPNS */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { MOST = 4096, BUFFER = 16 * 1024, MOST_SAMPLES = 1 << 20, MOST_ROUNDS = 100 };
static const double period = 2; /* seconds from poll to poll of one client */

typedef struct client {
  int fd;
  bool listens, waiting;
  double due, sent, asked; /* monotonic; the latter as the kernel's timestamps */
  size_t used;
  char in[BUFFER];
} client;

typedef struct load {
  int port, n;
  client *clients;
  struct pollfd *polls;
  char request[512];
  float *seconds; /* of each poll */
  int samples, failures;
  long events;
} load;

static void give_up(const char *what) {
  fprintf(stderr, "bench_serve: %s: %s\n", what, errno ? strerror(errno) : "no answer that can be understood");
  exit(1);
}

static int dial(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) != 0) give_up("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return s;
}

/* One request on a connection of its own; the whole answer in `out`. */
static void ask(int port, const char *method, const char *path, const char *body, char *out, size_t room) {
  char request[1024];
  int s = dial(port), n = snprintf(request, sizeof request,
                                   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                                   "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                   method, path, strlen(body), body);
  if (write(s, request, (size_t)n) != n) give_up("write");
  size_t used = 0;
  for (ssize_t got; used < room - 1 && (got = read(s, out + used, room - 1 - used)) > 0;) used += (size_t)got;
  out[used] = 0;
  close(s);
}

static double figure(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at ? strtod(at + strlen(name), NULL) : 0;
}

/* Seconds and steps of the sampler so far. */
static void sampler(int port, double *seconds, double *steps) {
  static char text[1 << 18];
  ask(port, "GET", "/metrics", "", text, sizeof text);
  *seconds = figure(text, "acestep_stage_seconds_total{stage=\"diffuse\"} ");
  *steps = figure(text, "acestep_stage_steps_total{stage=\"diffuse\"} ");
}

/* ---- clients ------------------------------------------------------------------------------------------------------- */

/* As the kernel's timestamps count. */
static double clock_real(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads what is there; *when: the kernel got it. As read(). */
static ssize_t receive(int s, char *out, size_t room, double *when) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct iovec to = {out, room};
  struct msghdr m = {.msg_iov = &to, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(s, &m, 0);
  *when = clock_real();
  for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h))
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(h), sizeof t);
      *when = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    }
  return n;
}

static void add_client(load *l, bool listens, const char *id, double due) {
  client *c = &l->clients[l->n];
  *c = (client){.fd = dial(l->port), .listens = listens, .due = due};
  int on = 1;
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  l->polls[l->n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
  if (!listens) return;
  char text[300];
  int n = snprintf(text, sizeof text, "GET /v1/events?task_id=%.36s HTTP/1.1\r\nHost: localhost\r\n\r\n", id);
  if (write(c->fd, text, (size_t)n) != n) give_up("write");
}

static void begin_poll(load *l, client *c, double now) {
  size_t n = strlen(l->request);
  c->asked = clock_real();
  if (write(c->fd, l->request, n) != (ssize_t)n) l->failures++;
  c->waiting = true, c->sent = now, c->used = 0;
}

/* The answer is there once its length is. */
static bool whole(const client *c) {
  const char *end = strstr(c->in, "\r\n\r\n"), *length = strstr(c->in, "Content-Length: ");
  return end && length && c->used >= (size_t)(end + 4 - c->in) + strtoul(length + 16, NULL, 10);
}

static void take(load *l, client *c) {
  double when;
  ssize_t got = receive(c->fd, c->in + c->used, BUFFER - 1 - c->used, &when);
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return;
    if (!c->listens) l->failures++;
    l->polls[c - l->clients].fd = -1;
    c->waiting = false, c->due = 1e300;
    return;
  }
  c->used += (size_t)got;
  c->in[c->used] = 0;
  if (c->listens) {
    for (const char *p = c->in; (p = strstr(p, "\nevent: ")); p++) l->events++;
    c->used = 0;
  } else if (c->waiting && whole(c)) {
    if (strncmp(c->in, "HTTP/1.1 200", 12) != 0) l->failures++;
    if (l->samples < MOST_SAMPLES) l->seconds[l->samples++] = (float)(when - c->asked);
    c->waiting = false, c->due = c->sent + period;
  }
}

static void turn(load *l) {
  double now = clock_seconds();
  for (int i = 0; i < l->n; i++)
    if (!l->clients[i].listens && !l->clients[i].waiting && l->clients[i].due <= now)
      begin_poll(l, &l->clients[i], now);
  if (poll(l->polls, (nfds_t)l->n, 2) <= 0) return;
  for (int i = 0; i < l->n; i++)
    if (l->polls[i].revents) take(l, &l->clients[i]);
}

/* ---- songs --------------------------------------------------------------------------------------------------------- */

static void submit(load *l, int duration, int steps) {
  char body[400], answer[4096];
  snprintf(body, sizeof body,
           "{\"prompt\":\"a\",\"duration\":%d,\"inference_steps\":%d,\"batch_size\":1,\"seed\":1,\"use_random_seed\":"
           "false,\"use_cot_caption\":false,\"use_cot_language\":false}",
           duration, steps);
  ask(l->port, "POST", "/release_task", body, answer, sizeof answer);
  const char *at = strstr(answer, "\"task_id\":\"");
  if (!at) give_up("submit");
  snprintf(body, sizeof body, "{\"task_id_list\":[\"%.36s\"]}", at + 11);
  snprintf(l->request, sizeof l->request,
           "POST /query_result HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
           "%zu\r\n\r\n%s",
           strlen(body), body);
}

static bool ended(load *l) {
  char answer[BUFFER];
  const char *body = strstr(l->request, "\r\n\r\n") + 4;
  ask(l->port, "POST", "/query_result", body, answer, sizeof answer);
  if (strstr(answer, "\"status\":2")) give_up("the song failed");
  return strstr(answer, "\"status\":1") != NULL;
}

/* Seconds a step, of a song with so many clients around it. */
static double song(load *l, int pollers, int listeners, int duration, int steps) {
  double seconds[2], n[2], now;
  sampler(l->port, &seconds[0], &n[0]);
  submit(l, duration, steps);
  now = clock_seconds();
  for (int i = 0; i < pollers; i++) add_client(l, false, "", now + period * i / pollers);
  for (int i = 0; i < listeners; i++) add_client(l, true, strstr(l->request, "[\"") + 2, 0);
  for (double next = now + 1; now < next || !ended(l); now = clock_seconds()) {
    if (now >= next) next = now + 1;
    if (l->n > 0) turn(l);
    else nanosleep(&(struct timespec){0, 200000000}, NULL);
  }
  sampler(l->port, &seconds[1], &n[1]);
  for (int i = 0; i < l->n; i++) close(l->clients[i].fd);
  l->n = 0;
  return (seconds[1] - seconds[0]) / (n[1] - n[0]);
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double processor(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts them. */
static double median(double *x, int n) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void tell_polls(load *l) {
  if (l->samples == 0) return;
  qsort(l->seconds, (size_t)l->samples, sizeof *l->seconds, by_size);
  printf("%d polls, %d failed; p50 %.2f ms, p99 %.2f ms, longest %.2f ms; %ld events heard\n", l->samples, l->failures,
         1e3 * (double)l->seconds[l->samples / 2], 1e3 * (double)l->seconds[l->samples * 99 / 100],
         1e3 * (double)l->seconds[l->samples - 1], l->events);
}

int main(int argc, char **argv) {
  int value[] = {0, 500, 50, 240, 60, 5};
  for (int i = 1; i < argc && i <= 6; i++) value[i - 1] = atoi(argv[i]);
  load l = {.port = value[0]};
  const int rounds = value[5];
  if (l.port <= 0 || value[1] < 1 || value[2] < 0 || value[1] + value[2] > MOST || rounds < 1 || rounds > MOST_ROUNDS) {
    fprintf(stderr,
            "bench_serve PORT [POLLERS [LISTENERS [DURATION [STEPS [ROUNDS]]]]], at most %d clients, %d rounds\n", MOST,
            MOST_ROUNDS);
    return 2;
  }
  l.clients = calloc(MOST, sizeof *l.clients), l.polls = calloc(MOST, sizeof *l.polls);
  l.seconds = malloc(MOST_SAMPLES * sizeof *l.seconds);
  if (!l.clients || !l.polls || !l.seconds) give_up("memory");
  double alone[MOST_ROUNDS], among[MOST_ROUNDS], ratio[MOST_ROUNDS], took = 0, used = 0;
  song(&l, 0, 0, value[3], 1); /* loads the model */
  for (int i = 0; i < rounds; i++) {
    alone[i] = song(&l, 0, 0, value[3], value[4]);
    double began = clock_seconds(), before = processor();
    among[i] = song(&l, value[1], value[2], value[3], value[4]);
    took += clock_seconds() - began, used += processor() - before;
    ratio[i] = among[i] / alone[i];
    printf("round %d: step alone %.2f ms, among clients %.2f ms: %.3f times\n", i + 1, 1e3 * alone[i], 1e3 * among[i],
           ratio[i]);
    fflush(stdout);
  }
  printf("median step alone %.2f ms, with %d pollers and %d listeners %.2f ms; median ratio %.3f\n",
         1e3 * median(alone, rounds), value[1], value[2], 1e3 * median(among, rounds), median(ratio, rounds));
  tell_polls(&l);
  printf("the clients took %.2f s of processor time in %.1f s, %.1f %% of one\n", used, took, 100 * used / took);
  free(l.clients), free(l.polls), free(l.seconds);
  return 0;
}
