#include "service/downloads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { MOST = 64, FILES_AT_ONCE = 4 };

typedef enum order_state { ORDER_WAITING, ORDER_RUNNING, ORDER_DONE, ORDER_FAILED, ORDER_CANCELLED } order_state;

typedef struct order {
  const catalog_model *model;
  order_state state;
  bool stop;
  uint64_t bytes, total;
  char message[512]; /* why it failed */
} order;

struct downloads {
  downloads_options options;
  char *models;
  pthread_mutex_t lock;
  pthread_cond_t work;
  pthread_t thread;
  bool started, closing;
  order order[MOST]; /* the oldest first; a model stands there once */
  int n;
  double told; /* monotonic seconds of the last event */
};

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static json_t *described(const order *o) {
  static const char *const names[] = {"waiting", "running", "done", "failed", "cancelled"};
  return json_pack("{s:s, s:s, s:I, s:I, s:s?}", "name", o->model->name, "state", names[o->state], "bytes",
                   (json_int_t)o->bytes, "total", (json_int_t)o->total, "message", *o->message ? o->message : NULL);
}

/* The lock is held. */
static void tell(downloads *d, const order *o) {
  json_t *data = described(o);
  if (data) events_publish(d->options.events, "", "", "download", data);
  json_decref(data);
  d->told = clock_seconds();
}

/* ---- fetching, on the thread ------------------------------------------------------------------------------------- */

typedef struct fetching {
  downloads *d;
  int index; /* of the order: the list grows, it does not move what is in it */
} fetching;

static void on_progress(void *user, const ace_progress *p) {
  const double pause = 0.5; /* seconds between events */
  const fetching *f = user;
  pthread_mutex_lock(&f->d->lock);
  order *o = &f->d->order[f->index];
  o->bytes = (uint64_t)(p->fraction * (double)o->total);
  if (clock_seconds() - f->d->told >= pause) tell(f->d, o);
  pthread_mutex_unlock(&f->d->lock);
}

static bool on_cancelled(void *user) {
  const fetching *f = user;
  pthread_mutex_lock(&f->d->lock);
  bool stop = f->d->closing || f->d->order[f->index].stop;
  pthread_mutex_unlock(&f->d->lock);
  return stop;
}

static bool may_try_another(const ace_error *err) {
  return err->status == ACE_EIO || err->status == ACE_ENOTFOUND || err->status == ACE_EFORMAT;
}

/* Asks one hub after the other; *from is the one that answered. */
static ace_status list_model(const downloads *d, const catalog_model *m, const ace_callbacks *notify, const hub **from,
                             hub_listing *out, ace_error *err) {
  *from = NULL;
  ace_status status = ace_fail(err, ACE_EUNSUPPORTED, "downloads are switched off here");
  for (int i = 0; i < d->options.n_hubs; i++) {
    *from = &d->options.hubs[i];
    status = hub_list(*from, m, NULL, notify, out, err);
    if (status == ACE_OK || !may_try_another(err)) return status;
  }
  return status;
}

static ace_status check_space(const downloads *d, const catalog_model *m, const hub_listing *l, ace_error *err) {
  uint64_t left = download_left(d->models, m, l), space = download_space(d->models);
  if (left <= space) return ACE_OK;
  return ace_fail(err, ACE_EIO, "%llu MB are to be fetched and only %llu MB are free; make room first",
                  (unsigned long long)(left / 1000000 + 1), (unsigned long long)(space / 1000000));
}

static ace_status fetch(downloads *d, int index, ace_error *err) {
  fetching f = {d, index};
  const catalog_model *m = d->order[index].model;
  ace_callbacks notify = {.progress = on_progress, .cancelled = on_cancelled, .user = &f};
  const hub *from;
  hub_listing listing;
  ace_status status = list_model(d, m, &notify, &from, &listing, err);
  if (status != ACE_OK) return status;
  pthread_mutex_lock(&d->lock);
  d->order[index].total = listing.bytes;
  tell(d, &d->order[index]);
  pthread_mutex_unlock(&d->lock);
  status = check_space(d, m, &listing, err);
  if (status == ACE_OK)
    status = download_fetch(&(download){.models = d->models,
                                        .hub = from,
                                        .model = m,
                                        .at_once = d->options.at_once,
                                        .replace = true,
                                        .notify = &notify},
                            &listing, err);
  hub_listing_free(&listing);
  return status;
}

static int first_waiting(const downloads *d) {
  for (int i = 0; i < d->n; i++)
    if (d->order[i].state == ORDER_WAITING) return i;
  return -1;
}

static void end_order(downloads *d, order *o, ace_status status, const ace_error *err) {
  o->state = status == ACE_OK ? ORDER_DONE : status == ACE_ECANCELED ? ORDER_CANCELLED : ORDER_FAILED;
  if (status == ACE_OK) o->bytes = o->total;
  if (o->state == ORDER_FAILED) snprintf(o->message, sizeof o->message, "%s", err->message);
  tell(d, o);
}

static void *work(void *user) {
  downloads *d = user;
  pthread_mutex_lock(&d->lock);
  while (!d->closing) {
    int i = first_waiting(d);
    if (i < 0) {
      pthread_cond_wait(&d->work, &d->lock);
      continue;
    }
    ace_error err = {0};
    d->order[i].state = ORDER_RUNNING;
    tell(d, &d->order[i]);
    pthread_mutex_unlock(&d->lock);
    ace_status status = fetch(d, i, &err);
    pthread_mutex_lock(&d->lock);
    end_order(d, &d->order[i], status, &err);
  }
  pthread_mutex_unlock(&d->lock);
  return NULL;
}

/* ---- opening, closing -------------------------------------------------------------------------------------------- */

downloads *downloads_open(const downloads_options *options, ace_error *err) {
  downloads *d = calloc(1, sizeof *d);
  if (d) d->models = strdup(options->models);
  if (!d || !d->models) {
    free(d);
    ace_fail(err, ACE_ENOMEM, "downloads: out of memory");
    return NULL;
  }
  d->options = *options;
  if (d->options.at_once <= 0) d->options.at_once = FILES_AT_ONCE;
  pthread_mutex_init(&d->lock, NULL);
  clock_condition(&d->work);
  return d;
}

void downloads_close(downloads *d) {
  if (!d) return;
  pthread_mutex_lock(&d->lock);
  d->closing = true;
  pthread_cond_broadcast(&d->work);
  pthread_mutex_unlock(&d->lock);
  if (d->started) pthread_join(d->thread, NULL);
  pthread_cond_destroy(&d->work);
  pthread_mutex_destroy(&d->lock);
  free(d->models);
  free(d);
}

const char *downloads_folder(const downloads *d) {
  return d->models;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static order *find(downloads *d, const char *name) {
  for (int i = 0; i < d->n; i++)
    if (strcmp(d->order[i].model->name, name) == 0) return &d->order[i];
  return NULL;
}

static const catalog_model *wanted(const downloads *d, const char *name, ace_error *err) {
  const catalog_model *m = catalog_find(name);
  if (!m) ace_fail(err, ACE_ENOTFOUND, "there is no published model \"%.80s\"", name);
  else if (m->choose)
    ace_fail(err, ACE_EINVAL, "%s is a collection: acestep download %s --include PATTERN fetches some of it", name,
             name);
  return m && !m->choose ? m : NULL;
}

/* The thread runs from the first order on. */
static ace_status start_thread(downloads *d, ace_error *err) {
  if (d->started) return ACE_OK;
  if (pthread_create(&d->thread, NULL, work, d) != 0)
    return ace_fail(err, ACE_ENOMEM, "downloads: the system would not start a thread");
  d->started = true;
  return ACE_OK;
}

static ace_status add_order(downloads *d, const catalog_model *m, ace_error *err) {
  order *o = find(d, m->name);
  if (o && o->state <= ORDER_RUNNING) return ACE_OK;
  if (!o && d->n == MOST) return ace_fail(err, ACE_EBUSY, "downloads: too many at once");
  if (!o) o = &d->order[d->n++];
  *o = (order){.model = m};
  ace_status status = start_thread(d, err);
  if (status != ACE_OK) o->state = ORDER_FAILED;
  tell(d, o);
  pthread_cond_broadcast(&d->work);
  return status;
}

ace_status downloads_start(downloads *d, const char *name, ace_error *err) {
  const catalog_model *m = wanted(d, name, err);
  if (!m) return catalog_find(name) ? ACE_EINVAL : ACE_ENOTFOUND;
  if (download_look(d->models, name).kind == DOWNLOAD_COMPLETE && !*download_look(d->models, name).include)
    return ace_fail(err, ACE_EINVAL, "%s is there already", name);
  pthread_mutex_lock(&d->lock);
  ace_status status = add_order(d, m, err);
  pthread_mutex_unlock(&d->lock);
  return status;
}

ace_status downloads_cancel(downloads *d, const char *name, ace_error *err) {
  ace_status status = ACE_OK;
  pthread_mutex_lock(&d->lock);
  order *o = find(d, name);
  if (o && o->state == ORDER_WAITING) end_order(d, o, ACE_ECANCELED, NULL);
  else if (o && o->state == ORDER_RUNNING) o->stop = true;
  else status = ace_fail(err, ACE_ENOTFOUND, "%.80s is not being fetched", name);
  pthread_mutex_unlock(&d->lock);
  return status;
}

json_t *downloads_state(downloads *d, const char *name) {
  pthread_mutex_lock(&d->lock);
  const order *o = find(d, name);
  json_t *state = o ? described(o) : NULL;
  pthread_mutex_unlock(&d->lock);
  return state;
}

json_t *downloads_ask(downloads *d, const char *name, ace_error *err) {
  const catalog_model *m = wanted(d, name, err);
  const hub *from;
  hub_listing l;
  if (!m || list_model(d, m, NULL, &from, &l, err) != ACE_OK) return NULL;
  json_t *told = json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "files", (json_int_t)l.n, "bytes", (json_int_t)l.bytes,
                           "left", (json_int_t)download_left(d->models, m, &l), "space",
                           (json_int_t)download_space(d->models), "licence", l.licence, "source", hub_name(from->kind));
  hub_listing_free(&l);
  return told;
}
