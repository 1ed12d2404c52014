/* prompt.c - the two prompts of the ACE-Step 1.5 diffusion transformer. Templates and instructions are the strings that
 * the published checkpoints were trained on. */
#include "render/prompt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text under construction ------------------------------------------------------------------------------------- */

static const size_t TEXT_LIMIT = (size_t)1 << 24; /* bytes; far beyond any prompt, so that sizes cannot overflow */

typedef struct text {
  char *bytes; /* owned, NUL-terminated once anything was added */
  size_t length, capacity;
  ace_status status;
} text;

static void text_add_n(text *t, const char *s, size_t n) {
  if (t->status != ACE_OK) return;
  if (n >= TEXT_LIMIT || t->length + n >= TEXT_LIMIT) {
    t->status = ACE_EINVAL;
    return;
  }
  if (t->length + n + 1 > t->capacity) {
    size_t capacity = 2 * (t->length + n + 1);
    char *bytes = realloc(t->bytes, capacity);
    if (!bytes) {
      t->status = ACE_ENOMEM;
      return;
    }
    t->bytes = bytes;
    t->capacity = capacity;
  }
  if (n > 0) memcpy(t->bytes + t->length, s, n);
  t->length += n;
  t->bytes[t->length] = '\0';
}

static void text_add(text *t, const char *s) {
  text_add_n(t, s, s ? strlen(s) : 0);
}

/* Track names are ASCII; other bytes pass unchanged. */
static void text_add_upper(text *t, const char *s) {
  for (; *s; s++) {
    char c = *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
    text_add_n(t, &c, 1);
  }
}

/* ---- white space ------------------------------------------------------------------------------------------------- */

/* Bytes of the white space character (Unicode's, in UTF-8) at s; 0 if there is none. */
static size_t space_at(const char *s) {
  const unsigned char *u = (const unsigned char *)s;
  if ((u[0] >= 0x09 && u[0] <= 0x0d) || (u[0] >= 0x1c && u[0] <= 0x20)) return 1;
  if (u[0] == 0xc2 && (u[1] == 0x85 || u[1] == 0xa0)) return 2;
  if (u[0] == 0xe1 && u[1] == 0x9a && u[2] == 0x80) return 3;
  if (u[0] == 0xe2 && u[1] == 0x80 && ((u[2] >= 0x80 && u[2] <= 0x8a) || u[2] == 0xa8 || u[2] == 0xa9 || u[2] == 0xaf))
    return 3;
  if (u[0] == 0xe2 && u[1] == 0x81 && u[2] == 0x9f) return 3;
  return u[0] == 0xe3 && u[1] == 0x80 && u[2] == 0x80 ? 3 : 0;
}

static const char *skip_space(const char *s) {
  for (size_t n; (n = space_at(s)) > 0;) s += n;
  return s;
}

static bool is_blank(const char *s) {
  return !s || *skip_space(s) == '\0';
}

/* The end of s[0..end) without the white space behind it. */
static const char *trim_end(const char *s, const char *end) {
  const char *last = s;
  while (s < end) {
    size_t n = space_at(s);
    s += n ? n : 1;
    if (!n) last = s;
  }
  return last;
}

/* ---- instruction ------------------------------------------------------------------------------------------------- */

static const char TEXT2MUSIC[] = "Fill the audio semantic mask based on the given conditions:";

static const char *const WHOLE_INSTRUCTIONS[][2] = {
    {"text2music", TEXT2MUSIC},
    {"repaint", "Repaint the mask area based on the given conditions:"},
    {"cover", "Generate audio semantic tokens based on the given conditions:"},
    {"cover-nofsq", "Generate audio semantic tokens based on the given conditions:"},
};

static bool is_task(const prompt_input *in, const char *name) {
  return in->task && strcmp(in->task, name) == 0;
}

const char *prompt_effective_task(const prompt_input *in) {
  bool codes = in->has_codes || !is_blank(in->audio_codes);
  return codes && is_task(in, "text2music") ? "cover" : in->task;
}

static void add_track(text *t, const prompt_input *in, const char *before) {
  text_add(t, before);
  if (is_blank(in->track_name)) return;
  text_add_upper(t, in->track_name);
  text_add(t, " ");
}

static void add_task_instruction(text *t, const prompt_input *in, const char *task) {
  if (is_task(in, "extract")) {
    add_track(t, in, "Extract the ");
    text_add(t, "track from the audio:");
  } else if (is_task(in, "lego")) {
    add_track(t, in, "Generate the ");
    text_add(t, "track based on the audio context:");
  } else if (is_task(in, "complete")) {
    text_add(t, "Complete the input track");
    for (int i = 0; i < in->n_track_classes; i++) {
      text_add(t, i == 0 ? " with " : " | ");
      text_add_upper(t, in->track_classes[i]);
    }
    text_add(t, ":");
  } else {
    size_t n = sizeof WHOLE_INSTRUCTIONS / sizeof WHOLE_INSTRUCTIONS[0], found = 0;
    for (size_t i = 0; i < n; i++)
      if (task && strcmp(task, WHOLE_INSTRUCTIONS[i][0]) == 0) found = i;
    text_add(t, WHOLE_INSTRUCTIONS[found][1]);
  }
}

/* Codes overrule even the caller's own words; the text2music default stands for "not given". */
static void add_instruction(text *t, const prompt_input *in) {
  const char *task = prompt_effective_task(in);
  bool given = !is_blank(in->instruction) && strcmp(in->instruction, TEXT2MUSIC) != 0;
  if (!given || task != in->task) {
    add_task_instruction(t, in, task);
    return;
  }
  text_add(t, in->instruction);
  if (t->status == ACE_OK && t->bytes[t->length - 1] != ':') text_add(t, ":");
}

/* ---- caption ----------------------------------------------------------------------------------------------------- */

/* A caption that is a whole pasted prompt is reduced to its caption part: between the line "# Caption" and the line
 * "# Metas" or the end, trimmed. */
static void add_caption(text *t, const char *caption) {
  const char *heading = caption ? strstr(caption, "# Caption") : NULL, *line = NULL;
  if (heading && strstr(caption, "# Instruction")) {
    line = heading + strlen("# Caption");
    while (*line == ' ' || *line == '\t' || *line == '\r') line++;
  }
  if (!line || *line != '\n') {
    text_add(t, caption);
    return;
  }
  const char *end = strstr(line, "\n# Metas");
  if (!end) end = line + strlen(line);
  const char *start = skip_space(line);
  if (start < end) text_add_n(t, start, (size_t)(trim_end(start, end) - start));
}

static bool contains_ignoring_case(const char *s, const char *lower) {
  size_t n = strlen(lower);
  for (; *s; s++) {
    size_t i = 0;
    while (i < n && tolower((unsigned char)s[i]) == lower[i]) i++;
    if (i == n) return true;
  }
  return false;
}

/* Stems checkpoints are told what the whole song is, what this track is, and whether the mask is to be obeyed. */
static void add_stems_caption(text *t, const prompt_input *in, const char *instruction) {
  if (!contains_ignoring_case(instruction, "a segment")) {
    text_add(t, "Global: ");
    text_add(t, in->global_caption);
    text_add(t, "\n");
  }
  text_add(t, "Local: ");
  add_caption(t, in->caption);
  bool mask_counts = in->chunk_mask_mode && strcmp(in->chunk_mask_mode, "explicit") == 0;
  text_add(t, mask_counts ? "\nMask Control: true" : "\nMask Control: false");
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

/* Whole seconds, cut off; 30 when nothing is known. */
static long long prompt_seconds(const prompt_input *in) {
  if (in->source_samples > 0) return in->source_samples / 48000;
  if (!(in->duration > 0)) return 30;
  return in->duration < 1e9 ? (long long)in->duration : 1000000000;
}

static void add_metas(text *t, const prompt_input *in) {
  char number[64];
  snprintf(number, sizeof number, "%d", in->bpm);
  text_add(t, "- bpm: ");
  text_add(t, in->bpm > 0 ? number : "N/A");
  text_add(t, "\n- timesignature: ");
  text_add(t, is_blank(in->timesignature) ? "N/A" : in->timesignature);
  text_add(t, "\n- keyscale: ");
  text_add(t, is_blank(in->keyscale) ? "N/A" : in->keyscale);
  snprintf(number, sizeof number, "\n- duration: %lld seconds\n", prompt_seconds(in));
  text_add(t, number);
}

static text text_prompt(const prompt_input *in, const char *instruction, bool stems) {
  text t = {0};
  text_add(&t, "# Instruction\n");
  text_add(&t, instruction);
  text_add(&t, "\n\n# Caption\n");
  if (stems) add_stems_caption(&t, in, instruction);
  else add_caption(&t, in->caption);
  text_add(&t, "\n\n# Metas\n");
  add_metas(&t, in);
  text_add(&t, "<|endoftext|>\n");
  return t;
}

static text lyric_prompt(const prompt_input *in) {
  text t = {0};
  text_add(&t, "# Languages\n");
  text_add(&t, in->vocal_language);
  text_add(&t, "\n\n# Lyric\n");
  text_add(&t, in->lyrics);
  text_add(&t, "<|endoftext|>");
  return t;
}

/* Hands the finished string over; after the first failure only frees. */
static char *take(text *t, ace_status *status) {
  if (*status == ACE_OK) *status = t->status;
  if (*status == ACE_OK) return t->bytes;
  free(t->bytes);
  return NULL;
}

ace_status prompt_build(prompt_texts *out, const prompt_input *in, ace_error *err) {
  ace_status status = ACE_OK;
  text t = {0};
  *out = (prompt_texts){0};
  add_instruction(&t, in);
  out->instruction = take(&t, &status);
  if (status == ACE_OK) {
    t = text_prompt(in, out->instruction, in->is_lego_sft);
    out->text_prompt = take(&t, &status);
    t = lyric_prompt(in);
    out->lyric_prompt = take(&t, &status);
    t = text_prompt(in, TEXT2MUSIC, false);
    out->non_cover_text_prompt = take(&t, &status);
  }
  if (status == ACE_OK) return ACE_OK;
  prompt_free(out);
  if (status == ACE_ENOMEM) return ace_fail(err, status, "prompt: out of memory");
  return ace_fail(err, status, "prompt: the caption or the lyrics are longer than %zu MiB", TEXT_LIMIT >> 20);
}

void prompt_free(prompt_texts *texts) {
  if (!texts) return;
  free(texts->instruction);
  free(texts->text_prompt);
  free(texts->lyric_prompt);
  free(texts->non_cover_text_prompt);
  *texts = (prompt_texts){0};
}
