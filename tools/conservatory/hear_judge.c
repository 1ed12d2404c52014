/* Judgements on what was heard: tempo, key, features, distances. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/hear.h"

/* ---- tempo ----------------------------------------------------------------------------------------------------------- */

/* The onsets with what is slower than half a second taken away, 0 and more. */
static double *sharpened(const hear_sound *h) {
  enum { AROUND = 25 };
  double *out = calloc((size_t)h->frames, sizeof *out);
  if (!out) return NULL;
  for (int64_t t = 0; t < h->frames; t++) {
    double sum = 0;
    int count = 0;
    for (int64_t k = t - AROUND; k <= t + AROUND; k++)
      if (k >= 0 && k < h->frames) sum += h->onset[k], count++;
    out[t] = fmax(0, h->onset[t] - sum / count);
  }
  return out;
}

/* Autocorrelation for lags 0..most, divided by lag 0 and by how much of the sound a lag still covers. */
static double *correlated(const double *x, int64_t n, int most) {
  double *out = calloc((size_t)most + 1, sizeof *out);
  for (int lag = 0; out && lag <= most; lag++) {
    for (int64_t t = lag; t < n; t++) out[lag] += x[t] * x[t - lag];
    out[lag] /= (double)(n - lag);
  }
  for (int lag = most; out && lag >= 0; lag--) out[lag] = out[0] > 0 ? out[lag] / out[0] : 0;
  return out;
}

static double at(const double *r, int most, double lag) {
  int i = (int)lag;
  return i >= most ? 0 : r[i] + (lag - i) * (r[i + 1] - r[i]);
}

/* A pulse repeats at its period and all multiples of it, and less at the halves between: the mean of the first, minus that of
 * the second. */
static double pulse(const double *r, int most, double period) {
  double on = 0, count = 0;
  for (int k = 1; k <= 8 && k * period < most; k++) on += at(r, most, k * period), count++;
  return count ? on / count : 0;
}

double hear_tempo(const hear_sound *h) {
  int most = (int)(h->frames * 3 / 4);
  if (most > 1200) most = 1200;
  double *x = sharpened(h), *r = x ? correlated(x, h->frames, most) : NULL, best = 0, tempo = 0;
  for (double bpm = 30; r && bpm <= 300; bpm *= 1.002) {
    double octaves = log2(bpm / 110), score = pulse(r, most, 6000 / bpm) * exp(-octaves * octaves / 1.6);
    if (score > best) best = score, tempo = bpm;
  }
  free(x), free(r);
  return tempo;
}

bool hear_tempo_agrees(double heard, double truth, double within) {
  for (double times = 0.5; times <= 2; times *= 2)
    if (fabs(heard / (truth * times) - 1) <= within) return true;
  return false;
}

/* ---- key --------------------------------------------------------------------------------------------------------------- */

static double correlation(const double a[12], const double profile[12], int shift) {
  double mean_a = 0, mean_p = 0, ab = 0, aa = 1e-12, pp = 1e-12;
  for (int i = 0; i < 12; i++) mean_a += a[i] / 12, mean_p += profile[i] / 12;
  for (int i = 0; i < 12; i++) {
    double x = a[(i + shift) % 12] - mean_a, y = profile[i] - mean_p;
    ab += x * y, aa += x * x, pp += y * y;
  }
  return ab / sqrt(aa * pp);
}

hear_key hear_key_of(const hear_sound *h) {
  static const double profiles[2][12] = {{6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88},
                                         {6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17}};
  hear_key best = {0, false, -2};
  for (int tonic = 0; tonic < 12; tonic++)
    for (int minor = 0; minor < 2; minor++) {
      double sure = correlation(h->chroma, profiles[minor], tonic);
      if (sure > best.sure) best = (hear_key){tonic, minor, sure};
    }
  return best;
}

int hear_key_agrees(hear_key heard, int tonic, bool minor) {
  if (heard.minor == minor) return heard.tonic == tonic ? 2 : 0;
  return heard.tonic == (tonic + (minor ? 3 : 9)) % 12; /* A minor goes with C major */
}

/* ---- features ---------------------------------------------------------------------------------------------------------- */

static void cepstra(const float *bands, double out[HEAR_MFCC]) {
  for (int k = 0; k < HEAR_MFCC; k++) {
    out[k] = 0;
    for (int b = 0; b < HEAR_BANDS; b++) out[k] += bands[b] * cos(3.141592653589793 * k * (b + 0.5) / HEAR_BANDS);
    out[k] /= HEAR_BANDS;
  }
}

/* Of the onsets: mean, deviation, share of the frames above the mean, and how they repeat at fractions of a second. */
static void moments(const hear_sound *h, double out[8]) {
  double mean = 0, square = 0, above = 0;
  for (int64_t t = 0; t < h->frames; t++) mean += h->onset[t] / (double)h->frames;
  for (int64_t t = 0; t < h->frames; t++) {
    double x = h->onset[t] - mean;
    square += x * x / (double)h->frames, above += (x > 2 * mean) / (double)h->frames;
  }
  out[0] = 10 * mean, out[1] = 5 * sqrt(square), out[2] = 10 * above;
  for (int k = 0; k < 5; k++) {
    int lag = 15 << k;
    double sum = 0;
    for (int64_t t = lag; t < h->frames; t++) sum += (h->onset[t] - mean) * (h->onset[t - lag] - mean);
    out[3 + k] = square > 0 && h->frames > lag ? sum / (double)(h->frames - lag) / square : 0;
  }
}

void hear_features(const hear_sound *h, double out[HEAR_FEATURES]) {
  double c[HEAR_MFCC], n = (double)h->frames;
  memset(out, 0, HEAR_FEATURES * sizeof *out);
  for (int64_t t = 0; t < h->frames; t++) {
    cepstra(h->bands + t * HEAR_BANDS, c);
    for (int k = 0; k < HEAR_MFCC; k++) out[k] += c[k] / n, out[HEAR_MFCC + k] += c[k] * c[k] / n;
  }
  for (int k = 0; k < HEAR_MFCC; k++) out[HEAR_MFCC + k] = sqrt(fmax(0, out[HEAR_MFCC + k] - out[k] * out[k]));
  out[0] *= 0.25, out[HEAR_MFCC] *= 0.25; /* loudness is not what is asked */
  moments(h, out + 2 * HEAR_MFCC);
  for (int i = 0; i < 12; i++) out[2 * HEAR_MFCC + 8 + i] = 6 * h->chroma[i];
}

double hear_distance(const double a[HEAR_FEATURES], const double b[HEAR_FEATURES]) {
  double sum = 0;
  for (int i = 0; i < HEAR_FEATURES; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sqrt(sum);
}

/* ---- against a wanted sound ---------------------------------------------------------------------------------------------- */

double hear_si_sdr(const audio_buffer *wanted, const audio_buffer *made) {
  double ww = 1e-20, wm = 0, rest = 0;
  size_t n = (size_t)(wanted->frames < made->frames ? wanted->frames : made->frames) * (size_t)wanted->channels;
  for (size_t i = 0; i < n; i++)
    ww += (double)wanted->samples[i] * wanted->samples[i], wm += (double)wanted->samples[i] * made->samples[i];
  double scale = wm / ww, signal = scale * scale * ww;
  for (size_t i = 0; i < n; i++) {
    double e = made->samples[i] - scale * wanted->samples[i];
    rest += e * e;
  }
  return 10 * log10(signal / rest);
}

double hear_spectral_distance(const hear_sound *a, const hear_sound *b) {
  int64_t n = (a->frames < b->frames ? a->frames : b->frames) * HEAR_BANDS;
  double sum = 0, decibels = 10 / log(10);
  for (int64_t i = 0; i < n; i++) sum += pow(decibels * (a->bands[i] - b->bands[i]), 2);
  return sqrt(sum / (double)n);
}
