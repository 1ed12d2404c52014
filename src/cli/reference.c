/* acestep cli - songs from a file of settings as the reference's command line has it, or from questions that make one. The
 * work is that of plan, format and generate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/reference_file.h"
#include "cli/signals.h"
#include "cli/toml_file.h"
#include "cli/wizard.h"

enum { FILE_MOST = 4 << 20 };

static const cli_flag flags[] = {
    {"config", 'c', "FILE", "A file of settings (TOML): nothing is asked; with --configure: what to begin with"},
    {"configure", 0, NULL, "Ask, save the file, and make no song"},
    {"backend", 0, "NAME", "vllm, pt or mlx: how the language model runs, whatever the file says"},
    {"log-level", 0, "LEVEL",
     "TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL; from WARNING on nothing but errors is told"},
    {0}};

static json_t *read_settings(const char *path, ace_error *err) {
  size_t n;
  char *text = file_read(path, FILE_MOST, &n, err);
  json_t *settings = text ? toml_parse(text, n, path, err) : NULL;
  free(text);
  return settings;
}

static ace_status check_word(const char *flag, const char *word, const char *const *known, ace_error *err) {
  for (; word && *known; known++)
    if (strcmp(word, *known) == 0) return ACE_OK;
  return word ? ace_fail(err, ACE_EINVAL, "--%s: \"%.40s\" is not known here (acestep help cli)", flag, word) : ACE_OK;
}

static ace_status check_flags(const args *a, ace_error *err) {
  static const char *const backends[] = {"vllm", "pt", "mlx", NULL}, *const levels[] = {"TRACE",   "DEBUG", "INFO",
                                                                                        "WARNING", "ERROR", "CRITICAL",
                                                                                        NULL};
  ace_status status = check_word("backend", args_value(a, "backend"), backends, err);
  return status == ACE_OK ? check_word("log-level", args_value(a, "log-level"), levels, err) : status;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Another command with these words. Its exit code. */
static int run_line(const cli_command *c, const reference_line *l, bool quiet) {
  ace_error err = {0};
  args a;
  report r;
  const char *words[REFERENCE_WORDS + 1];
  int n = 0;
  if (quiet) words[n++] = "--quiet";
  for (int i = 0; i < l->n; i++) words[n++] = l->word[i];
  report_open(&r, false, quiet);
  int code = args_parse(&a, c, n, words, &err) == ACE_OK ? c->run(&a, &r) : report_failure(&r, &err);
  args_free(&a);
  return code;
}

/* Words of `l` that come before "--", with two more. */
static bool insert(reference_line *l, const char *flag, const char *value) {
  if (l->n + 2 >= REFERENCE_WORDS) return false;
  memmove(l->word + 2, l->word, (size_t)l->n * sizeof *l->word);
  l->word[0] = strdup(flag), l->word[1] = strdup(value);
  l->n += 2;
  return l->word[0] && l->word[1];
}

/* First what the language model writes, then the song of it. */
static int make_songs(reference_run *k, bool quiet, report *r) {
  ace_error err = {0};
  char plan[] = "/tmp/acestep-plan-XXXXXX";
  if (file_make_directory(k->folder, &err) != ACE_OK) return report_failure(r, &err);
  if (!k->before) return run_line(&cmd_generate, &k->song, quiet);
  int f = mkstemp(plan);
  if (f < 0) return CLI_FAILED;
  close(f);
  int code = insert(&k->first, "-o", plan) && insert(&k->song, "--from", plan)
                 ? run_line(strcmp(k->before, "plan") == 0 ? &cmd_plan : &cmd_format, &k->first, false)
                 : CLI_FAILED;
  if (code == CLI_OK) code = run_line(&cmd_generate, &k->song, quiet);
  unlink(plan);
  return code;
}

/* As the reference: what is wrong with the settings is a usage error, a song that fails is told. */
static int generate(const args *a, const json_t *settings, const char *path, report *r) {
  ace_error err = {0};
  reference_run k;
  const char *level = args_value(a, "log-level");
  bool quiet = level && (*level == 'W' || *level == 'E' || *level == 'C');
  int code = CLI_USAGE;
  if (reference_plan(&k, settings, path, args_value(a, "backend"), &err) == ACE_OK) {
    code = make_songs(&k, quiet, r);
    if (code == CLI_FAILED) printf("Generation failed: status %d\n", code), code = CLI_OK;
  } else {
    report_failure(r, &err);
  }
  reference_free(&k);
  return code;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static ace_status save(const json_t *settings, const char *path, ace_error *err) {
  char *text = toml_write(settings);
  ace_status status =
      text ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  free(text);
  return status;
}

/* Whoever leaves has changed his mind, which is no failure. */
static int ask(const args *a, json_t *settings, report *r) {
  ace_error err = {0};
  const char *from = args_value(a, "config"), *folder = json_text(settings, "checkpoint_dir");
  char *models = *folder ? strdup(folder) : folder_models(NULL, NULL);
  char *path = wizard_ask(settings, models) ? wizard_file(from ? from : "config.toml") : NULL;
  int code = CLI_OK;
  free(models);
  if (!path) puts("\nNothing was made.");
  else if (save(settings, path, &err) != ACE_OK) code = report_failure(r, &err);
  else if (args_on(a, "configure")) printf("Saved as %s\n", path);
  else code = generate(a, settings, path, r);
  free(path);
  return code;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  const char *path = args_value(a, "config");
  ace_status status = check_flags(a, &err);
  json_t *settings = status != ACE_OK ? NULL : path ? read_settings(path, &err) : json_object();
  int code;
  if (!settings) report_failure(r, &err), code = CLI_USAGE;
  else if (path && !args_on(a, "configure")) code = generate(a, settings, path, r);
  else code = ask(a, settings, r);
  json_decref(settings);
  return code;
}

const cli_command cmd_cli = {
    .name = "cli",
    .operands = "",
    .summary = "songs from a settings file (TOML) or from questions, as the reference's cli.py",
    .flags = flags,
    .notes =
        "Without flags: questions, then songs. Ctrl-C leaves without a song.\n"
        "Keys of the file are those of the reference (task_type, caption, lyrics, duration, batch_size, seeds, "
        "save_dir ...);\n"
        "unknown ones are passed over. lyrics may be words, a file, \"generate\" or \"[Instrumental]\".\n"
        "\n"
        "  acestep cli --configure\n"
        "  acestep cli -c config.toml",
    .run = run,
};
