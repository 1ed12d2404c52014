#include "train/look.h"

#include <stdlib.h>
#include <string.h>

#include "render/prompt.h"
#include "render/tokens.h"
#include "train/stream.h"

/* How often each task; those of tracks are text2music where a piece has none. */
static const double share[LOOK_TASKS] = {0.45, 0.12, 0.13, 0.1, 0.1, 0.1};

static const double left_out = 0.15;   /* each of tempo, key, metre */
static const double referenced = 0.25; /* looks with a reference for the timbre */
static const double by_track = 0.5;    /* extractions described by their track alone */

enum { FRAMES_A_SECOND = 25, REGION_LEAST = 25 };

/* What is decided by chance. */
typedef enum decision {
  BY_TASK,
  BY_TRACK,
  BY_SIDE, /* complete: from the track, or from all others */
  BY_BPM,
  BY_KEY,
  BY_METRE,
  BY_CAPTION,
  BY_REFERENCE,
  BY_CLIP,
  BY_START,
  BY_END
} decision;

typedef struct looking {
  const piece *p;
  const look_options *o;
  uint32_t epoch, sample;
  const piece_track *track; /* NULL where there is none */
  bool rest;                /* complete: the source is all but the track */
} looking;

/* In [0, 1). */
static double chance(const looking *w, decision d) {
  stream s = stream_of(w->o->seed, STREAM_LOOK, (uint32_t)d, w->epoch, w->sample);
  float x;
  stream_uniform(&s, 0, 1, &x);
  return (double)x;
}

static look_task choose_task(const looking *w) {
  double x = chance(w, BY_TASK);
  look_task task = LOOK_TEXT2MUSIC;
  while (task < LOOK_TASKS - 1 && x >= share[task]) x -= share[task++];
  return task >= LOOK_EXTRACT && !w->p->tracks ? LOOK_TEXT2MUSIC : task;
}

/* ---- sound -------------------------------------------------------------------------------------------------------- */

static void silence_at(const looking *w, float *out, int64_t from, int64_t to) {
  const tens *s = w->o->silence;
  int64_t channels = w->p->channels;
  for (int64_t t = from; t < to; t++)
    memcpy(out + t * channels, tens_f32(s) + t % s->dim[0] * channels, (size_t)channels * sizeof *out);
}

static void read_whole(const st_tensor *t, float *out) {
  st_widen(t, 0, t->count, out);
}

/* At least a second of the piece, anywhere. */
static void silence_region(const looking *w, look *l) {
  int64_t frames = l->frames, least = frames < REGION_LEAST ? frames : REGION_LEAST;
  int64_t length = least + (int64_t)(chance(w, BY_END) * (double)(frames - least + 1));
  int64_t first = (int64_t)(chance(w, BY_START) * (double)(frames - length + 1));
  for (int64_t t = 0; t < frames; t++) l->mask[t] = t >= first && t < first + length ? 1.0f : 0.0f;
  silence_at(w, l->source, first, first + length);
}

static void make_sound(const looking *w, look *l) {
  const piece *p = w->p;
  const piece_track *track = w->track;
  for (int64_t t = 0; t < l->frames; t++) l->mask[t] = 1;
  read_whole(l->task == LOOK_EXTRACT || l->task == LOOK_LEGO ? track->stem : p->mix, l->target);
  switch (l->task) {
    case LOOK_TEXT2MUSIC: silence_at(w, l->source, 0, l->frames); break;
    case LOOK_LEGO: read_whole(track->rest, l->source); break;
    case LOOK_COMPLETE: read_whole(w->rest ? track->rest : track->stem, l->source); break;
    case LOOK_REPAINT:
      read_whole(p->mix, l->source);
      silence_region(w, l);
      break;
    default: read_whole(p->mix, l->source); break;
  }
}

/* A stretch of the target, repeated where it is shorter; or silence. */
static void make_clip(const looking *w, look *l) {
  int64_t n = w->o->timbre_frames, channels = l->channels, frames = l->frames;
  if (chance(w, BY_REFERENCE) >= referenced) {
    silence_at(w, l->clip, 0, n);
    return;
  }
  int64_t first = frames > n ? (int64_t)(chance(w, BY_CLIP) * (double)(frames - n + 1)) : 0;
  for (int64_t t = 0; t < n; t++)
    memcpy(l->clip + t * channels, l->target + (first + t) % frames * channels, (size_t)channels * sizeof *l->clip);
}

/* ---- words -------------------------------------------------------------------------------------------------------- */

static bool stays(const looking *w, decision d) {
  return chance(w, d) >= left_out;
}

/* What complete is asked to add: the other tracks of the piece, or the one that is missing. */
static int added_tracks(const looking *w, const char **names) {
  const json_t *tracks = json_object_get(w->p->about, "tracks"), *entry;
  size_t i;
  int n = 0;
  if (w->rest) {
    names[0] = w->track->name;
    return 1;
  }
  json_array_foreach(tracks, i, entry) {
    const char *name = json_text(entry, "track");
    if (*name && strcmp(name, w->track->name) != 0 && n < PIECE_TRACKS) names[n++] = name;
  }
  return n;
}

static ace_status make_words(const looking *w, look *l, ace_error *err) {
  static const char *const names[] = {"text2music", "cover", "repaint", "extract", "lego", "complete"};
  const json_t *about = w->p->about;
  const char *added[PIECE_TRACKS], *lyrics = json_text(about, "lyrics"), *language = json_text(about, "language");
  bool instrumental = json_is_true(json_object_get(about, "is_instrumental")) || !*lyrics;
  prompt_input in = {.task = names[l->task],
                     .caption = json_text(about, "caption"),
                     .lyrics = instrumental ? "[Instrumental]" : lyrics,
                     .vocal_language = instrumental || !*language ? "unknown" : language,
                     .duration = (double)l->frames / FRAMES_A_SECOND,
                     .track_name = w->track ? w->track->name : NULL};
  if (stays(w, BY_BPM)) in.bpm = (int)json_integer_value(json_object_get(about, "bpm"));
  if (stays(w, BY_KEY)) in.keyscale = json_text(about, "keyscale");
  if (stays(w, BY_METRE)) in.timesignature = json_text(about, "timesignature");
  if (l->task == LOOK_EXTRACT && chance(w, BY_CAPTION) < by_track) in.caption = w->track->name;
  if (l->task == LOOK_COMPLETE) {
    in.n_track_classes = added_tracks(w, added);
    in.track_classes = added;
  }
  prompt_texts texts;
  ace_status status = prompt_build(&texts, &in, err);
  if (status == ACE_OK) status = tokens_encode(w->o->tokenizer, texts.text_prompt, PROMPT_TEXT_TOKENS, &l->text, err);
  if (status == ACE_OK)
    status = tokens_encode(w->o->tokenizer, texts.lyric_prompt, PROMPT_LYRIC_TOKENS, &l->lyric, err);
  prompt_free(&texts);
  return status;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

ace_status look_make(const piece *p, const look_options *o, uint32_t epoch, uint32_t sample, look *out,
                     ace_error *err) {
  looking w = {.p = p, .o = o, .epoch = epoch, .sample = sample};
  size_t values = (size_t)(p->frames * p->channels);
  *out = (look){.task = choose_task(&w), .frames = p->frames, .channels = p->channels};
  if (out->task >= LOOK_EXTRACT) {
    w.track = &p->track[(int)(chance(&w, BY_TRACK) * p->tracks)];
    w.rest = out->task == LOOK_COMPLETE && chance(&w, BY_SIDE) < 0.5;
  }
  out->target = malloc(values * sizeof *out->target);
  out->source = malloc(values * sizeof *out->source);
  out->mask = malloc((size_t)p->frames * sizeof *out->mask);
  out->clip = malloc((size_t)(o->timbre_frames * p->channels) * sizeof *out->clip);
  ace_status status =
      out->target && out->source && out->mask && out->clip ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  if (status == ACE_OK) {
    make_sound(&w, out);
    make_clip(&w, out);
    status = make_words(&w, out, err);
  }
  if (status != ACE_OK) look_free(out);
  return status;
}

void look_free(look *l) {
  free(l->target), free(l->source), free(l->mask), free(l->clip);
  bpe_ids_free(&l->text), bpe_ids_free(&l->lyric);
  *l = (look){0};
}
