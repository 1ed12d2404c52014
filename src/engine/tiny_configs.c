/* tiny_configs.c - the config.json files of the miniature, with the keys of the published ones. They are kept as text,
 * so that no printing of numbers can differ between machines, and the sizes of all weights are read from them. */
#include "engine/tiny_parts.h"

#include <stdio.h>
#include <string.h>

/* lyric_alignment_layers_config: heads whose attention serves for lyric timestamps, by layer. */
void tiny_dit_text(char out[TINY_CONFIG_SIZE], bool turbo) {
  const char *kind = turbo ? "turbo" : "base";
  snprintf(
      out, TINY_CONFIG_SIZE,
      "{\n"
      "  \"architectures\": [\"AceStepConditionGenerationModel\"],\n"
      "  \"attention_bias\": false,\n"
      "  \"attention_dropout\": 0.0,\n"
      "  \"audio_acoustic_hidden_dim\": 64,\n"
      "  \"auto_map\": {\n"
      "    \"AutoConfig\": \"configuration_acestep_v15.AceStepConfig\",\n"
      "    \"AutoModel\": \"modeling_acestep_v15_%s.AceStepConditionGenerationModel\"\n"
      "  },\n"
      "  \"data_proportion\": 0.5,\n"
      "  \"dtype\": \"bfloat16\",\n"
      "  \"fsq_dim\": 64,\n"
      "  \"fsq_input_levels\": [5, 5, 4, 4],\n"
      "  \"fsq_input_num_quantizers\": 1,\n"
      "  \"head_dim\": 16,\n"
      "  \"hidden_act\": \"silu\",\n"
      "  \"hidden_size\": 64,\n"
      "  \"in_channels\": 192,\n"
      "  \"initializer_range\": 0.02,\n"
      "  \"intermediate_size\": 128,\n"
      "  \"is_turbo\": %s,\n"
      "  \"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\"],\n"
      "  \"lyric_alignment_layers_config\": {\"1\": [0, 2], \"2\": [1], \"3\": [3]},\n"
      "  \"max_position_embeddings\": 32768,\n"
      "  \"model_type\": \"acestep\",\n"
      "  \"model_version\": \"%s\",\n"
      "  \"num_attention_heads\": 4,\n"
      "  \"num_attention_pooler_hidden_layers\": 2,\n"
      "  \"num_audio_decoder_hidden_layers\": 4,\n"
      "  \"num_hidden_layers\": 4,\n"
      "  \"num_key_value_heads\": 2,\n"
      "  \"num_lyric_encoder_hidden_layers\": 2,\n"
      "  \"num_timbre_encoder_hidden_layers\": 2,\n"
      "  \"patch_size\": 2,\n"
      "  \"pool_window_size\": 5,\n"
      "  \"rms_norm_eps\": 1e-06,\n"
      "  \"rope_scaling\": null,\n"
      "  \"rope_theta\": 1000000,\n"
      "  \"sliding_window\": 128,\n"
      "  \"text_hidden_dim\": 48,\n"
      "  \"timbre_fix_frame\": 75,\n"
      "  \"timbre_hidden_dim\": 64,\n"
      "  \"timestep_mu\": -0.4,\n"
      "  \"timestep_sigma\": 1.0,\n"
      "  \"use_cache\": true,\n"
      "  \"use_sliding_window\": true,\n"
      "  \"vocab_size\": 64003\n"
      "}\n",
      kind, turbo ? "true" : "false", kind);
}

void tiny_qwen3_text(char *out, size_t size, const tiny_qwen3_sizes *s) {
  enum { MOST_LAYERS = 8 };
  char types[MOST_LAYERS * 20] = "";
  for (int i = 0; i < s->layers && i < MOST_LAYERS; i++)
    strcat(types, i ? ", \"full_attention\"" : "\"full_attention\"");
  snprintf(out, size,
           "{\n"
           "  \"architectures\": [\"%s\"],\n"
           "  \"attention_bias\": false,\n"
           "  \"attention_dropout\": 0.0,\n"
           "  \"bos_token_id\": %d,\n"
           "  \"eos_token_id\": %d,\n"
           "  \"head_dim\": %d,\n"
           "  \"hidden_act\": \"silu\",\n"
           "  \"hidden_size\": %d,\n"
           "  \"initializer_range\": 0.02,\n"
           "  \"intermediate_size\": %d,\n"
           "  \"layer_types\": [%s],\n"
           "  \"max_position_embeddings\": 32768,\n"
           "  \"max_window_layers\": %d,\n"
           "  \"model_type\": \"qwen3\",\n"
           "  \"num_attention_heads\": %d,\n"
           "  \"num_hidden_layers\": %d,\n"
           "  \"num_key_value_heads\": %d,\n"
           "  \"rms_norm_eps\": 1e-06,\n"
           "  \"rope_scaling\": null,\n"
           "  \"rope_theta\": 1000000,\n"
           "  \"sliding_window\": null,\n"
           "  \"tie_word_embeddings\": true,\n"
           "  \"torch_dtype\": \"bfloat16\",\n"
           "  \"use_cache\": true,\n"
           "  \"use_sliding_window\": false,\n"
           "  \"vocab_size\": %d\n"
           "}\n",
           s->architecture, s->beginning, s->end, s->head_dim, s->hidden, s->intermediate, types, s->layers, s->heads,
           s->layers, s->kv_heads, s->vocabulary);
}

void tiny_text_encoder_text(char out[TINY_CONFIG_SIZE], int vocabulary, int end_of_text) {
  tiny_qwen3_text(out, TINY_CONFIG_SIZE,
                  &(tiny_qwen3_sizes){.architecture = "Qwen3ForCausalLM",
                                      .hidden = 48,
                                      .intermediate = 96,
                                      .head_dim = 16,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .layers = 3,
                                      .vocabulary = vocabulary,
                                      .beginning = end_of_text,
                                      .end = end_of_text});
}

void tiny_lm_text(char out[TINY_CONFIG_SIZE], int vocabulary, int end_of_text, int end_of_turn) {
  tiny_qwen3_text(out, TINY_CONFIG_SIZE,
                  &(tiny_qwen3_sizes){.architecture = "Qwen3Model",
                                      .hidden = 64,
                                      .intermediate = 160,
                                      .head_dim = 32,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .layers = 3,
                                      .vocabulary = vocabulary,
                                      .beginning = end_of_text,
                                      .end = end_of_turn});
}

/* encoder_hidden_size is the encoder's width and twice the latent channels at once: by far the largest part of the set,
 * which is why no stage is a multiple of it, and why a long stride comes first: little is left to do at high
 * rates. The longest one comes last, which keeps what tiles must overlap short. */
const char tiny_vae_text[] =
    "{\n"
    "  \"_class_name\": \"AutoencoderOobleck\",\n"
    "  \"_diffusers_version\": \"0.36.0\",\n"
    "  \"audio_channels\": 2,\n"
    "  \"channel_multiples\": [1, 1, 1, 1, 1],\n"
    "  \"decoder_channels\": 8,\n"
    "  \"decoder_input_channels\": 64,\n"
    "  \"downsampling_ratios\": [6, 4, 4, 2, 10],\n"
    "  \"encoder_hidden_size\": 128,\n"
    "  \"sampling_rate\": 48000\n"
    "}\n";
