/* amx_tile.h - the matrix-tile instructions (Intel AMX) that the amx_*.c files use, and the memory layouts of tiles.
 *
 * Eight tiles of 16 rows of 64 bytes. A product c += a b takes a as 16 rows of 32 BF16 values, b as 16 rows of 16 pairs
 * of BF16 values (row i holds values 2i and 2i+1 of the sum for each of 16 columns), c as 16 x 16 F32. For every element
 * of c the products are added in the order of the 32 values, so a result depends on one row of a and one column of b
 * alone.
 *
 * With AMX_EMULATED (cmake -DACE_EMULATE_TILES=ON) the instructions are written out in C and the same kernels run, very
 * slowly, on any machine: for tests.
 */
#ifndef ACE_CPU_AMX_TILE_H
#define ACE_CPU_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

enum {
  AMX_ROWS = 16,
  AMX_DEPTH = 32,        /* values of a sum that one product adds: a step */
  AMX_LINE = 64,         /* bytes of a tile's row */
  AMX_TILE = 1024,       /* bytes of a tile */
  AMX_PANEL = 32,        /* columns whose tiles lie together */
  AMX_PANEL_STEP = 2048, /* bytes of a panel's step: two tiles */
  AMX_STEPS = 16         /* steps whose tiles stay in the first-level cache: 32 KB of a panel */
};

/* What the compiler must not move memory accesses across: GCC does not know that tile loads and `ldtilecfg` read. */
#define AMX_BARRIER() __asm__ volatile("" ::: "memory")

#if defined(AMX_EMULATED)
#include "tensor/cpu/amx_emulated.h"
#else
#include <immintrin.h>

#define TILE_ZERO(tile)                 _tile_zero(tile)
#define TILE_LOAD(tile, from, stride)   _tile_loadd(tile, from, (size_t)(stride))
/* For what is read once: it does not push other data out of the first-level cache. */
#define TILE_STREAM(tile, from, stride) _tile_stream_loadd(tile, from, (size_t)(stride))
#define TILE_STORE(tile, to, stride)    _tile_stored(tile, to, (size_t)(stride))
#define TILE_PRODUCT(c, a, b)           _tile_dpbf16ps(c, a, b)

/* Every thread configures its own tiles before it uses them, and lets go of them when it is done, so that the system
 * need not keep 8 KB more for it. */
static inline void amx_begin(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } config = {.palette = 1};
  for (int i = 0; i < 8; i++) config.bytes[i] = AMX_LINE, config.rows[i] = AMX_ROWS;
  AMX_BARRIER();
  _tile_loadconfig(&config);
}

static inline void amx_end(void) {
  _tile_release();
  _mm_sfence(); /* results may have been written past the caches */
}
#endif

#endif
