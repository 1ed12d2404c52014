/* Models as int8: what `acestep convert` writes and what --int8 makes at start are the same model, close to the one they
 * come from, half as large; and a conversion that fails or is stopped leaves nothing behind. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <math.h>

#include "base/file.h"
#include "base/rng.h"
#include "formats/convert.h"
#include "gguf_files.h"
#include "golden.h"
#include "models/dit.h"
#include "temp.h"
#include "tensor/int8.h"

#define SOURCE ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo"
enum { CAPACITY = 1 << 28, FRAMES = 150, CONDITION = 40 };

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk) {
  return remove(path);
}

static void remove_folder(const char *path) {
  nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static tens *normals(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

/* The velocity for fixed inputs, FRAMES * 64 values; free() it. The model is closed. */
static float *velocity(acestep_dit *m) {
  ace_error err = {.message = ""};
  tens_ctx *c = tens_open(&(tens_options){.capacity = CAPACITY}, &err);
  assert_non_null(c);
  dit_condition condition;
  assert_true(dit_attend(c, m, normals(c, 1, TENS_DIMS(1, CONDITION, m->cfg.encoder.hidden)), &condition));
  tens *context = normals(c, 2, TENS_DIMS(1, FRAMES, 128)), *x = normals(c, 3, TENS_DIMS(1, FRAMES, 64));
  tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), &(float){0.7f});
  tens *v = dit_velocity(c, m, &condition, context, x, t, t);
  tens_error(c, &err);
  if (!v) fail_msg("%s", err.message);
  float *values = malloc((size_t)tens_count(v) * sizeof *values);
  assert_non_null(values);
  memcpy(values, v->data, (size_t)tens_count(v) * sizeof *values);
  tens_close(c);
  acestep_dit_close(m);
  return values;
}

static acestep_dit *opened(const char *folder, bool int8) {
  ace_error err = {0};
  ckpt *k = ckpt_open(folder, &err);
  if (k && int8) ckpt_use_int8(k, NULL, NULL);
  acestep_dit *m = acestep_dit_from(k, (tens){0}, &err);
  if (!m) fail_msg("%s", err.message);
  return m;
}

static double cosine(const float *a, const float *b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
  return ab / sqrt(aa * bb);
}

static void a_converted_model_is_the_model(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  char *dst = strdup(temp_path(&t, "int8"));
  pool *threads = pool_new(2, &err);
  convert_sizes sizes;
  if (convert_to(SOURCE, dst, ST_I8, threads, NULL, &sizes, &err) != ACE_OK) fail_msg("%s", err.message);
  acestep_dit *stored = opened(dst, false), *made = opened(SOURCE, true);
  assert_true(ckpt_is_int8(stored->checkpoint));
  assert_int_equal(stored->decoder.layers[0].self.q.w.dtype, TENS_I8);
  assert_int_equal(ckpt_weight_bytes(stored->checkpoint), sizes.after);
  assert_int_equal(ckpt_memory_bytes(made->checkpoint), sizes.after);
  /* The values lie in the map as they are. */
  assert_ptr_equal(stored->decoder.layers[0].self.q.w.data,
                   ckpt_find(stored->checkpoint, "decoder.layers.0.self_attn.q_proj.weight")->data);
  float *plain = velocity(opened(SOURCE, false)), *a = velocity(stored), *b = velocity(made);
  assert_memory_equal(a, b, FRAMES * 64 * sizeof *a);
  double c = cosine(plain, a, FRAMES * 64);
  print_message("cosine of the miniature's velocity, int8 to stored weights: %.6f\n", c);
  assert_true(c >= 0.999);
  free(plain), free(a), free(b);
  pool_free(threads);
  remove_folder(dst);
  free(dst);
  temp_close(&t);
}

static void everything_else_is_as_it_was(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  char *dst = strdup(temp_path(&t, "int8"));
  assert_int_equal(convert_to(SOURCE, dst, ST_I8, NULL, NULL, NULL, &err), ACE_OK);
  assert_int_equal(temp_count(&t), 1);
  ckpt *from = ckpt_open(SOURCE, &err), *to = ckpt_open(dst, &err);
  assert_non_null(from);
  assert_non_null(to);
  int large = 0;
  for (int i = 0; i < ckpt_tensor_count(from); i++) {
    const st_tensor *a = ckpt_at(from, i), *b = ckpt_find(to, a->name);
    assert_non_null(b);
    if (b->dtype == ST_I8) {
      large++;
      assert_true(ckpt_is_large(a));
      assert_null(strstr(a->name, "norm"));
      assert_null(strstr(a->name, "time_embed"));
      assert_true(strncmp(a->name, "tokenizer.", 10) != 0);
      continue;
    }
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
  }
  assert_int_equal(ckpt_tensor_count(to), ckpt_tensor_count(from) + large);
  assert_true(large >= 11 * 2);
  ckpt_close(from), ckpt_close(to);
  remove_folder(dst);
  free(dst);
  temp_close(&t);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refused(temp *t, const char *src, const char *dst, ace_status status, const char *part) {
  ace_error err = {0};
  int before = temp_count(t);
  char *path = strdup(temp_path(t, dst));
  assert_int_equal(convert_to(src, path, ST_I8, NULL, NULL, NULL, &err), status);
  if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
  assert_int_equal(temp_count(t), before);
  free(path);
}

/* A GGUF file with a matrix that int8 would be for, were it in a folder. */
static void put_gguf(temp *t, const char *name) {
  static const uint16_t row[64];
  bytes b = {0};
  put_head(&b, 1, 1);
  put_pair(&b, "acestep.config_json", "{}");
  put_tensor(&b, "layers.0.self_attn.q_proj.weight", 2, (int64_t[]){2, 32}, 30 /* BF16 */, 0);
  pad(&b, 32);
  put(&b, row, sizeof row);
  temp_put(t, name, b.at, b.n);
  free(b.at);
}

static void what_cannot_be_converted_is_refused(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  expect_refused(&t, ACE_SOURCE_DIR "/tests/golden/checkpoints/vae-multipliers", "vae", ACE_EINVAL, "no matrices");
  expect_refused(&t, "/no/such/folder", "x", ACE_ENOTFOUND, "no such folder");
  temp_put(&t, "there", "", 0);
  expect_refused(&t, SOURCE, "there", ACE_EINVAL, "exists");
  put_gguf(&t, "model.gguf");
  char *file = strdup(temp_path(&t, "model.gguf"));
  expect_refused(&t, file, "int8", ACE_EINVAL, "is a GGUF file");
  expect_refused(&t, t.folder, "int8", ACE_EINVAL, "is a GGUF file");
  free(file);
  char *dst = strdup(temp_path(&t, "int8"));
  assert_int_equal(convert_to(SOURCE, dst, ST_I8, NULL, NULL, NULL, &err), ACE_OK);
  expect_refused(&t, dst, "again", ACE_EINVAL, "int8 already");
  remove_folder(dst);
  free(dst);
  temp_close(&t);
}

static bool after_some(void *user) {
  return ++*(int *)user > 20;
}

static void a_cancelled_conversion_leaves_nothing(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  int polls = 0;
  ace_callbacks notify = {.cancelled = after_some, .user = &polls};
  assert_int_equal(convert_to(SOURCE, temp_path(&t, "int8"), ST_I8, NULL, &notify, NULL, &err), ACE_ECANCELED);
  assert_int_equal(temp_count(&t), 0);
  temp_close(&t);
}

/* A folder with one int8 matrix "w" [2, 4], with or without its scales and its note. */
static void expect_unusable(const char *config, int64_t scales, const char *part) {
  static const int8_t q[8];
  static const float scale[3];
  ace_error err = {0};
  temp t = temp_open();
  temp_put(&t, "config.json", config, strlen(config));
  st_tensor tensors[] = {{.name = "w", .dtype = ST_I8, .rank = 2, .dim = {2, 4}, .data = q},
                         {.name = "w_scale", .dtype = ST_F32, .rank = 1, .dim = {scales}, .data = scale}};
  assert_int_equal(st_write(temp_path(&t, "model.safetensors"), tensors, scales ? 2 : 1, NULL, 0, &err), ACE_OK);
  ckpt *k = ckpt_open(t.folder, &err);
  assert_non_null(k);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  ckpt_matrix(&r, 2, 4, "w");
  assert_int_equal(r.failed, part != NULL);
  if (part && !strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
  ckpt_close(k);
  temp_close(&t);
}

static void int8_without_its_scales_is_refused(void **state) {
  static const char noted[] = "{\"quantization_config\":{\"quant_method\":\"acestep-int8\"}}";
  expect_unusable(noted, 2, NULL);
  expect_unusable(noted, 0, "needs w_scale as F32 [2]");
  expect_unusable(noted, 3, "needs w_scale as F32 [2]");
  expect_unusable("{}", 2, "does not say quantization_config");
  expect_unusable("{\"quantization_config\":{\"quant_method\":\"other\"}}", 2, "does not say");
}

/* Every value in another type of float, rounded once; a model that is trained in F32 becomes one to hand on. */
static void floats_become_other_floats(void **state) {
  static const st_dtype types[] = {ST_F32, ST_F16, ST_BF16};
  static const double most[] = {0, 0x1p-11, 0x1p-8};
  ace_error err = {0};
  temp t = temp_open();
  char *wide = strdup(temp_path(&t, "wide")), *dst = strdup(temp_path(&t, "dst"));
  if (convert_to(SOURCE, wide, ST_F32, NULL, NULL, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(convert_to(wide, dst, ST_F32, NULL, NULL, NULL, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "wide", "is F32 already");
  ckpt *from = ckpt_open(SOURCE, NULL);
  for (int i = 0; i < 3; i++) {
    convert_sizes sizes = {0};
    const char *out = types[i] == ST_F32 ? wide : dst;
    if (types[i] != ST_F32 && convert_to(wide, dst, types[i], NULL, NULL, &sizes, &err) != ACE_OK)
      fail_msg("%s", err.message);
    ckpt *to = ckpt_open(out, &err);
    if (!to) fail_msg("%s", err.message);
    if (types[i] != ST_F32) assert_int_equal(sizes.after, ckpt_weight_bytes(to));
    for (int k = 0; k < ckpt_tensor_count(from); k++) {
      const st_tensor *a = ckpt_at(from, k), *b = ckpt_find(to, a->name);
      assert_true(b && b->dtype == types[i] && b->count == a->count);
      for (int64_t j = 0; j < a->count; j++) {
        float x, y;
        st_widen(a, j, 1, &x), st_widen(b, j, 1, &y);
        assert_true(fabs((double)x - (double)y) <= most[i] * fabs((double)x) + (types[i] == ST_F16 ? 0x1p-25 : 0));
      }
    }
    ckpt_close(to);
    if (types[i] != ST_F32) remove_folder(dst);
  }
  ckpt_close(from);
  remove_folder(wide);
  free(wide), free(dst);
  temp_close(&t);
}

static void a_weight_that_is_no_number_is_refused(void **state) {
  static const float w[8] = {1, 2, NAN};
  ace_error err = {0};
  temp t = temp_open();
  temp_put(&t, "config.json", "{}", 2);
  st_tensor tensor = {.name = "layers.0.q_proj.weight", .dtype = ST_F32, .rank = 2, .dim = {2, 4}, .data = w};
  assert_int_equal(st_write(temp_path(&t, "model.safetensors"), &tensor, 1, NULL, 0, &err), ACE_OK);
  ckpt *k = ckpt_open(t.folder, &err);
  ckpt_use_int8(k, NULL, NULL);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  ckpt_matrix(&r, 2, 4, "layers.0.q_proj.weight");
  assert_true(r.failed);
  assert_non_null(strstr(err.message, "not finite"));
  ckpt_close(k);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_converted_model_is_the_model),      cmocka_unit_test(everything_else_is_as_it_was),
      cmocka_unit_test(what_cannot_be_converted_is_refused), cmocka_unit_test(a_cancelled_conversion_leaves_nothing),
      cmocka_unit_test(int8_without_its_scales_is_refused),  cmocka_unit_test(a_weight_that_is_no_number_is_refused),
      cmocka_unit_test(floats_become_other_floats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
