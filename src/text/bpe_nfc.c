/* bpe_nfc.c - normalisation form C (Unicode Standard Annex 15) in linear time.
 *
 * utf8proc decomposes single characters and composes; putting combining marks in order is done here, because its own
 * way is quadratic in the length of a run of marks, and texts come from anywhere.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/bpe_table.h"
#include "text/utf8.h"

#define NFC ((utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE))
enum { MOST_PARTS = 4 }; /* characters that one decomposes into */

/* Nothing below U+0300 (lead bytes below 0xCC) combines or decomposes for good. */
static bool plainly_normal(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((uint8_t)s[i] >= 0xCC) return false;
  return true;
}

static int combining_class(int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Sorts one run of marks by class, keeping equals in order: class, position and character packed in one number. */
static void sort_run(int32_t *c, size_t n, uint64_t *key) {
  bool sorted = true;
  for (size_t i = 0; i < n; i++) {
    key[i] = (uint64_t)combining_class(c[i]) << 56 | (uint64_t)i << 21 | (uint32_t)c[i];
    if (i > 0 && key[i] < key[i - 1]) sorted = false;
  }
  if (sorted) return;
  qsort(key, n, sizeof *key, by_key);
  for (size_t i = 0; i < n; i++) c[i] = (int32_t)(key[i] & 0x1FFFFF);
}

static bool order_marks(int32_t *c, size_t n) {
  uint64_t *key = NULL;
  size_t capacity = 0;
  for (size_t i = 0; i < n;) {
    size_t end = i;
    while (end < n && combining_class(c[end]) != 0) end++;
    if (end - i > capacity) {
      free(key);
      capacity = (end - i) * 2;
      key = malloc(capacity * sizeof *key);
      if (!key) return false;
    }
    if (end - i > 1) sort_run(c + i, end - i, key);
    i = end + 1;
  }
  free(key);
  return true;
}

/* Composes ordered characters and returns how many are left. utf8proc 2 takes U+11A7, which stands before the first
 * Hangul final, for an empty final and drops it; nothing composes with it, so each part between two of them is done by
 * itself. */
static size_t compose_in_place(int32_t *c, size_t n) {
  size_t left = 0;
  for (size_t from = 0, to; from < n; from = to) {
    for (to = from + 1; to < n && c[to] != 0x11A7;) to++;
    utf8proc_ssize_t parts = utf8proc_normalize_utf32(c + from, (utf8proc_ssize_t)(to - from), NFC);
    if (parts < 0 || (size_t)parts > to - from) parts = (utf8proc_ssize_t)(to - from);
    memmove(c + left, c + from, (size_t)parts * sizeof *c);
    left += (size_t)parts;
  }
  return left;
}

/* Decomposed, ordered and composed characters of the text; the caller frees. NULL when out of memory. */
static int32_t *compose(const char *s, size_t n, size_t *count) {
  size_t used = 0, capacity = n + n / 2 + MOST_PARTS;
  int32_t *c = malloc(capacity * sizeof *c);
  for (size_t i = 0; c && i < n;) {
    if (capacity - used < MOST_PARTS) {
      capacity += capacity / 2;
      int32_t *grown = realloc(c, capacity * sizeof *c);
      if (!grown) free(c);
      c = grown;
      if (!c) break;
    }
    int length, boundary = 0;
    int32_t one = (int32_t)utf8_get(s + i, &length);
    utf8proc_ssize_t parts =
        utf8proc_decompose_char(one, c + used, (utf8proc_ssize_t)(capacity - used), NFC, &boundary);
    if (parts < 1 || (size_t)parts > capacity - used) { /* unknown to the table: stands for itself */
      c[used] = one;
      parts = 1;
    }
    used += (size_t)parts;
    i += (size_t)length;
  }
  if (c && !order_marks(c, used)) {
    free(c);
    return NULL;
  }
  if (c) *count = compose_in_place(c, used);
  return c;
}

ace_status bpe_nfc(const char *s, size_t n, bpe_buffer *buffer, scan_text *out, ace_error *err) {
  *out = (scan_text){s, n};
  if (plainly_normal(s, n)) return ACE_OK;
  size_t count = 0;
  int32_t *c = compose(s, n, &count);
  if (c && count * 4 > buffer->capacity) {
    free(buffer->s);
    buffer->capacity = count * 4;
    buffer->s = malloc(buffer->capacity);
    if (!buffer->s) buffer->capacity = 0;
  }
  if (!c || (count > 0 && !buffer->s)) {
    free(c);
    return ace_fail(err, ACE_ENOMEM, "tokenizer: out of memory to normalise %zu bytes", n);
  }
  size_t used = 0;
  for (size_t i = 0; i < count; i++) used += (size_t)utf8_put((uint32_t)c[i], buffer->s + used);
  free(c);
  *out = (scan_text){buffer->s, used};
  return ACE_OK;
}
