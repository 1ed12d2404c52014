/* Prompts and lyrics come from anywhere. Input: a byte of flags, then the text. Encoding either refuses the text
 * because it is not UTF-8, or gives ids that decode to a text that encodes to the same ids; the stream must agree with
 * decoding at once; and the same bytes taken as ids must decode to UTF-8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"
#include "text/codes.h"
#include "text/utf8.h"

static const char head[] =
    "{\"added_tokens\":[{\"id\":300,\"content\":\"<|end|>\",\"special\":true},{\"id\":301,\"content\":\"<think>\"},"
    "{\"id\":302,\"content\":\"<think>x\"},{\"id\":303,\"content\":\"<|audio_code_0|>\",\"special\":true}],"
    "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
    "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}"
    "| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\"},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"he\":256,\"ll\":257,\"hell\":258,\"hello\":259,\"aa\":260,\"aaaa\":261,"
    "\"\\u0120\\u0120\":262,\"\\u00c3\\u00a9\":263";
static const char tail[] =
    "},\"merges\":[\"h e\",\"l l\",\"he ll\",\"hell o\",\"a a\",\"aa aa\",\"\\u0120 \\u0120\",\"\\u00c3 \\u00a9\"]}}";

static bpe *build(void) {
  static char json[12000];
  int n = snprintf(json, sizeof json, "%s", head);
  for (int b = 0, next = 0x100; b < 256; b++) {
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    n += snprintf(json + n, sizeof json - (size_t)n, ",\"\\u%04x\":%d", itself ? b : next++, b);
  }
  n += snprintf(json + n, sizeof json - (size_t)n, "%s", tail);
  bpe *t = bpe_open_json(json, (size_t)n, "built in", NULL);
  if (!t) __builtin_trap();
  return t;
}

/* Decodes at once and as a stream; both must give the same UTF-8. */
static char *decode_both(const bpe *t, const int32_t *ids, size_t n, int flags, size_t *length) {
  char *whole = bpe_decode(t, ids, n, flags, length), *out = NULL;
  bpe_stream s = {.tokenizer = t, .flags = flags};
  size_t got = 0;
  for (size_t i = 0; i < n; i++)
    if (bpe_stream_push(&s, ids[i], &out, &got) != ACE_OK || utf8_check(out, got) != got) __builtin_trap();
  if (bpe_stream_flush(&s, &out, &got) != ACE_OK) __builtin_trap();
  if (!whole || got != *length || memcmp(out, whole, got + 1) != 0 || utf8_check(whole, got) != got) __builtin_trap();
  free(out);
  return whole;
}

static void there_and_back(const bpe *t, const char *text, size_t n, int flags) {
  bpe_ids ids = {0}, again = {0};
  ace_error err = {0};
  ace_status status = bpe_encode(t, text, n, flags, &ids, &err);
  if ((status == ACE_OK) != (utf8_check(text, n) == n) || (status != ACE_OK && status != ACE_EINVAL)) __builtin_trap();
  if (status == ACE_OK) {
    size_t length;
    char *back = decode_both(t, ids.id, ids.n, 0, &length);
    /* What was split apart by an added token may compose in the text that comes back. */
    if (!(flags & BPE_ADDED)) {
      if (bpe_encode(t, back, length, flags, &again, &err) != ACE_OK) __builtin_trap();
      if (again.n != ids.n || (ids.n && memcmp(again.id, ids.id, ids.n * sizeof *ids.id) != 0)) __builtin_trap();
    }
    free(back);
  }
  bpe_ids_free(&ids);
  bpe_ids_free(&again);
}

static void codes(const char *text, size_t n) {
  int32_t *list;
  size_t count, clamped;
  if (codes_parse(text, n, 63999, &list, &count, &clamped, NULL) != ACE_OK || clamped > count) __builtin_trap();
  for (size_t i = 0; i < count; i++)
    if (list[i] < 0 || list[i] > 63999) __builtin_trap();
  free(codes_format(list, count, NULL));
  free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bpe *t; /* built once: the target is not the builder */
  if (!t) t = build();
  if (size == 0) return 0;
  const char *text = (const char *)data + 1;
  there_and_back(t, text, size - 1, data[0] & (BPE_ADDED | BPE_POST));
  codes(text, size - 1);
  int32_t *ids = malloc(size * sizeof *ids);
  for (size_t i = 0; i < size; i++) ids[i] = data[i] < 200 ? data[i] + (i % 3 == 0 ? 110 : 0) : data[i];
  size_t length;
  free(decode_both(t, ids, size, data[0] & BPE_SKIP_SPECIAL, &length));
  free(ids);
  return 0;
}
