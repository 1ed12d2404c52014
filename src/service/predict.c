/* predict.c - time and memory of a song before it is made.
 *
 * Memory is the engine's own plan. Time is its count of work (models/cost.h) times what a unit of work took lately on
 * this machine: of the last RUNS songs with the same model, threads, instruction set and number types, each counts the
 * more the nearer its amount of work is, as short and long songs do not run at the same pace. The same for thinking.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "service/service_inner.h"
#include "tensor/cpu/isa.h"

enum { RUNS = 24, KEPT_MOST = 1000 };

static const char kind[] = "pace";

/* What a pace belongs to. */
static void name_of(const service_state *now, const ace_engine *e, char *out, size_t size) {
  snprintf(out, size, "%s %s %d%s%s", e->model_name, tens_isa_name(), pool_threads(e->threads),
           now->int8 ? " int8" : "", now->lm_int8 ? " lm-int8" : "");
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void add_run(json_t *pace, const char *part, double work, double seconds) {
  if (!(work > 0) || !(seconds > 0)) return;
  json_t *runs = json_object_get(pace, part);
  if (!json_is_array(runs)) json_object_set_new(pace, part, runs = json_array());
  json_array_append_new(runs, json_pack("[f, f]", work, seconds));
  if (json_array_size(runs) > RUNS) json_array_remove(runs, 0);
}

void predict_learn(service *s, const ace_engine *e, const ace_result *r) {
  char name[512];
  service_state now;
  service_look(s, &now);
  name_of(&now, e, name, sizeof name);
  json_t *pace = jobs_recall(s->jobs, "", kind, name, false, NULL);
  if (!pace) pace = json_object();
  add_run(pace, "song", r->work.song, r->seconds.song);
  add_run(pace, "think", r->work.think, r->seconds.think);
  jobs_keep(s->jobs, "", kind, name, pace, KEPT_MOST, NULL); /* a guess less is no harm */
  json_decref(pace);
}

/* ---- predicting -------------------------------------------------------------------------------------------------- */

/* Seconds for so much work, and how far runs like it were apart; 0: nothing is known. */
static double seconds_of(const json_t *runs, double work, double *low, double *high) {
  const double nearness = 0.05; /* runs that differ by this factor in work count half as much as one that does not */
  double sum = 0, weights = 0, least = INFINITY, most = 0;
  size_t i;
  json_t *run;
  json_array_foreach((json_t *)runs, i, run) {
    double then = json_number_value(json_array_get(run, 0)), took = json_number_value(json_array_get(run, 1));
    if (!(then > 0) || !(took > 0)) continue;
    double pace = took / then, apart = fabs(log(then / work)) / nearness, weight = 1 / (1 + apart * apart);
    sum += weight * pace, weights += weight;
    least = fmin(least, pace), most = fmax(most, pace);
  }
  if (!(weights > 0)) return 0;
  *low = work * least, *high = work * most;
  return work * sum / weights;
}

static void add_time(json_t *out, const json_t *pace, const engine_work *work) {
  double low, high, think_low = 0, think_high = 0;
  const double margin = 0.25;
  const json_t *songs = json_object_get(pace, "song");
  double seconds = seconds_of(songs, work->song, &low, &high);
  double thinking =
      work->think > 0 ? seconds_of(json_object_get(pace, "think"), work->think, &think_low, &think_high) : 0;
  json_object_set_new(out, "runs", json_integer((json_int_t)json_array_size(songs)));
  if (!(seconds > 0) || (work->think > 0 && !(thinking > 0))) return;
  seconds += thinking;
  json_object_set_new(out, "seconds", json_real(seconds));
  json_object_set_new(out, "low", json_real(fmin(low + think_low, (1 - margin) * seconds)));
  json_object_set_new(out, "high", json_real(fmax(high + think_high, (1 + margin) * seconds)));
}

/* The engine is ours for a moment. A language model is not opened for a prediction: its part is missing until it is. */
static void ask_engine(service *s, ace_engine *e, const ace_request *r, json_t *out) {
  char name[512];
  ace_error err = {0};
  engine_memory plan;
  service_state now;
  ace_request *mine = ace_request_copy(r);
  if (!mine) return;
  if (!e->lm) mine->thinking = REQ_OFF, mine->use_cot_metas = mine->use_cot_caption = mine->use_cot_language = false;
  ace_status status = engine_memory_of(e, mine, &plan, &err);
  ace_request_free(mine);
  json_t *memory = status == ACE_OK ? engine_memory_json(&plan) : json_pack("{s:s}", "message", err.message);
  json_object_set_new(memory, "fits", json_boolean(status == ACE_OK));
  json_object_set_new(out, "memory", memory);
  if (status != ACE_OK) return;
  service_look(s, &now);
  name_of(&now, e, name, sizeof name);
  json_t *pace = jobs_recall(s->jobs, "", kind, name, false, NULL);
  add_time(out, pace, &plan.work);
  json_decref(pace);
}

json_t *service_predict(service *s, const ace_request *r, int slot) {
  json_t *out = json_pack("{s:n, s:n, s:n, s:f, s:i, s:n}", "seconds", "low", "high", "wait_seconds",
                          jobs_wait_ahead(s->jobs), "runs", 0, "memory");
  if (!out || pthread_mutex_trylock(&s->engines_lock) != 0) return out;
  ace_engine *e = s->engines[slot - 1];
  if (e) ask_engine(s, e, r, out);
  pthread_mutex_unlock(&s->engines_lock);
  return out;
}
