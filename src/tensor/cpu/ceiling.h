/* ceiling.h - what this machine could do at best with an instruction set, measured: the bar for kernels, not a kernel.
 *
 * Each call takes a fraction of a second and keeps all threads of the pool busy. The rates are for all threads
 * together.
 */
#ifndef ACE_CPU_CEILING_H
#define ACE_CPU_CEILING_H

#include "tensor/tensor.h"

/* fp32 multiply-adds in registers, floating-point operations a second. isa: a name of isa.h that the machine has. */
double ceiling_multiply_add(pool *threads, const char *isa);
/* bf16 products in resident matrix tiles, operations a second; 0 where no kernel here uses tiles. */
double ceiling_tiles(pool *threads, const char *isa);
/* A linear read of that memory, bytes a second; it must be far larger than all caches. */
double ceiling_read(pool *threads, const void *memory, size_t bytes);

#endif
