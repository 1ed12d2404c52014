#include "cli/answer.h"

#include <string.h>

#include "cli/terminal.h"

/* Control characters: those of ASCII except tabs and, in lyrics, line ends; and U+0080..U+009F, two bytes in UTF-8. */
static void print_text(FILE *out, const char *text, bool lines) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
    bool plain = (c >= ' ' && c != 0x7F) || c == '\t' || (lines && c == '\n');
    bool high = c == 0xC2 && next >= 0x80 && next <= 0x9F;
    fputc(plain && !high ? c : '?', out);
    text += high;
  }
}

static void print_field(FILE *out, const char *label, const char *text) {
  fprintf(out, "%-10s", label);
  print_text(out, text && *text ? text : "-", false);
  fputc('\n', out);
}

/* "4" as "4/4"; a signature that is written out stays. */
static const char *meter_words(const char *text) {
  static const char *const known[][2] = {{"2", "2/4"}, {"3", "3/4"}, {"4", "4/4"}, {"6", "6/8"}};
  for (size_t i = 0; text && i < sizeof known / sizeof *known; i++)
    if (strcmp(text, known[i][0]) == 0) return known[i][1];
  return text;
}

static const char *text_of(const json_t *answer, const char *key) {
  return json_string_value(json_object_get(answer, key));
}

void answer_print(FILE *out, const json_t *answer) {
  char bpm[16] = "", length[TERM_TIME_SIZE] = "";
  const json_t *tempo = json_object_get(answer, "bpm"), *seconds = json_object_get(answer, "duration");
  if (json_is_integer(tempo)) snprintf(bpm, sizeof bpm, "%lld", (long long)json_integer_value(tempo));
  if (json_is_number(seconds)) term_time(json_number_value(seconds), length);
  print_field(out, "caption", text_of(answer, "caption"));
  print_field(out, "bpm", bpm);
  print_field(out, "key", text_of(answer, "keyscale"));
  print_field(out, "meter", meter_words(text_of(answer, "timesignature")));
  print_field(out, "length", length);
  print_field(out, "language", text_of(answer, "vocal_language"));
  print_field(out, "genres", text_of(json_object_get(answer, "result"), "genres"));
  const char *lyrics = text_of(answer, "lyrics");
  if (!lyrics || !*lyrics) return;
  fputc('\n', out);
  print_text(out, lyrics, true);
  fputc('\n', out);
}
