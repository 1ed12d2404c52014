/* int8.h - the two small number formats of weight matrices [N, K].
 *
 * TENS_I8: turned rows of int8 with one F32 scale each. Memory: `data` int8 [N, K], row after row without gaps; `scale`
 * F32 [N]. Both factors of a product are turned and rounded the same way, a row at a time:
 *
 *   turn      u = H D v in blocks of B = int8_block(K) values: D changes the sign of value k of a block when the bits
 *             of k & k>>1 are odd in number (Rudin-Shapiro), H is the Hadamard matrix of size B without a factor
 *   round     s = max|u| / 127,  q = u * (127 / max|u|) rounded to nearest even
 *   product   y[m, n] = (s_x[m] * s_w[n]) * Σ_k q_x[m, k] q_w[n, k], the sum exact in int32, then the epilogue
 *
 * Turning costs log2 B additions a value and leaves products as they are but for the factor B, because H D is orthogonal
 * times √B; 1/B is part of s_w. What it gains: an outlier spreads over its whole block, so that one scale a row
 * serves. Rounded without it, rows with 0.1% outliers of 30 deviations lose 0.5 to 1% of the cosine in every layer, with
 * it 0.01%; scales for groups of 64 values would lose 0.02%, but end the integer sum after each group. The signs keep a
 * constant row, which H alone would gather in one value, flat.
 *
 * Every step is exact or rounded once in an order fixed here, so products have the same bits on every instruction set:
 * the butterflies of H run with distance 1, 2, 4 .. B/2, each (a, b) -> (a + b, a - b); 127 / max|u|, its product
 * with u, max|u| / 127, s_x * s_w, the sum as a float and their product are F32 operations. A row with a value that is
 * not finite gets q = 0 and s = NaN; one whose max|u| is below INT8_TINY gets q = 0 and s = 0.
 *
 * TENS_Q8_0: rows of blocks of 32 values, 34 bytes each, as in GGUF files: an F16 scale d, then 32 int8 q; value = d * q.
 * K is a multiple of 32; blocks lie at any even or odd address. Used like a float weight: values are widened to F32,
 * activations stay F32.
 */
#ifndef ACE_TENSOR_INT8_H
#define ACE_TENSOR_INT8_H

#include <stdbool.h>
#include <stdint.h>

enum {
  INT8_MAX_BLOCK = 1024, /* B is at most this */
  INT8_MAX_WIDTH = 32768 /* K of a TENS_I8 weight; its sums stay far from the ends of int32 */
};
#define INT8_TINY 0x1p-100f

/* The largest power of two that divides k, at most INT8_MAX_BLOCK. */
int64_t int8_block(int64_t k);
/* Turns v [k] in place. */
void int8_turn(float *v, int64_t k);
/* Rounds u [k] to q [k] and returns s. */
float int8_round(int8_t *q, const float *u, int64_t k);

/* A row of weights w [k], which is overwritten, to q [k] and *scale. False for values that are not finite. */
bool int8_encode(int8_t *q, float *scale, float *w, int64_t k);
/* The values w [k] that a row stands for. */
void int8_decode(float *w, const int8_t *q, float scale, int64_t k);

enum { Q8_0_BLOCK = 32, Q8_0_BYTES = 34 };
/* A row of k values, a multiple of 32. */
void q8_0_decode(float *w, const void *row, int64_t k);

#endif
