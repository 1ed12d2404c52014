#include "train/autoencoder_task.h"

#include <stdlib.h>
#include <string.h>

#include "base/notify.h"
#include "base/strings.h"
#include "models/vae.h"
#include "tensor/ops_train.h"
#include "train/parameters.h"
#include "train/stream.h"

enum { CHANNELS = 2, COPIES = 4 /* values, gradients, two moments */ };

const double autoencoder_wave = 2, autoencoder_information = 0.12;

/* From half a second's tenth, where pitches are told apart, to transients. Distances below -66 dB of a loud bin do not
 * count; corner: 240 Hz at 48 kHz. */
static const op_spectrum spectra = {
    .windows = 5, .length = {2048, 1024, 512, 256, 128}, .floor = 5e-4f, .linear = 4, .corner = 0.005f, .banded = 1};

struct autoencoder_task {
  train_task task;
  autoencoder_options options;
  parameters *p;
  vae *m;
  tens_ctx *c;
  int64_t crop, frames; /* of a crop: frames of sound, latent frames */
  float *sound, *noise; /* of a batch */
  size_t step, bytes;
  double part[AUTOENCODER_PARTS]; /* smoothed */
  bool smoothing;
};

/* Whether the decoder learns alone. */
static bool is_alone(const autoencoder_task *a) {
  return a->options.settings->part == TRAIN_PART_DECODER;
}

/* ---- a pass ------------------------------------------------------------------------------------------------------- */

/* Losses [n] of n crops; NULL in the context's error. */
static bool pass(autoencoder_task *a, tens_ctx *c, int n, const tens *loss[AUTOENCODER_PARTS]) {
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(n, a->crop, CHANNELS), a->sound);
  tens *noise = tens_from(c, TENS_F32, TENS_DIMS(n, a->frames, a->m->cfg.decoder_input), a->noise);
  tens *moments = vae_encode(c, a->m, x), *y = vae_decode(c, a->m, op_posterior_sample(c, moments, noise));
  loss[0] = op_spectral_distance(c, y, x, &spectra);
  loss[1] = op_mean_absolute(c, y, x);
  loss[2] = op_posterior_information(c, moments);
  return tens_status(c) == ACE_OK;
}

/* The same with gradients, `weight` of the mean. */
static bool pass_back(autoencoder_task *a, tens_ctx *c, int n, double weight, const tens *loss[AUTOENCODER_PARTS]) {
  float share = (float)(weight / n);
  const float seed[] = {share, share * (float)a->options.wave, share * (float)a->options.information};
  tape_begin(c, a->p->tape);
  int learned = is_alone(a) ? AUTOENCODER_PARTS - 1 : AUTOENCODER_PARTS; /* what latents tell is the encoder's */
  bool good = pass(a, c, n, loss) && tape_backward_all(c, learned, loss, seed);
  tape_end(c);
  return good;
}

static void fill(autoencoder_task *a, const train_batch *b) {
  uint64_t seed = (uint64_t)a->options.settings->seed;
  int64_t latents = a->frames * a->m->cfg.decoder_input;
  for (int i = 0; i < b->n; i++) {
    uint32_t index = (uint32_t)b->sample[i];
    int64_t spare = a->options.sounds->frames[b->sample[i]] - a->crop, first = spare / 2;
    float *noise = a->noise + i * latents;
    stream place = stream_of(seed, STREAM_CROP, 0, b->epoch, index),
           s = stream_of(seed, STREAM_NOISE, 0, b->epoch, index);
    if (b->learn) first = stream_integer(&place, 0, (uint32_t)spare + 1);
    if (b->learn) stream_normal(&s, 0, latents, noise);
    else memset(noise, 0, (size_t)latents * sizeof *noise);
    sound_set_crop(a->options.sounds, b->sample[i], first, a->crop, a->sound + i * a->crop * CHANNELS);
  }
}

/* Goes on with the means of a batch. */
static void smooth(autoencoder_task *a, const tens *const part[AUTOENCODER_PARTS], int n) {
  for (int p = 0; p < AUTOENCODER_PARTS; p++) {
    double mean = 0;
    for (int i = 0; i < n; i++) mean += (double)tens_f32(part[p])[i] / n;
    a->part[p] = a->smoothing ? 0.95 * a->part[p] + 0.05 * mean : mean;
  }
  a->smoothing = true;
}

static ace_status run(void *user, const train_batch *b, double *loss, ace_error *err) {
  autoencoder_task *a = user;
  const tens *part[AUTOENCODER_PARTS];
  tens_reset(a->c);
  fill(a, b);
  parameters_begin(a->p);
  bool good = b->learn ? pass_back(a, a->c, b->n, b->weight, part) : pass(a, a->c, b->n, part);
  if (!good) return tens_error(a->c, err);
  if (b->learn) parameters_end(a->p), smooth(a, part, b->n);
  for (int i = 0; i < b->n; i++)
    loss[i] = (double)tens_f32(part[0])[i] + a->options.wave * (double)tens_f32(part[1])[i] +
              a->options.information * (double)tens_f32(part[2])[i];
  return ACE_OK;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

static ace_status write_values(void *user, const char *folder, ace_error *err) {
  return parameters_write(((autoencoder_task *)user)->p, folder, PARAMETERS_F32, err);
}

static ace_status read_values(void *user, const char *folder, ace_error *err) {
  return parameters_read(((autoencoder_task *)user)->p, folder, err);
}

/* A whole model does something from the start. */
static bool is_idle(void *user) {
  return false;
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static ace_status choose_crop(autoencoder_task *a, ace_error *err) {
  const vae_config *cfg = &a->m->cfg;
  if (cfg->audio_channels != CHANNELS)
    return ace_fail(err, ACE_EUNSUPPORTED, "train: an autoencoder of %d channels; only stereo is trained",
                    cfg->audio_channels);
  if (cfg->encoder_hidden != 2 * cfg->decoder_input)
    return ace_fail(err, ACE_EUNSUPPORTED, "train: the encoder gives %d channels, the decoder reads %d",
                    cfg->encoder_hidden / 2, cfg->decoder_input);
  a->frames = a->options.crop_frames;
  a->crop = a->frames * cfg->hop;
  int least = (spectra.length[0] + cfg->hop - 1) / cfg->hop;
  if (a->frames < least || a->frames > AUTOENCODER_CROP_MOST)
    return ace_fail(err, ACE_EINVAL, "train: crops of %d latent frames are outside %d..%d", a->options.crop_frames,
                    least, AUTOENCODER_CROP_MOST);
  for (int i = 0; i < a->options.sounds->n; i++)
    if (a->options.sounds->frames[i] < a->crop)
      return ace_fail(err, ACE_EINVAL, "train: sound %d is shorter than a crop", i + 1);
  return ACE_OK;
}

static ace_status plan_memory(autoencoder_task *a, int batch, ace_error *err) {
  const tens *loss[AUTOENCODER_PARTS];
  tens_ctx *c = tens_open(&(tens_options){.threads = a->options.threads, .plan = true}, err);
  if (!c) return err->status;
  ace_status status = pass_back(a, c, batch, 1, loss) ? ACE_OK : tens_error(c, err);
  a->step = tens_peak(c);
  tens_close(c);
  a->bytes = a->step + (size_t)a->p->count * COPIES * sizeof(float);
  if (status == ACE_OK && a->bytes > a->options.room)
    return ace_fail(err, ACE_ENOMEM,
                    "train: a step needs %.0f MB, but %.0f MB are left; use a smaller batch, shorter crops or --memory",
                    (double)a->bytes / 1e6, (double)a->options.room / 1e6);
  return status;
}

static ace_status take_memory(autoencoder_task *a, int batch, ace_error *err) {
  size_t sound = (size_t)(batch * a->crop * CHANNELS), noise = (size_t)(batch * a->frames * a->m->cfg.decoder_input);
  a->sound = calloc(sound, sizeof *a->sound);
  a->noise = calloc(noise, sizeof *a->noise);
  if (!a->sound || !a->noise) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_status status = plan_memory(a, batch, err);
  if (status != ACE_OK) return status;
  a->c = tens_open(&(tens_options){.threads = a->options.threads,
                                   .capacity = a->step,
                                   .cancelled = notify_is_stopped,
                                   .user = &a->options.notify},
                   err);
  return a->c ? ACE_OK : err->status;
}

static bool is_of_decoder(const char *name) {
  return string_begins(name, "decoder.");
}

static ace_status open_all(autoencoder_task *a, const char *folder, const char *name, ace_error *err) {
  a->p = parameters_open(&(parameters_part){folder, name, is_alone(a) ? is_of_decoder : NULL}, 1, err);
  if (!a->p) return err->status;
  a->m = vae_from(parameters_checkpoint(a->p, 0, err), VAE_ENCODER | VAE_DECODER, err);
  if (!a->m) return err->status;
  ace_status status = choose_crop(a, err);
  if (status == ACE_OK) status = parameters_watch(a->p, err);
  if (status == ACE_OK) status = take_memory(a, a->options.settings->batch_size, err);
  return status;
}

autoencoder_task *autoencoder_task_open(const char *folder, const char *name, const autoencoder_options *options,
                                        ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  autoencoder_task *a = calloc(1, sizeof *a);
  if (!a) {
    ace_fail(err, ACE_ENOMEM, "train: out of memory");
    return NULL;
  }
  a->options = *options;
  if (open_all(a, folder, name, err) != ACE_OK) {
    autoencoder_task_close(a);
    return NULL;
  }
  a->task = (train_task){.samples = options->sounds->n,
                         .run = run,
                         .write = write_values,
                         .read = read_values,
                         .idle = is_idle,
                         .user = a};
  parameters_task(a->p, &a->task);
  return a;
}

void autoencoder_task_close(autoencoder_task *a) {
  if (!a) return;
  tens_close(a->c);
  vae_close(a->m);
  parameters_close(a->p);
  free(a->sound), free(a->noise);
  free(a);
}

train_task *autoencoder_task_of(autoencoder_task *a) {
  return &a->task;
}

void autoencoder_task_parts(const autoencoder_task *a, double part[AUTOENCODER_PARTS]) {
  memcpy(part, a->part, sizeof a->part);
}

int64_t autoencoder_task_crop(const autoencoder_task *a) {
  return a->crop;
}

size_t autoencoder_task_bytes(const autoencoder_task *a, size_t *step) {
  *step = a->step;
  return a->bytes;
}
