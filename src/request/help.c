/* help.c - what is made from the table of parameters for people: the listing of flags and docs/PARAMETERS.md. */
#include <stdlib.h>
#include <string.h>

#include "request/params.h"
#include "request/text.h"

static const char *const profile_names[ACE_PROFILE_COUNT] = {"command line", "page", "REST", "chat"};

/* The default in words: "-1: automatic" is "automatic", "" is what its absence means, or nothing. */
static const char *default_words(const req_param *p, ace_profile profile) {
  const char *text = req_param_default(p, profile);
  bool nothing = !*text || (p->null_number && strcmp(text, "-1") == 0);
  return nothing ? (p->null_means ? p->null_means : "") : text;
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

/* Words of `text` from column `at` on, wrapped before `columns`, further lines indented. */
static void wrap(req_text *out, const char *text, int at, int indent, int columns) {
  bool first = true;
  while (*text) {
    size_t n = strcspn(text, " ");
    if (!first && at + 1 + (int)n > columns) {
      req_text_addf(out, "\n%*s", indent, "");
      at = indent;
      first = true;
    }
    if (!first) req_text_add(out, " "), at++;
    req_text_add_bytes(out, text, n);
    at += (int)n;
    first = false;
    text += n + (text[n] == ' ');
  }
  req_text_add(out, "\n");
}

/* "(30..300; automatic unless given)" behind the help line. */
static char *explanation(const req_param *p, ace_profile profile) {
  req_text line = {0};
  char range[REQ_RANGE_SIZE];
  const char *words = default_words(p, profile);
  bool switches = p->type == REQ_BOOL || p->type == REQ_TRI;
  bool free_text = (p->type == REQ_STRING && !p->values) || p->type == REQ_PATH;
  req_text_add(&line, p->help);
  if (free_text && !*words) return req_text_take(&line);
  req_text_add(&line, " (");
  if (!switches && !free_text) req_text_add(&line, req_param_range(p, range));
  if (p->unit && !switches && strcmp(p->unit, "s") != 0) req_text_addf(&line, " %s", p->unit);
  if (*words) req_text_addf(&line, "%sdefault: %s", !switches && !free_text ? "; " : "", words);
  req_text_add(&line, ")");
  return req_text_take(&line);
}

static bool help_entry(req_text *out, const req_param *p, ace_profile profile, int columns) {
  enum { INDENT = 30 };
  char flag[REQ_FLAG_SIZE], head[2 * REQ_FLAG_SIZE];
  const char *operand = req_param_operand(p);
  int n = snprintf(head, sizeof head, "  %s%s%s", req_param_flag(p, flag), operand ? " " : "", operand ? operand : "");
  req_text_add(out, head);
  if (n + 2 > INDENT) req_text_addf(out, "\n%*s", INDENT, "");
  else req_text_addf(out, "%*s", INDENT - n, "");
  char *text = explanation(p, profile);
  if (!text) return false;
  wrap(out, text, INDENT, INDENT, columns);
  free(text);
  return true;
}

ace_status req_print_help(FILE *out, ace_profile profile, int columns) {
  size_t n;
  const req_param *p = req_params(&n);
  req_text text = {0};
  bool ok = true;
  if (columns < 60) columns = 60;
  for (int group = 0; group < REQ_GROUP_RESULT; group++) {
    req_text_addf(&text, "%s%s:\n", group ? "\n" : "", req_group_title((req_group)group));
    for (size_t i = 0; i < n; i++)
      if (p[i].group == (req_group)group) ok = help_entry(&text, &p[i], profile, columns) && ok;
  }
  char *all = req_text_take(&text);
  ok = ok && all && fputs(all, out) >= 0;
  free(all);
  return ok ? ACE_OK : ACE_EIO;
}

/* ---- docs/PARAMETERS.md ------------------------------------------------------------------------------------------ */

/* A table cell: bars and angle brackets would be read as markup. */
static void cell(req_text *out, const char *s) {
  for (; *s; s++) {
    if (*s == '|') req_text_add(out, "\\|");
    else if (*s == '<') req_text_add(out, "&lt;");
    else req_text_add_bytes(out, s, 1);
  }
}

static void default_cell(req_text *out, const req_param *p) {
  const char *all = default_words(p, ACE_PROFILE_CLI);
  cell(out, all);
  for (int i = ACE_PROFILE_PAGE; i < ACE_PROFILE_COUNT; i++) {
    const char *words = default_words(p, (ace_profile)i);
    if (strcmp(words, all) == 0) continue;
    req_text_addf(out, "; %s: ", profile_names[i]);
    cell(out, words);
  }
}

static void where_cell(req_text *out, const req_param *p) {
  bool any = false;
  if (p->modes != REQ_IN_ALL) {
    for (int i = 0; i < REQ_MODE_COUNT; i++) {
      if (!(p->modes & 1u << i)) continue;
      req_text_addf(out, "%s%s", any ? ", " : "", req_mode_name(i));
      any = true;
    }
  }
  if (p->models == (REQ_MODEL_SFT | REQ_MODEL_BASE)) req_text_addf(out, "%sbase and SFT models", any ? "; " : "");
  if (p->models == REQ_MODEL_BASE) req_text_addf(out, "%sbase models", any ? "; " : "");
}

static void row(req_text *out, const req_param *p) {
  char range[REQ_RANGE_SIZE];
  req_text_addf(out, "| `%s` | %s | ", p->name, req_type_name(p->type));
  cell(out, req_param_range(p, range));
  if (p->unit) req_text_addf(out, " %s", p->unit);
  req_text_add(out, " | ");
  default_cell(out, p);
  req_text_add(out, " | ");
  where_cell(out, p);
  req_text_add(out, " | ");
  cell(out, p->help);
  req_text_add(out, " |\n");
}

char *req_markdown(void) {
  size_t n;
  const req_param *p = req_params(&n);
  req_text out = {0};
  req_text_add(
      &out,
      "# Parameters of a request\n\n"
      "Made from the table in `src/request/params.c`; a test keeps the two equal.\n\n"
      "The name is the key of the JSON form and the field of the REST API; with dashes for underscores it is the "
      "command line flag (`audio_format`: `--audio-format`). A default stands first for the command line and "
      "the library, then for each surface where it differs. Modes and models are listed where a parameter does "
      "not matter in all of them.\n");
  for (int group = 0; group < REQ_GROUP_COUNT; group++) {
    req_text_addf(&out, "\n## %s\n\n", req_group_title((req_group)group));
    if (group == REQ_GROUP_RESULT) req_text_add(&out, "Saved with a song; cannot be set.\n\n");
    req_text_add(&out, "| name | type | accepted | default | where | meaning |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
      if (p[i].group == (req_group)group) row(&out, &p[i]);
  }
  req_text_add(
      &out,
      "\n## The JSON form\n\n"
      "One object, one key a parameter, any subset. `null` means \"not given\", or the default where there is no "
      "such value. Numbers and switches may be text (`\"120\"`, `\"yes\"`). A saved song has one more key, "
      "`result`: an object with what made it (model, versions, times), skipped when the file is read back, as "
      "are the keys `lora_loaded`, `use_lora`, `lora_scale`, `lora_weights_hash`, "
      "`repaint_source_latents_file`, `session_artifact_file` and `session_artifact_kind` of other programs' "
      "files. Any other key is an error that names it.\n\n"
      "Vocal languages: ");
  for (const char *const *code = req_languages(); *code; code++)
    req_text_addf(&out, "%s`%s`", code == req_languages() ? "" : " ", *code);
  req_text_add(&out, ". Any other text is passed to the model as it stands.\n");
  return req_text_take(&out);
}
