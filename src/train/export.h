/* export.h - a trained adapter as files to give away.
 *
 *   export_options o = {.single_file = true};
 *   export_adapter("lora_output", "my-style.safetensors", &o, notify, &made, &err);
 *
 * Source: the output folder of a training (its final adapter, else the checkpoint of the latest epoch, or of the epoch that
 * is asked for), or any adapter that acestep reads. Destination: a folder as PEFT reads it, or one file with the scale
 * of every layer inside, as ComfyUI needs it; LoKr is one file always, lokr_weights.safetensors in a folder. A folder
 * that is there is replaced only if it is an adapter and nothing else.
 */
#ifndef ACE_TRAIN_EXPORT_H
#define ACE_TRAIN_EXPORT_H

#include "base/error.h"

typedef struct export_options {
  const char *epoch; /* of an output folder: "20", or the name of a checkpoint; NULL or "": the final adapter */
  bool single_file;  /* also where the destination's name does not end in .safetensors */
  bool f32;          /* as trained; else BF16, half the size */
} export_options;

typedef struct export_made {
  char *source, *path; /* owned, export_made_free */
  int layers;
  int64_t bytes;
  bool idle; /* it changes nothing: of every layer one factor is zero */
} export_made;

ace_status export_adapter(const char *source, const char *destination, const export_options *options, export_made *made,
                          ace_error *err);
void export_made_free(export_made *m);

/* The adapter that a source means, as a folder or file to open; free() it. */
char *export_source(const char *source, const char *epoch, ace_error *err);

#endif
