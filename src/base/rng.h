/* rng.h - the random numbers of PyTorch, so that a seed makes the same song here and there.
 *
 *   rng_noise noise;
 *   rng_noise_open(&noise, RNG_TORCH_CPU, NULL, 42);
 *   float x[64];
 *   rng_noise_fill(&noise, x, 64);               // 1.9269, 1.4873, 0.9007, -2.1055, 0.6784, -1.2345, ...
 *   int64_t third = rng_noise_index(&noise, 3);  // 0, 1 or 2: continues the same stream
 *
 * prints the same numbers as
 *
 *   g = torch.Generator("cpu").manual_seed(42)
 *   torch.randn(64, generator=g)                 # tensor([ 1.9269,  1.4873,  0.9007, -2.1055,  0.6784, -1.2345, ...
 *   torch.randint(0, 3, (1,), generator=g)
 *
 * and, with RNG_TORCH_CUDA, as torch.Generator("cuda") on the card of the given profile. Integer streams are exact;
 * normals are within 3e-6 of PyTorch's, whose logarithm and sine are vectorised approximations.
 *
 * How one seed feeds a song: open a generator for each item; the first fill is the initial latent noise [T, 64], and
 * whatever else that item needs (noise of SDE steps, samples of the autoencoder, the choice of reference segments) is
 * drawn from the same object afterwards, so that no draw ever repeats another.
 */
#ifndef ACE_BASE_RNG_H
#define ACE_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* ---- PyTorch's CPU generator: MT19937 (Matsumoto and Nishimura, 1998) ------------------------------------------ */

enum { RNG_MT_WORDS = 624 };

typedef struct rng_torch {
  uint32_t word[RNG_MT_WORDS];
  int used;           /* words of the current state already handed out */
  bool has_normal;    /* short draws make normals in pairs and keep the second one */
  double next_normal; /* that second one */
} rng_torch;

/* manual_seed: only the low 32 bits of the seed count. */
void rng_torch_seed(rng_torch *r, uint64_t seed);
uint32_t rng_torch_u32(rng_torch *r);
/* torch.randn(n), float32. The draw depends on n: fewer than 16 values take another path than 16 or more. */
void rng_torch_randn(rng_torch *r, float *out, int64_t n);
/* torch.rand(n), float32: 24-bit uniforms in [0, 1). */
void rng_torch_rand(rng_torch *r, float *out, int64_t n);
/* torch.randint(low, high, (n,)): integers in [low, high). An empty range gives `low`. */
void rng_torch_randint(rng_torch *r, int64_t low, int64_t high, int64_t *out, int64_t n);

/* ---- PyTorch's CUDA generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)  */

/* PyTorch deals values to the threads that the card can hold at once, so long draws depend on the card. */
typedef struct rng_card {
  int multiprocessors;
  int threads; /* resident threads of one multiprocessor */
} rng_card;

/* 108 multiprocessors, 2048 threads each: an A100. */
extern const rng_card rng_card_default;

typedef struct rng_philox {
  uint64_t seed;
  uint64_t offset; /* 32-bit words consumed in every thread's stream, a multiple of 4 */
  rng_card card;
} rng_philox;

/* Ten rounds: four 32-bit words for one 128-bit counter (word 0 is the lowest) and one 64-bit key. */
void rng_philox_block(uint64_t key, const uint32_t counter[4], uint32_t out[4]);

/* card NULL: rng_card_default. */
void rng_philox_seed(rng_philox *r, uint64_t seed, const rng_card *card);
/* torch.randn(n, device="cuda"), float32, as that call would leave the generator. */
void rng_philox_randn(rng_philox *r, float *out, int64_t n);
/* torch.randint(low, high, (1,), device="cuda"). An empty range gives `low`. */
int64_t rng_philox_randint(rng_philox *r, int64_t low, int64_t high);

/* ---- one generator of either kind -------------------------------------------------------------------------------- */

typedef enum rng_kind { RNG_TORCH_CPU, RNG_TORCH_CUDA } rng_kind;

typedef struct rng_noise {
  rng_kind kind;
  union {
    rng_torch cpu;
    rng_philox cuda;
  } as;
} rng_noise;

/* card: of RNG_TORCH_CUDA only; NULL: rng_card_default. */
void rng_noise_open(rng_noise *r, rng_kind kind, const rng_card *card, uint64_t seed);
/* The next `n` standard normals, as one call of torch.randn(n). */
void rng_noise_fill(rng_noise *r, float *out, int64_t n);
/* The next integer in [0, below), as torch.randint(0, below, (1,)); 0 when below < 1. */
int64_t rng_noise_index(rng_noise *r, int64_t below);

#endif
