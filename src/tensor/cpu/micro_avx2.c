/* micro_avx2.c - vectors of 8 floats: AVX2 with fused multiply-add. Compiled with -mavx2 -mfma. */
#define MICRO_NAME          "avx2"
#define MICRO_TABLE         cpu_micro_avx2
#define MICRO_ROWS          3
#define MICRO_BLOCK_ROWS    6
#define MICRO_BLOCK_VECTORS 2
#define MICRO_VECTORS       3
#include "tensor/cpu/micro_impl.h"
