/* The description at /openapi.json: clients are made from it, so it must name every route and be sound in form. */
#include "site.h"

#include <ctype.h>

#include "server/openapi.h"

static json_t *document(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *all = json_of(get(&w, "/openapi.json"), 200);
  close_site(&w);
  return all;
}

static const json_t *operation_of(const json_t *all, const route *r) {
  char path[256], method[16];
  assert_true(openapi_path(r->path, path, sizeof path));
  snprintf(method, sizeof method, "%s", r->method);
  for (char *p = method; *p; p++) *p = (char)tolower((unsigned char)*p);
  const json_t *operation = json_object_get(json_object_get(json_object_get(all, "paths"), path), method);
  if (!operation) fail_msg("%s %s is not described", r->method, path);
  return operation;
}

/* A route that is not described is one that no generated client can call. */
static void test_every_route_is_described(void **state) {
  json_t *all = document(state), *item;
  const char *path;
  int routes = 0, operations = 0;
  for (; route_at(routes); routes++) {
    const route *r = route_at(routes);
    const json_t *operation = operation_of(all, r);
    assert_true(strlen(text_of(operation, "summary")) > 3);
    assert_int_equal(json_object_get(operation, "requestBody") != NULL, r->body != BODY_NONE);
  }
  json_object_foreach(json_object_get(all, "paths"), path, item) operations += (int)json_object_size(item);
  assert_true(routes > 30);
  assert_int_equal(operations, routes);
  json_decref(all);
}

/* What is described is there: another method of its path is refused as such, not as an unknown path. */
static void test_every_described_path_is_served(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *all = json_of(get(&w, "/openapi.json"), 200), *item;
  const char *path;
  json_object_foreach(json_object_get(all, "paths"), path, item) {
    char request[512], plain[256];
    size_t used = 0;
    for (const char *p = path; *p; p++)
      if (*p != '{' && *p != '}') plain[used++] = *p;
    plain[used] = 0;
    snprintf(request, sizeof request, "BREW %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", plain);
    reply r = http_ask(w.port, request);
    if (r.status != 405) fail_msg("%s: status %d", path, r.status);
    reply_free(&r);
  }
  json_decref(all);
  close_site(&w);
}

/* Every "$ref" below leads somewhere; *n counts them. */
static void follow(const json_t *all, const json_t *v, int *n) {
  const char *key;
  json_t *inner;
  size_t i;
  json_array_foreach(v, i, inner) follow(all, inner, n);
  if (!json_is_object(v)) return;
  const char *place = json_string_value(json_object_get(v, "$ref"));
  const json_t *schemas = json_object_get(json_object_get(all, "components"), "schemas");
  if (place) {
    ++*n;
    assert_memory_equal(place, "#/components/schemas/", 21);
    if (!json_object_get(schemas, place + 21)) fail_msg("%s leads nowhere", place);
  }
  json_object_foreach((json_t *)v, key, inner) follow(all, inner, n);
}

/* Each name in braces of the path is a parameter in it, and the other way round. */
static void check_parameters(const char *path, const json_t *operation) {
  size_t i;
  json_t *p;
  int named = 0, braces = 0;
  for (const char *s = path; (s = strchr(s, '{')); s++) braces++;
  json_array_foreach(json_object_get(operation, "parameters"), i, p) {
    char name[128];
    assert_true(json_is_object(json_object_get(p, "schema")));
    if (strcmp(text_of(p, "in"), "path") != 0) continue;
    named++;
    snprintf(name, sizeof name, "{%s}", text_of(p, "name"));
    assert_non_null(strstr(path, name));
    assert_true(json_is_true(json_object_get(p, "required")));
  }
  assert_int_equal(named, braces);
}

static void test_the_form_is_sound(void **state) {
  json_t *all = document(state), *item, *operation, *response;
  const char *path, *method, *status;
  json_t *ids = json_object();
  int references = 0;
  assert_string_equal(text_of(all, "openapi"), "3.1.0");
  assert_true(json_is_string(json_object_get(json_object_get(all, "info"), "title")));
  assert_true(json_is_string(json_object_get(json_object_get(all, "info"), "version")));
  json_object_foreach(json_object_get(all, "paths"), path, item) {
    assert_int_equal(*path, '/');
    json_object_foreach(item, method, operation) {
      const char *id = text_of(operation, "operationId");
      if (json_object_get(ids, id)) fail_msg("two operations are called %s", id);
      json_object_set_new(ids, id, json_true());
      check_parameters(path, operation);
      json_object_foreach(json_object_get(operation, "responses"), status, response)
          assert_true(json_is_string(json_object_get(response, "description")));
      assert_non_null(json_object_get(json_object_get(operation, "responses"), "200"));
    }
  }
  follow(all, all, &references);
  assert_true(references > 50);
  json_decref(ids), json_decref(all);
}

/* The parameters of a song are those of the program, with its ranges. */
static void test_songs_are_the_table_of_parameters(void **state) {
  json_t *all = document(state);
  const json_t *song = json_object_get(json_object_get(json_object_get(all, "components"), "schemas"), "Song");
  const json_t *bpm = json_object_get(json_object_get(song, "properties"), "bpm");
  char *text = json_dumps(bpm, 0);
  assert_non_null(strstr(text, "30"));
  assert_non_null(strstr(text, "300"));
  free(text);
  assert_non_null(json_object_get(json_object_get(song, "properties"), "repaint_strength"));
  json_decref(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_route_is_described),
      cmocka_unit_test(test_every_described_path_is_served),
      cmocka_unit_test(test_the_form_is_sound),
      cmocka_unit_test(test_songs_are_the_table_of_parameters),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
