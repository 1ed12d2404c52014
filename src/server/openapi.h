/* openapi.h - the description of the API (OpenAPI 3.1), made from the table that dispatches and the table of parameters.
 *
 * What a route takes and gives stands beside it, in words of one line:
 *
 *   "model? slot?:int request:Song ids:[text]"     fields by spaces; "?": may be missing; without ":TYPE" it is text
 *   ":[Job]"                                       the whole is a list of jobs
 *   "=id object:[Model]"                           of an answer: JSON without the envelope
 *   "audio/wav"                                    of an answer: bytes of that type
 *
 * Types: text, int, number, bool, object, list, any, file; a word that begins with a capital is a schema of this document.
 * `takes` is the query of a route without body, else the body.
 */
#ifndef ACE_SERVER_OPENAPI_H
#define ACE_SERVER_OPENAPI_H

#include "server/route.h"

/* A new reference; NULL when out of memory or when a table is wrong, which the tests find. `base` is the path that the
 * server lies under, "" for none. */
json_t *openapi_document(const char *base);
/* "/v1/jobs/{job}/files/{file}" from "/v1/jobs/STAR/files/STAR": a star is named by the word before it, without its s.
 * False: it does not fit. */
bool openapi_path(const char *pattern, char *out, size_t room);

#endif
