/* think.c - the language model's share of a song: what the user left open is filled in, what the user gave stays. */
#include <string.h>

#include "base/notify.h"
#include "engine/engine.h"
#include "render/task.h"
#include "request/text.h"

enum {
  METADATA_TOKENS = 150, /* of a usual answer */
  USUAL = 120            /* seconds, when nobody knows */
};

/* Decoding reads every weight once a token; matrix products make about that many operations in the time of one byte. */
static const double OPERATIONS_A_BYTE = 15;

bool engine_thinks(const ace_engine *e, const ace_request *r) {
  if (!task_rule_of(r)->planned) return false;
  if (r->thinking == REQ_OFF || (r->thinking == REQ_AUTO && !e->lm)) return false;
  return true;
}

/* Codes are made where they will be followed and there are none yet. */
static bool makes_codes(const ace_request *r) {
  return task_follows_codes(r) && req_is_blank(r->audio_codes);
}

static double token_work(const ace_engine *e) {
  const double unknown = 2e9; /* bytes, of a server's model */
  if (!e->lm) return 0;
  return OPERATIONS_A_BYTE * (e->lm->model ? (double)ckpt_memory_bytes(e->lm->model->checkpoint) : unknown);
}

double engine_think_work(const ace_engine *e, const ace_request *r) {
  if (!engine_thinks(e, r)) return 0;
  double seconds = r->duration > 0 ? r->duration : USUAL;
  double codes = makes_codes(r) ? (double)plan_code_count(seconds) : 0;
  return token_work(e) * (METADATA_TOKENS + codes);
}

/* Progress of a phase: tokens count until the phase's share is used up. */
typedef struct thinking {
  progress *p;
  const ace_callbacks *notify;
  double each, left;
  int before;
} thinking;

static void token_done(void *user, int tokens, int expected) {
  thinking *t = user;
  if (tokens < t->before) t->before = 0; /* another run began */
  double work = t->each * (tokens - t->before);
  t->before = tokens;
  if (work > t->left) work = t->left;
  t->left -= work;
  progress_count(t->p, work, tokens, expected);
}

static bool is_cancelled(void *user) {
  const thinking *t = user;
  return notify_stopped(t->notify);
}

/* ---- what the model found goes into the request ------------------------------------------------------------------ */

static ace_status keep_findings(ace_request *r, const plan_typed *found, ace_error *err) {
  r->cot_bpm = found->bpm;
  r->cot_duration = found->duration;
  ace_status status = req_set_string(&r->cot_keyscale, found->keyscale, err);
  if (status == ACE_OK) status = req_set_string(&r->cot_timesignature, found->timesignature, err);
  if (status == ACE_OK) status = req_set_string(&r->cot_vocal_language, found->language, err);
  if (status == ACE_OK) status = req_set_string(&r->cot_caption, found->caption, err);
  return status;
}

static ace_status fill_text(char **field, const char *found, bool open, ace_error *err) {
  return open && *found ? req_set_string(field, found, err) : ACE_OK;
}

/* `long_as`: how long the song will be whatever was asked for, 0: as long as that. */
static ace_status fill_open_fields(ace_request *r, const plan_metadata *m, double long_as, ace_error *err) {
  plan_typed found = plan_metadata_typed(m);
  ace_status status = keep_findings(r, &found, err);
  if (r->bpm <= 0) r->bpm = found.bpm;
  if (long_as <= 0 && r->duration <= 0 && found.duration > 0) r->duration = found.duration;
  bool no_language = req_is_blank(r->vocal_language) || strcmp(r->vocal_language, "unknown") == 0;
  if (status == ACE_OK) status = fill_text(&r->keyscale, found.keyscale, req_is_blank(r->keyscale), err);
  if (status == ACE_OK) status = fill_text(&r->timesignature, found.timesignature, req_is_blank(r->timesignature), err);
  if (status == ACE_OK)
    status = fill_text(&r->vocal_language, found.language, r->use_cot_language && no_language && !r->ref_language, err);
  if (status == ACE_OK) status = fill_text(&r->caption, found.caption, r->use_cot_caption, err);
  return status;
}

/* ---- the two phases ---------------------------------------------------------------------------------------------- */

static void log_line(void *user, const char *line) {
  const ace_callbacks *notify = user;
  if (notify->log) notify->log(notify->user, line);
}

plan_grammar_log engine_grammar_log(const ace_request *r, const ace_callbacks *notify) {
  bool wanted_log = r->constrained_decoding_debug && notify;
  return wanted_log ? (plan_grammar_log){.line = log_line, .user = (void *)notify} : (plan_grammar_log){0};
}

plan_wish engine_wish(const ace_engine *e, const ace_request *r, double source_seconds, const uint32_t *seeds,
                      const ace_callbacks *notify) {
  plan_wish wish = {
      .in = {.caption = r->caption,
             .lyrics = r->instrumental ? "[Instrumental]" : r->lyrics,
             .bpm = r->bpm,
             .duration = source_seconds > 0 ? source_seconds : r->duration,
             .keyscale = r->keyscale,
             .timesignature = r->timesignature,
             .use_cot_metas = r->use_cot_metas,
             .use_cot_caption = r->use_cot_caption,
             .use_cot_language = r->use_cot_language,
             .negative_prompt = r->lm_negative_prompt},
      .sampling = {.temperature = r->lm_temperature, .top_k = r->lm_top_k, .top_p = r->lm_top_p},
      .guidance = r->lm_cfg_scale,
      .items = r->batch_size,
      .seeds = seeds,
      .codes = makes_codes(r),
      .together = r->allow_lm_batch && !e->frugal ? r->lm_batch_chunk_size : 1,
      .unconstrained = !r->use_constrained_decoding,
      .max_duration = REQ_LONGEST,
      .log = engine_grammar_log(r, notify),
  };
  return wish;
}

ace_status engine_think(ace_engine *e, ace_request *r, double source_seconds, const uint32_t *seeds, progress *p,
                        const ace_callbacks *notify, plan_song *song, ace_error *err) {
  *song = (plan_song){0};
  if (!engine_thinks(e, r)) return ACE_OK;
  ace_error own;
  if (!err) err = &own;
  ace_status status = engine_need_lm(e, err);
  if (status == ACE_OK) status = engine_server_begin(e, notify, err);
  if (status != ACE_OK) return status;
  thinking t = {.p = p, .notify = notify, .each = token_work(e), .left = engine_think_work(e, r)};
  plan_how how = {.threads = e->threads,
                  .memory = engine_room(e, engine_lm_mapped(e)),
                  .cache = TENS_BF16,
                  .cancelled = is_cancelled,
                  .step = token_done,
                  .user = &t};
  plan_wish wish = engine_wish(e, r, source_seconds, seeds, notify);
  progress_stage(p, "think", 0);
  status = plan_song_make(e->lm, &wish, &how, song, err);
  if (status != ACE_OK && engine_server_left(e, err, notify)) status = plan_song_make(e->lm, &wish, &how, song, err);
  if (e->memory && e->lm->model) ckpt_release(e->lm->model->checkpoint, ""); /* the song's models need the room */
  if (status == ACE_OK) progress_advance(p, t.left);
  if (status == ACE_OK && song->asked) status = fill_open_fields(r, &song->metadata, source_seconds, err);
  if (status != ACE_OK) plan_song_free(song);
  return status;
}
