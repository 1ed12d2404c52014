#include "engine/published.h"

#include <stdio.h>
#include <string.h>

typedef struct stack {
  int hidden, intermediate, layers, heads, kv_heads;
} stack;

typedef struct published {
  const char *name;
  engine_kind kind;
  stack sizes; /* of the transformer; the autoencoder has its own */
  bool turbo;
  int vocabulary;
} published;

enum { HEAD_DIM = 128, TEXT_VOCABULARY = 151669, LM_VOCABULARY = 217204 };

#define SIZES_2B \
  { 2048, 6144, 24, 16, 8 }
#define SIZES_XL \
  { 2560, 9728, 32, 32, 8 }

static const published models[] = {
    {"acestep-v15-turbo", ENGINE_DIFFUSION, SIZES_2B, true, 0},
    {"acestep-v15-turbo-shift1", ENGINE_DIFFUSION, SIZES_2B, true, 0},
    {"acestep-v15-turbo-shift3", ENGINE_DIFFUSION, SIZES_2B, true, 0},
    {"acestep-v15-turbo-continuous", ENGINE_DIFFUSION, SIZES_2B, true, 0},
    {"acestep-v15-base", ENGINE_DIFFUSION, SIZES_2B, false, 0},
    {"acestep-v15-sft", ENGINE_DIFFUSION, SIZES_2B, false, 0},
    {"acestep-v15-xl-turbo", ENGINE_DIFFUSION, SIZES_XL, true, 0},
    {"acestep-v15-xl-base", ENGINE_DIFFUSION, SIZES_XL, false, 0},
    {"acestep-v15-xl-sft", ENGINE_DIFFUSION, SIZES_XL, false, 0},
    {ENGINE_VAE, ENGINE_AUTOENCODER, {0}, false, 0},
    {ENGINE_TEXT_ENCODER, ENGINE_TEXT, {1024, 3072, 28, 16, 8}, false, TEXT_VOCABULARY},
    {"acestep-5Hz-lm-0.6B", ENGINE_LANGUAGE, {1024, 3072, 28, 16, 8}, false, LM_VOCABULARY},
    {"acestep-5Hz-lm-1.7B", ENGINE_LANGUAGE, {2048, 6144, 28, 16, 8}, false, LM_VOCABULARY},
    {"acestep-5Hz-lm-4B", ENGINE_LANGUAGE, {2560, 9728, 36, 32, 8}, false, LM_VOCABULARY},
};
enum { MODELS = sizeof models / sizeof *models };

static const published *find(const char *name) {
  for (int i = 0; i < MODELS; i++)
    if (strcmp(models[i].name, name) == 0) return &models[i];
  return NULL;
}

/* The larger models keep the encoders of the smaller ones and say so. */
static void write_dit(const published *m, char out[PUBLISHED_SIZE]) {
  const stack *s = &m->sizes;
  static const stack small = SIZES_2B;
  char encoder[256] = "";
  if (s->hidden != small.hidden)
    snprintf(encoder, sizeof encoder,
             ", \"encoder_hidden_size\": %d, \"encoder_intermediate_size\": %d, \"encoder_num_attention_heads\": %d, "
             "\"encoder_num_key_value_heads\": %d",
             small.hidden, small.intermediate, small.heads, small.kv_heads);
  snprintf(out, PUBLISHED_SIZE,
           "{\"model_type\": \"acestep\", \"architectures\": [\"AceStepConditionGenerationModel\"], \"is_turbo\": %s, "
           "\"model_version\": \"%s\", \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
           "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d%s, \"in_channels\": 192, "
           "\"audio_acoustic_hidden_dim\": 64, \"patch_size\": 2, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000, "
           "\"rope_scaling\": null, \"max_position_embeddings\": 32768, \"attention_bias\": false, "
           "\"attention_dropout\": 0.0, \"hidden_act\": \"silu\", \"use_sliding_window\": true, "
           "\"sliding_window\": 128, \"text_hidden_dim\": 1024, \"timbre_hidden_dim\": 64, "
           "\"timbre_fix_frame\": 750, \"num_lyric_encoder_hidden_layers\": 8, "
           "\"num_timbre_encoder_hidden_layers\": 4, \"num_attention_pooler_hidden_layers\": 2, "
           "\"pool_window_size\": 5, \"fsq_dim\": 2048, \"fsq_input_levels\": [8, 8, 8, 5, 5, 5], "
           "\"fsq_input_num_quantizers\": 1}\n",
           m->turbo ? "true" : "false", m->turbo ? "turbo" : "base", s->hidden, s->intermediate, s->layers, s->heads,
           s->kv_heads, HEAD_DIM, encoder);
}

static void write_vae(char out[PUBLISHED_SIZE]) {
  snprintf(out, PUBLISHED_SIZE,
           "{\"_class_name\": \"AutoencoderOobleck\", \"audio_channels\": 2, \"channel_multiples\": [1, 2, 4, 8, 16], "
           "\"decoder_channels\": 128, \"decoder_input_channels\": 64, \"downsampling_ratios\": [2, 4, 4, 6, 10], "
           "\"encoder_hidden_size\": 128, \"sampling_rate\": 48000}\n");
}

static void write_qwen3(const published *m, char out[PUBLISHED_SIZE]) {
  const stack *s = &m->sizes;
  snprintf(out, PUBLISHED_SIZE,
           "{\"model_type\": \"qwen3\", \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
           "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, \"hidden_act\": \"silu\", "
           "\"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000, \"rope_scaling\": null, \"attention_bias\": false, "
           "\"tie_word_embeddings\": true, \"max_position_embeddings\": %d, \"vocab_size\": %d}\n",
           s->hidden, s->intermediate, s->layers, s->heads, s->kv_heads, HEAD_DIM,
           m->kind == ENGINE_TEXT ? 32768 : 40960, m->vocabulary);
}

bool published_config(const char *name, char out[PUBLISHED_SIZE]) {
  const published *m = find(name);
  if (!m) return false;
  if (m->kind == ENGINE_DIFFUSION) write_dit(m, out);
  else if (m->kind == ENGINE_AUTOENCODER) write_vae(out);
  else write_qwen3(m, out);
  return true;
}

engine_kind published_kind(const char *name) {
  const published *m = find(name);
  return m ? m->kind : ENGINE_DIFFUSION;
}

const char *published_at(engine_kind kind, int i) {
  for (int k = 0; k < MODELS; k++)
    if (models[k].kind == kind && i-- == 0) return models[k].name;
  return NULL;
}
