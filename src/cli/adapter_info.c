#include "cli/adapter_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "models/adapters.h"

/* {"model", "fits", "changes": layers, "unknown", "reason"} of one model; NULL when it cannot be opened. */
static json_t *try_model(const adapter_file *f, const char *folder, const char *name) {
  ace_error err = {0};
  char *path = file_join(folder, name);
  acestep_dit *m = path ? acestep_dit_open(path, NULL) : NULL;
  free(path);
  int n;
  adapter_layer *layers = m ? adapter_layers_of(m, &n, NULL) : NULL;
  adapter_fit fit = {0};
  bool fits = layers && adapter_fit_make(f, layers, n, NULL, &fit, &err) == ACE_OK;
  json_t *out = layers ? json_pack("{s:s, s:b, s:i, s:i, s:s?}", "model", name, "fits", fits, "changes", fit.used,
                                   "unknown", fit.n_unknown, "reason", fits ? NULL : err.message)
                       : NULL;
  adapter_fit_free(&fit);
  free(layers);
  acestep_dit_close(m);
  return out;
}

/* Every diffusion model of the folder; an empty list when there is no folder. */
static json_t *try_models(const adapter_file *f, const char *folder) {
  json_t *list = json_array();
  char **names = folder ? file_names(folder, NULL) : NULL;
  for (char **name = names; name && *name; name++) {
    json_t *one = string_begins(*name, "acestep-v15-") ? try_model(f, folder, *name) : NULL;
    if (one) json_array_append_new(list, one);
  }
  file_names_free(names);
  return list;
}

static bool fits_any(const json_t *models) {
  size_t i;
  json_t *one;
  json_array_foreach(models, i, one) {
    if (json_is_true(json_object_get(one, "fits"))) return true;
  }
  return json_array_size(models) == 0;
}

static void print_targets(const json_t *targets) {
  size_t i;
  json_t *one;
  json_array_foreach(targets, i, one) printf("%s%s", i ? ", " : "", json_string_value(one));
}

static void print(const char *path, const json_t *about) {
  const json_t *rank = json_object_get(about, "rank"), *alpha = json_object_get(about, "alpha");
  const char *hash = json_string_value(json_object_get(about, "sha256"));
  size_t i;
  json_t *one;
  printf("%s: %s adapter", path, strcmp(json_string_value(json_object_get(about, "type")), "lokr") ? "LoRA" : "LoKr");
  if (json_is_true(json_object_get(about, "dora"))) printf(" with DoRA");
  if (json_is_integer(rank)) printf(", rank %lld", (long long)json_integer_value(rank));
  if (json_is_real(alpha)) printf(", alpha %g", json_real_value(alpha));
  printf("\n    %lld layers, %.1f MB: ", (long long)json_integer_value(json_object_get(about, "layers")),
         1e-6 * (double)json_integer_value(json_object_get(about, "bytes")));
  print_targets(json_object_get(about, "targets"));
  printf("\n");
  if (hash) printf("    sha256 %s\n", hash);
  json_array_foreach(json_object_get(about, "models"), i, one) {
    const char *name = json_string_value(json_object_get(one, "model"));
    long long unknown = json_integer_value(json_object_get(one, "unknown"));
    if (!json_is_true(json_object_get(one, "fits")))
      printf("    not for %s: %s\n", name, json_string_value(json_object_get(one, "reason")));
    else if (unknown) printf("    fits %s but for %lld names\n", name, unknown);
    else printf("    fits %s\n", name);
  }
}

static json_t *inspect(const args *a, const adapter_file *f, ace_error *err) {
  char hash[65], *folder = folder_models(args_value(a, "models"), NULL);
  json_t *about = adapter_file_about(f);
  if (about) json_object_set_new(about, "models", try_models(f, folder));
  if (about && args_on(a, "hash") && adapter_file_hash(f, hash, err) == ACE_OK)
    json_object_set_new(about, "sha256", json_string(hash));
  if (!about) ace_fail(err, ACE_ENOMEM, "info: out of memory");
  free(folder);
  return about;
}

int adapter_info(const args *a, const char *path, report *r) {
  ace_error err = {0};
  adapter_file *f = adapter_file_open(path, &err);
  json_t *about = f ? inspect(a, f, &err) : NULL;
  bool fits = about && fits_any(json_object_get(about, "models"));
  if (about && err.status == ACE_OK && args_on(a, "json")) {
    char *text = json_dumps(about, JSON_INDENT(2));
    if (text) puts(text);
    free(text);
  } else if (about && err.status == ACE_OK) {
    print(path, about);
  }
  json_decref(about);
  adapter_file_close(f);
  if (err.status != ACE_OK) return report_failure(r, &err);
  return fits ? CLI_OK : CLI_FAILED;
}
