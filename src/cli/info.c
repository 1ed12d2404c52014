/* acestep info - what lies in a folder of models, what is missing, and whether it is enough to make music. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/adapter_info.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/info_plan.h"
#include "cli/model_info.h"
#include "formats/adapter_file.h"

static const cli_flag flags[] = {{"models", 0, "DIR", "The folder, the same as the operand"},
                                 {"hash", 0, NULL, "Also the SHA-256 of each model, which takes a while"},
                                 {"json", 0, NULL, "As one JSON object"},
                                 {"quiet", 'q', NULL, "No progress"},
                                 INFO_PLAN_FLAGS,
                                 {0}};

typedef struct listing {
  char *folder;
  model_info *model;
  int n;
  bool single; /* the folder is itself a checkpoint */
  /* Can the folder as a whole make music, and with which diffusion model? */
  bool generates;
  char uses[MODEL_NAME_SIZE];
  ace_error problem;
} listing;

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static ace_status add(listing *l, const char *folder, bool hash, const ace_callbacks *notify, ace_error *err) {
  model_info *grown = realloc(l->model, (size_t)(l->n + 1) * sizeof *grown);
  if (!grown) return ace_fail(err, ACE_ENOMEM, "info: out of memory");
  l->model = grown;
  return model_inspect(folder, hash, notify, &l->model[l->n++], err);
}

static ace_status add_below(listing *l, bool hash, const ace_callbacks *notify, ace_error *err) {
  char **names = file_names(l->folder, err);
  ace_status status = names ? ACE_OK : err->status;
  for (char **name = names; name && *name && status == ACE_OK; name++) {
    char *path = file_join(l->folder, *name);
    if (path && model_looks_like(path)) status = add(l, path, hash, notify, err);
    free(path);
  }
  file_names_free(names);
  return status;
}

static bool opens(const listing *l, const char *model, ace_error *err) {
  const ace_engine_options options = {.model = model, .threads = 1};
  ace_engine *engine = ace_engine_open(l->folder, &options, err);
  ace_engine_close(engine);
  return engine != NULL;
}

/* The default model first; if that fails, any other complete one. */
static void try_all(listing *l) {
  static const char first_choice[] = "acestep-v15-turbo";
  l->generates = opens(l, NULL, &l->problem);
  for (int pass = 0; pass < 2 && !*l->uses; pass++) {
    for (int i = 0; i < l->n; i++) {
      const model_info *m = &l->model[i];
      if (m->kind != MODEL_DIFFUSION || m->problem.status != ACE_OK || *l->uses) continue;
      if (pass == 0 && strcmp(m->name, first_choice) != 0) continue;
      if (l->generates || opens(l, m->name, NULL)) memcpy(l->uses, m->name, sizeof l->uses);
    }
  }
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void amount(double x, const char *const units[4], double base, char out[32]) {
  int u = 0;
  while (x >= base && u < 3) x /= base, u++;
  snprintf(out, 32, x < 10 && u > 0 ? "%.2f%s" : x < 100 && u > 0 ? "%.1f%s" : "%.0f%s", x, units[u]);
}

static void print_dtypes(const model_info *m) {
  bool first = true;
  for (int t = 0; t < MODEL_DTYPES; t++) {
    if (!m->of_dtype[t]) continue;
    printf("%s%s", first ? "; " : ", ", st_dtype_name((st_dtype)t));
    first = false;
  }
}

static void print_model(const model_info *m) {
  static const char *const counts[4] = {"", " thousand", " million", " billion"};
  static const char *const sizes[4] = {" bytes", " kB", " MB", " GB"};
  char parameters[32], bytes[32];
  amount((double)m->parameters, counts, 1000, parameters);
  amount((double)m->bytes, sizes, 1000, bytes);
  printf("%s: %s", m->name, model_kind_name(m->kind));
  if (m->family) printf(", %s%s", m->family, m->xl ? ", XL" : "");
  printf("%s\n", m->problem.status == ACE_OK ? ", complete" : ", NOT usable");
  if (m->tensors) {
    printf("    %s parameters, %s", parameters, bytes);
    print_dtypes(m);
    printf("%s%s\n", *m->sizes ? "; " : "", m->sizes);
  }
  if (*m->hash) printf("    sha256 %s\n", m->hash);
  if (m->problem.status != ACE_OK) printf("    %s\n", m->problem.message);
}

static void print_listing(const listing *l) {
  for (int i = 0; i < l->n; i++) print_model(&l->model[i]);
  if (l->single) return;
  if (l->n == 0) printf("%s: no models in here\n", l->folder);
  bool only_named = *l->uses && !l->generates;
  if (l->generates) printf("\nready: acestep generate --models %s plays with %s\n", l->folder, l->uses);
  else if (only_named) printf("\nready: acestep generate --models %s --model %s\n", l->folder, l->uses);
  else printf("\nnot ready to make music: %s\n", l->problem.message);
}

/* ---- for programs ------------------------------------------------------------------------------------------------ */

static json_t *model_json(const model_info *m) {
  json_t *dtypes = json_object();
  for (int t = 0; t < MODEL_DTYPES; t++)
    if (m->of_dtype[t]) json_object_set_new(dtypes, st_dtype_name((st_dtype)t), json_integer(m->of_dtype[t]));
  bool ok = m->problem.status == ACE_OK;
  return json_pack("{s:s, s:s, s:s?, s:b, s:b, s:s?, s:I, s:I, s:i, s:o, s:s, s:s?}", "name", m->name, "kind",
                   model_kind_name(m->kind), "family", m->family, "xl", m->xl, "complete", ok, "problem",
                   ok ? NULL : m->problem.message, "parameters", (json_int_t)m->parameters, "bytes",
                   (json_int_t)m->bytes, "tensors", m->tensors, "dtypes", dtypes, "sizes", m->sizes, "sha256",
                   *m->hash ? m->hash : NULL);
}

static ace_status print_json(const listing *l, ace_error *err) {
  json_t *models = json_array();
  for (int i = 0; i < l->n; i++) json_array_append_new(models, model_json(&l->model[i]));
  bool ready = *l->uses != 0;
  json_t *object = json_pack("{s:s, s:o, s:b, s:s?, s:s?}", "folder", l->folder, "models", models, "generates", ready,
                             "uses", ready ? l->uses : NULL, "problem", ready || l->single ? NULL : l->problem.message);
  char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
  if (text) puts(text);
  free(text);
  json_decref(object);
  return text ? ACE_OK : ace_fail(err, ACE_ENOMEM, "info: out of memory, or a name that is not UTF-8");
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  if (a->n_operands && adapter_file_is_one(a->operand[0])) return adapter_info(a, a->operand[0], r);
  listing l = {.folder = folder_models(a->n_operands ? a->operand[0] : args_value(a, "models"), &err)};
  if (!l.folder) return report_failure(r, &err);
  if (args_on(a, "plan")) {
    int code = info_plan(a, l.folder, r);
    free(l.folder);
    return code;
  }
  l.single = model_looks_like(l.folder);
  ace_callbacks notify = report_callbacks(r);
  if (args_on(a, "json")) notify.progress = NULL;
  bool hash = args_on(a, "hash");
  ace_status status = l.single ? add(&l, l.folder, hash, &notify, &err) : add_below(&l, hash, &notify, &err);
  term_clear(&r->term);
  bool ready = false;
  if (status == ACE_OK) {
    if (!l.single) try_all(&l);
    ready = l.single ? l.model[0].problem.status == ACE_OK : *l.uses != 0;
    if (args_on(a, "json")) status = print_json(&l, &err);
    else print_listing(&l);
  }
  free(l.model);
  free(l.folder);
  if (status != ACE_OK) return report_failure(r, &err);
  return ready ? CLI_OK : CLI_FAILED;
}

const cli_command cmd_info = {
    .name = "info",
    .operands = "[DIR]",
    .summary = "show what a folder of models holds and whether it is complete",
    .flags = flags,
    .most_operands = 1,
    .notes =
        "DIR is a folder of models or one model; without it the folder that generate would use. For an adapter (a "
        "folder\n"
        "or a .safetensors file) it tells rank, strength and layers, and which models in the folder it fits.\n"
        "The exit code is 0 when music can be made with it (or the one model is complete), else 1.",
    .run = run,
};
