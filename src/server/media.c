#include "server/media.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "request/text.h"

const char *media_type(const char *name) {
  static const char *const types[][2] = {{".mp3", "audio/mpeg"},
                                         {".wav", "audio/wav"},
                                         {".flac", "audio/flac"},
                                         {".opus", "audio/ogg"},
                                         {".ogg", "audio/ogg"},
                                         {".aac", "audio/aac"},
                                         {".m4a", "audio/mp4"},
                                         {".json", "application/json"},
                                         {".peaks", "application/json"},
                                         {".lrc", "text/plain; charset=utf-8"},
                                         {".vtt", "text/vtt; charset=utf-8"}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (string_ends(name, types[i][0])) return types[i][1];
  return "application/octet-stream";
}

static bool is_alphanumeric(char ch) {
  return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

bool media_plain_name(const char *name) {
  if (!is_alphanumeric(*name)) return false;
  for (const char *p = name; *p; p++)
    if (!is_alphanumeric(*p) && !strchr("._-", *p)) return false;
  return true;
}

void media_file_name(const char *title, char out[MEDIA_NAME]) {
  const size_t most = 120;
  size_t n = 0;
  for (const char *p = title; *p && n < most; p++) {
    bool bad = (unsigned char)*p < ' ' || *p == 0x7f || strchr("/\\:*?\"<>|", *p);
    if (n == 0 && (bad || *p == '.' || *p == ' ')) continue;
    out[n++] = bad ? '_' : *p;
  }
  while (n > 0 && (!req_utf8_valid(out, n) || out[n - 1] == '.' || out[n - 1] == ' ')) n--;
  snprintf(out + n, MEDIA_NAME - n, "%s", n ? "" : "song");
}

void media_set_name(call *c, const char *name) {
  req_text out = {0};
  req_text_add(&out, "attachment; filename=\"");
  for (const char *p = name; *p; p++) req_text_addf(&out, "%c", is_alphanumeric(*p) || strchr("._- ", *p) ? *p : '_');
  req_text_add(&out, "\"; filename*=UTF-8''");
  for (const char *p = name; *p; p++) {
    if (is_alphanumeric(*p) || strchr("._-", *p)) req_text_addf(&out, "%c", *p);
    else req_text_addf(&out, "%%%02X", (unsigned char)*p);
  }
  char *text = req_text_take(&out);
  if (text) http_set(c->http, "Content-Disposition", text);
  free(text);
}

void media_send(call *c, const char *path, const char *name, const char *title) {
  const char *dot = strrchr(name, '.');
  char base[MEDIA_NAME], whole[MEDIA_NAME + 32];
  if (title) {
    media_file_name(title, base);
    snprintf(whole, sizeof whole, "%s%.16s", base, dot && !string_ends(base, dot) ? dot : "");
    media_set_name(c, whole);
  }
  http_set(c->http, "Cache-Control", "private, no-cache");
  http_set(c->http, "X-Content-Type-Options", "nosniff");
  http_file(c->http, path, media_type(name));
}
