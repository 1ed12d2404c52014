/* The silence that every song is padded with comes from a torch.save file. It must be read as PyTorch reads it; a file
 * that means anything else than one tensor must be refused by name, and nothing in it is ever executed. */
#include "formats/torch_pt.h"

#include "golden.h"
#include "temp.h"

/* ---- making files ------------------------------------------------------------------------------------------------ */

typedef struct blob {
  uint8_t at[8192];
  size_t n;
} blob;

static void put(blob *b, const void *data, size_t n) {
  assert_true(n <= sizeof b->at - b->n);
  if (n > 0) memcpy(b->at + b->n, data, n);
  b->n += n;
}

static void put_text(blob *b, const char *text) {
  put(b, text, strlen(text));
}

static void put_le(blob *b, uint64_t x, int n) {
  for (int i = 0; i < n; i++) put(b, &(uint8_t){i < 8 ? (uint8_t)(x >> (8 * i)) : 0}, 1);
}

/* What a pickle claims. */
typedef struct claim {
  const char *storage, *key; /* "FloatStorage", "0" */
  int64_t numel, offset;
  int rank;
  int64_t dim[8], stride[8];
} claim;

static void put_int(blob *b, int64_t n) {
  put_text(b, "\x8a\x08");
  put_le(b, (uint64_t)n, 8);
}

static void put_string(blob *b, const char *text) {
  put_text(b, "X");
  put_le(b, strlen(text), 4);
  put_text(b, text);
}

static void put_ints(blob *b, int rank, const int64_t *n) {
  put_text(b, "(");
  for (int i = 0; i < rank; i++) put_int(b, n[i]);
  put_text(b, "t");
}

static blob pickle(const claim *c) {
  blob b = {.n = 0};
  put_text(&b,
           "\x80\x02"
           "ctorch._utils\n_rebuild_tensor_v2\n"
           "((");
  put_string(&b, "storage");
  put_text(&b, "ctorch\n");
  put_text(&b, c->storage);
  put_text(&b, "\n");
  put_string(&b, c->key);
  put_string(&b, "cpu");
  put_int(&b, c->numel);
  put_text(&b, "tQ");
  put_int(&b, c->offset);
  put_ints(&b, c->rank, c->dim);
  put_ints(&b, c->rank, c->stride);
  put_text(&b,
           "\x89"
           "ccollections\nOrderedDict\n)R");
  put_text(&b, "tR.");
  return b;
}

/* How an archive is built; zero means as it should be. */
typedef struct zip_faults {
  bool zip64, compressed, encrypted, no_local, far_data, big_endian, two_pickles, no_storage, far_directory,
      many_entries;
} zip_faults;

static void add_entry(blob *zip, blob *directory, const char *name, const void *data, size_t n, const zip_faults *f) {
  size_t at = zip->n;
  put_text(zip, f->no_local ? "PK\7\7" : "PK\3\4");
  put_le(zip, 0, 22); /* sizes stand in the directory alone, as in files of PyTorch */
  put_le(zip, strlen(name), 2);
  put_le(zip, 3, 2);
  put_text(zip, name);
  put_text(zip, "FBx"); /* the content begins at any address */
  put(zip, data, n);
  put_text(directory, "PK\1\2");
  put_le(directory, 0, 4);
  put_le(directory, f->encrypted ? 1 : 0, 2);
  put_le(directory, f->compressed ? 8 : 0, 2);
  put_le(directory, 0, 8);
  uint64_t size = f->far_data ? n + 100000 : n;
  put_le(directory, f->zip64 ? 0xffffffff : size, 4);
  put_le(directory, f->zip64 ? 0xffffffff : size, 4);
  put_le(directory, strlen(name), 2);
  put_le(directory, f->zip64 ? 28 : 0, 2);
  put_le(directory, 0, 10);
  put_le(directory, f->zip64 ? 0xffffffff : at, 4);
  put_text(directory, name);
  if (!f->zip64) return;
  put_le(directory, 1, 2);
  put_le(directory, 24, 2);
  put_le(directory, size, 8);
  put_le(directory, size, 8);
  put_le(directory, at, 8);
}

static blob archive(const blob *pkl, const void *data, size_t n, const zip_faults *f) {
  blob zip = {.n = 0}, directory = {.n = 0};
  int entries = 0;
  add_entry(&zip, &directory, "x/data.pkl", pkl->at, pkl->n, f), entries++;
  if (f->two_pickles) add_entry(&zip, &directory, "y/data.pkl", pkl->at, pkl->n, f), entries++;
  add_entry(&zip, &directory, "x/byteorder", f->big_endian ? "big" : "little", f->big_endian ? 3 : 6, f), entries++;
  if (!f->no_storage) add_entry(&zip, &directory, "x/data/0", data, n, f), entries++;
  uint64_t at = zip.n + (f->far_directory ? 100000 : 0);
  if (f->many_entries) entries = 60000;
  put(&zip, directory.at, directory.n);
  size_t end64 = zip.n;
  if (f->zip64) {
    put_text(&zip, "PK\6\6");
    put_le(&zip, 44, 8);
    put_le(&zip, 0, 12);
    put_le(&zip, (uint64_t)entries, 8);
    put_le(&zip, (uint64_t)entries, 8);
    put_le(&zip, directory.n, 8);
    put_le(&zip, at, 8);
    put_text(&zip, "PK\6\7");
    put_le(&zip, 0, 4);
    put_le(&zip, end64, 8);
    put_le(&zip, 1, 4);
  }
  put_text(&zip, "PK\5\6");
  put_le(&zip, 0, 4);
  put_le(&zip, f->zip64 ? 0xffff : (uint64_t)entries, 2);
  put_le(&zip, f->zip64 ? 0xffff : (uint64_t)entries, 2);
  put_le(&zip, f->zip64 ? 0xffffffff : directory.n, 4);
  put_le(&zip, f->zip64 ? 0xffffffff : at, 4);
  put_le(&zip, 0, 2);
  return zip;
}

/* Reads out of memory of exactly the right size, so that a read past its end is seen. */
static ace_status read_bytes(const void *bytes, size_t n, pt_tensor *out, ace_error *err) {
  uint8_t *copy = malloc(n ? n : 1);
  assert_non_null(copy);
  if (n > 0) memcpy(copy, bytes, n);
  ace_status status = pt_read_memory(copy, n, "s.pt", out, err);
  free(copy);
  return status;
}

static void refused_bytes(const blob *b, ace_status status, const char *detail) {
  ace_error err = {0};
  pt_tensor t;
  if (read_bytes(b->at, b->n, &t, &err) == ACE_OK) fail_msg("accepted, expected: %s", detail);
  assert_null(t.data);
  expect_error(&err, status, "s.pt", detail);
}

static const float six[6] = {0, 1, 2, 3, 4, 5};
static const claim plain = {"FloatStorage", "0", 6, 0, 2, {2, 3}, {3, 1}};

static void refused_claim(claim c, const char *detail) {
  blob pkl = pickle(&c), zip = archive(&pkl, six, sizeof six, &(zip_faults){0});
  refused_bytes(&zip, ACE_EFORMAT, detail);
}

static void refused_pickle(const char *bytes, size_t n, ace_status status, const char *detail) {
  blob pkl = {.n = 0};
  put(&pkl, bytes, n);
  blob zip = archive(&pkl, six, sizeof six, &(zip_faults){0});
  refused_bytes(&zip, status, detail);
}
#define refused_ops(text, status, detail) refused_pickle(text, sizeof(text) - 1, status, detail)

static void reads(claim c, const void *storage, size_t n, const float *want, int count) {
  ace_error err = {0};
  pt_tensor t;
  blob pkl = pickle(&c), zip = archive(&pkl, storage, n, &(zip_faults){0});
  if (read_bytes(zip.at, zip.n, &t, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(t.rank, c.rank);
  for (int i = 0; i < c.rank; i++) assert_int_equal(t.dim[i], c.dim[i]);
  assert_memory_equal(t.data, want, (size_t)count * sizeof *want);
  free(t.data);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void test_reads_every_storage_type(void **state) {
  reads(plain, six, sizeof six, six, 6);
  claim c = {"DoubleStorage", "0", 2, 0, 1, {2}, {1}};
  reads(c, (double[]){1.5, -3}, 16, (float[]){1.5f, -3}, 2);
  c.storage = "HalfStorage";
  reads(c, (uint16_t[]){0x3c00, 0xc200}, 4, (float[]){1, -3}, 2);
  c.storage = "BFloat16Storage";
  reads(c, (uint16_t[]){0x3f80, 0xc040}, 4, (float[]){1, -3}, 2);
}

static void test_honours_offset_and_strides(void **state) {
  reads((claim){"FloatStorage", "0", 6, 0, 2, {3, 2}, {1, 3}}, six, sizeof six, (float[]){0, 3, 1, 4, 2, 5}, 6);
  reads((claim){"FloatStorage", "0", 6, 1, 1, {3}, {2}}, six, sizeof six, (float[]){1, 3, 5}, 3);
  reads((claim){"FloatStorage", "0", 6, 2, 2, {2, 2}, {0, 3}}, six, sizeof six, (float[]){2, 5, 2, 5}, 4);
  reads((claim){"FloatStorage", "0", 6, 0, 4, {1, 2, 1, 3}, {9, 3, 7, 1}}, six, sizeof six, six, 6);
}

static void test_reads_64_bit_archives(void **state) {
  ace_error err = {0};
  pt_tensor t;
  blob pkl = pickle(&plain), zip = archive(&pkl, six, sizeof six, &(zip_faults){.zip64 = true});
  if (read_bytes(zip.at, zip.n, &t, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_memory_equal(t.data, six, sizeof six);
  free(t.data);
}

static void test_reads_the_golden_silence(void **state) {
  static const char path[] = GOLDEN_DIR "/checkpoints/acestep-v15-turbo/silence_latent.pt";
  ace_error err = {0};
  pt_tensor t;
  if (access(path, R_OK) != 0) {
    print_message("golden silence_latent.pt: absent\n");
    skip();
  }
  if (pt_read(path, &t, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(t.rank, 3);
  assert_int_equal(t.dim[0], 1);
  assert_int_equal(t.dim[1], 64);
  assert_int_equal(t.dim[2], 1500);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  float *raw = malloc(384000);
  assert_non_null(raw);
  fseek(f, 320, SEEK_SET); /* where the storage lies in this file */
  assert_int_equal(fread(raw, 1, 384000, f), 384000);
  fclose(f);
  assert_memory_equal(t.data, raw, 384000);
  free(raw);
  free(t.data);
}

/* ---- refusing the archive ---------------------------------------------------------------------------------------- */

static void refused_zip(zip_faults f, ace_status status, const char *detail) {
  blob pkl = pickle(&plain), zip = archive(&pkl, six, sizeof six, &f);
  refused_bytes(&zip, status, detail);
}

static void test_refuses_bad_archives(void **state) {
  refused_bytes(&(blob){.n = 0}, ACE_EFORMAT, "end record: not found");
  refused_bytes(&(blob){.at = "not a zip archive, though long enough", .n = 37}, ACE_EFORMAT, "end record: not found");
  refused_zip((zip_faults){.compressed = true}, ACE_EFORMAT, "entry x/data.pkl: compressed or encrypted");
  refused_zip((zip_faults){.encrypted = true}, ACE_EFORMAT, "entry x/data.pkl: compressed or encrypted");
  refused_zip((zip_faults){.no_local = true}, ACE_EFORMAT, "entry x/data.pkl: no local header at byte 0");
  refused_zip((zip_faults){.far_data = true}, ACE_EFORMAT, "entry x/data.pkl: ");
  refused_zip((zip_faults){.far_data = true, .zip64 = true}, ACE_EFORMAT, "bytes are outside the file");
  refused_zip((zip_faults){.far_directory = true}, ACE_EFORMAT, "central directory: bytes");
  refused_zip((zip_faults){.far_directory = true, .zip64 = true}, ACE_EFORMAT, "central directory: bytes");
  refused_zip((zip_faults){.many_entries = true}, ACE_EFORMAT, "central directory: 60000 entries do not fit");
  refused_zip((zip_faults){.two_pickles = true}, ACE_EFORMAT, "2 entries named <stem>/data.pkl");
  refused_zip((zip_faults){.no_storage = true}, ACE_EFORMAT, "entry x/data/0 is missing");
  refused_zip((zip_faults){.big_endian = true}, ACE_EUNSUPPORTED, "byteorder: \"big\"");
}

static void test_refuses_every_truncation(void **state) {
  blob pkl = pickle(&plain);
  for (int zip64 = 0; zip64 < 2; zip64++) {
    blob zip = archive(&pkl, six, sizeof six, &(zip_faults){.zip64 = zip64});
    for (size_t n = 0; n < zip.n; n++) {
      ace_error err = {0};
      pt_tensor t;
      assert_int_not_equal(read_bytes(zip.at, n, &t, &err), ACE_OK);
      assert_int_not_equal(read_bytes(zip.at + zip.n - n, n, &t, &err), ACE_OK);
      expect_error(&err, err.status, "s.pt", ": ");
    }
  }
}

static void test_names_a_missing_file(void **state) {
  ace_error err = {0};
  pt_tensor t;
  assert_int_equal(pt_read("/no/such/silence.pt", &t, &err), ACE_ENOTFOUND);
  expect_error(&err, ACE_ENOTFOUND, "/no/such/silence.pt", "cannot open");
}

/* ---- refusing the description ------------------------------------------------------------------------------------ */

static void test_refuses_tensors_outside_their_storage(void **state) {
  claim c = plain;
  c.numel = 7;
  refused_claim(c, "storage: 7 elements, but the storage has 24 bytes");
  c.numel = -6;
  refused_claim(c, "storage: -6 elements");
  c = plain, c.storage = "DoubleStorage";
  refused_claim(c, "storage: 6 elements, but the storage has 24 bytes");
  c = plain, c.offset = 1;
  refused_claim(c, "stride: 1 of dimension 1 leaves the storage of 6 elements");
  c = plain, c.offset = -1;
  refused_claim(c, "storage_offset: -1 is outside 0..6");
  c = plain, c.offset = 7;
  refused_claim(c, "storage_offset: 7 is outside 0..6");
  c = plain, c.dim[0] = -2;
  refused_claim(c, "size: dimension 0 is -2");
  c = plain, c.dim[0] = 0;
  refused_claim(c, "size: dimension 0 is 0");
  c = plain, c.dim[0] = 3;
  refused_claim(c, "leaves the storage");
  c = plain, c.dim[0] = INT64_MAX, c.stride[0] = INT64_MAX;
  refused_claim(c, "size: dimension 0 is 9223372036854775807");
  c = plain, c.stride[0] = -3;
  refused_claim(c, "stride: -3 of dimension 0");
  c = plain, c.stride[1] = INT64_MAX;
  refused_claim(c, "stride: 9223372036854775807 of dimension 1");
  /* a stride of 0 would let six numbers become any number of them */
  refused_claim((claim){"FloatStorage", "0", 6, 0, 2, {1 << 20, 1 << 20}, {0, 0}}, "size: dimension 0 is 1048576");
  refused_claim((claim){"FloatStorage", "0", 6, 0, 0, {0}, {0}}, "size: 0 dimensions, accepted are 1..4");
  refused_claim((claim){"FloatStorage", "0", 6, 0, 5, {1, 1, 1, 2, 3}, {1, 1, 1, 3, 1}}, "size: 5 dimensions");
  c = plain, c.key = "../0";
  refused_claim(c, "entry x/data/../0 is missing");
  c = plain, c.key = "";
  refused_claim(c, "storage: its key is not a name");
}

static void test_refuses_foreign_pickles(void **state) {
  refused_ops(
      "\x80\x02"
      "cos\nsystem\n(X\2\0\0\0lstR.",
      ACE_EUNSUPPORTED, "data.pkl: refers to os.system");
  refused_ops(
      "\x80\x02"
      "cbuiltins\neval\n.",
      ACE_EUNSUPPORTED, "refers to builtins.eval");
  refused_ops(
      "\x80\x02"
      "ctorch\nIntStorage\n.",
      ACE_EUNSUPPORTED, "refers to torch.IntStorage");
  refused_ops(
      "\x80\x02"
      "i",
      ACE_EUNSUPPORTED, "byte 2: opcode 0x69 does not occur");
  refused_ops("\x80\x04.", ACE_EFORMAT, "protocol is not 2");
  refused_ops(
      "\x80\x02"
      "K\1.",
      ACE_EFORMAT, "the result is not one tensor");
  refused_ops("\x80\x02}.", ACE_EFORMAT, "the result is not one tensor");
  refused_ops("", ACE_EFORMAT, "ends without a result");
  refused_ops(
      "\x80\x02"
      "t",
      ACE_EFORMAT, "a tuple without a mark");
  refused_ops("\x80\x02(\x85", ACE_EFORMAT, "a tuple across a mark");
  refused_ops("\x80\x02\x87", ACE_EFORMAT, "too few values for a tuple");
  refused_ops(
      "\x80\x02"
      "K",
      ACE_EFORMAT, "cut off inside a number");
  refused_ops("\x80\x02X\xff\xff\xff\x7f", ACE_EFORMAT, "cut off inside a string");
  refused_ops("\x80\x02\x8a\xff", ACE_EFORMAT, "a number of more than 64 bits");
  refused_ops(
      "\x80\x02"
      "ctorch",
      ACE_EFORMAT, "cut off inside a name");
  refused_ops("\x80\x02h\5", ACE_EFORMAT, "memo slot is not set");
  refused_ops("\x80\x02q\5", ACE_EFORMAT, "nothing to remember");
  refused_ops("\x80\x02K\1r\0\0\1\0", ACE_EFORMAT, "memo slot outside");
  refused_ops("\x80\x02)Q", ACE_EFORMAT, "storage: not described by five values");
  refused_ops("\x80\x02R", ACE_EFORMAT, "a call without arguments");
  refused_ops("\x80\x02K\1)R", ACE_EFORMAT, "a call of something that is no function");
  refused_ops(
      "\x80\x02"
      "ccollections\nOrderedDict\n(K\1tR",
      ACE_EFORMAT, "an ordered dictionary with content");
  refused_ops(
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\n)R",
      ACE_EFORMAT, "tensor: its arguments are malformed");
}

static void test_refuses_pickles_that_fill_memory(void **state) {
  char ops[4096];
  memset(ops, 'N', sizeof ops);
  memcpy(ops, "\x80\x02", 2);
  refused_pickle(ops, sizeof ops, ACE_EFORMAT, "nested too deeply");
  memset(ops + 2, 0x85, sizeof ops - 2);
  ops[2] = 'N';
  refused_pickle(ops, sizeof ops, ACE_EFORMAT, "too many tuples");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void test_written_tensors_come_back(void **state) {
  static const int64_t dims[4][4] = {{24}, {4, 6}, {1, 2, 12}, {2, 3, 2, 2}};
  ace_error err = {0};
  temp t = temp_open();
  float values[24];
  for (int i = 0; i < 24; i++) values[i] = (float)i * 0.37f - 3;
  for (int rank = 1; rank <= 4; rank++) {
    pt_tensor in;
    if (pt_write(temp_path(&t, "w.pt"), "stem", values, rank, dims[rank - 1], &err) != ACE_OK)
      fail_msg("%s", err.message);
    if (pt_read(temp_path(&t, "w.pt"), &in, &err) != ACE_OK) fail_msg("%s", err.message);
    assert_int_equal(in.rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(in.dim[i], dims[rank - 1][i]);
    assert_memory_equal(in.data, values, sizeof values);
    free(in.data);
  }
  assert_int_equal(temp_count(&t), 1); /* no temporary file left */
  temp_close(&t);
}

/* The pickle that PyTorch writes for a float tensor [2, 3], as pickletools lists it. */
static void test_writes_what_torch_save_writes(void **state) {
  static const char expected[] =
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\nq\x00((X\x07\x00\x00\x00storageq\x01"
      "ctorch\nFloatStorage\nq\x02X\x01\x00\x00\x00"
      "0q\x03X\x03\x00\x00\x00"
      "cpuq\x04K\x06tq\x05QK\x00K\x02K\x03\x86q\x06"
      "K\x03K\x01\x86q\x07\x89"
      "ccollections\nOrderedDict\nq\x08)Rq\x09tq\x0aRq\x0b.";
  ace_error err = {0};
  temp t = temp_open();
  assert_int_equal(pt_write(temp_path(&t, "w.pt"), "stem", six, 2, (int64_t[]){2, 3}, &err), ACE_OK);
  FILE *f = fopen(temp_path(&t, "w.pt"), "rb");
  assert_non_null(f);
  uint8_t file[4096];
  size_t n = fread(file, 1, sizeof file, f);
  fclose(f);
  assert_true(n > 64 + sizeof expected);
  assert_memory_equal(file, "PK\3\4", 4);
  assert_memory_equal(file + 30, "stem/data.pkl", 13);
  assert_memory_equal(file + 64, expected, sizeof expected - 1); /* content of a record: at a multiple of 64 */
  /* CRC-32 of "3\n", the content of the version entry, stands in front of its sizes. */
  static const uint8_t version_crc[] = {0xd1, 0x9e, 0x67, 0x55, 2, 0, 0, 0, 2, 0, 0, 0};
  bool found = false;
  for (size_t i = 0; i + sizeof version_crc <= n; i++) found |= memcmp(file + i, version_crc, sizeof version_crc) == 0;
  assert_true(found);
  temp_close(&t);
}

static void test_refuses_to_write_nonsense(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  const char *path = temp_path(&t, "w.pt");
  assert_int_equal(pt_write(path, "a/b", six, 1, (int64_t[]){6}, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.pt", "stem \"a/b\"");
  assert_int_equal(pt_write(path, "s", six, 5, (int64_t[]){1, 1, 1, 1, 6}, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.pt", "size: 5 dimensions");
  assert_int_equal(pt_write(path, "s", six, 1, (int64_t[]){0}, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.pt", "size: dimension 0 is 0");
  assert_int_equal(pt_write(path, "s", six, 2, (int64_t[]){1 << 30, 1 << 30}, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "w.pt", "exceeds 4000 MiB");
  assert_int_equal(temp_count(&t), 0);
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reads_every_storage_type),  cmocka_unit_test(test_honours_offset_and_strides),
      cmocka_unit_test(test_reads_64_bit_archives),     cmocka_unit_test(test_reads_the_golden_silence),
      cmocka_unit_test(test_refuses_bad_archives),      cmocka_unit_test(test_refuses_every_truncation),
      cmocka_unit_test(test_names_a_missing_file),      cmocka_unit_test(test_refuses_tensors_outside_their_storage),
      cmocka_unit_test(test_refuses_foreign_pickles),   cmocka_unit_test(test_refuses_pickles_that_fill_memory),
      cmocka_unit_test(test_written_tensors_come_back), cmocka_unit_test(test_writes_what_torch_save_writes),
      cmocka_unit_test(test_refuses_to_write_nonsense),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
