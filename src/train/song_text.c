#include "train/song_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/prompt.h"
#include "request/text.h"
#include "train/stream.h"

/* The seed of the choice: the same samples whenever a dataset is prepared. */
enum { CHOICE_SEED = 42 };

void song_text_choose(const dataset *d, bool *by_genre) {
  int64_t percent = json_integer_value(json_object_get(d->metadata, "genre_ratio"));
  int labeled = dataset_labeled(d), wanted = (int)(labeled * percent / 100), left = labeled;
  stream s = stream_of(CHOICE_SEED, STREAM_ORDER, 0, 0, 0);
  /* Each is taken with the chance of what is still wanted among those that are left: every subset is equally likely. */
  for (int i = 0; i < d->n; i++) {
    by_genre[i] = false;
    if (!dataset_flag(d, i, "labeled")) continue;
    by_genre[i] = (int)stream_integer(&s, i, (uint32_t)left--) < wanted;
    wanted -= by_genre[i];
  }
}

char *song_text_tagged(const char *text, const char *tag, const char *position) {
  req_text out = {0};
  bool prepend = strcmp(position, "prepend") == 0, append = strcmp(position, "append") == 0;
  bool replace = strcmp(position, "replace") == 0, alone = replace || (!*text && (prepend || append));
  if (!*tag || (!prepend && !append && !replace)) req_text_add(&out, text);
  else if (alone) req_text_add(&out, tag);
  else {
    req_text_add(&out, prepend ? tag : text);
    req_text_add(&out, ", ");
    req_text_add(&out, prepend ? text : tag);
  }
  return req_text_take(&out);
}

/* Caption or genre: what was said of this sample, else the choice; an empty genre is no description. */
static const char *description(const dataset *d, int i, bool by_genre) {
  const char *override = dataset_text(d, i, "prompt_override"), *genre = dataset_text(d, i, "genre");
  if (strcmp(override, "genre") == 0) by_genre = true;
  if (strcmp(override, "caption") == 0) by_genre = false;
  return by_genre && *genre ? genre : dataset_text(d, i, "caption");
}

/* A song without words has no language. */
static const char *language_of(const dataset *d, int i) {
  const char *language = dataset_text(d, i, "language");
  bool none = dataset_flag(d, i, "is_instrumental") || req_is_blank(language) || strcmp(language, "instrumental") == 0;
  return none ? "unknown" : language;
}

static const char *lyrics_of(const dataset *d, int i) {
  const char *lyrics = dataset_text(d, i, "lyrics");
  return dataset_flag(d, i, "is_instrumental") || req_is_blank(lyrics) ? DATASET_INSTRUMENTAL : lyrics;
}

ace_status song_text_make(const dataset *d, int i, bool by_genre, double seconds, song_text_profile profile,
                          song_text *out, ace_error *err) {
  const json_t *fields = d->sample[i].fields;
  const bool reference = profile == SONG_TEXT_REFERENCE;
  const char *own = json_text(fields, "custom_tag"), *tag = *own ? own : json_text(d->metadata, "custom_tag");
  *out = (song_text){
      .caption = song_text_tagged(description(d, i, by_genre), tag, json_text(d->metadata, "tag_position")),
  };
  if (!out->caption) return ace_fail(err, ACE_ENOMEM, "dataset: out of memory");
  prompt_input in = {
      .task = "text2music",
      .caption = out->caption,
      .lyrics = lyrics_of(d, i),
      .vocal_language = language_of(d, i),
      .bpm = (int)json_integer_value(json_object_get(fields, "bpm")),
      .keyscale = json_text(fields, "keyscale"),
      .timesignature = json_text(fields, "timesignature"),
      .duration = reference ? (double)json_integer_value(json_object_get(fields, "duration")) : seconds,
  };
  prompt_texts texts;
  ace_status status = prompt_build(&texts, &in, err);
  if (status == ACE_OK) {
    out->prompt = texts.text_prompt;
    out->lyrics = reference ? strdup(in.lyrics) : texts.lyric_prompt;
    texts.text_prompt = NULL;
    if (!reference) texts.lyric_prompt = NULL;
    prompt_free(&texts);
    if (!out->lyrics) status = ace_fail(err, ACE_ENOMEM, "dataset: out of memory");
  }
  if (status != ACE_OK) song_text_free(out);
  return status;
}

void song_text_free(song_text *t) {
  free(t->caption), free(t->prompt), free(t->lyrics);
  *t = (song_text){0};
}
