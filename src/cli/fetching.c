#include "cli/fetching.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/signals.h"
#include "net/http.h"

const char *fetching_size(uint64_t bytes, char out[FETCHING_SIZE]) {
  double x = (double)bytes;
  if (x >= 1e9) snprintf(out, FETCHING_SIZE, "%.1f GB", x * 1e-9);
  else if (x >= 1e6) snprintf(out, FETCHING_SIZE, "%.0f MB", x * 1e-6);
  else snprintf(out, FETCHING_SIZE, "%.0f kB", x * 1e-3);
  return out;
}

/* ---- which hub --------------------------------------------------------------------------------------------------- */

static ace_status read_token(fetching *f, const char *path, ace_error *err) {
  enum { TOKEN_MOST = 4096 };
  const char *set = cli_variable("HF_TOKEN");
  if (path) f->token = file_read(path, TOKEN_MOST, NULL, err);
  else if (set) f->token = strdup(set);
  else return ACE_OK;
  if (!f->token) return path ? err->status : ace_fail(err, ACE_ENOMEM, "download: out of memory");
  f->token[strcspn(f->token, " \t\r\n")] = 0;
  return *f->token ? ACE_OK : ace_fail(err, ACE_EINVAL, "--token-file: %s holds no key", path ? path : "$HF_TOKEN");
}

static ace_status add_hub(fetching *f, hub_kind kind, const char *endpoint, ace_error *err) {
  static const char *const variables[HUB_KINDS] = {
      [HUB_HUGGINGFACE] = "HF_ENDPOINT", [HUB_MODELSCOPE] = "MODELSCOPE_ENDPOINT"};
  const char *set = cli_variable(variables[kind]);
  const char *url = endpoint ? endpoint : set ? set : hub_default_endpoint(kind);
  ace_status status = net_check_url(url, endpoint ? "--endpoint" : variables[kind], err);
  /* A key is for the hub that gave it. */
  if (status == ACE_OK)
    f->hubs[f->n_hubs++] =
        (hub){.kind = kind, .endpoint = url, .token = kind == HUB_HUGGINGFACE || endpoint ? f->token : NULL};
  return status;
}

ace_status fetching_plan(fetching *f, const args *a, report *r, ace_error *err) {
  const char *source = args_value(a, "source"), *endpoint = args_value(a, "endpoint"),
             *parallel = args_value(a, "parallel");
  *f = (fetching){.report = r, .at_once = 4};
  if (!source) source = args_value(a, "download-source");
  if (!source) source = cli_variable("ACESTEP_DOWNLOAD_SOURCE");
  if (!source) source = "auto";
  bool hf = strcmp(source, "huggingface") == 0, ms = strcmp(source, "modelscope") == 0,
       any = strcmp(source, "auto") == 0;
  if (!hf && !ms && !any)
    return ace_fail(err, ACE_EINVAL, "--source: \"%.40s\" is none of huggingface, modelscope, auto", source);
  if (endpoint && any)
    return ace_fail(err, ACE_EINVAL, "--endpoint: say with --source huggingface or modelscope which hub it mirrors");
  ace_status status = ACE_OK;
  if (parallel) status = args_int(parallel, "--parallel", 1, NET_MOST_AT_ONCE, &f->at_once, err);
  if (status == ACE_OK) status = read_token(f, args_value(a, "token-file"), err);
  if (status == ACE_OK && (hf || any)) status = add_hub(f, HUB_HUGGINGFACE, endpoint, err);
  if (status == ACE_OK && (ms || any)) status = add_hub(f, HUB_MODELSCOPE, endpoint, err);
  return status;
}

void fetching_free(fetching *f) {
  if (f->token) memset(f->token, 0, strlen(f->token));
  free(f->token);
  *f = (fetching){0};
}

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* One model that is going to be fetched. */
typedef struct order {
  const catalog_model *model;
  const hub *from;
  hub_listing listing;
} order;

static bool may_try_another(const ace_error *err) {
  return err->status == ACE_EIO || err->status == ACE_ENOTFOUND || err->status == ACE_EFORMAT;
}

/* Asks one hub after the other for the list. */
static ace_status list_model(fetching *f, order *o, ace_error *err) {
  ace_callbacks notify = report_callbacks(f->report);
  ace_status status = ACE_EINVAL;
  for (int i = 0; i < f->n_hubs; i++) {
    o->from = &f->hubs[i];
    ace_error why = {0};
    status = hub_list(o->from, o->model, f->include, &notify, &o->listing, &why);
    if (status == ACE_OK) return ACE_OK;
    bool last = i + 1 == f->n_hubs || !may_try_another(&why);
    if (!last) report_note(f->report, "%s; trying %s", why.message, hub_name(f->hubs[i + 1].kind));
    if (last) return ace_fail(err, status, "%s", why.message);
  }
  return status;
}

static bool said_yes(void) {
  char line[16];
  fputs("Go on? [Y/n] ", stderr);
  fflush(stderr);
  if (!fgets(line, sizeof line, stdin)) return false;
  return *line == '\n' || *line == 'y' || *line == 'Y';
}

static ace_status ask(const fetching *f, const order *orders, int n, ace_error *err) {
  char size[FETCHING_SIZE];
  uint64_t left = 0;
  for (int i = 0; i < n; i++) {
    const order *o = &orders[i];
    uint64_t rest = download_left(f->models, o->model, &o->listing);
    left += rest;
    report_note(f->report, "%-28s %8s  %zu files of %s on %s, licence %s%s", o->model->name,
                fetching_size(o->listing.bytes, size), o->listing.n, o->model->repository, hub_name(o->from->kind),
                o->listing.licence, rest < o->listing.bytes ? ", begun" : "");
  }
  report_note(f->report, "%s to fetch into %s", fetching_size(left, size), f->models);
  uint64_t space = download_space(f->models);
  if (left > space)
    return ace_fail(err, ACE_EIO,
                    "%s: %" PRIu64 " MB are to be fetched and only %" PRIu64
                    " MB are free; make room or name another folder with --models",
                    f->models, left / 1000000 + 1, space / 1000000);
  if (!f->ask) return ACE_OK;
  if (!isatty(STDIN_FILENO) || f->report->json)
    return ace_fail(err, ACE_EINVAL, "download: nobody is here to agree; add --yes to fetch this");
  if (!said_yes()) return ace_fail(err, ACE_ECANCELED, "not downloaded");
  return ACE_OK;
}

/* ---- the download ------------------------------------------------------------------------------------------------ */

/* Of a model of which a pattern chose some files, all are wanted now. */
static bool is_only_part(const fetching *f, const catalog_model *m) {
  return !f->include && *download_look(f->models, m->name).include;
}

static ace_status fetch(fetching *f, order *o, ace_error *err) {
  ace_callbacks notify = report_callbacks(f->report);
  download d = {.models = f->models,
                .hub = o->from,
                .model = o->model,
                .include = f->include,
                .at_once = f->at_once,
                .replace = f->replace || is_only_part(f, o->model),
                .notify = &notify};
  report_phase(f->report);
  ace_status status = download_fetch(&d, &o->listing, err);
  if (status == ACE_OK) report_note(f->report, "%s is complete", o->model->name);
  if (status == ACE_ECANCELED && err)
    ace_fail(err, status, "stopped; what has arrived stays, and the same command goes on from there");
  return status;
}

static bool is_wanted(const fetching *f, const catalog_model *m) {
  if (f->replace) return true;
  download_state s = download_look(f->models, m->name);
  if (s.kind != DOWNLOAD_COMPLETE || is_only_part(f, m)) return true;
  report_note(f->report, "%s is there already", m->name);
  return false;
}

ace_status fetching_run(fetching *f, const catalog_model *const *models, int n, ace_error *err) {
  order *orders = calloc((size_t)n + 1, sizeof *orders);
  if (!orders) return ace_fail(err, ACE_ENOMEM, "download: out of memory");
  ace_status status = ACE_OK;
  int wanted = 0;
  for (int i = 0; i < n && status == ACE_OK; i++) {
    if (!is_wanted(f, models[i])) continue;
    orders[wanted].model = models[i];
    status = list_model(f, &orders[wanted], err);
    if (status == ACE_OK) wanted++;
  }
  if (status == ACE_OK && wanted > 0) status = ask(f, orders, wanted, err);
  for (int i = 0; i < wanted && status == ACE_OK; i++) status = fetch(f, &orders[i], err);
  for (int i = 0; i < wanted; i++) hub_listing_free(&orders[i].listing);
  free(orders);
  return status;
}
