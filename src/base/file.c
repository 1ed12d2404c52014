#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

/* Opens a regular file for reading and tells its size. */
static int open_regular(const char *path, size_t *size, ace_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    ace_fail_errno(err, "%s: cannot open", path);
    if (fd >= 0) close(fd);
    return -1;
  }
  if (!S_ISREG(st.st_mode)) {
    close(fd);
    ace_fail(err, ACE_EFORMAT, "%s: not a regular file", path);
    return -1;
  }
  *size = (size_t)st.st_size;
  return fd;
}

char *file_read(const char *path, size_t limit, size_t *length, ace_error *err) {
  size_t size;
  int fd = open_regular(path, &size, err);
  if (fd < 0) return NULL;
  char *data = NULL;
  if (size > limit) {
    ace_fail(err, ACE_EFORMAT, "%s: %zu bytes, more than the %zu that such a file may have", path, size, limit);
  } else if (!(data = malloc(size + 1))) {
    ace_fail(err, ACE_ENOMEM, "%s: out of memory for %zu bytes", path, size);
  } else {
    size_t got = 0;
    while (got < size) {
      ssize_t n = read(fd, data + got, size - got);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        if (n < 0) ace_fail_errno(err, "%s: cannot read", path);
        else ace_fail(err, ACE_EIO, "%s: ended after %zu of %zu bytes", path, got, size);
        free(data);
        data = NULL;
        break;
      }
      got += (size_t)n;
    }
  }
  close(fd);
  if (data) {
    data[size] = 0;
    if (length) *length = size;
  }
  return data;
}

ace_status file_map_open(file_map *m, const char *path, ace_error *err) {
  *m = (file_map){0};
  size_t size;
  int fd = open_regular(path, &size, err);
  if (fd < 0) return err ? err->status : ACE_EIO;
  void *p = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
  ace_status status = ACE_OK;
  if (p == MAP_FAILED) status = ace_fail_errno(err, "%s: cannot map", path);
  else *m = (file_map){p, size};
  close(fd);
  return status;
}

void file_map_close(file_map *m) {
  if (m->data) munmap((void *)m->data, m->size);
  *m = (file_map){0};
}

void file_forget(const void *data, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)data + page - 1) / page * page;
  uintptr_t end = ((uintptr_t)data + size) / page * page;
  if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

char *file_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return strdup(".");
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

ace_status file_writer_open(file_writer *w, const char *path, ace_error *err) {
  *w = (file_writer){.fd = -1};
  if (!*path || path[strlen(path) - 1] == '/' || file_is_directory(path))
    return ace_fail(err, ACE_EINVAL, "%s: not a file name", *path ? path : "(empty path)");
  const char *slash = strrchr(path, '/');
  int directory = slash ? (int)(slash - path) + 1 : 0;
  w->path = strdup(path);
  for (int attempt = 0; w->path && attempt < 16; attempt++) {
    uint64_t salt;
    if (!random_bytes(&salt, sizeof salt)) break;
    if (asprintf(&w->temp_path, "%.*s.%.40s.%016llx.tmp", directory, path, path + directory, (unsigned long long)salt) <
        0) {
      w->temp_path = NULL;
      break;
    }
    w->fd = open(w->temp_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd >= 0) return ACE_OK;
    free(w->temp_path);
    w->temp_path = NULL;
    if (errno != EEXIST) break;
  }
  ace_status status = ace_fail_errno(err, "%s: cannot create", path);
  free(w->path);
  *w = (file_writer){.fd = -1};
  return status;
}

static void writer_free(file_writer *w) {
  if (w->fd >= 0) close(w->fd);
  free(w->path);
  free(w->temp_path);
  *w = (file_writer){.fd = -1};
}

ace_status file_writer_commit(file_writer *w, ace_error *err) {
  ace_status status = ACE_OK;
  if (fsync(w->fd) != 0 || rename(w->temp_path, w->path) != 0) {
    status = ace_fail_errno(err, "%s: cannot write", w->path);
    unlink(w->temp_path);
  } else {
    char *parent = file_parent(w->path);
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
      fsync(fd);
      close(fd);
    }
    free(parent);
  }
  writer_free(w);
  return status;
}

void file_writer_abort(file_writer *w) {
  if (w->temp_path) unlink(w->temp_path);
  writer_free(w);
}

ace_status file_writer_add(file_writer *w, const void *data, size_t length, ace_error *err) {
  const char *p = data;
  while (length > 0) {
    ssize_t n = write(w->fd, p, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ace_fail_errno(err, "%s: cannot write", w->path);
    p += n;
    length -= (size_t)n;
  }
  return ACE_OK;
}

ace_status file_write(const char *path, const void *data, size_t length, ace_error *err) {
  file_writer w;
  ace_status status = file_writer_open(&w, path, err);
  if (status != ACE_OK) return status;
  status = file_writer_add(&w, data, length, err);
  if (status == ACE_OK) return file_writer_commit(&w, err);
  file_writer_abort(&w);
  return status;
}

bool file_is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool file_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

char *file_nearest(const char *path) {
  char *at = strdup(*path ? path : ".");
  while (at && !file_exists(at)) {
    char *slash = strrchr(at, '/');
    if (!slash) strcpy(at, ".");
    else if (slash == at) slash[1] = 0;
    else *slash = 0;
  }
  return at;
}

static int visible(const struct dirent *e) {
  return e->d_name[0] != '.';
}

/* The same order in every locale. */
static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

char **file_names(const char *folder, ace_error *err) {
  struct dirent **entry;
  int n = scandir(folder, &entry, visible, by_name);
  if (n < 0) {
    ace_fail_errno(err, "%s: cannot open", folder);
    return NULL;
  }
  char **names = calloc((size_t)n + 1, sizeof *names);
  bool complete = names != NULL;
  for (int i = 0; i < n; i++) {
    if (complete) complete = (names[i] = strdup(entry[i]->d_name)) != NULL;
    free(entry[i]);
  }
  free(entry);
  if (complete) return names;
  ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  file_names_free(names);
  return NULL;
}

void file_names_free(char **names) {
  for (char **name = names; name && *name; name++) free(*name);
  free(names);
}

char *file_existing(const char *folder, const char *name) {
  char *path = file_join(folder, name);
  if (path && file_exists(path)) return path;
  free(path);
  return NULL;
}

ace_status file_make_directory(const char *path, ace_error *err) {
  char *copy = strdup(path);
  if (!copy) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  ace_status status = ACE_OK;
  for (char *p = copy + 1; status == ACE_OK; p++) {
    if (*p != '/' && *p != 0) continue;
    char end = *p;
    *p = 0;
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) status = ace_fail_errno(err, "%s: cannot create", copy);
    else if (!file_is_directory(copy)) status = ace_fail(err, ACE_EIO, "%s: exists and is not a folder", copy);
    *p = end;
    if (end == 0) break;
  }
  free(copy);
  return status;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk) {
  return remove(path);
}

ace_status file_remove_tree(const char *path, ace_error *err) {
  enum { OPEN_FOLDERS = 16 };
  if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
    return ace_fail_errno(err, "%s: cannot remove", path);
  return ACE_OK;
}

bool file_is_below(const char *path, const char *folder) {
  size_t n = strlen(folder);
  if (n > 0 && folder[n - 1] == '/') n--; /* the root */
  return strncmp(path, folder, n) == 0 && path[n] == '/';
}

char *file_join(const char *a, const char *b) {
  if (*b == '/' || *a == 0) return strdup(b);
  char *path;
  size_t n = strlen(a);
  return asprintf(&path, "%s%s%s", a, a[n - 1] == '/' ? "" : "/", b) < 0 ? NULL : path;
}
