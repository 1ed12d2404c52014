/* The models were trained on exact strings: one blank more or less in a prompt and a song is no longer what was asked.
 */
#include "render/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "golden.h"

static void expect_text(const char *what, const char *got, const char *want) {
  if (!got || !want || strcmp(got, want) != 0) fail_msg("%s\n--- is\n%s\n--- not\n%s", what, got, want);
}

/* ---- rules that a lone clone can check --------------------------------------------------------------------------- */

static void test_whole_prompt(void **state) {
  const prompt_input in = {.task = "text2music",
                           .caption = "calm piano",
                           .lyrics = "[Verse]\nLa la\n",
                           .vocal_language = "en",
                           .bpm = 72,
                           .keyscale = "A minor",
                           .timesignature = "3",
                           .duration = 45.7};
  prompt_texts texts;
  ace_error err;
  assert_int_equal(prompt_build(&texts, &in, &err), ACE_OK);
  expect_text("text", texts.text_prompt,
              "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n# Caption\ncalm piano\n\n"
              "# Metas\n- bpm: 72\n- timesignature: 3\n- keyscale: A minor\n- duration: 45 seconds\n<|endoftext|>\n");
  expect_text("lyric", texts.lyric_prompt, "# Languages\nen\n\n# Lyric\n[Verse]\nLa la\n<|endoftext|>");
  expect_text("non-cover", texts.non_cover_text_prompt, texts.text_prompt);
  prompt_free(&texts);
  assert_null(texts.text_prompt);
}

static void test_nothing_known(void **state) {
  const prompt_input in = {0};
  prompt_texts texts;
  assert_int_equal(prompt_build(&texts, &in, NULL), ACE_OK);
  expect_text("text", texts.text_prompt,
              "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n# Caption\n\n\n"
              "# Metas\n- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: 30 seconds\n<|endoftext|>\n");
  expect_text("lyric", texts.lyric_prompt, "# Languages\n\n\n# Lyric\n<|endoftext|>");
  prompt_free(&texts);
}

static void expect_instruction(prompt_input in, const char *want) {
  prompt_texts texts;
  assert_int_equal(prompt_build(&texts, &in, NULL), ACE_OK);
  expect_text("instruction", texts.instruction, want);
  prompt_free(&texts);
}

static void test_instruction_of_each_task(void **state) {
  static const char *const tracks[] = {"drums", "backing_vocals"};
  static const char fill[] = "Fill the audio semantic mask based on the given conditions:";
  static const char semantic[] = "Generate audio semantic tokens based on the given conditions:";
  expect_instruction((prompt_input){.task = "text2music"}, fill);
  expect_instruction((prompt_input){.task = "cover"}, semantic);
  expect_instruction((prompt_input){.task = "cover-nofsq"}, semantic);
  expect_instruction((prompt_input){.task = "repaint"}, "Repaint the mask area based on the given conditions:");
  expect_instruction((prompt_input){.task = "extract", .track_name = "backing_vocals"},
                     "Extract the BACKING_VOCALS track from the audio:");
  expect_instruction((prompt_input){.task = "extract"}, "Extract the track from the audio:");
  expect_instruction((prompt_input){.task = "lego", .track_name = "bass"},
                     "Generate the BASS track based on the audio context:");
  expect_instruction((prompt_input){.task = "lego", .track_name = " "},
                     "Generate the track based on the audio context:");
  expect_instruction((prompt_input){.task = "complete", .track_classes = tracks, .n_track_classes = 2},
                     "Complete the input track with DRUMS | BACKING_VOCALS:");
  expect_instruction((prompt_input){.task = "complete"}, "Complete the input track:");
  /* the caller's own words */
  expect_instruction((prompt_input){.task = "cover", .instruction = "Remix it"}, "Remix it:");
  expect_instruction((prompt_input){.task = "cover", .instruction = "Remix it:"}, "Remix it:");
  expect_instruction((prompt_input){.task = "cover", .instruction = "\xe3\x80\x80 \n"},
                     semantic); /* blank in Japanese */
  expect_instruction((prompt_input){.task = "cover", .instruction = fill}, semantic);
}

static void test_codes_make_a_cover(void **state) {
  static const char semantic[] = "Generate audio semantic tokens based on the given conditions:";
  prompt_input in = {.task = "text2music", .has_codes = true, .instruction = "Mine:"};
  assert_string_equal(prompt_effective_task(&in), "cover");
  expect_instruction(in, semantic);
  in.has_codes = false;
  in.audio_codes = " \n";
  assert_string_equal(prompt_effective_task(&in), "text2music");
  expect_instruction(in, "Mine:");
  in.audio_codes = "<|audio_code_5|>";
  expect_instruction(in, semantic);
  in.task = "complete"; /* only text2music changes */
  assert_string_equal(prompt_effective_task(&in), "complete");
  expect_instruction(in, "Mine:");
}

static void expect_caption(const char *caption, const char *want) {
  const prompt_input in = {.task = "text2music", .caption = caption};
  prompt_texts texts;
  char middle[512];
  assert_int_equal(prompt_build(&texts, &in, NULL), ACE_OK);
  snprintf(middle, sizeof middle, ":\n\n# Caption\n%s\n\n# Metas\n- bpm: N/A", want);
  if (!strstr(texts.text_prompt, middle)) fail_msg("%s", texts.text_prompt);
  prompt_free(&texts);
}

static void test_pasted_prompts_are_reduced(void **state) {
  expect_caption("# Instruction\nA:\n\n# Caption\n  warm pad \xc2\xa0\n\n# Metas\n- bpm: 80\n", "warm pad");
  expect_caption("# Instruction\nA:\n\n# Caption\nto the end", "to the end");
  expect_caption("# Instruction\n# Caption\n# Metas\n", "");
  expect_caption("# Instruction\n# Caption \r\nwindows\r\n# Metas", "windows");
  expect_caption("# Caption\nno instruction", "# Caption\nno instruction");
  expect_caption("# Instruction\nno caption\n# Metas", "# Instruction\nno caption\n# Metas");
  expect_caption(" kept as it is \n", " kept as it is \n");
}

/* Lengths that no number can print must not crash or overflow. */
static void test_odd_durations(void **state) {
  static const struct {
    double duration;
    int64_t samples;
    const char *want;
  } known[] = {{NAN, 0, "duration: 30 seconds"},       {INFINITY, 0, "duration: 1000000000 seconds"},
               {1e300, 0, "duration: 1000000000 sec"}, {-1, 0, "duration: 30 seconds"},
               {0.5, 0, "duration: 0 seconds"},        {99, 48000 * 5 - 1, "duration: 4 seconds"},
               {99, -5, "duration: 99 seconds"}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    const prompt_input in = {.task = "cover", .duration = known[i].duration, .source_samples = known[i].samples};
    prompt_texts texts;
    assert_int_equal(prompt_build(&texts, &in, NULL), ACE_OK);
    assert_non_null(strstr(texts.text_prompt, known[i].want));
    prompt_free(&texts);
  }
}

static void test_monstrous_lyrics_are_refused(void **state) {
  size_t n = (size_t)17 << 20;
  char *lyrics = malloc(n + 1);
  assert_non_null(lyrics);
  memset(lyrics, 'a', n);
  lyrics[n] = '\0';
  const prompt_input in = {.task = "text2music", .lyrics = lyrics};
  prompt_texts texts;
  ace_error err;
  assert_int_equal(prompt_build(&texts, &in, &err), ACE_EINVAL);
  assert_non_null(strstr(err.message, "16 MiB"));
  assert_null(texts.instruction);
  assert_null(texts.text_prompt);
  free(lyrics);
}

/* ---- golden data ------------------------------------------------------------------------------------------------- */

static const char *field(const json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

static void check_golden(const json_t *c) {
  const char *tracks[16];
  const json_t *classes = json_object_get(c, "track_classes"), *out = json_object_get(c, "out");
  prompt_input in = {.task = field(c, "task"),
                     .caption = field(c, "caption"),
                     .lyrics = field(c, "lyrics"),
                     .vocal_language = field(c, "vocal_language"),
                     .bpm = (int)json_integer_value(json_object_get(c, "bpm")),
                     .keyscale = field(c, "keyscale"),
                     .timesignature = field(c, "timesignature"),
                     .duration = json_number_value(json_object_get(c, "duration")),
                     .source_samples = json_integer_value(json_object_get(c, "source_samples")),
                     .track_name = field(c, "track_name"),
                     .track_classes = tracks,
                     .instruction = field(c, "instruction"),
                     .audio_codes = field(c, "audio_codes"),
                     .global_caption = field(c, "global_caption"),
                     .is_lego_sft = json_is_true(json_object_get(c, "is_lego_sft")),
                     .chunk_mask_mode = field(c, "chunk_mask_mode")};
  assert_true(json_array_size(classes) <= 16);
  for (size_t i = 0; i < json_array_size(classes); i++)
    tracks[in.n_track_classes++] = json_string_value(json_array_get(classes, i));
  prompt_texts texts;
  ace_error err;
  if (prompt_build(&texts, &in, &err) != ACE_OK) fail_msg("%s: %s", field(c, "id"), err.message);
  expect_text(field(c, "id"), texts.instruction, field(out, "instruction"));
  expect_text(field(c, "id"), texts.text_prompt, field(out, "text_prompt"));
  expect_text(field(c, "id"), texts.lyric_prompt, field(out, "lyric_prompt"));
  expect_text(field(c, "id"), texts.non_cover_text_prompt, field(out, "non_cover_text_prompt"));
  prompt_free(&texts);
}

static void test_golden_prompts(void **state) {
  static const char path[] = GOLDEN_DIR "/text/dit_prompts.json";
  ace_error err;
  if (access(path, R_OK) != 0) skip();
  json_t *file = json_parse_file(path, 1 << 24, &err);
  if (!file) fail_msg("%s", err.message);
  const json_t *cases = json_object_get(file, "cases");
  assert_int_equal(json_array_size(cases), 110);
  for (size_t i = 0; i < json_array_size(cases); i++) check_golden(json_array_get(cases, i));
  json_decref(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_prompt),
      cmocka_unit_test(test_nothing_known),
      cmocka_unit_test(test_instruction_of_each_task),
      cmocka_unit_test(test_codes_make_a_cover),
      cmocka_unit_test(test_pasted_prompts_are_reduced),
      cmocka_unit_test(test_odd_durations),
      cmocka_unit_test(test_monstrous_lyrics_are_refused),
      cmocka_unit_test(test_golden_prompts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
