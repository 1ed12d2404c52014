/* label.h - what the language model found of a song, into the song's fields: what is taken and what stays.
 *
 *   what the user gave of tempo, key, metre and language stays
 *   lyrics: none of a song without a voice; those of the language model only when asked to transcribe, for it invents
 *   some; else the ones that were beside the song; else none: the song needs lyrics
 */
#ifndef ACE_TRAIN_LABEL_H
#define ACE_TRAIN_LABEL_H

#include "train/dataset.h"

typedef struct label_options {
  bool only_unlabeled;    /* songs that are not labeled, or have no caption */
  bool skip_metas;        /* no language model: the caption that is there, or the file's name; no tempo, key, metre */
  bool captions_only;     /* with skip_metas: the language model describes, but tempo, key and metre stay away */
  bool format_lyrics;     /* songs that have lyrics are not listened to: the lyrics are put in order, and described */
  bool transcribe_lyrics; /* the lyrics that the language model hears are taken */
} label_options;

typedef enum label_way {
  LABEL_LISTEN, /* codes of the sound, understood */
  LABEL_FORMAT, /* from its lyrics */
  LABEL_NAME    /* from its caption or the name of its file */
} label_way;

bool label_wanted(const dataset *d, int i, const label_options *o);
label_way label_way_of(const dataset *d, int i, const label_options *o);

/* answer: as ace_understand and ace_format_sample give it; NULL for LABEL_NAME. The sample is labeled then; on failure it
 * is as it was. */
ace_status label_take(dataset *d, int i, label_way way, const label_options *o, const json_t *answer, ace_error *err);
/* How its lyrics came about, for people: "(instrumental)", "(using raw lyrics)", ... */
const char *label_remark(const dataset *d, int i, label_way way, const label_options *o);

/* There is a voice, and nobody knows what it sings. */
bool label_needs_lyrics(const dataset *d, int i);

#endif
