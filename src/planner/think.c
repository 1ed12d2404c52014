#include "planner/think.h"

#include <stdlib.h>

enum {
  SPARE = 10,  /* tokens behind the last code that a run may still take */
  MOST = 3500, /* tokens of an answer: 600 s of codes and 500 words */
  SHORTEST = 10,
  LONGEST = 600 /* seconds */
};

/* ---- answers without a grammar ----------------------------------------------------------------------------------- */

/* What the grammar would have seen to: values in range, and the user's own. */
static ace_status put_right(plan_metadata *m, const plan_metadata *user, int max_duration, ace_error *err) {
  ace_status status = plan_grammar_tidy(m, max_duration, err);
  for (int i = 0; i < PLAN_FIELDS && status == ACE_OK; i++) {
    const plan_value *v = &user->field[i];
    if (v->kind == PLAN_NUMBER) plan_set_number(m, (plan_field)i, v->number);
    if (v->kind == PLAN_TEXT) status = plan_set_text(m, (plan_field)i, v->text, v->length, err);
  }
  return status;
}

/* ---- single questions -------------------------------------------------------------------------------------------- */

ace_status plan_ask(const plan_lm *lm, const plan_prompt *prompt, const plan_settings *settings, plan_sampling sampling,
                    uint32_t seed, int max_duration, plan_grammar_log log, const plan_how *how, plan_answer *out,
                    ace_error *err) {
  *out = (plan_answer){0};
  plan_grammar_limits limits = {.max_duration = max_duration, .closed_lyrics = true, .log = log};
  plan_job job = {.prompt = prompt,
                  .settings = settings,
                  .limits = &limits,
                  .sampling = sampling,
                  .items = 1,
                  .seeds = &seed,
                  .most = MOST};
  plan_output tokens;
  ace_status status = plan_lm_run(lm, &job, how, &tokens, err);
  if (status != ACE_OK) return status;
  size_t length;
  char *text = bpe_decode(lm->tokenizer, tokens.item[0].id, tokens.item[0].n, 0, &length);
  status =
      text ? plan_answer_parse(out, text, length, err) : ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  free(text);
  plan_output_free(&tokens);
  if (status == ACE_OK && settings->unconstrained) {
    status = put_right(&out->metadata, &settings->user, max_duration, err);
    if (status != ACE_OK) plan_answer_free(out);
  }
  if (status == ACE_OK && plan_is_empty(&out->metadata)) {
    plan_answer_free(out);
    return ace_fail(err, ACE_EFORMAT, "language model: its answer holds no metadata; try another seed or temperature");
  }
  return status;
}

/* ---- a song ------------------------------------------------------------------------------------------------------ */

static ace_status think_metadata(const plan_lm *lm, const plan_wish *wish, const plan_how *how, plan_song *out,
                                 ace_error *err) {
  plan_metadata given = {0};
  ace_status status = plan_given(&given, &wish->in, err);
  if (status != ACE_OK) return status;
  out->asked = plan_wants_metadata(&wish->in, &given);
  if (!out->asked) {
    out->metadata = given;
    return ACE_OK;
  }
  plan_metadata_free(&given);
  plan_prompt prompt;
  plan_settings settings;
  status = plan_ask_metadata(&prompt, &settings, &wish->in, err);
  if (status != ACE_OK) return status;
  settings.unconstrained = wish->unconstrained;
  plan_answer answer;
  status = plan_ask(lm, &prompt, &settings, wish->sampling, wish->seeds[0], wish->max_duration, wish->log, how, &answer,
                    err);
  if (status == ACE_OK) {
    out->metadata = answer.metadata;
    answer.metadata = (plan_metadata){0};
    plan_answer_free(&answer);
  }
  plan_settings_free(&settings);
  plan_prompt_free(&prompt);
  return status;
}

/* Tokens of one item as codes. */
static ace_status keep_codes(const plan_lm *lm, const bpe_ids *tokens, int item, plan_song *out, ace_error *err) {
  out->codes[item] = malloc((tokens->n + 1) * sizeof *out->codes[item]);
  if (!out->codes[item]) return ace_fail(err, ACE_ENOMEM, "language model: out of memory");
  for (size_t i = 0; i < tokens->n; i++) {
    int32_t code = plan_grammar_code(lm->grammar, tokens->id[i]);
    if (code >= 0) out->codes[item][out->n_codes[item]++] = code;
  }
  return ACE_OK;
}

/* Items first..first+n-1 under the same prompts. */
static ace_status think_chunk(const plan_lm *lm, const plan_wish *wish, const plan_how *how,
                              const plan_prompt prompt[2], double target, int first, int n, plan_song *out,
                              ace_error *err) {
  plan_settings settings = {.phase = PLAN_CODES, .unconstrained = wish->unconstrained};
  plan_grammar_limits limits = {.max_duration = wish->max_duration, .target_duration = target, .log = wish->log};
  double seconds = target < SHORTEST ? SHORTEST : target > wish->max_duration ? wish->max_duration : target;
  plan_job job = {.prompt = &prompt[0],
                  .unconditional = &prompt[1],
                  .guidance = wish->guidance,
                  .settings = &settings,
                  .limits = &limits,
                  .sampling = wish->sampling,
                  .items = n,
                  .seeds = wish->seeds + first,
                  .most = target > 0 ? (int)plan_code_count(seconds) + SPARE : MOST};
  plan_output tokens;
  ace_status status = plan_lm_run(lm, &job, how, &tokens, err);
  for (int i = 0; i < n && status == ACE_OK; i++) {
    status = keep_codes(lm, &tokens.item[i], first + i, out, err);
    if (status == ACE_OK && out->n_codes[first + i] == 0)
      status = ace_fail(err, ACE_EFORMAT, "language model: it wrote no audio codes; try another seed or temperature");
  }
  if (status == ACE_OK || tokens.items) plan_output_free(&tokens);
  return status;
}

/* Items decoded at a time where memory is no matter. */
static int chunk_of(const plan_wish *wish) {
  return wish->together > 0 && wish->together < wish->items ? wish->together : wish->items;
}

static size_t codes_memory(const plan_lm *lm, const plan_wish *wish, tens_dtype cache, int n, size_t prompt,
                           double target) {
  int most = target > 0 && target <= LONGEST ? (int)plan_code_count(target) + SPARE : MOST;
  return plan_lm_memory(lm, cache, n, wish->guidance > 1, prompt, prompt, most);
}

/* Halves the chunk until it fits the memory. */
static int fitting_chunk(const plan_lm *lm, const plan_wish *wish, const plan_how *how, size_t prompt, double target) {
  int n = chunk_of(wish);
  if (plan_lm_is_remote(lm, wish->guidance)) return n; /* the memory is the server's */
  while (n > 1 && codes_memory(lm, wish, how->cache, n, prompt, target) > how->memory) n = (n + 1) / 2;
  return n;
}

static ace_status think_codes(const plan_lm *lm, const plan_wish *wish, const plan_how *how, plan_song *out,
                              ace_error *err) {
  plan_prompt prompt[2] = {{0}};
  ace_status status = plan_ask_codes(&prompt[0], &wish->in, &out->metadata, err);
  if (status != ACE_OK) return status;
  status = plan_ask_codes_unguided(&prompt[1], &wish->in, err);
  if (status == ACE_OK) {
    double target = plan_target_duration(&wish->in, &out->metadata);
    int chunk = fitting_chunk(lm, wish, how, prompt[0].length, target); /* a token is at least a byte */
    for (int first = 0; first < wish->items && status == ACE_OK; first += chunk) {
      int n = wish->items - first < chunk ? wish->items - first : chunk;
      status = think_chunk(lm, wish, how, prompt, target, first, n, out, err);
    }
    plan_prompt_free(&prompt[1]);
  }
  plan_prompt_free(&prompt[0]);
  return status;
}

ace_status plan_song_make(const plan_lm *lm, const plan_wish *wish, const plan_how *how, plan_song *out,
                          ace_error *err) {
  *out = (plan_song){.items = wish->items};
  if (wish->items < 1 || wish->items > PLAN_MOST_ITEMS || wish->max_duration < SHORTEST || wish->max_duration > LONGEST)
    return ace_fail(err, ACE_EINVAL, "language model: %d items of at most %d s are outside 1..%d and %d..%d",
                    wish->items, wish->max_duration, (int)PLAN_MOST_ITEMS, (int)SHORTEST, (int)LONGEST);
  ace_status status = wish->codes ? plan_lm_can(lm, wish->guidance, err) : ACE_OK;
  if (status == ACE_OK) status = think_metadata(lm, wish, how, out, err);
  if (status == ACE_OK && wish->codes) status = think_codes(lm, wish, how, out, err);
  if (status != ACE_OK) plan_song_free(out);
  return status;
}

size_t plan_song_memory(const plan_lm *lm, const plan_wish *wish, tens_dtype cache, size_t prompt) {
  double target = wish->in.duration > 0 ? wish->in.duration : wish->max_duration; /* the model may say so */
  size_t metadata = plan_lm_memory(lm, cache, 1, false, prompt, 0, MOST);
  size_t codes = wish->codes ? codes_memory(lm, wish, cache, chunk_of(wish), prompt, target) : 0;
  return metadata > codes ? metadata : codes;
}

void plan_song_free(plan_song *s) {
  plan_metadata_free(&s->metadata);
  for (int i = 0; i < PLAN_MOST_ITEMS; i++) free(s->codes[i]);
  *s = (plan_song){0};
}
