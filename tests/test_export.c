/* acestep export: what is given away must be what was trained: in PEFT's folder, in the one file that ComfyUI reads, which
 * knows no configuration and would sing at half strength without the scales inside, and never at the cost of somebody
 * else's folder. */
#include "temp.h"

#include <math.h>

#include "base/file.h"
#include "base/half.h"
#include "formats/adapter_file.h"
#include "train/checkpoint.h"
#include "train/export.h"
#include "train/peft_config.h"

enum { RANK = 4, ROWS = 6, COLUMNS = 8 };

typedef struct fixture {
  temp t;
  char output[300];
  float a[RANK * COLUMNS], b[ROWS * RANK];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->t = temp_open();
  snprintf(f->output, sizeof f->output, "%s/out", f->t.folder);
  for (int i = 0; i < RANK * COLUMNS; i++) f->a[i] = (float)sin(i + 1);
  for (int i = 0; i < ROWS * RANK; i++) f->b[i] = (float)cos(i + 1);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  file_remove_tree(f->t.folder, NULL);
  free(f);
  return 0;
}

/* An adapter of one layer as a training writes it, below the output folder. */
static void put(const fixture *f, const char *where, float factor) {
  static const char *const targets[] = {"q_proj", NULL};
  char folder[400], path[500];
  float b[ROWS * RANK];
  for (int i = 0; i < ROWS * RANK; i++) b[i] = factor * f->b[i];
  snprintf(folder, sizeof folder, "%s/%s", f->output, where);
  assert_int_equal(file_make_directory(folder, NULL), ACE_OK);
  const st_tensor tensors[] = {{.name = "base_model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                .dtype = ST_F32,
                                .rank = 2,
                                .dim = {RANK, COLUMNS},
                                .count = RANK * COLUMNS,
                                .data = f->a,
                                .size = sizeof f->a},
                               {.name = "base_model.model.layers.0.self_attn.q_proj.lora_B.weight",
                                .dtype = ST_F32,
                                .rank = 2,
                                .dim = {ROWS, RANK},
                                .count = ROWS * RANK,
                                .data = b,
                                .size = sizeof b}};
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  assert_int_equal(st_write(path, tensors, 2, NULL, 0, NULL), ACE_OK);
  json_t *config = peft_config(RANK, 8, 0.1, false, targets, "acestep-v15-turbo");
  char *text = json_dumps(config, 0);
  snprintf(path, sizeof path, "%s/adapter_config.json", folder);
  assert_int_equal(file_write(path, text, strlen(text), NULL), ACE_OK);
  assert_non_null(strstr(text, "\"lora_alpha\": 8,")); /* an integer, which atoi can read */
  free(text);
  json_decref(config);
}

static void destination(const fixture *f, const char *name, char out[400]) {
  snprintf(out, 400, "%s/%s", f->t.folder, name);
}

static adapter_file *exported(const fixture *f, const char *name, const export_options *o) {
  char path[400];
  ace_error err = {0};
  export_made made;
  destination(f, name, path);
  if (export_adapter(f->output, path, o, &made, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(made.layers, 1);
  adapter_file *a = adapter_file_open(made.path, &err);
  if (!a) fail_msg("%s", err.message);
  export_made_free(&made);
  return a;
}

static void check_values(const st_tensor *t, const float *want, float factor, st_dtype dtype) {
  assert_int_equal(t->dtype, dtype);
  for (int64_t i = 0; i < t->count; i++) {
    float x, y = factor * want[i];
    st_widen(t, i, 1, &x);
    assert_true(x == (dtype == ST_BF16 ? bf16_to_f32(f32_to_bf16(y)) : y));
  }
}

static void test_folder(void **state) {
  fixture *f = *state;
  put(f, "final", 1);
  put(f, "checkpoints/epoch_3_loss_0.5", 2);
  adapter_file *a = exported(f, "style", &(export_options){0});
  check_values(a->module[0].a, f->a, 1, ST_BF16);
  check_values(a->module[0].b, f->b, 1, ST_BF16);
  assert_true(a->module[0].scale == 2);
  assert_null(st_find(a->weights, "base_model.model.layers.0.self_attn.q_proj.alpha"));
  adapter_file_close(a);
  a = exported(f, "style", &(export_options){.f32 = true}); /* over itself */
  check_values(a->module[0].b, f->b, 1, ST_F32);
  adapter_file_close(a);
}

/* ComfyUI finds the scale in the file, and so does any reader that is given the file alone. */
static void test_single_file(void **state) {
  fixture *f = *state;
  put(f, "final", 1);
  adapter_file *a = exported(f, "style.safetensors", &(export_options){0});
  assert_null(a->config);
  const st_tensor *alpha = st_find(a->weights, "base_model.model.layers.0.self_attn.q_proj.alpha");
  assert_non_null(alpha);
  assert_int_equal(alpha->rank, 0);
  assert_int_equal(alpha->dtype, ST_F32);
  assert_true(a->module[0].alpha == 8 && a->module[0].scale == 2);
  adapter_file_close(a);
}

static void test_epochs(void **state) {
  fixture *f = *state;
  put(f, "checkpoints/epoch_9_loss_0.5", 2);
  put(f, "checkpoints/epoch_10_loss_0.4", 3);
  put(f, "checkpoints/last", 4);
  adapter_file *a = exported(f, "latest", &(export_options){0}); /* by number, not by name */
  check_values(a->module[0].b, f->b, 3, ST_BF16);
  adapter_file_close(a);
  a = exported(f, "chosen", &(export_options){.epoch = "9"});
  check_values(a->module[0].b, f->b, 2, ST_BF16);
  adapter_file_close(a);
  a = exported(f, "named", &(export_options){.epoch = "last"});
  check_values(a->module[0].b, f->b, 4, ST_BF16);
  adapter_file_close(a);
}

/* The state of a checkpoint, as far as an export looks at it. */
static void put_steps(const fixture *f, const char *where, int64_t steps) {
  char path[500];
  st_tensor step = {
      .name = "global_step", .dtype = ST_I64, .rank = 1, .dim = {1}, .count = 1, .data = &steps, .size = sizeof steps};
  snprintf(path, sizeof path, "%s/%s/" CHECKPOINT_STATE, f->output, where);
  assert_int_equal(st_write(path, &step, 1, NULL, 0, NULL), ACE_OK);
}

/* Of two checkpoints of one epoch the later one is given away, however the folder lists them. */
static void test_two_of_an_epoch(void **state) {
  fixture *f = *state;
  put(f, "checkpoints/epoch_10_loss_0.4", 2);
  put(f, "checkpoints/epoch_10_step_110_stopped", 3);
  for (int later = 0; later < 2; later++) {
    put_steps(f, "checkpoints/epoch_10_loss_0.4", 100);
    put_steps(f, "checkpoints/epoch_10_step_110_stopped", later ? 110 : 90);
    adapter_file *a = exported(f, "latest", &(export_options){0});
    check_values(a->module[0].b, f->b, later ? 3 : 2, ST_BF16);
    adapter_file_close(a);
  }
}

/* What replaces another adapter leaves nothing of the other kind; what fails on the way is no adapter with a wrong scale. */
static void test_replacing(void **state) {
  fixture *f = *state;
  char weights[500], config[500], lokr[500], path[400];
  put(f, "final", 1);
  adapter_file_close(exported(f, "style", &(export_options){0}));
  destination(f, "style", path);
  snprintf(weights, sizeof weights, "%s/adapter_model.safetensors", path);
  snprintf(config, sizeof config, "%s/adapter_config.json", path);
  snprintf(lokr, sizeof lokr, "%s/lokr_weights.safetensors", path);
  assert_int_equal(file_write(lokr, "x", 1, NULL), ACE_OK);
  adapter_file_close(exported(f, "style", &(export_options){0}));
  assert_false(file_exists(lokr));
  assert_true(file_exists(config));
  assert_int_equal(unlink(weights), 0); /* a folder in its place, which no file replaces */
  assert_int_equal(file_make_directory(weights, NULL), ACE_OK);
  export_made made;
  assert_int_not_equal(export_adapter(f->output, path, &(export_options){0}, &made, NULL), ACE_OK);
  assert_false(file_exists(config));
  export_made_free(&made);
}

static void refused(const fixture *f, const char *source, const char *name, const char *epoch, const char *says) {
  char path[400];
  ace_error err = {0};
  export_made made;
  destination(f, name, path);
  assert_int_not_equal(export_adapter(source, path, &(export_options){.epoch = epoch}, &made, &err), ACE_OK);
  if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
  export_made_free(&made);
}

static void test_refusals(void **state) {
  fixture *f = *state;
  char path[400], file[500];
  refused(f, f->output, "x", NULL, "No trained model found");
  put(f, "checkpoints/epoch_9_loss_0.5", 1);
  refused(f, f->output, "x", "8", "Available: epoch_9_loss_0.5");
  destination(f, "precious", path);
  assert_int_equal(file_make_directory(path, NULL), ACE_OK);
  snprintf(file, sizeof file, "%s/thesis.txt", path);
  assert_int_equal(file_write(file, "x", 1, NULL), ACE_OK);
  refused(f, f->output, "precious", NULL, "not an adapter's folder");
  assert_true(file_exists(file));
  put(f, "final", INFINITY);
  refused(f, f->output, "x", NULL, "not finite");
}

static void test_idle(void **state) {
  fixture *f = *state;
  char path[400];
  export_made made;
  put(f, "final", 0);
  destination(f, "x", path);
  assert_int_equal(export_adapter(f->output, path, &(export_options){0}, &made, NULL), ACE_OK);
  assert_true(made.idle);
  export_made_free(&made);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_folder),    TEST(test_single_file), TEST(test_epochs), TEST(test_two_of_an_epoch),
      TEST(test_replacing), TEST(test_refusals),    TEST(test_idle)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
