/* tiny_parts.h - the parts of the miniature, written one after the other by tiny.c. Inside this room only. */
#ifndef ACE_ENGINE_TINY_PARTS_H
#define ACE_ENGINE_TINY_PARTS_H

#include "engine/tiny.h"
#include "engine/weights.h"
#include "formats/config.h"

/* One run of tiny_make. */
typedef struct tiny_job {
  const char *folder;
  const ace_callbacks *notify; /* may be NULL */
  double from, to;             /* the present part's share of the whole job, 0..1 */
  int step, steps;             /* which part this is */
} tiny_job;

/* Reports that `done` (0..1) of the present part is done; ACE_ECANCELED when the caller asks to stop. */
ace_status tiny_progress(const tiny_job *job, double done, ace_error *err);
/* "<folder>/<part>/<file>"; free() it. NULL, with `err` set, when out of memory. */
char *tiny_path(const tiny_job *job, const char *part, const char *file, ace_error *err);
ace_status tiny_write_text(const tiny_job *job, const char *part, const char *file, const char *text, ace_error *err);

/* ---- configurations (tiny_configs.c) ---- */

enum { TINY_CONFIG_SIZE = 2048, TINY_CODES = 5 * 5 * 4 * 4 /* audio codes: the product of the quantiser's levels */ };

/* The text of each config.json. */
void tiny_dit_text(char out[TINY_CONFIG_SIZE], bool turbo);
typedef struct tiny_qwen3_sizes {
  const char *architecture;
  int hidden, intermediate, head_dim, heads, kv_heads, layers /* 1..8 */, vocabulary, beginning, end;
} tiny_qwen3_sizes;

/* The config.json of a language model or text encoder of these sizes, as the published ones are. */
void tiny_qwen3_text(char *out, size_t size, const tiny_qwen3_sizes *s);
void tiny_text_encoder_text(char out[TINY_CONFIG_SIZE], int vocabulary, int end_of_text);
void tiny_lm_text(char out[TINY_CONFIG_SIZE], int vocabulary, int end_of_text, int end_of_turn);
extern const char tiny_vae_text[];

/* ---- weights (tiny_weights.c): <part>/model.safetensors, or diffusion_pytorch_model.safetensors ---- */

/* Fills the list and writes it as <part>/<file> in BF16, in the order of names. */
ace_status tiny_write_list(const tiny_job *job, const char *part, const char *file, weight_list *l, ace_error *err);
ace_status tiny_write_dit(const tiny_job *job, const char *part, const dit_config *cfg, ace_error *err);
ace_status tiny_write_qwen3(const tiny_job *job, const char *part, const qwen3_config *cfg, bool language_model,
                            ace_error *err);
ace_status tiny_write_vae(const tiny_job *job, const char *part, const vae_config *cfg, ace_error *err);

/* ---- silence (tiny_silence.c) ---- */

enum { TINY_SILENCE_FRAMES = 1500 };

/* What the autoencoder in <vae> makes of silence, as [64, TINY_SILENCE_FRAMES]; free() it. */
float *tiny_silence(const tiny_job *job, const char *vae, ace_error *err);
/* Writes it as <part>/silence_latent.pt. */
ace_status tiny_write_silence(const tiny_job *job, const char *part, const float *silence, ace_error *err);

/* ---- tokenizer (tiny_tokenizer.c, tiny_merges.c, tiny_corpus.c) ---- */

enum { TINY_BYTES = 256, TINY_VOCABULARY = 768, TINY_VOCABULARY_MOST = 3072, TINY_TOKEN_SIZE = 64 };

/* A learned vocabulary of byte-pair encoding: the bytes, then what merging makes of them. */
typedef struct tiny_merges {
  char token[TINY_VOCABULARY_MOST][TINY_TOKEN_SIZE]; /* in the printable alphabet, NUL-terminated */
  int n_tokens;
  int left[TINY_VOCABULARY_MOST], right[TINY_VOCABULARY_MOST]; /* rules, the first one learned first */
  int n_rules;
} tiny_merges;

/* Texts to learn from; NULL behind the last. */
extern const char *const tiny_corpus[];

/* Up to `vocabulary` tokens, 256..TINY_VOCABULARY_MOST. */
ace_status tiny_learn(tiny_merges *m, const char *const *corpus, int vocabulary, ace_error *err);

/* Ids that configurations and weights must know. */
typedef struct tiny_ids {
  int vocabulary, end_of_text, end_of_turn;
} tiny_ids;

/* The text of a tokenizer.json with that many audio codes at the end of its ids (0: a text encoder's, which appends an
 * end-of-text token to every text). free() it; NULL when out of memory. */
char *tiny_tokenizer_text(const tiny_merges *m, int codes, tiny_ids *ids);

/* Writes the same, tokenizer_config.json and special_tokens_map.json. */
ace_status tiny_write_tokenizer(const tiny_job *job, const char *part, const tiny_merges *m, int codes, tiny_ids *ids,
                                ace_error *err);

#endif
