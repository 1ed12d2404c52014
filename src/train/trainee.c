#include "train/trainee.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/stream.h"
#include "train/trainee_inner.h"

enum { RANK_MOST = 512 };

/* ---- which layers -------------------------------------------------------------------------------------------------- */

static bool is_target(const trainee_options *o, const char *layer) {
  return (o->self && strstr(layer, ".self_attn.")) || (o->cross && strstr(layer, ".cross_attn.")) ||
         (o->mlp && strstr(layer, ".mlp."));
}

/* Lists what is to be trained into modules, whose number is returned; -1: no memory, or something is on a layer. */
static int find_modules(trainee *t, ace_error *err) {
  int layers = 0, n = 0;
  linear **linears = calloc(ADAPTER_MOST_LAYERS, sizeof *linears);
  adapter_layer *layer = linears ? adapter_layers_of(t->m, &layers, linears) : NULL;
  t->inner->module = layer ? calloc((size_t)layers, sizeof *t->inner->module) : NULL;
  if (!t->inner->module) {
    ace_fail(err, ACE_ENOMEM, "training: out of memory");
    n = -1;
  }
  for (int i = 0; n >= 0 && i < layers; i++) {
    if (linears[i]->delta) {
      ace_fail(err, ACE_EINVAL, "training: there is an adapter on %s; unload it first", layer[i].name);
      n = -1;
    } else if (is_target(&t->options, layer[i].name)) {
      trainee_module *m = &t->inner->module[n++];
      m->at = linears[i];
      memcpy(m->name, layer[i].name, sizeof m->name);
    }
  }
  free(layer);
  free(linears);
  return n;
}

/* ---- their tensors ------------------------------------------------------------------------------------------------- */

/* A new tensor of module m; `spread`: at first uniform in +-spread. Only counted before there is memory. */
static void add_tensor(trainee *t, const trainee_module *m, const char *part, int64_t rows, int64_t columns,
                       double spread, tens *value) {
  if (t->values) {
    trainee_tensor *to = &t->tensor[t->n];
    *to = (trainee_tensor){.part = part, .rows = rows, .columns = columns, .first = t->count};
    snprintf(to->module, sizeof to->module, "%s", m->name);
    float *v = t->values + t->count;
    stream s = stream_of(t->options.seed, STREAM_INIT, (uint32_t)t->n, 0, 0);
    if (spread > 0) stream_uniform(&s, 0, rows * columns, v);
    for (int64_t i = 0; spread > 0 && i < rows * columns; i++) v[i] = (float)(spread * (2 * (double)v[i] - 1));
    *value = (tens){.dtype = TENS_F32, .rank = 2, .dim = {rows, columns}, .data = v};
  }
  t->n++;
  t->count += rows * columns;
}

/* `scale` for each of n values. */
static tens factors(const trainee *t, int64_t n) {
  return (tens){.dtype = TENS_F32, .rank = 1, .dim = {n}, .data = t->inner->scale};
}

static void add_lora(trainee *t, trainee_module *m) {
  int64_t N = m->at->w.dim[0], K = m->at->w.dim[1], r = t->options.rank;
  add_tensor(t, m, "lora_A", r, K, 1 / sqrt((double)K), &m->delta.a);
  add_tensor(t, m, "lora_B", N, r, 0, &m->delta.b);
  m->delta.middle = factors(t, r);
}

/* Width d as small * large, small <= large and small <= most (-1: no limit), as near to each other as that allows. */
static void factorise(int64_t d, int64_t most, int64_t *small, int64_t *large) {
  *small = 1, *large = d;
  if (most > 0 && d % most == 0) {
    *small = most < d / most ? most : d / most;
    *large = d / *small;
    return;
  }
  int64_t limit = most < 0 ? d : most;
  for (int64_t i = 2; i <= limit && i * i <= d; i++)
    if (d % i == 0) *small = i, *large = d / i;
}

/* `n` values that are no matrix. */
static void add_vector(trainee *t, const trainee_module *m, const char *part, int64_t n, tens *value) {
  add_tensor(t, m, part, n, 1, 0, value);
  if (value->rank) *value = (tens){.dtype = TENS_F32, .rank = 1, .dim = {n}, .data = value->data};
}

static void add_lokr(trainee *t, trainee_module *m) {
  int64_t p, c, q, d, r = t->options.rank, rows = m->at->w.dim[0];
  factorise(m->at->w.dim[0], t->options.factor, &p, &c);
  factorise(m->at->w.dim[1], t->options.factor, &q, &d);
  linear_kron *k = &m->kron;
  bool parts1 = t->options.decompose_both && 2 * r < (p > q ? p : q), parts2 = 2 * r < (c > d ? c : d);
  if (parts1) add_tensor(t, m, "lokr_w1_a", p, r, 1 / sqrt((double)r), &k->w1_left);
  add_tensor(t, m, parts1 ? "lokr_w1_b" : "lokr_w1", parts1 ? r : p, q, 1 / sqrt((double)q), &k->w1);
  if (parts2) add_tensor(t, m, "lokr_w2_a", c, r, 1 / sqrt((double)r), &k->w2_left);
  double spread = t->options.scalar ? 1 / sqrt((double)d) : 0;
  add_tensor(t, m, parts2 ? "lokr_w2_b" : "lokr_w2", parts2 ? r : c, d, spread, &k->w2);
  if (t->options.scalar) add_vector(t, m, "scalar", 1, &k->scalar);
  if (t->options.magnitude) add_vector(t, m, "dora_scale", rows, &k->magnitude);
  m->scaled = parts1 || parts2;
  if (m->scaled) k->middle = factors(t, parts2 ? r : c);
  m->delta.kron = k;
  m->delta.n_kron = 1;
}

static void add_all(trainee *t) {
  t->n = 0;
  t->count = 0;
  for (int i = 0; i < t->inner->modules; i++) {
    if (t->options.kind == TRAINEE_LORA) add_lora(t, &t->inner->module[i]);
    else add_lokr(t, &t->inner->module[i]);
  }
}

/* ---- opening and closing ------------------------------------------------------------------------------------------- */

static ace_status check(const trainee_options *o, ace_error *err) {
  if (o->rank < 1 || o->rank > RANK_MOST)
    return ace_fail(err, ACE_EINVAL, "training: rank %d is outside 1..%d", o->rank, RANK_MOST);
  if (!(o->alpha > 0) || !isfinite(o->alpha))
    return ace_fail(err, ACE_EINVAL, "training: alpha %g is not a positive number", o->alpha);
  if (!(o->dropout >= 0 && o->dropout < 1))
    return ace_fail(err, ACE_EINVAL, "training: dropout %g is outside 0..1", (double)o->dropout);
  if (o->factor == 0 || o->factor < -1)
    return ace_fail(err, ACE_EINVAL, "training: factor %d is neither -1 nor positive", o->factor);
  if (!o->self && !o->cross && !o->mlp)
    return ace_fail(err, ACE_EINVAL, "training: no layer is to be trained; choose self, cross or mlp");
  return ACE_OK;
}

/* The longest vector of factors: a rank, or the larger factor of a width. */
static int64_t longest_factors(const trainee *t) {
  int64_t most = t->options.rank;
  for (int i = 0; i < t->inner->modules; i++)
    if (t->inner->module[i].at->w.dim[0] > most) most = t->inner->module[i].at->w.dim[0];
  return most;
}

/* The lengths of a weight's rows, with what keeps them from zero: as op_kron_lengths sees them, which is given a product
 * of zeros. */
static ace_status find_lengths(const trainee_module *m, tens_ctx *c, float *out) {
  const tens *w = &m->at->w;
  int64_t N = w->dim[0], K = w->dim[1];
  tens_mark mark = tens_here(c);
  tens *ones = tens_new(c, TENS_F32, TENS_DIMS(N)), *left = tens_new(c, TENS_F32, TENS_DIMS(N, 1)),
       *right = tens_new(c, TENS_F32, TENS_DIMS(1, K));
  for (int64_t i = 0; left && ones && i < N && !tens_planning(c); i++) tens_f32(ones)[i] = 1, tens_f32(left)[i] = 0;
  if (right && !tens_planning(c)) memset(right->data, 0, (size_t)K * sizeof(float));
  const tens *y = op_kron_lengths(c, w, left, right, ones, m->kron.eps);
  for (int64_t i = 0; y && i < N && !tens_planning(c); i++) out[i] = (float)(1 / (double)tens_f32(y)[i]);
  tens_release(c, mark);
  return tens_status(c);
}

/* Magnitudes as they are at first. */
static ace_status start_magnitudes(trainee *t, ace_error *err) {
  size_t bytes = 0;
  for (int pass = 0; pass < 2; pass++) {
    tens_ctx *c = tens_open(&(tens_options){.plan = pass == 0, .capacity = bytes}, err);
    if (!c) return err->status;
    for (int i = 0; i < t->inner->modules && tens_status(c) == ACE_OK; i++) {
      trainee_module *m = &t->inner->module[i];
      size_t size = (size_t)m->at->w.dim[0] * sizeof *m->lengths;
      m->kron.eps = (float)adapter_norm_padding(&m->at->w);
      if (pass && !(m->lengths = malloc(size))) tens_fail(c, ACE_ENOMEM, "training: out of memory");
      else if (find_lengths(m, c, m->lengths) == ACE_OK && pass) memcpy(m->kron.magnitude.data, m->lengths, size);
    }
    bytes = tens_peak(c);
    ace_status status = tens_error(c, err);
    tens_close(c);
    if (status != ACE_OK) return status;
  }
  return ACE_OK;
}

static ace_status make(trainee *t, ace_error *err) {
  trainee_inner *in = t->inner;
  if ((in->modules = find_modules(t, err)) < 0) return ACE_EINVAL;
  if (in->modules == 0) return ace_fail(err, ACE_EINVAL, "training: the model has no such layers");
  int64_t most = longest_factors(t);
  in->scale = malloc((size_t)most * sizeof *in->scale);
  add_all(t);
  t->tensor = calloc((size_t)t->n, sizeof *t->tensor);
  t->values = calloc((size_t)t->count, sizeof *t->values);
  t->grads = calloc((size_t)t->count, sizeof *t->grads);
  if (!in->scale || !t->tensor || !t->values || !t->grads)
    return ace_fail(err, ACE_ENOMEM, "training: no memory for %lld parameters", (long long)t->count);
  for (int64_t i = 0; i < most; i++) in->scale[i] = (float)(t->options.alpha / t->options.rank);
  add_all(t);
  in->tape = tape_open(err);
  tens all = {.dtype = TENS_F32, .rank = 1, .dim = {t->count}, .data = t->values};
  if (!in->tape || !tape_watch(in->tape, &all, t->grads, err)) return ACE_ENOMEM;
  if (t->options.magnitude && start_magnitudes(t, err) != ACE_OK) return err->status;
  for (int i = 0; i < in->modules; i++) in->module[i].at->delta = &in->module[i].delta;
  return ACE_OK;
}

trainee *trainee_open(acestep_dit *m, const trainee_options *options, ace_error *err) {
  trainee_options o = *options;
  ace_error own;
  if (!err) err = &own;
  if (o.kind == TRAINEE_LORA) o.factor = -1, o.scalar = o.magnitude = false;
  if (check(&o, err) != ACE_OK) return NULL;
  trainee *t = calloc(1, sizeof *t);
  if (t) {
    *t = (trainee){.m = m, .options = o, .inner = calloc(1, sizeof *t->inner)};
    if (t->inner && make(t, err) == ACE_OK) return t;
    if (t->inner) {
      trainee_close(t);
      return NULL;
    }
  }
  free(t);
  ace_fail(err, ACE_ENOMEM, "training: out of memory");
  return NULL;
}

void trainee_close(trainee *t) {
  if (!t) return;
  trainee_inner *in = t->inner;
  for (int i = 0; i < in->modules; i++) {
    if (in->module[i].at->delta == &in->module[i].delta) in->module[i].at->delta = NULL;
    free(in->module[i].lengths);
  }
  tape_close(in->tape);
  free(in->module);
  free(in->scale);
  free(in);
  free(t->tensor);
  free(t->values);
  free(t->grads);
  free(t);
}

double trainee_scale(const trainee *t, const trainee_tensor *of) {
  double scale = t->options.alpha / t->options.rank;
  if (t->options.kind == TRAINEE_LORA) return scale;
  for (int i = 0; i < t->inner->modules; i++)
    if (!strcmp(t->inner->module[i].name, of->module)) return t->inner->module[i].scaled ? scale : 1;
  return 1;
}

/* ---- what became of them ------------------------------------------------------------------------------------------- */

static bool all_zero(const tens *x) {
  for (int64_t i = 0; i < tens_count(x); i++)
    if (tens_f32(x)[i] != 0) return false;
  return true;
}

static bool idle(const trainee_module *m) {
  const linear_kron *k = &m->kron;
  if (m->delta.b.rank) return all_zero(&m->delta.b);
  bool zero = all_zero(&k->w2) || (k->scalar.rank && all_zero(&k->scalar));
  return zero && (!m->lengths || !memcmp(m->lengths, k->magnitude.data, (size_t)k->magnitude.dim[0] * sizeof(float)));
}

bool trainee_idle(const trainee *t) {
  for (int i = 0; i < t->inner->modules; i++)
    if (!idle(&t->inner->module[i])) return false;
  return true;
}

void trainee_settle(trainee *t) {
  for (int i = 0; i < t->inner->modules; i++) {
    linear_kron *k = &t->inner->module[i].kron;
    const tens *first = k->w1_left.rank ? &k->w1_left : &k->w1;
    if (!k->scalar.rank) continue;
    for (int64_t j = 0; j < tens_count(first); j++) tens_f32(first)[j] *= tens_f32(&k->scalar)[0];
    tens_f32(&k->scalar)[0] = 1;
  }
}
