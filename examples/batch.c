/* batch.c - many songs from JSON requests, with progress on the terminal, stopped cleanly with Ctrl-C.
 *
 *   cc batch.c -o batch $(pkg-config --cflags --libs acestep)
 *   ./batch checkpoints one.json two.json
 *
 * Each file holds any subset of the request's parameters, e.g. {"caption": "slow piano", "duration": 30, "batch_size":
 * 2}; a saved song's own JSON works too and makes the same song again. Beside "one.json" appear "one-1.flac",
 * "one-2.flac",
 * ... each with the JSON of what made it. One engine serves all requests: models are loaded once.
 */
#include <acestep.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 20 }; /* bytes of one request file */

/* The only thing that a signal handler may touch. The library polls `cancelled` several times a second. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

static bool cancelled(void *user) {
  (void)user;
  return interrupted != 0;
}

static void show_progress(void *user, const ace_progress *p) {
  const char *name = user;
  fprintf(stderr, "\r%s: %3.0f%% %-8s", name, 100 * p->fraction, p->stage);
  if (p->steps > 0) fprintf(stderr, " step %d of %d", p->step, p->steps);
  if (p->seconds_left >= 0) fprintf(stderr, ", %.0f s left", p->seconds_left);
  fputs("\033[K", stderr); /* clear what a longer line left behind */
}

/* A whole file as text, or NULL with a message. */
static char *read_text(const char *path, size_t *length) {
  FILE *f = fopen(path, "rb");
  char *text = f ? malloc(LIMIT) : NULL;
  *length = text ? fread(text, 1, LIMIT, f) : 0;
  bool whole = text && !ferror(f) && *length < LIMIT;
  if (f) fclose(f);
  if (whole) return text;
  fprintf(stderr, "%s: cannot be read, or is larger than %d bytes\n", path, LIMIT);
  free(text);
  return NULL;
}

/* "dir/one.json" and 2 -> "dir/one-2.flac"; the extension chooses the format. */
static ace_status save_item(const ace_result *result, int item, const char *json_path, ace_error *err) {
  char path[4096];
  size_t stem = strlen(json_path);
  if (stem > 5 && strcmp(json_path + stem - 5, ".json") == 0) stem -= 5;
  int n = snprintf(path, sizeof path, "%.*s-%d.flac", (int)stem, json_path, item + 1);
  if (n < 0 || (size_t)n >= sizeof path) {
    err->status = ACE_EINVAL;
    snprintf(err->message, sizeof err->message, "the path is too long");
    return ACE_EINVAL;
  }
  ace_status status = ace_result_save(result, item, path, err);
  if (status == ACE_OK) printf("%s\n", path);
  return status;
}

static ace_status run_one(ace_engine *engine, const char *json_path, ace_error *err) {
  size_t length = 0;
  char *text = read_text(json_path, &length);
  if (!text) return ACE_EIO;
  char name[128];
  snprintf(name, sizeof name, "%s", json_path);
  const ace_callbacks notify = {.progress = show_progress, .cancelled = cancelled, .user = name};

  ace_result *result = NULL;
  ace_request *request = ace_request_new(ACE_PROFILE_CLI);
  ace_status status = request ? ace_request_set_json(request, text, length, err) : ACE_ENOMEM;
  if (status == ACE_OK) status = ace_request_set(request, "audio_format", "flac", err);
  if (status == ACE_OK) {
    result = ace_generate(engine, request, &notify, err);
    fputs("\r\033[K", stderr);
    status = result ? ACE_OK : err->status;
  }
  for (int i = 0; status == ACE_OK && i < ace_result_count(result); i++) status = save_item(result, i, json_path, err);
  if (status != ACE_OK) fprintf(stderr, "%s: %s\n", json_path, err->message);

  ace_result_free(result);
  ace_request_free(request);
  free(text);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: batch MODELS REQUEST.json...\n");
    return 2;
  }
  struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);

  ace_error err = {0};
  ace_engine *engine = ace_engine_open(argv[1], NULL, &err);
  if (!engine) {
    fprintf(stderr, "batch: %s\n", err.message);
    return 1;
  }
  int failures = 0;
  for (int i = 2; i < argc && !interrupted; i++) {
    if (run_one(engine, argv[i], &err) != ACE_OK) failures++;
  }
  ace_engine_close(engine);
  return failures > 0 || interrupted ? 1 : 0;
}
