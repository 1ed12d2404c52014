#include "cli/wizard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "cli/signals.h"
#include "request/text.h"
#include "request/value.h"
#include "service/inventory.h"

enum { LINE = 8192, MOST_LYRICS = 256 * 1024 };

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* A line without its end, or "" for Enter. False: the end of the input, or Ctrl-C. */
static bool read_line(char line[LINE]) {
  if (signals_caught() || !fgets(line, LINE, stdin)) return false;
  line[strcspn(line, "\r\n")] = 0;
  return !signals_caught();
}

static bool prompt(const char *question, const char *usual, char line[LINE]) {
  printf("%s%s%s%s: ", question, *usual ? " [" : "", usual, *usual ? "]" : "");
  fflush(stdout);
  if (!read_line(line)) return false;
  if (!*line) snprintf(line, LINE, "%s", usual);
  return true;
}

/* The text of a setting, "" without one. */
static const char *usual_of(const json_t *s, const char *key, char room[64]) {
  const json_t *v = json_object_get(s, key);
  if (json_is_string(v)) return json_string_value(v);
  if (json_is_boolean(v)) return json_is_true(v) ? "y" : "n";
  if (json_is_integer(v)) snprintf(room, 64, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v)) snprintf(room, 64, "%.10g", json_real_value(v));
  else *room = 0;
  return room;
}

static bool ask_text(json_t *s, const char *key, const char *question) {
  char line[LINE], room[64];
  if (!prompt(question, usual_of(s, key, room), line)) return false;
  json_t *value = json_string(line);
  if (value && *line) json_object_set_new(s, key, value);
  else json_decref(value), json_object_del(s, key);
  return true;
}

/* Asked again until it is one; Enter without one leaves it open. */
static bool ask_number(json_t *s, const char *key, const char *question) {
  char line[LINE], room[64];
  double x;
  while (prompt(question, usual_of(s, key, room), line)) {
    if (!*line) return json_object_del(s, key), true;
    if (req_number_parse(line, strlen(line), &x)) {
      bool whole = x == (double)(long long)x;
      json_object_set_new(s, key, whole ? json_integer((json_int_t)x) : json_real(x));
      return true;
    }
    puts("  A number, please.");
  }
  return false;
}

static bool ask_yes(const char *question, bool usual, bool *yes) {
  char line[LINE];
  while (prompt(question, usual ? "y" : "n", line)) {
    *yes = *line == 'y' || *line == 'Y';
    if (*yes || *line == 'n' || *line == 'N') return true;
    puts("  y or n, please.");
  }
  return false;
}

static bool ask_switch(json_t *s, const char *key, const char *question, bool usual) {
  const json_t *now = json_object_get(s, key);
  bool yes;
  if (!ask_yes(question, now ? json_is_true(now) : usual, &yes)) return false;
  json_object_set_new(s, key, json_boolean(yes));
  return true;
}

/* One of a list by its number or its name; what stands there already is offered. -1: the user left. */
static int ask_choice(const char *question, const char *const *names, int n, int usual) {
  char line[LINE];
  for (int i = 0; i < n; i++) printf("  %d. %s\n", i + 1, names[i]);
  while (prompt(question, names[usual], line)) {
    char *end;
    long number = strtol(line, &end, 10);
    if (end != line && !*end && number >= 1 && number <= n) return (int)number - 1;
    for (int i = 0; i < n; i++)
      if (strcmp(line, names[i]) == 0) return i;
    puts("  A number or a name of the list, please.");
  }
  return -1;
}

static int index_in(const char *const *names, int n, const char *name, int usual) {
  for (int i = 0; i < n; i++)
    if (strcmp(names[i], name) == 0) return i;
  return usual;
}

/* ---- the questions ----------------------------------------------------------------------------------------------- */

static const char *const tasks[] = {"text2music", "cover", "repaint", "lego", "extract", "complete"};
enum { TASKS = 6, FIRST_OF_BASE = 3 };

static bool ask_task(json_t *s, int *task) {
  *task = ask_choice("Task", tasks, TASKS, index_in(tasks, TASKS, json_text(s, "task_type"), 0));
  if (*task >= 0) json_object_set_new(s, "task_type", json_string(tasks[*task]));
  return *task >= 0;
}

/* Of what lies in the folder; nothing is asked where nothing does. */
static bool ask_model(json_t *s, const inventory *all, inventory_kind kind, const char *key, const char *question,
                      bool base) {
  const char *names[64];
  int n = 0, usual = 0;
  for (int i = 0; i < all->n && n < 64; i++)
    if (all->models[i].kind == kind && (!base || strstr(all->models[i].name, "base"))) names[n++] = all->models[i].name;
  if (n == 0) return true;
  usual = index_in(names, n, json_text(s, key), index_in(names, n, "acestep-v15-turbo", 0));
  int chosen = ask_choice(question, names, n, usual);
  if (chosen >= 0) json_object_set_new(s, key, json_string(names[chosen]));
  return chosen >= 0;
}

static bool ask_models(json_t *s, const char *folder, int task) {
  inventory all;
  if (!folder || inventory_read(folder, &all, NULL) != ACE_OK) return true;
  bool ok = ask_model(s, &all, INVENTORY_DIFFUSION, "config_path", "Diffusion model", task >= FIRST_OF_BASE) &&
            ask_model(s, &all, INVENTORY_LANGUAGE, "lm_model_path", "Language model", false);
  inventory_free(&all);
  return ok;
}

static bool ask_source(json_t *s, int task) {
  if (task > 0 && !ask_text(s, "src_audio", "Source recording")) return false;
  if (strcmp(tasks[task], "repaint") == 0)
    return ask_number(s, "repainting_start", "From second") &&
           ask_number(s, "repainting_end", "To second (-1: the end)");
  if (strcmp(tasks[task], "lego") == 0) return ask_text(s, "lego_track", "Track to add");
  if (strcmp(tasks[task], "extract") == 0) return ask_text(s, "extract_track", "Track to extract");
  if (strcmp(tasks[task], "complete") == 0) return ask_text(s, "complete_tracks", "Tracks, with commas");
  return true;
}

/* Lines up to one that holds a single dot. */
static bool paste_lyrics(json_t *s) {
  req_text all = {0};
  char line[LINE];
  puts("Lyrics; a line with a single dot ends them:");
  bool there;
  while ((there = read_line(line)) && strcmp(line, ".") != 0)
    if (all.size < MOST_LYRICS) req_text_addf(&all, "%s\n", line);
  char *text = req_text_take(&all);
  json_t *value = there ? json_string(text ? text : "") : NULL;
  free(text);
  if (value) json_object_set_new(s, "lyrics", value);
  return there;
}

static bool ask_lyrics(json_t *s) {
  static const char *const kinds[] = {"instrumental", "generate", "file (.txt)", "paste"};
  int kind = ask_choice("Lyrics", kinds, 4, json_is_true(json_object_get(s, "instrumental")) ? 0 : 1);
  if (kind < 0) return false;
  json_object_set_new(s, "instrumental", json_boolean(kind == 0));
  if (kind == 0) json_object_set_new(s, "lyrics", json_string("[Instrumental]"));
  if (kind == 1) json_object_set_new(s, "lyrics", json_string("generate"));
  if (kind == 2 && !ask_text(s, "lyrics", "File with lyrics")) return false;
  if (kind == 3 && !paste_lyrics(s)) return false;
  return kind == 0 || ask_text(s, "vocal_language", "Language of the voice");
}

/* True in *simple: a few words say it all. */
static bool ask_words(json_t *s, int task, bool *simple) {
  *simple = false;
  if (task > 0) return ask_text(s, "caption", "Caption") && ask_lyrics(s);
  if (!ask_yes("Simple mode: let the language model write the song out of a few words?", *json_text(s, "sample_query"),
               simple))
    return false;
  json_object_set_new(s, "sample_mode", json_boolean(*simple));
  if (*simple) return ask_text(s, "sample_query", "What shall it be?");
  json_object_del(s, "sample_query");
  return ask_text(s, "caption", "Caption") && ask_lyrics(s);
}

static bool ask_advanced(json_t *s, int task, bool simple) {
  static const char *const methods[] = {"ode", "sde"}, *const formats[] = {"flac",  "mp3",  "wav",
                                                                           "wav32", "opus", "aac"};
  bool wanted;
  if (!ask_yes("Advanced settings?", false, &wanted)) return false;
  if (!wanted) return true;
  if (task == 0 && !simple && !ask_switch(s, "use_format", "Let the language model put the words into form?", false))
    return false;
  if (!simple &&
      (!ask_number(s, "duration", "Seconds (empty: automatic)") || !ask_number(s, "bpm", "Tempo (empty: automatic)") ||
       !ask_text(s, "keyscale", "Key (empty: automatic)") || !ask_text(s, "timesignature", "Metre (empty: automatic)")))
    return false;
  if (!ask_number(s, "inference_steps", "Steps") || !ask_number(s, "guidance_scale", "Guidance scale") ||
      !ask_number(s, "shift", "Shift"))
    return false;
  int method = ask_choice("Method", methods, 2, index_in(methods, 2, json_text(s, "infer_method"), 0));
  if (method < 0) return false;
  json_object_set_new(s, "infer_method", json_string(methods[method]));
  if (task == 1 && !ask_number(s, "audio_cover_strength", "Strength of the cover, 0 to 1")) return false;
  if (!ask_switch(s, "thinking", "Let the language model think?", false) ||
      !ask_number(s, "lm_temperature", "Its temperature") || !ask_text(s, "save_dir", "Folder for the songs"))
    return false;
  int format = ask_choice("Format", formats, 6, index_in(formats, 6, json_text(s, "audio_format"), 0));
  if (format >= 0) json_object_set_new(s, "audio_format", json_string(formats[format]));
  return format >= 0;
}

static bool confirm(const json_t *s) {
  const char *key;
  json_t *value;
  bool yes = false;
  puts("");
  json_object_foreach((json_t *)s, key, value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (text) printf("  %-24s %.100s\n", key, text);
    free(text);
  }
  return ask_yes("Is this right?", true, &yes) && yes;
}

bool wizard_ask(json_t *s, const char *models) {
  int task;
  bool simple;
  if (!json_object_get(s, "batch_size")) json_object_set_new(s, "batch_size", json_integer(1));
  return ask_task(s, &task) && ask_models(s, models, task) && ask_source(s, task) && ask_words(s, task, &simple) &&
         ask_number(s, "batch_size", "How many songs") && ask_advanced(s, task, simple) && confirm(s);
}

char *wizard_file(const char *usual) {
  static const char suffix[] = ".toml";
  char line[LINE];
  if (!prompt("Save the settings as", usual, line)) return NULL;
  bool has = string_ends(line, suffix);
  char *name = malloc(strlen(line) + sizeof suffix);
  if (name) strcat(strcpy(name, line), has ? "" : suffix);
  return name;
}
