/* acestep understand - what a recording is: its audio codes, and the metadata and lyrics that the language model reads
 * out of them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/song_request.h"
#include "engine/engine.h"
#include "request/text.h"
#include "text/codes.h"
#include "text/utf8.h"

enum { TEXT_LIMIT = 8 << 20, SNIFF = 4096, CODES_A_SECOND = 5 };

static const cli_flag flags[] = {
    {"codes-only", 0, NULL, "Only the audio codes; no language model is needed"}, ASK_FLAGS, {0}};
static const char *const parameters[] = {ASK_PARAMETERS, NULL};

/* ---- where the codes are ----------------------------------------------------------------------------------------- */

/* A regular file whose beginning is no text. */
static bool is_sound(const char *path) {
  char head[SNIFF];
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  ssize_t n = regular ? read(fd, head, sizeof head) : 0;
  if (fd >= 0) close(fd);
  if (n <= 0) return false;
  enum { CHARACTER = 4 }; /* bytes; the last one may be cut in two */
  return memchr(head, 0, (size_t)n) || (size_t)n - utf8_check(head, (size_t)n) >= CHARACTER;
}

/* All codes of a text, one behind the other; "" when there are none, NULL when out of memory. */
static char *collect(const char *text, size_t length) {
  req_text out = {0};
  codes_match match;
  for (size_t cursor = 0; codes_next(text, length, &cursor, &match);)
    req_text_add_bytes(&out, text + match.at, match.length);
  return req_text_take(&out);
}

/* The codes of a text file: of its field audio_codes when it is the JSON of a song, else wherever they stand. */
static char *read_codes(const char *path, ace_error *err) {
  size_t n;
  const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
  char *text = input_read(path, "understand", TEXT_LIMIT, &n, err);
  if (!text) return NULL;
  json_t *json = json_loadb(text, n, 0, NULL);
  const char *field = json_string_value(json_object_get(json, "audio_codes"));
  char *codes = field ? collect(field, strlen(field)) : collect(text, n);
  json_decref(json);
  free(text);
  if (codes && *codes) return codes;
  if (!codes) ace_fail(err, ACE_ENOMEM, "understand: out of memory");
  else ace_fail(err, ACE_EINVAL, "understand: %.300s: neither a sound file nor text with <|audio_code_N|> in it", name);
  free(codes);
  return NULL;
}

static int count(const char *codes) {
  codes_match match;
  int n = 0;
  for (size_t cursor = 0, length = strlen(codes); codes_next(codes, length, &cursor, &match);) n++;
  return n;
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

static ace_status deliver_codes(asking *k, const char *codes, ace_error *err) {
  char length[TERM_TIME_SIZE];
  int n = count(codes);
  ace_status status = ask_deliver_as(k, json_pack("{s:s}", "audio_codes", codes), codes, err);
  if (status == ACE_OK && !args_on(k->args, "json"))
    report_note(k->report, "%d codes for %s of sound", n, term_time((double)n / CODES_A_SECOND, length));
  return status;
}

static ace_status deliver_all(asking *k, const char *codes, const ace_callbacks *notify, ace_error *err) {
  report_phase(k->report);
  char *text = ace_understand(k->engine, codes, k->request, notify, err);
  if (!text) return err->status;
  json_t *answer = ask_parse(text);
  json_object_set_new(answer, "audio_codes", json_string(codes));
  return ask_deliver(k, answer, err);
}

static ace_status work(asking *k, ace_error *err) {
  bool codes_only = args_on(k->args, "codes-only");
  const char *path = k->args->n_operands ? k->args->operand[0] : NULL;
  if (!path)
    return ace_fail(err, ACE_EINVAL,
                    "understand: no file; give a recording, or text with audio codes: acestep understand song.mp3");
  ace_status status = parameters_request(k->args, &k->request, err);
  bool keyboard = strcmp(path, "-") == 0;
  if (status == ACE_OK && !keyboard) status = input_check(path, "understand", err);
  bool sound = status == ACE_OK && !keyboard && is_sound(path);
  char *codes = NULL;
  if (status == ACE_OK && !sound && !(codes = read_codes(path, err))) status = err->status;
  if (status == ACE_OK) status = sound || !codes_only ? ask_open(k, err) : ask_check(k, err);
  if (status == ACE_OK && !codes_only) status = engine_need_lm(k->engine, err); /* before the long work */
  ace_callbacks notify = report_callbacks(k->report);
  if (status == ACE_OK && sound && !(codes = ace_audio_to_codes(k->engine, path, &notify, err))) status = err->status;
  if (status == ACE_OK) status = codes_only ? deliver_codes(k, codes, err) : deliver_all(k, codes, &notify, err);
  free(codes);
  return status;
}

static int run(const args *a, report *r) {
  return ask_run(a, r, work);
}

const cli_command cmd_understand = {
    .name = "understand",
    .operands = "FILE | -",
    .summary = "describe a recording: audio codes, metadata, lyrics",
    .flags = flags,
    .parameters = true,
    .only = parameters,
    .most_operands = 1,
    .notes =
        "FILE is a sound file, or text with audio codes such as <|audio_code_123|>, the JSON of a song included;\n"
        "-: such text from standard input. The JSON has the codes too, so that generate --from follows them.\n"
        "\n"
        "  acestep understand song.mp3\n"
        "  acestep understand song.mp3 --codes-only > codes.txt\n"
        "  acestep understand song.mp3 --json | acestep generate --from - -o like-it.mp3",
    .run = run,
};
