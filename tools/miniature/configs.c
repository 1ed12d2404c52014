#include "miniature/configs.h"

#include <stdio.h>

#include "engine/tiny_parts.h"

/* The encoders are narrower than the transformer, as in XL models. */
void miniature_dit_text(char out[MINIATURE_CONFIG_SIZE], bool turbo) {
  const char *kind = turbo ? "turbo" : "base";
  snprintf(out, MINIATURE_CONFIG_SIZE,
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
           "  \"encoder_hidden_size\": 192,\n"
           "  \"encoder_intermediate_size\": 384,\n"
           "  \"encoder_num_attention_heads\": 3,\n"
           "  \"encoder_num_key_value_heads\": 1,\n"
           "  \"fsq_dim\": 192,\n"
           "  \"fsq_input_levels\": [5, 5, 5, 5],\n"
           "  \"fsq_input_num_quantizers\": 1,\n"
           "  \"head_dim\": 64,\n"
           "  \"hidden_act\": \"silu\",\n"
           "  \"hidden_size\": 256,\n"
           "  \"in_channels\": 192,\n"
           "  \"initializer_range\": 0.02,\n"
           "  \"intermediate_size\": 640,\n"
           "  \"is_turbo\": %s,\n"
           "  \"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\", "
           "\"sliding_attention\", \"full_attention\"],\n"
           "  \"lyric_alignment_layers_config\": {\"2\": [0, 1], \"3\": [0, 1], \"4\": [0, 1]},\n"
           "  \"max_position_embeddings\": 32768,\n"
           "  \"model_type\": \"acestep\",\n"
           "  \"model_version\": \"%s\",\n"
           "  \"num_attention_heads\": 4,\n"
           "  \"num_attention_pooler_hidden_layers\": 1,\n"
           "  \"num_audio_decoder_hidden_layers\": 6,\n"
           "  \"num_hidden_layers\": 6,\n"
           "  \"num_key_value_heads\": 2,\n"
           "  \"num_lyric_encoder_hidden_layers\": 2,\n"
           "  \"num_timbre_encoder_hidden_layers\": 1,\n"
           "  \"patch_size\": 2,\n"
           "  \"pool_window_size\": 5,\n"
           "  \"rms_norm_eps\": 1e-06,\n"
           "  \"rope_scaling\": null,\n"
           "  \"rope_theta\": 1000000,\n"
           "  \"sliding_window\": 128,\n"
           "  \"text_hidden_dim\": 128,\n"
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

void miniature_text_text(char out[MINIATURE_CONFIG_SIZE], int vocabulary, int end_of_text) {
  tiny_qwen3_text(out, MINIATURE_CONFIG_SIZE,
                  &(tiny_qwen3_sizes){.architecture = "Qwen3ForCausalLM",
                                      .hidden = 128,
                                      .intermediate = 320,
                                      .head_dim = 32,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .layers = 3,
                                      .vocabulary = vocabulary,
                                      .beginning = end_of_text,
                                      .end = end_of_text});
}

void miniature_lm_text(char out[MINIATURE_CONFIG_SIZE], int vocabulary, int end_of_text, int end_of_turn) {
  tiny_qwen3_text(out, MINIATURE_CONFIG_SIZE,
                  &(tiny_qwen3_sizes){.architecture = "Qwen3Model",
                                      .hidden = 192,
                                      .intermediate = 512,
                                      .head_dim = 64,
                                      .heads = 3,
                                      .kv_heads = 1,
                                      .layers = 4,
                                      .vocabulary = vocabulary,
                                      .beginning = end_of_text,
                                      .end = end_of_turn});
}
