#include "score/lm_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "planner/span.h"

enum { TOP = 10 };

double lm_score_recall(int rank) {
  return rank >= 1 && rank <= TOP ? 1 - (double)(rank - 1) / TOP : 0;
}

double lm_score_pmi(double pmi, double scale) {
  const double most = 700; /* exp of more is no double */
  double x = -pmi / scale;
  return x > most ? 0 : 1 / (1 + exp(x));
}

double lm_score_global(const lm_score *s) {
  const double caption = 0.5, lyrics = 0.3, metadata = 0.2;
  double sum = 0, weights = 0, others = 0;
  int n = 0;
  for (int i = 0; i < PLAN_FIELDS; i++) {
    if (!s->has[i] || i == PLAN_CAPTION) continue;
    others += s->field[i];
    n++;
  }
  if (s->has[PLAN_CAPTION]) sum += caption * s->field[PLAN_CAPTION], weights += caption;
  if (s->has_lyrics) sum += lyrics * s->lyrics, weights += lyrics;
  if (n > 0) sum += metadata * others / n, weights += metadata;
  return weights > 0 ? sum / weights : 0;
}

/* ---- the answers that would be right ----------------------------------------------------------------------------- */

enum { LYRICS = PLAN_FIELDS, MOST_ANSWERS };

typedef struct answers {
  plan_prompt text[MOST_ANSWERS];
  int of[MOST_ANSWERS]; /* plan_field, or LYRICS */
  int n;
} answers;

static void answers_free(answers *a) {
  for (int i = 0; i < a->n; i++) plan_prompt_free(&a->text[i]);
  *a = (answers){0};
}

static ace_status add_value(answers *a, plan_field field, const plan_value *value, ace_error *err) {
  ace_status status = plan_expect_value(&a->text[a->n], field, value, err);
  if (status == ACE_OK) a->of[a->n++] = (int)field;
  return status;
}

/* Caption and lyrics come first: they are what the unconditional prompt is asked for, too. */
static ace_status expect_answers(const lm_score_wish *w, answers *a, int *pmi, ace_error *err) {
  *a = (answers){0};
  char nothing[] = "";
  plan_value empty = {.kind = PLAN_TEXT, .text = nothing}, caption = w->metadata->field[PLAN_CAPTION];
  ace_status status = add_value(a, PLAN_CAPTION, caption.kind == PLAN_ABSENT ? &empty : &caption, err);
  if (status == ACE_OK && !plan_is_blank(plan_span_of(w->lyrics))) {
    status = plan_expect_lyrics(&a->text[a->n], w->lyrics, err);
    if (status == ACE_OK) a->of[a->n++] = LYRICS;
  }
  *pmi = a->n;
  for (int i = 0; i < PLAN_FIELDS && status == ACE_OK; i++)
    if (i != PLAN_CAPTION && plan_has(w->metadata, (plan_field)i))
      status = add_value(a, (plan_field)i, &w->metadata->field[i], err);
  if (status != ACE_OK) answers_free(a);
  return status;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

/* What is gathered about one answer. */
typedef struct tally {
  double logs, recall;
  int64_t n;
} tally;

static void count_token(void *user, int target, const plan_forced *token) {
  tally *t = (tally *)user + target;
  t->logs += token->log_probability;
  t->recall += lm_score_recall(token->rank);
  t->n++;
}

static ace_status force(const plan_lm *lm, const char *codes, const answers *a, int n, const plan_how *how,
                        tally *tallies, ace_error *err) {
  plan_prompt prompt;
  plan_settings settings;
  ace_status status = plan_ask_understand(&prompt, &settings, codes, err);
  if (status != ACE_OK) return status;
  status = plan_force(lm, &prompt, a->text, n, how, count_token, tallies, err);
  plan_prompt_free(&prompt);
  plan_settings_free(&settings);
  return status;
}

ace_status lm_score_make(const plan_lm *lm, const lm_score_wish *w, const plan_how *how, lm_score *out,
                         ace_error *err) {
  *out = (lm_score){0};
  if (plan_is_blank(plan_span_of(w->codes))) return ace_fail(err, ACE_EINVAL, "score: the song has no audio codes");
  if (!(w->scale > 0)) return ace_fail(err, ACE_EINVAL, "score: a sensitivity of %g is not above 0", w->scale);
  answers a;
  int pmi;
  tally with[MOST_ANSWERS] = {{0}}, without[MOST_ANSWERS] = {{0}};
  ace_status status = expect_answers(w, &a, &pmi, err);
  if (status != ACE_OK) return status;
  status = force(lm, w->codes, &a, a.n, how, with, err);
  if (status == ACE_OK) status = force(lm, "", &a, pmi, how, without, err);
  for (int i = 0; i < a.n && status == ACE_OK; i++) {
    double n = (double)with[i].n;
    double score = i < pmi ? lm_score_pmi(with[i].logs / n - without[i].logs / n, w->scale) : with[i].recall / n;
    if (a.of[i] == LYRICS) out->has_lyrics = true, out->lyrics = score;
    else out->has[a.of[i]] = true, out->field[a.of[i]] = score;
  }
  answers_free(&a);
  if (status == ACE_OK) out->global = lm_score_global(out);
  return status;
}
