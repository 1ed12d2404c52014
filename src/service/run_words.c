/* run_words.c - the jobs that are the language model's alone, and audio codes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "service/service_inner.h"

typedef char *(*question)(ace_engine *e, const json_t *task, const ace_request *r, const ace_callbacks *notify,
                          ace_error *err);

static char *create(ace_engine *e, const json_t *task, const ace_request *r, const ace_callbacks *notify,
                    ace_error *err) {
  return ace_create_sample(e, json_text(task, "query"), r, notify, err);
}

static char *format(ace_engine *e, const json_t *task, const ace_request *r, const ace_callbacks *notify,
                    ace_error *err) {
  return ace_format_sample(e, r, notify, err);
}

static char *understand(ace_engine *e, const json_t *task, const ace_request *r, const ace_callbacks *notify,
                        ace_error *err) {
  return ace_understand(e, json_text(task, "audio_codes"), r, notify, err);
}

static json_t *answer(service *s, job_running *j, question ask, ace_error *err) {
  ace_callbacks notify = service_callbacks(j);
  ace_request *r = task_request(json_object_get(job_request(j), "request"), err);
  ace_engine *e = r ? service_engine_lm(s, 1, j, err) : NULL;
  json_t *found = e ? run_parsed(ask(e, job_request(j), r, &notify, err), err) : NULL;
  ace_request_free(r);
  return found;
}

json_t *run_create(service *s, job_running *j, ace_error *err) {
  return answer(s, j, create, err);
}

json_t *run_format(service *s, job_running *j, ace_error *err) {
  return answer(s, j, format, err);
}

json_t *run_understand(service *s, job_running *j, ace_error *err) {
  return answer(s, j, understand, err);
}

json_t *run_codes(service *s, job_running *j, ace_error *err) {
  ace_callbacks notify = service_callbacks(j);
  ace_engine *e = service_engine(s, 1, j, err);
  char *codes = e ? ace_audio_to_codes(e, json_text(job_request(j), "src_audio"), &notify, err) : NULL;
  json_t *result = codes ? json_pack("{s:s}", "audio_codes", codes) : NULL;
  free(codes);
  return result;
}

/* ---- before a song ----------------------------------------------------------------------------------------------- */

/* What the model found becomes the request; what only describes the answer does not. */
static ace_status take(ace_request *r, json_t *found, ace_error *err) {
  json_object_del(found, "result");
  char *text = json_dumps(found, JSON_COMPACT);
  ace_status status =
      text ? ace_request_set_json(r, text, strlen(text), err) : ace_fail(err, ACE_ENOMEM, "job: out of memory");
  free(text);
  return status;
}

ace_status run_first(ace_engine *e, const char *first, const char *query, ace_request *r, const ace_callbacks *notify,
                     ace_error *err) {
  ace_error own;
  if (!err) err = &own;
  char *text = strcmp(first, "create") == 0 ? ace_create_sample(e, query ? query : "", r, notify, err)
                                            : ace_format_sample(e, r, notify, err);
  json_t *found = run_parsed(text, err);
  if (!found) return err->status;
  ace_status status = take(r, found, err);
  json_decref(found);
  return status;
}
