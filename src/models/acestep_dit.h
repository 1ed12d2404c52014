/* acestep_dit.h - the parts of one ACE-Step diffusion checkpoint, opened together: condition encoder, audio tokenizer
 * and detokenizer, diffusion transformer (spread over condition.h, audio_tokenizer.h and dit.h), null condition and
 * silence.
 */
#ifndef ACE_ACESTEP_DIT_H
#define ACE_ACESTEP_DIT_H

#include "models/block.h"

/* Text, lyrics and timbre to the sequence that the diffusion transformer attends to; see condition.h. */
typedef struct condition_encoder {
  tens text_projector;            /* [He, Dt] */
  tens lyric_embed, lyric_bias;   /* [He, Dt], [He] */
  tens lyric_norm;                /* [He] */
  tens timbre_embed, timbre_bias; /* [He, 64], [He] */
  tens timbre_token, timbre_norm; /* [He] both */
  block_weights *lyric, *timbre;  /* lyric_layers, timbre_layers */
} condition_encoder;

/* Latents at 25 Hz to codes at 5 Hz and back; see audio_tokenizer.h. */
typedef struct audio_tokenizer {
  tens acoustic, acoustic_bias;       /* [He, 64], [He] */
  tens embed, embed_bias;             /* [He, He], [He] */
  tens token, norm;                   /* [He] both */
  block_weights *pooler;              /* pooler_layers */
  tens project_in, project_in_bias;   /* [levels, He], [levels] */
  tens project_out, project_out_bias; /* [He, levels], [He] */
} audio_tokenizer;

typedef struct audio_detokenizer {
  tens embed, embed_bias; /* [He, He], [He] */
  tens tokens;            /* [window, He] */
  tens norm;              /* [He] */
  tens out, out_bias;     /* [64, He], [64] */
  block_weights *layers;  /* pooler_layers */
} audio_detokenizer;

typedef struct time_embed {
  linear linear_1, linear_2, proj; /* [H, 256], [H, H], [6H, H] */
  tens bias_1, bias_2, proj_bias;  /* [H], [H], [6H] */
} time_embed;

typedef struct dit_layer {
  tens self_norm, cross_norm, mlp_norm; /* [H] */
  tens table;                           /* [6, H]: shift, scale, gate of self-attention, then of the mlp */
  attn_weights self, cross;
  mlp_weights mlp;
} dit_layer;

typedef struct dit_decoder {
  tens proj_in, proj_in_bias; /* [H, patch, in_channels], [H] */
  time_embed t, r;
  linear condition;             /* [H, He] */
  tens condition_bias;          /* [H] */
  tens norm_out, table;         /* [H], [2, H] */
  tens proj_out, proj_out_bias; /* [patch, 64, H], [64] */
  dit_layer *layers;
} dit_decoder;

typedef struct acestep_dit {
  ckpt *checkpoint; /* owned */
  dit_config cfg;
  condition_encoder encoder;
  audio_tokenizer tokenizer;
  audio_detokenizer detokenizer;
  dit_decoder decoder;
  tens null_condition; /* [He]: stands for "no condition" in guidance */
  tens silence;        /* [T0, 64]: latents of silence, from silence_latent.pt; T0 = 15000 as published; owned */
} acestep_dit;

acestep_dit *acestep_dit_open(const char *folder, ace_error *err);
/* The same over an open checkpoint and a table of silence, F32 [frames, latent_channels] in memory from malloc; one
 * without data is read from the checkpoint. Both are taken over, also when it fails. NULL for a checkpoint NULL. */
acestep_dit *acestep_dit_from(ckpt *checkpoint, tens silence, ace_error *err);
void acestep_dit_close(acestep_dit *m);

/* A new tensor of n frames of silence that start at frame `first` of the table; the table repeats: [1, n, 64]. */
tens *acestep_silence(tens_ctx *c, const acestep_dit *m, int64_t first, int64_t n);

#endif
