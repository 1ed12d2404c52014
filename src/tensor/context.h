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
#include "tensor/tape.h"

struct tens_ctx {
  const tens_device *device;
  pool *threads;         /* NULL: the caller's thread alone */
  int workers;           /* pool_threads(threads), or 1 */
  size_t worker_scratch; /* bytes */
  bool plan, exact;
  bool (*cancelled)(void *user);
  void *user;
  arena data, nodes;
  arena scratch; /* one allocation of workers * worker_scratch; none when planning */
  uint8_t *scratch_base;
  ace_error error; /* the first failure; status ACE_OK until then */
  tape *tape;      /* NULL: there is none */
  bool recording;  /* to that tape */
};

/* A tensor with what the context must know about where its data lies. */
typedef struct tens_node {
  tens t;                   /* first: a tens of this context is a node */
  size_t offset;            /* of the data in the data arena; TENS_OUTSIDE if it lies elsewhere */
  struct tape_track *track; /* of the data that x is, or is part of, when a tape wants its gradient; else NULL */
} tens_node;

#define TENS_OUTSIDE SIZE_MAX

/* The node that x is, or NULL for a tensor that the context did not make. */
tens_node *tens_node_of(const tens_ctx *c, const tens *x);

/* ---- for operations --------------------------------------------------------------------------------------------- */

/* Must products be as accurate as F32 allows? Where tens_exact asks for it, and under a tape: gradients are those of what
 * was computed. */
static inline bool op_exact(const tens_ctx *c) {
  return c->exact || c->tape;
}

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
/* Length of a convolution's result; 0 and a failure for what does not fit. */
int64_t op_conv1d_time(tens_ctx *c, const char *op, const tens *x, const tens *w, const op_conv *p);
int64_t op_conv1d_transposed_time(tens_ctx *c, const char *op, const tens *x, const tens *w, const op_conv *p);

static inline int64_t op_last(const tens *x) {
  return x->dim[x->rank - 1];
}

/* Shapes in messages: tens_fail(c, ACE_EINVAL, "linear: x %s does not fit w %s", TENS_SHAPE(x), TENS_SHAPE(w)). */
enum { TENS_SHAPE_SIZE = 112 };
const char *tens_shape_text(char *text, int rank, const int64_t *dim, tens_dtype dtype);
#define TENS_SHAPE(x) tens_shape_text((char[TENS_SHAPE_SIZE]){0}, (x)->rank, (x)->dim, (x)->dtype)

/* ---- for operations that have a gradient --------------------------------------------------------------------------- */

typedef struct tape_node tape_node;
/* Adds to the gradients of n->in (tape_grad) what dy, the gradient of n->y, gives them. Not called when planning
 * forbids: it must itself only count then. Its other memory is taken back afterwards. */
typedef void tape_fn(tens_ctx *c, const tape_node *n, const tens *dy);

struct tape_node {
  tape_node *before;
  tape_fn *back;
  const tens *y;
  const tens *in[TAPE_INPUTS]; /* NULL where there is none */
  int n;
  const void *saved; /* what else `back` needs to know */
};

#define TAPE_IN(...)                                                                \
  (int)(sizeof((const tens *[]){__VA_ARGS__}) / sizeof(tens *)), (const tens *[]) { \
    __VA_ARGS__                                                                     \
  }

/* Does a tape want the gradient of x, which may be NULL? */
bool tape_tracks(const tens_ctx *c, const tens *x);
static inline bool tape_wants(const tens_ctx *c, int n, const tens *const *in) {
  if (!c->recording) return false;
  for (int i = 0; i < n; i++)
    if (tape_tracks(c, in[i])) return true;
  return false;
}
/* Notes that y came from `in`, with a copy of `size` bytes of `saved`, if it is wanted. Returns y. */
tens *tape_note(tens_ctx *c, tens *y, tape_fn *back, int n, const tens *const *in, const void *saved, size_t size);
/* Of operations that have no gradient: false, with an error recorded, if one is wanted. */
bool tape_none(tens_ctx *c, const char *op, int n, const tens *const *in);
/* The gradient of x to add to, F32 of its shape; NULL when it is not wanted. */
tens *tape_grad(tens_ctx *c, const tens *x);

#endif
