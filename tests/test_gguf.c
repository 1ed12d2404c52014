/* GGUF files: the container and its hostile forms, blocks against values worked out by hand from the format's description,
 * and models and tokenizers out of such files against the folders that they were made from. */
#include "formats/gguf.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/half.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "gguf_files.h"
#include "golden.h"
#include "models/dit.h"
#include "temp.h"
#include "tensor/int8.h"
#include "text/bpe.h"

#define SOURCE ACE_SOURCE_DIR "/tests/golden/checkpoints/acestep-v15-turbo"

/* ---- making files ------------------------------------------------------------------------------------------------- */

/* Two keys of each kind that matters, a matrix [2, 3] of F32 and a row of one Q8_0 block. */
static bytes small_file(void) {
  bytes b = {0};
  put_head(&b, 2, 4);
  put_pair(&b, "general.architecture", "test");
  put_text(&b, "numbers");
  put_uint(&b, 9, 4), put_uint(&b, 5, 4), put_uint(&b, 3, 8);
  for (int i = 0; i < 3; i++) put_uint(&b, (uint64_t)i, 4);
  put_text(&b, "words");
  put_uint(&b, 9, 4), put_uint(&b, 8, 4), put_uint(&b, 2, 8);
  put_text(&b, "one"), put_text(&b, "");
  put_text(&b, "flag");
  put_uint(&b, 7, 4), put_uint(&b, 1, 1);
  put_tensor(&b, "w", 2, (int64_t[]){2, 3}, 0, 0);
  put_tensor(&b, "q", 1, (int64_t[]){32}, 8, 32);
  pad(&b, 32);
  for (int i = 0; i < 6; i++) put(&b, &(float){(float)i}, 4);
  pad(&b, 32);
  put_uint(&b, 0x3c00, 2);
  for (int i = 0; i < 32; i++) put_uint(&b, (uint64_t)i, 1);
  return b;
}

/* ---- the container ------------------------------------------------------------------------------------------------ */

static void a_file_is_read(void **state) {
  ace_error err = {0};
  bytes b = small_file();
  gguf_file *f = gguf_open_memory(b.at, b.n, "test", &err);
  if (!f) fail_msg("%s", err.message);
  assert_int_equal(gguf_count(f), 2);
  const st_tensor *w = gguf_find(f, "w"), *q = gguf_find(f, "q");
  assert_int_equal(w->dtype, ST_F32);
  assert_int_equal(w->dim[0], 2);
  assert_int_equal(w->dim[1], 3);
  assert_true(((const float *)w->data)[5] == 5);
  assert_int_equal(q->size, 34);
  float y[32];
  st_widen(q, 0, 32, y);
  assert_true(y[31] == 31);
  assert_null(gguf_find(f, "x"));
  gguf_text arch = gguf_string(f, "general.architecture"), word;
  assert_int_equal(arch.length, 4);
  assert_memory_equal(arch.data, "test", 4);
  assert_null(gguf_string(f, "flag").data);
  gguf_list words;
  assert_false(gguf_strings(f, "numbers", &words));
  assert_true(gguf_strings(f, "words", &words));
  assert_int_equal(words.n, 2);
  assert_true(gguf_next(&words, &word) && word.length == 3);
  assert_true(gguf_next(&words, &word) && word.length == 0);
  assert_false(gguf_next(&words, &word));
  gguf_close(f);
  free(b.at);
}

static void a_shortened_file_is_refused(void **state) {
  bytes b = small_file();
  for (size_t n = 0; n < b.n; n++) {
    uint8_t *cut = malloc(n + 1); /* a block of its own, so that a sanitizer sees a read past the end */
    assert_non_null(cut);
    memcpy(cut, b.at, n);
    ace_error err = {0};
    assert_null(gguf_open_memory(cut, n, "test", &err));
    assert_true(err.status == ACE_EFORMAT);
    free(cut);
  }
  free(b.at);
}

static void expect_bad(bytes b, ace_status status, const char *part) {
  ace_error err = {0};
  assert_null(gguf_open_memory(b.at, b.n, "test", &err));
  if (err.status != status || !strstr(err.message, part))
    fail_msg("\"%s\" (%d) does not say \"%s\"", err.message, err.status, part);
  free(b.at);
}

static bytes one_tensor(int rank, const int64_t *dim, uint32_t type, uint64_t offset) {
  bytes b = {0};
  put_head(&b, 1, 0);
  put_tensor(&b, "w", rank, dim, type, offset);
  pad(&b, 32);
  put(&b, (uint8_t[64]){0}, 64);
  return b;
}

static void files_that_lie_are_refused(void **state) {
  bytes b = small_file();
  b.at[0] = 'X';
  expect_bad(b, ACE_EFORMAT, "does not begin as");
  b = small_file();
  b.at[4] = 1;
  expect_bad(b, ACE_EUNSUPPORTED, "version 1");
  b = (bytes){0};
  put_head(&b, UINT64_MAX, 0);
  expect_bad(b, ACE_EFORMAT, "more than");
  b = (bytes){0};
  put_head(&b, 0, 1);
  put_text(&b, "k");
  put_uint(&b, 13, 4);
  expect_bad(b, ACE_EFORMAT, "no type that is known");
  b = (bytes){0};
  put_head(&b, 0, 1);
  put_text(&b, "k");
  put_uint(&b, 9, 4), put_uint(&b, 10, 4), put_uint(&b, UINT64_MAX / 2, 8);
  expect_bad(b, ACE_EFORMAT, "past the end");
  b = (bytes){0};
  put_head(&b, 0, 1);
  put_text(&b, "general.alignment");
  put_uint(&b, 4, 4), put_uint(&b, 3, 4);
  expect_bad(b, ACE_EFORMAT, "power of two");
  expect_bad(one_tensor(5, (int64_t[]){1, 1, 1, 1, 1}, 0, 0), ACE_EFORMAT, "more than 4");
  expect_bad(one_tensor(2, (int64_t[]){0, 4}, 0, 0), ACE_EFORMAT, "is 0 or too large");
  expect_bad(one_tensor(2, (int64_t[]){INT64_MAX, INT64_MAX}, 0, 0), ACE_EFORMAT, "too large");
  expect_bad(one_tensor(1, (int64_t[]){4}, 4, 0), ACE_EUNSUPPORTED, "type 4");
  expect_bad(one_tensor(1, (int64_t[]){48}, 8, 0), ACE_EFORMAT, "whole blocks");
  expect_bad(one_tensor(1, (int64_t[]){4}, 0, 4), ACE_EFORMAT, "misaligned");
  expect_bad(one_tensor(1, (int64_t[]){32}, 0, 0), ACE_EFORMAT, "not inside");
  expect_bad(one_tensor(1, (int64_t[]){4}, 0, UINT64_MAX - 31), ACE_EFORMAT, "not inside");
  b = (bytes){0};
  put_head(&b, 2, 0);
  put_tensor(&b, "w", 1, (int64_t[]){4}, 0, 0);
  put_tensor(&b, "w", 1, (int64_t[]){4}, 0, 0);
  pad(&b, 32);
  put(&b, (uint8_t[64]){0}, 64);
  expect_bad(b, ACE_EFORMAT, "two of that name");
}

/* ---- blocks: every number below is worked out by hand -------------------------------------------------------------- */

enum { HALF_ONE = 0x3c00, HALF_TWO = 0x4000, HALF_HALF = 0x3800 };

static void set_half(uint8_t *b, int at, unsigned value) {
  b[at] = (uint8_t)value;
  b[at + 1] = (uint8_t)(value >> 8);
}

static void blocks_of_32(void **state) {
  float y[32];
  uint8_t b[34] = {0};
  set_half(b, 0, HALF_HALF);
  b[2] = 0xf0, b[17] = 0x19;
  gguf_widen(y, ST_Q4_0, b, 32);
  assert_true(y[0] == -4 && y[16] == 3.5f && y[15] == 0.5f && y[31] == -3.5f && y[1] == -4);

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_HALF), set_half(b, 2, HALF_TWO);
  b[4] = 0xf0, b[19] = 0x19;
  gguf_widen(y, ST_Q4_1, b, 32);
  assert_true(y[0] == 2 && y[16] == 9.5f && y[15] == 6.5f && y[31] == 2.5f);

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_TWO);
  b[2] = 0x01, b[5] = 0x80; /* values 0 and 31 */
  b[6] = 0x3f, b[21] = 0xf2;
  gguf_widen(y, ST_Q5_0, b, 32);
  assert_true(y[0] == 2 * (31 - 16) && y[16] == 2 * (3 - 16) && y[15] == 2 * (2 - 16) && y[31] == 2 * (31 - 16));

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_TWO), set_half(b, 2, HALF_ONE);
  b[4] = 0x01, b[7] = 0x80;
  b[8] = 0x3f, b[23] = 0xf2;
  gguf_widen(y, ST_Q5_1, b, 32);
  assert_true(y[0] == 63 && y[16] == 7 && y[15] == 5 && y[31] == 63);

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_HALF);
  b[2] = 0x80, b[33] = 0x7f;
  gguf_widen(y, ST_Q8_0, b, 32);
  assert_true(y[0] == -64 && y[31] == 63.5f && y[1] == 0);
}

static void blocks_of_256_with_minima(void **state) {
  float y[256];
  uint8_t b[292] = {0};
  set_half(b, 80, HALF_HALF), set_half(b, 82, HALF_TWO); /* Q2_K */
  b[0] = 0x32, b[15] = 0x1f, b[9] = 0x04;                /* scale 2, minimum 3; 15 and 1; 4 and 0 */
  b[16] = 0x03, b[79] = 0xc0, b[48 + 16] = 0x02;
  gguf_widen(y, ST_Q2_K, b, 256);
  assert_true(y[0] == 0.5f * 2 * 3 - 2 * 3); /* quantum 3 in bits 0 and 1 */
  assert_true(y[1] == -6 && y[16] == 0);     /* quantum 0; scale and minimum 0 */
  assert_true(y[255] == 0.5f * 15 * 3 - 2);  /* bits 6 and 7 of the last byte, scale 15 */
  assert_true(y[128 + 16] == 0.5f * 4 * 2);  /* second half, row 0, its second 16 values: scale 9 */

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_HALF), set_half(b, 2, HALF_TWO); /* Q4_K */
  b[4] = 0xc5, b[8] = 0x83, b[12] = 0x7a; /* scale 0 = 5, minimum 0 = 3; row 4: scale 10 | 3 << 4, minimum 7 | 2 << 4 */
  b[16] = 0xf9, b[16 + 64] = 0x0c;
  gguf_widen(y, ST_Q4_K, b, 256);
  assert_true(y[0] == 0.5f * 5 * 9 - 2 * 3);
  assert_true(y[1] == -6 && y[32] == 0);
  assert_true(y[128] == 0.5f * 58 * 12 - 2 * 39);

  memset(b, 0, sizeof b);
  set_half(b, 0, HALF_HALF), set_half(b, 2, HALF_TWO); /* Q5_K: the same with a fifth bit */
  b[4] = 0xc5, b[8] = 0x83, b[12] = 0x7a;
  b[16] = 0x11; /* value 0 of rows 0 and 4 */
  b[48] = 0xf9, b[48 + 64] = 0x0c;
  gguf_widen(y, ST_Q5_K, b, 256);
  assert_true(y[0] == 0.5f * 5 * 25 - 2 * 3);
  assert_true(y[128] == 0.5f * 58 * 28 - 2 * 39);
}

static void blocks_of_256_without_minima(void **state) {
  float y[256];
  uint8_t b[292] = {0};
  set_half(b, 108, HALF_HALF); /* Q3_K */
  b[96] = 0x21, b[104] = 0x83; /* scale 0: 1 | 3 << 4 = 49; 8: 2; 12: 2 << 4 = 32 */
  b[32] = 0x02;                /* row 0: quantum 2, third bit not set: 2 - 4 */
  b[0] = 0x10;                 /* row 4 (second half, row 0): third bit set */
  b[64] = 0x01;
  gguf_widen(y, ST_Q3_K, b, 256);
  assert_true(y[0] == 0.5f * (49 - 32) * (2 - 4));
  assert_true(y[1] == 0.5f * (49 - 32) * (0 - 4));
  assert_true(y[128] == 0.5f * (2 - 32) * 1);
  assert_true(y[192] == 0.5f * (32 - 32) * -4);

  memset(b, 0, sizeof b);
  set_half(b, 208, HALF_HALF); /* Q6_K */
  b[192] = 3, b[192 + 15] = 0xfe;
  b[0] = 0x05, b[128] = 0x02;   /* 5 | 2 << 4 = 37 */
  b[127] = 0xa0, b[191] = 0xc0; /* the last value: 10 | 3 << 4 = 58, scale -2 */
  gguf_widen(y, ST_Q6_K, b, 256);
  assert_true(y[0] == 0.5f * 3 * (37 - 32));
  assert_true(y[1] == 0.5f * 3 * -32);
  assert_true(y[255] == 0.5f * -2 * (58 - 32));

  memset(b, 0, sizeof b);
  memcpy(b, &(float){0.25f}, 4); /* Q8_K */
  b[4] = 0x80, b[259] = 0x7f, b[260] = 0xff;
  gguf_widen(y, ST_Q8_K, b, 256);
  assert_true(y[0] == -32 && y[255] == 31.75f && y[1] == 0);
}

/* ---- models ------------------------------------------------------------------------------------------------------- */

/* A power of two not below x, as F16; x in 2^-13 .. 1. */
static uint16_t power_above(float x) {
  int exponent;
  frexpf(x, &exponent);
  return (uint16_t)((exponent < -13 ? 1 : exponent + 15) << 10);
}

static void put_q8_0(bytes *b, const st_tensor *t) {
  for (int64_t i = 0; i < t->count; i += 32) {
    float v[32], top = 0;
    st_widen(t, i, 32, v);
    for (int j = 0; j < 32; j++) top = fmaxf(top, fabsf(v[j]));
    uint16_t d = power_above(top / 127);
    put_uint(b, d, 2);
    for (int j = 0; j < 32; j++) put_uint(b, (uint8_t)(int8_t)rintf(v[j] / f16_to_f32(d)), 1);
  }
}

static uint32_t number_of(const st_tensor *t, bool shrink) {
  if (shrink && ckpt_is_large(t)) return 8;
  return t->dtype == ST_BF16 ? 30 : t->dtype == ST_F16 ? 1 : 0;
}

/* The test's model as acestep.cpp converts it, its large matrices in Q8_0 or as they are. */
static bytes model_file(bool shrink) {
  ace_error err = {0};
  acestep_dit *m = acestep_dit_open(SOURCE, &err);
  if (!m) fail_msg("%s", err.message);
  ckpt *k = m->checkpoint;
  int n = ckpt_tensor_count(k);
  bytes b = {0}, data = {0};
  char *config = json_dumps(ckpt_config(k), JSON_COMPACT);
  put_head(&b, (uint64_t)n + 1, 2);
  put_pair(&b, "general.architecture", "acestep-dit");
  put_pair(&b, "acestep.config_json", config);
  for (int i = 0; i < n; i++) {
    const st_tensor *t = ckpt_at(k, i);
    int ones = 0; /* programs that quantise leave leading ones out */
    while (shrink && ones < t->rank - 1 && t->dim[ones] == 1) ones++;
    put_tensor(&b, t->name, t->rank - ones, t->dim + ones, number_of(t, shrink), data.n);
    if (number_of(t, shrink) == 8) put_q8_0(&data, t);
    else put(&data, t->data, t->size);
    pad(&data, 32);
  }
  put_tensor(&b, "silence_latent", 2, m->silence.dim, 0, data.n);
  put(&data, m->silence.data, (size_t)tens_count(&m->silence) * 4);
  pad(&b, 32);
  put(&b, data.at, data.n);
  free(data.at), free(config);
  acestep_dit_close(m);
  return b;
}

enum { CAPACITY = 1 << 28, FRAMES = 130, CONDITION = 20 };

static tens *normals(tens_ctx *c, uint64_t seed, int rank, const int64_t *dim) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  assert_non_null(x);
  rng_torch r;
  rng_torch_seed(&r, seed);
  rng_torch_randn(&r, tens_f32(x), tens_count(x));
  return x;
}

/* FRAMES * 64 values; free() it. */
static float *velocity(const acestep_dit *m) {
  tens_ctx *c = tens_open(&(tens_options){.capacity = CAPACITY}, NULL);
  assert_non_null(c);
  dit_condition condition;
  assert_true(dit_attend(c, m, normals(c, 1, TENS_DIMS(1, CONDITION, m->cfg.encoder.hidden)), &condition));
  tens *context = normals(c, 2, TENS_DIMS(1, FRAMES, 128)), *x = normals(c, 3, TENS_DIMS(1, FRAMES, 64));
  tens *t = tens_from(c, TENS_F32, TENS_DIMS(1), &(float){0.7f});
  tens *v = dit_velocity(c, m, &condition, context, x, t, t);
  assert_non_null(v);
  float *values = malloc(FRAMES * 64 * sizeof *values);
  assert_non_null(values);
  memcpy(values, v->data, FRAMES * 64 * sizeof *values);
  tens_close(c);
  return values;
}

static acestep_dit *opened(const char *path) {
  ace_error err = {0};
  acestep_dit *m = acestep_dit_open(path, &err);
  if (!m) fail_msg("%s", err.message);
  return m;
}

/* As a file, and as the only one of a folder. */
static void a_converted_model_plays_as_its_folder(void **state) {
  temp t = temp_open();
  bytes b = model_file(false);
  temp_put(&t, "model.gguf", b.at, b.n);
  acestep_dit *folder = opened(SOURCE), *file = opened(temp_path(&t, "model.gguf")), *below = opened(t.folder);
  assert_int_equal(file->silence.dim[0], folder->silence.dim[0]);
  assert_memory_equal(file->silence.data, folder->silence.data, (size_t)tens_count(&folder->silence) * 4);
  float *want = velocity(folder), *got = velocity(file);
  assert_memory_equal(got, want, FRAMES * 64 * sizeof *got);
  char hash[65], again[65];
  assert_int_equal(ckpt_hash(file->checkpoint, hash, NULL, NULL), ACE_OK);
  assert_int_equal(ckpt_hash(below->checkpoint, again, NULL, NULL), ACE_OK);
  assert_string_equal(hash, again);
  acestep_dit_close(folder), acestep_dit_close(file), acestep_dit_close(below);
  free(want), free(got), free(b.at);
  temp_close(&t);
}

/* The weights of a Q8_0 file, widened in place of the blocks. */
static void widen_in_place(tens *w, float **memory) {
  if (w->dtype != TENS_Q8_0) return;
  float *wide = malloc((size_t)tens_count(w) * sizeof *wide);
  assert_non_null(wide);
  q8_0_decode(wide, w->data, tens_count(w));
  *w = (tens){.dtype = TENS_F32, .rank = 2, .dim = {w->dim[0], w->dim[1]}, .data = wide};
  *memory = wide;
}

static void a_q8_0_model_equals_its_widened_weights(void **state) {
  temp t = temp_open();
  bytes b = model_file(true);
  temp_put(&t, "model.gguf", b.at, b.n);
  acestep_dit *m = opened(t.folder);
  assert_int_equal(m->decoder.layers[0].self.q.w.dtype, TENS_Q8_0);
  float *got = velocity(m), *memory[DIT_MAX_LAYERS][11] = {{0}};
  assert_true(m->cfg.layers <= DIT_MAX_LAYERS);
  for (int i = 0; i < m->cfg.layers; i++) {
    dit_layer *l = &m->decoder.layers[i];
    linear *all[11] = {&l->self.q,  &l->self.k,  &l->self.v,   &l->self.o, &l->cross.q, &l->cross.k,
                       &l->cross.v, &l->cross.o, &l->mlp.gate, &l->mlp.up, &l->mlp.down};
    for (int j = 0; j < 11; j++) widen_in_place(&all[j]->w, &memory[i][j]);
  }
  float *want = velocity(m);
  double worst = 0, top = 0;
  for (int i = 0; i < FRAMES * 64; i++) {
    worst = fmax(worst, fabs((double)got[i] - want[i]));
    top = fmax(top, fabs((double)want[i]));
  }
  assert_true(worst <= 1e-5 * top);
  for (int i = 0; i < m->cfg.layers; i++)
    for (int j = 0; j < 11; j++) free(memory[i][j]);
  acestep_dit_close(m);
  free(got), free(want), free(b.at);
  temp_close(&t);
}

static void smaller_blocks_become_int8(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  bytes b = {0};
  put_head(&b, 1, 1);
  put_pair(&b, "acestep.config_json", "{}");
  put_tensor(&b, "w", 2, (int64_t[]){2, 256}, 14, 0);
  pad(&b, 32);
  uint8_t block[210] = {0};
  for (int i = 0; i < 208; i++) block[i] = (uint8_t)(i * 37);
  set_half(block, 208, 0x2000);
  put(&b, block, 210), put(&b, block, 210);
  temp_put(&t, "m.gguf", b.at, b.n);
  ckpt *k = ckpt_open(t.folder, &err);
  if (!k) fail_msg("%s", err.message);
  ckpt_reader r = {.checkpoint = k, .err = &err};
  tens w = ckpt_matrix(&r, 2, 256, "w"), wide = ckpt_tensor_f32(&r, 2, (int64_t[]){2, 256}, "w");
  if (r.failed) fail_msg("%s", err.message);
  assert_int_equal(w.dtype, TENS_I8);
  assert_int_equal(ckpt_weight_bytes(k), 2 * 210);
  assert_int_equal(ckpt_memory_bytes(k), 2 * 256 + 2 * sizeof(float)); /* and that is what they take */
  float row[256], worst = 0, top = 0;
  int8_decode(row, (const int8_t *)w.data + 256, w.scale[1], 256);
  for (int i = 0; i < 256; i++) {
    worst = fmaxf(worst, fabsf(row[i] - tens_f32(&wide)[256 + i]));
    top = fmaxf(top, fabsf(row[i]));
  }
  assert_true(top > 0 && worst <= 0.02f * top);
  ckpt_close(k);
  free(b.at);
  temp_close(&t);
}

static void other_files_are_refused(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  bytes b = small_file();
  temp_put(&t, "other.gguf", b.at, b.n);
  assert_null(ckpt_open(t.folder, &err));
  assert_non_null(strstr(err.message, "acestep.config_json"));
  assert_null(bpe_open(t.folder, &err));
  assert_non_null(strstr(err.message, "no tokenizer"));
  free(b.at);
  temp_close(&t);
}

/* ---- which models lie here ----------------------------------------------------------------------------------------- */

static void expect_kind(temp *t, const char *name, engine_kind want) {
  engine_kind kind;
  if (!engine_kind_of(temp_path(t, name), name, &kind)) fail_msg("%s: not known", name);
  assert_int_equal(kind, want);
  assert_true(ckpt_has_weights(temp_path(t, name)));
}

/* Who misspells a model's name is told of files as of folders. */
static void files_are_found_among_folders(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  put_named_gguf(&t, "acestep-v15-turbo-Q8_0.gguf", "acestep-dit", "{}");
  put_named_gguf(&t, "acestep-5Hz-lm-1.7B-Q8_0.gguf", "acestep-lm", "{}");
  put_named_gguf(&t, "vae-BF16.gguf", "acestep-vae", "{}");
  put_named_gguf(&t, "Qwen3-Embedding-0.6B-Q8_0.gguf", "acestep-text-enc", "{}");
  put_named_gguf(&t, "other.gguf", "llama", "{}");
  temp_put(&t, "notes.txt", "", 0);
  expect_kind(&t, "acestep-v15-turbo-Q8_0.gguf", ENGINE_DIFFUSION);
  expect_kind(&t, "acestep-5Hz-lm-1.7B-Q8_0.gguf", ENGINE_LANGUAGE);
  expect_kind(&t, "vae-BF16.gguf", ENGINE_AUTOENCODER);
  expect_kind(&t, "Qwen3-Embedding-0.6B-Q8_0.gguf", ENGINE_TEXT);
  engine_kind kind;
  assert_false(engine_kind_of(temp_path(&t, "other.gguf"), "other.gguf", &kind));
  assert_false(engine_kind_of(temp_path(&t, "notes.txt"), "notes.txt", &kind));
  assert_int_equal(engine_missing(t.folder, "turbo", ENGINE_DIFFUSION, &err), ACE_ENOTFOUND);
  expect_error(&err, ACE_ENOTFOUND, "turbo", "it has acestep-v15-turbo-Q8_0.gguf");
  temp_close(&t);
}

/* ---- the tokenizer ------------------------------------------------------------------------------------------------ */

/* The printable character that stands for a byte in vocabularies: itself, or one from U+0100 on in turn. */
static void put_spelled(bytes *b, int byte) {
  int place = 256, point = byte;
  for (int i = 0; i <= 255; i++) {
    bool plain = (i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae;
    if (!plain && i == byte) point = place;
    place += !plain;
  }
  char text[3] = {(char)point};
  if (point >= 0x80) text[0] = (char)(0xc0 | point >> 6), text[1] = (char)(0x80 | (point & 63));
  put_text(b, text);
}

static bytes tokenizer_file(const char *architecture) {
  bytes b = {0};
  put_head(&b, 0, 4);
  put_pair(&b, "general.architecture", architecture);
  put_pair(&b, "acestep.config_json", "{\"vocab_size\":290}");
  put_text(&b, "tokenizer.ggml.tokens");
  put_uint(&b, 9, 4), put_uint(&b, 8, 4), put_uint(&b, 257, 8);
  for (int i = 0; i < 256; i++) put_spelled(&b, i);
  put_text(&b, "la");
  put_text(&b, "tokenizer.ggml.merges");
  put_uint(&b, 9, 4), put_uint(&b, 8, 4), put_uint(&b, 1, 8);
  put_text(&b, "l a");
  return b;
}

static void a_tokenizer_comes_out_of_the_file(void **state) {
  ace_error err = {0};
  temp t = temp_open();
  bytes b = tokenizer_file("acestep-lm");
  temp_put(&t, "lm.gguf", b.at, b.n);
  bpe *p = bpe_open(t.folder, &err);
  if (!p) fail_msg("%s", err.message);
  bpe_ids ids = {0};
  static const char text[] = "la l<|im_end|><|audio_code_6|>";
  assert_int_equal(bpe_encode(p, text, strlen(text), BPE_ADDED, &ids, &err), ACE_OK);
  const int32_t want[] = {256, ' ', 'l', 257 + 2, 257 + 26 + 6};
  assert_int_equal(ids.n, 5);
  assert_memory_equal(ids.id, want, sizeof want);
  int32_t first;
  assert_int_equal(bpe_audio_codes(p, &first), 290 - 257 - 26);
  assert_int_equal(first, 257 + 26);
  assert_true(bpe_is_special(p, 257) && !bpe_is_special(p, bpe_find(p, "<think>")));
  bpe_ids_free(&ids);
  bpe_close(p);
  free(b.at);
  b = tokenizer_file("acestep-text-enc");
  temp_put(&t, "lm.gguf", b.at, b.n);
  p = bpe_open(t.folder, &err);
  assert_non_null(p);
  assert_int_equal(bpe_audio_codes(p, &first), 0);
  bpe_close(p);
  free(b.at);
  temp_close(&t);
}

int main(void) {
  setenv("ACESTEP_ISA", "float32", 0); /* closer than products of rounded factors */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_read),
      cmocka_unit_test(a_shortened_file_is_refused),
      cmocka_unit_test(files_that_lie_are_refused),
      cmocka_unit_test(blocks_of_32),
      cmocka_unit_test(blocks_of_256_with_minima),
      cmocka_unit_test(blocks_of_256_without_minima),
      cmocka_unit_test(a_converted_model_plays_as_its_folder),
      cmocka_unit_test(a_q8_0_model_equals_its_widened_weights),
      cmocka_unit_test(smaller_blocks_become_int8),
      cmocka_unit_test(other_files_are_refused),
      cmocka_unit_test(files_are_found_among_folders),
      cmocka_unit_test(a_tokenizer_comes_out_of_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
