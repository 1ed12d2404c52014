#include "train/same.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

typedef struct entry {
  int sample;
  const char *name;
  int64_t size;        /* of the file; -1: it cannot be read */
  char hash[HASH_HEX]; /* "" until it is asked for */
} entry;

static int by_name(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : x->sample - y->sample;
}

static int by_size(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : x->sample - y->sample;
}

static int by_hash(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = strcmp(x->hash, y->hash);
  return order ? order : x->sample - y->sample;
}

void same_names(const dataset *d, same_visit visit, void *user) {
  entry *all = calloc((size_t)d->n + 1, sizeof *all);
  for (int i = 0; i < d->n && all; i++) all[i] = (entry){.sample = i, .name = dataset_text(d, i, "filename")};
  if (all) qsort(all, (size_t)d->n, sizeof *all, by_name);
  for (int i = 1; i < d->n && all; i++)
    if (*all[i].name && strcmp(all[i - 1].name, all[i].name) == 0)
      visit(user, all[i - 1].sample, all[i].sample, false, d);
  free(all);
}

static void read_hash(entry *e, const char *path) {
  enum { PIECE = 1 << 16 };
  uint8_t *piece = malloc(PIECE);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  hash h;
  hash_begin(&h);
  ssize_t n = -1;
  while (fd >= 0 && piece && (n = read(fd, piece, PIECE)) > 0) hash_add(&h, piece, (size_t)n);
  if (n == 0) hash_end(&h, e->hash);
  if (fd >= 0) close(fd);
  free(piece);
}

/* Entries of one size: those with equal content. */
static void compare(const dataset *d, entry *e, int n, same_visit visit, void *user) {
  if (n < 2 || e->size < 1) return;
  for (int i = 0; i < n; i++) read_hash(&e[i], dataset_text(d, e[i].sample, "audio_path"));
  qsort(e, (size_t)n, sizeof *e, by_hash);
  for (int i = 1; i < n; i++)
    if (*e[i].hash && strcmp(e[i - 1].hash, e[i].hash) == 0) visit(user, e[i - 1].sample, e[i].sample, true, d);
}

void same_content(const dataset *d, same_visit visit, void *user) {
  entry *all = calloc((size_t)d->n + 1, sizeof *all);
  for (int i = 0; i < d->n && all; i++) {
    struct stat st;
    bool there = stat(dataset_text(d, i, "audio_path"), &st) == 0 && S_ISREG(st.st_mode);
    all[i] = (entry){.sample = i, .size = there ? (int64_t)st.st_size : -1};
  }
  if (all) qsort(all, (size_t)d->n, sizeof *all, by_size);
  for (int first = 0, n; first < d->n && all; first += n) {
    for (n = 1; first + n < d->n && all[first + n].size == all[first].size;) n++;
    compare(d, all + first, n, visit, user);
  }
  free(all);
}
