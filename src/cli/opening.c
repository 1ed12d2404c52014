#include "cli/opening.h"

#include <stdlib.h>

#include "cli/folders.h"

ace_status opening_plan(opening *o, const args *a, const ace_request *request, report *r, ace_error *err) {
  enum { THREADS_MOST = 1024 };
  const char *threads = args_value(a, "threads"), *memory = args_value(a, "memory");
  *o = (opening){.cache = folder_cache()};
  o->options = (ace_engine_options){.model = *request->model ? request->model : NULL,
                                    .vae = args_value(a, "vae"),
                                    .lm = args_value(a, "lm"),
                                    .lm_backend = args_value(a, "lm-backend"),
                                    .cache = o->cache,
                                    .int8 = args_on(a, "int8"),
                                    .lm_int8 = args_on(a, "lm-int8"),
                                    .notify = report_callbacks(r)};
  ace_status status = ACE_OK;
  if (threads) status = args_int(threads, "--threads", 1, THREADS_MOST, &o->options.threads, err);
  if (status == ACE_OK && memory) status = args_bytes(memory, "--memory", &o->options.memory, err);
  if (status == ACE_OK && !(o->models = folder_models(args_value(a, "models"), err))) status = err->status;
  return status;
}

void opening_free(opening *o) {
  free(o->models), free(o->cache);
  *o = (opening){0};
}
