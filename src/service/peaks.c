#include "service/peaks.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "request/text.h"

enum { COLUMNS = 2000 };

static int small(float x) {
  const float most = 127;
  return (int)lrintf(fminf(1, fmaxf(-1, x)) * most);
}

/* Values from..to-1, all channels together. */
static void add_column(req_text *out, const float *x, int64_t from, int64_t to) {
  float low = from < to ? x[from] : 0, high = low;
  for (int64_t i = from; i < to; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  req_text_addf(out, "%s%d,%d", out->data[out->size - 1] == '[' ? "" : ",", small(low), small(high));
}

ace_status peaks_write(const char *path, const float *samples, int64_t frames, int channels, int rate, ace_error *err) {
  int64_t columns = frames < COLUMNS ? frames : COLUMNS;
  req_text out = {0};
  req_text_addf(&out, "{\"columns\":%d,\"seconds\":%.3f,\"peaks\":[", (int)columns,
                rate > 0 ? (double)frames / rate : 0.0);
  for (int64_t i = 0; i < columns && !out.failed; i++)
    add_column(&out, samples, i * frames / columns * channels, (i + 1) * frames / columns * channels);
  req_text_add(&out, "]}");
  size_t n = out.size;
  char *text = req_text_take(&out);
  if (!text) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  ace_status status = file_write(path, text, n, err);
  free(text);
  return status;
}
