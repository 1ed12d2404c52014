/* The models beyond the golden numbers: what must hold so that songs do not depend on how the work was cut up. */
#include "golden.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "models/audio_tokenizer.h"
#include "models/condition.h"
#include "models/dit.h"
#include "models/qwen3.h"
#include "models/vae.h"

#define CHECKPOINTS ACE_SOURCE_DIR "/tests/golden/checkpoints/"

enum { CAPACITY = 512 << 20 };

static tens_ctx *open_context(bool plan, pool *threads) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.plan = plan, .threads = threads, .capacity = CAPACITY}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

static tens *normals(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  if (tens_planning(c)) return x;
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

static acestep_dit *open_dit(void) {
  ace_error err;
  acestep_dit *m = acestep_dit_open(CHECKPOINTS "acestep-v15-turbo", &err);
  if (!m) fail_msg("%s", err.message);
  return m;
}

static vae *open_vae(void) {
  ace_error err;
  vae *m = vae_open(CHECKPOINTS "vae-multipliers", VAE_DECODER | VAE_ENCODER, &err);
  if (!m) fail_msg("%s", err.message);
  return m;
}

/* A song cut into tiles, because memory was short, is the very song. */
static void tiles_do_not_change_the_sound(void **state) {
  enum { FRAMES = 37 };
  static const int64_t cores[] = {7, 16, 36, 37, 100};
  vae *m = open_vae();
  tens_ctx *c = open_context(false, NULL);
  ace_error err;
  tens *x = normals(c, 1, TENS_DIMS(1, FRAMES, m->cfg.decoder_input));
  tens *whole = vae_decode(c, m, x);
  assert_non_null(whole);
  int64_t n = tens_count(whole);
  assert_int_equal(n, FRAMES * (int64_t)m->cfg.hop * m->cfg.audio_channels);
  float *tiled = malloc((size_t)n * sizeof *tiled);
  assert_non_null(tiled);
  for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
    vae_tiling tiling = {.core = cores[i], .overlap = vae_decoder_halo(&m->cfg)};
    memset(tiled, 0, (size_t)n * sizeof *tiled);
    if (vae_decode_tiled(c, m, tens_f32(x), FRAMES, &tiling, tiled, &err) != ACE_OK) fail_msg("%s", err.message);
    assert_memory_equal(tiled, tens_f32(whole), (size_t)n * sizeof *tiled);
  }
  free(tiled);
  tens_close(c);
  vae_close(m);
}

/* The same for encoding; the samples behind the last whole frame count, as they do untiled. */
static void tiles_do_not_change_the_latents(void **state) {
  enum { FRAMES = 19, TAIL = 777 };
  static const int64_t cores[] = {5, 18, 19};
  vae *m = open_vae();
  tens_ctx *c = open_context(false, NULL);
  ace_error err;
  int64_t samples = (int64_t)FRAMES * m->cfg.hop + TAIL;
  tens *x = normals(c, 2, TENS_DIMS(1, samples, m->cfg.audio_channels));
  tens *whole = vae_encode(c, m, x);
  assert_non_null(whole);
  int64_t n = tens_count(whole);
  assert_int_equal(n, FRAMES * m->cfg.encoder_hidden);
  float *tiled = malloc((size_t)n * sizeof *tiled);
  assert_non_null(tiled);
  for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
    vae_tiling tiling = {.core = cores[i], .overlap = vae_encoder_halo(&m->cfg)};
    if (vae_encode_tiled(c, m, tens_f32(x), samples, &tiling, tiled, &err) != ACE_OK) fail_msg("%s", err.message);
    assert_memory_equal(tiled, tens_f32(whole), (size_t)n * sizeof *tiled);
  }
  free(tiled);
  tens_close(c);
  vae_close(m);
}

/* A halo one frame too small shows: the test above can fail. */
static void a_halo_too_small_is_heard(void **state) {
  enum { FRAMES = 64, CORE = 16 };
  vae *m = open_vae();
  tens_ctx *c = open_context(false, NULL);
  tens *x = normals(c, 3, TENS_DIMS(1, FRAMES, m->cfg.decoder_input));
  tens *whole = vae_decode(c, m, x);
  assert_non_null(whole);
  size_t bytes = (size_t)tens_count(whole) * sizeof(float);
  float *tiled = malloc(bytes);
  assert_non_null(tiled);
  vae_tiling tiling = {.core = CORE, .overlap = vae_decoder_halo(&m->cfg) / 2};
  assert_int_equal(vae_decode_tiled(c, m, tens_f32(x), FRAMES, &tiling, tiled, NULL), ACE_OK);
  assert_memory_not_equal(tiled, tens_f32(whole), bytes);
  free(tiled);
  tens_close(c);
  vae_close(m);
}

/* One evaluation of the velocity for `batch` items, from seeded inputs, item b of any batch having the same ones. */
static tens *velocity(tens_ctx *c, const acestep_dit *m, int first, int batch, int64_t frames) {
  enum { TOKENS = 11 };
  int64_t he = m->cfg.encoder.hidden, channels = m->cfg.latent_channels;
  tens *encoded = tens_new(c, TENS_F32, TENS_DIMS(batch, TOKENS, he));
  tens *context = tens_new(c, TENS_F32, TENS_DIMS(batch, frames, 2 * channels));
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(batch, frames, channels));
  tens *t = tens_new(c, TENS_F32, TENS_DIMS(batch));
  assert_non_null(t);
  for (int b = 0; b < batch && !tens_planning(c); b++) {
    rng_torch r;
    rng_torch_seed(&r, (uint64_t)(first + b));
    rng_torch_randn(&r, tens_f32(encoded) + b * TOKENS * he, TOKENS * he);
    rng_torch_randn(&r, tens_f32(context) + b * frames * 2 * channels, frames * 2 * channels);
    rng_torch_randn(&r, tens_f32(x) + b * frames * channels, frames * channels);
    tens_f32(t)[b] = 0.5f;
  }
  dit_condition attend;
  assert_true(dit_attend(c, m, encoded, &attend));
  tens *v = dit_velocity(c, m, &attend, context, x, t, t);
  assert_non_null(v);
  return v;
}

/* An item of a batch is the item alone, bit for bit, for even and odd lengths and for any number of threads. */
static void an_item_is_the_same_alone_and_in_a_batch(void **state) {
  enum { BATCH = 3, MOST_THREADS = 3 };
  static const int64_t lengths[] = {1, 2, 39, 40};
  acestep_dit *m = open_dit();
  for (int threads = 1; threads <= MOST_THREADS; threads++) {
    pool *p = pool_new(threads, NULL);
    assert_non_null(p);
    tens_ctx *c = open_context(false, p), *alone = open_context(false, NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      int64_t each = lengths[i] * m->cfg.latent_channels;
      tens *together = velocity(c, m, 0, BATCH, lengths[i]);
      for (int b = 0; b < BATCH; b++) {
        tens *one = velocity(alone, m, b, 1, lengths[i]);
        assert_memory_equal(tens_f32(one), tens_f32(together) + b * each, (size_t)each * sizeof(float));
      }
    }
    tens_close(c);
    tens_close(alone);
    pool_free(p);
  }
  acestep_dit_close(m);
}

/* What planning says a model takes is what it takes. */
static void plans_are_exact(void **state) {
  enum { FRAMES = 33 };
  acestep_dit *dit = open_dit();
  vae *v = open_vae();
  size_t peak[2][2];
  for (int plan = 0; plan < 2; plan++) {
    tens_ctx *c = open_context(plan, NULL);
    velocity(c, dit, 0, 2, FRAMES);
    peak[plan][0] = tens_peak(c);
    tens_close(c);
    c = open_context(plan, NULL);
    assert_non_null(vae_decode(c, v, normals(c, 4, TENS_DIMS(1, FRAMES, v->cfg.decoder_input))));
    peak[plan][1] = tens_peak(c);
    tens_close(c);
  }
  assert_int_equal(peak[0][0], peak[1][0]);
  assert_int_equal(peak[0][1], peak[1][1]);
  assert_int_equal(peak[0][1], vae_decode_memory(v, FRAMES));
  vae_close(v);
  acestep_dit_close(dit);
}

/* Latents of any length become whole windows of codes, and codes become five frames each. */
static void codes_have_the_length_of_the_music(void **state) {
  acestep_dit *m = open_dit();
  tens_ctx *c = open_context(false, NULL);
  int64_t window = m->cfg.pool_window;
  for (int64_t frames = 1; frames <= 2 * window + 1; frames++) {
    tens *x = normals(c, (uint64_t)frames, TENS_DIMS(2, frames, m->cfg.latent_channels));
    audio_codes codes = audio_tokenize(c, m, x);
    assert_non_null(codes.index);
    assert_int_equal(codes.index->dim[1], (frames + window - 1) / window);
    int32_t range = 1;
    for (int i = 0; i < m->cfg.n_levels; i++) range *= m->cfg.levels[i];
    for (int64_t i = 0; i < tens_count(codes.index); i++) assert_in_range(tens_i32(codes.index)[i], 0, range - 1);
    tens *again = audio_dequantize(c, m, codes.index);
    assert_non_null(again);
    assert_memory_equal(tens_f32(again), tens_f32(codes.quantized), (size_t)tens_count(again) * sizeof(float));
    tens *hints = audio_detokenize(c, m, again);
    assert_non_null(hints);
    assert_int_equal(hints->dim[1], codes.index->dim[1] * window);
  }
  tens_close(c);
  acestep_dit_close(m);
}

/* A clip of an item that is not there is an error, not a wild read. */
static void a_clip_of_no_item_is_refused(void **state) {
  acestep_dit *m = open_dit();
  tens_ctx *c = open_context(false, NULL);
  int32_t order[] = {0, 1};
  condition_input in = {.text = normals(c, 1, TENS_DIMS(1, 3, m->cfg.text_hidden)),
                        .lyric = normals(c, 2, TENS_DIMS(1, 4, m->cfg.text_hidden)),
                        .clips = normals(c, 3, TENS_DIMS(2, 5, m->cfg.timbre_hidden)),
                        .clip_order = order};
  assert_null(condition_encode(c, m, &in, NULL));
  ace_error err;
  assert_int_equal(tens_error(c, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "clip 1"));
  tens_close(c);
  acestep_dit_close(m);
}

/* Opening one kind of checkpoint as another says so instead of crashing later. */
static void a_folder_of_another_kind_is_refused(void **state) {
  ace_error err;
  assert_null(acestep_dit_open(CHECKPOINTS "vae-multipliers", &err));
  assert_non_null(strstr(err.message, "config.json"));
  assert_null(vae_open(CHECKPOINTS "acestep-v15-turbo", VAE_DECODER, &err));
  assert_non_null(strstr(err.message, "config.json"));
  assert_null(qwen3_open(CHECKPOINTS "vae-multipliers", &err));
  assert_null(qwen3_open(CHECKPOINTS "no-such-folder", &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_do_not_change_the_sound),
      cmocka_unit_test(tiles_do_not_change_the_latents),
      cmocka_unit_test(a_halo_too_small_is_heard),
      cmocka_unit_test(an_item_is_the_same_alone_and_in_a_batch),
      cmocka_unit_test(plans_are_exact),
      cmocka_unit_test(codes_have_the_length_of_the_music),
      cmocka_unit_test(a_clip_of_no_item_is_refused),
      cmocka_unit_test(a_folder_of_another_kind_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
