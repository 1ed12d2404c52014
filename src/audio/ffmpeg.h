/* ffmpeg.h - AAC in and out, and what else libsndfile cannot read, by the program ffmpeg where it is installed.
 *
 * The program and not its libraries: their binary interface changes with every release, so that calling them without
 * the very headers of the installed version means guessing, with the headers it means one build for each version; and
 * what a damaged file does to a decoder stays in another process. Nothing is needed to build. Sound goes through pipes;
 * the input file is handed over open, its container is told and not guessed, and no other file or address is opened.
 */
#ifndef ACE_AUDIO_FFMPEG_H
#define ACE_AUDIO_FFMPEG_H

#include "audio/read.h"
#include "audio/write.h"

/* ACE_EUNSUPPORTED when it is not installed; `task` begins the message: "song.m4a: reading AAC". */
ace_status ffmpeg_check(const char *task, ace_error *err);

/* The container of a file that begins with these 16 bytes, as ffmpeg calls it ("mov", "aac", "matroska"); NULL: none
 * that is read with it. */
const char *ffmpeg_container(const uint8_t head[16]);

/* The first sound of the open regular file `fd`, at its own rate and channels; checks are the caller's. `where` names
 * it in messages. */
ace_status ffmpeg_decode(int fd, const char *container, const char *where, const audio_limits *limits,
                         audio_buffer *out, ace_error *err);

/* Writes AAC to the open, empty file `fd`: for `path` ending in .m4a or .mp4 with tags in an MP4 container, else as
 * ADTS. `notify` may be NULL, only its `cancelled` is used. */
ace_status ffmpeg_encode_aac(int fd, const char *path, const audio_buffer *b, int kbps, const char *title,
                             const char *comment, const ace_callbacks *notify, ace_error *err);

#endif
