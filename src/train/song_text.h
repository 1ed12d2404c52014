/* song_text.h - a song of a dataset in the words that the models read: what inference would say of it, so that training
 * and singing see the same.
 *
 *   bool by_genre[d.n];
 *   song_text_choose(&d, by_genre);
 *   song_text text;
 *   song_text_make(&d, i, by_genre[i], 61.4, SONG_TEXT_MATCHED, &text, &err);
 *   ... text.prompt, text.lyrics ...
 */
#ifndef ACE_TRAIN_SONG_TEXT_H
#define ACE_TRAIN_SONG_TEXT_H

#include "train/dataset.h"

/* Which words, and with them which limits. */
typedef enum song_text_profile {
  SONG_TEXT_MATCHED,  /* as inference: language and lyrics in its template, the length that is trained */
  SONG_TEXT_REFERENCE /* as the Python trainer: lyrics alone, the length of the whole file */
} song_text_profile;

typedef struct song_text {
  char *caption; /* with the tag */
  char *prompt;  /* instruction, caption, metadata; ends in "<|endoftext|>\n" */
  char *lyrics;  /* as tokenised */
} song_text;     /* strings owned, song_text_free */

/* Which labeled samples are described by their genre when nothing was said of them: floor(labeled * genre_ratio / 100),
 * always the same ones. by_genre: [d->n]. */
void song_text_choose(const dataset *d, bool *by_genre);

/* The text with the dataset's tag: "tag, text", "text, tag", or the tag alone. free() it; NULL when out of memory. */
char *song_text_tagged(const char *text, const char *tag, const char *position);

/* seconds: what is trained of the song. On failure `out` is empty. */
ace_status song_text_make(const dataset *d, int i, bool by_genre, double seconds, song_text_profile profile,
                          song_text *out, ace_error *err);
void song_text_free(song_text *t);

#endif
