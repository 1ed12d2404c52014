/* voice.h - the voices: each makes one note, one channel, 48 kHz, from its own kind of synthesis.
 *
 *   voice_note n = {.waves = w, .hz = 440, .velocity = 0.8f, .gate = 24000, .seed = 1};
 *   int length = voice_play(VOICE_FLUTE, &n, out, room);     // frames written, at most room
 *
 * A voice's loudness is its own affair: stems are brought to their level later (render.h).
 */
#ifndef CONSERVATORY_VOICE_H
#define CONSERVATORY_VOICE_H

#include "conservatory/piece.h"
#include "conservatory/wave.h"

typedef enum cons_voice {
  VOICE_PIANO,
  VOICE_EPIANO,
  VOICE_ORGAN,
  VOICE_VIBES,
  VOICE_BELL,
  VOICE_ACCORDION,
  VOICE_NYLON,
  VOICE_STEEL,
  VOICE_ELECTRIC,
  VOICE_DISTORTED,
  VOICE_BANJO,
  VOICE_BASS,
  VOICE_UPRIGHT,
  VOICE_SYNTH_BASS,
  VOICE_SUB,
  VOICE_ENSEMBLE,
  VOICE_VIOLIN,
  VOICE_PIZZICATO,
  VOICE_TRUMPET,
  VOICE_HORNS,
  VOICE_FLUTE,
  VOICE_CLARINET,
  VOICE_SAX,
  VOICE_PAD,
  VOICE_LEAD,
  VOICE_PLUCK,
  VOICE_KIT,
  VOICE_MACHINE, /* an electronic kit */
  VOICE_BRUSHES,
  VOICE_HANDS, /* hand percussion */
  VOICE_EFFECT,
  VOICE_SINGER,
  VOICE_CHOIR,
  VOICE_COUNT
} cons_voice;

typedef struct voice_note {
  const waves *waves;
  float hz, from_hz, velocity; /* from_hz: of the note before when this one is slurred to it, else 0 */
  int gate;                    /* frames until it is let go */
  int sound;                   /* of drums, percussion and fx: enum drum_sound */
  int layer;                   /* of wide voices: 0, 1 */
  bool low;                    /* of singers: a deep voice */
  const char *sung;            /* the syllable's sound; NULL: "a" */
  uint64_t seed;
} voice_note;

/* What is known of a voice. */
typedef struct voice_facts {
  const char *names[3]; /* for captions, NULL behind the last */
  double tail;          /* seconds that it rings after its gate, at most */
  int layers;           /* 2: wide, played twice and spread */
  int low, high;        /* where it plays, MIDI */
  double send;          /* into the reverb */
} voice_facts;

extern const voice_facts voice_table[VOICE_COUNT];

/* Adds nothing: writes. The frames behind the returned length are as they were. */
int voice_play(cons_voice voice, const voice_note *n, float *out, int room);

/* One file each. */
typedef int voice_fn(cons_voice voice, const voice_note *n, float *out, int room);
voice_fn voice_keys, voice_plucked, voice_bowed, voice_blown, voice_synth, voice_drum, voice_effect, voice_sung;

#endif
