/* api_dataset.c - the dataset of the studio over HTTP: scan, load, save, look, edit, label, prepare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "request/text.h"
#include "server/paths.h"
#include "service/dataset.h"
#include "train/label.h"
#include "train/scan.h"

enum { MESSAGE = 2048, INDEX_MOST = 1000000 };

static const char NO_DATASET[] = "No dataset loaded";

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* One of a list, or with `whole` all that is known of it. */
static json_t *sample_json(const dataset *d, int i, bool whole) {
  static const char *const listed[] = {"filename",        "audio_path",      "duration", "caption",  "genre",
                                       "prompt_override", "lyrics",          "bpm",      "keyscale", "timesignature",
                                       "language",        "is_instrumental", "labeled"};
  json_t *out = json_pack("{s:i}", "index", i), *fields = d->sample[i].fields;
  for (size_t k = 0; k < sizeof listed / sizeof *listed; k++)
    json_object_set(out, listed[k], json_object_get(fields, listed[k]));
  if (whole) json_object_update(out, fields);
  json_object_set_new(out, "missing", json_boolean(d->sample[i].missing));
  json_object_set_new(out, "needs_lyrics", json_boolean(label_needs_lyrics(d, i)));
  return out;
}

static json_t *samples_json(const dataset *d) {
  json_t *list = json_array();
  for (int i = 0; i < d->n; i++) json_array_append_new(list, sample_json(d, i, false));
  return list;
}

/* The dataset, locked; NULL: there is none, and that was answered. */
static service_dataset *there(call *c, const char *otherwise) {
  service_dataset *set = service_dataset_lock(c->service);
  if (set->there) return set;
  service_dataset_unlock(c->service);
  reply_detail(c, 400, "%s", otherwise);
  return NULL;
}

static json_t *overview(const dataset *d, const char *message) {
  json_t *out =
      json_pack("{s:s, s:i, s:i, s:o, s:o}", "dataset_name", dataset_name(d), "num_samples", d->n, "labeled_count",
                dataset_labeled(d), "samples", samples_json(d), "metadata", json_copy(d->metadata));
  if (message) json_object_set_new(out, "message", json_string(message));
  return out;
}

/* What was told of single files. */
typedef struct told {
  json_t *lines;
} told;

static void on_log(void *user, const char *line) {
  enum { MOST = 200 };
  const told *t = user;
  if (json_array_size(t->lines) < MOST) json_array_append_new(t->lines, json_string(line));
}

/* ---- scan, load -------------------------------------------------------------------------------------------------- */

static bool read_wishes(call *c, const char **name, const char **tag, const char **position, bool *all) {
  return typed_text(c, "dataset_name", false, name) && typed_text(c, "custom_tag", false, tag) &&
         typed_text(c, "tag_position", false, position) && typed_bool(c, "all_instrumental", false, all);
}

static void say_found(char *message, size_t size, const char *folder, int n, const scan_report *found) {
  int at = snprintf(message, size, "\xe2\x9c\x85 Found %d audio files in %.800s", n, folder);
  const struct {
    int count;
    const char *text;
  } lines[] = {{found->json, "\n   \xf0\x9f\x93\x84 Detected %d JSON metadata (.json)"},
               {found->captions, "\n   \xf0\x9f\x93\x8b Detected %d captions (.caption.txt)"},
               {found->lyrics, "\n   \xf0\x9f\x93\x9d Detected %d lyrics (.lyrics.txt / .txt)"},
               {found->csv, "\n   \xf0\x9f\x93\x8a %d files have metadata from CSV"}};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    const char *number = strstr(lines[i].text, "%d");
    if (lines[i].count)
      at += snprintf(message + at, size - (size_t)at, "%.*s%d%s", (int)(number - lines[i].text), lines[i].text,
                     lines[i].count, number + 2);
  }
}

static void post_scan(call *c) {
  const char *folder = NULL, *name = "my_lora_dataset", *tag = "", *position = "replace";
  bool all = true;
  if (!typed_text(c, "audio_dir", true, &folder) || !read_wishes(c, &name, &tag, &position, &all)) return;
  if (req_is_blank(folder)) {
    reply_error(c, 400, "\xe2\x9d\x8c Please enter a directory path");
    return;
  }
  char *path = path_to_read(c, folder, "directory path");
  if (!path) return;
  dataset d;
  scan_report found;
  ace_error err = {0};
  told t = {json_array()};
  ace_callbacks notify = {.log = on_log, .user = &t};
  ace_status status = dataset_scan(&d, path, name, &notify, &found, &err);
  if (status == ACE_OK) status = dataset_set_tag(&d, tag, position, &err);
  if (status == ACE_OK) status = dataset_set_instrumental(&d, all, &err);
  if (status == ACE_OK) {
    char message[MESSAGE];
    say_found(message, sizeof message, path, d.n, &found);
    json_t *answer = overview(&d, message);
    json_object_set(answer, "log", t.lines);
    service_dataset_replace(c->service, &d);
    reply_data(c, answer);
  } else if (status == ACE_EINVAL || status == ACE_ENOTFOUND) {
    reply_error(c, 400, "\xe2\x9d\x8c %s", err.message);
  } else {
    reply_error(c, 500, "Scan failed: %s", err.message);
  }
  dataset_free(&d);
  json_decref(t.lines);
  free(path);
}

/* Songs that lie where callers may not read are as good as missing. */
static void forget_forbidden(const call *c, dataset *d) {
  for (int i = 0; i < d->n; i++) {
    if (d->sample[i].missing || path_may_read(c, dataset_text(d, i, "audio_path"))) continue;
    json_object_set_new(d->sample[i].fields, "audio_path", json_string(""));
    d->sample[i].missing = true;
  }
}

static void post_load(call *c) {
  const char *given = NULL;
  if (!typed_text(c, "dataset_path", true, &given)) return;
  char *path = path_to_read(c, given, "dataset path");
  if (!path) return;
  dataset d;
  ace_error err = {0};
  told t = {json_array()};
  ace_callbacks notify = {.log = on_log, .user = &t};
  ace_status status = dataset_load(&d, path, &notify, &err);
  char message[MESSAGE];
  if (status == ACE_OK) {
    forget_forbidden(c, &d);
    snprintf(message, sizeof message, "\xe2\x9c\x85 Loaded %d samples from %.1000s", d.n, path);
    json_t *answer = overview(&d, message);
    json_object_set(answer, "log", t.lines);
    service_dataset_replace(c->service, &d);
    reply_data(c, answer);
  } else {
    const char *kind = status == ACE_ENOTFOUND ? "Dataset not found" : "Failed to load dataset";
    snprintf(message, sizeof message, "\xe2\x9d\x8c %s: %.1000s", kind, status == ACE_ENOTFOUND ? given : err.message);
    reply_error_data(c, 400,
                     json_pack("{s:s, s:s, s:i, s:i, s:[]}", "message", message, "dataset_name", "", "num_samples", 0,
                               "labeled_count", 0, "samples"),
                     "%s", message);
  }
  json_decref(t.lines);
  free(path);
}

/* ---- save -------------------------------------------------------------------------------------------------------- */

/* ".json" at the end. */
static char *with_extension(char *path) {
  if (!path || string_ends(path, ".json")) return path;
  size_t size = strlen(path) + sizeof ".json";
  char *out = malloc(size);
  if (out) snprintf(out, size, "%s.json", path);
  free(path);
  return out;
}

/* The body's wishes for the whole set; those that are not given stay. */
static ace_status take_wishes(call *c, dataset *d, const char *name, const char *tag, const char *position,
                              double ratio, ace_error *err) {
  const json_t *all = json_object_get(c->body, "all_instrumental");
  ace_status status = name ? dataset_set_name(d, name, err) : ACE_OK;
  if (status == ACE_OK) status = dataset_set_tag(d, tag, position, err);
  if (status == ACE_OK && ratio >= 0) status = dataset_set_genre_ratio(d, (int64_t)ratio, err);
  if (status == ACE_OK && all && !json_is_null(all)) status = dataset_set_instrumental(d, value_bool(all, true), err);
  return status;
}

static void post_save(call *c) {
  const char *given = NULL, *name = NULL, *tag = NULL, *position = NULL;
  double ratio = -1;
  bool all = true, replace = true;
  if (!typed_text(c, "save_path", true, &given) || !typed_bool(c, "replace", false, &replace) ||
      !read_wishes(c, &name, &tag, &position, &all) || !typed_number(c, "genre_ratio", false, 0, 100, &ratio))
    return;
  if (req_is_blank(given)) {
    reply_error(c, 400, "\xe2\x9d\x8c Please enter a save path.");
    return;
  }
  char *path = with_extension(path_to_write(c, given, "save path"));
  service_dataset *set = path && (replace || path_is_free(c, path)) ? there(c, "No dataset to save") : NULL;
  if (!set) {
    free(path);
    return;
  }
  ace_error err = {0};
  char message[MESSAGE], *folder = strdup(path);
  char *slash = folder ? strrchr(folder, '/') : NULL;
  if (slash) *slash = 0;
  ace_status status = take_wishes(c, &set->d, name, tag, position, ratio, &err);
  if (status == ACE_OK && slash) status = file_make_directory(folder, &err);
  if (status == ACE_OK) status = dataset_save(&set->d, path, &err);
  snprintf(message, sizeof message, "\xe2\x9c\x85 Dataset saved to %.1000s\n%d samples, tag: '%.200s'", path, set->d.n,
           json_text(set->d.metadata, "custom_tag"));
  service_dataset_unlock(c->service);
  if (status == ACE_OK) reply_data(c, json_pack("{s:s, s:s}", "message", message, "save_path", path));
  else reply_error(c, status == ACE_EINVAL ? 400 : 500, "%s", err.message);
  free(folder), free(path);
}

/* ---- looking and editing ----------------------------------------------------------------------------------------- */

static void get_samples(call *c) {
  service_dataset *set = there(c, NO_DATASET);
  if (!set) return;
  json_t *answer = overview(&set->d, NULL);
  service_dataset_unlock(c->service);
  reply_data(c, answer);
}

/* The number in the path; -1: answered. */
static int index_of(call *c) {
  const char *text = c->part[0];
  int n = 0;
  for (const char *p = text; *p; p++) {
    if (*p < '0' || *p > '9' || n > INDEX_MOST) {
      reply_invalid(c, "int_parsing", "path", "sample_idx", "Input should be a valid integer");
      return -1;
    }
    n = 10 * n + (*p - '0');
  }
  return n;
}

static service_dataset *there_at(call *c, int i) {
  service_dataset *set = i >= 0 ? there(c, NO_DATASET) : NULL;
  if (!set || i < set->d.n) return set;
  service_dataset_unlock(c->service);
  reply_detail(c, 404, "Sample index %d out of range", i);
  return NULL;
}

static void get_sample(call *c) {
  int i = index_of(c);
  service_dataset *set = there_at(c, i);
  if (!set) return;
  json_t *answer = sample_json(&set->d, i, true);
  service_dataset_unlock(c->service);
  reply_data(c, answer);
}

/* The fields of the body that can be edited; others stay as they are. */
static json_t *changes_of(const call *c) {
  static const char *const names[] = {"caption",  "genre",         "prompt_override", "lyrics",         "bpm",
                                      "keyscale", "timesignature", "language",        "is_instrumental"};
  json_t *changes = json_object();
  for (size_t k = 0; k < sizeof names / sizeof *names; k++)
    if (json_object_get(c->body, names[k])) json_object_set(changes, names[k], json_object_get(c->body, names[k]));
  return changes;
}

static void put_sample(call *c) {
  int i = index_of(c);
  service_dataset *set = there_at(c, i);
  if (!set) return;
  ace_error err = {0};
  json_t *changes = changes_of(c), *answer = NULL;
  if (dataset_edit(&set->d, i, changes, &err) == ACE_OK) {
    char message[MESSAGE];
    snprintf(message, sizeof message, "\xe2\x9c\x85 Updated: %.1000s", dataset_text(&set->d, i, "filename"));
    answer = json_pack("{s:s, s:o}", "message", message, "sample", sample_json(&set->d, i, true));
  }
  service_dataset_unlock(c->service);
  json_decref(changes);
  if (answer) reply_data(c, answer);
  else reply_error(c, 400, "%s", err.message);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* The language model is needed and may not be loaded: answered. */
static bool lacks_lm(call *c, const json_t *task) {
  service_state now;
  service_look(c->service, &now);
  bool asks =
      !json_is_true(json_object_get(task, "skip_metas")) || json_is_true(json_object_get(task, "captions_only"));
  if (now.lm_allowed || !asks) return false;
  reply_detail(c, 500, "LLM not initialized");
  return true;
}

static bool put_switches(call *c, const char *const *names, json_t *task) {
  for (; *names; names++) {
    bool on = false;
    if (!typed_bool(c, *names, false, &on)) return false;
    json_object_set_new(task, *names, json_boolean(on));
  }
  return true;
}

/* The path in the task; false: answered. */
static bool put_path(call *c, const char *field, bool required, const char *what, json_t *task) {
  const char *given = NULL;
  if (!typed_text(c, field, required, &given)) return false;
  if (!given || req_is_blank(given)) {
    if (required) reply_error(c, 400, "\xe2\x9d\x8c Please enter an output directory.");
    return !required;
  }
  char *path = path_to_write(c, given, what);
  if (path) json_object_set_new(task, field, json_string(path));
  free(path);
  return path;
}

/* What a job of labeling is told; NULL: answered. *total: songs that it will label. */
static json_t *label_task(call *c, int *total) {
  static const char *const switches[] = {"skip_metas",        "captions_only",  "format_lyrics",
                                         "transcribe_lyrics", "only_unlabeled", NULL};
  json_t *task = json_object();
  service_dataset *set = NULL;
  if (put_switches(c, switches, task) && put_path(c, "save_path", false, "save path", task) && !lacks_lm(c, task))
    set = there(c, NO_DATASET);
  if (!set) {
    json_decref(task);
    return NULL;
  }
  label_options o = {.only_unlabeled = json_is_true(json_object_get(task, "only_unlabeled"))};
  *total = 0;
  for (int i = 0; i < set->d.n; i++) *total += label_wanted(&set->d, i, &o);
  json_object_set_new(task, "dataset", dataset_json(&set->d));
  json_object_set_new(task, "total", json_integer(*total));
  service_dataset_unlock(c->service);
  return task;
}

static json_t *prepare_task(call *c, int *total) {
  static const char *const switches[] = {"skip_existing", NULL};
  const char *mode = "lora", *profile = "matched";
  double seconds = 240;
  json_t *task = json_object();
  service_dataset *set = NULL;
  bool ok = put_path(c, "output_dir", true, "output directory", task) && put_switches(c, switches, task) &&
            typed_text(c, "preprocess_mode", false, &mode) && typed_text(c, "prep_profile", false, &profile) &&
            typed_number(c, "max_duration", false, 1, 600, &seconds);
  if (ok) set = there(c, NO_DATASET);
  if (!set) {
    json_decref(task);
    return NULL;
  }
  *total = dataset_labeled(&set->d);
  json_object_set_new(task, "again", json_boolean(!json_is_true(json_object_get(task, "skip_existing"))));
  json_object_set_new(task, "preprocess_mode", json_string(mode));
  json_object_set_new(task, "prep_profile", json_string(profile));
  json_object_set_new(task, "max_duration", json_real(seconds));
  json_object_set_new(task, "dataset", dataset_json(&set->d));
  json_object_set_new(task, "total", json_integer(*total));
  service_dataset_unlock(c->service);
  return task;
}

typedef json_t *(*task_maker)(call *c, int *total);

/* Waits for the end. The result, a new reference; NULL: answered. */
static json_t *run_to_end(call *c, const char *kind, task_maker make, const char *failure) {
  int total;
  json_t *task = make(c, &total), *job = task ? route_run(c, kind, task) : NULL;
  json_decref(task);
  const char *why = job ? route_failure(job) : NULL;
  json_t *result = job && !why ? json_incref(json_object_get(job, "result")) : NULL;
  if (why) reply_error(c, 500, "%s: %s", failure, why);
  json_decref(job);
  return result;
}

/* Queues it behind what people wait for. */
static void start(call *c, const char *kind, task_maker make, const char *message) {
  int total;
  char id[JOBS_ID];
  ace_error err;
  json_t *task = make(c, &total);
  if (!task) return;
  job_new j = {.session = c->session, .kind = kind, .class = JOB_BACKGROUND, .request = task};
  if (jobs_submit(service_jobs(c->service), &j, id, NULL, &err) == ACE_OK) {
    service_dataset *set = service_dataset_lock(c->service);
    strcpy(strcmp(kind, "label") == 0 ? set->label : set->prepare, id);
    if (strcmp(kind, "label") == 0) set->last = -1;
    service_dataset_unlock(c->service);
    reply_data(c, json_pack("{s:s, s:s, s:i}", "task_id", id, "message", message, "total", total));
  } else {
    reply_failure(c, &err);
  }
  json_decref(task);
}

static void post_label(call *c) {
  json_t *result = run_to_end(c, "label", label_task, "Auto-labeling failed");
  if (!result) return;
  service_dataset *set = service_dataset_lock(c->service);
  json_object_set_new(result, "samples", samples_json(&set->d));
  service_dataset_unlock(c->service);
  reply_data(c, result);
}

static void post_label_async(call *c) {
  start(c, "label", label_task, "Auto-labeling task started");
}

static void post_prepare(call *c) {
  json_t *result = run_to_end(c, "prepare", prepare_task, "Preprocessing failed");
  if (result) reply_data(c, result);
}

static void post_prepare_async(call *c) {
  start(c, "prepare", prepare_task, "Preprocessing task started");
}

/* ---- how far they are -------------------------------------------------------------------------------------------- */

static json_t *status_json(const json_t *job, bool label) {
  const char *state = job ? json_text(job, "state") : "";
  const json_t *progress = json_object_get(job, "progress"), *task = json_object_get(job, "request");
  bool done = strcmp(state, "succeeded") == 0, failed = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
  int total = (int)json_integer_value(json_object_get(task, "total"));
  int step = (int)json_integer_value(json_object_get(progress, "step")),
      steps = (int)json_integer_value(json_object_get(progress, "steps"));
  int current = done ? total : (int)(json_number_value(json_object_get(progress, "fraction")) * total);
  char text[MESSAGE] = "";
  if (done) snprintf(text, sizeof text, "%.1000s", json_text(json_object_get(job, "result"), "message"));
  else if (job)
    snprintf(text, sizeof text, "%s: %s %d/%d", label ? "Labeling" : "Preprocessing", json_text(progress, "stage"),
             step, steps);
  json_t *out =
      json_pack("{s:o, s:s, s:s, s:i, s:i}", "task_id", job ? json_string(json_text(job, "id")) : json_null(), "status",
                !job     ? "idle"
                : done   ? "completed"
                : failed ? "failed"
                         : "running",
                "progress", text, "current", current, "total", total);
  if (done) json_object_set(out, "result", json_object_get(job, "result"));
  if (failed)
    json_object_set_new(out, "error",
                        json_string(*json_text(json_object_get(job, "error"), "message")
                                        ? json_text(json_object_get(job, "error"), "message")
                                        : "cancelled"));
  if (label) {
    json_t *path = json_object_get(task, "save_path");
    json_object_set_new(out, "save_path", path ? json_incref(path) : json_null());
  }
  return out;
}

/* Of a task by its id, or of the latest. */
static void answer_status(call *c, bool label) {
  char id[ROUTE_PART];
  service_dataset *set = service_dataset_lock(c->service);
  snprintf(id, sizeof id, "%s", *c->part[0] ? c->part[0] : label ? set->label : set->prepare);
  int last = set->there && set->last < set->d.n ? set->last : -1;
  json_t *sample = last >= 0 ? sample_json(&set->d, last, false) : json_null();
  service_dataset_unlock(c->service);
  json_t *job = *id ? jobs_get(service_jobs(c->service), id, NULL) : NULL;
  bool ours = job && strcmp(json_text(job, "kind"), label ? "label" : "prepare") == 0;
  if (*c->part[0] && !ours) {
    reply_detail(c, 404, "Task not found");
    json_decref(sample);
  } else {
    json_t *out = status_json(ours ? job : NULL, label);
    if (label) {
      json_object_set_new(out, "last_updated_index", last >= 0 ? json_integer(last) : json_null());
      json_object_set_new(out, "last_updated_sample", sample);
    } else {
      json_decref(sample);
    }
    reply_data(c, out);
  }
  json_decref(job);
}

static void get_label_status(call *c) {
  answer_status(c, true);
}

static void get_prepare_status(call *c) {
  answer_status(c, false);
}

#define OVERVIEW "message dataset_name num_samples:int labeled_count:int samples:[object] metadata:object log:[text]"
#define WISHES   "dataset_name? custom_tag? tag_position? all_instrumental?:bool"
#define LABEL \
  "skip_metas?:bool captions_only?:bool format_lyrics?:bool transcribe_lyrics?:bool only_unlabeled?:bool save_path?"
#define PREPARE "output_dir skip_existing?:bool preprocess_mode? prep_profile? max_duration?:number"
#define STATUS  "task_id:any status progress current:int total:int result?:object error?"

const route routes_dataset[] = {
    {"POST", "/v1/dataset/scan", AUTH_HEADER, BODY_TYPED, false, post_scan, "Make a dataset of a folder of songs",
     "audio_dir " WISHES, OVERVIEW},
    {"POST", "/v1/dataset/load", AUTH_HEADER, BODY_TYPED, false, post_load, "Load a dataset", "dataset_path", OVERVIEW},
    {"POST", "/v1/dataset/save", AUTH_HEADER, BODY_TYPED, false, post_save, "Save the dataset",
     "save_path genre_ratio?:number replace?:bool " WISHES, "message save_path"},
    {"GET", "/v1/dataset/samples", AUTH_HEADER, BODY_NONE, false, get_samples, "What is in the dataset", NULL,
     OVERVIEW},
    {"GET", "/v1/dataset/sample/*", AUTH_HEADER, BODY_NONE, false, get_sample, "One sample", NULL, ":object"},
    {"PUT", "/v1/dataset/sample/*", AUTH_HEADER, BODY_TYPED, false, put_sample, "Edit a sample", ":object",
     "message sample:object"},
    {"POST", "/v1/dataset/auto_label", AUTH_HEADER, BODY_TYPED, false, post_label, "Label, and wait for it", LABEL,
     "message labeled_count:int samples:[object]"},
    {"POST", "/v1/dataset/auto_label_async", AUTH_HEADER, BODY_TYPED, false, post_label_async, "Begin to label", LABEL,
     "task_id message total:int"},
    {"GET", "/v1/dataset/auto_label_status", AUTH_HEADER, BODY_NONE, false, get_label_status, "How far labeling is",
     NULL, STATUS},
    {"GET", "/v1/dataset/auto_label_status/*", AUTH_HEADER, BODY_NONE, false, get_label_status, "How far one run is",
     NULL, STATUS},
    {"POST", "/v1/dataset/preprocess", AUTH_HEADER, BODY_TYPED, false, post_prepare, "Prepare samples, and wait for it",
     PREPARE, "message output_dir num_tensors:int"},
    {"POST", "/v1/dataset/preprocess_async", AUTH_HEADER, BODY_TYPED, false, post_prepare_async,
     "Begin to prepare samples", PREPARE, "task_id message total:int"},
    {"GET", "/v1/dataset/preprocess_status", AUTH_HEADER, BODY_NONE, false, get_prepare_status, "How far preparing is",
     NULL, STATUS},
    {"GET", "/v1/dataset/preprocess_status/*", AUTH_HEADER, BODY_NONE, false, get_prepare_status, "How far one run is",
     NULL, STATUS},
    {0},
};
