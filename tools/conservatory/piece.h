/* piece.h - a composed piece: what is played and sung, when, and all that is true of it. Times are seconds from the
 * beginning of the piece, pitches are MIDI numbers (60 is middle C, 69 is A at 440 Hz).
 *
 *   cons_wish wish = {.seed = 7, .seconds = 30};
 *   cons_piece *p = cons_compose(&wish, &err);          // words and notes
 *   waves *w = waves_new(&err);                         // once for all pieces
 *   cons_sound sound;
 *   cons_render(p, w, &sound, &err);                    // stems and mix, 48 kHz stereo
 *   json_t *truth = cons_describe(p);                   // caption, lyrics, BPM, key, ...
 */
#ifndef CONSERVATORY_PIECE_H
#define CONSERVATORY_PIECE_H

#include "base/error.h"

enum { CONS_RATE = 48000, CONS_SECTIONS = 96, CONS_LINES = 160, CONS_CHORD_TONES = 5, CONS_PARTS = 14 };

typedef enum cons_track {
  TRACK_VOCALS,
  TRACK_BACKING_VOCALS,
  TRACK_DRUMS,
  TRACK_BASS,
  TRACK_GUITAR,
  TRACK_KEYBOARD,
  TRACK_PERCUSSION,
  TRACK_STRINGS,
  TRACK_SYNTH,
  TRACK_FX,
  TRACK_BRASS,
  TRACK_WOODWINDS,
  TRACK_COUNT
} cons_track;

extern const char *const cons_track_names[TRACK_COUNT];

typedef enum cons_mode { MODE_MAJOR, MODE_MINOR, MODE_DORIAN, MODE_MIXOLYDIAN, MODE_COUNT } cons_mode;
typedef enum cons_kind { PART_INTRO, PART_VERSE, PART_CHORUS, PART_BRIDGE, PART_SOLO, PART_OUTRO } cons_kind;

/* One sound of one track. Of drums, percussion and fx the pitch names the sound (drum.h). */
typedef struct cons_note {
  double start, length;
  float pitch, velocity; /* velocity 0..1 */
  int16_t syllable;      /* that is sung, an index; -1: none */
  uint8_t track;
} cons_note;

typedef struct cons_chord {
  double start, end;
  int bass;                      /* pitch class 0..11, C is 0 */
  int n, tone[CONS_CHORD_TONES]; /* pitch classes, the root first */
} cons_chord;

typedef struct cons_section {
  cons_kind kind;
  int bar, bars; /* first, how many */
  int energy;    /* 1..4 */
} cons_section;

typedef struct cons_syllable {
  char text[24], sound[12]; /* as written; as the singer reads it */
  bool begins_word;
  double start, end;
} cons_syllable;

typedef struct cons_line {
  char text[200];
  int section, first, count; /* syllables */
  double start, end;
} cons_line;

/* A voice on its track, with what it does there. */
typedef struct cons_player {
  cons_track track;
  int voice, role;
  double level, pan; /* decibels of the sounding stem; -1 left .. 1 right */
} cons_player;

typedef struct cons_style cons_style;

typedef struct cons_piece {
  uint64_t seed;
  const cons_style *style;
  double seconds;
  int64_t frames;
  int bpm, metre; /* felt beats a minute (a dotted quarter in 6/8); 2, 3, 4 or 6 */
  int key;        /* pitch class of the tonic */
  cons_mode mode;
  double swing;                    /* where the off-beat eighth lies in its beat, 0.5 is straight */
  int groove;                      /* of the style */
  int bars, bar_steps, beat_steps; /* steps are sixteenths */
  double step;                     /* seconds */
  const char *language;            /* ISO code, "unknown" without words */
  bool low_singer;
  int players, sections, lines, syllables, notes, chords;
  cons_player player[CONS_PARTS];
  cons_section section[CONS_SECTIONS];
  cons_line line[CONS_LINES];
  cons_syllable *syllable; /* owned, as are the next two */
  cons_note *note;
  cons_chord *chord; /* in order of time, half bars */
  int room_syllables, room_notes;
  bool short_of_memory;
} cons_piece;

typedef struct cons_wish {
  uint64_t seed;
  double seconds;          /* 2..600 */
  const cons_style *style; /* NULL: by the seed */
} cons_wish;

/* Free with cons_piece_free. NULL: a length out of range, or out of memory. */
cons_piece *cons_compose(const cons_wish *wish, ace_error *err);
void cons_piece_free(cons_piece *p);

/* "D minor"; modes count as the major or minor scale that they differ from by one tone. `out` holds 16 bytes. */
void cons_key_name(const cons_piece *p, char out[16]);
bool cons_is_minor(cons_mode mode);
/* Seconds at which a step (may be a fraction) of the piece sounds, swing included. */
double cons_time(const cons_piece *p, double step);
/* True when the track has notes. */
bool cons_plays(const cons_piece *p, cons_track track);
/* The player of a track, or NULL. */
const cons_player *cons_player_of(const cons_piece *p, cons_track track);

#endif
