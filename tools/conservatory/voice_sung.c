/* The singer: a glottal tone and breath through four formants, which move from vowel to vowel; consonants as murmurs,
 * bursts and hisses before and behind. One note is one syllable, read from letters by the small table below. Formant
 * frequencies of vowels are those of adult speakers (after Peterson and Barney, 1952), moved for high and deep voices. */
#include <string.h>

#include "conservatory/dice.h"
#include "conservatory/filter.h"
#include "conservatory/voice.h"

enum { BLOCK = 32, FORMANTS = 4, MOST_VOWELS = 3, MOST_CONSONANTS = 4 };

/* ---- letters to sounds ------------------------------------------------------------------------------------------- */

typedef struct vowel {
  const char *letters;
  float hz[FORMANTS];
} vowel;

static const vowel vowels[] = {
    {"a", {780, 1250, 2600, 3500}},  {"e", {510, 1880, 2550, 3500}},  {"i", {300, 2250, 2950, 3600}},
    {"o", {500, 880, 2500, 3400}},   {"u", {330, 780, 2350, 3400}},   {"y", {320, 1750, 2250, 3400}},
    {"ee", {290, 2300, 3000, 3600}}, {"ea", {300, 2250, 2950, 3600}}, {"oo", {340, 850, 2350, 3400}},
    {"ou", {360, 900, 2350, 3400}},  {"ie", {310, 2200, 2900, 3600}}, {"eu", {420, 1500, 2300, 3400}},
    {"au", {560, 900, 2450, 3400}},  {"ow", {450, 880, 2450, 3400}},
};

typedef enum sound_class { SOUND_HISS, SOUND_BURST, SOUND_MURMUR } sound_class;

typedef struct consonant {
  const char *letters;
  sound_class is;
  float hz, seconds, gain; /* of its noise, or of its lowest resonance */
} consonant;

static const consonant consonants[] = {
    {"sch", SOUND_HISS, 2900, 0.11f, 0.5f}, {"sh", SOUND_HISS, 2900, 0.11f, 0.5f},
    {"ch", SOUND_HISS, 3200, 0.08f, 0.5f},  {"th", SOUND_HISS, 5500, 0.06f, 0.2f},
    {"ph", SOUND_HISS, 5000, 0.08f, 0.25f}, {"qu", SOUND_BURST, 1800, 0.02f, 0.7f},
    {"ng", SOUND_MURMUR, 260, 0.06f, 0.5f}, {"s", SOUND_HISS, 6800, 0.1f, 0.4f},
    {"z", SOUND_HISS, 6000, 0.07f, 0.3f},   {"f", SOUND_HISS, 5000, 0.08f, 0.25f},
    {"v", SOUND_MURMUR, 300, 0.05f, 0.4f},  {"h", SOUND_HISS, 1600, 0.06f, 0.3f},
    {"x", SOUND_HISS, 5000, 0.08f, 0.3f},   {"j", SOUND_HISS, 2600, 0.06f, 0.3f},
    {"c", SOUND_BURST, 2100, 0.03f, 0.7f},  {"k", SOUND_BURST, 2100, 0.03f, 0.7f},
    {"t", SOUND_BURST, 4200, 0.025f, 0.7f}, {"p", SOUND_BURST, 900, 0.02f, 0.7f},
    {"g", SOUND_BURST, 1600, 0.02f, 0.45f}, {"d", SOUND_BURST, 3200, 0.015f, 0.45f},
    {"b", SOUND_BURST, 600, 0.015f, 0.45f}, {"m", SOUND_MURMUR, 240, 0.07f, 0.5f},
    {"n", SOUND_MURMUR, 280, 0.06f, 0.5f},  {"l", SOUND_MURMUR, 340, 0.05f, 0.6f},
    {"r", SOUND_MURMUR, 420, 0.05f, 0.6f},  {"w", SOUND_MURMUR, 310, 0.05f, 0.6f},
};

/* A syllable taken apart. */
typedef struct spoken {
  const consonant *before[MOST_CONSONANTS], *after[MOST_CONSONANTS];
  const vowel *vowel[MOST_VOWELS];
  int n_before, n_vowels, n_after;
} spoken;

static bool is_vowel(const char *s, int at) {
  return strchr("aeiou", s[at]) || (s[at] == 'y' && (at > 0 || s[1] == 0 || !strchr("aeiou", s[1])));
}

static const vowel *find_vowel(const char *s, int *length) {
  for (size_t i = sizeof vowels / sizeof *vowels; i-- > 0;) /* pairs stand behind single letters */
    if (strncmp(s, vowels[i].letters, strlen(vowels[i].letters)) == 0)
      return *length = (int)strlen(vowels[i].letters), &vowels[i];
  *length = 1;
  return &vowels[0];
}

static spoken read_syllable(const char *s) {
  spoken out = {0};
  int n = (int)strlen(s);
  for (int i = 0, length; i < n; i += length) {
    length = 1;
    bool mute = s[i] == 'e' && i == n - 1 && out.n_vowels > 0 && out.n_after > 0; /* as in "take" */
    if (mute) continue;
    if (is_vowel(s, i)) {
      const vowel *v = find_vowel(s + i, &length);
      if (out.n_vowels < MOST_VOWELS) out.vowel[out.n_vowels++] = v;
      continue;
    }
    for (size_t k = 0; k < sizeof consonants / sizeof *consonants; k++) {
      if (strncmp(s + i, consonants[k].letters, strlen(consonants[k].letters)) != 0) continue;
      length = (int)strlen(consonants[k].letters);
      if (out.n_vowels == 0 && out.n_before < MOST_CONSONANTS) out.before[out.n_before++] = &consonants[k];
      else if (out.n_vowels > 0 && out.n_after < MOST_CONSONANTS) out.after[out.n_after++] = &consonants[k];
      break;
    }
  }
  if (out.n_vowels == 0) out.vowel[out.n_vowels++] = &vowels[0];
  return out;
}

/* ---- the throat -------------------------------------------------------------------------------------------------- */

typedef struct throat {
  const voice_note *n;
  dice dice;
  svf formant[FORMANTS];
  float hz[FORMANTS], phase, wobble, detune, size;
  bool choir;
} throat;

static void shape(throat *t, const float goal[FORMANTS], float speed) {
  static const float width[FORMANTS] = {85, 110, 150, 220};
  for (int k = 0; k < FORMANTS; k++) {
    t->hz[k] += speed * (goal[k] * t->size - t->hz[k]);
    /* The lowest formant is never below the tone: singers open their mouth for high notes. */
    float hz = k == 0 ? fmaxf(t->hz[k], t->n->hz * 1.02f) : t->hz[k];
    svf_set(&t->formant[k], hz, fmaxf(hz / width[k], 1));
  }
}

/* Voiced sound of `n` frames from frame `at` of the note, formants on the way to goal; `murmur`: mouth closed. */
static void voiced(throat *t, float *out, int n, int at, const float goal[FORMANTS], float murmur) {
  static const float gain[FORMANTS] = {1, 0.6f, 0.32f, 0.2f};
  const float *table = waves_at(t->n->waves, WAVE_GLOTTIS, t->n->hz * 1.04f), *sine = t->n->waves->table[WAVE_SINE][0];
  float step = 0;
  for (int i = 0; i < n; i++) {
    if ((at + i) % BLOCK == 0 || i == 0) {
      float since = (float)(at + i), glide = t->n->from_hz > 0 ? (t->n->from_hz / t->n->hz - 1) * expf(-since / 1800)
                                                               : -0.02f * expf(-since / 1500);
      float depth = since < 9000 ? 0 : 0.009f * fminf(1, (since - 9000) / 12000);
      t->wobble = wave_step(t->wobble, 5.4f * BLOCK / CONS_RATE);
      step = t->n->hz / CONS_RATE * (1 + t->detune + glide + depth * wave_read(sine, t->wobble));
      shape(t, goal, 0.035f);
    }
    float x = wave_read(table, t->phase) + 0.035f * dice_noise(&t->dice), y = 0.06f * x;
    t->phase = wave_step(t->phase, step);
    for (int k = 0; k < FORMANTS; k++) y += gain[k] * (k ? 1 - murmur : 1) * svf_band(&t->formant[k], x);
    out[i] += (1 - 0.5f * murmur) * y;
  }
}

/* A consonant of `n` frames; a murmur is the tone with the mouth nearly closed. */
static void consonant_run(throat *t, const consonant *c, float *out, int n, int at) {
  if (c->is == SOUND_MURMUR) {
    const float closed[FORMANTS] = {c->hz, 1200, 2300, 3300};
    voiced(t, out, n, at, closed, 0.8f);
    return;
  }
  svf f = {0};
  svf_set(&f, c->hz, 1.3f);
  int quiet = c->is == SOUND_BURST ? n / 3 : 0; /* closure, then the burst */
  for (int i = quiet; i < n; i++) {
    float along = (float)(i - quiet) / (float)(n - quiet),
          swell = c->is == SOUND_BURST ? expf(-4 * along) : fminf(1, 4 * fminf(along, 1 - along));
    out[i] += 0.5f * c->gain * swell * svf_band(&f, dice_noise(&t->dice));
  }
}

static int clipped(int n, int most) {
  return n < most ? n : most > 0 ? most : 0;
}

int voice_sung(cons_voice voice, const voice_note *n, float *out, int room) {
  bool choir = voice == VOICE_CHOIR;
  spoken s = read_syllable(n->sung ? n->sung : "a");
  throat t = {.n = n, .dice = {n->seed + 77 * (uint64_t)n->layer}, .size = n->low ? 0.93f : 1.1f, .choir = choir};
  t.wobble = (float)dice_unit(&t.dice), t.phase = (float)dice_unit(&t.dice);
  if (choir) t.detune = (float)dice_between(&t.dice, -0.006, 0.006);
  for (int k = 0; k < FORMANTS; k++) t.hz[k] = s.vowel[0]->hz[k] * t.size;
  for (int i = 0; i < room; i++) out[i] = 0;
  int total = clipped(n->gate + (choir ? 20000 : 1200), room), at = 0, after = 0;
  for (int i = 0; i < s.n_before; i++) { /* at most a third of the note */
    int length = clipped((int)(s.before[i]->seconds * CONS_RATE), total / 3 - at);
    if (length > 64) consonant_run(&t, s.before[i], out + at, length, at), at += length;
  }
  for (int i = 0; i < s.n_after; i++)
    after += clipped((int)(0.8f * s.after[i]->seconds * CONS_RATE), total / 4 - after);
  int first = at, open = total - at - after;
  for (int v = 0; v < s.n_vowels; v++) { /* the first is held */
    int end =
        first + (v == s.n_vowels - 1
                     ? open
                     : (int)((float)open * 0.75f * (float)(v + 1) / (float)(s.n_vowels - 1 ? s.n_vowels - 1 : 1)));
    voiced(&t, out + at, end - at, at, s.vowel[v]->hz, 0);
    at = end;
  }
  for (int i = 0; i < s.n_after && at < total; i++) {
    int length = clipped((int)(0.8f * s.after[i]->seconds * CONS_RATE), total - at);
    if (length > 64) consonant_run(&t, s.after[i], out + at, length, at), at += length;
  }
  int rise = choir ? 7000 : s.n_before ? 300 : 1400, fall = choir ? 19000 : 1800;
  for (int i = 0; i < rise && i < total; i++) out[i] *= (float)i / (float)rise;
  for (int i = 0; i < fall && i < total; i++) out[total - 1 - i] *= (float)i / (float)fall;
  for (int i = 0; i < total; i++) out[i] *= n->velocity;
  return total;
}
