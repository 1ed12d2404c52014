#define _GNU_SOURCE /* madvise */
#include "engine/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/load.h"
#include "base/notify.h"
#include "engine/random.h"
#include "render/stages.h"
#include "tensor/cpu/ceiling.h"
#include "tensor/cpu/isa.h"

enum { SEED = 1 };
static const size_t READ_BYTES = (size_t)1 << 29;
static const double CALM = 0.12; /* share of the processors */

/* About 70 tokens of text and 170 of lyrics in the miniature's tokenizer. */
static const char caption[] = "A slow and gentle song for piano and strings, warm and quiet";
static const char lyrics[] =
    "[Verse]\nThe river runs below the town\nand carries every evening down\n\n[Chorus]\nStay with me until the light\n"
    "comes over hills and ends the night\n";

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_median(const bench_samples *s) {
  double sorted[BENCH_REPEAT_MOST];
  int n = s->n_calm ? s->n_calm : s->n_all;
  if (n == 0) return 0;
  memcpy(sorted, s->n_calm ? s->calm : s->all, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Making models, one pass through everything, and measuring share the progress of the whole. */
static const double MADE = 0.1, PASSED = 0.3;

typedef struct part {
  const ace_callbacks *whole; /* may be NULL */
  double from, to;
} part;

static void part_progress(void *user, const ace_progress *told) {
  const part *p = user;
  ace_progress scaled = *told;
  scaled.fraction = p->from + (p->to - p->from) * told->fraction;
  scaled.seconds_left = -1;
  p->whole->progress(p->whole->user, &scaled);
}

static bool part_cancelled(void *user) {
  const part *p = user;
  return notify_stopped(p->whole);
}

static ace_callbacks callbacks_of(part *p) {
  if (!p->whole) return (ace_callbacks){.user = p};
  return (ace_callbacks){.progress = p->whole->progress ? part_progress : NULL,
                         .cancelled = p->whole->cancelled ? part_cancelled : NULL,
                         .user = p};
}

static void tell(bench_machine *m) {
  if (!m->notify || !m->notify->progress) return;
  ace_progress p = {.stage = "measure",
                    .fraction = PASSED + (1 - PASSED) * (m->total ? (double)m->done / m->total : 0),
                    .seconds_left = -1,
                    .step = m->done,
                    .steps = m->total};
  m->notify->progress(m->notify->user, &p);
}

ace_status bench_measure(bench_machine *m, ace_status (*what)(void *arg, double *value, ace_error *err), void *arg,
                         bench_samples *s, ace_error *err) {
  tell(m);
  if (!load_wait(CALM, m->patience, notify_is_stopped, (void *)m->notify)) m->calm = false;
  if (notify_stopped(m->notify)) return ace_fail(err, ACE_ECANCELED, "bench: cancelled");
  load_mark begin = load_now();
  double value = 0;
  ace_status status = what(arg, &value, err);
  if (status != ACE_OK) return status;
  double foreign = load_foreign(&begin);
  if (foreign > m->foreign) m->foreign = foreign;
  if (foreign < CALM && s->n_calm < BENCH_REPEAT_MOST) s->calm[s->n_calm++] = value;
  if (s->n_all < BENCH_REPEAT_MOST) s->all[s->n_all++] = value;
  m->done++;
  return ACE_OK;
}

static ace_status measure_multiply_add(void *arg, double *value, ace_error *err) {
  bench_machine *m = arg;
  *value = ceiling_multiply_add(m->threads, tens_isa_name());
  return ACE_OK;
}

static ace_status measure_tiles(void *arg, double *value, ace_error *err) {
  bench_machine *m = arg;
  *value = ceiling_tiles(m->threads, tens_isa_name());
  return ACE_OK;
}

static ace_status measure_read(void *arg, double *value, ace_error *err) {
  bench_machine *m = arg;
  *value = ceiling_read(m->threads, m->memory, READ_BYTES);
  return ACE_OK;
}

ace_status bench_ceilings(bench_machine *m, ace_error *err) {
  ace_status status = bench_measure(m, measure_multiply_add, m, &m->multiply_add, err);
  if (status == ACE_OK && tens_isa_has_tiles(tens_isa_name()))
    status = bench_measure(m, measure_tiles, m, &m->tiles, err);
  if (status == ACE_OK) status = bench_measure(m, measure_read, m, &m->read, err);
  return status;
}

int bench_ceiling_count(void) {
  return tens_isa_has_tiles(tens_isa_name()) ? 3 : 2;
}

double bench_peak(const bench_machine *m) {
  double tiles = bench_median(&m->tiles), multiply_add = bench_median(&m->multiply_add);
  return tiles > multiply_add ? tiles : multiply_add;
}

static ace_status open_machine(bench_machine *m, pool *threads, const bench_options *o, const ace_callbacks *notify,
                               ace_error *err) {
  *m = (bench_machine){.threads = threads, .notify = notify, .calm = true, .patience = o->patience};
  void *p = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return ace_fail(err, ACE_ENOMEM, "bench: no room for %zu MiB to read from", READ_BYTES >> 20);
#ifdef MADV_HUGEPAGE
  madvise(p, READ_BYTES, MADV_HUGEPAGE);
#endif
  memset(p, 1, READ_BYTES);
  m->memory = p;
  return ACE_OK;
}

static void close_machine(bench_machine *m) {
  if (m->memory) munmap(m->memory, READ_BYTES);
}

/* ---- what it is --------------------------------------------------------------------------------------------------- */

/* The processor's name for itself; free() it, may be NULL. */
static char *processor_name(void) {
  FILE *f = fopen("/proc/cpuinfo", "r");
  char line[256], *name = NULL;
  while (f && !name && fgets(line, sizeof line, f)) {
    char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
    if (!colon) continue;
    line[strcspn(line, "\n")] = 0;
    name = strdup(colon + 1 + strspn(colon + 1, " "));
  }
  if (f) fclose(f);
  return name;
}

static json_t *machine_json(const bench_machine *m) {
  char *name = processor_name();
  json_t *json =
      json_pack("{s:s?, s:s, s:i, s:i, s:f, s:b}", "processor", name, "isa", tens_isa_name(), "threads",
                pool_threads(m->threads), "cpus", pool_cpus(), "foreign_load", m->foreign, "calm", (int)m->calm);
  free(name);
  return json;
}

static json_t *ceilings_json(const bench_machine *m) {
  double tiles = bench_median(&m->tiles);
  return json_pack("{s:f, s:o, s:f}", "multiply_add", bench_median(&m->multiply_add), "tiles",
                   tiles > 0 ? json_real(tiles) : json_null(), "read", bench_median(&m->read));
}

/* ---- the song ---------------------------------------------------------------------------------------------------- */

static ace_engine *open_engine(const bench_options *o, const ace_callbacks *notify, ace_error *err) {
  part making = {notify, 0, MADE};
  ace_engine_options options = {
      .model = o->model, .threads = o->threads, .memory = o->memory, .int8 = o->int8, .notify = callbacks_of(&making)};
  return o->random ? engine_open_random(o->random, SEED, &options, err) : ace_engine_open(o->models, &options, err);
}

/* One step: memory and the time of a step do not depend on how many there are. */
static ace_request *make_request(const bench_options *o, ace_error *err) {
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  char duration[32], batch[16];
  snprintf(duration, sizeof duration, "%.3f", o->duration);
  snprintf(batch, sizeof batch, "%d", o->batch);
  const char *const pairs[] = {"caption",    caption, "lyrics",          lyrics, "duration", duration,
                               "batch_size", batch,   "inference_steps", "1",    "seed",     "1"};
  ace_status status = r ? ACE_OK : ace_fail(err, ACE_ENOMEM, "request: out of memory");
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs && status == ACE_OK; i += 2)
    status = ace_request_set(r, pairs[i], pairs[i + 1], err);
  if (status == ACE_OK) status = ace_request_validate(r, err);
  if (status == ACE_OK) return r;
  ace_request_free(r);
  return NULL;
}

/* A stage under bench_measure. */
typedef struct timed_stage {
  song_stages *stages;
  song_stage stage;
  double flops;
} timed_stage;

static ace_status measure_stage(void *arg, double *value, ace_error *err) {
  timed_stage *s = arg;
  song_timing t;
  ace_status status = song_stage_run(s->stages, s->stage, &t, err);
  *value = t.seconds;
  s->flops = t.flops;
  return status;
}

static bool wanted(const bench_options *o, int stage) {
  return o->stages == 0 || (o->stages >> stage & 1);
}

static json_t *stage_json(const bench_machine *m, double seconds, double flops) {
  return json_pack("{s:f, s:f, s:f}", "seconds", seconds, "flops", flops, "fraction_of_peak",
                   flops / seconds / bench_peak(m));
}

/* What an adapter costs. */
typedef struct adapter_cost {
  timed_stage plain;
  bench_samples step, load;
} adapter_cost;

/* A step without it, and taking it up again. */
static ace_status measure_lora(bench_machine *m, bench_lora *lora, adapter_cost *cost, ace_error *err) {
  adapters_remove_all(lora->set);
  ace_status status = bench_measure(m, measure_stage, &cost->plain, &cost->step, err);
  return status == ACE_OK ? bench_measure(m, bench_lora_load, lora, &cost->load, err) : status;
}

/* lora: NULL, or on when this is called and when it returns. */
static ace_status measure_all(bench_machine *m, song_stages *stages, const bench_options *o, bench_lora *lora,
                              json_t *out, ace_error *err) {
  adapter_cost cost = {.plain = {stages, SONG_DIT_STEP, 0}};
  bench_samples samples[SONG_STAGES] = {0};
  timed_stage timed[SONG_STAGES];
  for (int i = 0; i < SONG_STAGES; i++) m->total += wanted(o, i);
  m->total = o->repeat * (m->total + bench_ceiling_count() + (lora ? 2 : 0));
  ace_status status = ACE_OK;
  for (int r = 0; r < o->repeat && status == ACE_OK; r++) {
    status = bench_ceilings(m, err);
    for (int i = 0; i < SONG_STAGES && status == ACE_OK; i++) {
      if (!wanted(o, i)) continue;
      timed[i] = (timed_stage){stages, (song_stage)i, 0};
      status = bench_measure(m, measure_stage, &timed[i], &samples[i], err);
      if (lora && i == SONG_DIT_STEP && status == ACE_OK) status = measure_lora(m, lora, &cost, err);
    }
  }
  for (int i = 0; i < SONG_STAGES && status == ACE_OK; i++) {
    double seconds = bench_median(&samples[i]);
    if (seconds <= 0) continue;
    json_object_set_new(out, song_stage_name((song_stage)i), stage_json(m, seconds, timed[i].flops));
  }
  if (status == ACE_OK && cost.load.n_all) {
    json_object_set_new(out, "dit_step_plain", stage_json(m, bench_median(&cost.step), cost.plain.flops));
    json_object_set_new(out, "lora_switch", json_pack("{s:f}", "seconds", bench_median(&cost.load)));
  }
  return status;
}

/* Everything once, from the prompts to the sound, for its memory. */
static ace_status render_once(ace_engine *e, const song_models *models, const song_job *job, const song_plan *plan,
                              const ace_callbacks *notify, ace_error *err) {
  song_latents latents[REQ_BATCH_MAX] = {0};
  audio_buffer sound[REQ_BATCH_MAX] = {{0}};
  part passing = {notify, MADE, PASSED};
  ace_callbacks own = callbacks_of(&passing);
  progress p;
  progress_start(&p, &own, song_work(models, job, true));
  tens_ctx *c = engine_context(e, plan->bytes, &own, err);
  ace_status status = c ? song_render(c, models, job, plan, &p, latents, sound, err) : ACE_ENOMEM;
  tens_close(c);
  for (int i = 0; i < job->items; i++) {
    free(latents[i].x);
    audio_buffer_free(&sound[i]);
  }
  return status;
}

static ace_status stages_of(ace_engine *e, bench_machine *m, const bench_options *o, const song_models *models,
                            const song_job *job, const song_plan *plan, bench_lora *lora, json_t *out, json_t *about,
                            ace_error *err) {
  int64_t text, lyric, frames;
  size_t bytes = song_stages_memory(models, job, plan, err);
  tens_ctx *c = bytes ? engine_context(e, bytes, m->notify, err) : NULL;
  song_stages *s = c ? song_stages_open(c, models, job, plan, err) : NULL;
  ace_status status = s ? measure_all(m, s, o, lora, out, err) : err->status;
  if (s) {
    song_stages_lengths(s, &text, &lyric, &frames);
    json_object_set_new(about, "text_tokens", json_integer(text));
    json_object_set_new(about, "lyric_tokens", json_integer(lyric));
    json_object_set_new(about, "frames", json_integer(frames));
  }
  song_stages_close(s);
  tens_close(c);
  return status;
}

static ace_status measure_song(ace_engine *e, const bench_options *o, const ace_callbacks *notify, json_t *found,
                               ace_error *err) {
  ace_request *r = make_request(o, err);
  if (!r) return err->status;
  song_models models = engine_models(e);
  song_job job = {.request = r, .family = engine_family(e), .items = o->batch};
  for (int i = 0; i < o->batch; i++) job.seeds[i] = (uint32_t)i;
  song_plan plan;
  song_budget budget = engine_budget(e);
  bench_lora lora = {0};
  ace_status status = o->lora_rank ? bench_lora_open(&lora, e, o->lora_rank, err) : ACE_OK;
  if (status == ACE_OK) status = song_make_plan(&models, &job, &budget, &plan, err);
  bool whole = o->stages == 0;
  if (status == ACE_OK && whole) status = render_once(e, &models, &job, &plan, notify, err);
  size_t peak = load_peak_memory();
  json_t *stages = json_object(), *about = json_object();
  bench_machine m = {0};
  if (status == ACE_OK) status = open_machine(&m, e->threads, o, notify, err);
  if (status == ACE_OK)
    status = stages_of(e, &m, o, &models, &job, &plan, o->lora_rank ? &lora : NULL, stages, about, err);
  if (status == ACE_OK) {
    json_object_set_new(about, "model", json_string(e->tiny ? RANDOM_TINY : e->model_name));
    json_object_set_new(about, "duration", json_real(o->duration));
    json_object_set_new(about, "batch", json_integer(o->batch));
    json_object_set_new(about, "group", json_integer(plan.group));
    json_object_set(found, "stages", stages);
    json_object_set(found, "job", about);
    json_object_set_new(found, "ceilings", ceilings_json(&m));
    json_object_set_new(
        found, "memory",
        json_pack("{s:I, s:I}", "planned_bytes", (json_int_t)plan.memory.total, "peak_bytes", (json_int_t)peak));
    json_object_set_new(found, "machine", machine_json(&m));
  }
  json_decref(stages);
  json_decref(about);
  close_machine(&m);
  bench_lora_close(&lora);
  ace_request_free(r);
  return status;
}

/* What needs no engine: the language model, or a training. */
static ace_status measure_alone(const bench_options *o, const ace_callbacks *notify, json_t *found, ace_error *err) {
  json_t *stages = json_object(), *about = json_object();
  pool *threads = pool_new(o->threads, err);
  bench_machine m = {0};
  ace_status status = threads ? open_machine(&m, threads, o, notify, err) : err->status;
  if (status == ACE_OK && o->lm) status = bench_lm(&m, o, stages, about, err);
  else if (status == ACE_OK) status = bench_train(&m, o, stages, about, found, err);
  if (status == ACE_OK) {
    json_object_set(found, "stages", stages);
    json_object_set(found, "job", about);
    json_object_set_new(found, "ceilings", ceilings_json(&m));
    json_object_set_new(found, "machine", machine_json(&m));
  }
  json_decref(stages);
  json_decref(about);
  close_machine(&m);
  pool_free(threads);
  return status;
}

json_t *bench_run(const bench_options *o, const ace_callbacks *notify, ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  json_t *found = json_object();
  ace_status status = found ? ACE_OK : ace_fail(err, ACE_ENOMEM, "bench: out of memory");
  if (status == ACE_OK && (o->lm || o->train_step)) {
    status = measure_alone(o, notify, found, err);
  } else if (status == ACE_OK) {
    ace_engine *e = open_engine(o, notify, err);
    status = e ? measure_song(e, o, notify, found, err) : err->status;
    ace_engine_close(e);
  }
  if (status == ACE_OK) return found;
  json_decref(found);
  return NULL;
}
