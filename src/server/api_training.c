/* api_training.c - prepared samples and trained adapters over HTTP. This server does not train: the routes that would start
 * it say so in the words that clients know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/text.h"
#include "server/paths.h"
#include "train/export.h"
#include "train/sample_set.h"

enum { MESSAGE = 2048 };

static void get_status(call *c) {
  reply_data(
      c, json_pack("{s:b, s:b, s:i, s:n, s:s, s:{}, s:n, s:[], s:n, s:n, s:s, s:n, s:i, s:f, s:f, s:n}", "is_training",
                   0, "should_stop", 0, "current_step", 0, "current_loss", "status", "Idle", "config", "tensor_dir",
                   "loss_history", "tensorboard_url", "tensorboard_logdir", "training_log", "", "start_time",
                   "current_epoch", 0, "steps_per_second", 0.0, "estimated_time_remaining", 0.0, "error"));
}

static void post_start(call *c) {
  reply_error(c, 500, "Failed to start training: not supported");
}

static void post_stop(call *c) {
  reply_data(c, json_pack("{s:s}", "message", "No training in progress"));
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static json_t *info_json(const sample_set *set, const char *folder) {
  const char *name = sample_set_text(set, "name"), *tag = sample_set_text(set, "custom_tag");
  char message[MESSAGE];
  if (set->listed)
    snprintf(message, sizeof message,
             "\xf0\x9f\x93\x82 Loaded preprocessed dataset: %.400s\n\xf0\x9f\x94\xa2 Samples: %d preprocessed tensors\n"
             "\xf0\x9f\x8f\xb7\xef\xb8\x8f Custom Tag: %.400s",
             name, set->n, *tag ? tag : "(none)");
  else
    snprintf(message, sizeof message,
             "\xf0\x9f\x93\x82 Found %d tensor files in %.900s\n\xe2\x84\xb9\xef\xb8\x8f No manifest.json found",
             set->n, folder);
  return json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:i}", "dataset_name", name, "num_samples", set->n, "custom_tag",
                   tag, "tensor_dir", folder, "message", message, "missing", set->missing, "unlisted", set->unlisted);
}

static void post_info(call *c) {
  const char *given = NULL;
  if (!typed_text(c, "tensor_dir", true, &given)) return;
  if (req_is_blank(given)) {
    reply_detail(c, 400, "Please enter a tensor directory path");
    return;
  }
  char *folder = path_to_read(c, given, "tensor directory path");
  if (!folder) return;
  sample_set set;
  ace_error err;
  if (sample_set_open(&set, folder, NULL, &err) == ACE_OK) {
    reply_data(c, info_json(&set, folder));
    sample_set_free(&set);
  } else {
    reply_detail(c, 400, "%s", err.message);
  }
  free(folder);
}

/* ---- adapters ---------------------------------------------------------------------------------------------------- */

static void post_export(call *c) {
  const char *to = NULL, *from = NULL, *epoch = NULL;
  if (!typed_text(c, "export_path", true, &to) || !typed_text(c, "lora_output_dir", true, &from) ||
      !typed_text(c, "epoch", false, &epoch))
    return;
  char *source = path_to_read(c, from, "output directory"),
       *destination = source ? path_to_write(c, to, "export path") : NULL;
  export_options o = {.epoch = epoch};
  export_made made = {0};
  ace_error err;
  if (destination) {
    ace_status status = export_adapter(source, destination, &o, &made, &err);
    if (status == ACE_OK)
      reply_data(c, json_pack("{s:s, s:s, s:s}", "message", "LoRA exported successfully", "export_path", made.path,
                              "source", made.source));
    else if (status == ACE_ENOTFOUND)
      reply_detail(c, 404, "No trained model found in %.300s: %.500s", from, err.message);
    else reply_error(c, 500, "Export failed: %s", err.message);
  }
  export_made_free(&made);
  free(source), free(destination);
}

const route routes_training[] = {
    {"GET", "/v1/training/status", AUTH_HEADER, BODY_NONE, false, get_status, "What is being trained", NULL,
     "is_training:bool should_stop:bool current_step:int status config:object loss_history:[object]"},
    {"POST", "/v1/training/start", AUTH_HEADER, BODY_TYPED, false, post_start, "Train a LoRA adapter", ":object",
     ":object"},
    {"POST", "/v1/training/start_lokr", AUTH_HEADER, BODY_TYPED, false, post_start, "Train a LoKr adapter", ":object",
     ":object"},
    {"POST", "/v1/training/stop", AUTH_HEADER, BODY_LOOSE, false, post_stop, "Stop training", NULL, "message"},
    {"POST", "/v1/training/load_tensor_info", AUTH_HEADER, BODY_TYPED, false, post_info,
     "What is in a folder of samples", "tensor_dir", "dataset_name num_samples:int custom_tag tensor_dir message"},
    {"POST", "/v1/training/export", AUTH_HEADER, BODY_TYPED, false, post_export, "Write a trained adapter",
     "export_path lora_output_dir epoch?", "message export_path source"},
    {0},
};
