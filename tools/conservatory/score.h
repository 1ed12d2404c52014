/* score.h - inside of composing: how parts put notes into a piece and ask where they are. Positions are in steps
 * (sixteenths) from the beginning, lengths too. */
#ifndef CONSERVATORY_SCORE_H
#define CONSERVATORY_SCORE_H

#include "conservatory/dice.h"
#include "conservatory/style.h"

/* Adds a note whose ends follow the swing; out of memory is remembered in the piece. Pitches outside 0..127 and notes
 * behind the end are left out. `late` moves the start, in seconds. */
void score_add(cons_piece *p, cons_track track, double step, double length, double pitch, double velocity, double late);
/* A note as it stands. */
void score_put(cons_piece *p, cons_note note);

const cons_chord *score_chord(const cons_piece *p, double step);
const cons_groove *score_groove(const cons_piece *p);
/* Does this player play in that section? Drawn by player and kind of section, so that choruses are alike. */
bool score_in(const cons_piece *p, const cons_player *player, const cons_section *section);
/* A stream that is the same in every section of one kind. */
dice score_dice(const cons_piece *p, const char *purpose, cons_kind kind, int number);
/* The last bar, which is one long chord; `bars` for pieces too short to have one. */
int score_last(const cons_piece *p);

/* Each writes what one player does in the whole piece. */
typedef void score_part(cons_piece *p, const cons_player *player);
score_part part_drums, part_percussion, part_effects, part_bass;
score_part part_comp, part_pad, part_arpeggio, part_riff;
score_part part_lead, part_echo, part_backing;
/* Words and the singer's tune; lines, syllables and notes of the track vocals. */
score_part part_sing;

/* A tune on its way: where it is, and where the next note lies. */
typedef struct tune {
  const cons_piece *piece;
  int pitch, low, high;
} tune;
int tune_next(tune *t, const cons_chord *chord, bool strong, dice *d);

#endif
