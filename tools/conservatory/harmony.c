#include "conservatory/harmony.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const int harmony_scale[MODE_COUNT][7] = {
    {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 10}, {0, 2, 3, 5, 7, 9, 10}, {0, 2, 4, 5, 7, 9, 10}};

static const struct {
  const char *name;
  int degree;
} numerals[] = {{"vii", 6}, {"iii", 2}, {"vi", 5}, {"iv", 3}, {"ii", 1}, {"v", 4}, {"i", 0}}; /* longest first */

static int read_degree(const char **text) {
  for (size_t i = 0; i < sizeof numerals / sizeof *numerals; i++) {
    size_t n = strlen(numerals[i].name), same = 0;
    while (same < n && tolower((unsigned char)(*text)[same]) == numerals[i].name[same]) same++;
    if (same < n) continue;
    *text += n;
    return numerals[i].degree;
  }
  return -1;
}

bool harmony_chord(const char *numeral, int key, bool minor, cons_chord *out) {
  int flat = *numeral == 'b';
  numeral += flat;
  bool lower = islower((unsigned char)*numeral);
  int degree = read_degree(&numeral);
  if (degree < 0) return false;
  /* A flat counts from the major scale. */
  int root = key + harmony_scale[minor && !flat ? MODE_MINOR : MODE_MAJOR][degree] - flat;
  int third = lower ? 3 : 4, fifth = 7, seventh = -1;
  if (strncmp(numeral, "dim", 3) == 0) fifth = 6, numeral += 3;
  if (strcmp(numeral, "maj7") == 0) seventh = 11;
  else if (strcmp(numeral, "7") == 0) seventh = 10;
  else if (*numeral) return false;
  const int above[] = {0, third, fifth, seventh};
  *out = (cons_chord){.bass = (root + 12) % 12, .n = seventh > 0 ? 4 : 3};
  for (int i = 0; i < out->n; i++) out->tone[i] = (root + above[i] + 12) % 12;
  return true;
}

bool harmony_holds(const cons_chord *c, int pitch) {
  for (int i = 0; i < c->n; i++)
    if (c->tone[i] == (pitch % 12 + 12) % 12) return true;
  return false;
}

int harmony_nearest(const cons_chord *c, double near) {
  int middle = (int)lrint(near);
  for (int away = 0; away < 12; away++) {
    if (harmony_holds(c, middle - away)) return middle - away;
    if (harmony_holds(c, middle + away)) return middle + away;
  }
  return middle;
}

int harmony_voice(const cons_chord *c, int low, int high, int voicing[CONS_CHORD_TONES], int n_before) {
  int best[CONS_CHORD_TONES] = {0}, best_cost = -1;
  for (int bottom = low; bottom <= high; bottom++) {
    if (!harmony_holds(c, bottom)) continue;
    int try[CONS_CHORD_TONES] = {bottom}, cost = 0;
    for (int i = 1; i < c->n; i++) { /* the next chord tone above */
      try[i] = try[i - 1] + 1;
      while (!harmony_holds(c, try[i])) try[i]++;
    }
    if (try[c->n - 1] > high) break;
    for (int i = 0; i < c->n; i++)
      cost += n_before > 0 ? abs(try[i] - voicing[i < n_before ? i : n_before - 1]) : abs(2 * try[i] - low - high);
    if (best_cost >= 0 && cost >= best_cost) continue;
    best_cost = cost;
    memcpy(best, try, sizeof best);
  }
  if (best_cost < 0) return 0;
  memcpy(voicing, best, sizeof best);
  return c->n;
}

int harmony_walk(int key, cons_mode mode, int pitch, int steps) {
  const int *scale = harmony_scale[mode];
  int octave = 0, degree = 0, best = 1000;
  for (int o = -1; o < 11; o++)
    for (int d = 0; d < 7; d++) {
      int away = abs(key + 12 * o + scale[d] - pitch);
      if (away < best) best = away, octave = o, degree = d;
    }
  degree += steps;
  while (degree < 0) degree += 7, octave--;
  while (degree > 6) degree -= 7, octave++;
  return key + 12 * octave + scale[degree];
}
