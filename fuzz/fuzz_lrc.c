/* Any bytes as timed lyrics: cues that a player can show come out, in order, and their subtitles are text again. */
#include <stdlib.h>
#include <string.h>

#include "score/lrc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lrc_cues cues;
  double duration = size > 0 ? data[0] : 0;
  if (lrc_read_cues((const char *)data, size, duration, &cues, NULL) != ACE_OK) return 0;
  for (size_t i = 0; i < cues.n; i++) {
    if (!(cues.cue[i].end > cues.cue[i].start) || !*cues.cue[i].text) __builtin_trap();
    if (i > 0 && cues.cue[i].start - cues.cue[i - 1].start < 2) __builtin_trap();
  }
  char *vtt = lrc_write_vtt(&cues);
  if (vtt && strncmp(vtt, "WEBVTT\n", 7) != 0) __builtin_trap();
  free(vtt);
  lrc_cues_free(&cues);
  return 0;
}
