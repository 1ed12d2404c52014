/* embed.h - files that were built into the program (cmake/embed.cmake).
 *
 *   extern const embedded examples_files[];   // declared where it is used; the entry after the last has no name
 */
#ifndef ACE_BASE_EMBED_H
#define ACE_BASE_EMBED_H

#include <stddef.h>
#include <string.h>

typedef struct embedded {
  const char *name;          /* as in CMakeLists.txt: "examples/simple.json" */
  const unsigned char *data; /* followed by a zero byte that `size` does not count */
  size_t size;               /* bytes */
} embedded;

/* NULL: there is none of that name. */
static inline const embedded *embedded_find(const embedded *files, const char *name) {
  for (; files->name; files++)
    if (strcmp(files->name, name) == 0) return files;
  return NULL;
}

#endif
