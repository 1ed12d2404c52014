/* schema.c - JSON Schema (draft 2020-12) of the JSON form, made from the table of parameters. */
#include <string.h>

#include "request/value.h"

/* "enum": [...] of the names; null joins where a plain number list allows it. */
static void names(const req_param *p, bool skip_empty, bool as_numbers, req_text *out) {
  bool any = false;
  req_text_add(out, "\"enum\": [");
  for (size_t i = 0; p->values[i]; i++) {
    if (skip_empty && !*p->values[i]) continue;
    if (any) req_text_add(out, ", ");
    if (as_numbers) req_text_add(out, p->values[i]);
    else req_text_add_json(out, p->values[i]);
    any = true;
  }
  req_text_add(out, "]");
}

static void bounds(double lo, double hi, req_text *out) {
  char a[REQ_NUMBER_SIZE], b[REQ_NUMBER_SIZE];
  req_text_addf(out, "\"minimum\": %s, \"maximum\": %s", req_number_format(lo, a), req_number_format(hi, b));
}

static void number_type(const req_param *p, req_text *out) {
  const char *type = p->type == REQ_INT ? "integer" : "number";
  char number[REQ_NUMBER_SIZE];
  if (p->values) { /* sample rates */
    names(p, true, true, out);
  } else if (p->null_number) {
    req_text_addf(out, "\"anyOf\": [{\"const\": %s}, {\"type\": \"%s\", ", req_number_format(p->null, number), type);
    bounds(p->lo, p->hi, out);
    req_text_add(out, "}, {\"type\": \"null\"}]");
  } else {
    req_text_addf(out, p->nullable ? "\"type\": [\"%s\", \"null\"], " : "\"type\": \"%s\", ", type);
    bounds(p->lo, p->hi, out);
  }
}

static void type_of(const req_param *p, req_text *out) {
  switch (p->type) {
    case REQ_BOOL: req_text_add(out, "\"type\": \"boolean\""); return;
    case REQ_TRI: req_text_add(out, "\"type\": [\"boolean\", \"null\"]"); return;
    case REQ_INT:
    case REQ_NUMBER: number_type(p, out); return;
    case REQ_ENUM:
      req_text_add(out, "\"type\": \"string\", ");
      names(p, false, false, out);
      return;
    case REQ_STRING:
      req_text_add(out, "\"type\": \"string\"");
      if (p->values) req_text_add(out, ", "), names(p, false, false, out);
      /* the limit counts bytes, maxLength characters, of which there are never more */
      if (!p->values) req_text_addf(out, ", \"maxLength\": %.0f", p->hi);
      return;
    case REQ_PATH: req_text_addf(out, "\"type\": [\"string\", \"null\"], \"maxLength\": %.0f", p->hi); return;
    case REQ_SEED:
      req_text_add(out, "\"type\": \"integer\", ");
      bounds(p->lo, p->hi, out);
      return;
    case REQ_SEEDS:
      req_text_add(out, "\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"integer\", ");
      bounds(p->lo, p->hi, out);
      req_text_add(out, "}");
      return;
    case REQ_TIMESTEPS:
      req_text_add(out, "\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"number\", ");
      bounds(p->lo, p->hi, out);
      req_text_addf(out, "}, \"maxItems\": %d", REQ_TIMESTEPS_MAX);
      return;
    case REQ_TRACKS:
      req_text_add(out, "\"type\": \"array\", \"uniqueItems\": true, \"items\": {\"type\": \"string\", ");
      names(p, true, false, out);
      req_text_add(out, "}");
      return;
  }
}

static void where(const req_param *p, req_text *out) {
  static const char *const models[] = {"turbo", "sft", "base"};
  bool any = false;
  req_text_add(out, "\"x-modes\": [");
  for (int i = 0; i < REQ_MODE_COUNT; i++) {
    if (!(p->modes & 1u << i)) continue;
    req_text_addf(out, "%s\"%s\"", any ? ", " : "", req_mode_name(i));
    any = true;
  }
  any = false;
  req_text_add(out, "], \"x-models\": [");
  for (int i = 0; i < 3; i++) {
    if (!(p->models & 1u << i)) continue;
    req_text_addf(out, "%s\"%s\"", any ? ", " : "", models[i]);
    any = true;
  }
  req_text_add(out, "]");
}

static void property(const ace_request *defaults, const req_param *p, req_text *out) {
  char number[REQ_NUMBER_SIZE];
  req_text_addf(out, "    \"%s\": {\n      ", p->name);
  type_of(p, out);
  req_text_add(out, ",\n      \"default\": ");
  req_value_to_json(defaults, p, out);
  req_text_add(out, ",\n      \"description\": ");
  req_text_add_json(out, p->help);
  if (p->null_means) {
    req_text_add(out, ",\n      \"x-not-given\": ");
    req_text_add_json(out, p->null_means);
  }
  if (p->unit) {
    req_text_add(out, ",\n      \"x-unit\": ");
    req_text_add_json(out, p->unit);
  }
  if (p->step > 0) req_text_addf(out, ",\n      \"x-step\": %s", req_number_format(p->step, number));
  if (p->result) req_text_add(out, ",\n      \"readOnly\": true");
  req_text_add(out, ",\n      \"x-group\": ");
  req_text_add_json(out, req_group_title(p->group));
  req_text_add(out, ",\n      ");
  where(p, out);
  req_text_add(out, "\n    },\n");
}

char *ace_request_schema(ace_profile profile) {
  ace_request *defaults = ace_request_new(profile);
  if (!defaults) return NULL;
  size_t n;
  const req_param *p = req_params(&n);
  req_text out = {0};
  req_text_add(&out,
               "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
               "  \"title\": \"acestep request\",\n  \"type\": \"object\",\n  \"additionalProperties\": false,\n"
               "  \"properties\": {\n");
  for (size_t i = 0; i < n; i++) property(defaults, &p[i], &out);
  req_text_add(
      &out,
      "    \"result\": {\n      \"type\": \"object\",\n      \"readOnly\": true,\n"
      "      \"description\": \"What made a saved song: model, versions, times. Skipped when a request is read\"\n"
      "    }\n  }\n}\n");
  ace_request_free(defaults);
  return req_text_take(&out);
}
