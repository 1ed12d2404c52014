/* acestep format - a caption and lyrics in better words, with tempo, key, meter and length that suit them. */
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/song_request.h"

static const cli_flag flags[] = {{"lyrics", 0, "FILE", "Words to sing, from a text file; -: standard input"},
                                 {"lyrics-text", 0, "TEXT", "Words to sing, given right here"},
                                 {"caption-file", 0, "FILE", "The caption, from a text file; -: standard input"},
                                 ASK_FLAGS,
                                 {0}};
static const char *const parameters[] = {"caption",       "vocal_language", "bpm",          "keyscale",
                                         "timesignature", "duration",       ASK_PARAMETERS, NULL};

static ace_status work(asking *k, ace_error *err) {
  ace_status status = words_request(k->args, &k->request, err);
  if (status == ACE_OK && !*k->request->caption && !*k->request->lyrics)
    status = ace_fail(err, ACE_EINVAL,
                      "format: no caption and no lyrics; give what to put into better words: acestep format \"slow "
                      "blues\" --lyrics words.txt");
  if (status == ACE_OK) status = ask_open(k, err);
  if (status != ACE_OK) return status;
  ace_callbacks notify = report_callbacks(k->report);
  char *answer = ace_format_sample(k->engine, k->request, &notify, err);
  return answer ? ask_deliver(k, ask_parse(answer), err) : err->status;
}

static int run(const args *a, report *r) {
  return ask_run(a, r, work);
}

const cli_command cmd_format = {
    .name = "format",
    .operands = "[CAPTION | -]",
    .summary = "let the language model put caption and lyrics into better words",
    .flags = flags,
    .parameters = true,
    .only = parameters,
    .most_operands = 1,
    .notes =
        "Tempo, key, meter, length and language that are given stay; what is not given is found.\n"
        "\n"
        "  acestep format \"slow blues\" --lyrics words.txt --bpm 70\n"
        "  acestep format \"slow blues\" --lyrics words.txt --json | acestep generate --from - -o blues.mp3",
    .run = run,
};
