#include "train/parameters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/parameters_inner.h"

/* ---- which values there are -------------------------------------------------------------------------------------- */

/* A matrix, or a convolution: more than one row of more than one value. Norms, biases, tables for all and special tokens
 * are none. */
static bool decays(const st_tensor *t) {
  return t->rank > 1 && t->dim[0] > 1 && t->count > t->dim[0];
}

static bool is_trained(const parameters_source *s, const st_tensor *t) {
  return !s->trained || s->trained(t->name);
}

static ace_status check_type(const parameters_source *s, const st_tensor *t, ace_error *err) {
  if (t->dtype == ST_F32 || t->dtype == ST_BF16 || t->dtype == ST_F16 || t->dtype == ST_I8) return ACE_OK;
  return ace_fail(err, ACE_EUNSUPPORTED, "%s: tensor %s: dtype %s; weights are trained from F32, BF16, F16 or int8",
                  s->folder, t->name, st_dtype_name(t->dtype));
}

static ace_status add_tensor(parameters *p, int part, int index, const st_tensor *t, ace_error *err) {
  parameters_inner *in = p->inner;
  train_tensor *to = &p->tensor[p->tensors];
  int n = in->parts > 1 ? snprintf(to->name, sizeof to->name, "%s/%s", in->source[part].name, t->name)
                        : snprintf(to->name, sizeof to->name, "%s", t->name);
  if (n < 0 || (size_t)n >= sizeof to->name)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: tensor %s: its name is too long", in->source[part].folder, t->name);
  to->rows = t->rank > 0 ? t->dim[0] : 1;
  to->columns = to->rows > 0 ? t->count / to->rows : 0;
  to->first = p->count;
  in->place[p->tensors++] = (parameters_place){part, index};
  p->count += (t->count + PARAMETERS_ALIGN - 1) / PARAMETERS_ALIGN * PARAMETERS_ALIGN;
  return ACE_OK;
}

/* Those that decay, or the others. */
static ace_status add_tensors(parameters *p, bool decaying, ace_error *err) {
  for (int part = 0; part < p->inner->parts; part++) {
    const parameters_source *s = &p->inner->source[part];
    for (int i = 0; i < ckpt_tensor_count(s->from); i++) {
      const st_tensor *t = ckpt_at(s->from, i);
      if (t->count < 1 || ckpt_is_scale(s->from, t) || !is_trained(s, t) || decays(t) != decaying) continue;
      ace_status status = check_type(s, t, err);
      if (status == ACE_OK) status = add_tensor(p, part, i, t, err);
      if (status != ACE_OK) return status;
    }
  }
  return ACE_OK;
}

/* Tensor i of the list, as it is stored. */
static ace_status take_tensor(parameters *p, int i, ace_error *err) {
  parameters_place at = p->inner->place[i];
  ckpt *from = p->inner->source[at.part].from;
  const st_tensor *t = ckpt_at(from, at.index);
  float *x = p->values + p->tensor[i].first;
  ace_status status = ckpt_widen(from, t, x, err);
  for (int64_t j = 0; j < t->count && status == ACE_OK; j++)
    if (!isfinite(x[j]))
      status =
          ace_fail(err, ACE_EFORMAT, "training: tensor %s: value %lld is not finite", p->tensor[i].name, (long long)j);
  return status;
}

static ace_status take_values(parameters *p, ace_error *err) {
  size_t bytes = (size_t)p->count * sizeof(float);
  p->values = aligned_alloc(PARAMETERS_ALIGN * sizeof(float), bytes);
  p->grads = aligned_alloc(PARAMETERS_ALIGN * sizeof(float), bytes);
  if (!p->values || !p->grads)
    return ace_fail(err, ACE_ENOMEM, "training: no memory for %lld parameters", (long long)p->count);
  memset(p->values, 0, bytes);
  memset(p->grads, 0, bytes);
  ace_status status = ACE_OK;
  for (int i = 0; i < p->tensors && status == ACE_OK; i++) status = take_tensor(p, i, err);
  return status;
}

/* ---- opening and closing ------------------------------------------------------------------------------------------ */

static ace_status open_source(parameters_source *s, const parameters_part *part, ace_error *err) {
  s->from = ckpt_open(part->folder, err);
  if (!s->from) return err->status;
  s->folder = strdup(part->folder);
  s->name = strdup(part->name);
  s->trained = part->trained;
  return s->folder && s->name ? ACE_OK : ace_fail(err, ACE_ENOMEM, "training: out of memory");
}

static ace_status open_all(parameters *p, const parameters_part *part, int n, ace_error *err) {
  parameters_inner *in = p->inner;
  size_t most = 0;
  for (int i = 0; i < n; i++, in->parts++) {
    ace_status status = open_source(&in->source[i], &part[i], err);
    if (status != ACE_OK) {
      in->parts++;
      return status;
    }
    most += (size_t)ckpt_tensor_count(in->source[i].from);
  }
  p->tensor = calloc(most + 1, sizeof *p->tensor);
  in->place = calloc(most + 1, sizeof *in->place);
  if (!p->tensor || !in->place) return ace_fail(err, ACE_ENOMEM, "training: out of memory");
  ace_status status = add_tensors(p, true, err);
  p->decaying = p->count;
  if (status == ACE_OK) status = add_tensors(p, false, err);
  if (status == ACE_OK && !p->count) status = ace_fail(err, ACE_EINVAL, "training: nothing is to be trained");
  if (status == ACE_OK) status = take_values(p, err);
  if (status == ACE_OK && !(p->tape = tape_open(err))) status = ACE_ENOMEM;
  return status;
}

parameters *parameters_open(const parameters_part *part, int n, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  parameters *p = calloc(1, sizeof *p);
  if (p) p->inner = calloc(1, sizeof *p->inner);
  if (!p || !p->inner) {
    free(p);
    ace_fail(err, ACE_ENOMEM, "training: out of memory");
    return NULL;
  }
  if (open_all(p, part, n, err) == ACE_OK) return p;
  parameters_close(p);
  return NULL;
}

void parameters_close(parameters *p) {
  if (!p) return;
  parameters_inner *in = p->inner;
  for (int i = 0; i < in->parts; i++) {
    ckpt_close(in->source[i].from);
    free(in->source[i].folder), free(in->source[i].name);
  }
  for (int i = 0; i < in->derived; i++) free(in->derivation[i].dy);
  tape_close(p->tape);
  free(in->derivation), free(in->place), free(in);
  free(p->tensor), free(p->values), free(p->grads);
  free(p);
}

/* ---- what models see ---------------------------------------------------------------------------------------------- */

/* Every tensor of the part as a model is to see it: trained ones in F32, at their place in the list. */
static void describe(const parameters *p, int part, st_tensor *out) {
  const parameters_source *s = &p->inner->source[part];
  for (int i = 0; i < ckpt_tensor_count(s->from); i++) out[i] = *ckpt_at(s->from, i);
  for (int i = 0; i < p->tensors; i++) {
    if (p->inner->place[i].part != part) continue;
    st_tensor *t = &out[p->inner->place[i].index];
    t->dtype = ST_F32;
    t->data = p->values + p->tensor[i].first;
    t->size = (size_t)t->count * sizeof(float);
  }
}

ckpt *parameters_checkpoint(parameters *p, int part, ace_error *err) {
  parameters_source *s = &p->inner->source[part];
  int n = ckpt_tensor_count(s->from);
  st_tensor *all = calloc((size_t)n + 1, sizeof *all);
  char *config = json_dumps(ckpt_config(s->from), JSON_COMPACT);
  ckpt *k = NULL;
  if (all && config) {
    describe(p, part, all);
    k = ckpt_open_memory(s->folder, config, all, n, NULL, 0, err);
  } else ace_fail(err, ACE_ENOMEM, "training: out of memory");
  free(all), free(config);
  s->opened = k;
  return k;
}

/* ---- weights that models derive ----------------------------------------------------------------------------------- */

/* Where the gradient of x belongs; NULL: x is frozen. */
static float *grad_of(const parameters *p, const tens *x) {
  uintptr_t at = (uintptr_t)x->data, from = (uintptr_t)p->values;
  if (at < from || at >= from + (uintptr_t)p->count * sizeof(float)) return NULL;
  return p->grads + (at - from) / sizeof(float);
}

static ace_status add_derivation(parameters *p, const ckpt_derived *d, ace_error *err) {
  parameters_inner *in = p->inner;
  parameters_derivation next = {.d = d};
  bool wanted = false;
  for (int i = 0; i < d->n; i++) {
    next.grad[i] = grad_of(p, &d->from[i]);
    wanted |= next.grad[i] != NULL;
  }
  if (!wanted) return ACE_OK;
  parameters_derivation *more = realloc(in->derivation, ((size_t)in->derived + 1) * sizeof *more);
  if (!more) return ace_fail(err, ACE_ENOMEM, "training: out of memory");
  in->derivation = more;
  next.dy = calloc((size_t)tens_count(&d->y), sizeof *next.dy);
  if (!next.dy || !tape_watch(p->tape, &d->y, next.dy, err)) {
    free(next.dy);
    return ace_fail(err, ACE_ENOMEM, "training: out of memory");
  }
  more[in->derived++] = next;
  return ACE_OK;
}

ace_status parameters_watch(parameters *p, ace_error *err) {
  tens all = {.dtype = TENS_F32, .rank = 1, .dim = {p->count}, .data = p->values};
  if (!tape_watch(p->tape, &all, p->grads, err)) return ACE_ENOMEM;
  ace_status status = ACE_OK;
  for (int i = 0; i < p->inner->parts; i++) {
    const ckpt *k = p->inner->source[i].opened;
    for (const ckpt_derived *d = k ? ckpt_derived_of(k) : NULL; d && status == ACE_OK; d = d->next)
      status = add_derivation(p, d, err);
  }
  return status;
}

void parameters_begin(parameters *p) {
  for (int i = 0; i < p->inner->derived; i++) {
    const parameters_derivation *at = &p->inner->derivation[i];
    at->d->make(at->d);
    memset(at->dy, 0, (size_t)tens_count(&at->d->y) * sizeof *at->dy);
  }
}

void parameters_end(parameters *p) {
  for (int i = 0; i < p->inner->derived; i++) {
    const parameters_derivation *at = &p->inner->derivation[i];
    at->d->back(at->d, at->dy, at->grad);
  }
}

/* ---- as a task ---------------------------------------------------------------------------------------------------- */

void parameters_task(const parameters *p, train_task *task) {
  task->tensor = p->tensor;
  task->tensors = p->tensors;
  task->count = p->count;
  task->decaying = p->decaying;
  task->values = p->values;
  task->grads = p->grads;
}
