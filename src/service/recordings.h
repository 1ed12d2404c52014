/* recordings.h - what users upload: checked when it arrives, kept for a day after its last use, known to its session
 * only.
 *
 *   json_t *about = recording_add(s, session, "/data/uploads/tmp", "my song.mp3", &why, &err);
 *   char *path = recording_path(s, session, json_text(about, "id"), &err);
 *
 * They lie in DATA/recordings under names that nobody chose: ID.sound and ID.peaks (peaks.h).
 */
#ifndef ACE_SERVICE_RECORDINGS_H
#define ACE_SERVICE_RECORDINGS_H

#include "service/service.h"

typedef enum recording_fault {
  RECORDING_FINE,
  RECORDING_BAD,    /* no sound, or damaged */
  RECORDING_SILENT, /* below 1e-6 everywhere */
  RECORDING_LONG,   /* over RECORDING_SECONDS */
  RECORDING_QUOTA,  /* there is no more room for recordings, or the session has too many */
  RECORDING_ERROR   /* anything else */
} recording_fault;

enum { RECORDING_SECONDS = 1800, RECORDINGS_MOST = 200 };

/* Takes the file away from where it lies. {"id", "name", "seconds", "channels", "sample_rate", "bytes"}, a new
 * reference; NULL on failure. The name is a label. */
json_t *recording_add(service *s, const char *session, const char *file, const char *name, recording_fault *why,
                      ace_error *err);
/* The file of an id; it counts as used now. free() it; NULL on failure. */
char *recording_path(service *s, const char *session, const char *id, ace_error *err);
char *recording_peaks(service *s, const char *session, const char *id, ace_error *err);
ace_status recording_remove(service *s, const char *session, const char *id, ace_error *err);
/* Of a session: [{...}], a new reference. */
json_t *recordings_of(service *s, const char *session, ace_error *err);
/* Removes what was not used for `age` seconds, and files that nothing knows of. */
void recordings_sweep(service *s, double age);

#endif
