/* Words and their tune: a phrase for every few bars of a sung section, a note for every syllable. Sections of one kind but
 * verses have the same words and the same tune. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/harmony.h"
#include "conservatory/score.h"
#include "conservatory/words.h"

enum { MOST_SYLLABLES = 24 };

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* What the singer reads: letters a to z; accents fall away or become what sounds nearest. */
static void fold(const char *text, int n, char *out, int size) {
  static const struct {
    const char *from, *to;
  } folds[] = {{"á", "a"}, {"à", "a"}, {"â", "a"}, {"ã", "an"}, {"é", "e"}, {"è", "e"},
               {"ê", "e"}, {"í", "i"}, {"ó", "o"}, {"õ", "on"}, {"ú", "u"}, {"ü", "y"},
               {"ö", "e"}, {"ä", "e"}, {"ç", "s"}, {"ñ", "ni"}, {"ß", "s"}, {"É", "e"}};
  int m = 0;
  for (int i = 0; i < n && m < size - 2;) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 'A' && c <= 'Z') c = (unsigned char)(c + 32);
    if (c >= 'a' && c <= 'z') out[m++] = (char)c;
    for (size_t k = 0; c >= 0x80 && k < sizeof folds / sizeof *folds; k++)
      if (strncmp(text + i, folds[k].from, 2) == 0)
        for (const char *t = folds[k].to; *t && m < size - 1; t++) out[m++] = *t;
    i += c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
  }
  out[m] = 0;
}

/* Takes a phrase apart; returns the number of syllables. */
static int divide(const char *phrase, cons_syllable out[MOST_SYLLABLES]) {
  int count = 0;
  bool begins = true;
  while (*phrase && count < MOST_SYLLABLES) {
    int n = (int)strcspn(phrase, " -"), text = 0;
    while (text < n && phrase[text] != '|') text++;
    cons_syllable *s = &out[count++];
    *s = (cons_syllable){.begins_word = begins};
    snprintf(s->text, sizeof s->text, "%.*s", text, phrase);
    if (text < n) snprintf(s->sound, sizeof s->sound, "%.*s", n - text - 1, phrase + text + 1);
    else fold(phrase, n, s->sound, sizeof s->sound);
    phrase += n;
    begins = *phrase == ' ';
    phrase += *phrase != 0;
  }
  return count;
}

/* The line as it is read. */
static void join(const cons_syllable *s, int n, bool blanks, char *out, size_t size) {
  size_t length = 0;
  for (int i = 0; i < n && length + 2 < size; i++)
    length +=
        (size_t)snprintf(out + length, size - length, "%s%s", i && blanks && s[i].begins_word ? " " : "", s[i].text);
  if (*out >= 'a' && *out <= 'z') *out = (char)(*out - 32);
}

static int phrases(const char *const *list) {
  int n = 0;
  while (list[n]) n++;
  return n;
}

/* ---- one line ---------------------------------------------------------------------------------------------------- */

/* How a line is laid out: slots of `unit` steps. */
typedef struct layout {
  int first, bars, unit, slots; /* first step of the line */
} layout;

/* Lengths in slots for n syllables within `room` slots; the last one is held. */
static void lengths(dice *d, const cons_syllable *s, int n, int room, int out[MOST_SYLLABLES]) {
  int used = n;
  for (int i = 0; i < n; i++) out[i] = 1;
  for (int round = 0; round < 60 && used < room - 1; round++) {
    int i = dice_roll(d, n);
    bool end = i + 1 == n || s[i + 1].begins_word;
    if (out[i] >= (i + 1 == n ? 4 : 3) || (!end && dice_chance(d, 0.6))) continue;
    out[i]++, used++;
  }
}

/* Room for them? Notes must exist before the next part reads them. */
static bool take_syllables(cons_piece *p, int n) {
  if (p->syllables + n <= p->room_syllables) return true;
  int room = p->room_syllables + 512;
  cons_syllable *more = room < INT16_MAX ? realloc(p->syllable, (size_t)room * sizeof *more) : NULL;
  if (!more) return p->short_of_memory = true, false;
  p->syllable = more, p->room_syllables = room;
  return true;
}

static void sing_line(cons_piece *p, const cons_player *player, tune *t, int section, layout l, const cons_syllable *s,
                      int n, dice *d) {
  int held[MOST_SYLLABLES], room = l.slots - l.slots / 6, at = 0;
  if (p->lines == CONS_LINES || !take_syllables(p, n)) return;
  lengths(d, s, n, room, held);
  cons_line *line = &p->line[p->lines++];
  *line = (cons_line){.section = section, .first = p->syllables, .count = n};
  join(s, n, strcmp(p->language, "ja") != 0 && strcmp(p->language, "zh") != 0, line->text, sizeof line->text);
  for (int i = 0; i < n; i++) {
    double step = l.first + at * l.unit, length = held[i] * l.unit;
    bool strong = (int)step % p->beat_steps == 0 || i == n - 1;
    int pitch = tune_next(t, score_chord(p, step), strong, d);
    double start = cons_time(p, step), end = cons_time(p, step + length) - (i == n - 1 ? 0.06 : 0.0);
    cons_syllable *mine = &p->syllable[p->syllables];
    *mine = s[i];
    mine->start = start, mine->end = fmin(end, p->seconds - 0.01);
    score_put(p, (cons_note){start, mine->end - start, (float)pitch, strong ? 0.85f : 0.72f, (int16_t)p->syllables++,
                             (uint8_t)player->track});
    at += held[i];
  }
  line->start = p->syllable[line->first].start;
  line->end = p->syllable[line->first + n - 1].end;
}

/* A phrase that fits the slots; 0: none does. */
static int fitting(dice *d, const char *const *list, int slots, cons_syllable out[MOST_SYLLABLES]) {
  for (int i = 0; i < 24; i++) {
    int n = divide(list[dice_roll(d, phrases(list))], out);
    if (n <= slots - slots / 6) return n;
  }
  return 0;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static layout lay_out(const cons_piece *p, const cons_section *s) {
  double bar = p->step * p->bar_steps;
  layout l = {.bars = bar > 3.2 ? 1 : bar > 1.4 ? 2 : 4};
  if (l.bars > s->bars) l.bars = s->bars;
  l.unit = 2 * p->step < 0.16 ? 4 : 2 * p->step > 0.42 ? 1 : 2;
  if (p->metre == 6 && l.unit == 4) l.unit = 2;
  l.slots = l.bars * p->bar_steps / l.unit;
  return l;
}

static void sing_section(cons_piece *p, const cons_player *player, int index, int verse) {
  const cons_section *s = &p->section[index];
  const words_language *w = words_find(p->language);
  bool chorus = s->kind == PART_CHORUS;
  dice words = score_dice(p, "words", s->kind, chorus ? 0 : verse), melody;
  int low = p->low_singer ? 48 : 60, last = score_last(p);
  layout l = lay_out(p, s);
  for (int bar = s->bar, number = 0; bar + l.bars <= s->bar + s->bars && bar + l.bars <= last;
       bar += l.bars, number++) {
    cons_syllable syllable[MOST_SYLLABLES];
    int n = fitting(&words, chorus ? w->chorus : w->verse, l.slots, syllable);
    tune t = {p, low + 7 + (chorus ? 4 : 0), low, low + 16};
    melody = score_dice(p, "air", s->kind, number % 2); /* lines in pairs, a b a b */
    l.first = bar * p->bar_steps;
    if (n) sing_line(p, player, &t, index, l, syllable, n, &melody);
  }
}

void part_sing(cons_piece *p, const cons_player *player) {
  for (int i = 0, verse = 0; i < p->sections; i++) {
    cons_kind kind = p->section[i].kind;
    if (kind == PART_VERSE) verse++;
    if (kind == PART_VERSE || kind == PART_CHORUS || kind == PART_BRIDGE) sing_section(p, player, i, verse);
  }
}
