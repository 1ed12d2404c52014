/* The keys and their published values are those of the model cards' config.json files. */
#include "formats/config.h"

#include <stdio.h>
#include <string.h>

#include "base/strings.h"

enum {
  MAX_WIDTH = 32768,
  MAX_INTERMEDIATE = 262144,
  MAX_HEADS = 512,
  MAX_HEAD_DIM = 1024,
  MAX_VOCABULARY = 4 << 20,
  MAX_WINDOW = 1 << 24,
  MAX_HOP = 1 << 20,
};

/* What the readers share: the document, its name in messages, and the first failure, after which nothing more is read.
 */
typedef struct reader {
  const json_t *json;
  const char *where;
  ace_error *err;
  ace_status status;
} reader;

static int64_t read_int(reader *r, const char *field, int64_t fallback, int64_t lo, int64_t hi) {
  int64_t n = fallback;
  if (r->status == ACE_OK) r->status = json_int_field(r->json, field, fallback, lo, hi, r->where, &n, r->err);
  return n;
}

static bool read_bool(reader *r, const char *field, bool fallback) {
  bool b = fallback;
  if (r->status == ACE_OK) r->status = json_bool_field(r->json, field, fallback, r->where, &b, r->err);
  return b;
}

static const char *read_string(reader *r, const char *field, const char *fallback) {
  const char *s = fallback;
  if (r->status == ACE_OK) r->status = json_string_field(r->json, field, fallback, r->where, &s, r->err);
  return s;
}

/* Records a contradiction unless an earlier failure stands. */
static void fail(reader *r, ace_status status, const char *field, const char *problem) {
  if (r->status == ACE_OK) r->status = ace_fail(r->err, status, "%s: %s: %s", r->where, field, problem);
}

/* An integer that has no published value. */
static int required_int(reader *r, const char *field, int64_t hi) {
  json_t *value = json_object_get(r->json, field);
  if (!value || json_is_null(value)) {
    fail(r, ACE_EFORMAT, field, "missing");
    return 1;
  }
  return (int)read_int(r, field, 1, 1, hi);
}

/* ---- what kind of checkpoint ---------------------------------------------------------------------------------- */

/* Refuses the config of another kind of model: by `model_type`, else by the first of `architectures`. */
static void check_kind(reader *r, const char *model_type, const char *architecture_prefix, const char *what) {
  if (!json_is_object(r->json)) {
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: not a JSON object", r->where);
    return;
  }
  const char *class = read_string(r, "_class_name", NULL), *type = read_string(r, "model_type", NULL);
  if (r->status != ACE_OK) return;
  const json_t *first = json_array_get(json_object_get(r->json, "architectures"), 0);
  const char *architecture = json_string_value(first);
  if (type && strcmp(type, model_type) != 0)
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: model_type: \"%.48s\", expected \"%s\" (%s)", r->where, type,
                         model_type, what);
  else if (architecture && !string_begins(architecture, architecture_prefix))
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: architectures: \"%.48s\", expected %s... (%s)", r->where,
                         architecture, architecture_prefix, what);
  else if (!type && !architecture && class)
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: _class_name: \"%.48s\" is not %s", r->where, class, what);
  else if (!type && !architecture)
    r->status =
        ace_fail(r->err, ACE_EFORMAT, "%s: model_type: missing, expected \"%s\" (%s)", r->where, model_type, what);
}

/* ---- Qwen3-style blocks ---------------------------------------------------------------------------------------- */

/* Rotary embedding: plain only. Newer files put the base and the kind into one object. */
static double read_rope(reader *r) {
  static const char *const objects[] = {"rope_parameters", "rope_scaling"};
  double theta = 1e6;
  for (int i = 1; i >= 0 && r->status == ACE_OK; i--) {
    json_t *rope = json_object_get(r->json, objects[i]);
    if (!rope || json_is_null(rope)) continue;
    if (!json_is_object(rope)) {
      fail(r, ACE_EFORMAT, objects[i], "not an object");
      break;
    }
    char where[320];
    snprintf(where, sizeof where, "%.256s: %s", r->where, objects[i]);
    reader inner = {.json = rope, .where = where, .err = r->err};
    const char *type = read_string(&inner, "rope_type", read_string(&inner, "type", "default"));
    if (inner.status == ACE_OK && strcmp(type, "default") != 0)
      inner.status = ace_fail(r->err, ACE_EUNSUPPORTED, "%s: rope_type: \"%.48s\" is not supported, only \"default\"",
                              where, type);
    if (inner.status == ACE_OK)
      inner.status = json_number_field(rope, "rope_theta", theta, 1, 1e12, where, &theta, r->err);
    r->status = inner.status;
  }
  if (r->status == ACE_OK)
    r->status = json_number_field(r->json, "rope_theta", theta, 1, 1e12, r->where, &theta, r->err);
  return theta;
}

/* What every stack of this family must have for the forward pass of this program to be right. */
static void check_block_kind(reader *r) {
  if (read_bool(r, "attention_bias", false)) fail(r, ACE_EUNSUPPORTED, "attention_bias", "true is not supported");
  const char *act = read_string(r, "hidden_act", "silu");
  if (r->status == ACE_OK && strcmp(act, "silu") != 0)
    fail(r, ACE_EUNSUPPORTED, "hidden_act", "only \"silu\" is supported");
}

static float read_eps(reader *r) {
  double eps = 1e-6;
  if (r->status == ACE_OK)
    r->status = json_number_field(r->json, "rms_norm_eps", 1e-6, 1e-12, 0.1, r->where, &eps, r->err);
  return (float)eps;
}

static void check_heads(reader *r, const block_config *b, const char *heads_field, const char *kv_field) {
  if (b->heads % b->kv_heads != 0 && r->status == ACE_OK)
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: %s: %d does not divide the %d of %s", r->where, kv_field,
                         b->kv_heads, b->heads, heads_field);
  if (b->head_dim % 2 != 0) fail(r, ACE_EFORMAT, "head_dim", "odd, but rotary embedding needs pairs");
}

/* head_dim, or the width of a head that hidden_size gives. */
static int read_head_dim(reader *r, int hidden, int heads, int fallback) {
  json_t *value = json_object_get(r->json, "head_dim");
  if (fallback == 0 && (!value || json_is_null(value))) {
    if (hidden % heads != 0) fail(r, ACE_EFORMAT, "head_dim", "missing, and hidden_size is no multiple of the heads");
    fallback = hidden / heads;
    if (fallback > MAX_HEAD_DIM || fallback < 2)
      fail(r, ACE_EFORMAT, "head_dim", "missing, and no sensible one follows");
  }
  return (int)read_int(r, "head_dim", fallback, 2, MAX_HEAD_DIM);
}

ace_status cfg_read_qwen3(const json_t *json, const char *where, qwen3_config *out, ace_error *err) {
  reader r = {.json = json, .where = where, .err = err};
  *out = (qwen3_config){0};
  check_kind(&r, "qwen3", "Qwen3", "a Qwen3 language model or text encoder");
  if (r.status != ACE_OK) return r.status;
  check_block_kind(&r);
  block_config *b = &out->block;
  b->hidden = required_int(&r, "hidden_size", MAX_WIDTH);
  b->intermediate = required_int(&r, "intermediate_size", MAX_INTERMEDIATE);
  b->heads = required_int(&r, "num_attention_heads", MAX_HEADS);
  b->kv_heads = (int)read_int(&r, "num_key_value_heads", b->heads, 1, MAX_HEADS);
  b->head_dim = read_head_dim(&r, b->hidden, b->heads, 0);
  check_heads(&r, b, "num_attention_heads", "num_key_value_heads");
  b->rope_theta = read_rope(&r);
  b->eps = read_eps(&r);
  out->layers = required_int(&r, "num_hidden_layers", CFG_MAX_LAYERS);
  out->vocab = required_int(&r, "vocab_size", MAX_VOCABULARY);
  out->tied = read_bool(&r, "tie_word_embeddings", false);
  out->max_positions = (int)read_int(&r, "max_position_embeddings", 32768, 1, INT32_MAX);
  if (read_bool(&r, "use_sliding_window", false))
    fail(&r, ACE_EUNSUPPORTED, "use_sliding_window", "true is not supported for this kind of model");
  return r.status;
}

/* ---- diffusion transformer ------------------------------------------------------------------------------------- */

static void read_dit_blocks(reader *r, dit_config *out) {
  block_config *d = &out->decoder, *e = &out->encoder;
  d->hidden = (int)read_int(r, "hidden_size", 2048, 1, MAX_WIDTH);
  d->intermediate = (int)read_int(r, "intermediate_size", 6144, 1, MAX_INTERMEDIATE);
  d->heads = (int)read_int(r, "num_attention_heads", 16, 1, MAX_HEADS);
  d->kv_heads = (int)read_int(r, "num_key_value_heads", 8, 1, MAX_HEADS);
  d->head_dim = read_head_dim(r, d->hidden, d->heads, 128);
  check_heads(r, d, "num_attention_heads", "num_key_value_heads");
  d->rope_theta = read_rope(r);
  d->eps = read_eps(r);
  *e = *d;
  json_t *width = json_object_get(r->json, "encoder_hidden_size");
  out->xl = width && !json_is_null(width);
  e->hidden = (int)read_int(r, "encoder_hidden_size", d->hidden, 1, MAX_WIDTH);
  e->intermediate = (int)read_int(r, "encoder_intermediate_size", d->intermediate, 1, MAX_INTERMEDIATE);
  e->heads = (int)read_int(r, "encoder_num_attention_heads", d->heads, 1, MAX_HEADS);
  e->kv_heads = (int)read_int(r, "encoder_num_key_value_heads", d->kv_heads, 1, MAX_HEADS);
  check_heads(r, e, "encoder_num_attention_heads", "encoder_num_key_value_heads");
}

/* Which layers see a window only: the list, and the published rule (even layers) beyond its end. */
static void read_layer_types(reader *r, dit_config *out) {
  json_t *types = json_object_get(r->json, "layer_types");
  size_t n = json_array_size(types);
  for (int i = 0; i < CFG_MAX_LAYERS; i++) out->sliding[i] = i % 2 == 0;
  if (r->status != ACE_OK || !types || json_is_null(types)) return;
  if (!json_is_array(types)) fail(r, ACE_EFORMAT, "layer_types", "not a list");
  else if (n > CFG_MAX_LAYERS) fail(r, ACE_EFORMAT, "layer_types", "more than 256 entries");
  for (size_t i = 0; i < n && r->status == ACE_OK; i++) {
    const char *type = json_string_value(json_array_get(types, i));
    if (type && strcmp(type, "sliding_attention") == 0) out->sliding[i] = true;
    else if (type && strcmp(type, "full_attention") == 0) out->sliding[i] = false;
    else
      r->status =
          ace_fail(r->err, ACE_EFORMAT,
                   "%s: layer_types: entry %zu is neither \"sliding_attention\" nor \"full_attention\"", r->where, i);
  }
}

/* A list of whole numbers lo..hi, at most `limit` of them; the published one where absent. Returns how many. */
static int read_list(reader *r, const char *field, const int *fallback, int n_fallback, int64_t lo, int64_t hi,
                     int limit, int *out) {
  json_t *list = json_object_get(r->json, field);
  if (!list || json_is_null(list)) {
    memcpy(out, fallback, (size_t)n_fallback * sizeof *out);
    return n_fallback;
  }
  if (r->status != ACE_OK) return 0;
  size_t n = json_array_size(list);
  if (!json_is_array(list) || n < 1 || n > (size_t)limit) {
    r->status = ace_fail(r->err, ACE_EFORMAT, "%s: %s: not a list of 1..%d numbers", r->where, field, limit);
    return 0;
  }
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_integer(value) || json_integer_value(value) < lo || json_integer_value(value) > hi) {
      r->status = ace_fail(r->err, ACE_EFORMAT, "%s: %s: entry %zu is not a whole number in %lld..%lld", r->where,
                           field, i, (long long)lo, (long long)hi);
      return 0;
    }
    out[i] = (int)json_integer_value(value);
  }
  return (int)n;
}

/* Audio codes: finite scalar quantisation with one quantizer. Codes are numbered 0..product of levels - 1 in an int. */
static void read_quantizer(reader *r, dit_config *out) {
  static const int published[] = {8, 8, 8, 5, 5, 5};
  out->fsq_dim = (int)read_int(r, "fsq_dim", out->encoder.hidden, 1, MAX_WIDTH);
  if (out->fsq_dim != out->encoder.hidden)
    fail(r, ACE_EFORMAT, "fsq_dim", "differs from the width of the encoder that it is quantised from");
  if (read_int(r, "fsq_input_num_quantizers", 1, 1, 64) != 1)
    fail(r, ACE_EUNSUPPORTED, "fsq_input_num_quantizers", "only 1 is supported");
  out->n_levels = read_list(r, "fsq_input_levels", published, 6, 2, 65536, CFG_MAX_LEVELS, out->levels);
  int64_t codes = 1;
  for (int i = 0; i < out->n_levels && r->status == ACE_OK; i++)
    if ((codes *= out->levels[i]) > INT32_MAX)
      fail(r, ACE_EFORMAT, "fsq_input_levels", "the product of the levels exceeds 2147483647 codes");
}

ace_status cfg_read_dit(const json_t *json, const char *where, dit_config *out, ace_error *err) {
  reader r = {.json = json, .where = where, .err = err};
  *out = (dit_config){0};
  check_kind(&r, "acestep", "AceStep", "an ACE-Step diffusion transformer");
  if (r.status != ACE_OK) return r.status;
  check_block_kind(&r);
  read_dit_blocks(&r, out);
  out->turbo = read_bool(&r, "is_turbo", false);
  out->lego_sft = read_bool(&r, "is_lego_sft", false);
  out->layers = (int)read_int(&r, "num_hidden_layers", 24, 1, CFG_MAX_LAYERS);
  read_layer_types(&r, out);
  out->window = -1;
  json_t *window = json_object_get(json, "sliding_window"); /* null: every layer sees everything */
  if (read_bool(&r, "use_sliding_window", true) && !json_is_null(window))
    out->window = (int)read_int(&r, "sliding_window", 128, 1, MAX_WINDOW);
  out->latent_channels = (int)read_int(&r, "audio_acoustic_hidden_dim", 64, 1, 4096);
  out->in_channels = (int)read_int(&r, "in_channels", 192, 3, 3 * 4096);
  if (out->in_channels != 3 * out->latent_channels)
    fail(&r, ACE_EFORMAT, "in_channels", "not three times audio_acoustic_hidden_dim");
  out->patch = (int)read_int(&r, "patch_size", 2, 1, 64);
  out->text_hidden = (int)read_int(&r, "text_hidden_dim", 1024, 1, MAX_WIDTH);
  out->timbre_hidden = (int)read_int(&r, "timbre_hidden_dim", 64, 1, 4096);
  if (out->timbre_hidden != out->latent_channels)
    fail(&r, ACE_EFORMAT, "timbre_hidden_dim", "differs from audio_acoustic_hidden_dim");
  out->timbre_frames = (int)read_int(&r, "timbre_fix_frame", 750, 1, 1 << 20);
  out->lyric_layers = (int)read_int(&r, "num_lyric_encoder_hidden_layers", 8, 1, CFG_MAX_LAYERS);
  out->timbre_layers = (int)read_int(&r, "num_timbre_encoder_hidden_layers", 4, 1, CFG_MAX_LAYERS);
  out->pooler_layers = (int)read_int(&r, "num_attention_pooler_hidden_layers", 2, 1, CFG_MAX_LAYERS);
  out->pool_window = (int)read_int(&r, "pool_window_size", 5, 1, 1024);
  read_quantizer(&r, out);
  const char *version = read_string(&r, "model_version", "");
  if (strlen(version) >= sizeof out->model_version) fail(&r, ACE_EFORMAT, "model_version", "longer than 31 bytes");
  else snprintf(out->model_version, sizeof out->model_version, "%s", version);
  return r.status;
}

/* ---- autoencoder ------------------------------------------------------------------------------------------------- */

static void check_vae_widths(reader *r, const vae_config *out) {
  int64_t hop = 1;
  for (int i = 0; i < out->stages && r->status == ACE_OK; i++) {
    if ((hop *= out->strides[i]) > MAX_HOP)
      fail(r, ACE_EFORMAT, "downsampling_ratios", "the product of the strides exceeds 1048576 samples");
    if ((int64_t)out->multiples[i] * out->encoder_channels > MAX_WIDTH)
      fail(r, ACE_EFORMAT, "channel_multiples", "a stage of the encoder is wider than 32768 channels");
    if ((int64_t)out->multiples[i] * out->decoder_channels > MAX_WIDTH)
      fail(r, ACE_EFORMAT, "channel_multiples", "a stage of the decoder is wider than 32768 channels");
  }
}

ace_status cfg_read_vae(const json_t *json, const char *where, vae_config *out, ace_error *err) {
  static const int strides[] = {2, 4, 4, 6, 10}, multiples[] = {1, 2, 4, 8, 16};
  reader r = {.json = json, .where = where, .err = err};
  *out = (vae_config){0};
  if (!json_is_object(json)) return ace_fail(err, ACE_EFORMAT, "%s: not a JSON object", where);
  const char *class = read_string(&r, "_class_name", ""), *type = read_string(&r, "model_type", "");
  if (r.status == ACE_OK && strcmp(class, "AutoencoderOobleck") != 0)
    return ace_fail(err, ACE_EFORMAT,
                    "%s: _class_name: \"%.48s\", expected \"AutoencoderOobleck\" (model_type is \"%.48s\")", where,
                    class, type);
  out->audio_channels = (int)read_int(&r, "audio_channels", 2, 1, 8);
  out->sampling_rate = (int)read_int(&r, "sampling_rate", 48000, 8000, 384000);
  out->encoder_hidden = (int)read_int(&r, "encoder_hidden_size", 128, 2, 4096);
  if (out->encoder_hidden % 2 != 0)
    fail(&r, ACE_EFORMAT, "encoder_hidden_size", "odd, but it splits in mean and deviation");
  out->encoder_channels = (int)read_int(&r, "encoder_channels", out->encoder_hidden, 1, 4096);
  out->decoder_channels = (int)read_int(&r, "decoder_channels", 128, 1, 4096);
  out->decoder_input = (int)read_int(&r, "decoder_input_channels", 64, 1, 4096);
  out->stages = read_list(&r, "downsampling_ratios", strides, 5, 1, 1024, CFG_MAX_STAGES, out->strides);
  int n = read_list(&r, "channel_multiples", multiples, 5, 1, 4096, CFG_MAX_STAGES, out->multiples);
  if (r.status == ACE_OK && n != out->stages)
    r.status = ace_fail(err, ACE_EFORMAT, "%s: channel_multiples: %d entries, but downsampling_ratios has %d", where, n,
                        out->stages);
  check_vae_widths(&r, out);
  out->hop = 1;
  for (int i = 0; i < out->stages && r.status == ACE_OK; i++) out->hop *= out->strides[i];
  return r.status;
}
