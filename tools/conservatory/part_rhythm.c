/* Drums with fills, percussion, effects and bass lines. */
#include <stdlib.h>
#include <string.h>

#include "conservatory/drum.h"
#include "conservatory/harmony.h"
#include "conservatory/score.h"

static double loudness(char sign) {
  return sign == 'X' ? 1 : sign == 'x' ? 0.78 : sign == 'o' ? 0.4 : 0;
}

/* People are a little early and late, machines are not. */
static double late(const cons_player *player, dice *d) {
  return player->voice == VOICE_MACHINE || player->voice == VOICE_SYNTH_BASS ? 0 : dice_between(d, -0.004, 0.005);
}

static void hit(cons_piece *p, const cons_player *player, double step, int sound, double velocity, dice *d) {
  if (velocity > 0) score_add(p, player->track, step, 1, sound, velocity * dice_between(d, 0.88, 1), late(player, d));
}

/* ---- drums ------------------------------------------------------------------------------------------------------- */

/* The second half of a bar on snare and toms. */
static void fill(cons_piece *p, const cons_player *player, int bar, dice *d) {
  static const int sounds[] = {DRUM_SNARE, DRUM_TOM_HIGH, DRUM_TOM_MID, DRUM_TOM_LOW};
  int half = p->bar_steps / 2, every = dice_chance(d, 0.5) || p->step < 0.09 ? 2 : 1;
  for (int i = 0; i < half; i += every)
    if (dice_chance(d, 0.85))
      hit(p, player, bar * p->bar_steps + half + i, sounds[4 * i / half], 0.6 + 0.4 * i / half, d);
}

static void drum_bar(cons_piece *p, const cons_player *player, const cons_section *s, int bar, bool filled, dice *d) {
  const cons_groove *g = score_groove(p);
  bool quiet = s->energy <= 1, ride = s->kind == PART_CHORUS && player->voice == VOICE_KIT && strchr(g->hat, 'x');
  for (int i = 0; i < p->bar_steps; i++) {
    double step = bar * p->bar_steps + i;
    bool gone = filled && i >= p->bar_steps / 2;
    hit(p, player, step, DRUM_KICK, loudness(g->kick[i]) * (quiet ? 0.7 : 1), d);
    if (!gone && !quiet)
      hit(p, player, step, player->voice == VOICE_BRUSHES && g->extra_sound == DRUM_RIM ? DRUM_RIM : DRUM_SNARE,
          loudness(g->snare[i]), d);
    if (!gone) hit(p, player, step, ride && i % 4 == 0 ? DRUM_RIDE : DRUM_HAT, 0.8 * loudness(g->hat[i]), d);
    if (!gone && s->energy >= 2) hit(p, player, step, g->extra_sound, 0.8 * loudness(g->extra[i]), d);
  }
  if (filled) fill(p, player, bar, d);
}

void part_drums(cons_piece *p, const cons_player *player) {
  dice d = dice_for(p->seed, "drums", 0);
  bool silent = strspn(score_groove(p)->kick, ".") == strlen(score_groove(p)->kick);
  if (silent) return;
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    if (!score_in(p, player, s)) continue;
    if (s->energy >= 3 && i > 0) hit(p, player, s->bar * p->bar_steps, DRUM_CRASH, 0.9, &d);
    for (int bar = s->bar; bar < s->bar + s->bars && bar < score_last(p); bar++) {
      bool end = bar == s->bar + s->bars - 1 || bar == score_last(p) - 1;
      drum_bar(p, player, s, bar, end && s->energy >= 2 && dice_chance(&d, 0.75), &d);
    }
  }
  if (score_last(p) == p->bars) return;
  hit(p, player, score_last(p) * p->bar_steps, DRUM_KICK, 1, &d);
  hit(p, player, score_last(p) * p->bar_steps, DRUM_CRASH, 0.9, &d);
}

/* ---- percussion -------------------------------------------------------------------------------------------------- */

void part_percussion(cons_piece *p, const cons_player *player) {
  static const struct {
    int loud, soft;
  } kits[] = {{DRUM_SHAKER, DRUM_SHAKER},       {DRUM_CONGA_HIGH, DRUM_CONGA_LOW}, {DRUM_TAMBOURINE, DRUM_TAMBOURINE},
              {DRUM_WOODBLOCK, DRUM_CONGA_LOW}, {DRUM_COWBELL, DRUM_SHAKER},       {DRUM_TRIANGLE, DRUM_SHAKER}};
  dice d = dice_for(p->seed, "percussion", 0);
  int kit = dice_roll(&d, 6);
  const char *pattern = score_groove(p)->percussion;
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    if (!score_in(p, player, s)) continue;
    for (int step = s->bar * p->bar_steps;
         step < (s->bar + s->bars) * p->bar_steps && step < score_last(p) * p->bar_steps; step++) {
      char sign = pattern[step % p->bar_steps];
      hit(p, player, step, sign == 'o' ? kits[kit].soft : kits[kit].loud, loudness(sign), &d);
    }
  }
}

/* ---- effects: a rise into the choruses, a blow on their first beat ------------------------------------------------- */

void part_effects(cons_piece *p, const cons_player *player) {
  dice d = dice_for(p->seed, "effects", 0);
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    double first = s->bar * p->bar_steps, rise = p->bar_steps * (p->step * p->bar_steps < 2 ? 2 : 1);
    if (s->energy < 3 || first < rise) continue;
    if (dice_chance(&d, 0.8)) score_add(p, player->track, first - rise, rise, FX_RISER, 0.8, 0);
    score_add(p, player->track, first, p->bar_steps, dice_chance(&d, 0.6) ? FX_IMPACT : FX_FALL, 0.9, 0);
  }
}

/* ---- bass -------------------------------------------------------------------------------------------------------- */

/* The pitch of one sign of the pattern, near the one before. */
static int bass_pitch(const cons_piece *p, char sign, double step, int before, int low) {
  const cons_chord *c = score_chord(p, step), *next = score_chord(p, step + p->beat_steps);
  int root = low + ((c->bass - low) % 12 + 12) % 12;
  switch (sign) {
    case '8': return root + 12;
    case '5': return root + ((c->tone[2] - c->tone[0]) + 12) % 12 - (root > low + 7 ? 12 : 0);
    case '3': return root + ((c->tone[1] - c->tone[0]) + 12) % 12;
    case 'w': return harmony_nearest(c, before + (before > root + 5 ? -3 : 4));
    case 'a': {
      int goal = low + ((next->bass - low) % 12 + 12) % 12;
      return goal + (before < goal ? -1 : 1);
    }
    default: return root;
  }
}

static int until_next(const char *pattern, int at, int n) {
  int length = 1;
  while (at + length < n && pattern[at + length] == '.') length++;
  return length;
}

void part_bass(cons_piece *p, const cons_player *player) {
  const char *pattern = score_groove(p)->bass;
  int low = voice_table[player->voice].low, before = low;
  dice d = dice_for(p->seed, "bass", 0);
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    if (!score_in(p, player, s)) continue;
    for (int bar = s->bar; bar < s->bar + s->bars && bar < score_last(p); bar++)
      for (int at = 0; at < p->bar_steps; at++) {
        char sign = pattern[at];
        if (sign == '.' || sign == ',' || (s->energy <= 1 && sign != 'r')) continue;
        int step = bar * p->bar_steps + at, pitch = bass_pitch(p, sign, step, before, low);
        double length = until_next(pattern, at, p->bar_steps);
        score_add(p, player->track, step, length > 2 ? length - 0.4 : length * 0.9, pitch,
                  at % p->beat_steps ? 0.75 : 0.9, late(player, &d));
        before = pitch;
      }
  }
  if (score_last(p) < p->bars)
    score_add(p, player->track, score_last(p) * p->bar_steps, 4 * p->bar_steps,
              bass_pitch(p, 'r', score_last(p) * p->bar_steps, 0, low), 0.9, 0);
}
