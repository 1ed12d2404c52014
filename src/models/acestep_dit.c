#include "models/acestep_dit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/torch_pt.h"
#include "models/rearrange.h"

static void load_condition_encoder(ckpt_reader *r, condition_encoder *e, const dit_config *cfg) {
  int he = cfg->encoder.hidden;
  e->text_projector = ckpt_matrix(r, he, cfg->text_hidden, "encoder.text_projector.weight");
  e->lyric_embed = ckpt_matrix(r, he, cfg->text_hidden, "encoder.lyric_encoder.embed_tokens.weight");
  e->lyric_bias = ckpt_vector(r, he, "encoder.lyric_encoder.embed_tokens.bias");
  e->lyric_norm = ckpt_vector(r, he, "encoder.lyric_encoder.norm.weight");
  e->lyric = block_load_stack(r, &cfg->encoder, cfg->lyric_layers, "encoder.lyric_encoder.layers");
  e->timbre_embed = ckpt_matrix(r, he, cfg->timbre_hidden, "encoder.timbre_encoder.embed_tokens.weight");
  e->timbre_bias = ckpt_vector(r, he, "encoder.timbre_encoder.embed_tokens.bias");
  e->timbre_norm = ckpt_vector(r, he, "encoder.timbre_encoder.norm.weight");
  e->timbre = block_load_stack(r, &cfg->encoder, cfg->timbre_layers, "encoder.timbre_encoder.layers");
  if (cfg->xl) e->timbre_token = rearrange_row(r, he, "encoder.timbre_encoder.special_token");
}

static void load_tokenizer(ckpt_reader *r, audio_tokenizer *t, const dit_config *cfg) {
  int he = cfg->encoder.hidden;
  t->acoustic = ckpt_matrix(r, he, cfg->latent_channels, "tokenizer.audio_acoustic_proj.weight");
  t->acoustic_bias = ckpt_vector(r, he, "tokenizer.audio_acoustic_proj.bias");
  t->embed = ckpt_matrix(r, he, he, "tokenizer.attention_pooler.embed_tokens.weight");
  t->embed_bias = ckpt_vector(r, he, "tokenizer.attention_pooler.embed_tokens.bias");
  t->token = rearrange_row(r, he, "tokenizer.attention_pooler.special_token");
  t->norm = ckpt_vector(r, he, "tokenizer.attention_pooler.norm.weight");
  t->pooler = block_load_stack(r, &cfg->encoder, cfg->pooler_layers, "tokenizer.attention_pooler.layers");
  t->project_in = ckpt_matrix(r, cfg->n_levels, he, "tokenizer.quantizer.project_in.weight");
  t->project_in_bias = ckpt_vector(r, cfg->n_levels, "tokenizer.quantizer.project_in.bias");
  t->project_out = ckpt_matrix(r, cfg->fsq_dim, cfg->n_levels, "tokenizer.quantizer.project_out.weight");
  t->project_out_bias = ckpt_vector(r, cfg->fsq_dim, "tokenizer.quantizer.project_out.bias");
}

static void load_detokenizer(ckpt_reader *r, audio_detokenizer *d, const dit_config *cfg) {
  int he = cfg->encoder.hidden;
  d->embed = ckpt_matrix(r, he, cfg->fsq_dim, "detokenizer.embed_tokens.weight");
  d->embed_bias = ckpt_vector(r, he, "detokenizer.embed_tokens.bias");
  d->tokens = rearrange_table(r, cfg->pool_window, he, "detokenizer.special_tokens");
  d->norm = ckpt_vector(r, he, "detokenizer.norm.weight");
  d->layers = block_load_stack(r, &cfg->encoder, cfg->pooler_layers, "detokenizer.layers");
  d->out = ckpt_matrix(r, cfg->latent_channels, he, "detokenizer.proj_out.weight");
  d->out_bias = ckpt_vector(r, cfg->latent_channels, "detokenizer.proj_out.bias");
}

enum { SINUSOID_WIDTH = 256 };

static void load_time_embed(ckpt_reader *r, time_embed *e, int hidden, const char *name) {
  e->linear_1 = linear_plain(ckpt_matrix(r, hidden, SINUSOID_WIDTH, "decoder.%s.linear_1.weight", name));
  e->bias_1 = ckpt_vector(r, hidden, "decoder.%s.linear_1.bias", name);
  e->linear_2 = linear_plain(ckpt_matrix(r, hidden, hidden, "decoder.%s.linear_2.weight", name));
  e->bias_2 = ckpt_vector(r, hidden, "decoder.%s.linear_2.bias", name);
  e->proj = linear_plain(ckpt_matrix(r, 6 * hidden, hidden, "decoder.%s.time_proj.weight", name));
  e->proj_bias = ckpt_vector(r, 6 * hidden, "decoder.%s.time_proj.bias", name);
}

static void load_layer(ckpt_reader *r, dit_layer *l, const dit_config *cfg, int i) {
  const block_config *d = &cfg->decoder;
  char name[96];
  l->self_norm = ckpt_vector(r, d->hidden, "decoder.layers.%d.self_attn_norm.weight", i);
  l->cross_norm = ckpt_vector(r, d->hidden, "decoder.layers.%d.cross_attn_norm.weight", i);
  l->mlp_norm = ckpt_vector(r, d->hidden, "decoder.layers.%d.mlp_norm.weight", i);
  snprintf(name, sizeof name, "decoder.layers.%d.scale_shift_table", i);
  l->table = rearrange_table(r, 6, d->hidden, name);
  snprintf(name, sizeof name, "decoder.layers.%d.self_attn", i);
  attn_load(r, &l->self, d, d->hidden, d->hidden, name);
  snprintf(name, sizeof name, "decoder.layers.%d.cross_attn", i);
  attn_load(r, &l->cross, d, d->hidden, d->hidden, name);
  snprintf(name, sizeof name, "decoder.layers.%d.mlp", i);
  mlp_load(r, &l->mlp, d->hidden, d->intermediate, name);
}

static void load_decoder(ckpt_reader *r, dit_decoder *d, const dit_config *cfg) {
  int h = cfg->decoder.hidden;
  d->proj_in = ckpt_packable(r, rearrange_conv(r, h, cfg->in_channels, cfg->patch, "decoder.proj_in.1.weight"), 0);
  d->proj_in_bias = ckpt_vector(r, h, "decoder.proj_in.1.bias");
  load_time_embed(r, &d->t, h, "time_embed");
  load_time_embed(r, &d->r, h, "time_embed_r");
  d->condition = linear_plain(ckpt_matrix(r, h, cfg->encoder.hidden, "decoder.condition_embedder.weight"));
  d->condition_bias = ckpt_vector(r, h, "decoder.condition_embedder.bias");
  d->norm_out = ckpt_vector(r, h, "decoder.norm_out.weight");
  d->table = rearrange_table(r, 2, h, "decoder.scale_shift_table");
  d->proj_out = ckpt_packable(
      r, rearrange_conv_transposed(r, h, cfg->latent_channels, cfg->patch, "decoder.proj_out.1.weight"), cfg->patch);
  d->proj_out_bias = ckpt_vector(r, cfg->latent_channels, "decoder.proj_out.1.bias");
  d->layers = ckpt_alloc(r->checkpoint, (size_t)cfg->layers * sizeof *d->layers);
  if (!d->layers) {
    r->failed = true;
    ace_fail(r->err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(r->checkpoint));
  }
  for (int i = 0; i < cfg->layers && !r->failed; i++) load_layer(r, &d->layers[i], cfg, i);
}

/* Silence [frames, channels] as a tensor, as GGUF files have it. */
static ace_status copy_silence(const st_tensor *t, int64_t channels, tens *out, ace_error *err) {
  if (t->rank != 2 || t->dim[1] != channels || t->dtype != ST_F32)
    return ace_fail(err, ACE_EFORMAT, "silence_latent: not F32 of shape [frames, %lld]", (long long)channels);
  float *rows = malloc(t->size);
  if (!rows) return ace_fail(err, ACE_ENOMEM, "silence_latent: out of memory");
  st_widen(t, 0, t->count, rows);
  *out = (tens){.dtype = TENS_F32, .rank = 2, .dim = {t->dim[0], channels}, .data = rows};
  return ACE_OK;
}

/* Else it is the file silence_latent.pt, [1, channels, frames]; here it becomes [frames, channels]. */
static ace_status read_silence(const ckpt *checkpoint, int64_t channels, tens *out, ace_error *err) {
  const char *folder = ckpt_folder(checkpoint);
  const st_tensor *stored = ckpt_find(checkpoint, "silence_latent");
  if (stored) return copy_silence(stored, channels, out, err);
  char *path = file_join(folder, "silence_latent.pt");
  if (!path) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  pt_tensor raw = {0};
  ace_status status = pt_read(path, &raw, err);
  if (status == ACE_OK && (raw.rank != 3 || raw.dim[0] != 1 || raw.dim[1] != channels || raw.dim[2] < 1))
    status = ace_fail(err, ACE_EFORMAT, "%s: not a tensor of shape [1, %lld, frames]", path, (long long)channels);
  if (status == ACE_OK) {
    int64_t frames = raw.dim[2];
    float *rows = malloc((size_t)(frames * channels) * sizeof *rows);
    if (!rows) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
    for (int64_t t = 0; rows && t < frames; t++)
      for (int64_t ch = 0; ch < channels; ch++) rows[t * channels + ch] = raw.data[ch * frames + t];
    *out = (tens){.dtype = TENS_F32, .rank = 2, .dim = {frames, channels}, .data = rows};
  }
  free(raw.data);
  free(path);
  return status;
}

/* Everything but silence. Takes the checkpoint over; NULL for NULL. */
static acestep_dit *load(ckpt *checkpoint, ace_error *err) {
  if (!checkpoint) return NULL;
  acestep_dit *m = calloc(1, sizeof *m);
  if (!m) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", ckpt_folder(checkpoint));
    ckpt_close(checkpoint);
    return NULL;
  }
  m->checkpoint = checkpoint;
  ckpt_reader r = {.checkpoint = checkpoint, .err = err};
  r.failed = cfg_read_dit(ckpt_config(checkpoint), ckpt_config_path(checkpoint), &m->cfg, err) != ACE_OK;
  if (!r.failed) {
    load_condition_encoder(&r, &m->encoder, &m->cfg);
    load_tokenizer(&r, &m->tokenizer, &m->cfg);
    load_detokenizer(&r, &m->detokenizer, &m->cfg);
    load_decoder(&r, &m->decoder, &m->cfg);
    m->null_condition = rearrange_row(&r, m->cfg.encoder.hidden, "null_condition_emb");
  }
  if (!r.failed) return m;
  acestep_dit_close(m);
  return NULL;
}

acestep_dit *acestep_dit_open(const char *folder, ace_error *err) {
  return acestep_dit_from(ckpt_open(folder, err), (tens){0}, err);
}

acestep_dit *acestep_dit_from(ckpt *checkpoint, tens silence, ace_error *err) {
  acestep_dit *m = load(checkpoint, err);
  if (m) m->silence = silence;
  else free(silence.data);
  if (!m || silence.data || read_silence(checkpoint, m->cfg.latent_channels, &m->silence, err) == ACE_OK) return m;
  acestep_dit_close(m);
  return NULL;
}

void acestep_dit_close(acestep_dit *m) {
  if (!m) return;
  free(m->silence.data);
  ckpt_close(m->checkpoint);
  free(m);
}

tens *acestep_silence(tens_ctx *c, const acestep_dit *m, int64_t first, int64_t n) {
  int64_t channels = m->cfg.latent_channels, frames = m->silence.dim[0];
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(1, n, channels));
  if (!y || tens_planning(c)) return y;
  for (int64_t t = 0; t < n; t++)
    memcpy(tens_f32(y) + t * channels, tens_f32(&m->silence) + (first + t) % frames * channels,
           (size_t)channels * sizeof(float));
  return y;
}
