/* Writing the archive: data.pkl, byteorder, data/0, version under one stem, none compressed, the content of each at a
 * multiple of 64 bytes (reached by an extra field "FB" of filler, as PyTorch's reader expects to skip). */
#include <string.h>

#include "base/file.h"
#include "formats/torch_pt.h"

enum { RECORD_ALIGN = 64, MAX_STEM = 200, MAX_RECORDS = 4, MAX_SIZE_MIB = 4000 };

/* ---- bytes that grow, up to a fixed capacity -------------------------------------------------------------------- */

typedef struct bytes {
  uint8_t at[4096];
  size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n) {
  if (n > sizeof b->at - b->n) n = sizeof b->at - b->n; /* sized by MAX_STEM so that this does not happen */
  memcpy(b->at + b->n, data, n);
  b->n += n;
}

static void put_text(bytes *b, const char *text) {
  put(b, text, strlen(text));
}

static void put_le(bytes *b, uint64_t x, int n) {
  uint8_t le[8];
  for (int i = 0; i < n; i++) le[i] = (uint8_t)(x >> (8 * i));
  put(b, le, (size_t)n);
}

/* ---- the pickle -------------------------------------------------------------------------------------------------- */

typedef struct pickler {
  bytes b;
  int memo; /* next free slot */
} pickler;

static void remember(pickler *p) {
  put_text(&p->b, "q");
  put_le(&p->b, (uint64_t)p->memo++, 1);
}

static void pickle_string(pickler *p, const char *text) {
  put_text(&p->b, "X");
  put_le(&p->b, strlen(text), 4);
  put_text(&p->b, text);
  remember(p);
}

static void pickle_global(pickler *p, const char *module, const char *name) {
  put_text(&p->b, "c");
  put_text(&p->b, module);
  put_text(&p->b, "\n");
  put_text(&p->b, name);
  put_text(&p->b, "\n");
  remember(p);
}

/* The shortest form, as Python chooses it; 0..2^31-1. */
static void pickle_int(pickler *p, int64_t n) {
  if (n < 256) put_text(&p->b, "K"), put_le(&p->b, (uint64_t)n, 1);
  else if (n < 65536) put_text(&p->b, "M"), put_le(&p->b, (uint64_t)n, 2);
  else put_text(&p->b, "J"), put_le(&p->b, (uint64_t)n, 4);
}

static void pickle_ints(pickler *p, int rank, const int64_t *n) {
  static const char short_tuple[] = "\x85\x86\x87";
  if (rank > 3) put_text(&p->b, "(");
  for (int i = 0; i < rank; i++) pickle_int(p, n[i]);
  if (rank > 3) put_text(&p->b, "t");
  else put(&p->b, short_tuple + rank - 1, 1);
  remember(p);
}

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()) */
static void pickle_tensor(pickler *p, int rank, const int64_t *dim, int64_t count) {
  int64_t stride[4], step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= dim[i];
  }
  put_text(&p->b, "\x80\x02");
  pickle_global(p, "torch._utils", "_rebuild_tensor_v2");
  put_text(&p->b, "((");
  pickle_string(p, "storage");
  pickle_global(p, "torch", "FloatStorage");
  pickle_string(p, "0");
  pickle_string(p, "cpu");
  pickle_int(p, count);
  put_text(&p->b, "t");
  remember(p);
  put_text(&p->b, "Q");
  pickle_int(p, 0);
  pickle_ints(p, rank, dim);
  pickle_ints(p, rank, stride);
  put_text(&p->b, "\x89");
  pickle_global(p, "collections", "OrderedDict");
  put_text(&p->b, ")R");
  remember(p);
  put_text(&p->b, "t");
  remember(p);
  put_text(&p->b, "R");
  remember(p);
  put_text(&p->b, ".");
}

/* ---- the archive ------------------------------------------------------------------------------------------------- */

/* CRC-32 of zip archives: reflected polynomial 0xedb88320. */
static uint32_t crc32_of(const void *data, size_t n) {
  uint32_t table[256], crc = 0xffffffff;
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
  }
  const uint8_t *p = data;
  for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
  return ~crc;
}

typedef struct archive {
  file_writer w;
  const char *stem;
  uint64_t at; /* bytes written */
  bytes directory;
  int n;
  ace_error *err;
  ace_status status;
} archive;

static void add_bytes(archive *a, const void *data, size_t n) {
  if (a->status == ACE_OK) a->status = file_writer_add(&a->w, data, n, a->err);
  a->at += n;
}

/* What local header and central directory have in common, from the version to the length of the name. */
static void put_common(bytes *b, uint32_t crc, size_t size, size_t name_length) {
  put_le(b, 10, 2);    /* version needed: stored entries */
  put_le(b, 0x800, 2); /* names are UTF-8 */
  put_le(b, 0, 2);     /* stored */
  put_le(b, 0, 2);     /* midnight */
  put_le(b, 0x21, 2);  /* 1980-01-01 */
  put_le(b, crc, 4);
  put_le(b, size, 4);
  put_le(b, size, 4);
  put_le(b, name_length, 2);
}

static void add_record(archive *a, const char *name, const void *data, size_t size) {
  bytes header = {.n = 0};
  size_t name_length = strlen(a->stem) + 1 + strlen(name);
  uint64_t at = a->at, content = at + 30 + name_length + 4;
  size_t filler = (size_t)((RECORD_ALIGN - content % RECORD_ALIGN) % RECORD_ALIGN);
  uint32_t crc = crc32_of(data, size);
  put_text(&header, "PK\3\4");
  put_common(&header, crc, size, name_length);
  put_le(&header, 4 + filler, 2);
  put_text(&header, a->stem);
  put_text(&header, "/");
  put_text(&header, name);
  put_text(&header, "FB");
  put_le(&header, filler, 2);
  for (size_t i = 0; i < filler; i++) put_text(&header, "Z");
  add_bytes(a, header.at, header.n);
  add_bytes(a, data, size);
  bytes *d = &a->directory;
  put_text(d, "PK\1\2");
  put_le(d, 0, 2); /* made by: nothing in particular */
  put_common(d, crc, size, name_length);
  put_le(d, 0, 2); /* no extra field */
  put_le(d, 0, 2); /* no comment */
  put_le(d, 0, 2); /* disk */
  put_le(d, 0, 2); /* internal attributes */
  put_le(d, 0, 4); /* external attributes */
  put_le(d, at, 4);
  put_text(d, a->stem);
  put_text(d, "/");
  put_text(d, name);
  a->n++;
}

static void add_end(archive *a) {
  bytes end = {.n = 0};
  uint64_t at = a->at;
  add_bytes(a, a->directory.at, a->directory.n);
  put_text(&end, "PK\5\6");
  put_le(&end, 0, 4); /* disks */
  put_le(&end, (uint64_t)a->n, 2);
  put_le(&end, (uint64_t)a->n, 2);
  put_le(&end, a->directory.n, 4);
  put_le(&end, at, 4);
  put_le(&end, 0, 2); /* no comment */
  add_bytes(a, end.at, end.n);
}

static ace_status check_arguments(const char *path, const char *stem, int rank, const int64_t *dim, int64_t *count,
                                  ace_error *err) {
  size_t n = strlen(stem);
  if (n < 1 || n > MAX_STEM || strchr(stem, '/'))
    return ace_fail(err, ACE_EINVAL, "%s: stem \"%.64s\": not a name of 1..%d bytes without '/'", path, stem, MAX_STEM);
  if (rank < 1 || rank > 4) return ace_fail(err, ACE_EINVAL, "%s: size: %d dimensions, accepted are 1..4", path, rank);
  *count = 1;
  for (int i = 0; i < rank; i++)
    if (dim[i] < 1 || __builtin_mul_overflow(*count, dim[i], count) || *count > ((int64_t)MAX_SIZE_MIB << 20) / 4)
      return ace_fail(err, ACE_EINVAL, "%s: size: dimension %d is %lld: below 1, or the tensor exceeds %d MiB", path, i,
                      (long long)dim[i], MAX_SIZE_MIB);
  return ACE_OK;
}

ace_status pt_write(const char *path, const char *stem, const float *data, int rank, const int64_t *dim,
                    ace_error *err) {
  int64_t count = 0;
  ace_status status = check_arguments(path, stem, rank, dim, &count, err);
  if (status != ACE_OK) return status;
  archive a = {.stem = stem, .err = err};
  pickler p = {.memo = 0};
  pickle_tensor(&p, rank, dim, count);
  status = file_writer_open(&a.w, path, err);
  if (status != ACE_OK) return status;
  add_record(&a, "data.pkl", p.b.at, p.b.n);
  add_record(&a, "byteorder", "little", 6);
  add_record(&a, "data/0", data, (size_t)count * sizeof *data);
  add_record(&a, "version", "3\n", 2);
  add_end(&a);
  if (a.status == ACE_OK) return file_writer_commit(&a.w, err);
  file_writer_abort(&a.w);
  return a.status;
}
