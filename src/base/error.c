#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ace_status_name(ace_status status) {
  switch (status) {
    case ACE_OK: return "ok";
    case ACE_EINVAL: return "invalid";
    case ACE_EFORMAT: return "format";
    case ACE_ENOTFOUND: return "missing";
    case ACE_EIO: return "io";
    case ACE_ENOMEM: return "memory";
    case ACE_ECANCELED: return "cancelled";
    case ACE_EUNSUPPORTED: return "unsupported";
    case ACE_EINTERNAL: return "internal";
    case ACE_EBUSY: return "busy";
  }
  return "unknown";
}

/* A message is one line whatever the names from outside that it quotes. */
static void keep_one_line(char *message) {
  for (; *message; message++)
    if ((unsigned char)*message < 0x20 || *message == 0x7f) *message = '?';
}

ace_status ace_fail(ace_error *err, ace_status status, const char *format, ...) {
  if (!err) return status;
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  keep_one_line(err->message);
  err->status = status;
  return status;
}

ace_status ace_fail_errno(ace_error *err, const char *format, ...) {
  int reason = errno;
  ace_status status = reason == ENOENT || reason == ENOTDIR ? ACE_ENOTFOUND : reason == ENOMEM ? ACE_ENOMEM : ACE_EIO;
  if (!err) return status;
  va_list args;
  va_start(args, format);
  int used = vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  char text[128];
  if (strerror_r(reason, text, sizeof text) != 0) snprintf(text, sizeof text, "error %d", reason);
  if (used >= 0 && (size_t)used < sizeof err->message)
    snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", text);
  keep_one_line(err->message);
  err->status = status;
  return status;
}
