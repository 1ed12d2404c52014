/* acestep export - a trained adapter as files for other programs, or to keep. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "train/export.h"

static const cli_flag flags[] = {
    {"single-file", 0, NULL, "One .safetensors file with the scale of every layer inside, as ComfyUI reads it"},
    {"epoch", 0, "NAME", "A checkpoint instead of the final adapter: a number, or its folder's name"},
    {"dtype", 0, "TYPE", "bf16 (default: half the size) or f32 (as trained)"},
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

static ace_status read_options(const args *a, export_options *o, ace_error *err) {
  const char *dtype = args_value(a, "dtype");
  *o = (export_options){.epoch = args_value(a, "epoch"), .single_file = args_on(a, "single-file")};
  if (a->n_operands != 2)
    return ace_fail(err, ACE_EINVAL,
                    "export: name a training's output and where to: acestep export lora_output my-style");
  if (dtype && strcmp(dtype, "bf16") != 0 && strcmp(dtype, "f32") != 0)
    return ace_fail(err, ACE_EINVAL, "--dtype: \"%.20s\" is neither bf16 nor f32", dtype);
  o->f32 = dtype && strcmp(dtype, "f32") == 0;
  return ACE_OK;
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  export_options o;
  export_made made = {0};
  ace_status status = read_options(a, &o, &err);
  if (status == ACE_OK) status = export_adapter(a->operand[0], a->operand[1], &o, &made, &err);
  if (status == ACE_OK) {
    if (made.idle) report_warning(r, "%s changes nothing: of every layer one factor is zero", made.source);
    report_note(r, "%s: %d layers, %.1f MB, from %s", o.single_file ? "one file" : "adapter", made.layers,
                (double)made.bytes / 1e6, made.source);
    report_path(r, made.path);
    report_done(r);
  }
  export_made_free(&made);
  return status == ACE_OK ? CLI_OK : report_failure(r, &err);
}

const cli_command cmd_export = {
    .name = "export",
    .operands = "SRC DST",
    .summary = "write a trained adapter as a PEFT folder, or as one file for ComfyUI",
    .flags = flags,
    .most_operands = 2,
    .notes =
        "SRC is the output folder of a training, one of its checkpoints, or any adapter. DST is a folder, or a file "
        "when its\n"
        "name ends in .safetensors.\n"
        "\n"
        "  acestep export lora_output my-style\n"
        "  acestep export lora_output my-style.safetensors\n"
        "  acestep export lora_output my-style --epoch 200",
    .run = run,
};
