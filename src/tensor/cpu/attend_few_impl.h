/* attend_few_impl.h - attention of a few query heads at one position to a paged cache, part of micro_impl.h.
 *
 * Each key and value is read once, as it lies in its page, for all query heads that share it: two of them at a time,
 * against four keys, then against stretches of the values. The values that the queries' vectors hold lie in the order
 * in which `pack_line` puts them, so that BF16 widens without a shuffle; only the result is put back in order. Blocks end at
 * multiples of CPU_KEY_BLOCK and at pages, whatever the queries are.
 */

enum { PAIR = 2, KEYS = 4 };

typedef struct few_state {
  const cpu_attend *a;
  int64_t depth; /* padded to whole groups of 2 steps */
  float *q;      /* [count][depth], scaled by 1 / sqrt(depth), packed */
  float *out;    /* [count][depth], packed */
  float *p;      /* [count][CPU_KEY_BLOCK]: scores, then weights */
  float top[CPU_FEW_QUERIES], sum[CPU_FEW_QUERIES], kept[CPU_FEW_QUERIES];
} few_state;

/* The two vectors of the step at `at` of a row in the cache; zeros behind its end. */
VEC_INLINE void load_step(vf *v, const void *row, int64_t at, int64_t depth, bool bf16) {
  union {
    uint16_t half[STEP];
    float whole[STEP];
  } last;
  const int64_t left = depth - at, size = bf16 ? 2 : 4;
  const uint8_t *from = (const uint8_t *)row + at * size;
  if (left < STEP) {
    memset(&last, 0, sizeof last);
    if (left > 0) memcpy(&last, from, (size_t)(left * size));
    from = (const uint8_t *)&last;
  }
  if (bf16) {
    vf pairs = load_pairs((const uint16_t *)(const void *)from);
    v[0] = widen_half(pairs, 0);
    v[1] = widen_half(pairs, 1);
  } else {
    v[0] = vec_load((const float *)(const void *)from);
    v[1] = vec_load((const float *)(const void *)from + LANES);
  }
}

/* Asks for bytes first..first+n-1 of a block. */
VEC_INLINE void fetch_block(const void *block, int64_t first, int64_t n) {
  for (int64_t i = 0; i < n; i += 64) __builtin_prefetch((const uint8_t *)block + first + i, 0, 3);
}

/* Scores of n keys with `queries` <= PAIR query heads from number g on; meanwhile the values are fetched. */
VEC_INLINE void score_few(const few_state *s, int64_t g, int queries, const void *k, const void *v, int64_t n,
                          bool bf16) {
  const int64_t depth = s->a->depth, row = depth * (bf16 ? 2 : 4);
  for (int64_t j = 0; j < n; j += KEYS) {
    const uint8_t *key[KEYS];
    for (int i = 0; i < KEYS; i++) /* past the last key: the last again, its score unused */
      key[i] = (const uint8_t *)k + (j + i < n ? j + i : n - 1) * row;
    if (g == 0) fetch_block(v, j * row, (n - j < KEYS ? n - j : KEYS) * row);
    vf sum[PAIR][KEYS] = {{{0}}};
    for (int64_t d = 0; d < s->depth; d += STEP) {
      vf q[PAIR][2];
      for (int i = 0; i < queries; i++)
        for (int h = 0; h < 2; h++) q[i][h] = vec_load(s->q + (g + i) * s->depth + d + h * LANES);
      for (int l = 0; l < KEYS; l++) {
        vf x[2];
        load_step(x, key[l], d, depth, bf16);
        for (int i = 0; i < queries; i++) sum[i][l] = vec_fma(q[i][1], x[1], vec_fma(q[i][0], x[0], sum[i][l]));
      }
    }
    for (int i = 0; i < queries; i++)
      vec_sum4(s->p + (g + i) * CPU_KEY_BLOCK + j, sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
}

/* Scores become weights under the maximum so far. */
static void weigh_few(few_state *s, int64_t g, int64_t n) {
  float *p = s->p + g * CPU_KEY_BLOCK;
  for (; n % LANES; n++) p[n] = -INFINITY;
  s->kept[g] = vec_weigh(p, n, &s->top[g], &s->sum[g]);
}

/* out = kept * out + the values by their weights; meanwhile the next block's keys are fetched. */
VEC_INLINE void mix_few(const few_state *s, int64_t g, int queries, const void *v, int64_t n, const void *next,
                        bool bf16) {
  const int64_t depth = s->a->depth, row = depth * (bf16 ? 2 : 4);
  for (int64_t d = 0; d < s->depth; d += 2 * STEP) {
    vf sum[PAIR][4];
    for (int i = 0; i < queries; i++)
      for (int l = 0; l < 4; l++) sum[i][l] = vec_load(s->out + (g + i) * s->depth + d + l * LANES) * s->kept[g + i];
    for (int64_t j = 0; j < n; j++) {
      vf x[4];
      if (next && g == 0 && d == 0) fetch_block(next, j * row, row);
      load_step(x, (const uint8_t *)v + j * row, d, depth, bf16);
      load_step(x + 2, (const uint8_t *)v + j * row, d + STEP, depth, bf16);
      for (int i = 0; i < queries; i++) {
        vf p = vec_all(s->p[(g + i) * CPU_KEY_BLOCK + j]);
        for (int l = 0; l < 4; l++) sum[i][l] = vec_fma(p, x[l], sum[i][l]);
      }
    }
    for (int i = 0; i < queries; i++)
      for (int l = 0; l < 4; l++) vec_store(s->out + (g + i) * s->depth + d + l * LANES, sum[i][l]);
  }
}

static const void *page_row(const cpu_attend *a, const void *x, int64_t key) {
  const cpu_pages *g = a->pages;
  int64_t at = g->table[key / g->page] * g->stride + key % g->page * a->depth;
  return (const uint8_t *)x + at * (g->bf16 ? 2 : 4);
}

/* Keys from `key` on to the end of their block or page. */
static int64_t block_of(const cpu_attend *a, int64_t key) {
  int64_t n = CPU_KEY_BLOCK - key % CPU_KEY_BLOCK, page = a->pages->page - key % a->pages->page;
  if (page < n) n = page;
  return a->keys - key < n ? a->keys - key : n;
}

VEC_INLINE void attend_few_keys(few_state *s, int64_t key, int64_t n, bool bf16) {
  const cpu_attend *a = s->a;
  const void *k = page_row(a, a->pages->k, key), *v = page_row(a, a->pages->v, key);
  const void *next = key + n < a->keys && block_of(a, key + n) >= n ? page_row(a, a->pages->k, key + n) : NULL;
  int64_t g = 0;
  for (; g + PAIR <= a->count; g += PAIR) score_few(s, g, PAIR, k, v, n, bf16);
  if (g < a->count) score_few(s, g, 1, k, v, n, bf16);
  for (g = 0; g < a->count; g++) weigh_few(s, g, n);
  for (g = 0; g + PAIR <= a->count; g += PAIR) mix_few(s, g, PAIR, v, n, next, bf16);
  if (g < a->count) mix_few(s, g, 1, v, n, next, bf16);
}

static void load_few(few_state *s, bool bf16) {
  const cpu_attend *a = s->a;
  float scale = 1.0f / sqrtf((float)a->depth);
  memset(s->q, 0, (size_t)(2 * a->count * s->depth) * sizeof *s->q); /* and out behind it */
  for (int64_t g = 0; g < a->count; g++) {
    pack_line(s->q + g * s->depth, a->q + g * a->q_row, a->depth, bf16);
    for (int64_t d = 0; d < s->depth; d++) s->q[g * s->depth + d] *= scale;
    s->top[g] = CPU_SCORE_FLOOR;
    s->sum[g] = 0;
  }
}

static void store_few(const few_state *s, bool bf16) {
  const cpu_attend *a = s->a;
  for (int64_t g = 0; g < a->count; g++) {
    float *y = a->y + g * a->q_row, *out = s->out + g * s->depth, inverse = 1.0f / s->sum[g];
    for (int64_t d = 0; d < a->depth; d++) {
      int64_t in = d % STEP, at = bf16 ? d - in + in % 2 * LANES + in / 2 : d;
      y[d] = out[at] * inverse;
    }
  }
}

static void attend_few(const cpu_attend *a) {
  const bool bf16 = a->pages->bf16;
  few_state s = {.a = a, .depth = (a->depth + 2 * STEP - 1) / (2 * STEP) * (2 * STEP), .q = a->scratch};
  s.out = s.q + a->count * s.depth;
  s.p = s.out + a->count * s.depth;
  load_few(&s, bf16);
  for (int64_t key = 0, n; key < a->keys; key += n) {
    n = block_of(a, key);
    if (bf16) attend_few_keys(&s, key, n, true);
    else attend_few_keys(&s, key, n, false);
  }
  store_few(&s, bf16);
}
