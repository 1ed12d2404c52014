/* tape.h - gradients by recording (reverse-mode differentiation; Wengert 1964): while a tape records, operations note
 * what they did, and going back over the notes gives the gradient of a number with respect to everything before it.
 *
 *   tape *t = tape_open(&err);
 *   tape_watch(t, &w, grads);                       // dLoss/dw is to be added to grads
 *   tens_mark mark = tens_here(c);
 *   tape_begin(c, t);
 *   tens *loss = op_mean_square(c, op_linear(c, x, &w, NULL), y, NULL);
 *   tape_backward(c, loss, 1);                      // grads += dLoss/dw
 *   tape_end(c);
 *   tens_release(c, mark);
 *   tape_close(t);
 *
 * Models are written once: without a tape the same calls run as ever, at the same cost and with the same bits. An
 * operation is noted only if one of its inputs depends on something watched, so that frozen parts cost nothing. While a
 * tape records, tens_keep and tens_release keep everything, because the way back will need it; segments are how a
 * model says what may be forgotten and computed again instead.
 *
 * A gradient belongs to memory, not to a name: views share it. Gradients are F32, zero before the first share, and sums
 * are formed in the order of the notes alone, so the number of threads changes no bit. A planning context counts the
 * memory of all this.
 */
#ifndef ACE_TAPE_H
#define ACE_TAPE_H

#include "tensor/tensor.h"

typedef struct tape tape;

tape *tape_open(ace_error *err);
void tape_close(tape *t);

/* From now on the gradient of w, which lies outside of the context (F32 or BF16), is added to grad [count of w], in the
 * order of w's elements. Both outlive the watching; watched tensors do not overlap. False: out of memory. */
bool tape_watch(tape *t, const tens *w, float *grad, ace_error *err);
void tape_watch_none(tape *t);
/* Segments keep their inputs alone and run again on the way back; at first they do not. The same bits either way. */
void tape_recompute(tape *t, bool on);

/* Operations in c are noted from here on. */
void tape_begin(tens_ctx *c, tape *t);
/* Also wants the gradient of x, a tensor that was made in the context: tape_gradient. */
void tape_input(tens_ctx *c, const tens *x);
/* Goes back over all notes from y, whose own gradient is `seed` for each element. Recording is over then. False after a
 * failure, and when y depends on nothing watched. */
bool tape_backward(tens_ctx *c, const tens *y, float seed);
/* The same from several results at once, each with its own seed: the gradient of their sum, so weighted. */
bool tape_backward_all(tens_ctx *c, int n, const tens *const *y, const float *seed);
/* dy/dx after tape_backward, until tens_release; NULL where y does not depend on x. */
const tens *tape_gradient(tens_ctx *c, const tens *x);
/* The context is as before tape_begin; what was made in it is still there. */
void tape_end(tens_ctx *c);

/* ---- segments: what may be forgotten and computed again ----------------------------------------------------------- */

enum { TAPE_INPUTS = 8 };

/* A pure function of its inputs `in` (which may be NULL), of watched tensors and of what `arg` says. */
typedef tens *tape_run(tens_ctx *c, const void *arg, const tens *const *in);

/* run(c, arg, in), with `size` bytes of arg copied where they are needed again. Whatever depends on something watched
 * and was made outside of run must be among the n <= TAPE_INPUTS inputs. */
tens *tape_segment(tens_ctx *c, tape_run *run, const void *arg, size_t size, int n, const tens *const *in);

#endif
