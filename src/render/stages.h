/* stages.h - the stages of a job one at a time and under a stopwatch, on the very inputs that song_render would give
 * them.
 *
 *   song_stages *s = song_stages_open(c, &models, &job, &plan, &err);
 *   song_timing t;
 *   if (song_stage_run(s, SONG_DIT_STEP, &t, &err) == ACE_OK) ...      // as often as needed
 *   song_stages_close(s);
 */
#ifndef ACE_RENDER_STAGES_H
#define ACE_RENDER_STAGES_H

#include "render/song.h"

typedef enum song_stage {
  SONG_TEXT_ENCODER,
  SONG_CONDITION_ENCODER, /* with the keys and values of the cross-attention */
  SONG_DIT_STEP,          /* one step of the sampler over a group of items, guidance included */
  SONG_LINEAR,            /* the linear layers of such a step alone, one evaluation */
  SONG_VAE_ENCODE,        /* a recording as long as the song */
  SONG_VAE_DECODE,        /* one item */
  SONG_STAGES
} song_stage;

/* "text_encoder", ... */
const char *song_stage_name(song_stage stage);

typedef struct song_timing {
  double seconds, flops; /* a multiply-add is two */
} song_timing;

typedef struct song_stages song_stages;

/* c: at least song_stages_memory bytes. `job` is text to music and, like everything else here, borrowed;
 * NULL after a failure. */
song_stages *song_stages_open(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan,
                              ace_error *err);
/* 0 after a failure. */
size_t song_stages_memory(const song_models *m, const song_job *job, const song_plan *plan, ace_error *err);
void song_stages_close(song_stages *s);
ace_status song_stage_run(song_stages *s, song_stage stage, song_timing *t, ace_error *err);
/* What the prompts and the song are long. */
void song_stages_lengths(const song_stages *s, int64_t *text, int64_t *lyric, int64_t *frames);

#endif
