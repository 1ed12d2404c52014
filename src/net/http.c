#define _GNU_SOURCE /* asprintf */
#include "net/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
  MOST_REDIRECTS = 5,
  MOST_HEADERS = 64 << 10, /* bytes of all lines */
  CONNECT_SECONDS = 10,
  PATIENCE = 30, /* seconds */
  POLL_MS = 100
};

/* One request under way. */
typedef struct flight {
  CURL *easy;
  net_request *r;
  struct curl_slist *headers;
  char *url;  /* owned: where it is now */
  bool keyed; /* the key goes along */
  int redirects;
  size_t header_bytes, excerpt_bytes;
  uint64_t got, at;
  int64_t length; /* of the whole body; -1: unknown */
  bool begun, ranged;
} flight;

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

static const char *after_scheme(const char *url) {
  if (strncasecmp(url, "http://", 7) == 0) return url + 7;
  if (strncasecmp(url, "https://", 8) == 0) return url + 8;
  return NULL;
}

const char *net_host(const char *url, char out[NET_HOST_SIZE]) {
  const char *host = after_scheme(url);
  size_t n = host ? strcspn(host, "/?#") : 0;
  for (const char *at; (at = n ? memchr(host, '@', n) : NULL);) { /* whatever stands before it is nobody's business */
    n -= (size_t)(at + 1 - host);
    host = at + 1;
  }
  if (n == 0) return strcpy(out, "?");
  snprintf(out, NET_HOST_SIZE, "%.*s", (int)(n < NET_HOST_SIZE ? n : NET_HOST_SIZE - 1), host);
  return out;
}

ace_status net_check_url(const char *url, const char *name, ace_error *err) {
  const char *host = after_scheme(url);
  if (!host || strcspn(host, "/?#") == 0)
    return ace_fail(err, ACE_EINVAL, "%s: the URL must look like http://host:port or https://host", name);
  if (memchr(host, '@', strcspn(host, "/?#")))
    return ace_fail(err, ACE_EINVAL, "%s: the URL holds a user or password; leave them out of it", name);
  for (const char *p = url; *p; p++)
    if ((unsigned char)*p <= ' ' || *p == 0x7f)
      return ace_fail(err, ACE_EINVAL, "%s: the URL holds a blank or a control character", name);
  return ACE_OK;
}

static bool is_secure(const char *url) {
  return strncasecmp(url, "https://", 8) == 0;
}

bool net_may_follow(const char *from, const char *to, bool *keep_key) {
  char a[NET_HOST_SIZE], b[NET_HOST_SIZE];
  *keep_key = is_secure(from) == is_secure(to) && strcasecmp(net_host(from, a), net_host(to, b)) == 0;
  return net_check_url(to, "redirect", NULL) == ACE_OK && (is_secure(to) || !is_secure(from));
}

/* ---- what arrives ------------------------------------------------------------------------------------------------ */

static bool is_body(const flight *f) {
  return f->r->status == 200 || f->r->status == 206;
}

/* "bytes 100-199/200": where the part begins, and the length of it. */
static void note_range(flight *f, const char *value) {
  uint64_t first, last;
  if (sscanf(value, " bytes %" SCNu64 "-%" SCNu64, &first, &last) != 2 || last < first) return;
  f->ranged = true;
  f->at = first;
}

static size_t on_header(char *line, size_t size, size_t n, void *user) {
  flight *f = user;
  char text[256], host[NET_HOST_SIZE];
  f->header_bytes += n;
  if (f->header_bytes > MOST_HEADERS) {
    ace_fail(&f->r->error, ACE_EFORMAT, "%s: the headers of its answer are longer than %d bytes",
             net_host(f->url, host), (int)MOST_HEADERS);
    return 0;
  }
  snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), line);
  if (strncmp(text, "HTTP/", 5) == 0) f->ranged = false, f->at = 0, f->length = -1;
  if (strncasecmp(text, "content-range:", 14) == 0) note_range(f, text + 14);
  if (strncasecmp(text, "content-length:", 15) == 0) f->length = strtoll(text + 15, NULL, 10);
  return n;
}

static ace_status begin_body(flight *f) {
  net_request *r = f->r;
  char host[NET_HOST_SIZE];
  f->begun = true;
  if (r->status == 206 && (!f->ranged || f->at != r->from))
    return ace_fail(&r->error, ACE_EFORMAT, "%s: it sent another part of the file than was asked for",
                    net_host(f->url, host));
  net_head head = {.at = r->status == 206 ? f->at : 0, .length = f->length};
  return r->begin ? r->begin(r->user, &head, &r->error) : ACE_OK;
}

static void keep_excerpt(flight *f, const char *bytes, size_t n) {
  size_t room = sizeof f->r->excerpt - 1 - f->excerpt_bytes;
  if (n > room) n = room;
  memcpy(f->r->excerpt + f->excerpt_bytes, bytes, n);
  f->excerpt_bytes += n;
  f->r->excerpt[f->excerpt_bytes] = 0;
}

static size_t on_data(char *bytes, size_t size, size_t n, void *user) {
  flight *f = user;
  net_request *r = f->r;
  char host[NET_HOST_SIZE];
  long status = 0;
  curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
  r->status = (int)status;
  if (!is_body(f)) {
    keep_excerpt(f, bytes, n);
    f->got += n;
    return f->got > MOST_HEADERS ? 0 : n; /* nobody reads more of an error than that */
  }
  if (!f->begun && begin_body(f) != ACE_OK) return 0;
  f->got += n;
  if (f->got > r->most) {
    ace_fail(&r->error, ACE_EFORMAT, "%s: it sends more than the %" PRIu64 " bytes that are expected",
             net_host(f->url, host), r->most);
    return 0;
  }
  return r->data(r->user, bytes, n, &r->error) == ACE_OK ? n : 0;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static bool add_header(flight *f, const char *line) {
  struct curl_slist *grown = curl_slist_append(f->headers, line);
  if (grown) f->headers = grown;
  return grown != NULL;
}

static bool add_key(flight *f) {
  char *line;
  if (asprintf(&line, "Authorization: Bearer %s", f->r->bearer) < 0) return false;
  bool ok = add_header(f, line);
  secret_free(line);
  return ok;
}

static void set_limits(const flight *f) {
  const net_request *r = f->r;
  curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
  curl_easy_setopt(f->easy, CURLOPT_TIMEOUT, (long)r->seconds);
  curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, (long)(r->patience > 0 ? r->patience : PATIENCE));
  curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "acestep/" ACE_VERSION);
}

/* The options of a request at its present URL. False: out of memory. */
static bool set_up(flight *f) {
  const net_request *r = f->r;
  curl_easy_reset(f->easy);
  curl_slist_free_all(f->headers);
  f->headers = NULL;
  set_limits(f);
  bool ok = curl_easy_setopt(f->easy, CURLOPT_URL, f->url) == CURLE_OK && add_header(f, "Accept: */*");
  if (r->bearer && f->keyed) ok = ok && add_key(f);
  if (r->body) {
    ok = ok && add_header(f, "Content-Type: application/json") && add_header(f, "Expect:");
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_length);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, r->body);
  }
  if (r->from > 0) {
    char range[32];
    snprintf(range, sizeof range, "%" PRIu64 "-", r->from);
    ok = ok && curl_easy_setopt(f->easy, CURLOPT_RANGE, range) == CURLE_OK;
  }
  curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
  curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
  curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
  curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
  f->header_bytes = f->excerpt_bytes = 0;
  f->got = 0;
  f->begun = false;
  return ok;
}

static void land(flight *f) {
  curl_easy_cleanup(f->easy);
  curl_slist_free_all(f->headers);
  free(f->url);
  *f = (flight){0};
}

/* Fills r->error on failure. */
static bool take_off(flight *f, net_request *r, CURLM *multi) {
  r->status = 0;
  r->again = false;
  r->excerpt[0] = 0;
  r->error = (ace_error){0};
  if (net_check_url(r->url, "request", &r->error) != ACE_OK) return false;
  *f = (flight){.r = r, .keyed = true, .easy = curl_easy_init(), .url = strdup(r->url), .length = -1};
  if (f->easy && f->url && set_up(f) && curl_multi_add_handle(multi, f->easy) == CURLM_OK) return true;
  ace_fail(&r->error, ACE_ENOMEM, "network: out of memory");
  land(f);
  return false;
}

/* ---- how it ended ------------------------------------------------------------------------------------------------ */

static void explain_curl(flight *f, CURLcode code) {
  net_request *r = f->r;
  char host[NET_HOST_SIZE];
  net_host(f->url, host);
  r->again = true;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      ace_fail(&r->error, ACE_ENOTFOUND, "%s: there is no such host; check the URL and the network", host);
      break;
    case CURLE_COULDNT_RESOLVE_PROXY:
      ace_fail(&r->error, ACE_ENOTFOUND, "%s: the proxy is not found; check the variables http_proxy and https_proxy",
               host);
      break;
    case CURLE_COULDNT_CONNECT:
      ace_fail(&r->error, ACE_EIO, "%s: nothing answers there; is the server running, and is the port right?", host);
      break;
    case CURLE_OPERATION_TIMEDOUT:
      ace_fail(&r->error, ACE_EIO, "%s: it is too slow: no complete answer in time; try again later", host);
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
      r->again = false;
      ace_fail(&r->error, ACE_EIO, "%s: no trusted connection: %s; check its certificate and the system's clock", host,
               curl_easy_strerror(code));
      break;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      ace_fail(&r->error, ACE_EIO, "%s: the connection broke off before the answer was complete; try again", host);
      break;
    case CURLE_OUT_OF_MEMORY:
      r->again = false;
      ace_fail(&r->error, ACE_ENOMEM, "%s: out of memory", host);
      break;
    default: r->again = false; ace_fail(&r->error, ACE_EIO, "%s: %s", host, curl_easy_strerror(code));
  }
}

static void explain_status(flight *f) {
  net_request *r = f->r;
  char host[NET_HOST_SIZE];
  net_host(f->url, host);
  r->again = r->status == 408 || r->status == 429 || r->status >= 500;
  if (r->status == 401 || r->status == 403)
    ace_fail(&r->error, ACE_EINVAL, "%s: it refuses access (HTTP %d); %s", host, r->status,
             r->bearer ? "is the key right, and has its owner been given access?" : "it wants a key");
  else if (r->status == 404)
    ace_fail(&r->error, ACE_ENOTFOUND, "%s: there is no such thing there (HTTP 404); check the URL", host);
  else if (r->status == 429) ace_fail(&r->error, ACE_EIO, "%s: too many requests (HTTP 429); try again later", host);
  else if (r->status >= 500)
    ace_fail(&r->error, ACE_EIO, "%s: the server failed (HTTP %d); try again later", host, r->status);
  else ace_fail(&r->error, ACE_EFORMAT, "%s: it answers with HTTP %d", host, r->status);
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* True: the flight goes on at another URL. */
static bool follow(flight *f, CURLM *multi) {
  net_request *r = f->r;
  const char *to = NULL;
  bool keep;
  char host[NET_HOST_SIZE];
  net_host(f->url, host);
  curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &to);
  if (r->body || !to)
    ace_fail(&r->error, ACE_EFORMAT, "%s: it redirects (HTTP %d); give the URL of the server itself", host, r->status);
  else if (f->redirects++ >= MOST_REDIRECTS)
    ace_fail(&r->error, ACE_EFORMAT, "%s: it redirects more than %d times", host, (int)MOST_REDIRECTS);
  else if (!net_may_follow(f->url, to, &keep))
    ace_fail(&r->error, ACE_EFORMAT, "%s: it redirects from https to something less safe, which is not followed", host);
  else {
    char *url = strdup(to);
    curl_multi_remove_handle(multi, f->easy);
    free(f->url);
    f->url = url;
    f->keyed = f->keyed && keep;
    r->status = 0;
    r->excerpt[0] = 0;
    if (url && set_up(f) && curl_multi_add_handle(multi, f->easy) == CURLM_OK) return true;
    ace_fail(&r->error, ACE_ENOMEM, "%s: out of memory", host);
  }
  return false;
}

/* True: it is over, and r->error says how. */
static bool conclude(flight *f, CURLcode code, CURLM *multi) {
  net_request *r = f->r;
  long status = 0;
  curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
  r->status = (int)status;
  if (r->error.status != ACE_OK) return true; /* said where it was noticed */
  bool cut = code == CURLE_WRITE_ERROR && !is_body(f) && status > 0;
  if (code != CURLE_OK && !cut) {
    explain_curl(f, code);
  } else if (is_redirect(r->status)) {
    if (follow(f, multi)) return false;
  } else if (!is_body(f)) {
    explain_status(f);
  } else if (!f->begun) {
    begin_body(f); /* an empty body */
  }
  if (r->bearer && *r->bearer && strstr(r->excerpt, r->bearer)) r->excerpt[0] = 0;
  return true;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

typedef struct traffic {
  const net_queue *q;
  CURLM *multi;
  flight in[NET_MOST_AT_ONCE];
  int n;
  bool ended;  /* nothing is left to start */
  bool landed; /* one has just come to its end: there may be room for another */
} traffic;

static ace_status start_more(traffic *t, ace_error *err) {
  while (!t->ended && t->n < t->q->at_once) {
    net_request *r = NULL;
    net_turn turn = t->q->next(t->q->user, &r);
    if (turn == NET_WAIT) break;
    t->ended = turn == NET_END;
    if (t->ended) break;
    flight *f = t->in;
    while (f->r) f++;
    if (take_off(f, r, t->multi)) {
      t->n++;
    } else {
      ace_status status = t->q->done(t->q->user, r, err);
      if (status != ACE_OK) return status;
    }
  }
  return ACE_OK;
}

static ace_status collect(traffic *t, ace_error *err) {
  ace_status status = ACE_OK;
  int left;
  for (CURLMsg *m; status == ACE_OK && (m = curl_multi_info_read(t->multi, &left));) {
    flight *f = NULL;
    if (m->msg != CURLMSG_DONE) continue;
    CURLcode code = m->data.result;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
    if (!conclude(f, code, t->multi)) continue;
    net_request *r = f->r;
    curl_multi_remove_handle(t->multi, f->easy);
    land(f);
    t->n--;
    t->landed = true;
    t->ended = false; /* it may want another try */
    status = t->q->done(t->q->user, r, err);
  }
  return status;
}

ace_status net_run(const net_queue *q, ace_error *err) {
  traffic t = {.q = q, .multi = curl_multi_init()};
  if (!t.multi) return ace_fail(err, ACE_ENOMEM, "network: out of memory");
  ace_status status = ACE_OK;
  for (;;) {
    int running = 0;
    t.landed = false;
    status = start_more(&t, err);
    if (status != ACE_OK || (t.ended && t.n == 0)) break;
    if (q->cancelled && q->cancelled(q->user)) {
      status = ace_fail(err, ACE_ECANCELED, "cancelled");
      break;
    }
    curl_multi_perform(t.multi, &running);
    status = collect(&t, err);
    if (status != ACE_OK) break;
    if (!t.landed && running == t.n) curl_multi_poll(t.multi, NULL, 0, POLL_MS, NULL);
  }
  for (int i = 0; i < NET_MOST_AT_ONCE; i++) {
    if (!t.in[i].r) continue;
    curl_multi_remove_handle(t.multi, t.in[i].easy);
    land(&t.in[i]);
  }
  curl_multi_cleanup(t.multi);
  return status;
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

ace_status net_text_add(net_text *t, const void *bytes, size_t n, ace_error *err) {
  if (t->length + n + 1 > t->room) {
    size_t room = 2 * (t->length + n + 1);
    char *grown = realloc(t->data, room);
    if (!grown) return ace_fail(err, ACE_ENOMEM, "network: out of memory");
    t->data = grown;
    t->room = room;
  }
  memcpy(t->data + t->length, bytes, n);
  t->length += n;
  t->data[t->length] = 0;
  return ACE_OK;
}

bool net_retry_again(net_retry *r, int most) {
  if (++r->tries >= most) return false;
  r->not_before = clock_seconds() + 0.25 * (1 << r->tries);
  return true;
}

typedef struct exchange {
  net_request *r;
  net_text text;
  bool started;
  bool (*cancelled)(void *user);
  void *user;
} exchange;

static ace_status keep_text(void *user, const void *bytes, size_t n, ace_error *err) {
  exchange *x = user;
  return net_text_add(&x->text, bytes, n, err);
}

static net_turn only_one(void *user, net_request **out) {
  exchange *x = user;
  if (x->started) return NET_END;
  x->started = true;
  *out = x->r;
  return NET_START;
}

static ace_status only_done(void *user, net_request *r, ace_error *err) {
  if (r->error.status == ACE_OK) return ACE_OK;
  return ace_fail(err, r->error.status, "%s", r->error.message);
}

static bool exchange_cancelled(void *user) {
  exchange *x = user;
  return x->cancelled && x->cancelled(x->user);
}

ace_status net_exchange(net_request *r, size_t most, net_text *out, bool (*cancelled)(void *user), void *user,
                        ace_error *err) {
  exchange x = {.r = r, .cancelled = cancelled, .user = user};
  r->begin = NULL;
  r->data = keep_text;
  r->user = &x;
  r->most = most;
  r->from = 0;
  *out = (net_text){0};
  ace_status status = keep_text(&x, "", 0, err);
  const net_queue q = {.at_once = 1, .next = only_one, .done = only_done, .cancelled = exchange_cancelled, .user = &x};
  if (status == ACE_OK) status = net_run(&q, err);
  if (status == ACE_OK) *out = x.text;
  else free(x.text.data);
  return status;
}
