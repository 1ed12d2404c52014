/* grammar_testing.h - a tiny tokenizer for the tests of constrained decoding, full of tokens that would break out of a
 * field. */
#ifndef ACE_TESTS_GRAMMAR_TESTING_H
#define ACE_TESTS_GRAMMAR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs the five above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "planner/grammar.h"

/* ---- a tiny tokenizer ----------------------------------------------------------------------------------------------
 * The bytes have the ids from `text` on, forwards or backwards; merged tokens and traps follow. Special tokens and
 * codes lie from `special` on, and behind a gap there is one code more.
 */

static const char *const merges[][2] = {
    {"p", "m"}, {"b", "p"}, {" ", "C"}, {" ", "e"}, {" e", "n"}, {" ", "m"}, {"o", "r"}, {" ", "B"}, {" B", "b"},
};
/* Tokens that only an ill-meaning model would say. */
static const char *const traps[] = {
    ".\n",    "\n\n",   "x\nbpm: 10\n", "\nbpm: 1", ": ",       "a:",           "``",    "a`b", "<think",
    "</thin", " <|au",  "\r\n",         " 999",     "bpm: 7",   "\xE3\x80\x80", "\t-",   ":\n", "Caption:",
    "\n  ",   "bpm:\n", " bpm: 10\n",   "key",      "duration", " 60",          "\x01z", "  ",
};
static const char *const added[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "[VERSE]"};
enum {
  MERGES = sizeof merges / sizeof *merges,
  TRAPS = sizeof traps / sizeof *traps,
  ADDED = sizeof added / sizeof *added,
  CODE_TOKENS = 16, /* that the tokenizer has */
  CODES = 12,       /* that the quantiser has */
  TRAP = 256 + MERGES,
  STRAY_CODE = 370,
  ROWS = 400
};

typedef struct layout {
  int text, special; /* first ids; text takes TRAP + TRAPS */
  bool backwards;
} layout;
/* Published tokenizers keep what is special behind the text; one that does not must work too. */
static const layout usual = {0, 310, false}, turned = {60, 2, true};

static inline int32_t byte_id(layout l, char c) {
  unsigned char b = (unsigned char)c;
  return l.text + (l.backwards ? 255 - b : b);
}

typedef struct text {
  char s[16000];
  size_t n;
} text;

static inline void ACE_PRINTF(2, 3) add(text *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  t->n += (size_t)vsnprintf(t->s + t->n, sizeof t->s - t->n, format, args);
  va_end(args);
  assert_true(t->n < sizeof t->s);
}

/* A byte in the byte alphabet of GPT-2, inside a JSON string. */
static inline void add_spelled(text *t, int byte) {
  int rank = 0, c = byte;
  for (int b = 0; b <= byte; b++) {
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    c = itself ? b : 0x100 + rank++;
  }
  add(t, c == '"' || c == '\\' ? "\\%c" : c < 0x80 ? "%c" : "\\u%04x", c);
}

static inline void add_entry(text *t, const char *s, size_t n, int id) {
  add(t, t->s[t->n - 1] == '{' ? "\"" : ",\"");
  for (size_t i = 0; i < n; i++) add_spelled(t, (unsigned char)s[i]);
  add(t, "\":%d", id);
}

static inline bpe *tiny(layout l, const char *leave_out) {
  text t = {.n = 0};
  add(&t, "{\"version\":\"1.0\",\"added_tokens\":[");
  for (int i = 0; i < ADDED + CODE_TOKENS; i++) {
    char name[40];
    snprintf(name, sizeof name, i < ADDED ? "%s" : "%s%d|>", i < ADDED ? added[i] : "<|audio_code_", i - ADDED);
    if (leave_out && strcmp(name, leave_out) == 0) continue;
    add(&t, "%s{\"id\":%d,\"content\":\"%s\",\"special\":%s}", t.s[t.n - 1] == '[' ? "" : ",", l.special + i, name,
        i < 3 || i >= ADDED ? "true" : "false");
  }
  add(&t, ",{\"id\":%d,\"content\":\"<|audio_code_99|>\",\"special\":false}", STRAY_CODE);
  add(&t,
      "],\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
      "\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"
      "\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
      "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
      "\"trim_offsets\":false,\"use_regex\":false}]},\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
      "\"model\":{\"type\":\"BPE\",\"vocab\":{");
  for (int b = 0; b < 256; b++) add_entry(&t, &(char){(char)b}, 1, byte_id(l, (char)b));
  for (int i = 0; i < MERGES; i++) {
    char whole[16];
    snprintf(whole, sizeof whole, "%s%s", merges[i][0], merges[i][1]);
    add_entry(&t, whole, strlen(whole), l.text + 256 + i);
  }
  for (int i = 0; i < TRAPS; i++) add_entry(&t, traps[i], strlen(traps[i]), l.text + TRAP + i);
  add(&t, "},\"merges\":[");
  for (int i = 0; i < MERGES; i++) {
    add(&t, i ? ",[\"" : "[\"");
    for (const char *s = merges[i][0]; *s; s++) add_spelled(&t, (unsigned char)*s);
    add(&t, "\",\"");
    for (const char *s = merges[i][1]; *s; s++) add_spelled(&t, (unsigned char)*s);
    add(&t, "\"]");
  }
  add(&t, "]}}");
  ace_error err = {0};
  bpe *b = bpe_open_json(t.s, t.n, "tiny", &err);
  if (!b) fail_msg("%s", err.message);
  return b;
}

typedef struct bench {
  bpe *tokenizer;
  plan_grammar *g;
  layout l;
  int32_t end;
} bench;

static inline bench bench_open(layout l) {
  ace_error err = {0};
  bench b = {.tokenizer = tiny(l, NULL), .l = l};
  b.g = plan_grammar_new(b.tokenizer, &(plan_grammar_config){.codes = CODES, .rows = ROWS}, &err);
  if (!b.g) fail_msg("%s", err.message);
  b.end = bpe_find(b.tokenizer, "<|im_end|>");
  assert_int_equal(plan_grammar_end(b.g), b.end);
  return b;
}

static inline void bench_close(bench *b) {
  plan_grammar_free(b->g);
  bpe_close(b->tokenizer);
}

#endif
