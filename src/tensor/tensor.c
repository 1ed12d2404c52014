/* tensor.c - contexts and tensors: memory, the first failure, marks. Operations are in ops_*.c. */
#include "tensor/context.h"
#include "tensor/int8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reserved, not touched: enough for half a million tensors between two releases. */
#define NODE_CAPACITY ((size_t)64 << 20)

/* More elements than any machine holds; keeps products of dims far from overflow. */
#define MAX_COUNT ((int64_t)1 << 46)

/* ---- opening and closing ---------------------------------------------------------------------------------------- */

tens_ctx *tens_open(const tens_options *options, ace_error *err) {
  tens_ctx *c = calloc(1, sizeof *c);
  if (!c) {
    ace_fail(err, ACE_ENOMEM, "tensor context: out of memory");
    return NULL;
  }
  c->device = options->device ? options->device : tens_cpu();
  c->threads = options->threads;
  c->worker_scratch = c->device->scratch > TENS_WORKER_SCRATCH ? c->device->scratch : TENS_WORKER_SCRATCH;
  c->workers = pool_threads(c->threads);
  c->plan = options->plan;
  c->cancelled = options->cancelled;
  c->user = options->user;
  ace_status status = arena_open(&c->nodes, NODE_CAPACITY, err);
  if (status == ACE_OK && c->plan) arena_open_counting(&c->data);
  else if (status == ACE_OK) {
    size_t scratch = (size_t)c->workers * c->worker_scratch;
    status = arena_open(&c->data, options->capacity, err);
    if (status == ACE_OK) status = arena_open(&c->scratch, scratch + 2 * ARENA_ALIGN, err);
    if (status == ACE_OK) c->scratch_base = arena_alloc(&c->scratch, scratch);
  }
  if (status != ACE_OK) {
    tens_close(c);
    return NULL;
  }
  return c;
}

void tens_close(tens_ctx *c) {
  if (!c) return;
  arena_close(&c->data);
  arena_close(&c->nodes);
  arena_close(&c->scratch);
  free(c);
}

void tens_reset(tens_ctx *c) {
  arena_release(&c->data, 0);
  arena_release(&c->nodes, 0);
  c->error = (ace_error){0};
  c->tape = NULL;
  c->recording = false;
}

const char *tens_device_name(const tens_device *device) {
  return device->name;
}

size_t tens_packed_bytes(const tens_device *device, const tens *w, int stride) {
  return device->packed_bytes ? device->packed_bytes(w, stride) : 0;
}

void tens_pack(const tens_device *device, const tens *w, int stride, void *out, int part, int parts) {
  device->pack(w, stride, out, part, parts);
}

bool tens_int8_encode(const tens_device *device, int8_t *q, float *scale, float *w, int64_t k) {
  return (device->int8_encode ? device->int8_encode : int8_encode)(q, scale, w, k);
}

bool tens_exact(tens_ctx *c, bool exact) {
  bool before = c->exact;
  c->exact = exact;
  return before;
}

bool tens_planning(const tens_ctx *c) {
  return c->plan;
}

pool *tens_threads(const tens_ctx *c) {
  return c->threads;
}

size_t tens_peak(const tens_ctx *c) {
  return c->data.peak + (size_t)c->workers * c->worker_scratch;
}

/* ---- failure ---------------------------------------------------------------------------------------------------- */

ace_status tens_status(const tens_ctx *c) {
  return c->error.status;
}

ace_status tens_error(const tens_ctx *c, ace_error *err) {
  if (c->error.status != ACE_OK && err) *err = c->error;
  return c->error.status;
}

tens *tens_fail(tens_ctx *c, ace_status status, const char *format, ...) {
  if (c->error.status != ACE_OK) return NULL;
  va_list args;
  va_start(args, format);
  vsnprintf(c->error.message, sizeof c->error.message, format, args);
  va_end(args);
  c->error.status = status == ACE_OK ? ACE_EINTERNAL : status;
  return NULL;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

size_t tens_bytes(tens_dtype dtype, int64_t count) {
  static const size_t each[] = {[TENS_F32] = 4, [TENS_BF16] = 2, [TENS_I32] = 4, [TENS_I8] = 1};
  return dtype == TENS_Q8_0 ? (size_t)count / Q8_0_BLOCK * Q8_0_BYTES : (size_t)count * each[dtype];
}

int64_t tens_count(const tens *x) {
  int64_t n = 1;
  for (int i = 0; i < x->rank; i++) n *= x->dim[i];
  return n;
}

const char *tens_shape_text(char *text, int rank, const int64_t *dim, tens_dtype dtype) {
  static const char *const suffix[] = {"", " bf16", " i32", " i8", " q8_0"};
  size_t used = (size_t)snprintf(text, TENS_SHAPE_SIZE, "[");
  for (int i = 0; i < rank && i < TENS_MAX_RANK; i++)
    used += (size_t)snprintf(text + used, TENS_SHAPE_SIZE - used, i ? ",%lld" : "%lld", (long long)dim[i]);
  snprintf(text + used, TENS_SHAPE_SIZE - used, "]%s", suffix[dtype]);
  return text;
}

/* False, with an error recorded, for a rank or dims that no tensor has. */
static bool sane_shape(tens_ctx *c, const char *op, const char *name, int rank, const int64_t *dim) {
  if (rank < 1 || rank > TENS_MAX_RANK) {
    tens_fail(c, ACE_EINVAL, "%s: %d dims of %s are outside 1..%d", op, rank, name, TENS_MAX_RANK);
    return false;
  }
  int64_t count = 1;
  for (int i = 0; i < rank; i++) {
    if (dim[i] < 1 || dim[i] > MAX_COUNT / count) {
      tens_fail(c, ACE_EINVAL, "%s: dim %d of %s %s is outside 1..%lld", op, i, name,
                tens_shape_text((char[TENS_SHAPE_SIZE]){0}, rank, dim, TENS_F32), (long long)(MAX_COUNT / count));
      return false;
    }
    count *= dim[i];
  }
  return true;
}

static tens *full(tens_ctx *c, const char *what, size_t bytes) {
  return tens_fail(c, ACE_ENOMEM, "tensor: no room for %s of %zu bytes: %zu of %zu MiB are in use", what, bytes,
                   c->data.used >> 20, c->data.capacity >> 20);
}

static tens_node *new_node(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim, void *data, size_t offset) {
  tens_node *n = arena_alloc(&c->nodes, sizeof *n);
  if (!n) {
    tens_fail(c, ACE_ENOMEM, "tensor: too many tensors at once");
    return NULL;
  }
  *n = (tens_node){.t = {.dtype = dtype, .rank = rank, .data = data}, .offset = offset};
  for (int i = 0; i < rank; i++) n->t.dim[i] = dim[i];
  return n;
}

tens *tens_new(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim) {
  if (c->error.status != ACE_OK || !sane_shape(c, "tensor", "a new one", rank, dim)) return NULL;
  if (dtype == TENS_I8 || dtype == TENS_Q8_0)
    return tens_fail(c, ACE_EINTERNAL, "tensor: %s can only be a weight of a checkpoint",
                     tens_shape_text((char[TENS_SHAPE_SIZE]){0}, rank, dim, dtype));
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dim[i];
  size_t bytes = tens_bytes(dtype, count);
  size_t offset = arena_mark(&c->data);
  void *data = arena_alloc(&c->data, bytes);
  if (!data) return full(c, "a tensor", bytes);
  tens_node *n = new_node(c, dtype, rank, dim, data, offset);
  return n ? &n->t : NULL;
}

tens *tens_from(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim, const void *data) {
  tens *x = tens_new(c, dtype, rank, dim);
  if (x && !c->plan) memcpy(x->data, data, tens_bytes(dtype, tens_count(x)));
  return x;
}

tens_node *tens_node_of(const tens_ctx *c, const tens *x) {
  uintptr_t at = (uintptr_t)x, base = (uintptr_t)c->nodes.base;
  return at >= base && at < base + c->nodes.used ? (tens_node *)(uintptr_t)at : NULL;
}

/* Part of x's data, from byte `skip` on, under a shape of its own. */
static tens *share(tens_ctx *c, const tens *x, size_t skip, int rank, const int64_t *dim) {
  const tens_node *n = tens_node_of(c, x);
  size_t offset = n && n->offset != TENS_OUTSIDE ? n->offset + skip : TENS_OUTSIDE;
  void *data = c->plan ? x->data : (char *)x->data + skip;
  tens_node *view = new_node(c, x->dtype, rank, dim, data, offset);
  if (!view) return NULL;
  if (n) view->track = n->track;
  return &view->t;
}

tens *tens_view(tens_ctx *c, const tens *x, int rank, const int64_t *dim) {
  if (c->error.status != ACE_OK) return NULL;
  if (!x) return tens_fail(c, ACE_EINTERNAL, "view: x is missing");
  if (!sane_shape(c, "view", "x", rank, dim)) return NULL;
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dim[i];
  if (count != tens_count(x))
    return tens_fail(c, ACE_EINVAL, "view: x %s has not the size of %s", TENS_SHAPE(x),
                     tens_shape_text((char[TENS_SHAPE_SIZE]){0}, rank, dim, x->dtype));
  return share(c, x, 0, rank, dim);
}

tens *tens_rows(tens_ctx *c, const tens *x, int64_t first, int64_t count) {
  if (c->error.status != ACE_OK) return NULL;
  if (!x) return tens_fail(c, ACE_EINTERNAL, "rows: x is missing");
  if (first < 0 || count < 1 || first > x->dim[0] - count)
    return tens_fail(c, ACE_EINVAL, "rows: %lld rows from row %lld are not in x %s", (long long)count, (long long)first,
                     TENS_SHAPE(x));
  int64_t dim[TENS_MAX_RANK] = {count};
  for (int i = 1; i < x->rank; i++) dim[i] = x->dim[i];
  tens *part = share(c, x, tens_bytes(x->dtype, first * (tens_count(x) / x->dim[0])), x->rank, dim);
  if (part && x->scale) part->scale = x->scale + first;
  if (part) part->packed = x->packed, part->packed_row = x->packed_row + first;
  return part;
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

tens_mark tens_here(const tens_ctx *c) {
  return (tens_mark){arena_mark(&c->data), arena_mark(&c->nodes)};
}

void tens_release(tens_ctx *c, tens_mark mark) {
  if (c->recording) return;
  arena_release(&c->data, mark.data);
  arena_release(&c->nodes, mark.nodes);
}

void tens_trim(tens_ctx *c) {
  arena_trim(&c->data);
}

tens *tens_keep(tens_ctx *c, tens_mark mark, tens *x) {
  if (c->recording) return x;
  const tens_node *n = x ? tens_node_of(c, x) : NULL;
  if (!n || (size_t)((const uint8_t *)n - c->nodes.base) < mark.nodes) { /* nothing, or made before the mark */
    tens_release(c, mark);
    return x;
  }
  tens_node kept = *n; /* its place may be taken in a moment */
  tens_release(c, mark);
  if (kept.offset != TENS_OUTSIDE && kept.offset >= mark.data) {
    size_t bytes = tens_bytes(kept.t.dtype, tens_count(&kept.t));
    if (!c->plan) {
      /* Take the whole stretch up to the end of x, so that it is ours to read and write, then only x's part. */
      arena_alloc(&c->data, kept.offset - mark.data + bytes);
      memmove(c->data.base + mark.data, kept.t.data, bytes);
      arena_release(&c->data, mark.data);
    }
    kept.t.data = arena_alloc(&c->data, bytes);
    kept.offset = mark.data;
  }
  tens_node *moved = new_node(c, kept.t.dtype, kept.t.rank, kept.t.dim, kept.t.data, kept.offset);
  if (!moved) return NULL;
  moved->t = kept.t;
  return &moved->t;
}

void *tens_scratch(tens_ctx *c, size_t bytes) {
  if (c->error.status != ACE_OK) return NULL;
  void *p = arena_alloc(&c->data, bytes);
  return p ? p : full(c, "scratch memory", bytes);
}

/* ---- for devices ------------------------------------------------------------------------------------------------ */

void *tens_worker_scratch(const tens_ctx *c, int worker) {
  return c->scratch_base + (size_t)worker * c->worker_scratch;
}

int tens_workers(const tens_ctx *c) {
  return c->workers;
}

/* Work that may be stopped between chunks. */
typedef struct stoppable {
  tens_ctx *c;
  pool_fn fn;
  void *arg;
  atomic_bool stop;
} stoppable;

static void stoppable_chunk(void *arg, int chunk, int worker) {
  stoppable *s = arg;
  /* Worker 0 is the caller's thread, the only one that may ask. */
  if (worker == 0 && s->c->cancelled(s->c->user)) atomic_store_explicit(&s->stop, true, memory_order_relaxed);
  if (!atomic_load_explicit(&s->stop, memory_order_relaxed)) s->fn(s->arg, chunk, worker);
}

void tens_parallel(tens_ctx *c, int chunks, pool_fn fn, void *arg) {
  stoppable s = {.c = c, .fn = fn, .arg = arg};
  pool_fn run = c->cancelled ? stoppable_chunk : fn;
  void *with = c->cancelled ? &s : arg;
  pool_run(c->threads, chunks, run, with);
  if (atomic_load_explicit(&s.stop, memory_order_relaxed)) tens_fail(c, ACE_ECANCELED, "cancelled");
}

/* ---- for operations --------------------------------------------------------------------------------------------- */

bool op_begin(tens_ctx *c) {
  if (c->error.status != ACE_OK) return false;
  if (!c->cancelled || !c->cancelled(c->user)) return true;
  tens_fail(c, ACE_ECANCELED, "cancelled");
  return false;
}

static bool kind_has(op_kind kind, tens_dtype dtype) {
  switch (dtype) {
    case TENS_F32: return kind != OP_I32;
    case TENS_BF16: return kind == OP_WEIGHT || kind == OP_MATRIX;
    case TENS_I32: return kind == OP_I32;
    case TENS_I8:
    case TENS_Q8_0: return kind == OP_MATRIX;
  }
  return false;
}

/* What the small formats ask for beside their shape. */
static bool small_fits(tens_ctx *c, const char *op, const char *name, const tens *x) {
  int64_t width = op_last(x);
  if (x->dtype == TENS_I8 && (!x->scale || width > INT8_MAX_WIDTH))
    tens_fail(c, ACE_EINVAL, "%s: %s %s needs scales and rows of at most %d values", op, name, TENS_SHAPE(x),
              INT8_MAX_WIDTH);
  else if (x->dtype == TENS_Q8_0 && width % Q8_0_BLOCK != 0)
    tens_fail(c, ACE_EINVAL, "%s: %s %s needs rows of whole blocks of %d", op, name, TENS_SHAPE(x), Q8_0_BLOCK);
  else return true;
  return false;
}

bool op_arg(tens_ctx *c, const char *op, const char *name, const tens *x, op_kind kind, int lo, int hi) {
  static const char *const wanted[] = {"f32", "f32 or bf16", "f32, bf16, i8 or q8_0", "i32"};
  if (!x) {
    tens_fail(c, ACE_EINTERNAL, "%s: %s is missing", op, name);
    return false;
  }
  if (!sane_shape(c, op, name, x->rank, x->dim)) return false;
  if (x->rank < lo || x->rank > hi) {
    if (lo == hi) tens_fail(c, ACE_EINVAL, "%s: %s %s must have %d dims", op, name, TENS_SHAPE(x), lo);
    else tens_fail(c, ACE_EINVAL, "%s: %s %s must have %d to %d dims", op, name, TENS_SHAPE(x), lo, hi);
    return false;
  }
  if (!kind_has(kind, x->dtype)) {
    tens_fail(c, ACE_EINVAL, "%s: %s %s has not the element type %s", op, name, TENS_SHAPE(x), wanted[kind]);
    return false;
  }
  if (!small_fits(c, op, name, x)) return false;
  if (!x->data && !c->plan) {
    tens_fail(c, ACE_EINTERNAL, "%s: %s %s has no data", op, name, TENS_SHAPE(x));
    return false;
  }
  return true;
}

bool op_shaped(tens_ctx *c, const char *op, const char *name, const tens *x, op_kind kind, int rank,
               const int64_t *dim) {
  if (!op_arg(c, op, name, x, kind, 1, TENS_MAX_RANK)) return false;
  bool same = x->rank == rank;
  for (int i = 0; same && i < rank; i++) same = x->dim[i] == dim[i];
  if (!same)
    tens_fail(c, ACE_EINVAL, "%s: %s is %s, must be %s", op, name, TENS_SHAPE(x),
              tens_shape_text((char[TENS_SHAPE_SIZE]){0}, rank, dim, x->dtype));
  return same;
}

bool op_same_shape(const tens *a, const tens *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

tens *op_new_last(tens_ctx *c, tens_dtype dtype, const tens *x, int64_t last) {
  int64_t dim[TENS_MAX_RANK];
  for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
  dim[x->rank - 1] = last;
  return tens_new(c, dtype, x->rank, dim);
}
