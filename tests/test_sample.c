/* A prepared song comes out of its file as it went in, to the precision of BF16; a folder of them is read in the order of
 * its manifest. A file that is broken must be refused by name before a training starts, not after an hour. */
#include <math.h>
#include <sys/stat.h>

#include "base/half.h"
#include "formats/safetensors.h"
#include "temp.h"
#include "train/sample.h"
#include "train/sample_set.h"

enum { T = 7, C = 4, L = 3, DE = 5, SILENT = 3 };

static float value(int64_t i) {
  return (float)((i * 37) % 101 - 50) / 16.0f; /* exact as BF16 */
}

static float *filled(int64_t n) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++) x[i] = value(i);
  return x;
}

static sample made(bool context) {
  return (sample){
      .shape = {.frames = T, .channels = C, .tokens = L, .width = DE},
      .target = filled(T * C),
      .condition = filled(L * DE),
      .context = context ? filled(T * 2 * C) : NULL,
      .about = json_pack("{s:s, s:i}", "caption", "caf\xc3\xa9", "bpm", 120),
      .tags = json_pack("{s:s, s:s}", "model_sha", "abc", "prep_profile", "matched"),
  };
}

static void expect_equal(const float *a, int64_t n) {
  for (int64_t i = 0; i < n; i++) assert_true(a[i] == value(i));
}

/* What training reads is what preprocessing wrote: a swapped dimension or a shifted row would train on noise. */
static void test_round_trip(void **state) {
  temp t = temp_open();
  ace_error err = {0};
  sample s = made(true), back;
  s.condition_mask = calloc(L, 1);
  s.condition_mask[0] = 1;
  assert_int_equal(sample_write(temp_path(&t, "a.safetensors"), &s, &err), ACE_OK);
  assert_int_equal(sample_read(temp_path(&t, "a.safetensors"), NULL, &back, &err), ACE_OK);
  assert_memory_equal(&back.shape, &s.shape, sizeof s.shape);
  expect_equal(back.target, T * C);
  expect_equal(back.condition, L * DE);
  expect_equal(back.context, T * 2 * C);
  assert_null(back.frame_mask);
  assert_memory_equal(back.condition_mask, s.condition_mask, L);
  assert_string_equal(json_text(back.about, "caption"), "caf\xc3\xa9");
  assert_string_equal(sample_tag(&back, "model_sha"), "abc");
  assert_string_equal(sample_tag(&back, "format"), "acestep-train-v1");
  assert_string_equal(sample_tag(&back, "context"), "stored");
  assert_string_equal(sample_tag(&back, "absent"), "");
  sample_free(&back);
  sample_shape shape;
  assert_int_equal(sample_look(temp_path(&t, "a.safetensors"), &shape, &err), ACE_OK);
  assert_memory_equal(&shape, &s.shape, sizeof shape);
  sample_free(&s);
  temp_close(&t);
}

/* Text-to-music samples do not store their context: it is silence, repeated, and a mask of ones. */
static void test_silent_context(void **state) {
  temp t = temp_open();
  ace_error err = {0};
  float table[SILENT * C];
  for (int i = 0; i < SILENT * C; i++) table[i] = (float)i;
  tens silence = {.dtype = TENS_F32, .rank = 2, .dim = {SILENT, C}, .data = table};
  sample s = made(false), back;
  assert_int_equal(sample_write(temp_path(&t, "a.safetensors"), &s, &err), ACE_OK);
  assert_int_equal(sample_read(temp_path(&t, "a.safetensors"), &silence, &back, &err), ACE_OK);
  for (int i = 0; i < T; i++)
    for (int k = 0; k < 2 * C; k++)
      assert_true(back.context[i * 2 * C + k] == (k < C ? (float)(i % SILENT * C + k) : 1));
  sample_free(&back);
  assert_int_not_equal(sample_read(temp_path(&t, "a.safetensors"), NULL, &back, &err), ACE_OK);
  expect_error(&err, ACE_EINVAL, "a.safetensors", "silence");
  silence.dim[1] = C - 1;
  assert_int_not_equal(sample_read(temp_path(&t, "a.safetensors"), &silence, &back, &err), ACE_OK);
  expect_error(&err, ACE_EINVAL, "a.safetensors", "width 4");
  sample_free(&s);
  temp_close(&t);
}

static ace_status read_with(temp *t, const st_tensor *tensors, int n, ace_error *err) {
  sample back;
  ace_error own = {0};
  assert_int_equal(st_write(temp_path(t, "b.safetensors"), tensors, n, NULL, 0, &own), ACE_OK);
  ace_status status = sample_read(temp_path(t, "b.safetensors"), NULL, &back, err);
  sample_free(&back);
  return status;
}

/* Every way in which a file can be unfit is told with the file and the tensor. */
static void test_refusals(void **state) {
  temp t = temp_open();
  float x[T * 2 * C] = {0}, bad[T * C] = {0};
  bad[9] = NAN;
  st_tensor target = {.name = "target_latents", .dtype = ST_F32, .rank = 2, .dim = {T, C}, .data = x};
  st_tensor words = {.name = "encoder_hidden_states", .dtype = ST_F32, .rank = 2, .dim = {L, DE}, .data = x};
  st_tensor context = {.name = "context_latents", .dtype = ST_F32, .rank = 2, .dim = {T, 2 * C}, .data = x};
  st_tensor mask = {.name = "attention_mask", .dtype = ST_F32, .rank = 1, .dim = {T}, .data = x};
  const struct {
    st_tensor tensor[4];
    int n;
    const char *names;
  } cases[] = {
      {{target, context}, 2, "encoder_hidden_states is missing"},
      {{words, context}, 2, "target_latents is missing"},
      {{target, words, {.name = "context_latents", .dtype = ST_F32, .rank = 2, .dim = {T, C}, .data = x}},
       3,
       "width 4 instead of 8"},
      {{target, words, context, {.name = "attention_mask", .dtype = ST_F32, .rank = 1, .dim = {L}, .data = x}},
       4,
       "attention_mask: 3 rows"},
      {{{.name = "target_latents", .dtype = ST_F32, .rank = 1, .dim = {T * C}, .data = x}, words, context},
       3,
       "1 dimensions"},
      {{{.name = "target_latents", .dtype = ST_I32, .rank = 2, .dim = {T, C}, .data = x}, words, context}, 3, "I32"},
      {{{.name = "target_latents", .dtype = ST_F32, .rank = 2, .dim = {T, C}, .data = bad}, words, context},
       3,
       "value 9 is not a finite number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ace_error err = {0};
    assert_int_not_equal(read_with(&t, cases[i].tensor, cases[i].n, &err), ACE_OK);
    expect_error(&err, err.status, "b.safetensors", cases[i].names);
  }
  ace_error err = {0};
  assert_int_equal(read_with(&t, (st_tensor[]){target, words, context, mask}, 4, &err), ACE_OK);
  assert_int_equal(truncate(temp_path(&t, "b.safetensors"), 300), 0);
  sample back;
  assert_int_not_equal(sample_read(temp_path(&t, "b.safetensors"), NULL, &back, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "b.safetensors", "");
  temp_close(&t);
}

static char *fixture(temp *t, const char *name, size_t cut) {
  uint8_t bytes[4096];
  FILE *f = fopen(ACE_SOURCE_DIR "/fuzz/corpus/torch_pt/dictionary", "rb");
  assert_non_null(f);
  size_t n = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  temp_put(t, name, bytes, n - cut);
  return t->path;
}

/* A sample of the Python trainer, as torch.save writes it: the target lies transposed in a larger storage, masks are
 * flags or numbers. Read in the order of memory it would be noise. */
static void test_python_sample(void **state) {
  enum { FRAMES = 5, WIDTH = 6 };
  temp t = temp_open();
  ace_error err = {0};
  sample s;
  sample_shape shape;
  char *path = fixture(&t, "abcd1234.pt", 0);
  assert_int_equal(sample_look(path, &shape, &err), ACE_OK);
  if (sample_read(path, NULL, &s, &err) != ACE_OK) fail_msg("%s", err.message);
  assert_memory_equal(&shape, &s.shape, sizeof shape);
  assert_int_equal(s.shape.frames, FRAMES);
  assert_int_equal(s.shape.channels, C);
  assert_int_equal(s.shape.tokens, L);
  assert_int_equal(s.shape.width, WIDTH);
  expect_equal(s.target, FRAMES * C);
  expect_equal(s.condition, L * WIDTH);
  expect_equal(s.context, FRAMES * 2 * C);
  assert_null(s.frame_mask);
  assert_memory_equal(s.condition_mask, "\1\1\0", L);
  assert_string_equal(json_text(s.about, "caption"), "zx, slow waltz");
  assert_int_equal(json_integer_value(json_object_get(s.about, "duration")), FRAMES);
  assert_true(json_is_null(json_object_get(s.about, "bpm")));
  assert_true(json_is_true(json_object_get(s.about, "is_instrumental")));
  assert_string_equal(sample_tag(&s, "preprocess_mode"), "lora");
  sample_free(&s);
  sample_set set;
  assert_int_equal(sample_set_open(&set, t.folder, NULL, &err), ACE_OK);
  assert_int_equal(set.n, 1);
  sample_set_free(&set);
  assert_int_not_equal(sample_read(fixture(&t, "abcd1234.pt", 100), NULL, &s, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "abcd1234.pt", "");
  temp_close(&t);
}

typedef struct heard {
  char text[4096];
} heard;

static void hear(void *user, const char *line) {
  heard *h = user;
  strncat(h->text, line, sizeof h->text - strlen(h->text) - 2);
  strcat(h->text, "\n");
}

/* The place of a song in the set decides its random numbers: it must come from the manifest, not from the disk. */
static void test_manifest(void **state) {
  temp t = temp_open();
  ace_error err = {0};
  sample s = made(true);
  const char *const names[] = {"c.safetensors", "a.safetensors", "b.safetensors", "d.part.safetensors"};
  for (int i = 0; i < 4; i++) assert_int_equal(sample_write(temp_path(&t, names[i]), &s, &err), ACE_OK);
  sample_free(&s);
  sample_set set;
  assert_int_equal(sample_set_open(&set, t.folder, NULL, &err), ACE_OK);
  assert_int_equal(set.n, 3);
  assert_false(set.listed);
  assert_string_equal(set.path[0] + strlen(t.folder), "/a.safetensors");
  sample_set_free(&set);

  json_t *metadata = json_pack("{s:s, s:s}", "name", "mine", "custom_tag", "zx"),
         *samples =
             json_pack("[s, s, s, s, i]", "c.safetensors", "gone.safetensors", "../x.safetensors", "a.safetensors", 7);
  assert_int_equal(sample_set_write(t.folder, metadata, samples, &err), ACE_OK);
  json_decref(metadata), json_decref(samples);
  heard h = {{0}};
  ace_callbacks notify = {.log = hear, .user = &h};
  assert_int_equal(sample_set_open(&set, t.folder, &notify, &err), ACE_OK);
  assert_true(set.listed);
  assert_int_equal(set.n, 2);
  assert_int_equal(set.missing, 3);
  assert_int_equal(set.unlisted, 1);
  assert_string_equal(set.path[0] + strlen(t.folder), "/c.safetensors");
  assert_string_equal(set.path[1] + strlen(t.folder), "/a.safetensors");
  assert_string_equal(sample_set_text(&set, "name"), "mine");
  assert_non_null(strstr(h.text, "sample 2 of the manifest is not there"));
  assert_non_null(strstr(h.text, "sample 3 of the manifest is no name of a file in this folder"));
  assert_non_null(strstr(h.text, "1 files"));
  sample_set_free(&set);

  temp_put(&t, "manifest.json", "{\"samples\": {}}", 15);
  assert_int_not_equal(sample_set_open(&set, t.folder, NULL, &err), ACE_OK);
  expect_error(&err, ACE_EFORMAT, "manifest.json", "samples");
  temp_put(&t, "manifest.json", "{\"samples\": []}", 15);
  assert_int_not_equal(sample_set_open(&set, t.folder, NULL, &err), ACE_OK);
  expect_error(&err, ACE_ENOTFOUND, t.folder, "preprocess");
  temp_close(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_silent_context), cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_python_sample), cmocka_unit_test(test_manifest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
