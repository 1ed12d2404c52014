/* spectrum_impl.h - distances of spectra, part of micro_impl.h: as many frames at a time as a vector has lanes. Left and
 * right are real and imaginary part of one signal, whose transform holds both spectra: with Z its bins and Z' those at -k,
 * left is (Z + conj Z') / 2, right (Z - conj Z') / 2i. */

/* ---- the transform (Cooley & Tukey 1965), in place, of rows in bit-reversed order --------------------------------- */

typedef struct spectrum_rows {
  float *re, *im; /* [n][LANES] */
} spectrum_rows;

VEC_INLINE void spectrum_turn(vf *re, vf *im, float c, float s) { /* times c - i s */
  vf a = *re * c + *im * s;
  *im = *im * c - *re * s;
  *re = a;
}

/* One level: pairs `half` rows apart. */
static void spectrum_level(spectrum_rows z, const cpu_spectrum *t, int half) {
  int by = t->n / (2 * half);
  for (int first = 0; first < t->n; first += 2 * half)
    for (int k = 0; k < half; k++) {
      float *ar = z.re + (first + k) * LANES, *ai = z.im + (first + k) * LANES;
      float *br = ar + half * LANES, *bi = ai + half * LANES;
      vf xr = vec_load(ar), xi = vec_load(ai), yr = vec_load(br), yi = vec_load(bi);
      spectrum_turn(&yr, &yi, t->cosine[k * by], t->sine[k * by]);
      vec_store(ar, xr + yr), vec_store(ai, xi + yi);
      vec_store(br, xr - yr), vec_store(bi, xi - yi);
    }
}

/* Two levels at once: pairs `half`, then 2 half rows apart. */
static void spectrum_two_levels(spectrum_rows z, const cpu_spectrum *t, int half) {
  int by = t->n / (4 * half);
  for (int first = 0; first < t->n; first += 4 * half)
    for (int k = 0; k < half; k++) {
      vf re[4], im[4];
      for (int i = 0; i < 4; i++) {
        int64_t at = (int64_t)(first + k + i * half) * LANES;
        re[i] = vec_load(z.re + at), im[i] = vec_load(z.im + at);
      }
      float c = t->cosine[k * by], s = t->sine[k * by];
      spectrum_turn(&re[1], &im[1], t->cosine[2 * k * by], t->sine[2 * k * by]);
      spectrum_turn(&re[3], &im[3], t->cosine[2 * k * by], t->sine[2 * k * by]);
      vf ar = re[0] + re[1], ai = im[0] + im[1], br = re[0] - re[1], bi = im[0] - im[1];
      vf cr = re[2] + re[3], ci = im[2] + im[3], dr = re[2] - re[3], di = im[2] - im[3];
      spectrum_turn(&cr, &ci, c, s);
      spectrum_turn(&dr, &di, c, s);
      re[0] = ar + cr, im[0] = ai + ci, re[2] = ar - cr, im[2] = ai - ci;
      re[1] = br + di, im[1] = bi - dr, re[3] = br - di, im[3] = bi + dr; /* d times -i */
      for (int i = 0; i < 4; i++) {
        int64_t at = (int64_t)(first + k + i * half) * LANES;
        vec_store(z.re + at, re[i]), vec_store(z.im + at, im[i]);
      }
    }
}

static void spectrum_transform(spectrum_rows z, const cpu_spectrum *t) {
  int half = 1;
  if (__builtin_ctz((unsigned)t->n) % 2) spectrum_level(z, t, half), half = 2;
  for (; half < t->n; half *= 4) spectrum_two_levels(z, t, half);
}

/* ---- frames in and out -------------------------------------------------------------------------------------------- */

static void spectrum_load(spectrum_rows z, const cpu_spectrum *t, const float *x) {
  for (int i = 0; i < t->n; i++) {
    float re[LANES] = {0}, im[LANES] = {0};
    for (int l = 0; l < t->frames; l++) {
      const float *at = x + (l * t->hop + i) * 2;
      re[l] = at[0], im[l] = at[1];
    }
    int64_t to = (int64_t)t->mirror[i] * LANES;
    vec_store(z.re + to, vec_load(re) * t->window[i]);
    vec_store(z.im + to, vec_load(im) * t->window[i]);
  }
}

static void spectrum_mirror(spectrum_rows z, const cpu_spectrum *t) {
  for (int i = 0; i < t->n; i++) {
    int j = t->mirror[i];
    if (j <= i) continue;
    vf re = vec_load(z.re + i * LANES), im = vec_load(z.im + i * LANES);
    vec_store(z.re + i * LANES, vec_load(z.re + j * LANES)), vec_store(z.im + i * LANES, vec_load(z.im + j * LANES));
    vec_store(z.re + j * LANES, re), vec_store(z.im + j * LANES, im);
  }
}

static void spectrum_add_frames(const cpu_spectrum *t, spectrum_rows z) {
  for (int i = 0; i < t->n; i++) {
    float re[LANES], im[LANES];
    vec_store(re, vec_load(z.re + i * LANES) * (t->window[i] * t->share));
    vec_store(im, vec_load(z.im + i * LANES) * (t->window[i] * t->share));
    for (int l = 0; l < t->frames; l++) {
      float *at = t->dx + (l * t->hop + i) * 2;
      at[0] += re[l], at[1] += im[l];
    }
  }
}

/* ---- one bin ------------------------------------------------------------------------------------------------------ */

typedef struct spectrum_sides {
  vf lr, li, rr, ri; /* left and right, real and imaginary */
} spectrum_sides;

VEC_INLINE spectrum_sides spectrum_bin(spectrum_rows z, int64_t k, int64_t minus_k) {
  vf a = vec_load(z.re + k * LANES), b = vec_load(z.im + k * LANES);
  vf c = vec_load(z.re + minus_k * LANES), d = vec_load(z.im + minus_k * LANES);
  return (spectrum_sides){0.5f * (a + c), 0.5f * (b - d), 0.5f * (b + d), 0.5f * (c - a)};
}

/* The four signals of a bin. */
typedef struct spectrum_four {
  vf re[4], im[4];
} spectrum_four;

VEC_INLINE spectrum_four spectrum_signals(spectrum_rows z, int64_t k, int64_t minus_k) {
  const float both = 0.70710678f;
  spectrum_sides u = spectrum_bin(z, k, minus_k);
  return (spectrum_four){{u.lr, u.rr, both * (u.lr + u.rr), both * (u.lr - u.rr)},
                         {u.li, u.ri, both * (u.li + u.ri), both * (u.li - u.ri)}};
}

VEC_INLINE vf spectrum_power(vf re, vf im, vf more) {
  return vec_fma(re, re, vec_fma(im, im, more));
}

VEC_INLINE vf spectrum_sign(vf p, vf q) {
  return vec_select(p > q, vec_all(1), vec_select(p < q, vec_all(-1), (vf){0}));
}

/* Distances of the bands that bins first..last-1 make, added to *sum; slope[i] makes the gradient of signal i's bins of
 * their spectrum. */
VEC_INLINE void spectrum_band(const cpu_spectrum *t, spectrum_rows x, spectrum_rows y, int first, int last, vf slope[4],
                              vf *sum) {
  vf p[4] = {{0}}, q[4] = {{0}};
  float weight = 0, share = 1 / (float)(last - first);
  for (int k = first; k < last; k++) {
    spectrum_four u = spectrum_signals(x, k, k ? t->n - k : 0), v = spectrum_signals(y, k, k ? t->n - k : 0);
    for (int i = 0; i < 4; i++)
      p[i] = spectrum_power(u.re[i], u.im[i], p[i]), q[i] = spectrum_power(v.re[i], v.im[i], q[i]);
    weight += t->weight[k];
  }
  for (int i = 0; i < 4; i++) {
    vf a = vec_fma(p[i], vec_all(share), vec_all(t->floor2)), b = vec_fma(q[i], vec_all(share), vec_all(t->floor2));
    vf far = spectrum_sign(a, b) * (weight * t->banded);
    *sum += far * (0.5f * vec_log(a / b));
    slope[i] = far * share / a;
  }
}

/* Distance of one signal, added to *sum; returns the factor that makes its gradient of its spectrum. */
VEC_INLINE vf spectrum_signal(const cpu_spectrum *t, vf re, vf im, vf re2, vf im2, vf *sum) {
  vf p = spectrum_power(re, im, vec_all(t->floor2)), q = spectrum_power(re2, im2, vec_all(t->floor2));
  vf a = vec_sqrt(p), b = vec_sqrt(q), far = a - b, ratio = 0.5f * vec_log(p / q), sign = spectrum_sign(p, q);
  *sum += sign * vec_fma(far, vec_all(t->linear), ratio);
  return sign * vec_fma(a, vec_all(t->linear), vec_all(1)) / p;
}

/* Distances of bin k; its place and that of -k get the gradient, to which `slope` adds its band's, such that the transform
 * back gives left and right. */
VEC_INLINE vf spectrum_distance(const cpu_spectrum *t, spectrum_rows x, spectrum_rows y, int64_t k, const vf slope[4]) {
  const float both = 0.70710678f;
  int64_t minus_k = k ? t->n - k : 0;
  spectrum_four u = spectrum_signals(x, k, minus_k), v = spectrum_signals(y, k, minus_k);
  vf sum = {0}, w = vec_all(t->weight[k]);
  for (int i = 0; i < 4; i++) {
    vf f = vec_fma(w, spectrum_signal(t, u.re[i], u.im[i], v.re[i], v.im[i], &sum), slope[i]);
    u.re[i] *= f, u.im[i] *= f;
  }
  bool alone = k == minus_k;
  vf half = vec_all(alone ? 1 : 0.5f);
  vf lr = half * (u.re[0] + both * (u.re[2] + u.re[3])), rr = half * (u.re[1] + both * (u.re[2] - u.re[3]));
  vf li = alone ? (vf){0} : half * (u.im[0] + both * (u.im[2] + u.im[3]));
  vf ri = alone ? (vf){0} : half * (u.im[1] + both * (u.im[2] - u.im[3]));
  vec_store(x.re + minus_k * LANES, lr + ri), vec_store(x.im + minus_k * LANES, rr - li);
  vec_store(x.re + k * LANES, lr - ri), vec_store(x.im + k * LANES, li + rr);
  return w * sum;
}

/* All of a frame; the places of x get the gradient. */
static vf spectrum_bins(const cpu_spectrum *t, spectrum_rows x, spectrum_rows y) {
  vf sum = {0};
  for (int b = 0; b < t->bands; b++) {
    vf slope[4] = {{0}};
    if (t->banded > 0) spectrum_band(t, x, y, t->band[b], t->band[b + 1], slope, &sum);
    for (int64_t k = t->band[b]; k < t->band[b + 1]; k++) sum += spectrum_distance(t, x, y, k, slope);
  }
  return sum;
}

static double spectrum(const cpu_spectrum *t) {
  int64_t rows = (int64_t)t->n * LANES;
  spectrum_rows x = {t->work, t->work + rows}, y = {t->work + 2 * rows, t->work + 3 * rows};
  spectrum_load(x, t, t->x), spectrum_load(y, t, t->y);
  spectrum_transform(x, t), spectrum_transform(y, t);
  vf sum = spectrum_bins(t, x, y);
  if (t->dx) {
    spectrum_rows back = {x.im, x.re}; /* the other way round, the transform turns the other way */
    spectrum_mirror(x, t);
    spectrum_transform(back, t);
    spectrum_add_frames(t, x);
  }
  return (double)t->share * (double)vec_sum(sum);
}
