/* What parameters demand of one another and of a model, and what is made from their table: a request that makes no
 * sense must be refused before hours of computing, and help, schema and document must tell the truth. */
#include <math.h>

#include "request_testing.h"

#define PARAMETERS_MD ACE_SOURCE_DIR "/docs/PARAMETERS.md"

static void valid(ace_request *r) {
  ace_error err = {0};
  if (ace_request_validate(r, &err) != ACE_OK) fail_msg("%s", err.message);
}

static void invalid(ace_request *r, const char *in_message) {
  ace_error err = {0};
  assert_int_equal(ace_request_validate(r, &err), ACE_EINVAL);
  if (!strstr(err.message, in_message)) fail_msg("message \"%s\"", err.message);
}

/* ---- combinations ---- */

static void tasks_need_their_inputs(void **state) {
  static const char *const tasks[] = {"repaint", "cover", "cover-nofsq", "extract", "lego"};
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    ace_request *r = fresh();
    sets(r, "task_type", tasks[i], tasks[i]);
    invalid(r, "requires source audio");
    sets(r, "src_audio", "song.wav", "song.wav");
    sets(r, "track_name", "drums", "drums");
    sets(r, "complete_track_classes", "drums", "drums");
    valid(r);
    ace_request_free(r);
  }
  ace_request *r = fresh();
  sets(r, "task_type", "cover", "cover");
  sets(r, "audio_codes", "<|audio_code_5|>", "<|audio_code_5|>");
  valid(r); /* the codes are its source */
  sets(r, "task_type", "complete", "complete");
  sets(r, "complete_track_classes", "drums", "drums");
  valid(r); /* from nothing: as long as duration says */
  ace_request_free(r);
}

static void stems_need_a_track(void **state) {
  ace_request *r = fresh();
  sets(r, "src_audio", "song.wav", "song.wav");
  sets(r, "task_type", "extract", "extract");
  invalid(r, "track_name: task extract needs one of vocals, backing_vocals, drums");
  sets(r, "task_type", "lego", "lego");
  invalid(r, "track_name: task lego needs");
  sets(r, "task_type", "complete", "complete");
  invalid(r, "complete_track_classes: task complete needs");
  sets(r, "instruction", "Add a kazoo:", "Add a kazoo:");
  valid(r);
  ace_request_free(r);
}

static void regions_must_not_be_empty(void **state) {
  ace_request *r = fresh();
  sets(r, "task_type", "repaint", "repaint");
  sets(r, "src_audio", "song.wav", "song.wav");
  valid(r);
  r->repainting_start = 10, r->repainting_end = 10;
  invalid(r, "repainting_end: 10 s is not after repainting_start, 10 s");
  r->repainting_end = 9.5;
  invalid(r, "repainting_end");
  r->repainting_end = 10.5;
  valid(r);
  r->repainting_end = -1;
  valid(r);
  r->repainting_start = -5;
  valid(r); /* music before the beginning */
  r->task_type = REQ_TASK_TEXT2MUSIC, r->repainting_start = 10, r->repainting_end = 5;
  valid(r); /* not used there */
  ace_request_free(r);
}

static void codes_must_hold_a_code(void **state) {
  ace_request *r = fresh();
  sets(r, "audio_codes", "  ", "  ");
  valid(r);
  sets(r, "audio_codes", "12, 13", "12, 13");
  invalid(r, "audio_codes");
  sets(r, "audio_codes", "<|audio_code_|><|audio_code_x|>", "<|audio_code_|><|audio_code_x|>");
  invalid(r, "audio_codes");
  sets(r, "audio_codes", "x <|audio_code_99999|> y", "x <|audio_code_99999|> y");
  valid(r);
  ace_request_free(r);
}

static void intervals_must_not_be_reversed(void **state) {
  ace_request *r = fresh();
  r->cfg_interval_start = 0.8, r->cfg_interval_end = 0.2;
  invalid(r, "cfg_interval_start: 0.8 is above cfg_interval_end, 0.2");
  r->cfg_interval_end = 0.8;
  valid(r);
  r->flow_edit_n_min = 0.9, r->flow_edit_n_max = 0.5;
  invalid(r, "flow_edit_n_min");
  r->flow_edit_n_max = 1;
  valid(r);
  r->flow_edit_morph = true;
  invalid(r, "src_audio: flow_edit_morph requires source audio");
  ace_request_free(r);
}

/* Fields written directly by other rooms are checked as well. */
static void validation_catches_what_set_never_saw(void **state) {
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    ace_request *r = fresh();
    void *field = req_field(r, &p[i]);
    switch (p[i].type) {
      case REQ_TRI:
      case REQ_ENUM:
      case REQ_INT: *(int *)field = 1 << 20; break;
      case REQ_NUMBER: *(double *)field = NAN; break;
      case REQ_SEED: *(int64_t *)field = REQ_SEED_MAX + 1; break;
      case REQ_SEEDS: *(req_seeds *)field = (req_seeds){.count = 9}; break;
      case REQ_TRACKS: *(req_tracks *)field = (req_tracks){.count = 1, .value = {99}}; break;
      case REQ_TIMESTEPS: *(req_timesteps *)field = (req_timesteps){.count = 1, .value = {1}}; break;
      case REQ_STRING:
      case REQ_PATH: assert_int_equal(req_set_string(field, "\xff", NULL), ACE_OK); break;
      case REQ_BOOL: ace_request_free(r); continue;
    }
    invalid(r, p[i].name);
    ace_request_free(r);
  }
}

static void models_refuse_what_they_cannot_do(void **state) {
  ace_request *r = fresh();
  ace_error err = {0};
  sets(r, "inference_steps", "20", "20");
  assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_OK);
  sets(r, "inference_steps", "21", "21");
  assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "inference_steps: 21 is outside 1..20 of a turbo model"));
  assert_int_equal(req_check_model(r, REQ_MODEL_SFT, &err), ACE_OK);
  assert_int_equal(req_check_model(r, REQ_MODEL_BASE, &err), ACE_OK);
  sets(r, "inference_steps", "", "");
  static const int base_only[] = {REQ_TASK_EXTRACT, REQ_TASK_LEGO, REQ_TASK_COMPLETE};
  for (int i = 0; i < 3; i++) {
    r->task_type = base_only[i];
    assert_int_equal(req_check_model(r, REQ_MODEL_BASE, &err), ACE_OK);
    assert_int_equal(req_check_model(r, REQ_MODEL_SFT, &err), ACE_EUNSUPPORTED);
    assert_int_equal(req_check_model(r, REQ_MODEL_TURBO, &err), ACE_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "needs a base model"));
  }
  ace_request_free(r);
}

static void steps_and_correction_follow_the_model(void **state) {
  ace_request *r = fresh();
  assert_int_equal(req_steps(r, REQ_MODEL_TURBO), 8);
  assert_int_equal(req_steps(r, REQ_MODEL_SFT), 50);
  assert_int_equal(req_steps(r, REQ_MODEL_BASE), 32);
  assert_true(req_dcw(r, REQ_MODEL_TURBO) && !req_dcw(r, REQ_MODEL_SFT) && !req_dcw(r, REQ_MODEL_BASE));
  sets(r, "dcw_enabled", "true", "true");
  assert_true(req_dcw(r, REQ_MODEL_BASE));
  sets(r, "inference_steps", "12", "12");
  assert_int_equal(req_steps(r, REQ_MODEL_SFT), 12);
  sets(r, "timesteps", "1,0.5,0.0", "1,0.5,0,0");
  assert_int_equal(req_steps(r, REQ_MODEL_TURBO), 2); /* trailing zeros are implicit there */
  assert_int_equal(req_steps(r, REQ_MODEL_BASE), 3);
  ace_request_free(r);
}

static void collect(void *user, const char *line) {
  strncat(user, line, 2000 - strlen(user) - 1);
  strncat(user, "\n", 2000 - strlen(user) - 1);
}

static void surprises_are_announced(void **state) {
  char said[2000] = "";
  ace_request *r = fresh();
  req_advise(r, REQ_MODEL_TURBO, collect, said);
  assert_string_equal(said, "");
  sets(r, "timesteps", "0.5,0.9", "0.5,0.9,0");
  sets(r, "inference_steps", "8", "8");
  sets(r, "vocal_language", "klingon", "klingon");
  sets(r, "sampler_mode", "heun", "heun");
  sets(r, "infer_method", "sde", "sde");
  sets(r, "src_audio", "a.wav", "a.wav");
  req_advise(r, 0, collect, said);
  assert_non_null(strstr(said, "taking 2 steps instead of inference_steps, 8"));
  assert_non_null(strstr(said, "do not fall"));
  assert_non_null(strstr(said, "klingon"));
  assert_non_null(strstr(said, "euler is used"));
  assert_non_null(strstr(said, "src_audio: task text2music"));
  ace_request_free(r);
}

/* ---- what is made from the table ---- */

static void the_schema_describes_what_is_written(void **state) {
  for (int profile = 0; profile < ACE_PROFILE_COUNT; profile++) {
    char *text = ace_request_schema((ace_profile)profile);
    ace_error err = {0};
    json_t *schema = json_parse(text, strlen(text), "schema", &err);
    if (!schema) fail_msg("%s", err.message);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    ace_request *r = ace_request_new((ace_profile)profile);
    char *json = ace_request_to_json(r);
    json_t *written = json_parse(json, strlen(json), "request", &err),
           *properties = json_object_get(schema, "properties");
    const char *key;
    json_t *value;
    assert_int_equal(json_object_size(properties), json_object_size(written) + 1); /* and "result" */
    json_object_foreach(written, key, value) {
      json_t *property = json_object_get(properties, key);
      if (!property) fail_msg("%s is not in the schema", key);
      if (!json_equal(json_object_get(property, "default"), value)) fail_msg("%s: another default", key);
      assert_true(*json_string_value(json_object_get(property, "description")) != '\0');
      json_t *low = json_object_get(property, "minimum"), *high = json_object_get(property, "maximum");
      if (low && json_is_number(value))
        assert_true(json_number_value(value) >= json_number_value(low) &&
                    json_number_value(value) <= json_number_value(high));
    }
    json_t *steps = json_object_get(properties, "inference_steps");
    assert_int_equal(json_integer_value(json_object_get(steps, "maximum")), 200);
    json_decref(written);
    json_decref(schema);
    free(json);
    free(text);
    ace_request_free(r);
  }
}

static void help_names_every_flag_within_the_width(void **state) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_int_equal(req_print_help(out, ACE_PROFILE_CLI, 80), ACE_OK);
  fclose(out);
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    char flag[REQ_FLAG_SIZE + 4];
    snprintf(flag, 4, "  ");
    req_param_flag(&p[i], flag + 2);
    if (p[i].result == (strstr(text, flag) != NULL)) fail_msg("%s: %s", flag, p[i].result ? "listed" : "not listed");
  }
  assert_non_null(strstr(text, "10..600"));
  for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
    int width = 0;
    for (size_t k = 0; line[k] && line[k] != '\n'; k++) width += ((unsigned char)line[k] & 0xc0) != 0x80;
    if (width > 80) fail_msg("%d columns: %.*s", width, (int)strcspn(line, "\n"), line);
  }
  free(text);
}

/* ACE_WRITE_DOCS=1 in the environment writes the document anew. */
static void the_document_is_the_table(void **state) {
  char *text = req_markdown();
  assert_non_null(text);
  size_t n;
  const req_param *p = req_params(&n);
  for (size_t i = 0; i < n; i++) {
    char row[80];
    snprintf(row, sizeof row, "\n| `%s` |", p[i].name);
    if (!strstr(text, row)) fail_msg("%s is not in the document", p[i].name);
  }
  if (getenv("ACE_WRITE_DOCS")) assert_int_equal(file_write(PARAMETERS_MD, text, strlen(text), NULL), ACE_OK);
  if (file_exists(PARAMETERS_MD)) {
    size_t length;
    char *file = file_read(PARAMETERS_MD, 1 << 20, &length, NULL);
    assert_non_null(file);
    if (strcmp(file, text) != 0)
      fail_msg("docs/PARAMETERS.md is not what the table says: run ACE_WRITE_DOCS=1 test_request_rules");
    free(file);
  }
  free(text);
}

/* ---- small rules ---- */

static void lyrics_may_say_instrumental(void **state) {
  assert_true(req_lyrics_instrumental("") && req_lyrics_instrumental(" \n") && req_lyrics_instrumental(" [INST] \n"));
  assert_true(req_lyrics_instrumental("[Instrumental]"));
  assert_false(req_lyrics_instrumental("[instrumental] la"));
  assert_false(req_lyrics_instrumental("instrumental"));
  ace_request *r = fresh();
  sets(r, "lyrics", "la la", "la la");
  assert_false(req_is_instrumental(r));
  r->instrumental = true;
  assert_true(req_is_instrumental(r));
  ace_request_free(r);
}

static void page_timesteps_warn_instead_of_failing(void **state) {
  req_timesteps t;
  int steps = 8;
  assert_int_equal(req_timesteps_parse("1,abc", &t, &steps), REQ_TIMESTEPS_FORMAT);
  assert_int_equal(req_timesteps_parse("1,-0.1", &t, &steps), REQ_TIMESTEPS_RANGE);
  assert_true(t.count == 0 && steps == 8);
  assert_int_equal(req_timesteps_parse("1,0.5", &t, &steps), REQ_TIMESTEPS_COUNT);
  assert_true(t.count == 3 && steps == 2 && t.value[2] == 0);
  assert_int_equal(req_timesteps_parse(" 1 ,, .5 , 0", &t, &steps), REQ_TIMESTEPS_NONE);
  assert_int_equal(t.count, 3);
}

static void golden_timesteps(void **state) {
  if (!file_exists(GOLDEN_CODES)) skip();
  static const char *const words[] = {"none", "format", "range", "count"};
  json_t *all = json_parse_file(GOLDEN_CODES, 1 << 24, NULL), *item, *want;
  assert_non_null(all);
  size_t i, k, checked = 0;
  json_array_foreach(json_object_get(all, "timesteps"), i, item) {
    const char *id = json_string_value(json_object_get(item, "id"));
    const json_t *out = json_object_get(item, "out"), *levels = json_object_get(out, "timesteps");
    int steps = (int)json_integer_value(json_object_get(item, "inference_steps"));
    req_timesteps t;
    req_timesteps_warning w = req_timesteps_parse(json_string_value(json_object_get(item, "text")), &t, &steps);
    if (strcmp(words[w], json_string_value(json_object_get(out, "warning"))) != 0) fail_msg("%s: %s", id, words[w]);
    if (steps != json_integer_value(json_object_get(out, "steps"))) fail_msg("%s: %d steps", id, steps);
    if ((size_t)t.count != json_array_size(levels)) fail_msg("%s: %d levels", id, t.count);
    json_array_foreach(levels, k, want) {
      if (t.value[k] != json_number_value(want)) fail_msg("%s: level %zu is %.17g", id, k, t.value[k]);
    }
    checked++;
  }
  assert_int_equal(checked, 26);
  json_decref(all);
}

static void golden_instrumental(void **state) {
  if (!file_exists(GOLDEN_CODES)) skip();
  json_t *all = json_parse_file(GOLDEN_CODES, 1 << 24, NULL), *item;
  assert_non_null(all);
  size_t i, checked = 0;
  json_array_foreach(json_object_get(all, "instrumental"), i, item) {
    bool got = req_lyrics_instrumental(json_string_value(json_object_get(item, "lyrics")));
    if (got != json_is_true(json_object_get(item, "out")))
      fail_msg("%s: %d", json_string_value(json_object_get(item, "id")), got);
    checked++;
  }
  assert_int_equal(checked, 9);
  json_decref(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tasks_need_their_inputs),
      cmocka_unit_test(stems_need_a_track),
      cmocka_unit_test(regions_must_not_be_empty),
      cmocka_unit_test(codes_must_hold_a_code),
      cmocka_unit_test(intervals_must_not_be_reversed),
      cmocka_unit_test(validation_catches_what_set_never_saw),
      cmocka_unit_test(models_refuse_what_they_cannot_do),
      cmocka_unit_test(steps_and_correction_follow_the_model),
      cmocka_unit_test(surprises_are_announced),
      cmocka_unit_test(the_schema_describes_what_is_written),
      cmocka_unit_test(help_names_every_flag_within_the_width),
      cmocka_unit_test(the_document_is_the_table),
      cmocka_unit_test(lyrics_may_say_instrumental),
      cmocka_unit_test(page_timesteps_warn_instead_of_failing),
      cmocka_unit_test(golden_timesteps),
      cmocka_unit_test(golden_instrumental),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
