#include "server/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/request.h"

enum { PATH = 256, WORD = 64 };

/* ---- types ------------------------------------------------------------------------------------------------------- */

static json_t *reference(const char *name) {
  char place[WORD + 32];
  snprintf(place, sizeof place, "#/components/schemas/%.*s", WORD, name);
  return json_pack("{s:s}", "$ref", place);
}

/* "int", "Job", "[Job]". NULL for a word that means nothing. */
static json_t *type_of(const char *name) {
  static const char *const plain[][2] = {{"text", "string"},  {"int", "integer"},   {"number", "number"},
                                         {"bool", "boolean"}, {"object", "object"}, {"list", "array"}};
  char inner[WORD];
  size_t n = strlen(name);
  if (*name == '[' && n > 2 && n < WORD && name[n - 1] == ']') {
    snprintf(inner, sizeof inner, "%.*s", (int)(n - 2), name + 1);
    return json_pack("{s:s, s:o}", "type", "array", "items", type_of(inner));
  }
  if (isupper((unsigned char)*name)) return reference(name);
  if (strcmp(name, "any") == 0) return json_object();
  if (strcmp(name, "file") == 0)
    return json_pack("{s:s, s:s}", "type", "string", "contentMediaType", "application/octet-stream");
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (strcmp(name, plain[i][0]) == 0) return json_pack("{s:s}", "type", plain[i][1]);
  return NULL;
}

typedef struct field {
  char name[WORD], type[WORD];
  bool optional;
} field;

/* Takes one field off the text; false at its end. */
static bool next_field(const char **text, field *out) {
  const char *p = *text + strspn(*text, " ");
  size_t n = strcspn(p, " "), name = strcspn(p, " ?:");
  if (n == 0) return false;
  bool optional = p[name] == '?', typed = p[name + optional] == ':';
  const char *type = p + name + optional + typed;
  *out = (field){.optional = optional};
  snprintf(out->name, sizeof out->name, "%.*s", (int)name, p);
  snprintf(out->type, sizeof out->type, "%.*s", typed ? (int)(p + n - type) : 4, typed ? type : "text");
  *text = p + n;
  return true;
}

/* The schema of a line of fields. */
static json_t *schema_of(const char *line) {
  if (!line) return json_pack("{s:s}", "type", "object");
  if (*line == ':') return type_of(line + 1);
  json_t *properties = json_object(), *required = json_array();
  for (field f; next_field(&line, &f);) {
    if (json_object_set_new(properties, f.name, type_of(f.type)) != 0) {
      json_decref(properties), json_decref(required);
      return NULL;
    }
    if (!f.optional) json_array_append_new(required, json_string(f.name));
  }
  if (json_array_size(required) > 0)
    return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", properties, "required", required);
  json_decref(required);
  return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

/* ---- what one route takes ---------------------------------------------------------------------------------------- */

bool openapi_path(const char *pattern, char *out, size_t room) {
  size_t used = 0;
  const char *word = "", *end = "";
  for (const char *p = pattern; *p; p++) {
    if (p > pattern && p[-1] == '/' && *p != '*') word = p, end = p + strcspn(p, "/");
    int n;
    if (*p != '*') n = snprintf(out + used, room - used, "%c", *p);
    else n = snprintf(out + used, room - used, "{%.*s}", (int)(end - word) - (end > word && end[-1] == 's'), word);
    if (n < 0 || (size_t)n >= room - used) return false;
    used += (size_t)n;
  }
  return true;
}

static bool add_parameter(json_t *list, const char *name, const char *in, bool required, json_t *type) {
  return json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required",
                                               (int)required, "schema", type)) == 0;
}

/* Parts of the path, and for a route without body its query. */
static json_t *parameters_of(const route *r, const char *path) {
  json_t *list = json_array();
  bool ok = true;
  for (const char *p = path; (p = strchr(p, '{')); p++) {
    char name[WORD];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
    ok = ok && add_parameter(list, name, "path", true, type_of("text"));
  }
  const char *line = r->body == BODY_NONE ? r->takes : NULL;
  for (field f; ok && line && next_field(&line, &f);)
    ok = add_parameter(list, f.name, "query", !f.optional, type_of(f.type));
  if (ok) return list;
  json_decref(list);
  return NULL;
}

static json_t *body_of(const route *r) {
  static const char *const types[] = {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"};
  json_t *content = json_object();
  bool form = r->body == BODY_LOOSE || r->body == BODY_TASK;
  bool ok = true;
  for (int i = 0; ok && i < 3; i++)
    if (i == 0 || (i == 1 && form) || (i == 2 && (form || r->files)))
      ok = json_object_set_new(content, types[i], json_pack("{s:o}", "schema", schema_of(r->takes))) == 0;
  if (ok) return json_pack("{s:o}", "content", content);
  json_decref(content);
  return NULL;
}

/* ---- what it gives ----------------------------------------------------------------------------------------------- */

static json_t *answer(const char *words, const char *type, json_t *schema) {
  return json_pack("{s:s, s:{s:{s:o}}}", "description", words, "content", type, "schema", schema);
}

static json_t *good_answer(const route *r) {
  const char *gives = r->gives;
  if (gives && *gives != '=' && *gives != ':' && strchr(gives, '/'))
    return answer("Bytes", gives, json_pack("{s:s}", "type", "string"));
  if (gives && *gives == '=') return answer("The answer", "application/json", schema_of(gives + 1));
  json_t *data = schema_of(gives);
  return answer("The answer is in data", "application/json",
                json_pack("{s:[o, {s:{s:o}}]}", "allOf", reference("Envelope"), "properties", "data", data));
}

static json_t *answers_of(const route *r) {
  json_t *all = json_pack("{s:o}", "200", good_answer(r));
  bool ok = all != NULL;
  const char *error = r->auth == AUTH_SESSION ? "Refusal" : "Detail";
  if (ok && r->auth != AUTH_NONE)
    ok = json_object_set_new(all, "401", answer("No key, or not signed in", "application/json", reference("Detail"))) ==
         0;
  if (ok && strchr(r->path, '*'))
    ok = json_object_set_new(all, "404", answer("There is none of that name", "application/json", reference(error))) ==
         0;
  if (ok && r->body == BODY_TYPED)
    ok = json_object_set_new(all, "422",
                             answer("Fields of the wrong kind", "application/json", reference("Invalid"))) == 0;
  if (ok) ok = json_object_set_new(all, "default", answer("Refused", "application/json", reference(error))) == 0;
  if (ok) return all;
  json_decref(all);
  return NULL;
}

static json_t *security_of(route_auth auth) {
  if (auth == AUTH_NONE) return json_array();
  if (auth == AUTH_SESSION) return json_pack("[{s:[]}, {s:[]}]", "key", "session");
  return json_pack("[{s:[]}]", "key");
}

/* "post_v1_jobs_job_cancel": a name for programs that make clients. */
static void operation_id(const route *r, const char *path, char out[PATH]) {
  size_t used = 0;
  for (const char *p = r->method; *p && used < PATH - 1; p++) out[used++] = (char)tolower((unsigned char)*p);
  for (const char *p = path; *p && used < PATH - 1; p++)
    if (isalnum((unsigned char)*p)) out[used++] = *p;
    else if (out[used - 1] != '_') out[used++] = '_';
  while (used > 0 && out[used - 1] == '_') used--;
  out[used] = 0;
}

static bool add_route(json_t *paths, const route *r) {
  char path[PATH], id[PATH], method[16];
  if (!r->summary || !openapi_path(r->path, path, sizeof path)) return false;
  snprintf(method, sizeof method, "%s", r->method);
  for (char *p = method; *p; p++) *p = (char)tolower((unsigned char)*p);
  operation_id(r, path, id);
  json_t *item = json_object_get(paths, path);
  if (!item) json_object_set_new(paths, path, item = json_object());
  json_t *operation = json_pack("{s:s, s:s, s:o, s:o, s:o}", "operationId", id, "summary", r->summary, "parameters",
                                parameters_of(r, path), "responses", answers_of(r), "security", security_of(r->auth));
  bool ok = operation && (r->body == BODY_NONE || json_object_set_new(operation, "requestBody", body_of(r)) == 0);
  return json_object_set_new(item, method, ok ? operation : NULL) == 0;
}

/* ---- schemas that several routes name ---------------------------------------------------------------------------- */

static const struct {
  const char *name, *fields;
} schemas[] = {
    {"Envelope", "data:any code:int error:any timestamp:int extra:any"},
    {"Detail", "detail:any"},
    {"Refusal", "detail status kind? field?"},
    {"Invalid", "detail:[InvalidField]"},
    {"InvalidField", "type loc:list msg input:any"},
    {"Model", "name is_default:bool is_loaded:bool supported_task_types:[text]"},
    {"LanguageModel", "name is_loaded:bool"},
    {"TaskResult", "task_id result status:int progress_text?"},
    {"Words", "caption lyrics bpm:any duration:any"},
    {"Sample", "item:int file favourite:bool about:object"},
    {"SharedSample", "item:int file about:object"},
    {"Job",
     "id kind class state batch:any submitted:any started:any finished:any estimate:any position?:int "
     "seconds_left:any progress?:object error:any note:object share:any samples:[Sample] request?:object result?:any"},
    {"Upload", "id name seconds:number channels:int sample_rate:int bytes:int"},
    {"Queued", "id position:int"},
};

/* The parameters of a song, from their table. */
static json_t *song_schema(void) {
  char *text = ace_request_schema(ACE_PROFILE_REST);
  json_t *schema = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  json_object_del(schema, "$schema");
  return schema;
}

static json_t *components(void) {
  json_t *all = json_pack("{s:o}", "Song", song_schema());
  bool ok = all != NULL;
  for (size_t i = 0; ok && i < sizeof schemas / sizeof *schemas; i++)
    ok = json_object_set_new(all, schemas[i].name, schema_of(schemas[i].fields)) == 0;
  if (!ok) json_decref(all), all = NULL;
  return json_pack("{s:o, s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}}}", "schemas", all, "securitySchemes", "key", "type",
                   "http", "scheme", "bearer", "session", "type", "apiKey", "in", "cookie", "name", "acestep_session");
}

json_t *openapi_document(const char *base) {
  json_t *paths = json_object();
  bool ok = paths != NULL;
  for (int i = 0; ok && route_at(i); i++) ok = add_route(paths, route_at(i));
  if (!ok) json_decref(paths), paths = NULL;
  return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:o, s:o}", "openapi", "3.1.0", "info", "title", "ACE-Step API",
                   "version", "1.0", "summary", "Music from words", "servers", "url", *base ? base : "/", "paths",
                   paths, "components", components());
}
