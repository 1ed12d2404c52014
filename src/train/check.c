#include "train/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audio/read.h"
#include "base/notify.h"
#include "request/text.h"
#include "train/label.h"
#include "train/same.h"

enum { LINE_SIZE = 700, RUN = 4 /* samples at full scale in a row that no music has */ };

/* Where a sound counts as at full scale: 16 bits reach 0.99997, and lossy formats blur it. */
static const float FULL = 0.999f;

typedef struct checking {
  const dataset *d;
  double max_duration;
  check_visit visit;
  void *user;
} checking;

static void find(const checking *c, int i, const char *kind, const char *format, ...) ACE_PRINTF(4, 5);
static void find(const checking *c, int i, const char *kind, const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  c->visit(c->user, i, kind, line);
}

/* Places of at least RUN samples at full scale, over all channels, and the longest of them. */
static int64_t clipped(const audio_buffer *b, int64_t *longest) {
  int64_t places = 0;
  *longest = 0;
  for (int k = 0; k < b->channels; k++) {
    int64_t run = 0;
    for (int64_t t = 0; t < b->frames; t++) {
      run = fabsf(b->samples[t * b->channels + k]) >= FULL ? run + 1 : 0;
      places += run == RUN;
      if (run > *longest) *longest = run;
    }
  }
  return places;
}

static void check_length(const checking *c, int i, double seconds) {
  double said = (double)json_integer_value(json_object_get(c->d->sample[i].fields, "duration"));
  if (seconds < 1) find(c, i, "short", "%.2f s: too short to be learnt, at least 1 s is needed", seconds);
  else if (seconds > c->max_duration)
    find(c, i, "long", "%.0f s: only the first %g s are used", seconds, c->max_duration);
  if (fabs(said - seconds) > 1.5)
    find(c, i, "length", "%.1f s of sound, the dataset says %.0f; scan the folder again", seconds, said);
}

static void check_sound(const checking *c, int i) {
  const char *path = dataset_text(c->d, i, "audio_path");
  audio_buffer b;
  ace_error why;
  ace_status status = audio_read(path, &b, &why);
  if (status == ACE_ENOTFOUND) find(c, i, "missing", "there is no such file");
  else if (status != ACE_OK) find(c, i, "unreadable", "%s", why.message);
  if (status != ACE_OK) return;
  check_length(c, i, audio_seconds(&b));
  int64_t longest, places = clipped(&b, &longest);
  if (audio_is_silent(&b)) find(c, i, "silent", "nothing can be heard");
  if (places)
    find(c, i, "clipped", "%lld places at full scale, the longest of %lld samples: a quieter copy teaches more",
         (long long)places, (long long)longest);
  audio_buffer_free(&b);
}

static void check_words(const checking *c, int i) {
  if (!dataset_flag(c->d, i, "labeled")) find(c, i, "unlabeled", "not labeled: it will not be prepared");
  else if (req_is_blank(dataset_text(c->d, i, "caption"))) find(c, i, "caption", "there is no caption");
  if (label_needs_lyrics(c->d, i)) find(c, i, "lyrics", "there is a voice, but there are no lyrics");
}

static void on_same(void *user, int a, int b, bool content, const dataset *d) {
  find(user, b, content ? "content" : "name", content ? "the same content as %s" : "the same name as %s",
       dataset_text(d, a, "audio_path"));
}

ace_status dataset_check(const dataset *d, double max_duration, const ace_callbacks *notify, check_visit visit,
                         void *user, ace_error *err) {
  checking c = {.d = d, .max_duration = max_duration, .visit = visit, .user = user};
  for (int i = 0; i < d->n; i++) {
    if (notify_stopped(notify)) return ace_fail(err, ACE_ECANCELED, "check: cancelled");
    check_sound(&c, i);
    check_words(&c, i);
    ace_progress p = {.stage = "check", .fraction = (i + 1.0) / d->n, .seconds_left = -1, .step = i + 1, .steps = d->n};
    if (notify && notify->progress) notify->progress(notify->user, &p);
  }
  same_names(d, on_same, &c);
  same_content(d, on_same, &c);
  return ACE_OK;
}
