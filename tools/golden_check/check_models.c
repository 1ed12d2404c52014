/* check_models.c - single forward passes of every model but the autoencoder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden.h"
#include "models/audio_tokenizer.h"
#include "models/condition.h"
#include "models/dit.h"
#include "render/prepare.h"

static qwen3 *open_qwen3(golden_case *k, const char *name) {
  ace_error err;
  char *folder = golden_checkpoint(k->g, name);
  qwen3 *m = folder ? qwen3_open(folder, &err) : NULL;
  if (!m) case_fail(k, name, err.message);
  free(folder);
  return m;
}

acestep_dit *golden_open_dit(golden_case *k) {
  const char *name = strstr(k->name, "xl")     ? "acestep-v15-xl-turbo"
                     : strstr(k->name, "base") ? "acestep-v15-base"
                                               : "acestep-v15-turbo";
  ace_error err;
  char *folder = golden_checkpoint(k->g, name);
  acestep_dit *m = folder ? acestep_dit_open(folder, &err) : NULL;
  if (!m) case_fail(k, name, err.message);
  free(folder);
  return m;
}

void check_text_encoder(golden_case *k) {
  qwen3 *m = open_qwen3(k, "Qwen3-Embedding-0.6B");
  if (!m) return;
  tens *ids = case_tensor(k, "in.ids");
  case_compare_product(k, "out.hidden", qwen3_hidden(k->g->c, m, ids, NULL));
  case_compare_product(k, "out.hidden_masked", qwen3_hidden(k->g->c, m, ids, case_tensor(k, "in.mask")));
  qwen3_close(m);
}

void check_lyric_embed(golden_case *k) {
  qwen3 *m = open_qwen3(k, "Qwen3-Embedding-0.6B");
  if (!m) return;
  case_compare(k, "out.embed", qwen3_embed(k->g->c, m, case_tensor(k, "in.ids")));
  qwen3_close(m);
}

/* Repeats: take the likeliest token of the last position, append it. Logits [n, V] and tokens [n] as they were chosen.
 */
static void check_greedy(golden_case *k, const qwen3 *m, const tens *prompt) {
  tens_ctx *c = k->g->c;
  int64_t n = 0, length = prompt->dim[1], vocab = m->cfg.vocab;
  if (!case_ints(k, "out.greedy_tokens", &n)) return;
  int32_t *ids = malloc((size_t)(length + n) * sizeof *ids);
  float *logits = malloc((size_t)(n * vocab) * sizeof *logits);
  if (ids && logits) {
    memcpy(ids, tens_i32(prompt), (size_t)length * sizeof *ids);
    for (int64_t i = 0; i < n && tens_status(c) == ACE_OK; i++) {
      tens_mark mark = tens_here(c);
      tens *hidden = qwen3_hidden(c, m, tens_from(c, TENS_I32, TENS_DIMS(1, length + i), ids), NULL);
      tens *last = hidden ? tens_from(c, TENS_F32, TENS_DIMS(1, 1, m->cfg.block.hidden),
                                      tens_f32(hidden) + (length + i - 1) * m->cfg.block.hidden)
                          : NULL;
      tens *scores = qwen3_logits(c, m, last);
      if (!scores) break;
      memcpy(logits + i * vocab, tens_f32(scores), (size_t)vocab * sizeof *logits);
      int32_t best = 0;
      for (int64_t v = 1; v < vocab; v++)
        if (tens_f32(scores)[v] > tens_f32(scores)[best]) best = (int32_t)v;
      ids[length + i] = best;
      tens_release(c, mark);
    }
    case_compare_ints(k, "out.greedy_tokens", ids + length, n);
    case_compare_product_floats(k, "out.greedy_logits", logits, n * vocab);
  }
  free(ids);
  free(logits);
}

static bool has_checkpoint(const golden *g, const char *name) {
  char *folder = golden_checkpoint(g, name);
  bool there = folder && file_is_directory(folder);
  free(folder);
  return there;
}

/* The same weights under both namings of tensors, where both are there. */
void check_lm_forward(golden_case *k) {
  static const char *const folders[] = {"acestep-5Hz-lm-0.6B", "acestep-5Hz-lm-1.7B"};
  for (int i = 0; i < 2; i++) {
    if (i > 0 && !has_checkpoint(k->g, folders[i])) return;
    qwen3 *m = open_qwen3(k, folders[i]);
    if (!m) return;
    tens *ids = case_tensor(k, "in.ids");
    tens *hidden = qwen3_hidden(k->g->c, m, ids, NULL);
    case_compare_product(k, "out.hidden", hidden);
    case_compare_product(k, "out.logits", qwen3_logits(k->g->c, m, hidden));
    if (ids) check_greedy(k, m, ids);
    qwen3_close(m);
  }
}

void check_lm_left_pad(golden_case *k) {
  qwen3 *m = open_qwen3(k, "acestep-5Hz-lm-0.6B");
  if (!m) return;
  tens *mask = case_tensor(k, "in.mask");
  tens *logits = qwen3_logits(k->g->c, m, qwen3_hidden(k->g->c, m, case_tensor(k, "in.ids"), mask));
  /* Rows that only see padding mean nothing; the golden has zeros there. */
  for (int64_t i = 0; mask && logits && i < tens_count(mask); i++)
    if (!tens_i32(mask)[i]) memset(tens_f32(logits) + i * m->cfg.vocab, 0, (size_t)m->cfg.vocab * sizeof(float));
  case_compare_product(k, "out.logits", logits);
  qwen3_close(m);
}

condition_input golden_condition(golden_case *k) {
  return (condition_input){
      .text = case_tensor(k, "in.text_hidden_states"),
      .text_mask = case_ints(k, "in.text_attention_mask", NULL),
      .lyric = case_tensor(k, "in.lyric_hidden_states"),
      .lyric_mask = case_ints(k, "in.lyric_attention_mask", NULL),
      .clips = case_tensor(k, "in.refer_audio_acoustic_hidden_states_packed"),
      .clip_order = case_ints(k, "in.refer_audio_order_mask", NULL),
  };
}

void check_condition_encoder(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  condition_input in = golden_condition(k);
  int32_t *mask = NULL;
  tens *y = in.clip_order ? condition_encode(k->g->c, m, &in, &mask) : NULL;
  case_compare_product(k, "out.encoder_hidden_states", y);
  if (y) case_compare_ints(k, "out.encoder_attention_mask", mask, y->dim[0] * y->dim[1]);
  free(mask);
  acestep_dit_close(m);
}

void check_dit_forward(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  dit_condition attend;
  dit_attend(k->g->c, m, case_tensor(k, "in.encoder_hidden_states"), &attend);
  tens *v = dit_velocity(k->g->c, m, &attend, case_tensor(k, "in.context_latents"), case_tensor(k, "in.hidden_states"),
                         case_tensor(k, "in.timestep"), case_tensor(k, "in.timestep_r"));
  case_compare_product(k, "out.velocity", v);
  acestep_dit_close(m);
}

acestep_dit golden_with_silence(golden_case *k, const acestep_dit *m) {
  acestep_dit copy = *m;
  const st_tensor *t = st_find(k->file, "in.silence_latent");
  if (t && t->rank == 3) {
    const tens *x = case_tensor(k, "in.silence_latent");
    if (x) copy.silence = (tens){.dtype = TENS_F32, .rank = 2, .dim = {t->dim[1], t->dim[2]}, .data = x->data};
  }
  return copy;
}

/* A window of the mask counts as valid when any of its frames is; frames behind the end are not. */
static void check_pooled_mask(golden_case *k, int64_t window) {
  if (!case_has(k, "out.mask")) return;
  tens *mask = case_tensor(k, "in.attention_mask");
  if (!mask) return;
  int64_t batch = mask->dim[0], frames = mask->dim[1], codes = (frames + window - 1) / window;
  tens *y = tens_new(k->g->c, TENS_F32, TENS_DIMS(batch, codes));
  for (int64_t b = 0; y && b < batch; b++)
    for (int64_t i = 0; i < codes; i++) {
      float most = 0;
      for (int64_t t = i * window; t < (i + 1) * window && t < frames; t++)
        if (tens_f32(mask)[b * frames + t] > most) most = tens_f32(mask)[b * frames + t];
      tens_f32(y)[b * codes + i] = most;
    }
  case_compare(k, "out.mask", y);
}

void check_audio_tokenizer(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  acestep_dit own = golden_with_silence(k, m);
  audio_codes codes = audio_tokenize(k->g->c, &own, case_tensor(k, "in.latents"));
  if (codes.index) case_compare_ints(k, "out.indices", tens_i32(codes.index), tens_count(codes.index));
  case_compare_product(k, "out.quantized", codes.quantized);
  case_compare_product(k, "out.hints_25hz", audio_detokenize(k->g->c, &own, codes.quantized));
  check_pooled_mask(k, m->cfg.pool_window);
  acestep_dit_close(m);
}

/* in.indices as [B, K]. */
static tens *read_indices(golden_case *k) {
  tens *x = case_tensor(k, "in.indices");
  if (x && x->rank == 3) x = tens_view(k->g->c, x, TENS_DIMS(x->dim[0], x->dim[1]));
  return x;
}

void check_detokenizer(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  tens *quantized = audio_dequantize(k->g->c, m, read_indices(k));
  case_compare_product(k, "out.quantized", quantized);
  case_compare_product(k, "out.hints_25hz", audio_detokenize(k->g->c, m, quantized));
  acestep_dit_close(m);
}

void check_fsq_codes(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  tens *index = read_indices(k);
  case_compare(k, "out.codes", op_fsq_codes(k->g->c, index, m->cfg.levels, m->cfg.n_levels));
  case_compare_product(k, "out.project_out", audio_dequantize(k->g->c, m, index));
  acestep_dit_close(m);
}

void check_fsq_grid(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  tens *codes = op_fsq_quantize(k->g->c, case_tensor(k, "in.z"), m->cfg.levels, m->cfg.n_levels);
  int64_t n = 0, expected = 0;
  const int32_t *near_boundary = case_ints(k, "out.near_boundary", &n);
  const float *ref = case_floats(k, "out.codes", &expected);
  for (int64_t i = 0; codes && ref && near_boundary && i < n && n == expected && n == tens_count(codes); i++)
    if (near_boundary[i]) tens_f32(codes)[i] = ref[i];
  case_compare(k, "out.codes", codes);
  acestep_dit_close(m);
}

void check_prepare(golden_case *k) {
  acestep_dit *m = golden_open_dit(k);
  if (!m) return;
  acestep_dit own = golden_with_silence(k, m);
  prepare_input in = {
      .condition = golden_condition(k),
      .source = case_tensor(k, "in.src_latents"),
      .chunk_mask = case_tensor(k, "in.chunk_masks"),
      .is_cover = case_ints(k, "in.is_covers", NULL),
      .hints = case_has(k, "in.precomputed_lm_hints_25Hz") ? case_tensor(k, "in.precomputed_lm_hints_25Hz") : NULL,
  };
  int32_t *mask = NULL;
  prepared p = {0};
  if (in.is_cover && in.condition.clip_order) p = prepare_condition(k->g->c, &own, &in, &mask);
  case_compare_product(k, "out.encoder_hidden_states", p.encoded);
  case_compare_product(k, "out.context_latents", p.context);
  if (p.encoded) case_compare_ints(k, "out.encoder_attention_mask", mask, p.encoded->dim[0] * p.encoded->dim[1]);
  free(mask);
  acestep_dit_close(m);
}
