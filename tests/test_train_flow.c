/* Training an adapter of a real diffusion model, small as it is: it learns; what is exported sings as what was trained;
 * stopping and resuming costs not a bit; a training that does not fit is refused with numbers. */
#include "temp.h"

#include <math.h>

#include "base/file.h"
#include "engine/weights.h"
#include "models/adapters.h"
#include "models/dit.h"
#include "train/checkpoint.h"
#include "train/export.h"
#include "train/flow_task.h"
#include "train/loss.h"
#include "train/trainer.h"

#define MODEL ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo"

enum { SAMPLES = 3, TOKENS = 5, CHANNELS = 64 };

typedef struct fixture {
  temp t;
  char tensors[300], output[300];
  acestep_dit *m;
  train_settings s;
} fixture;

/* size: of its latents; real ones are about 1. */
static void write_sample(const fixture *f, int i, int frames, float size) {
  char path[400];
  int64_t width = f->m->cfg.encoder.hidden;
  sample s = {.shape = {frames, CHANNELS, TOKENS + i, width}};
  s.target = malloc((size_t)frames * CHANNELS * sizeof *s.target);
  s.condition = malloc((size_t)((TOKENS + i) * width) * sizeof *s.condition);
  s.about = json_pack("{s:s}", "caption", "a test");
  s.tags = json_object();
  stream a = stream_of(5, STREAM_NOISE, (uint32_t)i, 0, 0), b = stream_of(6, STREAM_NOISE, (uint32_t)i, 0, 0);
  stream_normal(&a, 0, (int64_t)frames * CHANNELS, s.target);
  stream_normal(&b, 0, (TOKENS + i) * width, s.condition);
  for (int k = 0; k < frames * CHANNELS; k++) s.target[k] *= size;
  snprintf(path, sizeof path, "%s/s%d.safetensors", f->tensors, i);
  ace_error err;
  if (sample_write(path, &s, &err) != ACE_OK) fail_msg("%s", err.message);
  sample_free(&s);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  ace_error err;
  f->t = temp_open();
  snprintf(f->tensors, sizeof f->tensors, "%s/tensors", f->t.folder);
  snprintf(f->output, sizeof f->output, "%s/out", f->t.folder);
  assert_int_equal(file_make_directory(f->tensors, NULL), ACE_OK);
  f->m = acestep_dit_open(MODEL, &err);
  if (!f->m) fail_msg("%s", err.message);
  for (int i = 0; i < SAMPLES; i++) write_sample(f, i, 25 + 10 * i, 1);
  assert_int_equal(train_settings_init(&f->s, TRAIN_SURFACE_GUIDE, TRAIN_LORA, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "dataset_dir", f->tensors, NULL), ACE_OK);
  assert_int_equal(train_settings_set(&f->s, "output_dir", f->output, NULL), ACE_OK);
  f->s.rank = 4, f->s.alpha = 8, f->s.learning_rate = 1e-3, f->s.epochs = 2;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  acestep_dit_close(f->m);
  file_remove_tree(f->t.folder, NULL);
  train_settings_free(&f->s);
  free(f);
  return 0;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

enum { LOSSES = 2200 };

typedef struct watch {
  int64_t stop_at; /* steps; 0: never */
  int64_t step;
  double loss[LOSSES];
} watch;

static void on_step(void *user, const train_step *s) {
  watch *w = user;
  w->step = s->step;
  if (s->step <= LOSSES) w->loss[s->step - 1] = s->loss;
}

static bool wants_stop(void *user) {
  const watch *w = user;
  return w->stop_at && w->step >= w->stop_at;
}

static flow_task *open_task(fixture *f, double fixed_time) {
  ace_error err;
  flow_task *task =
      flow_task_open(f->m, &(flow_options){.settings = &f->s, .room = (size_t)1 << 30, .fixed_time = fixed_time}, &err);
  if (!task) fail_msg("%s", err.message);
  return task;
}

static void run(fixture *f, flow_task *task, watch *w) {
  ace_error err = {0};
  train_outcome out;
  train_job job = {
      .settings = &f->s, .task = flow_task_of(task), .events = {.step = on_step, .cancelled = wants_stop, .user = w}};
  if (train_run(&job, &out, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_true(out.stopped == (w->stop_at > 0));
  train_outcome_free(&out);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void train_on_one(fixture *f, int frames, float size, int steps, double *first, double *last) {
  char path[400];
  for (int i = 1; i < SAMPLES; i++) {
    snprintf(path, sizeof path, "%s/s%d.safetensors", f->tensors, i);
    remove(path);
  }
  write_sample(f, 0, frames, size);
  f->s.rank = 16, f->s.alpha = 32, f->s.dropout = 0, f->s.epochs = steps;
  flow_task *task = open_task(f, 0.75);
  watch *w = calloc(1, sizeof *w);
  run(f, task, w);
  *first = w->loss[0], *last = w->loss[steps - 1];
  print_message("loss %.4f -> %.4f in %d steps\n", *first, *last, steps);
  free(w);
  flow_task_close(task);
}

/* One second of sound at one time of the flow, always with the same noise: a trainer that works learns it by heart. */
static void test_learns(void **state) {
  double first, last;
  train_on_one(*state, 25, 1, 200, &first, &last);
  assert_true(last < first / 2);
}

/* A model like the small one, but wider. What a model gives has passed a norm and a random matrix that is not trained:
 * velocities of 128 numbers a patch, as large as noise and song together, need about 3 times as many channels. */
static void write_wide_model(const fixture *f, char folder[400]) {
  static const char config[] =
      "{\"model_type\": \"acestep\", \"head_dim\": 64, \"hidden_size\": 384, \"intermediate_size\": 512, "
      "\"num_attention_heads\": 4, "
      "\"num_key_value_heads\": 2, \"num_hidden_layers\": 4, \"is_turbo\": true, \"in_channels\": 192, "
      "\"audio_acoustic_hidden_dim\": 64, \"text_hidden_dim\": 48, \"timbre_hidden_dim\": 64, \"fsq_dim\": 384, "
      "\"num_lyric_encoder_hidden_layers\": 1, \"num_timbre_encoder_hidden_layers\": 1, "
      "\"num_attention_pooler_hidden_layers\": 1, \"pool_window_size\": 5, \"patch_size\": 2, "
      "\"sliding_window\": 128, \"use_sliding_window\": true, \"rope_theta\": 1000000, \"rms_norm_eps\": 1e-6, "
      "\"fsq_input_levels\": [8, 8, 8, 5, 5, 5], \"timbre_fix_frame\": 750}";
  ace_error err;
  char path[500];
  dit_config cfg;
  weight_list l;
  json_t *json = json_loads(config, 0, NULL);
  if (cfg_read_dit(json, "wide", &cfg, &err) != ACE_OK || weights_of_dit(&l, &cfg, &err) != ACE_OK)
    fail_msg("%s", err.message);
  snprintf(folder, 400, "%s/wide", f->t.folder);
  assert_int_equal(file_make_directory(folder, NULL), ACE_OK);
  snprintf(path, sizeof path, "%s/config.json", folder);
  assert_int_equal(file_write(path, config, sizeof config - 1, NULL), ACE_OK);
  st_tensor *tensors = calloc((size_t)l.n, sizeof *tensors);
  for (int i = 0; i < l.n; i++) {
    size_t n = (size_t)weight_count(&l.at[i]);
    float *normal = malloc(n * sizeof *normal);
    uint16_t *values = malloc(n * sizeof *values);
    weight_fill(&l.at[i], weight_seed("wide", l.at[i].name), normal, values);
    tensors[i] = (st_tensor){.name = l.at[i].name, .dtype = ST_BF16, .rank = l.at[i].rank, .data = values};
    memcpy(tensors[i].dim, l.at[i].dim, sizeof l.at[i].dim);
    free(normal);
  }
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  if (st_write(path, tensors, l.n, NULL, 0, &err) != ACE_OK) fail_msg("%s", err.message);
  for (int i = 0; i < l.n; i++) free((void *)tensors[i].data);
  free(tensors);
  weight_list_free(&l);
  json_decref(json);
  size_t length;
  char *silence = file_read(MODEL "/silence_latent.pt", 1 << 26, &length, NULL);
  snprintf(path, sizeof path, "%s/silence_latent.pt", folder);
  assert_non_null(silence);
  assert_int_equal(file_write(path, silence, length, NULL), ACE_OK);
  free(silence);
}

/* Ten seconds in 2,000 steps: under a tenth. Minutes: one of the long tests. */
static void test_learns_all(void **state) {
  fixture *f = *state;
  ace_error err;
  char folder[400];
  double first, last;
  write_wide_model(f, folder);
  acestep_dit_close(f->m);
  f->m = acestep_dit_open(folder, &err);
  if (!f->m) fail_msg("%s", err.message);
  assert_int_equal(
      train_settings_set(&f->s, "target_modules", "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", NULL),
      ACE_OK);
  train_on_one(f, 250, 0.5f, 2000, &first, &last);
  assert_true(last < first / 10);
}

static void velocity(const fixture *f, float *out, int64_t count) {
  ace_error err;
  enum { FRAMES = 20 };
  tens_ctx *c = tens_open(&(tens_options){.capacity = 64 << 20}, &err);
  assert_non_null(c);
  int64_t width = f->m->cfg.encoder.hidden;
  tens *encoded = tens_new(c, TENS_F32, TENS_DIMS(1, TOKENS, width)),
       *x = tens_new(c, TENS_F32, TENS_DIMS(1, FRAMES, CHANNELS)),
       *context = tens_new(c, TENS_F32, TENS_DIMS(1, FRAMES, 2 * CHANNELS)),
       *t = tens_from(c, TENS_F32, TENS_DIMS(1), (const float[]){0.5f});
  stream s = stream_of(8, STREAM_NOISE, 0, 0, 0);
  stream_normal(&s, 0, tens_count(encoded), tens_f32(encoded));
  stream_normal(&s, 0, tens_count(x), tens_f32(x));
  stream_normal(&s, 0, tens_count(context), tens_f32(context));
  dit_condition attend;
  assert_true(dit_attend(c, f->m, encoded, &attend));
  tens *v = dit_velocity(c, f->m, &attend, context, x, t, t);
  assert_non_null(v);
  assert_int_equal(tens_count(v), count);
  memcpy(out, tens_f32(v), (size_t)count * sizeof *out);
  tens_close(c);
}

/* The adapter in memory, its folder and its single file sing the same; and without it the model is as it was. */
static void check_export(fixture *f, const char *name) {
  enum { COUNT = 20 * CHANNELS };
  static float plain[COUNT], trained[COUNT], loaded[COUNT], after[COUNT];
  ace_error err = {0};
  export_made made;
  watch *w = calloc(1, sizeof *w);
  velocity(f, plain, COUNT);
  flow_task *task = open_task(f, 0);
  run(f, task, w);
  velocity(f, trained, COUNT);
  flow_task_close(task);
  velocity(f, after, COUNT);
  assert_memory_equal(plain, after, sizeof plain);
  char path[400];
  snprintf(path, sizeof path, "%s/%s", f->t.folder, name);
  if (export_adapter(f->output, path, &(export_options){.f32 = true}, &made, &err) != ACE_OK)
    fail_msg("%s", err.message);
  adapters *set = adapters_open(f->m, NULL, &err);
  adapter_file *file = adapter_file_open(made.path, &err);
  if (!file || adapters_add(set, file, 1, &err) < 0) fail_msg("%s", err.message);
  assert_int_equal(adapters_at(set, 0)->fit.n_unknown, 0);
  velocity(f, loaded, COUNT);
  adapters_close(set);
  double off = 0, change = 0, size = 0;
  for (int i = 0; i < COUNT; i++) {
    off += pow((double)(loaded[i] - trained[i]), 2);
    change += pow((double)(trained[i] - plain[i]), 2);
    size += pow((double)trained[i], 2);
  }
  assert_true(change > 0);
  if (!(sqrt(off / size) < 1e-5)) fail_msg("off by %g", sqrt(off / size));
  export_made_free(&made);
  free(w);
}

static void test_export_folder(void **state) {
  check_export(*state, "style");
}

static void test_export_file(void **state) {
  ((fixture *)*state)->s.use_rslora = true;
  check_export(*state, "style.safetensors");
}

static void test_export_lokr(void **state) {
  fixture *f = *state;
  f->s.adapter = TRAIN_LOKR;
  check_export(f, "style");
}

/* With lengths of rows and a scalar, the factors whole and in parts. Their files have no scalar, as those of LyCORIS. */
static void test_export_dora(void **state) {
  fixture *f = *state;
  char path[400];
  f->s.adapter = TRAIN_LOKR, f->s.lokr_weight_decompose = f->s.lokr_use_scalar = true;
  check_export(f, "style");
  f->s.lokr_dim = 2, f->s.lokr_decompose_both = true;
  check_export(f, "parts");
  snprintf(path, sizeof path, "%s/parts/lokr_weights.safetensors", f->t.folder);
  st_file *file = st_open(path, NULL);
  assert_non_null(file);
  const st_tensor *length = st_find(file, "lycoris_layers_0_self_attn_k_proj.dora_scale");
  assert_non_null(length);
  assert_int_equal(length->dim[0], f->m->decoder.layers[0].self.k.w.dim[0]); /* of rows, as LyCORIS since 3.2 */
  assert_int_equal(length->dim[1], 1);
  for (int i = 0; i < st_count(file); i++) assert_null(strstr(st_at(file, i)->name, "scalar"));
  assert_non_null(strstr(st_metadata(file, "lokr_config"), "\"weight_decompose\":true"));
  st_close(file);
  /* In BF16 a row would be up to 0.4% louder or softer than it was trained. */
  ace_error err = {0};
  export_made made;
  snprintf(path, sizeof path, "%s/half", f->t.folder);
  if (export_adapter(f->output, path, &(export_options){0}, &made, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_false(made.idle);
  assert_non_null(file = st_open(made.path, NULL));
  assert_int_equal(st_find(file, "lycoris_layers_0_self_attn_k_proj.dora_scale")->dtype, ST_F32);
  assert_int_equal(st_find(file, "lycoris_layers_0_self_attn_k_proj.lokr_w1_a")->dtype, ST_BF16);
  st_close(file);
  export_made_free(&made);
}

/* Four ways through six steps: at once; stopped in the middle of an epoch and resumed. */
static void check_resume(fixture *f) {
  ace_error err;
  watch *w = calloc(1, sizeof *w);
  flow_task *task = open_task(f, 0);
  run(f, task, w);
  int64_t count = flow_task_of(task)->count;
  float *whole = malloc((size_t)count * sizeof *whole);
  memcpy(whole, flow_task_of(task)->values, (size_t)count * sizeof *whole);
  flow_task_close(task);
  file_remove_tree(f->output, NULL);
  *w = (watch){.stop_at = 4};
  task = open_task(f, 0);
  run(f, task, w);
  flow_task_close(task);
  if (train_settings_set(&f->s, "resume", f->output, &err) != ACE_OK) fail_msg("%s", err.message);
  *w = (watch){0};
  task = open_task(f, 0);
  run(f, task, w);
  assert_memory_equal(whole, flow_task_of(task)->values, (size_t)count * sizeof *whole);
  flow_task_close(task);
  free(whole), free(w);
}

static void refuse_to_resume(fixture *f, const char *why) {
  ace_error err = {0};
  train_outcome out;
  flow_task *task = open_task(f, 0);
  f->s.epochs = 9;
  train_job job = {.settings = &f->s, .task = flow_task_of(task)};
  assert_int_equal(train_run(&job, &out, &err), ACE_EINVAL);
  if (!strstr(err.message, why)) fail_msg("%s", err.message);
  train_outcome_free(&out);
  flow_task_close(task);
}

static void test_resume(void **state) {
  fixture *f = *state;
  check_resume(f);
  f->s.rank = 8; /* another rank is another adapter */
  refuse_to_resume(f, "[4, ");
}

/* Values that the adapter's file does not hold as they are. */
static void test_resume_scalar(void **state) {
  fixture *f = *state;
  f->s.adapter = TRAIN_LOKR, f->s.lokr_weight_decompose = f->s.lokr_use_scalar = true;
  check_resume(f);
  f->s.lokr_use_scalar = false;
  refuse_to_resume(f, "with a scalar");
  f->s.lokr_use_scalar = true, f->s.lokr_weight_decompose = false;
  refuse_to_resume(f, "in the same way");
}

/* Two songs of unlike length at once, or one after the other: the same adapter but for the rounding of sums, dropout
 * included. */
static void test_batches(void **state) {
  fixture *f = *state;
  watch *w = calloc(1, sizeof *w);
  float *values[2] = {NULL, NULL};
  int64_t count = 0;
  for (int i = 0; i < 2; i++) {
    f->s.batch_size = i ? 1 : 2, f->s.gradient_accumulation = i ? 2 : 1;
    flow_task *task = open_task(f, 0);
    run(f, task, w);
    assert_int_equal(w->step, 2 * 2);
    count = flow_task_of(task)->count;
    values[i] = malloc((size_t)count * sizeof(float));
    memcpy(values[i], flow_task_of(task)->values, (size_t)count * sizeof(float));
    flow_task_close(task);
  }
  double off = 0, size = 0;
  for (int64_t k = 0; k < count; k++) {
    off += pow((double)(values[0][k] - values[1][k]), 2);
    size += pow((double)values[0][k], 2);
  }
  if (!(sqrt(off / size) < 1e-4)) fail_msg("off by %g", sqrt(off / size));
  free(values[0]), free(values[1]), free(w);
}

/* Batches as the reference pads them: the noise of padding is a function of seed and sample like all noise. */
static void test_parity(void **state) {
  fixture *f = *state;
  double loss[2][2], masked[2];
  f->s.batch_size = 2;
  for (int pass = 0; pass < 3; pass++) {
    f->s.padding = pass < 2 ? TRAIN_PADDING_PARITY : TRAIN_PADDING_MASKED;
    flow_task *task = open_task(f, 0.5);
    train_task *t = flow_task_of(task);
    double *to = pass < 2 ? loss[pass] : masked;
    train_batch batch = {.sample = (const int[]){0, 2}, .n = 2};
    assert_int_equal(t->run(t->user, &batch, to, NULL), ACE_OK);
    flow_task_close(task);
  }
  assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
  assert_true(isfinite(loss[0][0]) && loss[0][0] != masked[0]); /* the shorter one counts its padding */
}

/* Samples are too large to be kept, and one becomes longer while it is trained on: refused before it overruns what was
 * planned for it. */
static void test_a_sample_that_changes(void **state) {
  fixture *f = *state;
  ace_error err = {0};
  double loss;
  flow_task *task = open_task(f, 0);
  const flow_estimate *e = flow_task_estimate(task);
  size_t needed = e->total - e->samples;
  assert_true(e->samples > 0);
  flow_task_close(task);
  task = flow_task_open(f->m, &(flow_options){.settings = &f->s, .room = needed}, &err);
  if (!task) fail_msg("%s", err.message);
  assert_int_equal(flow_task_estimate(task)->samples, 0);
  train_task *t = flow_task_of(task);
  train_batch last = {.sample = (const int[]){SAMPLES - 1}, .n = 1};
  assert_int_equal(t->run(t->user, &last, &loss, &err), ACE_OK);
  write_sample(f, SAMPLES - 1, 400, 1);
  assert_int_equal(t->run(t->user, &last, &loss, &err), ACE_EINVAL);
  expect_error(&err, ACE_EINVAL, "s2.safetensors", "has changed since the training began");
  flow_task_close(task);
}

static void test_refusals(void **state) {
  fixture *f = *state;
  ace_error err;
  assert_null(flow_task_open(f->m, &(flow_options){.settings = &f->s, .room = 1 << 20}, &err));
  assert_int_equal(err.status, ACE_ENOMEM);
  assert_non_null(strstr(err.message, "MB are free"));
  assert_int_equal(train_settings_set(&f->s, "target_modules", "q_proj", NULL), ACE_OK);
  assert_null(flow_task_open(f->m, &(flow_options){.settings = &f->s, .room = 1 << 30}, &err));
  assert_int_equal(train_settings_set(&f->s, "dataset_dir", f->t.folder, NULL), ACE_OK);
  assert_null(flow_task_open(f->m, &(flow_options){.settings = &f->s, .room = 1 << 30}, &err));
  assert_int_equal(err.status, ACE_ENOTFOUND);
}

int main(int argc, char **argv) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_learns),        TEST(test_export_folder),
                                     TEST(test_export_file),   TEST(test_export_lokr),
                                     TEST(test_export_dora),   TEST(test_resume),
                                     TEST(test_resume_scalar), TEST(test_batches),
                                     TEST(test_parity),        TEST(test_a_sample_that_changes),
                                     TEST(test_refusals)};
  const struct CMUnitTest longer[] = {TEST(test_learns_all)};
  return argc > 1 ? cmocka_run_group_tests(longer, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
