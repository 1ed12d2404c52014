/* validate.c - does a request make sense? Every parameter's own range first, then what parameters demand of one
 * another, then what a family of models can do. */
#include <string.h>

#include "request/value.h"

/* At least one <|audio_code_N|>? */
static bool has_code(const char *s) {
  static const char head[] = "<|audio_code_";
  for (const char *at = s; (at = strstr(at, head)); at++) {
    const char *digit = at + strlen(head);
    size_t n = strspn(digit, "0123456789");
    if (n > 0 && strncmp(digit + n, "|>", 2) == 0) return true;
  }
  return false;
}

static ace_status check_source(const ace_request *r, ace_error *err) {
  const char *task = req_task_name(r->task_type);
  bool needed = r->task_type != REQ_TASK_TEXT2MUSIC && r->task_type != REQ_TASK_COMPLETE;
  if (r->task_type == REQ_TASK_COVER && !req_is_blank(r->audio_codes)) needed = false; /* the codes are its source */
  if (needed && !*r->src_audio)
    return ace_fail(err, ACE_EINVAL, "src_audio: task %s requires source audio; give it a file", task);
  if (r->flow_edit_morph && req_task_edits(r->task_type) && !*r->src_audio)
    return ace_fail(err, ACE_EINVAL, "src_audio: flow_edit_morph requires source audio; give it a file");
  return ACE_OK;
}

static ace_status check_region(const ace_request *r, ace_error *err) {
  if (r->task_type != REQ_TASK_REPAINT && r->task_type != REQ_TASK_LEGO) return ACE_OK;
  if (r->repainting_end < 0 || r->repainting_end > r->repainting_start) return ACE_OK;
  char start[REQ_NUMBER_SIZE], end[REQ_NUMBER_SIZE];
  return ace_fail(err, ACE_EINVAL, "repainting_end: %s s is not after repainting_start, %s s (-1 means the end)",
                  req_number_format(r->repainting_end, end), req_number_format(r->repainting_start, start));
}

static ace_status check_tracks(const ace_request *r, ace_error *err) {
  char names[REQ_RANGE_SIZE];
  if (!req_is_blank(r->instruction)) return ACE_OK; /* the caller's own words name the track */
  if ((r->task_type == REQ_TASK_EXTRACT || r->task_type == REQ_TASK_LEGO) && r->track_name == REQ_TRACK_NONE)
    return ace_fail(err, ACE_EINVAL, "track_name: task %s needs one of %s", req_task_name(r->task_type),
                    req_param_range(req_param_find("track_name"), names));
  if (r->task_type == REQ_TASK_COMPLETE && r->complete_track_classes.count == 0)
    return ace_fail(err, ACE_EINVAL, "complete_track_classes: task complete needs one or more of %s",
                    req_param_range(req_param_find("complete_track_classes"), names));
  return ACE_OK;
}

static ace_status check_order(const char *low, double lo, const char *high, double hi, ace_error *err) {
  if (lo <= hi) return ACE_OK;
  char a[REQ_NUMBER_SIZE], b[REQ_NUMBER_SIZE];
  return ace_fail(err, ACE_EINVAL, "%s: %s is above %s, %s", low, req_number_format(lo, a), high,
                  req_number_format(hi, b));
}

ace_status ace_request_validate(const ace_request *request, ace_error *err) {
  if (!request) return ace_fail(err, ACE_EINVAL, "request: there is none");
  size_t n;
  const req_param *p = req_params(&n);
  ace_status status = ACE_OK;
  for (size_t i = 0; i < n && status == ACE_OK; i++) status = req_value_check(request, &p[i], err);
  if (status == ACE_OK && !req_is_blank(request->audio_codes) && !has_code(request->audio_codes))
    status = ace_fail(err, ACE_EINVAL, "audio_codes: no <|audio_code_N|> in the text");
  if (status == ACE_OK) status = check_source(request, err);
  if (status == ACE_OK) status = check_region(request, err);
  if (status == ACE_OK) status = check_tracks(request, err);
  if (status == ACE_OK)
    status = check_order("cfg_interval_start", request->cfg_interval_start, "cfg_interval_end",
                         request->cfg_interval_end, err);
  if (status == ACE_OK)
    status = check_order("flow_edit_n_min", request->flow_edit_n_min, "flow_edit_n_max", request->flow_edit_n_max, err);
  return status;
}

ace_status req_check_model(const ace_request *r, req_model model, ace_error *err) {
  const char *kind = model == REQ_MODEL_TURBO ? "turbo" : model == REQ_MODEL_SFT ? "sft" : "base";
  if (model == REQ_MODEL_TURBO && r->timesteps.count == 0 && r->inference_steps > 20)
    return ace_fail(err, ACE_EUNSUPPORTED,
                    "inference_steps: %d is outside 1..20 of a turbo model; base and sft models take 1..200",
                    r->inference_steps);
  bool base_only =
      r->task_type == REQ_TASK_EXTRACT || r->task_type == REQ_TASK_LEGO || r->task_type == REQ_TASK_COMPLETE;
  if (base_only && model != REQ_MODEL_BASE)
    return ace_fail(err, ACE_EUNSUPPORTED, "task_type: %s needs a base model such as acestep-v15-base; this one is %s",
                    req_task_name(r->task_type), kind);
  return ACE_OK;
}

/* ---- advice ------------------------------------------------------------------------------------------------------ */

typedef struct adviser {
  void (*say)(void *user, const char *line);
  void *user;
} adviser;

static void say(const adviser *a, ace_error *line) {
  a->say(a->user, line->message);
}

static void advise_steps(const ace_request *r, unsigned model, const adviser *a) {
  ace_error line;
  const req_timesteps *t = &r->timesteps;
  if (t->count == 0) return;
  if (r->inference_steps > 0 && r->inference_steps != t->count - 1) {
    ace_fail(&line, ACE_OK, "timesteps: %d levels given; taking %d steps instead of inference_steps, %d", t->count,
             t->count - 1, r->inference_steps);
    say(a, &line);
  }
  for (int i = 1; i < t->count; i++) {
    if (t->value[i] < t->value[i - 1] || (i == t->count - 1 && t->value[i] <= t->value[i - 1])) continue;
    ace_fail(&line, ACE_OK, "timesteps: the levels do not fall steadily; they are used as given");
    say(a, &line);
    break;
  }
  if (model == REQ_MODEL_TURBO) {
    ace_fail(&line, ACE_OK, "timesteps: a turbo model moves each level to the nearest that it was trained on");
    say(a, &line);
  }
}

static void advise_language(const ace_request *r, const adviser *a) {
  ace_error line;
  for (const char *const *code = req_languages(); *code; code++)
    if (strcmp(*code, r->vocal_language) == 0) return;
  if (req_is_blank(r->vocal_language)) return;
  char text[REQ_EXCERPT_SIZE];
  ace_fail(&line, ACE_OK, "vocal_language: \"%s\" is no language code that the models know; it is used as given",
           req_excerpt(r->vocal_language, strlen(r->vocal_language), text));
  say(a, &line);
}

void req_advise(const ace_request *r, unsigned model, void (*say_line)(void *user, const char *line), void *user) {
  adviser a = {say_line, user};
  ace_error line;
  advise_steps(r, model, &a);
  advise_language(r, &a);
  if (r->sampler_mode == REQ_SAMPLER_HEUN && r->infer_method == REQ_METHOD_SDE) {
    ace_fail(&line, ACE_OK, "sampler_mode: heun does not go with infer_method sde; euler is used");
    say(&a, &line);
  }
  bool edits = r->flow_edit_morph && req_task_edits(r->task_type);
  if (r->flow_edit_morph && !edits) {
    ace_fail(&line, ACE_OK, "flow_edit_morph: has no effect on task %s", req_task_name(r->task_type));
    say(&a, &line);
  }
  if (edits && req_is_blank(r->flow_edit_source_caption) && req_is_blank(r->flow_edit_source_lyrics)) {
    ace_fail(&line, ACE_OK, "flow_edit_source_caption: nothing says what the source is, so little will change");
    say(&a, &line);
  }
  if (edits && !req_is_blank(r->audio_codes)) {
    ace_fail(&line, ACE_OK, "audio_codes: not followed while flow_edit_morph changes src_audio");
    say(&a, &line);
  }
  if (r->task_type == REQ_TASK_TEXT2MUSIC && *r->src_audio && !r->flow_edit_morph) {
    ace_fail(&line, ACE_OK, "src_audio: task text2music does not use it; cover or repaint do");
    say(&a, &line);
  }
  if (r->use_random_seed && (r->seed >= 0 || r->seeds.count > 0)) {
    ace_fail(&line, ACE_OK, "seed: not used while use_random_seed is on");
    say(&a, &line);
  }
}
