#define _GNU_SOURCE
#include "base/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* Bytes left unused after each block, so that the address sanitizer sees a run over its end. */
#ifdef ARENA_ASAN
#define RED_ZONE ARENA_ALIGN
#else
#define RED_ZONE 0
#endif

#define LARGE_PAGE ((size_t)2 << 20)

ace_status arena_open(arena *a, size_t capacity, ace_error *err) {
  *a = (arena){0};
  if (capacity == 0) capacity = ARENA_ALIGN;
  void *p = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return ace_fail(err, ACE_ENOMEM, "memory: cannot reserve %zu MiB", capacity >> 20);
#if defined(MADV_HUGEPAGE)
  /* A kernel walks through a few large pages faster than through many small ones, most of all in a virtual machine. */
  if (capacity >= LARGE_PAGE) madvise(p, capacity, MADV_HUGEPAGE);
#endif
  a->base = p;
  a->capacity = capacity;
  POISON(a->base, capacity);
  return ACE_OK;
}

void arena_open_counting(arena *a) {
  *a = (arena){.capacity = SIZE_MAX};
}

void arena_close(arena *a) {
  if (a->base) {
    UNPOISON(a->base, a->capacity);
    munmap(a->base, a->capacity);
  }
  *a = (arena){0};
}

void *arena_alloc(arena *a, size_t bytes) {
  if (bytes > SIZE_MAX - 2 * ARENA_ALIGN) return NULL;
  size_t size = (bytes + RED_ZONE + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
  if (size == 0) size = ARENA_ALIGN;
  if (size > a->capacity - a->used) return NULL;
  uint8_t *p = a->base ? a->base + a->used : (uint8_t *)(uintptr_t)ARENA_ALIGN;
  a->used += size;
  if (a->used > a->peak) a->peak = a->used;
  if (a->base) UNPOISON(p, bytes);
  return p;
}

size_t arena_mark(const arena *a) {
  return a->used;
}

void arena_release(arena *a, size_t mark) {
  if (a->base && mark < a->used) POISON(a->base + mark, a->used - mark);
  a->used = mark;
}

void arena_trim(arena *a) {
  if (!a->base) return;
  size_t page = (size_t)sysconf(_SC_PAGESIZE), from = (a->used + page - 1) / page * page;
  if (from < a->capacity) madvise(a->base + from, a->capacity - from, MADV_DONTNEED);
}
