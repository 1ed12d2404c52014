/* arena.h - one block of memory, handed out from the front and taken back to a mark.
 *
 *   arena a;
 *   arena_open(&a, 1 << 20, &err);
 *   size_t mark = arena_mark(&a);
 *   float *x = arena_alloc(&a, n * sizeof *x);   // 64-byte aligned, not zeroed; NULL when the block is full
 *   arena_release(&a, mark);                      // x is gone
 *   arena_close(&a);
 *
 * A counting arena (arena_open_counting) hands out no memory at all: it only measures how much a job would take, so
 * that memory can be planned before anything runs. The block is reserved, not touched: pages cost memory once written.
 * Under the address sanitizer memory beyond the mark is poisoned.
 */
#ifndef ACE_BASE_ARENA_H
#define ACE_BASE_ARENA_H

#include "base/error.h"

#define ARENA_ALIGN 64

typedef struct arena {
  uint8_t *base;   /* NULL in a counting arena */
  size_t capacity; /* bytes; SIZE_MAX in a counting arena */
  size_t used;     /* bytes */
  size_t peak;     /* highest `used` so far: in a counting arena, the size that the job needs */
} arena;

ace_status arena_open(arena *a, size_t capacity, ace_error *err);
void arena_open_counting(arena *a);
void arena_close(arena *a);

/* In a counting arena the result is a fake non-NULL pointer that must not be followed. */
void *arena_alloc(arena *a, size_t bytes);
size_t arena_mark(const arena *a);
void arena_release(arena *a, size_t mark);
/* Gives the memory behind the present mark back to the system; it comes back, zeroed, when it is written again. */
void arena_trim(arena *a);

#endif
