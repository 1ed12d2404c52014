/* piece.h - one song prepared for training all of a model's weights: latents of the mix and of some of its tracks, and what
 * is known of it as words, which the models read anew at every look.
 *
 *   piece p;
 *   if (piece_open("pieces/000017.safetensors", &p, &err) == ACE_OK) {
 *     ... st_widen(p.mix, 0, p.mix->count, latents) ...
 *     piece_close(&p);
 *   }
 *
 * A file is safetensors with F16, BF16 or F32 tensors, all [frames, channels]:
 *
 *   mix            the song
 *   stem/NAME      one of its tracks, NAME as in a request's track_name
 *   rest/NAME      the song without it; with stem/NAME always
 *
 * and in its header format "acestep-piece-v1" and about: one JSON object with caption, lyrics, bpm, keyscale,
 * timesignature, language, is_instrumental, and tracks [{"track": NAME}, ...], as the conservatory writes it. Values
 * stay mapped and are finite.
 */
#ifndef ACE_TRAIN_PIECE_H
#define ACE_TRAIN_PIECE_H

#include "base/json.h"
#include "formats/safetensors.h"

enum { PIECE_TRACKS = 16, PIECE_NAME_SIZE = 32 };

typedef struct piece_track {
  char name[PIECE_NAME_SIZE];
  const st_tensor *stem, *rest;
} piece_track;

typedef struct piece {
  st_file *file;
  json_t *about;
  int64_t frames, channels;
  const st_tensor *mix;
  int tracks;
  piece_track track[PIECE_TRACKS];
} piece;

/* The message names file and tensor. On failure `out` is empty. */
ace_status piece_open(const char *path, piece *out, ace_error *err);
void piece_close(piece *p);

/* Writes such a file from its tensors, which have the names above, whole or not at all. */
ace_status piece_write(const char *path, const json_t *about, const st_tensor *tensors, int n, ace_error *err);

#endif
