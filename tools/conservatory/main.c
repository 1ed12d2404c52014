/* conservatory - composes and renders pieces into a folder that `acestep dataset scan` reads.
 *
 *   conservatory --seed 1 --count 100 --seconds 30 -o pieces            000001.wav, 000001.json, 000001.lyrics.txt, ...
 *   conservatory --seed 1 --seconds 30 -o pieces --stems                and pieces.stems/000001/drums.wav, ...
 *   conservatory --list-styles
 *   conservatory measure FILE...                                        tempo, key and tracks as they are heard
 *   conservatory audit --seed 1 --count 40 --seconds 20                 the ear against the truth of pieces made in memory
 *   conservatory learn --seed 1 --count 700 --seconds 8                 prints presence_table.h
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/write.h"
#include "base/file.h"
#include "base/pool.h"
#include "conservatory/audit.h"
#include "conservatory/describe.h"
#include "conservatory/presence.h"
#include "conservatory/render.h"
#include "conservatory/style.h"

typedef struct order {
  cons_wish wish; /* the first one's seed */
  int count, threads;
  bool stems;
  audio_format format;
  const char *folder, *verb; /* verb: audit, learn, or NULL */
  const waves *waves;
  atomic_int failed;
} order;

static int usage(FILE *to) {
  fputs(
      "conservatory --seed N --count M --seconds S -o DIR [--stems] [--style NAME] [--format wav|wav32|flac|mp3|opus] "
      "[-j THREADS]\n"
      "conservatory --list-styles\n"
      "conservatory measure FILE...\n"
      "conservatory audit|learn --seed N --count M --seconds S [--style NAME] [-j THREADS]\n"
      "Piece number k has the seed N + k. Beside each sound lie a JSON with all that is true of it, and its lyrics.\n",
      to);
  return to == stdout ? 0 : 2;
}

/* ---- one piece ----------------------------------------------------------------------------------------------------- */

static ace_status put_text(const char *path, const char *text, ace_error *err) {
  return text ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
}

static ace_status put_words(const order *o, const cons_piece *p, ace_error *err) {
  char path[4096];
  json_t *truth = cons_describe(p);
  char *text = truth ? json_dumps(truth, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
  snprintf(path, sizeof path, "%s/%06llu.json", o->folder, (unsigned long long)p->seed);
  ace_status status = put_text(path, text, err);
  if (status == ACE_OK && p->lines) { /* a lyrics file says that somebody sings */
    snprintf(path, sizeof path, "%s/%06llu.lyrics.txt", o->folder, (unsigned long long)p->seed);
    status = put_text(path, json_text(truth, "lyrics"), err);
  }
  free(text);
  json_decref(truth);
  return status;
}

static ace_status put_sound(const order *o, const cons_piece *p, const cons_sound *s, ace_error *err) {
  char path[4096];
  const char *extension = audio_format_extension(o->format);
  unsigned long long seed = p->seed;
  snprintf(path, sizeof path, "%s/%06llu.%s", o->folder, seed, extension);
  ace_status status = audio_write(path, &s->mix, o->format, NULL, NULL, NULL, err);
  if (!o->stems) return status;
  snprintf(path, sizeof path, "%s.stems/%06llu", o->folder, seed);
  if (status == ACE_OK) status = file_make_directory(path, err);
  for (int t = 0; t < TRACK_COUNT && status == ACE_OK; t++) {
    if (!s->stem[t].samples) continue;
    snprintf(path, sizeof path, "%s.stems/%06llu/%s.%s", o->folder, seed, cons_track_names[t], extension);
    status = audio_write(path, &s->stem[t], o->format, NULL, NULL, NULL, err);
  }
  return status;
}

static void make_piece(void *arg, int index, int worker) {
  order *o = arg;
  ace_error err = {0};
  cons_wish wish = o->wish;
  cons_sound sound = {0};
  if (atomic_load(&o->failed)) return;
  wish.seed += (uint64_t)index;
  cons_piece *p = cons_compose(&wish, &err);
  ace_status status = p ? cons_render(p, o->waves, &sound, &err) : err.status;
  if (status == ACE_OK) status = put_sound(o, p, &sound, &err);
  if (status == ACE_OK) status = put_words(o, p, &err); /* last: a piece with its JSON is complete */
  if (status != ACE_OK && !atomic_exchange(&o->failed, 1)) fprintf(stderr, "conservatory: %s\n", err.message);
  cons_sound_free(&sound);
  cons_piece_free(p);
}

/* ---- the command line ---------------------------------------------------------------------------------------------- */

static int list_styles(void) {
  for (int i = 0; i < style_count(); i++)
    printf("%-14s %3d-%3d BPM\n", style_at(i)->name, style_at(i)->bpm_least, style_at(i)->bpm_most);
  return 0;
}

static bool read_number(const char *text, double least, double most, const char *name, double *out) {
  char *end;
  *out = strtod(text, &end);
  if (*text && !*end && *out >= least && *out <= most) return true;
  fprintf(stderr, "conservatory: %s: \"%s\" is outside %g..%g\n", name, text, least, most);
  return false;
}

/* 0: go on; else the exit status plus one. */
static int read_arguments(int argc, char **argv, order *o) {
  enum { SEED = 256, COUNT, SECONDS, STEMS, STYLE, FORMAT, LIST, HELP };
  static const struct option options[] = {
      {"seed", 1, NULL, SEED},        {"count", 1, NULL, COUNT}, {"seconds", 1, NULL, SECONDS},
      {"stems", 0, NULL, STEMS},      {"style", 1, NULL, STYLE}, {"format", 1, NULL, FORMAT},
      {"list-styles", 0, NULL, LIST}, {"help", 0, NULL, HELP},   {NULL, 0, NULL, 0}};
  double x;
  ace_error err = {0};
  for (int c; (c = getopt_long(argc, argv, "o:j:h", options, NULL)) != -1;) {
    bool good = true;
    switch (c) {
      case SEED:
        good = read_number(optarg, 0, 9007199254740992.0, "--seed", &x), o->wish.seed = good ? (uint64_t)x : 0;
        break;
      case COUNT: good = read_number(optarg, 1, 1000000, "--count", &x), o->count = good ? (int)x : 0; break;
      case SECONDS: good = read_number(optarg, 2, 600, "--seconds", &x), o->wish.seconds = x; break;
      case 'j': good = read_number(optarg, 0, 256, "-j", &x), o->threads = good ? (int)x : 0; break;
      case STYLE:
        o->wish.style = style_find(optarg);
        if (!o->wish.style)
          good = false, fprintf(stderr, "conservatory: no style \"%s\"; --list-styles names them\n", optarg);
        break;
      case FORMAT:
        good = audio_format_from_name(optarg, &o->format, &err) == ACE_OK;
        if (!good) fprintf(stderr, "conservatory: %s\n", err.message);
        break;
      case STEMS: o->stems = true; break;
      case 'o': o->folder = optarg; break;
      case LIST: return list_styles() + 1;
      case 'h':
      case HELP: return usage(stdout) + 1;
      default: return usage(stderr) + 1;
    }
    if (!good) return 3;
  }
  return optind == argc && (o->folder != NULL) == !o->verb ? 0 : usage(stderr) + 1;
}

static int measure(int count, char **paths) {
  ace_error err = {0};
  for (int i = 0; i < count; i++)
    if (audit_file(paths[i], stdout, &err) != ACE_OK) return fprintf(stderr, "conservatory: %s\n", err.message), 1;
  return count ? 0 : usage(stderr);
}

static ace_status carry_out(order *o, pool *threads, ace_error *err) {
  if (o->verb && strcmp(o->verb, "audit") == 0) return audit(&o->wish, o->count, true, o->waves, threads, stdout, err);
  if (o->verb) return presence_learn(&o->wish, o->count, o->waves, threads, stdout, err);
  ace_status status = file_make_directory(o->folder, err);
  if (status == ACE_OK) pool_run(threads, o->count, make_piece, o);
  return status;
}

int main(int argc, char **argv) {
  order o = {.wish = {.seed = 1, .seconds = 30}, .count = 1, .format = AUDIO_WAV};
  if (argc > 1 && strcmp(argv[1], "measure") == 0) return measure(argc - 2, argv + 2);
  if (argc > 1 && (strcmp(argv[1], "audit") == 0 || strcmp(argv[1], "learn") == 0)) o.verb = argv[1], argc--, argv++;
  int done = read_arguments(argc, argv, &o);
  if (done) return done - 1;
  ace_error err = {0};
  waves *w = waves_new(&err);
  pool *threads = w ? pool_new(o.threads, &err) : NULL;
  o.waves = w;
  ace_status status = threads ? carry_out(&o, threads, &err) : err.status;
  if (status != ACE_OK) fprintf(stderr, "conservatory: %s\n", err.message);
  pool_free(threads);
  free(w);
  return status != ACE_OK || atomic_load(&o.failed) ? 1 : 0;
}
