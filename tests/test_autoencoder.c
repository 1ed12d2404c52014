/* Training an autoencoder: first weights that already give sounds back, a loss whose gradient reaches every published
 * tensor, training that lowers it and goes on after a stop as if there had been none. A mistake here costs hours before
 * anybody hears it. */
#include "temp.h"

#include <math.h>

#include "audio/write.h"
#include "base/file.h"
#include "base/rng.h"
#include "engine/train_autoencoder.h"
#include "models/vae.h"
#include "tensor/ops_train.h"
#include "train/autoencoder_init.h"
#include "train/autoencoder_task.h"
#include "train/lapped.h"

enum { RATE = 48000, SOUNDS = 5, FRAMES = 9600, CROP = 256 /* latent frames of 8 samples */, ROOM = 1 << 30 };

/* A hop of 8 stereo samples is 16 numbers, and so many latents there are. */
static const char config[] =
    "{\"_class_name\": \"AutoencoderOobleck\", \"_diffusers_version\": \"0.36.0\", \"channel_multiples\": [4, 8], "
    "\"decoder_channels\": 2, \"decoder_input_channels\": 16, \"downsampling_ratios\": [4, 2], \"encoder_channels\": "
    "3, "
    "\"encoder_hidden_size\": 32, \"sampling_rate\": 48000}";

/* Some tones with noise, each at another place and of another loudness. */
static void make_sounds(temp *t) {
  static float x[FRAMES * 2];
  rng_torch r;
  audio_buffer b = {.samples = x, .frames = FRAMES, .channels = 2, .sample_rate = RATE};
  file_make_directory(temp_path(t, "sounds"), NULL);
  for (int i = 0; i < SOUNDS; i++) {
    char name[32];
    rng_torch_seed(&r, (uint64_t)i);
    rng_torch_randn(&r, x, FRAMES * 2);
    for (int k = 0; k < FRAMES; k++) {
      double at = (double)k / RATE, tone = sin(1382.3 * (i + 1) * at), high = sin(9000.0 * (i + 1) * at);
      double left = 0.3 * tone + 0.02 * high, right = 0.3 / (i + 1) * tone - 0.02 * high;
      x[2 * k] = (float)(left + 0.02 * (double)x[2 * k]), x[2 * k + 1] = (float)(right + 0.02 * (double)x[2 * k + 1]);
    }
    snprintf(name, sizeof name, "sounds/%d.wav", i);
    assert_int_equal(audio_write(temp_path(t, name), &b, AUDIO_WAV, NULL, NULL, NULL, NULL), ACE_OK);
  }
  temp_put(t, "config.json", config, sizeof config - 1);
}

static sound_set read_sounds(temp *t) {
  sound_set s;
  ace_error err;
  char folder[800];
  snprintf(folder, sizeof folder, "%s", temp_path(t, "sounds"));
  if (sound_set_open(&s, folder, &(sound_limits){.rate = RATE, .least = 1, .room = ROOM}, NULL, &err) != ACE_OK)
    fail_msg("%s", err.message);
  assert_int_equal(s.n, SOUNDS);
  return s;
}

static void make_model(temp *t, const sound_set *s) {
  ace_error err;
  char folder[800];
  snprintf(folder, sizeof folder, "%s", temp_path(t, "vae"));
  if (autoencoder_init(folder, temp_path(t, "config.json"), s, 3, NULL, &err) != ACE_OK) fail_msg("%s", err.message);
}

static train_settings settings_of(temp *t, const char *output) {
  train_settings s;
  ace_error err;
  assert_int_equal(train_settings_init(&s, TRAIN_SURFACE_GUIDE, TRAIN_FULL, &err), ACE_OK);
  assert_int_equal(train_settings_set(&s, "dataset_dir", temp_path(t, "sounds"), &err), ACE_OK);
  assert_int_equal(train_settings_set(&s, "output_dir", temp_path(t, output), &err), ACE_OK);
  assert_int_equal(train_settings_set(&s, "batch_size", "2", &err), ACE_OK);
  assert_int_equal(train_settings_set(&s, "learning_rate", "2e-3", &err), ACE_OK);
  assert_int_equal(train_settings_set(&s, "save_every", "1000", &err), ACE_OK);
  return s;
}

/* ---- first weights ------------------------------------------------------------------------------------------------ */

static void the_lapped_basis_is_orthonormal(void **state) {
  enum { STRIDE = 6 };
  for (int a = 0; a < STRIDE; a++)
    for (int b = 0; b < STRIDE; b++) {
      double same = 0, beside = 0;
      for (int k = 0; k < 2 * STRIDE; k++) same += lapped_basis(STRIDE, a, k) * lapped_basis(STRIDE, b, k);
      for (int k = 0; k < STRIDE; k++) beside += lapped_basis(STRIDE, a, k + STRIDE) * lapped_basis(STRIDE, b, k);
      assert_float_equal(same, a == b, 1e-9);
      assert_float_equal(beside, 0, 1e-9);
    }
}

/* 90% of the power along (3, 4) / 5. */
static void components_are_found_by_power(void **state) {
  float x[400];
  double direction[2], deviation[2];
  rng_torch r;
  rng_torch_seed(&r, 5);
  rng_torch_randn(&r, x, 400);
  for (int i = 0; i < 200; i++) {
    float far = 3 * x[2 * i], near = x[2 * i + 1];
    x[2 * i] = 0.6f * far - 0.8f * near, x[2 * i + 1] = 0.8f * far + 0.6f * near;
  }
  lapped_signal s = {.pieces = 2, .channels = 2, .frames = 100, .x = x}, along;
  ace_error err;
  assert_int_equal(lapped_components(&s, 1, 1, direction, &err), ACE_OK);
  assert_true(fabs(fabs(0.6 * direction[0] + 0.8 * direction[1]) - 1) < 0.01);
  assert_int_equal(lapped_project(&s, direction, 1, &along, &err), ACE_OK);
  lapped_deviations(&along, deviation);
  assert_true(deviation[0] > 2.5 && deviation[0] < 3.5);
  free(along.x);
}

/* As many latents as numbers: what comes back is the sound, but for what snakes and residual units do at first. */
static void first_weights_give_sounds_back(void **state) {
  temp t = temp_open();
  make_sounds(&t);
  sound_set s = read_sounds(&t);
  make_model(&t, &s);
  ace_error err;
  vae *m = vae_open(temp_path(&t, "vae"), VAE_ENCODER | VAE_DECODER, &err);
  if (!m) fail_msg("%s", err.message);
  enum { N = 2048, EDGE = 64 };
  float x[N * 2];
  tens_ctx *c = tens_open(&(tens_options){.capacity = 64 << 20}, &err);
  for (int i = 0; i < SOUNDS; i++) {
    sound_set_crop(&s, i, 1000, N, x);
    tens_reset(c);
    tens *moments = vae_encode(c, m, tens_from(c, TENS_F32, TENS_DIMS(1, N, 2), x));
    float zeros[N / 8 * 16] = {0};
    tens *y = vae_decode(c, m, op_posterior_sample(c, moments, tens_from(c, TENS_F32, TENS_DIMS(1, N / 8, 16), zeros)));
    if (!y) fail_msg("%s", (tens_error(c, &err), err.message));
    double power = 0, rest = 0;
    for (int k = EDGE * 2; k < (N - EDGE) * 2; k++)
      power += (double)x[k] * (double)x[k], rest += pow((double)x[k] - (double)tens_f32(y)[k], 2);
    if (!(rest < 0.1 * power)) fail_msg("sound %d: %g of its power is wrong", i, rest / power);
  }
  tens_close(c);
  vae_close(m);
  sound_set_free(&s);
  file_remove_tree(t.folder, NULL);
}

/* ---- the loss ------------------------------------------------------------------------------------------------------ */

static autoencoder_task *open_task(temp *t, const train_settings *settings, const sound_set *s) {
  ace_error err;
  autoencoder_options o = {.settings = settings,
                           .sounds = s,
                           .crop_frames = CROP,
                           .wave = autoencoder_wave,
                           .information = 0.1,
                           .room = ROOM};
  autoencoder_task *a = autoencoder_task_open(temp_path(t, "vae"), "vae", &o, &err);
  if (!a) fail_msg("%s", err.message);
  return a;
}

static double loss_of(train_task *k) {
  static const int samples[] = {1, 3};
  double loss[2];
  ace_error err;
  memset(k->grads, 0, (size_t)k->count * sizeof *k->grads);
  train_batch b = {.sample = samples, .n = 2, .epoch = 4, .learn = true, .weight = 1};
  if (k->run(k->user, &b, loss, &err) != ACE_OK) fail_msg("%s", err.message);
  return (loss[0] + loss[1]) / 2;
}

/* Along the gradient of each tensor that has much of it. */
static void the_gradient_is_that_of_the_loss(void **state) {
  temp t = temp_open();
  make_sounds(&t);
  sound_set s = read_sounds(&t);
  make_model(&t, &s);
  train_settings settings = settings_of(&t, "out");
  autoencoder_task *a = open_task(&t, &settings, &s);
  train_task *k = autoencoder_task_of(a);
  loss_of(k);
  float *g = malloc((size_t)k->count * sizeof *g), *kept = malloc((size_t)k->count * sizeof *kept);
  memcpy(g, k->grads, (size_t)k->count * sizeof *g);
  memcpy(kept, k->values, (size_t)k->count * sizeof *kept);
  int checked = 0;
  for (int i = 0; i < k->tensors; i++) {
    const train_tensor *w = &k->tensor[i];
    double size = 0;
    for (int64_t j = 0; j < w->rows * w->columns; j++) size += pow((double)g[w->first + j], 2);
    size = sqrt(size);
    if (size < 0.02) continue;
    const double h = 2e-4;
    double change[2];
    for (int side = 0; side < 2; side++) {
      for (int64_t j = w->first; j < w->first + w->rows * w->columns; j++)
        k->values[j] = (float)((double)kept[j] + (side ? -h : h) * (double)g[j] / size);
      change[side] = loss_of(k);
      memcpy(k->values, kept, (size_t)k->count * sizeof *kept);
    }
    double slope = (change[0] - change[1]) / (2 * h);
    if (!(fabs(slope - size) < 0.05 * size)) fail_msg("%s: slope %g instead of %g", w->name, slope, size);
    checked++;
  }
  assert_true(checked > 40);
  free(g), free(kept);
  autoencoder_task_close(a);
  train_settings_free(&settings);
  sound_set_free(&s);
  file_remove_tree(t.folder, NULL);
}

/* The same loss and the same gradients, but none of the encoder; what is written has all tensors. */
static void a_decoder_learns_alone(void **state) {
  temp t = temp_open();
  ace_error err;
  make_sounds(&t);
  sound_set s = read_sounds(&t);
  make_model(&t, &s);
  train_settings settings = settings_of(&t, "out");
  autoencoder_task *whole = open_task(&t, &settings, &s);
  assert_int_equal(train_settings_set(&settings, "part", "decoder", &err), ACE_OK);
  autoencoder_task *alone = open_task(&t, &settings, &s);
  train_task *k = autoencoder_task_of(whole), *d = autoencoder_task_of(alone);
  assert_true(loss_of(k) == loss_of(d));
  int shared = 0;
  for (int i = 0; i < k->tensors; i++) {
    const train_tensor *w = &k->tensor[i], *v = NULL;
    for (int j = 0; j < d->tensors; j++)
      if (strcmp(d->tensor[j].name, w->name) == 0) v = &d->tensor[j];
    assert_int_equal(v != NULL, strncmp(w->name, "decoder.", 8) == 0);
    if (!v) continue;
    assert_memory_equal(d->grads + v->first, k->grads + w->first, (size_t)(w->rows * w->columns) * sizeof *k->grads);
    shared++;
  }
  assert_true(shared > 20 && shared == d->tensors);
  for (int64_t i = 0; i < d->count; i++) d->values[i] *= 1.5f;
  assert_int_equal(file_make_directory(temp_path(&t, "made"), &err), ACE_OK);
  assert_int_equal(d->write(d->user, temp_path(&t, "made"), &err), ACE_OK);
  vae *m = vae_open(temp_path(&t, "made/vae"), VAE_ENCODER | VAE_DECODER, &err);
  if (!m) fail_msg("%s", err.message);
  vae_close(m);
  autoencoder_task_close(whole), autoencoder_task_close(alone);
  train_settings_free(&settings);
  sound_set_free(&s);
  file_remove_tree(t.folder, NULL);
}

static void validation_is_the_same_every_time(void **state) {
  temp t = temp_open();
  make_sounds(&t);
  sound_set s = read_sounds(&t);
  make_model(&t, &s);
  train_settings settings = settings_of(&t, "out");
  autoencoder_task *a = open_task(&t, &settings, &s);
  train_task *k = autoencoder_task_of(a);
  double first, again;
  int sample = 2;
  for (uint32_t epoch = 0; epoch < 2; epoch++) {
    train_batch b = {.sample = &sample, .n = 1, .epoch = epoch};
    assert_int_equal(k->run(k->user, &b, epoch ? &again : &first, NULL), ACE_OK);
  }
  assert_true(first == again);
  for (int64_t i = 0; i < k->count; i++) assert_true(k->grads[i] == 0);
  autoencoder_task_close(a);
  train_settings_free(&settings);
  sound_set_free(&s);
  file_remove_tree(t.folder, NULL);
}

/* ---- a training ---------------------------------------------------------------------------------------------------- */

typedef struct watching {
  double first, last;
  int64_t stop; /* after this step; 0: never */
  int64_t step;
} watching;

static void on_step(void *user, const train_step *s) {
  watching *w = user;
  if (s->step == 1) w->first = s->loss;
  w->last = s->ema;
  w->step = s->step;
}

static bool on_cancelled(void *user) {
  const watching *w = user;
  return w->stop && w->step >= w->stop;
}

static watching run_training(temp *t, const char *output, int epochs, const char *resume, int64_t stop) {
  char number[16], configuration[800];
  ace_error err;
  watching w = {.stop = stop};
  train_events events = {.step = on_step, .cancelled = on_cancelled, .user = &w};
  train_settings s = settings_of(t, output);
  train_outcome out;
  snprintf(number, sizeof number, "%d", epochs);
  snprintf(configuration, sizeof configuration, "%s", temp_path(t, "config.json"));
  assert_int_equal(train_settings_set(&s, "epochs", number, &err), ACE_OK);
  if (resume) assert_int_equal(train_settings_set(&s, "resume", temp_path(t, resume), &err), ACE_OK);
  autoencoder_training a = {
      .settings = &s, .config = configuration, .crop_frames = CROP, .threads = 2, .memory = ROOM, .events = &events};
  if (train_autoencoder(&a, &out, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_int_equal(out.stopped, stop != 0);
  train_outcome_free(&out);
  train_settings_free(&s);
  return w;
}

static void a_training_learns_and_goes_on_to_the_bit(void **state) {
  static const char weights[] = "final/vae/diffusion_pytorch_model.safetensors";
  temp t = temp_open();
  make_sounds(&t);
  watching whole = run_training(&t, "whole", 12, NULL, 0);
  if (!(whole.last < 0.9 * whole.first)) fail_msg("the loss went from %g to %g", whole.first, whole.last);
  run_training(&t, "parts", 12, NULL, 17);
  run_training(&t, "parts", 12, "parts", 0);
  char name[2][800];
  size_t size[2];
  snprintf(name[0], sizeof name[0], "%s/whole/%s", t.folder, weights);
  snprintf(name[1], sizeof name[1], "%s/parts/%s", t.folder, weights);
  char *a = file_read(name[0], 1 << 24, &size[0], NULL), *b = file_read(name[1], 1 << 24, &size[1], NULL);
  assert_non_null(a);
  assert_non_null(b);
  assert_int_equal(size[0], size[1]);
  assert_memory_equal(a, b, size[0]);
  free(a), free(b);
  ace_error err;
  vae *m = vae_open(temp_path(&t, "whole/final/vae"), VAE_ENCODER | VAE_DECODER, &err);
  if (!m) fail_msg("%s", err.message);
  vae_close(m);
  file_remove_tree(t.folder, NULL);
}

/* ---- what cannot be trained ---------------------------------------------------------------------------------------- */

static void refused(temp *t, const char *configuration, int crop, ace_status wanted, const char *says) {
  ace_error err = {0};
  train_outcome out;
  train_events events = {0};
  train_settings s = settings_of(t, "refused");
  char path[800];
  temp_put(t, "other.json", configuration, strlen(configuration));
  snprintf(path, sizeof path, "%s", temp_path(t, "other.json"));
  autoencoder_training a = {.settings = &s, .config = path, .crop_frames = crop, .memory = ROOM, .events = &events};
  if (train_autoencoder(&a, &out, &err) != wanted) fail_msg("%s", err.message);
  if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
  train_settings_free(&s);
}

static void what_cannot_be_trained_says_why(void **state) {
  temp t = temp_open();
  make_sounds(&t);
  refused(&t,
          "{\"_class_name\": \"AutoencoderOobleck\", \"downsampling_ratios\": [3], \"channel_multiples\": [4], "
          "\"encoder_hidden_size\": 32, "
          "\"decoder_input_channels\": 16}",
          CROP, ACE_EUNSUPPORTED, "3 is odd");
  refused(&t, "{\"_class_name\": \"AutoencoderOobleck\", \"encoder_hidden_size\": 32}", 2, ACE_EUNSUPPORTED,
          "not twice");
  refused(&t, config, FRAMES, ACE_ENOTFOUND, "no sound");
  refused(&t, config, 255, ACE_EINVAL, "256");
  file_remove_tree(t.folder, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_lapped_basis_is_orthonormal),
      cmocka_unit_test(components_are_found_by_power),
      cmocka_unit_test(first_weights_give_sounds_back),
      cmocka_unit_test(the_gradient_is_that_of_the_loss),
      cmocka_unit_test(a_decoder_learns_alone),
      cmocka_unit_test(validation_is_the_same_every_time),
      cmocka_unit_test(a_training_learns_and_goes_on_to_the_bit),
      cmocka_unit_test(what_cannot_be_trained_says_why),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
