/* tensor.h - tensors and the context that operations run in.
 *
 *   tens_ctx *c = tens_open(&(tens_options){.device = tens_cpu(), .threads = pool, .capacity = 1 << 30}, &err);
 *   tens_mark mark = tens_here(c);
 *   tens *y = op_linear(c, x, w, NULL);            // y lives in the context's arena
 *   y = op_rms_norm(c, y, norm, 1e-6f);
 *   if (!y) tens_error(c, &err);                   // the first failure sticks; later operations return NULL
 *   y = tens_keep(c, mark, y);                     // forget everything since the mark but y
 *
 * A tensor is a contiguous row-major array: dim[rank-1] is the fastest. Shapes are written [batch, time, channels].
 * Operations are functions of their inputs: none writes into an argument unless its name says `_into`. They return NULL
 * after a failure and accept NULL inputs, so that a model reads like its equations and checks once at the end.
 *
 * Planning. A context opened with `plan` computes nothing: operations only check shapes and count memory, and data
 * pointers must not be followed. tens_peak() then says how many bytes the same calls need for real.
 */
#ifndef ACE_TENSOR_H
#define ACE_TENSOR_H

#include "base/arena.h"
#include "base/pool.h"

/* The last two are formats of weight matrices (int8.h): such a tensor belongs to a checkpoint or to the caller, it is
 * never made in a context. */
typedef enum tens_dtype { TENS_F32, TENS_BF16, TENS_I32, TENS_I8, TENS_Q8_0 } tens_dtype;

enum { TENS_MAX_RANK = 4 };

/* A copy of a weight in the layout that a device's products read fastest (tens_pack below), beside the weight itself. Kept
 * by the weight's owner, who fills it in and may drop it between operations. */
typedef struct tens_packed {
  const void *data; /* NULL: there is no copy, the weight alone is read */
  int64_t rows;     /* dim[0] of the weight that was packed */
  int stride;       /* of the transposed convolution that it was packed for; 0: for everything else */
} tens_packed;

typedef struct tens {
  tens_dtype dtype;
  int rank; /* 1..4 */
  int64_t dim[TENS_MAX_RANK];
  void *data;         /* contiguous; aligned to its element size; owned by an arena, a checkpoint map or the caller */
  const float *scale; /* TENS_I8: [dim[0]], owned like data; NULL for the others */
  const tens_packed *packed; /* of a weight, or NULL */
  int64_t packed_row;        /* row of the packed weight that is row 0 of this one */
} tens;

typedef struct tens_ctx tens_ctx;
typedef struct tens_device tens_device;

/* The processor, with kernels chosen at run time for its instruction set (see tensor/cpu/isa.h). */
const tens_device *tens_cpu(void);
/* The slow, obvious version of every operation, single-threaded, sums in double: what the others are tested against. */
const tens_device *tens_oracle(void);
const char *tens_device_name(const tens_device *device);

/* Bytes of a copy of weight w for this device's products, to be used with that stride (tens_packed); 0: it reads w in
 * place. */
size_t tens_packed_bytes(const tens_device *device, const tens *w, int stride);
/* Writes part `part` of `parts` of the copy to `out`, which is that large and 64-byte aligned. Parts may be written at the
 * same time. */
void tens_pack(const tens_device *device, const tens *w, int stride, void *out, int part, int parts);

/* int8_encode of int8.h, the same bits, as fast as this device can. */
bool tens_int8_encode(const tens_device *device, int8_t *q, float *scale, float *w, int64_t k);

typedef struct tens_options {
  const tens_device *device; /* NULL: tens_cpu() */
  pool *threads;             /* NULL: the caller's thread alone */
  size_t capacity;           /* bytes of the arena that results live in; ignored when planning */
  bool plan;
  bool (*cancelled)(void *user); /* polled before every operation; true makes it fail with ACE_ECANCELED; NULL: never */
  void *user;
} tens_options;

tens_ctx *tens_open(const tens_options *options, ace_error *err);
void tens_close(tens_ctx *c);

/* ACE_OK until an operation failed. */
ace_status tens_status(const tens_ctx *c);
/* Copies the first failure into `err` and returns its status. */
ace_status tens_error(const tens_ctx *c, ace_error *err);
/* Records a failure found outside an operation, e.g. by a model checking its inputs. Returns NULL. */
tens *tens_fail(tens_ctx *c, ace_status status, const char *format, ...) ACE_PRINTF(3, 4);
/* Forgets a failure and everything allocated. */
void tens_reset(tens_ctx *c);

/* Whether products and attention are to be as accurate as F32 allows, also on a device that is faster with rounded factors
 * (tensor/cpu/isa.h). At first they need not be. Returns what held before. */
bool tens_exact(tens_ctx *c, bool exact);

bool tens_planning(const tens_ctx *c);
pool *tens_threads(const tens_ctx *c); /* may be NULL */
size_t tens_peak(const tens_ctx *c);   /* bytes, highest so far, with the workers' scratch: enough as `capacity` */

/* A new uninitialised tensor in the arena. */
tens *tens_new(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim);
/* A new tensor holding a copy of `data` (untouched when planning). */
tens *tens_from(tens_ctx *c, tens_dtype dtype, int rank, const int64_t *dim, const void *data);
/* The same data under another shape with the same number of elements. */
tens *tens_view(tens_ctx *c, const tens *x, int rank, const int64_t *dim);
/* Rows [first, first+count) of dim 0, sharing data. */
tens *tens_rows(tens_ctx *c, const tens *x, int64_t first, int64_t count);

/* A point in the context's memory; everything made after it is forgotten by tens_release. */
typedef struct tens_mark {
  size_t data, nodes;
} tens_mark;

tens_mark tens_here(const tens_ctx *c);
void tens_release(tens_ctx *c, tens_mark mark);
/* Gives memory that no tensor uses any more back to the system. */
void tens_trim(tens_ctx *c);
/* Releases to `mark` but keeps x: data made after the mark is moved down there, data from before or from elsewhere
 * stays. Other tensors made after the mark are gone, also those that shared x's data. NULL for x NULL. */
tens *tens_keep(tens_ctx *c, tens_mark mark, tens *x);
/* Raw memory in the arena, 64-byte aligned, for the caller's own arithmetic; NULL (and an error recorded) when the
 * arena is full. When planning the result must not be followed. Devices use tens_worker_scratch (device.h) instead. */
void *tens_scratch(tens_ctx *c, size_t bytes);

int64_t tens_count(const tens *x); /* elements */
/* Bytes of the data of so many elements; of whole blocks, for TENS_Q8_0. */
size_t tens_bytes(tens_dtype dtype, int64_t count);
static inline float *tens_f32(const tens *x) {
  return (float *)x->data;
}
static inline int32_t *tens_i32(const tens *x) {
  return (int32_t *)x->data;
}

/* Shape literals: tens_new(c, TENS_F32, TENS_DIMS(2, t, 64)). */
#define TENS_DIMS(...)                                                           \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { \
    __VA_ARGS__                                                                  \
  }

#endif
