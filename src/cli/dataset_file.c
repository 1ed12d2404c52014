/* acestep dataset scan, edit, check: what needs no models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "cli/dataset.h"
#include "engine/prepare.h"
#include "train/check.h"
#include "train/scan.h"

static const char USUAL_NAME[] = "my_lora_dataset";

ace_status dataset_take_wishes(dataset_run *k, bool *changed, ace_error *err) {
  const args *a = k->args;
  const char *name = args_value(a, "name"), *tag = args_value(a, "tag"), *position = args_value(a, "tag-position");
  const char *ratio = args_value(a, "genre-ratio"), *all = args_value(a, "all-instrumental");
  int percent = 0;
  ace_status status = ratio ? args_int(ratio, "--genre-ratio", 0, 100, &percent, err) : ACE_OK;
  if (status == ACE_OK && name) status = dataset_set_name(&k->d, name, err);
  if (status == ACE_OK && (tag || position)) status = dataset_set_tag(&k->d, tag, position, err);
  if (status == ACE_OK && ratio) status = dataset_set_genre_ratio(&k->d, percent, err);
  if (status == ACE_OK && all) status = dataset_set_instrumental(&k->d, args_on(a, "all-instrumental"), err);
  *changed = name || tag || position || ratio || all;
  return status;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static const char *voice_of(const dataset *d, int i) {
  if (*dataset_text(d, i, "raw_lyrics")) return "file";
  return dataset_flag(d, i, "is_instrumental") ? "none" : *dataset_text(d, i, "lyrics") ? "yes" : "?";
}

/* At most `columns` bytes, cut between characters. */
static void print_cut(const char *text, int columns) {
  int n = (int)strcspn(text, "\r\n");
  if (n > columns) {
    n = columns - 3;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    printf("%.*s...", n, text);
  } else {
    printf("%.*s", n, text);
  }
}

void dataset_print(const dataset_run *k) {
  enum { NAME = 28, CAPTION = 50 };
  const dataset *d = &k->d;
  if (k->report->json) return;
  printf("%4s  %-*s %6s  %-6s %-7s %4s  %-10s %s\n", "#", NAME, "file", "length", "lyrics", "labeled", "bpm", "key",
         "caption");
  for (int i = 0; i < d->n; i++) {
    const char *key = dataset_text(d, i, "keyscale");
    json_int_t bpm = json_integer_value(json_object_get(d->sample[i].fields, "bpm"));
    char tempo[24] = "-";
    if (bpm) snprintf(tempo, sizeof tempo, "%d", (int)bpm);
    printf("%4d  %-*.*s %5ds  %-6s %-7s %4s  %-10.10s ", i, NAME, NAME, dataset_text(d, i, "filename"),
           (int)json_integer_value(json_object_get(d->sample[i].fields, "duration")), voice_of(d, i),
           dataset_flag(d, i, "labeled") ? "yes" : "no", tempo, *key ? key : "-");
    print_cut(*dataset_text(d, i, "caption") ? dataset_text(d, i, "caption") : "-", CAPTION);
    putchar('\n');
  }
}

void dataset_report(dataset_run *k, const char *path) {
  report_event(k->report, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "event", "dataset", "path", path, "name",
                                    dataset_name(&k->d), "custom_tag", json_text(k->d.metadata, "custom_tag"),
                                    "samples", k->d.n, "labeled", dataset_labeled(&k->d)));
}

/* ---- scan -------------------------------------------------------------------------------------------------------- */

/* Where the dataset goes; free() it. */
static char *output_of(const dataset_run *k, const char *name, ace_error *err) {
  const char *given = args_value(k->args, "output"), *base = given && *given ? given : name;
  bool whole = string_ends(base, ".json");
  size_t size = strlen(base) + sizeof ".json";
  char *path = malloc(size);
  if (!path) ace_fail(err, ACE_ENOMEM, "dataset: out of memory");
  else snprintf(path, size, "%s%s", base, whole ? "" : ".json");
  if (path && file_exists(path) && !args_on(k->args, "force")) {
    ace_fail(err, ACE_EINVAL, "-o: %s is there already; --force replaces it, another -o leaves it", path);
    free(path);
    path = NULL;
  }
  return path;
}

static void say_found(dataset_run *k, const scan_report *found) {
  report_note(k->report, "%d songs in %s", k->d.n, k->file);
  if (found->json) report_note(k->report, "  %d with a .json beside them", found->json);
  if (found->captions) report_note(k->report, "  %d with captions (.caption.txt)", found->captions);
  if (found->lyrics) report_note(k->report, "  %d with lyrics (.lyrics.txt, .txt)", found->lyrics);
  if (found->csv) report_note(k->report, "  %d in a table (.csv)", found->csv);
  if (found->failed) report_warning(k->report, "%d files were left out", found->failed);
}

ace_status dataset_action_scan(dataset_run *k, ace_error *err) {
  const char *name = args_value(k->args, "name");
  bool changed;
  scan_report found;
  ace_callbacks notify = report_callbacks(k->report);
  char *path = output_of(k, name ? name : USUAL_NAME, err);
  if (!path) return err->status;
  ace_status status = dataset_scan(&k->d, k->file, name ? name : USUAL_NAME, &notify, &found, err);
  if (status == ACE_OK) status = dataset_take_wishes(k, &changed, err);
  if (status == ACE_OK) status = dataset_save(&k->d, path, err);
  if (status == ACE_OK) {
    say_found(k, &found);
    dataset_report(k, path);
    report_path(k->report, path);
  }
  free(path);
  return status;
}

/* ---- edit -------------------------------------------------------------------------------------------------------- */

/* {"caption": "..."} of all --set; a new reference. */
static json_t *changes_of(const args *a, ace_error *err) {
  enum { MOST = 64 };
  const char *given[MOST];
  json_t *changes = json_object();
  args_values(a, "set", given, MOST);
  for (int i = 0; given[i]; i++) {
    const char *equals = strchr(given[i], '=');
    char name[64] = "";
    if (equals && equals - given[i] < (int)sizeof name)
      snprintf(name, sizeof name, "%.*s", (int)(equals - given[i]), given[i]);
    json_t *value = equals ? json_string(equals + 1) : NULL;
    if (*name && value && json_object_set(changes, name, value) == 0) {
      json_decref(value);
      continue;
    }
    json_decref(value);
    json_decref(changes);
    ace_fail(err, ACE_EINVAL, "--set: \"%.60s\" is not FIELD=VALUE", given[i]);
    return NULL;
  }
  return changes;
}

static ace_status edit_sample(dataset_run *k, bool *changed, ace_error *err) {
  const char *which = args_value(k->args, "sample");
  int i = 0;
  if (!which && args_value(k->args, "set")) return ace_fail(err, ACE_EINVAL, "--set: say of which --sample");
  if (!which) return ACE_OK;
  if (k->d.n == 0) return ace_fail(err, ACE_EINVAL, "--sample: the dataset is empty");
  ace_status status = args_int(which, "--sample", 0, k->d.n - 1, &i, err);
  json_t *changes = status == ACE_OK ? changes_of(k->args, err) : NULL;
  if (!changes) return err->status;
  if (json_object_size(changes)) {
    status = dataset_edit(&k->d, i, changes, err);
    *changed = true;
  } else {
    char *text = json_dumps(k->d.sample[i].fields, JSON_INDENT(2));
    if (text && !k->report->json) puts(text);
    report_event(k->report,
                 json_pack("{s:s, s:i, s:O}", "event", "sample", "index", i, "sample", k->d.sample[i].fields));
    free(text);
  }
  json_decref(changes);
  return status;
}

ace_status dataset_action_edit(dataset_run *k, ace_error *err) {
  bool wishes = false, changed = false;
  ace_callbacks notify = report_callbacks(k->report);
  ace_status status = dataset_load(&k->d, k->file, &notify, err);
  if (status == ACE_OK) status = dataset_take_wishes(k, &wishes, err);
  if (status == ACE_OK) status = edit_sample(k, &changed, err);
  if (status == ACE_OK && (wishes || changed)) status = dataset_save(&k->d, k->file, err);
  if (status != ACE_OK) return status;
  if (!args_value(k->args, "sample")) dataset_print(k);
  dataset_report(k, k->file);
  return ACE_OK;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

typedef struct finding {
  dataset_run *k;
  int n;
} finding;

static void on_finding(void *user, int i, const char *kind, const char *message) {
  finding *f = user;
  const char *file = dataset_text(&f->k->d, i, "filename");
  f->n++;
  report_event(f->k->report, json_pack("{s:s, s:i, s:s, s:s, s:s}", "event", "finding", "index", i, "file", file,
                                       "kind", kind, "message", message));
  if (f->k->report->json) return;
  term_clear(&f->k->report->term);
  printf("%4d  %s: %s\n", i, file, message);
}

ace_status dataset_action_check(dataset_run *k, ace_error *err) {
  const char *most = args_value(k->args, "max-duration");
  int seconds = (int)prepare_defaults("").max_duration;
  finding f = {.k = k};
  ace_callbacks notify = report_callbacks(k->report), quiet = notify;
  quiet.log = NULL; /* missing files are findings */
  ace_status status = most ? args_int(most, "--max-duration", 1, 600, &seconds, err) : ACE_OK;
  if (status == ACE_OK) status = dataset_load(&k->d, k->file, &quiet, err);
  if (status == ACE_OK) status = dataset_check(&k->d, seconds, &notify, on_finding, &f, err);
  if (status != ACE_OK) return status;
  dataset_report(k, k->file);
  report_note(k->report, f.n ? "%d findings in %d songs" : "nothing odd (%d) in %d songs", f.n, k->d.n);
  return ACE_OK;
}
