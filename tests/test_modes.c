/* The tasks that work on a recording: remix, repaint, extract, lego, complete, through the public library on the tiny
 * model set. */
#include "songs.h"

#include <math.h>

#include "audio/buffer.h"
#include "audio/write.h"
#include "base/json.h"
#include "render/latents_cache.h"
#include "render/region.h"

enum { RATE = 48000, HOP = 1920 };

/* Made once for the group. */
typedef struct fixture {
  songs songs;
  char song[512], silence[512], blip[512]; /* 3.01 s of sound; 5 s of silence; 0.02 s */
  audio_buffer sound;                      /* what `song` holds */
  ace_engine *turbo, *base;
} fixture;

static audio_buffer make_sound(double seconds, double level) {
  audio_buffer b;
  ace_error err;
  if (audio_buffer_new(&b, (int64_t)(seconds * RATE), 2, RATE, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int64_t i = 0; i < b.frames * 2; i++)
    b.samples[i] = (float)(level * (sin((double)i * 0.031) + 0.5 * sin((double)i * 0.0047)));
  return b;
}

static audio_buffer write_sound(const char *path, double seconds, double level) {
  ace_error err;
  audio_buffer b = make_sound(seconds, level);
  if (audio_write(path, &b, AUDIO_WAV32, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  return b;
}

static int make_fixture(void **state) {
  static fixture f; /* lives through the group */
  songs_make(&f.songs);
  snprintf(f.song, sizeof f.song, "%s/song.wav", f.songs.folder.folder);
  snprintf(f.silence, sizeof f.silence, "%s/silence.wav", f.songs.folder.folder);
  snprintf(f.blip, sizeof f.blip, "%s/blip.wav", f.songs.folder.folder);
  f.sound = write_sound(f.song, 3.01, 0.4);
  audio_buffer b = write_sound(f.silence, 5, 0);
  audio_buffer_free(&b);
  b = write_sound(f.blip, 0.02, 0.5);
  audio_buffer_free(&b);
  f.turbo = songs_engine(&f.songs, "acestep-v15-turbo", 2, 0);
  f.base = songs_engine(&f.songs, "acestep-v15-base", 2, 0);
  *state = &f;
  return 0;
}

static int remove_fixture(void **state) {
  fixture *f = *state;
  ace_engine_close(f->turbo);
  ace_engine_close(f->base);
  audio_buffer_free(&f->sound);
  return songs_remove(&f->songs);
}

/* Two steps: the point is never the music. */
static const char *const usual[] = {"caption", "a test",   "inference_steps", "2", "seeds", "7", "enable_normalization",
                                    "false",   "thinking", "false",           NULL};

static ace_request *request(const char *const *pairs) {
  return songs_request(usual, pairs);
}

static ace_result *generate(ace_engine *e, const char *const *pairs) {
  return songs_generate(e, usual, pairs);
}

static void refused(ace_engine *e, const char *const *pairs, const char *words) {
  ace_error err = {0};
  ace_request *r = request(pairs);
  assert_null(ace_generate(e, r, NULL, &err));
  if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
  ace_request_free(r);
}

static float largest(const float *x, int64_t n) {
  float most = 0;
  for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
  return most;
}

/* Of that length, finite, and not silent. */
static void check_sound(const ace_result *r, int64_t frames) {
  for (int i = 0; i < ace_result_count(r); i++) {
    ace_audio a = ace_result_audio(r, i);
    assert_int_equal(a.frames, frames);
    for (int64_t k = 0; k < a.frames * a.channels; k++) assert_true(isfinite(a.samples[k]));
    assert_true(largest(a.samples, a.frames * a.channels) > 1e-4f);
  }
}

/* ---- regions, without models ---- */

static ace_request *region_request(double start, double end) {
  ace_request *r = request(PAIRS("task_type", "repaint", "src_audio", "x.wav"));
  r->repainting_start = start;
  r->repainting_end = end;
  return r;
}

static region make_region(double start, double end, int64_t samples) {
  ace_request *r = region_request(start, end);
  region g;
  ace_error err;
  if (region_make(r, samples, RATE, HOP, &g, &err) != ACE_OK) fail_msg("%s", err.message);
  ace_request_free(r);
  return g;
}

/* Seconds become samples and frames; what lies before the beginning or behind the end is added there. */
static void a_region_is_where_it_was_asked_for(void **state) {
  region g = make_region(10, 20, 60 * RATE);
  assert_true(g.head == 0 && g.tail == 0 && g.samples == 60 * RATE);
  assert_true(g.first == 250 && g.end == 500 && g.from == 10 * RATE && g.to == 20 * RATE);
  g = make_region(-3, -1, 60 * RATE); /* the new head alone */
  assert_true(g.head == 3 * RATE && g.tail == 0 && g.first == 0 && g.end == 75 && g.to == 3 * RATE);
  g = make_region(-3, 4, 60 * RATE); /* the head and what follows it */
  assert_true(g.head == 3 * RATE && g.end == 175 && g.samples == 63 * RATE);
  g = make_region(50, 70, 60 * RATE); /* a new tail */
  assert_true(g.tail == 10 * RATE && g.first == 1250 && g.end == 1750 && g.samples == 70 * RATE);
  g = make_region(58.5, -1, 60 * RATE);
  assert_true(g.tail == 0 && g.first == 1462 && g.end == 1500);
  g = make_region(5, 5.01, 6 * RATE); /* less than a frame becomes one */
  region_fit(&g, 150);
  assert_true(g.first == 125 && g.end == 126);
  float mask[150];
  region_mask(&g, 150, mask);
  for (int t = 0; t < 150; t++) assert_true(mask[t] == (t == 125 ? 1.0f : 0.0f));
}

static void expect_refused_region(double start, double end, const char *words) {
  ace_request *r = region_request(start, end);
  region g;
  ace_error err = {0};
  assert_int_equal(region_make(r, 60 * RATE, RATE, HOP, &g, &err), ACE_EINVAL);
  if (!strstr(err.message, words)) fail_msg("%s", err.message);
  ace_request_free(r);
}

static void impossible_regions_are_refused(void **state) {
  expect_refused_region(60, -1, "repainting_start: 60 s is not before the end of src_audio");
  expect_refused_region(10, 10, "repainting_end: 10 s is not after");
  expect_refused_region(0, 3600.5, "3600 s");
}

/* Mode and strength decide, unless the crossfades are given. */
static void strength_decides_what_is_kept(void **state) {
  static const struct {
    int mode;
    double strength;
    int frames;
    double seconds, ratio;
    int crossfade, ramp;
  } cases[] = {
      {REQ_REPAINT_BALANCED, 0.5, -1, -1, 0.5, 12, 1200},   {REQ_REPAINT_BALANCED, 0.3, -1, -1, 0.7, 18, 1680},
      {REQ_REPAINT_BALANCED, 0, -1, -1, 1, 25, 2400},       {REQ_REPAINT_BALANCED, 1, -1, -1, 0, 0, 0},
      {REQ_REPAINT_CONSERVATIVE, 0.9, -1, -1, 1, 25, 2400}, {REQ_REPAINT_AGGRESSIVE, 0.1, -1, -1, 0, 0, 0},
      {REQ_REPAINT_BALANCED, 0.5, 3, 0.25, 0.5, 3, 12000},  {REQ_REPAINT_AGGRESSIVE, 0.5, 0, 0.25, 0, 0, 12000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ace_request *r = region_request(10, 20);
    r->repaint_mode = cases[i].mode;
    r->repaint_strength = cases[i].strength;
    r->repaint_latent_crossfade_frames = cases[i].frames;
    r->repaint_wav_crossfade_sec = cases[i].seconds;
    region g;
    assert_int_equal(region_make(r, 60 * RATE, RATE, HOP, &g, NULL), ACE_OK);
    assert_true(fabs(g.inject_ratio - cases[i].ratio) < 1e-12);
    assert_int_equal(g.crossfade, cases[i].crossfade);
    assert_true(llabs(g.ramp - cases[i].ramp) <= 1);
    ace_request_free(r);
  }
}

/* The recording itself around the region, straight ramps beside it; what the decoder leaves over is added. */
static void a_splice_keeps_the_outside(void **state) {
  enum { N = 1000, MADE = 900 };
  region g = {.active = true, .from = 300, .to = 500, .ramp = 99, .samples = N};
  audio_buffer kept = make_sound((N + 0.5) / RATE, 0.3), made;
  assert_int_equal(kept.frames, N);
  assert_int_equal(audio_buffer_new(&made, MADE, 2, RATE, NULL), ACE_OK);
  for (int i = 0; i < 2 * MADE; i++) made.samples[i] = 1;
  assert_int_equal(region_splice(&g, &kept, &made, NULL), ACE_OK);
  assert_int_equal(made.frames, N);
  for (int i = 0; i < 2 * N; i++) {
    int at = i / 2;
    double share = at < 300 ? (at - 200) / 100.0 : at < 500 ? 1 : 1 - (at - 499) / 100.0;
    if (share <= 0) assert_true(made.samples[i] == kept.samples[i]);
    else if (share >= 1) assert_true(made.samples[i] == 1);
    else assert_true(fabs(made.samples[i] - (share + (1 - share) * kept.samples[i])) < 0.03);
  }
  audio_buffer_free(&made);
  assert_int_equal(audio_buffer_new(&made, MADE, 2, RATE, NULL), ACE_OK);
  g.to = N; /* new to the end: nothing old behind it */
  assert_int_equal(region_splice(&g, &kept, &made, NULL), ACE_OK);
  assert_int_equal(made.frames, MADE);
  assert_true(made.samples[2 * MADE - 1] == 0 && made.samples[0] == kept.samples[0]);
  audio_buffer_free(&made);
  audio_buffer_free(&kept);
}

/* ---- repaint ---- */

/* Outside of the region and its ramps the song is the recording, bit for bit and to its last sample; inside it is new.
 */
static void repaint_changes_the_region_only(void **state) {
  const fixture *f = *state;
  enum { FROM = 1 * RATE, TO = 2 * RATE, RAMP = 1200 };
  ace_result *r = generate(f->turbo, PAIRS("task_type", "repaint", "src_audio", f->song, "repainting_start", "1",
                                           "repainting_end", "2", "batch_size", "2", "seeds", "7,8"));
  check_sound(r, f->sound.frames);
  for (int i = 0; i < 2; i++) {
    ace_audio a = ace_result_audio(r, i);
    const float *x = f->sound.samples;
    assert_memory_equal(a.samples, x, 2 * (FROM - RAMP) * sizeof(float));
    assert_memory_equal(a.samples + 2 * (TO + RAMP), x + 2 * (TO + RAMP),
                        (size_t)(2 * (a.frames - TO - RAMP)) * sizeof(float));
    int64_t same = 0;
    for (int64_t k = 2 * FROM; k < 2 * TO; k++) same += a.samples[k] == x[k];
    assert_true(same < RATE / 100);
  }
  assert_false(same_sound(ace_result_audio(r, 0), ace_result_audio(r, 1)));
  ace_result_free(r);
}

/* The address sanitizer keeps what was freed, up to 256 MB, and a budget covers the whole process. */
#if defined(__SANITIZE_ADDRESS__)
enum { KEPT_BY_SANITIZER = 300 << 20 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { KEPT_BY_SANITIZER = 300 << 20 };
#else
enum { KEPT_BY_SANITIZER = 0 };
#endif
#else
enum { KEPT_BY_SANITIZER = 0 };
#endif

/* The autoencoder's noise, when it is drawn, is an item's own; making latents in parts or at once is the same, and is a
 * part of the job that progress tells of. */
static void note_encoding(void *user, const ace_progress *p) {
  double *share = user;
  if (strcmp(p->stage, "encode") == 0) *share = p->fraction;
}

static void a_drawn_source_is_the_item_s_own(void **state) {
  const fixture *f = *state;
  ace_request *one = request(PAIRS("task_type", "cover-nofsq", "src_audio", f->song, "vae_encode", "sample"));
  /* enough for a part of the source at a time */
  ace_engine *small = songs_engine(&f->songs, NULL, 1, songs_least_memory(&f->songs, one) + KEPT_BY_SANITIZER);
  ace_request_free(one);
  ace_result *both = generate(f->turbo, PAIRS("task_type", "cover-nofsq", "src_audio", f->song, "batch_size", "2",
                                              "seeds", "7,8", "vae_encode", "sample"));
  ace_result *alone =
      generate(small, PAIRS("task_type", "cover-nofsq", "src_audio", f->song, "seeds", "8", "vae_encode", "sample"));
  check_sound(both, f->sound.frames);
  assert_true(same_sound(ace_result_audio(both, 1), ace_result_audio(alone, 0)));
  ace_result_free(alone);
  double share = 0;
  ace_error err;
  ace_request *mean = request(PAIRS("task_type", "cover-nofsq", "src_audio", f->song, "seeds", "8"));
  alone = ace_generate(f->turbo, mean, &(ace_callbacks){.progress = note_encoding, .user = &share}, &err);
  if (!alone) fail_msg("%s", err.message);
  assert_true(share > 0.1 && share < 1);
  ace_request_free(mean);
  assert_false(same_sound(ace_result_audio(both, 1), ace_result_audio(alone, 0)));
  ace_result_free(both), ace_result_free(alone);
  ace_engine_close(small);
}

/* New music before and behind the recording, which stays where it was. */
static void repaint_grows_a_recording(void **state) {
  const fixture *f = *state;
  enum { OWN = 5 * RATE, RAMP = 1200 };
  ace_result *head = generate(f->turbo, PAIRS("task_type", "repaint", "src_audio", f->silence, "repainting_start",
                                              "-0.5", "repainting_end", "-1"));
  check_sound(head, OWN + RATE / 2);
  const float *x = ace_result_audio(head, 0).samples;
  assert_true(largest(x, RATE) > 1e-4f);                                     /* half a second of music */
  assert_true(largest(x + RATE + 2 * RAMP, 2 * (int64_t)(OWN - RAMP)) == 0); /* the recording */
  ace_result *tail = generate(f->turbo, PAIRS("task_type", "repaint", "src_audio", f->silence, "repainting_start",
                                              "4.5", "repainting_end", "6.5"));
  check_sound(tail, 13 * RATE / 2 / HOP * HOP);
  x = ace_result_audio(tail, 0).samples;
  assert_true(largest(x, 2 * (9 * RATE / 2 - RAMP)) == 0);
  assert_true(largest(x + 2 * 9 * RATE / 2, RATE) > 1e-4f);
  ace_result_free(head), ace_result_free(tail);
}

/* ---- the other tasks ---- */

static void each_changes(ace_engine *e, const char *const *common, const char *const (*changes)[2], size_t n) {
  ace_result *plain = generate(e, common);
  for (size_t i = 0; i < n; i++) {
    const char *pairs[32];
    size_t k = 0;
    for (; common[k]; k++) pairs[k] = common[k];
    pairs[k++] = changes[i][0], pairs[k++] = changes[i][1], pairs[k] = NULL;
    ace_result *other = generate(e, pairs);
    check_sound(other, ace_result_audio(plain, 0).frames);
    if (same_sound(ace_result_audio(plain, 0), ace_result_audio(other, 0)))
      fail_msg("%s changes nothing", changes[i][0]);
    ace_result_free(other);
  }
  ace_result_free(plain);
}

static void parameters_change_the_sound(void **state) {
  const fixture *f = *state;
  static const char *const repaint[][2] = {{"repainting_start", "1.5"},
                                           {"repainting_end", "3.5"},
                                           {"repaint_mode", "aggressive"},
                                           {"repaint_strength", "0.1"},
                                           {"repaint_latent_crossfade_frames", "0"},
                                           {"repaint_wav_crossfade_sec", "0.5"},
                                           {"chunk_mask_mode", "explicit"},
                                           {"caption", "other"}};
  each_changes(f->turbo,
               PAIRS("task_type", "repaint", "src_audio", f->silence, "repainting_start", "2", "repainting_end", "3"),
               repaint, sizeof repaint / sizeof *repaint);
  static const char *const cover[][2] = {
      {"audio_cover_strength", "0.5"}, {"cover_noise_strength", "0.5"}, {"task_type", "cover-nofsq"}};
  each_changes(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence), cover, sizeof cover / sizeof *cover);
}

/* The source decides how long the song is, whatever else is asked for; and it is heard. */
static void the_source_leads(void **state) {
  const fixture *f = *state;
  ace_result *plain = generate(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence));
  ace_result *longer = generate(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence, "duration", "20"));
  ace_result *song = generate(f->turbo, PAIRS("task_type", "cover", "src_audio", f->song));
  check_sound(plain, 5 * RATE);
  assert_true(same_sound(ace_result_audio(plain, 0), ace_result_audio(longer, 0)));
  check_sound(song, f->sound.frames);
  size_t common = (size_t)(3 * RATE * 2) * sizeof(float);
  assert_int_not_equal(memcmp(ace_result_audio(plain, 0).samples, ace_result_audio(song, 0).samples, common), 0);
  ace_result_free(plain), ace_result_free(longer), ace_result_free(song);
}

/* Codes stand in for the recording of a cover, which is then the song that they make without one. */
static void codes_can_be_the_source_of_a_cover(void **state) {
  const fixture *f = *state;
  enum { CODES = 30, FRAMES = 5 };
  char codes[CODES * 24] = "";
  for (int i = 0; i < CODES; i++) sprintf(codes + strlen(codes), "<|audio_code_%d|>", i * 7 % 400);
  ace_result *cover =
      generate(f->turbo, PAIRS("task_type", "cover", "src_audio", "/not/read.wav", "audio_codes", codes));
  ace_result *song = generate(f->turbo, PAIRS("audio_codes", codes));
  check_sound(cover, CODES * FRAMES * HOP);
  assert_true(same_sound(ace_result_audio(cover, 0), ace_result_audio(song, 0)));
  ace_result_free(cover), ace_result_free(song);
}

/* An edit starts from the source: with the same words on both sides it stays that, whatever the seed; other words, other
 * shares of the schedule and other noise change it. Codes, length and a language model have no say. */
static void an_edit_starts_from_the_source(void **state) {
  const fixture *f = *state;
#define EDIT "flow_edit_morph", "true", "src_audio", f->song
  ace_result *one = generate(f->turbo, PAIRS(EDIT, "flow_edit_source_caption", "a test", "seeds", "1"));
  ace_result *two = generate(f->turbo, PAIRS(EDIT, "flow_edit_source_caption", "a test", "seeds", "2", "thinking",
                                             "true", "audio_codes", "<|audio_code_3|>", "duration", "20"));
  check_sound(one, f->sound.frames);
  assert_true(same_sound(ace_result_audio(one, 0), ace_result_audio(two, 0)));
  ace_result_free(one), ace_result_free(two);
  static const char *const changes[][2] = {{"flow_edit_source_lyrics", "la"},
                                           {"caption", "other"},
                                           {"flow_edit_n_min", "0.5"},
                                           {"flow_edit_n_max", "0.5"},
                                           {"flow_edit_n_avg", "2"},
                                           {"seeds", "8"},
                                           {"task_type", "cover"},
                                           {"task_type", "cover-nofsq"}};
  enum { N = sizeof changes / sizeof *changes };
  each_changes(f->turbo, PAIRS(EDIT, "flow_edit_source_caption", "drums"), changes, N);
  static const char *const guided[][2] = {{"guidance_scale", "3"}, {"cfg_interval_end", "0.7"}};
  each_changes(f->base, PAIRS(EDIT, "flow_edit_source_caption", "drums", "task_type", "cover"), guided, 2);
  ace_result *both = generate(f->base, PAIRS(EDIT, "batch_size", "2", "seeds", "7,8"));
  ace_result *alone = generate(f->base, PAIRS(EDIT, "seeds", "8"));
  assert_true(same_sound(ace_result_audio(both, 1), ace_result_audio(alone, 0)));
  ace_result_free(both), ace_result_free(alone);
  refused(f->turbo, PAIRS("flow_edit_morph", "true"), "src_audio: flow_edit_morph requires source audio");
#undef EDIT
}

/* Work on one recording encodes it once: other words and windows find it there, and the song is the same. Operations
 * are counted by how often they ask whether to stop. */
static bool count_operation(void *user) {
  ++*(int64_t *)user;
  return false;
}

static void a_recording_is_encoded_once(void **state) {
  const fixture *f = *state;
  ace_engine *fresh = songs_engine(&f->songs, NULL, 2, 0);
  ace_error err;
  int64_t operations[2] = {0};
  ace_result *made[2];
  for (int i = 0; i < 2; i++) {
    ace_request *r = request(
        PAIRS("task_type", "repaint", "src_audio", f->song, "repainting_start", "1", "caption", i ? "a test" : "new"));
    made[i] = ace_generate(fresh, r, &(ace_callbacks){.cancelled = count_operation, .user = &operations[i]}, &err);
    if (!made[i]) fail_msg("%s", err.message);
    ace_request_free(r);
  }
  ace_result *again = generate(f->turbo, PAIRS("task_type", "repaint", "src_audio", f->song, "repainting_start", "1"));
  assert_true(same_sound(ace_result_audio(made[1], 0), ace_result_audio(again, 0)));
  assert_false(same_sound(ace_result_audio(made[0], 0), ace_result_audio(again, 0)));
  enum { LEAST = 50 /* operations of the encoder */ };
  assert_true(operations[1] + LEAST < operations[0]);
  ace_result_free(made[0]), ace_result_free(made[1]), ace_result_free(again);
  ace_engine_close(fresh);
}

/* It forgets what was not used for longest, and holds no more than it may. */
static void the_cache_is_bounded(void **state) {
  enum { N = 1000 };
  float values[N], *got;
  char key[3][LATENTS_KEY];
  latents_cache *cache = latents_cache_new(2 * (N + 50) * sizeof(float));
  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < N; k++) values[k] = (float)(i * N + k);
    latents_cache_key(values, N / 2, 2, key[i]);
    if (i == 2) free(latents_cache_get(cache, key[0], N)); /* so that the second is the older one */
    latents_cache_put(cache, key[i], values, N);
  }
  for (int i = 0; i < 3; i++) {
    got = latents_cache_get(cache, key[i], N);
    assert_true((got != NULL) == (i != 1));
    if (got) assert_true(got[7] == (float)(i * N + 7));
    free(got);
    assert_null(latents_cache_get(cache, key[i], N - 1));
  }
  float *large = calloc(3 * N, sizeof *large);
  latents_cache_put(cache, key[1], large, 3 * N); /* too large: nothing is lost for it */
  got = latents_cache_get(cache, key[0], N);
  assert_non_null(got);
  free(got), free(large);
  latents_cache_key(values, N, 1, key[0]); /* the same bytes as one channel are another sound */
  assert_string_not_equal(key[0], key[2]);
  latents_cache_free(cache);
}

static double loudness_of(const ace_result *r, const char *what) {
  json_t *json = json_loads(ace_result_json(r, 0), 0, NULL);
  double value = json_real_value(json_object_get(json_object_get(json_object_get(json, "result"), "loudness"), what));
  json_decref(json);
  return value;
}

/* The loudness that was asked for, unless peaks forbid it; what it came to is written beside the song. */
static void songs_are_as_loud_as_asked(void **state) {
  const fixture *f = *state;
#define SONG "task_type", "cover-nofsq", "src_audio", f->silence, "enable_normalization", "true"
  ace_result *quiet = generate(f->turbo, PAIRS(SONG, "normalization_lufs", "-38"));
  ace_result *held = generate(f->turbo, PAIRS(SONG, "normalization_lufs", "-5", "normalization_true_peak", "-9"));
  ace_result *peak = generate(f->turbo, PAIRS(SONG, "normalization_db", "-3"));
  assert_true(fabs(loudness_of(quiet, "integrated_lufs") + 38) < 0.02);
  assert_true(fabs(loudness_of(held, "true_peak_dbtp") + 9) < 0.02);
  assert_true(loudness_of(held, "integrated_lufs") < -5);
  ace_audio a = ace_result_audio(peak, 0);
  assert_true(fabs(largest(a.samples, 2 * a.frames) - 0.70795) < 1e-4);
  assert_true(loudness_of(peak, "true_peak_dbtp") > -3.01);
  ace_result_free(quiet), ace_result_free(held), ace_result_free(peak);
#undef SONG
}

/* compat sets all its switches at once and says so beside the song; each of them alone does something. */
static void compat_is_its_switches(void **state) {
  const fixture *f = *state;
#define HEAD "task_type", "repaint", "src_audio", f->silence, "repainting_start", "-0.5", "audio_format", "flac"
  static const char *const all[] = {"ref_length", "ref_head",      "ref_strengths", "ref_prompt",
                                    "ref_steps",  "ref_crossfade", "ref_language",  "ref_codes"};
  ace_result *compat = generate(f->turbo, PAIRS(HEAD, "compat", "reference", "inference_steps", "9"));
  ace_result *own = generate(f->turbo, PAIRS(HEAD, "ref_length", "true", "ref_head", "true", "inference_steps", "8"));
  assert_true(same_sound(ace_result_audio(compat, 0), ace_result_audio(own, 0)));
  check_sound(compat, 11 * RATE / 2 / HOP * HOP); /* whole frames */
  json_t *json = json_loads(ace_result_json(compat, 0), 0, NULL);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) assert_true(json_is_true(json_object_get(json, all[i])));
  assert_string_equal(json_string_value(json_object_get(json, "vae_encode")), "sample");
  assert_int_equal(json_integer_value(json_object_get(json, "flac_bits")), 16);
  assert_true(json_is_false(json_object_get(json, "dither")));
  json_decref(json);
  ace_result_free(compat), ace_result_free(own);
#undef HEAD
  static const char *const repaint[][2] = {{"ref_head", "true"}, {"ref_strengths", "true"}, {"ref_crossfade", "true"}};
  each_changes(
      f->turbo,
      PAIRS("task_type", "repaint", "src_audio", f->silence, "repainting_start", "-0.4", "audio_cover_strength", "0.5",
            "repaint_latent_crossfade_frames", "3", "repaint_wav_crossfade_sec", "0.3"),
      repaint, 3);
  static const char *const cover[][2] = {{"ref_prompt", "true"}};
  each_changes(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence, "audio_cover_strength", "0.5"), cover, 1);
  static const char *const base[][2] = {{"ref_steps", "true"}};
  each_changes(f->base,
               PAIRS("task_type", "cover", "src_audio", f->silence, "audio_cover_strength", "0.5", "timesteps",
                     "1,0.8,0.5,0.2,0"),
               base, 1);
}

/* Extract, lego and complete on a base model; the track that is named is heard. */
static void stems_on_a_base_model(void **state) {
  const fixture *f = *state;
  static const char *const extract[][2] = {{"track_name", "vocals"}};
  each_changes(f->base, PAIRS("task_type", "extract", "src_audio", f->silence, "track_name", "drums"), extract, 1);
  static const char *const complete[][2] = {{"complete_track_classes", "drums"}, {"audio_cover_strength", "0.5"}};
  each_changes(f->base, PAIRS("task_type", "complete", "src_audio", f->silence, "complete_track_classes", "bass,drums"),
               complete, 2);
  ace_result *lego = generate(f->base, PAIRS("task_type", "lego", "src_audio", f->silence, "track_name", "bass",
                                             "repainting_start", "2", "repainting_end", "3"));
  check_sound(lego, 5 * RATE);
  assert_true(largest(ace_result_audio(lego, 0).samples, 2 * (2 * RATE - 1200)) == 0);
  ace_result_free(lego);
  ace_result *alone =
      generate(f->base, PAIRS("task_type", "complete", "complete_track_classes", "bass", "duration", "10"));
  check_sound(alone, 10 * RATE);
  ace_result_free(alone);
}

/* A language model never leads where a recording does. */
static void thinking_leaves_the_source_alone(void **state) {
  const fixture *f = *state;
  ace_result *plain = generate(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence));
  ace_result *thought = generate(f->turbo, PAIRS("task_type", "cover", "src_audio", f->silence, "thinking", "true"));
  assert_true(same_sound(ace_result_audio(plain, 0), ace_result_audio(thought, 0)));
  ace_result_free(plain), ace_result_free(thought);
  thought = generate(f->base, PAIRS("task_type", "lego", "src_audio", f->silence, "track_name", "bass", "thinking",
                                    "true", "audio_codes", "<|audio_code_1|>"));
  check_sound(thought, 5 * RATE);
  ace_result_free(thought);
}

static void refusals_name_the_field(void **state) {
  const fixture *f = *state;
  refused(f->turbo, PAIRS("task_type", "cover", "src_audio", "/nowhere/at/all.wav"), "src_audio: /nowhere");
  refused(f->turbo, PAIRS("task_type", "cover", "src_audio", f->blip), "src_audio: 960 samples");
  refused(f->turbo, PAIRS("task_type", "repaint", "src_audio", f->silence, "repainting_start", "9"),
          "repainting_start: 9 s");
  refused(f->turbo, PAIRS("task_type", "extract", "src_audio", f->silence, "track_name", "bass"), "base model");
  ace_request *silent = request(PAIRS("task_type", "repaint", "src_audio", f->silence));
  /* enough for a song, not for making latents of a recording */
  ace_engine *small = songs_engine(&f->songs, NULL, 1, songs_least_memory(&f->songs, silent) + KEPT_BY_SANITIZER / 16);
  ace_request_free(silent);
  refused(small, PAIRS("task_type", "repaint", "src_audio", f->song), "take a shorter source");
  ace_result_free(generate(small, PAIRS("task_type", "repaint", "src_audio", f->silence)));
  ace_engine_close(small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_region_is_where_it_was_asked_for),
      cmocka_unit_test(impossible_regions_are_refused),
      cmocka_unit_test(strength_decides_what_is_kept),
      cmocka_unit_test(a_splice_keeps_the_outside),
      cmocka_unit_test(repaint_changes_the_region_only),
      cmocka_unit_test(a_drawn_source_is_the_item_s_own),
      cmocka_unit_test(repaint_grows_a_recording),
      cmocka_unit_test(a_recording_is_encoded_once),
      cmocka_unit_test(the_cache_is_bounded),

      cmocka_unit_test(parameters_change_the_sound),
      cmocka_unit_test(the_source_leads),
      cmocka_unit_test(an_edit_starts_from_the_source),
      cmocka_unit_test(songs_are_as_loud_as_asked),
      cmocka_unit_test(compat_is_its_switches),
      cmocka_unit_test(stems_on_a_base_model),
      cmocka_unit_test(codes_can_be_the_source_of_a_cover),
      cmocka_unit_test(thinking_leaves_the_source_alone),
      cmocka_unit_test(refusals_name_the_field),
  };
  return cmocka_run_group_tests(tests, make_fixture, remove_fixture);
}
