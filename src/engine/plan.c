/* plan.c - the memory of a request, told before it runs. */
#include "engine/engine.h"
#include "tensor/device.h"

/* The language model's part: cache, tensors and logits for a prompt of usual length. */
static ace_status plan_thinking(ace_engine *e, const ace_request *r, engine_memory *out, ace_error *err) {
  enum { PROMPT = 1024 };
  if (!engine_thinks(e, r)) return ACE_OK;
  ace_status status = engine_need_lm(e, err);
  if (status != ACE_OK) return status;
  plan_wish wish = engine_wish(e, r, 0, NULL, NULL);
  bool guided = wish.codes && wish.guidance > 1;
  if (!e->lm->model || (e->server.url && !e->server.fallback && !guided)) return ACE_OK; /* a server's memory */
  size_t memory = plan_song_memory(e->lm, &wish, TENS_BF16, PROMPT);
  if (memory == SIZE_MAX) return ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  out->think_weights = engine_lm_mapped(e);
  out->think_memory = memory + (size_t)pool_threads(e->threads) * TENS_WORKER_SCRATCH;
  return ACE_OK;
}

ace_status engine_memory_of(ace_engine *e, const ace_request *request, engine_memory *out, ace_error *err) {
  *out = (engine_memory){.total = 0};
  ace_error own;
  if (!err) err = &own;
  ace_status status = ace_request_validate(request, err);
  if (status == ACE_OK) status = plan_thinking(e, request, out, err);
  out->budget = engine_budget(e);
  if (status == ACE_OK) status = engine_plan(e, request, &out->song, &out->work, err);
  size_t thinking = out->think_memory ? out->song.memory.process + out->think_weights + out->think_memory : 0;
  out->total = thinking > out->song.memory.total ? thinking : out->song.memory.total;
  return status;
}

static json_t *phase_json(const song_plan *p, song_phase phase) {
  const song_memory *m = &p->memory;
  return json_pack("{s:s, s:I, s:I, s:I, s:I}", "phase", song_phase_name(phase), "weights",
                   (json_int_t)m->weights[phase], "arena", (json_int_t)m->arena[phase], "host",
                   (json_int_t)m->host[phase], "total", (json_int_t)song_phase_bytes(m, phase));
}

json_t *engine_memory_json(const engine_memory *plan) {
  const song_plan *p = &plan->song;
  json_t *phases = json_array();
  if (plan->think_memory)
    json_array_append_new(
        phases, json_pack("{s:s, s:I, s:I, s:i, s:I}", "phase", "think", "weights", (json_int_t)plan->think_weights,
                          "arena", (json_int_t)plan->think_memory, "host", 0, "total",
                          (json_int_t)(p->memory.process + plan->think_weights + plan->think_memory)));
  for (int i = 0; i < SONG_PHASES; i++) json_array_append_new(phases, phase_json(p, (song_phase)i));
  return json_pack("{s:I, s:I, s:b, s:I, s:I, s:o, s:i, s:I, s:b, s:b}", "total", (json_int_t)plan->total, "allowed",
                   (json_int_t)plan->budget.bytes, "limited", (int)!plan->budget.soft, "process",
                   (json_int_t)p->memory.process, "scratch", (json_int_t)p->memory.scratch, "phases", phases, "group",
                   p->group, "tile_frames", (json_int_t)p->core, "release", (int)p->release, "stream", (int)p->stream);
}
