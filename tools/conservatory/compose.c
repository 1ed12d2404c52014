/* The frame of a piece: style, tempo, key, form, chords and who plays; the parts then fill it (score.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/harmony.h"
#include "conservatory/score.h"
#include "conservatory/words.h"

const char *const cons_track_names[TRACK_COUNT] = {"vocals",   "backing_vocals", "drums",   "bass",  "guitar",
                                                   "keyboard", "percussion",     "strings", "synth", "fx",
                                                   "brass",    "woodwinds"};

bool cons_is_minor(cons_mode mode) {
  return mode == MODE_MINOR || mode == MODE_DORIAN;
}

void cons_key_name(const cons_piece *p, char out[16]) {
  static const char *const sharp[] = {"C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"};
  static const char *const flat[] = {"C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"};
  /* As they are usually written: flats, but sharps for minor keys up to four of them and for F# major. */
  bool minor = cons_is_minor(p->mode), sharps = minor ? p->key != 10 && p->key != 3 : p->key == 6;
  snprintf(out, 16, "%s %s", (sharps ? sharp : flat)[p->key], minor ? "minor" : "major");
}

double cons_time(const cons_piece *p, double step) {
  if (p->beat_steps == 4 && p->swing != 0.5) {
    double unit = p->style->sixteenth_swing ? 2 : 4, base = floor(step / unit), part = step / unit - base;
    part = part < 0.5 ? part * 2 * p->swing : p->swing + (part - 0.5) * 2 * (1 - p->swing);
    step = (base + part) * unit;
  }
  return step * p->step;
}

bool cons_plays(const cons_piece *p, cons_track track) {
  for (int i = 0; i < p->notes; i++)
    if (p->note[i].track == track) return true;
  return false;
}

const cons_player *cons_player_of(const cons_piece *p, cons_track track) {
  for (int i = 0; i < p->players; i++)
    if (p->player[i].track == track) return &p->player[i];
  return NULL;
}

void cons_piece_free(cons_piece *p) {
  if (!p) return;
  free(p->syllable), free(p->note), free(p->chord);
  free(p);
}

/* ---- what the parts ask ------------------------------------------------------------------------------------------ */

void score_put(cons_piece *p, cons_note note) {
  if (note.start < 0) note.start = 0;
  if (note.start >= p->seconds - 0.02 || note.pitch < 0 || note.pitch > 127) return;
  if (note.start + note.length > p->seconds) note.length = p->seconds - note.start;
  if (note.length < 0.01) return;
  if (p->notes == p->room_notes) {
    int room = p->room_notes ? 2 * p->room_notes : 1024;
    cons_note *more = realloc(p->note, (size_t)room * sizeof *more);
    if (!more) {
      p->short_of_memory = true;
      return;
    }
    p->note = more, p->room_notes = room;
  }
  p->note[p->notes++] = note;
}

void score_add(cons_piece *p, cons_track track, double step, double length, double pitch, double velocity,
               double late) {
  double start = cons_time(p, step), end = cons_time(p, step + length);
  score_put(p, (cons_note){start + late, end - start, (float)pitch, (float)fmin(1, fmax(0.05, velocity)), -1,
                           (uint8_t)track});
}

const cons_chord *score_chord(const cons_piece *p, double step) {
  int i = (int)(step * 2 / p->bar_steps);
  if (i < 0) i = 0;
  return &p->chord[i < p->chords ? i : p->chords - 1];
}

const cons_groove *score_groove(const cons_piece *p) {
  return &p->style->groove[p->groove];
}

dice score_dice(const cons_piece *p, const char *purpose, cons_kind kind, int number) {
  return dice_for(p->seed, purpose, (uint64_t)kind * 1000 + (uint64_t)number);
}

int score_last(const cons_piece *p) {
  return p->bars >= 4 ? p->bars - 1 : p->bars;
}

bool score_in(const cons_piece *p, const cons_player *player, const cons_section *section) {
  dice d = score_dice(p, "in", section->kind, player->track);
  bool intro = section->kind == PART_INTRO, sung = p->language[0] != 'u', low = section->energy <= 2;
  switch ((cons_role)player->role) {
    case ROLE_DRUMS:
    case ROLE_BASS: return dice_chance(&d, intro ? 0.5 : section->kind == PART_BRIDGE ? 0.7 : 1);
    case ROLE_PERCUSSION: return dice_chance(&d, low ? 0.6 : 1);
    case ROLE_RIFF:
    case ROLE_COMP:
    case ROLE_PAD:
    case ROLE_ARP:
      /* The first of them carries the harmony alone where it is quiet. */
      for (const cons_player *q = p->player; q < player; q++)
        if (q->role >= ROLE_COMP && q->role <= ROLE_RIFF) return dice_chance(&d, low ? 0.6 : 1);
      return true;
    case ROLE_LEAD:
      return sung ? intro || section->kind == PART_SOLO || dice_chance(&d, 0.35) : dice_chance(&d, intro ? 0.5 : 1);
    case ROLE_ECHO: return dice_chance(&d, low ? 0.5 : 0.95);
    case ROLE_BACK: return section->kind == PART_CHORUS;
    default: return true;
  }
}

/* ---- the frame --------------------------------------------------------------------------------------------------- */

static int grooves_of(const cons_style *s) {
  int n = 0;
  while (n < STYLE_GROOVES && s->groove[n].metre) n++;
  return n;
}

static void choose_time(cons_piece *p) {
  dice d = dice_for(p->seed, "time", 0);
  const cons_style *s = p->style;
  p->groove = dice_roll(&d, grooves_of(s));
  p->metre = s->groove[p->groove].metre;
  p->bpm = (int)lrint(dice_between(&d, s->bpm_least, s->bpm_most));
  if (s->busy >= 0.3 && dice_chance(&d, 0.06))
    p->bpm = (int)lrint(dice_chance(&d, 0.5) ? dice_between(&d, 30, 70) : dice_between(&d, 170, 300));
  p->swing = s->swing;
  p->bar_steps = p->metre == 6 ? 12 : 4 * p->metre;
  p->beat_steps = p->metre == 6 ? 6 : 4;
  p->step = 60.0 / p->bpm / p->beat_steps;
  p->bars = (int)((p->seconds - 0.3) / (p->step * p->bar_steps));
  if (p->bars < 1) p->bars = 1;
}

static void choose_key(cons_piece *p) {
  dice d = dice_for(p->seed, "key", 0);
  p->key = dice_roll(&d, 12);
  bool minor = dice_chance(&d, p->style->minor), modal = dice_chance(&d, 0.4 * p->style->modal);
  p->mode = minor ? (modal ? MODE_DORIAN : MODE_MINOR) : modal ? MODE_MIXOLYDIAN : MODE_MAJOR;
  p->language = "unknown";
  if (!dice_chance(&d, p->style->vocal)) return;
  p->language = words_at(dice_chance(&d, 0.5) ? 0 : dice_roll(&d, words_languages()))->code;
  p->low_singer = dice_chance(&d, 0.5);
}

static void choose_players(cons_piece *p) {
  /* Decibels of the sounding stem, by role; where the track stands. */
  static const double level[] = {-17, -27, -18.5, -22, -25, -24, -19, -19, -24, -25, -17, -24};
  static const double pan[TRACK_COUNT] = {0, 0, 0, 0, -0.35, 0.3, 0.45, -0.1, 0.2, 0, 0.3, -0.25};
  dice d = dice_for(p->seed, "players", 0);
  bool sung = p->language[0] != 'u', led = sung;
  double side = dice_chance(&d, 0.5) ? 1 : -1;
  for (int i = 0; i < STYLE_PARTS && p->style->part[i].chance > 0; i++) {
    const cons_part *part = &p->style->part[i];
    bool singer = part->role == ROLE_SING || part->role == ROLE_BACK, lead = part->role == ROLE_LEAD;
    if (cons_player_of(p, part->track) || (singer && !sung)) continue;
    /* Without a singer somebody has to play the tune. */
    bool drawn = dice_chance(&d, part->chance), needed = part->role == ROLE_SING || (lead && !led);
    if (!drawn && !needed) continue;
    if (lead && led && dice_chance(&d, 0.5)) continue;
    if (lead) led = true;
    p->player[p->players++] = (cons_player){part->track, part->voice, part->role,
                                            level[part->role] + dice_between(&d, -1.5, 1.5), side * pan[part->track]};
  }
  if (led) return;
  for (int i = 0; i < p->players; i++) { /* in styles without a lead the brightest of the harmony takes it */
    if (p->player[i].role != ROLE_ARP && p->player[i].role != ROLE_COMP) continue;
    p->player[i].role = ROLE_LEAD;
    p->player[i].level = level[ROLE_LEAD];
    return;
  }
}

static void choose_form(cons_piece *p) {
  static const char *const forms[] = {"v",      "vc",      "ivc",      "ivco",      "ivcvc",
                                      "ivcvco", "ivcvcbc", "ivcvcbco", "ivvcvcbco", "ivvcvcsbco"};
  static const struct {
    char letter;
    cons_kind kind;
    int energy;
  } kinds[] = {{'i', PART_INTRO, 1},  {'v', PART_VERSE, 2}, {'c', PART_CHORUS, 4},
               {'b', PART_BRIDGE, 2}, {'s', PART_SOLO, 3},  {'o', PART_OUTRO, 2}};
  int unit = p->bars >= 12 ? 4 : p->bars >= 4 ? 2 : 1;
  while (p->bars / unit > 10) unit *= 2;
  int count = p->bars / unit;
  const char *form = forms[count - 1];
  for (int i = 0, bar = 0; i < count; i++, bar += unit) {
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
      if (kinds[k].letter == form[i])
        p->section[i] = (cons_section){kinds[k].kind, bar, i == count - 1 ? p->bars - bar : unit, kinds[k].energy};
    if (count < 4 && p->section[i].energy < 4) p->section[i].energy++; /* no time for quiet beginnings */
  }
  p->sections = count;
}

/* The chord of a bar in a section of this kind, from one of the style's changes. */
static cons_chord change(const cons_piece *p, const cons_section *s, int index) {
  bool minor = cons_is_minor(p->mode);
  const char *const *changes = minor ? p->style->minor_changes : p->style->major_changes;
  int count = 0, words = 1, at = 0;
  while (count < STYLE_CHANGES && changes[count]) count++;
  dice d = score_dice(p, "changes", s->kind == PART_INTRO || s->kind == PART_OUTRO ? PART_VERSE : s->kind, 0);
  const char *text = changes[dice_roll(&d, count)];
  for (const char *c = text; *c; c++) words += *c == ' ';
  for (int skip = index % words; skip > 0; at++) skip -= text[at] == ' ';
  char numeral[16];
  int n = (int)strcspn(text + at, " ");
  snprintf(numeral, sizeof numeral, "%.*s", n, text + at);
  cons_chord chord;
  if (!harmony_chord(numeral, p->key, minor, &chord)) harmony_chord(minor ? "i" : "I", p->key, minor, &chord);
  return chord;
}

static void choose_chords(cons_piece *p) {
  double bar = p->step * p->bar_steps;
  int rate = bar > 3.3 ? 1 : bar < 1.1 ? 4 : 2; /* half bars to a chord */
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    for (int half = 0; half < 2 * s->bars; half++) {
      int at = 2 * s->bar + half;
      cons_chord c = change(p, s, half / rate);
      if (at / 2 >= score_last(p))
        harmony_chord(cons_is_minor(p->mode) ? "i" : "I", p->key, cons_is_minor(p->mode), &c);
      c.start = at * bar / 2, c.end = c.start + bar / 2;
      p->chord[at] = c;
    }
  }
  p->chords = 2 * p->bars;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b) {
  const cons_note *x = a, *y = b;
  if (x->track != y->track) return x->track < y->track ? -1 : 1;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  return x->pitch < y->pitch ? -1 : x->pitch > y->pitch;
}

static void write_parts(cons_piece *p) {
  static score_part *const parts[] = {part_drums, part_percussion, part_bass, part_comp,    part_pad,  part_arpeggio,
                                      part_riff,  part_lead,       part_echo, part_effects, part_sing, part_backing};
  for (int i = 0; i < p->players; i++)
    if (p->player[i].role == ROLE_SING) part_sing(p, &p->player[i]); /* the others leave room for it */
  for (int i = 0; i < p->players; i++)
    if (p->player[i].role != ROLE_SING) parts[p->player[i].role](p, &p->player[i]);
  if (p->syllables == 0) p->language = "unknown"; /* no room for a line */
  if (p->notes) qsort(p->note, (size_t)p->notes, sizeof *p->note, by_time);
}

cons_piece *cons_compose(const cons_wish *wish, ace_error *err) {
  if (!(wish->seconds >= 2 && wish->seconds <= 600)) {
    ace_fail(err, ACE_EINVAL, "conservatory: %g seconds is outside 2..600", wish->seconds);
    return NULL;
  }
  cons_piece *p = calloc(1, sizeof *p);
  if (p) {
    p->seed = wish->seed;
    p->seconds = wish->seconds;
    p->frames = llrint(wish->seconds * CONS_RATE);
    dice d = dice_for(p->seed, "style", 0);
    p->style = wish->style ? wish->style : style_at(dice_roll(&d, style_count()));
    choose_time(p);
    choose_key(p);
    choose_players(p);
    choose_form(p);
    p->chord = calloc((size_t)p->bars * 2, sizeof *p->chord);
    if (p->chord) choose_chords(p), write_parts(p);
  }
  if (!p || !p->chord || p->short_of_memory) {
    ace_fail(err, ACE_ENOMEM, "conservatory: out of memory");
    cons_piece_free(p);
    return NULL;
  }
  return p;
}
