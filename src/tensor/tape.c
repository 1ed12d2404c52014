#include "tensor/tape.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/context.h"
#include "tensor/grad.h"

/* Something watched. */
typedef struct watched {
  uintptr_t from, to; /* its bytes */
  int size;           /* of an element */
  float *grad;
} watched;

struct tape {
  watched *watch;
  int n, room;
  bool sorted, recompute;
  tape_node *last;
  size_t floor; /* in a segment that runs again: where its memory begins */
};

/* The gradient of one result: of all of its data, whatever views there are. */
typedef struct tape_track {
  size_t offset; /* of the data in the data arena */
  int64_t count;
  tens *gradient; /* [count]; NULL: nothing has been added yet */
} tape_track;

/* ---- what is watched ---------------------------------------------------------------------------------------------- */

tape *tape_open(ace_error *err) {
  tape *t = calloc(1, sizeof *t);
  if (!t) ace_fail(err, ACE_ENOMEM, "tape: out of memory");
  return t;
}

void tape_close(tape *t) {
  if (!t) return;
  free(t->watch);
  free(t);
}

bool tape_watch(tape *t, const tens *w, float *grad, ace_error *err) {
  if (w->dtype != TENS_F32 && w->dtype != TENS_BF16) {
    ace_fail(err, ACE_EINTERNAL, "tape: only F32 and BF16 tensors have gradients");
    return false;
  }
  if (t->n == t->room) {
    int room = t->room ? 2 * t->room : 64;
    watched *more = realloc(t->watch, (size_t)room * sizeof *more);
    if (!more) {
      ace_fail(err, ACE_ENOMEM, "tape: out of memory");
      return false;
    }
    t->watch = more;
    t->room = room;
  }
  uintptr_t from = (uintptr_t)w->data;
  t->watch[t->n++] = (watched){from, from + tens_bytes(w->dtype, tens_count(w)), w->dtype == TENS_F32 ? 4 : 2, grad};
  t->sorted = false;
  return true;
}

void tape_watch_none(tape *t) {
  t->n = 0;
}

void tape_recompute(tape *t, bool on) {
  t->recompute = on;
}

static int by_address(const void *a, const void *b) {
  const watched *x = a, *y = b;
  return (x->from > y->from) - (x->from < y->from);
}

/* What holds the data of x, or NULL. */
static const watched *find(const tape *t, const tens *x) {
  uintptr_t at = (uintptr_t)x->data;
  int low = 0, high = t->n;
  while (low < high) { /* the first that ends behind `at` */
    int middle = low + (high - low) / 2;
    if (t->watch[middle].to > at) high = middle;
    else low = middle + 1;
  }
  return low < t->n && t->watch[low].from <= at ? &t->watch[low] : NULL;
}

/* ---- notes -------------------------------------------------------------------------------------------------------- */

void tape_begin(tens_ctx *c, tape *t) {
  if (!t->sorted && t->n) qsort(t->watch, (size_t)t->n, sizeof *t->watch, by_address);
  t->sorted = true;
  t->last = NULL;
  t->floor = 0;
  c->tape = t;
  c->recording = true;
}

void tape_end(tens_ctx *c) {
  c->tape = NULL;
  c->recording = false;
}

static tape_track *track_of(const tens_ctx *c, const tens *x) {
  const tens_node *n = tens_node_of(c, x);
  return n ? n->track : NULL;
}

bool tape_tracks(const tens_ctx *c, const tens *x) {
  return x && c->tape && (track_of(c, x) || find(c->tape, x));
}

/* Memory beside the tensors' own structs. */
static void *note_memory(tens_ctx *c, size_t bytes) {
  void *p = arena_alloc(&c->nodes, bytes);
  if (!p) tens_fail(c, ACE_ENOMEM, "tape: too many operations at once");
  return p;
}

static void track(tens_ctx *c, const tens *x) {
  tens_node *n = tens_node_of(c, x);
  if (!n || n->track || n->offset == TENS_OUTSIDE) return;
  n->track = note_memory(c, sizeof *n->track);
  if (n->track) *n->track = (tape_track){n->offset, tens_count(x), NULL};
}

void tape_input(tens_ctx *c, const tens *x) {
  if (x) track(c, x);
}

tens *tape_note(tens_ctx *c, tens *y, tape_fn *back, int n, const tens *const *in, const void *saved, size_t size) {
  if (!y || !tape_wants(c, n, in)) return y;
  tape_node *node = note_memory(c, sizeof *node);
  void *copy = note_memory(c, size);
  track(c, y);
  if (!node || !copy) return NULL;
  *node = (tape_node){.before = c->tape->last, .back = back, .y = y, .n = n, .saved = copy};
  memcpy(node->in, in, (size_t)n * sizeof *in);
  if (size) memcpy(copy, saved, size);
  c->tape->last = node;
  return y;
}

bool tape_none(tens_ctx *c, const char *op, int n, const tens *const *in) {
  if (!tape_wants(c, n, in)) return true;
  tens_fail(c, ACE_EUNSUPPORTED, "%s: has no gradient", op);
  return false;
}

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

/* The gradient of a result, from now on zero or more than that. */
static const tens *touch(tens_ctx *c, tape_track *k) {
  if (k->gradient) return k->gradient;
  if (k->offset < c->tape->floor)
    return tens_fail(c, ACE_EINTERNAL, "tape: a segment uses a tensor that is not among its inputs");
  k->gradient = tens_new(c, TENS_F32, TENS_DIMS(k->count));
  if (k->gradient && !c->plan) memset(k->gradient->data, 0, (size_t)k->count * sizeof(float));
  return k->gradient;
}

/* A tensor like x over other data. */
static tens *like(tens_ctx *c, const tens *x, float *data) {
  tens_node *n = note_memory(c, sizeof *n);
  if (!n) return NULL;
  *n = (tens_node){.t = {.dtype = TENS_F32, .rank = x->rank, .data = data}, .offset = TENS_OUTSIDE};
  memcpy(n->t.dim, x->dim, sizeof x->dim);
  return &n->t;
}

tens *tape_grad(tens_ctx *c, const tens *x) {
  if (!x || !c->tape || c->error.status != ACE_OK) return NULL;
  const tens_node *n = tens_node_of(c, x);
  if (n && n->track) {
    const tens *whole = touch(c, n->track);
    if (!whole) return NULL;
    return like(c, x, c->plan ? tens_f32(whole) : tens_f32(whole) + (n->offset - n->track->offset) / sizeof(float));
  }
  const watched *w = find(c->tape, x);
  if (!w) return NULL;
  return like(c, x, w->grad + ((uintptr_t)x->data - w->from) / (size_t)w->size);
}

const tens *tape_gradient(tens_ctx *c, const tens *x) {
  const tape_track *k = track_of(c, x);
  return k && k->gradient ? tape_grad(c, x) : NULL;
}

/* Goes back over the notes behind `stop`. */
static void go_back(tens_ctx *c, tape_node *stop) {
  tape *t = c->tape;
  while (t->last != stop) {
    const tape_node *n = t->last;
    t->last = n->before;
    if (!track_of(c, n->y)->gradient) continue; /* y was of no use */
    if (!op_begin(c)) return;
    /* What lasts comes before what does not. */
    for (int i = 0; i < n->n; i++)
      if (n->in[i] && track_of(c, n->in[i])) touch(c, track_of(c, n->in[i]));
    tens_mark mark = tens_here(c);
    const tens *dy = tape_grad(c, n->y);
    if (dy) n->back(c, n, dy);
    tens_release(c, mark);
  }
}

bool tape_backward_all(tens_ctx *c, int n, const tens *const *y, const float *seed) {
  if (c->error.status != ACE_OK || !c->tape) return false;
  c->recording = false;
  for (int r = 0; r < n; r++) {
    const tens *dy = y[r] && track_of(c, y[r]) ? tape_grad(c, y[r]) : NULL;
    if (!dy) {
      tens_fail(c, ACE_EINTERNAL, "tape: the result depends on nothing that is watched");
      return false;
    }
    for (int64_t i = 0; !c->plan && i < tens_count(y[r]); i++) tens_f32(dy)[i] += seed[r];
  }
  go_back(c, NULL);
  return c->error.status == ACE_OK;
}

bool tape_backward(tens_ctx *c, const tens *y, float seed) {
  return tape_backward_all(c, 1, &y, &seed);
}

/* ---- segments ----------------------------------------------------------------------------------------------------- */

typedef struct segment {
  tape_run *run;
  const void *arg; /* a copy */
} segment;

static void run_again(tens_ctx *c, const tape_node *n, const tens *dy) {
  tape *t = c->tape;
  const segment *s = n->saved;
  tape_node *stop = t->last;
  size_t floor = t->floor;
  t->floor = c->data.used;
  c->recording = true;
  const tens *y = s->run(c, s->arg, n->in);
  c->recording = false;
  if (y && track_of(c, y)) grad_add(c, tape_grad(c, y), dy);
  go_back(c, stop);
  t->last = stop;
  t->floor = floor;
}

tens *tape_segment(tens_ctx *c, tape_run *run, const void *arg, size_t size, int n, const tens *const *in) {
  if (!c->recording || !c->tape->recompute) return run(c, arg, in);
  segment s = {run, note_memory(c, size)};
  if (!s.arg) return NULL;
  memcpy((void *)(uintptr_t)s.arg, arg, size);
  c->recording = false;
  tens_mark mark = tens_here(c);
  tens *y = tens_keep(c, mark, run(c, arg, in));
  c->recording = true;
  if (!y) return NULL;
  /* Whether y depends on something watched inside is only known when it runs again. */
  tape_node *node = note_memory(c, sizeof *node);
  segment *kept = note_memory(c, sizeof *kept);
  track(c, y);
  if (!node || !kept) return NULL;
  *kept = s;
  *node = (tape_node){.before = c->tape->last, .back = run_again, .y = y, .n = n, .saved = kept};
  memcpy(node->in, in, (size_t)n * sizeof *in);
  c->tape->last = node;
  return y;
}
