/* adapter_file.h - adapters as they are published, without any knowledge of the model that they are for.
 *
 *   adapter_file *f = adapter_file_open("lora/final", &err);
 *   for (int i = 0; i < f->n_modules; i++) ... f->module[i].name, .a, .b ...
 *   adapter_file_close(f);
 *
 * Three forms, all safetensors: a PEFT folder (adapter_config.json, adapter_model.safetensors; also as the subfolder
 * "adapter" of a training's output); a single LoRA file (ComfyUI, kohya); a LoKr file of LyCORIS
 * (lokr_weights.safetensors, or a file with lokr_config in its metadata). Pickled files are refused unread.
 *
 * What a module adds to its weight W [out, in], before any scale of the user's:
 *   LoRA   scale * B A
 *   LoKr   scale * (W1 kron W2),  W1 = w1 or w1_a w1_b,  W2 likewise
 * and with a magnitude m (DoRA, Liu et al. 2024), with V = W + that:  m V / (norm(V) + eps) takes the place of W.
 */
#ifndef ACE_ADAPTER_FILE_H
#define ACE_ADAPTER_FILE_H

#include "base/json.h"
#include "formats/safetensors.h"

typedef enum adapter_kind { ADAPTER_LORA, ADAPTER_LOKR } adapter_kind;

/* Tensors hold F32, BF16 or F16. They are matrices whose shapes fit each other, not yet a model; only those of a
 * convolution are not looked at any further. */
typedef struct adapter_module {
  char *name; /* of the layer, without prefix: "layers.0.self_attn.q_proj", or flattened "layers_0_self_attn_q_proj" */
  adapter_kind kind;
  const st_tensor *a, *b;            /* LoRA: [r, in], [out, r] */
  const st_tensor *w1, *w1_a, *w1_b; /* LoKr: [p, q], or [p, r] and [r, q] */
  const st_tensor *w2, *w2_a, *w2_b; /* the same */
  const st_tensor *magnitude;        /* [out], [out, 1], or [1, in]: then norms run over columns. NULL: no DoRA */
  const st_tensor *core;             /* of a Tucker decomposition, which only convolutions have */
  bool convolution;
  bool norm_of_columns;  /* the magnitude belongs to columns, not rows */
  bool padded_norm;      /* LyCORIS adds eps to the norm, PEFT does not */
  int64_t rank;          /* of the factors; LoKr of two full matrices: 0 */
  double alpha, scale;   /* scale: alpha / rank or alpha / sqrt(rank), times the module's scalar */
  int64_t rows, columns; /* out, in */
  int64_t p, q, c, d;    /* LoKr: W1 is [p, q], W2 [c, d] */
} adapter_module;

typedef struct adapter_file {
  char *path;             /* of the weights */
  st_file *weights;       /* owned */
  json_t *config;         /* adapter_config.json, or the metadata's lokr_config; NULL: none */
  adapter_module *module; /* sorted by name */
  int n_modules;
  int n_unknown; /* tensors that belong to no kind of adapter */
  char first_unknown[128];
  int64_t bytes; /* of the modules' tensors */
} adapter_file;

/* `path`: a folder or a .safetensors file. Refused with a reason: pickles, halves of a pair, shapes that do not fit
 * each other, bias and modules_to_save, what is not float. */
adapter_file *adapter_file_open(const char *path, ace_error *err);
/* The same from parts: takes `weights`, and a reference to `config` (may be NULL), also when it fails. For fuzzing. */
adapter_file *adapter_file_from(st_file *weights, json_t *config, const char *where, ace_error *err);
void adapter_file_close(adapter_file *f);

/* What it is, as a JSON object: {"type": "lora" or "lokr", "rank" (the largest; null: none), "alpha" (null where layers
 * differ), "dora", "layers", "targets": ["self_attn.q_proj", ...], "bytes"}. A new reference; NULL: out of memory. */
json_t *adapter_file_about(const adapter_file *f);

/* Does the path look like an adapter at all, by its names and metadata alone? */
bool adapter_file_is_one(const char *path);

/* SHA-256 of the weight file, 64 hex digits and NUL. */
ace_status adapter_file_hash(const adapter_file *f, char out[65], ace_error *err);

#endif
