/* Reading the container; what blocks hold is in gguf_blocks.c. */
#include "formats/gguf.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_TENSORS = 100 * 1000,
  MAX_KEYS = 100 * 1000,
  MAX_NAME = 255,
  DEFAULT_ALIGNMENT = 32,
  MAX_ALIGNMENT = 1 << 20,
  MAX_NESTING = 2, /* of arrays in arrays; published files have none */
  MAX_DIMS = 4
};

enum {
  TYPE_U8,
  TYPE_I8,
  TYPE_U16,
  TYPE_I16,
  TYPE_U32,
  TYPE_I32,
  TYPE_F32,
  TYPE_BOOL,
  TYPE_STRING,
  TYPE_ARRAY,
  TYPE_U64,
  TYPE_I64,
  TYPE_F64,
  TYPES
};

typedef struct entry {
  gguf_text key;
  uint32_t type, element; /* element: of an array */
  uint64_t n;             /* elements of an array */
  const uint8_t *value, *end;
} entry;

struct gguf_file {
  char *where;
  file_map map; /* empty when opened over memory */
  entry *entries;
  int64_t n_entries;
  st_tensor *tensors; /* sorted by name */
  char *names;        /* of all tensors, each with its NUL */
  int n;
};

/* ---- bytes that are left ------------------------------------------------------------------------------------------ */

typedef struct cursor {
  const uint8_t *at, *end;
  bool ended; /* something was asked for that is not there; what was read since is zero */
} cursor;

static const uint8_t *take(cursor *c, uint64_t n) {
  if (c->ended || n > (uint64_t)(c->end - c->at)) {
    c->ended = true;
    return NULL;
  }
  const uint8_t *p = c->at;
  c->at += n;
  return p;
}

static uint64_t take_uint(cursor *c, int bytes) {
  const uint8_t *p = take(c, (uint64_t)bytes);
  uint64_t x = 0;
  for (int i = 0; p && i < bytes; i++) x |= (uint64_t)p[i] << (8 * i);
  return x;
}

static gguf_text take_text(cursor *c) {
  uint64_t n = take_uint(c, 8);
  const uint8_t *p = take(c, n);
  return p ? (gguf_text){(const char *)p, (size_t)n} : (gguf_text){0};
}

/* ---- metadata ----------------------------------------------------------------------------------------------------- */

static const uint8_t type_bytes[TYPES] = {
    [TYPE_U8] = 1,  [TYPE_I8] = 1,   [TYPE_U16] = 2, [TYPE_I16] = 2, [TYPE_U32] = 4, [TYPE_I32] = 4,
    [TYPE_F32] = 4, [TYPE_BOOL] = 1, [TYPE_U64] = 8, [TYPE_I64] = 8, [TYPE_F64] = 8};

/* Moves behind a value. False for a type that does not exist. */
static bool skip_value(cursor *c, uint32_t type, int nesting) {
  if (type >= TYPES) return false;
  if (type == TYPE_STRING) return take_text(c), true;
  if (type != TYPE_ARRAY) return take(c, type_bytes[type]), true;
  uint32_t element = (uint32_t)take_uint(c, 4);
  uint64_t n = take_uint(c, 8), bytes;
  if (element >= TYPES || nesting >= MAX_NESTING) return false;
  if (element != TYPE_STRING && element != TYPE_ARRAY) {
    if (__builtin_mul_overflow(n, (uint64_t)type_bytes[element], &bytes)) c->ended = true;
    else take(c, bytes);
    return true;
  }
  for (uint64_t i = 0; i < n && !c->ended; i++)
    if (!skip_value(c, element, nesting + 1)) return false;
  return true;
}

static ace_status read_entry(gguf_file *f, cursor *c, entry *e, ace_error *err) {
  e->key = take_text(c);
  e->type = (uint32_t)take_uint(c, 4);
  e->value = c->at;
  bool known = skip_value(c, e->type, 0);
  e->end = c->at;
  if (c->ended) return ace_fail(err, ACE_EFORMAT, "%s: the metadata runs past the end of the file", f->where);
  if (!known)
    return ace_fail(err, ACE_EFORMAT, "%s: metadata %.*s: of no type that is known", f->where,
                    (int)(e->key.length < 64 ? e->key.length : 64), e->key.data);
  if (e->type != TYPE_ARRAY) return ACE_OK;
  cursor inner = {e->value, e->end, false};
  e->element = (uint32_t)take_uint(&inner, 4);
  e->n = take_uint(&inner, 8);
  e->value = inner.at;
  return ACE_OK;
}

static ace_status read_metadata(gguf_file *f, cursor *c, uint64_t n, ace_error *err) {
  f->entries = calloc((size_t)n + 1, sizeof *f->entries);
  if (!f->entries) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", f->where);
  for (; (uint64_t)f->n_entries < n; f->n_entries++) {
    ace_status status = read_entry(f, c, &f->entries[f->n_entries], err);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

static const entry *find_entry(const gguf_file *f, const char *key) {
  size_t n = strlen(key);
  for (int64_t i = 0; i < f->n_entries; i++)
    if (f->entries[i].key.length == n && memcmp(f->entries[i].key.data, key, n) == 0) return &f->entries[i];
  return NULL;
}

gguf_text gguf_string(const gguf_file *f, const char *key) {
  const entry *e = find_entry(f, key);
  if (!e || e->type != TYPE_STRING) return (gguf_text){0};
  cursor c = {e->value, e->end, false};
  return take_text(&c);
}

bool gguf_strings(const gguf_file *f, const char *key, gguf_list *out) {
  const entry *e = find_entry(f, key);
  if (!e || e->type != TYPE_ARRAY || e->element != TYPE_STRING) return false;
  *out = (gguf_list){e->value, e->end, (int64_t)e->n};
  return true;
}

bool gguf_next(gguf_list *l, gguf_text *out) {
  cursor c = {l->at, l->end, false};
  if (c.at == c.end) return false;
  *out = take_text(&c);
  l->at = c.at;
  return !c.ended;
}

static ace_status read_alignment(const gguf_file *f, uint64_t *alignment, ace_error *err) {
  const entry *e = find_entry(f, "general.alignment");
  *alignment = DEFAULT_ALIGNMENT;
  if (!e) return ACE_OK;
  cursor c = {e->value, e->end, false};
  if (e->type == TYPE_U32) *alignment = take_uint(&c, 4);
  if (e->type != TYPE_U32 || *alignment < 1 || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)))
    return ace_fail(err, ACE_EFORMAT, "%s: general.alignment: not a power of two in 1..%d", f->where, MAX_ALIGNMENT);
  return ACE_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------------------------ */

/* The numbers of types in files. */
static bool type_of(uint64_t number, st_dtype *out) {
  static const struct {
    uint8_t number;
    st_dtype dtype;
  } types[] = {{0, ST_F32},   {1, ST_F16},   {2, ST_Q4_0},  {3, ST_Q4_1},  {6, ST_Q5_0},  {7, ST_Q5_1},  {8, ST_Q8_0},
               {10, ST_Q2_K}, {11, ST_Q3_K}, {12, ST_Q4_K}, {13, ST_Q5_K}, {14, ST_Q6_K}, {15, ST_Q8_K}, {24, ST_I8},
               {25, ST_I16},  {26, ST_I32},  {27, ST_I64},  {28, ST_F64},  {30, ST_BF16}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].number == number) return *out = types[i].dtype, true;
  return false;
}

/* Dims, fastest first in the file, and sizes. */
static ace_status read_shape(const gguf_file *f, cursor *c, st_tensor *t, ace_error *err) {
  uint64_t rank = take_uint(c, 4), dim[MAX_DIMS], number;
  if (rank > MAX_DIMS)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: %llu dimensions, more than %d", f->where, t->name,
                    (unsigned long long)rank, MAX_DIMS);
  t->rank = (int)rank;
  t->count = 1;
  for (int i = 0; i < t->rank; i++) {
    dim[i] = take_uint(c, 8);
    if (dim[i] < 1 || dim[i] > INT64_MAX || __builtin_mul_overflow(t->count, (int64_t)dim[i], &t->count) ||
        t->count > INT64_MAX / 8)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: dimension %d is 0 or too large", f->where, t->name, i);
  }
  for (int i = 0; i < t->rank; i++) t->dim[i] = (int64_t)dim[t->rank - 1 - i];
  number = take_uint(c, 4);
  if (c->ended) return ace_fail(err, ACE_EFORMAT, "%s: the tensors run past the end of the file", f->where);
  if (!type_of(number, &t->dtype))
    return ace_fail(err, ACE_EUNSUPPORTED,
                    "%s: tensor %s: type %llu; known are F32, F16, BF16, Q4_0 to Q8_0 and Q2_K to "
                    "Q8_K",
                    f->where, t->name, (unsigned long long)number);
  int64_t block = st_dtype_block(t->dtype), row = t->rank ? t->dim[t->rank - 1] : 1;
  if (row % block != 0)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: rows of %lld values are not whole blocks of %lld", f->where,
                    t->name, (long long)row, (long long)block);
  t->size = (size_t)(t->count / block) * st_dtype_size(t->dtype);
  return ACE_OK;
}

/* Leaves the offset in t->data until the place of the data is known. */
static ace_status read_tensor(gguf_file *f, cursor *c, st_tensor *t, char *name, ace_error *err) {
  gguf_text text = take_text(c);
  if (c->ended || text.length < 1 || text.length > MAX_NAME)
    return ace_fail(err, ACE_EFORMAT, "%s: a tensor's name is not 1..%d bytes long or past the end", f->where,
                    MAX_NAME);
  for (size_t i = 0; i < text.length; i++)
    if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
      return ace_fail(err, ACE_EFORMAT, "%s: a tensor's name has a control character", f->where);
  memcpy(name, text.data, text.length);
  name[text.length] = 0;
  t->name = name;
  ace_status status = read_shape(f, c, t, err);
  if (status != ACE_OK) return status;
  t->data = (const void *)(uintptr_t)take_uint(c, 8);
  return c->ended ? ace_fail(err, ACE_EFORMAT, "%s: the tensors run past the end of the file", f->where) : ACE_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const st_tensor *)a)->name, ((const st_tensor *)b)->name);
}

static ace_status place_tensors(gguf_file *f, const uint8_t *data, const uint8_t *end, uint64_t alignment,
                                ace_error *err) {
  uint64_t size = data <= end ? (uint64_t)(end - data) : 0;
  for (int i = 0; i < f->n; i++) {
    st_tensor *t = &f->tensors[i];
    uint64_t offset = (uintptr_t)t->data;
    if (offset % alignment != 0 || offset > size || t->size > size - offset)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: its data is misaligned or not inside the file", f->where,
                      t->name);
    t->data = data + offset;
  }
  qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_name);
  for (int i = 1; i < f->n; i++)
    if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
      return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: there are two of that name", f->where, f->tensors[i].name);
  return ACE_OK;
}

static ace_status read_tensors(gguf_file *f, cursor *c, uint64_t n, const uint8_t *base, ace_error *err) {
  f->tensors = calloc((size_t)n + 1, sizeof *f->tensors);
  /* Names are shorter than what describes them, so all of them fit into as many bytes as are left. */
  f->names = malloc((size_t)n * (MAX_NAME + 1) < (size_t)(c->end - c->at) ? (size_t)n * (MAX_NAME + 1) + 1
                                                                          : (size_t)(c->end - c->at) + 1);
  if (!f->tensors || !f->names) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", f->where);
  char *name = f->names;
  for (; (uint64_t)f->n < n; f->n++) {
    ace_status status = read_tensor(f, c, &f->tensors[f->n], name, err);
    if (status != ACE_OK) return status;
    name += strlen(name) + 1;
  }
  uint64_t alignment;
  ace_status status = read_alignment(f, &alignment, err);
  if (status != ACE_OK) return status;
  uint64_t header = (uint64_t)(c->at - base);
  uint64_t padding = (alignment - header % alignment) % alignment;
  if (padding > (uint64_t)(c->end - c->at)) padding = (uint64_t)(c->end - c->at);
  return place_tensors(f, c->at + padding, c->end, alignment, err);
}

static ace_status read_file(gguf_file *f, const uint8_t *bytes, size_t size, ace_error *err) {
  cursor c = {bytes, bytes + size, false};
  const uint8_t *magic = take(&c, 4);
  uint64_t version = take_uint(&c, 4), tensors = take_uint(&c, 8), keys = take_uint(&c, 8);
  if (c.ended || memcmp(magic, "GGUF", 4) != 0)
    return ace_fail(err, ACE_EFORMAT, "%s: does not begin as a GGUF file", f->where);
  if (version != 2 && version != 3)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: GGUF version %llu; 2 and 3 can be read", f->where,
                    (unsigned long long)version);
  if (tensors > MAX_TENSORS || keys > MAX_KEYS)
    return ace_fail(err, ACE_EFORMAT, "%s: more than %d tensors or %d keys", f->where, MAX_TENSORS, MAX_KEYS);
  ace_status status = read_metadata(f, &c, keys, err);
  return status == ACE_OK ? read_tensors(f, &c, tensors, bytes, err) : status;
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static gguf_file *file_new(const char *where, ace_error *err) {
  gguf_file *f = calloc(1, sizeof *f);
  if (f) f->where = strdup(where);
  if (f && f->where) return f;
  ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  free(f);
  return NULL;
}

gguf_file *gguf_open(const char *path, ace_error *err) {
  gguf_file *f = file_new(path, err);
  if (!f) return NULL;
  if (file_map_open(&f->map, path, err) == ACE_OK && read_file(f, f->map.data, f->map.size, err) == ACE_OK) return f;
  gguf_close(f);
  return NULL;
}

gguf_file *gguf_open_memory(const void *data, size_t size, const char *where, ace_error *err) {
  gguf_file *f = file_new(where, err);
  if (!f || read_file(f, data, size, err) == ACE_OK) return f;
  gguf_close(f);
  return NULL;
}

void gguf_close(gguf_file *f) {
  if (!f) return;
  file_map_close(&f->map);
  free(f->entries), free(f->tensors), free(f->names), free(f->where);
  free(f);
}

static bool is_gguf(const char *name) {
  size_t n = strlen(name);
  return n > 5 && strcmp(name + n - 5, ".gguf") == 0;
}

/* The only such file of a folder. */
static char *only_file(const char *folder) {
  DIR *dir = opendir(folder);
  char *found = NULL;
  int n = 0;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    if (*e->d_name == '.' || !is_gguf(e->d_name) || n++) continue;
    found = file_join(folder, e->d_name);
  }
  if (dir) closedir(dir);
  if (n == 1) return found;
  free(found);
  return NULL;
}

char *gguf_locate(const char *path) {
  if (!file_is_directory(path)) return is_gguf(path) && file_exists(path) ? strdup(path) : NULL;
  char *config = file_join(path, "config.json");
  bool has_config = !config || file_exists(config);
  free(config);
  return has_config ? NULL : only_file(path);
}

const char *gguf_path(const gguf_file *f) {
  return f->where;
}

int gguf_count(const gguf_file *f) {
  return f->n;
}

const st_tensor *gguf_at(const gguf_file *f, int i) {
  return i >= 0 && i < f->n ? &f->tensors[i] : NULL;
}

const st_tensor *gguf_find(const gguf_file *f, const char *name) {
  const st_tensor key = {.name = name};
  return f->n ? bsearch(&key, f->tensors, (size_t)f->n, sizeof key, by_name) : NULL;
}
