#include "train/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/strings.h"
#include "formats/safetensors.h"
#include "train/sample_inner.h"

static const char FORMAT[] = "acestep-train-v1", SAMPLE_JSON[] = "sample_json", SILENCE[] = "silence";

const char *const sample_part_name[SAMPLE_PARTS] = {"target_latents", "encoder_hidden_states", "encoder_attention_mask",
                                                    "context_latents", "attention_mask"};

/* The strings of a header that are kept. */
static const char *const tag_names[] = {
    "format",    "context", "preprocess_mode", "prep_profile", "text_prompt",  "lyric_text", "model_variant",
    "model_sha", "vae_sha", "created_at",      "source_size",  "source_mtime", "key",        "latents_key"};
enum { TAGS = sizeof tag_names / sizeof *tag_names };

void sample_parts_free(sample_parts *p) {
  for (int i = 0; i < SAMPLE_PARTS; i++) free(p->part[i].data);
  json_decref(p->about), json_decref(p->tags);
  *p = (sample_parts){0};
}

void sample_free(sample *s) {
  free(s->target), free(s->context), free(s->condition);
  free(s->frame_mask), free(s->condition_mask);
  json_decref(s->about), json_decref(s->tags);
  *s = (sample){0};
}

const char *sample_tag(const sample *s, const char *name) {
  return json_text(s->tags, name);
}

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

/* One value of a mask of any type: is it anything but zero? */
static bool is_set(const st_tensor *t, int64_t i) {
  size_t size = st_dtype_size(t->dtype);
  const uint8_t *at = (const uint8_t *)t->data + (size_t)i * size;
  for (size_t k = 0; k < size; k++)
    if (at[k]) return true;
  return false;
}

static ace_status read_part(const char *path, const st_tensor *t, sample_part which, bool values, pt_tensor *out,
                            ace_error *err) {
  enum { MOST_RANK = 4 };
  bool mask = which == SAMPLE_CONDITION_MASK || which == SAMPLE_FRAME_MASK;
  if (t->rank > MOST_RANK || t->count < 1 || st_dtype_block(t->dtype) != 1)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: neither a matrix nor a vector of numbers", path, t->name);
  if (!mask && t->dtype != ST_F32 && t->dtype != ST_BF16 && t->dtype != ST_F16)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: %s; F32, BF16 or F16 is needed", path, t->name,
                    st_dtype_name(t->dtype));
  out->rank = t->rank;
  memcpy(out->dim, t->dim, sizeof out->dim);
  if (!values) return ACE_OK;
  out->data = malloc((size_t)t->count * sizeof *out->data);
  if (!out->data) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  if (!mask) st_widen(t, 0, t->count, out->data);
  for (int64_t i = 0; mask && i < t->count; i++) out->data[i] = is_set(t, i);
  return ACE_OK;
}

static ace_status read_header(const st_file *f, sample_parts *out, ace_error *err) {
  const char *path = st_path(f), *json = st_metadata(f, SAMPLE_JSON), *format = st_metadata(f, "format");
  if (format && strcmp(format, FORMAT) != 0 && strcmp(format, "pt") != 0)
    return ace_fail(err, ACE_EUNSUPPORTED, "%s: format: \"%.64s\" is not \"%s\"", path, format, FORMAT);
  if (json && !(out->about = json_parse(json, strlen(json), path, err))) return ACE_EFORMAT;
  if (json && !json_is_object(out->about))
    return ace_fail(err, ACE_EFORMAT, "%s: %s is no JSON object", path, SAMPLE_JSON);
  out->tags = json_object();
  for (int i = 0; i < TAGS && out->tags; i++) {
    const char *text = st_metadata(f, tag_names[i]);
    if (text) json_object_set_new(out->tags, tag_names[i], json_string(text));
  }
  return ACE_OK;
}

static ace_status read_safetensors(const char *path, bool values, sample_parts *out, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  st_file *f = st_open(path, err);
  if (!f) return err->status;
  ace_status status = read_header(f, out, err);
  for (int i = 0; i < SAMPLE_PARTS && status == ACE_OK; i++) {
    const st_tensor *t = st_find(f, sample_part_name[i]);
    if (t) status = read_part(path, t, (sample_part)i, values, &out->part[i], err);
  }
  st_close(f);
  return status;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* Batches of one are what they hold. */
static void squeeze(pt_tensor *t, int rank) {
  while (t->rank > rank && t->dim[0] == 1) {
    t->rank--;
    memmove(t->dim, t->dim + 1, sizeof t->dim - sizeof t->dim[0]);
  }
}

/* The part is there and has `rank` dimensions of which the first is `rows` and the last `columns`, where those are above
 * 0. */
static ace_status check_part(const char *path, const sample_parts *p, sample_part which, int rank, int64_t rows,
                             int64_t columns, ace_error *err) {
  const pt_tensor *t = &p->part[which];
  const char *name = sample_part_name[which];
  if (t->rank == 0) return ace_fail(err, ACE_EFORMAT, "%s: tensor %s is missing", path, name);
  if (t->rank != rank)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: %d dimensions instead of %d", path, name, t->rank, rank);
  if (rows > 0 && t->dim[0] != rows)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: %lld rows instead of %lld", path, name, (long long)t->dim[0],
                    (long long)rows);
  if (columns > 0 && t->dim[1] != columns)
    return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: width %lld instead of %lld", path, name, (long long)t->dim[1],
                    (long long)columns);
  return ACE_OK;
}

static ace_status check_shape(const char *path, const sample_shape *s, ace_error *err) {
  const struct {
    const char *name;
    int64_t value, most;
  } limits[] = {{"frames", s->frames, SAMPLE_FRAMES_MOST},
                {"latent channels", s->channels, SAMPLE_WIDTH_MOST},
                {"condition tokens", s->tokens, SAMPLE_TOKENS_MOST},
                {"condition width", s->width, SAMPLE_WIDTH_MOST}};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (limits[i].value < 1 || limits[i].value > limits[i].most)
      return ace_fail(err, ACE_EFORMAT, "%s: %lld %s, accepted are 1..%lld", path, (long long)limits[i].value,
                      limits[i].name, (long long)limits[i].most);
  return ACE_OK;
}

static ace_status read_parts(const char *path, bool values, sample_parts *p, sample_shape *shape, ace_error *err) {
  static const int rank[SAMPLE_PARTS] = {2, 2, 1, 2, 1};
  *p = (sample_parts){0};
  ace_status status =
      string_ends(path, ".pt") ? sample_parts_pt(path, values, p, err) : read_safetensors(path, values, p, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < SAMPLE_PARTS; i++) squeeze(&p->part[i], rank[i]);
  const pt_tensor *target = &p->part[SAMPLE_TARGET], *condition = &p->part[SAMPLE_CONDITION];
  status = check_part(path, p, SAMPLE_TARGET, 2, 0, 0, err);
  if (status == ACE_OK) status = check_part(path, p, SAMPLE_CONDITION, 2, 0, 0, err);
  if (status != ACE_OK) return status;
  *shape = (sample_shape){target->dim[0], target->dim[1], condition->dim[0], condition->dim[1]};
  status = check_shape(path, shape, err);
  if (status == ACE_OK && p->part[SAMPLE_CONTEXT].rank)
    status = check_part(path, p, SAMPLE_CONTEXT, 2, shape->frames, 2 * shape->channels, err);
  if (status == ACE_OK && p->part[SAMPLE_FRAME_MASK].rank)
    status = check_part(path, p, SAMPLE_FRAME_MASK, 1, shape->frames, 0, err);
  if (status == ACE_OK && p->part[SAMPLE_CONDITION_MASK].rank)
    status = check_part(path, p, SAMPLE_CONDITION_MASK, 1, shape->tokens, 0, err);
  return status;
}

ace_status sample_look(const char *path, sample_shape *shape, ace_error *err) {
  sample_parts p;
  ace_status status = read_parts(path, false, &p, shape, err);
  sample_parts_free(&p);
  return status;
}

static ace_status check_values(const char *path, const sample_parts *p, ace_error *err) {
  for (int i = 0; i < SAMPLE_PARTS; i++) {
    const pt_tensor *t = &p->part[i];
    int64_t n = t->rank == 0 ? 0 : t->dim[0] * (t->rank > 1 ? t->dim[1] : 1);
    for (int64_t k = 0; k < n; k++)
      if (!isfinite(t->data[k]))
        return ace_fail(err, ACE_EFORMAT, "%s: tensor %s: value %lld is not a finite number; preprocess the song again",
                        path, sample_part_name[i], (long long)k);
  }
  return ACE_OK;
}

/* A mask as bytes; one of ones alone says nothing. NULL for that, and when out of memory. */
static uint8_t *take_mask(const pt_tensor *t, bool *failed) {
  bool ones = true;
  if (t->rank == 0) return NULL;
  for (int64_t i = 0; i < t->dim[0]; i++) ones &= t->data[i] != 0;
  if (ones) return NULL;
  uint8_t *mask = malloc((size_t)t->dim[0]);
  *failed |= !mask;
  for (int64_t i = 0; mask && i < t->dim[0]; i++) mask[i] = t->data[i] != 0;
  return mask;
}

/* [T, 2 channels]: silence | ones. */
static ace_status silent_context(const char *path, const tens *silence, sample *s, ace_error *err) {
  int64_t width = s->shape.channels;
  if (!silence || !silence->data || silence->rank != 2 || silence->dim[0] < 1 || silence->dim[1] != width)
    return ace_fail(err, ACE_EINVAL, "%s: its context is silence, of which the model has none of width %lld", path,
                    (long long)width);
  s->context = malloc((size_t)(s->shape.frames * 2 * width) * sizeof *s->context);
  if (!s->context) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  for (int64_t t = 0; t < s->shape.frames; t++) {
    float *row = s->context + t * 2 * width;
    memcpy(row, tens_f32(silence) + t % silence->dim[0] * width, (size_t)width * sizeof *row);
    for (int64_t i = width; i < 2 * width; i++) row[i] = 1;
  }
  return ACE_OK;
}

static float *take(pt_tensor *t) {
  float *data = t->data;
  t->data = NULL;
  return data;
}

ace_status sample_read(const char *path, const tens *silence, sample *out, ace_error *err) {
  sample_parts p;
  bool failed = false;
  *out = (sample){0};
  ace_status status = read_parts(path, true, &p, &out->shape, err);
  if (status == ACE_OK) status = check_values(path, &p, err);
  if (status == ACE_OK) {
    out->frame_mask = take_mask(&p.part[SAMPLE_FRAME_MASK], &failed);
    out->condition_mask = take_mask(&p.part[SAMPLE_CONDITION_MASK], &failed);
    out->target = take(&p.part[SAMPLE_TARGET]);
    out->condition = take(&p.part[SAMPLE_CONDITION]);
    out->context = take(&p.part[SAMPLE_CONTEXT]);
    out->about = p.about ? json_incref(p.about) : json_object();
    out->tags = p.tags ? json_incref(p.tags) : json_object();
    if (failed || !out->about || !out->tags) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  }
  if (status == ACE_OK && !out->context) status = silent_context(path, silence, out, err);
  sample_parts_free(&p);
  if (status != ACE_OK) sample_free(out);
  return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static ace_status add_floats(file_writer *w, const float *x, int64_t n, ace_error *err) {
  enum { PIECE = 4096 };
  uint16_t half[PIECE];
  ace_status status = ACE_OK;
  for (int64_t at = 0; at < n && status == ACE_OK; at += PIECE) {
    int64_t count = n - at < PIECE ? n - at : PIECE;
    for (int64_t i = 0; i < count; i++) half[i] = f32_to_bf16(x[at + i]);
    status = file_writer_add(w, half, (size_t)count * sizeof *half, err);
  }
  return status;
}

static ace_status add_data(file_writer *w, const sample *s, ace_error *err) {
  const sample_shape *d = &s->shape;
  ace_status status = add_floats(w, s->target, d->frames * d->channels, err);
  if (status == ACE_OK) status = add_floats(w, s->condition, d->tokens * d->width, err);
  if (status == ACE_OK && s->context) status = add_floats(w, s->context, d->frames * 2 * d->channels, err);
  if (status == ACE_OK && s->condition_mask) status = file_writer_add(w, s->condition_mask, (size_t)d->tokens, err);
  if (status == ACE_OK && s->frame_mask) status = file_writer_add(w, s->frame_mask, (size_t)d->frames, err);
  return status;
}

/* The tensors in the order of add_data. */
static int describe(const sample *s, st_tensor out[SAMPLE_PARTS]) {
  const sample_shape *d = &s->shape;
  const st_tensor all[] = {
      {.name = sample_part_name[SAMPLE_TARGET], .dtype = ST_BF16, .rank = 2, .dim = {d->frames, d->channels}},
      {.name = sample_part_name[SAMPLE_CONDITION], .dtype = ST_BF16, .rank = 2, .dim = {d->tokens, d->width}},
      {.name = sample_part_name[SAMPLE_CONTEXT], .dtype = ST_BF16, .rank = 2, .dim = {d->frames, 2 * d->channels}},
      {.name = sample_part_name[SAMPLE_CONDITION_MASK], .dtype = ST_U8, .rank = 1, .dim = {d->tokens}},
      {.name = sample_part_name[SAMPLE_FRAME_MASK], .dtype = ST_U8, .rank = 1, .dim = {d->frames}},
  };
  const bool there[] = {true, true, s->context, s->condition_mask, s->frame_mask};
  int n = 0;
  for (int i = 0; i < SAMPLE_PARTS; i++)
    if (there[i]) out[n++] = all[i];
  return n;
}

ace_status sample_write(const char *path, const sample *s, ace_error *err) {
  const char *strings[2 * (TAGS + 1)];
  char *about = json_dumps(s->about, JSON_COMPACT);
  if (!about) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  int n = 0;
  for (int i = 0; i < TAGS; i++) {
    const char *text = json_string_value(json_object_get(s->tags, tag_names[i]));
    if (strcmp(tag_names[i], "format") == 0) text = FORMAT;
    if (strcmp(tag_names[i], "context") == 0) text = s->context ? "stored" : SILENCE;
    if (!text) continue;
    strings[n++] = tag_names[i];
    strings[n++] = text;
  }
  strings[n++] = SAMPLE_JSON;
  strings[n++] = about;
  st_tensor tensors[SAMPLE_PARTS];
  file_writer w;
  ace_status status = st_write_begin(&w, path, tensors, describe(s, tensors), strings, n / 2, err);
  free(about);
  if (status != ACE_OK) return status;
  status = add_data(&w, s, err);
  if (status == ACE_OK) return file_writer_commit(&w, err);
  file_writer_abort(&w);
  return status;
}
