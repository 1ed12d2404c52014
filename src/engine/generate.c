/* generate.c - one request from words to finished sound. */
#include <stdlib.h>
#include <string.h>

#include "audio/format.h"
#include "audio/process.h"
#include "audio/read.h"
#include "base/clock.h"
#include "base/notify.h"
#include "engine/engine.h"
#include "render/task.h"
#include "tensor/cpu/isa.h"

/* Refuses what is understood but not built, so that nothing is silently left out. */
static ace_status check_supported(const ace_request *r, ace_error *err) {
  if (r->audio_format == REQ_FORMAT_AAC && audio_format_check(AUDIO_AAC, err) != ACE_OK) return ACE_EUNSUPPORTED;
  return ACE_OK;
}

/* A recording in the autoencoder's form. */
static ace_status load_recording(ace_engine *e, const char *field, const char *path, audio_buffer *out,
                                 ace_error *err) {
  ace_error cause;
  ace_status status = engine_need_vae(e, VAE_ENCODER, err);
  if (status != ACE_OK) return status;
  status = audio_read(path, out, &cause);
  if (status == ACE_OK) status = audio_to_model(out, e->vae->cfg.sampling_rate, &cause);
  return status == ACE_OK ? ACE_OK : ace_fail(err, status, "%s: %s", field, cause.message);
}

ace_status engine_load_recordings(ace_engine *e, const ace_request *r, engine_recordings *in, song_job *job,
                                  ace_error *err) {
  ace_status status = ACE_OK;
  *in = (engine_recordings){.source = {0}};
  if (*r->reference_audio) {
    status = load_recording(e, "reference_audio", r->reference_audio, &in->reference, err);
    if (status == ACE_OK && audio_is_silent(&in->reference))
      status = ace_fail(err, ACE_EINVAL, "reference_audio: %s is silent", r->reference_audio);
    job->reference = &in->reference;
  }
  if (status == ACE_OK && task_reads_source(r)) {
    status = load_recording(e, "src_audio", r->src_audio, &in->source, err);
    job->source = &in->source;
  }
  return status;
}

void engine_free_recordings(engine_recordings *in) {
  audio_buffer_free(&in->reference);
  audio_buffer_free(&in->source);
}

/* Between the decoder and the file. */
static ace_status master(const ace_request *r, audio_buffer *b, audio_loudness *loudness, ace_error *err) {
  ace_status status = ACE_OK;
  bool by_peak = r->normalization_lufs == 0;
  if (r->enable_normalization && by_peak) audio_normalise(b, r->normalization_db);
  if (r->enable_normalization && !by_peak)
    status = audio_normalise_loudness(b, r->normalization_lufs, r->normalization_true_peak, err);
  audio_fade(b, r->fade_in_duration, r->fade_out_duration);
  return status == ACE_OK ? audio_measure(b, loudness, err) : status;
}

tens_ctx *engine_context(const ace_engine *e, size_t bytes, const ace_callbacks *notify, ace_error *err) {
  bool stoppable = notify && notify->cancelled;
  return tens_open(&(tens_options){.threads = e->threads,
                                   .capacity = bytes,
                                   .cancelled = stoppable ? notify_is_stopped : NULL,
                                   .user = (void *)notify},
                   err);
}

static ace_status render(ace_engine *e, const song_models *models, const song_job *job, const ace_callbacks *notify,
                         progress *p, song_latents *latents, audio_buffer *out, ace_error *err) {
  song_plan plan;
  song_budget budget = engine_budget(e);
  ace_status status = song_make_plan(models, job, &budget, &plan, err);
  if (status != ACE_OK) return status;
  tens_ctx *c = engine_context(e, plan.bytes, notify, err);
  if (!c) return err->status;
  status = song_render(c, models, job, &plan, p, latents, out, err);
  tens_close(c);
  return status;
}

song_job engine_part_of(const ace_result *result, const song_job *all, int first, int n) {
  song_job job = *all;
  job.items = n;
  memcpy(job.seeds, result->seeds + first, (size_t)n * sizeof *job.seeds);
  memcpy(job.retake_seeds, result->retake_seeds + first, (size_t)n * sizeof *job.retake_seeds);
  job.n_codes = result->song.n_codes[first];
  for (int i = 0; i < n; i++) job.codes[i] = result->song.codes[first + i];
  return job;
}

/* Items from `first` on that have equally many codes: they are rendered together. */
static int alike(const ace_result *result, int first) {
  const size_t *codes = result->song.n_codes;
  int n = 1;
  while (first + n < result->items && codes[first + n] == codes[first]) n++;
  return n;
}

/* Items of a result on their way. */
typedef struct rendering {
  ace_result *result;
  const engine_listener *listener; /* may be NULL */
  double started;                  /* monotonic seconds */
  int first;                       /* of the items that are rendered together now */
} rendering;

static ace_status item_finished(void *user, int item, ace_error *err) {
  const rendering *k = user;
  ace_result *result = k->result;
  int i = k->first + item;
  ace_status status = master(result->request, &result->audio[i], &result->loudness[i], err);
  if (status != ACE_OK) return status;
  json_object_set_new(result->about, "seconds", json_real(clock_seconds() - k->started));
  return k->listener ? k->listener->finished(k->listener->user, result, i, err) : ACE_OK;
}

static ace_status render_items(ace_engine *e, rendering *k, const song_models *models, const song_job *all, bool sound,
                               const ace_callbacks *notify, progress *p, ace_error *err) {
  ace_result *result = k->result;
  ace_status status = ACE_OK;
  for (int first = 0, n; status == ACE_OK && first < result->items; first += n) {
    n = alike(result, first);
    song_job job = engine_part_of(result, all, first, n);
    k->first = first;
    job.finished = item_finished, job.user = k;
    status = render(e, models, &job, notify, p, result->latents + first, sound ? result->audio + first : NULL, err);
  }
  return status;
}

static double rendering_work(const ace_result *result, const song_models *models, const song_job *all, bool sound) {
  double work = 0;
  for (int first = 0, n; first < result->items; first += n) {
    n = alike(result, first);
    song_job job = engine_part_of(result, all, first, n);
    work += song_work(models, &job, sound);
  }
  return work;
}

/* What the language model changed can be told from the request as it came, and who chose what is said. */
static void describe_plan(const ace_request *asked, const ace_result *result, json_t *about) {
  json_t *before = req_json(asked), *after = req_json(result->request);
  if (after && result->song.n_codes[0] > 0) json_object_set_new(after, "audio_codes", json_string("planned"));
  json_object_set_new(about, "sources", engine_sources(after, before));
  json_decref(after);
  if (result->song.items) json_object_set(about, "request", before);
  json_decref(before);
}

/* What is known of all items before any of them has a sound; "seconds" comes with that. */
static json_t *describe(ace_engine *e, const ace_request *asked, const ace_result *result, progress *p,
                        const ace_callbacks *notify, ace_error *err) {
  json_t *hashes = engine_hashes(e, p, notify, err);
  json_t *voices = hashes ? engine_adapters(e, err) : NULL;
  if (!voices) {
    json_decref(hashes);
    return NULL;
  }
  json_t *about = json_pack("{s:s, s:o, s:o, s:s, s:i, s:i, s:i}", "acestep", ACE_VERSION, "models", hashes, "adapters",
                            voices, "isa", tens_isa_name(), "sample_rate", e->vae->cfg.sampling_rate, "batch_size",
                            result->items, "seconds", 0);
  if (about) describe_plan(asked, result, about);
  if (!about) ace_fail(err, ACE_ENOMEM, "result: out of memory");
  return about;
}

static ace_status resolve_seeds(ace_result *result, ace_error *err) {
  const ace_request *r = result->request;
  ace_status status = req_resolve_seeds(r, NULL, result->seeds, err);
  if (status == ACE_OK && r->retake_variance > 0) status = req_resolve_retake(r, NULL, result->retake_seeds, err);
  return status;
}

static ace_status run(ace_engine *e, const ace_request *asked, ace_result *result, bool sound,
                      const engine_listener *listener, const ace_callbacks *notify, ace_error *err) {
  rendering k = {.result = result, .listener = listener, .started = clock_seconds()};
  ace_request *r = result->request;
  song_job job = {.request = r, .family = engine_family(e)};
  result->items = r->batch_size;
  engine_recordings in = {.source = {0}};
  ace_status status = resolve_seeds(result, err);
  if (status == ACE_OK) status = engine_load_recordings(e, r, &in, &job, err);
  if (status == ACE_OK && r->thinking == REQ_ON && engine_thinks(e, r)) status = engine_need_lm(e, err);
  double source_seconds = job.source ? audio_seconds(job.source) : 0;
  song_models models = engine_models(e);
  progress p;
  if (status == ACE_OK) status = song_check(&models, &job, err);
  double hashing = sound ? engine_hash_work(e) : 0;
  progress_start(
      &p, notify,
      status == ACE_OK ? engine_think_work(e, r) + rendering_work(result, &models, &job, sound) + hashing : 1);
  double began = clock_seconds();
  if (status == ACE_OK) status = engine_think(e, r, source_seconds, result->seeds, &p, notify, &result->song, err);
  result->seconds.think = clock_seconds() - began;
  if (status == ACE_OK) {
    result->work = (engine_work){p.done, rendering_work(result, &models, &job, sound)};
    p.total = p.done + result->work.song + hashing; /* now that lengths are known */
    /* Latents alone are no song to be told from others. */
    result->about = sound ? describe(e, asked, result, &p, notify, err) : json_object();
    began = clock_seconds();
    status = result->about ? render_items(e, &k, &models, &job, sound, notify, &p, err) : err->status;
    result->seconds.song = clock_seconds() - began;
  }
  engine_free_recordings(&in);
  return status;
}

static ace_status check(const ace_engine *e, const ace_request *r, ace_error *err) {
  ace_status status = ace_request_validate(r, err);
  if (status == ACE_OK) status = req_check_model(r, engine_family(e), err);
  return status == ACE_OK ? check_supported(r, err) : status;
}

ace_status engine_plan(ace_engine *e, const ace_request *request, song_plan *plan, engine_work *work, ace_error *err) {
  ace_status status = check(e, request, err);
  if (status != ACE_OK) return status;
  ace_request *r = ace_request_copy(request);
  if (!r) return ace_fail(err, ACE_ENOMEM, "request: out of memory");
  req_apply_compat(r);
  song_job job = {.request = r, .family = engine_family(e), .items = r->batch_size};
  engine_recordings in = {.source = {0}};
  status = engine_load_recordings(e, r, &in, &job, err);
  song_models models = engine_models(e);
  song_budget budget = engine_budget(e);
  if (status == ACE_OK && work) *work = (engine_work){engine_think_work(e, r), song_work(&models, &job, true)};
  if (status == ACE_OK) status = song_make_plan(&models, &job, &budget, plan, err);
  engine_free_recordings(&in);
  ace_request_free(r);
  return status;
}

ace_result *engine_generate(ace_engine *engine, const ace_request *request, bool sound, const engine_listener *listener,
                            const ace_callbacks *notify, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  if (check(engine, request, err) != ACE_OK) return NULL;
  ace_result *result = calloc(1, sizeof *result);
  if (result) result->request = ace_request_copy(request);
  if (result && result->request) req_apply_compat(result->request);
  if (!result || !result->request) {
    free(result);
    ace_fail(err, ACE_ENOMEM, "result: out of memory");
    return NULL;
  }
  if (run(engine, request, result, sound, listener, notify, err) == ACE_OK) return result;
  ace_result_free(result);
  return NULL;
}

ace_result *ace_generate(ace_engine *engine, const ace_request *request, const ace_callbacks *notify, ace_error *err) {
  return engine_generate(engine, request, true, NULL, notify, err);
}
