/* context.h - the inside of a context, for operations and devices only. Models see tensor.h.
 *
 * Memory. Three blocks, so that a planned run and a real one take the same turns:
 *   data     what tensors point to; only counted when planning
 *   nodes    the `tens` structs themselves; real memory always
 *   scratch  worker_scratch bytes for each worker of the pool, reserved when the context opens
 * A device takes temporary memory from `scratch` alone (tens_worker_scratch), never from `data`: so operations need no
 * planning of what their kernels do, and tens_peak of a plan equals that of the run.
 */
#ifndef ACE_TENSOR_CONTEXT_H
#define ACE_TENSOR_CONTEXT_H

#include "tensor/device.h"

struct tens_ctx {
  const tens_device *device;
  pool *threads;         /* NULL: the caller's thread alone */
  int workers;           /* pool_threads(threads), or 1 */
  size_t worker_scratch; /* bytes */
  bool plan;
  bool (*cancelled)(void *user);
  void *user;
  arena data, nodes;
  arena scratch; /* one allocation of workers * worker_scratch; none when planning */
  uint8_t *scratch_base;
  ace_error error; /* the first failure; status ACE_OK until then */
};

/* ---- for operations --------------------------------------------------------------------------------------------- */

/* What a tensor argument must be: element type and rank. */
typedef enum op_kind { OP_F32, OP_WEIGHT /* F32 or BF16 */, OP_MATRIX /* those, I8 or Q8_0 */, OP_I32 } op_kind;

/* Called first by every operation: false after a failure, or when the caller has asked to stop. */
bool op_begin(tens_ctx *c);
/* Called last: the result, or NULL when the device failed or was stopped half-way. */
static inline tens *op_end(tens_ctx *c, tens *y) {
  return c->error.status == ACE_OK ? y : NULL;
}
/* Checks one argument: present, of the kind, lo <= rank <= hi, sane dims, data to read unless planning. */
bool op_arg(tens_ctx *c, const char *op, const char *name, const tens *x, op_kind kind, int lo, int hi);
/* Same, for an argument of one exact shape. */
bool op_shaped(tens_ctx *c, const char *op, const char *name, const tens *x, op_kind kind, int rank,
               const int64_t *dim);
/* Checks what follows a product of x with n columns: a known activation, bias [n], gate [batch, n], residual like the
 * result. */
bool op_epilogue_fits(tens_ctx *c, const char *op, const tens *x, int64_t n, const op_epilogue *e);
/* A result shaped like x but for its last dim. */
tens *op_new_last(tens_ctx *c, tens_dtype dtype, const tens *x, int64_t last);
bool op_same_shape(const tens *a, const tens *b);

/* What all of attention's operations share: q [B, Sq, heads*D] against k [B, Sk, kv_heads*D]. */
bool op_attention_fits(tens_ctx *c, const char *op, const tens *q, const tens *k, const op_attn *a);

static inline int64_t op_last(const tens *x) {
  return x->dim[x->rank - 1];
}

/* Shapes in messages: tens_fail(c, ACE_EINVAL, "linear: x %s does not fit w %s", TENS_SHAPE(x), TENS_SHAPE(w)). */
enum { TENS_SHAPE_SIZE = 112 };
const char *tens_shape_text(char *text, int rank, const int64_t *dim, tens_dtype dtype);
#define TENS_SHAPE(x) tens_shape_text((char[TENS_SHAPE_SIZE]){0}, (x)->rank, (x)->dim, (x)->dtype)

#endif
