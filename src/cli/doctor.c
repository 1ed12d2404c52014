/* acestep doctor - is everything here that making music needs? One line for each thing, with what to do about it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/strings.h"
#include "cli/cli.h"
#include "cli/fetching.h"
#include "cli/folders.h"
#include "cli/model_info.h"
#include "engine/engine.h"
#include "tensor/cpu/isa.h"

static const cli_flag flags[] = {
    {"models", 0, "DIR", "Folder of models (else $ACESTEP_CHECKPOINTS_DIR, the data folder's models, ./checkpoints)"},
    {"port", 0, "N", "Port that a server is going to use (default: 7860)"},
    {"json", 0, NULL, "As one JSON object"},
    {0}};

typedef enum verdict { GOOD, POOR, BAD } verdict; /* BAD: no music before it is mended */

static const char *const verdicts[] = {[GOOD] = "ok", [POOR] = "warning", [BAD] = "problem"};

typedef struct visit {
  json_t *checks; /* NULL: for people */
  int count[3];
} visit;

/* remedy NULL: nothing is to be done. */
static void say(visit *v, verdict is, const char *what, const char *found, const char *remedy) {
  v->count[is]++;
  if (v->checks) {
    json_array_append_new(v->checks, json_pack("{s:s, s:s, s:s, s:s?}", "check", what, "state", verdicts[is], "found",
                                               found, "remedy", remedy));
    return;
  }
  printf("%-8s %-22s %s\n", verdicts[is], what, found);
  if (remedy) printf("%-8s %-22s -> %s\n", "", "", remedy);
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void check_processor(visit *v) {
  char found[80];
  const char *isa = tens_isa_name();
  bool vectors = strcmp(isa, "plain") != 0;
  say(v, vectors ? GOOD : POOR, "instruction set", isa,
      vectors ? NULL : "this processor lacks AVX2; songs take several times as long");
  int n = pool_cpus();
  snprintf(found, sizeof found, "%d may be used", n);
  say(v, n >= 2 ? GOOD : POOR, "processors", found,
      n >= 2 ? NULL : "a second one halves the time; see taskset and the limits of the container");
  say(v, GOOD, "graphics driver", "none is needed: this build computes on the processor", NULL);
}

static void check_memory(visit *v) {
  const uint64_t little = UINT64_C(6000000000); /* the basic models, paged in and out, and the work of a minute */
  char size[FETCHING_SIZE], found[80];
  uint64_t bytes = memory_available();
  snprintf(found, sizeof found, "%s available", fetching_size(bytes, size));
  if (bytes == 0) say(v, GOOD, "memory", "the system does not say", NULL);
  else
    say(v, bytes >= little ? GOOD : POOR, "memory", found,
        bytes >= little ? NULL : "close other programs, make shorter songs, or set --memory");
}

static void check_port(visit *v, int port) {
  char found[80];
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  bool free_port = false;
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    free_port = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
  }
  snprintf(found, sizeof found, "%d is %s", port, free_port ? "free" : "taken, or not for this user");
  say(v, free_port ? GOOD : POOR, "port", found,
      free_port ? NULL : "end the program that has it, or choose another with --port");
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* The nearest folder above that exists says whether this one can be made. */
static bool can_write(const char *folder) {
  char *path = file_nearest(folder);
  bool can = path && file_is_directory(path) && access(path, W_OK | X_OK) == 0;
  free(path);
  return can;
}

static void check_folder(visit *v, const char *what, const char *folder, verdict without, const char *remedy) {
  bool can = can_write(folder);
  char *found = malloc(strlen(folder) + 40);
  if (found) sprintf(found, "%s can %sbe written", folder, can ? "" : "not ");
  say(v, can ? GOOD : without, what, found ? found : folder, can ? NULL : remedy);
  free(found);
}

static void check_disk(visit *v, const char *models) {
  const uint64_t little = UINT64_C(12000000000); /* the basic set, and room for songs */
  char size[FETCHING_SIZE], found[80];
  uint64_t bytes = download_space(models);
  snprintf(found, sizeof found, "%s free", fetching_size(bytes, size));
  say(v, bytes >= little ? GOOD : POOR, "disk", found,
      bytes >= little ? NULL : "the basic models take 10 GB; make room, or name another folder with --models");
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* What helps when files are not what they should be. */
static const char *anew(const char *name, char out[200]) {
  if (!catalog_find(name)) return "put its files into the folder anew";
  snprintf(out, 200, "fetch it anew: acestep download %.100s --force", name);
  return out;
}

/* Opened as an engine would: a folder, or a GGUF file beside them. */
static void check_opening(visit *v, const char *models, const char *name) {
  model_info info;
  char *path = file_join(models, name), size[FETCHING_SIZE], found[160], remedy[200];
  if (path && model_inspect(path, false, NULL, &info, NULL) == ACE_OK) {
    bool fine = info.problem.status == ACE_OK;
    snprintf(found, sizeof found, "%s, %s", model_kind_name(info.kind), fetching_size((uint64_t)info.bytes, size));
    say(v, fine ? GOOD : BAD, name, fine ? found : info.problem.message, fine ? NULL : anew(name, remedy));
  }
  free(path);
}

/* A folder, or what a download of it has left so far. */
static void check_model(visit *v, const char *models, const char *name, bool needed) {
  download_state s = download_look(models, name);
  char part[FETCHING_SIZE], total[FETCHING_SIZE], text[200], remedy[200];
  snprintf(remedy, sizeof remedy, "acestep download %.100s", name);
  if (s.kind == DOWNLOAD_COMPLETE && *s.include) {
    snprintf(text, sizeof text, "only %s of it is here", s.include);
    say(v, needed ? BAD : GOOD, name, text, needed ? remedy : NULL);
  } else if (s.kind == DOWNLOAD_COMPLETE) {
    check_opening(v, models, name);
  } else if (s.kind == DOWNLOAD_PARTIAL) {
    snprintf(text, sizeof text, "%s of %s are here", fetching_size(s.bytes, part), fetching_size(s.total, total));
    say(v, needed ? BAD : POOR, name, text, remedy);
  } else if (s.kind == DOWNLOAD_DAMAGED) {
    say(v, BAD, name, s.problem, anew(name, remedy));
  } else if (needed) {
    say(v, BAD, name, "not here", remedy);
  }
}

/* A diffusion model of any kind will do; these two are always needed. */
static bool is_basic(const char *name) {
  return strcmp(name, ENGINE_VAE) == 0 || strcmp(name, ENGINE_TEXT_ENCODER) == 0;
}

/* What lies there; true: a diffusion model is among it. */
static bool check_present(visit *v, const char *models) {
  char **names = file_names(models, NULL);
  bool diffusion = false;
  for (char **name = names; name && *name; name++) {
    char *path = file_join(models, *name);
    bool folder = path && file_is_directory(path), known = folder && catalog_find(*name);
    bool is_model = known || (path && model_looks_like(path));
    if (is_model && folder) check_model(v, models, *name, is_basic(*name));
    else if (is_model) check_opening(v, models, *name);
    diffusion |= is_model && string_begins(*name, "acestep-v15-");
    free(path);
  }
  file_names_free(names);
  return diffusion;
}

static void check_models(visit *v, const char *models) {
  bool diffusion = check_present(v, models);
  for (const catalog_model *m = catalog_models(); m->name; m++) {
    char *path = engine_locate(models, m->name);
    bool needed = is_basic(m->name) || (strcmp(m->name, "acestep-v15-turbo") == 0 && !diffusion);
    if (!path) check_model(v, models, m->name, needed);
    free(path);
  }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static ace_status examine(visit *v, const args *a, ace_error *err) {
  const char *text = args_value(a, "port");
  int port = 7860;
  if (text && args_int(text, "--port", 1, 65535, &port, err) != ACE_OK) return err->status;
  char *models = folder_for_downloads(args_value(a, "models"), err), *cache = folder_cache();
  if (!models) return err->status;
  char *found = folder_models(args_value(a, "models"), NULL);
  check_processor(v);
  check_memory(v);
  check_port(v, port);
  if (cache) check_folder(v, "data folder", cache, POOR, "set ACESTEP_HOME to a folder of yours");
  else say(v, POOR, "data folder", "there is no home for it", "set ACESTEP_HOME to a folder of yours");
  check_folder(v, "models folder", models, POOR, "downloads need it: name another with --models");
  check_disk(v, models);
  if (found && folder_is_built_in(found))
    say(v, GOOD, "models", "the small ones that come with the program", "acestep download fetches the large ones");
  else check_models(v, models);
  free(models), free(cache), free(found);
  return ACE_OK;
}

static ace_status print_json(visit *v, ace_error *err) {
  json_t *all = json_pack("{s:b, s:O}", "healthy", v->count[BAD] == 0, "checks", v->checks);
  char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
  if (text) puts(text);
  free(text);
  json_decref(all);
  return text ? ACE_OK : ace_fail(err, ACE_ENOMEM, "doctor: out of memory, or a name that is not UTF-8");
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  visit v = {.checks = args_on(a, "json") ? json_array() : NULL};
  ace_status status = examine(&v, a, &err);
  if (status == ACE_OK && v.checks) status = print_json(&v, &err);
  else if (status == ACE_OK)
    printf("\n%s: %d problems, %d warnings\n", v.count[BAD] ? "not ready" : "ready", v.count[BAD], v.count[POOR]);
  json_decref(v.checks);
  if (status != ACE_OK) return report_failure(r, &err);
  return v.count[BAD] ? CLI_FAILED : CLI_OK;
}

const cli_command cmd_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "check machine, folders and models, and say what to do",
    .flags = flags,
    .notes = "The exit code is 0 when nothing stands in the way of music, else 1.",
    .run = run,
};
