/* amx_emulated.h - the instructions of amx_tile.h in C, with the arithmetic of the manual: pairs of products are added one
 * after the other, rounded to nearest after each multiply-add, and denormal numbers count as zero. */
#ifndef ACE_CPU_AMX_EMULATED_H
#define ACE_CPU_AMX_EMULATED_H

#include <math.h>
#include <string.h>

#include "base/half.h"

typedef union amx_register {
  uint16_t pairs[AMX_ROWS][2 * AMX_ROWS];
  float values[AMX_ROWS][AMX_ROWS];
  uint8_t bytes[AMX_ROWS][AMX_LINE];
} amx_register;

static _Thread_local amx_register amx_registers[8] __attribute__((unused));

static inline void amx_move_in(amx_register *tile, const void *from, int64_t stride) {
  for (int r = 0; r < AMX_ROWS; r++) memcpy(tile->bytes[r], (const uint8_t *)from + r * stride, AMX_LINE);
}

static inline void amx_move_out(const amx_register *tile, void *to, int64_t stride) {
  for (int r = 0; r < AMX_ROWS; r++) memcpy((uint8_t *)to + r * stride, tile->bytes[r], AMX_LINE);
}

static inline float amx_flush(float x) {
  return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static inline void amx_multiply(amx_register *c, const amx_register *a, const amx_register *b) {
  float left[AMX_ROWS][2 * AMX_ROWS], even[AMX_ROWS][AMX_ROWS], odd[AMX_ROWS][AMX_ROWS];
  for (int r = 0; r < AMX_ROWS; r++) {
    for (int k = 0; k < 2 * AMX_ROWS; k++) left[r][k] = amx_flush(bf16_to_f32(a->pairs[r][k]));
    for (int n = 0; n < AMX_ROWS; n++) {
      even[r][n] = amx_flush(bf16_to_f32(b->pairs[r][2 * n]));
      odd[r][n] = amx_flush(bf16_to_f32(b->pairs[r][2 * n + 1]));
    }
  }
  for (int m = 0; m < AMX_ROWS; m++)
    for (int k = 0; k < AMX_ROWS; k++)
      for (int n = 0; n < AMX_ROWS; n++) { /* over columns, for the compiler's vectors */
        float sum = amx_flush(fmaf(left[m][2 * k], even[k][n], amx_flush(c->values[m][n])));
        c->values[m][n] = amx_flush(fmaf(left[m][2 * k + 1], odd[k][n], sum));
      }
}

#define TILE_ZERO(tile)                 memset(&amx_registers[tile], 0, sizeof(amx_register))
#define TILE_LOAD(tile, from, stride)   amx_move_in(&amx_registers[tile], from, stride)
#define TILE_STREAM(tile, from, stride) amx_move_in(&amx_registers[tile], from, stride)
#define TILE_STORE(tile, to, stride)    amx_move_out(&amx_registers[tile], to, stride)
#define TILE_PRODUCT(c, a, b)           amx_multiply(&amx_registers[c], &amx_registers[a], &amx_registers[b])

static inline void amx_begin(void) {
}

static inline void amx_end(void) {
}

#endif
