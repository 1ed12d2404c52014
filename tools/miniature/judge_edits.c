/* judge_edits.c - work on recordings: a part made anew, tracks taken out of mixes that were never trained on. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conservatory/audit.h"
#include "conservatory/render.h"
#include "miniature/judge.h"
#include "miniature/through.h"

enum { FROM = 6, TO = 14, MARGIN = 1 /* seconds; where old and new may flow into each other */, SEED = 3 };

static audio_buffer part(const audio_buffer *b, int from, int to) {
  return (audio_buffer){b->samples + (int64_t)from * b->sample_rate * b->channels,
                        (int64_t)(to - from) * b->sample_rate, b->channels, b->sample_rate};
}

/* ---- repaint ------------------------------------------------------------------------------------------------------ */

typedef struct repaints {
  int n, inside, outside;
} repaints;

static bool same(const audio_buffer *a, const audio_buffer *b, int from, int to) {
  audio_buffer x = part(a, from, to), y = part(b, from, to);
  return memcmp(x.samples, y.samples, (size_t)(x.frames * x.channels) * sizeof *x.samples) == 0;
}

static ace_status listen(const cons_piece *p, const audio_buffer *before, const audio_buffer *after, repaints *sum,
                         ace_error *err) {
  audio_buffer inside = part(after, FROM, TO);
  audit_hearing ear;
  ace_status status = audit_hear(p, &inside, &ear, err);
  if (status != ACE_OK) return status;
  sum->n++;
  sum->inside += ear.tempo_agrees && ear.key_agrees > 0;
  sum->outside += same(before, after, 0, FROM - MARGIN) && same(before, after, TO + MARGIN, JUDGE_SECONDS);
  return ACE_OK;
}

/* The source is the piece as the conservatory plays it. */
static ace_status repaint(const judge *j, const cons_piece *p, const cons_sound *s, repaints *sum, ace_error *err) {
  char *path = judge_save(j, "repaint-source", &s->mix, err);
  if (!path) return err->status;
  const judge_field fields[] = {{"task_type", "repaint"},          {"src_audio", path},
                                {"repainting_start", "6"},         {"repainting_end", "14"},
                                {"enable_normalization", "false"}, {NULL, NULL}};
  audio_buffer made = {0};
  ace_status status = judge_song(j, p, SEED, fields, &made, err);
  if (status == ACE_OK) status = listen(p, &s->mix, &made, sum, err);
  audio_buffer_free(&made);
  free(path);
  return status;
}

/* ---- extract ------------------------------------------------------------------------------------------------------ */

typedef struct extracts {
  int n, good;
  double gained, lost; /* dB, sums: over the mix; under the track through the autoencoder */
} extracts;

static ace_status extract(const judge *j, const vae *m, const cons_piece *p, const cons_sound *s, cons_track track,
                          extracts *sum, ace_error *err) {
  char *path = judge_save(j, "extract-source", &s->mix, err), *kept = NULL, name[60];
  if (!path) return err->status;
  const judge_field fields[] = {{"task_type", "extract"},
                                {"src_audio", path},
                                {"track_name", cons_track_names[track]},
                                {"enable_normalization", "false"},
                                {NULL, NULL}};
  audio_buffer made = {0}, best = {0}, wanted = s->stem[track], mix = s->mix;
  ace_status status = judge_song(j, p, SEED, fields, &made, err);
  if (status == ACE_OK) status = through(m, NULL, &wanted, &best, err);
  if (status == ACE_OK) {
    int64_t n = made.frames < best.frames ? made.frames : best.frames;
    made.frames = best.frames = wanted.frames = mix.frames = n;
    double mine = hear_si_sdr(&wanted, &made), gained = mine - hear_si_sdr(&wanted, &mix),
           lost = hear_si_sdr(&wanted, &best) - mine;
    sum->n++, sum->gained += gained, sum->lost += lost;
    sum->good += gained >= 6 || lost <= 1.5;
    snprintf(name, sizeof name, "extract-%llu-%s", (unsigned long long)p->seed, cons_track_names[track]);
    if (j->keep && !(kept = judge_save(j, name, &made, err))) status = err->status;
  }
  audio_buffer_free(&made), audio_buffer_free(&best);
  free(path), free(kept);
  return status;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

static ace_status edit(const judge *j, const vae *m, int i, repaints *painted, extracts taken[3], ace_error *err) {
  static const cons_track tracks[] = {TRACK_DRUMS, TRACK_BASS, TRACK_VOCALS};
  cons_sound s = {0};
  cons_piece *p = cons_compose(&(cons_wish){.seed = j->seed + (uint64_t)i, .seconds = JUDGE_SECONDS}, err);
  ace_status status = p ? cons_render(p, j->waves, &s, err) : err->status;
  if (status == ACE_OK) status = repaint(j, p, &s, painted, err);
  for (int t = 0; t < 3 && status == ACE_OK; t++)
    if (s.stem[tracks[t]].samples) status = extract(j, m, p, &s, tracks[t], &taken[t], err);
  cons_sound_free(&s);
  cons_piece_free(p);
  return status;
}

static void tell(const repaints *painted, const extracts taken[3]) {
  static const char *const names[] = {"extract drums", "extract bass", "extract vocals"};
  judge_line("repaint: tempo and key inside", 100.0 * painted->inside / painted->n, 80, "%");
  judge_line("repaint: unchanged outside", 100.0 * painted->outside / painted->n, 100, "%");
  for (int t = 0; t < 3; t++) {
    const extracts *e = &taken[t];
    if (!e->n) continue;
    printf("%s: SI-SDR %+.1f dB against the mix, %+.1f dB against the autoencoder alone\n", names[t], e->gained / e->n,
           -e->lost / e->n);
    judge_line(names[t], 100.0 * e->good / e->n, 85, "%");
  }
}

ace_status judge_edits(const judge *j, ace_error *err) {
  repaints painted = {0};
  extracts taken[3] = {{0}};
  char *folder = file_join(j->models, "vae");
  vae *m = folder ? vae_open(folder, VAE_ENCODER | VAE_DECODER, err) : NULL;
  ace_status status = m ? ACE_OK : folder ? err->status : ace_fail(err, ACE_ENOMEM, "judge: out of memory");
  for (int i = 0; i < j->count && status == ACE_OK; i++) {
    status = edit(j, m, i, &painted, taken, err);
    judge_tell(j, "edits", i + 1);
  }
  if (status == ACE_OK) tell(&painted, taken);
  vae_close(m);
  free(folder);
  return status;
}
