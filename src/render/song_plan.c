/* song_plan.c - memory and work of a job, from shapes alone: the very calls of the run are walked through in a context
 * that only counts.
 */
#include <stdio.h>

#include "models/cost.h"
#include "render/latents.h"
#include "render/song_inner.h"

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

/* Tiles from this size on cost little more than one; smaller ones are worth releasing weights first. */
static const int64_t GOOD_TILE = 64;

typedef struct choosing {
  const song_models *m;
  const song_job *job;
  const song_inputs *in;
  const song_budget *b;
} choosing;

/* The system may take mapped weights away and read them again: they do not count. */
static void forgive_weights(song_memory *s) {
  for (int i = 0; i < SONG_PHASES; i++) s->weights[i] = 0;
  song_memory_add_up(s);
}

/* Makes items fewer or tiles smaller until everything fits: what is largest first. False when it cannot; the plan is
 * then the smallest there is. */
static bool fit(const choosing *c, bool release, bool stream, int64_t least_core, song_plan *plan, ace_error *err) {
  int group = c->job->items, tile = 0;
  for (;;) {
    song_arenas a = song_arenas_of(c->m, c->job, c->in, group, latents_tile[tile], err);
    if (a.diffuse == 0) return false;
    *plan = (song_plan){.group = group,
                        .core = latents_tile[tile],
                        .release = release,
                        .stream = stream,
                        .bytes = a.most,
                        .memory = song_memory_of(c->m, c->job, c->in, c->b, &a, release)};
    song_memory *s = &plan->memory;
    if (stream) forgive_weights(s);
    if (s->total <= c->b->bytes) return true;
    bool smaller_tile = tile + 1 < LATENTS_TILES && latents_tile[tile + 1] >= least_core;
    bool diffuse =
        release ? song_phase_bytes(s, SONG_CONDITION) > c->b->bytes || song_phase_bytes(s, SONG_DIFFUSE) > c->b->bytes
                : a.diffuse >= a.encode && a.diffuse >= a.decode;
    if (group > 1 && (diffuse || !smaller_tile)) group = (group + 1) / 2;
    else if (smaller_tile) tile++;
    else return false;
  }
}

/* The best plan that fits; false, and the smallest one, when none does. */
static bool choose(const choosing *c, song_plan *plan, ace_error *err) {
  return fit(c, false, false, GOOD_TILE, plan, err) || fit(c, true, false, 0, plan, err) ||
         (c->b->soft && fit(c, true, true, 0, plan, err));
}

/* ---- refusing ---------------------------------------------------------------------------------------------------- */

static double seconds_of(const choosing *c) {
  return (double)c->in->frames * c->m->vae->cfg.hop / c->m->vae->cfg.sampling_rate;
}

static bool would_fit(const choosing *c, int items, double duration, size_t *needed) {
  ace_request *request = ace_request_copy(c->job->request);
  song_job job = *c->job;
  job.items = items;
  job.request = request;
  song_inputs in;
  song_plan plan = {0};
  bool fits = false;
  if (request) {
    request->duration = duration;
    if (song_inputs_make(c->m, &job, &in, NULL) == ACE_OK)
      fits = choose(&(choosing){c->m, &job, &in, c->b}, &plan, NULL);
    song_inputs_free(&in);
  }
  ace_request_free(request);
  *needed = plan.memory.total;
  return fits;
}

/* The longest whole number of seconds of one item that fits; 0: none. */
static int fitting_duration(const choosing *c, size_t *least) {
  const int shortest = 10;
  int low = shortest, high = (int)seconds_of(c);
  size_t needed;
  if (!would_fit(c, 1, shortest, least)) return 0;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (would_fit(c, 1, middle, &needed)) low = middle;
    else high = middle;
  }
  return low;
}

/* Says what the job needs, what is allowed, and what would fit. */
static ace_status refuse(const choosing *c, const song_plan *plan, ace_error *err) {
  char remedy[128];
  size_t needed = plan->memory.total, least = needed;
  int items = c->job->items, seconds = 0;
  bool free_length = !c->job->source && c->in->n_codes == 0;
  while (--items > 0 && !would_fit(c, items, c->job->request->duration, &least)) continue;
  if (items == 0 && free_length) seconds = fitting_duration(c, &least);
  if (items > 0) snprintf(remedy, sizeof remedy, "batch_size %d would fit", items);
  else if (seconds > 0) snprintf(remedy, sizeof remedy, "one of %d s would fit", seconds);
  else if (free_length) snprintf(remedy, sizeof remedy, "10 s need %zu MiB", (least >> 20) + 1);
  else snprintf(remedy, sizeof remedy, "take a shorter %s", c->job->source ? "source" : "list of codes");
  return ace_fail(err, ACE_ENOMEM,
                  "memory: %d song%s of %.1f s need%s %zu MiB, %zu MiB are allowed; %s, or raise the limit",
                  c->job->items, c->job->items > 1 ? "s" : "", seconds_of(c), c->job->items > 1 ? "" : "s",
                  (needed >> 20) + 1, c->b->bytes >> 20, remedy);
}

ace_status song_make_plan(const song_models *m, const song_job *job, const song_budget *budget, song_plan *plan,
                          ace_error *err) {
  ace_error own = {0};
  if (!err) err = &own;
  song_inputs in;
  ace_status status = song_inputs_make(m, job, &in, err);
  if (status == ACE_OK) {
    const choosing c = {m, job, &in, budget};
    ace_error planning = {0};
    if (!choose(&c, plan, &planning)) {
      if (planning.status == ACE_OK) status = refuse(&c, plan, err);
      else *err = planning, status = planning.status;
    }
  }
  song_inputs_free(&in);
  return status;
}

ace_status song_check(const song_models *m, const song_job *job, ace_error *err) {
  song_inputs in;
  ace_status status = song_inputs_make(m, job, &in, err);
  song_inputs_free(&in);
  return status;
}

double song_work(const song_models *m, const song_job *job, bool sound) {
  song_inputs in;
  double work = 0;
  if (song_inputs_make(m, job, &in, NULL) == ACE_OK) {
    sampler_params p = song_sampler_params(job, &in);
    double item = sound ? (double)in.frames * cost_vae_decode(&m->vae->cfg) : 0;
    if (job->reference) item += m->dit->cfg.timbre_frames * cost_vae_encode(&m->vae->cfg);
    for (int step = 0; step < sampler_steps(&p); step++) item += song_step_work(m, &in, &p, step);
    work = song_condition_work(m, &in) + song_source_work(m, &in) + job->items * item;
  }
  song_inputs_free(&in);
  return work;
}

double song_step_work(const song_models *m, const song_inputs *in, const sampler_params *p, int step) {
  const dit_config *cfg = &m->dit->cfg;
  sampler_work w = sampler_step_work(p, step);
  int64_t condition = (int64_t)(in->lyric.n + in->text.n) + 1;
  int64_t source = (int64_t)(in->other_lyric.n + in->other_text.n) + 1;
  return w.conditional * cost_velocity(cfg, in->frames, condition) + w.source * cost_velocity(cfg, in->frames, source) +
         w.unconditional * cost_velocity(cfg, in->frames, 1);
}

static double words_work(const song_models *m, const bpe_ids *text, const bpe_ids *lyric) {
  return cost_qwen3(&m->text->cfg, (int64_t)text->n) +
         cost_condition(&m->dit->cfg, (int64_t)text->n, (int64_t)lyric->n, m->dit->cfg.timbre_frames);
}

double song_condition_work(const song_models *m, const song_inputs *in) {
  double work = words_work(m, &in->text, &in->lyric);
  if (in->other_text.n > 0) work += words_work(m, &in->other_text, in->task->edit ? &in->other_lyric : &in->lyric);
  return work;
}

double song_source_work(const song_models *m, const song_inputs *in) {
  if (!in->encodes) return 0;
  return (double)(in->region.samples / m->vae->cfg.hop) * cost_vae_encode(&m->vae->cfg);
}
