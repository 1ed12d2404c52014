/* value.h - one field of a request from and to text and JSON, driven by the table of parameters. */
#ifndef ACE_REQUEST_VALUE_H
#define ACE_REQUEST_VALUE_H

#include "base/json.h"
#include "request/params.h"
#include "request/text.h"

/* Text as ace_request_set reads it; "" for not given. Checks the parameter's own range; on failure nothing changed. */
ace_status req_value_from_text(ace_request *r, const req_param *p, const char *text, ace_error *err);
/* A JSON value; null for not given, or the default of the request's profile where there is no such value. Numbers and
 * booleans may be given as text. */
ace_status req_value_from_json(ace_request *r, const req_param *p, const json_t *value, ace_error *err);
void req_value_to_text(const ace_request *r, const req_param *p, req_text *out);
void req_value_to_json(const ace_request *r, const req_param *p, req_text *out);
/* Back to the profile's default. */
ace_status req_value_reset(ace_request *r, const req_param *p, ace_error *err);

/* "true", "yes", "on", "1" and their opposites, in any case and with blanks around them; false: it is none of them. */
bool req_switch_parse(const char *text, size_t length, bool *on);

/* The parameter's own range, for fields that were written directly. */
ace_status req_value_check(const ace_request *r, const req_param *p, ace_error *err);

/* The field's address as its own type. */
void *req_field(ace_request *r, const req_param *p);
const void *req_field_const(const ace_request *r, const req_param *p);

#endif
