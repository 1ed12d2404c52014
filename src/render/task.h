/* task.h - what sets the tasks apart, as data.
 *
 *   task         source  codes          context                     region  strength  noise  planned
 *   text2music   -       steer it       silence, or codes           -       yes       yes    yes
 *   cover        needed  replace it     codes of the source         -       yes       yes    -
 *   cover-nofsq  needed  -              latents of the source       -       yes       yes    -
 *   repaint      needed  -              source, region silenced     yes     -         -      -
 *   extract      needed  -              latents of the source       -       -         -      -
 *   lego         needed  -              latents of the source       yes     -         -      metadata
 *   complete     may be  without one    source, codes or silence    -       yes       -      metadata; without a
 *                                                                                            source codes too
 *   with flow_edit_morph:
 *   text2music   needed  -              silence                     -       -         -      -
 *   cover        needed  -              codes of the source         -       -         -      -
 *   cover-nofsq  needed  -              latents of the source       -       -         -      -
 *
 * strength: audio_cover_strength, noise: cover_noise_strength. Where a task reads a source, that decides the length;
 * else the codes; else the duration that was asked for.
 */
#ifndef ACE_RENDER_TASK_H
#define ACE_RENDER_TASK_H

#include "request/request.h"

typedef enum task_codes {
  TASK_CODES_NEVER,
  TASK_CODES_FIRST, /* they take the place of a source */
  TASK_CODES_ALONE  /* only where there is no source */
} task_codes;

typedef struct task_rule {
  task_codes codes;
  bool source;     /* src_audio is read */
  bool unseen;     /* the context does not show it */
  bool round_trip; /* the context is the source sent through the audio tokenizer and back */
  bool region;     /* repainting_start..repainting_end is made, the rest stays */
  bool silenced;   /* the context does not show what was in the region */
  bool strength;   /* audio_cover_strength counts */
  bool noise;      /* cover_noise_strength counts */
  bool planned;    /* a language model may be asked about it */
  bool edit;       /* the song is what words make of the source: flow_edit.h */
} task_rule;

const task_rule *task_rule_of(const ace_request *r);
/* Whether this request's src_audio is to be read. */
bool task_reads_source(const ace_request *r);
/* Whether codes, pasted or planned, steer this request. */
bool task_follows_codes(const ace_request *r);

#endif
