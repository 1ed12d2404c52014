#include "render/region.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "request/text.h"

/* Seconds of a recording with what is added to it. */
enum { LONGEST = 3600 };

/* At full conservation. */
static const double RAMP_MOST = 0.05; /* seconds */
enum { CROSSFADE_MOST = 25 /* frames */ };

/* How much of the kept part steers the new one. */
static void set_strength(const ace_request *r, int rate, region *g) {
  double keep = 1 - fmin(fmax(r->repaint_strength, 0), 1);
  if (r->repaint_mode == REQ_REPAINT_CONSERVATIVE) keep = 1;
  if (r->repaint_mode == REQ_REPAINT_AGGRESSIVE) keep = 0;
  bool given = !r->ref_crossfade;
  double seconds = given && r->repaint_wav_crossfade_sec >= 0 ? r->repaint_wav_crossfade_sec : RAMP_MOST * keep;
  g->inject_ratio = keep;
  g->crossfade = given && r->repaint_latent_crossfade_frames >= 0
                     ? r->repaint_latent_crossfade_frames
                     : (int)nearbyint(CROSSFADE_MOST * keep); /* halves to even */
  g->ramp = (int64_t)(seconds * rate);
}

ace_status region_make(const ace_request *r, int64_t samples, int rate, int hop, region *out, ace_error *err) {
  double seconds = (double)samples / rate, start = r->repainting_start, end = r->repainting_end;
  char a[REQ_NUMBER_SIZE], b[REQ_NUMBER_SIZE];
  if (end < 0)
    end = start < 0 && !r->ref_head ? 0 : seconds; /* without an end, a negative start asks for a new head alone */
  if (start >= seconds && r->repainting_end < 0)
    return ace_fail(err, ACE_EINVAL, "repainting_start: %s s is not before the end of src_audio, %s s",
                    req_number_format(start, a), req_number_format(seconds, b));
  if (end <= start)
    return ace_fail(err, ACE_EINVAL, "repainting_end: %s s is not after repainting_start, %s s (-1 means the end)",
                    req_number_format(r->repainting_end, a), req_number_format(start, b));
  double head = fmax(0, -start), tail = fmax(0, end - seconds);
  if (head + seconds + tail > LONGEST)
    return ace_fail(err, ACE_EINVAL, "src_audio: with what %s adds, longer than %d s",
                    head > 0 ? "repainting_start" : "repainting_end", LONGEST);
  *out = (region){.active = true, .head = (int64_t)(head * rate), .tail = (int64_t)(tail * rate)};
  out->samples = out->head + samples + out->tail;
  out->from = (int64_t)((start + head) * rate);
  out->to = (int64_t)((end + head) * rate);
  out->first = (int64_t)floor((start + head) * rate / hop);
  out->end = (int64_t)floor((end + head) * rate / hop);
  set_strength(r, rate, out);
  return ACE_OK;
}

void region_fit(region *g, int64_t frames) {
  if (!g->active) return;
  if (g->first > frames - 1) g->first = frames - 1;
  if (g->end < g->first + 1) g->end = g->first + 1;
  if (g->end > frames) g->end = frames;
}

void region_mask(const region *g, int64_t frames, float *mask) {
  for (int64_t t = 0; t < frames; t++) mask[t] = !g->active || (t >= g->first && t < g->end) ? 1.0f : 0.0f;
}

ace_status region_pad(const region *g, const audio_buffer *recording, audio_buffer *out, bool *owned, ace_error *err) {
  *owned = g->head + g->tail > 0;
  *out = *recording;
  if (!*owned) return ACE_OK;
  int64_t total = g->head + recording->frames + g->tail;
  ace_status status = audio_buffer_new(out, total, recording->channels, recording->sample_rate, err);
  *owned = status == ACE_OK;
  if (status != ACE_OK) return status;
  memcpy(out->samples + g->head * out->channels, recording->samples,
         (size_t)(recording->frames * recording->channels) * sizeof *out->samples);
  return ACE_OK;
}

/* made = share * made + (1 - share) * kept, for the samples of one frame. */
static void mix(const audio_buffer *kept, int64_t at, float share, audio_buffer *made) {
  for (int ch = 0; ch < made->channels; ch++) {
    float *x = &made->samples[at * made->channels + ch];
    *x = share * *x + (1.0f - share) * kept->samples[at * made->channels + ch];
  }
}

static void keep(const audio_buffer *kept, int64_t from, int64_t to, audio_buffer *made) {
  int64_t channels = made->channels;
  if (to > from)
    memcpy(made->samples + from * channels, kept->samples + from * channels,
           (size_t)((to - from) * channels) * sizeof *made->samples);
}

static ace_status lengthen(audio_buffer *b, int64_t frames, ace_error *err) {
  audio_buffer longer;
  ace_status status = audio_buffer_new(&longer, frames, b->channels, b->sample_rate, err);
  if (status != ACE_OK) return status;
  memcpy(longer.samples, b->samples, (size_t)(b->frames * b->channels) * sizeof *b->samples);
  audio_buffer_free(b);
  *b = longer;
  return ACE_OK;
}

ace_status region_splice(const region *g, const audio_buffer *recording, audio_buffer *made, ace_error *err) {
  int64_t common = made->frames < recording->frames ? made->frames : recording->frames;
  int64_t from = g->from < common ? g->from : common, to = g->to < common ? g->to : common;
  if (!g->active || (from == 0 && to == common)) return ACE_OK;
  int64_t before = from > g->ramp ? from - g->ramp : 0, behind = to + g->ramp < common ? to + g->ramp : common;
  ace_status status = ACE_OK;
  if (behind < common && recording->frames > made->frames) {
    status = lengthen(made, recording->frames, err);
    common = recording->frames;
  }
  if (status != ACE_OK) return status;
  keep(recording, 0, before, made);
  for (int64_t i = before; i < from; i++) mix(recording, i, (float)(i - before + 1) / (float)(from - before + 1), made);
  for (int64_t i = to; i < behind; i++) mix(recording, i, 1.0f - (float)(i - to + 1) / (float)(behind - to + 1), made);
  keep(recording, behind, common, made);
  return ACE_OK;
}
