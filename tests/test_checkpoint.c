/* A folder of weights either opens whole or says which file, tensor or shape is wrong; its hash is the identity that a
 * saved song carries. */
#include "formats/checkpoint.h"

#include "base/hash.h"
#include "base/pool.h"
#include "golden.h"
#include "temp.h"
#include "tensor/device.h"

static const float matrix[6] = {1, 2, 3, 4, 5, 6}, vector[3] = {-1, 0.5f, 2};
static const uint16_t brain[4] = {0x3f80, 0xc000, 0x0000, 0x4120}; /* 1, -2, 0, 10 */
static const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7bff};  /* 1, -2, 2^-24, 65504 */

static st_tensor tensor_of(const char *name, st_dtype dtype, const void *data, int rank, int64_t a, int64_t b) {
  return (st_tensor){.name = name, .dtype = dtype, .rank = rank, .dim = {a, b}, .data = data};
}

static void put_weights(temp *t, const char *name, const st_tensor *tensors, int n) {
  ace_error err = {0};
  if (st_write(temp_path(t, name), tensors, n, NULL, 0, &err) != ACE_OK) fail_msg("%s", err.message);
}

static void put_text(temp *t, const char *name, const char *text) {
  temp_put(t, name, text, strlen(text));
}

/* A folder with config.json and one file holding a matrix, a vector and two half-precision tables. */
static temp small_checkpoint(void) {
  temp t = temp_open();
  put_text(&t, "config.json", "{\"model_type\":\"test\"}");
  st_tensor tensors[] = {
      tensor_of("layers.0.weight", ST_F32, matrix, 2, 2, 3),
      tensor_of("layers.0.bias", ST_F32, vector, 1, 3, 0),
      tensor_of("brain", ST_BF16, brain, 2, 2, 2),
      tensor_of("half", ST_F16, half, 1, 4, 0),
      tensor_of("ids", ST_I32, matrix, 1, 2, 0),
  };
  put_weights(&t, "model.safetensors", tensors, 5);
  return t;
}

static void refused(temp *t, ace_status status, const char *file, const char *detail) {
  ace_error err = {0};
  ckpt *k = ckpt_open(t->folder, &err);
  if (k) fail_msg("accepted, expected: %s", detail);
  expect_error(&err, status, file, detail);
  expect_error(&err, status, t->folder, detail);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void test_opens_a_folder(void **state) {
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  if (!k) fail_msg("%s", err.message);
  assert_string_equal(ckpt_folder(k), t.folder);
  assert_string_equal(ckpt_config_path(k), temp_path(&t, "config.json"));
  assert_string_equal(json_string_value(json_object_get(ckpt_config(k), "model_type")), "test");
  assert_int_equal(ckpt_tensor_count(k), 5);
  assert_int_equal(ckpt_weight_bytes(k), 24 + 12 + 8 + 8 + 8);
  assert_non_null(ckpt_find(k, "layers.0.bias"));
  assert_null(ckpt_find(k, "layers.1.bias"));
  ckpt_close(k);
  temp_close(&t);
}

static void test_says_what_is_missing(void **state) {
  ace_error err = {0};
  assert_null(ckpt_open("/no/such/folder", &err));
  expect_error(&err, ACE_ENOTFOUND, "/no/such/folder: no such folder", "expected config.json and model.safetensors");
  temp t = temp_open();
  refused(&t, ACE_ENOTFOUND, "config.json is missing", "expected config.json and model.safetensors");
  put_text(&t, "config.json", "{}");
  refused(&t, ACE_ENOTFOUND, "no weights", "expected config.json and model.safetensors");
  put_text(&t, "config.json", "[]");
  refused(&t, ACE_EFORMAT, "config.json", "not a JSON object");
  put_text(&t, "config.json", "{\"a\":1,\"a\":2}");
  refused(&t, ACE_EFORMAT, "config.json", "duplicate");
  put_text(&t, "config.json", "{}");
  put_text(&t, "model.safetensors", "garbage");
  refused(&t, ACE_EFORMAT, "model.safetensors", "header length");
  temp_close(&t);
}

/* A configuration can be read, and weights be found, without opening them. */
static void test_tells_what_is_there(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  assert_null(ckpt_read_config(t.folder, &err));
  expect_error(&err, ACE_ENOTFOUND, t.folder, "config.json is missing");
  put_text(&t, "config.json", "{\"model_type\":\"test\"}");
  json_t *config = ckpt_read_config(t.folder, &err);
  assert_string_equal(json_string_value(json_object_get(config, "model_type")), "test");
  json_decref(config);
  put_text(&t, "tokenizer.json", "{}");
  assert_false(ckpt_has_weights(t.folder));
  static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                      "diffusion_pytorch_model.safetensors",
                                      "diffusion_pytorch_model.safetensors.index.json"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    put_text(&t, names[i], "");
    assert_true(ckpt_has_weights(t.folder));
    unlink(temp_path(&t, names[i]));
  }
  assert_false(ckpt_has_weights(t.folder));
  temp_close(&t);
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static void refused_index(const char *index, ace_status status, const char *detail) {
  temp t = temp_open();
  st_tensor a = tensor_of("a", ST_F32, matrix, 1, 6, 0);
  put_text(&t, "config.json", "{}");
  put_weights(&t, "s1.safetensors", &a, 1);
  put_text(&t, "model.safetensors.index.json", index);
  refused(&t, status, "model.safetensors.index.json", detail);
  temp_close(&t);
}

static void test_opens_shards(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  st_tensor first[] = {tensor_of("a", ST_F32, matrix, 2, 3, 2), tensor_of("unlisted", ST_F32, vector, 1, 3, 0)};
  st_tensor second = tensor_of("b", ST_BF16, brain, 1, 4, 0);
  put_text(&t, "config.json", "{}");
  put_weights(&t, "s1.safetensors", first, 2);
  put_weights(&t, "s2.safetensors", &second, 1);
  put_text(&t, "diffusion_pytorch_model.safetensors.index.json",
           "{\"metadata\":{\"total_size\":32},\"weight_map\":{\"b\":\"s2.safetensors\",\"a\":\"s1.safetensors\"}}");
  ckpt *k = ckpt_open(t.folder, &err);
  if (!k) fail_msg("%s", err.message);
  assert_int_equal(ckpt_tensor_count(k), 2);
  assert_int_equal(ckpt_weight_bytes(k), 32);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  tens a = ckpt_matrix(&r, 3, 2, "a"), b = ckpt_vector(&r, 4, "b");
  if (r.failed) fail_msg("%s", err.message);
  assert_memory_equal(a.data, matrix, sizeof matrix);
  assert_true(tens_f32(&b)[3] == 10.0f);
  ckpt_close(k);
  temp_close(&t);
}

static void test_refuses_bad_indexes(void **state) {
  refused_index("{}", ACE_EFORMAT, "weight_map: missing");
  refused_index("{\"weight_map\":[]}", ACE_EFORMAT, "weight_map: missing, empty or not an object");
  refused_index("{\"weight_map\":{\"a\":7}}", ACE_EFORMAT, "weight_map: tensor a: not a plain file name");
  refused_index("{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", ACE_EFORMAT,
                "weight_map: tensor a: not a plain file name");
  refused_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ACE_EFORMAT, "weight_map: tensor a: not a plain file name");
  refused_index("{\"weight_map\":{\"a\":\"..\"}}", ACE_EFORMAT, "weight_map: tensor a: not a plain file name");
  refused_index("{\"weight_map\":{\"a\":\"s1.safetensors\\u0000x\"}}", ACE_EFORMAT,
                "weight_map: tensor a: not a plain");
  refused_index("{\"weight_map\":{\"a\":\"s9.safetensors\"}}", ACE_ENOTFOUND, "file s9.safetensors is missing");
  refused_index("{\"weight_map\":{\"a\\nb\":\"s1.safetensors\"}}", ACE_EFORMAT, "tensor a?b is not in s1.safetensors");
  refused_index("{\"weight_map\":{\"z\":\"s1.safetensors\"}}", ACE_EFORMAT, "tensor z is not in s1.safetensors");
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static void test_hands_out_weights(void **state) {
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  assert_non_null(k);
  ckpt_reader r = {.checkpoint = k, .prefix = "layers.", .err = &err};
  tens w = ckpt_matrix(&r, 2, 3, "%d.weight", 0), v = ckpt_vector(&r, 3, "%d.%s", 0, "bias");
  r.prefix = NULL;
  tens b = ckpt_matrix(&r, 2, 2, "brain"), h = ckpt_tensor(&r, 1, (int64_t[]){4}, "half");
  tens wide = ckpt_tensor_f32(&r, 2, (int64_t[]){2, 2}, "brain"),
       again = ckpt_tensor_f32(&r, 2, (int64_t[]){2, 2}, "brain");
  if (r.failed) fail_msg("%s", err.message);
  assert_int_equal(w.dtype, TENS_F32);
  assert_int_equal(w.rank, 2);
  assert_int_equal(w.dim[1], 3);
  assert_ptr_equal(w.data, ckpt_find(k, "layers.0.weight")->data); /* in place */
  assert_memory_equal(v.data, vector, sizeof vector);
  assert_int_equal(b.dtype, TENS_BF16);
  assert_memory_equal(b.data, brain, sizeof brain);
  assert_int_equal(h.dtype, TENS_F32);
  assert_memory_equal(h.data, ((float[]){1, -2, 0x1p-24f, 65504}), 4 * sizeof(float));
  assert_int_equal(wide.dtype, TENS_F32);
  assert_memory_equal(wide.data, ((float[]){1, -2, 0, 10}), 4 * sizeof(float));
  assert_ptr_equal(wide.data, again.data); /* widened once */
  ckpt_close(k);
  temp_close(&t);
}

static void refused_weight(const ckpt_reader *r, const ace_error *err, tens x, ace_status status, const char *message) {
  assert_true(r->failed);
  assert_null(x.data);
  assert_int_equal(x.rank, 0);
  expect_error(err, status, ckpt_folder(r->checkpoint), message);
}

static void test_names_the_wrong_tensor(void **state) {
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  assert_non_null(k);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  refused_weight(&r, &err, ckpt_matrix(&r, 3, 2, "layers.%d.weight", 0), ACE_EFORMAT,
                 ": tensor layers.0.weight: shape [2,3], expected [3,2]");
  /* the first failure sticks, though this one would succeed and the next fail otherwise */
  refused_weight(&r, &err, ckpt_matrix(&r, 2, 3, "layers.0.weight"), ACE_EFORMAT, "shape [2,3], expected [3,2]");
  refused_weight(&r, &err, ckpt_vector(&r, 3, "absent"), ACE_EFORMAT, "shape [2,3], expected [3,2]");
  r.failed = false;
  refused_weight(&r, &err, ckpt_vector(&r, 6, "layers.0.weight"), ACE_EFORMAT, "shape [2,3], expected [6]");
  r.failed = false;
  refused_weight(&r, &err, ckpt_vector(&r, 3, "layers.%d.bias", 7), ACE_ENOTFOUND, "tensor layers.7.bias is missing");
  r.failed = false;
  refused_weight(&r, &err, ckpt_vector(&r, 2, "ids"), ACE_EFORMAT, "tensor ids: dtype I32, expected BF16, F16 or F32");
  r.failed = false;
  refused_weight(&r, &err, ckpt_vector(&r, 2, "%0300d", 1), ACE_EINTERNAL, "a name or rank that no tensor can have");
  ckpt_close(k);
  temp_close(&t);
}

/* Other writers do not align: a header of odd length puts every float at an odd address. */
static void test_moves_misaligned_weights(void **state) {
  static const char header[] =
      "{\"m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";
  uint8_t file[512] = {0};
  size_t n = sizeof header - 1;
  memcpy(file + 8, header, n);
  if (n % 2 == 0) file[8 + n++] = ' ';
  file[0] = (uint8_t)n;
  memcpy(file + 8 + n, matrix, 24);
  memcpy(file + 8 + n + 24, brain, 8);
  ace_error err = {0};
  temp t = temp_open();
  put_text(&t, "config.json", "{}");
  temp_put(&t, "model.safetensors", file, 8 + n + 32);
  ckpt *k = ckpt_open(t.folder, &err);
  if (!k) fail_msg("%s", err.message);
  assert_int_equal((uintptr_t)ckpt_find(k, "m")->data % 2, 1);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  tens m = ckpt_matrix(&r, 2, 3, "m"), b = ckpt_tensor(&r, 1, (int64_t[]){4}, "b"), wide = ckpt_vector(&r, 4, "b");
  if (r.failed) fail_msg("%s", err.message);
  assert_int_equal((uintptr_t)m.data % 64, 0);
  assert_int_equal((uintptr_t)b.data % 64, 0);
  assert_memory_equal(m.data, matrix, sizeof matrix);
  assert_memory_equal(b.data, brain, sizeof brain);
  assert_true(tens_f32(&wide)[1] == -2.0f);
  ckpt_close(k);
  temp_close(&t);
}

static void test_memory_of_the_checkpoint(void **state) {
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  assert_non_null(k);
  for (size_t n = 0; n < 200; n += 37) {
    uint8_t *p = ckpt_alloc(k, n);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    memset(p, 1, n);
  }
  assert_null(ckpt_alloc(k, SIZE_MAX - 10));
  ckpt_close(k);
  ckpt_close(NULL);
  temp_close(&t);
}

/* ---- identity ---------------------------------------------------------------------------------------------------- */

static void test_sha256_known_answers(void **state) {
  char hex[HASH_HEX];
  hash_memory("", 0, hex);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  hash_memory("abc", 3, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  hash h;
  hash_begin(&h);
  for (int i = 0; i < 1000; i++) {
    char thousand[1000];
    memset(thousand, 'a', sizeof thousand);
    hash_add(&h, thousand, sizeof thousand);
  }
  hash_end(&h, hex);
  assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void hash_folder(const char *folder, char out[65]) {
  ace_error err = {0};
  ckpt *k = ckpt_open(folder, &err);
  if (!k || ckpt_hash(k, out, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
  ckpt_close(k);
}

static void test_hash_follows_content_not_place(void **state) {
  temp a = small_checkpoint(), b = small_checkpoint();
  char first[65], second[65];
  hash_folder(a.folder, first);
  hash_folder(b.folder, second);
  assert_string_equal(first, second);
  assert_int_equal(strlen(first), 64);
  put_text(&b, "config.json", "{\"model_type\":\"tess\"}");
  hash_folder(b.folder, second);
  assert_string_not_equal(first, second);
  put_text(&b, "config.json", "{\"model_type\":\"test\"}");
  FILE *f = fopen(temp_path(&b, "model.safetensors"), "r+b");
  assert_non_null(f);
  fseek(f, -1, SEEK_END);
  fputc(0x55, f);
  fclose(f);
  hash_folder(b.folder, second);
  assert_string_not_equal(first, second);
  temp_close(&a);
  temp_close(&b);
}

typedef struct watcher {
  int reports, polls;
  double last;
  bool cancel;
} watcher;

static void on_progress(void *user, const ace_progress *p) {
  watcher *w = user;
  assert_string_equal(p->stage, "hash");
  assert_true(p->fraction >= w->last && p->fraction <= 1);
  w->last = p->fraction;
  w->reports++;
}

static bool on_poll(void *user) {
  watcher *w = user;
  w->polls++;
  return w->cancel;
}

static void test_hash_reports_and_cancels(void **state) {
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  assert_non_null(k);
  watcher w = {.cancel = true};
  ace_callbacks notify = {.progress = on_progress, .cancelled = on_poll, .user = &w};
  char hex[65];
  assert_int_equal(ckpt_hash(k, hex, &notify, &err), ACE_ECANCELED);
  expect_error(&err, ACE_ECANCELED, t.folder, "cancelled");
  w = (watcher){0};
  assert_int_equal(ckpt_hash(k, hex, &notify, &err), ACE_OK);
  assert_true(w.reports == 2 && w.polls == 2 && w.last == 1);
  w = (watcher){.cancel = true};
  char cached[65];
  assert_int_equal(ckpt_hash(k, cached, &notify, &err), ACE_OK); /* known already */
  assert_string_equal(hex, cached);
  assert_int_equal(w.polls, 0);
  ckpt_close(k);
  temp_close(&t);
}

/* ---- golden checkpoints ------------------------------------------------------------------------------------------ */

static ckpt *golden_checkpoint(const char *name) {
  char path[1024];
  ace_error err = {0};
  snprintf(path, sizeof path, GOLDEN_DIR "/checkpoints/%s", name);
  if (access(path, R_OK) != 0) {
    print_message("golden checkpoint %s: absent\n", name);
    skip();
  }
  ckpt *k = ckpt_open(path, &err);
  if (!k) fail_msg("%s", err.message);
  return k;
}

static void test_golden_checkpoints_have_their_shapes(void **state) {
  ace_error err = {0};
  ckpt *k = golden_checkpoint("acestep-v15-xl-turbo");
  ckpt_reader r = {.checkpoint = k, .err = &err};
  ckpt_tensor(&r, 3, (int64_t[]){80, 192, 2}, "decoder.proj_in.1.weight");
  ckpt_matrix(&r, 96, 80, "decoder.layers.%d.self_attn.q_proj.weight", 2);
  ckpt_tensor(&r, 3, (int64_t[]){1, 1, 64}, "null_condition_emb");
  tens norm = ckpt_vector(&r, 16, "decoder.layers.0.self_attn.q_norm.weight");
  if (r.failed) fail_msg("%s", err.message);
  assert_int_equal(norm.dtype, TENS_F32);
  ckpt_close(k);
  static const struct {
    const char *name, *prefix;
    int64_t vocab, hidden;
  } models[] = {{"Qwen3-Embedding-0.6B", "", 512, 48},
                {"acestep-5Hz-lm-0.6B", "", 1088, 64},
                {"acestep-5Hz-lm-1.7B", "model.", 1088, 64}};
  for (size_t i = 0; i < 3; i++) {
    k = golden_checkpoint(models[i].name);
    r = (ckpt_reader){.checkpoint = k, .prefix = models[i].prefix, .err = &err};
    tens table = ckpt_matrix(&r, models[i].vocab, models[i].hidden, "embed_tokens.weight");
    ckpt_vector(&r, models[i].hidden, "norm.weight");
    if (r.failed) fail_msg("%s", err.message);
    assert_int_equal(table.dtype, TENS_BF16);
    ckpt_close(k);
  }
  k = golden_checkpoint("vae");
  r = (ckpt_reader){.checkpoint = k, .err = &err};
  tens conv = ckpt_tensor(&r, 3, (int64_t[]){128, 2, 7}, "encoder.conv1.weight_v");
  if (r.failed) fail_msg("%s", err.message);
  assert_int_equal(conv.dtype, TENS_F32);
  ckpt_close(k);
}

/* ---- packed copies ----------------------------------------------------------------------------------------------- */

/* A device that wants, of matrices of F32 alone, each value turned into its negative. */
static size_t negative_bytes(const tens *w, int stride) {
  return w->dtype == TENS_F32 ? (size_t)tens_count(w) * sizeof(float) : 0;
}

static void negative_pack(const tens *w, int stride, void *out, int part, int parts) {
  int64_t n = tens_count(w);
  for (int64_t i = n * part / parts; i < n * (part + 1) / parts; i++)
    ((float *)out)[i] = -tens_f32(w)[i] + (float)stride;
}

static void test_packs_what_a_device_wants(void **state) {
  const tens_device device = {.name = "negative", .packed_bytes = negative_bytes, .pack = negative_pack};
  ace_error err = {0};
  temp t = small_checkpoint();
  ckpt *k = ckpt_open(t.folder, &err);
  pool *threads = pool_new(2, &err);
  if (!k || !threads) fail_msg("%s", err.message);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  tens w = ckpt_matrix(&r, 2, 3, "layers.0.weight"), table = ckpt_table(&r, 2, 3, "layers.0.weight");
  tens other = ckpt_matrix(&r, 2, 2, "brain"), turned = ckpt_packable(&r, table, 2);
  assert_false(r.failed);
  assert_null(table.packed);
  assert_null(w.packed->data);                         /* not before somebody asked */
  assert_int_equal(ckpt_packing(k, tens_oracle()), 0); /* a device that reads weights in place */
  ckpt_pack(k, tens_oracle(), threads);
  assert_null(w.packed->data);
  assert_true(ckpt_packing(k, &device) >= 2 * sizeof matrix);
  assert_int_equal(ckpt_mapped_bytes(k, "layers.0.weight"), sizeof matrix);
  size_t rest = ckpt_mapped_bytes(k, "") - sizeof matrix;
  ckpt_pack(k, &device, threads);
  assert_int_equal(ckpt_mapped_bytes(k, "layers.0.weight"), 0); /* the copies are read */
  assert_int_equal(ckpt_mapped_bytes(k, ""), rest);
  assert_int_equal(ckpt_packing(k, &device), 0);
  const float *copy = w.packed->data, *copy_turned = turned.packed->data;
  assert_non_null(copy);
  assert_non_null(copy_turned);
  assert_null(other.packed->data);
  assert_true((uintptr_t)copy % 64 == 0 && (uintptr_t)copy_turned % 64 == 0);
  assert_int_equal(turned.packed->stride, 2);
  assert_int_equal(w.packed->rows, 2);
  for (int i = 0; i < 6; i++) {
    assert_true(copy[i] == -matrix[i]);
    assert_true(copy_turned[i] == -matrix[i] + 2);
    assert_true(tens_f32(&w)[i] == matrix[i]); /* the weight itself is still there */
  }
  ckpt_pack(k, &device, NULL); /* nothing is left to do */
  assert_ptr_equal(w.packed->data, copy);
  ckpt_close(k);
  pool_free(threads);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_opens_a_folder),
      cmocka_unit_test(test_says_what_is_missing),
      cmocka_unit_test(test_tells_what_is_there),
      cmocka_unit_test(test_opens_shards),
      cmocka_unit_test(test_refuses_bad_indexes),
      cmocka_unit_test(test_hands_out_weights),
      cmocka_unit_test(test_names_the_wrong_tensor),
      cmocka_unit_test(test_moves_misaligned_weights),
      cmocka_unit_test(test_packs_what_a_device_wants),
      cmocka_unit_test(test_memory_of_the_checkpoint),
      cmocka_unit_test(test_sha256_known_answers),
      cmocka_unit_test(test_hash_follows_content_not_place),
      cmocka_unit_test(test_hash_reports_and_cancels),
      cmocka_unit_test(test_golden_checkpoints_have_their_shapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
