/* amx_usable.c - whether matrix tiles may be used: the processor must have them, the system must keep their state, and
 * the process must have asked for it, because 8 KB more for every thread are not given unasked. */
#define _GNU_SOURCE /* syscall */
#include "tensor/cpu/amx.h"

#if defined(AMX_EMULATED)
bool amx_usable(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  TILE_CONFIG = 17, /* state components of XCR0 */
  TILE_DATA = 18,
  ASK_FOR_COMPONENT = 0x1023 /* arch_prctl: ARCH_REQ_XCOMP_PERM of Linux 5.16 */
};

static bool processor_has_tiles(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  bool tiles = d >> 24 & 1, bf16 = d >> 22 & 1;
  if (!tiles || !bf16) return false;
  bool rounding = __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1; /* AVX512_BF16 */
  /* Palette 1: at least 8 tiles of 16 rows of 64 bytes. */
  if (!rounding || !__get_cpuid_count(0x1d, 1, &a, &b, &c, &d)) return false;
  return (b >> 16) >= 8 && (b & 0xffff) >= AMX_LINE && (c & 0xffff) >= AMX_ROWS;
}

/* Only where the processor has tiles, which implies the instruction. */
static bool system_keeps_tiles(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  unsigned both = 1u << TILE_CONFIG | 1u << TILE_DATA;
  return (low & both) == both && syscall(SYS_arch_prctl, ASK_FOR_COMPONENT, TILE_DATA) == 0;
}

bool amx_usable(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && processor_has_tiles() &&
         system_keeps_tiles();
}
#endif
