/* ogg_serial.h - a fixed serial number for Ogg streams. */
#ifndef ACE_AUDIO_OGG_SERIAL_H
#define ACE_AUDIO_OGG_SERIAL_H

#include "base/error.h"

/* Rewrites the stream serial number (and with it the checksum) of every page of an Ogg file that is open for reading
 * and writing. libsndfile draws the number from the clock, which would make two files of one song differ. */
ace_status ogg_set_serial(int fd, uint32_t serial, const char *where, ace_error *err);

#endif
