#include "models/condition.h"

#include <stdlib.h>
#include <string.h>

tens *condition_lyric(tens_ctx *c, const acestep_dit *m, const tens *lyric, const int32_t *mask) {
  if (!lyric) return NULL;
  const condition_encoder *e = &m->encoder;
  tens *key_mask = mask ? tens_from(c, TENS_I32, TENS_DIMS(lyric->dim[0], lyric->dim[1]), mask) : NULL;
  tens_mark start = tens_here(c);
  tens *x = op_linear(c, lyric, &e->lyric_embed, &(op_epilogue){.bias = &e->lyric_bias});
  x = block_stack(c, start, e->lyric, m->cfg.lyric_layers, &m->cfg.encoder, x, m->cfg.sliding, m->cfg.window, key_mask);
  return tens_keep(c, start, op_rms_norm(c, x, &e->lyric_norm, m->cfg.encoder.eps));
}

tens *condition_timbre(tens_ctx *c, const acestep_dit *m, const tens *clips) {
  if (!clips) return NULL;
  const condition_encoder *e = &m->encoder;
  int64_t n = clips->dim[0];
  tens_mark start = tens_here(c);
  tens *x = op_linear(c, clips, &e->timbre_embed, &(op_epilogue){.bias = &e->timbre_bias});
  if (m->cfg.xl) x = tens_keep(c, start, op_prepend(c, x, &e->timbre_token));
  x = block_stack(c, start, e->timbre, m->cfg.timbre_layers, &m->cfg.encoder, x, m->cfg.sliding, m->cfg.window, NULL);
  int32_t *zero = calloc((size_t)n, sizeof *zero);
  if (!zero) return tens_fail(c, ACE_ENOMEM, "condition encoder: out of memory");
  tens *first = op_gather(c, x, tens_from(c, TENS_I32, TENS_DIMS(n, 1), zero));
  free(zero);
  tens *y = tens_keep(c, start, op_rms_norm(c, first, &e->timbre_norm, m->cfg.encoder.eps));
  return tens_view(c, y, TENS_DIMS(n, m->cfg.encoder.hidden));
}

/* Where each token of the packed sequence comes from, worked out on the host: rows of lyric | timbre | text. */
typedef struct packing {
  int64_t batch, lyric, timbre, text, total;
  int32_t *index, *mask; /* [batch, total] */
} packing;

/* Stable partition of n (row, valid) pairs: valid rows first. */
static void pack_rows(int32_t *row, int32_t *valid, int32_t *scratch, int64_t n) {
  int64_t kept = 0, dropped = 0;
  for (int64_t i = 0; i < n; i++)
    if (valid[i]) row[kept++] = row[i];
    else scratch[dropped++] = row[i];
  memcpy(row + kept, scratch, (size_t)dropped * sizeof *row);
  for (int64_t i = 0; i < n; i++) valid[i] = i < kept;
}

/* clip_row[b*timbre + i]: which clip is the i-th of item b, or -1. */
static bool pack_condition(packing *p, const condition_input *in, const int32_t *clip_row) {
  p->total = p->lyric + p->timbre + p->text;
  size_t n = (size_t)(p->batch * p->total);
  p->index = malloc(n * sizeof *p->index);
  p->mask = malloc(n * sizeof *p->mask);
  int32_t *scratch = malloc((size_t)p->total * sizeof *scratch);
  if (!p->index || !p->mask || !scratch) {
    free(scratch);
    return false;
  }
  for (int64_t b = 0; b < p->batch; b++) {
    int32_t *row = p->index + b * p->total, *valid = p->mask + b * p->total;
    for (int64_t i = 0; i < p->total; i++) row[i] = (int32_t)i;
    for (int64_t i = 0; i < p->lyric; i++) valid[i] = in->lyric_mask ? in->lyric_mask[b * p->lyric + i] != 0 : 1;
    for (int64_t i = 0; i < p->timbre; i++) valid[p->lyric + i] = clip_row[b * p->timbre + i] >= 0;
    pack_rows(row, valid, scratch, p->lyric + p->timbre);
    int64_t head = p->lyric + p->timbre;
    for (int64_t i = 0; i < p->text; i++) valid[head + i] = in->text_mask ? in->text_mask[b * p->text + i] != 0 : 1;
    pack_rows(row, valid, scratch, p->total);
  }
  free(scratch);
  return true;
}

/* Clips in order of appearance: fills clip_row [batch, *most] (freed by the caller) and counts the fullest item. */
static int32_t *assign_clips(const condition_input *in, int64_t batch, int64_t *most) {
  int64_t n = in->clips->dim[0];
  int32_t *count = calloc((size_t)batch, sizeof *count);
  int32_t *rows = malloc((size_t)(batch * n) * sizeof *rows);
  if (count && rows) {
    *most = 0;
    for (int64_t i = 0; i < n; i++) {
      int32_t b = in->clip_order[i];
      if (++count[b] > *most) *most = count[b];
    }
    memset(rows, 0xff, (size_t)(batch * n) * sizeof *rows);
    memset(count, 0, (size_t)batch * sizeof *count);
    for (int64_t i = 0; i < n; i++) rows[in->clip_order[i] * *most + count[in->clip_order[i]]++] = (int32_t)i;
  } else {
    free(rows);
    rows = NULL;
  }
  free(count);
  return rows;
}

static tens *check_input(tens_ctx *c, const condition_input *in) {
  if (!in->text || !in->lyric || !in->clips) return NULL;
  int64_t batch = in->text->dim[0];
  if (in->text->rank != 3 || in->lyric->rank != 3 || in->clips->rank != 3 || in->lyric->dim[0] != batch)
    return tens_fail(c, ACE_EINVAL, "condition encoder: text, lyrics and clips must be [batch, time, width]");
  for (int64_t i = 0; i < in->clips->dim[0]; i++)
    if (in->clip_order[i] < 0 || in->clip_order[i] >= batch)
      return tens_fail(c, ACE_EINVAL, "condition encoder: clip %lld belongs to item %d of %lld", (long long)i,
                       in->clip_order[i], (long long)batch);
  return (tens *)in->text;
}

tens *condition_encode(tens_ctx *c, const acestep_dit *m, const condition_input *in, int32_t **mask) {
  if (mask) *mask = NULL;
  if (!check_input(c, in)) return NULL;
  packing p = {.batch = in->text->dim[0], .lyric = in->lyric->dim[1], .text = in->text->dim[1]};
  int32_t *clip_row = assign_clips(in, p.batch, &p.timbre);
  if (!clip_row || !pack_condition(&p, in, clip_row)) {
    free(clip_row), free(p.index), free(p.mask);
    return tens_fail(c, ACE_ENOMEM, "condition encoder: out of memory");
  }
  int64_t he = m->cfg.encoder.hidden;
  tens_mark start = tens_here(c);
  tens *lyric = condition_lyric(c, m, in->lyric, in->lyric_mask);
  tens *clips = tens_view(c, condition_timbre(c, m, in->clips), TENS_DIMS(1, in->clips->dim[0], he));
  tens *timbre = op_gather(c, clips, tens_from(c, TENS_I32, TENS_DIMS(1, p.batch * p.timbre), clip_row));
  timbre = tens_view(c, timbre, TENS_DIMS(p.batch, p.timbre, he));
  tens *text = op_linear(c, in->text, &m->encoder.text_projector, NULL);
  tens *joined = op_join(c, 3, (const tens *const[]){lyric, timbre, text});
  tens *packed = op_gather(c, joined, tens_from(c, TENS_I32, TENS_DIMS(p.batch, p.total), p.index));
  free(clip_row), free(p.index);
  if (mask && packed) *mask = p.mask;
  else free(p.mask);
  return tens_keep(c, start, packed);
}
