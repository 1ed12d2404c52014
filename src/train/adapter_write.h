/* adapter_write.h - a trained adapter as files that other programs read.
 *
 *   LoRA   FOLDER/adapter_config.json and FOLDER/adapter_model.safetensors, as PEFT writes and reads them
 *   LoKr   FOLDER/lokr_weights.safetensors, as LyCORIS does
 *
 * A single file (ComfyUI) is adapter_export.h's.
 */
#ifndef ACE_TRAIN_ADAPTER_WRITE_H
#define ACE_TRAIN_ADAPTER_WRITE_H

#include "train/settings.h"
#include "train/task.h"
#include "train/trainee.h"

/* The name of a trainee's tensor in such a file: "base_model.model.layers.0.self_attn.q_proj.lora_A.weight",
 * "lycoris_layers_0_self_attn_q_proj.lokr_w1". */
void adapter_tensor_name(const trainee_tensor *t, char out[TRAIN_NAME_SIZE]);

/* Writes the values in F32, settled ones (trainee.h): there are no scalars in files. base: name of the model's folder, or
 * NULL. */
ace_status adapter_write(const trainee *t, const train_settings *s, const char *base, const char *folder,
                         ace_error *err);
/* Reads values back into the trainee: the same layers, shapes and kind; scalars are 1. The message lists what differs. */
ace_status adapter_read(trainee *t, const char *folder, ace_error *err);

#endif
