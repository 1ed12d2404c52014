/* words.h - what is sung: phrases in several languages, divided into syllables, with the sound of each. */
#ifndef CONSERVATORY_WORDS_H
#define CONSERVATORY_WORDS_H

typedef struct words_language {
  const char *code, *name;                  /* ISO 639-1; in English */
  const char *const *verse, *const *chorus; /* phrases, NULL behind the last */
} words_language;

/* A phrase is words between blanks and syllables between hyphens; a syllable that is not read as it is written carries
 * its sound behind a bar: "夜|ye 空|kong". Scripts without blanks stand with blanks here and are joined when shown. */
int words_languages(void);
const words_language *words_at(int i);
/* NULL: none of that code. */
const words_language *words_find(const char *code);

#endif
