/* Weights under training as one list: what models run is the list, gradients reach every published tensor, also where a
 * model keeps it in another form, what is frozen stays, and what is written loads with the same code and computes the
 * same. Otherwise a model is trained that nobody can open, or some of its weights never learn. */
#include "temp.h"

#include <math.h>

#include "base/file.h"
#include "base/half.h"
#include "base/rng.h"
#include "base/strings.h"
#include "formats/convert.h"
#include "models/acestep_dit.h"
#include "models/dit.h"
#include "models/vae.h"
#include "tensor/int8.h"
#include "tensor/ops_train.h"
#include "train/parameters.h"

#define DIT ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo"
#define VAE ACE_SOURCE_DIR "/tests/golden/checkpoints/vae-multipliers"

enum { FRAMES = 7, CHANNELS = 64, TOKENS = 4, CAPACITY = 256 << 20 };

static void normals(uint64_t seed, float *x, int64_t n) {
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, x, n);
}

static tens *random_tensor(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  normals(seed, tens_f32(x), tens_count(x));
  return x;
}

static tens_ctx *open_context(void) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.capacity = CAPACITY}, &err);
  if (!c) fail_msg("%s", err.message);
  return c;
}

/* ---- the models --------------------------------------------------------------------------------------------------- */

static bool not_tokenizer(const char *name) {
  return !string_begins(name, "tokenizer.") && !string_begins(name, "detokenizer.");
}

static parameters *open_parameters(const char *folder, const char *name, bool (*trained)(const char *)) {
  ace_error err;
  parameters *p = parameters_open(&(parameters_part){.folder = folder, .name = name, .trained = trained}, 1, &err);
  if (!p) fail_msg("%s", err.message);
  return p;
}

static acestep_dit *open_dit(parameters *p) {
  ace_error err;
  acestep_dit *m = acestep_dit_from(parameters_checkpoint(p, 0, &err), (tens){0}, &err);
  if (!m || parameters_watch(p, &err) != ACE_OK) fail_msg("%s", err.message);
  return m;
}

static tens *velocity(tens_ctx *c, const acestep_dit *m) {
  dit_condition condition;
  tens *encoded = random_tensor(c, 1, TENS_DIMS(1, TOKENS, m->cfg.encoder.hidden));
  tens *context = random_tensor(c, 2, TENS_DIMS(1, FRAMES, 2 * CHANNELS));
  tens *x = random_tensor(c, 3, TENS_DIMS(1, FRAMES, CHANNELS));
  float half = 0.5f;
  tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), &half);
  if (!dit_attend(c, m, encoded, &condition)) return NULL;
  return dit_velocity(c, m, &condition, context, x, t, t);
}

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

typedef tens *model_run(tens_ctx *c, const void *model);

static tens *run_dit(tens_ctx *c, const void *model) {
  return velocity(c, model);
}

static tens *run_vae(tens_ctx *c, const void *model) {
  const vae *m = model;
  tens *y = vae_encode(c, m, random_tensor(c, 5, TENS_DIMS(1, 2 * m->cfg.hop, m->cfg.audio_channels)));
  return y ? vae_decode(c, m, random_tensor(c, 6, TENS_DIMS(1, 2, m->cfg.decoder_input))) : NULL;
}

static tens *run_vae_encoder(tens_ctx *c, const void *model) {
  const vae *m = model;
  return vae_encode(c, m, random_tensor(c, 5, TENS_DIMS(1, 2 * m->cfg.hop, m->cfg.audio_channels)));
}

/* Half the mean square of what a model makes, against a fixed target. */
static double loss_of(tens_ctx *c, parameters *p, model_run *run, const void *model, bool gradient) {
  ace_error err;
  tens_mark mark = tens_here(c);
  parameters_begin(p);
  if (gradient) tape_begin(c, p->tape);
  tens *y = run(c, model);
  if (!y) fail_msg("%s", tens_error(c, &err) ? err.message : "no result");
  tens *loss = op_mean_square(c, y, random_tensor(c, 9, TENS_DIMS(y->dim[0], y->dim[1], y->dim[2])), NULL);
  if (gradient && !tape_backward(c, loss, 1)) fail_msg("%s", tens_error(c, &err) ? err.message : "no gradient");
  if (gradient) tape_end(c);
  if (gradient) parameters_end(p);
  double out = (double)tens_f32(loss)[0];
  tens_release(c, mark);
  return out;
}

/* Along its gradient, each tensor's loss changes as the gradient says; returns how many have one. Steps are so long that
 * the loss changes by a thousandth, but short beside the tensor. */
static int expect_differences(parameters *p, model_run *run, const void *model, const char *prefix) {
  tens_ctx *c = open_context();
  int with = 0;
  memset(p->grads, 0, (size_t)p->count * sizeof *p->grads);
  double whole = loss_of(c, p, run, model, true);
  for (int i = 0; i < p->tensors; i++) {
    const train_tensor *t = &p->tensor[i];
    int64_t n = t->rows * t->columns;
    float *x = p->values + t->first;
    const float *g = p->grads + t->first;
    double square = 0, size = 0, loss[2];
    if (!string_begins(t->name, prefix)) continue;
    for (int64_t j = 0; j < n; j++) square += (double)g[j] * (double)g[j], size += (double)x[j] * (double)x[j];
    if (square == 0) continue;
    with++;
    float *kept = malloc((size_t)n * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, x, (size_t)n * sizeof *kept);
    double h = fmin(1e-3 * whole / square, 1e-2 * sqrt((size + 0.1) / square));
    for (int side = 0; side < 2; side++) {
      for (int64_t j = 0; j < n; j++) x[j] = (float)((double)kept[j] + (side ? -h : h) * (double)g[j]);
      loss[side] = loss_of(c, p, run, model, false);
    }
    memcpy(x, kept, (size_t)n * sizeof *kept);
    free(kept);
    double found = (loss[0] - loss[1]) / (2 * h);
    if (fabs(found - square) > 0.02 * square + 2e-7 * whole / h)
      fail_msg("%s: the loss changes by %g, its gradient says %g", t->name, found, square);
  }
  tens_close(c);
  return with;
}

static int count_of(const parameters *p, const char *prefix) {
  int n = 0;
  for (int i = 0; i < p->tensors; i++) n += string_begins(p->tensor[i].name, prefix);
  return n;
}

static void test_every_weight_of_the_transformer_has_its_gradient(void **state) {
  parameters *p = open_parameters(DIT, "dit", NULL);
  acestep_dit *m = open_dit(p);
  assert_int_equal(expect_differences(p, run_dit, m, "decoder."), count_of(p, "decoder."));
  acestep_dit_close(m);
  parameters_close(p);
}

static void test_every_weight_of_the_autoencoder_has_its_gradient(void **state) {
  ace_error err;
  parameters *p = open_parameters(VAE, "vae", NULL);
  vae *m = vae_from(parameters_checkpoint(p, 0, &err), VAE_ENCODER | VAE_DECODER, &err);
  if (!m || parameters_watch(p, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(expect_differences(p, run_vae, m, "decoder."), count_of(p, "decoder."));
  assert_int_equal(expect_differences(p, run_vae_encoder, m, "encoder."), count_of(p, "encoder."));
  vae_close(m);
  parameters_close(p);
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */

static void test_models_run_the_list(void **state) {
  ace_error err;
  parameters *p = open_parameters(DIT, "dit", not_tokenizer);
  acestep_dit *a = open_dit(p), *b = acestep_dit_open(DIT, &err);
  assert_non_null(b);
  tens_ctx *c = open_context();
  tens *x = velocity(c, a), *y = velocity(c, b);
  double off = 0, size = 0;
  for (int64_t i = 0; i < tens_count(x); i++) {
    double d = (double)tens_f32(x)[i] - (double)tens_f32(y)[i];
    off += d * d, size += (double)tens_f32(y)[i] * (double)tens_f32(y)[i];
  }
  assert_true(off < 1e-10 * size);
  for (int i = 0; i < p->tensors; i++) {
    const train_tensor *t = &p->tensor[i];
    assert_true(not_tokenizer(t->name));
    assert_int_equal(t->first % 16, 0);
    bool matrix = t->first < p->decaying;
    if (string_ends(t->name, "q_proj.weight") || string_ends(t->name, "proj_in.1.weight")) assert_true(matrix);
    if (string_ends(t->name, "norm.weight") || string_ends(t->name, "bias") || string_ends(t->name, "table") ||
        string_begins(t->name, "null_condition"))
      assert_false(matrix);
  }
  tens_close(c);
  acestep_dit_close(a), acestep_dit_close(b);
  parameters_close(p);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static const st_tensor *same_tensor(const ckpt *k, const char *name, const st_tensor *as) {
  const st_tensor *t = ckpt_find(k, name);
  assert_non_null(t);
  assert_int_equal(t->rank, as->rank);
  assert_memory_equal(t->dim, as->dim, (size_t)t->rank * sizeof *t->dim);
  return t;
}

static void test_what_is_written_loads(void **state) {
  ace_error err;
  temp t = temp_open();
  parameters *p = open_parameters(DIT, "dit", not_tokenizer);
  ckpt *from = ckpt_open(DIT, &err);
  for (int64_t i = 0; i < p->count; i++) p->values[i] *= 1.25f;
  static const float most[] = {0, 0x1p-8f, 0x1p-10f};
  for (int type = PARAMETERS_F32; type <= PARAMETERS_F16; type++) {
    if (parameters_write(p, t.folder, (parameters_type)type, &err) != ACE_OK) fail_msg("%s", err.message);
    acestep_dit *m = acestep_dit_open(temp_path(&t, "dit"), &err);
    if (!m) fail_msg("%s", err.message);
    for (int i = 0; i < p->tensors; i++) {
      const st_tensor *own = ckpt_find(from, p->tensor[i].name), *x = same_tensor(m->checkpoint, own->name, own);
      float *read = malloc((size_t)x->count * sizeof *read);
      st_widen(x, 0, x->count, read);
      for (int64_t j = 0; j < x->count; j++) {
        float y = p->values[p->tensor[i].first + j];
        assert_true(fabsf(read[j] - y) <= most[type] * fabsf(y) + (type == PARAMETERS_F16 ? 0x1p-25f : 0));
      }
      free(read);
    }
    for (int i = 0; i < ckpt_tensor_count(from); i++) {
      const st_tensor *own = ckpt_at(from, i), *x = same_tensor(m->checkpoint, own->name, own);
      if (not_tokenizer(own->name)) continue;
      assert_int_equal(x->dtype, own->dtype);
      assert_memory_equal(x->data, own->data, own->size);
    }
    acestep_dit_close(m);
  }
  /* Only F32 goes back into a training, bit for bit. */
  assert_int_equal(parameters_read(p, t.folder, &err), ACE_EINVAL);
  assert_int_equal(parameters_write(p, t.folder, PARAMETERS_F32, &err), ACE_OK);
  parameters *q = open_parameters(DIT, "dit", not_tokenizer);
  if (parameters_read(q, t.folder, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_memory_equal(q->values, p->values, (size_t)p->count * sizeof *p->values);
  p->values[p->tensor[0].first] = 7e4f;
  assert_int_equal(parameters_write(p, t.folder, PARAMETERS_F16, &err), ACE_EUNSUPPORTED);
  parameters_close(p), parameters_close(q);
  ckpt_close(from);
  file_remove_tree(t.folder, NULL);
}

/* ---- int8 ---------------------------------------------------------------------------------------------------------- */

/* Values of a tensor as conversion to int8 leaves them. */
static float *rounded(const st_tensor *t) {
  float *x = malloc((size_t)t->count * sizeof *x), scale;
  st_widen(t, 0, t->count, x);
  int8_t *q = malloc((size_t)t->count);
  int64_t k = t->rank == 2 ? t->dim[1] : 0;
  for (int64_t at = 0; ckpt_is_large(t) && at < t->count; at += k) {
    assert_true(int8_encode(q, &scale, x + at, k));
    int8_decode(x + at, q, scale, k);
  }
  free(q);
  return x;
}

/* A folder that was converted to int8 is trained from the numbers that it stands for, and comes back without int8, what is
 * frozen included. */
static void test_int8_is_widened(void **state) {
  ace_error err;
  temp t = temp_open();
  char small[400], half[400];
  snprintf(small, sizeof small, "%s/small", t.folder);
  snprintf(half, sizeof half, "%s/half", t.folder);
  if (convert_to(DIT, small, ST_I8, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  parameters *p = open_parameters(small, "dit", not_tokenizer), *plain = open_parameters(DIT, "dit", not_tokenizer);
  ckpt *from = ckpt_open(DIT, &err);
  assert_int_equal(p->count, plain->count);
  assert_int_equal(p->decaying, plain->decaying);
  assert_int_equal(p->tensors, plain->tensors);
  for (int i = 0; i < p->tensors; i++) {
    const st_tensor *own = ckpt_find(from, p->tensor[i].name);
    assert_int_equal(p->tensor[i].first, plain->tensor[i].first);
    float *x = rounded(own);
    assert_memory_equal(p->values + p->tensor[i].first, x, (size_t)own->count * sizeof *x);
    free(x);
  }
  acestep_dit *m = open_dit(p);
  if (parameters_write(p, t.folder, PARAMETERS_F32, &err) != ACE_OK) fail_msg("%s", err.message);
  acestep_dit *written = acestep_dit_open(temp_path(&t, "dit"), &err);
  if (!written) fail_msg("%s", err.message);
  assert_false(ckpt_is_int8(written->checkpoint));
  assert_int_equal(ckpt_tensor_count(written->checkpoint), ckpt_tensor_count(from));
  int frozen = 0;
  for (int i = 0; i < ckpt_tensor_count(from); i++) {
    const st_tensor *own = ckpt_at(from, i), *is = same_tensor(written->checkpoint, own->name, own);
    if (not_tokenizer(own->name) || !ckpt_is_large(own)) continue;
    float *x = rounded(own);
    assert_int_equal(is->dtype, ST_F32);
    assert_memory_equal(is->data, x, (size_t)own->count * sizeof *x);
    free(x);
    frozen++;
  }
  assert_true(frozen > 0);
  tens_ctx *c = open_context();
  tens *a = velocity(c, m), *b = velocity(c, written);
  assert_memory_equal(tens_f32(a), tens_f32(b), (size_t)tens_count(a) * sizeof(float));
  tens_close(c);
  if (parameters_read(p, t.folder, &err) != ACE_OK) fail_msg("%s", err.message);
  if (convert_to(temp_path(&t, "dit"), half, ST_BF16, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  acestep_dit_close(m), acestep_dit_close(written);
  ckpt_close(from);
  parameters_close(p), parameters_close(plain);
  file_remove_tree(t.folder, NULL);
}

static void test_half_precision_rounds_to_nearest(void **state) {
  for (uint32_t h = 0; h < 0x7c00; h++) {
    float x = f16_to_f32((uint16_t)h), next = f16_to_f32((uint16_t)(h + 1)), middle = (x + next) / 2;
    assert_int_equal(f32_to_f16(x), h);
    assert_int_equal(f32_to_f16(-x), h | 0x8000);
    if (h == 0x7bff) break;
    assert_int_equal(f32_to_f16(middle), h + (h & 1));
    assert_int_equal(f32_to_f16(nextafterf(middle, 0)), h);
    assert_int_equal(f32_to_f16(nextafterf(middle, 1e9f)), h + 1);
  }
  assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
  assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
  assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
  assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_weight_of_the_transformer_has_its_gradient),
      cmocka_unit_test(test_every_weight_of_the_autoencoder_has_its_gradient),
      cmocka_unit_test(test_models_run_the_list),
      cmocka_unit_test(test_what_is_written_loads),
      cmocka_unit_test(test_int8_is_widened),
      cmocka_unit_test(test_half_precision_rounds_to_nearest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
