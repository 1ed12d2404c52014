#include "engine/lm_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/notify.h"
#include "engine/engine.h"
#include "net/http.h"

static bool keep(char **out, const char *text) {
  *out = text && *text ? strdup(text) : NULL;
  return *out || !text || !*text;
}

ace_status engine_server_set(ace_engine *e, const ace_engine_options *o, ace_error *err) {
  engine_server *s = &e->server;
  s->fallback = o->lm_fallback;
  if (!keep(&s->url, o->lm_server) || !keep(&s->model, o->lm_server_model) || !keep(&s->key, o->lm_server_key))
    return ace_fail(err, ACE_ENOMEM, "engine: out of memory");
  return s->url ? net_check_url(s->url, "language model server", err) : ACE_OK;
}

void engine_server_close(engine_server *s) {
  plan_remote_close(s->remote);
  free(s->url), free(s->model), secret_free(s->key);
  *s = (engine_server){0};
}

/* Failures of the server or the way to it, as opposed to those of the request. */
static bool is_servers(ace_status status) {
  return status == ACE_EIO || status == ACE_ENOTFOUND || status == ACE_EFORMAT;
}

static bool may_take_over(const ace_engine *e, ace_status status) {
  return e->server.fallback && e->lm->model && is_servers(status);
}

static void say(const ace_callbacks *notify, const ace_error *why) {
  char line[sizeof why->message + 64];
  snprintf(line, sizeof line, "%s; the language model in the folder takes over", why->message);
  if (notify && notify->log) notify->log(notify->user, line);
}

ace_status engine_server_begin(ace_engine *e, const ace_callbacks *notify, ace_error *err) {
  engine_server *s = &e->server;
  ace_error why = {0};
  if (!s->url || e->lm->remote) return ACE_OK;
  const plan_remote_options options = {.url = s->url, .key = s->key, .model = s->model};
  s->remote = plan_remote_open(&options, notify_is_stopped, (void *)notify, &why);
  e->lm->remote = s->remote;
  if (s->remote) return ACE_OK;
  if (!may_take_over(e, why.status)) return ace_fail(err, why.status, "%s", why.message);
  say(notify, &why);
  return ACE_OK;
}

bool engine_server_left(ace_engine *e, const ace_error *err, const ace_callbacks *notify) {
  if (!e->lm->remote || !may_take_over(e, err->status)) return false;
  say(notify, err);
  plan_remote_close(e->server.remote);
  e->server.remote = NULL;
  e->lm->remote = NULL; /* the next job tries again */
  return true;
}
