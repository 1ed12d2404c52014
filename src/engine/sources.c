/* sources.c - who chose what a song is made from: the user, the language model, or nobody. */
#include <string.h>

#include "engine/engine.h"

/* Nothing: null, "", "unknown", and numbers that stand for "not given". */
static bool is_open(const json_t *v) {
  if (json_is_string(v)) return !*json_string_value(v) || strcmp(json_string_value(v), "unknown") == 0;
  return !json_is_number(v) || json_number_value(v) <= 0;
}

/* What the user gives of these is never changed, at most spelled in another way. */
static bool is_kept(const char *key) {
  return strcmp(key, "caption") != 0 && strcmp(key, "lyrics") != 0;
}

json_t *engine_sources(const json_t *out, const json_t *asked) {
  static const char *const keys[] = {"caption",       "lyrics",         "bpm",        "duration", "keyscale",
                                     "timesignature", "vocal_language", "audio_codes"};
  json_t *sources = json_object();
  for (size_t i = 0; i < sizeof keys / sizeof *keys && sources; i++) {
    const json_t *v = json_object_get(out, keys[i]), *given = json_object_get(asked, keys[i]);
    bool user = !is_open(given) && (is_kept(keys[i]) || json_equal(v, given));
    json_object_set_new(sources, keys[i], json_string(user ? "user" : is_open(v) ? "default" : "model"));
  }
  return sources;
}
