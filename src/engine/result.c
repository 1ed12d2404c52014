/* result.c - finished songs: their sound, their parameters, their files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/write.h"
#include "base/file.h"
#include "engine/engine.h"
#include "text/codes.h"

void ace_result_free(ace_result *r) {
  if (!r) return;
  for (int i = 0; i < REQ_BATCH_MAX; i++) {
    audio_buffer_free(&r->audio[i]);
    free(r->latents[i].x);
    json_decref(r->scores[i]);
    free(r->json[i]);
  }
  plan_song_free(&r->song);
  json_decref(r->about);
  ace_request_free(r->request);
  free(r);
}

int ace_result_count(const ace_result *r) {
  return r->items;
}

ace_audio ace_result_audio(const ace_result *r, int item) {
  if (item < 0 || item >= r->items) return (ace_audio){0};
  const audio_buffer *b = &r->audio[item];
  return (ace_audio){b->samples, b->frames, b->channels, b->sample_rate, r->seeds[item]};
}

/* The request reduced to this one item, so that running it again makes this file again. */
static ace_request *item_request(const ace_result *r, int item, int format) {
  ace_request *one = ace_request_copy(r->request);
  if (!one) return NULL;
  req_pin_seed(one, r->seeds[item], r->request->retake_variance > 0 ? &r->retake_seeds[item] : NULL);
  one->batch_size = 1;
  one->thinking = REQ_OFF; /* its findings stand in the request */
  if (r->song.n_codes[item] > 0) {
    char *codes = codes_format(r->song.codes[item], r->song.n_codes[item], NULL);
    bool ok = codes && req_set_string(&one->audio_codes, codes, NULL) == ACE_OK;
    free(codes);
    if (!ok) {
      ace_request_free(one);
      return NULL;
    }
  }
  one->audio_format = format;
  return one;
}

static json_t *decibels(double x) {
  const double hundredths = 100;
  return isfinite(x) ? json_real(round(x * hundredths) / hundredths) : json_null();
}

/* null: silence has none. */
static json_t *loudness_json(const audio_loudness *l) {
  return json_pack("{s:o, s:o}", "integrated_lufs", decibels(l->integrated), "true_peak_dbtp", decibels(l->true_peak));
}

char *result_json(const ace_result *r, int item, int format) {
  ace_request *one = item_request(r, item, format);
  json_t *json = one ? req_json(one) : NULL;
  json_t *about = json_deep_copy(r->about);
  if (json && about) {
    json_object_set_new(about, "item", json_integer(item));
    const audio_buffer *sound = &r->audio[item];
    if (sound->sample_rate > 0) {
      json_object_set_new(about, "duration", json_real((double)sound->frames / sound->sample_rate));
      json_object_set_new(about, "loudness", loudness_json(&r->loudness[item]));
    }
    if (r->scores[item]) json_object_set(about, "scores", r->scores[item]);
    json_object_set(json, "result", about);
  }
  enum { DIGITS = 17 };
  char *text = json && about ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
  json_decref(about);
  json_decref(json);
  ace_request_free(one);
  return text;
}

const char *ace_result_json(const ace_result *r, int item) {
  if (item < 0 || item >= r->items) return NULL;
  ace_result *owner = (ace_result *)r; /* made on first use */
  if (!owner->json[item]) owner->json[item] = result_json(r, item, r->request->audio_format);
  return owner->json[item];
}

/* The request's format, or the one that the file's name asks for; FLAC when it has no extension. */
static ace_status choose_format(const ace_result *r, const char *path, audio_format *format, ace_error *err) {
  if (r->request->audio_format != REQ_FORMAT_AUTO)
    return audio_format_from_name(req_format_name(r->request), format, err);
  const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
  *format = AUDIO_FLAC;
  return dot ? audio_format_from_path(path, format, err) : ACE_OK;
}

static int request_format(audio_format format) {
  static const int of[AUDIO_FORMAT_COUNT] = {
      [AUDIO_WAV] = REQ_FORMAT_WAV, [AUDIO_WAV32] = REQ_FORMAT_WAV32, [AUDIO_FLAC] = REQ_FORMAT_FLAC,
      [AUDIO_MP3] = REQ_FORMAT_MP3, [AUDIO_OPUS] = REQ_FORMAT_OPUS,   [AUDIO_AAC] = REQ_FORMAT_AAC};
  return of[format];
}

/* "song.flac" -> "song.json". free() it. */
static char *json_path(const char *path) {
  const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
  size_t stem = dot && dot != (slash ? slash + 1 : path) ? (size_t)(dot - path) : strlen(path);
  char *out = malloc(stem + sizeof ".json");
  if (out) {
    memcpy(out, path, stem);
    memcpy(out + stem, ".json", sizeof ".json");
  }
  return out;
}

static ace_status write_audio(const ace_result *r, int item, const char *path, audio_format format, ace_error *err) {
  char seed[16];
  snprintf(seed, sizeof seed, "%u", (unsigned)r->seeds[item]);
  audio_tags tags = {.title = *r->request->title ? r->request->title : r->request->caption,
                     .prompt = r->request->caption,
                     .seed = seed,
                     .software = "acestep " ACE_VERSION};
  audio_write_options options = audio_default_write_options();
  options.bitrate_kbps = req_mp3_kbps(r->request);
  options.mp3_sample_rate = r->request->mp3_sample_rate;
  options.flac_bits = r->request->flac_bits;
  options.no_dither = !r->request->dither;
  return audio_write(path, &r->audio[item], format, &options, &tags, NULL, err);
}

ace_status engine_save_json(const ace_result *r, int item, const char *path, ace_error *err) {
  char *text = result_json(r, item, r->request->audio_format);
  ace_status status =
      text ? file_write(path, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  free(text);
  return status;
}

/* The JSON is written first but appears last, so that neither file stands there without the other. */
ace_status ace_result_save(const ace_result *r, int item, const char *path, ace_error *err) {
  if (item < 0 || item >= r->items)
    return ace_fail(err, ACE_EINVAL, "result: item %d is outside 0..%d", item, r->items - 1);
  if (!r->audio[item].samples) return ace_fail(err, ACE_EINVAL, "result: no sound was made of item %d", item);
  audio_format format;
  ace_status status = choose_format(r, path, &format, err);
  if (status != ACE_OK) return status;
  char *beside = json_path(path), *text = result_json(r, item, request_format(format));
  file_writer w;
  if (!beside || !text) status = ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  if (status == ACE_OK) status = file_writer_open(&w, beside, err);
  if (status == ACE_OK) {
    status = file_writer_add(&w, text, strlen(text), err);
    if (status == ACE_OK) status = write_audio(r, item, path, format, err);
    if (status == ACE_OK) status = file_writer_commit(&w, err);
    else file_writer_abort(&w);
  }
  free(beside);
  free(text);
  return status;
}
