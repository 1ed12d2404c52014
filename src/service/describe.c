/* describe.c - the state of the service as JSON. */
#include "audio/format.h"
#include "service/service_inner.h"

const char *service_family_name(req_model family) {
  return family == REQ_MODEL_TURBO ? "turbo" : family == REQ_MODEL_SFT ? "sft" : "base";
}

static json_t *text_or_null(const char *text) {
  return *text ? json_string(text) : json_null();
}

/* The slots that there are. */
static json_t *slots_of(const service_state *now) {
  json_t *slots = json_array();
  for (int i = 0; i < SERVICE_SLOTS; i++) {
    const service_slot *p = &now->slot[i];
    if (*p->name)
      json_array_append_new(
          slots, json_pack("{s:i, s:s, s:b, s:o}", "slot", i + 1, "name", p->name, "loaded", (int)p->loaded, "family",
                           p->loaded ? json_string(service_family_name(p->family)) : json_null()));
  }
  return slots;
}

json_t *service_json(service *s) {
  service_state now;
  bool use;
  service_look(s, &now);
  json_t *state = json_pack("{s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:o, s:s, s:b, s:b, s:o}", "slots", slots_of(&now),
                            "lm", text_or_null(now.lm), "lm_loaded", (int)now.lm_loaded, "lm_allowed",
                            (int)now.lm_allowed, "lm_server", s->options.lm_server != NULL, "loading", (int)now.loading,
                            "failure", text_or_null(now.failure), "job", text_or_null(now.job), "backend", now.backend,
                            "int8", (int)now.int8, "lm_int8", (int)now.lm_int8, "vae", text_or_null(now.vae));
  if (!state) return NULL;
  json_object_set_new(state, "adapters", service_adapters(s, &use));
  json_object_set_new(state, "use_adapters", json_boolean(use));
  return json_pack("{s:o, s:{s:i, s:i}}", "service", state, "limits", "seconds", now.seconds, "batch", now.batch);
}

json_t *service_adapters(service *s, bool *use) {
  pthread_mutex_lock(&s->lock);
  json_t *list = s->adapters ? json_deep_copy(s->adapters) : json_array();
  *use = s->use_adapters;
  pthread_mutex_unlock(&s->lock);
  return list;
}

json_t *service_formats(void) {
  json_t *list = json_array();
  for (int f = 0; f < AUDIO_FORMAT_COUNT; f++)
    if (audio_format_check((audio_format)f, NULL) == ACE_OK)
      json_array_append_new(list, json_string(audio_format_name((audio_format)f)));
  return list;
}

req_model service_family(service *s, int slot) {
  service_state now;
  inventory all;
  service_look(s, &now);
  const service_slot *place = &now.slot[slot - 1];
  if (place->loaded) return place->family;
  if (service_inventory(s, &all, NULL) != ACE_OK) return 0;
  const inventory_model *m = inventory_find(&all, INVENTORY_DIFFUSION, place->name);
  req_model family = m ? m->family : 0;
  inventory_free(&all);
  return family;
}
