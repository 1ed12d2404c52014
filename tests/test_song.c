/* Songs through the public library on the tiny model set: what a user may rely on. */
#include "songs.h"

#include <math.h>
#include <sys/stat.h>

#include "audio/buffer.h"
#include "audio/write.h"
#include "base/file.h"

static ace_engine *open_engine(const songs *f, int threads, uint64_t memory) {
  return songs_engine(f, NULL, threads, memory);
}

/* Ten seconds, few steps: the point is never the music. */
static const char *const usual[] = {"caption", "a test", "duration", "10", "inference_steps", "2", "seeds", "7", NULL};

static ace_request *request(const char *const *pairs) {
  return songs_request(usual, pairs);
}

static ace_result *generate(ace_engine *e, const char *const *pairs) {
  return songs_generate(e, usual, pairs);
}

static void check_same(const songs *f, int most_threads, const char *const *pairs) {
  ace_result *first = NULL;
  for (int threads = 1; threads <= most_threads; threads++) {
    ace_engine *e = open_engine(f, threads, 0);
    ace_result *r = generate(e, pairs), *again = threads == 1 ? generate(e, pairs) : NULL;
    if (!first) {
      first = r;
      assert_true(same_sound(ace_result_audio(first, 0), ace_result_audio(again, 0)));
      ace_result_free(again);
    } else {
      for (int i = 0; i < ace_result_count(r); i++)
        assert_true(same_sound(ace_result_audio(first, i), ace_result_audio(r, i)));
      ace_result_free(r);
    }
    ace_engine_close(e);
  }
  ace_result_free(first);
}

/* The same request makes the same song: run twice, with 1, 2 and 3 threads, whatever the sampler. */
static void same_request_same_song(void **state) {
  check_same(*state, 3, NULL);
  check_same(*state, 2, PAIRS("infer_method", "sde", "inference_steps", "3"));
  check_same(*state, 2, PAIRS("sampler_mode", "heun", "dcw_wavelet", "db4", "rng", "torch-cuda"));
  check_same(*state, 2, PAIRS("retake_variance", "0.3", "retake_seed", "5", "velocity_ema_factor", "0.2"));
}

/* An item is the same in a batch and alone, also when the memory allows one item at a time only. */
static void batch_item_is_the_song_alone(void **state) {
  static const char *const seeds[] = {"11", "12", "13"};
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *batch = generate(e, PAIRS("batch_size", "3", "seeds", "11,12,13", "infer_method", "sde"));
  assert_int_equal(ace_result_count(batch), 3);
  for (int i = 0; i < 3; i++) {
    ace_result *alone = generate(e, PAIRS("seeds", seeds[i], "infer_method", "sde"));
    assert_int_equal(ace_result_audio(batch, i).seed, 11 + i);
    assert_true(same_sound(ace_result_audio(batch, i), ace_result_audio(alone, 0)));
    ace_result_free(alone);
  }
  assert_false(same_sound(ace_result_audio(batch, 0), ace_result_audio(batch, 1)));
  ace_engine_close(e);
  ace_request *three = request(PAIRS("batch_size", "3"));
  e = open_engine(*state, 2, songs_least_memory(*state, three));
  ace_request_free(three);
  ace_result *split = generate(e, PAIRS("batch_size", "3", "seeds", "11,12,13", "infer_method", "sde"));
  for (int i = 0; i < 3; i++) assert_true(same_sound(ace_result_audio(batch, i), ace_result_audio(split, i)));
  ace_result_free(split);
  ace_result_free(batch);
  ace_engine_close(e);
}

/* What does not fit is refused before it runs, saying how much it would take. */
static void too_little_memory_is_refused(void **state) {
  ace_engine *e = open_engine(*state, 1, 1 << 20);
  ace_request *r = request(NULL);
  ace_error err;
  assert_null(ace_generate(e, r, NULL, &err));
  assert_int_equal(err.status, ACE_ENOMEM);
  assert_non_null(strstr(err.message, "MiB"));
  ace_request_free(r);
  ace_engine_close(e);
}

/* Length, channels and level of the result; what the request says changes it. */
static void the_song_is_what_was_asked_for(void **state) {
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *r = generate(e, PAIRS("duration", "10.5"));
  ace_audio a = ace_result_audio(r, 0);
  assert_int_equal(a.sample_rate, 48000);
  assert_int_equal(a.channels, 2);
  assert_int_equal(a.frames, 504000 / 1920 * 1920); /* whole latent frames */
  float peak = 0;
  for (int64_t i = 0; i < a.frames * a.channels; i++) peak = fmaxf(peak, fabsf(a.samples[i]));
  assert_true(fabsf(peak - 0.891251f) < 1e-4f); /* -1 dB */
  static const char *const changes[][2] = {
      {"caption", "another"},   {"lyrics", "la la"},      {"bpm", "90"},
      {"keyscale", "C major"},  {"shift", "1.5"},         {"inference_steps", "3"},
      {"vocal_language", "ja"}, {"timesignature", "3"},   {"dcw_enabled", "false"},
      {"timesteps", "1,0.5,0"}, {"instrumental", "true"}, {"latent_rescale", "0.9"}};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    ace_result *other = generate(e, PAIRS("duration", "10.5", changes[i][0], changes[i][1]));
    if (same_sound(a, ace_result_audio(other, 0))) fail_msg("%s changes nothing", changes[i][0]);
    ace_result_free(other);
  }
  ace_result *faded = generate(e, PAIRS("duration", "10.5", "fade_in_duration", "0.5"));
  assert_true(ace_result_audio(faded, 0).samples[0] == 0);
  ace_result_free(faded);
  ace_result_free(r);
  ace_engine_close(e);
}

/* Codes steer the song and set its length: five a second, never below the shortest length. */
static void codes_steer_the_song(void **state) {
  enum { CODES = 40, HOP = 1920, FRAMES = 5 };
  char codes[CODES * 24] = "";
  for (int i = 0; i < CODES; i++) sprintf(codes + strlen(codes), "<|audio_code_%d|>", i * 7 % 400);
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *with = generate(e, PAIRS("audio_codes", codes, "duration", ""));
  ace_result *half = generate(e, PAIRS("audio_codes", codes, "duration", "", "audio_cover_strength", "0.5"));
  ace_result *near = generate(e, PAIRS("audio_codes", codes, "duration", "", "cover_noise_strength", "0.5"));
  assert_int_equal(ace_result_audio(with, 0).frames, CODES * FRAMES * HOP);
  assert_false(same_sound(ace_result_audio(with, 0), ace_result_audio(half, 0)));
  assert_false(same_sound(ace_result_audio(with, 0), ace_result_audio(near, 0)));
  ace_result_free(with), ace_result_free(half), ace_result_free(near);
  ace_request *r = request(PAIRS("audio_codes", "no codes here"));
  ace_error err;
  assert_null(ace_generate(e, r, NULL, &err));
  assert_non_null(strstr(err.message, "audio_codes"));
  ace_request_free(r);
  ace_engine_close(e);
}

static void write_sine(const char *path, double seconds, double level) {
  audio_buffer b;
  ace_error err;
  if (audio_buffer_new(&b, (int64_t)(seconds * 44100), 1, 44100, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int64_t i = 0; i < b.frames; i++) b.samples[i] = (float)(level * sin((double)i * 0.05));
  if (audio_write(path, &b, AUDIO_WAV32, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  audio_buffer_free(&b);
}

/* A reference recording is heard; a silent or missing one is refused by name; the batch rule holds for it too. */
static void reference_audio_sets_the_timbre(void **state) {
  temp t = temp_open();
  char path[800];
  snprintf(path, sizeof path, "%s", temp_path(&t, "reference.wav"));
  write_sine(path, 3, 0.5);
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *plain = generate(e, NULL);
  ace_result *with = generate(e, PAIRS("reference_audio", path));
  ace_result *batch = generate(e, PAIRS("reference_audio", path, "batch_size", "2", "seeds", "3,7"));
  ace_result *drawn = generate(e, PAIRS("reference_audio", path, "vae_encode", "sample"));
  assert_false(same_sound(ace_result_audio(plain, 0), ace_result_audio(with, 0)));
  assert_true(same_sound(ace_result_audio(with, 0), ace_result_audio(batch, 1)));
  assert_false(same_sound(ace_result_audio(with, 0), ace_result_audio(drawn, 0)));
  ace_result_free(plain), ace_result_free(with), ace_result_free(batch), ace_result_free(drawn);
  write_sine(path, 3, 0);
  ace_error err;
  ace_request *r = request(PAIRS("reference_audio", path));
  assert_null(ace_generate(e, r, NULL, &err));
  assert_non_null(strstr(err.message, "reference_audio"));
  ace_request_free(r);
  r = request(PAIRS("reference_audio", "/nowhere/at/all.wav"));
  assert_null(ace_generate(e, r, NULL, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  ace_request_free(r);
  ace_engine_close(e);
  temp_close(&t);
}

typedef struct watcher {
  int calls, stop_after;
  double fraction;
  bool fell;
} watcher;

static void watch(void *user, const ace_progress *p) {
  watcher *w = user;
  w->calls++;
  if (p->fraction < w->fraction || p->fraction > 1) w->fell = true;
  w->fraction = p->fraction;
}

static bool stop(void *user) {
  watcher *w = user;
  return w->stop_after >= 0 && w->calls >= w->stop_after;
}

/* Progress rises to the end; a cancelled job says so, and the engine goes on working. */
static void progress_and_cancel(void **state) {
  ace_engine *e = open_engine(*state, 2, 0);
  ace_request *r = request(NULL);
  ace_error err;
  watcher w = {.stop_after = -1};
  ace_callbacks notify = {.progress = watch, .cancelled = stop, .user = &w};
  for (int run = 0; run < 2; run++) { /* the first one also hashes the models */
    w = (watcher){.stop_after = -1};
    ace_result *result = ace_generate(e, r, &notify, &err);
    assert_non_null(result);
    assert_false(w.fell);
    assert_true(w.fraction > 0.999);
    assert_true(w.calls > 4);
    ace_result_free(result);
  }
  for (int after = 0; after < w.calls - 1; after++) {
    watcher cut = {.stop_after = after};
    notify.user = &cut;
    assert_null(ace_generate(e, r, &notify, &err));
    assert_int_equal(err.status, ACE_ECANCELED);
  }
  ace_result *result = ace_generate(e, r, NULL, &err);
  assert_non_null(result);
  ace_result_free(result);
  ace_request_free(r);
  ace_engine_close(e);
}

/* A base model follows its guidance: every setting of it is heard, what switches it off gives the song without. */
static void base_models_are_guided(void **state) {
  ace_engine *e = songs_engine(*state, "acestep-v15-base", 2, 0);
  ace_result *guided = generate(e, NULL), *off = generate(e, PAIRS("guidance_scale", "1"));
  assert_false(same_sound(ace_result_audio(guided, 0), ace_result_audio(off, 0)));
  static const char *const changes[][2] = {{"guidance_scale", "3"},
                                           {"use_adg", "true"},
                                           {"cfg_interval_end", "0.9"},
                                           {"cfg_interval_start", "0.9"},
                                           {"sampler_mode", "heun"}};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    ace_result *other = generate(e, PAIRS(changes[i][0], changes[i][1]));
    for (int j = 0; j < 2; j++)
      if (same_sound(ace_result_audio(j ? off : guided, 0), ace_result_audio(other, 0)))
        fail_msg("%s changes nothing", changes[i][0]);
    ace_result_free(other);
  }
  ace_result *beside = generate(e, PAIRS("cfg_interval_start", "0.7", "cfg_interval_end", "0.8", "shift", "1"));
  ace_result *plain = generate(e, PAIRS("guidance_scale", "1", "shift", "1"));
  assert_true(same_sound(ace_result_audio(beside, 0), ace_result_audio(plain, 0)));
  ace_result_free(beside), ace_result_free(plain), ace_result_free(guided), ace_result_free(off);
  ace_engine_close(e);
}

/* What holds for turbo models holds with guidance: the same song with one thread or two, alone or in a batch; and the
 * progress of steps with and without guidance adds up. */
static void guided_songs_are_repeatable(void **state) {
  const char *const *const kinds[] = {PAIRS("seeds", "12"),
                                      PAIRS("seeds", "12", "use_adg", "true", "sampler_mode", "heun"),
                                      PAIRS("seeds", "12", "sampler_mode", "heun", "cfg_interval_end", "0.6")};
  ace_engine *one = songs_engine(*state, "acestep-v15-base", 1, 0),
             *two = songs_engine(*state, "acestep-v15-base", 2, 0);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    ace_result *alone = generate(one, kinds[i]);
    ace_request *r = request(kinds[i]);
    ace_error err;
    watcher w = {.stop_after = -1};
    if (ace_request_set(r, "seeds", "11,12", &err) != ACE_OK || ace_request_set(r, "batch_size", "2", &err) != ACE_OK)
      fail_msg("%s", err.message);
    ace_result *batch = ace_generate(two, r, &(ace_callbacks){.progress = watch, .user = &w}, &err);
    if (!batch) fail_msg("%s", err.message);
    assert_true(same_sound(ace_result_audio(alone, 0), ace_result_audio(batch, 1)));
    assert_false(w.fell);
    assert_true(w.fraction > 0.999);
    ace_result_free(alone), ace_result_free(batch);
    ace_request_free(r);
  }
  ace_engine_close(one);
  ace_engine_close(two);
}

/* The JSON beside a song makes that song again, item by item. */
static void saved_json_makes_the_song_again(void **state) {
  temp t = temp_open();
  ace_error err;
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *r = generate(e, PAIRS("batch_size", "2", "use_random_seed", "true", "retake_variance", "0.2"));
  for (int i = 0; i < 2; i++) {
    char path[800];
    snprintf(path, sizeof path, "%s", temp_path(&t, "song.flac"));
    if (ace_result_save(r, i, path, &err) != ACE_OK) fail_msg("%s", err.message);
    size_t length, n1, n2;
    char *json = file_read(temp_path(&t, "song.json"), 1 << 20, &length, &err);
    assert_non_null(json);
    assert_non_null(strstr(json, "sha256"));
    ace_request *again = ace_request_new(ACE_PROFILE_CLI);
    if (ace_request_set_json(again, json, length, &err) != ACE_OK) fail_msg("%s", err.message);
    ace_result *second = ace_generate(e, again, NULL, &err);
    if (!second) fail_msg("%s", err.message);
    assert_int_equal(ace_result_count(second), 1);
    char *bytes = file_read(path, 64 << 20, &n1, &err);
    if (ace_result_save(second, 0, path, &err) != ACE_OK) fail_msg("%s", err.message);
    char *other = file_read(path, 64 << 20, &n2, &err);
    assert_int_equal(n1, n2);
    assert_memory_equal(bytes, other, n1);
    free(json), free(bytes), free(other);
    ace_request_free(again);
    ace_result_free(second);
  }
  ace_result_free(r);
  ace_engine_close(e);
  temp_close(&t);
}

/* A place that cannot be written leaves nothing, not even the JSON. */
static void a_failed_save_leaves_nothing(void **state) {
  temp t = temp_open();
  ace_error err;
  ace_engine *e = open_engine(*state, 2, 0);
  ace_result *r = generate(e, NULL);
  assert_int_equal(ace_result_save(r, 0, temp_path(&t, "no/such/folder/song.flac"), &err), ACE_ENOTFOUND);
  assert_int_equal(ace_result_save(r, 0, temp_path(&t, "song.xyz"), &err), ACE_EINVAL);
  assert_int_equal(ace_result_save(r, 1, temp_path(&t, "song.flac"), &err), ACE_EINVAL);
  assert_int_equal(temp_count(&t), 0);
  ace_result_free(r);
  ace_engine_close(e);
  temp_close(&t);
}

/* What this build cannot do is said, never left out silently. */
static void what_is_missing_is_refused(void **state) {
  static const char *const wrong[][2] = {{"task_type", "extract"}, {"inference_steps", "21"}};
  ace_engine *e = open_engine(*state, 1, 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    ace_error err = {0};
    ace_request *r = request(PAIRS(wrong[i][0], wrong[i][1]));
    assert_null(ace_generate(e, r, NULL, &err));
    if (!strstr(err.message, wrong[i][0]) && !strstr(err.message, "src_audio")) fail_msg("%s", err.message);
    ace_request_free(r);
  }
  ace_engine_close(e);
}

/* A models folder that is empty, absent or half there says what is missing. */
static void missing_models_are_named(void **state) {
  temp t = temp_open();
  ace_error err;
  assert_null(ace_engine_open(t.folder, NULL, &err));
  assert_non_null(strstr(err.message, "no diffusion model"));
  assert_null(ace_engine_open("/nowhere/at/all", NULL, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
  const songs *f = *state;
  assert_null(ace_engine_open(f->models, &(ace_engine_options){.model = "acestep-v15-sft"}, &err));
  assert_non_null(strstr(err.message, "acestep-v15-sft"));
  assert_null(ace_engine_open(f->models, &(ace_engine_options){.model = "../models/acestep-v15-turbo"}, &err));
  assert_int_equal(err.status, ACE_EINVAL);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_request_same_song),       cmocka_unit_test(batch_item_is_the_song_alone),
      cmocka_unit_test(too_little_memory_is_refused), cmocka_unit_test(the_song_is_what_was_asked_for),
      cmocka_unit_test(codes_steer_the_song),         cmocka_unit_test(reference_audio_sets_the_timbre),
      cmocka_unit_test(progress_and_cancel),          cmocka_unit_test(saved_json_makes_the_song_again),
      cmocka_unit_test(a_failed_save_leaves_nothing), cmocka_unit_test(what_is_missing_is_refused),
      cmocka_unit_test(missing_models_are_named),     cmocka_unit_test(base_models_are_guided),
      cmocka_unit_test(guided_songs_are_repeatable),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
