/* acestep plan - from a few words to everything that generate needs: caption, lyrics, tempo, key, meter, length. */
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/song_request.h"

static const cli_flag flags[] = {ASK_FLAGS, {0}};
static const char *const parameters[] = {"instrumental", "vocal_language", ASK_PARAMETERS, NULL};

static ace_status work(asking *k, ace_error *err) {
  ace_status status = words_request(k->args, &k->request, err);
  if (status == ACE_OK) status = ask_open(k, err);
  if (status != ACE_OK) return status;
  ace_callbacks notify = report_callbacks(k->report);
  char *answer = ace_create_sample(k->engine, k->request->caption, k->request, &notify, err);
  return answer ? ask_deliver(k, ask_parse(answer), err) : err->status;
}

static int run(const args *a, report *r) {
  return ask_run(a, r, work);
}

const cli_command cmd_plan = {
    .name = "plan",
    .operands = "[QUERY | -]",
    .summary = "let the language model write a song: caption, lyrics, tempo, key",
    .flags = flags,
    .parameters = true,
    .only = parameters,
    .most_operands = 1,
    .notes =
        "QUERY says in a few words what song it shall be; without it: any song. -: from standard input.\n"
        "\n"
        "  acestep plan \"a soft Bengali love song\" --vocal-language bn\n"
        "  acestep plan \"a soft Bengali love song\" --json | acestep generate --from - -o song.mp3\n"
        "  acestep plan \"drum and bass\" --instrumental --seed 7 -o plan.json",
    .run = run,
};
