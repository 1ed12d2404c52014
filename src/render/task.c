#include "render/task.h"

#include "request/text.h"

static const task_rule rules[REQ_TASK_COUNT] = {
    [REQ_TASK_TEXT2MUSIC] = {.codes = TASK_CODES_FIRST, .strength = true, .noise = true, .planned = true},
    [REQ_TASK_COVER] = {.codes = TASK_CODES_FIRST, .source = true, .round_trip = true, .strength = true, .noise = true},
    [REQ_TASK_COVER_NOFSQ] = {.source = true, .strength = true, .noise = true},
    [REQ_TASK_REPAINT] = {.source = true, .region = true, .silenced = true},
    [REQ_TASK_EXTRACT] = {.source = true},
    [REQ_TASK_LEGO] = {.source = true, .region = true, .planned = true},
    [REQ_TASK_COMPLETE] = {.codes = TASK_CODES_ALONE, .source = true, .strength = true, .planned = true},
};

/* With flow_edit_morph, where it counts: req_task_edits. */
static const task_rule edits[REQ_TASK_COUNT] = {
    [REQ_TASK_TEXT2MUSIC] = {.source = true, .unseen = true, .edit = true},
    [REQ_TASK_COVER] = {.source = true, .round_trip = true, .edit = true},
    [REQ_TASK_COVER_NOFSQ] = {.source = true, .edit = true},
};

const task_rule *task_rule_of(const ace_request *r) {
  bool edit = r->flow_edit_morph && req_task_edits(r->task_type);
  return edit ? &edits[r->task_type] : &rules[r->task_type];
}

bool task_reads_source(const ace_request *r) {
  const task_rule *rule = task_rule_of(r);
  bool codes = !req_is_blank(r->audio_codes);
  bool lead = rule->codes == TASK_CODES_FIRST && codes;
  if (r->ref_codes && rule->codes == TASK_CODES_ALONE) lead = codes || r->thinking == REQ_ON;
  return rule->source && *r->src_audio && !lead;
}

bool task_follows_codes(const ace_request *r) {
  task_codes codes = task_rule_of(r)->codes;
  return codes != TASK_CODES_NEVER && !task_reads_source(r);
}
