#include "cli/opening.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/folders.h"
#include "cli/missing.h"

ace_status opening_read_server(opening *o, const args *a, ace_error *err) {
  enum { KEY_MOST = 4096 };
  const char *url = args_value(a, "lm-url"), *file = args_value(a, "lm-key-file"),
             *set = cli_variable("ACESTEP_LM_KEY");
  o->options.lm_server = url ? url : cli_variable("ACESTEP_LM_URL");
  o->options.lm_server_model = args_value(a, "lm-url-model");
  o->options.lm_fallback = args_on(a, "lm-fallback");
  if (!o->options.lm_server || (!file && !set)) return ACE_OK;
  o->key = file ? file_read(file, KEY_MOST, NULL, err) : strdup(set);
  if (!o->key) return file ? err->status : ace_fail(err, ACE_ENOMEM, "--lm-url: out of memory");
  o->key[strcspn(o->key, " \t\r\n")] = 0;
  o->options.lm_server_key = o->key;
  return *o->key ? ACE_OK : ace_fail(err, ACE_EINVAL, "--lm-key-file: there is no key in it");
}

ace_status opening_plan(opening *o, const args *a, const ace_request *request, bool asks, report *r, ace_error *err) {
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
  if (status == ACE_OK) status = opening_read_server(o, a, err);
  if (status != ACE_OK) return status;
  o->models = args_on(a, "download") ? missing_fetch(a, o, asks, r, err) : folder_models(args_value(a, "models"), err);
  if (!o->models) return err->status;
  if (folder_is_built_in(o->models))
    report_note(r, "with the small models that come with the program; acestep download fetches the large ones");
  return ACE_OK;
}

void opening_free(opening *o) {
  if (o->key) memset(o->key, 0, strlen(o->key));
  free(o->models), free(o->cache), free(o->key);
  *o = (opening){0};
}
