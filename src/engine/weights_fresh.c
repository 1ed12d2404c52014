/* weights_fresh.c - the rules, the last one that fits a name counts. */
#include "engine/weights_fresh.h"

#include <math.h>
#include <string.h>

#include "base/strings.h"

typedef enum how {
  ZERO,
  ONE,
  DEVIATION, /* `value` */
  BRANCH     /* 1 / sqrt(width * 2 layers): a stack of residual branches adds up to one (Radford et al. 2019) */
} how;

static const struct rule {
  const char *begins, *ends;
  how how;
  double value;
} rules[] = {
    {"", "norm.weight", ONE, 0},
    {"", "layernorm.weight", ONE, 0},
    {"", "norm_out.weight", ONE, 0},
    {"", ".bias", ZERO, 0},
    {"", "o_proj.weight", BRANCH, 0},
    {"", "down_proj.weight", BRANCH, 0},
    {"embed_tokens", ".weight", DEVIATION, 0.04}, /* of words; a tied table makes logits near 0 */
    /* Gates, scales and shifts of adaptive norms begin at zero, with them every self-attention and feed-forward part of the
     * transformer (Peebles & Xie 2023); cross-attention, which has no gate, is closed by its last projection, and the
     * velocity begins at zero. */
    {"decoder.", "time_proj.weight", ZERO, 0},
    {"decoder.", "scale_shift_table", ZERO, 0},
    {"decoder.", "cross_attn.o_proj.weight", ZERO, 0},
    {"decoder.", "proj_out.1.weight", ZERO, 0},
    {"decoder.", "self_attn.o_proj.weight", DEVIATION, 0}, /* behind a gate: as any matrix */
    {"decoder.", "mlp.down_proj.weight", DEVIATION, 0},
    {"null_condition", "", DEVIATION, 0.02},
    {"encoder.timbre_encoder.special_token", "", DEVIATION, 0.02},
    {"tokenizer.attention_pooler.special_token", "", DEVIATION, 0.02},
};

static double width_of(const weight *w) {
  return w->rank > 1 ? (double)w->dim[1] : 1;
}

static void apply(weight *w, const struct rule *r, int layers) {
  w->mean = r->how == ONE;
  if (r->how == ZERO || r->how == ONE) w->deviation = 0;
  else if (r->how == BRANCH) w->deviation = 1 / sqrt(width_of(w) * 2 * layers);
  else w->deviation = r->value > 0 ? r->value : 1 / sqrt(width_of(w));
}

void weights_fresh(weight_list *l, int layers) {
  for (int i = 0; i < l->n; i++)
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
      if (string_begins(l->at[i].name, rules[k].begins) && string_ends(l->at[i].name, rules[k].ends))
        apply(&l->at[i], &rules[k], layers);
}
