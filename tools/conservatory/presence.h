/* presence.h - which of the twelve tracks a mix has, by ear: a logistic regression on what hear.h measures, for each track. Its
 * numbers (presence_table.h) were learned from pieces of the conservatory itself by `conservatory learn`, and are good for such
 * pieces and for what a model trained on them makes; of the wide world they know nothing. */
#ifndef CONSERVATORY_PRESENCE_H
#define CONSERVATORY_PRESENCE_H

#include <stdio.h>

#include "base/pool.h"
#include "conservatory/hear.h"
#include "conservatory/wave.h"

enum { PRESENCE_TRAITS = HEAR_FEATURES + 3 * HEAR_BANDS };

/* The features, then of each band its mean against all bands, its deviation, and the mean growth between frames. */
void presence_traits(const hear_sound *h, double out[PRESENCE_TRAITS]);

/* 0..1 for each track; above a half is heard. */
void presence_hear(const hear_sound *h, double chance[TRACK_COUNT]);
void presence_of(const double traits[PRESENCE_TRAITS], double chance[TRACK_COUNT]);

/* Makes `count` pieces with seeds from wish->seed on, learns from them, and prints presence_table.h. */
ace_status presence_learn(const cons_wish *wish, int count, const waves *w, pool *threads, FILE *out, ace_error *err);

#endif
