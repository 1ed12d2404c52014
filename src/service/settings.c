#include "service/settings.h"

#include <string.h>

/* What a wish becomes, step by step. */
typedef struct choosing {
  const json_t *wish;
  const service_state *now;
  const inventory *all;
  const tier *tier;
  json_t *task, *settings, *corrections;
} choosing;

static bool wishes(const choosing *k, const char *field) {
  return json_is_true(json_object_get(k->wish, field));
}

/* A name that may be a path: its last part. */
static const char *name_in(const choosing *k, const char *field) {
  const char *text = json_text(k->wish, field), *slash = strrchr(text, '/');
  return slash ? slash + 1 : text;
}

static void correct(choosing *k, const char *kind, const char *from, const char *to) {
  json_array_append_new(k->corrections, json_pack("{s:s, s:s, s:s}", "kind", kind, "from", from, "to", to));
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static ace_status choose_model(choosing *k, const char **field, ace_error *err) {
  const double enough_for_xl = 16; /* GiB */
  const char *name = name_in(k, "model");
  *field = "model";
  if (!*name) return ACE_OK;
  const inventory_model *m = inventory_find(k->all, INVENTORY_DIFFUSION, name);
  if (!m) return ace_fail(err, ACE_ENOTFOUND, "there is no model \"%.200s\" here", name);
  if (m->xl && k->now->machine.gib < enough_for_xl) correct(k, "xl_memory", name, name);
  json_object_set_new(k->task, "model", json_string(name));
  return ACE_OK;
}

static ace_status choose_lm(choosing *k, const char **field, ace_error *err) {
  const double enough_for_4b = 20; /* GiB */
  const char *name = name_in(k, "lm");
  *field = "lm";
  const inventory_model *m = *name ? inventory_find(k->all, INVENTORY_LANGUAGE, name) : NULL;
  if (*name && !m) return ace_fail(err, ACE_ENOTFOUND, "there is no language model \"%.200s\" here", name);
  if (m && m->size == LM_4B && k->now->machine.card && k->now->machine.gib < enough_for_4b) {
    const inventory_model *smaller = inventory_language(k->all, LM_1_7B);
    correct(k, "lm_downgraded", name, smaller->name);
    m = smaller;
  } else if (m && k->tier->sizes && !(k->tier->sizes & 1u << m->size)) {
    correct(k, "lm_memory", name, name);
  }
  if (m) json_object_set_new(k->task, "lm", json_string(m->name));
  return ACE_OK;
}

static void choose_init_lm(choosing *k) {
  const json_t *asked = json_object_get(k->wish, "init_lm");
  bool on = json_is_boolean(asked) ? json_is_true(asked) : k->now->lm_allowed;
  if (on && k->now->machine.card && !k->tier->sizes && !wishes(k, "override")) {
    correct(k, "lm_tier", "on", "off");
    on = false;
  }
  json_object_set_new(k->task, "init_lm", json_boolean(on));
  json_object_set_new(k->settings, "init_lm", json_boolean(on));
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static ace_status choose_backend(choosing *k, const char **field, ace_error *err) {
  const char *asked = json_text(k->wish, "backend"), *given = asked;
  *field = "backend";
  if (!*asked) return ACE_OK;
  if (strcmp(asked, "vllm") != 0 && strcmp(asked, "pt") != 0 && strcmp(asked, "mlx") != 0)
    return ace_fail(err, ACE_EINVAL, "backend: \"%.40s\" is none of vllm, pt, mlx", asked);
  if (strcmp(asked, "mlx") == 0 || (strcmp(asked, "vllm") == 0 && !k->tier->vllm)) given = "pt";
  if (given != asked) correct(k, "backend_tier", asked, given);
  json_object_set_new(k->settings, "backend", json_string(given));
  return ACE_OK;
}

static ace_status choose_vae(choosing *k, const char **field, ace_error *err) {
  const char *name = name_in(k, "vae");
  *field = "vae";
  if (*name && !inventory_find(k->all, INVENTORY_AUTOENCODER, name))
    return ace_fail(err, ACE_ENOTFOUND, "there is no autoencoder \"%.200s\" here", name);
  if (json_is_string(json_object_get(k->wish, "vae"))) json_object_set_new(k->settings, "vae", json_string(name));
  return ACE_OK;
}

static void choose_switches(choosing *k) {
  static const char *const kept[] = {"int8", "lm_int8"}, *const idle[] = {"offload", "offload_dit", "flash_attention",
                                                                          "compile"};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    json_t *asked = json_object_get(k->wish, kept[i]);
    if (json_is_boolean(asked)) json_object_set(k->settings, kept[i], asked);
  }
  for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
    if (wishes(k, idle[i])) correct(k, "idle", idle[i], "off");
  const char *device = json_text(k->wish, "device");
  if (*device && strcmp(device, "auto") != 0 && strcmp(device, "cpu") != 0) correct(k, "device", device, "cpu");
}

json_t *settings_task(service *s, const json_t *wish, json_t **corrections, const char **field, ace_error *err) {
  service_state now;
  inventory all;
  service_look(s, &now);
  if (service_inventory(s, &all, err) != ACE_OK) return NULL;
  choosing k = {.wish = wish, .now = &now, .all = &all, .tier = tier_get(now.machine.id)};
  k.task = json_pack("{s:i}", "slot", 1), k.settings = json_object(), k.corrections = json_array();
  ace_status status = choose_model(&k, field, err);
  if (status == ACE_OK) status = choose_lm(&k, field, err);
  if (status == ACE_OK) status = choose_backend(&k, field, err);
  if (status == ACE_OK) status = choose_vae(&k, field, err);
  if (status == ACE_OK) choose_init_lm(&k), choose_switches(&k);
  inventory_free(&all);
  json_object_set_new(k.task, "settings", k.settings);
  *corrections = k.corrections;
  if (status == ACE_OK) return k.task;
  json_decref(k.task), json_decref(k.corrections);
  *corrections = NULL;
  return NULL;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static json_t *sizes_of(const tier *t) {
  json_t *sizes = json_array();
  for (int s = 0; s < LM_SIZES; s++)
    if (t->sizes & 1u << s) json_array_append_new(sizes, json_string(lm_size_name((lm_size)s)));
  return sizes;
}

json_t *settings_tiers(void) {
  json_t *list = json_array();
  for (int i = 0; i < TIERS; i++) {
    const tier *t = tier_get((tier_id)i);
    json_array_append_new(
        list,
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b, s:b, s:b, s:b}", "key", t->key, "memory",
                  t->memory, "seconds_lm", t->seconds_lm, "seconds", t->seconds, "batch_lm", t->batch_lm, "batch",
                  t->batch, "lm_sizes", sizes_of(t), "recommended",
                  t->sizes ? json_string(lm_size_name(t->recommended)) : json_null(), "backends",
                  t->vllm ? json_pack("[s, s]", "vllm", "pt") : json_pack("[s]", "pt"), "init_lm", (int)t->init_lm,
                  "offload", (int)t->offload, "offload_dit", (int)t->offload_dit, "int8", (int)t->int8));
  }
  return list;
}
