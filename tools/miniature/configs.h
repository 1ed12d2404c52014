/* configs.h - sizes of the miniature, as the config.json of each model. With an autoencoder of 3 M parameters all of it
 * stays under 30 MB in half precision. */
#ifndef MINIATURE_CONFIGS_H
#define MINIATURE_CONFIGS_H

#include <stdbool.h>

enum {
  MINIATURE_CONFIG_SIZE = 4096,
  MINIATURE_VOCABULARY = 2048,    /* tokens but the added ones */
  MINIATURE_CODES = 5 * 5 * 5 * 5 /* of the quantiser's levels */
};

/* 8.1 M parameters. */
void miniature_dit_text(char out[MINIATURE_CONFIG_SIZE], bool turbo);
/* 0.8 M and 2.1 M. */
void miniature_text_text(char out[MINIATURE_CONFIG_SIZE], int vocabulary, int end_of_text);
void miniature_lm_text(char out[MINIATURE_CONFIG_SIZE], int vocabulary, int end_of_text, int end_of_turn);

#endif
