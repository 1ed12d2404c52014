/* acestep convert - a checkpoint folder as another one with smaller weights. */
#include <stdlib.h>

#include "cli/cli.h"
#include "formats/convert.h"

static const cli_flag flags[] = {{"int8", 0, NULL, "Large matrices as int8: half the memory, opens at once"},
                                 {"threads", 0, "N", "Threads to compute with (default: all CPUs)"},
                                 {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
                                 {"quiet", 'q', NULL, "No progress"},
                                 {0}};

static ace_status check(const args *a, int *threads, ace_error *err) {
  enum { THREADS_MOST = 1024 };
  if (a->n_operands != 2)
    return ace_fail(err, ACE_EINVAL, "convert: name a checkpoint folder and a new one: acestep convert --int8 SRC DST");
  if (!args_on(a, "int8")) return ace_fail(err, ACE_EINVAL, "convert: say what it shall become: --int8");
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
  status = convert_int8(a->operand[0], a->operand[1], p, &notify, &sizes, &err);
  pool_free(p);
  if (status != ACE_OK) return report_failure(r, &err);
  report_note(r, "%d matrices are int8 now: %.1f MB became %.1f MB", sizes.matrices, (double)sizes.before / 1e6,
              (double)sizes.after / 1e6);
  if (!r->json) puts(a->operand[1]);
  report_done(r);
  return CLI_OK;
}

const cli_command cmd_convert = {
    .name = "convert",
    .operands = "SRC DST",
    .summary = "make a smaller copy of a model: int8 weights",
    .flags = flags,
    .most_operands = 2,
    .notes =
        "  acestep convert --int8 checkpoints/acestep-v15-turbo checkpoints/acestep-v15-turbo-int8\n"
        "  acestep generate \"jazz trio\" --model acestep-v15-turbo-int8\n\n"
        "SRC is the folder of a diffusion model, a text encoder or a language model; DST must not exist yet.",
    .run = run,
};
