/* acestep convert - a checkpoint folder as another one with smaller weights. */
#include <stdlib.h>

#include "cli/cli.h"
#include "formats/convert.h"

static const cli_flag flags[] = {
    {"int8", 0, NULL, "Large matrices as int8: half the memory, opens at once"},
    {"bf16", 0, NULL, "All weights as bfloat16, as models are published"},
    {"f16", 0, NULL, "All weights in half precision: as small, finer, but widened when opened"},
    {"f32", 0, NULL, "All weights in single precision"},
    {"threads", 0, "N", "Threads to compute with (default: all CPUs)"},
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

/* The one type that was asked for; ST_DTYPES for none or several. */
static st_dtype type_of(const args *a) {
  static const struct {
    const char *flag;
    st_dtype type;
  } types[] = {{"int8", ST_I8}, {"bf16", ST_BF16}, {"f16", ST_F16}, {"f32", ST_F32}};
  st_dtype found = ST_DTYPES;
  int n = 0;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (args_on(a, types[i].flag)) found = types[i].type, n++;
  return n == 1 ? found : ST_DTYPES;
}

static ace_status check(const args *a, int *threads, ace_error *err) {
  enum { THREADS_MOST = 1024 };
  if (a->n_operands != 2)
    return ace_fail(err, ACE_EINVAL, "convert: name a checkpoint folder and a new one: acestep convert --int8 SRC DST");
  if (type_of(a) == ST_DTYPES)
    return ace_fail(err, ACE_EINVAL, "convert: say what it shall become: --int8, --bf16, --f16 or --f32");
  const char *text = args_value(a, "threads");
  return text ? args_int(text, "--threads", 1, THREADS_MOST, threads, err) : ACE_OK;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  int threads = 0;
  ace_status status = check(a, &threads, &err);
  pool *p = status == ACE_OK ? pool_new(threads, &err) : NULL;
  if (!p) return report_failure(r, &err);
  ace_callbacks notify = report_callbacks(r);
  convert_sizes sizes;
  status = convert_to(a->operand[0], a->operand[1], type_of(a), p, &notify, &sizes, &err);
  pool_free(p);
  if (status != ACE_OK) return report_failure(r, &err);
  report_note(r, "%d %s now: %.1f MB became %.1f MB", sizes.tensors,
              type_of(a) == ST_I8 ? "matrices are int8" : "tensors are of another type", (double)sizes.before / 1e6,
              (double)sizes.after / 1e6);
  if (!r->json) puts(a->operand[1]);
  report_done(r);
  return CLI_OK;
}

const cli_command cmd_convert = {
    .name = "convert",
    .operands = "SRC DST",
    .summary = "make a copy of a model with other weights: int8, or another type of float",
    .flags = flags,
    .most_operands = 2,
    .notes =
        "  acestep convert --int8 checkpoints/acestep-v15-turbo checkpoints/acestep-v15-turbo-int8\n"
        "  acestep generate \"jazz trio\" --model acestep-v15-turbo-int8\n\n"
        "  acestep convert --bf16 run/final/acestep-v15-base models/acestep-v15-base\n\n"
        "SRC is the folder of a model, for int8 not of an autoencoder; DST must not exist yet.",
    .run = run,
};
