/* acestep score - how well a finished song is what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "cli/again.h"
#include "cli/cli.h"
#include "request/text.h"

static const cli_flag flags[] = {
    {"output", 'o', "FILE", "Where the scores go (default: standard output)"},
    {"sensitivity", 0, "X", "0.01 to 1: smaller tells small differences of caption and lyrics apart (default: 0.5)"},
    {"lm", 0, "NAME", "Folder of the language model that judges (default: acestep-5Hz-lm-1.7B, else the first)"},
    {"json", 0, NULL, "As one JSON object"},
    OPENING_MODELS,
    OPENING_MACHINE,
    {"quiet", 'q', NULL, "No progress and no warnings"},
    {0}};

/* Checked before anything is opened. */
static ace_status read_sensitivity(const args *a, double *out, ace_error *err) {
  const double least = 0.01;
  const char *text = args_value(a, "sensitivity");
  *out = 0;
  if (!text) return ACE_OK;
  if (req_number_parse(text, strlen(text), out) && *out >= least && *out <= 1) return ACE_OK;
  return ace_fail(err, ACE_EINVAL, "--sensitivity: \"%.40s\" is no number from %g to 1", text, least);
}

static ace_status work(asking *k, ace_error *err) {
  double sensitivity;
  ace_status status = read_sensitivity(k->args, &sensitivity, err);
  ace_result *song = status == ACE_OK ? again_make(k, err) : NULL;
  if (!song) return err->status;
  ace_callbacks notify = report_callbacks(k->report);
  char *json = ace_result_score(k->engine, song, 0, sensitivity, &notify, err);
  char *words = json && !args_on(k->args, "json") ? again_score_words(json) : NULL;
  status = json ? again_deliver(k, words ? words : json, err) : err->status;
  free(json), free(words);
  ace_result_free(song);
  return status;
}

static int run(const args *a, report *r) {
  return ask_run(a, r, work);
}

const cli_command cmd_score = {
    .name = "score",
    .operands = "SONG",
    .summary = "say how well a finished song is what was asked for",
    .flags = flags,
    .most_operands = 1,
    .notes =
        "SONG is the JSON beside a song, or the song itself; -: such JSON from standard input. The song is made again\n"
        "up to its latents, with the same models; generate --score does it in one go.\n"
        "Scores are 0 to 1, higher is better: how much of caption, lyrics and metadata the language model finds in "
        "the\n"
        "song's audio codes, and how clearly the diffusion model sings the words.\n"
        "\n"
        "  acestep score blues.json\n"
        "  acestep score blues.mp3 --json",
    .run = run,
};
