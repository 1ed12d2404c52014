#include "train/course.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

enum { LOG_LIMIT = 256 << 20 };

/* Lines up to and with that of `step`, by value: lines are in order. */
static size_t kept(const char *text, size_t length, int64_t step) {
  size_t end = 0;
  for (const char *line = text, *next; (next = memchr(line, '\n', length - (size_t)(line - text))); line = next + 1) {
    json_t *o = json_loadb(line, (size_t)(next - line), 0, NULL);
    bool keep = json_is_object(o) && json_integer_value(json_object_get(o, "step")) <= step;
    json_decref(o);
    if (!keep) break;
    end = (size_t)(next + 1 - text);
  }
  return end;
}

ace_status course_open(train_course *r, const char *output, int64_t step, ace_error *err) {
  *r = (train_course){.started = clock_seconds()};
  if (!output) return ACE_OK;
  char *path = file_join(output, COURSE_NAME);
  size_t length = 0;
  char *text = path && step > 0 && file_exists(path) ? file_read(path, LOG_LIMIT, &length, NULL) : NULL;
  r->file = path ? fopen(path, "we") : NULL;
  ace_status status = r->file ? ACE_OK : ace_fail_errno(err, "%s/%s: cannot write", output, COURSE_NAME);
  if (status == ACE_OK && text) fwrite(text, 1, kept(text, length, step), r->file);
  free(text), free(path);
  return status;
}

void course_close(train_course *r) {
  if (r->file) fclose(r->file);
  r->file = NULL;
}

/* Every second point goes when there are too many. */
static void thin(json_t *history) {
  if (json_array_size(history) < COURSE_POINTS) return;
  for (size_t i = json_array_size(history); i-- > 0;)
    if (i % 2 == 0 && i > 0) json_array_remove(history, i - 1);
}

void course_step(train_course *r, train_step *s, json_t *history) {
  double now = clock_seconds();
  int64_t since = r->seen < COURSE_RECENT ? r->seen : COURSE_RECENT;
  double before = since < COURSE_RECENT ? r->started : r->at[r->seen % COURSE_RECENT];
  s->seconds = now - r->started;
  s->left = (double)(s->steps - s->step) * (now - before) / (double)(since < COURSE_RECENT ? since + 1 : since);
  r->at[r->seen++ % COURSE_RECENT] = now;
  json_array_append_new(history, json_pack("[I, f, f]", (json_int_t)s->step, s->loss, s->ema));
  thin(history);
}

bool course_write(train_course *r, const train_step *s) {
  fprintf(r->file,
          "{\"step\": %lld, \"epoch\": %d, \"loss\": %.6f, \"ema\": %.6f, \"lr\": %.6g, \"grad_norm\": %.6g, \"sec\": "
          "%.3f}\n",
          (long long)s->step, s->epoch, s->loss, s->ema, s->rate, s->norm, s->seconds);
  return fflush(r->file) == 0 && !ferror(r->file);
}

const char *train_time(double seconds, char out[TRAIN_TIME_SIZE]) {
  const double longest = 9e9;
  long long s = seconds > 0 ? (long long)(seconds < longest ? seconds : longest) : 0;
  if (s < 60) snprintf(out, TRAIN_TIME_SIZE, "%llds", s);
  else if (s < 3600) snprintf(out, TRAIN_TIME_SIZE, "%lldm %llds", s / 60, s % 60);
  else snprintf(out, TRAIN_TIME_SIZE, "%lldh %lldm", s / 3600, s / 60 % 60);
  return out;
}
