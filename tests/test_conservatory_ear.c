/* The ear of the conservatory, on signals whose tempo, key and distance are known without it: it judges what the small models
 * make, so a wrong ear would pass wrong music. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka needs the headers above it. */
#include <cmocka.h>

#include "conservatory/audit.h"
#include "conservatory/dice.h"
#include "conservatory/fourier.h"
#include "conservatory/hear.h"

static const double TURN = 6.283185307179586;

static audio_buffer silence(double seconds) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * CONS_RATE), 2, CONS_RATE, NULL), ACE_OK);
  return b;
}

/* A tone with four harmonics that dies away. */
static void strike(audio_buffer *b, double at, double pitch, double seconds) {
  double hz = 440 * exp2((pitch - 69) / 12);
  int64_t first = (int64_t)(at * CONS_RATE), n = (int64_t)(seconds * CONS_RATE);
  for (int64_t i = 0; i < n && first + i < b->frames; i++)
    for (int k = 1; k <= 4; k++) {
      float x = (float)(0.1 / k * exp(-3.0 * (double)i / (double)n) * sin(TURN * hz * k * (double)i / CONS_RATE));
      b->samples[2 * (first + i)] += x, b->samples[2 * (first + i) + 1] += x;
    }
}

static void the_tempo_of_clicks_is_heard(void **state) {
  static const double tempos[] = {64, 90, 123, 171};
  for (int i = 0; i < 4; i++) {
    audio_buffer b = silence(6);
    dice d = {1};
    for (double t = 0.3; t < 5.9; t += 60 / tempos[i])
      for (int64_t k = 0, at = (int64_t)(t * CONS_RATE); k < 1200; k++)
        b.samples[2 * (at + k)] += 0.3f * dice_noise(&d) * (float)(1200 - k) / 1200;
    hear_sound h;
    assert_int_equal(hear_open(&h, &b, NULL), ACE_OK);
    assert_true(hear_tempo_agrees(hear_tempo(&h), tempos[i], 0.01));
    hear_close(&h);
    audio_buffer_free(&b);
  }
  audio_buffer b = silence(3);
  hear_sound h;
  assert_int_equal(hear_open(&h, &b, NULL), ACE_OK);
  assert_true(hear_tempo(&h) == 0); /* nothing beats in silence */
  hear_close(&h);
  audio_buffer_free(&b);
  assert_true(hear_tempo_agrees(60.5, 121, 0.04) && hear_tempo_agrees(242, 121, 0.04));
  assert_false(hear_tempo_agrees(90, 121, 0.04));
}

/* I IV V I with its scale, in major and minor, on three tonics. */
static void the_key_of_cadences_is_heard(void **state) {
  static const int chords[2][4][3] = {{{0, 4, 7}, {5, 9, 12}, {7, 11, 14}, {0, 4, 7}},
                                      {{0, 3, 7}, {5, 8, 12}, {7, 11, 14}, {0, 3, 7}}};
  for (int minor = 0; minor < 2; minor++)
    for (int tonic = 1; tonic < 12; tonic += 5) {
      audio_buffer b = silence(4.2);
      for (int c = 0; c < 4; c++)
        for (int k = 0; k < 3; k++) strike(&b, c, 48 + tonic + chords[minor][c][k], 1);
      hear_sound h;
      assert_int_equal(hear_open(&h, &b, NULL), ACE_OK);
      hear_key key = hear_key_of(&h);
      assert_int_equal(hear_key_agrees(key, tonic, minor), 2);
      hear_close(&h);
      audio_buffer_free(&b);
    }
  assert_int_equal(hear_key_agrees((hear_key){9, true, 1}, 0, false), 1); /* A minor for C major */
  assert_int_equal(hear_key_agrees((hear_key){0, false, 1}, 9, true), 1);
  assert_int_equal(hear_key_agrees((hear_key){7, false, 1}, 0, false), 0);
}

static void distances_are_what_they_are_defined_as(void **state) {
  audio_buffer a = silence(1), b = silence(1), half = silence(1);
  dice d = {3};
  for (int64_t i = 0; i < 2 * a.frames; i++) {
    float tone = (float)(0.5 * sin(TURN * 440 * (double)(i / 2) / CONS_RATE)), noise = dice_noise(&d);
    a.samples[i] = tone + 0.2f * noise, half.samples[i] = 0.5f * a.samples[i];
    b.samples[i] = a.samples[i] + 0.03f * dice_noise(&d);
  }
  /* Powers: of a 0.125 + 0.04 / 3, of what was added 0.0009 / 3; the noises are independent. */
  assert_true(fabs(hear_si_sdr(&a, &b) - 10 * log10((0.125 + 0.04 / 3) / 0.0003)) < 0.1);
  assert_true(hear_si_sdr(&a, &half) > 100); /* loudness is not a difference */
  hear_sound x, y;
  assert_int_equal(hear_open(&x, &a, NULL), ACE_OK);
  assert_int_equal(hear_open(&y, &half, NULL), ACE_OK);
  assert_true(hear_spectral_distance(&x, &x) == 0);
  assert_true(fabs(hear_spectral_distance(&x, &y) - 6.02) < 0.05);
  double f[HEAR_FEATURES], g[HEAR_FEATURES];
  hear_features(&x, f), hear_features(&y, g);
  assert_true(hear_distance(f, f) == 0 && hear_distance(f, g) < 0.5);
  hear_close(&x), hear_close(&y);
  audio_buffer_free(&a), audio_buffer_free(&b), audio_buffer_free(&half);
}

/* Against the sum of the definition. */
static void the_transform_is_a_transform(void **state) {
  enum { N = 64 };
  fourier f;
  float x[N];
  dice d = {5};
  assert_int_equal(fourier_open(&f, N, NULL), ACE_OK);
  for (int i = 0; i < N; i++) x[i] = dice_noise(&d);
  fourier_run(&f, x);
  for (int k = 0; k <= N / 2; k++) {
    double re = 0, im = 0;
    for (int i = 0; i < N; i++) {
      double w = x[i] * (0.5 - 0.5 * cos(TURN * i / N));
      re += w * cos(TURN * i * k / N), im -= w * sin(TURN * i * k / N);
    }
    assert_true(fabs(re - f.re[k]) < 1e-4 && fabs(im - f.im[k]) < 1e-4);
  }
  fourier_close(&f);
}

/* Pieces made in memory: the shares that docs/CONSERVATORY.md gives for many must about hold for a few. */
static void pieces_are_heard_as_they_are(void **state) {
  ace_error err = {0};
  waves *w = waves_new(&err);
  cons_wish wish = {.seed = 6000, .seconds = 6};
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(w);
  assert_non_null(out);
  assert_int_equal(audit(&wish, 6, false, w, NULL, out, &err), ACE_OK);
  fclose(out);
  int pieces = 0;
  double tempo = 0, key = 0, relative = 0;
  assert_int_equal(
      sscanf(text, "%d pieces: tempo within 4%% (octave allowed) %lf%%; key right %lf%%, right or relative %lf%%",
             &pieces, &tempo, &key, &relative),
      4);
  assert_true(pieces == 6 && tempo >= 66 && relative >= 50);
  free(text);
  free(w);
}

static void unsuitable_sounds_are_refused(void **state) {
  audio_buffer low, odd = {0};
  ace_error err = {0};
  hear_sound h;
  assert_int_equal(audio_buffer_new(&low, 30000, 1, 44100, &err), ACE_OK);
  assert_int_equal(hear_open(&h, &low, &err), ACE_EINVAL);
  assert_int_equal(hear_open(&h, &odd, &err), ACE_EINVAL);
  audio_buffer_free(&low);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_transform_is_a_transform), cmocka_unit_test(the_tempo_of_clicks_is_heard),
      cmocka_unit_test(the_key_of_cadences_is_heard), cmocka_unit_test(distances_are_what_they_are_defined_as),
      cmocka_unit_test(pieces_are_heard_as_they_are), cmocka_unit_test(unsuitable_sounds_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
