/* describe.h - what is true of a piece, in words: caption, lyrics, and the JSON beside its sound. */
#ifndef CONSERVATORY_DESCRIBE_H
#define CONSERVATORY_DESCRIBE_H

#include "base/json.h"
#include "conservatory/piece.h"

/* One or two sentences in varied wording; names style, mood and instruments that the piece really has. free() it; NULL when
 * out of memory, as the next two. */
char *cons_caption(const cons_piece *p);
/* Sections as tags, "[Verse]", lines below them; "[Instrumental]" without words. */
char *cons_lyrics(const cons_piece *p);
/* What a dataset builder reads (caption, genre, lyrics, bpm, keyscale, timesignature, language, is_instrumental, duration)
 * and the rest of the truth: seed, style, mode, tracks with their instruments, sections, lines and syllables with times.
 * Owned by the caller. */
json_t *cons_describe(const cons_piece *p);

#endif
