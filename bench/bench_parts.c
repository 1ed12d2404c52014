/* bench_parts.c - where the time of a model goes, operation by operation, at the published sizes.
 *
 *   bench_parts dit SECONDS [THREADS [LAYERS]]   one evaluation of the 2B diffusion transformer
 *   bench_parts vae SECONDS [THREADS]            the autoencoder's decoder
 *   bench_parts lm ROWS [THREADS [LAYERS]]       one token of the 0.6B language model for each of so many sequences
 *
 * Weights are random and only as many as caches cannot hold: layers share them, so that little memory is needed. Each
 * kind of operation is timed around the device's functions; the rest of the whole is what lies between them. The
 * instruction set is that of ACESTEP_ISA. The share of the machine is of the fused multiply-add rate (or, for lm, of
 * the plain read rate) that bench_ops prints: give it as the environment variable PEAK, in GF/s or GB/s. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/half.h"
#include "models/cost.h"
#include "models/dit.h"
#include "models/qwen3_cached.h"
#include "tensor/cpu/isa.h"
#include "tensor/device.h"

enum { RUNS = 3, WEIGHTS = 192 << 20 /* BF16 numbers */, CONDITION = 300, CONTEXT = 200 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a device that passes everything on and looks at the clock --------------------------------------------------- */

enum { LINEAR, SWIGLU, NORM, HEAD_NORM, ATTENTION, STORE, CACHED, CONV, TRANSPOSED, SNAKE, KINDS };
static const char *const kind_name[KINDS] = {"linear",      "swiglu",      "norm",        "head norm",  "attention",
                                             "cache store", "cached attn", "convolution", "transposed", "snake"};

typedef struct spent {
  double seconds[KINDS];
  int calls[KINDS];
} spent;
static spent total; /* a device has no state, and its functions no other argument that could lead here */
static const tens_device *real;

static void add_time(int kind, double begin) {
  total.seconds[kind] += now() - begin;
  total.calls[kind]++;
}

#define TIMED(NAME, KIND, PARAMETERS, ARGUMENTS) \
  static void timed_##NAME PARAMETERS {          \
    double begin = now();                        \
    real->NAME ARGUMENTS;                        \
    add_time(KIND, begin);                       \
  }
TIMED(linear, LINEAR, (tens_ctx * c, tens *y, const tens *x, const tens *w, const op_epilogue *e), (c, y, x, w, e))
TIMED(swiglu, SWIGLU, (tens_ctx * c, tens *y, const tens *x, const tens *g, const tens *u), (c, y, x, g, u))
TIMED(rms_norm, NORM, (tens_ctx * c, tens *y, const tens *x, const tens *w, float e, const tens *s, const tens *t),
      (c, y, x, w, e, s, t))
TIMED(head_norm, HEAD_NORM, (tens_ctx * c, tens *y, const tens *x, const tens *w, float e, const op_rope *r),
      (c, y, x, w, e, r))
TIMED(attention, ATTENTION, (tens_ctx * c, tens *y, const tens *q, const tens *k, const tens *v, const op_attn *a),
      (c, y, q, k, v, a))
TIMED(cache_store, STORE, (tens_ctx * c, const op_cache *h, const tens *k, const tens *v), (c, h, k, v))
TIMED(attention_cached, CACHED, (tens_ctx * c, tens *y, const tens *q, const op_cache *h, int n), (c, y, q, h, n))
TIMED(conv1d, CONV, (tens_ctx * c, tens *y, const tens *x, const tens *w, const op_conv *p), (c, y, x, w, p))
TIMED(conv1d_transposed, TRANSPOSED, (tens_ctx * c, tens *y, const tens *x, const tens *w, const op_conv *p),
      (c, y, x, w, p))
TIMED(snake, SNAKE, (tens_ctx * c, tens *y, const tens *x, const tens *a, const tens *b), (c, y, x, a, b))

static tens_device timed_device(void) {
  tens_device d = *real;
  d.linear = timed_linear;
  d.swiglu = timed_swiglu;
  d.rms_norm = timed_rms_norm;
  d.head_norm = timed_head_norm;
  d.attention = timed_attention;
  d.cache_store = timed_cache_store;
  d.attention_cached = timed_attention_cached;
  d.conv1d = timed_conv1d;
  d.conv1d_transposed = timed_conv1d_transposed;
  d.snake = timed_snake;
  return d;
}

/* ---- random weights ---------------------------------------------------------------------------------------------- */

typedef struct store {
  uint16_t *halves; /* WEIGHTS of them, small */
  float *floats;    /* as many bytes */
  size_t next;      /* where the next weight begins */
} store;

static bool make_store(store *s) {
  *s = (store){malloc((size_t)WEIGHTS * 2), malloc((size_t)WEIGHTS * 2), 0};
  if (!s->halves || !s->floats) return false;
  uint32_t state = 1;
  for (size_t i = 0; i < WEIGHTS / 2; i++) {
    state = state * 1664525u + 1013904223u;
    s->floats[i] = ((float)(state >> 8) * 0x1p-23f - 1) * 0.02f;
    s->halves[i] = s->halves[WEIGHTS / 2 + i] = f32_to_bf16(s->floats[i]);
  }
  return true;
}

static tens take(store *s, tens_dtype dtype, int rank, const int64_t *dim) {
  tens t = {.dtype = dtype, .rank = rank};
  memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
  size_t count = (size_t)tens_count(&t) * (dtype == TENS_BF16 ? 1 : 2);
  if (s->next + count > WEIGHTS) s->next = 0;
  t.data = dtype == TENS_BF16 ? (void *)(s->halves + s->next) : (void *)(s->floats + s->next / 2);
  s->next += (count + 31) / 32 * 32;
  return t;
}

static tens row(store *s, int64_t n) {
  return take(s, TENS_F32, TENS_DIMS(n));
}

static tens matrix(store *s, int64_t out, int64_t in) {
  return take(s, TENS_BF16, TENS_DIMS(out, in));
}

static linear layer(store *s, int64_t out, int64_t in) {
  return (linear){.w = matrix(s, out, in)};
}

static attn_weights attn(store *s, const block_config *b) {
  int64_t q = (int64_t)b->heads * b->head_dim, kv = (int64_t)b->kv_heads * b->head_dim;
  return (attn_weights){layer(s, q, b->hidden), layer(s, kv, b->hidden), layer(s, kv, b->hidden),
                        layer(s, b->hidden, q), row(s, b->head_dim),     row(s, b->head_dim)};
}

static mlp_weights mlp(store *s, const block_config *b) {
  return (mlp_weights){layer(s, b->intermediate, b->hidden), layer(s, b->intermediate, b->hidden),
                       layer(s, b->hidden, b->intermediate)};
}

/* ---- the models -------------------------------------------------------------------------------------------------- */

/* One evaluation of whatever is measured; its results are thrown away. */
typedef struct bench {
  tens_ctx *c;
  store s;
  int amount; /* seconds, rows */
  int layers;
  double work; /* floating-point operations, or bytes */
  void (*run)(struct bench *b);
  acestep_dit dit;
  dit_layer dit_layers[DIT_MAX_LAYERS];
  dit_condition condition;
  tens *context, *noise, *time, *ids;
  vae vae;
  qwen3 lm;
  block_weights lm_layers[CFG_MAX_LAYERS];
  qwen3_cache cache;
} bench;

static void run_dit(bench *b) {
  dit_velocity(b->c, &b->dit, &b->condition, b->context, b->noise, b->time, b->time);
}

static time_embed time_weights(store *s, int64_t H) {
  return (time_embed){layer(s, H, 256), layer(s, H, H), layer(s, 6 * H, H), row(s, H), row(s, H), row(s, 6 * H)};
}

static tens *filled(bench *b, int rank, const int64_t *dim) {
  tens t = take(&b->s, TENS_F32, rank, dim);
  return tens_from(b->c, TENS_F32, rank, dim, t.data);
}

static void make_dit(bench *b) {
  enum { H = 2048 };
  store *s = &b->s;
  dit_config *cfg = &b->dit.cfg;
  *cfg = (dit_config){.decoder = {H, 6144, 16, 8, 128, 1e6, 1e-6f},
                      .layers = b->layers ? b->layers : 24,
                      .window = 128,
                      .in_channels = 192,
                      .latent_channels = 64,
                      .patch = 2};
  cfg->encoder = cfg->decoder;
  for (int i = 0; i < cfg->layers; i++) {
    cfg->sliding[i] = i % 2 == 0;
    b->dit_layers[i] = (dit_layer){row(s, H),
                                   row(s, H),
                                   row(s, H),
                                   take(s, TENS_F32, TENS_DIMS(6, H)),
                                   attn(s, &cfg->decoder),
                                   attn(s, &cfg->decoder),
                                   mlp(s, &cfg->decoder)};
  }
  b->dit.decoder = (dit_decoder){.proj_in = take(s, TENS_BF16, TENS_DIMS(H, 2, 192)),
                                 .proj_in_bias = row(s, H),
                                 .t = time_weights(s, H),
                                 .r = time_weights(s, H),
                                 .condition = layer(s, H, H),
                                 .condition_bias = row(s, H),
                                 .norm_out = row(s, H),
                                 .table = take(s, TENS_F32, TENS_DIMS(2, H)),
                                 .proj_out = take(s, TENS_BF16, TENS_DIMS(2, 64, H)),
                                 .proj_out_bias = row(s, 64),
                                 .layers = b->dit_layers};
  int64_t frames = b->amount * 25;
  dit_attend(b->c, &b->dit, filled(b, TENS_DIMS(1, CONDITION, H)), &b->condition);
  b->context = filled(b, TENS_DIMS(1, frames, 128));
  b->noise = filled(b, TENS_DIMS(1, frames, 64));
  b->time = tens_from(b->c, TENS_F32, TENS_DIMS(1), &(float){0.5f});
  b->work = cost_velocity(cfg, frames, CONDITION);
  b->run = run_dit;
}

static void run_vae(bench *b) {
  vae_decode(b->c, &b->vae, b->noise);
}

static vae_conv conv_weights(store *s, int64_t out, int64_t taps, int64_t in) {
  return (vae_conv){take(s, TENS_F32, TENS_DIMS(out, taps, in)), row(s, out)};
}

static vae_snake snake_weights(store *s, int64_t n) {
  return (vae_snake){row(s, n), row(s, n)};
}

static void make_vae(bench *b) {
  store *s = &b->s;
  vae_config *cfg = &b->vae.cfg;
  *cfg = (vae_config){.audio_channels = 2,
                      .sampling_rate = 48000,
                      .encoder_hidden = 128,
                      .encoder_channels = 128,
                      .decoder_channels = 128,
                      .decoder_input = 64,
                      .stages = 5,
                      .strides = {2, 4, 4, 6, 10},
                      .multiples = {1, 2, 4, 8, 16},
                      .hop = 1920};
  vae_half *h = &b->vae.decoder;
  h->first = conv_weights(s, 2048, 7, 64);
  for (int i = 0; i < cfg->stages; i++) {
    int64_t in = 128 * cfg->multiples[cfg->stages - 1 - i];
    int64_t out = 128 * (i + 1 < cfg->stages ? cfg->multiples[cfg->stages - 2 - i] : 1);
    vae_block *k = &h->blocks[i];
    k->stride = cfg->strides[cfg->stages - 1 - i];
    k->snake = snake_weights(s, in);
    k->resample = (vae_conv){take(s, TENS_F32, TENS_DIMS(2 * k->stride, out, in)), row(s, out)};
    for (int u = 0; u < 3; u++)
      k->units[u] = (vae_unit){snake_weights(s, out), snake_weights(s, out), conv_weights(s, out, 7, out),
                               conv_weights(s, out, 1, out)};
  }
  h->snake = snake_weights(s, 128);
  h->last = conv_weights(s, 2, 7, 128);
  h->last.bias.data = NULL;
  b->noise = filled(b, TENS_DIMS(1, b->amount * 25, 64));
  b->work = cost_vae_decode(cfg) * b->amount * 25;
  b->run = run_vae;
}

static void run_lm(bench *b) {
  tens *hidden = qwen3_extend(b->c, &b->lm, &b->cache, b->ids);
  qwen3_logits_range(b->c, &b->lm, hidden, 0, 65536);
}

static void make_lm(bench *b) {
  store *s = &b->s;
  qwen3_config *cfg = &b->lm.cfg;
  *cfg = (qwen3_config){.block = {1024, 3072, 16, 8, 128, 1e6, 1e-6f}, .layers = b->layers ? b->layers : 28};
  cfg->vocab = 65536;
  b->lm.embed = b->lm.head = matrix(s, cfg->vocab, 1024);
  b->lm.norm = row(s, 1024);
  b->lm.layers = b->lm_layers;
  double numbers = 65536.0 * 1024;
  for (int i = 0; i < cfg->layers; i++) {
    b->lm_layers[i] = (block_weights){attn(s, &cfg->block), mlp(s, &cfg->block), row(s, 1024), row(s, 1024)};
    numbers += 1024.0 * (2 * 2048 + 2 * 1024 + 3 * 3072);
  }
  enum { MOST = CONTEXT / QWEN3_PAGE + 1 };
  int rows = b->amount;
  tens *table = tens_new(b->c, TENS_I32, TENS_DIMS(rows, MOST)), *length = tens_new(b->c, TENS_I32, TENS_DIMS(rows));
  b->ids = tens_new(b->c, TENS_I32, TENS_DIMS(rows, 1));
  qwen3_cache_make(b->c, &b->lm, TENS_BF16, rows * MOST, &b->cache);
  if (tens_status(b->c) != ACE_OK) return;
  for (int i = 0; i < rows * MOST; i++) tens_i32(table)[i] = i;
  for (int i = 0; i < rows; i++) tens_i32(length)[i] = CONTEXT, tens_i32(b->ids)[i] = i;
  for (int i = 0; i < cfg->layers; i++) {
    memset(b->cache.k[i]->data, 0, (size_t)tens_count(b->cache.k[i]) * 2);
    memset(b->cache.v[i]->data, 0, (size_t)tens_count(b->cache.v[i]) * 2);
  }
  b->cache.table = table;
  b->cache.length = length;
  b->work = numbers * 2;
  b->run = run_lm;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static double evaluate(bench *b) {
  tens_mark mark = tens_here(b->c);
  memset(&total, 0, sizeof total);
  double begin = now();
  b->run(b);
  double took = now() - begin;
  tens_release(b->c, mark);
  return took;
}

static void report(const bench *b, double best, const spent *parts) {
  const char *peak = getenv("PEAK");
  double rate = b->work / best * 1e-9, rest = best;
  printf("%s: %.1f ms, %.1f G%s", tens_isa_name(), best * 1e3, rate, b->run == run_lm ? "B/s" : "F/s");
  if (peak) printf(", %.1f %% of %s", 100 * rate / atof(peak), peak);
  printf(", memory %zu MiB\n", tens_peak(b->c) >> 20);
  for (int k = 0; k < KINDS; k++) {
    if (!parts->calls[k]) continue;
    printf("  %-12s %5d calls %9.2f ms %5.1f %%\n", kind_name[k], parts->calls[k], parts->seconds[k] * 1e3,
           100 * parts->seconds[k] / best);
    rest -= parts->seconds[k];
  }
  printf("  %-12s             %9.2f ms %5.1f %%\n", "between", rest * 1e3, 100 * rest / best);
}

static int measure(bench *b, const char *what, int threads) {
  ace_error err = {0};
  pool *p = pool_new(threads, &err);
  real = tens_cpu();
  tens_device device = timed_device();
  b->c = p ? tens_open(&(tens_options){.device = &device, .threads = p, .capacity = (size_t)8 << 30}, &err) : NULL;
  if (b->c) {
    if (!strcmp(what, "dit")) make_dit(b);
    else if (!strcmp(what, "vae")) make_vae(b);
    else make_lm(b);
    double best = 1e9;
    spent parts = {0};
    for (int r = 0; r < RUNS; r++) {
      double took = evaluate(b);
      if (took < best) best = took, parts = total;
    }
    if (tens_error(b->c, &err) == ACE_OK) report(b, best, &parts);
  }
  if (err.status != ACE_OK) fprintf(stderr, "bench_parts: %s\n", err.message);
  tens_close(b->c);
  pool_free(p);
  return err.status != ACE_OK;
}

int main(int argc, char **argv) {
  static bench b;
  bool known = argc >= 3 && argc <= 5 && (!strcmp(argv[1], "dit") || !strcmp(argv[1], "vae") || !strcmp(argv[1], "lm"));
  b.amount = known ? atoi(argv[2]) : 0;
  b.layers = argc > 4 ? atoi(argv[4]) : 0;
  if (b.amount < 1 || b.layers < 0 || b.layers > DIT_MAX_LAYERS) {
    fprintf(stderr, "usage: bench_parts dit|vae SECONDS or lm ROWS [THREADS [LAYERS]]\n");
    return 2;
  }
  bool fine = make_store(&b.s);
  int status = fine ? measure(&b, argv[1], argc > 3 ? atoi(argv[3]) : 0) : 1;
  if (!fine) fprintf(stderr, "bench_parts: out of memory\n");
  free(b.s.halves);
  free(b.s.floats);
  return status;
}
