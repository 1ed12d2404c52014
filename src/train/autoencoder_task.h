/* autoencoder_task.h - training all of an autoencoder, or its decoder alone, which leaves its latents as they are, on crops
 * of sounds, as a task of the trainer.
 *
 *   autoencoder_task *a = autoencoder_task_open("models/vae", "vae", &(autoencoder_options){.settings = &s, ...}, &err);
 *   train_run(&(train_job){.settings = &s, .task = autoencoder_task_of(a), ...}, &out, &err);
 *   autoencoder_task_close(a);
 *
 * The loss of a crop x, with moments from the encoder, z a sample of them and x' from the decoder:
 *
 *   wave |x' - x| + spectral distance of x' and x (ops_train.h) + information of the moments * its weight
 *
 * A sample of the trainer is one sound; in each epoch it gives one crop, whose place and whose noise are functions of
 * seed, epoch and sound. For validation crops lie in the middle of sounds and z is the mean. The last
 * frame of a crop's ends is heard by fewer windows than its middle, so what the encoder must guess there counts less.
 */
#ifndef ACE_TRAIN_AUTOENCODER_TASK_H
#define ACE_TRAIN_AUTOENCODER_TASK_H

#include "base/pool.h"
#include "train/settings.h"
#include "train/sound_set.h"
#include "train/task.h"

typedef struct autoencoder_options {
  const train_settings *settings;
  const sound_set *sounds;  /* at the model's rate; outlives the task */
  int crop_frames;          /* latent frames in a crop, which is no less than one window of the spectra */
  double wave, information; /* weights in the loss */
  pool *threads;            /* may be NULL */
  size_t room;              /* bytes that the training may take beside its sounds */
  ace_callbacks notify;     /* cancelled, also during steps */
} autoencoder_options;

enum { AUTOENCODER_CROP_MOST = 750 };
extern const double autoencoder_wave, autoencoder_information; /* defaults */

typedef struct autoencoder_task autoencoder_task;

/* A model from its folder; checkpoints have it in a folder called `name`. ACE_ENOMEM with numbers when a step does not fit
 * `room`. */
autoencoder_task *autoencoder_task_open(const char *folder, const char *name, const autoencoder_options *options,
                                        ace_error *err);
/* NULL is fine. */
void autoencoder_task_close(autoencoder_task *a);

train_task *autoencoder_task_of(autoencoder_task *a);
enum { AUTOENCODER_PARTS = 3 };
/* Smoothed parts of the loss of training, unweighted: spectra, wave, information. */
void autoencoder_task_parts(const autoencoder_task *a, double part[AUTOENCODER_PARTS]);
/* Frames of sound in a crop; bytes of a step, and of everything. */
int64_t autoencoder_task_crop(const autoencoder_task *a);
size_t autoencoder_task_bytes(const autoencoder_task *a, size_t *step);

#endif
