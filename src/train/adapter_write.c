#include "train/adapter_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "formats/adapter_file.h"
#include "train/peft_config.h"

static const char config_name[] = "adapter_config.json", peft_name[] = "adapter_model.safetensors",
                  lokr_name[] = "lokr_weights.safetensors";

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "lycoris_layers_0_self_attn_q_proj" */
static void lokr_stem(const char *layer, char *out, size_t size) {
  int n = snprintf(out, size, "lycoris_%s", layer);
  for (int i = 0; i < n && (size_t)i < size; i++)
    if (out[i] == '.') out[i] = '_';
}

void adapter_tensor_name(const trainee_tensor *t, char out[TRAIN_NAME_SIZE]) {
  if (string_begins(t->part, "lora_")) {
    snprintf(out, TRAIN_NAME_SIZE, "base_model.model.%s.%s.weight", t->module, t->part);
    return;
  }
  lokr_stem(t->module, out, TRAIN_NAME_SIZE);
  size_t n = strlen(out);
  snprintf(out + n, TRAIN_NAME_SIZE - n, ".%s", t->part);
}

static bool first_of_module(const trainee *t, int i) {
  return i == 0 || strcmp(t->tensor[i].module, t->tensor[i - 1].module) != 0;
}

/* ---- configurations ---------------------------------------------------------------------------------------------- */

/* What PEFT matches with the ends of paths: the last part alone when both attentions are adapted. */
static int targets_of(const trainee *t, const char *out[16]) {
  static const char *const both[] = {"k_proj", "o_proj", "q_proj", "v_proj"};
  static const char *const self[] = {"self_attn.k_proj", "self_attn.o_proj", "self_attn.q_proj", "self_attn.v_proj"};
  static const char *const cross[] = {"cross_attn.k_proj", "cross_attn.o_proj", "cross_attn.q_proj",
                                      "cross_attn.v_proj"};
  static const char *const mlp[] = {"down_proj", "gate_proj", "up_proj"};
  const trainee_options *o = &t->options;
  int n = 0;
  if (o->mlp) out[n++] = mlp[0], out[n++] = mlp[1];
  for (int i = 0; i < 4 && (o->self || o->cross); i++)
    out[n++] = o->self && o->cross ? both[i] : o->self ? self[i] : cross[i];
  if (o->mlp) out[n++] = mlp[2];
  out[n] = NULL;
  return n;
}

static ace_status write_json(const char *folder, const char *name, const json_t *object, ace_error *err) {
  char *path = file_join(folder, name), *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
  ace_status status =
      path && text ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  free(path), free(text);
  return status;
}

static char *lokr_config(const trainee *t, const train_settings *s) {
  const char *targets[16];
  targets_of(t, targets);
  json_t *o = json_pack("{s:i, s:o, s:i, s:b, s:b, s:b, s:b, s:o, s:b, s:b, s:b, s:b}", "linear_dim", s->lokr_dim,
                        "linear_alpha", peft_number(s->lokr_alpha), "factor", s->lokr_factor, "decompose_both",
                        s->lokr_decompose_both, "use_tucker", 0, "use_scalar", s->lokr_use_scalar, "weight_decompose",
                        s->lokr_weight_decompose, "target_modules", peft_strings(targets), "full_matrix", 0,
                        "bypass_mode", 0, "rs_lora", 0, "unbalanced_factorization", 0);
  char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  json_decref(o);
  return text;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct listing {
  st_tensor *at;
  char (*name)[TRAIN_NAME_SIZE];
  float *alpha; /* LoKr: of each module */
  int n, n_alpha;
} listing;

static void listing_free(listing *l) {
  free(l->at), free(l->name), free(l->alpha);
}

/* Files have no scalars: they are part of the first factor (trainee_settle). */
static bool is_scalar(const trainee_tensor *of) {
  return strcmp(of->part, "scalar") == 0;
}

/* The library writes the rank as alpha of whole factors, for which its own scale is 1. */
static float alpha_of(const trainee *t, const trainee_tensor *of, const train_settings *s) {
  return (float)(trainee_scale(t, of) == 1 ? s->lokr_dim : s->lokr_alpha);
}

static void add_alpha(listing *l, const trainee *t, const trainee_tensor *of, const train_settings *s) {
  char *name = l->name[l->n];
  lokr_stem(of->module, name, TRAIN_NAME_SIZE - sizeof ".alpha");
  strcat(name, ".alpha");
  float *alpha = &l->alpha[l->n_alpha++];
  *alpha = alpha_of(t, of, s);
  l->at[l->n++] =
      (st_tensor){.name = name, .dtype = ST_F32, .rank = 0, .count = 1, .data = alpha, .size = sizeof *alpha};
}

static ace_status list(listing *l, const trainee *t, const train_settings *s, ace_error *err) {
  size_t n = (size_t)t->n;
  *l = (listing){calloc(2 * n, sizeof *l->at), calloc(2 * n, sizeof *l->name), calloc(n, sizeof *l->alpha), 0, 0};
  if (!l->at || !l->name || !l->alpha) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < t->n; i++) {
    const trainee_tensor *of = &t->tensor[i];
    if (is_scalar(of)) continue;
    if (t->options.kind == TRAINEE_LOKR && first_of_module(t, i)) add_alpha(l, t, of, s);
    adapter_tensor_name(of, l->name[l->n]);
    int64_t count = of->rows * of->columns;
    l->at[l->n] = (st_tensor){.name = l->name[l->n],
                              .dtype = ST_F32,
                              .rank = 2,
                              .dim = {of->rows, of->columns},
                              .count = count,
                              .data = t->values + of->first,
                              .size = (size_t)count * sizeof(float)};
    l->n++;
  }
  return ACE_OK;
}

static ace_status write_lora(const trainee *t, const train_settings *s, const char *base, const char *folder,
                             const listing *l, ace_error *err) {
  static const char *const metadata[] = {"format", "pt"};
  const char *targets[16];
  targets_of(t, targets);
  json_t *config = peft_config(s->rank, s->alpha, s->dropout, s->use_rslora, targets, base);
  char *path = file_join(folder, peft_name);
  ace_status status =
      path ? st_write(path, l->at, l->n, metadata, 1, err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  if (status == ACE_OK) status = write_json(folder, config_name, config, err);
  json_decref(config);
  free(path);
  return status;
}

static ace_status write_lokr(const trainee *t, const train_settings *s, const char *folder, const listing *l,
                             ace_error *err) {
  char *path = file_join(folder, lokr_name), *config = lokr_config(t, s);
  const char *const metadata[] = {"algo", "lokr", "format", "lycoris", "lokr_config", config};
  ace_status status = path && config ? st_write(path, l->at, l->n, metadata, 3, err)
                                     : ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  free(path), free(config);
  return status;
}

ace_status adapter_write(const trainee *t, const train_settings *s, const char *base, const char *folder,
                         ace_error *err) {
  listing l;
  ace_status status = list(&l, t, s, err);
  if (status == ACE_OK)
    status =
        t->options.kind == TRAINEE_LORA ? write_lora(t, s, base, folder, &l, err) : write_lokr(t, s, folder, &l, err);
  listing_free(&l);
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ace_status conflict(const char *path, const trainee_tensor *of, const st_tensor *t, ace_error *err) {
  return ace_fail(
      err, ACE_EINVAL,
      "resume: %s: %s is [%lld, %lld], but the settings ask for [%lld, %lld]; use the rank, dimension and factor "
      "that it was trained with",
      path, t->name, (long long)t->dim[0], (long long)t->dim[1], (long long)of->rows, (long long)of->columns);
}

static ace_status read_tensor(trainee *t, const trainee_tensor *of, const st_file *f, ace_error *err) {
  char name[TRAIN_NAME_SIZE];
  if (is_scalar(of)) {
    t->values[of->first] = 1;
    return ACE_OK;
  }
  adapter_tensor_name(of, name);
  const st_tensor *s = st_find(f, name);
  if (!s)
    return ace_fail(err, ACE_EINVAL,
                    "resume: %s: there is no %s; use the kind of adapter and the layers that it was trained with",
                    st_path(f), name);
  if (s->dtype != ST_F32 && s->dtype != ST_BF16 && s->dtype != ST_F16)
    return ace_fail(err, ACE_EFORMAT, "resume: %s: %s: dtype %s, expected F32, BF16 or F16", st_path(f), name,
                    st_dtype_name(s->dtype));
  if (s->rank != 2 || s->dim[0] != of->rows || s->dim[1] != of->columns) return conflict(st_path(f), of, s, err);
  st_widen(s, 0, s->count, t->values + of->first);
  for (int64_t i = 0; i < s->count; i++)
    if (!isfinite(t->values[of->first + i]))
      return ace_fail(err, ACE_EFORMAT, "resume: %s: %s: not finite; the training went wrong", st_path(f), name);
  return ACE_OK;
}

/* Does the file train more than the settings ask for? */
static ace_status check_rest(const trainee *t, const st_file *f, ace_error *err) {
  int n = 0, wanted = 0;
  for (int i = 0; i < st_count(f); i++) n += st_at(f, i)->rank == 2;
  for (int i = 0; i < t->n; i++) wanted += !is_scalar(&t->tensor[i]);
  if (n == wanted) return ACE_OK;
  return ace_fail(err, ACE_EINVAL,
                  "resume: %s: it has %d factors, but the settings ask for %d; adapt the same layers in the same way",
                  st_path(f), n, wanted);
}

ace_status adapter_read(trainee *t, const char *folder, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  char *path = file_join(folder, t->options.kind == TRAINEE_LORA ? peft_name : lokr_name);
  st_file *f = path && file_exists(path) ? st_open(path, err) : NULL;
  if (path && !f && !file_exists(path))
    ace_fail(err, ACE_EINVAL, "resume: %s: there is no such file; was it another kind of adapter?", path);
  else if (!path) ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  ace_status status = f ? check_rest(t, f, err) : err->status;
  for (int i = 0; i < t->n && status == ACE_OK; i++) status = read_tensor(t, &t->tensor[i], f, err);
  st_close(f);
  free(path);
  return status;
}
