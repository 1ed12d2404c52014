#include "formats/torch_zip.h"

#include <string.h>

enum {
  END_SIZE = 22,
  END64_SIZE = 56,
  LOCATOR_SIZE = 20,
  CENTRAL_SIZE = 46,
  LOCAL_SIZE = 30,
  MAX_COMMENT = 65535,
};

static uint64_t le(const uint8_t *p, int bytes) {
  uint64_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | p[i];
  return x;
}

static bool signature(const zip_view *z, size_t at, size_t need, const char *two) {
  return at <= z->size && z->size - at >= need && memcmp(z->bytes + at, "PK", 2) == 0 &&
         memcmp(z->bytes + at + 2, two, 2) == 0;
}

/* The end record stands last, behind it only its comment. SIZE_MAX: none. */
static size_t find_end(const zip_view *z) {
  if (z->size < END_SIZE) return SIZE_MAX;
  size_t last = z->size - END_SIZE, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
  for (size_t at = last + 1; at-- > first;)
    if (signature(z, at, END_SIZE, "\5\6") && le(z->bytes + at + 20, 2) == z->size - END_SIZE - at) return at;
  return SIZE_MAX;
}

ace_status zip_open(zip_view *z, const void *bytes, size_t size, const char *where, ace_error *err) {
  *z = (zip_view){.bytes = bytes, .size = size, .where = where};
  size_t end = find_end(z);
  if (end == SIZE_MAX)
    return ace_fail(err, ACE_EFORMAT, "%s: end record: not found (not a zip archive, or truncated)", where);
  const uint8_t *p = z->bytes + end;
  uint64_t n = le(p + 10, 2), length = le(p + 12, 4), at = le(p + 16, 4);
  size_t limit = end;
  if (n == 0xffff || length == 0xffffffff || at == 0xffffffff) {
    if (end < LOCATOR_SIZE || !signature(z, end - LOCATOR_SIZE, LOCATOR_SIZE, "\6\7"))
      return ace_fail(err, ACE_EFORMAT, "%s: end record: its 64-bit locator is missing", where);
    uint64_t end64 = le(z->bytes + end - LOCATOR_SIZE + 8, 8);
    if (end64 > end || !signature(z, (size_t)end64, END64_SIZE, "\6\6"))
      return ace_fail(err, ACE_EFORMAT, "%s: end record: its 64-bit form is missing", where);
    limit = (size_t)end64;
    p = z->bytes + limit;
    n = le(p + 32, 8), length = le(p + 40, 8), at = le(p + 48, 8);
  }
  if (at > limit || length > limit - at)
    return ace_fail(err, ACE_EFORMAT, "%s: central directory: bytes %llu+%llu are outside the file", where,
                    (unsigned long long)at, (unsigned long long)length);
  if (n > length / CENTRAL_SIZE)
    return ace_fail(err, ACE_EFORMAT, "%s: central directory: %llu entries do not fit in %llu bytes", where,
                    (unsigned long long)n, (unsigned long long)length);
  z->directory = (size_t)at;
  z->directory_end = (size_t)(at + length);
  z->n = n;
  return ACE_OK;
}

/* Replaces the saturated 32-bit fields, in this order, by those of the 64-bit extra field (id 1). */
static bool widen_fields(const uint8_t *extra, size_t length, uint64_t *size, uint64_t *stored, uint64_t *at) {
  uint64_t *fields[] = {size, stored, at};
  const uint8_t *wide = NULL;
  size_t left = 0;
  while (length >= 4 && !wide) {
    size_t n = (size_t)le(extra + 2, 2);
    if (n > length - 4) return false;
    if (le(extra, 2) == 1) wide = extra + 4, left = n;
    extra += 4 + n;
    length -= 4 + n;
  }
  for (int i = 0; i < 3; i++) {
    if (*fields[i] != 0xffffffff) continue;
    if (left < 8) return false;
    *fields[i] = le(wide, 8);
    wide += 8;
    left -= 8;
  }
  return true;
}

/* Reads the central entry at *at and moves *at behind it. */
static ace_status read_entry(const zip_view *z, size_t *at, zip_entry *out, ace_error *err) {
  size_t left = z->directory_end - *at;
  if (left < CENTRAL_SIZE || !signature(z, *at, CENTRAL_SIZE, "\1\2"))
    return ace_fail(err, ACE_EFORMAT, "%s: central directory: no entry at byte %zu", z->where, *at);
  const uint8_t *p = z->bytes + *at;
  size_t name_length = (size_t)le(p + 28, 2), extra = (size_t)le(p + 30, 2), comment = (size_t)le(p + 32, 2);
  if (left - CENTRAL_SIZE < name_length + extra + comment)
    return ace_fail(err, ACE_EFORMAT, "%s: central directory: the entry at byte %zu is cut off", z->where, *at);
  const char *name = (const char *)p + CENTRAL_SIZE;
  int shown = name_length < 128 ? (int)name_length : 128;
  uint64_t stored = le(p + 20, 4), size = le(p + 24, 4), local = le(p + 42, 4);
  if (le(p + 8, 2) & 1 || le(p + 10, 2) != 0 ||
      !widen_fields(p + CENTRAL_SIZE + name_length, extra, &size, &stored, &local) || stored != size)
    return ace_fail(err, ACE_EFORMAT, "%s: entry %.*s: compressed or encrypted, or its sizes disagree", z->where, shown,
                    name);
  if (local > z->size || !signature(z, (size_t)local, LOCAL_SIZE, "\3\4"))
    return ace_fail(err, ACE_EFORMAT, "%s: entry %.*s: no local header at byte %llu", z->where, shown, name,
                    (unsigned long long)local);
  const uint8_t *header = z->bytes + local;
  size_t skip = LOCAL_SIZE + (size_t)le(header + 26, 2) + (size_t)le(header + 28, 2), room = z->size - (size_t)local;
  if (skip > room || size > room - skip)
    return ace_fail(err, ACE_EFORMAT, "%s: entry %.*s: %llu bytes are outside the file", z->where, shown, name,
                    (unsigned long long)size);
  *out = (zip_entry){name, name_length, header + skip, (size_t)size};
  *at += CENTRAL_SIZE + name_length + extra + comment;
  return ACE_OK;
}

ace_status zip_each(const zip_view *z, zip_visit each, void *arg, ace_error *err) {
  size_t at = z->directory;
  for (uint64_t i = 0; i < z->n; i++) {
    zip_entry entry;
    ace_status status = read_entry(z, &at, &entry, err);
    if (status != ACE_OK) return status;
    if (!each(arg, &entry)) break;
  }
  return ACE_OK;
}

typedef struct search {
  const char *name;
  zip_entry found;
  int hits;
} search;

static bool compare(void *arg, const zip_entry *entry) {
  search *s = arg;
  if (strlen(s->name) == entry->name_length && memcmp(s->name, entry->name, entry->name_length) == 0) {
    s->found = *entry;
    s->hits++;
  }
  return true;
}

ace_status zip_find(const zip_view *z, const char *name, zip_entry *out, ace_error *err) {
  search s = {.name = name};
  *out = (zip_entry){0};
  ace_status status = zip_each(z, compare, &s, err);
  if (status != ACE_OK) return status;
  if (s.hits > 1) return ace_fail(err, ACE_EFORMAT, "%s: entry %.128s: occurs %d times", z->where, name, s.hits);
  *out = s.found;
  return ACE_OK;
}
