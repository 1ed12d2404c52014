/* acestep dataset - songs with what is known of them: made of a folder, described, edited, checked, prepared for training.
 */
#include "cli/dataset.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/signals.h"

/* clang-format off */
static const cli_flag flags[] = {
    {"output", 'o', "PATH", "scan: the dataset to write (default: NAME.json); preprocess: the folder of the samples"},
    {"force", 0, NULL, "scan: replace a dataset that is there"},
    {"name", 0, "NAME", "scan, edit: name of the dataset (default: my_lora_dataset)"},
    {"tag", 0, "WORD", "scan, edit: word that shall call up what is learnt"},
    {"tag-position", 0, "PLACE", "scan, edit: where it stands to the description: prepend (default), append or replace"},
    {"genre-ratio", 0, "PERCENT", "scan, edit: share of the samples that are described by their genre, 0..100"},
    {"all-instrumental", 0, NULL, "scan, edit: no song has a voice, unless lyrics say so (default when scanning; else --no-all-instrumental)"},
    {"sample", 0, "N", "edit: the sample to change, counted from 0 (default: none)"},
    {"set", 0, "FIELD=VALUE", "edit: a field of it; may be given several times"},
    {"only-unlabeled", 0, NULL, "label: only samples that are not labeled or have no caption"},
    {"skip-metas", 0, NULL, "label: no language model; captions that are there, else file names"},
    {"captions-only", 0, NULL, "label: the language model describes, but finds no tempo, key and metre"},
    {"format-lyrics", 0, NULL, "label: put lyrics that are there in order, and describe the song from them"},
    {"transcribe-lyrics", 0, NULL, "label: take the lyrics that the language model hears; it invents some"},
    {"profile", 0, "NAME", "preprocess: matched (default: words as inference has them) or reference (as the Python trainer)"},
    {"preprocess-for", 0, "KIND", "preprocess: lora (default) or lokr: each song is its own source, which learns to copy"},
    {"max-duration", 0, "SECONDS", "preprocess, check: how much of a song is used, 1..600 (default: 240)"},
    {"again", 0, NULL, "preprocess: also samples that are there and current"},
    OPENING_MODELS,
    {"lm", 0, "NAME", "label: folder of the language model in there"},
    OPENING_BACKEND,
    OPENING_SERVER,
    OPENING_MACHINE,
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

static const struct {
  const char *name, *operand;
  dataset_action run;
} actions[] = {{"scan", "a folder of songs", dataset_action_scan},
               {"label", "a dataset", dataset_action_label},
               {"edit", "a dataset", dataset_action_edit},
               {"preprocess", "a dataset", dataset_action_preprocess},
               {"check", "a dataset", dataset_action_check}};

/* Flags that are not of every action. */
static const struct {
  const char *flag, *actions;
} belongs[] = {{"output", "scan preprocess"},      {"force", "scan"},
               {"name", "scan edit"},              {"tag", "scan edit"},
               {"tag-position", "scan edit"},      {"genre-ratio", "scan edit"},
               {"all-instrumental", "scan edit"},  {"sample", "edit"},
               {"set", "edit"},                    {"only-unlabeled", "label"},
               {"skip-metas", "label"},            {"captions-only", "label"},
               {"format-lyrics", "label"},         {"transcribe-lyrics", "label"},
               {"profile", "preprocess"},          {"preprocess-for", "preprocess"},
               {"max-duration", "preprocess check"}, {"again", "preprocess"},
               {"lm", "label"}};
/* clang-format on */

static ace_status check_flags(const args *a, const char *action, ace_error *err) {
  for (size_t i = 0; i < sizeof belongs / sizeof *belongs; i++)
    if (args_value(a, belongs[i].flag) && !strstr(belongs[i].actions, action))
      return ace_fail(err, ACE_EINVAL, "dataset %s: --%s is a flag of %s", action, belongs[i].flag, belongs[i].actions);
  return ACE_OK;
}

static ace_status act(dataset_run *k, ace_error *err) {
  const args *a = k->args;
  const char *name = a->n_operands ? a->operand[0] : "";
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
    if (strcmp(actions[i].name, name) != 0) continue;
    if (a->n_operands < 2) return ace_fail(err, ACE_EINVAL, "dataset %s: name %s behind it", name, actions[i].operand);
    k->file = a->operand[1];
    ace_status status = check_flags(a, name, err);
    return status == ACE_OK ? actions[i].run(k, err) : status;
  }
  return ace_fail(err, ACE_EINVAL, "dataset: say what to do: scan, label, edit, preprocess or check");
}

/* What is labeled or prepared is on disk already. */
static int on_stop(void *user) {
  const dataset_run *k = user;
  ace_error err = {.status = ACE_ECANCELED};
  return report_failure(k->report, &err);
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  dataset_run k = {.args = a, .report = r};
  signals_watch(on_stop, &k);
  ace_status status = act(&k, &err);
  signals_watch(NULL, NULL);
  ace_engine_close(k.engine);
  ace_request_free(k.request);
  opening_free(&k.open);
  dataset_free(&k.d);
  if (status != ACE_OK) return report_failure(r, &err);
  report_done(r);
  return CLI_OK;
}

static const char *const parameters[] = {"model", NULL};

const cli_command cmd_dataset = {
    .name = "dataset",
    .operands = "ACTION FILE | DIR",
    .summary = "songs to train on: scan a folder, label, edit, check, preprocess",
    .flags = flags,
    .parameters = true,
    .only = parameters,
    .most_operands = 2,
    .notes =
        "  acestep dataset scan songs -o mine.json --tag zx           a dataset of a folder, with what lies beside the "
        "songs\n"
        "  acestep dataset label mine.json                            captions, tempo, key and metre by the language "
        "model\n"
        "  acestep dataset edit mine.json                             what is in it\n"
        "  acestep dataset edit mine.json --sample 3 --set caption=\"slow waltz\" --set bpm=90\n"
        "  acestep dataset check mine.json                            clipped, double, silent, too short?\n"
        "  acestep dataset preprocess mine.json -o tensors            samples for acestep train\n"
        "\n"
        "label and preprocess save as they go: after Ctrl-C they go on where they were (label with --only-unlabeled).\n"
        "Fields to edit: caption genre lyrics bpm keyscale timesignature language is_instrumental prompt_override.",
    .run = run,
};
