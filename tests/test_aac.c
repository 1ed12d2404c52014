/* AAC in and out by another program, and that program's reins. A song must come back as it was, a missing ffmpeg must be
 * said before hours of work, and whatever the helper does (crash, hang, write without end) must not take us with it. */
#include <math.h>
#include <sys/stat.h>

#include "temp.h"

#include "audio/au_stream.h"
#include "audio/child.h"
#include "audio/ffmpeg.h"
#include "base/clock.h"
#include "base/file.h"

static char folder[512];

static int make_folder(void **state) {
  temp t = temp_open();
  snprintf(folder, sizeof folder, "%s", t.folder);
  return 0;
}

static int remove_folder(void **state) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static const char *in(const char *name) {
  static char paths[4][600];
  static int next;
  char *p = paths[next++ % 4];
  snprintf(p, sizeof paths[0], "%s/%s", folder, name);
  return p;
}

static void need_ffmpeg(void) {
  if (ffmpeg_check("test", NULL) != ACE_OK) skip();
}

static audio_buffer chord(double seconds, int channels, int rate) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * rate), channels, rate, NULL), ACE_OK);
  for (int64_t i = 0; i < b.frames * channels; i++) {
    double t = (double)(i / channels) / rate, f = 220 * (double)(1 + i % channels);
    b.samples[i] = (float)(0.3 * sin(6.2831853 * f * t) + 0.2 * sin(9.1 * f * t) + 0.1 * sin(1234 * t * t));
  }
  return b;
}

/* Signal to noise in decibels where `b` lags by `delay` frames. */
static double snr(const audio_buffer *a, const audio_buffer *b, int64_t delay) {
  double signal = 0, noise = 1e-30;
  for (int64_t i = 0; i < (a->frames - 4096) * a->channels; i++) {
    double x = (double)a->samples[i], e = x - (double)b->samples[i + delay * a->channels];
    signal += x * x;
    noise += e * e;
  }
  return 10 * log10(signal / noise);
}

static audio_buffer read_back(const char *path) {
  audio_buffer b;
  ace_error err;
  if (audio_read(path, &b, &err) != ACE_OK) fail_msg("%s", err.message);
  return b;
}

static bool same_files(const char *a, const char *b) {
  size_t na, nb;
  char *x = file_read(a, 1 << 24, &na, NULL), *y = file_read(b, 1 << 24, &nb, NULL);
  bool same = x && y && na == nb && memcmp(x, y, na) == 0;
  free(x), free(y);
  return same;
}

/* ---- AAC --------------------------------------------------------------------------------------------------------- */

static void a_song_comes_back_from_aac(void **state) {
  static const struct {
    const char *name;
    int channels, kbps;
    int64_t delay;
  } cases[] = {{"a.m4a", 2, 128, 0}, {"b.aac", 2, 128, 1024}, {"c.m4a", 2, 320, 0}, {"d.aac", 1, 192, 1024}};
  need_ffmpeg();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    audio_buffer song = chord(1.5, cases[i].channels, 48000);
    audio_write_options o = {.bitrate_kbps = cases[i].kbps, .mp3_sample_rate = 48000};
    audio_tags tags = {.title = "-y Rain \"1\"", .prompt = "slow piano; $(x)", .seed = "42"};
    ace_error err;
    for (int twice = 0; twice < 2; twice++)
      if (audio_write(twice ? in(cases[i].delay ? "x.aac" : "x.m4a") : in(cases[i].name), &song, AUDIO_AAC, &o, &tags,
                      NULL, &err) != ACE_OK)
        fail_msg("%s", err.message);
    assert_true(same_files(in(cases[i].name), in(cases[i].delay ? "x.aac" : "x.m4a")));
    audio_buffer back = read_back(in(cases[i].name));
    assert_int_equal(back.channels, cases[i].channels);
    assert_int_equal(back.sample_rate, 48000);
    assert_in_range(back.frames, song.frames, song.frames + 2 * 1024);
    double quality = snr(&song, &back, cases[i].delay);
    if (!(quality > 15)) fail_msg("%s: %.1f dB", cases[i].name, quality);
    size_t n;
    char *bytes = file_read(in(cases[i].name), 1 << 24, &n, NULL);
    bool tagged = false;
    for (size_t k = 0; k + 8 < n; k++) tagged |= memcmp(bytes + k, "-y Rain ", 8) == 0;
    assert_true(tagged == !cases[i].delay); /* ADTS has no room for tags */
    free(bytes);
    audio_buffer_free(&song);
    audio_buffer_free(&back);
  }
}

/* Every kind of file that people bring, made by ffmpeg, with its own rate and channels. */
static void recordings_of_every_kind_are_read(void **state) {
  static const struct {
    const char *name, *coder;
  } kinds[] = {{"k.mp3", "libmp3lame"}, {"k.wav", "pcm_s16le"},  {"k.flac", "flac"},    {"k.ogg", "libvorbis"},
               {"k.opus", "libopus"},   {"k.m4a", "aac"},        {"k.aac", "aac"},      {"k.mp4", "aac"},
               {"k.webm", "libopus"},   {"k.aiff", "pcm_s16be"}, {"k.wma.mkv", "flac"}, {"k.w64", "pcm_f32le"}};
  need_ffmpeg();
  audio_buffer song = chord(1, 2, 44100);
  assert_int_equal(audio_write(in("from.wav"), &song, AUDIO_WAV, NULL, NULL, NULL, NULL), ACE_OK);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char command[2048];
    snprintf(command, sizeof command, "ffmpeg -nostdin -v quiet -y -i '%s' -c:a %s '%s' </dev/null", in("from.wav"),
             kinds[i].coder, in(kinds[i].name));
    if (system(command) != 0) continue; /* an ffmpeg without that coder */
    audio_buffer b = read_back(in(kinds[i].name));
    bool opus = strcmp(kinds[i].coder, "libopus") == 0;
    assert_int_equal(b.channels, 2);
    assert_int_equal(b.sample_rate, opus ? 48000 : 44100);
    assert_true(fabs(audio_seconds(&b) - 1) < 0.1);
    assert_true(audio_peak(&b) > 0.4);
    audio_buffer_free(&b);
  }
  audio_buffer_free(&song);
}

static void damaged_files_are_refused_in_time(void **state) {
  static const uint8_t heads[][16] = {
      "\0\0\0\x20"
      "ftypM4A ",
      {0xFF, 0xF1, 0x50, 0x80},
      {0x1A, 0x45, 0xDF, 0xA3}};
  need_ffmpeg();
  uint8_t junk[4000];
  ace_error err;
  audio_buffer b, song = chord(1, 2, 48000);
  for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)(i * 131 + i / 7);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    memcpy(junk, heads[i], sizeof heads[i]);
    assert_int_equal(audio_read_memory(junk, sizeof junk, "junk", NULL, &b, &err), ACE_EFORMAT);
    assert_null(b.samples);
    assert_null(strchr(err.message, '\n'));
  }
  assert_int_equal(audio_write(in("cut.m4a"), &song, AUDIO_AAC, NULL, NULL, NULL, &err), ACE_OK);
  size_t n;
  char *whole = file_read(in("cut.m4a"), 1 << 24, &n, NULL);
  for (int part = 1; part < 4; part++) {
    ace_status status = audio_read_memory(whole, n * (size_t)part / 4, "cut", NULL, &b, &err);
    assert_true(status == ACE_OK || status == ACE_EFORMAT);
    audio_buffer_free(&b);
  }
  audio_limits less_time = {.seconds = 0.5, .samples = 1 << 20}, less_memory = {.seconds = 5, .samples = 1000};
  assert_int_equal(audio_read_memory(whole, n, "whole", &less_time, &b, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "longer than the 0.5 seconds"));
  assert_int_equal(audio_read_memory(whole, n, "whole", &less_memory, &b, &err), ACE_EINVAL);
  free(whole);
  audio_buffer_free(&song);
}

static bool at_once(void *user) {
  return true;
}

static void a_stopped_or_failed_write_leaves_the_old_file(void **state) {
  need_ffmpeg();
  audio_buffer song = chord(2, 2, 48000);
  ace_callbacks stop = {.cancelled = at_once};
  ace_error err;
  assert_int_equal(file_write(in("old.m4a"), "old", 3, NULL), ACE_OK);
  assert_int_equal(audio_write(in("old.m4a"), &song, AUDIO_AAC, NULL, NULL, &stop, &err), ACE_ECANCELED);
  song.samples[7] = NAN;
  assert_int_equal(audio_write(in("old.m4a"), &song, AUDIO_AAC, NULL, NULL, NULL, &err), ACE_EINVAL);
  size_t n;
  char *old = file_read(in("old.m4a"), 100, &n, NULL);
  assert_true(old && n == 3 && memcmp(old, "old", 3) == 0);
  free(old);
  audio_buffer_free(&song);
}

static void without_ffmpeg_a_message_says_so(void **state) {
  static const uint8_t m4a[40] =
      "\0\0\0\x20"
      "ftypM4A ";
  char *path = strdup(getenv("PATH"));
  audio_buffer b, song = chord(0.1, 2, 48000);
  ace_error err;
  assert_int_equal(setenv("PATH", folder, 1), 0);
  assert_int_equal(audio_read_memory(m4a, sizeof m4a, "x.m4a", NULL, &b, &err), ACE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "x.m4a: reading this file needs the program ffmpeg"));
  assert_int_equal(audio_write(in("n.m4a"), &song, AUDIO_AAC, NULL, NULL, NULL, &err), ACE_EUNSUPPORTED);
  assert_false(file_exists(in("n.m4a")));
  assert_int_equal(audio_format_check(AUDIO_AAC, &err), ACE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "apt-get install ffmpeg"));
  assert_int_equal(audio_format_check(AUDIO_MP3, &err), ACE_OK);
  setenv("PATH", path, 1);
  free(path);
  audio_buffer_free(&song);
}

/* ---- the helper -------------------------------------------------------------------------------------------------- */

/* A pattern that goes in, and how much of it came back. */
typedef struct echo {
  size_t given, most, taken;
  uint8_t block[5000];
  bool wrong, stop;
} echo;

static void give_pattern(void *user, const void **data, size_t *size) {
  echo *e = user;
  *size = e->most - e->given < sizeof e->block ? e->most - e->given : sizeof e->block;
  for (size_t i = 0; i < *size; i++) e->block[i] = (uint8_t)((e->given + i) * 7 % 251);
  e->given += *size;
  *data = e->block;
}

static bool take_pattern(void *user, const uint8_t *data, size_t size) {
  echo *e = user;
  for (size_t i = 0; i < size; i++) e->wrong |= data[i] != (uint8_t)((e->taken + i) * 7 % 251);
  e->taken += size;
  return !e->stop;
}

static bool stop_later(void *user) {
  return ((echo *)user)->given > 0;
}

static ace_status shell(const char *script, echo *e, bool (*cancelled)(void *), char words[CHILD_WORDS]) {
  const char *const argv[] = {"/bin/sh", "-c", script, NULL};
  child_streams s = {
      .in = -1, .out = -1, .give = give_pattern, .take = take_pattern, .cancelled = cancelled, .user = e};
  ace_error err;
  return child_run(argv, &s, words, &err);
}

static void a_helper_is_fed_and_read(void **state) {
  enum { MUCH = 5000000 };
  char words[CHILD_WORDS];
  echo e = {.most = MUCH};
  assert_int_equal(shell("exec cat", &e, NULL, words), ACE_OK);
  assert_true(e.taken == MUCH && !e.wrong && !*words);
  e = (echo){.most = MUCH};
  assert_int_equal(shell("exec true", &e, NULL, words), ACE_OK); /* it reads nothing: no signal ends us */
  e = (echo){.most = 10};
  assert_int_equal(shell("echo 'this is bad' >&2; echo worse >&2; exit 3", &e, NULL, words), ACE_EIO);
  assert_string_equal(words, "this is bad");
  e = (echo){.most = 10};
  assert_int_equal(shell("kill -SEGV $$", &e, NULL, words), ACE_EIO);
  e = (echo){.most = 10};
  assert_int_equal(shell("yes | head -c 3000000 >&2", &e, NULL, words), ACE_OK); /* noise on its error stream */
}

static void a_helper_is_ended(void **state) {
  char words[CHILD_WORDS];
  echo e = {.stop = true};
  double started = clock_seconds();
  assert_int_equal(shell("exec yes", &e, NULL, words), ACE_OK);
  e = (echo){.most = 100};
  assert_int_equal(shell("exec sleep 50", &e, stop_later, words), ACE_ECANCELED);
  assert_true(clock_seconds() - started < 40);
  const char *const nothing[] = {"/nowhere/at/all", NULL};
  ace_error err;
  child_streams s = {.in = -1, .out = -1, .give = give_pattern, .take = take_pattern, .user = &e};
  assert_int_equal(child_run(nothing, &s, words, &err), ACE_ENOTFOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_song_comes_back_from_aac),
      cmocka_unit_test(recordings_of_every_kind_are_read),
      cmocka_unit_test(damaged_files_are_refused_in_time),
      cmocka_unit_test(a_stopped_or_failed_write_leaves_the_old_file),
      cmocka_unit_test(without_ffmpeg_a_message_says_so),
      cmocka_unit_test(a_helper_is_fed_and_read),
      cmocka_unit_test(a_helper_is_ended),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
