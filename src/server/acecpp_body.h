/* acecpp_body.h - bodies of acestep.cpp's protocol: JSON or multipart forms in, sounds and latents out. */
#ifndef ACE_SERVER_ACECPP_BODY_H
#define ACE_SERVER_ACECPP_BODY_H

#include "server/route.h"

/* {"error": text} */
void acecpp_refuse(call *c, int status, const char *text);

/* What a call brings; members are owned. */
typedef struct acecpp_body {
  json_t *requests;                                /* an array of objects; empty: none was sent */
  char *audio, *latents, *ref_audio, *ref_latents; /* files in the folder for uploads; NULL: not there */
} acecpp_body;

/* The whole body, JSON or a form; `form`: nothing but a form will do, which is refused with `needs`. False: answered. */
bool acecpp_body_read(call *c, const char *needs, acecpp_body *out);
/* Frees it; files that no job has taken over go. */
void acecpp_body_free(acecpp_body *b, bool taken);

/* One part of a multipart answer; frees nothing. */
typedef struct acecpp_part {
  const char *type;
  bool latent;
  const char *data;
  size_t size;
} acecpp_part;
void acecpp_send_parts(call *c, const acecpp_part *part, int n);

/* The file as 24-bit PCM in WAV; free() it, NULL on failure. */
char *acecpp_wav24(const char *path, size_t *size, ace_error *err);

#endif
