/* memory.h - what the system says of its memory; memory that must not be read afterwards. */
#ifndef ACE_BASE_MEMORY_H
#define ACE_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that the kernel thinks it can give without swapping; 0: it does not say. */
uint64_t memory_available(void);

/* Frees a text that is a key, overwritten with zeros first so that it does not stay behind in memory. NULL is fine. */
void secret_free(char *key);

#endif
