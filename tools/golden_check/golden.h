/* golden.h - comparing this implementation, number by number, with recorded outputs of the reference.
 *
 * A golden folder has checkpoints/, cases/<name>.safetensors (tensors "in.*", "out.*", parameters as JSON in the
 * header), and may have tokenizer/vectors.json and text/<kind>.json. What a case checks follows from the beginning of
 * its name; all sizes come from the files.
 */
#ifndef ACE_GOLDEN_H
#define ACE_GOLDEN_H

#include "base/json.h"
#include "base/pool.h"
#include "formats/safetensors.h"
#include "models/acestep_dit.h"
#include "models/condition.h"
#include "models/qwen3.h"
#include "models/vae.h"
#include "tensor/ops.h"

/* What matrix tiles, which round factors to BF16, may make of a tensor: the norm of the difference beside that of the
 * reference. The cosine of the two is then above 0.9998. */
#define BF16_RELATIVE 2e-2

typedef struct golden {
  const char *root; /* the golden folder at hand */
  pool *threads;
  tens_ctx *c;
  bool tiles;   /* products are formed from BF16 factors */
  bool verbose; /* a line for each tensor even of text cases */
  int passed, failed, skipped;
} golden;

/* One case file. */
typedef struct golden_case {
  golden *g;
  char name[128];
  st_file *file;
  json_t *params;
  double tolerance;
  int compared, wrong; /* tensors */
} golden_case;

/* ---- reading a case ---------------------------------------------------------------------------------------------- */

bool case_has(const golden_case *k, const char *tensor);
/* The tensor in the context (F32 or I32). Records a failure and returns NULL when it is absent. */
tens *case_tensor(golden_case *k, const char *tensor);
/* Its values, owned by the case's context until the case ends; *count may be NULL. */
const int32_t *case_ints(golden_case *k, const char *tensor, int64_t *count);
const float *case_floats(golden_case *k, const char *tensor, int64_t *count);
/* [B, R, C] F32 -> [B, C, R], new in `c`: goldens keep channels first, the models last. NULL stays NULL. */
tens *swap_last_two(tens_ctx *c, const tens *x);
double case_number(const golden_case *k, const char *param, double fallback);
bool case_flag(const golden_case *k, const char *param, bool fallback);
const char *case_word(const golden_case *k, const char *param, const char *fallback);

/* ---- reporting --------------------------------------------------------------------------------------------------- */

/* max|got-ref| / max|ref| against the tolerance; NULL got = the computation failed. */
void case_compare(golden_case *k, const char *tensor, const tens *got);
void case_compare_floats(golden_case *k, const char *tensor, const float *got, int64_t count, double tolerance);
/* The same for what is made of matrix products: where that fails on matrix tiles, BF16_RELATIVE decides. */
void case_compare_product(golden_case *k, const char *tensor, const tens *got);
void case_compare_product_floats(golden_case *k, const char *tensor, const float *got, int64_t count);
/* max|got-ref| itself. */
void case_compare_absolute(golden_case *k, const char *tensor, const float *got, int64_t count, double tolerance);
void case_compare_ints(golden_case *k, const char *tensor, const int32_t *got, int64_t count);
/* A failure that is no comparison, e.g. a model that would not open. */
void case_fail(golden_case *k, const char *what, const char *why);

void golden_pass(golden *g, const char *name, const char *detail);
void golden_fail(golden *g, const char *name, const char *why);
void golden_skip(golden *g, const char *name, const char *why);

/* checkpoints/<name> below the root; free() it. */
char *golden_checkpoint(const golden *g, const char *name);

/* ---- the checks -------------------------------------------------------------------------------------------------- */

typedef void golden_check(golden_case *k);

golden_check check_text_encoder, check_lyric_embed, check_lm_forward, check_lm_left_pad;
golden_check check_condition_encoder, check_dit_forward, check_audio_tokenizer, check_detokenizer, check_fsq_codes,
    check_fsq_grid, check_prepare;
golden_check check_vae_decode, check_vae_encode, check_vae_tiled_decode, check_vae_tiled_encode;
golden_check check_generate, check_e2e;
golden_check check_train_grads, check_train_lora_grads, check_train_lora_adamw, check_train_forward;
golden_check check_rng, check_schedules, check_dcw, check_dwt, check_apg, check_adg;

void check_tokenizer_vectors(golden *g);
void check_dit_prompts(golden *g);
void check_fsm(golden *g);
void check_lm_prompts(golden *g);
void check_cot_yaml(golden *g);
void check_codes_lists(golden *g);

/* The diffusion checkpoint that a case's name asks for; records a failure. */
acestep_dit *golden_open_dit(golden_case *k);
/* The model with the silence that the case brings along; the data belongs to the case. */
acestep_dit golden_with_silence(golden_case *k, const acestep_dit *m);
/* The inputs of the condition encoder. */
condition_input golden_condition(golden_case *k);

#endif
