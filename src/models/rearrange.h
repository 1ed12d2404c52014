/* rearrange.h - weights whose published layout is not the one that operations read, converted at load to F32 in memory
 * owned by the checkpoint, which remembers how (ckpt_derived), so that a training can convert them again and lead their
 * gradients back. Rows and tables only lose a dimension and stay where they are. On failure: a zeroed tens and r->failed,
 * as in checkpoint.h.
 */
#ifndef ACE_REARRANGE_H
#define ACE_REARRANGE_H

#include "formats/checkpoint.h"

/* [1, 1, n] -> [n] */
tens rearrange_row(ckpt_reader *r, int64_t n, const char *name);
/* [1, rows, n] -> [rows, n] */
tens rearrange_table(ckpt_reader *r, int64_t rows, int64_t n, const char *name);
/* Conv1d weight [O, C, taps] -> [O, taps, C]. */
tens rearrange_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name);
/* ConvTranspose1d weight [C, O, taps] -> [taps, O, C]. */
tens rearrange_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name);
/* The same two for weight-normalised pairs (Salimans & Kingma 2016): w = g v / ‖v‖, the norm over all dims but dim 0
 * (for the transposed form that is the input channel). `name` is the path without ".weight_g". */
tens rearrange_normed_conv(ckpt_reader *r, int64_t out, int64_t in, int64_t taps, const char *name);
tens rearrange_normed_conv_transposed(ckpt_reader *r, int64_t in, int64_t out, int64_t taps, const char *name);
/* What a snake is run with, from logarithms [1, channels, 1]: e^x, and 1 / (e^x + 1e-9). Both [channels]. */
tens rearrange_exp(ckpt_reader *r, int64_t channels, const char *name);
tens rearrange_inverse_exp(ckpt_reader *r, int64_t channels, const char *name);

#endif
