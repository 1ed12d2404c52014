#include "conservatory/render.h"

#include <math.h>
#include <stdlib.h>

#include "audio/process.h"
#include "conservatory/dice.h"
#include "conservatory/drum.h"
#include "conservatory/filter.h"
#include "conservatory/room.h"
#include "conservatory/style.h"

static const double LOUDNESS = -17; /* decibels of the mix where it sounds */
static const float CEILING = 0.97f;

void cons_sound_free(cons_sound *s) {
  audio_buffer_free(&s->mix);
  for (int i = 0; i < TRACK_COUNT; i++) audio_buffer_free(&s->stem[i]);
}

/* ---- notes into a stem --------------------------------------------------------------------------------------------- */

/* Where parts of a drum kit stand around their track's place. */
static double place(const cons_player *player, const cons_note *n, int layer) {
  static const double kit[DRUM_SOUNDS] = {
      [DRUM_HAT] = 0.25,     [DRUM_OPEN_HAT] = 0.25, [DRUM_RIDE] = -0.3,     [DRUM_CRASH] = -0.35,
      [DRUM_TOM_HIGH] = 0.3, [DRUM_TOM_LOW] = -0.3,  [DRUM_CONGA_LOW] = -0.2};
  if (player->role == ROLE_DRUMS || player->role == ROLE_PERCUSSION)
    return player->pan + kit[(int)n->pitch % DRUM_SOUNDS];
  if (voice_table[player->voice].layers > 1) return layer ? 0.7 : -0.7;
  if (player->role == ROLE_BACK) return n->syllable % 2 ? 0.4 : -0.4;
  if (player->voice == VOICE_PIANO) return player->pan + (n->pitch - 60) / 60; /* low keys left */
  return player->pan;
}

/* Equal power. */
static void add_panned(audio_buffer *b, int64_t start, const float *x, int n, double pan) {
  double angle = (fmin(1, fmax(-1, pan)) + 1) * 0.7853981633974483;
  float left = (float)cos(angle), right = (float)sin(angle), *out = b->samples + 2 * start;
  for (int i = 0; i < n; i++) out[2 * i] += left * x[i], out[2 * i + 1] += right * x[i];
}

static void play(const cons_piece *p, const waves *w, const cons_player *player, int index, audio_buffer *stem,
                 float *scratch) {
  const cons_note *n = &p->note[index], *before = index > 0 ? n - 1 : NULL;
  const voice_facts *facts = &voice_table[player->voice];
  bool slurred = before && before->track == n->track && n->start - (before->start + before->length) < 0.03;
  bool noises = player->role == ROLE_DRUMS || player->role == ROLE_PERCUSSION || player->role == ROLE_FX;
  int64_t start = (int64_t)(n->start * CONS_RATE), room = p->frames - start;
  if (room <= 0) return;
  voice_note v = {.waves = w,
                  .hz = midi_hz(n->pitch),
                  .from_hz = slurred && player->role == ROLE_SING ? midi_hz(before->pitch) : 0,
                  .velocity = n->velocity,
                  .gate = (int)(n->length * CONS_RATE),
                  .sound = noises ? (int)n->pitch : 0,
                  .low = p->low_singer != (player->role == ROLE_BACK),
                  .sung = n->syllable >= 0 ? p->syllable[n->syllable].sound : NULL};
  v.seed = dice_for(p->seed, cons_track_names[n->track], (uint64_t)index).state;
  for (v.layer = 0; v.layer < facts->layers; v.layer++) {
    int length = voice_play((cons_voice)player->voice, &v, scratch, (int)room);
    add_panned(stem, start, scratch, length, place(player, n, v.layer));
  }
}

/* ---- levels -------------------------------------------------------------------------------------------------------- */

/* Power of the tenths of a second that are within 20 dB of the loudest, as an amplitude; 0 for silence. */
static double sounding(const audio_buffer *b) {
  enum { WINDOW = CONS_RATE / 10 };
  double loudest = 0, sum = 0;
  int64_t count = 0, windows = b->frames / WINDOW;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < windows; i++) {
      double power = 0;
      for (int64_t k = 2 * i * WINDOW; k < 2 * (i + 1) * WINDOW; k++) power += (double)b->samples[k] * b->samples[k];
      if (pass == 0) loudest = fmax(loudest, power);
      else if (power >= loudest * 0.01) sum += power, count++;
    }
  return count ? sqrt(sum / (double)count / (2 * WINDOW)) : 0;
}

static void to_level(audio_buffer *b, double decibels) {
  double now = sounding(b);
  if (now > 1e-9) audio_scale(b, (float)(pow(10, decibels / 20) / now));
}

static ace_status stem_of(const cons_piece *p, const waves *w, const cons_player *player, float *scratch,
                          audio_buffer *out, ace_error *err) {
  ace_status status = audio_buffer_new(out, p->frames, 2, CONS_RATE, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < p->notes; i++)
    if (p->note[i].track == player->track) play(p, w, player, i, out, scratch);
  dice d = dice_for(p->seed, "hall", 0);
  status = room_reverb(out, voice_table[player->voice].send, dice_between(&d, 0.9, 1.8), err);
  to_level(out, player->level);
  audio_fade(out, 0, 0.03);
  return status;
}

/* ---- the mix ------------------------------------------------------------------------------------------------------- */

static void sum_up(cons_sound *s) {
  size_t n = (size_t)s->mix.frames * 2;
  for (size_t i = 0; i < n; i++) s->mix.samples[i] = 0;
  for (int t = 0; t < TRACK_COUNT; t++)
    if (s->stem[t].samples)
      for (size_t i = 0; i < n; i++) s->mix.samples[i] += s->stem[t].samples[i];
}

static ace_status mix(const cons_piece *p, cons_sound *s, ace_error *err) {
  ace_status status = audio_buffer_new(&s->mix, p->frames, 2, CONS_RATE, err);
  float *gain = malloc((size_t)p->frames * sizeof *gain);
  if (status == ACE_OK && !gain) status = ace_fail(err, ACE_ENOMEM, "render: out of memory");
  if (status == ACE_OK) {
    sum_up(s);
    double now = sounding(&s->mix);
    float to = now > 1e-9 ? (float)(pow(10, LOUDNESS / 20) / now) : 1;
    audio_scale(&s->mix, to);
    status = room_limit(&s->mix, CEILING, gain, err);
    for (int t = 0; t < TRACK_COUNT; t++)
      for (int64_t i = 0; i < s->stem[t].frames; i++)
        s->stem[t].samples[2 * i] *= to * gain[i], s->stem[t].samples[2 * i + 1] *= to * gain[i];
    sum_up(s);
  }
  free(gain);
  return status;
}

ace_status cons_render(const cons_piece *p, const waves *w, cons_sound *out, ace_error *err) {
  *out = (cons_sound){0};
  float *scratch = malloc((size_t)p->frames * sizeof *scratch);
  ace_status status = scratch ? ACE_OK : ace_fail(err, ACE_ENOMEM, "render: out of memory");
  for (int i = 0; i < p->players && status == ACE_OK; i++)
    if (cons_plays(p, p->player[i].track))
      status = stem_of(p, w, &p->player[i], scratch, &out->stem[p->player[i].track], err);
  free(scratch);
  if (status == ACE_OK) status = mix(p, out, err);
  if (status != ACE_OK) cons_sound_free(out), *out = (cons_sound){0};
  return status;
}
