/* output.h - where songs go: which format, which names, and whether they can be written at all, known before the long
 * work begins.
 *
 *   -o song.flac, one item     song.flac
 *   -o song.flac, three items  song-1.flac, song-2.flac, song-3.flac
 *   -o FOLDER, or no -o        "<words of the caption>-<seed>.flac" in there; an older song of that name stays:
 * ...-2.flac
 */
#ifndef ACE_CLI_OUTPUT_H
#define ACE_CLI_OUTPUT_H

#include "request/request.h"

typedef struct output {
  char *file;   /* as given; NULL: names are made */
  char *folder; /* for made names; "" is the present one */
  char *slug;   /* their beginning */
  const char *extension;
  int items;
} output;

/* Settles the request's audio_format: `format_given` says that the user named it, else the extension of `path` decides,
 * else the format stays, else it is flac. Checks that the place can be written to. `path` may be NULL. */
ace_status output_plan(output *o, const char *path, bool format_given, ace_request *request, ace_error *err);
void output_free(output *o);
/* Can a file of this name be written? Makes and removes a nameless neighbour, which shows what permissions alone do
 * not.
 */
ace_status output_try(const char *path, ace_error *err);

/* The path of an item; for made names the first that is not taken. free() it; NULL when out of memory. */
char *output_path(const output *o, int item, uint32_t seed);
/* For made names: when the song just written is, byte for byte, the one that an earlier name holds, it takes that name:
 * true, and `path` is replaced. */
bool output_merge(const output *o, uint32_t seed, char **path);
/* "song.json" of "song.flac": where the parameters lie. free() it. */
char *output_json_path(const char *path);

/* Words of a text as the beginning of a file name: "Jazz trio, smoky!" is "jazz-trio-smoky". free() it. */
char *output_slug(const char *text);

#endif
