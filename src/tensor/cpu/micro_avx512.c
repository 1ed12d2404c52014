/* micro_avx512.c - vectors of 16 floats: AVX-512 F, BW, VL and DQ. Compiled with the flags for these. */
#define MICRO_NAME          "avx512"
#define MICRO_TABLE         cpu_micro_avx512
#define MICRO_ROWS          6
#define MICRO_BLOCK_ROWS    12
#define MICRO_BLOCK_VECTORS 2
#define MICRO_VECTORS       3
#include "tensor/cpu/micro_impl.h"
