/* Sound streamed by another program, in blocks of any size: the same sound as in one block, or the same refusal. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "audio/au_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ace_status read_all(const uint8_t *data, size_t size, size_t block, audio_buffer *out) {
  audio_limits limits = {.seconds = 20, .samples = 1 << 12};
  au_stream s = {.limits = &limits, .out = out};
  *out = (audio_buffer){0};
  for (size_t at = 0; at < size; at += block)
    if (!au_stream_take(&s, data + at, size - at < block ? size - at : block)) break;
  return au_stream_end(&s, "fuzz", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  audio_buffer whole, parts;
  if (size < 1) return 0;
  ace_status a = read_all(data + 1, size - 1, size, &whole), b = read_all(data + 1, size - 1, 1 + data[0] % 31, &parts);
  if (a == ACE_OK && b == ACE_OK) {
    size_t bytes = (size_t)(whole.frames * whole.channels) * sizeof(float);
    if (whole.frames != parts.frames || memcmp(whole.samples, parts.samples, bytes) != 0) __builtin_trap();
  } else if ((a == ACE_OK) != (b == ACE_OK)) {
    __builtin_trap();
  }
  audio_buffer_free(&whole);
  audio_buffer_free(&parts);
  return 0;
}
