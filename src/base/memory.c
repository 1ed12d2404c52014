#define _GNU_SOURCE /* explicit_bzero */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t memory_available(void) {
  char line[128];
  unsigned long long kib = 0;
  FILE *f = fopen("/proc/meminfo", "r");
  while (f && kib == 0 && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %llu kB", &kib);
  if (f) fclose(f);
  return (uint64_t)kib * 1024;
}

void secret_free(char *key) {
  if (key) explicit_bzero(key, strlen(key)); /* a memset before free() is what compilers leave out */
  free(key);
}
