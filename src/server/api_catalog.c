/* api_catalog.c - published models: what there is, what lies here, fetching and removing. */
#include <string.h>

#include "server/route.h"
#include "service/downloads.h"

static json_t *told(const call *c, const catalog_model *m) {
  static const char *const states[] = {[DOWNLOAD_NONE] = "none",
                                       [DOWNLOAD_COMPLETE] = "complete",
                                       [DOWNLOAD_PARTIAL] = "partial",
                                       [DOWNLOAD_DAMAGED] = "damaged"};
  download_state s = download_look(downloads_folder(service_downloads(c->service)), m->name);
  json_t *now = downloads_state(service_downloads(c->service), m->name);
  return json_pack("{s:s, s:s, s:s, s:f, s:b, s:b, s:s, s:I, s:I, s:s?, s:o}", "name", m->name, "words", m->words,
                   "repository", m->repository, "gigabytes", m->gigabytes, "basic", (int)m->basic, "choose",
                   (int)m->choose, "state", states[s.kind], "bytes", (json_int_t)s.bytes, "total", (json_int_t)s.total,
                   "problem", *s.problem ? s.problem : NULL, "download", now ? now : json_null());
}

static void get_catalog(call *c) {
  json_t *list = json_array();
  for (const catalog_model *m = catalog_models(); m->name; m++) json_array_append_new(list, told(c, m));
  reply_data(c, list);
}

/* What the hub says of it; takes seconds. */
static void get_listing(call *c) {
  ace_error err;
  json_t *about = downloads_ask(service_downloads(c->service), c->part[0], &err);
  if (about) reply_data(c, about);
  else refuse_error(c, err.status == ACE_ENOTFOUND ? NULL : "hub", NULL, &err);
}

static void answer(call *c, ace_status status, const ace_error *err) {
  if (status == ACE_OK) reply_data(c, told(c, catalog_find(c->part[0])));
  else refuse_error(c, NULL, NULL, err);
}

static void post_download(call *c) {
  ace_error err;
  if (route_may_change(c)) answer(c, downloads_start(service_downloads(c->service), c->part[0], &err), &err);
}

static void post_cancel(call *c) {
  ace_error err;
  if (route_may_change(c)) answer(c, downloads_cancel(service_downloads(c->service), c->part[0], &err), &err);
}

static const char *last_part(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash ? slash + 1 : name;
}

/* Some engine reads it now, as far as names tell: the encoders belong to every model. */
static bool is_in_use(const call *c, const catalog_model *m) {
  service_state now;
  service_look(c->service, &now);
  bool any = false, named = false;
  for (int i = 0; i < SERVICE_SLOTS; i++) {
    any = any || now.slot[i].loaded;
    named = named || (now.slot[i].loaded && strcmp(last_part(now.slot[i].name), m->name) == 0);
  }
  bool shared = strcmp(m->name, "vae") == 0 || strcmp(m->name, "Qwen3-Embedding-0.6B") == 0 ||
                strcmp(m->name, last_part(now.vae)) == 0;
  return now.loading || named || (any && shared) || (now.lm_loaded && strcmp(last_part(now.lm), m->name) == 0);
}

static void delete_model(call *c) {
  ace_error err;
  const catalog_model *m = catalog_find(c->part[0]);
  if (!route_may_change(c)) return;
  if (!m) refuse(c, 404, NULL, NULL, "there is no published model \"%.80s\"", c->part[0]);
  else if (is_in_use(c, m)) refuse(c, 409, "in_use", NULL, "%s is loaded; let go of the models first", m->name);
  else answer(c, download_delete(downloads_folder(service_downloads(c->service)), m->name, &err), &err);
}

#define ENTRY \
  "name words repository gigabytes:number basic:bool choose:bool state bytes:int total:int problem:any download:any"

const route routes_catalog[] = {
    {"GET", "/v1/catalog", AUTH_SESSION, BODY_NONE, false, get_catalog, "Published models, and what lies here of them",
     NULL, ":[object]"},
    {"GET", "/v1/catalog/*", AUTH_SESSION, BODY_NONE, false, get_listing, "What the hub says of a model", NULL,
     "files:int bytes:int left:int space:int licence source"},
    {"DELETE", "/v1/catalog/*", AUTH_SESSION, BODY_NONE, false, delete_model, "Remove a model", NULL, ENTRY},
    {"POST", "/v1/catalog/*/download", AUTH_SESSION, BODY_ANY, false, post_download, "Fetch a model", NULL, ENTRY},
    {"POST", "/v1/catalog/*/cancel", AUTH_SESSION, BODY_ANY, false, post_cancel, "Stop fetching it", NULL, ENTRY},
    {0},
};
