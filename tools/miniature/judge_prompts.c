/* judge_prompts.c - songs for the prompts of pieces: whether tempo, key and instruments are those that were asked for, and
 * whether the caption matters more than the seed. */
#include <stdlib.h>

#include "conservatory/presence.h"
#include "miniature/judge.h"

enum { SONG_SEED = 1, OTHER_SEED = 2, AGAIN = 10 /* prompts sung with another seed too */ };

typedef struct heard {
  bool tempo, key, drums, bass, voice, lead;
  double features[HEAR_FEATURES];
} heard;

/* The track of the loudest player that may lead. */
static cons_track lead_of(const cons_piece *p) {
  int best = -1;
  for (int i = 0; i < p->players; i++) {
    cons_track t = p->player[i].track;
    bool leads = t == TRACK_GUITAR || t == TRACK_KEYBOARD || t == TRACK_STRINGS || t == TRACK_SYNTH ||
                 t == TRACK_BRASS || t == TRACK_WOODWINDS;
    if (leads && cons_plays(p, t) && (best < 0 || p->player[i].level > p->player[best].level)) best = i;
  }
  return best < 0 ? TRACK_COUNT : p->player[best].track;
}

static ace_status listen(const cons_piece *p, const audio_buffer *b, heard *out, ace_error *err) {
  hear_sound h;
  double chance[TRACK_COUNT];
  ace_status status = hear_open(&h, b, err);
  if (status != ACE_OK) return status;
  presence_hear(&h, chance);
  out->tempo = hear_tempo_agrees(hear_tempo(&h), p->bpm, 0.04);
  out->key = hear_key_agrees(hear_key_of(&h), p->key, cons_is_minor(p->mode)) > 0;
  out->drums = (chance[TRACK_DRUMS] > 0.5) == cons_plays(p, TRACK_DRUMS);
  out->bass = (chance[TRACK_BASS] > 0.5) == cons_plays(p, TRACK_BASS);
  out->voice = (chance[TRACK_VOCALS] > 0.5) == cons_plays(p, TRACK_VOCALS);
  cons_track lead = lead_of(p);
  out->lead = lead == TRACK_COUNT || chance[lead] > 0.5;
  hear_features(&h, out->features);
  hear_close(&h);
  return ACE_OK;
}

static ace_status sing(const judge *j, int i, uint32_t seed, heard *out, ace_error *err) {
  cons_piece *p = cons_compose(&(cons_wish){.seed = j->seed + (uint64_t)i, .seconds = JUDGE_SECONDS}, err);
  if (!p) return err->status;
  audio_buffer b = {0};
  char name[40], *path = NULL;
  const judge_field fields[] = {{"duration", "20"}, {NULL, NULL}};
  ace_status status = judge_song(j, p, seed, fields, &b, err);
  if (status == ACE_OK) status = listen(p, &b, out, err);
  snprintf(name, sizeof name, "prompt-%d-seed-%u", i, (unsigned)seed);
  if (status == ACE_OK && j->keep && !(path = judge_save(j, name, &b, err))) status = err->status;
  free(path);
  audio_buffer_free(&b);
  cons_piece_free(p);
  return status;
}

static double percent(const heard *h, int n, bool (*what)(const heard *)) {
  int right = 0;
  for (int i = 0; i < n; i++) right += what(&h[i]);
  return 100.0 * right / n;
}

static bool tempo(const heard *h) {
  return h->tempo;
}
static bool key(const heard *h) {
  return h->key;
}
static bool drums(const heard *h) {
  return h->drums;
}
static bool bass(const heard *h) {
  return h->bass;
}
static bool voice(const heard *h) {
  return h->voice;
}
static bool lead(const heard *h) {
  return h->lead;
}

/* How far songs of other captions lie from each other, in distances between seeds of one caption. */
static ace_status compare(const judge *j, const heard *h, ace_error *err) {
  int again = j->count < AGAIN ? j->count : AGAIN, pairs = 0;
  double seeds = 0, captions = 0;
  for (int i = 0; i < again; i++) {
    heard other;
    ace_status status = sing(j, i, OTHER_SEED, &other, err);
    if (status != ACE_OK) return status;
    seeds += hear_distance(h[i].features, other.features) / again;
    for (int k = i + 1; k < again; k++) captions += hear_distance(h[i].features, h[k].features), pairs++;
  }
  printf("distance between captions %.2f, between seeds %.2f\n", captions / pairs, seeds);
  judge_line("captions: distance over that of seeds", captions / pairs / seeds, 3, "");
  return ACE_OK;
}

ace_status judge_prompts(const judge *j, ace_error *err) {
  heard *h = calloc((size_t)j->count, sizeof *h);
  ace_status status = h ? ACE_OK : ace_fail(err, ACE_ENOMEM, "judge: out of memory");
  for (int i = 0; i < j->count && status == ACE_OK; i++) {
    status = sing(j, i, SONG_SEED, &h[i], err);
    judge_tell(j, "prompts", i + 1);
  }
  if (status == ACE_OK) {
    double band[] = {percent(h, j->count, drums), percent(h, j->count, bass), percent(h, j->count, voice),
                     percent(h, j->count, lead)};
    judge_line("tempo within 4% (octave allowed)", percent(h, j->count, tempo), 85, "%");
    judge_line("key right or relative", percent(h, j->count, key), 75, "%");
    printf("drums %.0f%%, bass %.0f%%, voice %.0f%%, lead %.0f%%\n", band[0], band[1], band[2], band[3]);
    judge_line("instruments as asked", (band[0] + band[1] + band[2] + band[3]) / 4, 85, "%");
    if (j->engine) status = compare(j, h, err);
  }
  free(h);
  return status;
}
