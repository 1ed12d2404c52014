/* file.h - files that appear whole or not at all, files read with a limit, files mapped into memory. */
#ifndef ACE_BASE_FILE_H
#define ACE_BASE_FILE_H

#include "base/error.h"

/* Reads a whole regular file of at most `limit` bytes. A NUL is appended behind the data. free() the result. */
char *file_read(const char *path, size_t limit, size_t *length, ace_error *err);

/* A read-only private map of a whole regular file. An empty file gives data NULL, size 0. */
typedef struct file_map {
  const uint8_t *data;
  size_t size;
} file_map;
ace_status file_map_open(file_map *m, const char *path, ace_error *err);
void file_map_close(file_map *m);
/* Part of a map that will hardly be read again: its memory goes back to the system. A file's content stays readable;
 * anonymous memory is zeros afterwards. */
void file_forget(const void *data, size_t size);

/* Atomic replacement of `path`: write to a temporary file in the same directory, then commit.
 *
 *   file_writer w;
 *   if (file_writer_open(&w, path, &err) == ACE_OK) {
 *     ... file_writer_add(&w, ...), or write to w.fd or w.temp_path ...
 *     file_writer_commit(&w, &err);   // fsync, rename, fsync the directory; or file_writer_abort(&w)
 *   }
 *
 * A crash leaves at most an unnamed or ".tmp" file behind, never a partial `path`. */
typedef struct file_writer {
  int fd;
  char *path, *temp_path; /* owned */
} file_writer;
ace_status file_writer_open(file_writer *w, const char *path, ace_error *err);
/* Appends to w.fd. After a failure the writer must still be aborted. */
ace_status file_writer_add(file_writer *w, const void *data, size_t length, ace_error *err);
ace_status file_writer_commit(file_writer *w, ace_error *err);
void file_writer_abort(file_writer *w);

/* Writes `length` bytes as the whole content of `path`, atomically. */
ace_status file_write(const char *path, const void *data, size_t length, ace_error *err);

bool file_is_directory(const char *path);
bool file_exists(const char *path);
/* The path itself if it is there, else the nearest folder above it that is ("." at the worst). free() the result; NULL
 * when out of memory. */
char *file_nearest(const char *path);
/* Names in a folder that do not begin with a dot, in order. The list ends with NULL and is the caller's: file_names_free.
 * NULL on failure. */
char **file_names(const char *folder, ace_error *err);
void file_names_free(char **names);
/* mkdir -p */
ace_status file_make_directory(const char *path, ace_error *err);
/* Does `path` lie below `folder`? Both with links resolved and no dots (realpath). */
bool file_is_below(const char *path, const char *folder);
/* Removes a file or a folder with all that is in it; links are removed, not followed. What is not there is no failure. */
ace_status file_remove_tree(const char *path, ace_error *err);
/* "a/b" from "a" and "b" ("b" alone when b is absolute or a is empty). free() the result; NULL when out of memory. */
char *file_join(const char *a, const char *b);
/* file_join where there is such a file or folder, else NULL. free() it. */
char *file_existing(const char *folder, const char *name);
/* The folder that a path lies in, "." when it names none. free() it; NULL when out of memory. */
char *file_parent(const char *path);

#endif
