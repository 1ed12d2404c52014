/* Chat completions and live events. */
#include "server/chat_request.h"
#include "site.h"

/* ---- what a text means ------------------------------------------------------------------------------------------- */

static void expect_split(const char *text, const char *prompt, const char *lyrics) {
  char *p, *l;
  assert_true(chat_split(text, &p, &l));
  if (prompt) assert_string_equal(p, prompt);
  else assert_null(p);
  if (lyrics) assert_string_equal(l, lyrics);
  else assert_null(l);
  free(p), free(l);
}

static void test_what_a_text_means(void **state) {
  expect_split("lofi beat", "lofi beat", NULL);
  expect_split("<prompt> lofi </prompt><LYRICS>\n[Verse]\nla\n</lyrics>", "lofi", "[Verse]\nla");
  expect_split("slow blues <lyrics>la la</lyrics> in E", "slow blues  in E", "la la");
  expect_split("<prompt>open", "<prompt>open", NULL);
  expect_split("[Chorus]\nla", NULL, "[Chorus]\nla");
  expect_split("one\ntwo\nthree\nfour", NULL, "one\ntwo\nthree\nfour");
  expect_split("one\ntwo\nthree\n \n", "one\ntwo\nthree\n \n", NULL);
}

static void test_base64(void **state) {
  static const struct {
    const char *text, *bytes;
    size_t n;
  } cases[] = {{"TQ==", "M", 1},
               {"TWE=", "Ma", 2},
               {"TWFu", "Man", 3},
               {"data:audio/wav;base64,TWFuTWE", "ManMa", 5},
               {"T W\nFu", "Man", 3}};
  size_t n;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t *bytes = chat_decode(cases[i].text, &n);
    assert_non_null(bytes);
    assert_int_equal(n, cases[i].n);
    assert_memory_equal(bytes, cases[i].bytes, n);
    free(bytes);
  }
  static const char *const bad[] = {"", "=", "T*Fu", "data:audio/wav;base64,", "\xff\xfe"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_null(chat_decode(bad[i], &n));
  char *text = chat_encode((const uint8_t *)"ManMa", 5);
  assert_string_equal(text, "TWFuTWE=");
  free(text);
}

/* ---- completions ------------------------------------------------------------------------------------------------- */

#define BRIEF "\"audio_config\":{\"duration\":10,\"format\":\"wav\"},\"inference_steps\":1"

static void test_a_song_as_a_completion(void **state) {
  site w = open_site(state, NULL, 0, 0);
  json_t *all = json_of(post(&w, "/v1/chat/completions",
                             "{\"model\":\"acestep/M\",\"messages\":[{\"role\":\"user\",\"content\":"
                             "\"<prompt>a</prompt><lyrics>[inst]</lyrics>\"}]," BRIEF "}"),
                        200);
  assert_string_equal(text_of(all, "object"), "chat.completion");
  assert_string_equal(text_of(all, "model"), "acestep/M");
  assert_memory_equal(text_of(all, "id"), "chatcmpl-", 9);
  const json_t *message = json_object_get(json_array_get(json_object_get(all, "choices"), 0), "message");
  const json_t *sound = json_array_get(json_object_get(message, "audio"), 0);
  assert_memory_equal(text_of(json_object_get(sound, "audio_url"), "url"), "data:audio/wav;base64,UklGR", 27);
  assert_non_null(strstr(text_of(message, "content"), "**Caption:** a"));
  assert_null(strstr(text_of(message, "content"), "Lyrics"));
  json_decref(all);
  expect_detail(post(&w, "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"  \"}]}"), 400,
                "No valid prompt");
  expect_detail(post(&w, "/v1/chat/completions", "{\"model\":"), 400, "Invalid request format");
  /* a job that fails is told as a failure */
  expect_detail(post(&w, "/v1/chat/completions",
                     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"task_type\":\"cover\"}"),
                500, "requires source audio");
  close_site(&w);
}

static void test_a_song_as_a_stream(void **state) {
  site w = open_site(state, NULL, 0, 0);
  reply r = post(
      &w, "/v1/chat/completions",
      "{\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"no\"},{\"role\":\"user\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"lofi\"},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"*\"}}]}]," BRIEF
      "}");
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.body, "data: {", 7);
  const char *role = strstr(r.body, "\"role\":\"assistant\""), *words = strstr(r.body, "**Caption:** lofi");
  const char *sound = strstr(r.body, "data:audio/wav;base64,"), *stop = strstr(r.body, "\"finish_reason\":\"stop\"");
  assert_true(role && words && sound && stop && role < words && words < sound && sound < stop);
  assert_string_equal(r.body + r.length - 14, "data: [DONE]\n\n");
  reply_free(&r);
  r = post(&w, "/v1/chat/completions",
           "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"task_type\":\"cover\"}");
  assert_non_null(strstr(r.body, "\\n\\nError: "));
  assert_non_null(strstr(r.body, "\"finish_reason\":\"error\""));
  reply_free(&r);
  close_site(&w);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Listens until `word` has come; what was heard, to be freed. */
static char *listen_for(const site *w, const char *path, const char *seen, const char *word) {
  char request[512], *heard = calloc(1, 1 << 20);
  int s = http_connect(w->port);
  int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n", path,
                   seen ? "Last-Event-ID: " : "", seen ? seen : "", seen ? "\r\n" : "");
  http_send(s, request, (size_t)n);
  for (size_t used = 0; !strstr(heard, word);) {
    ssize_t got = recv(s, heard + used, (1 << 20) - 1 - used, 0);
    if (got <= 0) fail_msg("\"%s\" did not come: %s", word, heard);
    used += (size_t)got;
  }
  close(s);
  return heard;
}

static int count(const char *text, const char *word) {
  int n = 0;
  for (; (text = strstr(text, word)); text += strlen(word)) n++;
  return n;
}

static void test_events_of_a_job(void **state) {
  site w = open_site(state, NULL, 0, 0);
  char id[64], path[200], number[64];
  submit_as(&w, "application/json", "{" SHORT ",\"duration\":10}", id);
  snprintf(path, sizeof path, "/v1/events?task_id=%s", id);
  char *heard = listen_for(&w, path, NULL, "event: done");
  assert_true(count(heard, "event: progress") > 0);
  assert_int_equal(count(heard, "event: sample"), 1);
  assert_null(strstr(heard, "event: failed"));
  /* who comes back with the number of the first message gets the rest, who comes with a strange one the state */
  assert_int_equal(sscanf(strstr(heard, "id: "), "id: %63s", number), 1);
  free(heard);
  heard = listen_for(&w, path, number, "event: done");
  assert_int_equal(count(heard, "event: sample"), 1);
  free(heard);
  heard = listen_for(&w, path, "12", "event: done");
  assert_non_null(strstr(heard, "\"samples\":[{"));
  free(heard);
  /* the caller's own jobs, from the beginning */
  heard = listen_for(&w, "/v1/events", NULL, "event: done");
  assert_non_null(strstr(heard, id));
  free(heard);
  expect_detail(get(&w, "/v1/events?task_id=no-such"), 404, "no-such");
  close_site(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_a_text_means),      cmocka_unit_test(test_base64),
      cmocka_unit_test(test_a_song_as_a_completion), cmocka_unit_test(test_a_song_as_a_stream),
      cmocka_unit_test(test_events_of_a_job),
  };
  return cmocka_run_group_tests(tests, songs_open, songs_close);
}
