/* adapters.c - what each layer runs for all adapters that sit on it. */
#include "models/adapters.h"

#include <stdlib.h>
#include <string.h>

#include "models/adapter_norms.h"

/* What one layer runs, in one block of memory that begins with the delta itself. */
typedef struct layer_block {
  linear_delta *delta; /* NULL: the layer is plain */
  size_t bytes;
} layer_block;

struct adapters {
  pool *threads;
  adapter_layer *layer;
  linear **linears;
  int n_layers;
  layer_block *block; /* for each layer, in use by it */
  adapter *entry;
  int n;
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

enum { ALIGN = 64 };

/* Hands out parts of a block; without a base it only counts. */
typedef struct carver {
  uint8_t *base;
  size_t used;
} carver;

static void *carve(carver *c, size_t bytes) {
  void *at = c->base ? c->base + c->used : NULL;
  c->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
  return at;
}

static tens carve_tens(carver *c, tens_dtype dtype, int64_t rows, int64_t columns) {
  void *data = carve(c, tens_bytes(dtype, rows * columns));
  return (tens){.dtype = dtype, .rank = 2, .dim = {rows, columns}, .data = data};
}

static tens carve_vector(carver *c, int64_t n) {
  return (tens){.dtype = TENS_F32, .rank = 1, .dim = {n}, .data = carve(c, (size_t)n * sizeof(float))};
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

/* A module on a layer, at its present scale. */
typedef struct share {
  const adapter *a;
  const adapter_module *m;
  const float *factors; /* of its DoRA; NULL: none */
} share;

enum { PIECE = 1024 };

/* Rows of A below those of the adapters before it; B scaled, its columns beside theirs. */
static void fill_low_rank(const share *s, int64_t first, linear_delta *d) {
  const st_tensor *a = s->m->a, *b = s->m->b;
  const float *rows = s->m->norm_of_columns ? NULL : s->factors, *columns = s->m->norm_of_columns ? s->factors : NULL;
  double scale = s->a->scale * s->m->scale;
  int64_t K = s->m->columns, N = s->m->rows, r = s->m->rank, all = d->a.dim[0];
  float x[PIECE];
  for (int64_t i = 0; i < r * K; i += PIECE) {
    int64_t n = r * K - i < PIECE ? r * K - i : PIECE;
    st_widen(a, i, n, x);
    for (int64_t j = 0; j < n; j++)
      adapter_store(&d->a, first * K + i + j, columns ? x[j] * columns[(i + j) % K] : x[j]);
  }
  for (int64_t i = 0; i < N; i++)
    for (int64_t at = 0; at < r; at += PIECE) {
      int64_t n = r - at < PIECE ? r - at : PIECE;
      double k = rows ? scale * (double)rows[i] : scale;
      st_widen(b, i * r + at, n, x);
      for (int64_t j = 0; j < n; j++) adapter_store(&d->b, i * all + first + at + j, (float)(k * (double)x[j]));
    }
}

static void fill_kron(const share *s, linear_kron *k) {
  adapter_kron_factor(s->m->w1, s->m->w1_a, s->m->w1_b, s->a->scale * s->m->scale, &k->w1);
  adapter_kron_factor(s->m->w2, s->m->w2_a, s->m->w2_b, 1, &k->w2);
  const tens *to = s->m->norm_of_columns ? &k->columns : &k->rows;
  if (s->factors) memcpy(to->data, s->factors, (size_t)to->dim[0] * sizeof(float));
}

/* 1 + sum of k (factor - 1) */
static void add_factors(const share *s, const tens *to) {
  for (int64_t i = 0; i < to->dim[0]; i++) tens_f32(to)[i] += (float)(s->a->scale * ((double)s->factors[i] - 1));
}

/* ---- one layer --------------------------------------------------------------------------------------------------- */

static bool active(const adapter *a) {
  return a->on && a->scale != 0;
}

/* The module of adapter `a` on a layer. */
static bool share_of(const adapters *s, const adapter *a, int layer, share *out) {
  int i = active(a) ? a->fit.module_of[layer] : -1;
  if (i < 0) return false;
  const adapter_module *m = &a->file->module[i];
  *out = (share){a, m, a->factors ? a->factors[layer] : NULL};
  return true;
}

/* What sits on a layer, all adapters together. */
typedef struct load {
  int64_t rank;
  int krons;
  bool any, rows, columns;
  bool wide; /* some of it is more precise than bf16 */
} load;

static bool is_wide(const adapter_module *m) {
  const st_tensor *factor[] = {m->a, m->b, m->w2, m->w2_a, m->w2_b};
  for (size_t i = 0; i < sizeof factor / sizeof *factor; i++)
    if (factor[i] && factor[i]->dtype != ST_BF16) return true;
  return false;
}

static load load_of(const adapters *s, int layer) {
  load l = {0};
  share one;
  for (int i = 0; i < s->n; i++) {
    if (!share_of(s, &s->entry[i], layer, &one)) continue;
    l.any = true;
    l.wide |= is_wide(one.m);
    if (one.m->kind == ADAPTER_LORA) l.rank += one.m->rank;
    else l.krons++;
    if (one.factors) *(one.m->norm_of_columns ? &l.columns : &l.rows) = true;
  }
  return l;
}

/* Lays the parts of a layer's delta out or, without a base, counts their bytes and returns NULL. */
static linear_delta *lay_out(const adapters *s, int layer, const load *l, carver *c) {
  int64_t N = s->layer[layer].rows, K = s->layer[layer].columns;
  tens_dtype dtype = l->wide ? TENS_F32 : TENS_BF16; /* as precise as the files */
  linear_delta *d = carve(c, sizeof *d), own = {.n_kron = l->krons};
  own.kron = carve(c, (size_t)l->krons * sizeof *own.kron);
  if (l->rank) {
    own.a = carve_tens(c, dtype, l->rank, K);
    own.b = carve_tens(c, dtype, N, l->rank);
  }
  if (l->rows) own.rows = carve_vector(c, N);
  if (l->columns) own.columns = carve_vector(c, K);
  share one;
  for (int i = 0, k = 0; i < s->n; i++) {
    if (!share_of(s, &s->entry[i], layer, &one) || one.m->kind != ADAPTER_LOKR) continue;
    const adapter_module *m = one.m;
    linear_kron kron = {.w1 = carve_tens(c, TENS_F32, m->p, m->q), .w2 = carve_tens(c, dtype, m->c, m->d)};
    if (one.factors && m->norm_of_columns) kron.columns = carve_vector(c, K);
    if (one.factors && !m->norm_of_columns) kron.rows = carve_vector(c, N);
    if (own.kron) own.kron[k] = kron;
    k++;
  }
  if (d) *d = own;
  return d;
}

static void fill(const adapters *s, int layer, linear_delta *d) {
  share one;
  for (int64_t i = 0; d->rows.rank && i < d->rows.dim[0]; i++) tens_f32(&d->rows)[i] = 1;
  for (int64_t i = 0; d->columns.rank && i < d->columns.dim[0]; i++) tens_f32(&d->columns)[i] = 1;
  int64_t first = 0;
  for (int i = 0, k = 0; i < s->n; i++) {
    if (!share_of(s, &s->entry[i], layer, &one)) continue;
    if (one.m->kind == ADAPTER_LORA) {
      fill_low_rank(&one, first, d);
      first += one.m->rank;
    } else fill_kron(&one, &d->kron[k++]);
    if (one.factors) add_factors(&one, one.m->norm_of_columns ? &d->columns : &d->rows);
  }
}

/* ---- all layers -------------------------------------------------------------------------------------------------- */

typedef struct building {
  const adapters *s;
  layer_block *block;
} building;

static void build_layer(void *arg, int layer, int worker) {
  const building *b = arg;
  if (b->block[layer].delta) fill(b->s, layer, b->block[layer].delta);
}

static void free_blocks(layer_block *block, int n) {
  for (int i = 0; block && i < n; i++) free(block[i].delta);
  free(block);
}

static ace_status make_blocks(const adapters *s, layer_block *block, ace_error *err) {
  for (int i = 0; i < s->n_layers; i++) {
    load l = load_of(s, i);
    if (!l.any) continue;
    if (l.rows && l.columns)
      return ace_fail(err, ACE_EUNSUPPORTED,
                      "adapters: on %s one normalises rows and another columns; they cannot be used together",
                      s->layer[i].name);
    carver count = {0}, real = {0};
    lay_out(s, i, &l, &count);
    real.base = aligned_alloc(ALIGN, count.used);
    if (!real.base)
      return ace_fail(err, ACE_ENOMEM, "adapters: out of memory for %zu bytes on %s", count.used, s->layer[i].name);
    block[i] = (layer_block){lay_out(s, i, &l, &real), count.used};
  }
  return ACE_OK;
}

/* Makes the layers run what the entries say. A failure leaves them as they were. */
static ace_status rebuild(adapters *s, ace_error *err) {
  layer_block *block = calloc((size_t)s->n_layers + 1, sizeof *block);
  if (!block) return ace_fail(err, ACE_ENOMEM, "adapters: out of memory");
  ace_status status = make_blocks(s, block, err);
  if (status != ACE_OK) {
    free_blocks(block, s->n_layers);
    return status;
  }
  building b = {s, block};
  pool_run(s->threads, s->n_layers, build_layer, &b);
  for (int i = 0; i < s->n_layers; i++) s->linears[i]->delta = block[i].delta;
  free_blocks(s->block, s->n_layers);
  s->block = block;
  return ACE_OK;
}

/* ---- the set ----------------------------------------------------------------------------------------------------- */

adapters *adapters_open(acestep_dit *m, pool *threads, ace_error *err) {
  adapters *s = calloc(1, sizeof *s);
  if (s) {
    s->threads = threads;
    s->linears = calloc(ADAPTER_MOST_LAYERS, sizeof *s->linears);
    if (s->linears) s->layer = adapter_layers_of(m, &s->n_layers, s->linears);
    if (s->layer) return s;
  }
  adapters_close(s);
  ace_fail(err, ACE_ENOMEM, "adapters: out of memory");
  return NULL;
}

static void free_entry(adapters *s, adapter *a) {
  for (int i = 0; a->factors && i < s->n_layers; i++) free(a->factors[i]);
  free(a->factors);
  adapter_fit_free(&a->fit);
  adapter_file_close(a->file);
}

void adapters_remove_all(adapters *s) {
  for (int i = 0; i < s->n_layers; i++) s->linears[i]->delta = NULL;
  free_blocks(s->block, s->n_layers);
  s->block = NULL;
  for (int i = 0; i < s->n; i++) free_entry(s, &s->entry[i]);
  s->n = 0;
}

void adapters_close(adapters *s) {
  if (!s) return;
  adapters_remove_all(s);
  free(s->entry);
  free(s->linears);
  free(s->layer);
  free(s);
}

int adapters_count(const adapters *s) {
  return s->n;
}

const adapter *adapters_at(const adapters *s, int i) {
  return &s->entry[i];
}

size_t adapters_bytes(const adapters *s) {
  size_t bytes = 0;
  for (int i = 0; s->block && i < s->n_layers; i++) bytes += s->block[i].bytes;
  return bytes;
}

static ace_status prepare(adapters *s, adapter *a, ace_error *err) {
  ace_status status = adapter_fit_make(a->file, s->layer, s->n_layers, s->threads, &a->fit, err);
  for (int i = 0; i < s->n_layers && status == ACE_OK; i++) {
    int m = a->fit.module_of[i];
    if (m < 0 || !a->file->module[m].magnitude) continue;
    if (!a->factors) a->factors = calloc((size_t)s->n_layers, sizeof *a->factors);
    status = a->factors ? ACE_OK : ace_fail(err, ACE_ENOMEM, "%s: out of memory", a->file->path);
    if (status == ACE_OK)
      status = adapter_norm_factors(&a->file->module[m], &s->linears[i]->w, s->threads, &a->factors[i], err);
  }
  return status;
}

int adapters_add(adapters *s, adapter_file *file, double scale, ace_error *err) {
  adapter *grown = realloc(s->entry, (size_t)(s->n + 1) * sizeof *grown);
  adapter a = {.file = file, .scale = scale, .on = true};
  ace_status status = grown ? ACE_OK : ace_fail(err, ACE_ENOMEM, "adapters: out of memory");
  if (grown) s->entry = grown;
  if (status == ACE_OK) status = prepare(s, &a, err);
  if (status == ACE_OK) {
    s->entry[s->n++] = a;
    status = rebuild(s, err);
    if (status == ACE_OK) return s->n - 1;
    s->n--;
  }
  free_entry(s, &a);
  return -1;
}

ace_status adapters_set(adapters *s, int i, double scale, bool on, ace_error *err) {
  adapter *a = &s->entry[i], before = *a;
  if (before.scale == scale && before.on == on) return ACE_OK;
  a->scale = scale, a->on = on;
  ace_status status = rebuild(s, err);
  if (status != ACE_OK) *a = before;
  return status;
}

ace_status adapters_switch(adapters *s, bool on, ace_error *err) {
  bool changed = false, *before = malloc((size_t)s->n + 1);
  if (!before) return ace_fail(err, ACE_ENOMEM, "adapters: out of memory");
  for (int i = 0; i < s->n; i++) {
    before[i] = s->entry[i].on;
    changed |= before[i] != on;
    s->entry[i].on = on;
  }
  ace_status status = changed ? rebuild(s, err) : ACE_OK;
  for (int i = 0; i < s->n && status != ACE_OK; i++) s->entry[i].on = before[i];
  free(before);
  return status;
}

ace_status adapters_remove(adapters *s, int i, ace_error *err) {
  if (s->n == 1) {
    adapters_remove_all(s);
    return ACE_OK;
  }
  ace_status status = adapters_set(s, i, 0, false, err);
  if (status != ACE_OK) return status;
  free_entry(s, &s->entry[i]);
  memmove(&s->entry[i], &s->entry[i + 1], (size_t)(s->n - i - 1) * sizeof *s->entry);
  s->n--;
  return ACE_OK;
}
