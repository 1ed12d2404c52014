/* http.h - asking other machines: requests with deadlines and limits, several at a time, that can be cancelled.
 *
 *   net_request r = {.url = "https://host/file", .from = 1000, .most = 5000, .data = write_it, .user = file};
 *   net_run(&(net_queue){.next = next, .done = done, .at_once = 4, .cancelled = stop, .user = job}, &err);
 *   ... or, for one answer in memory ...
 *   net_text answer;
 *   if (net_exchange(&r, 1 << 20, &answer, stop, job, &err) == ACE_OK) { ... r.status ...; free(answer.data); }
 *
 * Everything runs on the calling thread. TLS certificates are checked; proxies come from the usual variables of the
 * environment. A GET follows at most five redirects, never from https to http, and takes its key to no other server; a
 * POST follows none. Messages name the host and what to do, never a key, a query or a password.
 */
#ifndef ACE_NET_HTTP_H
#define ACE_NET_HTTP_H

#include "base/error.h"

enum { NET_MOST_AT_ONCE = 16, NET_HOST_SIZE = 128 };

/* What the answer says before its body. */
typedef struct net_head {
  uint64_t at;    /* where in the file the body begins: 0, or `from` when the server resumes */
  int64_t length; /* of this body in bytes; -1: not announced */
} net_head;

typedef struct net_request {
  /* asked */
  const char *url;    /* http or https, without user and password */
  const char *bearer; /* key; NULL: none */
  const char *body;   /* JSON, sent with POST; NULL: GET */
  size_t body_length;
  uint64_t from; /* first byte wanted; above 0 the server may still send all: see net_head */
  uint64_t most; /* bytes of body that are accepted */
  int seconds;   /* for the whole answer; 0: as long as something arrives */
  int patience;  /* seconds without a byte after which it is given up; 0: 30 */
  /* Called for answers 200 and 206 alone; a failure ends this request. `begin` may be NULL. */
  ace_status (*begin)(void *user, const net_head *head, ace_error *err);
  ace_status (*data)(void *user, const void *bytes, size_t n, ace_error *err);
  void *user;
  /* answered */
  int status;         /* of HTTP; 0: none came */
  bool again;         /* a failure that may pass: trying again makes sense */
  char excerpt[1024]; /* beginning of the body of an answer that is not 200 or 206, "" when it repeats the key */
  ace_error error;    /* ACE_OK: the body has come to its end */
} net_request;

typedef enum net_turn { NET_START, NET_WAIT, NET_END } net_turn;

typedef struct net_queue {
  int at_once; /* 1..NET_MOST_AT_ONCE */
  /* The next request, which must stay where it is until it is done; NET_WAIT: not yet; NET_END: none is left. */
  net_turn (*next)(void *user, net_request **out);
  /* A request came to its end, well or not. A failure returned here ends all the others. */
  ace_status (*done)(void *user, net_request *r, ace_error *err);
  bool (*cancelled)(void *user); /* polled ten times a second; may be NULL */
  void *user;
} net_queue;

/* Runs until `next` says NET_END and nothing is under way. */
ace_status net_run(const net_queue *q, ace_error *err);

typedef struct net_text {
  char *data; /* NUL-terminated; free() it */
  size_t length, room;
} net_text;

/* What a request's `data` does that keeps the answer: appends, and leaves a NUL behind it. */
ace_status net_text_add(net_text *t, const void *bytes, size_t n, ace_error *err);

/* After a failure that may pass (net_request.again): whether to ask again, and when. Zero at first. */
typedef struct net_retry {
  int tries;
  double not_before; /* clock_seconds */
} net_retry;
/* False: it has failed `most` times, which is enough. Else the next time is set, each twice as far away. */
bool net_retry_again(net_retry *r, int most);

/* One request, its answer of at most `most` bytes in memory; `begin`, `data`, `user`, `most` of the request are set.
 * Answers other than 200 are failures: r->status tells which. */
ace_status net_exchange(net_request *r, size_t most, net_text *out, bool (*cancelled)(void *user), void *user,
                        ace_error *err);

/* The host of a URL with its port if it names one, for messages; "?" when there is none. */
const char *net_host(const char *url, char out[NET_HOST_SIZE]);
/* Fails for anything but http and https, for user and password, for blanks and control characters. `name`: what the URL
 * is called in the message. */
ace_status net_check_url(const char *url, const char *name, ace_error *err);
/* Whether a redirect may be followed, and whether the key may travel with it. */
bool net_may_follow(const char *from, const char *to, bool *keep_key);

#endif
