/* rng.c - PyTorch's two generators, restated from their published algorithms: MT19937 (Matsumoto and Nishimura, 1998)
 * and Philox4x32-10 (Salmon et al., 2011), both followed by Box-Muller. What PyTorch adds is the order in which values
 * are drawn, and that order is the whole difficulty here. Logarithm, sine and cosine are taken in double precision and
 * rounded once, so results do not depend on the machine. */
#include "base/rng.h"

#include <math.h>

static const double TWO_PI = 6.283185307179586476925287;

/* ---- MT19937 --------------------------------------------------------------------------------------------------- */

enum { MT_SHIFT = 397 };

void rng_torch_seed(rng_torch *r, uint64_t seed) {
  r->word[0] = (uint32_t)seed;
  for (uint32_t i = 1; i < RNG_MT_WORDS; i++) r->word[i] = 1812433253u * (r->word[i - 1] ^ (r->word[i - 1] >> 30)) + i;
  r->used = RNG_MT_WORDS;
  r->has_normal = false;
  r->next_normal = 0;
}

static void mt_advance(rng_torch *r) {
  uint32_t *w = r->word;
  for (int i = 0; i < RNG_MT_WORDS; i++) {
    uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % RNG_MT_WORDS] & 0x7fffffffu);
    w[i] = w[(i + MT_SHIFT) % RNG_MT_WORDS] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
  }
  r->used = 0;
}

uint32_t rng_torch_u32(rng_torch *r) {
  if (r->used >= RNG_MT_WORDS) mt_advance(r);
  uint32_t y = r->word[r->used++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

static uint64_t mt_u64(rng_torch *r) {
  uint64_t high = rng_torch_u32(r);
  return high << 32 | rng_torch_u32(r);
}

void rng_torch_rand(rng_torch *r, float *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = (float)(rng_torch_u32(r) & 0xffffffu) * 0x1p-24f;
}

void rng_torch_randint(rng_torch *r, int64_t low, int64_t high, int64_t *out, int64_t n) {
  uint64_t range = high > low ? (uint64_t)high - (uint64_t)low : 1;
  for (int64_t i = 0; i < n; i++) {
    uint64_t bits = range >> 32 ? mt_u64(r) : rng_torch_u32(r);
    out[i] = (int64_t)((uint64_t)low + bits % range);
  }
}

/* Fewer than 16 values: pairs in double precision, the second of a pair kept for the next call. */
static double mt_normal(rng_torch *r) {
  if (r->has_normal) {
    r->has_normal = false;
    return r->next_normal;
  }
  double angle = TWO_PI * ((double)(mt_u64(r) & 0x1fffffffffffffu) * 0x1p-53);
  double radius = sqrt(-2 * log1p(-((double)(mt_u64(r) & 0x1fffffffffffffu) * 0x1p-53)));
  r->has_normal = true;
  r->next_normal = radius * sin(angle);
  return radius * cos(angle);
}

/* Sixteen uniforms become sixteen normals in place: the first eight are radii, the last eight angles. */
static void mt_normal_block(float x[16]) {
  for (int j = 0; j < 8; j++) {
    double radius = sqrt(-2 * log(1 - (double)x[j])), angle = TWO_PI * (double)x[j + 8];
    x[j] = (float)(radius * cos(angle));
    x[j + 8] = (float)(radius * sin(angle));
  }
}

void rng_torch_randn(rng_torch *r, float *out, int64_t n) {
  if (n < 16) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)mt_normal(r);
    return;
  }
  rng_torch_rand(r, out, n);
  for (int64_t i = 0; i <= n - 16; i += 16) mt_normal_block(out + i);
  if (n % 16 != 0) { /* the last block overlaps the one before it, and is drawn anew */
    rng_torch_rand(r, out + n - 16, 16);
    mt_normal_block(out + n - 16);
  }
}

/* ---- Philox4x32-10 --------------------------------------------------------------------------------------------- */

const rng_card rng_card_default = {.multiprocessors = 108, .threads = 2048};

enum { CUDA_BLOCK = 256, PHILOX_ROUNDS = 10 };

void rng_philox_block(uint64_t key, const uint32_t counter[4], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < PHILOX_ROUNDS; round++) {
    uint64_t a = (uint64_t)0xd2511f53u * c0, b = (uint64_t)0xcd9e8d57u * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b;
    c3 = (uint32_t)a;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void rng_philox_seed(rng_philox *r, uint64_t seed, const rng_card *card) {
  *r = (rng_philox){.seed = seed, .card = card ? *card : rng_card_default};
}

/* Block number `at` of thread `thread`: one counter holds both, so threads never meet. */
static void philox_words(const rng_philox *r, uint64_t at, uint64_t thread, uint32_t out[4]) {
  uint32_t counter[4] = {(uint32_t)at, (uint32_t)(at >> 32), (uint32_t)thread, (uint32_t)(thread >> 32)};
  rng_philox_block(r->seed, counter, out);
}

/* Box-Muller as the card does it: the sine comes first, and both uniforms are rounded to float32 (never to 0). */
static void philox_pair(uint32_t x, uint32_t y, float *first, float *second) {
  double u = (float)((double)(float)x * 0x1p-32 + 0x1p-33);
  double v = (float)((double)(float)y * (double)1.46291808e-9f + (double)0.73145904e-9f);
  double s = sqrt(-2 * log(u));
  *first = (float)(s * sin(v));
  *second = (float)(s * cos(v));
}

/* The number of threads that PyTorch starts for n values. */
static int64_t philox_threads(const rng_card *card, int64_t n) {
  int64_t resident = (int64_t)card->multiprocessors * (card->threads / CUDA_BLOCK);
  int64_t blocks = n / CUDA_BLOCK + (n % CUDA_BLOCK != 0);
  if (resident < 1) resident = 1;
  return CUDA_BLOCK * (blocks < resident ? blocks : resident);
}

/* Every thread turns one block of four words into values at base + thread, then N, 2N and 3N further on. */
void rng_philox_randn(rng_philox *r, float *out, int64_t n) {
  if (n < 1) return;
  int64_t threads = philox_threads(&r->card, n), rounds = (n - 1) / (4 * threads) + 1;
  for (int64_t round = 0; round < rounds; round++) {
    int64_t base = 4 * threads * round;
    for (int64_t thread = 0; thread < threads && base + thread < n; thread++) {
      uint32_t w[4];
      float x[4];
      philox_words(r, r->offset / 4 + (uint64_t)round, (uint64_t)thread, w);
      int64_t left = (n - base - thread - 1) / threads + 1; /* how many of the four lie inside n */
      philox_pair(w[0], w[1], &x[0], &x[1]);
      if (left > 2) philox_pair(w[2], w[3], &x[2], &x[3]);
      for (int64_t i = 0; i < left && i < 4; i++) out[base + thread + threads * i] = x[i];
    }
  }
  r->offset += 4 * (uint64_t)rounds;
}

int64_t rng_philox_randint(rng_philox *r, int64_t low, int64_t high) {
  uint32_t w[4];
  philox_words(r, r->offset / 4, 0, w);
  r->offset += 4;
  uint64_t range = high > low ? (uint64_t)high - (uint64_t)low : 1;
  uint64_t bits = range >> 32 ? (uint64_t)w[0] << 32 | w[1] : w[0];
  return (int64_t)((uint64_t)low + bits % range);
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

void rng_noise_open(rng_noise *r, rng_kind kind, const rng_card *card, uint64_t seed) {
  r->kind = kind;
  if (kind == RNG_TORCH_CUDA) rng_philox_seed(&r->as.cuda, seed, card);
  else rng_torch_seed(&r->as.cpu, seed);
}

void rng_noise_fill(rng_noise *r, float *out, int64_t n) {
  if (r->kind == RNG_TORCH_CUDA) rng_philox_randn(&r->as.cuda, out, n);
  else rng_torch_randn(&r->as.cpu, out, n);
}

int64_t rng_noise_index(rng_noise *r, int64_t below) {
  int64_t index;
  if (r->kind == RNG_TORCH_CUDA) index = rng_philox_randint(&r->as.cuda, 0, below);
  else rng_torch_randint(&r->as.cpu, 0, below, &index, 1);
  return index;
}
