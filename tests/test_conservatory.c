/* The conservatory: its pieces are what they say they are. A piece that differs between runs, stems that do not add up, a tempo
 * that is not the music's, or a line sung at another time would teach a model what is not so. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka needs the headers above it. */
#include <cmocka.h>

#include "base/pool.h"
#include "conservatory/describe.h"
#include "conservatory/harmony.h"
#include "conservatory/render.h"
#include "conservatory/style.h"
#include "conservatory/words.h"

enum { PIECES = 4 };
static const double SECONDS = 4;

static waves *tables;

static int open_tables(void **state) {
  tables = waves_new(NULL);
  return tables ? 0 : -1;
}

static int close_tables(void **state) {
  free(tables);
  return 0;
}

static cons_piece *compose(uint64_t seed, double seconds, const char *style) {
  ace_error err = {0};
  cons_wish wish = {.seed = seed, .seconds = seconds, .style = style ? style_find(style) : NULL};
  cons_piece *p = cons_compose(&wish, &err);
  assert_non_null(p);
  return p;
}

static cons_sound render(const cons_piece *p) {
  ace_error err = {0};
  cons_sound s;
  assert_int_equal(cons_render(p, tables, &s, &err), ACE_OK);
  return s;
}

/* ---- the same seed, the same bits -------------------------------------------------------------------------------- */

static void make(void *arg, int chunk, int worker) {
  cons_wish wish = {.seed = 100 + (uint64_t)chunk, .seconds = SECONDS};
  cons_piece *p = cons_compose(&wish, NULL); /* on a thread that may not fail a test: an empty sound does so later */
  if (p) cons_render(p, tables, &((cons_sound *)arg)[chunk], NULL);
  cons_piece_free(p);
}

static void a_seed_is_a_piece(void **state) {
  cons_sound once[PIECES] = {0}, again[PIECES] = {0};
  pool *three = pool_new(3, NULL);
  pool_run(NULL, PIECES, make, once);
  pool_run(three, PIECES, make, again);
  pool_free(three);
  for (int i = 0; i < PIECES; i++) {
    assert_int_equal(once[i].mix.frames, (int64_t)(SECONDS * CONS_RATE));
    assert_memory_equal(once[i].mix.samples, again[i].mix.samples, (size_t)once[i].mix.frames * 2 * sizeof(float));
    if (i > 0)
      assert_memory_not_equal(once[i].mix.samples, once[0].mix.samples, (size_t)once[i].mix.frames * 2 * sizeof(float));
  }
  for (int i = 0; i < PIECES; i++) cons_sound_free(&once[i]), cons_sound_free(&again[i]);
}

/* ---- sound that can be used --------------------------------------------------------------------------------------- */

static void stems_are_the_mix_and_all_is_sound(void **state) {
  static const char *const styles[] = {"rock", "house", "swing", "ballad"};
  for (int i = 0; i < 4; i++) {
    cons_piece *p = compose(7 + (uint64_t)i, SECONDS, styles[i]);
    cons_sound s = render(p);
    size_t n = (size_t)s.mix.frames * 2;
    float *sum = calloc(n, sizeof *sum);
    double mean[2] = {0, 0};
    for (int t = 0; t < TRACK_COUNT; t++) {
      assert_int_equal(s.stem[t].samples != NULL, cons_plays(p, (cons_track)t));
      for (size_t k = 0; s.stem[t].samples && k < n; k++) sum[k] += s.stem[t].samples[k];
      if (s.stem[t].samples) assert_false(audio_is_silent(&s.stem[t]));
    }
    assert_memory_equal(sum, s.mix.samples, n * sizeof *sum);
    assert_true(audio_is_finite(&s.mix));
    assert_true(audio_peak(&s.mix) <= 0.9701f && audio_peak(&s.mix) > 0.1f);
    for (size_t k = 0; k < n; k++) mean[k % 2] += (double)s.mix.samples[k] / (double)(n / 2);
    assert_true(fabs(mean[0]) < 1e-3 && fabs(mean[1]) < 1e-3);
    free(sum);
    cons_sound_free(&s);
    cons_piece_free(p);
  }
}

/* Every voice, high and low, at every length: finite, audible, and nowhere beyond what it may write. */
static void every_voice_sounds_and_keeps_to_its_room(void **state) {
  enum { ROOM = 9000 };
  float out[ROOM + 1];
  for (int v = 0; v < VOICE_COUNT; v++)
    for (int high = 0; high < 2; high++)
      for (int room = 100; room <= ROOM; room *= 9) {
        int pitch = high ? voice_table[v].high : voice_table[v].low;
        bool drums = v >= VOICE_KIT && v <= VOICE_EFFECT;
        voice_note n = {.waves = tables,
                        .hz = 440 * exp2f((float)(pitch - 69) / 12),
                        .velocity = 0.9f,
                        .gate = 6000,
                        .seed = 5,
                        .sung = "strength"};
        n.sound = v == VOICE_HANDS ? 11 : v == VOICE_EFFECT ? 18 : drums ? high : 0;
        double power = 0;
        out[room] = 123;
        int length = voice_play((cons_voice)v, &n, out, room);
        assert_true(length > 0 && length <= room && out[room] == 123);
        for (int i = 0; i < length; i++) {
          assert_true(isfinite(out[i]) && fabsf(out[i]) < 8);
          power += out[i] * out[i];
        }
        if (room == 8100) assert_true(power / length > 1e-7);
      }
}

/* A high tone of the richest wave has nothing between its harmonics: what lies there would be mirrored from above half the
 * rate. Correlated with a sine at 1.5 times the pitch and at the mirror of harmonic 12. */
static void oscillators_do_not_mirror(void **state) {
  enum { N = 48000 };
  const float hz = 2093; /* 12 * 2093 = 25116, mirrored at 22884 */
  const float *table = waves_at(tables, WAVE_SAW, hz);
  double wanted[2] = {0, 0}, mirrored[2] = {0, 0};
  float phase = 0;
  for (int i = 0; i < N; i++, phase = wave_step(phase, hz / CONS_RATE)) {
    double x = wave_read(table, phase), t = 6.283185307179586 * i / CONS_RATE;
    wanted[0] += x * cos(t * hz), wanted[1] += x * sin(t * hz);
    mirrored[0] += x * cos(t * (48000 - 12 * hz)), mirrored[1] += x * sin(t * (48000 - 12 * hz));
  }
  assert_true(hypot(mirrored[0], mirrored[1]) < 1e-4 * hypot(wanted[0], wanted[1])); /* -80 dB */
}

/* ---- the truth ----------------------------------------------------------------------------------------------------- */

static bool played(const json_t *truth, const char *track) {
  size_t i;
  const json_t *t;
  json_array_foreach(json_object_get(truth, "tracks"), i, t) {
    if (strcmp(json_text(t, "track"), track) == 0) return true;
  }
  return false;
}

static void check_lines(const json_t *truth, double seconds) {
  size_t i, k;
  const json_t *line, *syllable;
  double before = 0;
  json_array_foreach(json_object_get(truth, "lines"), i, line) {
    double start = json_number_value(json_object_get(line, "start")),
           end = json_number_value(json_object_get(line, "end"));
    assert_true(start >= before - 1e-3 && end > start && end <= seconds);
    assert_non_null(strstr(json_text(truth, "lyrics"), json_text(line, "text")));
    double at = start;
    json_array_foreach(json_object_get(line, "syllables"), k, syllable) {
      double from = json_number_value(json_object_get(syllable, "start")),
             to = json_number_value(json_object_get(syllable, "end"));
      assert_true(from >= at - 2e-3 && to > from && to <= end + 1e-3);
      at = to;
    }
    assert_true(k > 0);
    before = end;
  }
}

static void what_it_says_is_true(void **state) {
  int metres[7] = {0}, sung = 0, common = 0, pieces = 300, keys[24] = {0}, styles = 0, all_keys = 0;
  const char *seen[64] = {0};
  for (int i = 0; i < pieces; i++) {
    double seconds = 10 + i % 40;
    cons_piece *p = compose(1000 + (uint64_t)i, seconds, NULL);
    json_t *truth = cons_describe(p);
    assert_non_null(truth);
    int bpm = (int)json_integer_value(json_object_get(truth, "bpm"));
    const char *caption = json_text(truth, "caption"), *lyrics = json_text(truth, "lyrics");
    bool words = json_array_size(json_object_get(truth, "lines")) > 0;
    assert_true(bpm >= 30 && bpm <= 300 && p->key >= 0 && p->key < 12);
    assert_true(json_real_value(json_object_get(truth, "duration")) == seconds);
    assert_true(strlen(caption) > 20 && lyrics[0] == '[');
    assert_int_equal(words, played(truth, "vocals"));
    assert_int_equal(words, strcmp(json_text(truth, "language"), "unknown") != 0);
    assert_int_equal(words, !json_boolean_value(json_object_get(truth, "is_instrumental")));
    if (strstr(caption, "drum kit")) assert_true(played(truth, "drums"));
    if (strstr(caption, "piano")) assert_true(played(truth, "keyboard"));
    if (strstr(caption, "female") || strstr(caption, "male ")) assert_true(words);
    check_lines(truth, seconds);
    for (int k = 0; k < p->notes; k++)
      assert_true(p->note[k].start >= 0 && p->note[k].start + p->note[k].length <= seconds + 1e-6);
    assert_true(p->notes > 0);
    metres[p->metre]++, sung += words, common += bpm >= 60 && bpm <= 180;
    keys[p->key + 12 * cons_is_minor(p->mode)]++;
    int k = 0;
    while (seen[k] && strcmp(seen[k], p->style->name) != 0) k++;
    styles += !seen[k], seen[k] = p->style->name;
    json_decref(truth);
    cons_piece_free(p);
  }
  for (int k = 0; k < 24; k++) all_keys += keys[k] > 0;
  assert_int_equal(all_keys, 24);
  assert_true(metres[2] > 0 && metres[3] > 0 && metres[4] > 0 && metres[6] > 0);
  assert_true(styles >= 10 && sung > pieces / 6 && sung < pieces * 5 / 6 && common > pieces * 8 / 10);
}

/* What sounds at the end of a step is where the tempo says. */
static void notes_lie_on_the_beat(void **state) {
  cons_piece *p = compose(11, 12, "house"); /* a machine plays: no deviation */
  int kicks = 0;
  for (int i = 0; i < p->notes; i++) {
    if (p->note[i].track != TRACK_DRUMS || p->note[i].pitch != 0) continue;
    double beat = p->note[i].start * p->bpm / 60;
    assert_true(fabs(beat - round(beat)) < 1e-6);
    kicks++;
  }
  assert_true(kicks >= 8);
  cons_piece_free(p);
}

static void chords_are_what_their_numerals_say(void **state) {
  static const struct {
    const char *numeral;
    int key;
    bool minor;
    int n, tone[4];
  } cases[] = {
      {"I", 0, false, 3, {0, 4, 7}},        {"vi", 0, false, 3, {9, 0, 4}},        {"V7", 7, false, 4, {2, 6, 9, 0}},
      {"Imaj7", 2, false, 4, {2, 6, 9, 1}}, {"bVII", 2, false, 3, {0, 4, 7}},      {"i", 9, true, 3, {9, 0, 4}},
      {"VI", 9, true, 3, {5, 9, 0}},        {"iidim7", 9, true, 4, {11, 2, 5, 9}}, {"bII", 4, true, 3, {5, 9, 0}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cons_chord c;
    assert_true(harmony_chord(cases[i].numeral, cases[i].key, cases[i].minor, &c));
    assert_int_equal(c.n, cases[i].n);
    for (int k = 0; k < c.n; k++) assert_int_equal(c.tone[k], cases[i].tone[k]);
  }
  cons_chord c;
  assert_false(harmony_chord("Isus", 0, false, &c));
  assert_false(harmony_chord("x", 0, false, &c));
  for (int s = 0; s < style_count();
       s++) /* every chord that the styles name can be read, every pattern is a bar long */
    for (int g = 0; g < STYLE_GROOVES && style_at(s)->groove[g].metre; g++) {
      const cons_groove *groove = &style_at(s)->groove[g];
      size_t steps = groove->metre == 6 ? 12 : 4 * (size_t)groove->metre;
      const char *const rows[] = {groove->kick, groove->snare, groove->hat,       groove->extra,
                                  groove->comp, groove->bass,  groove->percussion};
      for (int r = 0; r < 7; r++) assert_int_equal(strlen(rows[r]), steps);
      for (int k = 0; k < STYLE_CHANGES; k++)
        for (int minor = 0; minor < 2; minor++) {
          const char *text = (minor ? style_at(s)->minor_changes : style_at(s)->major_changes)[k];
          char copy[64], *next;
          snprintf(copy, sizeof copy, "%s", text ? text : "I");
          for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next))
            assert_true(harmony_chord(word, 0, minor, &c));
        }
    }
}

static void wrong_wishes_are_refused(void **state) {
  ace_error err = {0};
  static const double lengths[] = {0, 1.9, 601, NAN, INFINITY, -3};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    cons_wish wish = {.seconds = lengths[i]};
    assert_null(cons_compose(&wish, &err));
    assert_int_equal(err.status, ACE_EINVAL);
  }
  assert_null(style_find("polka"));
  assert_null(words_find("tlh"));
  for (int i = 0; i < 40; i++) { /* the shortest and the longest, at any tempo */
    cons_piece_free(compose((uint64_t)i, 2, NULL));
    cons_piece_free(compose((uint64_t)i, 600, NULL));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_seed_is_a_piece),
      cmocka_unit_test(stems_are_the_mix_and_all_is_sound),
      cmocka_unit_test(every_voice_sounds_and_keeps_to_its_room),
      cmocka_unit_test(oscillators_do_not_mirror),
      cmocka_unit_test(what_it_says_is_true),
      cmocka_unit_test(notes_lie_on_the_beat),
      cmocka_unit_test(chords_are_what_their_numerals_say),
      cmocka_unit_test(wrong_wishes_are_refused),
  };
  return cmocka_run_group_tests(tests, open_tables, close_tables);
}
