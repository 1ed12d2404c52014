/* http_proxy.c - who the client is when a proxy stands between: the forwarded headers, believed from known proxies only. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/http_inner.h"

static bool is_proxy(const http *h, const char *address) {
  for (const char *const *p = h->options.proxies; p && *p; p++)
    if (strcmp(*p, address) == 0) return true;
  return false;
}

static bool is_address(const char *text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* The last of the list that is no proxy of ours: what stands before it was written by whoever asked. */
static void name_client(http_call *c, const char *list) {
  char address[sizeof c->peer];
  for (size_t end = strlen(list); end > 0;) {
    size_t from = end;
    while (from > 0 && list[from - 1] != ',') from--;
    const char *p = list + from;
    size_t n = end - from;
    while (n > 0 && isspace((unsigned char)*p)) p++, n--;
    while (n > 0 && isspace((unsigned char)p[n - 1])) n--;
    if (n == 0 || n >= sizeof address) return;
    snprintf(address, sizeof address, "%.*s", (int)n, p);
    if (!is_address(address)) return;
    strcpy(c->peer, address);
    if (!is_proxy(c->server, address)) return;
    end = from > 0 ? from - 1 : 0;
  }
}

/* Some proxies add a line of their own behind the client's. */
static enum MHD_Result take_last(void *last, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  if (strcasecmp(name, "X-Forwarded-For") == 0) *(const char **)last = value;
  return MHD_YES;
}

void http_believe_proxy(http_call *c) {
  const char *list = NULL;
  c->proxied = is_proxy(c->server, c->peer);
  if (c->proxied) MHD_get_connection_values(c->connection, MHD_HEADER_KIND, take_last, &list);
  if (list) name_client(c, list);
}

bool http_secure(const http_call *c) {
  const char *scheme = c->proxied ? http_header(c, "X-Forwarded-Proto") : NULL;
  return scheme ? strcasecmp(scheme, "https") == 0 : c->server->options.certificate != NULL;
}

const char *http_host(const http_call *c) {
  const char *host = c->proxied ? http_header(c, "X-Forwarded-Host") : NULL;
  return host ? host : http_header(c, "Host");
}
