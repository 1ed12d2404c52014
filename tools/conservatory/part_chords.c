/* Chords in the groove's rhythm, held, broken, and as power chords. */
#include "conservatory/harmony.h"
#include "conservatory/score.h"

/* What a player of chords goes through: the voicing it holds, which moves as little as it can. */
typedef struct hand {
  cons_piece *piece;
  const cons_player *player;
  int voicing[CONS_CHORD_TONES], n;
  const cons_chord *chord;
  dice dice;
} hand;

static void follow(hand *h, double step) {
  const voice_facts *facts = &voice_table[h->player->voice];
  const cons_chord *c = score_chord(h->piece, step);
  int low = facts->low > 48 ? facts->low : 48, high = facts->high < 77 ? facts->high : 77;
  if (high < low + 19) high = low + 19;
  if (c != h->chord) h->n = harmony_voice(c, low, high, h->voicing, h->n);
  h->chord = c;
}

static bool strummed(cons_voice voice) {
  return voice >= VOICE_NYLON && voice <= VOICE_BANJO;
}

static void strike(hand *h, double step, double length, double velocity) {
  follow(h, step);
  double spread = strummed(h->player->voice) ? 0.011 : 0.002;
  for (int i = 0; i < h->n; i++)
    score_add(h->piece, h->player->track, step, length, h->voicing[i], velocity * dice_between(&h->dice, 0.85, 1),
              spread * i + dice_between(&h->dice, 0, 0.004));
}

typedef void hand_bar(hand *h, const cons_section *s, int bar);

static void each_bar(cons_piece *p, const cons_player *player, hand_bar *play) {
  hand h = {p, player, {0}, 0, NULL, dice_for(p->seed, "hand", player->track)};
  for (int i = 0; i < p->sections; i++) {
    const cons_section *s = &p->section[i];
    if (!score_in(p, player, s)) continue;
    for (int bar = s->bar; bar < s->bar + s->bars && bar < score_last(p); bar++) play(&h, s, bar);
  }
  if (score_last(p) < p->bars) strike(&h, score_last(p) * p->bar_steps, 4 * p->bar_steps, 0.75);
}

/* ---- in rhythm --------------------------------------------------------------------------------------------------- */

static void comp_bar(hand *h, const cons_section *s, int bar) {
  const cons_piece *p = h->piece;
  const char *pattern = score_groove(p)->comp;
  for (int at = 0; at < p->bar_steps; at++) {
    if (pattern[at] != 'x' && pattern[at] != '\'') continue;
    if (s->energy <= 1 && at % p->beat_steps) continue;
    double length = 1;
    while (pattern[at] == 'x' && at + length < p->bar_steps && pattern[at + (int)length] == '.') length++;
    strike(h, bar * p->bar_steps + at, pattern[at] == 'x' ? length * 0.95 : 0.8, at % p->beat_steps ? 0.65 : 0.8);
  }
}

void part_comp(cons_piece *p, const cons_player *player) {
  each_bar(p, player, comp_bar);
}

/* ---- held: as long as the chord stays ----------------------------------------------------------------------------- */

static void pad_bar(hand *h, const cons_section *s, int bar) {
  const cons_piece *p = h->piece;
  int half = p->bar_steps / 2, first = bar * p->bar_steps;
  bool two = score_chord(p, first)->bass != score_chord(p, first + half)->bass;
  strike(h, first, two ? half : p->bar_steps, 0.5 + 0.1 * s->energy);
  if (two) strike(h, first + half, half, 0.5 + 0.1 * s->energy);
}

void part_pad(cons_piece *p, const cons_player *player) {
  each_bar(p, player, pad_bar);
}

/* ---- broken ------------------------------------------------------------------------------------------------------ */

static void arpeggio_bar(hand *h, const cons_section *s, int bar) {
  static const int orders[][8] = {
      {0, 1, 2, 3, 2, 1, 2, 1}, {0, 2, 1, 3, 0, 2, 1, 3}, {0, 1, 2, 3, 0, 1, 2, 3}, {3, 2, 1, 0, 1, 2, 3, 2}};
  const cons_piece *p = h->piece;
  dice d = score_dice(p, "arpeggio", PART_VERSE, h->player->track);
  const int *order = orders[dice_roll(&d, 4)];
  bool fast = p->style->busy >= 0.5 && p->step > 0.09 && dice_chance(&d, 0.5);
  int every = fast ? 1 : p->step < 0.055 ? 4 : 2;
  if (s->energy <= 1) every *= 2;
  for (int at = 0; at < p->bar_steps; at += every) {
    int step = bar * p->bar_steps + at;
    follow(h, step);
    if (h->n == 0) continue;
    int i = order[at / every % 8], pitch = i < h->n ? h->voicing[i] : h->voicing[0] + 12;
    score_add(h->piece, h->player->track, step, every * 1.8, pitch,
              (at % p->beat_steps ? 0.6 : 0.8) * dice_between(&h->dice, 0.85, 1), dice_between(&h->dice, 0, 0.005));
  }
}

void part_arpeggio(cons_piece *p, const cons_player *player) {
  each_bar(p, player, arpeggio_bar);
}

/* ---- power chords: root, fifth, octave ----------------------------------------------------------------------------- */

static void riff_bar(hand *h, const cons_section *s, int bar) {
  cons_piece *p = h->piece;
  const char *pattern = score_groove(p)->comp;
  for (int at = 0; at < p->bar_steps; at++) {
    if (pattern[at] != 'x') continue;
    double length = 1;
    while (at + length < p->bar_steps && pattern[at + (int)length] == '.') length++;
    int step = bar * p->bar_steps + at, root = 40 + (score_chord(p, step)->bass + 8) % 12; /* from E upwards */
    bool muted = s->energy <= 2 && at % p->beat_steps;
    for (int i = 0; i < 3; i++)
      score_add(p, h->player->track, step, muted ? 0.5 : length * 0.97, root + (int[]){0, 7, 12}[i],
                at % p->beat_steps ? 0.75 : 0.95, 0);
  }
}

void part_riff(cons_piece *p, const cons_player *player) {
  each_bar(p, player, riff_bar);
}
