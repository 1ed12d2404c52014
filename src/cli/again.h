/* again.h - finished songs looked at once more, from the JSON beside them: `acestep lrc` and `acestep score`.
 * Everything but the sound is made again, which takes as long as the first time without the autoencoder. */
#ifndef ACE_CLI_AGAIN_H
#define ACE_CLI_AGAIN_H

#include "cli/ask.h"

/* Reads the song's JSON: the operand, or the JSON beside it when that is a sound file. Then opens the models, says
 * where they differ from the song's, and makes the latents. NULL on failure. */
ace_result *again_make(asking *k, ace_error *err);

/* To -o, if there is one, and to standard output otherwise. */
ace_status again_deliver(asking *k, const char *text, ace_error *err);

/* Writes `text` and a line feed to "song.lrc" beside "song.flac". */
ace_status again_write_beside(const char *path, const char *extension, const char *text, ace_error *err);

/* Scores, as ace_result_score gives them, for people; without a line feed at the end. free() it; NULL when out of
 * memory. */
char *again_score_words(const char *json);

#endif
