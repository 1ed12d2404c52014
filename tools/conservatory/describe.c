#include "conservatory/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/dice.h"
#include "conservatory/style.h"
#include "conservatory/words.h"

enum { CAPTION_SIZE = 900 };

/* ---- caption ----------------------------------------------------------------------------------------------------- */

typedef struct text {
  char *out;
  size_t length;
} text;

static void say(text *t, const char *words) {
  size_t n = strlen(words);
  if (t->length + n >= CAPTION_SIZE) return;
  memcpy(t->out + t->length, words, n + 1);
  t->length += n;
}

static const char *one_of(dice *d, const char *const *list, int most) {
  int n = 0;
  while (n < most && list[n]) n++;
  return n ? list[dice_roll(d, n)] : "";
}

static const char *article(const char *word) {
  return strchr("aeiouAEIOU", *word) ? "an " : "a ";
}

static const char *pace(const cons_piece *p, dice *d) {
  static const char *const slow[] = {"slow", "unhurried", "slow-moving"},
                           *const middle[] = {"mid-tempo", "steady", "moderate"},
                           *const fast[] = {"fast", "up-tempo", "quick"};
  return p->bpm < 84 ? slow[dice_roll(d, 3)] : p->bpm < 124 ? middle[dice_roll(d, 3)] : fast[dice_roll(d, 3)];
}

/* Names of the instruments that play, the singers aside, in an order of the dice. */
static int instruments(const cons_piece *p, dice *d, const char *names[CONS_PARTS]) {
  int n = 0;
  for (int i = 0; i < p->players; i++) {
    const cons_player *q = &p->player[i];
    if (q->voice == VOICE_SINGER || !cons_plays(p, q->track)) continue;
    names[n++] = one_of(d, voice_table[q->voice].names, 3);
  }
  for (int i = n - 1; i > 0; i--) {
    int k = dice_roll(d, i + 1);
    const char *swap = names[i];
    names[i] = names[k], names[k] = swap;
  }
  return n;
}

static void list(text *t, const char *const *names, int n) {
  for (int i = 0; i < n; i++) {
    if (i) say(t, i == n - 1 ? " and " : ", ");
    say(t, names[i]);
  }
}

static void say_singer(text *t, const cons_piece *p, dice *d) {
  static const char *const high[] = {"a female vocal", "a bright female voice", "female lead vocals"},
                           *const low[] = {"a male vocal", "a deep male voice", "male lead vocals"};
  say(t, p->low_singer ? low[dice_roll(d, 3)] : high[dice_roll(d, 3)]);
  if (dice_chance(d, 0.6)) say(t, " in "), say(t, words_find(p->language)->name);
  if (cons_plays(p, TRACK_BACKING_VOCALS)) say(t, " with backing vocals");
}

/* "a dreamy, mid-tempo synthwave track" or without the article. */
static void say_kind(text *t, const cons_piece *p, dice *d, bool with_article) {
  static const char *const nouns[] = {" track", " piece", " tune", ""};
  const char *mood = one_of(d, p->style->mood, STYLE_WORDS), *genre = one_of(d, p->style->genre, STYLE_WORDS);
  if (with_article) say(t, article(mood));
  say(t, mood);
  if (dice_chance(d, 0.6)) say(t, ", "), say(t, pace(p, d));
  say(t, " "), say(t, genre);
  if (!strstr(genre, "track") && !strstr(genre, "piece") && !strstr(genre, "song"))
    say(t, nouns[dice_roll(d, 3 + !with_article)]);
}

static void say_more(text *t, const cons_piece *p, dice *d) {
  static const char *const metres[] = {
      [2] = "in two", [3] = "in triple time", [4] = "in common time", [6] = "in a rolling six-eight"};
  if (p->metre != 4 ? dice_chance(d, 0.8) : dice_chance(d, 0.1)) say(t, " "), say(t, metres[p->metre]);
  if (p->swing > 0.6 && dice_chance(d, 0.4)) say(t, " with a swinging feel");
  if (dice_chance(d, 0.15)) say(t, cons_is_minor(p->mode) ? ", in a minor key" : ", in a major key");
}

char *cons_caption(const cons_piece *p) {
  static const char *const with[] = {" with ", " featuring ", " built on ", " led by "};
  dice d = dice_for(p->seed, "caption", 0);
  text t = {calloc(1, CAPTION_SIZE), 0};
  const char *names[CONS_PARTS];
  if (!t.out) return NULL;
  int n = instruments(p, &d, names), told = n < 5 ? n : 3 + dice_roll(&d, n - 2);
  bool sung = p->lines > 0;
  switch (dice_roll(&d, 4)) {
    case 0: /* a sentence */
      say_kind(&t, p, &d, true), say(&t, with[dice_roll(&d, 3)]), list(&t, names, told), say_more(&t, p, &d);
      if (sung) say(&t, ", "), say_singer(&t, p, &d);
      else if (dice_chance(&d, 0.6)) say(&t, ", instrumental");
      say(&t, ".");
      break;
    case 1: /* two sentences */
      say_kind(&t, p, &d, true), say_more(&t, p, &d), say(&t, ". ");
      list(&t, names, told), say(&t, told == 1              ? " carries it"
                                     : dice_chance(&d, 0.5) ? " carry the music"
                                                            : " play together");
      if (sung) say(&t, ", and "), say_singer(&t, p, &d), say(&t, " on top");
      say(&t, ".");
      break;
    case 2: /* tags */
      say(&t, one_of(&d, p->style->genre, STYLE_WORDS)), say(&t, ", "),
          say(&t, one_of(&d, p->style->mood, STYLE_WORDS)), say(&t, ", ");
      say(&t, pace(p, &d));
      for (int i = 0; i < told; i++) say(&t, ", "), say(&t, names[i]);
      say(&t, ", ");
      if (sung) say_singer(&t, p, &d);
      else say(&t, "instrumental");
      break;
    default: /* the singer or the first instrument in front */
      if (sung) say_singer(&t, p, &d), say(&t, dice_chance(&d, 0.5) ? " over " : " on top of ");
      else say(&t, dice_chance(&d, 0.5) ? "Instrumental: " : "No vocals, ");
      say_kind(&t, p, &d, true), say(&t, with[dice_roll(&d, 4)]), list(&t, names, told), say_more(&t, p, &d),
          say(&t, ".");
  }
  for (size_t i = 0; i < t.length; i++) /* sentences begin with a capital */
    if ((i == 0 || (i > 1 && t.out[i - 2] == '.')) && t.out[i] >= 'a' && t.out[i] <= 'z')
      t.out[i] = (char)(t.out[i] - 32);
  return t.out;
}

/* ---- lyrics ------------------------------------------------------------------------------------------------------ */

static const char *tag(cons_kind kind) {
  static const char *const tags[] = {[PART_INTRO] = "Intro",   [PART_VERSE] = "Verse", [PART_CHORUS] = "Chorus",
                                     [PART_BRIDGE] = "Bridge", [PART_SOLO] = "Solo",   [PART_OUTRO] = "Outro"};
  return tags[kind];
}

char *cons_lyrics(const cons_piece *p) {
  if (p->lines == 0) return strdup("[Instrumental]");
  size_t size = 64 + (size_t)p->sections * 32, length = 0;
  for (int i = 0; i < p->lines; i++) size += strlen(p->line[i].text) + 1;
  char *out = malloc(size);
  if (!out) return NULL;
  int verses = 0, verse = 0;
  for (int i = 0; i < p->sections; i++) verses += p->section[i].kind == PART_VERSE;
  for (int i = 0; i < p->sections; i++) {
    bool numbered = p->section[i].kind == PART_VERSE && verses > 1;
    length += (size_t)snprintf(out + length, size - length, "%s[%s", i ? "\n" : "", tag(p->section[i].kind));
    if (numbered) length += (size_t)snprintf(out + length, size - length, " %d", ++verse);
    length += (size_t)snprintf(out + length, size - length, "]\n");
    for (int k = 0; k < p->lines; k++)
      if (p->line[k].section == i) length += (size_t)snprintf(out + length, size - length, "%s\n", p->line[k].text);
  }
  return out;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* Milliseconds are exact enough, and short. */
static json_t *seconds(double t) {
  return json_real((double)(long long)(t * 1000 + 0.5) / 1000);
}

static json_t *tracks(const cons_piece *p) {
  json_t *out = json_array();
  for (int i = 0; i < p->players; i++) {
    const cons_player *q = &p->player[i];
    if (!cons_plays(p, q->track)) continue;
    json_array_append_new(out, json_pack("{s:s, s:s}", "track", cons_track_names[q->track], "instrument",
                                         voice_table[q->voice].names[0]));
  }
  return out;
}

static json_t *sections(const cons_piece *p) {
  json_t *out = json_array();
  double bar = p->step * p->bar_steps;
  for (int i = 0; i < p->sections; i++) {
    double end = (p->section[i].bar + p->section[i].bars) * bar;
    json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:i}", "name", tag(p->section[i].kind), "start",
                                         seconds(p->section[i].bar * bar), "end",
                                         seconds(i == p->sections - 1 || end > p->seconds ? p->seconds : end), "energy",
                                         p->section[i].energy));
  }
  return out;
}

static json_t *lines(const cons_piece *p) {
  json_t *out = json_array();
  for (int i = 0; i < p->lines; i++) {
    const cons_line *l = &p->line[i];
    json_t *syllables = json_array();
    for (int k = l->first; k < l->first + l->count; k++)
      json_array_append_new(syllables, json_pack("{s:s, s:o, s:o}", "text", p->syllable[k].text, "start",
                                                 seconds(p->syllable[k].start), "end", seconds(p->syllable[k].end)));
    json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:o}", "text", l->text, "start", seconds(l->start), "end",
                                         seconds(l->end), "syllables", syllables));
  }
  return out;
}

json_t *cons_describe(const cons_piece *p) {
  static const char *const modes[] = {"major", "minor", "dorian", "mixolydian"};
  char key[16], metre[2] = {(char)('0' + p->metre), 0}, seed[24], *caption = cons_caption(p), *lyrics = cons_lyrics(p);
  cons_key_name(p, key);
  snprintf(seed, sizeof seed, "%llu", (unsigned long long)p->seed);
  json_t *out =
      !caption || !lyrics
          ? NULL
          : json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:f, s:s, s:s, s:s, s:f, s:o, s:o, s:o}", "caption",
                      caption, "genre", p->style->genre[0], "lyrics", lyrics, "bpm", p->bpm, "keyscale", key,
                      "timesignature", metre, "language", p->language, "is_instrumental", p->lines == 0, "duration",
                      p->seconds, "seed", seed, "style", p->style->name, "mode", modes[p->mode], "swing", p->swing,
                      "tracks", tracks(p), "sections", sections(p), "lines", lines(p));
  free(caption), free(lyrics);
  return out;
}
