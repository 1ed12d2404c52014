#include "tensor/cpu/ceiling.h"

#include <string.h>

#include "base/clock.h"
#include "tensor/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "tensor/cpu/amx.h"
#endif

#define TILE_SECONDS 3e-3 /* of a chunk at least, about as long as one of multiply-adds takes */

enum { CHAINS = 12, STEPS = 1000000, LINE = 64, READ_CHUNK = 1 << 20, READ_AHEAD = 4096 };

/* ---- multiply-adds: CHAINS independent ones in flight; a value that depends on all of them comes back ------------- */

static float add_plain(void) {
  typedef float v4 __attribute__((vector_size(16)));
  v4 s[CHAINS], x = {0.5f, 0.5f, 0.5f, 0.5f}, sum = {0};
  for (int i = 0; i < CHAINS; i++) s[i] = x * (float)i;
  for (int k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) s[i] = s[i] * x + x;
  for (int i = 0; i < CHAINS; i++) sum += s[i];
  return sum[0] + sum[1] + sum[2] + sum[3];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static float add_avx2(void) {
  __m256 s[CHAINS], x = _mm256_set1_ps(0.5f), sum = _mm256_setzero_ps();
  for (int i = 0; i < CHAINS; i++) s[i] = _mm256_set1_ps((float)i);
  for (int k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) s[i] = _mm256_fmadd_ps(s[i], x, x);
  for (int i = 0; i < CHAINS; i++) sum = _mm256_add_ps(sum, s[i]);
  return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) static float add_avx512(void) {
  __m512 s[CHAINS], x = _mm512_set1_ps(0.5f), sum = _mm512_setzero_ps();
  for (int i = 0; i < CHAINS; i++) s[i] = _mm512_set1_ps((float)i);
  for (int k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) s[i] = _mm512_fmadd_ps(s[i], x, x);
  for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, s[i]);
  return _mm512_cvtss_f32(sum);
}
#endif

typedef struct probe {
  float (*add)(void);
  const uint8_t *memory;
  size_t bytes;
  _Atomic float sink; /* keeps the compiler from dropping the work */
} probe;

static void add_chunk(void *arg, int chunk, int worker) {
  probe *p = arg;
  p->sink = p->add();
}

double ceiling_multiply_add(pool *threads, const char *isa) {
  probe p = {.add = add_plain};
  int lanes = 4;
#if defined(__x86_64__)
  /* Beside tiles there are the vectors of AVX-512, but where tiles are emulated. */
  if (tens_isa_has_tiles(isa)) isa = tens_cpu_isa("avx512") ? "avx512" : "avx2";
  if (strcmp(isa, "avx512") == 0) p.add = add_avx512, lanes = 16;
  if (strcmp(isa, "avx2") == 0) p.add = add_avx2, lanes = 8;
#endif
  /* Several chunks for each thread: one that is interrupted does not hold up the others. */
  int chunks = 4 * pool_threads(threads);
  pool_run(threads, pool_threads(threads), add_chunk, &p);
  double begin = clock_seconds();
  pool_run(threads, chunks, add_chunk, &p);
  return 2.0 * lanes * CHAINS * STEPS * chunks / (clock_seconds() - begin);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static void tile_chunk(void *arg, int chunk, int worker) {
  const int64_t *rounds = arg;
  amx_resident(*rounds);
}

/* Seconds of `rounds` rounds in each of so many chunks. */
static double tile_seconds(pool *threads, int chunks, int64_t rounds) {
  double begin = clock_seconds();
  pool_run(threads, chunks, tile_chunk, &rounds);
  return clock_seconds() - begin;
}
#endif

double ceiling_tiles(pool *threads, const char *isa) {
  if (!tens_isa_has_tiles(isa)) return 0;
#if defined(__x86_64__)
  /* As many rounds as fill TILE_SECONDS; emulated tiles are a thousand times slower. */
  int64_t rounds = 1000;
  while (tile_seconds(threads, pool_threads(threads), rounds) < TILE_SECONDS) rounds *= 2;
  int chunks = 4 * pool_threads(threads);
  return (double)AMX_ROUND_FLOPS * (double)rounds * chunks / tile_seconds(threads, chunks, rounds);
#else
  return 0;
#endif
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void read_chunk(void *arg, int chunk, int worker) {
  typedef uint64_t v4 __attribute__((vector_size(32)));
  probe *p = arg;
  size_t from = (size_t)chunk * READ_CHUNK, n = p->bytes - from < READ_CHUNK ? p->bytes - from : READ_CHUNK;
  const uint8_t *at = p->memory + from;
  v4 a = {0}, b = {0};
  for (size_t i = 0; i + LINE <= n; i += LINE) {
    __builtin_prefetch(at + i + READ_AHEAD);
    v4 x[2];
    memcpy(x, at + i, sizeof x);
    a += x[0];
    b += x[1];
  }
  a += b;
  p->sink = (float)(a[0] + a[1] + a[2] + a[3]);
}

double ceiling_read(pool *threads, const void *memory, size_t bytes) {
  probe p = {.memory = memory, .bytes = bytes};
  double begin = clock_seconds();
  pool_run(threads, (int)((bytes + READ_CHUNK - 1) / READ_CHUNK), read_chunk, &p);
  return (double)bytes / (clock_seconds() - begin);
}
