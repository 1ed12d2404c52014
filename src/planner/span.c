#include "planner/span.h"

#include <string.h>

plan_span plan_span_of(const char *s) {
  return (plan_span){s ? s : "", s ? strlen(s) : 0};
}

plan_span plan_span_from(plan_span s, size_t skip) {
  return (plan_span){s.at + skip, s.n - skip};
}

size_t plan_space(plan_span s) {
  const unsigned char *u = (const unsigned char *)s.at;
  if (s.n == 0) return 0;
  if ((u[0] >= 0x09 && u[0] <= 0x0d) || (u[0] >= 0x1c && u[0] <= 0x20)) return 1;
  if (s.n < 2) return 0;
  if (u[0] == 0xc2 && (u[1] == 0x85 || u[1] == 0xa0)) return 2;
  if (s.n < 3) return 0;
  if (u[0] == 0xe1 && u[1] == 0x9a && u[2] == 0x80) return 3;
  if (u[0] == 0xe2 && u[1] == 0x80 && ((u[2] >= 0x80 && u[2] <= 0x8a) || u[2] == 0xa8 || u[2] == 0xa9 || u[2] == 0xaf))
    return 3;
  if (u[0] == 0xe2 && u[1] == 0x81 && u[2] == 0x9f) return 3;
  return u[0] == 0xe3 && u[1] == 0x80 && u[2] == 0x80 ? 3 : 0;
}

plan_span plan_trim_start(plan_span s) {
  for (size_t n; (n = plan_space(s)) > 0;) s = plan_span_from(s, n);
  return s;
}

plan_span plan_trim(plan_span s) {
  s = plan_trim_start(s);
  size_t kept = 0;
  for (size_t i = 0; i < s.n;) {
    size_t n = plan_space(plan_span_from(s, i));
    i += n ? n : 1;
    if (n == 0) kept = i;
  }
  s.n = kept;
  return s;
}

bool plan_is_blank(plan_span s) {
  return plan_trim_start(s).n == 0;
}

bool plan_starts(plan_span s, const char *with) {
  size_t n = strlen(with);
  return s.n >= n && memcmp(s.at, with, n) == 0;
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool plan_starts_any_case(plan_span s, const char *with) {
  for (size_t i = 0; with[i]; i++)
    if (i == s.n || lower(s.at[i]) != lower(with[i])) return false;
  return true;
}

bool plan_equal(plan_span s, const char *to) {
  return s.n == strlen(to) && plan_starts(s, to);
}

bool plan_equal_any_case(plan_span s, const char *to) {
  return s.n == strlen(to) && plan_starts_any_case(s, to);
}

size_t plan_find(plan_span s, const char *what) {
  size_t n = strlen(what);
  for (size_t i = 0; n <= s.n && i <= s.n - n; i++) {
    const char *first = memchr(s.at + i, what[0], s.n - n - i + 1);
    if (!first) break;
    i = (size_t)(first - s.at);
    if (memcmp(first, what, n) == 0) return i;
  }
  return s.n;
}
