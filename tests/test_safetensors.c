/* A damaged or hostile weight file must end in a message that says which file and what, never in a crash; a file
 * written here must come back unchanged. */
#include "formats/safetensors.h"

#include "temp.h"

/* The file of a header and `data_size` zero bytes, in memory of exactly its size so that a read past it is seen. */
static uint8_t *make_file(const char *header, size_t data_size, size_t *size) {
  size_t n = strlen(header);
  *size = 8 + n + data_size;
  uint8_t *file = calloc(1, *size);
  assert_non_null(file);
  for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)n >> (8 * i));
  memcpy(file + 8, header, n);
  return file;
}

static st_file *open_header(const char *header, size_t data_size, uint8_t **file, ace_error *err) {
  size_t size;
  *file = make_file(header, data_size, &size);
  return st_open_memory(*file, size, "m.safetensors", err);
}

static void refused(const char *header, size_t data_size, const char *detail) {
  ace_error err = {0};
  uint8_t *file;
  st_file *f = open_header(header, data_size, &file, &err);
  if (f) fail_msg("accepted: %s", header);
  expect_error(&err, ACE_EFORMAT, "m.safetensors", detail);
  free(file);
}

/* ---- files that are right --------------------------------------------------------------------------------------- */

static void test_reads_tensors_and_metadata(void **state) {
  ace_error err = {0};
  uint8_t *file;
  st_file *f = open_header(
      "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}   ",
      16, &file, &err);
  assert_non_null(f);
  assert_int_equal(st_count(f), 2);
  assert_string_equal(st_at(f, 0)->name, "a");
  assert_string_equal(st_at(f, 1)->name, "b");
  assert_null(st_at(f, 2));
  assert_null(st_at(f, -1));
  const st_tensor *b = st_find(f, "b");
  assert_ptr_equal(b, st_at(f, 1));
  assert_int_equal(b->dtype, ST_BF16);
  assert_int_equal(b->rank, 2);
  assert_int_equal(b->dim[1], 3);
  assert_int_equal(b->count, 6);
  assert_int_equal(b->size, 12);
  assert_ptr_equal(b->data, (const uint8_t *)st_find(f, "a")->data + 4);
  assert_null(st_find(f, "c"));
  assert_null(st_find(f, "__metadata__"));
  assert_string_equal(st_metadata(f, "format"), "pt");
  assert_null(st_metadata(f, "other"));
  assert_string_equal(st_path(f), "m.safetensors");
  st_close(f);
  free(file);
}

static void test_accepts_scalars_and_empty_tensors(void **state) {
  ace_error err = {0};
  uint8_t *file;
  st_file *f = open_header(
      "{\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
      "\"e\":{\"dtype\":\"F32\",\"shape\":[3,0,5],\"data_offsets\":[8,8]},"
      "\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
      8, &file, &err);
  if (!f) fail_msg("%s", err.message);
  assert_int_equal(st_find(f, "s")->rank, 0);
  assert_int_equal(st_find(f, "s")->count, 1);
  assert_int_equal(st_find(f, "e")->count, 0);
  assert_int_equal(st_find(f, "e")->size, 0);
  st_close(f);
  free(file);
  f = open_header("{}", 0, &file, &err);
  assert_non_null(f);
  assert_int_equal(st_count(f), 0);
  assert_null(st_find(f, "a"));
  assert_null(st_metadata(f, "a"));
  st_close(f);
  free(file);
}

static void test_knows_every_type(void **state) {
  static const struct {
    st_dtype dtype;
    const char *name;
    size_t size;
  } types[] = {{ST_F64, "F64", 8}, {ST_F32, "F32", 4},   {ST_F16, "F16", 2},         {ST_BF16, "BF16", 2},
               {ST_I64, "I64", 8}, {ST_I32, "I32", 4},   {ST_I16, "I16", 2},         {ST_I8, "I8", 1},
               {ST_U8, "U8", 1},   {ST_BOOL, "BOOL", 1}, {ST_F8_E4M3, "F8_E4M3", 1}, {ST_F8_E5M2, "F8_E5M2", 1}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    char header[128];
    ace_error err = {0};
    uint8_t *file;
    snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}", types[i].name,
             3 * types[i].size);
    st_file *f = open_header(header, 3 * types[i].size, &file, &err);
    if (!f) fail_msg("%s", err.message);
    assert_int_equal(st_find(f, "t")->dtype, types[i].dtype);
    assert_int_equal(st_dtype_size(types[i].dtype), types[i].size);
    assert_string_equal(st_dtype_name(types[i].dtype), types[i].name);
    st_close(f);
    free(file);
  }
}

/* ---- files that are not ------------------------------------------------------------------------------------------ */

static void refused_bytes(const void *bytes, size_t size, const char *detail) {
  ace_error err = {0};
  uint8_t *copy = malloc(size ? size : 1);
  assert_non_null(copy);
  if (size > 0) memcpy(copy, bytes, size);
  assert_null(st_open_memory(copy, size, "m.safetensors", &err));
  expect_error(&err, ACE_EFORMAT, "m.safetensors", detail);
  free(copy);
}

static void test_refuses_bad_header_lengths(void **state) {
  refused_bytes("", 0, "header length: the file has 0 bytes");
  refused_bytes("\2\0\0\0\0\0\0", 7, "header length: the file has 7 bytes");
  refused_bytes("\3\0\0\0\0\0\0\0{}", 10, "header length: 3 bytes, but the file ends after 2");
  refused_bytes("\1\xe1\xf5\5\0\0\0\0{}", 10, "header length: 100000001 bytes, accepted are 2..100000000");
  refused_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "header length: 18446744073709551615");
  refused_bytes("\0\0\0\0\0\0\0\0", 8, "header: does not begin with '{'");
  refused_bytes("\2\0\0\0\0\0\0\0[]", 10, "header: does not begin with '{'");
}

static void test_refuses_every_truncation(void **state) {
  const char *header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}";
  size_t size;
  uint8_t *file = make_file(header, 16, &size);
  for (size_t n = 0; n < size; n++) {
    ace_error err = {0};
    uint8_t *cut = malloc(n ? n : 1);
    assert_non_null(cut);
    memcpy(cut, file, n);
    assert_null(st_open_memory(cut, n, "m.safetensors", &err));
    expect_error(&err, ACE_EFORMAT, "m.safetensors", ": ");
    free(cut);
  }
  free(file);
}

static void test_refuses_bad_json(void **state) {
  refused("{\"a\":", 0, "not valid JSON");
  refused(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
      8, "duplicate object key near '\"a\"'");
  refused("{\"a\":7}", 0, "tensor a: not an object");
  refused("{\"a\\nb\":7}", 0, "tensor a...: a control character");
  refused("{\"\":7}", 0, "the name has 0 bytes");
  refused("{\"__metadata__\":[]}", 0, "__metadata__: not an object");
  refused("{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k: not a string");
  char header[400] = "{\"";
  memset(header + 2, 'n', 300);
  memcpy(header + 302, "\":7}", 5);
  refused(header, 0, "the name has 300 bytes, accepted are 1..255");
}

static void test_refuses_bad_types(void **state) {
  refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype: missing");
  refused("{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype: missing or not a string");
  refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype: \"F31\"");
}

static void test_refuses_bad_shapes(void **state) {
  refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: shape: missing");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]}}", 4,
          "tensor a: shape: missing or not a list");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "tensor a: shape: dimension 0");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1.5],\"data_offsets\":[0,4]}}", 4, "tensor a: shape: dimension 1");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
          "tensor a: shape: 9 dimensions, more than 8");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 4,
          "tensor a: shape: the product of the dimensions overflows");
  refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 4,
          "tensor a: shape: the product of the dimensions overflows");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
          "tensor a: shape: the product of the dimensions overflows");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0, "not valid JSON");
}

static void test_refuses_bad_offsets(void **state) {
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor a: data_offsets: missing");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
          "tensor a: data_offsets: missing or not two");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,\"4\"]}}", 4,
          "tensor a: data_offsets: missing or not");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4,
          "tensor a: data_offsets: [-4,0] is outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4,
          "tensor a: data_offsets: [4,0] is outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4,
          "tensor a: data_offsets: [4,8] is outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
          "tensor a: data_offsets: 4 bytes, but shape and dtype need 8");
}

static void test_refuses_overlaps_and_holes(void **state) {
  refused(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
      12, "tensor b: data_offsets: overlaps the tensor before it, at byte 4");
  refused(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
      12, "tensor b: data_offsets: leaves a hole behind the tensor before it, at byte 8");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
          "tensor a: data_offsets: leaves a hole");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5,
          "1 bytes of data behind the last tensor belong to no tensor");
}

static void test_refuses_too_many_tensors(void **state) {
  enum { N = 100002 };
  char *header = malloc(N * 16 + 8), *p = header;
  assert_non_null(header);
  p += sprintf(p, "{");
  for (int i = 0; i < N; i++) p += sprintf(p, "%s\"%d\":0", i ? "," : "", i);
  sprintf(p, "}");
  refused(header, 0, "header: 100002 tensors, more than 100000");
  free(header);
}

static void test_names_a_missing_file(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  assert_null(st_open(temp_path(&t, "absent.safetensors"), &err));
  expect_error(&err, ACE_ENOTFOUND, "absent.safetensors", "cannot open");
  assert_null(st_open(t.folder, &err));
  expect_error(&err, ACE_EFORMAT, t.folder, "not a regular file");
  temp_close(&t);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void test_written_tensors_come_back(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  float matrix[6] = {1, -2, 3.5f, 0, 1e30f, -0.0f};
  int64_t scalar = -7;
  uint8_t odd[3] = {1, 2, 255};
  const st_tensor out[] = {
      {.name = "odd", .dtype = ST_U8, .rank = 1, .dim = {3}, .data = odd},
      {.name = "layers.0.weight", .dtype = ST_F32, .rank = 2, .dim = {2, 3}, .data = matrix, .size = sizeof matrix},
      {.name = "scalar", .dtype = ST_I64, .rank = 0, .data = &scalar},
      {.name = "nothing", .dtype = ST_F16, .rank = 2, .dim = {4, 0}, .data = NULL},
      {.name = "caf\xc3\xa9 \"quoted\"", .dtype = ST_F32, .rank = 1, .dim = {1}, .data = matrix},
  };
  const char *metadata[] = {"format", "pt", "note", "line\nbreak"};
  const char *path = temp_path(&t, "w.safetensors"); /* no other path is made below */
  if (st_write(path, out, 5, metadata, 2, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(temp_count(&t), 1); /* no temporary file left */
  st_file *f = st_open(path, &err);
  if (!f) fail_msg("%s", err.message);
  assert_int_equal(st_count(f), 5);
  assert_string_equal(st_metadata(f, "note"), "line\nbreak");
  for (int i = 0; i < 5; i++) {
    const st_tensor *in = st_find(f, out[i].name);
    assert_non_null(in);
    assert_int_equal(in->dtype, out[i].dtype);
    assert_int_equal(in->rank, out[i].rank);
    assert_memory_equal(in->dim, out[i].dim, sizeof in->dim);
    if (in->size > 0) assert_memory_equal(in->data, out[i].data, in->size);
  }
  assert_int_equal((uintptr_t)st_at(f, 0)->data % 64, 0); /* the first in the file can be used in place */
  st_close(f);
  temp_close(&t);
}

static void test_refuses_to_write_nonsense(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  float x[4] = {0};
  const char *path = temp_path(&t, "w.safetensors"); /* no other path is made below */
  st_tensor a = {.name = "a", .dtype = ST_F32, .rank = 1, .dim = {4}, .data = x};
  st_tensor twice[] = {a, a};
  assert_int_equal(st_write(path, twice, 2, NULL, 0, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.safetensors", "tensor a: the name is taken already");
  st_tensor reserved = a, negative = a, contradiction = a, encoding = a;
  reserved.name = "__metadata__";
  assert_int_equal(st_write(path, &reserved, 1, NULL, 0, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.safetensors", "tensor __metadata__: the name is taken");
  negative.dim[0] = -4;
  assert_int_equal(st_write(path, &negative, 1, NULL, 0, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.safetensors", "tensor a: shape");
  contradiction.size = 12;
  assert_int_equal(st_write(path, &contradiction, 1, NULL, 0, &err), ACE_EINVAL);
  encoding.name = "\xff";
  assert_int_equal(st_write(path, &encoding, 1, NULL, 0, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.safetensors", "tensor 0: the name is not valid UTF-8");
  assert_int_equal(temp_count(&t), 0);
  assert_int_equal(st_write(temp_path(&t, "no/such/folder.safetensors"), &a, 1, NULL, 0, &err), ACE_ENOTFOUND);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reads_tensors_and_metadata), cmocka_unit_test(test_accepts_scalars_and_empty_tensors),
      cmocka_unit_test(test_knows_every_type),           cmocka_unit_test(test_refuses_bad_header_lengths),
      cmocka_unit_test(test_refuses_every_truncation),   cmocka_unit_test(test_refuses_bad_json),
      cmocka_unit_test(test_refuses_bad_types),          cmocka_unit_test(test_refuses_bad_shapes),
      cmocka_unit_test(test_refuses_bad_offsets),        cmocka_unit_test(test_refuses_overlaps_and_holes),
      cmocka_unit_test(test_refuses_too_many_tensors),   cmocka_unit_test(test_names_a_missing_file),
      cmocka_unit_test(test_written_tensors_come_back),  cmocka_unit_test(test_refuses_to_write_nonsense),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
