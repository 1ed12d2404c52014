/* Tunes: a motif of one bar that returns, varied, in phrases of four bars; second tunes; backing vocals. */
#include <math.h>
#include <stdlib.h>

#include "conservatory/harmony.h"
#include "conservatory/score.h"

int tune_next(tune *t, const cons_chord *chord, bool strong, dice *d) {
  static const int steps[] = {-2, -1, -1, 0, 1, 1, 2, -1, 1, 3}; /* mostly to the neighbour */
  const cons_piece *p = t->piece;
  int by = steps[dice_roll(d, 10)];
  if (t->pitch >= t->high - 2 && by > 0) by = -by;
  if (t->pitch <= t->low + 2 && by < 0) by = -by;
  int pitch = harmony_walk(p->key, p->mode, t->pitch, by);
  if (strong) pitch = harmony_nearest(chord, pitch);
  while (pitch > t->high) pitch -= 12;
  while (pitch < t->low) pitch += 12;
  return t->pitch = pitch;
}

/* ---- the lead ---------------------------------------------------------------------------------------------------- */

/* Which steps of a bar have notes: more likely the stronger the step, and the busier the style. */
static int rhythm(const cons_piece *p, dice d, int onsets[24]) {
  int n = 0, eighth = p->step < 0.06 ? 4 : 2;
  double busy = p->style->busy;
  for (int i = 0; i < p->bar_steps; i++) {
    bool beat = i % p->beat_steps == 0, off = i % eighth == 0;
    double chance = beat ? 0.55 + 0.45 * busy : off ? 0.15 + 0.75 * busy : p->step > 0.1 ? 0.3 * busy * busy : 0;
    if (dice_chance(&d, chance)) onsets[n++] = i;
  }
  if (n == 0) onsets[n++] = 0;
  return n;
}

/* One bar: motif a, a, b, then a close on a long note. */
static void lead_bar(cons_piece *p, const cons_player *player, tune *t, const cons_section *s, int bar) {
  int place = (bar - s->bar) % 4, letter = place == 2 ? 1 : place == 3 ? 2 : 0, onsets[24];
  int n = rhythm(p, score_dice(p, "motif", s->kind, letter), onsets);
  dice contour = score_dice(p, "contour", s->kind, letter + 10 * (place == 1));
  if (letter == 2 && n > 3) n = n / 2 + 1;
  for (int i = 0; i < n; i++) {
    double step = bar * p->bar_steps + onsets[i], end = i + 1 < n ? onsets[i + 1] : p->bar_steps;
    bool strong = onsets[i] % p->beat_steps == 0 || i == n - 1;
    int pitch = tune_next(t, score_chord(p, step), strong, &contour);
    score_add(p, player->track, step, (end - onsets[i]) * 0.93, pitch, strong ? 0.85 : 0.7, 0);
  }
}

/* Is somebody singing in this bar? */
static bool sung(const cons_piece *p, int bar) {
  double start = bar * p->bar_steps * p->step, end = start + p->bar_steps * p->step;
  for (int i = 0; i < p->lines; i++)
    if (p->line[i].start < end - 0.05 && p->line[i].end > start + 0.05) return true;
  return false;
}

static tune start_tune(const cons_piece *p, const cons_player *player) {
  const voice_facts *facts = &voice_table[player->voice];
  int low = facts->low > 60 ? facts->low : 60, high = facts->high < 84 ? facts->high : 84;
  if (high < low + 14) low = high - 14;
  return (tune){p, (low + high) / 2, low, high};
}

void part_lead(cons_piece *p, const cons_player *player) {
  tune t = start_tune(p, player);
  int middle = t.pitch;
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    if (!score_in(p, player, s)) continue;
    t.pitch = middle + (s->kind == PART_CHORUS ? 4 : 0);
    for (int bar = s->bar; bar < s->bar + s->bars && bar < score_last(p); bar++)
      if (!sung(p, bar)) lead_bar(p, player, &t, s, bar);
  }
  if (score_last(p) < p->bars)
    score_add(p, player->track, score_last(p) * p->bar_steps, 4 * p->bar_steps,
              harmony_nearest(score_chord(p, score_last(p) * p->bar_steps), t.pitch), 0.8, 0);
}

/* ---- second tune: one or two slow chord tones a bar ------------------------------------------------------------------ */

void part_echo(cons_piece *p, const cons_player *player) {
  tune t = start_tune(p, player);
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    dice d = score_dice(p, "echo", s->kind, 0);
    if (!score_in(p, player, s)) continue;
    for (int bar = s->bar; bar < s->bar + s->bars && bar < score_last(p); bar++) {
      int half = p->bar_steps / 2, first = bar * p->bar_steps;
      bool two = dice_chance(&d, 0.4);
      score_add(p, player->track, first, two ? half : p->bar_steps * 0.95,
                tune_next(&t, score_chord(p, first), true, &d), 0.65, 0);
      if (two)
        score_add(p, player->track, first + half, half * 0.95, tune_next(&t, score_chord(p, first + half), true, &d),
                  0.6, 0);
    }
  }
}

/* ---- backing vocals: the choruses a third above or below -------------------------------------------------------------- */

void part_backing(cons_piece *p, const cons_player *player) {
  dice d = dice_for(p->seed, "backing", 0);
  int third = dice_chance(&d, 0.5) ? 2 : -2, sung_notes = p->notes;
  for (int i = 0; i < sung_notes; i++) {
    const cons_note n = p->note[i];
    if (n.track != TRACK_VOCALS || n.syllable < 0) continue;
    int bar = (int)(n.start / (p->step * p->bar_steps) + 0.01);
    const cons_section *s = NULL;
    for (int k = 0; k < p->sections; k++)
      if (bar >= p->section[k].bar && bar < p->section[k].bar + p->section[k].bars) s = &p->section[k];
    if (!s || !score_in(p, player, s)) continue;
    float pitch = (float)harmony_walk(p->key, p->mode, (int)lrintf(n.pitch), third);
    score_put(p, (cons_note){n.start, n.length, pitch, 0.7f, n.syllable, (uint8_t)player->track});
  }
}
