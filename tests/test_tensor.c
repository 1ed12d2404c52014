/* Contexts: memory is planned exactly, a failure sticks and names its cause, nothing kept is lost, a stop is obeyed. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "tensor/device.h"
#include "tensor/ops.h"

static tens_ctx *open_small(size_t capacity) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .capacity = capacity}, &err);
  assert_non_null(c);
  return c;
}

static tens *ramp(tens_ctx *c, int rank, const int64_t *dim, float first) {
  tens *x = tens_new(c, TENS_F32, rank, dim);
  if (x && !tens_planning(c))
    for (int64_t i = 0; i < tens_count(x); i++) tens_f32(x)[i] = first + (float)i;
  return x;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void new_tensors_do_not_overlap(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *a = ramp(c, TENS_DIMS(3, 5), 0), *b = ramp(c, TENS_DIMS(7), 100), *d = ramp(c, TENS_DIMS(1), 200);
  assert_non_null(d);
  for (int i = 0; i < 15; i++) assert_true(tens_f32(a)[i] == (float)i);
  for (int i = 0; i < 7; i++) assert_true(tens_f32(b)[i] == 100 + (float)i);
  assert_int_equal((uintptr_t)b->data % ARENA_ALIGN, 0);
  assert_int_equal(tens_count(a), 15);
  tens_close(c);
}

static void from_copies_the_callers_data(void **state) {
  tens_ctx *c = open_small(1 << 16);
  float data[6] = {1, 2, 3, 4, 5, 6};
  tens *x = tens_from(c, TENS_F32, TENS_DIMS(2, 3), data);
  data[0] = 99;
  assert_true(tens_f32(x)[0] == 1 && tens_f32(x)[5] == 6);
  int32_t ids[2] = {7, 8};
  assert_int_equal(tens_i32(tens_from(c, TENS_I32, TENS_DIMS(2), ids))[1], 8);
  tens_close(c);
}

static void views_and_rows_share_data(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *x = ramp(c, TENS_DIMS(4, 3), 0);
  tens *v = tens_view(c, x, TENS_DIMS(2, 2, 3)), *r = tens_rows(c, x, 1, 2);
  assert_ptr_equal(v->data, x->data);
  assert_int_equal(r->dim[0], 2);
  assert_true(tens_f32(r)[0] == 3 && tens_f32(r)[5] == 8);
  tens_f32(r)[0] = -1;
  assert_true(tens_f32(x)[3] == -1);
  assert_null(tens_view(c, x, TENS_DIMS(5)));
  assert_int_equal(tens_status(c), ACE_EINVAL);
  tens_reset(c);
  x = ramp(c, TENS_DIMS(4, 3), 0);
  assert_null(tens_rows(c, x, 3, 2));
  tens_reset(c);
  x = ramp(c, TENS_DIMS(4, 3), 0);
  assert_null(tens_rows(c, x, -1, 2));
  tens_close(c);
}

static void release_gives_memory_back(void **state) {
  tens_ctx *c = open_small(1 << 14);
  for (int i = 0; i < 1000; i++) {
    tens_mark mark = tens_here(c);
    assert_non_null(ramp(c, TENS_DIMS(1000), 0));
    tens_release(c, mark);
  }
  assert_int_equal(tens_status(c), ACE_OK);
  tens_close(c);
}

static void keep_moves_the_result_down(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *before = ramp(c, TENS_DIMS(10), 500);
  tens_mark mark = tens_here(c);
  ramp(c, TENS_DIMS(3), 0);
  tens *x = ramp(c, TENS_DIMS(20, 50), 7); /* longer than the way down: source and target overlap */
  ramp(c, TENS_DIMS(100), 0);
  x = tens_keep(c, mark, x);
  assert_int_equal(x->rank, 2);
  assert_int_equal(x->dim[1], 50);
  for (int i = 0; i < 1000; i++) assert_true(tens_f32(x)[i] == 7 + (float)i);
  assert_true(tens_f32(before)[9] == 509);
  tens *next = ramp(c, TENS_DIMS(4), 0);
  assert_ptr_not_equal(next, x);
  assert_true((char *)next->data >= (char *)x->data + 4000);
  assert_true(tens_f32(x)[999] == 1006);
  tens_mark here = tens_here(c);
  tens_release(c, mark);
  tens *same = ramp(c, TENS_DIMS(20, 50), 0);
  assert_true(tens_here(c).data < here.data); /* x took its own size, nothing else */
  assert_non_null(same);
  tens_close(c);
}

static void keep_takes_views_and_strangers(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *old = ramp(c, TENS_DIMS(4, 8), 0);
  float outside[4] = {9, 8, 7, 6};
  tens stranger = {.dtype = TENS_F32, .rank = 1, .dim = {4}, .data = outside};
  tens_mark mark = tens_here(c);
  ramp(c, TENS_DIMS(33), 0);
  tens *young = ramp(c, TENS_DIMS(6, 8), 50);
  tens *part = tens_keep(c, mark, tens_rows(c, young, 2, 3)); /* part of what is forgotten */
  for (int i = 0; i < 24; i++) assert_true(tens_f32(part)[i] == 66 + (float)i);
  mark = tens_here(c);
  tens *seen = tens_keep(c, mark, tens_view(c, old, TENS_DIMS(8, 4))); /* of what stays */
  assert_ptr_equal(seen->data, old->data);
  assert_int_equal(seen->dim[0], 8);
  ramp(c, TENS_DIMS(9), 0);
  assert_ptr_equal(tens_keep(c, mark, old), old);
  assert_ptr_equal(tens_keep(c, mark, &stranger), &stranger);
  tens *borrowed = tens_keep(c, mark, tens_view(c, &stranger, TENS_DIMS(2, 2)));
  assert_ptr_equal(borrowed->data, outside);
  tens_packed copy = {.data = outside, .rows = 4};
  stranger.packed = &copy;
  stranger.packed_row = 1;
  const tens *rows = tens_keep(c, mark, tens_rows(c, &stranger, 2, 2)); /* with the copy of a weight that it has */
  assert_ptr_equal(rows->packed, &copy);
  assert_int_equal(rows->packed_row, 3);
  assert_null(tens_keep(c, mark, NULL));
  assert_int_equal(tens_status(c), ACE_OK);
  tens_close(c);
}

static void a_full_arena_is_an_error_not_a_crash(void **state) {
  tens_ctx *c = open_small(4096);
  assert_non_null(ramp(c, TENS_DIMS(100), 0));
  assert_null(ramp(c, TENS_DIMS(1000), 0));
  ace_error err = {0};
  assert_int_equal(tens_error(c, &err), ACE_ENOMEM);
  assert_non_null(strstr(err.message, "4000 bytes"));
  assert_null(tens_scratch(c, 16)); /* the failure sticks */
  tens_reset(c);
  assert_non_null(tens_scratch(c, 16));
  assert_null(tens_scratch(c, SIZE_MAX - 8));
  assert_int_equal(tens_status(c), ACE_ENOMEM);
  tens_close(c);
}

static void impossible_shapes_are_refused(void **state) {
  static const int64_t bad[][2] = {
      {0, 4}, {4, 0}, {-1, 4}, {INT64_MAX, INT64_MAX}, {(int64_t)1 << 32, (int64_t)1 << 32}};
  tens_ctx *c = open_small(4096);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_null(tens_new(c, TENS_F32, 2, bad[i]));
    assert_int_equal(tens_status(c), ACE_EINVAL);
    tens_reset(c);
  }
  assert_null(tens_new(c, TENS_F32, 5, (int64_t[]){1, 1, 1, 1, 1}));
  tens_reset(c);
  assert_null(tens_new(c, TENS_F32, 0, (int64_t[]){1}));
  assert_int_equal(tens_status(c), ACE_EINVAL);
  tens_close(c);
}

/* ---- failure ----------------------------------------------------------------------------------------------------- */

static void the_first_failure_sticks(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *x = ramp(c, TENS_DIMS(2, 4), 0), *w = ramp(c, TENS_DIMS(3, 5), 0), *n = ramp(c, TENS_DIMS(4), 1);
  assert_null(op_linear(c, x, w, NULL));
  assert_null(op_add(c, x, n));
  assert_null(op_rms_norm(c, x, n, 1e-6f)); /* fine in itself, but after a failure */
  assert_false(op_mix_into(c, x, 1, x, 1, x));
  assert_null(tens_fail(c, ACE_EIO, "later"));
  ace_error err = {0};
  assert_int_equal(tens_error(c, &err), ACE_EINVAL);
  assert_int_equal(err.status, ACE_EINVAL);
  assert_string_equal(err.message, "linear: x [2,4] does not fit w [3,5]");
  tens_reset(c);
  assert_int_equal(tens_status(c), ACE_OK);
  x = ramp(c, TENS_DIMS(2, 4), 0);
  assert_non_null(op_add(c, x, x));
  tens_close(c);
}

static void a_missing_input_is_told(void **state) {
  tens_ctx *c = open_small(1 << 16);
  tens *x = ramp(c, TENS_DIMS(2, 4), 0);
  assert_null(op_linear(c, x, NULL, NULL));
  ace_error err = {0};
  assert_int_equal(tens_error(c, &err), ACE_EINTERNAL);
  assert_string_equal(err.message, "linear: w is missing");
  tens_close(c);
}

static void no_error_leaves_the_callers_alone(void **state) {
  tens_ctx *c = open_small(4096);
  ace_error err = {.status = ACE_EIO, .message = "mine"};
  assert_int_equal(tens_error(c, &err), ACE_OK);
  assert_string_equal(err.message, "mine");
  tens_close(c);
}

typedef struct stop {
  int polls, after;
} stop;

static bool stop_after(void *user) {
  stop *s = user;
  return s->polls++ >= s->after;
}

static void a_stop_is_obeyed_before_the_next_operation(void **state) {
  stop s = {0, 3};
  ace_error err;
  tens_ctx *c = tens_open(
      &(tens_options){.device = tens_oracle(), .capacity = 1 << 16, .cancelled = stop_after, .user = &s}, &err);
  tens *x = ramp(c, TENS_DIMS(4), 0);
  for (int i = 0; i < 3; i++) assert_non_null(op_silu(c, x));
  assert_null(op_silu(c, x));
  assert_int_equal(tens_error(c, &err), ACE_ECANCELED);
  assert_null(op_silu(c, x));
  assert_int_equal(s.polls, 4); /* not asked again once it failed */
  tens_close(c);
}

/* A long operation stops in its middle: between chunks of its work the caller is asked again, on his own thread. */
static void a_stop_is_obeyed_inside_an_operation(void **state) {
  enum { ROWS = 900, WIDTH = 512 };
  for (int threads = 1; threads <= 3; threads++) {
    pool *p = pool_new(threads, NULL);
    stop s = {.after = INT_MAX};
    ace_error err = {0};
    tens_ctx *c =
        tens_open(&(tens_options){.threads = p, .capacity = 16 << 20, .cancelled = stop_after, .user = &s}, &err);
    tens *x = ramp(c, TENS_DIMS(ROWS, WIDTH), 0), *w = ramp(c, TENS_DIMS(WIDTH, WIDTH), 0);
    assert_non_null(op_linear(c, x, w, NULL));
    if (threads == 1) assert_true(s.polls > 2);
    s = (stop){.after = 1};
    /* Others may have finished the work before the caller's thread came to ask. */
    tens *y = op_linear(c, x, w, NULL);
    if (threads == 1) assert_null(y);
    assert_int_equal(tens_status(c), y ? ACE_OK : ACE_ECANCELED);
    tens_close(c);
    pool_free(p);
  }
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

/* A bit of everything that takes memory; the result or NULL. */
static tens *small_model(tens_ctx *c, int64_t frames) {
  tens *x = ramp(c, TENS_DIMS(2, frames, 8), 0), *w = ramp(c, TENS_DIMS(16, 8), 0), *n = ramp(c, TENS_DIMS(8), 1);
  tens *kernel = ramp(c, TENS_DIMS(8, 3, 8), 0);
  for (int layer = 0; layer < 3; layer++) {
    tens_mark mark = tens_here(c);
    tens *h = op_rms_norm(c, x, n, 1e-6f);
    tens *q = op_linear(c, h, w, NULL);
    op_attn a = {.heads = 4, .kv_heads = 2, .window = -1};
    tens *o = op_attention(c, q, h, h, &a);
    if (o) o = op_conv1d(c, h, kernel, &(op_conv){.stride = 1, .pad = 1, .dilation = 1, .residual = x});
    x = tens_keep(c, mark, o);
  }
  tens *low, *high;
  float filter[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  if (!op_dwt(c, x, filter, filter, 4, &low, &high)) return NULL;
  tens_scratch(c, 1000);
  return op_idwt(c, low, high, filter, filter, 4, frames);
}

static void a_plan_needs_exactly_what_the_run_needs(void **state) {
  ace_error err;
  pool *threads = pool_new(3, &err);
  for (int64_t frames = 1; frames < 70; frames += 17) {
    tens_options options = {.device = tens_oracle(), .threads = threads, .plan = true};
    tens_ctx *plan = tens_open(&options, &err);
    assert_true(tens_planning(plan));
    assert_non_null(small_model(plan, frames));
    size_t peak = tens_peak(plan);
    tens_close(plan);
    options.plan = false;
    options.capacity = peak;
    tens_ctx *run = tens_open(&options, &err);
    assert_non_null(small_model(run, frames));
    assert_int_equal(tens_peak(run), peak);
    tens_close(run);
    options.capacity = peak - 3 * (size_t)TENS_WORKER_SCRATCH; /* results alone: still enough */
    run = tens_open(&options, &err);
    assert_non_null(small_model(run, frames));
    tens_close(run);
    options.capacity -= ARENA_ALIGN; /* and no byte too many */
    run = tens_open(&options, &err);
    assert_null(small_model(run, frames));
    assert_int_equal(tens_status(run), ACE_ENOMEM);
    tens_close(run);
  }
  pool_free(threads);
}

static void a_plan_reads_no_data(void **state) {
  ace_error err;
  tens_ctx *c = tens_open(&(tens_options){.device = tens_oracle(), .plan = true}, &err);
  tens table = {.dtype = TENS_BF16, .rank = 2, .dim = {100, 8}}; /* weights of a checkpoint that is not open */
  tens *ids = tens_new(c, TENS_I32, TENS_DIMS(1, 5));
  tens *x = op_embedding(c, &table, ids);
  x = op_gather(c, x, tens_new(c, TENS_I32, TENS_DIMS(1, 3)));
  assert_non_null(x);
  assert_int_equal(x->dim[1], 3);
  tens big = {.dtype = TENS_F32, .rank = 2, .dim = {1 << 20, 1 << 20}}; /* a terabyte costs nothing to plan */
  assert_non_null(op_add(c, &big, &big));
  assert_true(tens_peak(c) > (size_t)1 << 42);
  assert_null(op_linear(c, x, &big, NULL)); /* shapes are checked all the same */
  assert_int_equal(tens_status(c), ACE_EINVAL);
  tens_close(c);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct count {
  int hits[1000], workers;
  bool bad;
} count;

static void hit(void *arg, int chunk, int worker) {
  count *n = arg;
  n->hits[chunk]++;
  if (worker < 0 || worker >= n->workers) n->bad = true;
}

static void every_chunk_runs_once(void **state) {
  static count n;
  for (int threads = 1; threads <= 3; threads++) {
    ace_error err;
    pool *p = pool_new(threads, &err);
    assert_int_equal(pool_threads(p), threads);
    tens_ctx *c = tens_open(&(tens_options){.threads = p, .capacity = 4096}, &err);
    assert_int_equal(tens_workers(c), threads);
    for (int chunks = 0; chunks <= 1000; chunks += chunks < 10 ? 1 : 90) {
      n = (count){.workers = threads};
      tens_parallel(c, chunks, hit, &n);
      for (int i = 0; i < 1000; i++) assert_int_equal(n.hits[i], i < chunks);
      assert_false(n.bad);
    }
    tens_close(c);
    pool_free(p);
  }
}

static void fill_scratch(void *arg, int chunk, int worker) {
  memset(tens_worker_scratch(arg, worker), worker + 1, TENS_WORKER_SCRATCH);
}

static void each_worker_has_its_own_scratch(void **state) {
  ace_error err;
  pool *p = pool_new(3, &err);
  tens_ctx *c = tens_open(&(tens_options){.threads = p, .capacity = 4096}, &err);
  for (int i = 0; i < 3; i++) fill_scratch(c, 0, i);
  for (int i = 0; i < 3; i++) {
    const uint8_t *block = tens_worker_scratch(c, i);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_int_equal(block[0], i + 1);
    assert_int_equal(block[TENS_WORKER_SCRATCH - 1], i + 1);
  }
  tens_close(c);
  pool_free(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(new_tensors_do_not_overlap),
      cmocka_unit_test(from_copies_the_callers_data),
      cmocka_unit_test(views_and_rows_share_data),
      cmocka_unit_test(release_gives_memory_back),
      cmocka_unit_test(keep_moves_the_result_down),
      cmocka_unit_test(keep_takes_views_and_strangers),
      cmocka_unit_test(a_full_arena_is_an_error_not_a_crash),
      cmocka_unit_test(impossible_shapes_are_refused),
      cmocka_unit_test(the_first_failure_sticks),
      cmocka_unit_test(a_missing_input_is_told),
      cmocka_unit_test(no_error_leaves_the_callers_alone),
      cmocka_unit_test(a_stop_is_obeyed_before_the_next_operation),
      cmocka_unit_test(a_plan_needs_exactly_what_the_run_needs),
      cmocka_unit_test(a_plan_reads_no_data),
      cmocka_unit_test(a_stop_is_obeyed_inside_an_operation),
      cmocka_unit_test(every_chunk_runs_once),
      cmocka_unit_test(each_worker_has_its_own_scratch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
