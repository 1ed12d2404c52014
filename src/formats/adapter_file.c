/* From the tensors of a file to the modules of an adapter. Paths and configurations are in adapter_open.c. */
#include "formats/adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "formats/adapter_inner.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

typedef enum part {
  LORA_A,
  LORA_B,
  MAGNITUDE,  /* PEFT's */
  DORA_SCALE, /* LyCORIS's and kohya's */
  W1,
  W1_A,
  W1_B,
  W2,
  W2_A,
  W2_B,
  CORE, /* of a Tucker decomposition */
  ALPHA,
  SCALAR,
  N_PARTS
} part;

/* Longer ones first where one begins with another. `named`: the name of an adapter and ".weight" may follow. */
static const struct {
  const char *text;
  part part;
  bool named;
} suffixes[] = {
    {".lora_magnitude_vector", MAGNITUDE, true},
    {".lora_A", LORA_A, true},
    {".lora_B", LORA_B, true},
    {".lora_down", LORA_A, true},
    {".lora_up", LORA_B, true},
    {".lora_mid", CORE, true},
    {".lokr_w1_a", W1_A, false},
    {".lokr_w1_b", W1_B, false},
    {".lokr_w1", W1, false},
    {".lokr_w2_a", W2_A, false},
    {".lokr_w2_b", W2_B, false},
    {".lokr_w2", W2, false},
    {".lokr_t2", CORE, false},
    {".alpha", ALPHA, false},
    {".dora_scale", DORA_SCALE, false},
    {".scalar", SCALAR, false},
};

static const char *const prefixes[] = {"base_model.model.", "diffusion_model.", "decoder.",
                                       "lycoris_",          "lora_unet_",       "decoder_"};

static const char *without_prefixes(const char *name) {
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes;)
    if (string_begins(name, prefixes[i])) name += strlen(prefixes[i]), i = 0;
    else i++;
  return name;
}

/* "", ".weight", ".default", ".default.weight" */
static bool only_a_name(const char *rest) {
  if (*rest != '.') return !*rest;
  if (strcmp(rest, ".weight") == 0) return true;
  const char *dot = strchr(rest + 1, '.');
  return rest[1] && rest[1] != '.' && (!dot || strcmp(dot, ".weight") == 0);
}

/* One tensor with what its name says. */
typedef struct named {
  const char *stem; /* not terminated */
  size_t length;
  part part;
  const st_tensor *tensor;
} named;

static bool take_apart(const st_tensor *t, named *out) {
  const char *stem = without_prefixes(t->name);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    const char *at = strstr(stem, suffixes[i].text);
    if (!at || at == stem) continue;
    const char *rest = at + strlen(suffixes[i].text);
    if (suffixes[i].named ? !only_a_name(rest) : *rest != 0) continue;
    *out = (named){stem, (size_t)(at - stem), suffixes[i].part, t};
    return true;
  }
  return false;
}

static int by_stem(const void *a, const void *b) {
  const named *x = a, *y = b;
  int order = memcmp(x->stem, y->stem, x->length < y->length ? x->length : y->length);
  if (order) return order;
  if (x->length != y->length) return x->length < y->length ? -1 : 1;
  return x->part < y->part ? -1 : x->part > y->part;
}

static bool same_stem(const named *a, const named *b) {
  return a->length == b->length && memcmp(a->stem, b->stem, a->length) == 0;
}

/* ---- one module -------------------------------------------------------------------------------------------------- */

static bool is_float(const st_tensor *t) {
  return t->dtype == ST_F32 || t->dtype == ST_BF16 || t->dtype == ST_F16;
}

static ace_status check_factor(const adapter_file *f, adapter_module *m, const st_tensor *t, ace_error *err) {
  if (!t) return ACE_OK;
  if (!is_float(t))
    return ace_fail(err, ACE_EFORMAT, "%s: %s: dtype %s, expected F32, BF16 or F16", f->path, t->name,
                    st_dtype_name(t->dtype));
  if (t->rank > 2) m->convolution = true;
  else if (t->rank < 2 || t->count == 0)
    return ace_fail(err, ACE_EFORMAT, "%s: %s: %d dimensions and %lld values, expected a matrix", f->path, t->name,
                    t->rank, (long long)t->count);
  return ACE_OK;
}

static ace_status read_scalar(const adapter_file *f, const st_tensor *t, double *out, ace_error *err) {
  if (!t) return ACE_OK;
  float x = 0;
  if (t->count == 1 && is_float(t)) {
    st_widen(t, 0, 1, &x);
    if (isfinite(x)) {
      *out = x;
      return ACE_OK;
    }
  }
  return ace_fail(err, ACE_EFORMAT, "%s: %s: not one finite number", f->path, t->name);
}

/* A product of two factors: [p, r] and [r, q]. */
static ace_status check_product(const adapter_file *f, const st_tensor *left, const st_tensor *right, ace_error *err) {
  if (!left || !right || left->dim[1] == right->dim[0]) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: %s [%lld,%lld] does not fit %s [%lld,%lld]", f->path, left->name,
                  (long long)left->dim[0], (long long)left->dim[1], right->name, (long long)right->dim[0],
                  (long long)right->dim[1]);
}

static ace_status incomplete(const adapter_file *f, const adapter_module *m, const char *what, ace_error *err) {
  return ace_fail(err, ACE_EFORMAT, "%s: %s: %s", f->path, m->name, what);
}

static ace_status finish_lora(const adapter_file *f, adapter_module *m, ace_error *err) {
  if (!m->a || !m->b) return incomplete(f, m, m->a ? "lora_A without lora_B" : "lora_B without lora_A", err);
  m->rank = m->a->dim[0];
  m->rows = m->b->dim[0];
  m->columns = m->a->dim[1];
  return check_product(f, m->b, m->a, err);
}

/* How a Kronecker factor is given: whole, or as a product of two. */
static bool given(const st_tensor *whole, const st_tensor *left, const st_tensor *right) {
  return whole ? !left && !right : left && right;
}

static ace_status finish_lokr(const adapter_file *f, adapter_module *m, ace_error *err) {
  if (!given(m->w1, m->w1_a, m->w1_b)) return incomplete(f, m, "needs lokr_w1, or lokr_w1_a and lokr_w1_b", err);
  if (!given(m->w2, m->w2_a, m->w2_b)) return incomplete(f, m, "needs lokr_w2, or lokr_w2_a and lokr_w2_b", err);
  ace_status status = check_product(f, m->w1_a, m->w1_b, err);
  if (status == ACE_OK) status = check_product(f, m->w2_a, m->w2_b, err);
  m->rank = m->w2_b ? m->w2_b->dim[0] : m->w1_b ? m->w1_b->dim[0] : 0;
  m->p = (m->w1 ? m->w1 : m->w1_a)->dim[0], m->q = (m->w1 ? m->w1 : m->w1_b)->dim[1];
  m->c = (m->w2 ? m->w2 : m->w2_a)->dim[0], m->d = (m->w2 ? m->w2 : m->w2_b)->dim[1];
  bool large = __builtin_mul_overflow(m->p, m->c, &m->rows) || __builtin_mul_overflow(m->q, m->d, &m->columns);
  if (status == ACE_OK && large) status = incomplete(f, m, "factors too large", err);
  return status;
}

static ace_status check_magnitude(const adapter_file *f, adapter_module *m, ace_error *err) {
  const st_tensor *t = m->magnitude;
  if (!t && adapter_has_magnitudes(f)) return incomplete(f, m, "no magnitude, though the configuration says DoRA", err);
  if (!t) return ACE_OK;
  bool rows = (t->rank == 1 || (t->rank == 2 && t->dim[1] == 1)) && t->dim[0] == m->rows;
  bool columns = t->rank == 2 && t->dim[0] == 1 && t->dim[1] == m->columns;
  m->norm_of_columns = columns && !rows;
  if (is_float(t) && (rows || columns)) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT, "%s: %s: not one number for each of %lld rows or %lld columns", f->path, t->name,
                  (long long)m->rows, (long long)m->columns);
}

static ace_status set_scale(const adapter_file *f, adapter_module *m, const st_tensor *alpha, const st_tensor *scalar,
                            ace_error *err) {
  double more = 1, own = NAN;
  ace_status status = read_scalar(f, scalar, &more, err);
  if (status == ACE_OK) status = read_scalar(f, alpha, &own, err);
  if (status == ACE_OK) status = adapter_alpha(f, m, &own, err);
  if (status != ACE_OK) return status;
  m->alpha = own;
  double dim = (double)(m->rank ? m->rank : 1);
  m->scale = more * (m->rank ? own / (adapter_rank_stabilised(f, m) ? sqrt(dim) : dim) : 1);
  return isfinite(m->scale) ? ACE_OK : incomplete(f, m, "its scale is not finite", err);
}

/* tensor[part] of one stem, NULL where there is none. */
static ace_status make_module(const adapter_file *f, adapter_module *m, const st_tensor *const tensor[N_PARTS],
                              ace_error *err) {
  static const part factors[] = {LORA_A, LORA_B, W1, W1_A, W1_B, W2, W2_A, W2_B, CORE};
  bool lora = tensor[LORA_A] || tensor[LORA_B], lokr = false;
  for (int i = W1; i <= W2_B; i++) lokr |= tensor[i] != NULL;
  if (lora == lokr) return incomplete(f, m, lora ? "both LoRA and LoKr" : "an alpha or magnitude without factors", err);
  if (tensor[MAGNITUDE] && tensor[DORA_SCALE]) return incomplete(f, m, "two magnitudes", err);
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
    if (check_factor(f, m, tensor[factors[i]], err) != ACE_OK) return err->status;
  m->kind = lora ? ADAPTER_LORA : ADAPTER_LOKR;
  m->a = tensor[LORA_A], m->b = tensor[LORA_B];
  m->w1 = tensor[W1], m->w1_a = tensor[W1_A], m->w1_b = tensor[W1_B];
  m->w2 = tensor[W2], m->w2_a = tensor[W2_A], m->w2_b = tensor[W2_B];
  m->core = tensor[CORE];
  m->padded_norm = tensor[DORA_SCALE] != NULL;
  m->magnitude = m->padded_norm ? tensor[DORA_SCALE] : tensor[MAGNITUDE];
  m->convolution |= m->core != NULL;
  if (m->convolution) {
    m->scale = 1;
    return ACE_OK;
  }
  ace_status status = lora ? finish_lora(f, m, err) : finish_lokr(f, m, err);
  if (status == ACE_OK) status = check_magnitude(f, m, err);
  return status == ACE_OK ? set_scale(f, m, tensor[ALPHA], tensor[SCALAR], err) : status;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* Entries of equal stem as one module. */
static ace_status add_module(adapter_file *f, const named *entry, int n, ace_error *err) {
  const st_tensor *tensor[N_PARTS] = {0};
  adapter_module *m = &f->module[f->n_modules];
  m->name = malloc(entry->length + 1);
  if (!m->name) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", f->path);
  f->n_modules++;
  memcpy(m->name, entry->stem, entry->length);
  m->name[entry->length] = 0;
  for (int i = 0; i < n; i++) {
    if (tensor[entry[i].part])
      return ace_fail(err, ACE_EFORMAT, "%s: %s and %s say the same; a file holds one adapter", f->path,
                      tensor[entry[i].part]->name, entry[i].tensor->name);
    tensor[entry[i].part] = entry[i].tensor;
    f->bytes += (int64_t)entry[i].tensor->size;
  }
  return make_module(f, m, tensor, err);
}

static ace_status make_modules(adapter_file *f, named *entries, ace_error *err) {
  int n = 0;
  for (int i = 0; i < st_count(f->weights); i++) {
    const st_tensor *t = st_at(f->weights, i);
    if (take_apart(t, &entries[n])) n++;
    else if (f->n_unknown++ == 0) snprintf(f->first_unknown, sizeof f->first_unknown, "%s", t->name);
  }
  qsort(entries, (size_t)n, sizeof *entries, by_stem);
  for (int first = 0, count; first < n; first += count) {
    count = 1;
    while (first + count < n && same_stem(&entries[first], &entries[first + count])) count++;
    ace_status status = add_module(f, &entries[first], count, err);
    if (status != ACE_OK) return status;
  }
  if (f->n_modules > 0) return ACE_OK;
  return ace_fail(err, ACE_EFORMAT,
                  "%s: no adapter: %d tensors, the first is %s; expected names with lora_A and lora_B, "
                  "lora_down and lora_up, or lokr_w1 and lokr_w2",
                  f->path, st_count(f->weights), f->n_unknown ? f->first_unknown : "missing");
}

adapter_file *adapter_file_from(st_file *weights, json_t *config, const char *where, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  adapter_file *f = calloc(1, sizeof *f);
  named *entries = NULL;
  ace_status status = ACE_ENOMEM;
  if (f) {
    *f = (adapter_file){.path = strdup(where), .weights = weights, .config = config};
    entries = calloc((size_t)st_count(weights) + 1, sizeof *entries);
    f->module = calloc((size_t)st_count(weights) + 1, sizeof *f->module);
    if (f->path && entries && f->module) status = adapter_check_config(f, err);
    else ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  } else {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
    st_close(weights);
    json_decref(config);
  }
  if (status == ACE_OK) status = make_modules(f, entries, err);
  free(entries);
  if (status == ACE_OK) return f;
  adapter_file_close(f);
  return NULL;
}

void adapter_file_close(adapter_file *f) {
  if (!f) return;
  for (int i = 0; i < f->n_modules; i++) free(f->module[i].name);
  free(f->module);
  st_close(f->weights);
  json_decref(f->config);
  free(f->path);
  free(f);
}
