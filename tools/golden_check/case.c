/* case.c - reading one case and reporting on it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden.h"

bool case_has(const golden_case *k, const char *tensor) {
  return st_find(k->file, tensor) != NULL;
}

tens *case_tensor(golden_case *k, const char *tensor) {
  const st_tensor *t = st_find(k->file, tensor);
  if (!t || t->rank < 1 || t->rank > TENS_MAX_RANK || (t->dtype != ST_F32 && t->dtype != ST_I32)) {
    case_fail(k, tensor, "absent, or not F32/I32 of rank 1..4");
    return NULL;
  }
  return tens_from(k->g->c, t->dtype == ST_F32 ? TENS_F32 : TENS_I32, t->rank, t->dim, t->data);
}

tens *swap_last_two(tens_ctx *c, const tens *x) {
  if (!x || x->rank != 3) return NULL;
  int64_t batch = x->dim[0], rows = x->dim[1], columns = x->dim[2];
  tens *y = tens_new(c, TENS_F32, TENS_DIMS(batch, columns, rows));
  for (int64_t b = 0; y && b < batch; b++)
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < columns; j++)
        tens_f32(y)[(b * columns + j) * rows + i] = tens_f32(x)[(b * rows + i) * columns + j];
  return y;
}

const int32_t *case_ints(golden_case *k, const char *tensor, int64_t *count) {
  tens *x = case_tensor(k, tensor);
  if (!x || x->dtype != TENS_I32) return NULL;
  if (count) *count = tens_count(x);
  return tens_i32(x);
}

const float *case_floats(golden_case *k, const char *tensor, int64_t *count) {
  tens *x = case_tensor(k, tensor);
  if (!x || x->dtype != TENS_F32) return NULL;
  if (count) *count = tens_count(x);
  return tens_f32(x);
}

double case_number(const golden_case *k, const char *param, double fallback) {
  const json_t *v = json_object_get(k->params, param);
  return json_is_number(v) ? json_number_value(v) : fallback;
}

bool case_flag(const golden_case *k, const char *param, bool fallback) {
  const json_t *v = json_object_get(k->params, param);
  return json_is_boolean(v) ? json_is_true(v) : fallback;
}

const char *case_word(const golden_case *k, const char *param, const char *fallback) {
  const json_t *v = json_object_get(k->params, param);
  return json_is_string(v) ? json_string_value(v) : fallback;
}

static void row(golden_case *k, const char *tensor, double absolute, double relative, double tolerance, bool ok) {
  k->compared++;
  if (!ok) k->wrong++;
  printf("%-36s %-28s %10.3g %10.3g %9.1g  %s\n", k->name, tensor, absolute, relative, tolerance, ok ? "ok" : "FAILED");
}

void case_fail(golden_case *k, const char *what, const char *why) {
  k->compared++;
  k->wrong++;
  printf("%-36s %-28s %s\n", k->name, what, why);
}

/* Both measures of the difference; false when the reference is absent or of another size. */
static bool differences(golden_case *k, const char *tensor, const float *got, int64_t count, double *absolute,
                        double *relative) {
  int64_t n;
  const float *ref = case_floats(k, tensor, &n);
  if (!ref) return false;
  if (!got || n != count) {
    char why[96];
    snprintf(why, sizeof why, "%lld values, expected %lld", (long long)(got ? count : 0), (long long)n);
    case_fail(k, tensor, why);
    return false;
  }
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)got[i] - (double)ref[i]);
    if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    if (fabs((double)ref[i]) > largest) largest = fabs((double)ref[i]);
  }
  *absolute = worst;
  *relative = largest > 0 ? worst / largest : worst;
  return true;
}

void case_compare_floats(golden_case *k, const char *tensor, const float *got, int64_t count, double tolerance) {
  double absolute, relative;
  if (!differences(k, tensor, got, count, &absolute, &relative)) return;
  row(k, tensor, absolute, relative, tolerance, relative <= tolerance);
}

/* The norm of the difference beside that of the reference. */
static double apart(const float *got, const float *ref, int64_t n) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = (double)got[i] - (double)ref[i];
    difference += d * d;
    size += (double)ref[i] * (double)ref[i];
  }
  return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

void case_compare_product_floats(golden_case *k, const char *tensor, const float *got, int64_t count) {
  double absolute, relative, tolerance = k->tolerance;
  if (!differences(k, tensor, got, count, &absolute, &relative)) return;
  if (k->g->tiles && !(relative <= tolerance)) {
    relative = apart(got, case_floats(k, tensor, NULL), count);
    tolerance = BF16_RELATIVE;
  }
  row(k, tensor, absolute, relative, tolerance, relative <= tolerance);
}

void case_compare_absolute(golden_case *k, const char *tensor, const float *got, int64_t count, double tolerance) {
  double absolute, relative;
  if (differences(k, tensor, got, count, &absolute, &relative))
    row(k, tensor, absolute, relative, tolerance, absolute <= tolerance);
}

/* False, with a failure recorded, when there is nothing to compare. */
static bool computed(golden_case *k, const char *tensor, const tens *got) {
  if (got) return true;
  ace_error why = {.message = "no result"};
  tens_error(k->g->c, &why);
  case_fail(k, tensor, why.message);
  return false;
}

void case_compare(golden_case *k, const char *tensor, const tens *got) {
  if (computed(k, tensor, got)) case_compare_floats(k, tensor, tens_f32(got), tens_count(got), k->tolerance);
}

void case_compare_product(golden_case *k, const char *tensor, const tens *got) {
  if (computed(k, tensor, got)) case_compare_product_floats(k, tensor, tens_f32(got), tens_count(got));
}

void case_compare_ints(golden_case *k, const char *tensor, const int32_t *got, int64_t count) {
  int64_t n;
  const int32_t *ref = case_ints(k, tensor, &n);
  if (!ref) return;
  if (!got || n != count) {
    case_fail(k, tensor, "another number of values");
    return;
  }
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; i++) wrong += got[i] != ref[i];
  row(k, tensor, (double)wrong, (double)wrong / (double)n, 0, wrong == 0);
}

void golden_pass(golden *g, const char *name, const char *detail) {
  g->passed++;
  printf("%-36s %s  ok\n", name, detail);
}

void golden_fail(golden *g, const char *name, const char *why) {
  g->failed++;
  printf("%-36s %s  FAILED\n", name, why);
}

void golden_skip(golden *g, const char *name, const char *why) {
  g->skipped++;
  printf("%-36s skipped: %s\n", name, why);
}

char *golden_checkpoint(const golden *g, const char *name) {
  char *folder = file_join(g->root, "checkpoints");
  char *path = folder ? file_join(folder, name) : NULL;
  free(folder);
  return path;
}
