/* api_page.c - the studio's page: its files, which are built into the program, and the table of parameters that its form
 * is made of.
 *
 * Files lie in the program as they are and, where that is shorter, with ".gz" behind their name. Those in assets carry a
 * hash of their content in their name, so a browser may keep them for ever; the page itself is asked for again each time
 * and answered with 304 as long as it is the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embed.h"
#include "request/request.h"
#include "server/route.h"
#include "server/session.h"

extern const embedded page_files[];

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

static const char *type_of(const char *name) {
  static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                         {".js", "text/javascript; charset=utf-8"},
                                         {".css", "text/css; charset=utf-8"},
                                         {".json", "application/json"},
                                         {".svg", "image/svg+xml"},
                                         {".woff2", "font/woff2"}};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
    if (strcmp(dot, types[i][0]) == 0) return types[i][1];
  return "application/octet-stream";
}

/* A tag that tells contents apart (FNV-1a, 64 bits). */
static void tag_of(const void *data, size_t size, char tag[24]) {
  const unsigned char *p = data;
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 0x100000001b3u;
  snprintf(tag, 24, "\"%016" PRIx64 "\"", h);
}

static bool takes_gzip(const call *c) {
  const char *accepted = http_header(c->http, "Accept-Encoding"), *at = accepted ? strstr(accepted, "gzip") : NULL;
  return at && strncmp(at, "gzip;q=0,", 9) != 0 && strcmp(at, "gzip;q=0") != 0;
}

/* With its tag; 304 when the client has it already. */
static void send_tagged(call *c, const char *type, const void *data, size_t size) {
  char tag[24];
  tag_of(data, size, tag);
  http_set(c->http, "ETag", tag);
  http_set(c->http, "X-Content-Type-Options", "nosniff");
  const char *known = http_header(c->http, "If-None-Match");
  if (known && strstr(known, tag)) http_bytes(c->http, 304, NULL, "", 0);
  else http_bytes(c->http, 200, type, data, size);
}

static void send_file(call *c, const char *name, const char *keep) {
  char short_name[256];
  const embedded *plain = embedded_find(page_files, name), *packed = NULL;
  if (!plain) {
    reply_detail(c, 404, "Not Found");
    return;
  }
  if (snprintf(short_name, sizeof short_name, "%s.gz", name) < (int)sizeof short_name)
    packed = embedded_find(page_files, short_name);
  http_set(c->http, "Cache-Control", keep);
  if (packed) http_set(c->http, "Vary", "Accept-Encoding");
  if (!packed || !takes_gzip(c)) packed = NULL;
  if (packed) http_set(c->http, "Content-Encoding", "gzip");
  const embedded *sent = packed ? packed : plain;
  send_tagged(c, type_of(name), sent->data, sent->size);
}

static void get_page(call *c) {
  session_open(c);
  http_set(c->http, "Content-Security-Policy", policy);
  http_set(c->http, "Referrer-Policy", "no-referrer");
  send_file(c, "index.html", "no-cache");
}

static void get_asset(call *c) {
  char name[ROUTE_PART + 16];
  if (snprintf(name, sizeof name, "assets/%s", c->part[0]) < (int)sizeof name)
    send_file(c, name, "public, max-age=31536000, immutable");
  else reply_detail(c, 404, "Not Found");
}

/* GET /v1/parameters: the JSON Schema of a request with the page's defaults. */
static void get_parameters(call *c) {
  char *schema = ace_request_schema(ACE_PROFILE_PAGE);
  http_set(c->http, "Cache-Control", "no-cache");
  if (schema) send_tagged(c, "application/json", schema, strlen(schema));
  else reply_detail(c, 500, "out of memory");
  free(schema);
}

const route routes_page[] = {
    {"GET", "/", AUTH_NONE, BODY_NONE, false, get_page, "The page", NULL, "text/html"},
    {"GET", "/assets/*", AUTH_NONE, BODY_NONE, false, get_asset, "Files of the page", NULL, "application/octet-stream"},
    {"GET", "/v1/parameters", AUTH_NONE, BODY_NONE, false, get_parameters, "Every parameter of a song as JSON Schema",
     NULL, "=:object"},
    {0},
};
