#include "service/inventory.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"
#include "engine/engine.h"
#include "formats/config.h"

enum { CONFIG_LIMIT = 4 << 20 };

static const char *const size_names[LM_SIZES] = {"0.6B", "1.7B", "4B"};

const char *lm_size_name(lm_size size) {
  return size_names[size];
}

lm_size lm_size_of(const char *name) {
  for (int s = LM_SIZES - 1; s > 0; s--)
    if (strstr(name, size_names[s])) return (lm_size)s;
  return LM_0_6B;
}

/* ---- one folder -------------------------------------------------------------------------------------------------- */

/* What the name of a folder promises; false: none of our models. */
static bool kind_of(const char *name, inventory_kind *kind) {
  if (string_begins(name, "acestep-5Hz-lm-")) *kind = INVENTORY_LANGUAGE;
  else if (string_begins(name, "acestep-")) *kind = INVENTORY_DIFFUSION;
  else if (strstr(name, "vae")) *kind = INVENTORY_AUTOENCODER;
  else return false;
  return true;
}

/* Bytes of the plain files; *weights: one of them holds weights. */
static int64_t folder_bytes(const char *path, bool *weights) {
  int64_t sum = 0;
  *weights = false;
  DIR *dir = opendir(path);
  if (!dir) return 0;
  struct stat st;
  for (struct dirent *e; (e = readdir(dir));) {
    if (fstatat(dirfd(dir), e->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode)) continue;
    sum += st.st_size;
    *weights = *weights || strstr(e->d_name, ".safetensors");
  }
  closedir(dir);
  return sum;
}

static ace_status read_diffusion(const char *path, inventory_model *m, ace_error *err) {
  char *config = file_join(path, "config.json");
  json_t *json = config ? json_parse_file(config, CONFIG_LIMIT, err) : NULL;
  dit_config cfg;
  ace_status status = json ? cfg_read_dit(json, config, &cfg, err) : ACE_EFORMAT;
  if (status == ACE_OK) {
    m->xl = cfg.xl;
    m->family = engine_family_of(m->name, cfg.turbo);
  }
  json_decref(json);
  free(config);
  return status;
}

/* False: no model that can be opened. */
static bool read_model(const char *folder, const char *name, inventory_model *m) {
  *m = (inventory_model){0};
  char *path = kind_of(name, &m->kind) ? file_join(folder, name) : NULL;
  char *config = path ? file_join(path, "config.json") : NULL;
  bool weights = false, ok = config && file_exists(config);
  if (ok) m->bytes = folder_bytes(path, &weights);
  ok = ok && weights && (m->name = strdup(name));
  if (ok && m->kind == INVENTORY_LANGUAGE) m->size = lm_size_of(name);
  if (ok && m->kind == INVENTORY_DIFFUSION) ok = read_diffusion(path, m, NULL) == ACE_OK;
  if (!ok) free(m->name);
  free(path), free(config);
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

const inventory_model *inventory_language(const inventory *all, lm_size size) {
  const inventory_model *best = NULL;
  for (int i = 0; i < all->n; i++) {
    const inventory_model *m = &all->models[i];
    if (m->kind != INVENTORY_LANGUAGE || m->size != size) continue;
    if (strcmp(m->name + strlen("acestep-5Hz-lm-"), size_names[size]) == 0) return m;
    if (!best || strlen(m->name) > strlen(best->name)) best = m;
  }
  return best ? best : first_of(all, INVENTORY_LANGUAGE);
}
