/* isa.h - which instruction set the CPU device uses.
 *
 * "amx" (BF16 matrix tiles, AVX-512 for all else), "avx512" (F, BW, VL, DQ), "avx2" (with FMA) or "plain" (any
 * machine); tens_cpu() takes the best that the machine has, or the one that the environment variable ACESTEP_ISA names
 * if the machine has it; "float32" there means the best one without tiles. Results are equal for every number of threads, but may differ in the last digits from one
 * instruction set to another; on "amx" both factors of linear layers and attention are rounded to BF16 first, unless
 * tens_exact asks for more, and those of convolutions are taken as two BF16 numbers each.
 */
#ifndef ACE_CPU_ISA_H
#define ACE_CPU_ISA_H

#include "tensor/tensor.h"

/* The one that tens_cpu() uses now. */
const char *tens_isa_name(void);
/* The device for one; NULL for an unknown name or when this machine lacks it. */
const tens_device *tens_cpu_isa(const char *name);
/* Does it form products in matrix tiles, of factors rounded to BF16? */
bool tens_isa_has_tiles(const char *name);
/* Names from the best to the plainest, whether this machine has them or not; NULL past the last. */
const char *tens_isa_at(int index);

#endif
