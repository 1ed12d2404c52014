#include "conservatory/audit.h"

#include <stdlib.h>
#include <string.h>

#include "audio/read.h"
#include "base/json.h"
#include "conservatory/presence.h"
#include "conservatory/render.h"
#include "conservatory/style.h"

/* ---- many pieces ------------------------------------------------------------------------------------------------------ */

typedef struct heard {
  const cons_style *style;
  uint64_t seed;
  int bpm, metre, tonic;
  bool minor, has[TRACK_COUNT];
  audit_hearing ear;
  ace_status status;
} heard;

typedef struct audit_job {
  const cons_wish *wish;
  const waves *waves;
  heard *heard;
} audit_job;

ace_status audit_hear(const cons_piece *p, const audio_buffer *sound, audit_hearing *out, ace_error *err) {
  hear_sound h;
  ace_status status = hear_open(&h, sound, err);
  if (status != ACE_OK) return status;
  out->tempo = hear_tempo(&h);
  out->key = hear_key_of(&h);
  out->tempo_agrees = hear_tempo_agrees(out->tempo, p->bpm, 0.04);
  out->key_agrees = hear_key_agrees(out->key, p->key, cons_is_minor(p->mode));
  hear_features(&h, out->features);
  double chance[TRACK_COUNT];
  presence_hear(&h, chance);
  for (int t = 0; t < TRACK_COUNT; t++) out->hears[t] = chance[t] > 0.5;
  hear_close(&h);
  return ACE_OK;
}

static void one(void *arg, int index, int worker) {
  audit_job *job = arg;
  heard *out = &job->heard[index];
  cons_wish wish = *job->wish;
  cons_sound sound = {0};
  wish.seed += (uint64_t)index;
  cons_piece *p = cons_compose(&wish, NULL);
  out->status = p ? cons_render(p, job->waves, &sound, NULL) : ACE_ENOMEM;
  if (out->status == ACE_OK) {
    out->style = p->style, out->seed = p->seed, out->bpm = p->bpm, out->metre = p->metre;
    out->tonic = p->key, out->minor = cons_is_minor(p->mode);
    for (int t = 0; t < TRACK_COUNT; t++) out->has[t] = cons_plays(p, (cons_track)t);
    out->status = audit_hear(p, &sound.mix, &out->ear, NULL);
  }
  cons_sound_free(&sound);
  cons_piece_free(p);
}

static void print_one(const heard *h, FILE *out) {
  static const char *const keys[] = {"C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"};
  fprintf(out, "%6llu %-14s %3d BPM in %d, heard %5.1f %s   %-2s %s, heard %-2s %s %s\n", (unsigned long long)h->seed,
          h->style->name, h->bpm, h->metre, h->ear.tempo, h->ear.tempo_agrees ? "yes" : "NO ", keys[h->tonic],
          h->minor ? "minor" : "major", keys[h->ear.key.tonic], h->ear.key.minor ? "minor" : "major",
          h->ear.key_agrees == 2 ? "yes"
          : h->ear.key_agrees    ? "relative"
                                 : "NO");
}

/* How often each track is heard where it is, and not where it is not. */
static void print_tracks(const heard *h, int count, FILE *out) {
  for (int t = 0; t < TRACK_COUNT; t++) {
    int there = 0, right = 0;
    for (int i = 0; i < count; i++) there += h[i].has[t], right += h[i].has[t] == h[i].ear.hears[t];
    fprintf(out, "  %-14s in %5.1f%%, heard right in %5.1f%%\n", cons_track_names[t], 100.0 * there / count,
            100.0 * right / count);
  }
}

static void print_all(const heard *h, int count, FILE *out) {
  int tempo = 0, exact = 0, relative = 0, pairs = 0;
  double apart = 0;
  for (int i = 0; i < count; i++) {
    tempo += h[i].ear.tempo_agrees, exact += h[i].ear.key_agrees == 2, relative += h[i].ear.key_agrees == 1;
    for (int k = i + 1; k < count && k < i + 20; k++)
      apart += hear_distance(h[i].ear.features, h[k].ear.features), pairs++;
  }
  fprintf(out, "%d pieces: tempo within 4%% (octave allowed) %.1f%%; key right %.1f%%, right or relative %.1f%%", count,
          100.0 * tempo / count, 100.0 * exact / count, 100.0 * (exact + relative) / count);
  if (pairs) fprintf(out, "; mean feature distance between pieces %.2f", apart / pairs);
  fputs("\n", out);
  print_tracks(h, count, out);
}

ace_status audit(const cons_wish *wish, int count, bool each, const waves *w, pool *threads, FILE *out,
                 ace_error *err) {
  heard *all = calloc((size_t)count, sizeof *all);
  ace_status status = all ? ACE_OK : ace_fail(err, ACE_ENOMEM, "audit: out of memory");
  audit_job job = {wish, w, all};
  if (all) pool_run(threads, count, one, &job);
  for (int i = 0; i < count && status == ACE_OK; i++) {
    if (all[i].status != ACE_OK) status = ace_fail(err, all[i].status, "audit: piece %d could not be made or heard", i);
    else if (each) print_one(&all[i], out);
  }
  if (status == ACE_OK) print_all(all, count, out);
  free(all);
  return status;
}

/* ---- one file ---------------------------------------------------------------------------------------------------------- */

/* {} where there is none. */
static json_t *truth_beside(const char *path) {
  char beside[4096];
  const char *dot = strrchr(path, '.');
  snprintf(beside, sizeof beside, "%.*s.json", dot ? (int)(dot - path) : (int)strlen(path), path);
  json_t *truth = json_parse_file(beside, 1 << 22, NULL);
  return truth ? truth : json_object();
}

ace_status audit_file(const char *path, FILE *out, ace_error *err) {
  static const char *const keys[] = {"C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"};
  audio_buffer sound = {0};
  hear_sound h = {0};
  ace_status status = audio_read(path, &sound, err);
  if (status == ACE_OK) status = audio_to_model(&sound, CONS_RATE, err);
  if (status == ACE_OK) status = hear_open(&h, &sound, err);
  if (status == ACE_OK) {
    hear_key key = hear_key_of(&h);
    json_t *truth = truth_beside(path);
    int bpm = (int)json_integer_value(json_object_get(truth, "bpm"));
    fprintf(out, "%s: %.1f s, %.1f BPM, %s %s (%.2f)", path, audio_seconds(&sound), hear_tempo(&h), keys[key.tonic],
            key.minor ? "minor" : "major", key.sure);
    if (bpm) fprintf(out, "; says %d BPM, %s", bpm, json_text(truth, "keyscale"));
    double chance[TRACK_COUNT];
    presence_hear(&h, chance);
    for (int t = 0, first = 1; t < TRACK_COUNT; t++)
      if (chance[t] > 0.5) fprintf(out, "%s%s", first ? "; hears " : ", ", cons_track_names[t]), first = 0;
    fputs("\n", out);
    json_decref(truth);
  }
  hear_close(&h);
  audio_buffer_free(&sound);
  return status;
}
