/* miniature - begins the small set of models that comes with the program.
 *
 *   miniature scale --vae run/final/vae --seed 1 --count 100 -o scaled   the same autoencoder, its latents of size 1
 *   miniature models --vae scaled -o models                             untrained models around it
 *   miniature pieces --vae models/vae --seed 1 --count 2000 --seconds 20 -o pieces
 *
 * `acestep train pieces --full PART --models models` does the rest; docs/TRAINING.md.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "miniature/miniature.h"

static int usage(FILE *to) {
  fputs(
      "miniature models --vae DIR -o DIR\n"
      "miniature pieces --vae DIR -o DIR [--seed N] [--count M] [--seconds S] [--tracks K] [-j THREADS]\n"
      "Piece number k has the seed N + k; with each, the latents of up to K of its tracks, and of the mix without "
      "them.\n",
      to);
  return to == stdout ? 0 : 2;
}

static bool number(const char *text, const char *name, double least, double most, double *out) {
  char *end;
  *out = strtod(text, &end);
  if (*text && !*end && *out >= least && *out <= most) return true;
  fprintf(stderr, "miniature: %s: \"%s\" is outside %g..%g\n", name, text, least, most);
  return false;
}

static bool read_arguments(int argc, char **argv, miniature_order *o, int *threads) {
  enum { VAE = 256, SEED, COUNT, SECONDS, TRACKS };
  static const struct option options[] = {{"vae", 1, NULL, VAE},       {"seed", 1, NULL, SEED},
                                          {"count", 1, NULL, COUNT},   {"seconds", 1, NULL, SECONDS},
                                          {"tracks", 1, NULL, TRACKS}, {NULL, 0, NULL, 0}};
  bool good = true;
  double x = 0;
  for (int c; good && (c = getopt_long(argc, argv, "o:j:", options, NULL)) != -1;) switch (c) {
      case VAE: o->vae = optarg; break;
      case SEED: good = number(optarg, "--seed", 0, 9007199254740992.0, &x), o->seed = good ? (uint64_t)x : 0; break;
      case COUNT: good = number(optarg, "--count", 1, 1000000, &x), o->count = (int)x; break;
      case SECONDS: good = number(optarg, "--seconds", 2, 600, &o->seconds); break;
      case TRACKS: good = number(optarg, "--tracks", 0, 12, &x), o->tracks = (int)x; break;
      case 'j': good = number(optarg, "-j", 1, 256, &x), *threads = (int)x; break;
      case 'o': o->folder = optarg; break;
      default: good = false;
    }
  return good && optind == argc && o->folder && o->vae;
}

int main(int argc, char **argv) {
  miniature_order o = {.seed = 1, .count = 1, .seconds = 20, .tracks = 2};
  int threads = 0;
  ace_error err = {0};
  static const struct {
    const char *name;
    ace_status (*run)(const miniature_order *o, ace_error *err);
  } verbs[] = {{"scale", miniature_scale}, {"models", miniature_models}, {"pieces", miniature_pieces}};
  int verb = 2;
  while (verb >= 0 && (argc < 2 || strcmp(argv[1], verbs[verb].name) != 0)) verb--;
  if (verb < 0) return usage(stderr);
  if (!read_arguments(argc - 1, argv + 1, &o, &threads)) return usage(stderr);
  o.threads = pool_new(threads, &err);
  ace_status status = o.threads ? verbs[verb].run(&o, &err) : err.status;
  if (status != ACE_OK) fprintf(stderr, "miniature: %s\n", err.message);
  pool_free(o.threads);
  return status != ACE_OK;
}
