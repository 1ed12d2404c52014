/* A stack machine with fixed memory: a file can fill it up, never grow it. */
#include "formats/torch_pickle.h"

#include <string.h>

enum { MAX_STACK = 128, MAX_MEMO = 1024, MAX_ITEMS = 512, MAX_LINE = 128, MAX_STORAGES = PICKLE_TENSORS };

typedef enum kind {
  K_NOTHING, /* an unset memo entry */
  K_MARK,
  K_NONE,
  K_BOOL,
  K_INT,
  K_REAL,
  K_STRING,
  K_TUPLE,
  K_LIST,         /* its items are forgotten */
  K_DICT,         /* n: its number */
  K_ORDERED_DICT, /* the callable */
  K_REBUILD,      /* the callable */
  K_STORAGE_TYPE, /* n: a pickle_dtype */
  K_STORAGE,      /* n: one of machine.storage */
  K_TENSOR,       /* n: one of machine.out */
} kind;

typedef struct value {
  kind kind;
  int64_t n;          /* K_INT, K_STORAGE_TYPE; K_TUPLE: number of items */
  double x;           /* K_REAL */
  const uint8_t *str; /* K_STRING */
  size_t length;      /* K_STRING: bytes; K_TUPLE: index of its first item */
} value;

typedef struct machine {
  const uint8_t *p, *end, *start;
  const char *where;
  ace_error *err;
  value stack[MAX_STACK], memo[MAX_MEMO], items[MAX_ITEMS];
  int depth, n_items, n_storages, n_dicts;
  pickle_tensor storage[MAX_STORAGES]; /* only what describes a storage */
  pickle *out;
} machine;

static ace_status bad(const machine *m, const char *problem) {
  return ace_fail(m->err, ACE_EFORMAT, "%s: data.pkl: byte %zu: %s", m->where, (size_t)(m->p - m->start), problem);
}

static ace_status push(machine *m, value v) {
  if (m->depth == MAX_STACK) return bad(m, "nested too deeply for tensors and plain values");
  m->stack[m->depth++] = v;
  return ACE_OK;
}

/* The next n bytes, little-endian, as an unsigned number. */
static bool take(machine *m, int n, uint64_t *out) {
  if (m->end - m->p < n) return false;
  *out = 0;
  for (int i = n - 1; i >= 0; i--) *out = *out << 8 | m->p[i];
  m->p += n;
  return true;
}

static ace_status push_int(machine *m, int bytes, bool is_signed) {
  uint64_t n;
  if (!take(m, bytes, &n)) return bad(m, "cut off inside a number");
  return push(m, (value){.kind = K_INT, .n = is_signed ? (int64_t)(int32_t)(uint32_t)n : (int64_t)n});
}

/* BINFLOAT: a double, its first byte first. */
static ace_status push_real(machine *m) {
  uint64_t bits = 0;
  double x;
  if (m->end - m->p < 8) return bad(m, "cut off inside a number");
  for (int i = 0; i < 8; i++) bits = bits << 8 | *m->p++;
  memcpy(&x, &bits, sizeof x);
  return push(m, (value){.kind = K_REAL, .x = x});
}

/* LONG1: a length byte, then that many bytes in two's complement. Sizes beyond 31 bits come in this form. */
static ace_status push_long(machine *m) {
  uint64_t length, n = 0;
  if (!take(m, 1, &length) || length > 8 || !take(m, (int)length, &n)) return bad(m, "a number of more than 64 bits");
  if (length > 0 && length < 8 && n >> (8 * length - 1)) n |= UINT64_MAX << (8 * length);
  return push(m, (value){.kind = K_INT, .n = (int64_t)n});
}

static ace_status push_string(machine *m) {
  uint64_t length;
  if (!take(m, 4, &length) || length > (uint64_t)(m->end - m->p)) return bad(m, "cut off inside a string");
  value v = {.kind = K_STRING, .str = m->p, .length = (size_t)length};
  m->p += length;
  return push(m, v);
}

/* One text line of a GLOBAL. */
static bool take_line(machine *m, char out[MAX_LINE]) {
  size_t left = (size_t)(m->end - m->p);
  const uint8_t *end = memchr(m->p, '\n', left < MAX_LINE ? left : MAX_LINE);
  if (!end) return false;
  size_t n = (size_t)(end - m->p);
  for (size_t i = 0; i < n; i++) out[i] = m->p[i] >= 0x20 && m->p[i] < 0x7f ? (char)m->p[i] : '?';
  out[n] = 0;
  m->p = end + 1;
  return true;
}

static ace_status push_global(machine *m) {
  static const struct {
    const char *module, *name;
    value v;
  } known[] = {
      {"torch._utils", "_rebuild_tensor_v2", {.kind = K_REBUILD}},
      {"collections", "OrderedDict", {.kind = K_ORDERED_DICT}},
      {"torch", "FloatStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_F32}},
      {"torch", "HalfStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_F16}},
      {"torch", "BFloat16Storage", {.kind = K_STORAGE_TYPE, .n = PICKLE_BF16}},
      {"torch", "DoubleStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_F64}},
      {"torch", "LongStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_I64}},
      {"torch", "ByteStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_U8}},
      {"torch", "BoolStorage", {.kind = K_STORAGE_TYPE, .n = PICKLE_BOOL}},
  };
  char module[MAX_LINE], name[MAX_LINE];
  if (!take_line(m, module) || !take_line(m, name)) return bad(m, "cut off inside a name");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].module, module) == 0 && strcmp(known[i].name, name) == 0) return push(m, known[i].v);
  return ace_fail(m->err, ACE_EUNSUPPORTED,
                  "%s: data.pkl: refers to %s.%s; only dense tensors of float, half, bfloat16, double, long, byte or "
                  "bool and plain values are read",
                  m->where, module, name);
}

static ace_status store(machine *m, int bytes) {
  uint64_t slot;
  if (!take(m, bytes, &slot) || slot >= MAX_MEMO) return bad(m, "memo slot outside 0..1023");
  if (m->depth == 0 || m->stack[m->depth - 1].kind == K_MARK) return bad(m, "nothing to remember");
  m->memo[slot] = m->stack[m->depth - 1];
  return ACE_OK;
}

static ace_status recall(machine *m, int bytes) {
  uint64_t slot;
  if (!take(m, bytes, &slot) || slot >= MAX_MEMO || m->memo[slot].kind == K_NOTHING)
    return bad(m, "memo slot is not set");
  return push(m, m->memo[slot]);
}

/* Makes a tuple of the top n values. */
static ace_status make_tuple(machine *m, int n) {
  if (n > m->depth) return bad(m, "too few values for a tuple");
  if (n > MAX_ITEMS - m->n_items) return bad(m, "too many tuples for tensors");
  value v = {.kind = K_TUPLE, .n = n, .length = (size_t)m->n_items};
  for (int i = 0; i < n; i++) {
    m->items[m->n_items + i] = m->stack[m->depth - n + i];
    if (m->items[m->n_items + i].kind == K_MARK) return bad(m, "a tuple across a mark");
  }
  m->n_items += n;
  m->depth -= n;
  return push(m, v);
}

static ace_status make_marked_tuple(machine *m) {
  int n = 0;
  while (n < m->depth && m->stack[m->depth - 1 - n].kind != K_MARK) n++;
  if (n == m->depth) return bad(m, "a tuple without a mark");
  ace_status status = make_tuple(m, n);
  if (status != ACE_OK) return status;
  m->stack[m->depth - 2] = m->stack[m->depth - 1]; /* over the mark */
  m->depth--;
  return ACE_OK;
}

static bool equals(const value *v, const char *text) {
  return v->kind == K_STRING && v->length == strlen(text) && memcmp(v->str, text, v->length) == 0;
}

/* ('storage', torch.FloatStorage, '0', 'cpu', 96000) */
static ace_status load_storage(machine *m) {
  value *top = m->depth ? &m->stack[m->depth - 1] : NULL;
  if (!top || top->kind != K_TUPLE || top->n != 5) return bad(m, "storage: not described by five values");
  const value *id = &m->items[top->length];
  if (!equals(&id[0], "storage") || id[1].kind != K_STORAGE_TYPE || id[2].kind != K_STRING || id[3].kind != K_STRING ||
      id[4].kind != K_INT)
    return bad(m, "storage: its description is malformed");
  if (m->n_storages == MAX_STORAGES) return bad(m, "storage: too many");
  m->storage[m->n_storages] = (pickle_tensor){
      .dtype = (pickle_dtype)id[1].n, .key = (const char *)id[2].str, .key_length = id[2].length, .numel = id[4].n};
  *top = (value){.kind = K_STORAGE, .n = m->n_storages++};
  return ACE_OK;
}

static ace_status int_tuple(machine *m, const value *v, const char *problem, int64_t out[8]) {
  if (v->kind != K_TUPLE || v->n > 8) return bad(m, problem);
  for (int64_t i = 0; i < v->n; i++) {
    const value *item = &m->items[v->length + (size_t)i];
    if (item->kind != K_INT) return bad(m, problem);
    out[i] = item->n;
  }
  return ACE_OK;
}

/* _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks[, metadata]) */
static ace_status rebuild_tensor(machine *m, const value *arguments, value *out) {
  const value *a = &m->items[arguments->length];
  if (arguments->n < 6 || arguments->n > 7 || a[0].kind != K_STORAGE || a[4].kind != K_BOOL)
    return bad(m, "tensor: its arguments are malformed");
  if (a[1].kind != K_INT) return bad(m, "tensor: storage_offset is not a number");
  if (m->out->n_tensors == PICKLE_TENSORS) return bad(m, "tensor: too many");
  pickle_tensor *t = &m->out->tensor[m->out->n_tensors];
  *t = m->storage[a[0].n];
  ace_status status = int_tuple(m, &a[2], "tensor: size is not a tuple of at most 8 numbers", t->dim);
  if (status == ACE_OK) status = int_tuple(m, &a[3], "tensor: stride is not a tuple of at most 8 numbers", t->stride);
  if (status != ACE_OK) return status;
  if (a[2].n != a[3].n) return bad(m, "tensor: size and stride differ in length");
  t->offset = a[1].n;
  t->rank = (int)a[2].n;
  *out = (value){.kind = K_TENSOR, .n = m->out->n_tensors++};
  return ACE_OK;
}

/* ---- dictionaries ------------------------------------------------------------------------------------------------ */

static ace_status push_dict(machine *m) {
  if (m->n_dicts == PICKLE_DICTS) return bad(m, "too many dictionaries");
  return push(m, (value){.kind = K_DICT, .n = m->n_dicts++});
}

static pickle_value plain(const value *v) {
  pickle_value out = {.kind = PICKLE_OTHER, .n = v->n, .x = v->x, .str = (const char *)v->str, .length = v->length};
  switch (v->kind) {
    case K_NONE: out.kind = PICKLE_NONE; break;
    case K_BOOL: out.kind = PICKLE_FLAG; break;
    case K_INT: out.kind = PICKLE_INTEGER; break;
    case K_REAL: out.kind = PICKLE_REAL; break;
    case K_STRING: out.kind = PICKLE_TEXT; break;
    case K_TENSOR: out.kind = PICKLE_TENSOR; break;
    case K_DICT: out.kind = PICKLE_DICT; break;
    default: break;
  }
  return out;
}

/* How many values stand above the last mark; -1: there is none. */
static int above_mark(const machine *m) {
  int n = 0;
  while (n < m->depth && m->stack[m->depth - 1 - n].kind != K_MARK) n++;
  return n == m->depth ? -1 : n;
}

/* The top n values are keys and their values; `below` of them and what may stand between is the dictionary. */
static ace_status set_items(machine *m, int n, int between) {
  if (n < 0 || n % 2 != 0 || n + between + 1 > m->depth) return bad(m, "a dictionary without pairs");
  const value *dict = &m->stack[m->depth - n - between - 1];
  if (dict->kind != K_DICT) return bad(m, "pairs for something that is no dictionary");
  for (int i = 0; i < n; i += 2) {
    const value *pair = &m->stack[m->depth - n + i];
    if (m->out->n_entries == PICKLE_ENTRIES) return bad(m, "dictionaries: too many entries");
    if (pair[0].kind == K_MARK || pair[1].kind == K_MARK) return bad(m, "a dictionary across a mark");
    m->out->entry[m->out->n_entries++] =
        (pickle_entry){.dict = (int)dict->n, .key = plain(&pair[0]), .value = plain(&pair[1])};
  }
  m->depth -= n + between;
  return ACE_OK;
}

/* Nobody reads lists: their items go. */
static ace_status append(machine *m, int n, int between) {
  if (n < 0 || n + between + 1 > m->depth || m->stack[m->depth - n - between - 1].kind != K_LIST)
    return bad(m, "items for something that is no list");
  m->depth -= n + between;
  return ACE_OK;
}

static ace_status reduce(machine *m) {
  if (m->depth < 2 || m->stack[m->depth - 1].kind != K_TUPLE) return bad(m, "a call without arguments");
  value arguments = m->stack[--m->depth], *callee = &m->stack[m->depth - 1];
  if (callee->kind == K_ORDERED_DICT) {
    if (arguments.n != 0) return bad(m, "an ordered dictionary with content");
    m->depth--;
    return push_dict(m);
  }
  if (callee->kind != K_REBUILD) return bad(m, "a call of something that is no function");
  return rebuild_tensor(m, &arguments, callee);
}

static ace_status step(machine *m, uint8_t opcode) {
  uint64_t n;
  switch (opcode) {
    case 0x80: return take(m, 1, &n) && n == 2 ? ACE_OK : bad(m, "protocol is not 2");
    case 'c': return push_global(m);
    case 'q': return store(m, 1);
    case 'r': return store(m, 4);
    case 'h': return recall(m, 1);
    case 'j': return recall(m, 4);
    case '(': return push(m, (value){.kind = K_MARK});
    case 'X': return push_string(m);
    case 'J': return push_int(m, 4, true);
    case 'K': return push_int(m, 1, false);
    case 'M': return push_int(m, 2, false);
    case 0x8a: return push_long(m);
    case 't': return make_marked_tuple(m);
    case ')': return make_tuple(m, 0);
    case 0x85: return make_tuple(m, 1);
    case 0x86: return make_tuple(m, 2);
    case 0x87: return make_tuple(m, 3);
    case 0x88: return push(m, (value){.kind = K_BOOL, .n = 1});
    case 0x89: return push(m, (value){.kind = K_BOOL});
    case 'N': return push(m, (value){.kind = K_NONE});
    case 'G': return push_real(m);
    case '}': return push_dict(m);
    case 's': return set_items(m, 2, 0);
    case 'u': return set_items(m, above_mark(m), 1);
    case ']': return push(m, (value){.kind = K_LIST});
    case 'a': return append(m, 1, 0);
    case 'e': return append(m, above_mark(m), 1);
    case 'Q': return load_storage(m);
    case 'R': return reduce(m);
    default:
      return ace_fail(m->err, ACE_EUNSUPPORTED,
                      "%s: data.pkl: byte %zu: opcode 0x%02x does not occur in a pickle of tensors and plain values",
                      m->where, (size_t)(m->p - m->start) - 1, opcode);
  }
}

ace_status pickle_read(const uint8_t *data, size_t size, const char *where, pickle *out, ace_error *err) {
  *out = (pickle){.root = {.kind = PICKLE_OTHER}};
  machine m = {.p = data, .start = data, .end = data + size, .where = where, .err = err, .out = out};
  while (m.p < m.end) {
    uint8_t opcode = *m.p++;
    if (opcode == '.') {
      if (m.depth == 1) out->root = plain(&m.stack[0]);
      return ACE_OK;
    }
    ace_status status = step(&m, opcode);
    if (status != ACE_OK) return status;
  }
  return bad(&m, "ends without a result");
}
