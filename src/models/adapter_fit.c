/* adapter_fit.c - which part of an adapter belongs to which layer of a model. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/adapters.h"

/* ---- the layers of a model --------------------------------------------------------------------------------------- */

typedef struct layer_list {
  adapter_layer *layer;
  linear **linears;
  int n, room;
} layer_list;

static void add_layer(layer_list *l, linear *at, const char *format, ...) ACE_PRINTF(3, 4);
static void add_layer(layer_list *l, linear *at, const char *format, ...) {
  if (l->n == l->room) return;
  adapter_layer *out = &l->layer[l->n];
  va_list args;
  va_start(args, format);
  vsnprintf(out->name, sizeof out->name, format, args);
  va_end(args);
  out->rows = at->w.dim[0], out->columns = at->w.dim[1];
  if (l->linears) l->linears[l->n] = at;
  l->n++;
}

static void add_attention(layer_list *l, attn_weights *w, int i, const char *name) {
  add_layer(l, &w->q, "layers.%d.%s.q_proj", i, name);
  add_layer(l, &w->k, "layers.%d.%s.k_proj", i, name);
  add_layer(l, &w->v, "layers.%d.%s.v_proj", i, name);
  add_layer(l, &w->o, "layers.%d.%s.o_proj", i, name);
}

static void add_time(layer_list *l, time_embed *e, const char *name) {
  add_layer(l, &e->linear_1, "%s.linear_1", name);
  add_layer(l, &e->linear_2, "%s.linear_2", name);
  add_layer(l, &e->proj, "%s.time_proj", name);
}

adapter_layer *adapter_layers_of(acestep_dit *m, int *n, linear **linears) {
  layer_list l = {.room = ADAPTER_MOST_LAYERS, .linears = linears};
  l.layer = calloc((size_t)l.room, sizeof *l.layer);
  if (!l.layer) return NULL;
  for (int i = 0; i < m->cfg.layers; i++) {
    dit_layer *d = &m->decoder.layers[i];
    add_attention(&l, &d->self, i, "self_attn");
    add_attention(&l, &d->cross, i, "cross_attn");
    add_layer(&l, &d->mlp.gate, "layers.%d.mlp.gate_proj", i);
    add_layer(&l, &d->mlp.up, "layers.%d.mlp.up_proj", i);
    add_layer(&l, &d->mlp.down, "layers.%d.mlp.down_proj", i);
  }
  add_time(&l, &m->decoder.t, "time_embed");
  add_time(&l, &m->decoder.r, "time_embed_r");
  add_layer(&l, &m->decoder.condition, "condition_embedder");
  *n = l.n;
  return l.layer;
}

/* ---- values: all finite? all zero? ------------------------------------------------------------------------------- */

typedef struct scan {
  const adapter_file *f;
  unsigned char *idle; /* for each module */
  const st_tensor **bad;
} scan;

/* False: a value is not finite. */
static bool look_through(const st_tensor *t, bool *zero) {
  enum { BLOCK = 1024 };
  float x[BLOCK];
  *zero = true;
  for (int64_t at = 0; t && at < t->count; at += BLOCK) {
    int64_t n = t->count - at < BLOCK ? t->count - at : BLOCK;
    float most = 0, sum = 0; /* most does not see NaN, the sum of x - x sees both NaN and infinities */
    st_widen(t, at, n, x);
    for (int64_t i = 0; i < n; i++) {
      most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
      sum += x[i] - x[i];
    }
    if (sum != 0) return false;
    if (most > 0) *zero = false;
  }
  return true;
}

/* A module is idle when one of its factors is zero, and no magnitude speaks for the weight itself. Trainers write such
 * modules for layers that they did not train, convolutions among them. */
static void scan_module(void *arg, int i, int worker) {
  scan *s = arg;
  const adapter_module *m = &s->f->module[i];
  const st_tensor *factor[] = {m->a, m->b, m->w1, m->w1_a, m->w1_b, m->w2, m->w2_a, m->w2_b, m->core};
  bool zero;
  s->idle[i] = !m->magnitude && m->scale == 0;
  for (size_t j = 0; j < sizeof factor / sizeof *factor; j++) {
    if (!factor[j]) continue;
    if (!look_through(factor[j], &zero) && !s->bad[i]) s->bad[i] = factor[j];
    if (zero && (!m->magnitude || m->convolution)) s->idle[i] = true;
  }
  if (m->magnitude && !look_through(m->magnitude, &zero) && !s->bad[i]) s->bad[i] = m->magnitude;
}

static ace_status scan_all(scan *s, pool *threads, ace_error *err) {
  pool_run(threads, s->f->n_modules, scan_module, s);
  for (int i = 0; i < s->f->n_modules; i++)
    if (s->bad[i])
      return ace_fail(err, ACE_EFORMAT, "%s: %s: has values that are not finite; the training went wrong", s->f->path,
                      s->bad[i]->name);
  return ACE_OK;
}

/* ---- names and shapes -------------------------------------------------------------------------------------------- */

/* Is `name` the layer's, with dots or with underscores in their places? */
static bool same_layer(const char *name, const char *layer) {
  for (; *name && *layer; name++, layer++)
    if (*name != *layer && !(*layer == '.' && *name == '_')) return false;
  return *name == *layer;
}

static int find_layer(const adapter_layer *layers, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (same_layer(name, layers[i].name)) return i;
  return -1;
}

static ace_status misfit(const adapter_file *f, const char *tensor, int64_t rows, int64_t columns, const char *what,
                         const adapter_layer *l, ace_error *err) {
  return ace_fail(
      err, ACE_EINVAL, "%s: made for another model: %.160s is [%lld,%lld]%s, but this model's %s is [%lld,%lld]",
      f->path, tensor, (long long)rows, (long long)columns, what, l->name, (long long)l->rows, (long long)l->columns);
}

static ace_status check_shape(const adapter_file *f, const adapter_module *m, const adapter_layer *l, ace_error *err) {
  if (m->rows == l->rows && m->columns == l->columns) return ACE_OK;
  if (m->kind == ADAPTER_LOKR) return misfit(f, m->name, m->rows, m->columns, " (w1 kron w2)", l, err);
  const st_tensor *t = m->columns != l->columns ? m->a : m->b;
  return misfit(f, t->name, t->dim[0], t->dim[1], "", l, err);
}

static ace_status place(const adapter_file *f, const adapter_layer *layers, int n, const scan *s, adapter_fit *fit,
                        ace_error *err) {
  for (int i = 0; i < f->n_modules; i++) {
    const adapter_module *m = &f->module[i];
    int at = find_layer(layers, n, m->name);
    ace_status status = ACE_OK;
    if (m->convolution && s->idle[i]) fit->idle++;
    else if (m->convolution)
      status = ace_fail(err, ACE_EUNSUPPORTED, "%s: %s: adapters of convolutions are not supported", f->path, m->name);
    else if (at < 0) {
      if (fit->n_unknown++ == 0) snprintf(fit->first_unknown, sizeof fit->first_unknown, "%s", m->name);
    } else if (fit->module_of[at] >= 0) {
      status = ace_fail(err, ACE_EFORMAT, "%s: %s is there twice", f->path, layers[at].name);
    } else {
      status = check_shape(f, m, &layers[at], err);
      if (!s->idle[i]) fit->module_of[at] = i, fit->used++;
      else fit->idle++;
    }
    if (status != ACE_OK) return status;
  }
  if (fit->used + fit->idle > 0) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "%s: made for another model: none of its %d layers is in this one, the first is %s",
                  f->path, f->n_modules, f->module[0].name);
}

ace_status adapter_fit_make(const adapter_file *f, const adapter_layer *layers, int n, pool *threads, adapter_fit *fit,
                            ace_error *err) {
  *fit = (adapter_fit){.n_unknown = f->n_unknown};
  memcpy(fit->first_unknown, f->first_unknown, sizeof fit->first_unknown);
  size_t modules = (size_t)f->n_modules + 1;
  scan s = {f, calloc(modules, 1), calloc(modules, sizeof *s.bad)};
  fit->module_of = malloc(((size_t)n + 1) * sizeof *fit->module_of);
  ace_status status = ACE_OK;
  if (!s.idle || !s.bad || !fit->module_of) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", f->path);
  for (int i = 0; i < n && status == ACE_OK; i++) fit->module_of[i] = -1;
  if (status == ACE_OK) status = scan_all(&s, threads, err);
  if (status == ACE_OK) status = place(f, layers, n, &s, fit, err);
  free(s.idle);
  free(s.bad);
  if (status != ACE_OK) adapter_fit_free(fit);
  return status;
}

void adapter_fit_free(adapter_fit *fit) {
  free(fit->module_of);
  *fit = (adapter_fit){0};
}
