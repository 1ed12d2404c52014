/* full_words.c - the language model: one question of one piece, with its answer. */
#include <stdlib.h>
#include <string.h>

#include "base/notify.h"
#include "models/audio_tokenizer.h"
#include "tensor/ops_train.h"
#include "train/full_inner.h"
#include "train/lm_text.h"
#include "train/stream.h"

/* How often each kind. */
static const double share[LM_KINDS] = {0.5, 0.2, 0.2, 0.1};

enum { FRAMES_A_SECOND = 25 };

typedef struct words {
  qwen3 *lm;
  int32_t **codes; /* [pieces], each [n_codes], of the diffusion model's audio tokenizer */
  size_t *n_codes;
  size_t most, most_said; /* tokens of the longest text; of the longest answer */
  lm_text t;              /* what was prepared */
} words;

/* ---- audio codes -------------------------------------------------------------------------------------------------- */

static size_t context_bytes(const acestep_dit *m, pool *threads, int64_t frames) {
  tens_ctx *c = tens_open(&(tens_options){.threads = threads, .plan = true}, NULL);
  size_t bytes = 0;
  if (c && audio_tokenize(c, m, tens_new(c, TENS_F32, TENS_DIMS(1, frames, m->cfg.latent_channels))).index)
    bytes = tens_peak(c);
  tens_close(c);
  return bytes;
}

static ace_status listen(tens_ctx *c, const acestep_dit *m, const piece *p, int32_t **codes, size_t *n,
                         ace_error *err) {
  tens_mark mark = tens_here(c);
  tens *x = tens_new(c, TENS_F32, TENS_DIMS(1, p->frames, p->channels));
  if (x) st_widen(p->mix, 0, p->mix->count, tens_f32(x));
  const tens *index = audio_tokenize(c, m, x).index;
  if (!index) return tens_error(c, err);
  *n = (size_t)tens_count(index);
  *codes = malloc(*n * sizeof **codes);
  if (*codes) memcpy(*codes, index->data, *n * sizeof **codes);
  tens_release(c, mark);
  return *codes ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory");
}

static ace_status listen_to_all(full_task *f, words *w, const acestep_dit *m, ace_error *err) {
  w->codes = calloc((size_t)f->pieces, sizeof *w->codes);
  w->n_codes = calloc((size_t)f->pieces, sizeof *w->n_codes);
  size_t bytes = context_bytes(m, f->o.threads, f->longest);
  tens_ctx *c = tens_open(&(tens_options){.threads = f->o.threads, .capacity = bytes}, err);
  ace_status status = w->codes && w->n_codes && c ? ACE_OK : ace_fail(err, ACE_ENOMEM, "train: out of memory");
  for (int i = 0; i < f->pieces && status == ACE_OK; i++) {
    const piece *p = &f->piece[i];
    if (p->channels != m->cfg.latent_channels)
      status = ace_fail(err, ACE_EINVAL, "%s: latents of %lld channels, but the model has %d", st_path(p->file),
                        (long long)p->channels, m->cfg.latent_channels);
    else if (notify_stopped(&f->o.notify)) status = ace_fail(err, ACE_ECANCELED, "train: stopped");
    else status = listen(c, m, p, &w->codes[i], &w->n_codes[i], err);
  }
  tens_close(c);
  return status;
}

/* ---- preparing ---------------------------------------------------------------------------------------------------- */

static ace_status make_text(const full_task *f, words *w, int i, lm_kind kind, ace_error *err) {
  const piece *p = &f->piece[i];
  double seconds = (double)p->frames / FRAMES_A_SECOND;
  lm_text_free(&w->t);
  return lm_text_make(&w->t, kind, p->about, seconds, w->codes[i], w->n_codes[i], f->o.lm_words, err);
}

static ace_status prepare(full_task *f, full_sample s, ace_error *err) {
  stream look = stream_of((uint64_t)f->s->seed, STREAM_LOOK, 0, s.epoch, (uint32_t)s.index);
  float x;
  stream_uniform(&look, 0, 1, &x);
  int kind = 0;
  for (double left = (double)x; kind < LM_KINDS - 1 && left >= share[kind]; kind++) left -= share[kind];
  return make_text(f, f->state, s.index, (lm_kind)kind, err);
}

/* Every text that there is, made once: their lengths decide the memory. */
static ace_status measure(full_task *f, words *w, ace_error *err) {
  ace_status status = ACE_OK;
  for (int i = 0; i < f->pieces && status == ACE_OK; i++)
    for (int kind = 0; kind < LM_KINDS && status == ACE_OK; kind++) {
      status = make_text(f, w, i, (lm_kind)kind, err);
      if (status != ACE_OK) break;
      size_t n = w->t.ids.n, said = n - w->t.question;
      if (n > w->most) w->most = n;
      if (said > w->most_said) w->most_said = said;
    }
  if (status == ACE_OK && (int64_t)w->most > w->lm->cfg.max_positions)
    status = ace_fail(err, ACE_EINVAL, "train: a text of %zu tokens, but the language model takes %d", w->most,
                      w->lm->cfg.max_positions);
  return status;
}

static ace_status largest(full_task *f, ace_error *err) {
  words *w = f->state;
  ace_status status = ACE_OK;
  lm_text_free(&w->t);
  while (w->t.ids.n < w->most && status == ACE_OK) status = bpe_ids_add(&w->t.ids, 0, err);
  w->t.question = w->most - w->most_said;
  return status;
}

/* ---- the loss ----------------------------------------------------------------------------------------------------- */

/* Position i says token i + 1: of those that are to be said. */
static tens *loss(tens_ctx *c, full_task *f) {
  const words *w = f->state;
  const qwen3 *m = w->lm;
  int64_t n = (int64_t)w->t.ids.n, first = (int64_t)w->t.question, said = n - first;
  tens *ids = tens_from(c, TENS_I32, TENS_DIMS(1, n - 1), w->t.ids.id);
  tens *label = tens_from(c, TENS_I32, TENS_DIMS(said), w->t.ids.id + first);
  tens *from = tens_new(c, TENS_I32, TENS_DIMS(1, said));
  for (int64_t i = 0; from && !tens_planning(c) && i < said; i++) tens_i32(from)[i] = (int32_t)(first - 1 + i);
  full_record(c, f);
  tens *hidden = op_gather(c, qwen3_hidden(c, m, ids, NULL), from);
  return op_word_entropy(c, tens_view(c, hidden, TENS_DIMS(said, m->cfg.block.hidden)), &m->head, label);
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static ace_status open(full_task *f, ace_error *err) {
  words *w = f->state = calloc(1, sizeof *w);
  if (!w) return ace_fail(err, ACE_ENOMEM, "train: out of memory");
  acestep_dit *m = acestep_dit_open(f->o.dit.folder, err);
  ace_status status = m ? listen_to_all(f, w, m, err) : err->status;
  acestep_dit_close(m);
  if (status == ACE_OK) status = full_parameters(f, &(parameters_part){f->o.lm.folder, f->o.lm.name, NULL}, 1, err);
  if (status == ACE_OK) w->lm = qwen3_from(parameters_checkpoint(f->p, 0, err), err);
  if (!w->lm) return err->status;
  if (bpe_vocab_size(f->o.lm_words) > w->lm->cfg.vocab)
    return ace_fail(err, ACE_EFORMAT, "%s: the tokenizer has more tokens than the model", f->o.lm.name);
  status = parameters_watch(f->p, err);
  return status == ACE_OK ? measure(f, w, err) : status;
}

static void close(full_task *f) {
  words *w = f->state;
  if (!w) return;
  qwen3_close(w->lm);
  for (int i = 0; w->codes && i < f->pieces; i++) free(w->codes[i]);
  free(w->codes), free(w->n_codes);
  lm_text_free(&w->t);
  free(w);
}

const full_part full_words = {"lm", open, prepare, largest, loss, close};
