/* drum.h - the sounds of drums, percussion and effects, by number. */
#ifndef CONSERVATORY_DRUM_H
#define CONSERVATORY_DRUM_H

typedef enum drum_sound {
  DRUM_KICK,
  DRUM_SNARE,
  DRUM_RIM,
  DRUM_CLAP,
  DRUM_HAT,
  DRUM_OPEN_HAT,
  DRUM_RIDE,
  DRUM_CRASH,
  DRUM_TOM_HIGH,
  DRUM_TOM_MID,
  DRUM_TOM_LOW,
  DRUM_SHAKER,
  DRUM_CONGA_HIGH,
  DRUM_CONGA_LOW,
  DRUM_TAMBOURINE,
  DRUM_COWBELL,
  DRUM_WOODBLOCK,
  DRUM_TRIANGLE,
  FX_RISER,
  FX_FALL,
  FX_IMPACT,
  DRUM_SOUNDS
} drum_sound;

#endif
