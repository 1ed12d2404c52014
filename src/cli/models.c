/* acestep models - the published models and those in the folder of models: what is there, complete, begun, damaged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/fetching.h"
#include "cli/folders.h"
#include "cli/model_info.h"

static const cli_flag flags[] = {
    {"models", 0, "DIR", "Folder of models (else $ACESTEP_CHECKPOINTS_DIR, the data folder's models, ./checkpoints)"},
    {"delete", 0, "NAME", "Remove this model, or what a download of it left"},
    {"yes", 'y', NULL, "Do not ask"},
    {"json", 0, NULL, "As one JSON object"},
    {0}};

static const char *const words[] = {[DOWNLOAD_NONE] = "not here",
                                    [DOWNLOAD_COMPLETE] = "installed",
                                    [DOWNLOAD_PARTIAL] = "begun",
                                    [DOWNLOAD_DAMAGED] = "damaged"};

/* ---- deleting ---------------------------------------------------------------------------------------------------- */

static ace_status delete_model(const args *a, const char *models, const char *name, ace_error *err) {
  char line[16];
  if (!args_on(a, "yes")) {
    if (!isatty(STDIN_FILENO))
      return ace_fail(err, ACE_EINVAL, "models: nobody is here to agree; add --yes to delete %.80s", name);
    fprintf(stderr, "Delete %s from %s? [y/N] ", name, models);
    fflush(stderr);
    if (!fgets(line, sizeof line, stdin) || (*line != 'y' && *line != 'Y'))
      return ace_fail(err, ACE_ECANCELED, "not deleted");
  }
  return download_delete(models, name, err);
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

typedef struct listing {
  const char *folder;
  json_t *models; /* NULL: for people */
} listing;

static void show(const listing *l, const char *name, const catalog_model *m) {
  download_state s = download_look(l->folder, name);
  char size[FETCHING_SIZE] = "", part[FETCHING_SIZE], total[FETCHING_SIZE];
  if (l->models) {
    json_array_append_new(
        l->models, json_pack("{s:s, s:s, s:s?, s:s?, s:I, s:I, s:s?, s:s?}", "name", name, "state", words[s.kind],
                             "repository", m ? m->repository : NULL, "description", m ? m->words : NULL, "bytes",
                             (json_int_t)s.bytes, "total", (json_int_t)s.total, "problem",
                             *s.problem ? s.problem : NULL, "include", *s.include ? s.include : NULL));
    return;
  }
  if (s.total) fetching_size(s.total, size);
  else if (m && m->gigabytes > 0) snprintf(size, sizeof size, "%.1f GB", m->gigabytes);
  printf("  %-28s %-9s %8s  %s\n", name, words[s.kind], size, m ? m->words : "");
  if (s.kind == DOWNLOAD_COMPLETE && *s.include) printf("  %-28s only %s of it\n", "", s.include);
  if (s.kind == DOWNLOAD_PARTIAL)
    printf("  %-28s %s of %s are here; acestep download %s goes on\n", "", fetching_size(s.bytes, part),
           fetching_size(s.total, total), name);
  if (s.kind == DOWNLOAD_DAMAGED) printf("  %-28s %s; acestep download %s --force\n", "", s.problem, m ? name : "NAME");
}

/* Models in the folder that are no published ones. */
static void show_others(const listing *l) {
  char **names = file_names(l->folder, NULL);
  for (char **name = names; name && *name; name++) {
    char *path = file_join(l->folder, *name);
    if (path && !catalog_find(*name) && file_is_directory(path) && model_looks_like(path)) show(l, *name, NULL);
    free(path);
  }
  file_names_free(names);
}

static ace_status list(const args *a, const char *folder, ace_error *err) {
  listing l = {.folder = folder, .models = args_on(a, "json") ? json_array() : NULL};
  if (!l.models) printf("%s:\n", folder);
  for (const catalog_model *m = catalog_models(); m->name; m++) show(&l, m->name, m);
  show_others(&l);
  if (!l.models) return ACE_OK;
  json_t *object = json_pack("{s:s, s:o}", "folder", folder, "models", l.models);
  char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
  if (text) puts(text);
  free(text);
  json_decref(object);
  return text ? ACE_OK : ace_fail(err, ACE_ENOMEM, "models: out of memory, or a name that is not UTF-8");
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  const char *name = args_value(a, "delete");
  char *models = folder_for_downloads(args_value(a, "models"), &err);
  ace_status status = models ? ACE_OK : err.status;
  if (status == ACE_OK) status = name ? delete_model(a, models, name, &err) : list(a, models, &err);
  free(models);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_models = {
    .name = "models",
    .operands = "",
    .summary = "list published models and what is installed; delete one",
    .flags = flags,
    .notes =
        "States: installed; begun (a download was stopped: the same acestep download goes on); damaged (files are\n"
        "missing or have another size); not here. acestep info opens the models and tells more.",
    .run = run,
};
