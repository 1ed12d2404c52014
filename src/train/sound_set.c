#include "train/sound_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "audio/read.h"
#include "base/notify.h"
#include "train/scan.h"

enum { CHANNELS = 2, LINE_SIZE = 640 };
static const float full_scale = 32767;

static void leave_out(const ace_callbacks *notify, const char *path, const char *why) {
  char line[LINE_SIZE];
  if (!notify || !notify->log) return;
  snprintf(line, sizeof line, "⚠️ %.400s is left out: %.200s", path, why);
  notify->log(notify->user, line);
}

/* Takes in what is left of the room. */
static ace_status add(sound_set *s, const audio_buffer *b, const sound_limits *limits, ace_error *err) {
  int64_t samples = b->frames * CHANNELS;
  if ((size_t)(s->all + b->frames) > limits->room / (CHANNELS * sizeof(int16_t)))
    return ace_fail(err, ACE_ENOMEM, "train: the sounds take more than %.0f MB of memory; use fewer, or --memory",
                    (double)limits->room / 1e6);
  int16_t *to = malloc((size_t)samples * sizeof *to);
  if (!to) return ace_fail(err, ACE_ENOMEM, "train: out of memory for sounds");
  for (int64_t i = 0; i < samples; i++) to[i] = (int16_t)lrintf(b->samples[i] * full_scale);
  s->samples[s->n] = to;
  s->frames[s->n++] = b->frames;
  s->all += b->frames;
  return ACE_OK;
}

static ace_status read_one(sound_set *s, const char *path, const sound_limits *limits, const ace_callbacks *notify,
                           ace_error *err) {
  audio_buffer b = {0};
  ace_error why = {0};
  ace_status status = ACE_OK;
  if (audio_read(path, &b, &why) != ACE_OK || audio_to_model(&b, limits->rate, &why) != ACE_OK)
    leave_out(notify, path, why.message);
  else if (b.frames < limits->least) leave_out(notify, path, "shorter than a crop");
  else if (audio_is_silent(&b)) leave_out(notify, path, "silent");
  else status = add(s, &b, limits, err);
  audio_buffer_free(&b);
  return why.status == ACE_ENOMEM ? ace_fail(err, ACE_ENOMEM, "%s", why.message) : status;
}

static void report(const ace_callbacks *notify, int done, int all) {
  if (!notify || !notify->progress) return;
  ace_progress p = {.stage = "read", .fraction = (double)done / all, .seconds_left = -1, .step = done, .steps = all};
  notify->progress(notify->user, &p);
}

ace_status sound_set_open(sound_set *s, const char *folder, const sound_limits *limits, const ace_callbacks *notify,
                          ace_error *err) {
  scan_paths paths;
  *s = (sound_set){0};
  ace_status status = scan_sounds(folder, &paths, notify, err);
  if (status != ACE_OK) return status;
  s->samples = calloc((size_t)paths.n, sizeof *s->samples);
  s->frames = calloc((size_t)paths.n, sizeof *s->frames);
  if (!s->samples || !s->frames) status = ace_fail(err, ACE_ENOMEM, "train: out of memory for sounds");
  for (int i = 0; i < paths.n && status == ACE_OK; i++) {
    if (notify_stopped(notify)) status = ace_fail(err, ACE_ECANCELED, "train: stopped");
    else status = read_one(s, paths.at[i], limits, notify, err);
    report(notify, i + 1, paths.n);
  }
  if (status == ACE_OK && !s->n) status = ace_fail(err, ACE_ENOTFOUND, "%s: no sound that can be used", folder);
  scan_paths_free(&paths);
  if (status != ACE_OK) sound_set_free(s);
  return status;
}

void sound_set_free(sound_set *s) {
  for (int i = 0; i < s->n; i++) free(s->samples[i]);
  free(s->samples), free(s->frames);
  *s = (sound_set){0};
}

void sound_set_crop(const sound_set *s, int i, int64_t first, int64_t n, float *out) {
  const int16_t *from = s->samples[i] + first * CHANNELS;
  for (int64_t j = 0; j < n * CHANNELS; j++) out[j] = (float)from[j] / full_scale;
}
