/* look.h - one look at a piece in the training of a diffusion model: every time another task, in the words that inference
 * would use, from what the task is given to what it should make.
 *
 *   task         source                          mask     target
 *   text2music   silence                         ones     the mix
 *   cover        the mix, to be sent through     ones     the mix
 *                the audio tokenizer
 *   repaint      the mix, a region silenced      region   the mix
 *   extract      the mix                         ones     one track
 *   lego         the mix without a track         ones     that track
 *   complete     one track, or the mix           ones     the mix
 *                without one
 *
 * Some fields are left out of the words by chance, as users leave them out, and some looks show a stretch of the target as
 * reference for the timbre. All of it is a function of (seed, epoch, sample).
 */
#ifndef ACE_TRAIN_LOOK_H
#define ACE_TRAIN_LOOK_H

#include "tensor/tensor.h"
#include "text/bpe.h"
#include "train/piece.h"

typedef enum look_task {
  LOOK_TEXT2MUSIC,
  LOOK_COVER,
  LOOK_REPAINT,
  LOOK_EXTRACT,
  LOOK_LEGO,
  LOOK_COMPLETE,
  LOOK_TASKS
} look_task;

typedef struct look_options {
  uint64_t seed;
  const bpe *tokenizer;  /* the text encoder's */
  const tens *silence;   /* latents of silence, F32 [T0, channels], repeated */
  int64_t timbre_frames; /* of a reference */
} look_options;

typedef struct look { /* owned, look_free */
  look_task task;
  int64_t frames, channels;
  float *target, *source; /* [frames, channels] */
  float *mask;            /* [frames]: 1 for frames to make */
  float *clip;            /* [timbre_frames, channels] */
  bpe_ids text, lyric;
} look;

/* On failure `out` is empty. */
ace_status look_make(const piece *p, const look_options *o, uint32_t epoch, uint32_t sample, look *out, ace_error *err);
void look_free(look *l);

#endif
