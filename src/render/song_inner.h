/* song_inner.h - what the files of song.h share: the host side of one job, prepared before any tensor exists. */
#ifndef ACE_RENDER_SONG_INNER_H
#define ACE_RENDER_SONG_INNER_H

#include "base/rng.h"
#include "render/region.h"
#include "render/sampler.h"
#include "render/schedule.h"
#include "render/song.h"
#include "render/task.h"

typedef struct song_inputs {
  const task_rule *task;
  int64_t frames;                      /* T */
  bpe_ids text, lyric;                 /* the prompts */
  bpe_ids other_text;                  /* of the steps behind audio_cover_strength, or what the source of an edit is;
                                          empty when there are none */
  bpe_ids other_lyric;                 /* of the source of an edit */
  const int32_t *codes[REQ_BATCH_MAX]; /* 5 Hz codes that each item follows */
  size_t n_codes;                      /* of each; 0: none */
  bool own_codes;                      /* items differ in their codes */
  int32_t *pasted;                     /* codes of the request, owned */
  bool encodes;                        /* there is a source, and it is not silent */
  bool own_source;                     /* items differ in the latents of their source: they are sampled */
  region region;                       /* of the source */
  float *mask;                         /* [items, T], 1 = make; owned; NULL without a region */
  float levels[SCHEDULE_CAPACITY];
  int n_levels;
} song_inputs;

/* Prompts, codes and schedule. song_inputs_free also after a failure. */
ace_status song_inputs_make(const song_models *m, const song_job *job, song_inputs *in, ace_error *err);
void song_inputs_free(song_inputs *in);
/* Codes or a source steer the song. */
bool song_is_steered(const song_job *job, const song_inputs *in);

/* What the sampler is asked to do. */
sampler_params song_sampler_params(const song_job *job, const song_inputs *in);

/* Tokens as a tensor [1, n]. */
tens *song_ids(tens_ctx *c, const bpe_ids *ids);

/* What is drawn for each item; noise comes first from an item's generator, then everything else: reference, source,
 * steps. The draws of an edit come from a generator of their own, whose seed is that of the retake if there is one. */
typedef struct song_noise {
  rng_noise generator[REQ_BATCH_MAX], edit[REQ_BATCH_MAX];
  float *noise;  /* [items, T, 64] */
  float *retake; /* the same; NULL: no variation */
  float *timbre; /* [items, timbre_frames, 64]; NULL: silence */
  float *source; /* latents of the source, [items, T, 64] when items differ in them, else [1, T, 64]; NULL: none */
} song_noise;

/* A job whose inputs are there: prompts, codes, noise, recordings as latents. */
typedef struct song_ready {
  song_inputs in;
  song_noise drawn;
  audio_buffer source; /* with its head and tail */
  bool padded;
} song_ready;

/* Reports its work to `p`. song_unready also after a failure. */
ace_status song_make_ready(tens_ctx *c, const song_models *m, const song_job *job, const song_plan *plan, progress *p,
                           song_ready *ready, ace_error *err);
void song_unready(song_ready *ready);

/* What items first..first+group-1 are made from: the main condition, in the context. `drawn` as below. */
bool song_condition(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in,
                    const song_noise *drawn, int first, int group, sampler_condition *out);

/* Diffuses items first..first+group-1 into latents [group, T, 64], which live in the context. `p` may be NULL. When the
 * context only plans, `drawn` and `plan` may be NULL. */
tens *song_diffuse(tens_ctx *c, const song_models *m, const song_job *job, const song_inputs *in, const song_plan *plan,
                   song_noise *drawn, int first, int group, progress *p);

/* Peaks of tens_peak in a context for one worker. */
typedef struct song_arenas {
  size_t encode, diffuse, decode, most;
} song_arenas;

/* diffuse is 0 after a failure. */
song_arenas song_arenas_of(const song_models *m, const song_job *job, const song_inputs *in, int group, int64_t core,
                           ace_error *err);
song_memory song_memory_of(const song_models *m, const song_job *job, const song_inputs *in, const song_budget *b,
                           const song_arenas *a, bool release);

/* Sets the total. */
void song_memory_add_up(song_memory *m);

/* Parts of song_work; a step's is that of one item, the source's that of all. */
double song_step_work(const song_models *m, const song_inputs *in, const sampler_params *p, int step);
double song_condition_work(const song_models *m, const song_inputs *in);
double song_source_work(const song_models *m, const song_inputs *in);

#endif
