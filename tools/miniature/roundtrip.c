/* roundtrip - what an autoencoder makes of sounds: each file through encoder (means) and decoder, and how far the result is
 * from its source as the ear of the conservatory measures it.
 *
 *   roundtrip MODEL FILE... [-o DIR]     one line for each file, then means; DIR takes NAME.wav of each result
 *
 * SI-SDR in dB, log-spectral distance in dB, distance of features (between pieces it is 2.3), stereo: the level of left minus
 * right over that of left plus right, in dB, of source and result. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/read.h"
#include "audio/write.h"
#include "base/file.h"
#include "conservatory/hear.h"
#include "miniature/through.h"

enum { FIGURES = 5 };

typedef struct job {
  vae *m;
  pool *threads;
  const char *folder; /* NULL: results are not kept */
  double sum[FIGURES];
  int files;
} job;

/* Level of the difference of the channels over that of their sum. */
static double stereo_of(const audio_buffer *b) {
  double sum = 1e-12, difference = 1e-12;
  for (int64_t i = 0; i < b->frames; i++) {
    double l = (double)b->samples[2 * i], r = (double)b->samples[2 * i + 1];
    sum += (l + r) * (l + r), difference += (l - r) * (l - r);
  }
  return 10 * log10(difference / sum);
}

static ace_status judge(job *j, const char *name, audio_buffer *in, const audio_buffer *out, ace_error *err) {
  hear_sound a, b = {0};
  double features[2][HEAR_FEATURES];
  in->frames = out->frames;
  ace_status status = hear_open(&a, in, err);
  if (status != ACE_OK) return status;
  status = hear_open(&b, out, err);
  if (status == ACE_OK) {
    hear_features(&a, features[0]), hear_features(&b, features[1]);
    double figure[FIGURES] = {hear_si_sdr(in, out), hear_spectral_distance(&a, &b),
                              hear_distance(features[0], features[1]), stereo_of(in), stereo_of(out)};
    hear_key key = hear_key_of(&a), key2 = hear_key_of(&b);
    printf("%-24.24s SI-SDR %6.2f  spectra %5.2f  features %.3f  stereo %6.1f %6.1f  key %s  tempo %5.1f %5.1f\n", name,
           figure[0], figure[1], figure[2], figure[3], figure[4],
           key.tonic == key2.tonic && key.minor == key2.minor ? "same" : "other", hear_tempo(&a), hear_tempo(&b));
    for (int i = 0; i < FIGURES; i++) j->sum[i] += figure[i];
    j->files++;
  }
  hear_close(&a), hear_close(&b);
  return status;
}

static ace_status one(job *j, const char *path, ace_error *err) {
  audio_buffer in = {0}, out = {0};
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  ace_status status = audio_read(path, &in, err);
  if (status == ACE_OK) status = audio_to_model(&in, j->m->cfg.sampling_rate, err);
  if (status == ACE_OK) status = through(j->m, j->threads, &in, &out, err);
  if (status == ACE_OK) status = judge(j, name, &in, &out, err);
  if (status == ACE_OK && j->folder) {
    char *to = file_join(j->folder, name);
    status = to ? audio_write(to, &out, AUDIO_WAV, NULL, NULL, NULL, err) : ace_fail(err, ACE_ENOMEM, "out of memory");
    free(to);
  }
  audio_buffer_free(&in), audio_buffer_free(&out);
  return status;
}

int main(int count, char **words) {
  ace_error err = {0};
  job j = {0};
  int last = count;
  if (count > 3 && strcmp(words[count - 2], "-o") == 0) j.folder = words[count - 1], last = count - 2;
  if (last < 3) return fputs("roundtrip MODEL FILE... [-o DIR]\n", stderr), 2;
  j.m = vae_open(words[1], VAE_ENCODER | VAE_DECODER, &err);
  j.threads = j.m ? pool_new(0, &err) : NULL;
  ace_status status = j.threads ? ACE_OK : err.status;
  if (status == ACE_OK && j.folder) status = file_make_directory(j.folder, &err);
  for (int i = 2; i < last && status == ACE_OK; i++) status = one(&j, words[i], &err);
  if (status == ACE_OK) {
    double n = j.files;
    printf("%-24s SI-SDR %6.2f  spectra %5.2f  features %.3f  stereo %6.1f %6.1f\n", "mean", j.sum[0] / n, j.sum[1] / n,
           j.sum[2] / n, j.sum[3] / n, j.sum[4] / n);
  } else fprintf(stderr, "roundtrip: %s\n", err.message);
  vae_close(j.m);
  pool_free(j.threads);
  return status != ACE_OK;
}
