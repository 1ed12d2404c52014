/* check_gradients.c - gradients of the weights of the diffusion transformer themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "models/adapters.h"
#include "models/dit.h"
#include "tensor/tape.h"

enum { MOST_WEIGHTS = 64 };

typedef struct weight {
  char name[128]; /* in the case */
  float *grad;    /* [count], owned */
  int64_t count;
  const tens *w;
  bool reversed; /* published [C, O, taps], here [taps, O, C] */
} weight;

typedef struct weights {
  golden_case *k;
  tape *tape;
  weight item[MOST_WEIGHTS];
  int n;
} weights;

/* Watches w if the case has its gradient. */
static void add(weights *s, const tens *w, bool reversed, const char *name) {
  ace_error err;
  weight *to = &s->item[s->n];
  snprintf(to->name, sizeof to->name, "out.grad.decoder.%s", name);
  if (s->n == MOST_WEIGHTS || !case_has(s->k, to->name)) return;
  to->w = w, to->reversed = reversed, to->count = tens_count(w);
  to->grad = calloc((size_t)to->count, sizeof *to->grad);
  s->n++;
  if (!to->grad || !tape_watch(s->tape, w, to->grad, &err)) case_fail(s->k, to->name, "out of memory");
}

static void add_layer(weights *s, const dit_layer *l, int i) {
  const struct {
    const char *name;
    const tens *w;
  } part[] = {{"self_attn_norm.weight", &l->self_norm},
              {"cross_attn_norm.weight", &l->cross_norm},
              {"mlp_norm.weight", &l->mlp_norm},
              {"scale_shift_table", &l->table},
              {"self_attn.q_norm.weight", &l->self.q_norm},
              {"self_attn.k_norm.weight", &l->self.k_norm},
              {"cross_attn.q_norm.weight", &l->cross.q_norm},
              {"cross_attn.k_norm.weight", &l->cross.k_norm}};
  char name[96];
  for (size_t j = 0; j < sizeof part / sizeof *part; j++) {
    snprintf(name, sizeof name, "layers.%d.%s", i, part[j].name);
    add(s, part[j].w, false, name);
  }
}

static void add_all(weights *s, acestep_dit *m) {
  int n = 0;
  linear *linears[ADAPTER_MOST_LAYERS];
  adapter_layer *layer = adapter_layers_of(m, &n, linears);
  char name[96];
  for (int i = 0; layer && i < n; i++) {
    snprintf(name, sizeof name, "%s.weight", layer[i].name);
    add(s, &linears[i]->w, false, name);
  }
  free(layer);
  for (int i = 0; i < m->cfg.layers; i++) add_layer(s, &m->decoder.layers[i], i);
  add(s, &m->decoder.norm_out, false, "norm_out.weight");
  add(s, &m->decoder.table, false, "scale_shift_table");
  add(s, &m->decoder.proj_in, false, "proj_in.1.weight");
  add(s, &m->decoder.proj_out, true, "proj_out.1.weight");
}

/* [a, b, c] to [c, b, a] */
static void reverse(const weight *w, float *out) {
  int64_t a = w->w->dim[0], b = w->w->dim[1], c = w->w->dim[2];
  for (int64_t i = 0; i < a; i++)
    for (int64_t j = 0; j < b; j++)
      for (int64_t l = 0; l < c; l++) out[(l * b + j) * a + i] = w->grad[(i * b + j) * c + l];
}

static void compare(golden_case *k, weight *w) {
  float *turned = w->reversed ? malloc((size_t)w->count * sizeof *turned) : NULL;
  if (turned) reverse(w, turned);
  case_compare_floats(k, w->name, turned ? turned : w->grad, w->count, k->tolerance);
  free(turned);
  free(w->grad);
}

/* x_t = t x1 + (1 - t) x0 and x1 - x0, item by item. */
static void flow(const tens *x0, const tens *x1, const tens *t, tens *x, tens *v) {
  int64_t each = tens_count(x0) / x0->dim[0];
  for (int64_t i = 0; i < tens_count(x0); i++) {
    float at = tens_f32(t)[i / each], a = tens_f32(x0)[i], b = tens_f32(x1)[i];
    tens_f32(x)[i] = at * b + (1 - at) * a;
    tens_f32(v)[i] = b - a;
  }
}

void check_train_grads(golden_case *k) {
  tens_ctx *c = k->g->c;
  ace_error err;
  char *folder = golden_checkpoint(k->g, "acestep-v15-base");
  acestep_dit *m = folder ? acestep_dit_open(folder, &err) : NULL;
  weights s = {.k = k, .tape = tape_open(&err)};
  tens *x0 = case_tensor(k, "in.x0"), *x1 = case_tensor(k, "in.x1"), *t = case_tensor(k, "in.t");
  tens *x = x0 ? tens_new(c, TENS_F32, x0->rank, x0->dim) : NULL,
       *v = x0 ? tens_new(c, TENS_F32, x0->rank, x0->dim) : NULL;
  tens *context = case_tensor(k, "in.context_latents"), *encoded = case_tensor(k, "in.encoder_hidden_states");
  if (m && s.tape && x1 && t && x && v) {
    dit_condition condition;
    add_all(&s, m);
    flow(x0, x1, t, x, v);
    tape_recompute(s.tape, true);
    tape_begin(c, s.tape);
    dit_attend(c, m, encoded, &condition);
    tens *got = dit_velocity(c, m, &condition, context, x, t, t);
    tens *loss = op_mean_square(c, got, v, NULL);
    tape_backward(c, loss, 1.0f / (float)x0->dim[0]);
    tape_end(c);
    case_compare_product(k, "out.velocity", got);
    float mean = 0;
    for (int64_t i = 0; loss && i < x0->dim[0]; i++) mean += tens_f32(loss)[i] / (float)x0->dim[0];
    case_compare_floats(k, "out.loss", &mean, 1, 1e-5);
    for (int i = 0; i < s.n; i++) compare(k, &s.item[i]);
  } else case_fail(k, "acestep-v15-base", "could not be opened");
  tape_close(s.tape);
  acestep_dit_close(m);
  free(folder);
}
