/* parameters_files.c - parameters as checkpoint folders, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/half.h"
#include "base/strings.h"
#include "train/parameters_inner.h"

enum { OTHERS_LIMIT = 256 << 20 /* bytes of a tokenizer or the like */ };

static const st_dtype type_of[] = {ST_F32, ST_BF16, ST_F16};

/* As the libraries that publish them call it. */
static const char *weights_name(const parameters_source *s) {
  bool diffusers = json_object_get(ckpt_config(s->from), "_diffusers_version");
  return diffusers ? "diffusion_pytorch_model.safetensors" : "model.safetensors";
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static const float F16_MOST = 65504;

/* Values in another type; NULL on failure. */
static void *converted(const float *x, int64_t n, st_dtype dtype, ace_error *err) {
  uint16_t *y = malloc((size_t)n * sizeof *y);
  if (!y) ace_fail(err, ACE_ENOMEM, "training: out of memory");
  for (int64_t i = 0; y && i < n; i++) {
    if (dtype == ST_F16 && !(x[i] >= -F16_MOST && x[i] <= F16_MOST)) {
      ace_fail(err, ACE_EUNSUPPORTED, "training: a weight of %g is beyond F16; write BF16 or F32", (double)x[i]);
      free(y);
      return NULL;
    }
    y[i] = dtype == ST_BF16 ? f32_to_bf16(x[i]) : f32_to_f16(x[i]);
  }
  return y;
}

static ace_status add_values(file_writer *w, const float *x, int64_t n, st_dtype dtype, ace_error *err) {
  if (dtype == ST_F32) return file_writer_add(w, x, (size_t)n * sizeof *x, err);
  void *y = converted(x, n, dtype, err);
  ace_status status = y ? file_writer_add(w, y, (size_t)n * sizeof(uint16_t), err) : err->status;
  free(y);
  return status;
}

/* The number in the list of each tensor of a part; -1: it is frozen. NULL when out of memory. */
static int *numbers_of(const parameters *p, int part) {
  int n = ckpt_tensor_count(p->inner->source[part].from), *number = malloc(((size_t)n + 1) * sizeof *number);
  for (int i = 0; number && i < n; i++) number[i] = -1;
  for (int i = 0; number && i < p->tensors; i++)
    if (p->inner->place[i].part == part) number[p->inner->place[i].index] = i;
  return number;
}

static ace_status add_frozen(file_writer *w, ckpt *from, const st_tensor *t, st_dtype dtype, ace_error *err) {
  if (t->dtype != ST_I8) return file_writer_add(w, t->data, t->size, err);
  float *x = malloc((size_t)t->count * sizeof *x);
  ace_status status = x ? ckpt_widen(from, t, x, err) : ace_fail(err, ACE_ENOMEM, "training: out of memory");
  if (status == ACE_OK) status = add_values(w, x, t->count, dtype, err);
  free(x);
  return status;
}

/* The tensors of the file as they will be, for all those that are not scales: their number. */
static int plan_tensors(const ckpt *from, const int *number, st_dtype dtype, st_tensor *out) {
  int n = 0;
  for (int i = 0; i < ckpt_tensor_count(from); i++) {
    const st_tensor *t = ckpt_at(from, i);
    if (ckpt_is_scale(from, t)) continue;
    out[n] = *t;
    if (number[i] >= 0 || t->dtype == ST_I8) out[n].dtype = dtype, out[n].size = 0;
    n++;
  }
  return n;
}

static ace_status write_tensors(const parameters *p, int part, file_writer *w, const int *number, st_dtype dtype,
                                ace_error *err) {
  ckpt *from = p->inner->source[part].from;
  ace_status status = ACE_OK;
  for (int i = 0; i < ckpt_tensor_count(from) && status == ACE_OK; i++) {
    const st_tensor *t = ckpt_at(from, i);
    if (ckpt_is_scale(from, t)) continue;
    if (number[i] < 0) status = add_frozen(w, from, t, dtype, err);
    else status = add_values(w, p->values + p->tensor[number[i]].first, t->count, dtype, err);
  }
  return status;
}

static ace_status write_weights(const parameters *p, int part, const char *path, parameters_type type, ace_error *err) {
  static const char *const metadata[] = {"format", "pt"};
  const ckpt *from = p->inner->source[part].from;
  int n = ckpt_tensor_count(from), *number = numbers_of(p, part);
  st_tensor *all = calloc((size_t)n + 1, sizeof *all);
  ace_status status = number && all ? ACE_OK : ace_fail(err, ACE_ENOMEM, "training: out of memory");
  file_writer w;
  if (status == ACE_OK) {
    n = plan_tensors(from, number, type_of[type], all);
    status = st_write_begin(&w, path, all, n, metadata, 1, err);
  }
  if (status == ACE_OK) {
    status = write_tensors(p, part, &w, number, type_of[type], err);
    if (status == ACE_OK) status = file_writer_commit(&w, err);
    else file_writer_abort(&w);
  }
  free(number), free(all);
  return status;
}

static ace_status copy_file(const char *from, const char *to, ace_error *err) {
  size_t n;
  char *data = file_read(from, OTHERS_LIMIT, &n, err);
  if (!data) return err->status;
  ace_status status = file_write(to, data, n, err);
  free(data);
  return status;
}

/* The configuration of a model that is int8 no more. */
static ace_status write_config(const ckpt *from, const char *to, ace_error *err) {
  json_t *config = json_copy((json_t *)ckpt_config(from));
  if (config) json_object_del(config, "quantization_config");
  char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
  ace_status status =
      text ? file_write(to, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "training: out of memory");
  free(text);
  json_decref(config);
  return status;
}

static bool is_other(const char *path, const char *name) {
  struct stat st;
  return !string_ends(name, ".safetensors") && !string_ends(name, ".safetensors.index.json") && stat(path, &st) == 0 &&
         S_ISREG(st.st_mode);
}

static ace_status copy_others(const parameters_source *s, const char *to, ace_error *err) {
  char **names = file_names(s->folder, err);
  ace_status status = names ? ACE_OK : err->status;
  for (int i = 0; names && names[i] && status == ACE_OK; i++) {
    char *a = file_join(s->folder, names[i]), *b = file_join(to, names[i]);
    bool noted = strcmp(names[i], "config.json") == 0 && ckpt_is_int8(s->from);
    if (!a || !b) status = ace_fail(err, ACE_ENOMEM, "training: out of memory");
    else if (noted) status = write_config(s->from, b, err);
    else if (is_other(a, names[i])) status = copy_file(a, b, err);
    free(a), free(b);
  }
  file_names_free(names);
  return status;
}

ace_status parameters_write(const parameters *p, const char *folder, parameters_type type, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  ace_status status = ACE_OK;
  for (int i = 0; i < p->inner->parts && status == ACE_OK; i++) {
    const parameters_source *s = &p->inner->source[i];
    char *to = file_join(folder, s->name), *path = to ? file_join(to, weights_name(s)) : NULL;
    status = path ? file_make_directory(to, err) : ace_fail(err, ACE_ENOMEM, "training: out of memory");
    if (status == ACE_OK) status = copy_others(s, to, err);
    if (status == ACE_OK) status = write_weights(p, i, path, type, err);
    free(to), free(path);
  }
  return status;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static ace_status read_tensor(parameters *p, int i, const ckpt *k, ace_error *err) {
  parameters_place at = p->inner->place[i];
  const st_tensor *own = ckpt_at(p->inner->source[at.part].from, at.index), *t = ckpt_find(k, own->name);
  bool fits = t && t->dtype == ST_F32 && t->rank == own->rank && t->count == own->count;
  for (int d = 0; fits && d < own->rank; d++) fits = t->dim[d] == own->dim[d];
  if (!fits)
    return ace_fail(err, ACE_EINVAL, "%s: tensor %s is missing, or is not F32 of the shape that is trained",
                    ckpt_folder(k), own->name);
  st_widen(t, 0, t->count, p->values + p->tensor[i].first);
  return ACE_OK;
}

ace_status parameters_read(parameters *p, const char *folder, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  ace_status status = ACE_OK;
  for (int part = 0; part < p->inner->parts && status == ACE_OK; part++) {
    char *path = file_join(folder, p->inner->source[part].name);
    ckpt *k = path ? ckpt_open(path, err) : NULL;
    if (!path) ace_fail(err, ACE_ENOMEM, "training: out of memory");
    if (!k) status = err->status;
    for (int i = 0; i < p->tensors && status == ACE_OK; i++)
      if (p->inner->place[i].part == part) status = read_tensor(p, i, k, err);
    ckpt_close(k);
    free(path);
  }
  return status;
}
