/* Adapter files as different tools write them: the same layer under every name, the strength that its training gave it,
 * and a sentence for what is not supported - an adapter that is half understood would sing with another voice. */
#include "adapter_files.h"

#include <sys/stat.h>

#include "formats/adapter_file.h"

enum { RANK = 3, OUT = 8, IN = 6 };

static void make_folder(temp *t, const char *name) {
  assert_int_equal(mkdir(temp_path(t, name), 0700), 0);
}

static void remove_all(const temp *t) {
  char command[400];
  snprintf(command, sizeof command, "rm -rf '%s'", t->folder);
  assert_int_equal(system(command), 0);
}

/* A pair of factors under these names. */
static void add_pair(tensor_file *f, const char *a, const char *b) {
  file_add(f, 1, 1, RANK, IN, a, "");
  file_add(f, 2, 1, OUT, RANK, b, "");
}

static void add_number(tensor_file *f, const char *name, float x) {
  *file_add(f, 1, 1, 1, 1, name, "") = x;
  f->tensor[f->n - 1].rank = 0;
}

static adapter_file *open_file(tensor_file *f, const char *lokr_config) {
  temp t = temp_open();
  ace_error err;
  file_write_to(f, temp_path(&t, "a.safetensors"), lokr_config);
  adapter_file *a = adapter_file_open(temp_path(&t, "a.safetensors"), &err);
  if (!a) fail_msg("%s", err.message);
  temp_close(&t);
  return a;
}

static void every_tool_names_the_same_layer(void **state) {
  static const struct {
    const char *a, *b, *name;
  } files[] = {{"base_model.model.layers.0.mlp.up_proj.lora_A.weight",
                "base_model.model.layers.0.mlp.up_proj.lora_B.weight", "layers.0.mlp.up_proj"},
               {"base_model.model.layers.0.mlp.up_proj.lora_A.default.weight",
                "base_model.model.layers.0.mlp.up_proj.lora_B.default.weight", "layers.0.mlp.up_proj"},
               {"layers.0.mlp.up_proj.lora_A.weight", "layers.0.mlp.up_proj.lora_B.weight", "layers.0.mlp.up_proj"},
               {"diffusion_model.layers.0.mlp.up_proj.lora_down.weight",
                "diffusion_model.layers.0.mlp.up_proj.lora_up.weight", "layers.0.mlp.up_proj"},
               {"diffusion_model.decoder.layers.0.mlp.up_proj.lora_A.weight",
                "diffusion_model.decoder.layers.0.mlp.up_proj.lora_B.weight", "layers.0.mlp.up_proj"},
               {"decoder.layers.0.mlp.up_proj.lora_A", "decoder.layers.0.mlp.up_proj.lora_B", "layers.0.mlp.up_proj"},
               {"lora_unet_layers_0_mlp_up_proj.lora_down.weight", "lora_unet_layers_0_mlp_up_proj.lora_up.weight",
                "layers_0_mlp_up_proj"},
               {"lycoris_layers_0_mlp_up_proj.lora_down.weight", "lycoris_layers_0_mlp_up_proj.lora_up.weight",
                "layers_0_mlp_up_proj"}};
  static tensor_file f;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    add_pair(&f, files[i].a, files[i].b);
    adapter_file *a = open_file(&f, NULL);
    assert_int_equal(a->n_modules, 1);
    assert_int_equal(a->n_unknown, 0);
    const adapter_module *m = &a->module[0];
    assert_string_equal(m->name, files[i].name);
    assert_int_equal(m->rank, RANK);
    assert_int_equal(m->rows, OUT);
    assert_int_equal(m->columns, IN);
    assert_true(m->scale == 1); /* nothing says otherwise */
    adapter_file_close(a);
    file_free(&f);
  }
}

static const char layer_a[] = "layers.0.self_attn.q_proj.lora_A.weight";
static const char layer_b[] = "layers.0.self_attn.q_proj.lora_B.weight";

/* The scale of the one module of a folder with this configuration. */
static double scale_of(const char *config, float own_alpha) {
  static tensor_file f;
  temp t = temp_open();
  ace_error err;
  add_pair(&f, layer_a, layer_b);
  if (own_alpha > 0) add_number(&f, "layers.0.self_attn.q_proj.alpha", own_alpha);
  temp_put(&t, "adapter_config.json", config, strlen(config));
  file_write_to(&f, temp_path(&t, "adapter_model.safetensors"), NULL);
  adapter_file *a = adapter_file_open(t.folder, &err);
  if (!a) fail_msg("%s", err.message);
  double scale = a->module[0].scale;
  adapter_file_close(a);
  file_free(&f);
  temp_close(&t);
  return scale;
}

static void expect_scale(double got, double want) {
  if (!(fabs(got - want) < 1e-12)) fail_msg("%.15g, expected %.15g", got, want);
}

/* The tensor's own alpha, then the configuration's for the layer, then its general one; over the rank, or its root. */
static void the_strength_is_that_of_the_training(void **state) {
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12}", 0), 12.0 / RANK);
  expect_scale(scale_of("{\"peft_type\": \"LORA\"}", 0), 1);
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12, \"use_rslora\": true}", 0), 12 / sqrt(RANK));
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12}", 6), 6.0 / RANK);
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12, \"rank_pattern\": {\"q_proj\": 3},"
                        "\"alpha_pattern\": {\"k_proj\": 1, \"self_attn.q_proj\": 9}}",
                        0),
               9.0 / RANK);
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12,"
                        "\"alpha_pattern\": {\"layers\\\\.0\\\\.self_attn\\\\.q_proj\": 9}}",
                        0),
               9.0 / RANK);
  expect_scale(scale_of("{\"peft_type\": \"LORA\", \"lora_alpha\": 12, \"alpha_pattern\": {\"_proj\": 9}}", 0),
               12.0 / RANK);
}

static void lokr_is_scaled_as_lycoris_does(void **state) {
  static tensor_file f;
  static const char w1[] = "lycoris_layers_0_self_attn_q_proj.lokr_w1",
                    w2[] = "lycoris_layers_0_self_attn_q_proj.lokr_w2";
  file_add(&f, 1, 1, 2, 3, w1, "");
  file_add(&f, 1, 1, 4, 2, w2, "");
  adapter_file *a = open_file(&f, "{\"linear_dim\": 64, \"linear_alpha\": 128}");
  assert_int_equal(a->module[0].kind, ADAPTER_LOKR);
  assert_int_equal(a->module[0].rows, OUT);
  assert_int_equal(a->module[0].columns, IN);
  expect_scale(a->module[0].scale, 1); /* two whole matrices */
  adapter_file_close(a);
  file_free(&f);
  file_add(&f, 1, 1, 2, 3, w1, "");
  file_add(&f, 1, 1, 4, 2, w2, "_a");
  file_add(&f, 1, 1, 2, 2, w2, "_b");
  add_number(&f, "lycoris_layers_0_self_attn_q_proj.alpha", 8);
  add_number(&f, "lycoris_layers_0_self_attn_q_proj.scalar", 0.5f);
  a = open_file(&f, "{\"linear_dim\": 2, \"linear_alpha\": 128}");
  expect_scale(a->module[0].scale, 0.5 * 8 / 2);
  adapter_file_close(a);
  a = open_file(&f, "{\"rs_lora\": true}");
  expect_scale(a->module[0].scale, 0.5 * 8 / sqrt(2));
  adapter_file_close(a);
  file_free(&f);
}

/* ---- where it lies ----------------------------------------------------------------------------------------------- */

/* The folder of a training's output, of which the adapter is one folder; the weight file itself; a LoKr folder. */
static void adapters_are_found_where_tools_put_them(void **state) {
  static const char config[] = "{\"peft_type\": \"LORA\", \"lora_alpha\": 12}";
  static tensor_file f;
  temp t = temp_open();
  ace_error err;
  make_folder(&t, "adapter");
  add_pair(&f, layer_a, layer_b);
  temp_put(&t, "adapter/adapter_config.json", config, sizeof config - 1);
  file_write_to(&f, temp_path(&t, "adapter/adapter_model.safetensors"), NULL);
  assert_true(adapter_file_is_one(t.folder));
  adapter_file *a = adapter_file_open(t.folder, &err);
  if (!a) fail_msg("%s", err.message);
  expect_scale(a->module[0].scale, 12.0 / RANK);
  char hash[65], again[65];
  assert_int_equal(adapter_file_hash(a, hash, &err), ACE_OK);
  adapter_file_close(a);
  a = adapter_file_open(temp_path(&t, "adapter/adapter_model.safetensors"), &err);
  if (!a) fail_msg("%s", err.message);
  expect_scale(a->module[0].scale, 12.0 / RANK); /* its configuration lies beside it */
  assert_int_equal(adapter_file_hash(a, again, &err), ACE_OK);
  assert_string_equal(hash, again);
  adapter_file_close(a);
  file_free(&f);
  make_folder(&t, "lokr");
  file_add(&f, 1, 1, 2, 3, "lycoris_layers_0_self_attn_q_proj.lokr_w1", "");
  file_add(&f, 1, 1, 4, 2, "lycoris_layers_0_self_attn_q_proj.lokr_w2", "");
  file_write_to(&f, temp_path(&t, "lokr/mine.safetensors"), "{\"linear_dim\": 4}");
  a = adapter_file_open(temp_path(&t, "lokr"), &err);
  if (!a) fail_msg("%s", err.message);
  adapter_file_close(a);
  file_free(&f);
  remove_all(&t);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refused(const char *path, ace_status status, const char *first, const char *second) {
  ace_error err = {0};
  adapter_file *f = adapter_file_open(path, &err);
  adapter_file_close(f);
  if (f) fail_msg("%s was accepted", path);
  expect_error(&err, status, first, second);
}

/* A pickle is refused by its name: its bytes are never read. */
static void pickles_are_refused(void **state) {
  temp t = temp_open();
  temp_put(&t, "adapter_model.pt", "x", 1);
  expect_refused(temp_path(&t, "adapter_model.pt"), ACE_EUNSUPPORTED, "adapter_model.pt",
                 "Use a PEFT adapter directory instead.");
  expect_refused(t.folder, ACE_EUNSUPPORTED, "adapter_model.pt", "Use a PEFT adapter directory instead.");
  temp_close(&t);
}

static void what_is_no_adapter_is_refused(void **state) {
  static tensor_file f;
  temp t = temp_open();
  expect_refused(t.folder, ACE_ENOTFOUND, t.folder, "adapter_config.json");
  char missing[300];
  snprintf(missing, sizeof missing, "%s/missing", t.folder);
  expect_refused(missing, ACE_ENOTFOUND, "missing", "no such adapter");
  temp_put(&t, "a.safetensors", "nothing", 7);
  expect_refused(temp_path(&t, "a.safetensors"), ACE_EFORMAT, "a.safetensors", "");
  file_add(&f, 1, 1, 2, 2, "decoder.layers.0.self_attn.q_proj.weight", "");
  file_write_to(&f, temp_path(&t, "a.safetensors"), NULL);
  expect_refused(temp_path(&t, "a.safetensors"), ACE_EFORMAT, "no adapter", "decoder.layers.0.self_attn.q_proj.weight");
  file_free(&f);
  temp_close(&t);
}

static void configurations_that_ask_for_more_are_refused(void **state) {
  static const struct {
    const char *config, *field;
    ace_status status;
  } configs[] = {
      {"{\"peft_type\": \"LORA\", \"modules_to_save\": [\"proj_out\"]}", "modules_to_save", ACE_EUNSUPPORTED},
      {"{\"peft_type\": \"LORA\", \"bias\": \"all\"}", "bias", ACE_EUNSUPPORTED},
      {"{\"peft_type\": \"LORA\", \"lora_bias\": true}", "lora_bias", ACE_EUNSUPPORTED},
      {"{\"peft_type\": \"LORA\", \"fan_in_fan_out\": true}", "fan_in_fan_out", ACE_EUNSUPPORTED},
      {"{\"peft_type\": \"IA3\"}", "peft_type", ACE_EUNSUPPORTED},
      {"{\"peft_type\": \"LORA\", \"use_dora\": true}", "magnitude", ACE_EFORMAT},
      {"{\"peft_type\": \"LORA\", \"lora_alpha\": \"much\"}", "lora_alpha", ACE_EFORMAT},
      {"{\"peft_type\": \"LORA\", \"alpha_pattern\": {\"q_proj|k_proj\": 3}}", "alpha_pattern", ACE_EUNSUPPORTED},
      {"{\"r\": 8}", "peft_type", ACE_EFORMAT},
      {"[]", "peft_type", ACE_EFORMAT},
      {"{", "adapter_config.json", ACE_EFORMAT}};
  static tensor_file f;
  temp t = temp_open();
  add_pair(&f, layer_a, layer_b);
  file_write_to(&f, temp_path(&t, "adapter_model.safetensors"), NULL);
  for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
    temp_put(&t, "adapter_config.json", configs[i].config, strlen(configs[i].config));
    expect_refused(t.folder, configs[i].status, t.folder, configs[i].field);
  }
  file_free(&f);
  temp_close(&t);
}

/* Each file lacks or doubles something. */
static void halves_and_doubles_are_refused(void **state) {
  static const struct {
    const char *name;
    int rows, columns;
  } files[][4] = {{{"l.lora_A.weight", 3, 6}},
                  {{"l.lora_B.weight", 8, 3}},
                  {{"l.lora_A.weight", 3, 6}, {"l.lora_B.weight", 8, 4}},
                  {{"l.lora_A.weight", 3, 6}, {"l.lora_B.weight", 8, 3}, {"l.lora_A.other.weight", 3, 6}},
                  {{"l.lora_A.weight", 3, 6}, {"l.lora_B.weight", 8, 3}, {"l.lokr_w1", 2, 2}},
                  {{"l.lora_A.weight", 3, 6}, {"l.lora_B.weight", 8, 3}, {"l.dora_scale", 7, 1}},
                  {{"l.lora_A.weight", 3, 6}, {"l.lora_B.weight", 8, 3}, {"l.alpha", 2, 1}},
                  {{"l.lokr_w1", 2, 2}},
                  {{"l.lokr_w1", 2, 2}, {"l.lokr_w2_a", 2, 2}},
                  {{"l.lokr_w1", 2, 2}, {"l.lokr_w2", 2, 2}, {"l.lokr_w2_b", 2, 2}},
                  {{"l.lokr_w1", 2, 2}, {"l.lokr_w2_a", 2, 2}, {"l.lokr_w2_b", 3, 2}},
                  {{"l.alpha", 1, 1}}};
  static tensor_file f;
  temp t = temp_open();
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    for (int j = 0; j < 4 && files[i][j].name; j++)
      file_add(&f, 1, 1, files[i][j].rows, files[i][j].columns, files[i][j].name, "");
    file_write_to(&f, temp_path(&t, "a.safetensors"), NULL);
    expect_refused(temp_path(&t, "a.safetensors"), ACE_EFORMAT, "a.safetensors", "l");
    file_free(&f);
  }
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_tool_names_the_same_layer),
      cmocka_unit_test(the_strength_is_that_of_the_training),
      cmocka_unit_test(lokr_is_scaled_as_lycoris_does),
      cmocka_unit_test(adapters_are_found_where_tools_put_them),
      cmocka_unit_test(pickles_are_refused),
      cmocka_unit_test(what_is_no_adapter_is_refused),
      cmocka_unit_test(configurations_that_ask_for_more_are_refused),
      cmocka_unit_test(halves_and_doubles_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
