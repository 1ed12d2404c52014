/* A config.json decides every size of a model: one that contradicts itself must be refused by name before any weight is
 * looked at, and a published one must be read exactly. */
#include "formats/config.h"

#include "golden.h"
#include "temp.h"

static const char dit_text[] = "{\"model_type\":\"acestep\",\"architectures\":[\"AceStepConditionGenerationModel\"]}";
static const char qwen3_text[] =
    "{\"model_type\":\"qwen3\",\"architectures\":[\"Qwen3ForCausalLM\"],\"hidden_size\":48,\"intermediate_size\":96,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"num_hidden_layers\":3,\"vocab_size\":512,\"head_dim\":16}";
static const char vae_text[] = "{\"_class_name\":\"AutoencoderOobleck\"}";

/* `base` with the keys of `changes` put over it; a change to "absent" removes the key. */
static json_t *config(const char *base, const char *changes) {
  json_t *json = json_loads(base, 0, NULL), *over = json_loads(changes, 0, NULL), *value;
  const char *key;
  if (!json || !over) fail_msg("%s", changes);
  json_object_foreach(over, key, value) {
    if (json_is_string(value) && strcmp(json_string_value(value), "absent") == 0) json_object_del(json, key);
    else json_object_set(json, key, value);
  }
  json_decref(over);
  return json;
}

static ace_status read_dit(const char *changes, dit_config *out, ace_error *err) {
  json_t *json = config(dit_text, changes);
  ace_status status = cfg_read_dit(json, "x/config.json", out, err);
  json_decref(json);
  return status;
}

static ace_status read_qwen3(const char *changes, qwen3_config *out, ace_error *err) {
  json_t *json = config(qwen3_text, changes);
  ace_status status = cfg_read_qwen3(json, "x/config.json", out, err);
  json_decref(json);
  return status;
}

static ace_status read_vae(const char *changes, vae_config *out, ace_error *err) {
  json_t *json = config(vae_text, changes);
  ace_status status = cfg_read_vae(json, "x/config.json", out, err);
  json_decref(json);
  return status;
}

/* detail: how the message goes on behind "x/config.json: " */
static void check_refusal(ace_status got, const ace_error *err, ace_status want, const char *changes,
                          const char *detail) {
  char full[256];
  snprintf(full, sizeof full, "x/config.json: %s", detail);
  if (got == ACE_OK) fail_msg("accepted: %s", changes);
  assert_int_equal(got, err->status);
  expect_error(err, want, "x/config.json", full);
}

static void refused_dit(ace_status want, const char *changes, const char *detail) {
  dit_config c;
  ace_error err = {0};
  check_refusal(read_dit(changes, &c, &err), &err, want, changes, detail);
}

static void refused_qwen3(ace_status want, const char *changes, const char *detail) {
  qwen3_config c;
  ace_error err = {0};
  check_refusal(read_qwen3(changes, &c, &err), &err, want, changes, detail);
}

static void refused_vae(ace_status want, const char *changes, const char *detail) {
  vae_config c;
  ace_error err = {0};
  check_refusal(read_vae(changes, &c, &err), &err, want, changes, detail);
}

/* ---- diffusion transformer --------------------------------------------------------------------------------------- */

static void test_dit_missing_keys_take_published_values(void **state) {
  dit_config c;
  ace_error err = {0};
  if (read_dit("{}", &c, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(c.decoder.hidden, 2048);
  assert_int_equal(c.decoder.intermediate, 6144);
  assert_int_equal(c.decoder.heads, 16);
  assert_int_equal(c.decoder.kv_heads, 8);
  assert_int_equal(c.decoder.head_dim, 128);
  assert_true(c.decoder.rope_theta == 1e6 && c.decoder.eps == 1e-6f);
  assert_memory_equal(&c.encoder, &c.decoder, sizeof c.encoder);
  assert_false(c.xl || c.turbo || c.lego_sft);
  assert_int_equal(c.layers, 24);
  assert_int_equal(c.window, 128);
  assert_int_equal(c.in_channels, 192);
  assert_int_equal(c.latent_channels, 64);
  assert_int_equal(c.patch, 2);
  assert_int_equal(c.text_hidden, 1024);
  assert_int_equal(c.timbre_hidden, 64);
  assert_int_equal(c.timbre_frames, 750);
  assert_int_equal(c.lyric_layers, 8);
  assert_int_equal(c.timbre_layers, 4);
  assert_int_equal(c.pooler_layers, 2);
  assert_int_equal(c.pool_window, 5);
  assert_int_equal(c.fsq_dim, 2048);
  assert_int_equal(c.n_levels, 6);
  assert_memory_equal(c.levels, ((int[]){8, 8, 8, 5, 5, 5}), 6 * sizeof(int));
  assert_string_equal(c.model_version, "");
  for (int i = 0; i < CFG_MAX_LAYERS; i++) assert_int_equal(c.sliding[i], i % 2 == 0);
}

static void test_dit_xl_has_an_encoder_of_its_own(void **state) {
  dit_config c;
  ace_error err = {0};
  if (read_dit(
          "{\"hidden_size\":2560,\"intermediate_size\":9728,\"num_attention_heads\":32,\"num_hidden_layers\":32,"
          "\"is_turbo\":true,\"model_version\":\"turbo\",\"encoder_hidden_size\":2048,"
          "\"encoder_intermediate_size\":6144,\"encoder_num_attention_heads\":16,\"encoder_num_key_value_heads\":8}",
          &c, &err) != ACE_OK)
    fail_msg("%s", err.message);
  assert_true(c.xl && c.turbo);
  assert_int_equal(c.decoder.hidden, 2560);
  assert_int_equal(c.decoder.heads, 32);
  assert_int_equal(c.encoder.hidden, 2048);
  assert_int_equal(c.encoder.intermediate, 6144);
  assert_int_equal(c.encoder.heads, 16);
  assert_int_equal(c.encoder.head_dim, 128);
  assert_string_equal(c.model_version, "turbo");
}

static void test_dit_layer_types(void **state) {
  dit_config c;
  ace_error err = {0};
  assert_int_equal(
      read_dit("{\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\"]}", &c, &err), 0);
  assert_true(!c.sliding[0] && c.sliding[1] && !c.sliding[2]); /* as listed */
  assert_true(!c.sliding[3] && c.sliding[4]);                  /* by the rule behind the list's end */
  assert_int_equal(read_dit("{\"use_sliding_window\":false}", &c, &err), ACE_OK);
  assert_int_equal(c.window, -1);
  assert_int_equal(read_dit("{\"sliding_window\":null}", &c, &err), ACE_OK);
  assert_int_equal(c.window, -1);
  refused_dit(ACE_EFORMAT, "{\"layer_types\":[\"sliding_attention\",\"other\"]}", "layer_types: entry 1");
  refused_dit(ACE_EFORMAT, "{\"layer_types\":[3]}", "layer_types: entry 0");
  refused_dit(ACE_EFORMAT, "{\"layer_types\":\"full_attention\"}", "layer_types: not a list");
  refused_dit(ACE_EFORMAT, "{\"sliding_window\":0}", "sliding_window: 0 is outside");
}

static void test_dit_refuses_contradictions(void **state) {
  refused_dit(ACE_EFORMAT, "{\"num_key_value_heads\":3}",
              "num_key_value_heads: 3 does not divide the 16 of num_attention");
  refused_dit(ACE_EFORMAT, "{\"encoder_hidden_size\":2048,\"encoder_num_key_value_heads\":5}",
              "encoder_num_key_value_heads: 5 does not divide the 16 of encoder_num_attention_heads");
  refused_dit(ACE_EFORMAT, "{\"head_dim\":127}", "head_dim: odd");
  refused_dit(ACE_EFORMAT, "{\"in_channels\":128}", "in_channels: not three times audio_acoustic_hidden_dim");
  refused_dit(ACE_EFORMAT, "{\"timbre_hidden_dim\":32}", "timbre_hidden_dim: differs from audio_acoustic_hidden_dim");
  refused_dit(ACE_EFORMAT, "{\"fsq_dim\":1024}", "fsq_dim: differs from the width of the encoder");
  refused_dit(ACE_EUNSUPPORTED, "{\"fsq_input_num_quantizers\":2}", "fsq_input_num_quantizers: only 1");
  refused_dit(ACE_EUNSUPPORTED, "{\"attention_bias\":true}", "attention_bias: true is not supported");
  refused_dit(ACE_EUNSUPPORTED, "{\"hidden_act\":\"gelu\"}", "hidden_act: only \"silu\"");
}

static void test_dit_refuses_absurd_sizes(void **state) {
  refused_dit(ACE_EFORMAT, "{\"num_hidden_layers\":257}", "num_hidden_layers: 257 is outside 1..256");
  refused_dit(ACE_EFORMAT, "{\"num_hidden_layers\":-1}", "num_hidden_layers: -1 is outside");
  refused_dit(ACE_EFORMAT, "{\"num_lyric_encoder_hidden_layers\":1000}", "num_lyric_encoder_hidden_layers: 1000");
  refused_dit(ACE_EFORMAT, "{\"hidden_size\":0}", "hidden_size: 0 is outside");
  refused_dit(ACE_EFORMAT, "{\"hidden_size\":4611686018427387904}", "hidden_size: 4611686018427387904 is outside");
  refused_dit(ACE_EFORMAT, "{\"hidden_size\":\"2048\"}", "hidden_size: not a whole number");
  refused_dit(ACE_EFORMAT, "{\"num_attention_heads\":0}", "num_attention_heads: 0 is outside");
  refused_dit(ACE_EFORMAT, "{\"num_key_value_heads\":0}", "num_key_value_heads: 0 is outside");
  refused_dit(ACE_EFORMAT, "{\"patch_size\":0}", "patch_size: 0 is outside");
  refused_dit(ACE_EFORMAT, "{\"rms_norm_eps\":-1}", "rms_norm_eps: -1 is outside");
  refused_dit(ACE_EFORMAT, "{\"is_turbo\":\"yes\"}", "is_turbo: not true or false");
  refused_dit(ACE_EFORMAT, "{\"fsq_input_levels\":[]}", "fsq_input_levels: not a list of 1..16 numbers");
  refused_dit(ACE_EFORMAT, "{\"fsq_input_levels\":[8,1]}",
              "fsq_input_levels: entry 1 is not a whole number in 2..65536");
  refused_dit(ACE_EFORMAT, "{\"fsq_input_levels\":[65536,65536]}",
              "fsq_input_levels: the product of the levels exceeds");
  refused_dit(ACE_EFORMAT, "{\"fsq_input_levels\":[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]}",
              "fsq_input_levels: not a list");
  refused_dit(ACE_EFORMAT, "{\"model_version\":\"0123456789012345678901234567890123456789\"}", "model_version: longer");
}

/* ---- the wrong folder -------------------------------------------------------------------------------------------- */

static void test_refuses_another_kind_of_model(void **state) {
  ace_error err = {0};
  dit_config dit;
  qwen3_config qwen3;
  vae_config vae;
  json_t *d = config(dit_text, "{}"), *q = config(qwen3_text, "{}"), *v = config(vae_text, "{}"), *list = json_array();
  assert_int_not_equal(cfg_read_dit(v, "vae/config.json", &dit, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "vae/config.json",
               "_class_name: \"AutoencoderOobleck\" is not an ACE-Step diffusion");
  assert_int_not_equal(cfg_read_dit(q, "lm/config.json", &dit, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "lm/config.json", "model_type: \"qwen3\", expected \"acestep\"");
  assert_int_not_equal(cfg_read_qwen3(d, "dit/config.json", &qwen3, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "dit/config.json", "model_type: \"acestep\", expected \"qwen3\"");
  assert_int_not_equal(cfg_read_vae(d, "dit/config.json", &vae, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "dit/config.json",
               "_class_name: \"\", expected \"AutoencoderOobleck\" (model_type is");
  assert_int_not_equal(cfg_read_vae(list, "x/config.json", &vae, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "x/config.json", "not a JSON object");
  assert_int_not_equal(cfg_read_dit(list, "x/config.json", &dit, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "x/config.json", "not a JSON object");
  json_decref(d), json_decref(q), json_decref(v), json_decref(list);
  refused_dit(ACE_EFORMAT, "{\"model_type\":\"absent\",\"architectures\":\"absent\"}", "model_type: missing");
  refused_dit(ACE_EFORMAT, "{\"architectures\":[\"LlamaForCausalLM\"]}", "architectures: \"LlamaForCausalLM\"");
  refused_qwen3(ACE_EFORMAT, "{\"model_type\":7}", "model_type: not a string");
}

/* ---- Qwen3 ------------------------------------------------------------------------------------------------------- */

static void test_qwen3_derives_what_is_missing(void **state) {
  qwen3_config c;
  ace_error err = {0};
  if (read_qwen3("{}", &c, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(c.block.hidden, 48);
  assert_int_equal(c.block.head_dim, 16);
  assert_int_equal(c.layers, 3);
  assert_int_equal(c.vocab, 512);
  assert_false(c.tied);
  assert_true(c.block.rope_theta == 1e6);
  assert_int_equal(read_qwen3("{\"head_dim\":\"absent\",\"num_key_value_heads\":null}", &c, &err), ACE_OK);
  assert_int_equal(c.block.head_dim, 12);
  assert_int_equal(c.block.kv_heads, 4);
  refused_qwen3(ACE_EFORMAT, "{\"head_dim\":\"absent\",\"hidden_size\":50}", "head_dim: missing, and hidden_size");
  refused_qwen3(ACE_EFORMAT, "{\"head_dim\":\"absent\",\"hidden_size\":12}", "head_dim: odd");
}

static void test_qwen3_finds_the_rotary_base(void **state) {
  qwen3_config c;
  ace_error err = {0};
  assert_int_equal(read_qwen3("{\"rope_theta\":5000000,\"rope_scaling\":null}", &c, &err), ACE_OK);
  assert_true(c.block.rope_theta == 5e6);
  assert_int_equal(read_qwen3("{\"rope_parameters\":{\"rope_theta\":2e6,\"rope_type\":\"default\"}}", &c, &err),
                   ACE_OK);
  assert_true(c.block.rope_theta == 2e6);
  assert_int_equal(read_qwen3("{\"rope_theta\":3e6,\"rope_parameters\":{\"rope_theta\":2e6}}", &c, &err), ACE_OK);
  assert_true(c.block.rope_theta == 3e6);
  assert_int_equal(read_qwen3("{\"rope_scaling\":{\"rope_theta\":4e6,\"type\":\"default\"}}", &c, &err), ACE_OK);
  assert_true(c.block.rope_theta == 4e6);
  refused_qwen3(ACE_EUNSUPPORTED, "{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0}}",
                "rope_scaling: rope_type: \"yarn\"");
  refused_qwen3(ACE_EUNSUPPORTED, "{\"rope_parameters\":{\"rope_type\":\"llama3\"}}", "rope_parameters: rope_type");
  refused_qwen3(ACE_EFORMAT, "{\"rope_scaling\":4}", "rope_scaling: not an object");
  refused_qwen3(ACE_EFORMAT, "{\"rope_theta\":0}", "rope_theta: 0 is outside");
}

static void test_qwen3_refuses(void **state) {
  refused_qwen3(ACE_EFORMAT, "{\"hidden_size\":\"absent\"}", "hidden_size: missing");
  refused_qwen3(ACE_EFORMAT, "{\"vocab_size\":\"absent\"}", "vocab_size: missing");
  refused_qwen3(ACE_EFORMAT, "{\"vocab_size\":100000000}", "vocab_size: 100000000 is outside");
  refused_qwen3(ACE_EFORMAT, "{\"num_hidden_layers\":1000}", "num_hidden_layers: 1000 is outside 1..256");
  refused_qwen3(ACE_EFORMAT, "{\"num_key_value_heads\":3}", "num_key_value_heads: 3 does not divide");
  refused_qwen3(ACE_EFORMAT, "{\"head_dim\":15}", "head_dim: odd");
  refused_qwen3(ACE_EFORMAT, "{\"max_position_embeddings\":0}", "max_position_embeddings: 0 is outside");
  refused_qwen3(ACE_EUNSUPPORTED, "{\"use_sliding_window\":true}", "use_sliding_window: true");
  refused_qwen3(ACE_EUNSUPPORTED, "{\"attention_bias\":true}", "attention_bias: true");
}

/* ---- autoencoder ------------------------------------------------------------------------------------------------- */

static void test_vae_published_values(void **state) {
  vae_config c;
  ace_error err = {0};
  if (read_vae("{}", &c, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(c.audio_channels, 2);
  assert_int_equal(c.sampling_rate, 48000);
  assert_int_equal(c.encoder_hidden, 128);
  assert_int_equal(c.encoder_channels, 128);
  assert_int_equal(c.decoder_channels, 128);
  assert_int_equal(c.decoder_input, 64);
  assert_int_equal(c.stages, 5);
  assert_memory_equal(c.strides, ((int[]){2, 4, 4, 6, 10}), 5 * sizeof(int));
  assert_memory_equal(c.multiples, ((int[]){1, 2, 4, 8, 16}), 5 * sizeof(int));
  assert_int_equal(c.hop, 1920);
}

/* An encoder that is narrower at 48 kHz than its latents are wide. */
static void test_vae_of_few_channels(void **state) {
  vae_config c;
  ace_error err = {0};
  if (read_vae("{\"encoder_channels\": 8}", &c, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(c.encoder_hidden, 128);
  assert_int_equal(c.encoder_channels, 8);
  refused_vae(ACE_EFORMAT, "{\"encoder_channels\":0}", "encoder_channels: 0 is outside");
}

static void test_vae_refuses(void **state) {
  refused_vae(ACE_EFORMAT, "{\"downsampling_ratios\":[2,4]}",
              "channel_multiples: 5 entries, but downsampling_ratios has 2");
  refused_vae(ACE_EFORMAT, "{\"downsampling_ratios\":[2,4,4,6,0]}", "downsampling_ratios: entry 4");
  refused_vae(ACE_EFORMAT, "{\"downsampling_ratios\":[1024,1024,1024,1024,1024]}",
              "downsampling_ratios: the product of the strides exceeds");
  refused_vae(ACE_EFORMAT, "{\"downsampling_ratios\":7}", "downsampling_ratios: not a list");
  refused_vae(ACE_EFORMAT, "{\"channel_multiples\":[1,2,4,8,4096]}",
              "channel_multiples: a stage of the encoder is wider");
  refused_vae(ACE_EFORMAT, "{\"encoder_hidden_size\":2,\"channel_multiples\":[1,2,4,8,4096]}",
              "channel_multiples: a stage of the decoder is wider");
  refused_vae(ACE_EFORMAT, "{\"encoder_hidden_size\":127}", "encoder_hidden_size: odd");
  refused_vae(ACE_EFORMAT, "{\"audio_channels\":0}", "audio_channels: 0 is outside");
  refused_vae(ACE_EFORMAT, "{\"sampling_rate\":1}", "sampling_rate: 1 is outside");
  refused_vae(ACE_EFORMAT, "{\"_class_name\":\"AutoencoderKL\"}", "_class_name: \"AutoencoderKL\", expected");
}

/* ---- golden checkpoints ------------------------------------------------------------------------------------------ */

static json_t *golden_config(const char *folder, char path[1024]) {
  ace_error err = {0};
  snprintf(path, 1024, GOLDEN_DIR "/checkpoints/%s/config.json", folder);
  if (access(path, R_OK) != 0) {
    print_message("golden checkpoint %s: absent\n", folder);
    skip();
  }
  json_t *json = json_parse_file(path, 1 << 20, &err);
  if (!json) fail_msg("%s", err.message);
  return json;
}

static void test_golden_configs(void **state) {
  char path[1024];
  ace_error err = {0};
  dit_config dit;
  qwen3_config lm;
  vae_config vae;
  json_t *json = golden_config("acestep-v15-xl-turbo", path);
  if (cfg_read_dit(json, path, &dit, &err) != ACE_OK) fail_msg("%s", err.message);
  json_decref(json);
  assert_true(dit.xl && dit.turbo);
  assert_int_equal(dit.decoder.hidden, 80);
  assert_int_equal(dit.decoder.heads, 6);
  assert_int_equal(dit.encoder.hidden, 64);
  assert_int_equal(dit.encoder.heads, 4);
  assert_int_equal(dit.window, 8);
  assert_int_equal(dit.layers, 3);
  json = golden_config("acestep-v15-base", path);
  if (cfg_read_dit(json, path, &dit, &err) != ACE_OK) fail_msg("%s", err.message);
  json_decref(json);
  assert_true(!dit.xl && !dit.turbo);
  assert_int_equal(dit.text_hidden, 48);
  assert_string_equal(dit.model_version, "base");
  json = golden_config("acestep-5Hz-lm-0.6B", path);
  if (cfg_read_qwen3(json, path, &lm, &err) != ACE_OK) fail_msg("%s", err.message);
  json_decref(json);
  assert_int_equal(lm.vocab, 1088);
  assert_int_equal(lm.block.head_dim, 32);
  assert_true(lm.tied);
  json = golden_config("vae", path);
  if (cfg_read_vae(json, path, &vae, &err) != ACE_OK) fail_msg("%s", err.message);
  json_decref(json);
  assert_int_equal(vae.multiples[4], 2);
  assert_int_equal(vae.hop, 1920);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dit_missing_keys_take_published_values),
      cmocka_unit_test(test_dit_xl_has_an_encoder_of_its_own),
      cmocka_unit_test(test_dit_layer_types),
      cmocka_unit_test(test_dit_refuses_contradictions),
      cmocka_unit_test(test_dit_refuses_absurd_sizes),
      cmocka_unit_test(test_refuses_another_kind_of_model),
      cmocka_unit_test(test_qwen3_derives_what_is_missing),
      cmocka_unit_test(test_qwen3_finds_the_rotary_base),
      cmocka_unit_test(test_qwen3_refuses),
      cmocka_unit_test(test_vae_published_values),
      cmocka_unit_test(test_vae_of_few_channels),
      cmocka_unit_test(test_vae_refuses),
      cmocka_unit_test(test_golden_configs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
