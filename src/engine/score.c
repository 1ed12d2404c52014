/* score.c - when each line of a finished song is sung, and how well the song is what was asked for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/notify.h"
#include "engine/engine.h"
#include "planner/span.h"
#include "render/look.h"
#include "render/task.h"
#include "score/lm_score.h"
#include "score/lrc.h"
#include "score/lyric_score.h"
#include "text/codes.h"

enum { JSON_DIGITS = 17 };

/* ---- one item seen by the diffusion model ------------------------------------------------------------------------ */

enum { MOST_LEVELS = 2 };

/* A song of the result as a job again, and what is seen of it. */
typedef struct viewing {
  ace_engine *engine;
  const ace_result *result;
  int item;
  const ace_callbacks *notify;
  song_models models;
  engine_recordings in;
  song_job job;
  look_words words;
  align_stack stack[MOST_LEVELS];
} viewing;

static ace_status check_item(const ace_result *r, int item, ace_error *err) {
  if (item < 0 || item >= r->items)
    return ace_fail(err, ACE_EINVAL, "result: item %d is outside 0..%d", item, r->items - 1);
  return ACE_OK;
}

/* view_close also after a failure. */
static ace_status view_open(viewing *v, ace_engine *e, const ace_result *r, int item, const ace_callbacks *notify,
                            ace_error *err) {
  *v = (viewing){.engine = e, .result = r, .item = item, .notify = notify};
  song_job all = {.request = r->request, .family = engine_family(e)};
  ace_status status = check_item(r, item, err);
  if (status == ACE_OK) status = engine_load_recordings(e, r->request, &v->in, &all, err);
  if (status != ACE_OK) return status;
  v->models = engine_models(e);
  v->job = engine_part_of(r, &all, item, 1);
  return look_words_make(&v->models, &v->job, &v->words, err);
}

static void view_close(viewing *v) {
  for (int i = 0; i < MOST_LEVELS; i++) align_close(&v->stack[i]);
  look_words_free(&v->words);
  engine_free_recordings(&v->in);
}

static ace_status see_map(void *user, int level, const float *map, ace_error *err) {
  viewing *v = user;
  return align_add(&v->stack[level], map, err);
}

/* Fills a stack for each level. */
static ace_status view_levels(viewing *v, const double *levels, int n, progress *p, ace_error *err) {
  song_plan plan;
  size_t budget = engine_room(v->engine, ckpt_mapped_bytes(v->models.dit->checkpoint, "")), stacks = 0;
  song_budget song = engine_budget(v->engine);
  look_job look = {.latents = &v->result->latents[v->item], .levels = levels, .n_levels = n, .see = see_map, .user = v};
  ace_status status = song_make_plan(&v->models, &v->job, &song, &plan, err);
  if (status != ACE_OK) return status;
  for (int i = 0; i < n && status == ACE_OK; i++) {
    status = align_open(&v->stack[i], (int64_t)v->words.n, v->words.patches, err);
    stacks += align_memory((int64_t)v->words.n, v->words.patches);
  }
  size_t bytes = look_memory(&v->models, &v->job, &plan);
  if (status == ACE_OK && (bytes == SIZE_MAX || bytes > budget || stacks > budget - bytes))
    status = ace_fail(err, ACE_ENOMEM, "memory: aligning lyrics needs %zu MiB, %zu MiB are allowed; raise the limit",
                      ((bytes == SIZE_MAX ? 0 : bytes + stacks) >> 20) + 1, budget >> 20);
  tens_ctx *c = status == ACE_OK ? engine_context(v->engine, bytes, v->notify, err) : NULL;
  if (status == ACE_OK && !c) status = err->status;
  if (status == ACE_OK) status = look_run(c, &v->models, &v->job, &plan, p, &look, &v->words, err);
  tens_close(c);
  return status;
}

/* The last level of the song's schedule with that many steps. */
static double last_level(const viewing *v) {
  int steps = req_steps(v->result->request, v->job.family);
  return 1.0 / (steps > 1 ? steps : 1);
}

/* ---- timestamps -------------------------------------------------------------------------------------------------- */

static ace_status find_times(ace_engine *e, const ace_result *r, int item, const ace_callbacks *notify,
                             lyric_times *out, ace_error *err) {
  viewing v;
  progress p;
  ace_status status = view_open(&v, e, r, item, notify, err);
  if (status == ACE_OK) {
    double level = last_level(&v);
    progress_start(&p, notify, look_work(&v.models, &v.job, 1));
    status = view_levels(&v, &level, 1, &p, err);
  }
  align_span *spans = status == ACE_OK ? malloc(v.words.n * sizeof *spans) : NULL;
  if (status == ACE_OK && !spans) status = ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  if (status == ACE_OK) status = align_times(&v.stack[0], v.words.seconds, spans, err);
  if (status == ACE_OK) status = lyric_times_make(e->tokenizer, v.words.id, spans, v.words.n, out, err);
  free(spans);
  view_close(&v);
  return status;
}

char *ace_result_lrc(ace_engine *e, const ace_result *r, int item, const ace_callbacks *notify, ace_error *err) {
  ace_error own;
  lyric_times t;
  if (find_times(e, r, item, notify, &t, err ? err : &own) != ACE_OK) return NULL;
  char *lrc = lrc_write(t.line, t.n_lines);
  if (!lrc) ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  lyric_times_free(&t);
  return lrc;
}

static json_t *sentences(const lyric_times *t) {
  json_t *list = json_array();
  for (size_t i = 0; i < t->n_lines; i++) {
    const lyric_line *l = &t->line[i];
    json_t *tokens = json_array();
    for (size_t k = l->first; k < l->first + l->tokens; k++)
      json_array_append_new(tokens, json_integer(t->token[k].id));
    json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:o, s:f}", "text", l->text, "start", l->start, "end",
                                          l->end, "tokens", tokens, "confidence", 0.0));
  }
  return list;
}

static json_t *tokens(const lyric_times *t) {
  json_t *list = json_array();
  for (size_t i = 0; i < t->n_tokens; i++) {
    const lyric_token *k = &t->token[i];
    json_array_append_new(list, json_pack("{s:i, s:s, s:f, s:f, s:f}", "token_id", (int)k->id, "text", k->text, "start",
                                          k->start, "end", k->end, "probability", 0.0));
  }
  return list;
}

char *ace_result_timestamps(ace_engine *e, const ace_result *r, int item, const ace_callbacks *notify, ace_error *err) {
  ace_error own;
  lyric_times t;
  if (find_times(e, r, item, notify, &t, err ? err : &own) != ACE_OK) return NULL;
  char *lrc = lrc_write(t.line, t.n_lines);
  json_t *json = lrc ? json_pack("{s:s, s:o, s:o}", "lrc_text", lrc, "sentence_timestamps", sentences(&t),
                                 "token_timestamps", tokens(&t))
                     : NULL;
  char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
  if (!text) ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  json_decref(json);
  free(lrc);
  lyric_times_free(&t);
  return text;
}

char *ace_lrc_to_vtt(const char *lrc, double duration, ace_error *err) {
  lrc_cues cues;
  if (lrc_read_cues(lrc, strlen(lrc), duration, &cues, err) != ACE_OK) return NULL;
  char *vtt = lrc_write_vtt(&cues);
  if (!vtt) ace_fail(err, ACE_ENOMEM, "subtitles: out of memory");
  lrc_cues_free(&cues);
  return vtt;
}

/* ---- how clearly the words are sung ------------------------------------------------------------------------------ */

static ace_status score_lyrics(viewing *v, progress *p, double scores[MOST_LEVELS], ace_error *err) {
  const double levels[MOST_LEVELS] = {1, last_level(v)};
  ace_status status = view_levels(v, levels, MOST_LEVELS, p, err);
  if (status != ACE_OK) return status;
  bool *sung = malloc(v->words.n * sizeof *sung);
  if (!sung) return ace_fail(err, ACE_ENOMEM, "lyrics: out of memory");
  status = lyric_sung(v->engine->tokenizer, v->words.id, v->words.n, sung, err);
  for (int i = 0; i < MOST_LEVELS && status == ACE_OK; i++) {
    const align_stack *stack = &v->stack[i];
    lyric_parts parts;
    status = lyric_score(stack->plain, stack->tokens, stack->frames, sung, &parts, err);
    scores[i] = parts.score;
  }
  free(sung);
  return status;
}

/* ---- what the language model finds in the codes ------------------------------------------------------------------ */

/* The codes that the item follows, as text; "" when it follows none. free() it. */
static char *codes_of(const ace_result *r, int item) {
  if (!task_follows_codes(r->request)) return strdup("");
  if (r->song.n_codes[item] > 0) return codes_format(r->song.codes[item], r->song.n_codes[item], NULL);
  return strdup(r->request->audio_codes);
}

static ace_status set_trimmed(plan_metadata *m, plan_field field, const char *first, const char *second,
                              ace_error *err) {
  plan_span s = plan_trim(plan_span_of(first));
  if (s.n == 0) s = plan_trim(plan_span_of(second));
  return s.n > 0 ? plan_set_text(m, field, s.at, s.n, err) : ACE_OK;
}

/* What the language model wrote about the song, and what the request says where it wrote nothing. */
static ace_status metadata_of(const ace_request *r, plan_metadata *m, ace_error *err) {
  double duration = r->cot_duration > 0 ? r->cot_duration : r->duration;
  int bpm = r->cot_bpm > 0 ? r->cot_bpm : r->bpm;
  const char *language = strcmp(r->vocal_language, "unknown") == 0 ? "" : r->vocal_language;
  *m = (plan_metadata){0};
  if (bpm > 0) plan_set_number(m, PLAN_BPM, bpm);
  if (duration >= 1) plan_set_number(m, PLAN_DURATION, (int64_t)duration);
  ace_status status = set_trimmed(m, PLAN_CAPTION, r->cot_caption, r->caption, err);
  if (status == ACE_OK) status = set_trimmed(m, PLAN_KEYSCALE, r->cot_keyscale, r->keyscale, err);
  if (status == ACE_OK) status = set_trimmed(m, PLAN_LANGUAGE, r->cot_vocal_language, language, err);
  if (status == ACE_OK) status = set_trimmed(m, PLAN_TIMESIGNATURE, r->cot_timesignature, r->timesignature, err);
  if (status != ACE_OK) plan_metadata_free(m);
  return status;
}

/* Progress of the language model's part: tokens count until its share is used up. */
typedef struct understanding {
  progress *p;
  const ace_callbacks *notify;
  double each, left;
  int before;
} understanding;

static void tokens_done(void *user, int n, int expected) {
  understanding *u = user;
  if (n < u->before) u->before = 0; /* the next prompt */
  double work = u->each * (n - u->before);
  if (work > u->left) work = u->left;
  u->before = n;
  u->left -= work;
  progress_advance(u->p, work);
}

static bool is_cancelled(void *user) {
  const understanding *u = user;
  return notify_stopped(u->notify);
}

/* Reading many tokens at once takes two operations for each weight of two bytes; int8 is faster and counts half. */
static double token_work(const ace_engine *e) {
  return e->lm ? (double)ckpt_memory_bytes(e->lm->model->checkpoint) : 0;
}

/* Tokens of prompts and answers besides the codes. */
enum { USUAL_TOKENS = 600 };

static ace_status score_codes(ace_engine *e, const ace_request *r, const char *codes, double sensitivity, double work,
                              progress *p, const ace_callbacks *notify, lm_score *out, ace_error *err) {
  plan_metadata m;
  ace_status status = metadata_of(r, &m, err);
  if (status != ACE_OK) return status;
  understanding u = {.p = p, .notify = notify, .each = token_work(e), .left = work};
  plan_how how = {.threads = e->threads,
                  .memory = engine_room(e, engine_lm_mapped(e)),
                  .cache = TENS_BF16,
                  .cancelled = is_cancelled,
                  .step = tokens_done,
                  .user = &u};
  lm_score_wish wish = {.codes = codes,
                        .metadata = &m,
                        .lyrics = req_is_instrumental(r) ? "" : r->lyrics,
                        .scale = sensitivity > 0 ? sensitivity : LM_SCORE_SCALE};
  progress_stage(p, "score", 0);
  status = lm_score_make(e->lm, &wish, &how, out, err);
  progress_advance(p, u.left);
  plan_metadata_free(&m);
  return status;
}

/* ---- all scores -------------------------------------------------------------------------------------------------- */

/* One part of the scores: there, left out with a reason, or failed. */
typedef struct part {
  bool there;
  ace_error why;
} part;

static json_t *conditions_json(const lm_score *s) {
  json_t *json = json_object();
  for (int i = 0; i < PLAN_FIELDS; i++)
    if (s->has[i]) json_object_set_new(json, plan_field_name((plan_field)i), json_real(s->field[i]));
  if (s->has_lyrics) json_object_set_new(json, "lyrics", json_real(s->lyrics));
  return json;
}

static json_t *scores_json(const part *lm, const lm_score *found, const part *words, const double aligned[MOST_LEVELS],
                           double sensitivity) {
  json_t *notes = json_array();
  if (!lm->there) json_array_append_new(notes, json_string(lm->why.message));
  if (!words->there) json_array_append_new(notes, json_string(words->why.message));
  json_t *alignment =
      words->there ? json_pack("{s:f, s:f}", "lm_score", aligned[0], "dit_score", aligned[1]) : json_null();
  return json_pack("{s:o, s:o, s:o, s:f, s:o}", "score", lm->there ? json_real(found->global) : json_null(),
                   "conditions", lm->there ? conditions_json(found) : json_null(), "lyrics_alignment", alignment,
                   "sensitivity", sensitivity, "notes", notes);
}

/* Cancelling ends everything; any other failure of one part is told beside the other part. */
static ace_status score_parts(viewing *v, part *lm, part *words, const char *codes, double sensitivity, json_t **out,
                              ace_error *err) {
  ace_engine *e = v->engine;
  lm_score found = {0};
  double aligned[MOST_LEVELS] = {0};
  progress p;
  const double code_bytes = sizeof "<|audio_code_12345|>" - 1;
  double understanding_work = lm->there ? token_work(e) * ((double)strlen(codes) / code_bytes + USUAL_TOKENS) : 0;
  progress_start(&p, v->notify, understanding_work + (words->there ? look_work(&v->models, &v->job, MOST_LEVELS) : 0));
  if (words->there) words->there = score_lyrics(v, &p, aligned, &words->why) == ACE_OK;
  bool stopped = words->why.status == ACE_ECANCELED;
  if (lm->there && !stopped)
    lm->there = score_codes(e, v->result->request, codes, sensitivity, understanding_work, &p, v->notify, &found,
                            &lm->why) == ACE_OK;
  stopped = stopped || lm->why.status == ACE_ECANCELED;
  if (stopped) return ace_fail(err, ACE_ECANCELED, "cancelled");
  if (!lm->there && !words->there)
    return ace_fail(err, lm->why.status, "score: %.240s; %.240s", lm->why.message, words->why.message);
  *out = scores_json(lm, &found, words, aligned, sensitivity);
  return *out ? ACE_OK : ace_fail(err, ACE_ENOMEM, "score: out of memory");
}

static ace_status score_item(ace_engine *e, const ace_result *r, int item, double sensitivity,
                             const ace_callbacks *notify, json_t **out, ace_error *err) {
  part lm = {0}, words = {0};
  viewing v;
  char *codes = codes_of(r, item);
  if (!codes) return ace_fail(err, ACE_ENOMEM, "score: out of memory");
  if (plan_is_blank(plan_span_of(codes))) ace_fail(&lm.why, ACE_EINVAL, "the song follows no audio codes");
  else lm.there = engine_need_lm(e, &lm.why) == ACE_OK;
  if (lm.there && !e->lm->model)
    lm.there =
        ace_fail(&lm.why, ACE_ENOTFOUND,
                 "scores need the weights of a language model here; a server does not tell probabilities") == ACE_OK;
  words.there = view_open(&v, e, r, item, notify, &words.why) == ACE_OK;
  ace_status status = score_parts(&v, &lm, &words, codes, sensitivity, out, err);
  view_close(&v);
  free(codes);
  return status;
}

char *ace_result_score(ace_engine *e, ace_result *r, int item, double sensitivity, const ace_callbacks *notify,
                       ace_error *err) {
  const double least = 0.01;
  json_t *scores = NULL;
  ace_error own;
  if (!err) err = &own;
  if (check_item(r, item, err) != ACE_OK) return NULL;
  if (sensitivity == 0) sensitivity = LM_SCORE_SCALE;
  if (!(sensitivity >= least && sensitivity <= 1)) {
    ace_fail(err, ACE_EINVAL, "sensitivity: %g is outside %g..1", sensitivity, least);
    return NULL;
  }
  if (score_item(e, r, item, sensitivity, notify, &scores, err) != ACE_OK) return NULL;
  char *text = json_dumps(scores, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_DIGITS));
  if (!text) {
    json_decref(scores);
    ace_fail(err, ACE_ENOMEM, "score: out of memory");
    return NULL;
  }
  json_decref(r->scores[item]);
  r->scores[item] = scores;
  free(r->json[item]);
  r->json[item] = NULL;
  return text;
}
