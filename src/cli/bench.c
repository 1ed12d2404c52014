/* acestep bench - how fast the models run here, stage by stage, beside what the machine could do at best. */
#include "engine/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/folders.h"
#include "render/stages.h"

static const cli_flag flags[] = {
    {"random", 0, "NAME",
     "Random weights of a published model's sizes, made in memory: acestep-v15-turbo, acestep-v15-base, "
     "acestep-v15-xl-turbo, ...; tiny: the miniature's sizes"},
    {"models", 0, "DIR", "Folder of the models, instead of random ones"},
    {"model", 0, "NAME", "Folder of the diffusion model in it"},
    {"lm", 0, "NAME", "Measure a language model instead, such as acestep-5Hz-lm-0.6B; random unless --models is given"},
    {"lora-rank", 0, "N",
     "Steps with a random LoRA adapter of that rank on all attention, beside steps without; the rank of train_step"},
    {"int8", 0, NULL, "Large matrices as int8"},
    {"guided", 0, NULL, "The language model with guidance: two rows an item"},
    {"codes", 0, "N", "Audio codes that the language model writes (default 150, most 3000)"},
    {"duration", 0, "SECONDS", "Length of the song, 10 to 600 (default 30)"},
    {"batch", 0, "N", "Items, 1 to 8 (default 1)"},
    {"repeat", 0, "N", "Measurements of each stage (default 3); 0: run everything once and tell its memory"},
    {"stages", 0, "LIST",
     "Only these, without the pass through everything: text_encoder, condition_encoder, dit_step, linear, vae_encode, "
     "vae_decode; or train_step alone: a step of training a LoRA adapter"},
    {"threads", 0, "N", "Threads for computing (default: as many as the CPUs this process may use)"},
    {"memory", 0, "SIZE", "Memory to keep within, such as 6G (default: what the machine has free)"},
    {"json", 0, NULL, "As one JSON object"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};

/* ---- the command line -------------------------------------------------------------------------------------------- */

static ace_status take_int(const args *a, const char *name, const char *flag, int lo, int hi, int *out,
                           ace_error *err) {
  const char *text = args_value(a, name);
  return text ? args_int(text, flag, lo, hi, out, err) : ACE_OK;
}

static ace_status take_duration(const args *a, double *out, ace_error *err) {
  const double lo = 10, hi = 600;
  const char *text = args_value(a, "duration");
  if (!text) return ACE_OK;
  char *end;
  *out = strtod(text, &end);
  if (end == text || *end || !(*out >= lo && *out <= hi))
    return ace_fail(err, ACE_EINVAL, "--duration: \"%.40s\" is no number of seconds from 10 to 600", text);
  return ACE_OK;
}

/* Names with commas between them as bits. */
static ace_status take_stages(const args *a, bench_options *o, ace_error *err) {
  const char *at = args_value(a, "stages");
  o->train_step = at && strcmp(at, "train_step") == 0;
  if (o->train_step) return ACE_OK;
  while (at && *at) {
    size_t n = strcspn(at, ",");
    int i = 0;
    while (i < SONG_STAGES &&
           (strlen(song_stage_name((song_stage)i)) != n || strncmp(song_stage_name((song_stage)i), at, n)))
      i++;
    if (i == SONG_STAGES)
      return ace_fail(err, ACE_EINVAL,
                      "--stages: \"%.*s\" is none of text_encoder, condition_encoder, dit_step, linear, vae_encode, "
                      "vae_decode, nor train_step alone",
                      n < 40 ? (int)n : 40, at);
    o->stages |= 1u << i;
    at += n + (at[n] == ',');
  }
  return ACE_OK;
}

/* *folder: owned by the caller. */
static ace_status take_options(const args *a, bench_options *o, char **folder, ace_error *err) {
  *o = (bench_options){.random = args_value(a, "random"),
                       .model = args_value(a, "model"),
                       .lm = args_value(a, "lm"),
                       .duration = 30,
                       .batch = 1,
                       .repeat = 3,
                       .codes = 150,
                       .patience = 5,
                       .int8 = args_on(a, "int8"),
                       .guided = args_on(a, "guided")};
  enum { THREADS_MOST = 1024 };
  const char *models = args_value(a, "models"), *memory = args_value(a, "memory");
  if (o->random && models)
    return ace_fail(err, ACE_EINVAL, "--random: stands instead of --models, not beside it; leave one of them out");
  if (o->random && o->model)
    return ace_fail(err, ACE_EINVAL, "--model: names a folder below --models; --random names the model itself");
  if (!o->random && !models && o->lm) o->random = o->lm;
  ace_status status = take_duration(a, &o->duration, err);
  if (status == ACE_OK) status = take_stages(a, o, err);
  if (status == ACE_OK) status = take_int(a, "batch", "--batch", 1, REQ_BATCH_MAX, &o->batch, err);
  if (status == ACE_OK) status = take_int(a, "repeat", "--repeat", o->lm ? 1 : 0, BENCH_REPEAT_MOST, &o->repeat, err);
  if (status == ACE_OK) status = take_int(a, "lora-rank", "--lora-rank", 1, BENCH_RANK_MOST, &o->lora_rank, err);
  if (status == ACE_OK) status = take_int(a, "codes", "--codes", 2, BENCH_CODES_MOST, &o->codes, err);
  if (status == ACE_OK) status = take_int(a, "threads", "--threads", 1, THREADS_MOST, &o->threads, err);
  if (status == ACE_OK && memory) status = args_bytes(memory, "--memory", &o->memory, err);
  if (status == ACE_OK && !o->random && !(*folder = folder_models(models, err))) status = err->status;
  o->models = *folder;
  return status;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void print_machine(const json_t *found) {
  const json_t *m = json_object_get(found, "machine"), *c = json_object_get(found, "ceilings");
  const char *name = json_string_value(json_object_get(m, "processor"));
  printf("%s, %s, %.0f of %.0f threads\n", name ? name : "processor", json_string_value(json_object_get(m, "isa")),
         number(m, "threads"), number(m, "cpus"));
  printf("at best: %.0f GF/s fp32 multiply-add", number(c, "multiply_add") * 1e-9);
  if (json_is_real(json_object_get(c, "tiles"))) printf(", %.0f GF/s bf16 tiles", number(c, "tiles") * 1e-9);
  printf(", %.1f GB/s read\n", number(c, "read") * 1e-9);
  if (!json_is_true(json_object_get(m, "calm")) || number(m, "foreign_load") > 0.12)
    printf("not calm: other processes used up to %.0f %% of the machine meanwhile\n", 100 * number(m, "foreign_load"));
}

static void print_stages(const json_t *found) {
  const char *name;
  json_t *stage;
  json_object_foreach(json_object_get(found, "stages"), name, stage) {
    printf("  %-18s %9.3f s", name, number(stage, "seconds"));
    if (json_object_get(stage, "tokens_per_second"))
      printf("  %8.1f tokens/s  %3.0f %% of the read rate\n", number(stage, "tokens_per_second"),
             100 * number(stage, "fraction_of_bandwidth"));
    else if (!json_object_get(stage, "flops")) printf("\n");
    else
      printf("  %8.3f TFLOP  %8.0f GF/s  %3.0f %% of the best\n", number(stage, "flops") * 1e-12,
             number(stage, "flops") / number(stage, "seconds") * 1e-9, 100 * number(stage, "fraction_of_peak"));
    if (json_object_get(stage, "ratio"))
      printf("  %-18s %9.3f s, a step is %.2f of it\n", "forward alone", number(stage, "forward_seconds"),
             number(stage, "ratio"));
  }
}

static void print_found(const json_t *found) {
  const json_t *memory = json_object_get(found, "memory");
  if (json_object_size(json_object_get(found, "stages"))) {
    print_machine(found);
    print_stages(found);
  }
  if (memory)
    printf("memory: %.0f MB planned, %.0f MB at most\n", number(memory, "planned_bytes") * 1e-6,
           number(memory, "peak_bytes") * 1e-6);
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  bench_options o;
  char *folder = NULL;
  ace_callbacks notify = report_callbacks(r);
  ace_status status = take_options(a, &o, &folder, &err);
  json_t *found = status == ACE_OK ? bench_run(&o, &notify, &err) : NULL;
  term_clear(&r->term);
  free(folder);
  if (!found) return report_failure(r, &err);
  if (args_on(a, "json")) {
    char *text = json_dumps(found, JSON_INDENT(2));
    if (text) puts(text);
    free(text);
  } else print_found(found);
  json_decref(found);
  return CLI_OK;
}

const cli_command cmd_bench = {
    .name = "bench",
    .operands = "",
    .summary = "measure how fast the models run on this machine",
    .flags = flags,
    .notes =
        "  acestep bench --random acestep-v15-turbo --duration 30\n"
        "  acestep bench --models checkpoints --json\n"
        "  acestep bench --lm acestep-5Hz-lm-0.6B --batch 4 --guided\n"
        "  acestep bench --random acestep-v15-turbo --stages train_step --lora-rank 64 --memory 8G\n"
        "\n"
        "Shares are of the best arithmetic and read rates that the same run measured. docs/SPEED.md says how to "
        "measure.",
    .run = run,
};
