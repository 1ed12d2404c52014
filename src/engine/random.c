/* random.c - filling gigabytes with normal numbers in seconds.
 *
 * Work is cut into chunks of a fixed size, each with a generator of its own (SplitMix64, Steele et al. 2014, seeded by
 * tensor and chunk), so that threads do not change the numbers. A value takes 12 random bits: they choose among the
 * middles of 4096 equally likely slices of the normal distribution, which is all that BF16 can tell apart in bulk.
 */
#define _GNU_SOURCE /* madvise */
#include "engine/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/half.h"
#include "base/notify.h"
#include "engine/tiny_parts.h"
#include "engine/weights.h"

enum { SLICES = 4096, SLICE_BITS = 12, CHUNK = 1 << 18 /* values */, ROUND = 256 /* chunks between two reports */ };
enum { ALIGN = 64 };

typedef struct piece {
  const weight *w;
  uint64_t seed;
  uint16_t *out;
  int64_t first, n; /* values of the tensor */
} piece;

typedef struct filling {
  const random_models *models;
  const float *slice; /* [SLICES], standard normal */
  piece *at;
  int n, from; /* pieces; the first one of this round */
} filling;

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* The x that a standard normal stays below with probability p, by bisection. */
static double quantile(double p) {
  enum { HALVINGS = 60 };
  double low = -10, high = 10;
  for (int i = 0; i < HALVINGS; i++) {
    double middle = (low + high) / 2;
    if (erfc(-middle / sqrt(2)) / 2 < p) low = middle;
    else high = middle;
  }
  return low;
}

static float *make_slices(void) {
  float *slice = malloc(SLICES * sizeof *slice);
  for (int i = 0; slice && i < SLICES; i++) slice[i] = (float)quantile((i + 0.5) / SLICES);
  return slice;
}

uint64_t random_word(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void fill_piece(void *arg, int chunk, int worker) {
  const filling *f = arg;
  const piece *p = &f->at[f->from + chunk];
  uint16_t value[SLICES];
  for (int i = 0; i < SLICES; i++) value[i] = f32_to_bf16((float)(p->w->mean + p->w->deviation * f->slice[i]));
  uint64_t state = p->seed + (uint64_t)(p->first / CHUNK) * 0xd1342543de82ef95u;
  uint16_t *out = p->out + p->first;
  for (int64_t i = 0; i < p->n;) {
    uint64_t word = random_word(&state);
    for (int k = 0; k < 64 / SLICE_BITS && i < p->n; k++, word >>= SLICE_BITS) out[i++] = value[word % SLICES];
  }
}

/* Tensors with a shape of their own are small and take the miniature's way. */
static bool is_plain(const weight *w) {
  return !w->split && !w->balanced;
}

static ace_status fill_special(const weight *w, uint64_t seed, uint16_t *out, ace_error *err) {
  float *normal = malloc((size_t)weight_count(w) * sizeof *normal);
  if (!normal) return ace_fail(err, ACE_ENOMEM, "random models: out of memory");
  weight_fill(w, seed, normal, out);
  free(normal);
  return ACE_OK;
}

static ace_status fill_all(filling *f, ace_error *err) {
  const ace_callbacks *n = f->models->notify;
  for (f->from = 0; f->from < f->n; f->from += ROUND) {
    if (notify_stopped(n)) return ace_fail(err, ACE_ECANCELED, "random models: cancelled");
    if (n && n->progress) {
      ace_progress p = {.stage = "make", .fraction = (double)f->from / f->n, .seconds_left = -1};
      n->progress(n->user, &p);
    }
    pool_run(f->models->threads, f->n - f->from < ROUND ? f->n - f->from : ROUND, fill_piece, f);
  }
  return ACE_OK;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* ---- heavy tails -------------------------------------------------------------------------------------------------- */

static const double SPREAD = 0.5; /* of the logarithms of channel scales */
enum { OUTLIER = 30, ONE_IN = 1000 };

typedef struct heaviness {
  const random_models *models;
  const char *name;
  const weight_list *list;
  const st_tensor *tensors;
  const float *slice;
} heaviness;

/* A log-normal scale and outliers for each channel of a norm, each row of a matrix; matrices keep their variance. */
static void make_heavy(void *arg, int number, int worker) {
  const heaviness *h = arg;
  const weight *w = &h->list->at[number];
  bool of_heads = strstr(w->name, ".q_norm.") || strstr(w->name, ".k_norm."); /* no product comes behind these */
  bool matrix = w->rank == 2, norm = w->rank == 1 && w->mean == 1 && !of_heads;
  if (!matrix && !norm) return;
  uint64_t state = ~(weight_seed(h->name, w->name) ^ h->models->seed);
  const double variance = exp(2 * SPREAD * SPREAD) * (1 + (double)(OUTLIER * OUTLIER - 1) / ONE_IN);
  double keep = matrix ? 1 / sqrt(variance) : 1, scale = 0;
  uint16_t *out = (uint16_t *)h->tensors[number].data;
  int64_t row = matrix ? w->dim[1] : 1;
  for (int64_t i = 0; i < h->tensors[number].count; i++) {
    if (i % row == 0) scale = keep * exp(SPREAD * (double)h->slice[random_word(&state) % SLICES]);
    bool outlier = random_word(&state) % ONE_IN == 0;
    out[i] = f32_to_bf16((float)(scale * (outlier ? OUTLIER : 1)) * bf16_to_f32(out[i]));
  }
}

/* Lays the list out in `memory` and fills it. */
static ace_status fill(const random_models *r, const char *name, const weight_list *l, uint8_t *memory,
                       st_tensor *tensors, ace_error *err) {
  filling f = {.models = r};
  for (int i = 0; i < l->n; i++) f.n += (int)((weight_count(&l->at[i]) + CHUNK - 1) / CHUNK);
  float *slice = make_slices();
  f.slice = slice;
  f.at = malloc((size_t)f.n * sizeof *f.at);
  ace_status status = slice && f.at ? ACE_OK : ace_fail(err, ACE_ENOMEM, "random models: out of memory");
  f.n = 0;
  for (int i = 0; i < l->n && status == ACE_OK; i++) {
    const weight *w = &l->at[i];
    int64_t count = weight_count(w);
    uint64_t seed = weight_seed(name, w->name) ^ (r->seed << 32) ^ r->seed;
    tensors[i] = (st_tensor){.name = w->name,
                             .dtype = ST_BF16,
                             .rank = w->rank,
                             .count = count,
                             .data = memory,
                             .size = (size_t)count * sizeof(uint16_t)};
    memcpy(tensors[i].dim, w->dim, (size_t)w->rank * sizeof *w->dim);
    uint16_t *out = (uint16_t *)(void *)memory;
    if (!is_plain(w)) status = fill_special(w, seed, out, err);
    for (int64_t at = 0; is_plain(w) && at < count; at += CHUNK)
      f.at[f.n++] = (piece){w, seed, out, at, count - at < CHUNK ? count - at : CHUNK};
    memory += (tensors[i].size + ALIGN - 1) / ALIGN * ALIGN;
  }
  if (status == ACE_OK) status = fill_all(&f, err);
  heaviness heavy = {r, name, l, tensors, slice};
  if (status == ACE_OK && r->heavy) pool_run(r->threads, l->n, make_heavy, &heavy);
  free(f.at);
  free(slice);
  return status;
}

static ckpt *make(const random_models *r, const char *name, const char *config, const weight_list *l, ace_error *err) {
  size_t bytes = 0;
  for (int i = 0; i < l->n; i++)
    bytes += ((size_t)weight_count(&l->at[i]) * sizeof(uint16_t) + ALIGN - 1) / ALIGN * ALIGN;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  st_tensor *tensors = calloc((size_t)l->n, sizeof *tensors);
  ace_status status = memory != MAP_FAILED && tensors
                          ? ACE_OK
                          : ace_fail(err, ACE_ENOMEM, "%s: no room for %zu MiB of weights", name, bytes >> 20);
#ifdef MADV_HUGEPAGE
  if (status == ACE_OK) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  if (status == ACE_OK) status = fill(r, name, l, memory, tensors, err);
  ckpt *k = status == ACE_OK ? ckpt_open_memory(name, config, tensors, l->n, memory, bytes, err) : NULL;
  if (k && r->int8) ckpt_use_int8(k, r->threads, r->notify);
  if (status != ACE_OK && memory != MAP_FAILED) munmap(memory, bytes);
  free(tensors);
  return k;
}

/* All tensors of a model with this config.json. */
static ace_status list_of(const char *name, const json_t *config, weight_list *l, ace_error *err) {
  engine_kind kind = published_kind(name);
  if (kind == ENGINE_DIFFUSION) {
    dit_config cfg;
    ace_status status = cfg_read_dit(config, name, &cfg, err);
    return status == ACE_OK ? weights_of_dit(l, &cfg, err) : status;
  }
  if (kind == ENGINE_AUTOENCODER) {
    vae_config cfg;
    ace_status status = cfg_read_vae(config, name, &cfg, err);
    return status == ACE_OK ? weights_of_vae(l, &cfg, err) : status;
  }
  qwen3_config cfg;
  ace_status status = cfg_read_qwen3(config, name, &cfg, err);
  return status == ACE_OK ? weights_of_qwen3(l, &cfg, kind == ENGINE_LANGUAGE, err) : status;
}

/* "a, b, c" of all published diffusion and language models. */
static void known_names(char *out, size_t size) {
  size_t used = 0;
  const engine_kind kinds[] = {ENGINE_DIFFUSION, ENGINE_LANGUAGE};
  for (int k = 0; k < 2; k++)
    for (int i = 0; published_at(kinds[k], i) && used < size; i++)
      used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", published_at(kinds[k], i));
}

/* The miniature's sizes under a published name. */
static void tiny_config(const char *name, char text[PUBLISHED_SIZE]) {
  enum { VOCABULARY = 1280 /* its tokens, added ones and codes fit */ };
  switch (published_kind(name)) {
    case ENGINE_DIFFUSION: tiny_dit_text(text, true); break;
    case ENGINE_AUTOENCODER: snprintf(text, PUBLISHED_SIZE, "%s", tiny_vae_text); break;
    case ENGINE_TEXT: tiny_text_encoder_text(text, VOCABULARY, 0); break;
    case ENGINE_LANGUAGE: tiny_lm_text(text, VOCABULARY, 0, 0); break;
  }
}

static ace_status config_of(const random_models *r, const char *name, char text[PUBLISHED_SIZE], ace_error *err) {
  if (!published_config(name, text)) {
    char known[400];
    known_names(known, sizeof known);
    return ace_fail(err, ACE_EINVAL, "random: \"%.60s\" is not the name of a model: %s or " RANDOM_TINY, name, known);
  }
  if (r->tiny) tiny_config(name, text);
  return ACE_OK;
}

ckpt *random_checkpoint(const random_models *r, const char *name, ace_error *err) {
  char config[PUBLISHED_SIZE];
  if (config_of(r, name, config, err) != ACE_OK) return NULL;
  weight_list l = {0};
  json_t *json = json_parse(config, strlen(config), name, err);
  ckpt *k = json && list_of(name, json, &l, err) == ACE_OK ? make(r, name, config, &l, err) : NULL;
  weight_list_free(&l);
  json_decref(json);
  return k;
}
