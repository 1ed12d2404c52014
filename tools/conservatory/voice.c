#include "conservatory/voice.h"

#include "conservatory/filter.h"

const voice_facts voice_table[VOICE_COUNT] = {
    [VOICE_PIANO] = {{"piano", "acoustic piano"}, 0.5, 1, 36, 84, 0.16},
    [VOICE_EPIANO] = {{"electric piano", "Rhodes-style keys"}, 0.4, 1, 40, 80, 0.15},
    [VOICE_ORGAN] = {{"organ", "drawbar organ"}, 0.15, 1, 40, 84, 0.12},
    [VOICE_VIBES] = {{"vibraphone", "vibes"}, 0.8, 1, 53, 84, 0.2},
    [VOICE_BELL] = {{"bells", "glassy bells"}, 1.5, 1, 60, 90, 0.3},
    [VOICE_ACCORDION] = {{"accordion"}, 0.12, 1, 53, 84, 0.12},
    [VOICE_NYLON] = {{"nylon-string guitar", "classical guitar"}, 0.3, 1, 44, 76, 0.14},
    [VOICE_STEEL] = {{"acoustic guitar", "steel-string guitar"}, 0.3, 1, 44, 79, 0.14},
    [VOICE_ELECTRIC] = {{"clean electric guitar", "electric guitar"}, 0.2, 1, 48, 79, 0.12},
    [VOICE_DISTORTED] = {{"distorted guitar", "overdriven electric guitar"}, 0.1, 1, 36, 76, 0.08},
    [VOICE_BANJO] = {{"banjo", "plucked strings"}, 0.2, 1, 52, 81, 0.1},
    [VOICE_BASS] = {{"bass guitar", "electric bass"}, 0.15, 1, 28, 55, 0.02},
    [VOICE_UPRIGHT] = {{"upright bass", "double bass"}, 0.2, 1, 28, 55, 0.06},
    [VOICE_SYNTH_BASS] = {{"synth bass", "analog bass"}, 0.1, 1, 28, 52, 0.02},
    [VOICE_SUB] = {{"sub bass", "deep bass"}, 0.15, 1, 28, 50, 0.01},
    [VOICE_ENSEMBLE] = {{"strings", "string section"}, 0.5, 2, 48, 84, 0.28},
    [VOICE_VIOLIN] = {{"violin", "fiddle"}, 0.2, 1, 57, 90, 0.22},
    [VOICE_PIZZICATO] = {{"pizzicato strings", "plucked strings"}, 0.25, 1, 48, 84, 0.22},
    [VOICE_TRUMPET] = {{"trumpet"}, 0.12, 1, 55, 82, 0.2},
    [VOICE_HORNS] = {{"horn section", "brass section"}, 0.15, 2, 50, 79, 0.18},
    [VOICE_FLUTE] = {{"flute"}, 0.15, 1, 62, 91, 0.22},
    [VOICE_CLARINET] = {{"clarinet"}, 0.12, 1, 52, 84, 0.2},
    [VOICE_SAX] = {{"saxophone", "sax"}, 0.12, 1, 49, 79, 0.18},
    [VOICE_PAD] = {{"synth pad", "warm pad"}, 1.2, 2, 45, 84, 0.3},
    [VOICE_LEAD] = {{"synth lead", "lead synth"}, 0.15, 1, 55, 88, 0.18},
    [VOICE_PLUCK] = {{"synth pluck", "plucked synth"}, 0.25, 1, 50, 88, 0.22},
    [VOICE_KIT] = {{"drums", "drum kit"}, 1.5, 1, 0, 127, 0.07},
    [VOICE_MACHINE] = {{"drum machine", "electronic drums"}, 1.2, 1, 0, 127, 0.05},
    [VOICE_BRUSHES] = {{"brushed drums", "soft drum kit"}, 1.2, 1, 0, 127, 0.1},
    [VOICE_HANDS] = {{"percussion", "hand percussion"}, 0.6, 1, 0, 127, 0.12},
    [VOICE_EFFECT] = {{"risers and impacts", "sound effects"}, 1.5, 2, 0, 127, 0.3},
    [VOICE_SINGER] = {{"vocals", "singing"}, 0.08, 1, 43, 79, 0.18},
    [VOICE_CHOIR] = {{"choir", "wordless choir"}, 0.6, 2, 48, 79, 0.32},
};

int voice_play(cons_voice voice, const voice_note *n, float *out, int room) {
  static voice_fn *const by_voice[VOICE_COUNT] = {
      [VOICE_PIANO] = voice_keys,        [VOICE_EPIANO] = voice_keys,      [VOICE_ORGAN] = voice_keys,
      [VOICE_VIBES] = voice_keys,        [VOICE_BELL] = voice_keys,        [VOICE_ACCORDION] = voice_keys,
      [VOICE_NYLON] = voice_plucked,     [VOICE_STEEL] = voice_plucked,    [VOICE_ELECTRIC] = voice_plucked,
      [VOICE_DISTORTED] = voice_plucked, [VOICE_BANJO] = voice_plucked,    [VOICE_BASS] = voice_plucked,
      [VOICE_UPRIGHT] = voice_plucked,   [VOICE_SYNTH_BASS] = voice_synth, [VOICE_SUB] = voice_synth,
      [VOICE_ENSEMBLE] = voice_bowed,    [VOICE_VIOLIN] = voice_bowed,     [VOICE_PIZZICATO] = voice_plucked,
      [VOICE_TRUMPET] = voice_blown,     [VOICE_HORNS] = voice_blown,      [VOICE_FLUTE] = voice_blown,
      [VOICE_CLARINET] = voice_blown,    [VOICE_SAX] = voice_blown,        [VOICE_PAD] = voice_synth,
      [VOICE_LEAD] = voice_synth,        [VOICE_PLUCK] = voice_synth,      [VOICE_KIT] = voice_drum,
      [VOICE_MACHINE] = voice_drum,      [VOICE_BRUSHES] = voice_drum,     [VOICE_HANDS] = voice_drum,
      [VOICE_EFFECT] = voice_effect,     [VOICE_SINGER] = voice_sung,      [VOICE_CHOIR] = voice_sung,
  };
  int most = n->gate + (int)(voice_table[voice].tail * CONS_RATE), ramp = 240;
  if (most < room) room = most;
  if (room <= 0) return 0;
  int length = by_voice[voice](voice, n, out, room);
  if (ramp > length) ramp = length;
  for (int i = 0; i < ramp; i++) out[length - 1 - i] *= (float)i / (float)ramp; /* no click where a tail is cut */
  return length;
}
