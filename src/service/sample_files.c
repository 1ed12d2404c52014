#include "service/sample_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "service/peaks.h"

static char *place(const char *folder, int item, const char *extension, ace_error *err) {
  char name[32];
  snprintf(name, sizeof name, "%d.%s", item + 1, extension);
  char *path = file_join(folder, name);
  if (!path) ace_fail(err, ACE_ENOMEM, "sample: out of memory");
  return path;
}

ace_status sample_write_peaks(const char *folder, int item, const ace_audio *sound, ace_error *err) {
  char *path = place(folder, item, "peaks", err);
  if (!path) return ACE_ENOMEM;
  ace_status status = peaks_write(path, sound->samples, sound->frames, sound->channels, sound->sample_rate, err);
  free(path);
  return status;
}

ace_status sample_write_lrc(const char *folder, int item, const char *lrc, double seconds, ace_error *err) {
  char *path = place(folder, item, "lrc", err), *titles = place(folder, item, "vtt", err);
  char *vtt = path && titles && *lrc ? ace_lrc_to_vtt(lrc, seconds, err) : NULL;
  ace_status status = path && titles ? ACE_OK : ACE_ENOMEM;
  if (status == ACE_OK && !*lrc) unlink(path), unlink(titles);
  if (status == ACE_OK && *lrc) status = file_write(path, lrc, strlen(lrc), err);
  if (status == ACE_OK && *lrc) status = vtt ? file_write(titles, vtt, strlen(vtt), err) : ACE_EINVAL;
  free(path), free(titles), free(vtt);
  return status;
}
