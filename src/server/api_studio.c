/* api_studio.c - what the page needs to begin, signing in, and the settings of the service. */
#include <string.h>

#include "server/route.h"
#include "server/session.h"
#include "service/examples.h"
#include "service/recordings.h"
#include "service/settings.h"
#include "tensor/cpu/isa.h"

/* ---- GET /v1/studio ---------------------------------------------------------------------------------------------- */

static json_t *login_of(const call *c) {
  static const char *const words[] = {NULL, "password", "key"};
  const char *word = words[session_asks(c)];
  return word ? json_string(word) : json_null();
}

static void add_model(json_t *lists, const inventory_model *m, const tier *t) {
  static const char *const list_of[] = {
      [INVENTORY_DIFFUSION] = "diffusion", [INVENTORY_LANGUAGE] = "language", [INVENTORY_AUTOENCODER] = "autoencoders"};
  json_t *about = json_pack("{s:s, s:I}", "name", m->name, "bytes", (json_int_t)m->bytes);
  if (m->kind == INVENTORY_DIFFUSION) {
    json_object_set_new(about, "family", json_string(service_family_name(m->family)));
    json_object_set_new(about, "xl", json_boolean(m->xl));
  }
  if (m->kind == INVENTORY_LANGUAGE) {
    json_object_set_new(about, "size", json_string(lm_size_name(m->size)));
    json_object_set_new(about, "offered", json_boolean(t->sizes & 1u << m->size));
  }
  json_array_append_new(json_object_get(lists, list_of[m->kind]), about);
}

static json_t *inventory_of(const call *c, const service_state *now) {
  inventory all;
  json_t *lists = json_pack("{s:s, s:[], s:[], s:[]}", "folder", service_models(c->service), "diffusion", "language",
                            "autoencoders");
  if (service_inventory(c->service, &all, NULL) != ACE_OK) return lists;
  for (int i = 0; i < all.n; i++) add_model(lists, &all.models[i], tier_get(now->machine.id));
  inventory_free(&all);
  return lists;
}

static json_t *machine_of(const call *c, const service_state *now) {
  const tier_machine *m = &now->machine;
  return json_pack("{s:s, s:b, s:b, s:f, s:s, s:s, s:i}", "device", "cpu", "card", (int)m->card, "simulated",
                   (int)m->simulated, "gib", m->gib, "tier", tier_get(m->id)->key, "isa", tens_isa_name(), "threads",
                   service_threads(c->service));
}

static json_t *families(void) {
  json_t *all = json_object();
  static const req_model list[] = {REQ_MODEL_TURBO, REQ_MODEL_SFT, REQ_MODEL_BASE};
  ace_request *r = ace_request_new(ACE_PROFILE_PAGE);
  for (size_t i = 0; r && i < sizeof list / sizeof *list; i++) {
    r->inference_steps = 0;
    json_t *modes = json_pack("[s, s, s, s]", "simple", "custom", "remix", "repaint");
    if (list[i] == REQ_MODEL_BASE) {
      static const char *const more[] = {"extract", "lego", "complete"};
      for (int k = 0; k < 3; k++) json_array_append_new(modes, json_string(more[k]));
    }
    json_object_set_new(
        all, service_family_name(list[i]),
        json_pack("{s:i, s:i, s:b, s:o}", "steps", req_steps(r, list[i]), "most_steps",
                  list[i] == REQ_MODEL_TURBO ? 20 : 200, "dcw", (int)req_dcw(r, list[i]), "modes", modes));
  }
  ace_request_free(r);
  return all;
}

static json_t *settings_of(const service_state *now) {
  return json_pack("{s:s, s:s, s:b, s:s, s:b, s:b, s:s}", "model", now->slot[0].name, "lm", now->lm, "init_lm",
                   (int)now->lm_allowed, "backend", now->backend, "int8", (int)now->int8, "lm_int8", (int)now->lm_int8,
                   "vae", now->vae);
}

static void add_limits(const call *c, json_t *limits) {
  const uint64_t usual = (uint64_t)200 << 20;
  uint64_t upload = server_settings(c->server)->most_upload;
  json_t *counts = jobs_counts(service_jobs(c->service), NULL);
  json_object_set_new(limits, "upload_bytes", json_integer((json_int_t)(upload ? upload : usual)));
  json_object_set_new(limits, "upload_seconds", json_integer(RECORDING_SECONDS));
  json_object_set(limits, "queue", json_object_get(counts, "most_waiting"));
  json_decref(counts);
}

static json_t *defaults_of(const call *c, const service_state *now) {
  json_t *defaults = tier_defaults(&now->machine);
  int batch = server_settings(c->server)->batch;
  if (batch > 0) json_object_set_new(defaults, "batch", json_integer(batch < now->batch ? batch : now->batch));
  return defaults;
}

static void get_studio(call *c) {
  bool inside = session_asks(c) == SESSION_ASKS_NOTHING || session_signed_in(c) || route_key_fits(c);
  session_open(c);
  json_t *all = inside ? service_json(c->service) : json_object();
  json_object_set_new(all, "version", json_string(ACE_VERSION));
  json_object_set_new(all, "login", login_of(c));
  json_object_set_new(all, "signed_in", json_boolean(inside));
  const char *language = server_settings(c->server)->language;
  if (language) json_object_set_new(all, "language", json_string(language));
  if (inside) {
    service_state now;
    service_look(c->service, &now);
    bool locked = server_settings(c->server)->service_mode;
    add_limits(c, json_object_get(all, "limits"));
    json_object_set_new(all, "machine", machine_of(c, &now));
    json_object_set_new(all, "tiers", settings_tiers());
    json_object_set_new(all, "defaults", defaults_of(c, &now));
    json_object_set_new(all, "settings", settings_of(&now));
    json_object_set_new(all, "inventory", inventory_of(c, &now));
    json_object_set_new(all, "families", families());
    json_object_set_new(all, "formats", service_formats());
    json_object_set_new(all, "service_mode", json_boolean(locked));
    json_object_set_new(all, "may_change", json_boolean(!locked));
  }
  http_set(c->http, "Cache-Control", "no-store");
  reply_data(c, all);
}

static void post_login(call *c) {
  if (session_sign_in(c)) reply_data(c, json_pack("{s:b}", "signed_in", 1));
}

static void post_logout(call *c) {
  session_sign_out(c);
  reply_data(c, json_pack("{s:b}", "signed_in", 0));
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* Settings are everybody's, so nobody's songs may be waiting for them. False: answered. */
static bool may_change(call *c) {
  if (!route_may_change(c)) return false;
  json_t *n = jobs_counts(service_jobs(c->service), NULL);
  json_int_t busy =
      json_integer_value(json_object_get(n, "queued")) + json_integer_value(json_object_get(n, "running"));
  json_decref(n);
  if (busy == 0) return true;
  refuse(c, 409, "busy", NULL, "settings can be changed when no job waits or runs");
  return false;
}

bool route_may_change(call *c) {
  if (!server_settings(c->server)->service_mode) return true;
  refuse(c, 403, "service_mode", NULL, "this server's models and settings are fixed");
  return false;
}

/* Queues a job for everyone; answers with its id and `extra`, which is taken. */
static void queue_for_all(call *c, const char *kind, const json_t *task, json_t *extra) {
  char id[JOBS_ID];
  ace_error err;
  job_new j = {.session = "", .kind = kind, .request = task};
  if (jobs_submit(service_jobs(c->service), &j, id, NULL, &err) == ACE_OK) {
    json_object_set_new(extra, "id", json_string(id));
    reply_data(c, extra);
    return;
  }
  json_decref(extra);
  refuse_error(c, NULL, NULL, &err);
}

static void post_studio_init(call *c) {
  if (!may_change(c)) return;
  ace_error err;
  json_t *corrections;
  const char *field;
  json_t *task = settings_task(c->service, c->body, &corrections, &field, &err);
  if (task) queue_for_all(c, "init", task, json_pack("{s:o}", "corrections", corrections));
  else refuse_error(c, NULL, field, &err);
  json_decref(task);
}

static void post_unload(call *c) {
  if (!may_change(c)) return;
  json_t *task = json_object();
  queue_for_all(c, "unload", task, json_object());
  json_decref(task);
}

static void post_tier(call *c) {
  if (!may_change(c)) return;
  if (!service_set_tier(c->service, json_text(c->body, "tier"))) {
    refuse(c, 400, NULL, "tier", "there is no tier \"%.40s\"", json_text(c->body, "tier"));
    return;
  }
  service_tell(c->service);
  get_studio(c);
}

/* ---- examples ---------------------------------------------------------------------------------------------------- */

static void get_examples(call *c) {
  const char *kind = http_query(c->http, "kind");
  bool simple = !kind || strcmp(kind, "simple") == 0;
  if (!simple && strcmp(kind, "custom") != 0) {
    refuse(c, 400, NULL, "kind", "kind: simple or custom");
    return;
  }
  ace_error err;
  json_t *all = examples_all(simple ? EXAMPLES_SIMPLE : EXAMPLES_CUSTOM, &err);
  if (all) reply_data(c, all);
  else refuse_error(c, NULL, NULL, &err);
}

const route routes_studio[] = {
    {"GET", "/v1/studio", AUTH_NONE, BODY_NONE, false, get_studio, "All that a page needs to begin", NULL,
     "version signed_in:bool login:any service:object limits:object machine:object tiers:[object] defaults:object "
     "settings:object inventory:object families:object formats:[text] language? service_mode:bool "
     "may_change:bool"},
    {"POST", "/v1/studio/login", AUTH_NONE, BODY_TYPED, false, post_login, "Sign in", "user? password? key?",
     "signed_in:bool"},
    {"POST", "/v1/studio/logout", AUTH_NONE, BODY_ANY, false, post_logout, "Sign out", NULL, "signed_in:bool"},
    {"POST", "/v1/studio/init", AUTH_SESSION, BODY_TYPED, false, post_studio_init,
     "Load models with the settings of the page",
     "model? lm? init_lm?:bool backend? int8?:bool lm_int8?:bool vae? offload?:bool offload_dit?:bool "
     "flash_attention?:bool compile?:bool device?",
     "id corrections:[object]"},
    {"POST", "/v1/studio/unload", AUTH_SESSION, BODY_ANY, false, post_unload, "Let go of all models", NULL, NULL},
    {"POST", "/v1/studio/tier", AUTH_SESSION, BODY_TYPED, false, post_tier, "Limits and defaults of another tier",
     "tier", ":object"},
    {"GET", "/v1/examples", AUTH_SESSION, BODY_NONE, false, get_examples, "A whole set of examples", "kind?", ":list"},
    {0},
};
