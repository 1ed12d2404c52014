#include "service/inventory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "engine/engine.h"
#include "formats/config.h"

static const char *const size_names[LM_SIZES] = {"0.6B", "1.7B", "4B"};

const char *lm_size_name(lm_size size) {
  return size_names[size];
}

lm_size lm_size_of(const char *name) {
  for (int s = LM_SIZES - 1; s > 0; s--)
    if (strstr(name, size_names[s])) return (lm_size)s;
  return LM_0_6B;
}

/* ---- one model --------------------------------------------------------------------------------------------------- */

/* What is told of the engine's kind; false for those that nobody chooses among. */
static bool kind_of(const char *path, const char *name, inventory_kind *kind) {
  engine_kind found;
  if (!engine_kind_of(path, name, &found)) return false;
  switch (found) {
    case ENGINE_DIFFUSION: *kind = INVENTORY_DIFFUSION; return true;
    case ENGINE_LANGUAGE: *kind = INVENTORY_LANGUAGE; return true;
    case ENGINE_AUTOENCODER: *kind = INVENTORY_AUTOENCODER; return true;
    case ENGINE_TEXT: break;
  }
  return false;
}

/* Of a file, or of the plain files in a folder. */
static int64_t bytes_of(const char *path) {
  struct stat st;
  int64_t sum = 0;
  DIR *dir = opendir(path);
  if (!dir) return stat(path, &st) == 0 ? st.st_size : 0;
  for (struct dirent *e; (e = readdir(dir));)
    if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) sum += st.st_size;
  closedir(dir);
  return sum;
}

static bool read_diffusion(const char *path, inventory_model *m) {
  json_t *config = ckpt_read_config(path, NULL);
  dit_config cfg;
  bool ok = config && cfg_read_dit(config, path, &cfg, NULL) == ACE_OK;
  if (ok) {
    m->xl = cfg.xl;
    m->family = engine_family_of(m->name, cfg.turbo);
  }
  json_decref(config);
  return ok;
}

/* False: no model that can be opened. */
static bool read_model(const char *folder, const char *name, inventory_model *m) {
  *m = (inventory_model){0};
  char *path = *name == '.' ? NULL : file_join(folder, name);
  bool ok = path && ckpt_has_weights(path) && kind_of(path, name, &m->kind) && (m->name = strdup(name));
  if (ok) m->bytes = bytes_of(path);
  if (ok && m->kind == INVENTORY_LANGUAGE) m->size = lm_size_of(name);
  if (ok && m->kind == INVENTORY_DIFFUSION) ok = read_diffusion(path, m);
  if (!ok) free(m->name);
  free(path);
  return ok;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const inventory_model *)a)->name, ((const inventory_model *)b)->name);
}

static ace_status add(inventory *all, const inventory_model *m, ace_error *err) {
  inventory_model *grown = realloc(all->models, (size_t)(all->n + 1) * sizeof *grown);
  if (!grown) return ace_fail(err, ACE_ENOMEM, "models: out of memory");
  all->models = grown;
  all->models[all->n++] = *m;
  return ACE_OK;
}

ace_status inventory_read(const char *folder, inventory *out, ace_error *err) {
  *out = (inventory){0};
  DIR *dir = opendir(folder);
  if (!dir) return ACE_OK;
  ace_status status = ACE_OK;
  inventory_model m;
  for (struct dirent *e; status == ACE_OK && (e = readdir(dir));)
    if (read_model(folder, e->d_name, &m) && (status = add(out, &m, err)) != ACE_OK) free(m.name);
  closedir(dir);
  if (status != ACE_OK) inventory_free(out);
  else if (out->n) qsort(out->models, (size_t)out->n, sizeof *out->models, by_name);
  return status;
}

void inventory_free(inventory *all) {
  for (int i = 0; i < all->n; i++) free(all->models[i].name);
  free(all->models);
  *all = (inventory){0};
}

const inventory_model *inventory_find(const inventory *all, inventory_kind kind, const char *name) {
  for (int i = 0; i < all->n; i++)
    if (all->models[i].kind == kind && strcmp(all->models[i].name, name) == 0) return &all->models[i];
  return NULL;
}

static const inventory_model *first_of(const inventory *all, inventory_kind kind) {
  for (int i = 0; i < all->n; i++)
    if (all->models[i].kind == kind) return &all->models[i];
  return NULL;
}

const inventory_model *inventory_usual(const inventory *all) {
  const inventory_model *usual = inventory_find(all, INVENTORY_DIFFUSION, "acestep-v15-turbo");
  return usual ? usual : first_of(all, INVENTORY_DIFFUSION);
}

bool inventory_can_sing(const char *folder) {
  inventory all;
  if (inventory_read(folder, &all, NULL) != ACE_OK) return false;
  bool can = inventory_usual(&all);
  inventory_free(&all);
  return can;
}

const inventory_model *inventory_language(const inventory *all, lm_size size) {
  char usual[32];
  snprintf(usual, sizeof usual, "acestep-5Hz-lm-%s", size_names[size]);
  const inventory_model *best = NULL;
  for (int i = 0; i < all->n; i++) {
    const inventory_model *m = &all->models[i];
    if (m->kind != INVENTORY_LANGUAGE || m->size != size) continue;
    if (strcmp(m->name, usual) == 0) return m;
    if (!best || strlen(m->name) > strlen(best->name)) best = m;
  }
  return best ? best : first_of(all, INVENTORY_LANGUAGE);
}
