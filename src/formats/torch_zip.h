/* torch_zip.h - finds uncompressed entries of a zip archive in memory, as PyTorch's files use it. Inside this room
 * only.
 *
 * Source: PKWARE's APPNOTE.TXT: end record, its 64-bit form, central directory, local headers. Sizes are taken from the
 * central directory (local headers of such files may hold zeros); every offset is checked before it is followed.
 */
#ifndef ACE_TORCH_ZIP_H
#define ACE_TORCH_ZIP_H

#include "base/error.h"

typedef struct zip_entry {
  const char *name; /* not NUL-terminated */
  size_t name_length;
  const uint8_t *data;
  size_t size; /* bytes */
} zip_entry;

typedef struct zip_view {
  const uint8_t *bytes;
  size_t size;
  const char *where;               /* for messages */
  size_t directory, directory_end; /* byte offsets of the central directory */
  uint64_t n;
} zip_view;

/* Finds the central directory of an archive that outlives the view. */
ace_status zip_open(zip_view *z, const void *bytes, size_t size, const char *where, ace_error *err);

/* Calls `each` for the entries until it returns false. An entry that is compressed, encrypted or outside the file is an
 * error. */
typedef bool (*zip_visit)(void *arg, const zip_entry *entry);
ace_status zip_each(const zip_view *z, zip_visit each, void *arg, ace_error *err);

/* The one entry of that name; `out->data` is NULL when there is none. Two of the same name are an error. */
ace_status zip_find(const zip_view *z, const char *name, zip_entry *out, ace_error *err);

#endif
