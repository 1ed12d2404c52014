/* json_scan.h - reads JSON piece by piece, without building a tree.
 *
 * A published tokenizer.json holds a million values; a tree of them takes longer to build than everything else that
 * opening a tokenizer does. Small parts are cut out with scan_skip and given to json_parse.
 *
 *   json_scan s;
 *   if (scan_open(&s, text, length, where, err) != ACE_OK) return err->status;
 *   bool first = true;
 *   int more;
 *   if (scan_begin(&s, '{') != ACE_OK) ...
 *   while ((more = scan_next(&s, '}', &first)) > 0) {
 *     scan_key(&s, &key), then scan_string, scan_int, scan_skip ...
 *   }
 *   scan_close(&s);
 *
 * Every error is "where: not valid JSON: byte N: ..." and ACE_EFORMAT.
 */
#ifndef ACE_TEXT_JSON_SCAN_H
#define ACE_TEXT_JSON_SCAN_H

#include "base/error.h"

/* A string or a raw value: borrowed bytes, not terminated. */
typedef struct scan_text {
  const char *s;
  size_t n;
} scan_text;

typedef struct json_scan {
  const char *text, *at, *end; /* the source, which outlives the scan */
  const char *where;
  ace_error *err;
  char *spare[3]; /* strings that had escapes: keys, and two values */
  size_t spare_capacity[3];
} json_scan;

/* Fails when the text is not UTF-8. scan_close is due in any case. */
ace_status scan_open(json_scan *s, const char *text, size_t length, const char *where, ace_error *err);
void scan_close(json_scan *s);

/* The next byte that is not white space, 0 at the end. */
char scan_peek(json_scan *s);
/* Takes '{' or '['. */
ace_status scan_begin(json_scan *s, char open);
/* 1: an item follows; 0: the container was closed; -1: error. `first` starts as true. */
int scan_next(json_scan *s, char close, bool *first);
/* A string and the colon behind it; valid until the next key. */
ace_status scan_key(json_scan *s, scan_text *key);
/* A string value; valid until the next string in the same slot (1 or 2). */
ace_status scan_string(json_scan *s, int slot, scan_text *value);
ace_status scan_int(json_scan *s, int64_t *value);
ace_status scan_bool(json_scan *s, bool *value);
/* Any value; its bytes go to *raw (may be NULL). Only brackets and strings are checked. */
ace_status scan_skip(json_scan *s, scan_text *raw);
/* Nothing but white space may be left. */
ace_status scan_end(json_scan *s);

bool scan_is(scan_text t, const char *word);
/* Says that the JSON is broken here: "where: not valid JSON: byte N: what". */
ace_status scan_fail(json_scan *s, const char *what);

#endif
