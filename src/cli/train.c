/* acestep train - an adapter from prepared samples, or all of a model: the table of settings as flags, progress with the
 * course of the loss, and a Ctrl-C that stops and saves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/opening.h"
#include "cli/signals.h"
#include "engine/train.h"
#include "engine/train_autoencoder.h"
#include "train/autoencoder_task.h"
#include "train/settings.h"

/* clang-format off */
#define TRAIN_OPERAND_INT(operand)    operand
#define TRAIN_OPERAND_NUMBER(operand) operand
#define TRAIN_OPERAND_CHOICE(operand) operand
#define TRAIN_OPERAND_TEXT(operand)   operand
#define TRAIN_OPERAND_PATH(operand)   operand
#define TRAIN_OPERAND_BOOL(operand)   "[BOOL]"
#define TRAIN_FLAG(field, flag, type, operand, lo, hi, step, values, guide, rest, lokr, lokr_rest, help) \
  {flag, 0, TRAIN_OPERAND_##type(operand), help},
static const cli_flag flags[] = {
    TRAIN_SETTINGS(TRAIN_FLAG)
#define TRAIN_ALIAS_FLAG(theirs, ours) {theirs, 0, "VALUE", "The same as --" ours},
    TRAIN_ALIASES(TRAIN_ALIAS_FLAG)
    {"full", 0, "PART", "Train all weights of dit, tokenizer, lm, autoencoder or decoder instead of an adapter (--adapter full --part)"},
    {"init-config", 0, "FILE", "With --full autoencoder: a new model with this config.json (see docs/TRAINING.md)"},
    {"crop-frames", 0, "N", "With --full autoencoder: latent frames in a crop, of which 25 are a second (default: 25)"},
    {"model", 'm', "NAME", "Diffusion model to train for (default: the first usable one)"},
    {"lm", 0, "NAME", "Language model to train, with --full lm"},
    {"estimate", 0, NULL, "Tell memory and time, and stop there"},
    OPENING_MODELS,
    OPENING_MACHINE,
    {"json", 0, NULL, "Events as JSON on standard output, one object a line"},
    {"quiet", 'q', NULL, "No progress"},
    {0}};
/* clang-format on */

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static ace_status read_settings(const args *a, train_settings *s, ace_error *err) {
  const char *kind = NULL;
  for (int i = 0; i < a->n_given; i++) {
    const train_setting *t = a->given[i].flag ? train_setting_find(a->given[i].flag->name) : NULL;
    if (t && strcmp(t->name, "adapter") == 0) kind = a->given[i].value;
  }
  int chosen = kind && strcmp(kind, "lokr") == 0 ? TRAIN_LOKR : TRAIN_LORA;
  const char *part = args_value(a, "full");
  if (part || (kind && strcmp(kind, "full") == 0)) chosen = TRAIN_FULL;
  ace_status status = train_settings_init(s, TRAIN_SURFACE_GUIDE, chosen, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < a->n_given && status == ACE_OK; i++) {
    const train_setting *t = a->given[i].flag ? train_setting_find(a->given[i].flag->name) : NULL;
    if (t) status = train_settings_set(s, t->name, a->given[i].value, err);
  }
  if (status == ACE_OK && part) status = train_settings_set(s, "part", part, err);
  if (status == ACE_OK && a->n_operands) status = train_settings_set(s, "dataset_dir", a->operand[0], err);
  if (status == ACE_OK) status = train_settings_check(s, err);
  if (status != ACE_OK) train_settings_free(s);
  return status;
}

/* ---- what the trainer tells -------------------------------------------------------------------------------------- */

enum { SPARKS = 40 };

typedef struct watching {
  report *r;
  double loss[SPARKS]; /* smoothed, at even distances over the training */
  int n;
  int64_t next; /* step of the next point */
  double told;  /* seconds, when the line was shown last */
} watching;

/* The course of the loss in one line: eight heights between its least and its most. */
static const char *sparkline(const watching *w, char out[SPARKS * 4]) {
  static const char *const bar[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double lo = INFINITY, hi = -INFINITY;
  for (int i = 0; i < w->n; i++) lo = fmin(lo, w->loss[i]), hi = fmax(hi, w->loss[i]);
  out[0] = 0;
  for (int i = 0; i < w->n; i++) {
    int height = hi > lo ? (int)((w->loss[i] - lo) / (hi - lo) * 7.999) : 3;
    strcat(out, bar[height < 0 ? 0 : height > 7 ? 7 : height]);
  }
  return out;
}

static void on_step(void *user, const train_step *s) {
  watching *w = user;
  ace_callbacks notify = report_callbacks(w->r);
  ace_progress p = {.stage = "train",
                    .fraction = s->steps ? (double)s->step / (double)s->steps : 0,
                    .seconds_left = s->left,
                    .step = (int)s->step,
                    .steps = (int)s->steps};
  report_event(w->r, json_pack("{s:s, s:i, s:I, s:I, s:f, s:f, s:f, s:f}", "event", "step", "epoch", s->epoch, "step",
                               (json_int_t)s->step, "steps", (json_int_t)s->steps, "loss", s->loss, "ema", s->ema, "lr",
                               s->rate, "grad_norm", s->norm));
  notify.progress(notify.user, &p);
  if (s->step < w->next) return;
  const double pause = 5;
  char line[SPARKS * 4];
  if (w->n == SPARKS) memmove(w->loss, w->loss + 1, (SPARKS - 1) * sizeof *w->loss), w->n--;
  w->loss[w->n++] = s->ema;
  w->next = s->step + (s->steps + SPARKS - 1) / SPARKS;
  if (w->n < 2 || (s->seconds - w->told < pause && s->step < s->steps)) return;
  report_note(w->r, "loss %.4f  %s", s->ema, sparkline(w, line));
  w->told = s->seconds;
}

static void on_log(void *user, const char *line) {
  const watching *w = user;
  ace_callbacks notify = report_callbacks(w->r);
  notify.log(notify.user, line);
}

static bool on_cancelled(void *user) {
  const watching *w = user;
  ace_callbacks notify = report_callbacks(w->r);
  return notify.cancelled(notify.user);
}

/* ---- with an engine ---------------------------------------------------------------------------------------------- */

static int finished(const train_outcome *out, bool is_adapter, report *r, const ace_error *err, ace_status status) {
  if (status != ACE_OK) return report_failure(r, err);
  if (out->stopped) {
    report_note(r, "stopped after %lld steps; go on with the same command and --resume %s", (long long)out->step,
                out->folder ? out->folder : "");
    return CLI_SIGNAL + signals_caught();
  }
  if (out->folder) {
    if (is_adapter) report_note(r, "sing with it: acestep generate \"...\" --lora %s", out->folder);
    report_path(r, out->folder);
  }
  report_done(r);
  return CLI_OK;
}

static int train(ace_engine *e, const args *a, const train_settings *s, const train_group *group, report *r) {
  ace_error err = {0};
  watching w = {.r = r};
  train_events events = {.log = on_log, .step = on_step, .cancelled = on_cancelled, .user = &w};
  if (args_on(a, "estimate")) {
    json_t *found = engine_train_estimate(e, s, &events, &err);
    if (!found) return report_failure(r, &err);
    json_object_set_new(found, "event", json_string("estimate"));
    report_event(r, found);
    report_done(r);
    return CLI_OK;
  }
  train_outcome out;
  ace_status status = engine_train(e, s, group, &events, &out, &err);
  int code = finished(&out, s->adapter != TRAIN_FULL, r, &err, status);
  train_outcome_free(&out);
  return code;
}

/* ---- the autoencoder, which needs no other model ----------------------------------------------------------------- */

/* The folder of the model to begin with, free() it. */
static char *autoencoder_folder(const args *a, ace_error *err) {
  const char *name = args_value(a, "vae");
  char *models = folder_models(args_value(a, "models"), err),
       *folder = models ? file_join(models, name ? name : "vae") : NULL;
  if (models && !folder) ace_fail(err, ACE_ENOMEM, "train: out of memory");
  free(models);
  return folder;
}

static ace_status read_autoencoder(const args *a, autoencoder_training *t, ace_error *err) {
  enum { THREADS_MOST = 1024 };
  const char *threads = args_value(a, "threads"), *memory = args_value(a, "memory"),
             *crop = args_value(a, "crop-frames");
  if (args_on(a, "estimate")) return ace_fail(err, ACE_EINVAL, "--estimate: not with --part autoencoder or decoder");
  ace_status status = ACE_OK;
  if (threads) status = args_int(threads, "--threads", 1, THREADS_MOST, &t->threads, err);
  if (status == ACE_OK && memory) status = args_bytes(memory, "--memory", &t->memory, err);
  if (status == ACE_OK && crop)
    status = args_int(crop, "--crop-frames", 1, AUTOENCODER_CROP_MOST, &t->crop_frames, err);
  return status;
}

static int run_autoencoder(const args *a, const train_settings *s, report *r) {
  enum { CROP_FRAMES = 25 };
  ace_error err = {0};
  watching w = {.r = r};
  train_events events = {.log = on_log, .step = on_step, .cancelled = on_cancelled, .user = &w};
  train_group group = {.size = 1};
  train_outcome out = {0};
  autoencoder_training t = {.settings = s,
                            .config = args_value(a, "init-config"),
                            .crop_frames = CROP_FRAMES,
                            .group = &group,
                            .events = &events};
  ace_status status = read_autoencoder(a, &t, &err);
  char *folder = status == ACE_OK && !t.config ? autoencoder_folder(a, &err) : NULL;
  if (status == ACE_OK && !t.config && !folder) status = err.status;
  t.model = folder;
  if (status == ACE_OK) status = group_open(&group, &err);
  bool open = status == ACE_OK;
  if (open && group.rank > 0) report_open(r, false, true);
  if (open) status = train_autoencoder(&t, &out, &err);
  int code = finished(&out, false, r, &err, status);
  if (open) group_close(&group);
  train_outcome_free(&out);
  free(folder);
  return code;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int run(const args *a, report *r) {
  ace_error err = {0};
  train_settings s = {0};
  opening o = {0};
  ace_request *request = ace_request_new(ACE_PROFILE_CLI);
  const char *model = args_value(a, "model");
  train_group group = {.size = 1};
  ace_status status = request ? read_settings(a, &s, &err) : ace_fail(&err, ACE_ENOMEM, "train: out of memory");
  if (status == ACE_OK && s.adapter == TRAIN_FULL && s.part >= TRAIN_PART_AUTOENCODER) {
    int code = run_autoencoder(a, &s, r);
    ace_request_free(request);
    train_settings_free(&s);
    return code;
  }
  if (status == ACE_OK && model) status = ace_request_set(request, "model", model, &err);
  if (status == ACE_OK) status = opening_plan(&o, a, request, false, r, &err);
  if (status == ACE_OK) status = group_open(&group, &err);
  if (status == ACE_OK && group.rank > 0) report_open(r, false, true); /* the first one speaks for all */
  ace_engine *e = status == ACE_OK ? ace_engine_open(o.models, &o.options, &err) : NULL;
  report_phase(r);
  int code = e ? train(e, a, &s, &group, r) : report_failure(r, &err);
  if (e) group_close(&group);
  ace_engine_close(e);
  opening_free(&o);
  ace_request_free(request);
  train_settings_free(&s);
  return code;
}

const cli_command cmd_train = {
    .name = "train",
    .operands = "[DIR]",
    .summary = "train a LoRA or LoKr adapter on prepared songs",
    .flags = flags,
    .most_operands = 1,
    .notes =
        "DIR is the folder of prepared samples (the same as --dataset-dir). Ctrl-C stops and saves; the same command "
        "with\n"
        "--resume and the output folder goes on, to the bit as if nothing had been. docs/TRAINING.md is a tutorial.\n"
        "\n"
        "  acestep train tensors --epochs 500 --output-dir my-style\n"
        "  acestep train tensors --epochs 500 --output-dir my-style --resume my-style\n"
        "  acestep train tensors --adapter lokr --estimate",
    .run = run,
};
