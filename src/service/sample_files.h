/* sample_files.h - what lies beside the sound of a sample, whose files are all named after its number: "1.mp3", "1.json",
 * "1.peaks", "1.lrc", "1.vtt".
 */
#ifndef ACE_SERVICE_SAMPLE_FILES_H
#define ACE_SERVICE_SAMPLE_FILES_H

#include <acestep.h>

/* "1.peaks" of item 0 (peaks.h). */
ace_status sample_write_peaks(const char *folder, int item, const ace_audio *sound, ace_error *err);
/* "1.lrc" and "1.vtt"; an empty text removes both. `seconds` is the length of the song, 0: not known. */
ace_status sample_write_lrc(const char *folder, int item, const char *lrc, double seconds, ace_error *err);

/* Latents of what a job was given (engine/latents.h). */
#define SAMPLE_LATENTS "1.latents"

#endif
