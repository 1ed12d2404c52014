/* Random numbers, schedules, wavelets and guidance: parameters stand in the tensors' names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "golden.h"
#include "render/dcw.h"
#include "render/schedule.h"

/* "randn.seed42.1x23x64", "rand.seed0.20", "randint1000.seed0.20", "seq.0". */
static void check_draw(golden_case *k, const st_tensor *t) {
  unsigned long long seed = 0;
  int high = 0;
  rng_torch r;
  float *drawn = calloc((size_t)t->count + 1, sizeof *drawn);
  int64_t *integers = calloc((size_t)t->count + 1, sizeof *integers);
  int32_t *narrow = calloc((size_t)t->count + 1, sizeof *narrow);
  if (drawn && integers && narrow) {
    if (sscanf(t->name, "randn.seed%llu", &seed) == 1) {
      rng_torch_seed(&r, seed);
      rng_torch_randn(&r, drawn, t->count);
      case_compare_absolute(k, t->name, drawn, t->count, k->tolerance);
    } else if (sscanf(t->name, "rand.seed%llu", &seed) == 1) {
      rng_torch_seed(&r, seed);
      rng_torch_rand(&r, drawn, t->count);
      case_compare_absolute(k, t->name, drawn, t->count, 0);
    } else if (sscanf(t->name, "randint%d.seed%llu", &high, &seed) == 2) {
      rng_torch_seed(&r, seed);
      rng_torch_randint(&r, 0, high, integers, t->count);
      for (int64_t i = 0; i < t->count; i++) narrow[i] = (int32_t)integers[i];
      case_compare_ints(k, t->name, narrow, t->count);
    } else if (strncmp(t->name, "seq.", 4) != 0) {
      case_fail(k, t->name, "no rule for a tensor of that name");
    }
  }
  free(drawn);
  free(integers);
  free(narrow);
}

/* Consecutive draws after one seed, as listed in the golden index; entry 3 is uniform. */
static void check_sequence(golden_case *k) {
  rng_torch r;
  rng_torch_seed(&r, 42);
  for (int i = 0;; i++) {
    char name[16];
    snprintf(name, sizeof name, "seq.%d", i);
    const st_tensor *t = st_find(k->file, name);
    if (!t) return;
    float *drawn = malloc((size_t)t->count * sizeof *drawn);
    if (!drawn) return;
    if (i == 3) rng_torch_rand(&r, drawn, t->count);
    else rng_torch_randn(&r, drawn, t->count);
    case_compare_absolute(k, name, drawn, t->count, k->tolerance);
    free(drawn);
  }
}

void check_rng(golden_case *k) {
  for (int i = 0; i < st_count(k->file); i++) check_draw(k, st_at(k->file, i));
  check_sequence(k);
}

/* "turbo.steps12.shift3.0", "turbo.shift1.4", "base.custom2", "turbo.covernoise0.3.shift3.0", ... */
static void check_schedule(golden_case *k, const st_tensor *t) {
  bool turbo = strncmp(t->name, "turbo.", 6) == 0;
  if (!turbo && strncmp(t->name, "base.", 5) != 0) return; /* inputs */
  const char *rest = strchr(t->name, '.') + 1;
  float levels[SCHEDULE_CAPACITY], *given = levels;
  double shift = turbo ? 3.0 : 1.0, cover = 0;
  int steps = turbo ? 0 : 20, number = 0, n; /* the cover-noise schedules of base were recorded with 20 steps */
  int64_t n_custom = 0;
  const float *custom = NULL;
  if (sscanf(rest, "steps%d.shift%lf", &steps, &shift) < 1 && sscanf(rest, "shift%lf", &shift) < 1 &&
      sscanf(rest, "covernoise%lf.shift%lf", &cover, &shift) < 1 && sscanf(rest, "custom%d", &number) == 1) {
    char name[32];
    snprintf(name, sizeof name, "in.custom%d", number);
    custom = case_floats(k, name, &n_custom);
  }
  if (strncmp(rest, "covernoise", 10) == 0) {
    const char *at = strstr(rest, ".shift");
    cover = strtod(rest + 10, NULL);
    if (at) shift = strtod(at + 6, NULL);
  }
  n = turbo ? schedule_turbo(levels, SCHEDULE_CAPACITY, shift, steps, custom, (int)n_custom)
            : schedule_base(levels, SCHEDULE_CAPACITY, shift, steps, custom, (int)n_custom);
  if (cover > 0) {
    float start;
    int dropped = schedule_truncate_for_cover(levels, n, !turbo, cover, &start);
    given += dropped;
    n -= dropped;
  }
  /* Levels recorded as they reached the decoder lack the final 0 of a base schedule. */
  if (!turbo && t->count == n - 1) n--;
  case_compare_floats(k, t->name, given, n, k->tolerance);
}

void check_schedules(golden_case *k) {
  for (int i = 0; i < st_count(k->file); i++) check_schedule(k, st_at(k->file, i));
}

/* "out.<mode>.<wavelet>.t<t>.<even|odd>" */
void check_dcw(golden_case *k) {
  for (int i = 0; i < st_count(k->file); i++) {
    const char *name = st_at(k->file, i)->name;
    char mode[16], filter[16], input[16];
    double t;
    int used = 0;
    if (strncmp(name, "out.", 4) != 0) continue;
    if (sscanf(name, "out.%15[^.].%15[^.].t%lf%n", mode, filter, &t, &used) != 3 || name[used] != '.') {
      case_fail(k, name, "no rule for a tensor of that name");
      continue;
    }
    dcw_params p = {.mode = dcw_mode_find(mode),
                    .scaler = case_number(k, "scaler", 0),
                    .high_scaler = case_number(k, "high_scaler", 0),
                    .wavelet = wavelet_find(filter)};
    if (!p.wavelet) {
      case_fail(k, name, "unknown wavelet");
      continue;
    }
    snprintf(input, sizeof input, "in.x_%.8s", name + used + 1);
    tens *x = case_tensor(k, input);
    input[3] = 'y';
    tens *y = case_tensor(k, input);
    case_compare(k, name, x && y && dcw_correct(k->g->c, &p, x, y, t) ? x : NULL);
  }
}

/* "out.<wavelet>.<even|odd>.<low|high>" and "out.<wavelet>.<filter>" */
void check_dwt(golden_case *k) {
  for (int i = 0; i < st_count(k->file); i++) {
    const char *name = st_at(k->file, i)->name;
    char filter[16], part[16], band[16] = "", input[32];
    if (sscanf(name, "out.%15[^.].%15[^.].%15s", filter, part, band) < 2) continue;
    const wavelet *w = wavelet_find(filter);
    if (!w) {
      case_fail(k, name, "unknown wavelet");
      continue;
    }
    if (!*band) {
      const float *values = strcmp(part, "dec_lo") == 0   ? w->dec_lo
                            : strcmp(part, "dec_hi") == 0 ? w->dec_hi
                            : strcmp(part, "rec_lo") == 0 ? w->rec_lo
                                                          : w->rec_hi;
      case_compare_floats(k, name, values, w->taps, k->tolerance);
      continue;
    }
    snprintf(input, sizeof input, "in.x_%s", part);
    tens *low = NULL, *high = NULL;
    op_dwt(k->g->c, swap_last_two(k->g->c, case_tensor(k, input)), w->dec_lo, w->dec_hi, w->taps, &low, &high);
    case_compare(k, name, swap_last_two(k->g->c, strcmp(band, "low") == 0 ? low : high));
  }
}

/* A numbered tensor such as "in.cond_0". */
static tens *numbered(golden_case *k, const char *name, int number) {
  char full[32];
  snprintf(full, sizeof full, "%s_%d", name, number);
  return case_tensor(k, full);
}

static tens *zeros_like(tens_ctx *c, const tens *x) {
  tens *y = x ? tens_new(c, TENS_F32, x->rank, x->dim) : NULL;
  if (y) memset(y->data, 0, (size_t)tens_count(y) * sizeof(float));
  return y;
}

/* Consecutive calls with one running difference; then, on the last inputs, the plain rule, and one call of scale 3
 * without momentum that keeps half of the parallel part. */
void check_apg(golden_case *k) {
  tens_ctx *c = k->g->c;
  op_apg p = {.scale = case_number(k, "guidance_scale", 0),
              .momentum = case_number(k, "momentum", 0),
              .threshold = case_number(k, "norm_threshold", 0),
              .parallel = case_number(k, "eta", 0)};
  tens *running = zeros_like(c, case_tensor(k, "in.cond_0"));
  tens *guided = zeros_like(c, running), *cond = numbered(k, "in.cond", 3), *none = numbered(k, "in.uncond", 3);
  for (int i = 0; i < 4; i++) {
    char name[32];
    bool ok = op_apg_into(c, guided, running, numbered(k, "in.cond", i), numbered(k, "in.uncond", i), &p);
    snprintf(name, sizeof name, "out.guided_%d", i);
    case_compare(k, name, ok ? guided : NULL);
    snprintf(name, sizeof name, "mid.running_%d", i);
    case_compare(k, name, ok ? running : NULL);
  }
  float scale = (float)p.scale;
  case_compare(k, "out.cfg_forward_7", op_mix_into(c, guided, scale, cond, 1 - scale, none) ? guided : NULL);
  p = (op_apg){.scale = 3, .threshold = p.threshold, .parallel = 0.5};
  bool ok = op_apg_into(c, guided, zeros_like(c, running), cond, none, &p);
  case_compare(k, "out.no_momentum_eta0.5", ok ? guided : NULL);
}

/* "out.sigma<t>_g<scale>" and "out.noclip_sigma<t>_g<scale>"; the variant "wnorm" is not used by any model. */
void check_adg(golden_case *k) {
  tens_ctx *c = k->g->c;
  tens *x = case_tensor(k, "in.latents"), *cond = case_tensor(k, "in.cond"), *none = case_tensor(k, "in.uncond");
  for (int i = 0; i < st_count(k->file); i++) {
    const char *name = st_at(k->file, i)->name;
    double scale;
    op_adg p = {.clip = 3.14 / 6};
    bool free_angle = sscanf(name, "out.noclip_sigma%f_g%lf", &p.t, &scale) == 2;
    if (free_angle) p.clip = INFINITY;
    else if (sscanf(name, "out.sigma%f_g%lf", &p.t, &scale) != 2) continue;
    p.weight = fmax(scale - 1, 0) + 1e-3;
    tens *y = zeros_like(c, x);
    case_compare(k, name, op_adg_into(c, y, x, cond, none, &p) ? y : NULL);
  }
}
