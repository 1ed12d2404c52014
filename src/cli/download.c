/* acestep download - models from Hugging Face or ModelScope into the folder of models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/fetching.h"
#include "cli/folders.h"

static const cli_flag flags[] = {
    {"models", 0, "DIR", "Folder to put them into (else $ACESTEP_CHECKPOINTS_DIR, the data folder's models)"},
    {"all", 0, NULL, "Every published model, collections excepted"},
    FETCHING_FLAGS,
    {"include", 0, "PATTERN", "Only files that match, such as '*.json' or '*Q8_0*'"},
    {"force", 0, NULL, "Fetch anew what is there; the old folder goes when the new one is complete"},
    {"yes", 'y', NULL, "Do not ask"},
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

enum { MOST_MODELS = 32 };

typedef struct choice {
  const catalog_model *model[MOST_MODELS];
  int n;
} choice;

static void choose(choice *c, const catalog_model *m) {
  for (int i = 0; i < c->n; i++)
    if (c->model[i] == m) return;
  if (c->n < MOST_MODELS) c->model[c->n++] = m;
}

static ace_status choose_by_name(choice *c, const char *name, ace_error *err) {
  const catalog_model *m = catalog_find(name);
  bool basic = strcmp(name, "main") == 0;
  if (!m && !basic)
    return ace_fail(err, ACE_EINVAL, "download: there is no published model \"%.80s\"; acestep models lists them",
                    name);
  if (m) choose(c, m);
  for (m = catalog_models(); basic && m->name; m++)
    if (m->basic) choose(c, m);
  return ACE_OK;
}

static ace_status choose_all(choice *c, const args *a, ace_error *err) {
  ace_status status = ACE_OK;
  for (const catalog_model *m = catalog_models(); args_on(a, "all") && m->name; m++)
    if (!m->choose) choose(c, m);
  for (int i = 0; i < a->n_operands && status == ACE_OK; i++) status = choose_by_name(c, a->operand[i], err);
  if (status == ACE_OK && c->n == 0) status = choose_by_name(c, "main", err);
  for (int i = 0; i < c->n && status == ACE_OK; i++)
    if (c->model[i]->choose && !args_value(a, "include"))
      status = ace_fail(err, ACE_EINVAL, "download: %s is a collection; say which files with --include PATTERN",
                        c->model[i]->name);
  return status;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  choice c = {.n = 0};
  fetching f = {0};
  char *models = NULL;
  ace_status status = choose_all(&c, a, &err);
  if (status == ACE_OK) status = fetching_plan(&f, a, r, &err);
  if (status == ACE_OK && !(models = folder_for_downloads(args_value(a, "models"), &err))) status = err.status;
  f.models = models;
  f.include = args_value(a, "include");
  f.replace = args_on(a, "force");
  f.ask = !args_on(a, "yes");
  if (status == ACE_OK) status = fetching_run(&f, c.model, c.n, &err);
  if (status == ACE_OK) report_done(r);
  free(models);
  fetching_free(&f);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_download = {
    .name = "download",
    .operands = "[NAME...]",
    .summary = "fetch published models",
    .flags = flags,
    .most_operands = MOST_MODELS,
    .notes =
        "NAME is a model that acestep models lists, or main, the set that makes music (diffusion model, autoencoder,\n"
        "text encoder, language model; about 10 GB), which is also what is fetched without a name. Size and licence\n"
        "are shown and a question is asked first. A download that was stopped goes on where it was when it is started\n"
        "again. $HF_ENDPOINT and $MODELSCOPE_ENDPOINT name mirrors, $HF_TOKEN a key, $ACESTEP_DOWNLOAD_SOURCE the "
        "hub.\n"
        "\n"
        "  acestep download\n"
        "  acestep download acestep-v15-base --source modelscope\n"
        "  acestep download acestep-5Hz-lm-0.6B --include '*.json'     the tokenizer alone, for --lm-url",
    .run = run,
};
