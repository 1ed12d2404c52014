/* sample.h - one song prepared for training: the latents to learn, and what the diffusion transformer is told about it.
 *
 *   sample s;
 *   if (sample_read("tensors/3fa9c1d2.safetensors", &dit->silence, &s, &err) == ACE_OK) {
 *     ... s.target [T, 64], s.context [T, 128], s.condition [L, De] ...
 *     sample_free(&s);
 *   }
 *
 * A file is safetensors with
 *
 *   target_latents           BF16 or F32  [T, 64]    clean latents at 25 Hz
 *   encoder_hidden_states    BF16 or F32  [L, De]    packed condition, as condition_encode gives it
 *   encoder_attention_mask   U8           [L]        1: a token, 0: padding; absent: all are tokens
 *   context_latents          BF16 or F32  [T, 128]   source latents | mask; absent when the source is silence and the
 *                                                    mask ones: then "context" in the header is "silence"
 *   attention_mask           U8           [T]        1: a frame, 0: padding; absent: all are frames
 *
 * and, as strings in its header: format "acestep-train-v1", sample_json (caption, lyrics, tempo, ... as one JSON
 * object), context, preprocess_mode, prep_profile, text_prompt, lyric_text, model_variant, model_sha, vae_sha,
 * created_at, source_size, source_mtime, key and latents_key, which are the same for two files when all that they,
 * or their latents, were made from is the same. F16 is read as well, as are masks of any type. A name that
 * ends in .pt is a file of the Python trainer with tensors of the same names, in any order in memory; nothing in it is
 * executed. Values come as F32 whatever the file holds.
 */
#ifndef ACE_TRAIN_SAMPLE_H
#define ACE_TRAIN_SAMPLE_H

#include "base/json.h"
#include "tensor/tensor.h"

enum {
  SAMPLE_FRAMES_MOST = 1 << 16, /* T: 43 minutes */
  SAMPLE_TOKENS_MOST = 1 << 14, /* L */
  SAMPLE_WIDTH_MOST = 1 << 14   /* channels and De */
};

typedef struct sample_shape {
  int64_t frames;   /* T */
  int64_t channels; /* of the latents: 64; the context has twice as many */
  int64_t tokens;   /* L */
  int64_t width;    /* De */
} sample_shape;

/* Everything owned, sample_free. All values are finite. */
typedef struct sample {
  sample_shape shape;
  float *target;           /* [T, channels] */
  float *context;          /* [T, 2 channels]: source latents | mask, 1 = make */
  float *condition;        /* [L, De] */
  uint8_t *frame_mask;     /* [T], 0 or 1; NULL: ones */
  uint8_t *condition_mask; /* [L], 0 or 1; NULL: ones */
  json_t *about;           /* sample_json: {"caption": ..., "lyrics": ..., ...} */
  json_t *tags;            /* the other strings of the header: {"model_sha": "...", ...} */
} sample;

/* silence: latents of silence, F32 [T0, channels], repeated for longer songs (acestep_dit has it); NULL: a sample
 * without a context of its own is refused. The message names file and tensor. On failure `out` is empty. */
ace_status sample_read(const char *path, const tens *silence, sample *out, ace_error *err);
/* What is in a file without its values: everything that memory depends on. */
ace_status sample_look(const char *path, sample_shape *shape, ace_error *err);
void sample_free(sample *s);
/* A string of `tags`; "" where there is none. */
const char *sample_tag(const sample *s, const char *name);

/* Writes BF16, whole or not at all. `context` is left out when it is NULL, which stands for silence. */
ace_status sample_write(const char *path, const sample *s, ace_error *err);

#endif
