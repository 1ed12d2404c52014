#include "server/session.h"

#include <nettle/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"

enum { TOKEN = 32, YEAR = 365 * 24 * 3600, SIGNED_IN = 30 * 24 * 3600, PEERS = 64, TRIES = 8, CLOSED_SECONDS = 60 };

static const char cookie[] = "acestep_session", login_cookie[] = "acestep_login";

typedef struct peer {
  char address[64];
  int failures;
  double last; /* monotonic seconds */
} peer;

struct logins {
  char key[HASH_HEX]; /* of the codes */
  pthread_mutex_t lock;
  peer peer[PEERS];
};

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

static bool is_token(const char *text) {
  return text && strlen(text) == TOKEN && strspn(text, "0123456789abcdef") == TOKEN;
}

static void name_session(call *c, const char *token) {
  char hex[HASH_HEX];
  hash_memory(token, TOKEN, hex);
  snprintf(c->session, sizeof c->session, "web:%.32s", hex);
}

void session_of(call *c) {
  const char *token = http_cookie(c->http, cookie);
  if (is_token(token)) name_session(c, token);
  else snprintf(c->session, sizeof c->session, "api:%s", http_peer(c->http));
}

static void set_cookie(call *c, const char *name, const char *value, long seconds) {
  char text[512];
  const char *base = server_settings(c->server)->base;
  snprintf(text, sizeof text, "%s=%s; Path=%.200s; Max-Age=%ld; HttpOnly; SameSite=Lax%s", name, value,
           *base ? base : "/", seconds, http_secure(c->http) ? "; Secure" : "");
  http_set(c->http, "Set-Cookie", text);
}

void session_open(call *c) {
  unsigned char bytes[TOKEN / 2];
  char token[TOKEN + 1];
  if (is_token(http_cookie(c->http, cookie)) || !random_bytes(bytes, sizeof bytes)) return;
  for (size_t i = 0; i < sizeof bytes; i++) snprintf(token + 2 * i, 3, "%02x", bytes[i]);
  set_cookie(c, cookie, token, YEAR);
  name_session(c, token);
}

/* ---- signing in -------------------------------------------------------------------------------------------------- */

bool session_same_secret(const char *given, const char *secret) {
  size_t n = strlen(given), m = strlen(secret);
  unsigned different = n != m;
  for (size_t i = 0; i < n; i++) different |= (unsigned char)given[i] ^ (unsigned char)secret[m ? i % m : 0];
  return different == 0;
}

session_question session_asks(const call *c) {
  const server_options *o = server_settings(c->server);
  if (o->password && *o->password) return SESSION_ASKS_PASSWORD;
  return o->api_key && *o->api_key ? SESSION_ASKS_KEY : SESSION_ASKS_NOTHING;
}

/* The code over a session and an end date. */
static void code_of(const logins *l, const char *session, long long end, char out[HASH_HEX]) {
  char text[160];
  uint8_t digest[SHA256_DIGEST_SIZE];
  struct hmac_sha256_ctx state;
  int n = snprintf(text, sizeof text, "%s %lld", session, end);
  hmac_sha256_set_key(&state, HASH_HEX - 1, (const uint8_t *)l->key);
  hmac_sha256_update(&state, (size_t)n, (const uint8_t *)text);
  hmac_sha256_digest(&state, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

bool session_signed_in(const call *c) {
  const char *given = http_cookie(c->http, login_cookie);
  char *dot, code[HASH_HEX];
  if (!given || !is_token(http_cookie(c->http, cookie))) return false;
  long long end = strtoll(given, &dot, 10);
  if (*dot != '.' || end < (long long)time(NULL)) return false;
  code_of(server_logins(c->server), c->session, end, code);
  return session_same_secret(dot + 1, code);
}

/* The entry of an address, or the one that was idle for the longest time made new. The lock is held. */
static peer *entry_of(logins *l, const char *address) {
  peer *oldest = &l->peer[0];
  for (int i = 0; i < PEERS; i++) {
    if (strcmp(l->peer[i].address, address) == 0) return &l->peer[i];
    if (l->peer[i].last < oldest->last) oldest = &l->peer[i];
  }
  *oldest = (peer){.failures = 0};
  snprintf(oldest->address, sizeof oldest->address, "%s", address);
  return oldest;
}

/* May this address try? Then it has tried; success takes it back. */
static bool may_try(logins *l, const char *address) {
  double now = clock_seconds();
  pthread_mutex_lock(&l->lock);
  peer *p = entry_of(l, address);
  if (now - p->last > CLOSED_SECONDS) p->failures = 0;
  bool open = p->failures < TRIES;
  if (open) p->failures++, p->last = now;
  pthread_mutex_unlock(&l->lock);
  return open;
}

static void forgive(logins *l, const char *address) {
  pthread_mutex_lock(&l->lock);
  entry_of(l, address)->failures = 0;
  pthread_mutex_unlock(&l->lock);
}

static bool shows_right(const call *c) {
  const server_options *o = server_settings(c->server);
  const char *user = json_text(c->body, "user"), *password = json_text(c->body, "password"),
             *key = json_text(c->body, "key");
  if (session_asks(c) == SESSION_ASKS_KEY) return session_same_secret(*key ? key : password, o->api_key);
  bool known = session_same_secret(user, o->user ? o->user : "");
  return session_same_secret(password, o->password) && known;
}

bool session_sign_in(call *c) {
  logins *l = server_logins(c->server);
  char text[HASH_HEX + 32], code[HASH_HEX];
  if (session_asks(c) == SESSION_ASKS_NOTHING) return true;
  if (!may_try(l, http_peer(c->http))) {
    refuse(c, 429, "login_closed", NULL, "too many attempts; try again in a minute");
    return false;
  }
  if (!shows_right(c)) {
    refuse(c, 401, "login", NULL, "this is not right");
    return false;
  }
  forgive(l, http_peer(c->http));
  session_open(c);
  long long end = (long long)time(NULL) + SIGNED_IN;
  code_of(l, c->session, end, code);
  snprintf(text, sizeof text, "%lld.%s", end, code);
  set_cookie(c, login_cookie, text, SIGNED_IN);
  return true;
}

void session_sign_out(call *c) {
  set_cookie(c, login_cookie, "", 0);
}

/* ---- the secret -------------------------------------------------------------------------------------------------- */

/* Made once, then kept in the database. */
static json_t *secret_of(jobs *q, ace_error *err) {
  unsigned char bytes[32];
  char hex[HASH_HEX];
  json_t *secret = jobs_recall(q, "", "server", "secret", false, NULL);
  if (secret) return secret;
  if (!random_bytes(bytes, sizeof bytes)) {
    ace_fail_errno(err, "server: no random numbers");
    return NULL;
  }
  hash_memory(bytes, sizeof bytes, hex);
  secret = json_pack("{s:s}", "text", hex);
  if (secret && jobs_keep(q, "", "server", "secret", secret, 1, err) == ACE_OK) return secret;
  json_decref(secret);
  return NULL;
}

static void add_text(hash *h, const char *text) {
  if (text) hash_add(h, text, strlen(text));
  hash_add(h, "", 1);
}

logins *logins_new(const server_options *o, ace_error *err) {
  logins *l = calloc(1, sizeof *l);
  json_t *secret = l ? secret_of(service_jobs(o->service), err) : NULL;
  if (!secret) {
    if (!l) ace_fail(err, ACE_ENOMEM, "server: out of memory");
    free(l);
    return NULL;
  }
  hash h;
  hash_begin(&h);
  add_text(&h, json_text(secret, "text"));
  add_text(&h, o->user), add_text(&h, o->password), add_text(&h, o->api_key);
  hash_end(&h, l->key);
  json_decref(secret);
  pthread_mutex_init(&l->lock, NULL);
  return l;
}

void logins_free(logins *l) {
  if (!l) return;
  memset(l->key, 0, sizeof l->key);
  pthread_mutex_destroy(&l->lock);
  free(l);
}
