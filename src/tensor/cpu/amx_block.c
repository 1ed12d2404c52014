/* amx_block.c - the innermost loop of products in matrix tiles: one or two tiles of rows by the two of a panel.
 *
 * Tiles 0..3 hold sums, 4 and 5 rows, 6 and 7 columns. With two tiles of rows, four products share four loads.
 */
#include "tensor/cpu/amx.h"

/* Tiles of rows at `a` times the columns in tiles 6 and 7. */
static inline __attribute__((always_inline)) void add_rows(const uint8_t *a, int64_t a_row, bool two) {
  TILE_STREAM(4, a, a_row);
  TILE_PRODUCT(0, 4, 6);
  TILE_PRODUCT(1, 4, 7);
  if (!two) return;
  TILE_STREAM(5, a + AMX_ROWS * a_row, a_row);
  TILE_PRODUCT(2, 5, 6);
  TILE_PRODUCT(3, 5, 7);
}

static inline __attribute__((always_inline)) void run_block(const amx_block *k, bool two, bool fine) {
  const int64_t c_row = k->c_row * (int64_t)sizeof(float);
  float *c = k->c, *c_below = c + AMX_ROWS * k->c_row;
  const uint8_t *b = k->b, *fetch = k->fetch;
  AMX_BARRIER();
  if (k->add) {
    TILE_LOAD(0, c, c_row);
    TILE_LOAD(1, c + AMX_ROWS, c_row);
    if (two) TILE_LOAD(2, c_below, c_row);
    if (two) TILE_LOAD(3, c_below + AMX_ROWS, c_row);
  } else {
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
  }
  for (int64_t i = 0; i < k->steps; i++, b += AMX_PANEL_STEP) {
    const uint8_t *a = k->a + k->offset[i];
    TILE_LOAD(6, b, AMX_LINE);
    TILE_LOAD(7, b + AMX_TILE, AMX_LINE);
    add_rows(a, k->a_row, two);
    if (fine && k->both[i]) add_rows(a + k->low, k->a_row, two);
    /* One tile of rows is faster than memory: what comes next is wanted as near as possible. */
    for (int64_t line = 0; line < k->lines; line++, fetch += AMX_LINE) {
      if (two) __builtin_prefetch(fetch, 0, 2);
      else __builtin_prefetch(fetch, 0, 3);
    }
  }
  TILE_STORE(0, c, c_row);
  TILE_STORE(1, c + AMX_ROWS, c_row);
  if (two) TILE_STORE(2, c_below, c_row);
  if (two) TILE_STORE(3, c_below + AMX_ROWS, c_row);
  AMX_BARRIER();
}

void amx_resident(int64_t rounds) {
  uint16_t rows[AMX_TILE / 2], columns[AMX_TILE / 2]; /* 1..1.5; -1 and 1 by turns, so that sums stay small */
  float sums[AMX_ROWS * AMX_ROWS];
  for (int i = 0; i < AMX_TILE / 2; i++) {
    rows[i] = (uint16_t)(0x3f80 + i % 64);
    columns[i] = i % 2 ? 0x3f80 : 0xbf80;
  }
  amx_begin();
  AMX_BARRIER();
  TILE_LOAD(4, rows, AMX_LINE);
  TILE_LOAD(5, rows, AMX_LINE);
  TILE_LOAD(6, columns, AMX_LINE);
  TILE_LOAD(7, columns, AMX_LINE);
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  for (int64_t i = 0; i < rounds; i++) {
    TILE_PRODUCT(0, 4, 6);
    TILE_PRODUCT(1, 4, 7);
    TILE_PRODUCT(2, 5, 6);
    TILE_PRODUCT(3, 5, 7);
  }
  TILE_STORE(0, sums, AMX_LINE);
  AMX_BARRIER();
  amx_end();
}

void amx_block_16(const amx_block *k) {
  if (k->low) run_block(k, false, true);
  else run_block(k, false, false);
}

void amx_block_32(const amx_block *k) {
  if (k->low) run_block(k, true, true);
  else run_block(k, true, false);
}
