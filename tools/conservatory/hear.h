/* hear.h - the ear that judges: what can be measured of a sound without knowing how it was made. Meant for pieces of 5 seconds
 * and more at 48 kHz; figures on pieces whose truth is known stand in docs/CONSERVATORY.md.
 *
 *   hear_sound h;
 *   if (hear_open(&h, &buffer, &err) == ACE_OK) {
 *     double bpm = hear_tempo(&h);
 *     hear_key key = hear_key_of(&h);
 *     hear_close(&h);
 *   }
 */
#ifndef CONSERVATORY_HEAR_H
#define CONSERVATORY_HEAR_H

#include "audio/buffer.h"
#include "conservatory/piece.h"

enum {
  HEAR_HOP = 480 /* 100 frames a second */,
  HEAR_BANDS = 40,
  HEAR_MFCC = 13,
  HEAR_FEATURES = 2 * HEAR_MFCC + 8 + 12
};

typedef struct hear_sound {
  const audio_buffer *sound; /* borrowed */
  int64_t frames;
  float *bands;      /* [frames, HEAR_BANDS] log power of mel bands, 30 Hz to 16 kHz, in nepers; owned as the next */
  float *onset;      /* [frames] growth of the bands since the frame before, 0 and more */
  double chroma[12]; /* share of each pitch class between 60 and 2000 Hz, from spectral peaks; sums to 1, C first */
} hear_sound;

/* 48 kHz, one or two channels, half a second and more. */
ace_status hear_open(hear_sound *h, const audio_buffer *b, ace_error *err);
void hear_close(hear_sound *h);

/* Beats a minute, 30..300: the pulse that the onsets' autocorrelation repeats best, of those an octave apart the one nearest
 * to 110. 0: there is no pulse. */
double hear_tempo(const hear_sound *h);
/* Whether a tempo heard is the true one, twice or half of it allowed, within a share (0.04). */
bool hear_tempo_agrees(double heard, double truth, double within);

/* Krumhansl and Kessler's profiles (1982), correlated with the chroma. */
typedef struct hear_key {
  int tonic; /* pitch class */
  bool minor;
  double sure; /* correlation, -1..1 */
} hear_key;
hear_key hear_key_of(const hear_sound *h);
/* 2: the same; 1: relative major or minor; 0: another. */
int hear_key_agrees(hear_key heard, int tonic, bool minor);

/* One point for a sound: means and deviations of 13 mel cepstra, eight moments of the onsets, 12 of chroma, scaled so that each
 * of the three groups moves about as much between pieces of the conservatory. */
void hear_features(const hear_sound *h, double out[HEAR_FEATURES]);
/* Euclidean. */
double hear_distance(const double a[HEAR_FEATURES], const double b[HEAR_FEATURES]);

/* Of equal shape; decibels. SI-SDR (Le Roux et al., 2019) over both channels together: the part of `made` that is a multiple of
 * `wanted` against the rest. Infinite for a perfect copy. */
double hear_si_sdr(const audio_buffer *wanted, const audio_buffer *made);
/* Root mean square over frames and bands between the log mel spectra of two sounds, decibels. Of different lengths the shorter
 * counts. */
double hear_spectral_distance(const hear_sound *a, const hear_sound *b);

#endif
