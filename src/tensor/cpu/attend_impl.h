/* attend_impl.h - attention of a block of queries with a running maximum and sum (Milakov & Gimelshein 2018), part of
 * micro_impl.h.
 *
 * Queries lie across vector lanes: the block is kept transposed as [depth][queries], so that a key's score with all
 * queries is a broadcast product, and maximum, exp and sum need no step across lanes. Keys come in blocks that end at
 * multiples of CPU_KEY_BLOCK. A query's result depends on its own position and on the keys alone: keys that it
 * may not see add exact zeros, whether another query of the block needs them or not.
 */

enum {
  QUERIES = MICRO_VECTORS * LANES,
  TOGETHER = MICRO_ROWS > 4 ? 8 : 4 /* keys scored at once */
};

typedef struct attend_state {
  const cpu_attend *a;
  int64_t depth;  /* padded to whole groups of 4 vectors */
  float *q;       /* [depth][QUERIES], scaled by 1 / sqrt(depth) */
  float *out;     /* [QUERIES][depth] */
  float *p;       /* [CPU_KEY_BLOCK][QUERIES]: scores, then weights */
  float *v;       /* [CPU_KEY_BLOCK][depth] */
  const float *k; /* the block's keys, k_row apart */
  int64_t k_row;
  float *k_copy; /* [CPU_KEY_BLOCK][depth]: of those in pages */
  vf top[MICRO_VECTORS], sum[MICRO_VECTORS];
  float rescale[QUERIES]; /* of `out`, when the maximum rises */
} attend_state;

static void load_queries(attend_state *s) {
  const cpu_attend *a = s->a;
  float scale = 1.0f / sqrtf((float)a->depth);
  for (int64_t i = 0; i < QUERIES; i++)
    for (int64_t d = 0; d < a->depth; d++) s->q[d * QUERIES + i] = i < a->count ? a->q[i * a->q_row + d] * scale : 0;
  memset(s->out, 0, (size_t)(QUERIES * s->depth) * sizeof *s->out);
  for (int i = 0; i < MICRO_VECTORS; i++) s->top[i] = vec_all(CPU_SCORE_FLOOR), s->sum[i] = (vf){0};
}

/* Scores of keys j..j+n-1 of the block with all queries; each is one running sum over depth. */
VEC_INLINE void score_keys(const attend_state *s, int64_t j0, int n) {
  const cpu_attend *a = s->a;
  const float *k = s->k + j0 * s->k_row;
  float *p = s->p + j0 * QUERIES;
  vf sum[8][MICRO_VECTORS] = {{{0}}};
  for (int64_t d = 0; d < a->depth; d++) {
    vf q[MICRO_VECTORS];
    for (int i = 0; i < MICRO_VECTORS; i++) q[i] = vec_load(s->q + d * QUERIES + i * LANES);
    for (int j = 0; j < n; j++) {
      vf x = vec_all(k[j * s->k_row + d]);
      for (int i = 0; i < MICRO_VECTORS; i++) sum[j][i] = vec_fma(x, q[i], sum[j][i]);
    }
  }
  for (int j = 0; j < n; j++)
    for (int i = 0; i < MICRO_VECTORS; i++) vec_store(p + j * QUERIES + i * LANES, sum[j][i]);
}

/* -INFINITY for the queries that may not see a key. */
static void hide_key(const attend_state *s, int64_t key, float *p) {
  const cpu_attend *a = s->a;
  bool masked = a->mask && !a->mask[key];
  for (int64_t i = 0; i < QUERIES; i++) {
    int64_t query = a->first + i, distance = query > key ? query - key : key - query;
    if (masked || (a->causal && key > query) || (a->window >= 0 && distance > a->window)) p[i] = -INFINITY;
  }
}

/* Does some query of the block not see some key of these? */
static bool partly_hidden(const cpu_attend *a, int64_t key, int64_t n) {
  int64_t last = a->first + a->count - 1;
  return a->mask || (a->causal && key + n - 1 > a->first) ||
         (a->window >= 0 && (last - key > a->window || key + n - 1 - a->first > a->window));
}

static void weigh_keys(attend_state *s, int64_t n) {
  for (int i = 0; i < MICRO_VECTORS; i++) {
    float *p = s->p + i * LANES;
    vf top = s->top[i], sum = {0};
    for (int64_t j = 0; j < n; j++) top = vec_max(top, vec_load(p + j * QUERIES));
    for (int64_t j = 0; j < n; j++) {
      vf w = vec_exp_negative(vec_load(p + j * QUERIES) - top);
      vec_store(p + j * QUERIES, w);
      sum += w;
    }
    vf rescale = vec_exp_negative(s->top[i] - top);
    s->sum[i] = vec_fma(s->sum[i], rescale, sum);
    s->top[i] = top;
    vec_store(s->rescale + i * LANES, rescale);
  }
}

/* Keys or values of a cache as floats. */
static void load_pages(attend_state *s, float *out, const void *from, int64_t key, int64_t n) {
  const cpu_attend *a = s->a;
  for (int64_t j = 0; j < n; j++, out += s->depth) {
    const void *row = page_row(a, from, key + j);
    if (a->pages->bf16) widen_row(out, row, a->depth);
    else memcpy(out, row, (size_t)a->depth * sizeof *out);
    memset(out + a->depth, 0, (size_t)(s->depth - a->depth) * sizeof *out);
  }
}

/* Values side by side: in the caller's layout rows of one head may lie a power of two apart and chase one another out
 * of the first cache. */
static void load_values(attend_state *s, int64_t key, int64_t n) {
  const cpu_attend *a = s->a;
  if (a->pages) load_pages(s, s->v, a->pages->v, key, n);
  for (int64_t j = 0; j < n && !a->pages; j++) {
    memcpy(s->v + j * s->depth, a->v + (key + j) * a->kv_row, (size_t)a->depth * sizeof *s->v);
    memset(s->v + j * s->depth + a->depth, 0, (size_t)(s->depth - a->depth) * sizeof *s->v);
  }
}

/* out[i] = out[i] * rescale[i] + Σ_j p[j][i] v[j], for MICRO_ROWS queries and 4 vectors of depth. */
VEC_INLINE void add_values(const attend_state *s, int64_t query, int64_t d, int64_t n) {
  vf sum[MICRO_ROWS][4];
  for (int i = 0; i < MICRO_ROWS; i++)
    for (int l = 0; l < 4; l++)
      sum[i][l] = vec_load(s->out + (query + i) * s->depth + d + l * LANES) * s->rescale[query + i];
  for (int64_t j = 0; j < n; j++) {
    vf v[4];
    for (int l = 0; l < 4; l++) v[l] = vec_load(s->v + j * s->depth + d + l * LANES);
    for (int i = 0; i < MICRO_ROWS; i++) {
      vf p = vec_all(s->p[j * QUERIES + query + i]);
      for (int l = 0; l < 4; l++) sum[i][l] = vec_fma(p, v[l], sum[i][l]);
    }
  }
  for (int i = 0; i < MICRO_ROWS; i++)
    for (int l = 0; l < 4; l++) vec_store(s->out + (query + i) * s->depth + d + l * LANES, sum[i][l]);
}

static void attend_keys(attend_state *s, int64_t key, int64_t n) {
  int64_t j = 0;
  s->k = s->a->pages ? s->k_copy : s->a->k + key * s->a->kv_row;
  s->k_row = s->a->pages ? s->depth : s->a->kv_row;
  if (s->a->pages) load_pages(s, s->k_copy, s->a->pages->k, key, n);
  for (; j + TOGETHER <= n; j += TOGETHER) score_keys(s, j, TOGETHER);
  for (; j < n; j++) score_keys(s, j, 1);
  if (partly_hidden(s->a, key, n))
    for (j = 0; j < n; j++) hide_key(s, key + j, s->p + j * QUERIES);
  weigh_keys(s, n);
  load_values(s, key, n);
  for (int64_t i = 0; i < s->a->count; i += MICRO_ROWS)
    for (int64_t d = 0; d < s->depth; d += 4 * LANES) add_values(s, i, d, n);
}

/* For a query that sees no key: the mean of all values. In a cache there is none such: each query sees its own key. */
static void mean_value(const cpu_attend *a, float *y) {
  for (int64_t d = 0; d < a->depth; d++) {
    double sum = 0;
    for (int64_t j = 0; j < a->keys; j++) sum += (double)a->v[j * a->kv_row + d];
    y[d] = (float)(sum / (double)a->keys);
  }
}

static void attend(const cpu_attend *a) {
  attend_state s = {.a = a, .depth = (a->depth + 4 * LANES - 1) / (4 * LANES) * (4 * LANES)};
  s.q = a->scratch;
  s.out = s.q + s.depth * QUERIES;
  s.p = s.out + s.depth * QUERIES;
  s.v = s.p + CPU_KEY_BLOCK * QUERIES;
  s.k_copy = s.v + CPU_KEY_BLOCK * s.depth;
  load_queries(&s);
  int64_t begin = 0, end = a->keys, after = a->first + a->count;
  if (a->window >= 0 && a->first > a->window) begin = a->first - a->window;
  if (a->window >= 0 && end - after > a->window) end = after + a->window;
  if (a->causal && end > after) end = after;
  begin -= begin % TOGETHER;
  for (int64_t key = begin, next; key < end; key = next) {
    next = (key / CPU_KEY_BLOCK + 1) * CPU_KEY_BLOCK;
    int64_t last = (end + TOGETHER - 1) / TOGETHER * TOGETHER;
    if (next > last) next = last;
    attend_keys(&s, key, (next < a->keys ? next : a->keys) - key);
  }
  float sum[QUERIES];
  for (int i = 0; i < MICRO_VECTORS; i++) vec_store(sum + i * LANES, s.sum[i]);
  for (int64_t i = 0; i < a->count; i++) {
    float *y = a->y + i * a->q_row, inverse = 1.0f / sum[i];
    if (sum[i] == 0 && !a->pages) mean_value(a, y);
    else
      for (int64_t d = 0; d < a->depth; d += LANES)
        store(y, load(s.out + i * s.depth, d, a->depth) * inverse, d, a->depth);
  }
}
