/* The miniature that demonstrations and other tests stand on: it is complete, its parts fit each other, what comes out
 * of them has the size of the real thing, and it is the same set of files wherever it is made. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h needs the standard headers */
#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "engine/tiny.h"
#include "models/audio_tokenizer.h"
#include "models/condition.h"
#include "models/dit.h"
#include "models/qwen3.h"
#include "models/vae.h"
#include "render/prompt.h"
#include "text/bpe.h"

/* Of all files below, in this order. It changes only when the miniature is changed on purpose: every result made with
 * it changes too. */
#define SET_HASH "e5795e5707306ea46ce51c92cf207ca42f6c7b31236a928e8ab5b8cdf8f91449"

enum { CODES = 400, CONTEXT_BYTES = 1 << 30 };

static const char *const files[] = {
    "Qwen3-Embedding-0.6B/config.json",
    "Qwen3-Embedding-0.6B/model.safetensors",
    "Qwen3-Embedding-0.6B/special_tokens_map.json",
    "Qwen3-Embedding-0.6B/tokenizer.json",
    "Qwen3-Embedding-0.6B/tokenizer_config.json",
    "acestep-5Hz-lm-0.6B/config.json",
    "acestep-5Hz-lm-0.6B/model.safetensors",
    "acestep-5Hz-lm-0.6B/special_tokens_map.json",
    "acestep-5Hz-lm-0.6B/tokenizer.json",
    "acestep-5Hz-lm-0.6B/tokenizer_config.json",
    "acestep-v15-base/config.json",
    "acestep-v15-base/model.safetensors",
    "acestep-v15-base/silence_latent.pt",
    "acestep-v15-turbo/config.json",
    "acestep-v15-turbo/model.safetensors",
    "acestep-v15-turbo/silence_latent.pt",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
};
enum { FILES = sizeof files / sizeof *files };

/* Made once for all tests. */
static char *set;
static char *root;

static char *at(const char *a, const char *b) {
  char *path = file_join(a, b);
  assert_non_null(path);
  return path;
}

#define CHECK(call)                            \
  do {                                         \
    ace_error err_ = {0}, *err = &err_;        \
    if (!(call)) fail_msg("%s", err_.message); \
  } while (0)

static tens_ctx *open_context(void) {
  tens_ctx *c = NULL;
  CHECK((c = tens_open(&(tens_options){.capacity = CONTEXT_BYTES}, err)));
  return c;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
  (void)info, (void)kind, (void)where;
  return remove(path);
}

static int make_once(void **state) {
  (void)state;
  const char *temporary = getenv("TMPDIR");
  char *template = at(temporary && *temporary ? temporary : "/tmp", "tiny-XXXXXX");
  root = mkdtemp(template);
  if (!root) return -1;
  set = at(root, "a folder/set");
  ace_error err = {0};
  if (tiny_make(set, NULL, &err) == ACE_OK) return 0;
  print_error("%s\n", err.message);
  return -1;
}

static int remove_all(void **state) {
  (void)state;
  int failed = root ? nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) : 0;
  free(root);
  free(set);
  return failed;
}

/* Hash of every file; adds up their sizes. */
static void hash_set(const char *folder, char out[HASH_HEX], size_t *bytes) {
  hash whole;
  hash_begin(&whole);
  *bytes = 0;
  for (int i = 0; i < FILES; i++) {
    char *path = at(folder, files[i]), one[HASH_HEX];
    file_map m;
    CHECK(file_map_open(&m, path, err) == ACE_OK);
    hash_memory(m.data, m.size, one);
    hash_add(&whole, one, strlen(one));
    hash_add(&whole, files[i], strlen(files[i]));
    *bytes += m.size;
    file_map_close(&m);
    free(path);
  }
  hash_end(&whole, out);
}

typedef struct watch {
  double last;
  int calls, stop_at;
} watch;

static void watch_progress(void *user, const ace_progress *p) {
  watch *w = user;
  assert_string_equal(p->stage, "make");
  assert_true(p->fraction >= w->last && p->fraction <= 1);
  assert_true(p->step >= 1 && p->step <= p->steps);
  w->last = p->fraction;
  w->calls++;
}

static bool watch_cancelled(void *user) {
  watch *w = user;
  return w->stop_at && w->calls >= w->stop_at;
}

/* Other tests compare songs made with the set: its bytes may not depend on when, where or over what it was made. */
static void test_same_bytes_over_an_old_set(void **state) {
  (void)state;
  char *again = at(root, "again"), *folder = at(again, "vae"), *old = at(folder, "config.json");
  CHECK(file_make_directory(folder, err) == ACE_OK);
  CHECK(file_write(old, "{}", 2, err) == ACE_OK);
  watch w = {0};
  ace_callbacks notify = {.progress = watch_progress, .cancelled = watch_cancelled, .user = &w};
  CHECK(tiny_make(again, &notify, err) == ACE_OK);
  assert_true(w.last == 1);
  assert_true(w.calls > 20);
  char first[HASH_HEX], second[HASH_HEX];
  size_t bytes;
  hash_set(again, second, &bytes);
  hash_set(set, first, &bytes);
  assert_string_equal(first, second);
  assert_string_equal(first, SET_HASH);
  assert_true(bytes < 12000000);
  free(old), free(folder), free(again);
}

static void test_cancel_stops(void **state) {
  (void)state;
  char *folder = at(root, "cancelled"), *late = at(folder, "acestep-v15-base/config.json");
  for (int stop = 1; stop <= 301; stop += 150) {
    watch w = {.stop_at = stop};
    ace_error err = {0};
    ace_callbacks notify = {.progress = watch_progress, .cancelled = watch_cancelled, .user = &w};
    assert_int_equal(tiny_make(folder, &notify, &err), ACE_ECANCELED);
    assert_int_equal(err.status, ACE_ECANCELED);
    assert_false(file_exists(late));
  }
  free(late), free(folder);
}

static void test_no_folder_is_an_error(void **state) {
  (void)state;
  char *file = at(root, "file"), *below = at(file, "set");
  CHECK(file_write(file, "x", 1, err) == ACE_OK);
  ace_error err = {0};
  assert_int_not_equal(tiny_make(below, NULL, &err), ACE_OK);
  assert_non_null(strstr(err.message, "file"));
  free(below), free(file);
}

/* ---- the models -------------------------------------------------------------------------------------------------- */

typedef struct models {
  acestep_dit *turbo, *base;
  vae *vae;
  qwen3 *text, *lm;
  bpe *text_bpe, *lm_bpe;
} models;

static int open_models(void **state) {
  models *m = calloc(1, sizeof *m);
  char *turbo = at(set, "acestep-v15-turbo"), *base = at(set, "acestep-v15-base"), *autoencoder = at(set, "vae");
  char *text = at(set, "Qwen3-Embedding-0.6B"), *lm = at(set, "acestep-5Hz-lm-0.6B");
  CHECK((m->turbo = acestep_dit_open(turbo, err)));
  CHECK((m->base = acestep_dit_open(base, err)));
  CHECK((m->vae = vae_open(autoencoder, VAE_DECODER | VAE_ENCODER, err)));
  CHECK((m->text = qwen3_open(text, err)));
  CHECK((m->lm = qwen3_open(lm, err)));
  CHECK((m->text_bpe = bpe_open(text, err)));
  CHECK((m->lm_bpe = bpe_open(lm, err)));
  free(turbo), free(base), free(autoencoder), free(text), free(lm);
  *state = m;
  return 0;
}

static int close_models(void **state) {
  models *m = *state;
  acestep_dit_close(m->turbo);
  acestep_dit_close(m->base);
  vae_close(m->vae);
  qwen3_close(m->text);
  qwen3_close(m->lm);
  bpe_close(m->text_bpe);
  bpe_close(m->lm_bpe);
  free(m);
  return 0;
}

static void test_parts_fit_each_other(void **state) {
  const models *m = *state;
  const acestep_dit *dits[] = {m->turbo, m->base};
  for (int i = 0; i < 2; i++) {
    const dit_config *cfg = &dits[i]->cfg;
    int codes = 1;
    for (int k = 0; k < cfg->n_levels; k++) codes *= cfg->levels[k];
    assert_int_equal(codes, CODES);
    assert_int_equal(cfg->text_hidden, m->text->cfg.block.hidden);
    assert_int_equal(cfg->latent_channels, 64);
    assert_int_equal(cfg->timbre_frames, 75);
    assert_int_equal(cfg->window, 128);
    assert_int_equal(dits[i]->silence.dim[0], 1500);
  }
  assert_true(m->turbo->cfg.turbo);
  assert_false(m->base->cfg.turbo);
  assert_string_equal(m->turbo->cfg.model_version, "turbo");
  assert_string_equal(m->base->cfg.model_version, "base");
  assert_int_equal(m->vae->cfg.decoder_input, 64);
  assert_int_equal(m->vae->cfg.encoder_hidden, 128);
  assert_int_equal(m->vae->cfg.hop, 1920);
  assert_int_equal(m->vae->cfg.sampling_rate, 48000);
  assert_int_equal(m->text->cfg.vocab, bpe_vocab_size(m->text_bpe));
  assert_int_equal(m->lm->cfg.vocab, bpe_vocab_size(m->lm_bpe));
  int32_t first = -1, none;
  assert_int_equal(bpe_audio_codes(m->lm_bpe, &first), CODES);
  assert_int_equal(first, bpe_vocab_size(m->lm_bpe) - CODES);
  assert_int_equal(bpe_audio_codes(m->text_bpe, &none), 0);
  assert_true(m->lm->cfg.tied);
}

/* Root mean square; fails on anything that is not a number. */
static double rms(const tens *x) {
  assert_non_null(x);
  double sum = 0;
  int64_t n = tens_count(x);
  for (int64_t i = 0; i < n; i++) {
    assert_true(isfinite(tens_f32(x)[i]));
    sum += (double)tens_f32(x)[i] * tens_f32(x)[i];
  }
  return sqrt(sum / (double)n);
}

static double rms_difference(const tens *a, const tens *b) {
  double sum = 0;
  int64_t n = tens_count(a);
  for (int64_t i = 0; i < n; i++) {
    double d = (double)tens_f32(a)[i] - tens_f32(b)[i];
    sum += d * d;
  }
  return sqrt(sum / (double)n);
}

static void assert_between(double x, double low, double high) {
  if (!(x >= low && x <= high)) fail_msg("%g is outside %g..%g", x, low, high);
}

static tens *tokens(tens_ctx *c, const bpe *t, const char *text) {
  bpe_ids ids = {0};
  CHECK(bpe_encode(t, text, strlen(text), BPE_ADDED | BPE_POST, &ids, err) == ACE_OK);
  tens *x = tens_from(c, TENS_I32, TENS_DIMS(1, (int64_t)ids.n), ids.id);
  bpe_ids_free(&ids);
  assert_non_null(x);
  return x;
}

static tens *noise(tens_ctx *c, int64_t frames, uint64_t seed) {
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, frames, 64));
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), frames * 64);
  return x;
}

/* The condition of a caption with lyrics, without a reference. */
static tens *condition(tens_ctx *c, const models *m, const acestep_dit *dit, const char *caption, const char *lyrics) {
  prompt_texts texts;
  prompt_input in = {
      .task = "text2music", .caption = caption, .lyrics = lyrics, .vocal_language = "en", .duration = 10};
  CHECK(prompt_build(&texts, &in, err) == ACE_OK);
  int32_t item = 0;
  condition_input parts = {.text = qwen3_hidden(c, m->text, tokens(c, m->text_bpe, texts.text_prompt), NULL),
                           .lyric = qwen3_embed(c, m->text, tokens(c, m->text_bpe, texts.lyric_prompt)),
                           .clips = acestep_silence(c, dit, 0, dit->cfg.timbre_frames),
                           .clip_order = &item};
  prompt_free(&texts);
  assert_between(rms(parts.text), 0.5, 2);
  tens *y = condition_encode(c, dit, &parts, NULL);
  assert_between(rms(y), 0.5, 2);
  return y;
}

static tens *velocity(tens_ctx *c, const acestep_dit *dit, tens *encoded, tens *x, float t) {
  tens *mask = tens_new(c, TENS_F32, TENS_DIMS(1, x->dim[1], 64));
  for (int64_t i = 0; i < tens_count(mask); i++) tens_f32(mask)[i] = 1;
  tens *context = op_concat(c, 2, (const tens *const[]){acestep_silence(c, dit, 0, x->dim[1]), mask});
  tens *time = tens_from(c, TENS_F32, TENS_DIMS(1), &t);
  dit_condition attend;
  assert_true(dit_attend(c, dit, encoded, &attend));
  return dit_velocity(c, dit, &attend, context, x, time, time);
}

/* From words to sound: numbers of the size that a trained model has, moved by the words and by time. */
static void test_words_become_sound(void **state) {
  const models *m = *state;
  const acestep_dit *dits[] = {m->turbo, m->base};
  for (int i = 0; i < 2; i++) {
    tens_ctx *c = open_context();
    tens *jazz = condition(c, m, dits[i], "jazz trio in a smoky bar", "[Verse 1]\nwalking down the street");
    tens *metal = condition(c, m, dits[i], "heavy metal", "[Verse 1]\nwalking down the street");
    tens *x = noise(c, 128, 7), *start = velocity(c, dits[i], jazz, x, 1);
    assert_between(rms(start), 0.3, 3);
    assert_between(rms_difference(start, velocity(c, dits[i], metal, x, 1)), 0.02, 3);
    assert_between(rms_difference(start, velocity(c, dits[i], jazz, x, 0.5f)), 0.1, 5);
    enum { STEPS = 4 };
    for (int s = 0; s < STEPS; s++) {
      tens_mark mark = tens_here(c);
      assert_true(op_mix_into(c, x, 1, x, -1.0f / STEPS, velocity(c, dits[i], jazz, x, 1 - (float)s / STEPS)));
      tens_release(c, mark);
    }
    assert_between(rms(x), 0.5, 3);
    assert_between(rms(vae_decode(c, m->vae, x)), 0.01, 0.5);
    tens_close(c);
  }
}

static void test_sound_of_unit_latents(void **state) {
  const models *m = *state;
  tens_ctx *c = open_context();
  tens *sound = vae_decode(c, m->vae, noise(c, 250, 1));
  double peak = 0, mean = 0;
  assert_between(rms(sound), 0.02, 0.3);
  for (int64_t i = 0; i < tens_count(sound); i++) {
    mean += tens_f32(sound)[i];
    if (fabs(tens_f32(sound)[i]) > peak) peak = fabs(tens_f32(sound)[i]);
  }
  assert_between(peak, 0.05, 1);
  assert_between(mean / (double)tens_count(sound), -0.01, 0.01);
  tens_close(c);
}

/* The table of silence is what the encoder says to silence, also away from its rounding: a machine whose kernels round
 * differently must write the same file. Sound is something else. */
static void test_silence_is_encoded_silence(void **state) {
  const models *m = *state;
  enum { FRAMES = 15, MIDDLE = 7, CHANNELS = 64 };
  const double grid = 50;
  tens_ctx *c = open_context();
  tens *zeros = tens_new(c, TENS_F32, TENS_DIMS(1, FRAMES * 1920, 2));
  memset(zeros->data, 0, (size_t)tens_count(zeros) * sizeof(float));
  tens *y = vae_encode(c, m->vae, zeros);
  assert_true(rms(y) > 0.1);
  const float *table = tens_f32(&m->turbo->silence);
  assert_memory_equal(table, m->base->silence.data, 1500 * CHANNELS * sizeof(float));
  for (int64_t t = 0; t < 1500; t++) {
    int64_t near = t < MIDDLE ? t : t >= 1500 - MIDDLE ? t - 1500 + FRAMES : MIDDLE;
    for (int64_t k = 0; k < CHANNELS; k++) {
      double exact = tens_f32(y)[near * 2 * CHANNELS + k], off = fabs(exact - table[t * CHANNELS + k]);
      assert_between(off, 0, 0.5 / grid - 1e-5);
    }
  }
  for (int64_t i = 0; i < tens_count(zeros); i++) tens_f32(zeros)[i] = 0.2f * sinf((float)i * 0.01f);
  tens *loud = vae_encode(c, m->vae, zeros);
  assert_between(rms_difference(loud, y), 0.1, 3);
  tens_close(c);
}

static void test_audio_codes(void **state) {
  const models *m = *state;
  const acestep_dit *dits[] = {m->turbo, m->base};
  int32_t all[CODES];
  for (int i = 0; i < CODES; i++) all[i] = i;
  for (int i = 0; i < 2; i++) {
    tens_ctx *c = open_context();
    tens *values = audio_dequantize(c, dits[i], tens_from(c, TENS_I32, TENS_DIMS(1, CODES), all));
    assert_non_null(values);
    assert_int_equal(values->dim[1], CODES);
    for (int k = 1; k < CODES; k++) /* no two codes alike */
      assert_memory_not_equal(tens_f32(values), tens_f32(values) + k * 64, 64 * sizeof(float));
    tens *hints = audio_detokenize(c, dits[i], values);
    assert_between(rms(hints), 0.3, 3);
    assert_int_equal(hints->dim[1], 5 * CODES);
    assert_int_equal(hints->dim[2], 64);
    audio_codes back = audio_tokenize(c, dits[i], hints);
    assert_non_null(back.index);
    assert_int_equal(back.index->dim[1], CODES);
    bool seen[CODES] = {0};
    int different = 0;
    for (int k = 0; k < CODES; k++) {
      int32_t code = tens_i32(back.index)[k];
      assert_in_range(code, 0, CODES - 1);
      different += !seen[code];
      seen[code] = true;
    }
    assert_true(different > 50);
    tens_close(c);
  }
}

/* Sampling needs a choice: neither one certain token nor a flat row. */
static void test_language_model_is_undecided(void **state) {
  const models *m = *state;
  tens_ctx *c = open_context();
  tens *ids =
      tokens(c, m->lm_bpe, "<|im_start|>user\n# Caption\njazz<|im_end|>\n<|im_start|>assistant\n<|audio_code_7|>");
  tens *hidden = qwen3_hidden(c, m->lm, ids, NULL), *logits = qwen3_logits(c, m->lm, hidden);
  assert_between(rms(logits), 0.7, 5);
  int64_t vocabulary = m->lm->cfg.vocab, rows = ids->dim[1];
  for (int64_t r = 0; r < rows; r++) {
    const float *row = tens_f32(logits) + r * vocabulary;
    double sum = 0, most = 0;
    for (int64_t v = 0; v < vocabulary; v++) {
      sum += exp(row[v]);
      if (exp(row[v]) > most) most = exp(row[v]);
    }
    assert_between(most / sum, 2 / (double)vocabulary, 0.9);
  }
  tens_close(c);
}

/* ---- the tokenizers ---------------------------------------------------------------------------------------------- */

static void check_round_trip(const bpe *t, const char *text) {
  bpe_ids ids = {0};
  size_t length;
  CHECK(bpe_encode(t, text, strlen(text), BPE_ADDED, &ids, err) == ACE_OK);
  char *back = bpe_decode(t, ids.id, ids.n, 0, &length);
  assert_non_null(back);
  assert_string_equal(back, text);
  assert_int_equal(length, strlen(text));
  free(back);
  bpe_ids_free(&ids);
}

static void test_text_survives_the_tokenizers(void **state) {
  const models *m = *state;
  static const char *const texts[] = {
      "jazz trio in a smoky bar, it's 3 o'clock\r\n\n  and they'll play on",
      "\xe4\xb8\x80\xe9\xa6\x96\xe5\xae\x89\xe9\x9d\x99\xe7\x9a\x84\xe6\xad\x8c",
      "\xf0\x9f\x8e\xb7\xf0\x9f\x8e\xb6 caf\xc3\xa9",
      "<|im_start|>user\n<think>\nbpm: 120\n</think><|im_end|>",
      "",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    check_round_trip(m->text_bpe, texts[i]);
    check_round_trip(m->lm_bpe, texts[i]);
  }
  check_round_trip(m->lm_bpe, "<|audio_code_0|><|audio_code_399|>");
}

/* The learned vocabulary is worth its name: a prompt takes far fewer tokens than bytes. */
static void test_prompts_are_short(void **state) {
  const models *m = *state;
  const char *text =
      "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n# Caption\n"
      "a slow song with piano and strings\n\n# Metas\n- bpm: 90\n";
  bpe_ids ids = {0};
  CHECK(bpe_encode(m->text_bpe, text, strlen(text), BPE_ADDED, &ids, err) == ACE_OK);
  assert_true(ids.n * 2 < strlen(text));
  bpe_ids_free(&ids);
}

static void test_added_tokens_and_endings(void **state) {
  const models *m = *state;
  int32_t end = bpe_find(m->text_bpe, "<|endoftext|>");
  assert_int_equal(end, bpe_vocab_size(m->text_bpe) - 26);
  assert_int_equal(end, bpe_find(m->lm_bpe, "<|endoftext|>"));
  assert_int_equal(bpe_find(m->lm_bpe, "<|im_end|>"), end + 2);
  assert_int_equal(bpe_find(m->lm_bpe, "</think>"), end + 25);
  assert_true(bpe_is_special(m->lm_bpe, end + 13));
  assert_false(bpe_is_special(m->lm_bpe, end + 14));
  assert_false(bpe_is_special(m->lm_bpe, end + 25));
  assert_true(bpe_is_special(m->lm_bpe, end + 26));
  assert_true(bpe_appends_eot(m->text_bpe));
  assert_false(bpe_appends_eot(m->lm_bpe));
  const bpe *both[] = {m->text_bpe, m->lm_bpe};
  for (int i = 0; i < 2; i++) {
    bpe_ids plain = {0}, finished = {0};
    CHECK(bpe_encode(both[i], "piano<|endoftext|>", 18, BPE_ADDED, &plain, err) == ACE_OK);
    CHECK(bpe_encode(both[i], "piano<|endoftext|>", 18, BPE_ADDED | BPE_POST, &finished, err) == ACE_OK);
    assert_int_equal(plain.id[plain.n - 1], end);
    assert_int_equal(finished.n, plain.n + (i == 0));
    assert_int_equal(finished.id[finished.n - 1], end);
    bpe_ids_free(&plain);
    bpe_ids_free(&finished);
  }
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

/* Programs that read the published files must find the same tensors here. */
static void test_tensor_names_are_the_published_ones(void **state) {
  (void)state;
  for (int i = 0; i < FILES; i++) {
    char *golden = at(ACE_SOURCE_DIR "/../shared/golden/checkpoints", files[i]), *made = at(set, files[i]);
    if (strstr(files[i], ".safetensors")) {
      if (!file_exists(golden)) {
        print_message("golden checkpoint %s: absent\n", files[i]);
        free(golden), free(made);
        skip();
      }
      st_file *a = NULL, *b = NULL;
      CHECK((a = st_open(golden, err)));
      CHECK((b = st_open(made, err)));
      assert_int_equal(st_count(a), st_count(b));
      for (int k = 0; k < st_count(a); k++) {
        const st_tensor *x = st_at(a, k), *y = st_find(b, x->name);
        if (!y) fail_msg("%s: no tensor %s", files[i], x->name);
        assert_int_equal(y->rank, x->rank);
        assert_int_equal(y->dtype, ST_BF16);
      }
      st_close(a);
      st_close(b);
    }
    free(golden), free(made);
  }
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
#define MODEL_TEST(f) cmocka_unit_test_setup_teardown(f, open_models, close_models)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bytes_over_an_old_set),
      cmocka_unit_test(test_cancel_stops),
      cmocka_unit_test(test_no_folder_is_an_error),
      MODEL_TEST(test_parts_fit_each_other),
      MODEL_TEST(test_words_become_sound),
      MODEL_TEST(test_sound_of_unit_latents),
      MODEL_TEST(test_silence_is_encoded_silence),
      MODEL_TEST(test_audio_codes),
      MODEL_TEST(test_language_model_is_undecided),
      MODEL_TEST(test_text_survives_the_tokenizers),
      MODEL_TEST(test_prompts_are_short),
      MODEL_TEST(test_added_tokens_and_endings),
      cmocka_unit_test(test_tensor_names_are_the_published_ones),
  };
  return cmocka_run_group_tests(tests, make_once, remove_all);
}
