#include "train/export.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/half.h"
#include "base/strings.h"
#include "formats/adapter_file.h"
#include "train/checkpoint.h"
#include "train/checkpoint_state.h"

static const char config_name[] = "adapter_config.json", peft_name[] = "adapter_model.safetensors",
                  lokr_name[] = "lokr_weights.safetensors", file_end[] = ".safetensors";

/* ---- the source -------------------------------------------------------------------------------------------------- */

/* The number of a checkpoint "epoch_200_loss_0.5713"; -1: it is none. */
static long epoch_number(const char *name) {
  static const char word[] = "epoch_";
  char *end;
  if (!string_begins(name, word) || !isdigit((unsigned char)name[sizeof word - 1])) return -1;
  long n = strtol(name + sizeof word - 1, &end, 10);
  return *end == 0 || *end == '_' ? n : -1;
}

/* Is this the epoch that is asked for: by name, or by number? */
static bool is_epoch(const char *name, const char *wanted) {
  char *end;
  long n = strtol(wanted, &end, 10);
  return strcmp(name, wanted) == 0 || (*wanted && !*end && n >= 0 && epoch_number(name) == n);
}

static void list_names(char *const *names, char *out, size_t size) {
  out[0] = 0;
  for (; names && *names; names++) {
    size_t n = strlen(out);
    if (n + strlen(*names) + 3 < size) snprintf(out + n, size - n, "%s%s", n ? ", " : "", *names);
  }
}

/* Of OUTPUT/checkpoints: the epoch that is wanted, else the latest. */
static char *checkpoint_of(const char *folder, const char *wanted, ace_error *err) {
  char **names = file_names(folder, NULL), *best = NULL;
  long most = -1;
  int64_t most_steps = -1;
  for (int i = 0; names && names[i]; i++) {
    long n = epoch_number(names[i]);
    if (wanted ? !is_epoch(names[i], wanted) : n < 0 || n < most) continue;
    char *state = file_join(folder, names[i]);
    int64_t steps = state ? checkpoint_state_steps(state) : -1; /* of one epoch there may be several */
    free(state);
    if (best && n == most && steps <= most_steps) continue;
    most = n, most_steps = steps;
    best = names[i];
  }
  char *path = best ? file_join(folder, best) : NULL;
  if (!best && wanted) {
    char all[320];
    list_names(names, all, sizeof all);
    ace_fail(err, ACE_ENOTFOUND, "export: Selected epoch not found: %.80s. Available: %s", wanted, *all ? all : "none");
  } else if (!path) ace_fail(err, ACE_ENOTFOUND, "export: No checkpoints found in %s", folder);
  file_names_free(names);
  return path;
}

char *export_source(const char *source, const char *epoch, ace_error *err) {
  const char *wanted = epoch && *epoch ? epoch : NULL;
  if (!file_exists(source)) {
    ace_fail(err, ACE_ENOTFOUND, "export: No trained model found in %s", source);
    return NULL;
  }
  char *final = file_join(source, "final"), *checkpoints = file_join(source, CHECKPOINT_FOLDER), *found = NULL;
  if (!final || !checkpoints) ace_fail(err, ACE_ENOMEM, "export: out of memory");
  else if (!wanted && file_is_directory(final)) found = strdup(final);
  else if (file_is_directory(checkpoints)) found = checkpoint_of(checkpoints, wanted, err);
  else if (wanted) ace_fail(err, ACE_ENOTFOUND, "export: %s: it has no " CHECKPOINT_FOLDER, source);
  else found = strdup(source);
  free(final), free(checkpoints);
  return found;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum { NAME_SIZE = 256 };

typedef struct packing {
  st_tensor *at;
  int n;
  void **owned; /* [n_owned] */
  int n_owned;
} packing;

static void packing_free(packing *p) {
  for (int i = 0; i < p->n_owned; i++) free(p->owned[i]);
  free(p->owned), free(p->at);
}

static void *own(packing *p, size_t bytes) {
  void *at = malloc(bytes ? bytes : 1);
  if (at) p->owned[p->n_owned++] = at;
  return at;
}

/* A float tensor in the wanted type; values must be finite. */
static ace_status convert(packing *p, const st_tensor *t, bool f32, ace_error *err) {
  /* Scalars stay F32, and lengths of rows: there are few, and what rounds them makes rows louder or softer. */
  bool matrix = t->rank > 0 && t->count > 1 && !string_ends(t->name, ".dora_scale");
  float *wide = own(p, (size_t)t->count * sizeof *wide);
  if (!wide) return ace_fail(err, ACE_ENOMEM, "export: out of memory");
  st_widen(t, 0, t->count, wide);
  for (int64_t i = 0; i < t->count; i++)
    if (!isfinite(wide[i]))
      return ace_fail(err, ACE_EFORMAT, "export: %s: not finite; the training went wrong", t->name);
  st_tensor out = *t;
  out.dtype = ST_F32, out.data = wide, out.size = (size_t)t->count * sizeof *wide;
  if (matrix && !f32) {
    uint16_t *half = own(p, (size_t)t->count * sizeof *half);
    if (!half) return ace_fail(err, ACE_ENOMEM, "export: out of memory");
    for (int64_t i = 0; i < t->count; i++) half[i] = f32_to_bf16(wide[i]);
    out.dtype = ST_BF16, out.data = half, out.size = (size_t)t->count * sizeof *half;
  }
  p->at[p->n++] = out;
  return ACE_OK;
}

/* "….lora_A.weight" -> "….alpha" */
static ace_status add_alpha(packing *p, const adapter_module *m, ace_error *err) {
  char *name = own(p, NAME_SIZE);
  float *alpha = own(p, sizeof *alpha);
  if (!name || !alpha) return ace_fail(err, ACE_ENOMEM, "export: out of memory");
  const char *end = strstr(m->a->name, ".lora_");
  snprintf(name, NAME_SIZE, "%.*s.alpha", end ? (int)(end - m->a->name) : 0, m->a->name);
  *alpha = (float)(m->scale * (double)m->rank); /* readers divide by the rank, whatever the training did */
  p->at[p->n++] =
      (st_tensor){.name = name, .dtype = ST_F32, .rank = 0, .count = 1, .data = alpha, .size = sizeof *alpha};
  return ACE_OK;
}

static bool is_alpha(const st_tensor *t) {
  return string_ends(t->name, ".alpha");
}

/* All tensors of the file; with `alphas`, the scale of every layer of LoRA. */
static ace_status pack(packing *p, const adapter_file *f, bool alphas, bool f32, ace_error *err) {
  size_t n = (size_t)st_count(f->weights), modules = (size_t)f->n_modules;
  *p = (packing){calloc(n + modules, sizeof *p->at), 0, calloc(2 * n + 2 * modules, sizeof *p->owned), 0};
  if (!p->at || !p->owned) return ace_fail(err, ACE_ENOMEM, "export: out of memory");
  bool lora = f->module[0].kind == ADAPTER_LORA;
  ace_status status = ACE_OK;
  for (int i = 0; i < st_count(f->weights) && status == ACE_OK; i++) {
    const st_tensor *t = st_at(f->weights, i);
    if (t->dtype != ST_F32 && t->dtype != ST_BF16 && t->dtype != ST_F16) continue;
    if (!lora || !is_alpha(t)) status = convert(p, t, f32, err);
  }
  for (int i = 0; i < f->n_modules && status == ACE_OK && lora && alphas; i++)
    status = add_alpha(p, &f->module[i], err);
  return status;
}

static bool all_zero(const st_tensor *t) {
  for (int64_t j = 0; j < t->count; j++) {
    float x;
    st_widen(t, j, 1, &x);
    if (x != 0) return false;
  }
  return true;
}

/* Magnitudes say something of the weights themselves, whatever the factors are. */
static bool is_idle(const adapter_file *f) {
  for (int i = 0; i < f->n_modules; i++) {
    const adapter_module *m = &f->module[i];
    const st_tensor *first = m->a ? m->a : m->w1 ? m->w1 : m->w1_a, *last = m->b ? m->b : m->w2 ? m->w2 : m->w2_b;
    if (m->magnitude || (first && last && !all_zero(first) && !all_zero(last))) return false;
  }
  return true;
}

/* ---- the destination --------------------------------------------------------------------------------------------- */

/* Is there nothing in the folder but an adapter? */
static bool holds_adapter_only(const char *folder) {
  char **names = file_names(folder, NULL);
  bool only = names != NULL;
  for (int i = 0; names && names[i]; i++)
    only &= strcmp(names[i], config_name) == 0 || strcmp(names[i], peft_name) == 0 || strcmp(names[i], lokr_name) == 0;
  file_names_free(names);
  return only;
}

static ace_status write_config(const adapter_file *f, const char *folder, ace_error *err) {
  char *path = file_join(folder, config_name), *text = json_dumps(f->config, JSON_INDENT(2) | JSON_SORT_KEYS);
  ace_status status =
      path && text ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "export: out of memory");
  free(path), free(text);
  return status;
}

static ace_status write_weights(const adapter_file *f, const packing *p, const char *path, ace_error *err) {
  const char *config = st_metadata(f->weights, "lokr_config");
  const char *const lokr[] = {"algo", "lokr", "format", "lycoris", "lokr_config", config};
  const char *const lora[] = {"format", "pt"};
  return config ? st_write(path, p->at, p->n, lokr, 3, err) : st_write(path, p->at, p->n, lora, 1, err);
}

static void remove_file(const char *folder, const char *name) {
  char *path = file_join(folder, name);
  if (path) unlink(path);
  free(path);
}

/* Where another adapter was: without its configuration, which comes last, a folder that could not be finished is none;
 * nothing of the other kind stays beside it. */
static ace_status write_folder(const adapter_file *f, const packing *p, const char *folder, export_made *made,
                               ace_error *err) {
  bool lora = f->module[0].kind == ADAPTER_LORA;
  if (file_exists(folder) && !holds_adapter_only(folder))
    return ace_fail(err, ACE_EINVAL, "export: %s: not an adapter's folder, so it is not replaced; name a new one",
                    folder);
  made->path = file_join(folder, lora ? peft_name : lokr_name);
  ace_status status =
      made->path ? file_make_directory(folder, err) : ace_fail(err, ACE_ENOMEM, "export: out of memory");
  if (status == ACE_OK) remove_file(folder, config_name);
  if (status == ACE_OK) status = write_weights(f, p, made->path, err);
  if (status == ACE_OK && lora) status = write_config(f, folder, err);
  if (status == ACE_OK) remove_file(folder, lora ? lokr_name : peft_name);
  return status;
}

static ace_status write_file(const adapter_file *f, const packing *p, const char *path, export_made *made,
                             ace_error *err) {
  made->path = strdup(path);
  if (!made->path) return ace_fail(err, ACE_ENOMEM, "export: out of memory");
  if (file_is_directory(path)) return ace_fail(err, ACE_EINVAL, "export: %s: a folder; name a file", path);
  return write_weights(f, p, path, err);
}

ace_status export_adapter(const char *source, const char *destination, const export_options *options, export_made *made,
                          ace_error *err) {
  ace_error fallback = {0};
  if (!err) err = &fallback;
  *made = (export_made){0};
  if (!*destination) return ace_fail(err, ACE_EINVAL, "export: Please enter an export path");
  bool single = options->single_file || string_ends(destination, file_end);
  made->source = export_source(source, options->epoch, err);
  adapter_file *f = made->source ? adapter_file_open(made->source, err) : NULL;
  packing p = {0};
  ace_status status = f ? ACE_OK : err->status;
  if (status == ACE_OK && !single && f->module[0].kind == ADAPTER_LORA && !f->config)
    status = ace_fail(err, ACE_EUNSUPPORTED, "export: %s has no configuration; export it as one file: NAME.safetensors",
                      made->source);
  if (status == ACE_OK) status = pack(&p, f, single, options->f32, err);
  if (status == ACE_OK)
    status = single ? write_file(f, &p, destination, made, err) : write_folder(f, &p, destination, made, err);
  for (int i = 0; i < p.n; i++) made->bytes += (int64_t)p.at[i].size;
  if (f) made->layers = f->n_modules, made->idle = is_idle(f);
  packing_free(&p);
  adapter_file_close(f);
  return status;
}

void export_made_free(export_made *m) {
  free(m->source), free(m->path);
  *m = (export_made){0};
}
