/* span.h - stretches of text that is somewhere else, any bytes, with the white space of Unicode. */
#ifndef ACE_PLANNER_SPAN_H
#define ACE_PLANNER_SPAN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct plan_span {
  const char *at;
  size_t n; /* bytes */
} plan_span;

/* Of a NUL-terminated string; NULL is "". */
plan_span plan_span_of(const char *s);
/* Behind the first `skip` bytes, of which there must be so many. */
plan_span plan_span_from(plan_span s, size_t skip);
/* Bytes of the white space character (Unicode's, in UTF-8) that s starts with; 0: none. */
size_t plan_space(plan_span s);
plan_span plan_trim_start(plan_span s);
plan_span plan_trim(plan_span s); /* white space off both ends */
bool plan_is_blank(plan_span s);
bool plan_starts(plan_span s, const char *with);
bool plan_starts_any_case(plan_span s, const char *with); /* ASCII case */
bool plan_equal(plan_span s, const char *to);
bool plan_equal_any_case(plan_span s, const char *to);
/* Offset of the first occurrence; s.n when there is none. */
size_t plan_find(plan_span s, const char *what);

#endif
