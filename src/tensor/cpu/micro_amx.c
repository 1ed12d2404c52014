/* micro_amx.c - the vector loops of micro_avx512.c, with matrix tiles for products and attention (amx.h). */
#include "tensor/cpu/amx.h"

#define MICRO_NAME          "amx"
#define MICRO_TABLE         cpu_micro_amx
#define MICRO_PRODUCT       amx_product_run
#define MICRO_ATTENTION     amx_attention_run
#define MICRO_ROWS          6
#define MICRO_BLOCK_ROWS    12
#define MICRO_BLOCK_VECTORS 2
#define MICRO_VECTORS       3
#include "tensor/cpu/micro_impl.h"
