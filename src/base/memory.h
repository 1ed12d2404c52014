/* memory.h - what the system says of its memory. */
#ifndef ACE_BASE_MEMORY_H
#define ACE_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that the kernel thinks it can give without swapping; 0: it does not say. */
uint64_t memory_available(void);

#endif
