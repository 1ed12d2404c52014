/* style.h - the styles: tempo, metre, groove, harmony, instruments and the words for them. */
#ifndef CONSERVATORY_STYLE_H
#define CONSERVATORY_STYLE_H

#include "conservatory/piece.h"
#include "conservatory/voice.h"

typedef enum cons_role {
  ROLE_DRUMS,
  ROLE_PERCUSSION,
  ROLE_BASS,
  ROLE_COMP, /* chords in the rhythm of the groove */
  ROLE_PAD,  /* chords held */
  ROLE_ARP,  /* chords broken */
  ROLE_RIFF, /* power chords */
  ROLE_LEAD, /* the tune, or answers to the singer */
  ROLE_ECHO, /* slow second tune */
  ROLE_FX,
  ROLE_SING,
  ROLE_BACK /* backing vocals */
} cons_role;

/* One bar, one character a sixteenth. Drums: X loud, x, o soft, '.' nothing. Comp: x held until the next sign, ' short,
 * ',' silence. Bass: r root, 3 third, 5 fifth, 8 octave, w a step on the way, a beside the next root; ',' silence. */
typedef struct cons_groove {
  int metre;
  const char *kick, *snare, *hat, *extra;
  int extra_sound; /* of enum drum_sound */
  const char *comp, *bass, *percussion;
} cons_groove;

typedef struct cons_part {
  cons_track track;
  cons_voice voice;
  cons_role role;
  double chance;
} cons_part;

enum { STYLE_GROOVES = 3, STYLE_PARTS = 12, STYLE_CHANGES = 4, STYLE_WORDS = 4 };

struct cons_style {
  const char *name;
  const char *genre[STYLE_WORDS], *mood[STYLE_WORDS]; /* up to four of each, NULL behind the last */
  int bpm_least, bpm_most;
  double swing, minor, vocal, modal; /* swing as in cons_piece; the others chances */
  bool sixteenth_swing;
  double busy; /* of tunes, 0..1 */
  const char *major_changes[STYLE_CHANGES], *minor_changes[STYLE_CHANGES];
  cons_groove groove[STYLE_GROOVES];
  cons_part part[STYLE_PARTS]; /* of a track the first one that is drawn; chance 0 ends the list */
};

int style_count(void);
const cons_style *style_at(int i);
/* NULL: no such style. */
const cons_style *style_find(const char *name);

#endif
