/* prepare.h - the songs of a dataset as samples for training (train/sample.h): latents of the sound, hidden states of
 * the words, and the condition made of both.
 *
 *   prepare_options o = prepare_defaults("tensors");
 *   prepare_report found;
 *   if (engine_prepare(e, &d, &o, notify, &found, &err) == ACE_OK) ... found.done + found.skipped files, found.failed not ...
 *
 * Three passes over all songs, one model in memory at a time: the autoencoder, the text encoder, the condition encoder.
 * What a pass made lies in ID.latents.part.safetensors and ID.words.part.safetensors until the sample ID.safetensors is
 * there, so work that was cut off goes on where it stopped; a sample is made again exactly when its song, its words, the
 * models or the options have changed, and where only the words have, its sound is not encoded again. manifest.json comes
 * last.
 */
#ifndef ACE_ENGINE_PREPARE_H
#define ACE_ENGINE_PREPARE_H

#include "engine/engine.h"
#include "train/song_text.h"

typedef struct prepare_options {
  const char *folder; /* of the samples; made if need be */
  song_text_profile profile;
  bool cover;          /* the song as its own source and timbre: learns to copy, as the Python trainer's "lokr" mode */
  double max_duration; /* seconds of a song that are used, 1..600 */
  bool again;          /* also what is there and current */
} prepare_options;

/* Matched words, 240 s. */
prepare_options prepare_defaults(const char *folder);

typedef struct prepare_report {
  int done, skipped, failed;
} prepare_report;

/* Only labeled samples; none is ACE_EINVAL. A song that cannot be prepared is told to notify->log and left out; a full
 * disk or a cancellation ends the work, and what was made stays. Progress has the stages "encode", "words" and
 * "conditions", whose steps are songs. */
ace_status engine_prepare(ace_engine *e, const dataset *d, const prepare_options *o, const ace_callbacks *notify,
                          prepare_report *report, ace_error *err);

#endif
