/* look.h - a finished song seen through the diffusion transformer once more: at each moment, which words of the lyrics
 * is it looking at?
 *
 *   look_words words;
 *   look_words_make(&models, &job, &words, &err);                     // the tokens of the lyrics
 *   ... look_memory, a context ...
 *   look_run(c, &models, &job, &plan, &progress, &look, &words, &err);
 *   look_words_free(&words);
 *
 * The song's latents x0 get noise n of seed 42, x_t = t n + (1 - t) x0, and one evaluation of the model at t shows the
 * attention of the heads that follow the lyrics (models/dit_probe.h). At t = 1 nothing of the song is left: what is
 * seen then is what the words alone suggest.
 */
#ifndef ACE_RENDER_LOOK_H
#define ACE_RENDER_LOOK_H

#include "render/song.h"

typedef struct look_words {
  int32_t *id; /* as far as the model read them; owned */
  size_t n;
  int64_t first;   /* place of id[0] in the condition */
  int64_t patches; /* moments of the song */
  double seconds;  /* all of them together */
} look_words;

/* The lyrics of a job of one item. A song without a voice is ACE_EINVAL. On failure `out` is empty. */
ace_status look_words_make(const song_models *m, const song_job *job, look_words *out, ace_error *err);
void look_words_free(look_words *w);

typedef struct look_job {
  const song_latents *latents; /* of the job's item */
  const double *levels;        /* t, above 0 and at most 1 */
  int n_levels;
  /* Each head at each level: map [n, patches], valid during the call. A failure ends the run. */
  ace_status (*see)(void *user, int level, const float *map, ace_error *err);
  void *user;
} look_job;

/* Bytes of a context for that; SIZE_MAX when it cannot be planned. plan: of the job, for its recordings. */
size_t look_memory(const song_models *m, const song_job *job, const song_plan *plan);
/* Work of that, in the unit of song_work. */
double look_work(const song_models *m, const song_job *job, int levels);
ace_status look_run(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                    const look_job *look, const look_words *words, ace_error *err);

#endif
