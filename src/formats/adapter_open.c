/* Where an adapter lies, and what its configuration says: adapter_config.json of PEFT, or lokr_config in the metadata
 * of LyCORIS. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/strings.h"
#include "formats/adapter_inner.h"

enum { CONFIG_LIMIT = 4 << 20 };

static const char config_name[] = "adapter_config.json", peft_name[] = "adapter_model.safetensors",
                  lokr_name[] = "lokr_weights.safetensors", inner_name[] = "adapter", lokr_key[] = "lokr_config";

/* ---- configurations ---------------------------------------------------------------------------------------------- */

static bool is_peft(const json_t *config) {
  return json_object_get(config, "peft_type") != NULL;
}

static bool is_set(const json_t *value) {
  return value && !json_is_null(value) && !json_is_false(value) &&
         !(json_is_array(value) && json_array_size(value) == 0) &&
         !(json_is_object(value) && json_object_size(value) == 0);
}

static ace_status unsupported(const adapter_file *f, const char *field, const char *why, ace_error *err) {
  return ace_fail(err, ACE_EUNSUPPORTED, "%s: its configuration's %s: %s", f->path, field, why);
}

static ace_status check_peft(const adapter_file *f, ace_error *err) {
  static const char *const refused[] = {"modules_to_save",   "lora_bias",  "fan_in_fan_out",
                                        "layer_replication", "use_qalora", "megatron_config"};
  const char *type = NULL, *bias = NULL;
  bool flag;
  double number;
  const json_t *c = f->config;
  ace_status status = json_string_field(c, "peft_type", NULL, f->path, &type, err);
  if (status == ACE_OK && (!type || strcmp(type, "LORA") != 0))
    return unsupported(f, "peft_type", "only LORA is supported", err);
  if (status == ACE_OK) status = json_string_field(c, "bias", "none", f->path, &bias, err);
  if (status == ACE_OK && strcmp(bias, "none") != 0)
    return unsupported(f, "bias", "trained biases are not supported, only \"none\"", err);
  for (size_t i = 0; i < sizeof refused / sizeof *refused && status == ACE_OK; i++)
    if (is_set(json_object_get(c, refused[i]))) return unsupported(f, refused[i], "not supported", err);
  if (status == ACE_OK) status = json_bool_field(c, "use_rslora", false, f->path, &flag, err);
  if (status == ACE_OK) status = json_number_field(c, "lora_alpha", 0, -1e9, 1e9, f->path, &number, err);
  return status;
}

ace_status adapter_check_config(const adapter_file *f, ace_error *err) {
  if (!f->config) return ACE_OK;
  if (!json_is_object(f->config)) return ace_fail(err, ACE_EFORMAT, "%s: its configuration is no object", f->path);
  if (is_peft(f->config)) return check_peft(f, err);
  int64_t dim;
  double alpha;
  bool flag;
  ace_status status = json_int_field(f->config, "linear_dim", 0, 0, INT32_MAX, f->path, &dim, err);
  if (status == ACE_OK) status = json_number_field(f->config, "linear_alpha", 0, -1e9, 1e9, f->path, &alpha, err);
  return status == ACE_OK ? json_bool_field(f->config, "rs_lora", false, f->path, &flag, err) : status;
}

bool adapter_rank_stabilised(const adapter_file *f, const adapter_module *m) {
  const char *field = m->kind == ADAPTER_LORA ? "use_rslora" : "rs_lora";
  return json_is_true(json_object_get(f->config, field));
}

bool adapter_has_magnitudes(const adapter_file *f) {
  return is_peft(f->config) && json_is_true(json_object_get(f->config, "use_dora"));
}

/* ---- patterns ---------------------------------------------------------------------------------------------------- */

/* A pattern names a layer or the end of its path; PEFT reads it as a regular expression, but writes it as a name, in
 * which an escaped dot is a dot. */
static bool plain_pattern(const char *pattern) {
  for (const char *p = pattern; *p; p++) {
    if (*p == '\\' && p[1] == '.') continue;
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.", *p)) return false;
  }
  return *pattern != 0;
}

/* Compared from behind. */
static bool pattern_names(const char *pattern, const char *name) {
  size_t p = strlen(pattern), n = strlen(name);
  while (p > 0 && n > 0 && pattern[p - 1] == name[n - 1]) {
    p--, n--;
    if (p > 0 && pattern[p] == '.' && pattern[p - 1] == '\\') p--;
  }
  return p == 0 && (n == 0 || name[n - 1] == '.');
}

static ace_status alpha_of_pattern(const adapter_file *f, const adapter_module *m, double *alpha, ace_error *err) {
  json_t *patterns = json_object_get(f->config, "alpha_pattern"), *value;
  const char *pattern;
  if (!is_set(patterns)) return ACE_OK;
  if (!json_is_object(patterns)) return ace_fail(err, ACE_EFORMAT, "%s: alpha_pattern: not an object", f->path);
  json_object_foreach(patterns, pattern, value) {
    if (!plain_pattern(pattern))
      return ace_fail(err, ACE_EUNSUPPORTED,
                      "%s: alpha_pattern: \"%.64s\" is a regular expression; only names of layers are supported",
                      f->path, pattern);
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
      return ace_fail(err, ACE_EFORMAT, "%s: alpha_pattern: \"%.64s\": not a number", f->path, pattern);
    if (isnan(*alpha) && pattern_names(pattern, m->name)) *alpha = json_number_value(value);
  }
  return ACE_OK;
}

ace_status adapter_alpha(const adapter_file *f, const adapter_module *m, double *alpha, ace_error *err) {
  bool peft = is_peft(f->config);
  ace_status status = peft ? alpha_of_pattern(f, m, alpha, err) : ACE_OK;
  const json_t *common = json_object_get(f->config, peft ? "lora_alpha" : "linear_alpha");
  if (isnan(*alpha) && json_is_number(common)) *alpha = json_number_value(common);
  if (isnan(*alpha)) *alpha = (double)m->rank;
  return status;
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static bool is_pickle(const char *name) {
  return string_ends(name, ".pt") || string_ends(name, ".pth") || string_ends(name, ".bin") ||
         string_ends(name, ".ckpt") || string_ends(name, ".pkl");
}

/* Opens one weight file; its configuration is the metadata's or, for PEFT's file name, the one beside it. */
static adapter_file *open_weights(const char *path, ace_error *err) {
  st_file *weights = st_open(path, err);
  if (!weights) return NULL;
  const char *inside = st_metadata(weights, lokr_key);
  char *folder = file_parent(path),
       *beside = folder && string_ends(path, peft_name) ? file_existing(folder, config_name) : NULL;
  json_t *config = NULL;
  bool failed = false;
  if (inside && *inside) config = json_parse(inside, strlen(inside), path, err), failed = !config;
  else if (beside) config = json_parse_file(beside, CONFIG_LIMIT, err), failed = !config;
  if (beside && config && !is_peft(config)) {
    ace_fail(err, ACE_EFORMAT, "%s: no peft_type: not the configuration of an adapter", beside);
    failed = true;
  }
  free(folder), free(beside);
  if (!failed) return adapter_file_from(weights, config, path, err);
  json_decref(config);
  st_close(weights);
  return NULL;
}

/* The first file in the folder, in the order of names, that says of itself that it is LoKr, or that is a pickle. */
static char *search_folder(const char *folder, bool pickles) {
  struct dirent **entry;
  char *found = NULL;
  int n = scandir(folder, &entry, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    const char *name = entry[i]->d_name;
    char *path =
        !found && (pickles ? is_pickle(name) : string_ends(name, ".safetensors")) ? file_existing(folder, name) : NULL;
    st_file *weights = path && !pickles ? st_open(path, NULL) : NULL;
    const char *config = weights ? st_metadata(weights, lokr_key) : NULL;
    if (path && (pickles || (config && *config))) found = path;
    else free(path);
    st_close(weights);
    free(entry[i]);
  }
  if (n >= 0) free(entry);
  return found;
}

/* The file that lies in the folder itself under a published name; NULL: there is none. free() it. */
static char *named_weights(const char *folder) {
  char *config = file_existing(folder, config_name), *path = config ? file_existing(folder, peft_name) : NULL;
  free(config);
  return path ? path : file_existing(folder, lokr_name);
}

/* The weight file of a folder; NULL: there is none. free() it. */
static char *weights_in(const char *folder) {
  char *path = named_weights(folder), *inner = path ? NULL : file_join(folder, inner_name);
  if (inner) path = named_weights(inner);
  free(inner);
  return path ? path : search_folder(folder, false);
}

static ace_status refuse_pickle(const char *path, ace_error *err) {
  return ace_fail(err, ACE_EUNSUPPORTED,
                  "%s: a pickle may run code when it is read, so it is not. Use a PEFT adapter directory instead.",
                  path);
}

static adapter_file *open_folder(const char *folder, ace_error *err) {
  char *path = weights_in(folder), *pickle = path ? NULL : search_folder(folder, true);
  adapter_file *f = path ? open_weights(path, err) : NULL;
  if (pickle) refuse_pickle(pickle, err);
  else if (!path)
    ace_fail(err, ACE_ENOTFOUND, "%s: no adapter in this folder; expected %s with %s, or %s", folder, config_name,
             peft_name, lokr_name);
  free(path), free(pickle);
  return f;
}

adapter_file *adapter_file_open(const char *path, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  if (file_is_directory(path)) return open_folder(path, err);
  if (!file_exists(path)) ace_fail(err, ACE_ENOTFOUND, "%s: there is no such adapter", path);
  else if (is_pickle(path)) refuse_pickle(path, err);
  else return open_weights(path, err);
  return NULL;
}

bool adapter_file_is_one(const char *path) {
  if (!file_is_directory(path)) return file_exists(path) && (string_ends(path, ".safetensors") || is_pickle(path));
  char *config = file_existing(path, config_name), *model = file_existing(path, "config.json");
  char *weights = config || model ? NULL : weights_in(path);
  bool yes = config || weights;
  free(config), free(model), free(weights);
  return yes;
}

/* ---- identity ---------------------------------------------------------------------------------------------------- */

ace_status adapter_file_hash(const adapter_file *f, char out[65], ace_error *err) {
  file_map m;
  ace_status status = file_map_open(&m, f->path, err);
  if (status == ACE_OK) hash_memory(m.data, m.size, out);
  file_map_close(&m);
  return status;
}
