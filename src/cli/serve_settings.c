#include "cli/serve_settings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/env_file.h"
#include "cli/folders.h"
#include "cli/supervisor.h"
#include "request/value.h"

enum { PORT = 7860, ACECPP_PORT = 8080, SECRET_LIMIT = 4096, PEM_LIMIT = 1 << 20, MB_MOST = 1 << 20 };

const cli_flag serve_flags[] = {
    {"port", 0, "N", "Port to listen on ($ACESTEP_API_PORT; default 7860; 0: any free one, printed)"},
    {"server-name", 0, "ADDRESS",
     "Address to listen on ($ACESTEP_API_HOST; default 127.0.0.1, this machine only; 0.0.0.0: every network)"},
    {"host", 0, "ADDRESS", "The same as --server-name"},
    {"data", 0, "DIR", "Data folder: database, songs, uploads (default $ACESTEP_HOME, else ~/.local/share/acestep)"},
    {"models", 0, "DIR", "Folder of models (else $ACESTEP_CHECKPOINTS_DIR, the data folder's models, ./checkpoints)"},
    {"config", 0, "NAME", "Diffusion model ($ACESTEP_CONFIG_PATH; default acestep-v15-turbo, else the first)"},
    {"config-path", 0, "NAME", "The same as --config"},
    {"checkpoint", 0, "NAME", "The same as --config"},
    {"lm", 0, "NAME", "Language model ($ACESTEP_LM_MODEL_PATH; default: what fits this machine)"},
    {"lm-model-path", 0, "NAME", "The same as --lm"},
    {"init-llm", 0, "[BOOL]", "Let jobs load the language model ($ACESTEP_INIT_LLM; default: when it fits)"},
    {"init-service", 0, "[BOOL]", "Load the models now instead of with the first job ($ACESTEP_NO_INIT=false)"},
    {"api-key-file", 0, "FILE", "A file with the key that callers must give"},
    {"api-key", 0, "KEY",
     "The key itself; others on this machine can see it in the list of processes ($ACESTEP_API_KEY)"},
    {"auth-username", 0, "NAME", "Who uses the page must sign in under this name"},
    {"auth-password-file", 0, "FILE", "... with the password in this file"},
    {"auth-password", 0, "TEXT", "... with this password; others on this machine can see it in the list of processes"},
    {"auth", 0, "NAME:PASSWORD", "Both in one; others on this machine can see it in the list of processes"},
    {"service-mode", 0, "[BOOL]", "Models and settings stay as they are; loads the models now"},
    {"enable-api", 0, "[BOOL]", "Accepted for older command lines: the REST API is always there"},
    {"api", 0, "[BOOL]", "The same"},
    {"compat", 0, "acestep.cpp",
     "The routes of acestep.cpp's server are there too, on its port 8080 unless --port says"},
    {"max-batch", 0, "N", "With --compat: plans of one request, 1..9 (default 1)"},
    {"env-file", 0, "FILE", "Settings that stand in for variables of the environment (default .env, if there is one)"},
    {"allowed-path", 0, "DIR", "A folder whose files callers may name; may be given several times"},
    {"allowed-origin", 0, "URL", "A web origin that may use the server; may be given several times"},
    {"allowed-host", 0, "NAME", "A host name under which the server is reached; may be given several times"},
    {"base-path", 0, "PATH", "Path that a proxy serves this under, such as /music"},
    {"trusted-proxy", 0, "ADDRESS",
     "A proxy whose X-Forwarded-For, -Proto and -Host are believed; may be given several times"},
    {"tls-cert", 0, "FILE", "Certificate chain (PEM); with --tls-key the server speaks HTTPS"},
    {"tls-key", 0, "FILE", "Private key (PEM)"},
    {"max-queue", 0, "N", "Jobs that may wait ($ACESTEP_QUEUE_MAXSIZE; default 200)"},
    {"max-upload-mb", 0, "N", "Size of the files of one request (default 200)"},
    {"uploads-gb", 0, "N", "Size of all uploads that are kept (default 10)"},
    {"uploads-hours", 0, "N", "Uploads go so many hours after their last use (default 24)"},
    {"retention-hours", 0, "N", "Finished songs that are no favourites go after so many hours (default: they stay)"},
    {"retention-gb", 0, "N", "The oldest go when all take more than this (default: no limit)"},
    {"vae", 0, "NAME", "Autoencoder folder among the models, or an absolute path (default: vae)"},
    OPENING_BACKEND,
    {"backend", 0, "NAME", "The same as --lm-backend"},
    OPENING_SERVER,
    OPENING_MACHINE,
    {"quantization", 0, "KIND", "int8_weight_only, w8a8_dynamic or fp8_weight_only: as --int8; none: without"},
    {"batch-size", 0, "N", "Songs that the page makes at a time at first, 1..8 (default: what suits this machine)"},
    {"language", 0, "CODE",
     "Language of the page for those who chose none: en, zh or ja (default: what browsers ask for)"},
    {"device", 0, "NAME", "Accepted for older command lines: this program computes on the processor"},
    {"use-flash-attention", 0, "[BOOL]", "Accepted for older command lines: attention never keeps a whole matrix"},
    {"offload-to-cpu", 0, "[BOOL]",
     "Accepted for older command lines: weights stay in their files until they are read"},
    {"offload-dit-to-cpu", 0, "[BOOL]", "The same"},
    {"share", 0, "[BOOL]", "Accepted for older command lines: says how others can reach the server"},
    FETCHING_FLAGS,
    {"download-source", 0, "HUB", "The same as --source"},
    {"log-requests", 0, "[BOOL]", "One line for each request, on standard error"},
    {"debug", 0, "[BOOL]", "The same as --log-requests"},
    {"log-format", 0, "text|json", "Lines for people, or one JSON object a line (default text)"},
    {"drain-seconds", 0, "N",
     "Time that the running job gets to end after a signal (default 20); else it goes on next time"},
    {"quiet", 'q', NULL, "Say nothing but errors"},
    {0}};

void serve_settings_free(serving *s) {
  free(s->models), free(s->spare), free(s->data), free(s->certificate), free(s->secret), free(s->user);
  if (s->key) memset(s->key, 0, strlen(s->key));
  if (s->password) memset(s->password, 0, strlen(s->password));
  free(s->key), free(s->password);
  opening_free(&s->lm), fetching_free(&s->fetch);
}

void serve_log_line(void *user, const char *line) {
  fprintf(stderr, "%s\n", line);
}

/* ---- flags, environment ------------------------------------------------------------------------------------------ */

/* The flag, else its other name, else the variable; each may be NULL. */
static const char *setting(const args *a, const char *flag, const char *other, const char *from) {
  const char *value = args_value(a, flag);
  if (!value && other) value = args_value(a, other);
  return value || !from ? value : cli_variable(from);
}

/* Who gave it: "--port", "$ACESTEP_API_PORT". */
enum { ORIGIN_SIZE = 64 };
static const char *origin(const args *a, const char *flag, const char *from, char out[ORIGIN_SIZE]) {
  bool given = args_value(a, flag) || !from;
  snprintf(out, ORIGIN_SIZE, "%s%s", given ? "--" : "$", given ? flag : from);
  return out;
}

static ace_status number(const args *a, const char *flag, const char *from, int lo, int hi, int *out, ace_error *err) {
  const char *text = setting(a, flag, NULL, from);
  char shown[ORIGIN_SIZE];
  return text ? args_int(text, origin(a, flag, from, shown), lo, hi, out, err) : ACE_OK;
}

/* A switch that may have a word behind it. */
static ace_status toggle(const args *a, const char *flag, const char *from, bool *out, ace_error *err) {
  const char *text = setting(a, flag, NULL, from);
  char shown[ORIGIN_SIZE], excerpt[REQ_EXCERPT_SIZE];
  if (!text || req_switch_parse(text, strlen(text), out)) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "%s: \"%s\" is not true or false", origin(a, flag, from, shown),
                  req_excerpt(text, strlen(text), excerpt));
}

/* A secret in a file without the line feed behind it, or as it was given; NULL: neither, or a failure. free() it. */
static char *read_secret(const args *a, const char *flag, const char *given, ace_error *err) {
  const char *file = args_value(a, flag);
  size_t n;
  char *text = file ? file_read(file, SECRET_LIMIT, &n, err) : given ? strdup(given) : NULL;
  if (!text) return NULL;
  for (n = strlen(text); n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'); n--) text[n - 1] = 0;
  if (n > 0) return text;
  free(text);
  ace_fail(err, ACE_EINVAL, "--%s: there is nothing in it", flag);
  return NULL;
}

/* Name and password go together. */
static ace_status read_login(const args *a, serving *s, ace_error *err) {
  const char *user = args_value(a, "auth-username"), *given = args_value(a, "auth-password");
  const char *both = args_value(a, "auth"), *colon = both ? strchr(both, ':') : NULL;
  if (both && (!colon || colon == both || !colon[1] || user || given || args_value(a, "auth-password-file")))
    return ace_fail(err, ACE_EINVAL, "--auth: NAME:PASSWORD is meant, and no other --auth flag beside it");
  if (both) {
    s->user = strndup(both, (size_t)(colon - both));
    if (!s->user) return ace_fail(err, ACE_ENOMEM, "serve: out of memory");
    user = s->user, given = colon + 1;
  }
  bool any = given || args_value(a, "auth-password-file");
  if (!user && !any) return ACE_OK;
  if (!user || !any)
    return ace_fail(err, ACE_EINVAL, "serve: --auth-username goes with --auth-password-file or --auth-password");
  s->password = read_secret(a, "auth-password-file", given, err);
  s->server.user = user, s->server.password = s->password;
  return s->password ? ACE_OK : err->status;
}

static ace_status read_key(const args *a, serving *s, ace_error *err) {
  const char *given = setting(a, "api-key", NULL, "ACESTEP_API_KEY");
  s->key = read_secret(a, "api-key-file", given, err);
  s->server.api_key = s->key;
  return s->key || (!given && !args_value(a, "api-key-file")) ? ACE_OK : err->status;
}

static ace_status read_tls(const args *a, serving *s, ace_error *err) {
  const char *certificate = args_value(a, "tls-cert"), *key = args_value(a, "tls-key");
  size_t n;
  if (!certificate && !key) return ACE_OK;
  if (!certificate || !key) return ace_fail(err, ACE_EINVAL, "serve: --tls-cert and --tls-key go together");
  s->certificate = file_read(certificate, PEM_LIMIT, &n, err);
  s->secret = s->certificate ? file_read(key, PEM_LIMIT, &n, err) : NULL;
  s->server.http.certificate = s->certificate, s->server.http.key = s->secret;
  return s->secret ? ACE_OK : err->status;
}

static ace_status read_numbers(const args *a, serving *s, ace_error *err) {
  int queue = 0, upload = 0, average = 0, uploads = 0;
  const char *threads = args_value(a, "threads"), *memory = args_value(a, "memory");
  const char *compat = args_value(a, "compat");
  s->server.acecpp = compat && strcmp(compat, "acestep.cpp") == 0;
  if (compat && !s->server.acecpp)
    return ace_fail(err, ACE_EINVAL, "--compat: \"%.40s\" is not acestep.cpp, the only other server known", compat);
  s->server.http.port = compat ? ACECPP_PORT : PORT;
  ace_status status = number(a, "max-batch", NULL, 1, 9, &s->server.acecpp_batch, err);
  if (status == ACE_OK) status = number(a, "port", "ACESTEP_API_PORT", 0, 65535, &s->server.http.port, err);
  if (status == ACE_OK) status = number(a, "max-queue", "ACESTEP_QUEUE_MAXSIZE", 1, 100000, &queue, err);
  if (status == ACE_OK) status = number(a, "max-upload-mb", NULL, 1, MB_MOST, &upload, err);
  s->uploads_hours = 24;
  if (status == ACE_OK) status = number(a, "uploads-gb", NULL, 1, MB_MOST, &uploads, err);
  if (status == ACE_OK) status = number(a, "uploads-hours", NULL, 1, INT_MAX, &s->uploads_hours, err);
  if (status == ACE_OK) status = number(a, "retention-hours", NULL, 1, INT_MAX, &s->retention_hours, err);
  if (status == ACE_OK) status = number(a, "retention-gb", NULL, 1, MB_MOST, &s->retention_gb, err);
  if (status == ACE_OK) status = number(a, "batch-size", NULL, 1, REQ_BATCH_MAX, &s->server.batch, err);
  s->drain_seconds = 20;
  if (status == ACE_OK) status = number(a, "drain-seconds", NULL, 0, 86400, &s->drain_seconds, err);
  if (status == ACE_OK && threads) status = args_int(threads, "--threads", 1, 1024, &s->service.threads, err);
  if (status == ACE_OK && memory) status = args_bytes(memory, "--memory", &s->service.memory, err);
  if (status == ACE_OK && cli_variable("ACESTEP_AVG_WINDOW"))
    status = args_int(cli_variable("ACESTEP_AVG_WINDOW"), "$ACESTEP_AVG_WINDOW", 1, 100000, &s->service.window, err);
  if (status == ACE_OK && cli_variable("ACESTEP_GENERATION_TIMEOUT"))
    status = args_int(cli_variable("ACESTEP_GENERATION_TIMEOUT"), "$ACESTEP_GENERATION_TIMEOUT", 1, 1000000,
                      &s->server.chat_seconds, err);
  if (status == ACE_OK && cli_variable("ACESTEP_AVG_JOB_SECONDS"))
    status = args_int(cli_variable("ACESTEP_AVG_JOB_SECONDS"), "$ACESTEP_AVG_JOB_SECONDS", 1, 1000000, &average, err);
  s->service.average = average;
  s->service.most_waiting = queue;
  s->server.most_upload = (uint64_t)upload << 20;
  s->service.most_recordings = (uint64_t)uploads << 30;
  return status;
}

static ace_status read_quantization(const args *a, serving *s, ace_error *err) {
  static const char *const kinds[] = {"none", "int8_weight_only", "w8a8_dynamic", "fp8_weight_only"};
  const char *kind = args_value(a, "quantization");
  s->service.int8 = args_on(a, "int8"), s->service.lm_int8 = args_on(a, "lm-int8");
  for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kind, kinds[i]) == 0) {
      s->service.int8 = s->service.int8 || i > 0;
      kind = NULL;
    }
  return kind ? ace_fail(err, ACE_EINVAL,
                         "--quantization: \"%.40s\" is not one of none, int8_weight_only, "
                         "w8a8_dynamic, fp8_weight_only",
                         kind)
              : ACE_OK;
}

/* Flags of the reference's program that have nothing to steer here; what was asked for differently is told. */
static ace_status read_accepted(const args *a, report *r, ace_error *err) {
  const char *device = args_value(a, "device");
  bool share = false, idle = false;
  ace_status status = toggle(a, "share", NULL, &share, err);
  if (status == ACE_OK) status = toggle(a, "use-flash-attention", NULL, &idle, err);
  if (status == ACE_OK) status = toggle(a, "offload-to-cpu", NULL, &idle, err);
  if (status == ACE_OK) status = toggle(a, "offload-dit-to-cpu", NULL, &idle, err);
  if (status == ACE_OK && device && strcmp(device, "auto") != 0 && strcmp(device, "cpu") != 0)
    report_warning(r, "--device: this program computes on the processor, not on \"%.40s\"", device);
  for (const char *const *name = (const char *const[]){"ACESTEP_QUEUE_WORKERS", "ACESTEP_TMPDIR", NULL}; *name; name++)
    if (cli_variable(*name))
      report_warning(r, "$%s has no effect: songs are made one after the other, and files lie in the data folder",
                     *name);
  if (status == ACE_OK && share)
    report_warning(
        r,
        "--share: there is no service that publishes the page for you; let a proxy or a tunnel of yours lead "
        "to it, with --allowed-host NAME and --auth-username");
  return status;
}

static ace_status read_switches(const args *a, serving *s, ace_error *err) {
  const char *init_lm = setting(a, "init-llm", NULL, "ACESTEP_INIT_LLM");
  bool may = false, word = true, log = false;
  bool by_tier = !init_lm || req_same(init_lm, strlen(init_lm), "auto");
  ace_status status = by_tier ? ACE_OK : toggle(a, "init-llm", "ACESTEP_INIT_LLM", &may, err);
  /* The variable says the opposite of the flag. */
  if (status == ACE_OK) status = toggle(a, "init-service", "ACESTEP_NO_INIT", &word, err);
  if (status == ACE_OK) status = toggle(a, args_value(a, "debug") ? "debug" : "log-requests", NULL, &log, err);
  if (status == ACE_OK) status = toggle(a, "service-mode", NULL, &s->server.service_mode, err);
  s->service.init_lm = by_tier ? -1 : may;
  s->service.load_now = s->server.service_mode || (args_value(a, "init-service") ? word : !word);
  if (status == ACE_OK) status = read_quantization(a, s, err);
  if (log) s->server.log = serve_log_line;
  return status;
}

/* "vllm" or "pt"; what is neither is left to the machine, as the reference does. */
static const char *backend_of(const args *a) {
  const char *name = setting(a, "lm-backend", "backend", "ACESTEP_LM_BACKEND");
  if (name && strcmp(name, "mlx") == 0) return "pt";
  return name && (strcmp(name, "vllm") == 0 || strcmp(name, "pt") == 0) ? name : NULL;
}

static ace_status read_server(const args *a, serving *s, ace_error *err) {
  ace_status status = opening_read_server(&s->lm, a, err);
  const ace_engine_options *o = &s->lm.options;
  s->service.lm_server = o->lm_server, s->service.lm_server_model = o->lm_server_model;
  s->service.lm_server_key = o->lm_server_key, s->service.lm_fallback = o->lm_fallback;
  return status;
}

static ace_status read_hubs(const args *a, serving *s, report *r, ace_error *err) {
  ace_status status = fetching_plan(&s->fetch, a, r, err);
  s->service.hubs = s->fetch.hubs, s->service.n_hubs = s->fetch.n_hubs;
  s->service.files_at_once = s->fetch.at_once;
  return status;
}

static ace_status read_models(const args *a, serving *s, ace_error *err) {
  s->service.slots[0] = setting(a, "config", "config-path", NULL);
  if (!s->service.slots[0]) s->service.slots[0] = setting(a, "checkpoint", NULL, "ACESTEP_CONFIG_PATH");
  s->service.slots[1] = cli_variable("ACESTEP_CONFIG_PATH2"),
  s->service.slots[2] = cli_variable("ACESTEP_CONFIG_PATH3");
  s->service.lm = setting(a, "lm", "lm-model-path", "ACESTEP_LM_MODEL_PATH");
  s->service.vae = setting(a, "vae", NULL, "ACESTEP_VAE_CHECKPOINT");
  s->service.lm_backend = backend_of(a);
  const char *given = args_value(a, "models");
  char *found = folder_models(given, err);
  if (!found) return err->status;
  free(found);
  s->models = folder_for_downloads(given, err);
  s->service.models = s->models;
  if (!given && !cli_variable("ACESTEP_CHECKPOINTS_DIR")) s->service.spare = s->spare = folder_built_in();
  return s->models ? ACE_OK : err->status;
}

/* How the server is seen from outside: the path it lies under, the form of its log. */
static ace_status read_outside(const args *a, serving *s, ace_error *err) {
  const char *base = args_value(a, "base-path"), *format = args_value(a, "log-format");
  const char *language = args_value(a, "language");
  size_t n = base ? strlen(base) : 0;
  if (n == 1 && *base == '/') base = NULL, n = 0;
  if (base && (*base != '/' || base[n - 1] == '/' || n > 200 || strpbrk(base, "?#; \"")))
    return ace_fail(err, ACE_EINVAL, "--base-path: \"%.200s\" is no path such as /music", base);
  if (format && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
    return ace_fail(err, ACE_EINVAL, "--log-format: \"%.40s\" is neither text nor json", format);
  if (language && (strlen(language) > 16 ||
                   strspn(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") < strlen(language)))
    return ace_fail(err, ACE_EINVAL, "--language: \"%.40s\" is no code of a language such as en or zh", language);
  s->server.base = base;
  s->server.language = language;
  s->server.log_json = s->log_json = format && strcmp(format, "json") == 0;
  return ACE_OK;
}

ace_status serve_settings_read(serving *s, const args *a, report *r, ace_error *err) {
  *s = (serving){.retention_hours = 0};
  const char *data = args_value(a, "data"), *address = setting(a, "server-name", "host", "ACESTEP_API_HOST");
  s->data = data ? strdup(data) : folder_data();
  if (!s->data)
    return ace_fail(err, ACE_ENOTFOUND, "serve: there is no home folder; say with --data where songs and database go");
  s->service.data = s->data;
  s->server.http.address = address ? address : "127.0.0.1";
  args_values(a, "allowed-path", s->roots, SERVE_MOST_GIVEN);
  args_values(a, "allowed-origin", s->origins, SERVE_MOST_GIVEN);
  args_values(a, "allowed-host", s->hosts, SERVE_MOST_GIVEN);
  args_values(a, "trusted-proxy", s->proxies, SERVE_MOST_GIVEN);
  s->server.http.proxies = s->proxies;
  s->server.roots = s->roots, s->server.origins = s->origins, s->server.hosts = s->hosts;
  ace_status status = supervisor_listener(&s->server.http.listener, err);
  if (status == ACE_OK) status = read_outside(a, s, err);
  if (status == ACE_OK) status = read_numbers(a, s, err);
  if (status == ACE_OK) status = read_switches(a, s, err);
  if (status == ACE_OK) status = read_models(a, s, err);
  if (status == ACE_OK) status = read_server(a, s, err);
  if (status == ACE_OK) status = read_hubs(a, s, r, err);
  if (status == ACE_OK) status = read_key(a, s, err);
  if (status == ACE_OK) status = read_login(a, s, err);
  if (status == ACE_OK) status = read_tls(a, s, err);
  if (status == ACE_OK) status = read_accepted(a, r, err);
  return status;
}
