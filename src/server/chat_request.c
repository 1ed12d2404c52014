#include "server/chat_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "request/text.h"

/* ---- base64 (RFC 4648) ------------------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint8_t *chat_decode(const char *text, size_t *length) {
  const char *comma = strncmp(text, "data:", 5) == 0 ? strchr(text, ',') : NULL;
  if (comma) text = comma + 1;
  uint8_t *out = malloc(strlen(text) / 4 * 3 + 4);
  uint32_t bits = 0;
  int waiting = 0; /* bits that make no byte yet */
  *length = 0;
  for (; out && *text && *text != '='; text++) {
    if (req_is_space(*text)) continue;
    const char *digit = strchr(digits, *text);
    if (!digit) break;
    bits = bits << 6 | (uint32_t)(digit - digits);
    waiting += 6;
    if (waiting < 8) continue;
    waiting -= 8;
    out[(*length)++] = (uint8_t)(bits >> waiting);
  }
  if (out && (!*text || *text == '=') && *length > 0) return out;
  free(out);
  return NULL;
}

char *chat_encode(const uint8_t *data, size_t length) {
  char *out = malloc((length + 2) / 3 * 4 + 1), *at = out;
  for (size_t i = 0; out && i < length; i += 3) {
    size_t n = length - i < 3 ? length - i : 3;
    uint32_t b = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (n > 2 ? data[i + 2] : 0);
    for (size_t k = 0; k < 4; k++) *at++ = k <= n ? digits[b >> (18 - 6 * k) & 63] : '=';
  }
  if (out) *at = 0;
  return out;
}

/* ---- what a text means ------------------------------------------------------------------------------------------- */

static const char *find_word(const char *text, const char *word) {
  for (size_t n = strlen(word); *text; text++)
    if (strncasecmp(text, word, n) == 0) return text;
  return NULL;
}

/* The text between <tag> and </tag>, trimmed; NULL without one. *from and *to: where all of it lies. */
static char *inside(const char *text, const char *tag, const char **from, const char **to) {
  char open[32], close[32];
  snprintf(open, sizeof open, "<%s>", tag), snprintf(close, sizeof close, "</%s>", tag);
  *from = find_word(text, open);
  *to = *from ? find_word(*from, close) : NULL;
  if (!*to) return NULL;
  const char *a = *from + strlen(open), *b = *to;
  *to += strlen(close);
  while (a < b && req_is_space(*a)) a++;
  while (b > a && req_is_space(b[-1])) b--;
  return strndup(a, (size_t)(b - a));
}

static bool looks_like_lyrics(const char *text) {
  static const char *const marks[] = {"[verse", "[chorus",     "[bridge",  "[intro", "[outro",
                                      "[hook",  "[pre-chorus", "[refrain", "[inst"};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
    if (find_word(text, marks[i])) return true;
  size_t lines = 0, bytes = 0;
  while (*text) {
    size_t n = strcspn(text, "\n"), used = n;
    while (used > 0 && req_is_space(text[used - 1])) used--;
    lines += used > 0, bytes += used;
    text += n + (text[n] == '\n');
  }
  return lines >= 4 && bytes < 60 * lines;
}

/* What is left of the text without the two stretches, trimmed. */
static char *rest_of(const char *text, const char *from[2], const char *to[2]) {
  req_text rest = {0};
  for (const char *p = text; *p;) {
    int in = p == from[0] && to[0] ? 0 : p == from[1] && to[1] ? 1 : -1;
    if (in >= 0) p = to[in];
    else req_text_add_bytes(&rest, p++, 1);
  }
  char *all = req_text_take(&rest), *begin = all;
  for (size_t n = all ? strlen(all) : 0; n > 0 && req_is_space(all[n - 1]); n--) all[n - 1] = 0;
  while (begin && req_is_space(*begin)) begin++;
  if (begin) memmove(all, begin, strlen(begin) + 1);
  return all;
}

bool chat_split(const char *text, char **prompt, char **lyrics) {
  const char *from[2], *to[2];
  *prompt = inside(text, "prompt", &from[0], &to[0]);
  *lyrics = inside(text, "lyrics", &from[1], &to[1]);
  if (*prompt || *lyrics) {
    if (!*prompt) *prompt = rest_of(text, from, to);
    return true;
  }
  char *whole = strdup(text);
  if (looks_like_lyrics(text)) *lyrics = whole;
  else *prompt = whole;
  return whole != NULL;
}

/* ---- the message ------------------------------------------------------------------------------------------------- */

enum { CLIPS = 2 };

typedef struct message {
  req_text text;
  char *clip[CLIPS]; /* paths */
  int clips;
} message;

static void message_free(message *m) {
  free(m->text.data);
  for (int i = 0; i < m->clips; i++) free(m->clip[i]);
}

/* A sound becomes a file; one that cannot be decoded is as if it were not there. */
static void take_clip(call *c, const json_t *sound, message *m) {
  const char *data = json_string_value(json_object_get(sound, "data"));
  const char *format = json_string_value(json_object_get(sound, "format"));
  bool plain =
      format && *format && strlen(format) < 8 && !format[strspn(format, "abcdefghijklmnopqrstuvwxyz0123456789")];
  char suffix[16];
  size_t length;
  uint8_t *bytes = data && m->clips < CLIPS ? chat_decode(data, &length) : NULL;
  snprintf(suffix, sizeof suffix, ".%s", plain ? format : "mp3");
  char *path = bytes ? service_upload_path(c->service, suffix) : NULL;
  if (path && file_write(path, bytes, length, NULL) == ACE_OK) m->clip[m->clips++] = path;
  else free(path);
  free(bytes);
}

static void read_parts(call *c, const json_t *parts, message *m) {
  size_t i;
  json_t *part;
  json_array_foreach((json_t *)parts, i, part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *text = json_string_value(json_object_get(part, "text"));
    if (type && strcmp(type, "input_audio") == 0) take_clip(c, json_object_get(part, "input_audio"), m);
    else if (text && m->text.size) req_text_addf(&m->text, "\n%s", text);
    else if (text) req_text_add(&m->text, text);
  }
}

/* The last one of the user that says anything. */
static void read_message(call *c, const json_t *messages, message *m) {
  for (size_t i = json_array_size(messages); i > 0; i--) {
    const json_t *one = json_array_get(messages, i - 1), *content = json_object_get(one, "content");
    const char *role = json_string_value(json_object_get(one, "role")), *text = json_string_value(content);
    if (!role || strcmp(role, "user") != 0) continue;
    if (text && !req_is_blank(text)) req_text_add(&m->text, text);
    if (json_is_array(content)) read_parts(c, content, m);
    if (m->text.size || m->clips) return;
  }
}

/* ---- the body of a song ------------------------------------------------------------------------------------------ */

static bool reads_source(const char *task) {
  static const char *const tasks[] = {"cover", "cover-nofsq", "repaint", "lego", "extract", "complete"};
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
    if (strcmp(tasks[i], task) == 0) return true;
  return false;
}

static void put(json_t *song, const char *key, const json_t *value) {
  if (value && !json_is_null(value)) json_object_set(song, key, (json_t *)value);
}

static void put_text(json_t *song, const char *key, const char *text) {
  if (text) json_object_set_new(song, key, json_string(text));
}

/* Keys that mean the same there. */
static void copy_settings(const json_t *body, json_t *song) {
  static const char *const same[][2] = {
      {"temperature", "lm_temperature"},
      {"top_p", "lm_top_p"},
      {"top_k", "lm_top_k"},
      {"thinking", "thinking"},
      {"guidance_scale", "guidance_scale"},
      {"use_format", "use_format"},
      {"use_cot_caption", "use_cot_caption"},
      {"use_cot_language", "use_cot_language"},
      {"task_type", "task_type"},
      {"repainting_start", "repainting_start"},
      {"repainting_end", "repainting_end"},
      {"audio_cover_strength", "audio_cover_strength"},
      {"cover_noise_strength", "cover_noise_strength"},
      {"audio_codes", "audio_code_string"},
      {"inference_steps", "inference_steps"},
      {"infer_method", "infer_method"},
      {"model", "model"},
  };
  static const char *const config[][2] = {
      {"duration", "audio_duration"}, {"format", "audio_format"},           {"bpm", "bpm"},
      {"key_scale", "key_scale"},     {"time_signature", "time_signature"}, {"vocal_language", "vocal_language"}};
  const json_t *audio = json_object_get(body, "audio_config"), *cfg = json_object_get(body, "lm_cfg_scale");
  const json_t *batch = json_object_get(body, "batch_size"), *seed = json_object_get(body, "seed");
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) put(song, same[i][1], json_object_get(body, same[i][0]));
  for (size_t i = 0; i < sizeof config / sizeof *config; i++)
    put(song, config[i][1], json_object_get(audio, config[i][0]));
  json_object_set_new(song, "lm_cfg_scale", json_real(value_number(cfg, 2.0)));
  json_object_set_new(song, "batch_size", json_integer((json_int_t)value_number(batch, 1)));
  if (seed && !json_is_null(seed)) {
    put(song, "seed", seed);
    json_object_set_new(song, "use_random_seed", json_false());
  }
}

/* What is sung and what is asked for. */
static bool set_words(const json_t *body, const message *m, json_t *song) {
  const char *text = m->text.data ? m->text.data : "", *words = value_text(json_object_get(body, "lyrics"), NULL);
  bool instrumental = value_bool(json_object_get(json_object_get(body, "audio_config"), "instrumental"), false);
  char *prompt = NULL, *lyrics = NULL;
  bool ok = true;
  if (words) {
    put_text(song, "prompt", text);
    put_text(song, "lyrics", words);
  } else if (value_bool(json_object_get(body, "sample_mode"), false)) {
    json_object_set_new(song, "sample_mode", json_true());
    put_text(song, "sample_query", text);
  } else {
    ok = chat_split(text, &prompt, &lyrics);
    put_text(song, "prompt", prompt);
    put_text(song, "lyrics", lyrics ? lyrics : instrumental ? "[inst]" : NULL);
  }
  free(prompt), free(lyrics);
  return ok;
}

static void set_clips(const message *m, json_t *song) {
  const char *task = value_text(json_object_get(song, "task_type"), "text2music");
  bool source = reads_source(task);
  json_t *uploads = json_array();
  for (int i = 0; i < m->clips; i++) {
    put_text(song, source && i == 0 ? "src_audio_path" : "reference_audio_path", m->clip[i]);
    json_array_append_new(uploads, json_string(m->clip[i]));
  }
  json_object_set_new(song, "uploads", uploads);
}

json_t *chat_song(call *c) {
  message m = {.clips = 0};
  const json_t *messages = json_object_get(c->body, "messages");
  if (!json_is_array(messages)) {
    reply_detail(c, 400, "Invalid request format: messages: a list is needed");
    return NULL;
  }
  read_message(c, messages, &m);
  bool said = m.text.size > 0 || m.clips > 0 || value_text(json_object_get(c->body, "lyrics"), NULL);
  json_t *song = said ? json_object() : NULL;
  if (!said) reply_detail(c, 400, "No valid prompt, lyrics, sample query, or input audio found in request");
  if (song) {
    copy_settings(c->body, song);
    set_clips(&m, song);
    if (!set_words(c->body, &m, song)) {
      json_decref(song), song = NULL;
      reply_detail(c, 503, "out of memory");
    }
  }
  message_free(&m);
  return song;
}
