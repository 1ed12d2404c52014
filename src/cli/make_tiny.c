/* acestep make-tiny - a complete set of untrained models on the spot, to try the program without a download. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "engine/tiny.h"

static const cli_flag flags[] = {
    {"force", 0, NULL, "Write into a folder that is not empty; models of the same names in it are replaced"},
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

static bool is_empty(const char *folder) {
  DIR *dir = opendir(folder);
  if (!dir) return errno == ENOENT;
  bool empty = true;
  for (struct dirent *e; empty && (e = readdir(dir));)
    empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
  closedir(dir);
  return empty;
}

/* A folder that this run made leaves with it; one that was there keeps its place and loses what was put in. */
static void clean_up(const char *folder, bool was_there) {
  static const char *const parts[] = {"acestep-v15-turbo", "acestep-v15-base", "vae", "Qwen3-Embedding-0.6B",
                                      "acestep-5Hz-lm-0.6B"};
  if (!was_there) {
    file_remove_tree(folder, NULL);
    return;
  }
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, parts[i]) < (int)sizeof path) file_remove_tree(path, NULL);
  }
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  const char *folder = a->n_operands ? a->operand[0] : "";
  ace_callbacks notify = report_callbacks(r);
  if (!*folder) {
    ace_fail(&err, ACE_EINVAL, "make-tiny: name the folder to make: acestep make-tiny DIR");
    return report_failure(r, &err);
  }
  bool was_there = file_exists(folder), empty = is_empty(folder);
  if (!empty && !args_on(a, "force")) {
    ace_fail(&err, ACE_EINVAL,
             "make-tiny: %s is not an empty folder; name a new one, or add --force to replace the "
             "models in it",
             folder);
    return report_failure(r, &err);
  }
  if (tiny_make(folder, &notify, &err) != ACE_OK) {
    if (empty) clean_up(folder, was_there);
    return report_failure(r, &err);
  }
  report_note(r, "untrained models are in %s; what they play is noise", folder);
  if (!r->json) puts(folder);
  report_done(r);
  return CLI_OK;
}

const cli_command cmd_make_tiny = {
    .name = "make-tiny",
    .operands = "DIR",
    .summary = "make a small untrained set of models, to try the program without a download",
    .flags = flags,
    .most_operands = 1,
    .notes = "  acestep make-tiny tiny && acestep generate \"noise\" --models tiny --duration 10 -o noise.flac",
    .run = run,
};
