/* Sound between decoder and file: dither, peak, fades, length, and the names of formats. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* cmocka needs the headers above it. */
#include <cmocka.h>

#include "audio/format.h"
#include "audio/loudness.h"
#include "audio/process.h"
#include "audio/quantise.h"

/* ---- dither ---------------------------------------------------------------------------------------------- */

static void dither_is_noise_and_nothing_else(void **state) {
  enum { N = 400000 };
  float *x = malloc(N * sizeof *x);
  int16_t *y = malloc(N * sizeof *y), *again = malloc(N * sizeof *again);
  /* A tone of 0.4 steps: rounding alone would erase it. */
  for (int i = 0; i < N; i++) x[i] = (float)((0.4 * sin(i * 0.05) + 0.01) / 32768);
  quantise_dither d = {7}, e = {7};
  quantise_16(&d, x, y, N);
  quantise_16(&e, x, again, N);
  assert_memory_equal(y, again, N * sizeof *y);
  double mean = 0, square = 0, tone = 0, worst = 0;
  for (int i = 0; i < N; i++) {
    double error = y[i] - (double)x[i] * 32768;
    mean += error / N;
    square += error * error / N;
    tone += 2 * y[i] * sin(i * 0.05) / N;
    worst = fmax(worst, fabs(error));
  }
  assert_true(worst <= 1.5);
  assert_true(fabs(mean) < 0.005);
  assert_true(fabs(square - 0.25) < 0.005); /* 1/12 of rounding and 1/6 of the triangle */
  assert_true(fabs(tone - 0.4) < 0.005);
  free(x);
  free(y);
  free(again);
}

static void what_fits_sixteen_bits_is_kept(void **state) {
  float x[65536];
  int16_t y[65536];
  for (int i = 0; i < 65536; i++) x[i] = (float)(i - 32768) / 32768;
  quantise_16(&(quantise_dither){1}, x, y, 65536);
  static int16_t plain[3];
  quantise_16(NULL, (const float[]){0.4f / 32768, -1.6f / 32768, 2}, plain, 3); /* without dither: the nearest */
  assert_true(plain[0] == 0 && plain[1] == -2 && plain[2] == 32767);
  for (int i = 0; i < 65536; i++) assert_int_equal(y[i], i - 32768);
}

/* ---- between decoder and file ---------------------------------------------------------------------------- */

/* Two tones, left and right, with a peak of 0.6. */
static audio_buffer tones(int64_t frames) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, frames, 2, 48000, NULL), ACE_OK);
  for (int64_t i = 0; i < frames * 2; i++) b.samples[i] = (float)(0.6 * sin((double)i * (i % 2 ? 0.02 : 0.03)));
  return b;
}

static void peaks_go_where_they_should(void **state) {
  audio_buffer b = tones(24000);
  float before = audio_peak(&b);
  audio_limit_peak(&b);
  assert_true(audio_peak(&b) == before);
  for (int64_t i = 0; i < b.frames * 2; i++) b.samples[i] *= 5;
  audio_limit_peak(&b);
  assert_true(audio_peak(&b) == 1);
  audio_normalise(&b, -1);
  assert_true(fabs((double)audio_peak(&b) - 0.8912509381337456) < 1e-6);
  audio_normalise(&b, -60);
  assert_true(fabs((double)audio_peak(&b) - 0.001) < 1e-9);
  audio_normalise(&b, 0); /* up again */
  assert_true(fabs((double)audio_peak(&b) - 1) < 1e-6);
  audio_normalise(&b, 3); /* not a level to normalise to */
  assert_true(fabs((double)audio_peak(&b) - 1) < 1e-6);
  for (int64_t i = 0; i < b.frames * 2; i++) b.samples[i] = 5e-7f;
  audio_normalise(&b, -1);
  assert_true(audio_peak(&b) == 5e-7f);
  assert_true(audio_is_silent(&b));
  b.samples[b.frames * 2 - 1] = -2e-6f;
  assert_false(audio_is_silent(&b));
  b.samples[0] = NAN;
  assert_false(audio_is_silent(&b));
  assert_false(audio_is_finite(&b));
  audio_buffer_free(&b);
}

static audio_buffer ones(int64_t frames) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, frames, 2, 100, NULL), ACE_OK);
  for (int64_t i = 0; i < frames * 2; i++) b.samples[i] = i % 2 ? -1 : 1;
  return b;
}

static void fades_are_straight_and_reach_silence(void **state) {
  audio_buffer b = ones(100);
  audio_fade(&b, 0.11, 0.21); /* 11 and 21 frames at 100 Hz */
  for (int i = 0; i < 100; i++) {
    double want = i < 11 ? i / 10.0 : i >= 79 ? (99 - i) / 20.0 : 1;
    assert_true(fabs((double)b.samples[2 * i] - want) < 1e-6);
    assert_true(b.samples[2 * i + 1] == -b.samples[2 * i]);
  }
  assert_false(signbit(b.samples[1])); /* no negative zeros */
  audio_buffer_free(&b);

  b = ones(100); /* both over the whole sound, which multiply */
  audio_fade(&b, 50, 50);
  for (int i = 0; i < 100; i++) assert_true(fabs((double)b.samples[2 * i] - i / 99.0 * (99 - i) / 99.0) < 1e-6);
  audio_buffer_free(&b);

  b = ones(10);
  audio_fade(&b, 0, -1);
  audio_fade(&b, NAN, 0.004);
  for (int i = 0; i < 10; i++) assert_true(b.samples[2 * i] == 1);
  audio_trim(&b, 20);
  assert_int_equal(b.frames, 10);
  audio_trim(&b, 4);
  assert_int_equal(b.frames, 4);
  audio_trim(&b, -1);
  assert_int_equal(b.frames, 0);
  audio_fade(&b, 1, 1);
  audio_normalise(&b, -1);
  audio_limit_peak(&b);
  audio_buffer_free(&b);
}

/* ---- loudness ---------------------------------------------------------------------------------------------- */

/* Both channels, peak `level`. */
static audio_buffer sine(double hertz, double phase, double level, double seconds) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * 48000), 2, 48000, NULL), ACE_OK);
  for (int64_t i = 0; i < b.frames; i++)
    b.samples[2 * i] = b.samples[2 * i + 1] =
        (float)(level * sin(2 * 3.14159265358979 * hertz * (double)i / 48000 + phase));
  return b;
}

static audio_loudness measured(const audio_buffer *b) {
  audio_loudness l;
  ace_error err;
  if (audio_measure(b, &l, &err) != ACE_OK) fail_msg("%s", err.message);
  return l;
}

/* EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS has -23 LUFS; a sine at a quarter of the rate whose samples
 * all miss the top has its true peak 3 dB above them. */
static void loudness_is_that_of_the_standard(void **state) {
  audio_buffer b = sine(1000, 0, pow(10, -23 / 20.0), 10);
  audio_loudness l = measured(&b);
  assert_true(fabs(l.integrated + 23) < 0.1 && fabs(l.true_peak + 23) < 0.2);
  audio_buffer_free(&b);
  b = sine(12000, 3.14159265358979 / 4, 0.5, 2);
  assert_true(fabs(20 * log10(audio_peak(&b)) + 9.03) < 0.01);
  l = measured(&b);
  assert_true(fabs(l.true_peak + 6.02) < 0.3);
  audio_buffer_free(&b);
}

/* The target is met exactly where the peak allows it, else the peak is; never both passed; silence stays. */
static void loudness_goes_where_it_should(void **state) {
  static const struct {
    double level, target, most_peak;
  } cases[] = {{0.02, -14, 0}, {0.9, -30, -1}, {0.5, -20, -1}, {0.02, -5, -1}, {0.001, -9, -10}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    audio_buffer b = sine(997, 0, cases[i].level, 4);
    ace_error err;
    assert_int_equal(audio_normalise_loudness(&b, cases[i].target, cases[i].most_peak, &err), ACE_OK);
    audio_loudness l = measured(&b);
    assert_true(l.integrated < cases[i].target + 0.02 && l.true_peak < cases[i].most_peak + 0.02);
    assert_true(l.integrated > cases[i].target - 0.02 || l.true_peak > cases[i].most_peak - 0.02);
    audio_buffer_free(&b);
  }
  audio_buffer silence = sine(1, 0, 0, 2);
  assert_int_equal(audio_normalise_loudness(&silence, -14, -1, NULL), ACE_OK);
  assert_true(audio_peak(&silence) == 0);
  audio_loudness l = measured(&silence);
  assert_true(isinf(l.integrated) && isinf(l.true_peak));
  audio_buffer_free(&silence);
  silence = sine(500, 0, 0.3, 0.1); /* shorter than what loudness is measured over: stays as it is */
  assert_int_equal(audio_normalise_loudness(&silence, -14, -1, NULL), ACE_OK);
  assert_true(fabs(audio_peak(&silence) - 0.3) < 0.01);
  audio_buffer_free(&silence);
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static void formats_go_by_name_and_by_extension(void **state) {
  audio_format f;
  ace_error err;
  for (int i = 0; i < AUDIO_FORMAT_COUNT; i++) {
    assert_int_equal(audio_format_from_name(audio_format_name((audio_format)i), &f, &err), ACE_OK);
    assert_int_equal(f, i);
  }
  static const struct {
    const char *path;
    audio_format format;
  } good[] = {{"a.wav", AUDIO_WAV},  {"/x.y/b.FLAC", AUDIO_FLAC}, {"c.d.mp3", AUDIO_MP3}, {"e.opus", AUDIO_OPUS},
              {"f.ogg", AUDIO_OPUS}, {"g.aac", AUDIO_AAC},        {"h.M4A", AUDIO_AAC},   {"i.mp4", AUDIO_AAC}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(audio_format_from_path(good[i].path, &f, &err), ACE_OK);
    assert_int_equal(f, good[i].format);
  }
  static const char *const bad[] = {"song", "x.wav/song", ".wav", "song.", "song.doc", "", "song.wav32"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(audio_format_from_path(bad[i], &f, &err), ACE_EINVAL);
  assert_string_equal(audio_format_extension(AUDIO_WAV32), "wav");
  assert_int_equal(audio_format_from_name("mp5", &f, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "wav, wav32, flac, mp3, opus"));
  assert_int_equal(audio_format_from_name("m4a", &f, &err), ACE_OK);
  assert_int_equal(f, AUDIO_AAC);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dither_is_noise_and_nothing_else),    cmocka_unit_test(what_fits_sixteen_bits_is_kept),
      cmocka_unit_test(peaks_go_where_they_should),          cmocka_unit_test(fades_are_straight_and_reach_silence),
      cmocka_unit_test(loudness_is_that_of_the_standard),    cmocka_unit_test(loudness_goes_where_it_should),
      cmocka_unit_test(formats_go_by_name_and_by_extension),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
