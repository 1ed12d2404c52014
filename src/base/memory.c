#include "base/memory.h"

#include <stdio.h>

uint64_t memory_available(void) {
  char line[128];
  unsigned long long kib = 0;
  FILE *f = fopen("/proc/meminfo", "r");
  while (f && kib == 0 && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %llu kB", &kib);
  if (f) fclose(f);
  return (uint64_t)kib * 1024;
}
