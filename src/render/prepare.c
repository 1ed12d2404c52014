#include "render/prepare.h"

#include <stdlib.h>

#include "models/audio_tokenizer.h"

/* source with the rows of cover items replaced by hints. */
static tens *choose_source(tens_ctx *c, const acestep_dit *m, const prepare_input *in) {
  const tens *source = in->source;
  if (!source) return NULL;
  int64_t batch = source->dim[0], frames = source->dim[1];
  bool any = false;
  for (int64_t b = 0; b < batch; b++) any |= in->is_cover[b] != 0;
  if (!any) return (tens *)source;
  float *covered = malloc((size_t)(batch * frames) * sizeof *covered);
  if (!covered) return tens_fail(c, ACE_ENOMEM, "conditions: out of memory");
  for (int64_t b = 0; b < batch; b++)
    for (int64_t t = 0; t < frames; t++) covered[b * frames + t] = in->is_cover[b] != 0;

  tens *mixed = tens_new(c, TENS_F32, source->rank, source->dim);
  tens *mask = tens_from(c, TENS_F32, TENS_DIMS(batch, frames), covered);
  free(covered);
  tens_mark scratch = tens_here(c);
  tens *hints = (tens *)in->hints;
  if (!hints) hints = audio_detokenize(c, m, audio_tokenize(c, m, source).quantized);
  hints = op_resize(c, hints, frames);
  bool ok = op_blend_into(c, mixed, mask, hints, source);
  tens_release(c, scratch);
  return ok ? mixed : NULL;
}

prepared prepare_condition(tens_ctx *c, const acestep_dit *m, const prepare_input *in, int32_t **mask) {
  prepared p = {.encoded = condition_encode(c, m, &in->condition, mask)};
  p.context = op_concat(c, 2, (const tens *const[]){choose_source(c, m, in), in->chunk_mask});
  if (p.encoded && p.context) return p;
  if (mask) {
    free(*mask);
    *mask = NULL;
  }
  return (prepared){0};
}
