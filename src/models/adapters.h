/* adapters.h - adapters on an opened diffusion model: several at once, a scale each, changed without touching a weight.
 *
 *   adapters *s = adapters_open(dit, threads, &err);
 *   int i = adapters_add(s, file, 1.0, &err);          // from here on the model sings with it
 *   adapters_set(s, i, 0.5, true, &err);
 *   adapters_remove(s, i, &err);                       // and gives the bits it gave before
 *   adapters_close(s);
 *
 * With k_i an adapter's scale and D_i what it changes at full scale, a weight W acts as W + sum of k_i D_i: a scale of 0
 * is the base itself, 1 the adapter as it was trained, in between and beyond the straight line through both. For LoRA
 * and LoKr D is their product; for DoRA it is m V / norm(V) - W with V = W + product, whose norms are found once, when
 * the adapter is added. A change makes what the layers run (linear.h) anew from the files; they stay mapped.
 */
#ifndef ACE_ADAPTERS_H
#define ACE_ADAPTERS_H

#include "formats/adapter_file.h"
#include "models/acestep_dit.h"

/* ---- which layers an adapter may sit on --------------------------------------------------------------------------- */

enum { ADAPTER_NAME_SIZE = 64, ADAPTER_MOST_LAYERS = CFG_MAX_LAYERS * 11 + 7 };

typedef struct adapter_layer {
  char name[ADAPTER_NAME_SIZE]; /* in the decoder: "layers.0.self_attn.q_proj", "condition_embedder" */
  int64_t rows, columns;        /* of its weight */
} adapter_layer;

/* Which module belongs to which layer, and which change nothing. */
typedef struct adapter_fit {
  int *module_of; /* for each layer; -1: none. Owned */
  int used, idle; /* modules that do something; that are zero */
  int n_unknown;  /* names in the file that the model does not have */
  char first_unknown[128];
} adapter_fit;

/* Refuses: a shape that is not the layer's (the first one, with both shapes), nothing that fits, numbers that are not
 * finite, adapters of convolutions that are not zero. `threads` may be NULL. */
ace_status adapter_fit_make(const adapter_file *f, const adapter_layer *layers, int n, pool *threads, adapter_fit *fit,
                            ace_error *err);
void adapter_fit_free(adapter_fit *fit);

/* What LyCORIS adds to the norms of a weight's rows: the spacing of numbers at 1 of the type that it computes in, which is
 * F32 for such weights and else BF16. */
double adapter_norm_padding(const tens *w);

/* The layers of a model; free() them. linears[i] (room for ADAPTER_MOST_LAYERS, or NULL) receives where layer i is. */
adapter_layer *adapter_layers_of(acestep_dit *m, int *n, linear **linears);

/* ---- adapters in use ---------------------------------------------------------------------------------------------- */

typedef struct adapter {
  adapter_file *file; /* owned */
  adapter_fit fit;
  float **factors; /* DoRA, for each layer: [rows] or [columns] numbers m / norm(V); NULL: none. Owned */
  double scale;
  bool on;
} adapter;

typedef struct adapters adapters;

/* Nothing loaded. The model outlives the set; `threads` too, and may be NULL. */
adapters *adapters_open(acestep_dit *m, pool *threads, ace_error *err);
/* The model is plain again. */
void adapters_close(adapters *s);

int adapters_count(const adapters *s);
const adapter *adapters_at(const adapters *s, int i);
/* Bytes of what the layers run beside their weights. */
size_t adapters_bytes(const adapters *s);

/* The index of the new one, or -1. Takes the file, also when it fails. */
int adapters_add(adapters *s, adapter_file *file, double scale, ace_error *err);
/* A failure leaves everything as it was. */
ace_status adapters_set(adapters *s, int i, double scale, bool on, ace_error *err);
/* All of them on or off, at their scales. */
ace_status adapters_switch(adapters *s, bool on, ace_error *err);
ace_status adapters_remove(adapters *s, int i, ace_error *err);
void adapters_remove_all(adapters *s);

#endif
