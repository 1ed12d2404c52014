/* peaks.h - what a player draws of a sound: the lowest and highest value of each of 2000 columns or fewer, as JSON text
 *
 *   {"columns": 2000, "seconds": 61.2, "peaks": [-12, 15, ...]}      a pair a column, -127..127, channels together
 */
#ifndef ACE_SERVICE_PEAKS_H
#define ACE_SERVICE_PEAKS_H

#include "audio/buffer.h"

/* samples: interleaved [frames, channels], -1..1. Appears whole or not at all. */
ace_status peaks_write(const char *path, const float *samples, int64_t frames, int channels, int rate, ace_error *err);

#endif
