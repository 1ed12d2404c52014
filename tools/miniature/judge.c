/* judge - what a small set of models has learned, as the ear of the conservatory measures it (hear.h, presence.h).
 *
 *   judge MODELS [--count N] [--seed N] [--steps N] [--guidance X] [--only prompts|edits] [--keep DIR]
 *   judge truth ...
 *
 * Prompts are those of pieces with seeds from N (500001) on, which nothing is trained on. "truth" judges what the
 * conservatory itself makes of them: what the ear could give at best. Edits are a base model's work. One line a figure:
 * measured, wanted. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/write.h"
#include "base/file.h"
#include "base/json.h"
#include "conservatory/describe.h"
#include "conservatory/render.h"
#include "miniature/judge.h"

void judge_line(const char *name, double measured, double aim, const char *unit) {
  printf("%-44s %7.2f  wanted %6.2f %-3s %s\n", name, measured, aim, unit, measured >= aim ? "yes" : "no");
  fflush(stdout);
}

void judge_tell(const judge *j, const char *what, int i) {
  fprintf(stderr, "\r%s: %d of %d   %s", what, i, j->count, i == j->count ? "\n" : "");
}

static ace_status fill(ace_request *r, const judge *j, const cons_piece *p, uint32_t seed, const judge_field *more,
                       ace_error *err) {
  json_t *about = cons_describe(p);
  char number[2][24];
  const char *lyrics = json_text(about, "lyrics");
  snprintf(number[0], sizeof number[0], "%d", p->bpm);
  snprintf(number[1], sizeof number[1], "%u", (unsigned)seed);
  const judge_field usual[] = {{"caption", json_text(about, "caption")},
                               {"lyrics", *lyrics ? lyrics : "[Instrumental]"},
                               {"bpm", number[0]},
                               {"keyscale", json_text(about, "keyscale")},
                               {"timesignature", json_text(about, "timesignature")},
                               {"vocal_language", json_text(about, "language")},
                               {"seed", number[1]},
                               {"thinking", "false"},
                               {"inference_steps", j->steps},
                               {"guidance_scale", j->guidance}};
  ace_status status = ACE_OK;
  for (size_t i = 0; status == ACE_OK && i < sizeof usual / sizeof *usual; i++)
    if (usual[i].value) status = ace_request_set(r, usual[i].name, usual[i].value, err);
  for (; status == ACE_OK && more && more->name; more++) status = ace_request_set(r, more->name, more->value, err);
  json_decref(about);
  return status;
}

static ace_status truth(const judge *j, const cons_piece *p, audio_buffer *out, ace_error *err) {
  cons_sound s = {0};
  ace_status status = cons_render(p, j->waves, &s, err);
  if (status == ACE_OK) *out = s.mix, s.mix = (audio_buffer){0};
  cons_sound_free(&s);
  return status;
}

ace_status judge_song(const judge *j, const cons_piece *p, uint32_t seed, const judge_field *more, audio_buffer *out,
                      ace_error *err) {
  *out = (audio_buffer){0};
  if (!j->engine) return truth(j, p, out, err);
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  ace_status status = r ? fill(r, j, p, seed, more, err) : ace_fail(err, ACE_ENOMEM, "judge: out of memory");
  ace_result *result = status == ACE_OK ? ace_generate(j->engine, r, NULL, err) : NULL;
  if (result) {
    ace_audio a = ace_result_audio(result, 0);
    status = audio_buffer_new(out, a.frames, a.channels, a.sample_rate, err);
    if (status == ACE_OK) memcpy(out->samples, a.samples, (size_t)(a.frames * a.channels) * sizeof *a.samples);
  } else if (status == ACE_OK) status = err->status;
  ace_result_free(result);
  ace_request_free(r);
  return status;
}

char *judge_save(const judge *j, const char *name, const audio_buffer *b, ace_error *err) {
  char file[80];
  snprintf(file, sizeof file, "%.60s.wav", name);
  char *path = file_join(j->folder, file);
  if (!path) ace_fail(err, ACE_ENOMEM, "judge: out of memory");
  else if (audio_write(path, b, AUDIO_WAV32, NULL, NULL, NULL, err) == ACE_OK) return path;
  free(path);
  return NULL;
}

/* ---- the program -------------------------------------------------------------------------------------------------- */

static int usage(void) {
  fputs("judge MODELS|truth [--count N] [--seed N] [--steps N] [--guidance X] [--only prompts|edits] [--keep DIR]\n",
        stderr);
  return 2;
}

static bool read_arguments(int argc, char **argv, judge *j, const char **only) {
  enum { COUNT = 256, SEED, STEPS, GUIDANCE, ONLY, KEEP };
  static const struct option options[] = {
      {"count", 1, NULL, COUNT}, {"seed", 1, NULL, SEED}, {"steps", 1, NULL, STEPS}, {"guidance", 1, NULL, GUIDANCE},
      {"only", 1, NULL, ONLY},   {"keep", 1, NULL, KEEP}, {NULL, 0, NULL, 0}};
  bool good = true;
  for (int c; good && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
      case COUNT: j->count = atoi(optarg), good = j->count >= 2 && j->count <= 1000; break;
      case SEED: j->seed = strtoull(optarg, NULL, 10); break;
      case STEPS: j->steps = optarg; break;
      case GUIDANCE: j->guidance = optarg; break;
      case ONLY: *only = optarg; break;
      case KEEP: j->folder = strdup(optarg), j->keep = true; break;
      default: good = false;
    }
  return good && optind == argc - 1;
}

/* `model`: NULL: the usual one. */
static ace_status open_models(judge *j, const char *model, ace_error *err) {
  ace_engine_close(j->engine);
  j->engine = ace_engine_open(j->models, &(ace_engine_options){.model = model}, err);
  return j->engine ? ACE_OK : err->status;
}

static ace_status run(judge *j, const char *models, const char *only, ace_error *err) {
  char own[] = "/tmp/judge.XXXXXX";
  if (!j->folder && !(mkdtemp(own) && (j->folder = strdup(own)))) return ace_fail_errno(err, "judge: %s", own);
  j->models = models;
  ace_status status = j->keep ? file_make_directory(j->folder, err) : ACE_OK;
  if (status == ACE_OK && !(j->waves = waves_new(err))) status = err->status;
  bool made = strcmp(models, "truth") != 0;
  if (status == ACE_OK && (!only || strcmp(only, "prompts") == 0)) {
    if (made) status = open_models(j, NULL, err);
    if (status == ACE_OK) status = judge_prompts(j, err);
  }
  if (status == ACE_OK && made && (!only || strcmp(only, "edits") == 0)) {
    status = open_models(j, "acestep-v15-base", err);
    if (status == ACE_OK) status = judge_edits(j, err);
  }
  return status;
}

int main(int argc, char **argv) {
  ace_error err = {0};
  judge j = {.count = 40, .seed = 500001};
  const char *only = NULL;
  if (!read_arguments(argc, argv, &j, &only)) return usage();
  ace_status status = run(&j, argv[optind], only, &err);
  if (status != ACE_OK) fprintf(stderr, "\njudge: %s\n", err.message);
  if (j.folder && !j.keep) file_remove_tree(j.folder, NULL);
  ace_engine_close(j.engine);
  free(j.waves), free(j.folder);
  return status != ACE_OK;
}
