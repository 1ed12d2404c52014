/* chat_request.h - a chat completion becomes the body of a song: what the text means, what the sounds are for. */
#ifndef ACE_SERVER_CHAT_REQUEST_H
#define ACE_SERVER_CHAT_REQUEST_H

#include "server/route.h"

/* From the body of POST /v1/chat/completions to that of /release_task, a new reference; sounds that came with it lie in
 * the folder for uploads and are listed under "uploads". NULL: answered with 400. */
json_t *chat_song(call *c);

/* What a text means: its <prompt> and <lyrics> if it has such parts, else lyrics when it looks like them, else a prompt.
 * Both are to be freed; NULL for what is not there. False when out of memory. */
bool chat_split(const char *text, char **prompt, char **lyrics);

/* Base64 as in data URLs ("data:audio/mpeg;base64,...", or the digits alone). free() it; NULL: it is none. */
uint8_t *chat_decode(const char *text, size_t *length);
/* free() it; NULL when out of memory. */
char *chat_encode(const uint8_t *data, size_t length);

#endif
