/* Adapters on a whole diffusion model. Its velocity must be that of a model into whose weights they were merged; a voice
 * at scale 0, switched off or unloaded leaves the very bits of the model alone; one made for another model is refused. */
#include <stdlib.h>
#include "adapter_files.h"
#include "golden.h"

#include "base/half.h"
#include "models/adapter_norms.h"
#include "models/adapters.h"
#include "models/dit.h"

#define CHECKPOINTS ACE_SOURCE_DIR "/tests/golden/checkpoints/"

enum { CAPACITY = 64 << 20, FRAMES = 21, TOKENS = 9, BATCH = 2 };

/* ---- the model --------------------------------------------------------------------------------------------------- */

typedef struct model {
  acestep_dit *m;
  pool *threads;
  tens_ctx *c;
  adapter_layer *layer;
  linear *linears[ADAPTER_MOST_LAYERS];
  int n;
  adapters *set;
} model;

static void open_checkpoint(model *k, const char *folder) {
  ace_error err;
  *k = (model){.m = acestep_dit_open(folder, &err), .threads = pool_new(2, NULL)};
  if (!k->m) fail_msg("%s", err.message);
  assert_non_null(k->threads);
  k->c = tens_open(&(tens_options){.threads = k->threads, .capacity = CAPACITY}, &err);
  k->layer = adapter_layers_of(k->m, &k->n, k->linears);
  k->set = adapters_open(k->m, k->threads, &err);
  assert_non_null(k->c);
  assert_non_null(k->layer);
  assert_non_null(k->set);
}

static void open_model(model *k) {
  open_checkpoint(k, CHECKPOINTS "acestep-v15-turbo");
}

static void close_model(model *k) {
  adapters_close(k->set);
  free(k->layer);
  tens_close(k->c);
  pool_free(k->threads);
  acestep_dit_close(k->m);
}

static tens *normals(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

/* The velocity of a fixed state; free() it. */
static float *velocity(model *k, int64_t *count) {
  const dit_config *cfg = &k->m->cfg;
  tens_reset(k->c);
  tens *encoded = normals(k->c, 1, TENS_DIMS(BATCH, TOKENS, cfg->encoder.hidden));
  tens *context = normals(k->c, 2, TENS_DIMS(BATCH, FRAMES, 2 * cfg->latent_channels));
  tens *x = normals(k->c, 3, TENS_DIMS(BATCH, FRAMES, cfg->latent_channels));
  tens *t = tens_from(k->c, TENS_F32, TENS_DIMS(BATCH), (const float[]){0.5f, 0.25f});
  dit_condition attend;
  assert_true(dit_attend(k->c, k->m, encoded, &attend));
  tens *v = dit_velocity(k->c, k->m, &attend, context, x, t, t);
  assert_non_null(v);
  *count = tens_count(v);
  float *out = malloc((size_t)*count * sizeof *out);
  assert_non_null(out);
  memcpy(out, tens_f32(v), (size_t)*count * sizeof *out);
  return out;
}

static double relative(const float *got, const float *want, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)want[i]));
  return golden_difference(got, want, n) / most;
}

/* ---- adapters on it ---------------------------------------------------------------------------------------------- */

/* Attention of both kinds, the gated unit in each of its places, layers with a bias and with an activation. */
static const char *const adapted[] = {
    "layers.0.self_attn.q_proj",  "layers.0.self_attn.k_proj",  "layers.0.self_attn.v_proj",
    "layers.0.self_attn.o_proj",  "layers.1.cross_attn.q_proj", "layers.1.cross_attn.k_proj",
    "layers.1.cross_attn.v_proj", "layers.1.cross_attn.o_proj", "layers.0.mlp.gate_proj",
    "layers.1.mlp.up_proj",       "layers.1.mlp.down_proj",     "layers.2.mlp.gate_proj",
    "layers.2.mlp.up_proj",       "condition_embedder",         "time_embed.linear_1",
    "time_embed.time_proj",       "time_embed_r.linear_2"};
enum { ADAPTED = sizeof adapted / sizeof *adapted };

static int layer_index(const model *k, const char *name) {
  for (int i = 0; i < k->n; i++)
    if (strcmp(k->layer[i].name, name) == 0) return i;
  fail_msg("no layer %s", name);
  return -1;
}

/* Weights with changes in them, in place of the model's own. */
typedef struct merged {
  double *sum[ADAPTED]; /* W and all changes */
  float *w[ADAPTED];
  tens before[ADAPTED];
} merged;

static void merged_start(model *k, merged *g) {
  for (int i = 0; i < ADAPTED; i++) {
    const tens *w = &k->linears[layer_index(k, adapted[i])]->w;
    int64_t n = tens_count(w);
    g->before[i] = *w;
    g->sum[i] = malloc((size_t)n * sizeof *g->sum[i]);
    g->w[i] = malloc((size_t)n * sizeof *g->w[i]);
    assert_non_null(g->sum[i]);
    assert_non_null(g->w[i]);
    for (int64_t j = 0; j < n; j++)
      g->sum[i][j] = w->dtype == TENS_F32 ? tens_f32(w)[j] : bf16_to_f32(((const uint16_t *)w->data)[j]);
  }
}

/* An adapter of that recipe in `t`; its changes times `scale` go into the merged weights. */
static const char *write_adapter(model *k, temp *t, const recipe *r, uint64_t seed, const char *prefix, bool half,
                                 double scale, merged *g) {
  static tensor_file file; /* too large for a stack */
  file.n = 0, file.half = half;
  for (int i = 0; i < ADAPTED; i++) {
    const tens *w = &k->linears[layer_index(k, adapted[i])]->w;
    int64_t n = tens_count(w);
    float *plain = malloc((size_t)n * sizeof *plain);
    double *d = malloc((size_t)n * sizeof *d);
    char stem[FILE_NAME];
    assert_non_null(plain);
    assert_non_null(d);
    for (int64_t j = 0; j < n; j++)
      plain[j] = w->dtype == TENS_F32 ? tens_f32(w)[j] : bf16_to_f32(((const uint16_t *)w->data)[j]);
    snprintf(stem, sizeof stem, "%s%s", prefix, adapted[i]);
    for (char *p = stem + strlen(prefix); r->lokr && *p; p++)
      if (*p == '.') *p = '_';
    make_adapter(r, &file, stem, seed + 100 * (uint64_t)i, w->dim[0], w->dim[1], plain,
                 w->dtype == TENS_F32 ? 0x1p-23 : 0x1p-7, d);
    for (int64_t j = 0; g && j < n; j++) g->sum[i][j] += scale * d[j];
    free(plain), free(d);
  }
  const char *path = publish_adapter(t, r, &file);
  file_free(&file);
  return path;
}

/* The velocity of the merged model. */
static float *merged_velocity(model *k, merged *g, int64_t *count) {
  for (int i = 0; i < ADAPTED; i++) {
    tens *w = &k->linears[layer_index(k, adapted[i])]->w;
    int64_t n = tens_count(w);
    for (int64_t j = 0; j < n; j++) g->w[i][j] = (float)g->sum[i][j];
    w->dtype = TENS_F32, w->data = g->w[i];
  }
  float *v = velocity(k, count);
  for (int i = 0; i < ADAPTED; i++) {
    k->linears[layer_index(k, adapted[i])]->w = g->before[i];
    free(g->sum[i]), free(g->w[i]);
  }
  return v;
}

static int add(model *k, const char *path, double scale) {
  ace_error err;
  adapter_file *f = adapter_file_open(path, &err);
  if (!f) fail_msg("%s", err.message);
  int i = adapters_add(k->set, f, scale, &err);
  if (i < 0) fail_msg("%s", err.message);
  assert_int_equal(adapters_at(k->set, i)->fit.used, ADAPTED);
  assert_int_equal(adapters_at(k->set, i)->fit.n_unknown, 0);
  return i;
}

static const recipe recipes[] = {
    {.what = "LoRA", .alpha = 5},
    {.what = "rank-stabilised LoRA", .alpha = 2, .stabilised = true},
    {.what = "DoRA", .alpha = 5, .dora = 1},
    {.what = "LoKr of two matrices", .lokr = true, .alpha = 7},
    {.what = "LoKr of two products", .lokr = true, .factored = true, .alpha = 3},
    {.what = "LoKr with row norms", .lokr = true, .dora = 1, .alpha = 7},
    {.what = "LoKr with column norms", .lokr = true, .factored = true, .dora = 2, .alpha = 3}};
enum { RECIPES = sizeof recipes / sizeof *recipes };

/* ---- merged and unmerged ----------------------------------------------------------------------------------------- */

/* F32 on both sides: sums of 64 to 200 products, in another order, through three layers. */
static const double SAME = 2e-5;

/* With the adapter running beside its weights the model is the merged one, and not the plain one. */
static void compare(model *k, const recipe *r, bool half, double tolerance) {
  merged g;
  int64_t n;
  temp t = temp_open();
  float *plain = velocity(k, &n);
  merged_start(k, &g);
  add(k, write_adapter(k, &t, r, 7, r->lokr ? "lycoris_" : "base_model.model.", half, 0.7, &g), 0.7);
  float *beside = velocity(k, &n);
  adapters_remove_all(k->set);
  float *merged_in = merged_velocity(k, &g, &n);
  double d = relative(beside, merged_in, n), heard = relative(beside, plain, n);
  if (!(d <= tolerance) || heard < 0.01) fail_msg("%s: %g from the merged model, %g from the plain", r->what, d, heard);
  free(plain), free(beside), free(merged_in);
  temp_close(&t);
}

static void running_beside_equals_merging(void **state) {
  model k;
  open_model(&k);
  for (int i = 0; i < RECIPES; i++) compare(&k, &recipes[i], false, SAME);
  close_model(&k);
}

/* Several at once on the same layers, and one of them taken away again. */
static void several_add_up(void **state) {
  static const int together[] = {0, 2, 4, 5}; /* LoRA, DoRA, LoKr, LoKr with row norms */
  static const double scale[] = {0.5, 0.8, -0.4, 0.3};
  enum { N = 4, AWAY = 1 };
  model k;
  open_model(&k);
  temp t = temp_open(); /* files stay mapped when others take their names */
  merged all, rest;
  int64_t n;
  merged_start(&k, &all);
  merged_start(&k, &rest);
  for (int i = 0; i < N; i++) {
    const recipe *r = &recipes[together[i]];
    write_adapter(&k, &t, r, 1000 * (uint64_t)i, "", false, scale[i], &all);
    add(&k, write_adapter(&k, &t, r, 1000 * (uint64_t)i, "", false, scale[i], i == AWAY ? NULL : &rest), scale[i]);
  }
  float *got = velocity(&k, &n);
  ace_error err;
  assert_int_equal(adapters_remove(k.set, AWAY, &err), ACE_OK);
  assert_int_equal(adapters_count(k.set), N - 1);
  float *fewer = velocity(&k, &n);
  adapters_remove_all(k.set);
  float *want = merged_velocity(&k, &all, &n), *want_fewer = merged_velocity(&k, &rest, &n);
  double a = relative(got, want, n), b = relative(fewer, want_fewer, n);
  if (!(a <= SAME) || !(b <= SAME)) fail_msg("%g, one less %g", a, b);
  free(got), free(fewer), free(want), free(want_fewer);
  temp_close(&t);
  close_model(&k);
}

/* The golden weights are bf16; here they are F32. */
static void adapters_work_on_float_weights(void **state) {
  model k;
  open_model(&k);
  float *wide[ADAPTED];
  tens before[ADAPTED];
  for (int i = 0; i < ADAPTED; i++) {
    tens *w = &k.linears[layer_index(&k, adapted[i])]->w;
    int64_t n = tens_count(w);
    before[i] = *w;
    wide[i] = malloc((size_t)n * sizeof *wide[i]);
    assert_non_null(wide[i]);
    assert_int_equal(w->dtype, TENS_BF16);
    for (int64_t j = 0; j < n; j++) wide[i][j] = bf16_to_f32(((const uint16_t *)w->data)[j]);
    w->dtype = TENS_F32, w->data = wide[i];
  }
  compare(&k, &recipes[0], false, SAME);
  compare(&k, &recipes[5], false, SAME);
  for (int i = 0; i < ADAPTED; i++) {
    k.linears[layer_index(&k, adapted[i])]->w = before[i];
    free(wide[i]);
  }
  close_model(&k);
}

/* Factors stay in bf16 where the file has them so; scaled, they are rounded once more, to 2^-9 of each. */
static void adapters_may_be_half_precision(void **state) {
  model k;
  open_model(&k);
  compare(&k, &recipes[0], true, 0x1p-6);
  compare(&k, &recipes[3], true, 0x1p-6);
  close_model(&k);
}

/* ---- coming back ------------------------------------------------------------------------------------------------- */

static void expect_bits(model *k, const float *want, const char *when) {
  int64_t n;
  float *got = velocity(k, &n);
  if (memcmp(got, want, (size_t)n * sizeof *got) != 0) fail_msg("%s: other bits than those of the model alone", when);
  free(got);
}

static void the_model_comes_back_bit_for_bit(void **state) {
  model k;
  open_model(&k);
  int64_t n;
  float *plain = velocity(&k, &n);
  ace_error err;
  for (int i = 0; i < RECIPES; i++) {
    temp t = temp_open();
    int at = add(&k, write_adapter(&k, &t, &recipes[i], 3, "", false, 0, NULL), 1);
    assert_true(adapters_bytes(k.set) > 0);
    float *with = velocity(&k, &n);
    assert_memory_not_equal(with, plain, (size_t)n * sizeof *with);
    assert_int_equal(adapters_set(k.set, at, 0, true, &err), ACE_OK);
    expect_bits(&k, plain, "scale 0");
    assert_int_equal(adapters_set(k.set, at, 1, false, &err), ACE_OK);
    expect_bits(&k, plain, "off");
    assert_int_equal(adapters_bytes(k.set), 0);
    assert_int_equal(adapters_set(k.set, at, 1, true, &err), ACE_OK);
    expect_bits(&k, with, "on again");
    assert_int_equal(adapters_switch(k.set, false, &err), ACE_OK);
    expect_bits(&k, plain, "all off");
    assert_int_equal(adapters_switch(k.set, true, &err), ACE_OK);
    expect_bits(&k, with, "all on");
    assert_int_equal(adapters_remove(k.set, at, &err), ACE_OK);
    expect_bits(&k, plain, "removed");
    free(with);
    temp_close(&t);
  }
  free(plain);
  close_model(&k);
}

/* ---- Kronecker factors ------------------------------------------------------------------------------------------- */

static float value_at(const st_tensor *t, int64_t i) {
  float x;
  st_widen(t, i, 1, &x);
  return x;
}

/* The sums in their order, value by value. */
static float factor_at(const st_tensor *whole, const st_tensor *left, const st_tensor *right, double scale, int64_t i,
                       int64_t j, int64_t columns) {
  double sum = whole ? (double)value_at(whole, i * columns + j) : 0;
  for (int64_t r = 0; left && r < left->dim[1]; r++)
    sum += (double)value_at(left, i * left->dim[1] + r) * value_at(right, r * columns + j);
  return (float)(scale * sum);
}

static st_tensor numbers(st_dtype dtype, int64_t rows, int64_t columns, uint64_t seed) {
  rng_torch r;
  int64_t n = rows * columns;
  float *x = malloc((size_t)n * sizeof *x);
  uint16_t *half = malloc((size_t)n * sizeof *half);
  assert_non_null(x);
  assert_non_null(half);
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, x, n);
  for (int64_t i = 0; i < n; i++) {
    half[i] = f32_to_bf16(x[i]);
    if (dtype == ST_F16) half[i] = 0x3000 | (half[i] & 0x8fff);
  }
  const void *data = dtype == ST_F32 ? (const void *)x : half;
  free(dtype == ST_F32 ? (void *)half : x);
  return (st_tensor){.dtype = dtype, .rank = 2, .dim = {rows, columns}, .count = n, .data = data};
}

static void expect_factor(const st_tensor *whole, const st_tensor *left, const st_tensor *right, int64_t rows,
                          int64_t columns, tens_dtype dtype) {
  const double scale = 0.37;
  tens out = {.dtype = dtype, .rank = 2, .dim = {rows, columns}, .data = malloc(tens_bytes(dtype, rows * columns))};
  assert_non_null(out.data);
  adapter_kron_factor(whole, left, right, scale, &out);
  for (int64_t i = 0; i < rows * columns; i++) {
    float want = factor_at(whole, left, right, scale, i / columns, i % columns, columns);
    if (dtype == TENS_F32) assert_memory_equal(tens_f32(&out) + i, &want, sizeof want);
    else assert_int_equal(((uint16_t *)out.data)[i], f32_to_bf16(want));
  }
  free(out.data);
}

/* A song made with a LoKr stays the song it was, to the bit, however its factors are put together. */
static void factors_are_summed_in_order(void **state) {
  static const struct { int64_t rows, columns, rank; } shapes[] = {{1, 1, 1}, {3, 511, 2}, {5, 513, 7}, {4, 1100, 33}};
  static const st_dtype stored[] = {ST_F32, ST_BF16, ST_F16};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (size_t k = 0; k < sizeof stored / sizeof *stored; k++) {
      int64_t rows = shapes[i].rows, columns = shapes[i].columns, rank = shapes[i].rank;
      st_tensor whole = numbers(stored[k], rows, columns, 1), left = numbers(stored[k], rows, rank, 2),
                right = numbers(stored[k], rank, columns, 3);
      for (int to = 0; to < 2; to++) {
        expect_factor(&whole, NULL, NULL, rows, columns, to ? TENS_BF16 : TENS_F32);
        expect_factor(NULL, &left, &right, rows, columns, to ? TENS_BF16 : TENS_F32);
      }
      free((void *)whole.data), free((void *)left.data), free((void *)right.data);
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refused(model *k, tensor_file *file, const char *first, const char *second) {
  temp t = temp_open();
  ace_error err = {0};
  file_write_to(file, temp_path(&t, "other.safetensors"), NULL);
  adapter_file *f = adapter_file_open(temp_path(&t, "other.safetensors"), &err);
  if (f && adapters_add(k->set, f, 1, &err) >= 0) fail_msg("accepted; expected \"%s\"", first);
  if (!strstr(err.message, first) || !strstr(err.message, second)) fail_msg("\"%s\"", err.message);
  assert_int_equal(adapters_count(k->set), 0);
  temp_close(&t);
}

static void what_does_not_fit_is_refused(void **state) {
  static tensor_file f;
  model k;
  open_model(&k);
  int64_t K = k.layer[layer_index(&k, "layers.0.self_attn.q_proj")].columns, N = K;
  char shape[64];
  snprintf(shape, sizeof shape, "this model's layers.0.self_attn.q_proj is [%d,%d]", (int)N, (int)K);

  file_add(&f, 1, 1, 2, K + 8, "layers.0.self_attn.q_proj", ".lora_A.weight");
  file_add(&f, 2, 1, N, 2, "layers.0.self_attn.q_proj", ".lora_B.weight");
  expect_refused(&k, &f, "layers.0.self_attn.q_proj.lora_A.weight is [2,72]", shape);
  file_free(&f);
  file_add(&f, 1, 1, 2, K, "layers.0.self_attn.q_proj", ".lora_A.weight");
  file_add(&f, 2, 1, N + 1, 2, "layers.0.self_attn.q_proj", ".lora_B.weight");
  expect_refused(&k, &f, "layers.0.self_attn.q_proj.lora_B.weight is [65,2]", shape);
  file_free(&f);
  file_add(&f, 1, 1, 4, 4, "layers.0.self_attn.q_proj", ".lokr_w1");
  file_add(&f, 2, 1, 8, 8, "layers.0.self_attn.q_proj", ".lokr_w2");
  expect_refused(&k, &f, "is [32,32] (w1 kron w2)", shape);
  file_free(&f);
  file_add(&f, 1, 1, 2, K, "transformer_blocks.0.attn.to_q", ".lora_A.weight");
  file_add(&f, 2, 1, N, 2, "transformer_blocks.0.attn.to_q", ".lora_B.weight");
  expect_refused(&k, &f, "none of its 1 layers is in this one", "transformer_blocks.0.attn.to_q");
  file_free(&f);
  file_add(&f, 1, 1, 2, K, "layers.0.self_attn.q_proj", ".lora_A.weight")[5] = NAN;
  file_add(&f, 2, 1, N, 2, "layers.0.self_attn.q_proj", ".lora_B.weight");
  expect_refused(&k, &f, "layers.0.self_attn.q_proj.lora_A.weight", "not finite");
  file_free(&f);
  close_model(&k);
}

/* Names that the model does not have are counted; modules of zeros, which trainers leave behind, cost nothing. */
static void strange_names_are_told_and_zeros_skipped(void **state) {
  static tensor_file f;
  model k;
  open_model(&k);
  temp t = temp_open();
  ace_error err;
  int64_t K = k.layer[layer_index(&k, "layers.0.self_attn.q_proj")].columns;
  file_add(&f, 1, 1, 2, K, "layers.0.self_attn.q_proj", ".lora_A.weight");
  file_add(&f, 2, 1, K, 2, "layers.0.self_attn.q_proj", ".lora_B.weight");
  file_add(&f, 3, 1, 2, K, "layers.0.self_attn.o_proj", ".lora_A.weight");
  file_add(&f, 4, 0, K, 2, "layers.0.self_attn.o_proj", ".lora_B.weight");
  file_add(&f, 5, 1, 2, K, "text_encoder.q_proj", ".lora_A.weight");
  file_add(&f, 6, 1, K, 2, "text_encoder.q_proj", ".lora_B.weight");
  file_add(&f, 7, 1, 2, 2, "some.weight", "");
  file_write_to(&f, temp_path(&t, "a.safetensors"), NULL);
  adapter_file *file = adapter_file_open(temp_path(&t, "a.safetensors"), &err);
  if (!file) fail_msg("%s", err.message);
  int i = adapters_add(k.set, file, 1, &err);
  if (i < 0) fail_msg("%s", err.message);
  const adapter_fit *fit = &adapters_at(k.set, i)->fit;
  assert_int_equal(fit->used, 1);
  assert_int_equal(fit->idle, 1);
  assert_int_equal(fit->n_unknown, 2);
  assert_string_equal(fit->first_unknown, "some.weight");
  assert_null(k.linears[layer_index(&k, "layers.0.self_attn.o_proj")]->delta);
  file_free(&f);
  temp_close(&t);
  close_model(&k);
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

/* The reference's training loss with its adapter: mean((v - (x1 - x0))²) at x_t = t x1 + (1-t) x0. */
static void the_reference_adapter_gives_the_reference_loss(void **state) {
  st_file *g = golden_open("train_lora_grads");
  if (access(GOLDEN_DIR "/checkpoints/lora-tiny", R_OK) != 0) skip();
  model k;
  ace_error err;
  open_checkpoint(&k, GOLDEN_DIR "/checkpoints/acestep-v15-base");
  adapter_file *f = adapter_file_open(GOLDEN_DIR "/checkpoints/lora-tiny", &err);
  if (!f) fail_msg("%s", err.message);
  if (adapters_add(k.set, f, 1, &err) < 0) fail_msg("%s", err.message);
  int64_t n, tokens;
  const float *x0 = golden_f32(g, "in.x0", &n), *x1 = golden_f32(g, "in.x1", NULL), *t = golden_f32(g, "in.t", NULL);
  const float *encoded = golden_f32(g, "in.encoder_hidden_states", &tokens);
  const float *context = golden_f32(g, "in.context_latents", NULL), *loss = golden_f32(g, "out.loss", NULL);
  int64_t B = 2, C = k.m->cfg.latent_channels, T = n / B / C, H = k.m->cfg.encoder.hidden;
  tens *x = tens_new(k.c, TENS_F32, TENS_DIMS(B, T, C)), *time = tens_from(k.c, TENS_F32, TENS_DIMS(B), t);
  for (int64_t i = 0; i < n; i++) tens_f32(x)[i] = t[i / (T * C)] * x1[i] + (1 - t[i / (T * C)]) * x0[i];
  dit_condition attend;
  assert_true(dit_attend(k.c, k.m, tens_from(k.c, TENS_F32, TENS_DIMS(B, tokens / B / H, H), encoded), &attend));
  tens *v = dit_velocity(k.c, k.m, &attend, tens_from(k.c, TENS_F32, TENS_DIMS(B, T, 2 * C), context), x, time, time);
  assert_non_null(v);
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += pow((double)tens_f32(v)[i] - ((double)x1[i] - x0[i]), 2);
  if (!(fabs(sum / (double)n - *loss) <= 1e-5 * *loss))
    fail_msg("%.8g, the reference has %.8g", sum / (double)n, *loss);
  close_model(&k);
  st_close(g);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(running_beside_equals_merging),
      cmocka_unit_test(several_add_up),
      cmocka_unit_test(adapters_work_on_float_weights),
      cmocka_unit_test(adapters_may_be_half_precision),
      cmocka_unit_test(the_model_comes_back_bit_for_bit),
      cmocka_unit_test(factors_are_summed_in_order),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(strange_names_are_told_and_zeros_skipped),
      cmocka_unit_test(the_reference_adapter_gives_the_reference_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
