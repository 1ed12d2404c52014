/* full_codes.c - the audio tokenizer and detokenizer: latents through codes and back. */
#include <stdlib.h>

#include "base/strings.h"
#include "models/audio_tokenizer.h"
#include "tensor/ops_train.h"
#include "train/full_inner.h"

typedef struct codes {
  int64_t frames; /* whole windows of what was prepared */
  float *latents; /* [longest, channels] */
} codes;

static ace_status prepare(full_task *f, full_sample s, ace_error *err) {
  codes *w = f->state;
  const piece *p = &f->piece[s.index];
  w->frames = p->frames / f->dit->cfg.pool_window * f->dit->cfg.pool_window;
  if (!w->frames) return ace_fail(err, ACE_EINVAL, "%s: shorter than one audio code", st_path(p->file));
  st_widen(p->mix, 0, w->frames * p->channels, w->latents);
  return ACE_OK;
}

static ace_status largest(full_task *f, ace_error *err) {
  codes *w = f->state;
  w->frames = f->longest / f->dit->cfg.pool_window * f->dit->cfg.pool_window;
  return w->frames ? ACE_OK : ace_fail(err, ACE_EINVAL, "train: every piece is shorter than one audio code");
}

static tens *loss(tens_ctx *c, full_task *f) {
  const codes *w = f->state;
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(1, w->frames, f->dit->cfg.latent_channels), w->latents);
  full_record(c, f);
  return op_mean_square(c, audio_detokenize(c, f->dit, audio_tokenize(c, f->dit, x).quantized), x, NULL);
}

static bool is_trained(const char *name) {
  return string_begins(name, "tokenizer.") || string_begins(name, "detokenizer.");
}

static ace_status open(full_task *f, ace_error *err) {
  codes *w = f->state = calloc(1, sizeof *w);
  if (!w) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  ace_status status = full_parameters(f, &(parameters_part){f->o.dit.folder, f->o.dit.name, is_trained}, 1, err);
  if (status == ACE_OK) f->dit = acestep_dit_from(parameters_checkpoint(f->p, 0, err), (tens){0}, err);
  if (!f->dit) return err->status;
  w->latents = malloc((size_t)(f->longest * f->dit->cfg.latent_channels) * sizeof *w->latents);
  return w->latents ? parameters_watch(f->p, err) : ace_fail(err, ACE_ENOMEM, "train: out of memory");
}

static void close(full_task *f) {
  codes *w = f->state;
  acestep_dit_close(f->dit);
  if (w) free(w->latents);
  free(w);
}

const full_part full_codes = {"tokenizer", open, prepare, largest, loss, close};
