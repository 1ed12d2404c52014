/* acestep lrc - when each line of a finished song's lyrics is sung. */
#include <stdlib.h>
#include <string.h>

#include "cli/again.h"
#include "cli/cli.h"
#include "engine/engine.h"

static const cli_flag flags[] = {
    {"output", 'o', "FILE", "Where the lyrics go (default: standard output); .vtt: as WebVTT subtitles"},
    {"vtt", 0, NULL, "As WebVTT subtitles"},
    {"json", 0, NULL, "As one JSON object, with the time of each token"},
    OPENING_MODELS,
    OPENING_MACHINE,
    {"quiet", 'q', NULL, "No progress and no warnings"},
    {0}};

static bool wants_subtitles(const args *a) {
  const char *path = args_value(a, "output"), *dot = path ? strrchr(path, '.') : NULL;
  return args_on(a, "vtt") || (dot && strcmp(dot, ".vtt") == 0);
}

static double seconds_of(const ace_engine *e, const ace_result *song) {
  const vae_config *v = &e->vae->cfg;
  double made = (double)(song->latents[0].frames * v->hop) / v->sampling_rate, asked = song->request->duration;
  return asked > 0 && asked < made ? asked : made;
}

static char *timed(asking *k, const ace_result *song, ace_error *err) {
  ace_callbacks notify = report_callbacks(k->report);
  if (args_on(k->args, "json")) return ace_result_timestamps(k->engine, song, 0, &notify, err);
  char *lrc = ace_result_lrc(k->engine, song, 0, &notify, err);
  if (!lrc || !wants_subtitles(k->args)) return lrc;
  char *vtt = ace_lrc_to_vtt(lrc, seconds_of(k->engine, song), err);
  free(lrc);
  return vtt;
}

static ace_status work(asking *k, ace_error *err) {
  ace_result *song = again_make(k, err);
  if (!song) return err->status;
  char *text = timed(k, song, err);
  ace_status status = text ? again_deliver(k, text, err) : err->status;
  free(text);
  ace_result_free(song);
  return status;
}

static int run(const args *a, report *r) {
  return ask_run(a, r, work);
}

const cli_command cmd_lrc = {
    .name = "lrc",
    .operands = "SONG",
    .summary = "tell when each line of a finished song is sung",
    .flags = flags,
    .most_operands = 1,
    .notes =
        "SONG is the JSON beside a song, or the song itself; -: such JSON from standard input. The song is made again\n"
        "up to its latents, with the same models; generate --lrc does it in one go.\n"
        "\n"
        "  acestep lrc blues.json > blues.lrc\n"
        "  acestep lrc blues.mp3 -o blues.vtt",
    .run = run,
};
