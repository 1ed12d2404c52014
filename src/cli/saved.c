#include "cli/saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input.h"

enum { SAVED_LIMIT = 8 << 20 };

ace_status saved_read(saved *s, const char *path, const char *what, ace_request *request, ace_error *err) {
  *s = (saved){0};
  size_t n;
  ace_error inner = {0};
  const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
  char *text = input_read(path, what, SAVED_LIMIT, &n, err);
  if (!text) return err->status;
  if (n == 0) { /* a pipe whose other end failed has said why */
    free(text);
    return ace_fail(err, ACE_EINVAL, "--from: %s is empty", name);
  }
  json_t *object = json_parse(text, n, name, &inner);
  ace_status status = object ? ACE_OK : ace_fail(err, ACE_EINVAL, "%s: %.400s", what, inner.message);
  if (status == ACE_OK && (status = ace_request_set_json(request, text, n, &inner)) != ACE_OK)
    status = ace_fail(err, status, "%s: %.100s: %.350s", what, name, inner.message);
  free(text);
  if (status == ACE_OK) {
    s->result = json_incref(json_object_get(object, "result"));
    if (!json_is_object(json_object_get(s->result, "models"))) saved_free(s); /* a plan, not a song */
  }
  json_decref(object);
  if (status == ACE_OK && s->result) request->batch_size = 1; /* one JSON is one song, whatever it was made beside */
  return status;
}

void saved_free(saved *s) {
  json_decref(s->result);
  *s = (saved){0};
}

typedef struct talk {
  void (*say)(void *user, const char *line);
  void *user;
  int differences;
} talk;

static void differ(talk *t, const char *line) {
  t->differences++;
  t->say(t->user, line);
}

static const char *field(const json_t *object, const char *name) {
  const char *s = json_string_value(json_object_get(object, name));
  return s ? s : "";
}

static void compare_model(talk *t, const char *role, const json_t *then, const json_t *now) {
  char line[512];
  const char *was = field(then, "sha256"), *is = field(now, "sha256");
  if (!*was || strcmp(was, is) == 0) return;
  snprintf(line, sizeof line,
           "%s: the song was made with %.80s (sha256 %.12s...), here %.80s is %.12s...: it will sound different", role,
           field(then, "name"), was, field(now, "name"), *is ? is : "missing");
  differ(t, line);
}

int saved_compare(const saved *s, const json_t *models, const char *isa, void (*say)(void *user, const char *line),
                  void *user) {
  static const struct {
    const char *key, *words;
  } roles[] = {{"diffusion", "diffusion model"}, {"autoencoder", "autoencoder"}, {"text_encoder", "text encoder"}};
  talk t = {say, user, 0};
  char line[256];
  const json_t *then = json_object_get(s->result, "models");
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    compare_model(&t, roles[i].words, json_object_get(then, roles[i].key), json_object_get(models, roles[i].key));
  const char *was = field(s->result, "isa");
  if (*was && strcmp(was, isa) != 0) {
    snprintf(line, sizeof line,
             "instruction set: the song was made with %.32s, this machine runs %.32s: samples may differ in their last "
             "bits",
             was, isa);
    differ(&t, line);
  }
  return t.differences;
}
