#include "cli/missing.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/fetching.h"
#include "cli/folders.h"
#include "engine/engine.h"

enum { MOST = 4 };

typedef struct wants {
  const catalog_model *model[MOST];
  int n;
} wants;

/* A file that stands for the folder: "vae-BF16.gguf". */
static bool is_file(const char *models, const char *name) {
  char *path = engine_locate(models, name);
  bool file = path && !file_is_directory(path);
  free(path);
  return file;
}

/* Names that nobody published are left to the engine, which says what it has. */
static void want(wants *w, const char *models, const char *name) {
  const catalog_model *m = catalog_find(name);
  if (m && !m->choose && !is_file(models, name) && w->n < MOST) w->model[w->n++] = m;
}

/* Is there a folder of that kind, so that none needs to be chosen? */
static bool has_any(const char *models, const char *prefix) {
  DIR *dir = opendir(models);
  bool found = false;
  for (struct dirent *e; dir && !found && (e = readdir(dir));) found = strncmp(e->d_name, prefix, strlen(prefix)) == 0;
  if (dir) closedir(dir);
  return found;
}

static void choose(wants *w, const char *models, const char *named, const char *prefix, const char *usual) {
  if (named) want(w, models, named);
  else if (!has_any(models, prefix)) want(w, models, usual);
}

char *missing_fetch(const args *a, const opening *o, bool asks, report *r, ace_error *err) {
  fetching f = {0};
  wants basic = {0}, language = {0};
  char *models = folder_for_downloads(args_value(a, "models"), err);
  if (!models) return NULL;
  choose(&basic, models, o->options.model, "acestep-v15-", "acestep-v15-turbo");
  want(&basic, models, o->options.vae ? o->options.vae : ENGINE_VAE);
  want(&basic, models, ENGINE_TEXT_ENCODER);
  if (asks) choose(&language, models, o->options.lm, "acestep-5Hz-lm-", "acestep-5Hz-lm-1.7B");
  ace_status status = fetching_plan(&f, a, r, err);
  f.models = models;
  if (status == ACE_OK) status = fetching_run(&f, basic.model, basic.n, err);
  /* A server has the weights: the tokenizer is enough, unless the model here is to stand in for it. */
  if (o->options.lm_server && !o->options.lm_fallback) f.include = "*.json";
  if (status == ACE_OK) status = fetching_run(&f, language.model, language.n, err);
  fetching_free(&f);
  if (status == ACE_OK) return models;
  free(models);
  return NULL;
}
