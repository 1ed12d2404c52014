/* Sound in and out: what a song loses on its way to a file and back, what a full disk, a kill or a hostile file does.
 */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka needs the headers above it. */
#include <cmocka.h>

#include "audio/format.h"
#include "audio/read.h"
#include "audio/resample.h"
#include "audio/write.h"
#include "base/file.h"

/* ---- a folder of its own for every test ------------------------------------------------------------------ */

static int set_up(void **state) {
  char path[] = "/tmp/acestep-audio-XXXXXX";
  *state = mkdtemp(path) ? strdup(path) : NULL;
  return *state ? 0 : -1;
}

static int count_files(const char *folder) {
  DIR *d = opendir(folder);
  assert_non_null(d);
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

static int tear_down(void **state) {
  DIR *d = opendir(*state);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", (char *)*state, e->d_name);
    if (e->d_name[0] != '.' || strlen(e->d_name) > 2) unlink(path);
  }
  if (d) closedir(d);
  int r = rmdir(*state);
  free(*state);
  return r;
}

static const char *in(void **state, const char *name) {
  static char paths[4][600];
  static int next;
  char *p = paths[next++ % 4];
  snprintf(p, sizeof paths[0], "%s/%s", (char *)*state, name);
  return p;
}

enum { OWN_FORMATS = AUDIO_AAC }; /* aac is made by another program: test_aac.c */
static const char *const own_names[OWN_FORMATS] = {"a.wav", "b.wav", "c.flac", "d.mp3", "e.opus"};

/* ---- sounds ---------------------------------------------------------------------------------------------- */

/* A chord, different left and right, with a peak near 0.6. */
static audio_buffer chord(double seconds, int channels, int rate) {
  audio_buffer b;
  assert_int_equal(audio_buffer_new(&b, (int64_t)(seconds * rate), channels, rate, NULL), ACE_OK);
  for (int64_t i = 0; i < b.frames; i++)
    for (int c = 0; c < channels; c++) {
      double t = (double)i / rate, f = 220.0 * (c + 1);
      b.samples[i * channels + c] = (float)(0.3 * sin(2 * M_PI * f * t) + 0.2 * sin(2 * M_PI * f * 1.5 * t + 1) +
                                            0.1 * sin(2 * M_PI * f * 4.01 * t));
    }
  return b;
}

static audio_buffer read_back(const char *path) {
  audio_buffer b;
  ace_error err = {0};
  if (audio_read(path, &b, &err) != ACE_OK) fail_msg("%s", err.message);
  return b;
}

static double largest_error(const audio_buffer *a, const audio_buffer *b) {
  double worst = 0;
  for (int64_t i = 0; i < a->frames * a->channels; i++) {
    double e = fabs((double)a->samples[i] - (double)b->samples[i]);
    if (e > worst) worst = e;
  }
  return worst;
}

/* Signal to noise in decibels, sample against sample: a shift of the sound by one sample would ruin it. */
static double snr(const audio_buffer *a, const audio_buffer *b) {
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < a->frames * a->channels; i++) {
    double e = (double)a->samples[i] - (double)b->samples[i];
    signal += (double)a->samples[i] * (double)a->samples[i];
    noise += e * e;
  }
  return 10 * log10(signal / (noise + 1e-30));
}

static void write_ok(const char *path, const audio_buffer *b, audio_format f, const audio_write_options *o,
                     const audio_tags *t) {
  ace_error err = {0};
  if (audio_write(path, b, f, o, t, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
}

static int64_t size_of(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_size;
}

/* ---- writing and reading --------------------------------------------------------------------------------- */

static void a_song_survives_every_format(void **state) {
  audio_buffer song = chord(1.37, 2, 48000);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, NULL);
    audio_buffer back = read_back(path);
    assert_int_equal(back.frames, song.frames);
    assert_int_equal(back.channels, 2);
    assert_int_equal(back.sample_rate, 48000);
    if (f == AUDIO_WAV32) assert_true(largest_error(&song, &back) == 0);
    if (f == AUDIO_FLAC) assert_true(largest_error(&song, &back) <= 0.5 / 8388608);
    if (f == AUDIO_WAV) assert_true(largest_error(&song, &back) <= 1.5 / 32768);
    if (f == AUDIO_MP3 || f == AUDIO_OPUS) assert_true(snr(&song, &back) > 20);
    audio_buffer_free(&back);
  }
  assert_int_equal(count_files(*state), OWN_FORMATS);
  audio_buffer_free(&song);
}

static void mono_is_written_as_mono(void **state) {
  audio_buffer song = chord(0.5, 1, 48000);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, NULL);
    audio_buffer back = read_back(path);
    assert_int_equal(back.frames, song.frames);
    assert_int_equal(back.channels, 1);
    assert_true(snr(&song, &back) > 20);
    audio_buffer_free(&back);
  }
  audio_buffer_free(&song);
}

static void the_same_song_is_the_same_file(void **state) {
  audio_buffer song = chord(0.8, 2, 48000);
  audio_tags tags = {"Rain", "slow piano", "42", "acestep"};
  for (int f = 0; f < OWN_FORMATS; f++) {
    size_t n[2];
    char *bytes[2];
    for (int k = 0; k < 2; k++) {
      const char *path = in(state, own_names[f]);
      write_ok(path, &song, (audio_format)f, NULL, &tags);
      bytes[k] = file_read(path, 1 << 24, &n[k], NULL);
      assert_non_null(bytes[k]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    /* The chunk that carries the time of day; within one second it would not show in the comparison. */
    for (size_t i = 0; f == AUDIO_WAV32 && i + 4 <= 512; i++) assert_memory_not_equal(bytes[0] + i, "PEAK", 4);
    free(bytes[0]);
    free(bytes[1]);
  }
  audio_buffer_free(&song);
}

static void loud_samples_clip_and_do_not_wrap(void **state) {
  float samples[] = {1.0f, -1.0f, 1.5f, -1.5f, 40.0f, -40.0f, 0.99999f, -0.99999f};
  audio_buffer song = {samples, 4, 2, 48000};
  for (int f = AUDIO_WAV; f <= AUDIO_FLAC; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, NULL);
    audio_buffer back = read_back(path);
    for (int i = 0; i < 8; i++) {
      float x = samples[i], want = f == AUDIO_WAV32 || fabsf(x) < 1 ? x : x < 0 ? -1.0f : 1.0f;
      assert_true(fabsf(back.samples[i] - want) <= 1.5f / 32768);
    }
    audio_buffer_free(&back);
  }
}

static void tags_are_in_the_file(void **state) {
  audio_buffer song = chord(0.3, 2, 48000);
  audio_tags tags = {"Café 雨の歌", "a prompt of more than thirty bytes, ü 夜", "4294967295", "acestep 0.1.0"};
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, &tags);
    SF_INFO info = {0};
    SNDFILE *s = sf_open(path, SFM_READ, &info);
    assert_non_null(s);
    assert_string_equal(sf_get_string(s, SF_STR_TITLE), tags.title);
    assert_string_equal(sf_get_string(s, SF_STR_COMMENT), "a prompt of more than thirty bytes, ü 夜\nseed: 4294967295");
    /* libsndfile adds its own name, and does not read the MP3 field back. */
    if (f != AUDIO_MP3) assert_memory_equal(sf_get_string(s, SF_STR_SOFTWARE), "acestep 0.1.0", 13);
    sf_close(s);
  }
  size_t n;
  char *mp3 = file_read(in(state, own_names[AUDIO_MP3]), 1 << 24, &n, NULL);
  assert_memory_equal(mp3, "ID3\4", 4);
  static const char field[] = "TXXX\0\0\0\x10\0\0\3seed\0004294967295", encoder[] = "TSSE\0\0\0\x0E\0\0\3acestep 0.1.0";
  bool seed = false, software = false;
  for (size_t i = 0; i + 64 < n && i < 400; i++) {
    seed |= memcmp(mp3 + i, field, sizeof field - 1) == 0;
    software |= memcmp(mp3 + i, encoder, sizeof encoder - 1) == 0;
  }
  assert_true(seed);
  assert_true(software);
  free(mp3);
  audio_buffer_free(&song);
}

static void a_huge_prompt_is_cut_between_characters(void **state) {
  audio_buffer song = chord(0.3, 2, 48000);
  char *prompt = malloc(3 * 20000 + 2);
  prompt[0] = 'x'; /* so that 8192 falls inside a character */
  for (int i = 0; i < 20000; i++) memcpy(prompt + 1 + 3 * i, "夜", 3);
  prompt[60001] = 0;
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, &(audio_tags){.prompt = prompt});
    /* libsndfile writes long texts into a WAV but does not read them back: look at the bytes. */
    size_t n, found = 0, want = 8191;
    char *bytes = file_read(path, 1 << 24, &n, NULL);
    assert_non_null(bytes);
    for (size_t i = 0; i + want < n && !found; i++)
      if (memcmp(bytes + i, prompt, want) == 0) found = i;
    assert_true(found > 0);
    assert_memory_not_equal(bytes + found + want, "\xE5", 1);
    free(bytes);
    audio_buffer back = read_back(path);
    assert_int_equal(back.frames, song.frames);
    audio_buffer_free(&back);
  }
  free(prompt);
  audio_buffer_free(&song);
}

static void bit_rates_are_kept(void **state) {
  audio_buffer song = chord(4, 2, 48000);
  uint32_t noise = 1;
  for (int64_t i = 0; i < song.frames * 2; i++) {
    noise = noise * 1664525u + 1013904223u;
    song.samples[i] += (float)((double)noise / 4294967296.0 - 0.5) * 0.3f;
  }
  static const int rates[] = {128, 192, 256, 320};
  int64_t last_opus = 0;
  for (int i = 0; i < 4; i++) {
    audio_write_options o = {.bitrate_kbps = rates[i], .mp3_sample_rate = 48000};
    write_ok(in(state, "r.mp3"), &song, AUDIO_MP3, &o, NULL);
    double kbps = (double)size_of(in(state, "r.mp3")) * 8 / 4 / 1000;
    assert_true(kbps > rates[i] * 0.98 && kbps < rates[i] * 1.05);
    write_ok(in(state, "r.opus"), &song, AUDIO_OPUS, &o, NULL);
    kbps = (double)size_of(in(state, "r.opus")) * 8 / 4 / 1000;
    assert_true(kbps > rates[i] * 0.75 && kbps < rates[i] * 1.25);
    assert_true(size_of(in(state, "r.opus")) > last_opus);
    last_opus = size_of(in(state, "r.opus"));
  }
  audio_buffer_free(&song);
}

static void rates_that_a_format_lacks_are_resampled(void **state) {
  audio_buffer song = chord(1, 2, 48000), slow = chord(1, 2, 44100);
  audio_write_options o = {.bitrate_kbps = 192, .mp3_sample_rate = 44100};
  write_ok(in(state, "x.mp3"), &song, AUDIO_MP3, &o, NULL);
  audio_buffer back = read_back(in(state, "x.mp3"));
  assert_int_equal(back.sample_rate, 44100);
  assert_int_equal(back.frames, 44100);
  assert_true(snr(&slow, &back) > 20);
  audio_buffer_free(&back);

  write_ok(in(state, "x.opus"), &slow, AUDIO_OPUS, NULL, NULL);
  back = read_back(in(state, "x.opus"));
  assert_int_equal(back.sample_rate, 48000);
  assert_int_equal(back.frames, 48000);
  assert_true(snr(&song, &back) > 20);
  audio_buffer_free(&back);

  write_ok(in(state, "x.flac"), &slow, AUDIO_FLAC, NULL, NULL);
  back = read_back(in(state, "x.flac"));
  assert_int_equal(back.sample_rate, 44100);
  audio_buffer_free(&back);
  audio_buffer_free(&song);
  audio_buffer_free(&slow);
}

static void bad_requests_write_nothing(void **state) {
  audio_buffer song = chord(0.1, 2, 48000), none = {song.samples, 0, 2, 48000}, six = {song.samples, 10, 6, 48000};
  audio_write_options low = {.bitrate_kbps = 96, .mp3_sample_rate = 48000},
                      odd = {.bitrate_kbps = 128, .mp3_sample_rate = 32000};
  ace_error err;
  assert_int_equal(audio_write(in(state, "x.mp3"), &song, AUDIO_MP3, &low, NULL, NULL, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "128, 192, 256, 320"));
  assert_int_equal(audio_write(in(state, "x.mp3"), &song, AUDIO_MP3, &odd, NULL, NULL, &err), ACE_EINVAL);
  assert_int_equal(audio_write(in(state, "x.wav"), &none, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_EINVAL);
  assert_int_equal(audio_write(in(state, "x.wav"), &six, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_EINVAL);
  assert_int_equal(audio_write(in(state, "x.wav"), &song, (audio_format)77, NULL, NULL, NULL, &err), ACE_EINVAL);
  song.samples[100] = NAN;
  for (int f = 0; f < OWN_FORMATS; f++)
    assert_int_equal(audio_write(in(state, "x"), &song, (audio_format)f, NULL, NULL, NULL, &err), ACE_EINVAL);
  assert_int_equal(count_files(*state), 0);
  audio_buffer_free(&song);
}

/* ---- files appear whole or not at all -------------------------------------------------------------------- */

static void a_full_disk_leaves_the_old_file(void **state) {
  audio_buffer song = chord(1, 2, 48000);
  struct rlimit old, tight;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    audio_tags tags = {.title = "full"};
    write_ok(path, &song, (audio_format)f, NULL, &tags);
    int64_t whole = size_of(path);
    /* From the first byte to the last one, which is written while the file is closed. */
    const int64_t room[] = {0, 1, 20, 700, whole / 2, whole - 200, whole - 1};
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) {
      assert_int_equal(file_write(path, "old", 3, NULL), ACE_OK);
      tight = old;
      tight.rlim_cur = (rlim_t)room[i];
      assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
      ace_error err = {0};
      ace_status status = audio_write(path, &song, (audio_format)f, NULL, &tags, NULL, &err);
      setrlimit(RLIMIT_FSIZE, &old);
      if (status != ACE_EIO) fail_msg("%s with %lld bytes: status %d", own_names[f], (long long)room[i], status);
      assert_non_null(strstr(err.message, path));
      assert_non_null(strstr(err.message, strerror(EFBIG)));
      assert_int_equal(size_of(path), 3);
      assert_int_equal(count_files(*state), f + 1);
    }
  }
  signal(SIGXFSZ, handler);
  audio_buffer_free(&song);
}

typedef struct countdown {
  int polls;
  int kill_signal; /* 0: say yes */
} countdown;

static bool stop_after(void *user) {
  countdown *c = user;
  if (--c->polls > 0) return false;
  if (c->kill_signal) raise(c->kill_signal);
  return true;
}

static void cancelling_leaves_the_old_file(void **state) {
  audio_buffer song = chord(2, 2, 48000);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    assert_int_equal(file_write(path, "old", 3, NULL), ACE_OK);
    countdown c = {5, 0};
    ace_callbacks notify = {.cancelled = stop_after, .user = &c};
    ace_error err = {0};
    assert_int_equal(audio_write(path, &song, (audio_format)f, NULL, NULL, &notify, &err), ACE_ECANCELED);
    assert_int_equal(size_of(path), 3);
    assert_int_equal(count_files(*state), f + 1);
  }
  audio_buffer_free(&song);
}

static void kill_9_leaves_the_old_file(void **state) {
  audio_buffer song = chord(2, 2, 48000);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]), *fresh = in(state, "fresh");
    assert_int_equal(file_write(path, "old", 3, NULL), ACE_OK);
    for (int k = 0; k < 2; k++) {
      pid_t child = fork();
      assert_true(child >= 0);
      if (child == 0) {
        countdown c = {5, SIGKILL};
        ace_callbacks notify = {.cancelled = stop_after, .user = &c};
        audio_write(k ? fresh : path, &song, (audio_format)f, NULL, NULL, &notify, NULL);
        _exit(0);
      }
      int status;
      assert_int_equal(waitpid(child, &status, 0), child);
      assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    assert_int_equal(size_of(path), 3);
    assert_false(file_exists(fresh));
  }
  audio_buffer_free(&song);
}

static void places_that_cannot_be_written_are_errors(void **state) {
  audio_buffer song = chord(0.1, 2, 48000);
  ace_error err = {0};
  assert_int_equal(audio_write(in(state, "no/such/x.wav"), &song, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_ENOTFOUND);
  assert_int_equal(file_write(in(state, "plain"), "x", 1, NULL), ACE_OK);
  assert_int_equal(audio_write(in(state, "plain/x.wav"), &song, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_ENOTFOUND);
  assert_int_equal(audio_write(*state, &song, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_EINVAL);
  if (geteuid() != 0) { /* root may write everywhere */
    assert_int_equal(chmod(*state, 0500), 0);
    assert_int_equal(audio_write(in(state, "x.wav"), &song, AUDIO_WAV, NULL, NULL, NULL, &err), ACE_EIO);
    assert_int_equal(chmod(*state, 0700), 0);
  }
  assert_int_equal(count_files(*state), 1);
  audio_buffer_free(&song);
}

/* ---- the models' form ------------------------------------------------------------------------------------ */

static void resampling_keeps_pitch_level_and_length(void **state) {
  static const int rates[] = {8000, 22050, 32000, 44100, 96000, 192000};
  for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
    audio_buffer a, want;
    assert_int_equal(audio_buffer_new(&a, rates[k], 2, rates[k], NULL), ACE_OK);
    assert_int_equal(audio_buffer_new(&want, 48000, 2, 48000, NULL), ACE_OK);
    for (int i = 0; i < 2 * rates[k]; i++) a.samples[i] = (float)(0.5 * sin(2 * M_PI * 997 * (i / 2) / rates[k]));
    for (int i = 0; i < 2 * 48000; i++) want.samples[i] = (float)(0.5 * sin(2 * M_PI * 997 * (i / 2) / 48000));
    assert_int_equal(audio_to_model(&a, 48000, NULL), ACE_OK);
    assert_int_equal(a.sample_rate, 48000);
    assert_int_equal(a.frames, 48000);
    /* Away from the ends, where the tone starts out of nothing, it is the very same tone. */
    for (int i = 8000; i < 88000; i++) assert_true(fabsf(a.samples[i] - want.samples[i]) < 2e-5f);
    audio_buffer_free(&a);
    audio_buffer_free(&want);
  }
  /* A length that does not divide evenly is rounded. */
  audio_buffer odd = chord(1001 / 44100.0 + 1e-9, 2, 44100);
  assert_int_equal(odd.frames, 1001);
  assert_int_equal(audio_resample(&odd, 48000, NULL), ACE_OK);
  assert_int_equal(odd.frames, 1090); /* 1089.52 */
  assert_int_equal(audio_resample(&odd, 10, NULL), ACE_EINVAL);
  audio_buffer_free(&odd);
}

static void every_channel_count_becomes_stereo(void **state) {
  for (int channels = 1; channels <= 6; channels++) {
    audio_buffer b;
    assert_int_equal(audio_buffer_new(&b, 10, channels, 48000, NULL), ACE_OK);
    for (int i = 0; i < 10 * channels; i++) b.samples[i] = (float)(i % channels + 1) / 8 + (float)(i / channels) / 128;
    b.samples[0] = 3; /* clamped, not scaled */
    assert_int_equal(audio_to_model(&b, 48000, NULL), ACE_OK);
    assert_int_equal(b.channels, 2);
    assert_int_equal(b.frames, 10);
    assert_true(b.samples[0] == 1);
    for (int i = 1; i < 10; i++) {
      assert_true(b.samples[2 * i] == 1.0f / 8 + (float)i / 128);
      assert_true(b.samples[2 * i + 1] == (channels == 1 ? 1.0f : 2.0f) / 8 + (float)i / 128);
    }
    audio_buffer_free(&b);
  }
}

static void six_channels_come_out_of_a_file(void **state) {
  SF_INFO info = {.samplerate = 44100, .channels = 6, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_24};
  audio_buffer song = chord(0.5, 6, 44100);
  SNDFILE *s = sf_open(in(state, "51.wav"), SFM_WRITE, &info);
  assert_non_null(s);
  assert_int_equal(sf_writef_float(s, song.samples, song.frames), song.frames);
  sf_close(s);
  audio_buffer back = read_back(in(state, "51.wav"));
  assert_int_equal(back.channels, 6);
  assert_int_equal(back.sample_rate, 44100);
  assert_true(largest_error(&song, &back) < 1e-6);
  audio_buffer_free(&back);
  audio_buffer_free(&song);
}

static void numbers_that_are_none_are_refused(void **state) {
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (int k = 0; k < 3; k++) {
    audio_buffer song = chord(0.1, 1, 44100);
    song.samples[1234] = bad[k];
    SF_INFO info = {.samplerate = 44100, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *s = sf_open(in(state, "nan.wav"), SFM_WRITE, &info);
    assert_non_null(s);
    sf_writef_float(s, song.samples, song.frames);
    sf_close(s);
    audio_buffer back = read_back(in(state, "nan.wav"));
    ace_error err = {0};
    assert_int_equal(audio_to_model(&back, 48000, &err), ACE_EFORMAT);
    audio_buffer_free(&back);
    audio_buffer_free(&song);
  }
  /* Finite, but too large to calculate with. */
  audio_buffer huge = chord(0.1, 2, 44100);
  for (int64_t i = 0; i < huge.frames * 2; i++) huge.samples[i] = i % 4 < 2 ? 3e38f : -3e38f;
  ace_status status = audio_to_model(&huge, 48000, NULL);
  assert_true(status == ACE_EFORMAT || audio_peak(&huge) <= 1);
  audio_buffer_free(&huge);
}

/* ---- files that lie -------------------------------------------------------------------------------------- */

static ace_status read_bytes(const void *data, size_t size, ace_error *err) {
  audio_buffer b;
  ace_status status = audio_read_memory(data, size, "test", NULL, &b, err);
  assert_true(status != ACE_OK || (b.frames > 0 && b.samples));
  if (status != ACE_OK) assert_null(b.samples);
  audio_buffer_free(&b);
  return status;
}

static void files_cut_anywhere_are_errors_or_shorter(void **state) {
  audio_buffer song = chord(0.3, 2, 48000);
  for (int f = 0; f < OWN_FORMATS; f++) {
    const char *path = in(state, own_names[f]);
    write_ok(path, &song, (audio_format)f, NULL, NULL);
    size_t n;
    char *bytes = file_read(path, 1 << 24, &n, NULL);
    for (size_t cut = 0; cut < n; cut += cut < 150 ? 1 : n / 37) {
      char *exact = malloc(cut ? cut : 1); /* a read past the end shows under the address sanitizer */
      memcpy(exact, bytes, cut);
      ace_status status = read_bytes(exact, cut, NULL);
      if (cut < 44 || (f == AUDIO_FLAC && cut + 100 < n)) assert_int_equal(status, ACE_EFORMAT);
      free(exact);
    }
    free(bytes);
  }
  audio_buffer_free(&song);
}

static void claims_of_endless_sound_cost_nothing(void **state) {
  /* 100 frames of 16-bit mono behind headers that claim as many as their fields can hold. */
  uint8_t wav[44 + 200] =
      "RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\1\0\1\0\x80\xBB\0\0\0\x77\1\0\2\0\x10\0data\xFF\xFF\xFF\xFF";
  uint8_t au[24 + 200] = ".snd\0\0\0\x18\xFF\xFF\xFF\xFE\0\0\0\3\0\0\xBB\x80\0\0\0\1";
  uint8_t caf[64 + 204] =
      "caff\0\1\0\0desc\0\0\0\0\0\0\0\x20\x40\xE7\x70\0\0\0\0\0lpcm\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\x10"
      "data\x10\0\0\0\0\0\0\0";
  uint8_t aiff[54 + 200] =
      "FORM\x7F\xFF\xFF\xF0"
      "AIFFCOMM\0\0\0\x12\0\1\xFF\xFF\xFF\xFF\0\x10\x40\x0E\xBB\x80\0\0\0\0\0\0SSND\x7F\xFF\xFF\x00\0\0\0\0\0\0\0\0";
  const struct {
    const uint8_t *data;
    size_t size;
  } all[] = {{wav, sizeof wav}, {au, sizeof au}, {caf, sizeof caf}, {aiff, sizeof aiff}};
  for (size_t i = 0; i < 4; i++) {
    audio_buffer b;
    if (audio_read_memory(all[i].data, all[i].size, "test", NULL, &b, NULL) == ACE_OK)
      assert_in_range(b.frames, 1, 110);
    audio_buffer_free(&b);
  }
  /* A live recording has a WAV header of this kind and must play. */
  assert_int_equal(read_bytes(wav, sizeof wav, NULL), ACE_OK);

  /* FLAC: 36 bits of frame count in the stream information. */
  audio_buffer song = chord(0.3, 2, 48000);
  write_ok(in(state, "x.flac"), &song, AUDIO_FLAC, NULL, NULL);
  size_t n;
  char *flac = file_read(in(state, "x.flac"), 1 << 24, &n, NULL);
  flac[21] |= 0x0F;
  memset(flac + 22, 0xFF, 4);
  assert_int_equal(read_bytes(flac, n, NULL), ACE_EFORMAT);
  free(flac);
  audio_buffer_free(&song);
}

/* A FLAC file of 16 bits holds 16 and no more, and is the smaller one. */
static void flac_has_the_bits_that_were_asked_for(void **state) {
  audio_buffer song = chord(0.5, 2, 48000), back;
  audio_write_options o = audio_default_write_options();
  write_ok(in(state, "24.flac"), &song, AUDIO_FLAC, &o, NULL);
  o.flac_bits = 16;
  o.no_dither = true;
  write_ok(in(state, "16.flac"), &song, AUDIO_FLAC, &o, NULL);
  assert_true(size_of(in(state, "16.flac")) < size_of(in(state, "24.flac")));
  back = read_back(in(state, "16.flac"));
  for (int64_t i = 0; i < 2 * back.frames; i++)
    assert_true((double)back.samples[i] == nearbyint((double)song.samples[i] * 32768) / 32768);
  o.flac_bits = 20;
  assert_int_equal(audio_write(in(state, "20.flac"), &song, AUDIO_FLAC, &o, NULL, NULL, NULL), ACE_EINVAL);
  audio_buffer_free(&song);
  audio_buffer_free(&back);
}

static void what_is_no_sound_is_refused_by_name(void **state) {
  static const char text[] = "once upon a time there was a song";
  ace_error err = {0};
  assert_int_equal(read_bytes(text, sizeof text, &err), ACE_EFORMAT);
  assert_int_equal(read_bytes("", 0, &err), ACE_EFORMAT);
  assert_int_equal(read_bytes(NULL, 0, &err), ACE_EFORMAT);

  audio_buffer b;
  assert_int_equal(audio_read(in(state, "none.wav"), &b, &err), ACE_ENOTFOUND);
  assert_int_equal(audio_read(*state, &b, &err), ACE_EFORMAT);
  assert_int_equal(mkfifo(in(state, "pipe.wav"), 0600), 0);
  assert_int_equal(audio_read(in(state, "pipe.wav"), &b, &err), ACE_EFORMAT);
  /* With a path of its own choosing libsndfile would take these bytes for raw telephone sound. */
  assert_int_equal(file_write(in(state, "x.gsm"), text, sizeof text, NULL), ACE_OK);
  assert_int_equal(audio_read(in(state, "x.gsm"), &b, &err), ACE_EFORMAT);
}

static void sounds_beyond_the_limits_are_refused(void **state) {
  audio_buffer song = chord(2, 2, 48000), b;
  write_ok(in(state, "x.flac"), &song, AUDIO_FLAC, NULL, NULL);
  size_t n;
  char *flac = file_read(in(state, "x.flac"), 1 << 24, &n, NULL);
  audio_limits exact = {2, 192000}, less_time = {1.9, 192000}, less_memory = {2, 191999};
  ace_error err = {0};
  assert_int_equal(audio_read_memory(flac, n, "test", &exact, &b, &err), ACE_OK);
  audio_buffer_free(&b);
  assert_int_equal(audio_read_memory(flac, n, "test", &less_time, &b, &err), ACE_EINVAL);
  assert_int_equal(audio_read_memory(flac, n, "test", &less_memory, &b, &err), ACE_EINVAL);
  assert_null(b.samples);
  free(flac);
  audio_buffer_free(&song);
}

static void tags_behind_an_mp3_do_not_spoil_it(void **state) {
  audio_buffer song = chord(3, 2, 48000);
  write_ok(in(state, "x.mp3"), &song, AUDIO_MP3, NULL, NULL);
  size_t n;
  char *mp3 = file_read(in(state, "x.mp3"), 1 << 24, &n, NULL);
  mp3 = realloc(mp3, n + 4000);
  for (size_t i = 0; i < 4000; i++) mp3[n + i] = (char)("APETAGEX"[i % 8] + (char)(i / 64));
  audio_buffer b;
  assert_int_equal(audio_read_memory(mp3, n + 4000, "test", NULL, &b, NULL), ACE_OK);
  assert_int_equal(b.frames, song.frames);
  audio_buffer_free(&b);
  /* A hole in the middle is another matter: the rest of the song would be missing without a word. */
  for (size_t i = n / 2; i < n / 2 + 3000; i++) mp3[i] = (char)(i * i >> 3 & 0x7F);
  assert_int_equal(audio_read_memory(mp3, n, "test", NULL, &b, NULL), ACE_EFORMAT);
  free(mp3);
  audio_buffer_free(&song);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_song_survives_every_format),
      IN_FOLDER(mono_is_written_as_mono),
      IN_FOLDER(the_same_song_is_the_same_file),
      IN_FOLDER(loud_samples_clip_and_do_not_wrap),
      IN_FOLDER(tags_are_in_the_file),
      IN_FOLDER(a_huge_prompt_is_cut_between_characters),
      IN_FOLDER(bit_rates_are_kept),
      IN_FOLDER(rates_that_a_format_lacks_are_resampled),
      IN_FOLDER(bad_requests_write_nothing),
      IN_FOLDER(a_full_disk_leaves_the_old_file),
      IN_FOLDER(cancelling_leaves_the_old_file),
      IN_FOLDER(kill_9_leaves_the_old_file),
      IN_FOLDER(places_that_cannot_be_written_are_errors),
      cmocka_unit_test(resampling_keeps_pitch_level_and_length),
      cmocka_unit_test(every_channel_count_becomes_stereo),
      IN_FOLDER(six_channels_come_out_of_a_file),
      IN_FOLDER(numbers_that_are_none_are_refused),
      IN_FOLDER(files_cut_anywhere_are_errors_or_shorter),
      IN_FOLDER(claims_of_endless_sound_cost_nothing),
      IN_FOLDER(flac_has_the_bits_that_were_asked_for),
      IN_FOLDER(what_is_no_sound_is_refused_by_name),
      IN_FOLDER(sounds_beyond_the_limits_are_refused),
      IN_FOLDER(tags_behind_an_mp3_do_not_spoil_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
