/* sound_set.h - a folder of sounds in memory, from which a training takes crops: stereo at one rate, 16 bits a sample.
 *
 *   sound_set set;
 *   if (sound_set_open(&set, "pieces", &(sound_limits){.rate = 48000, .least = 48000, .room = bytes}, notify, &err) ==
 *       ACE_OK) sound_set_crop(&set, 7, first, 48000, crop);
 *   sound_set_free(&set);
 */
#ifndef ACE_TRAIN_SOUND_SET_H
#define ACE_TRAIN_SOUND_SET_H

#include "base/error.h"

typedef struct sound_limits {
  int rate;      /* Hz */
  int64_t least; /* frames: shorter sounds are left out */
  size_t room;   /* bytes that all of them may take */
} sound_limits;

typedef struct sound_set {
  int n;
  int16_t **samples; /* [n], of each [frames, 2]; owned */
  int64_t *frames;   /* [n] */
  int64_t all;       /* frames of all */
} sound_set;

/* Sound files of the folder and of those in it, in the order of their paths. What cannot be read, is too short or silent
 * is told to notify->log and left out; nothing left is ACE_ENOTFOUND, more than `room` ACE_ENOMEM. Progress has the stage
 * "read". On failure the set is empty. */
ace_status sound_set_open(sound_set *s, const char *folder, const sound_limits *limits, const ace_callbacks *notify,
                          ace_error *err);
void sound_set_free(sound_set *s);
/* Frames first .. first+n-1 of sound i, which has them, as [n, 2]. */
void sound_set_crop(const sound_set *s, int i, int64_t first, int64_t n, float *out);

#endif
