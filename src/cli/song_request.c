#include "cli/song_request.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"
#include "request/text.h"

enum { TEXT_LIMIT = 1 << 20 /* of a file; the parameters have narrower limits of their own */ };

static ace_status set_from_file(ace_request *r, const char *parameter, const char *path, const char *flag,
                                ace_error *err) {
  char *words = input_text(path, flag, TEXT_LIMIT, err);
  if (!words) {
    if (err->status == ACE_ENOTFOUND && strcmp(flag, "--lyrics") == 0) {
      char excerpt[REQ_EXCERPT_SIZE];
      return ace_fail(err, ACE_ENOTFOUND, "--lyrics: there is no file \"%s\"; --lyrics-text takes the words themselves",
                      req_excerpt(path, strlen(path), excerpt));
    }
    return err->status;
  }
  ace_status status = ace_request_set(r, parameter, words, err);
  free(words);
  return status;
}

/* Standard input can be read once. */
static ace_status check_keyboard(const args *a, ace_error *err) {
  static const char *const readers[] = {"lyrics", "caption-file", "from"};
  int n = a->n_operands && strcmp(a->operand[0], "-") == 0;
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
    const char *path = args_value(a, readers[i]);
    n += path && strcmp(path, "-") == 0;
  }
  return n < 2 ? ACE_OK
               : ace_fail(err, ACE_EINVAL, "%s: only one thing can be read from standard input (-)", a->command->name);
}

static ace_status set_caption(const args *a, ace_request *r, ace_error *err) {
  const char *file = args_value(a, "caption-file"), *operand = a->n_operands ? a->operand[0] : NULL;
  if (!!file + !!operand + args_gives(a, "caption") > 1)
    return ace_fail(err, ACE_EINVAL, "caption: give it once: as the operand, with --caption or with --caption-file");
  if (operand && strcmp(operand, "-") == 0) return set_from_file(r, "caption", "-", "caption", err);
  if (operand) return ace_request_set(r, "caption", operand, err);
  return file ? set_from_file(r, "caption", file, "--caption-file", err) : ACE_OK;
}

static ace_status set_lyrics(const args *a, ace_request *r, ace_error *err) {
  const char *file = args_value(a, "lyrics"), *words = args_value(a, "lyrics-text");
  if (file && words) return ace_fail(err, ACE_EINVAL, "lyrics: give them once: with --lyrics or with --lyrics-text");
  if (file) return set_from_file(r, "lyrics", file, "--lyrics", err);
  return words ? ace_request_set(r, "lyrics", words, err) : ACE_OK;
}

static ace_status set_parameters(const args *a, ace_request *r, ace_error *err) {
  for (int i = 0; i < a->n_given; i++) {
    if (!a->given[i].param) continue;
    ace_status status = ace_request_set(r, a->given[i].param->name, a->given[i].value, err);
    if (status != ACE_OK) return status;
  }
  bool seeded = args_gives(a, "seed") || args_gives(a, "seeds");
  return seeded && !args_gives(a, "use_random_seed") ? ace_request_set(r, "use_random_seed", "false", err) : ACE_OK;
}

/* Is there anything to make a song of? */
static ace_status check_words(const args *a, const ace_request *r, ace_error *err) {
  bool from = args_value(a, "from") != NULL, words = *r->caption || *r->lyrics || *r->audio_codes;
  if (from || words || r->task_type != REQ_TASK_TEXT2MUSIC) return ACE_OK;
  return ace_fail(err, ACE_EINVAL,
                  "generate: no caption; say what the music shall be: acestep generate \"jazz trio in a smoky bar\"");
}

static ace_status check_files(const ace_request *r, ace_error *err) {
  ace_status status = ACE_OK;
  if (*r->reference_audio) status = input_check(r->reference_audio, "reference_audio", err);
  if (status == ACE_OK && *r->src_audio) status = input_check(r->src_audio, "src_audio", err);
  return status;
}

ace_status parameters_request(const args *a, ace_request **request, ace_error *err) {
  *request = ace_request_new(ACE_PROFILE_CLI);
  if (!*request) return ace_fail(err, ACE_ENOMEM, "request: out of memory");
  ace_status status = set_parameters(a, *request, err);
  return status == ACE_OK ? ace_request_validate(*request, err) : status;
}

static ace_status new_request(const args *a, ace_request **request, ace_error *err) {
  *request = ace_request_new(ACE_PROFILE_CLI);
  return *request ? check_keyboard(a, err) : ace_fail(err, ACE_ENOMEM, "request: out of memory");
}

static ace_status set_words(const args *a, ace_request *r, ace_error *err) {
  ace_status status = set_parameters(a, r, err);
  if (status == ACE_OK) status = set_caption(a, r, err);
  if (status == ACE_OK) status = set_lyrics(a, r, err);
  return status;
}

ace_status words_request(const args *a, ace_request **request, ace_error *err) {
  ace_status status = new_request(a, request, err);
  if (status == ACE_OK) status = set_words(a, *request, err);
  return status == ACE_OK ? ace_request_validate(*request, err) : status;
}

ace_status song_request(const args *a, ace_request **request, saved *from, ace_error *err) {
  *from = (saved){0};
  const char *path = args_value(a, "from");
  ace_status status = new_request(a, request, err);
  ace_request *r = *request;
  if (status == ACE_OK && path) status = saved_read(from, path, "--from", r, err);
  if (status == ACE_OK) status = set_words(a, r, err);
  if (status == ACE_OK) status = check_words(a, r, err);
  if (status == ACE_OK) status = ace_request_validate(r, err);
  if (status == ACE_OK) status = check_files(r, err);
  return status;
}
