/* media.h - files as answers: their types, and the names under which a browser saves them. */
#ifndef ACE_SERVER_MEDIA_H
#define ACE_SERVER_MEDIA_H

#include "server/route.h"

/* By what the name ends in; "application/octet-stream" when that says nothing. */
const char *media_type(const char *name);
/* Letters, digits, dots, dashes; begins with a letter or digit. */
bool media_plain_name(const char *name);
/* Answers with the file. `title` (NULL: none) makes it a download of that name; it ends as `name` does, once. */
void media_send(call *c, const char *path, const char *name, const char *title);
/* A download of that name, whatever is in it: the header of the answer that follows. */
void media_set_name(call *c, const char *name);
/* A name for a file out of any text: without what file systems forbid, not empty, at most 120 bytes. */
enum { MEDIA_NAME = 128 };
void media_file_name(const char *title, char out[MEDIA_NAME]);

#endif
