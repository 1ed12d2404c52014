#include "conservatory/hear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conservatory/fourier.h"

enum { SHORT = 2048, LONG = 16384, LONG_HOP = 4800 };

/* Channels added, around a middle frame; silence outside. */
static void take(const audio_buffer *b, int64_t middle, float *x, int n) {
  for (int i = 0; i < n; i++) {
    int64_t at = middle - n / 2 + i, inside = at < 0 || at >= b->frames ? 0 : at;
    const float *s = b->samples + inside * b->channels;
    x[i] = inside != at ? 0 : b->channels == 2 ? 0.5f * (s[0] + s[1]) : s[0];
  }
}

/* ---- mel bands and onsets ------------------------------------------------------------------------------------------ */

static double mel(double hz) {
  return 1127 * log1p(hz / 700);
}

/* Triangles of equal width in mel: which bands a bin counts for, and how much for the lower one. */
static void bank(int bins, int lower[], float share[]) {
  double least = mel(30), width = (mel(16000) - least) / (HEAR_BANDS + 1);
  for (int k = 0; k < bins; k++) {
    double at = (mel((double)k * CONS_RATE / SHORT) - least) / width - 1; /* band centres lie at 0, 1, ... */
    lower[k] = at < -1 || at >= HEAR_BANDS ? -2 : (int)floor(at);
    share[k] = (float)(1 - (at - floor(at)));
  }
}

static ace_status hear_bands(hear_sound *h, ace_error *err) {
  enum { BINS = SHORT / 2 };
  fourier f;
  float x[SHORT], share[BINS], sum[HEAR_BANDS];
  int lower[BINS];
  ace_status status = fourier_open(&f, SHORT, err);
  if (status != ACE_OK) return status;
  bank(BINS, lower, share);
  for (int64_t t = 0; t < h->frames; t++) {
    take(h->sound, t * HEAR_HOP, x, SHORT);
    fourier_run(&f, x);
    memset(sum, 0, sizeof sum);
    for (int k = 1; k < BINS; k++) {
      float power = f.re[k] * f.re[k] + f.im[k] * f.im[k];
      if (lower[k] >= 0) sum[lower[k]] += share[k] * power;
      if (lower[k] >= -1 && lower[k] + 1 < HEAR_BANDS) sum[lower[k] + 1] += (1 - share[k]) * power;
    }
    float *row = h->bands + t * HEAR_BANDS;
    for (int k = 0; k < HEAR_BANDS; k++) row[k] = logf(sum[k] + 1e-4f); /* the floor lies near -90 dB of full scale */
  }
  fourier_close(&f);
  return ACE_OK;
}

/* Growth over two frames, so that a vibrato's slow drift across bands does not count. */
static void hear_onsets(hear_sound *h) {
  for (int64_t t = 0; t < h->frames; t++) {
    const float *now = h->bands + t * HEAR_BANDS, *before = now - 2 * HEAR_BANDS;
    double sum = 0;
    for (int k = 0; k < HEAR_BANDS && t >= 2; k++) sum += fmax(0, fmax(now[k], -2) - fmax(before[k], -2));
    h->onset[t] = (float)(sum / HEAR_BANDS);
  }
}

/* ---- chroma -------------------------------------------------------------------------------------------------------- */

/* Peaks of one spectrum: their amplitude's root goes to the nearest pitch class, less for higher ones, which are often
 * harmonics. */
static void add_peaks(const fourier *f, double chroma[12]) {
  double power[3] = {0}, frame[12] = {0}, all = 1e-9;
  int first = 60 * LONG / CONS_RATE, last = 2000 * LONG / CONS_RATE;
  for (int k = first; k < last; k++) {
    for (int i = 0; i < 3; i++)
      power[i] = (double)f->re[k - 1 + i] * f->re[k - 1 + i] + (double)f->im[k - 1 + i] * f->im[k - 1 + i];
    if (power[1] <= power[0] || power[1] < power[2] || power[1] < 1e-3) continue;
    double a = log(power[0] + 1e-12), b = log(power[1]), c = log(power[2] + 1e-12),
           bin = k + 0.5 * (a - c) / (a - 2 * b + c);
    double pitch = 69 + 12 * log2(bin * CONS_RATE / LONG / 440), near = pitch - round(pitch);
    double weight = pow(power[1], 0.25) * exp(-near * near / 0.08) / (1 + bin * CONS_RATE / LONG / 600);
    frame[((int)lrint(pitch) + 1200) % 12] += weight, all += weight;
  }
  for (int i = 0; i < 12; i++) chroma[i] += frame[i] / all;
}

static ace_status hear_chroma(hear_sound *h, ace_error *err) {
  fourier f;
  float *x = malloc(LONG * sizeof *x);
  ace_status status = x ? fourier_open(&f, LONG, err) : ace_fail(err, ACE_ENOMEM, "hear: out of memory");
  if (status == ACE_OK) {
    double all = 1e-12;
    for (int64_t at = LONG_HOP; at < h->sound->frames; at += LONG_HOP) {
      take(h->sound, at, x, LONG);
      fourier_run(&f, x);
      add_peaks(&f, h->chroma);
    }
    for (int i = 0; i < 12; i++) all += h->chroma[i];
    for (int i = 0; i < 12; i++) h->chroma[i] /= all;
    fourier_close(&f);
  }
  free(x);
  return status;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

ace_status hear_open(hear_sound *h, const audio_buffer *b, ace_error *err) {
  *h = (hear_sound){.sound = b, .frames = b->frames / HEAR_HOP};
  if (b->sample_rate != CONS_RATE || b->channels < 1 || b->channels > 2 || b->frames < CONS_RATE / 2)
    return ace_fail(err, ACE_EINVAL, "hear: wants one or two channels at 48 kHz, half a second and more");
  h->bands = malloc((size_t)h->frames * HEAR_BANDS * sizeof *h->bands);
  h->onset = malloc((size_t)h->frames * sizeof *h->onset);
  ace_status status = h->bands && h->onset ? hear_bands(h, err) : ace_fail(err, ACE_ENOMEM, "hear: out of memory");
  if (status == ACE_OK) hear_onsets(h), status = hear_chroma(h, err);
  if (status != ACE_OK) hear_close(h);
  return status;
}

void hear_close(hear_sound *h) {
  free(h->bands), free(h->onset);
  *h = (hear_sound){0};
}
