#include "formats/convert.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/half.h"
#include "base/notify.h"
#include "base/strings.h"
#include "formats/checkpoint_inner.h"

enum { PIECE = 8 << 20, SMALL_FILE = 64 << 20, DISK_SPARE = 16 << 20 };

typedef struct conversion {
  ckpt *from;
  const char *dst;
  char *temporary; /* DST while it is made; owned */
  st_dtype type;   /* ST_I8: matrices, the rest stays; or ST_F32, ST_BF16, ST_F16: everything */
  pool *threads;
  const ace_callbacks *notify;
  convert_sizes sizes;
  int64_t done, total; /* bytes of weights read */
  ace_error *err;
} conversion;

static ace_status no_memory(const conversion *c) {
  return ace_fail(c->err, ACE_ENOMEM, "%s: out of memory", c->dst);
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static ace_status step(conversion *c, int64_t bytes) {
  const ace_callbacks *n = c->notify;
  c->done += bytes;
  if (notify_stopped(n)) return ace_fail(c->err, ACE_ECANCELED, "convert: cancelled");
  if (n && n->progress) {
    ace_progress p = {
        .stage = "convert", .fraction = c->total ? (double)c->done / (double)c->total : 1, .seconds_left = -1};
    n->progress(n->user, &p);
  }
  return ACE_OK;
}

/* ---- weight files ------------------------------------------------------------------------------------------------ */

static bool is_float(const st_tensor *t) {
  return t->dtype == ST_BF16 || t->dtype == ST_F16 || t->dtype == ST_F32;
}

/* To int8. */
static bool shrinks(const conversion *c, const st_tensor *t) {
  return c->type == ST_I8 && ckpt_is_large(t) && is_float(t);
}

/* To another type of float. */
static bool turns(const conversion *c, const st_tensor *t) {
  return c->type != ST_I8 && is_float(t) && t->dtype != c->type;
}

static int64_t size_after(const conversion *c, const st_tensor *t) {
  if (shrinks(c, t)) return t->count + t->dim[0] * (int64_t)sizeof(float);
  return turns(c, t) ? t->count * (int64_t)st_dtype_size(c->type) : (int64_t)t->size;
}

static void measure(conversion *c) {
  for (int i = 0; i < ckpt_tensor_count(c->from); i++) {
    const st_tensor *t = ckpt_at(c->from, i);
    c->sizes.before += (int64_t)t->size;
    c->sizes.after += size_after(c, t);
    c->sizes.tensors += shrinks(c, t) || turns(c, t);
  }
  c->total = c->sizes.before;
}

/* The tensors of a file as they will be: two for each matrix that shrinks. Names of scales are owned by `names`. */
static int describe(const conversion *c, const st_file *f, st_tensor *out, char (*names)[CKPT_SCALE_NAME_SIZE]) {
  int n = 0;
  for (int i = 0; i < st_count(f); i++) {
    const st_tensor *t = st_at(f, i);
    out[n++] = *t;
    if (turns(c, t)) out[n - 1].dtype = c->type, out[n - 1].size = 0;
    if (!shrinks(c, t)) continue;
    out[n - 1].dtype = ST_I8;
    out[n - 1].size = 0;
    out[n++] = (st_tensor){.name = ckpt_scale_name(t->name, names[i]), .dtype = ST_F32, .rank = 1, .dim = {t->dim[0]}};
  }
  return n;
}

static ace_status write_shrunk(conversion *c, file_writer *w, const st_tensor *t) {
  int8_t *q = malloc((size_t)t->count);
  float *scale = malloc((size_t)t->dim[0] * sizeof *scale);
  ace_status status = q && scale ? ckpt_encode_int8(t, c->threads, q, scale, c->err) : no_memory(c);
  if (status == ACE_OK) status = file_writer_add(w, q, (size_t)t->count, c->err);
  if (status == ACE_OK) status = file_writer_add(w, scale, (size_t)t->dim[0] * sizeof *scale, c->err);
  free(q), free(scale);
  return status == ACE_OK ? step(c, (int64_t)t->size) : status;
}

/* Values in the new type; false: one is beyond it. */
static bool turn(st_dtype type, const float *x, int64_t n, void *out) {
  uint16_t *half = out;
  const float most = 65504;
  if (type == ST_F32) memcpy(out, x, (size_t)n * sizeof *x);
  for (int64_t i = 0; type != ST_F32 && i < n; i++) {
    if (type == ST_F16 && (x[i] > most || x[i] < -most)) return false;
    half[i] = type == ST_BF16 ? f32_to_bf16(x[i]) : f32_to_f16(x[i]);
  }
  return true;
}

static ace_status write_turned(conversion *c, file_writer *w, const st_tensor *t) {
  enum { VALUES = 1 << 16 };
  size_t size = st_dtype_size(c->type);
  float *x = malloc(VALUES * sizeof *x);
  void *y = malloc(VALUES * size);
  ace_status status = x && y ? ACE_OK : no_memory(c);
  for (int64_t at = 0, n; at < t->count && status == ACE_OK; at += n) {
    n = t->count - at < VALUES ? t->count - at : VALUES;
    st_widen(t, at, n, x);
    if (!turn(c->type, x, n, y))
      status = ace_fail(c->err, ACE_EUNSUPPORTED, "%s: tensor %s: a value is beyond %s; bf16 holds it", c->from->folder,
                        t->name, st_dtype_name(c->type));
    if (status == ACE_OK) status = file_writer_add(w, y, (size_t)n * size, c->err);
  }
  free(x), free(y);
  return status == ACE_OK ? step(c, (int64_t)t->size) : status;
}

static ace_status write_same(conversion *c, file_writer *w, const st_tensor *t) {
  ace_status status = ACE_OK;
  for (size_t at = 0; at < t->size && status == ACE_OK; at += PIECE) {
    size_t n = t->size - at < PIECE ? t->size - at : PIECE;
    status = file_writer_add(w, (const uint8_t *)t->data + at, n, c->err);
    if (status == ACE_OK) status = step(c, (int64_t)n);
  }
  return status;
}

static ace_status write_tensors(conversion *c, file_writer *w, const st_file *f) {
  ace_status status = ACE_OK;
  for (int i = 0; i < st_count(f) && status == ACE_OK; i++) {
    const st_tensor *t = st_at(f, i);
    if (shrinks(c, t)) status = write_shrunk(c, w, t);
    else status = turns(c, t) ? write_turned(c, w, t) : write_same(c, w, t);
    file_forget(t->data, t->size);
  }
  return status;
}

static ace_status convert_file(conversion *c, const ckpt_file *file) {
  static const char *const metadata[] = {"format", "pt"};
  const st_file *f = file->weights;
  char *path = file_join(c->temporary, file->name);
  st_tensor *out = calloc((size_t)st_count(f) * 2 + 1, sizeof *out);
  char(*names)[CKPT_SCALE_NAME_SIZE] = calloc((size_t)st_count(f) + 1, sizeof *names);
  ace_status status = no_memory(c);
  file_writer w;
  if (path && out && names) {
    status = st_write_begin(&w, path, out, describe(c, f, out, names), metadata, 1, c->err);
    if (status == ACE_OK) {
      status = write_tensors(c, &w, f);
      if (status == ACE_OK) status = file_writer_commit(&w, c->err);
      else file_writer_abort(&w);
    }
  }
  free(path), free(out), free(names);
  return status;
}

/* ---- the files around them --------------------------------------------------------------------------------------- */

static ace_status write_json(conversion *c, const char *name, json_t *value) {
  char *path = file_join(c->temporary, name), *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
  ace_status status = path && text ? file_write(path, text, strlen(text), c->err) : no_memory(c);
  free(path), free(text);
  return status;
}

static bool note_int8(json_t *config) {
  json_t *note =
      json_pack("{s:s, s:i, s:s}", "quant_method", CKPT_INT8_METHOD, "bits", 8, "form",
                "rows turned by signed Hadamard blocks, int8, one F32 scale a row in NAME" CKPT_SCALE_SUFFIX);
  return json_object_set_new(config, "quantization_config", note) == 0;
}

/* Where a configuration names a type at all. */
static bool note_type(json_t *config, st_dtype type) {
  static const char *const fields[] = {"dtype", "torch_dtype"};
  const char *name = type == ST_F32 ? "float32" : type == ST_BF16 ? "bfloat16" : "float16";
  for (int i = 0; i < 2; i++)
    if (json_object_get(config, fields[i]) && json_object_set_new(config, fields[i], json_string(name)) != 0)
      return false;
  return true;
}

static ace_status write_config(conversion *c) {
  json_t *config = json_deep_copy(ckpt_config(c->from));
  bool noted = config && (c->type == ST_I8 ? note_int8(config) : note_type(config, c->type));
  ace_status status = noted ? write_json(c, "config.json", config) : no_memory(c);
  json_decref(config);
  return status;
}

/* The index of shards, when there are several files. */
static ace_status write_index(conversion *c, const char *name) {
  json_t *map = json_object();
  for (int i = 0; i < c->from->n_files; i++) {
    const ckpt_file *file = &c->from->files[i];
    for (int j = 0; j < st_count(file->weights); j++) {
      const st_tensor *t = st_at(file->weights, j);
      char scale[CKPT_SCALE_NAME_SIZE];
      json_object_set_new(map, t->name, json_string(file->name));
      if (!shrinks(c, t)) continue;
      json_object_set_new(map, ckpt_scale_name(t->name, scale), json_string(file->name));
    }
  }
  json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)c->sizes.after, "weight_map", map);
  ace_status status = write_json(c, name, index);
  json_decref(index);
  return status;
}

static ace_status copy_file(conversion *c, const char *name) {
  char *from = file_join(c->from->folder, name), *to = file_join(c->temporary, name);
  size_t length;
  struct stat st;
  ace_status status = from && to ? ACE_OK : no_memory(c);
  if (status == ACE_OK && stat(from, &st) == 0 && S_ISREG(st.st_mode)) {
    char *data = file_read(from, SMALL_FILE, &length, c->err);
    status = data ? file_write(to, data, length, c->err) : c->err->status;
    free(data);
  }
  free(from), free(to);
  return status;
}

/* Everything that is neither configuration nor weights. */
static ace_status copy_others(conversion *c) {
  DIR *dir = opendir(c->from->folder);
  if (!dir) return ace_fail_errno(c->err, "%s: cannot open", c->from->folder);
  ace_status status = ACE_OK;
  for (struct dirent *e; status == ACE_OK && (e = readdir(dir));) {
    const char *name = e->d_name;
    if (*name == '.' || strcmp(name, "config.json") == 0 || string_ends(name, ".safetensors")) continue;
    status = string_ends(name, ".safetensors.index.json") ? write_index(c, name) : copy_file(c, name);
  }
  closedir(dir);
  return status;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* Length of a path without slashes at its end, and where its last part begins. */
static size_t split_path(const char *path, size_t *last) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  *last = n;
  while (*last > 0 && path[*last - 1] != '/') --*last;
  return n;
}

static ace_status check_room(conversion *c, const char *parent) {
  struct statvfs fs;
  if (statvfs(parent, &fs) != 0) return ace_fail_errno(c->err, "%s: cannot look at the disk", parent);
  uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, need = (uint64_t)c->sizes.after + DISK_SPARE;
  if (room >= need) return ACE_OK;
  return ace_fail(c->err, ACE_EIO, "%s: %llu MiB are free there, %llu are needed", parent,
                  (unsigned long long)(room >> 20), (unsigned long long)(need >> 20));
}

static ace_status make_temporary(conversion *c) {
  size_t last, n = split_path(c->dst, &last), size = n + 64;
  if (n == last) return ace_fail(c->err, ACE_EINVAL, "convert: \"%s\" names no folder", c->dst);
  char *parent = last ? strndup(c->dst, last) : strdup(".");
  c->temporary = malloc(size);
  if (!parent || !c->temporary) {
    free(parent);
    return no_memory(c);
  }
  snprintf(c->temporary, size, "%.*s.%.*s.%ld.tmp", (int)last, c->dst, (int)(n - last), c->dst + last, (long)getpid());
  ace_status status = file_make_directory(parent, c->err);
  if (status == ACE_OK) status = check_room(c, parent);
  if (status == ACE_OK && mkdir(c->temporary, 0777) != 0)
    status = ace_fail_errno(c->err, "%s: cannot create", c->temporary);
  free(parent);
  return status;
}

static ace_status fill(conversion *c) {
  ace_status status = write_config(c);
  if (status == ACE_OK) status = copy_others(c);
  for (int i = 0; i < c->from->n_files && status == ACE_OK; i++) status = convert_file(c, &c->from->files[i]);
  if (status == ACE_OK && rename(c->temporary, c->dst) != 0)
    status = ace_fail_errno(c->err, "%s: cannot put the folder in its place", c->dst);
  return status;
}

static ace_status run(conversion *c) {
  if (c->from->gguf)
    return ace_fail(c->err, ACE_EINVAL, "%s: is a GGUF file; only folders with safetensors can be converted",
                    gguf_path(c->from->gguf));
  measure(c);
  if (ckpt_is_int8(c->from)) return ace_fail(c->err, ACE_EINVAL, "%s: is int8 already", c->from->folder);
  if (c->sizes.tensors == 0 && c->type != ST_I8)
    return ace_fail(c->err, ACE_EINVAL, "%s: is %s already", c->from->folder, st_dtype_name(c->type));
  if (c->sizes.tensors == 0)
    return ace_fail(c->err, ACE_EINVAL,
                    "%s: holds no matrices that int8 is for; only diffusion models, text encoders "
                    "and language models do",
                    c->from->folder);
  ace_status status = make_temporary(c);
  if (status != ACE_OK) return status;
  status = fill(c);
  if (status != ACE_OK) file_remove_tree(c->temporary, NULL);
  return status;
}

ace_status convert_to(const char *src, const char *dst, st_dtype type, pool *threads, const ace_callbacks *notify,
                      convert_sizes *sizes, ace_error *err) {
  ace_error local;
  if (!err) err = &local;
  if (file_exists(dst)) return ace_fail(err, ACE_EINVAL, "convert: %s exists; name a new folder", dst);
  conversion c = {
      .from = ckpt_open(src, err), .dst = dst, .type = type, .threads = threads, .notify = notify, .err = err};
  if (!c.from) return err->status;
  ace_status status = run(&c);
  if (sizes) *sizes = c.sizes;
  free(c.temporary);
  ckpt_close(c.from);
  return status;
}
