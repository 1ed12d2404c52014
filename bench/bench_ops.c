/* bench_ops.c - how fast the CPU device's products, attention and convolutions are, beside what the machine can do.
 *
 *   bench_ops                  the best instruction set, 1 thread and all threads
 *   bench_ops avx2 1           one instruction set (or "all"), one number of threads
 *   bench_ops avx2 2 backward  gradients in place of the operations; the work of attention is five products, what its
 *                              first pass does over again not counted
 *
 * Each number is the best of several runs, in 1e9 floating-point operations a second (a multiply-add is two) and as a
 * share of the fused multiply-add rate, on "amx" that of the matrix tiles, measured in the same run with the same
 * instruction set and threads (tensor/cpu/ceiling.h). Products of one row are bound by memory: their weights rotate
 * through more memory than caches hold, and the table gives their bytes a second beside the rate of a plain read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/half.h"
#include "tensor/cpu/ceiling.h"
#include "tensor/cpu/isa.h"
#include "tensor/ops_backward.h"

enum { RUNS = 7 };

/* Seconds; of this process's own time on the processor when it is alone, so that others on the machine count less. */
static double now(bool alone) {
  struct timespec t;
  clock_gettime(alone ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the device does ---------------------------------------------------------------------------------------- */

typedef struct bench {
  tens_ctx *c;
  bool alone;        /* one thread */
  double peak, read; /* GF/s, GB/s */
  float *values;     /* VALUES random numbers, for every F32 input */
  uint16_t *halves;  /* the same memory as BF16 weights */
} bench;

enum { VALUES = 64 << 20 };

static double larger(double a, double b) {
  return a > b ? a : b;
}

/* What the machine can do: the best of several looks, as for what is measured. */
static void find_ceilings(bench *b, pool *threads, const char *isa) {
  double (*arithmetic)(pool *, const char *) = tens_isa_has_tiles(isa) ? ceiling_tiles : ceiling_multiply_add;
  for (int r = 0; r < RUNS; r++) {
    b->peak = larger(b->peak, arithmetic(threads, isa) * 1e-9);
    b->read = larger(b->read, ceiling_read(threads, b->values, VALUES * sizeof *b->values) * 1e-9);
  }
}

static tens f32_of(bench *b, int rank, const int64_t *dim) {
  tens t = {.dtype = TENS_F32, .rank = rank, .data = b->values};
  memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
  return t;
}

typedef struct work {
  enum { LINEAR, ATTENTION, CONV, LINEAR_INPUT, LINEAR_WEIGHT, ATTENTION_BACKWARD, CONV_INPUT, CONV_WEIGHT } kind;
  tens x, w, k, dy;
  op_attn attn;
  op_conv conv;
  double flops, bytes; /* bytes: of weights, 0 when computation binds */
} work;

static tens *grad_of(bench *b, const tens *x) {
  return tens_new(b->c, TENS_F32, x->rank, x->dim);
}

/* What gradients are added to is whatever the run before left there. */
static void run_backward(bench *b, const work *w) {
  if (w->kind == LINEAR_INPUT) op_linear_backward_input(b->c, grad_of(b, &w->x), &w->dy, &w->w);
  if (w->kind == LINEAR_WEIGHT) op_linear_backward_weight(b->c, grad_of(b, &w->w), &w->dy, &w->x);
  if (w->kind == ATTENTION_BACKWARD)
    op_attention_backward(b->c, grad_of(b, &w->x), grad_of(b, &w->k), grad_of(b, &w->k), &w->x, &w->x, &w->k, &w->k,
                          &w->x, &w->attn);
  if (w->kind == CONV_INPUT) op_conv1d_backward(b->c, grad_of(b, &w->x), NULL, &w->dy, &w->x, &w->w, &w->conv);
  if (w->kind == CONV_WEIGHT) op_conv1d_backward(b->c, NULL, grad_of(b, &w->w), &w->dy, &w->x, &w->w, &w->conv);
}

static void run_once(bench *b, const work *w, int turn) {
  tens weights = w->w;
  int64_t size = (int64_t)tens_bytes(w->w.dtype, tens_count(&w->w));
  if (w->bytes > 0) weights.data = (uint8_t *)b->values + turn % ((int64_t)VALUES * 4 / size) * size;
  tens_mark mark = tens_here(b->c);
  if (w->kind == LINEAR) op_linear(b->c, &w->x, &weights, NULL);
  if (w->kind == ATTENTION) op_attention(b->c, &w->x, &w->k, &w->k, &w->attn);
  if (w->kind == CONV) op_conv1d(b->c, &w->x, &w->w, &w->conv);
  if (w->kind >= LINEAR_INPUT) run_backward(b, w);
  tens_release(b->c, mark);
}

static void measure(bench *b, const char *what, const work *w) {
  double best = 1e9;
  int turns = w->bytes > 0 ? 16 : 1, turn = 0;
  for (int r = 0; r < RUNS; r++) {
    double begin = now(b->alone);
    for (int i = 0; i < turns; i++) run_once(b, w, turn++);
    double took = (now(b->alone) - begin) / turns;
    if (took < best) best = took;
  }
  double rate = w->flops / best * 1e-9;
  printf("  %-34s %9.3f ms %8.1f GF/s %5.0f %%", what, best * 1e3, rate, 100 * rate / b->peak);
  if (w->bytes > 0)
    printf("   %5.1f GB/s %5.0f %% of a read", w->bytes / best * 1e-9, 100 * w->bytes / best * 1e-9 / b->read);
  putchar('\n');
  fflush(stdout);
}

static void bench_linear(bench *b, int64_t M, int64_t K, int64_t N, tens_dtype dtype) {
  work w = {.kind = LINEAR, .x = f32_of(b, TENS_DIMS(M, K)), .w = f32_of(b, TENS_DIMS(N, K))};
  w.w.dtype = dtype;
  if (dtype == TENS_BF16) w.w.data = b->halves;
  if (dtype == TENS_I8) w.w.scale = b->values;
  w.flops = 2.0 * (double)(M * K * N);
  w.bytes = M == 1 ? (double)tens_bytes(dtype, K * N) : 0;
  char what[64];
  snprintf(what, sizeof what, "linear M=%d K=%d N=%d %s", (int)M, (int)K, (int)N,
           dtype == TENS_F32  ? "f32"
           : dtype == TENS_I8 ? "int8"
                              : "bf16");
  measure(b, what, &w);
}

static void bench_attention(bench *b, int64_t S, int window, bool backward) {
  enum { HEADS = 16, KV_HEADS = 8, D = 128 };
  work w = {.kind = backward ? ATTENTION_BACKWARD : ATTENTION,
            .x = f32_of(b, TENS_DIMS(1, S, HEADS * D)),
            .k = f32_of(b, TENS_DIMS(1, S, KV_HEADS * D))};
  w.attn = (op_attn){.heads = HEADS, .kv_heads = KV_HEADS, .window = window};
  double seen = 0;
  for (int64_t i = 0; i < S; i++)
    for (int64_t j = 0; j < S; j++) seen += window < 0 || (i > j ? i - j : j - i) <= window;
  w.flops = (backward ? 10.0 : 4.0) * HEADS * D * seen;
  char what[64];
  snprintf(what, sizeof what, "%s S=%d %s", backward ? "d attention" : "attention", (int)S,
           window < 0 ? "full" : "window 128");
  measure(b, what, &w);
}

static void bench_conv(bench *b, int64_t C, int64_t O, int64_t taps, int64_t T) {
  work w = {.kind = CONV, .x = f32_of(b, TENS_DIMS(1, T, C)), .w = f32_of(b, TENS_DIMS(O, taps, C))};
  w.conv = (op_conv){.stride = 1, .pad = (int)taps / 2, .dilation = 1};
  w.flops = 2.0 * (double)(C * O * taps * T);
  char what[64];
  snprintf(what, sizeof what, "conv C=%d O=%d k=%d T=%d", (int)C, (int)O, (int)taps, (int)T);
  measure(b, what, &w);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void bench_linear_backward(bench *b, int64_t M, int64_t K, int64_t N, tens_dtype dtype) {
  work w = {.x = f32_of(b, TENS_DIMS(M, K)), .dy = f32_of(b, TENS_DIMS(M, N)), .w = f32_of(b, TENS_DIMS(N, K))};
  char what[64];
  w.flops = 2.0 * (double)(M * K * N);
  w.kind = dtype == TENS_F32 ? LINEAR_WEIGHT : LINEAR_INPUT;
  w.w.dtype = dtype;
  if (dtype == TENS_BF16) w.w.data = b->halves;
  if (dtype == TENS_I8) w.w.scale = b->values;
  snprintf(what, sizeof what, "%s M=%d K=%d N=%d %s", w.kind == LINEAR_INPUT ? "dx" : "dw", (int)M, (int)K, (int)N,
           dtype == TENS_F32  ? ""
           : dtype == TENS_I8 ? "int8"
                              : "bf16");
  measure(b, what, &w);
}

static void bench_conv_backward(bench *b, int64_t C, int64_t O, int64_t taps, int64_t T) {
  work w = {.x = f32_of(b, TENS_DIMS(1, T, C)), .dy = f32_of(b, TENS_DIMS(1, T, O))};
  w.w = f32_of(b, TENS_DIMS(O, taps, C));
  w.conv = (op_conv){.stride = 1, .pad = (int)taps / 2, .dilation = 1};
  w.flops = 2.0 * (double)(C * O * taps * T);
  for (w.kind = CONV_INPUT; w.kind <= CONV_WEIGHT; w.kind++) {
    char what[64];
    snprintf(what, sizeof what, "conv d%c C=%d O=%d k=%d T=%d", w.kind == CONV_INPUT ? 'x' : 'w', (int)C, (int)O,
             (int)taps, (int)T);
    measure(b, what, &w);
  }
}

static void bench_backward(bench *b) {
  static const int64_t rows[] = {125, 375, 1500}, shapes[][2] = {{2048, 2048}, {2048, 6144}, {6144, 2048}};
  for (int s = 0; s < 3; s++)
    for (int r = 0; r < 3; r++) {
      bench_linear_backward(b, rows[r], shapes[s][0], shapes[s][1], TENS_BF16);
      bench_linear_backward(b, rows[r], shapes[s][0], shapes[s][1], TENS_I8);
      bench_linear_backward(b, rows[r], shapes[s][0], shapes[s][1], TENS_F32);
    }
  bench_linear_backward(b, 375, 2048, 64, TENS_F32); /* an adapter's factors */
  bench_linear_backward(b, 375, 64, 2048, TENS_F32);
  for (int64_t S = 375; S <= 1500; S *= 4) {
    bench_attention(b, S, -1, true);
    bench_attention(b, S, 128, true);
  }
  bench_conv_backward(b, 128, 128, 7, 48000);
  bench_conv_backward(b, 1024, 1024, 7, 500);
  bench_conv_backward(b, 128, 2, 7, 48000);
  bench_conv_backward(b, 2, 128, 7, 48000);
}

static void bench_all(bench *b) {
  static const int64_t rows[] = {1, 125, 375, 1500}, shapes[][2] = {{2048, 2048}, {2048, 6144}, {6144, 2048}};
  for (int s = 0; s < 3; s++)
    for (int r = 0; r < 4; r++) {
      bench_linear(b, rows[r], shapes[s][0], shapes[s][1], TENS_BF16);
      bench_linear(b, rows[r], shapes[s][0], shapes[s][1], TENS_F32);
      bench_linear(b, rows[r], shapes[s][0], shapes[s][1], TENS_I8);
    }
  for (int64_t S = 375; S <= 1500; S *= 4) {
    bench_attention(b, S, -1, false);
    bench_attention(b, S, 128, false);
  }
  bench_conv(b, 128, 128, 7, 48000);
  bench_conv(b, 1024, 1024, 7, 500);
  bench_conv(b, 128, 2, 7, 48000);
  bench_conv(b, 2, 128, 7, 48000);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static bool bench_isa(const char *isa, int threads, void (*list)(bench *b), float *values, uint16_t *halves) {
  ace_error err = {0};
  pool *p = pool_new(threads, &err);
  tens_options options = {.device = tens_cpu_isa(isa), .threads = p, .capacity = (size_t)512 << 20};
  bench b = {.c = p ? tens_open(&options, &err) : NULL, .alone = threads == 1, .values = values, .halves = halves};
  if (b.c) {
    find_ceilings(&b, p, isa);
    threads = pool_threads(p);
    printf("%s, %d thread%s: %s %.1f GF/s, read %.1f GB/s\n", isa, threads, threads > 1 ? "s" : "",
           tens_isa_has_tiles(isa) ? "matrix tiles" : "multiply-add", b.peak, b.read);
    list(&b);
    if (tens_error(b.c, &err) != ACE_OK) fprintf(stderr, "bench_ops: %s\n", err.message);
  } else fprintf(stderr, "bench_ops: %s\n", err.message);
  tens_close(b.c);
  pool_free(p);
  return err.status == ACE_OK;
}

/* Random numbers in -1..1, as floats and, where weights are BF16, as pairs of such. */
static bool make_values(float **values, uint16_t **halves) {
  enum { HALVES = 13 << 20 };
  *values = malloc((size_t)VALUES * sizeof **values);
  *halves = malloc((size_t)HALVES * sizeof **halves);
  if (!*values || !*halves) return false;
  uint32_t state = 1;
  for (size_t i = 0; i < VALUES; i++) {
    state = state * 1664525u + 1013904223u;
    (*values)[i] = (float)(state >> 8) * 0x1p-23f - 1;
  }
  for (size_t i = 0; i < HALVES; i++) (*halves)[i] = f32_to_bf16((*values)[i]);
  return true;
}

int main(int argc, char **argv) {
  const char *isa = argc > 1 ? argv[1] : tens_isa_name();
  int threads = argc > 2 ? atoi(argv[2]) : 0;
  void (*list)(bench * b) = argc > 3 && !strcmp(argv[3], "backward") ? bench_backward : bench_all;
  float *values = NULL;
  uint16_t *halves = NULL;
  bool fine = make_values(&values, &halves);
  if (!fine) fprintf(stderr, "bench_ops: out of memory\n");
  for (int i = 0; fine && tens_isa_at(i); i++) {
    if (strcmp(isa, "all") && strcmp(isa, tens_isa_at(i))) continue;
    if (!tens_cpu_isa(tens_isa_at(i))) {
      printf("%s: not on this machine\n", tens_isa_at(i));
      continue;
    }
    if (threads == 0) fine = bench_isa(tens_isa_at(i), 1, list, values, halves);
    if (fine && (threads != 0 || pool_cpus() > 1)) fine = bench_isa(tens_isa_at(i), threads, list, values, halves);
  }
  free(values);
  free(halves);
  return fine ? 0 : 1;
}
