/* micro_plain.c - vectors of 4 floats for the baseline of any architecture (SSE2, NEON, or what the compiler makes). */
#define MICRO_NAME  "plain"
#define MICRO_TABLE cpu_micro_plain
#if defined(__aarch64__)
#define MICRO_ROWS          4
#define MICRO_BLOCK_VECTORS 4
#else
#define MICRO_ROWS          2
#define MICRO_BLOCK_VECTORS 2
#endif
#define MICRO_BLOCK_ROWS 6
#define MICRO_VECTORS    2
#include "tensor/cpu/micro_impl.h"
