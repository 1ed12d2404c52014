/* judge_prompts.c - songs for the prompts of pieces: whether tempo, key and instruments are those that were asked for, and
 * whether the caption matters more than the seed. */
#include <stdlib.h>
#include <string.h>

#include "conservatory/audit.h"
#include "miniature/judge.h"

enum { SONG_SEED = 1, OTHER_SEED = 2, AGAIN = 10 /* prompts sung with another seed too */ };

enum { TEMPO, KEY, DRUMS, BASS, VOICE, LEAD, FIGURES };

typedef struct heard {
  bool right[FIGURES];
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
  static const struct {
    int figure;
    cons_track track;
  } band[] = {{DRUMS, TRACK_DRUMS}, {BASS, TRACK_BASS}, {VOICE, TRACK_VOCALS}};
  audit_hearing ear;
  ace_status status = audit_hear(p, b, &ear, err);
  if (status != ACE_OK) return status;
  out->right[TEMPO] = ear.tempo_agrees;
  out->right[KEY] = ear.key_agrees > 0;
  for (int i = 0; i < 3; i++) out->right[band[i].figure] = ear.hears[band[i].track] == cons_plays(p, band[i].track);
  cons_track lead = lead_of(p);
  out->right[LEAD] = lead == TRACK_COUNT || ear.hears[lead];
  memcpy(out->features, ear.features, sizeof out->features);
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

static double percent(const heard *h, int n, int figure) {
  int right = 0;
  for (int i = 0; i < n; i++) right += h[i].right[figure];
  return 100.0 * right / n;
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
    double rate[FIGURES];
    for (int f = 0; f < FIGURES; f++) rate[f] = percent(h, j->count, f);
    judge_line("tempo within 4% (octave allowed)", rate[TEMPO], 85, "%");
    judge_line("key right or relative", rate[KEY], 75, "%");
    printf("drums %.0f%%, bass %.0f%%, voice %.0f%%, lead %.0f%%\n", rate[DRUMS], rate[BASS], rate[VOICE], rate[LEAD]);
    judge_line("instruments as asked", (rate[DRUMS] + rate[BASS] + rate[VOICE] + rate[LEAD]) / 4, 85, "%");
    if (j->engine) status = compare(j, h, err);
  }
  free(h);
  return status;
}
