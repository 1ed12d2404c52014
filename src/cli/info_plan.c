#include "cli/info_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"

static ace_request *make_request(const args *a, ace_error *err) {
  static const char *const flags[][2] = {{"duration", "duration"},
                                         {"batch", "batch_size"},
                                         {"task", "task_type"},
                                         {"src-audio", "src_audio"},
                                         {"reference-audio", "reference_audio"}};
  ace_request *r = ace_request_new(ACE_PROFILE_CLI);
  /* Words do not matter: the longest prompt takes a thousandth of the rest. */
  ace_status status =
      r ? ace_request_set(r, "caption", "a song", err) : ace_fail(err, ACE_ENOMEM, "info: out of memory");
  for (size_t i = 0; i < sizeof flags / sizeof *flags && status == ACE_OK; i++) {
    const char *value = args_value(a, flags[i][0]);
    if (value) status = ace_request_set(r, flags[i][1], value, err);
  }
  if (status == ACE_OK && (args_on(a, "think") || args_value(a, "lm")))
    status = ace_request_set(r, "thinking", "true", err);
  if (status == ACE_OK) return r;
  ace_request_free(r);
  return NULL;
}

static ace_engine *open_engine(const args *a, const char *folder, report *r, ace_error *err) {
  enum { THREADS_MOST = 1024 };
  const char *threads = args_value(a, "threads"), *memory = args_value(a, "memory");
  ace_engine_options o = {.model = args_value(a, "model"), .lm = args_value(a, "lm"), .notify = report_callbacks(r)};
  o.notify.progress = NULL;
  if (threads && args_int(threads, "--threads", 1, THREADS_MOST, &o.threads, err) != ACE_OK) return NULL;
  if (memory && args_bytes(memory, "--memory", &o.memory, err) != ACE_OK) return NULL;
  return ace_engine_open(folder, &o, err);
}

static double megabytes(const json_t *object, const char *key) {
  return (double)json_integer_value(json_object_get(object, key)) * 1e-6;
}

static void print_plan(const json_t *plan) {
  size_t i;
  json_t *phase;
  printf("%-10s %10s %10s %10s %10s   MB\n", "phase", "weights", "tensors", "host", "process");
  json_array_foreach(json_object_get(plan, "phases"), i, phase) printf(
      "%-10s %10.1f %10.1f %10.1f %10.1f\n", json_string_value(json_object_get(phase, "phase")),
      megabytes(phase, "weights"), megabytes(phase, "arena"), megabytes(phase, "host"), megabytes(phase, "total"));
  printf("process includes %.1f MB of program, tokenizers and rearranged weights, and %.1f MB of scratch for threads\n",
         megabytes(plan, "process"), megabytes(plan, "scratch"));
  printf("total %.1f MB of %.1f MB %s; %lld item%s at a time, tiles of %lld frames\n", megabytes(plan, "total"),
         megabytes(plan, "allowed"), json_is_true(json_object_get(plan, "limited")) ? "allowed" : "available",
         (long long)json_integer_value(json_object_get(plan, "group")),
         json_integer_value(json_object_get(plan, "group")) > 1 ? "s" : "",
         (long long)json_integer_value(json_object_get(plan, "tile_frames")));
  if (json_is_true(json_object_get(plan, "release")))
    puts("released on the way: encoders after the conditions, the diffusion model before decoding");
  if (json_is_true(json_object_get(plan, "stream")))
    puts("weights do not fit beside that: the system will read them from disk again and again");
}

int info_plan(const args *a, const char *folder, report *r) {
  ace_error err = {0};
  ace_request *request = make_request(a, &err);
  ace_engine *e = request ? open_engine(a, folder, r, &err) : NULL;
  engine_memory plan;
  json_t *json = NULL;
  if (e && engine_memory_of(e, request, &plan, &err) == ACE_OK) {
    json = engine_memory_json(&plan);
    if (!json) ace_fail(&err, ACE_ENOMEM, "info: out of memory");
  }
  char *text = json && args_on(a, "json") ? json_dumps(json, JSON_INDENT(2)) : NULL;
  if (text) puts(text);
  else if (json) print_plan(json);
  free(text);
  ace_engine_close(e);
  ace_request_free(request);
  bool ok = json != NULL;
  json_decref(json);
  return ok ? CLI_OK : report_failure(r, &err);
}
