#define _GNU_SOURCE /* flock */
#include "net/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "net/record.h"

enum { PATH_SIZE = 4096 };

static char *join3(const char *a, const char *b, const char *c) {
  char *ab = file_join(a, b), *abc = ab ? file_join(ab, c) : NULL;
  free(ab);
  return abc;
}

ace_status places_open(places *p, const char *models, const char *name, ace_error *err) {
  char tail[PATH_SIZE];
  *p = (places){.lock = -1,
                .place = file_join(models, name),
                .root = file_join(models, PLACES_PARTIAL),
                .partial = join3(models, PLACES_PARTIAL, name)};
  snprintf(tail, sizeof tail, "%s.old", name);
  p->old = join3(models, PLACES_PARTIAL, tail);
  snprintf(tail, sizeof tail, "%s.lock", name);
  p->lock_path = join3(models, PLACES_PARTIAL, tail);
  ace_status status = ACE_OK;
  struct stat st;
  if (!p->place || !p->partial || !p->old || !p->root || !p->lock_path)
    status = ace_fail(err, ACE_ENOMEM, "download: out of memory");
  if (status == ACE_OK) status = file_make_directory(p->partial, err);
  if (status == ACE_OK) {
    p->lock = open(p->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (p->lock < 0) status = ace_fail_errno(err, "%s: cannot create", p->lock_path);
  }
  /* A lock whose file is gone was left by one that has just ended. */
  if (p->lock >= 0 && (flock(p->lock, LOCK_EX | LOCK_NB) != 0 || fstat(p->lock, &st) != 0 || st.st_nlink == 0)) {
    close(p->lock);
    p->lock = -1;
    status = ace_fail(err, ACE_EINVAL, "%s: another download of it is under way; wait for it, or start again", name);
  }
  if (status != ACE_OK) places_close(p);
  return status;
}

void places_close(places *p) {
  if (p->lock >= 0) {  /* else these are somebody else's */
    rmdir(p->partial); /* only when nothing is in it, as below */
    unlink(p->lock_path);
    rmdir(p->root);
    close(p->lock);
  }
  free(p->place), free(p->partial), free(p->old), free(p->root), free(p->lock_path);
  *p = (places){.lock = -1};
}

static bool is_listed(const hub_listing *l, const char *path) {
  for (size_t i = 0; i < l->n; i++)
    if (strcmp(l->file[i].path, path) == 0) return true;
  return strcmp(path, DOWNLOAD_RECORD) == 0;
}

/* The record tells what an earlier download wanted; nothing else was ever put there. */
ace_status places_sweep(const places *p, const hub_listing *listing, ace_error *err) {
  hub_listing before;
  if (record_read(p->partial, &before, NULL, NULL) != ACE_OK) return ACE_OK;
  ace_status status = ACE_OK;
  for (size_t i = 0; i < before.n && status == ACE_OK; i++) {
    if (is_listed(listing, before.file[i].path)) continue;
    char *path = file_join(p->partial, before.file[i].path);
    if (path && unlink(path) != 0 && errno != ENOENT) status = ace_fail_errno(err, "%s: cannot remove", path);
    free(path);
  }
  hub_listing_free(&before);
  return status;
}

ace_status places_move(places *p, ace_error *err) {
  ace_status status = file_remove_tree(p->old, err);
  if (status != ACE_OK) return status;
  bool had = rename(p->place, p->old) == 0;
  if (!had && errno != ENOENT) return ace_fail_errno(err, "%s: cannot replace", p->place);
  if (rename(p->partial, p->place) != 0) {
    status = ace_fail_errno(err, "%s: cannot put it into its place", p->place);
    if (had) rename(p->old, p->place);
    return status;
  }
  return had ? file_remove_tree(p->old, err) : ACE_OK;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

uint64_t download_space(const char *models) {
  struct statvfs fs;
  char *folder = file_nearest(models);
  bool known = folder && statvfs(folder, &fs) == 0;
  free(folder);
  return known ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

ace_status download_fits(const char *models, uint64_t bytes, ace_error *err) {
  const uint64_t slack = 64 << 20; /* shall stay free */
  uint64_t space = download_space(models);
  if (bytes + slack <= space) return ACE_OK;
  return ace_fail(err, ACE_EIO,
                  "%s: %" PRIu64 " MB are to be fetched and only %" PRIu64
                  " MB are free; make room or name another folder with --models",
                  models, bytes / 1000000 + 1, space / 1000000);
}

static uint64_t size_of(const char *folder, const char *name, bool *there) {
  struct stat st;
  char *path = file_join(folder, name);
  *there = path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
  free(path);
  return *there ? (uint64_t)st.st_size : 0;
}

uint64_t download_left(const char *models, const catalog_model *model, const hub_listing *listing) {
  char *partial = join3(models, PLACES_PARTIAL, model->name);
  uint64_t left = 0;
  for (size_t i = 0; partial && i < listing->n; i++) {
    bool there;
    uint64_t size = size_of(partial, listing->file[i].path, &there);
    if (size < listing->file[i].size) left += listing->file[i].size - size;
  }
  free(partial);
  return partial ? left : listing->bytes;
}

static void note(download_state *s, const char *path, uint64_t size, uint64_t wanted, bool there) {
  size_t used = strlen(s->problem);
  const char *comma = used ? ", " : "";
  s->kind = DOWNLOAD_DAMAGED;
  if (used + strlen(path) + 80 > sizeof s->problem) return;
  if (!there) snprintf(s->problem + used, sizeof s->problem - used, "%s%s is missing", comma, path);
  else
    snprintf(s->problem + used, sizeof s->problem - used, "%s%s has %llu bytes instead of %llu", comma, path,
             (unsigned long long)size, (unsigned long long)wanted);
}

static void compare(const char *folder, const hub_listing *record, download_state *s) {
  for (size_t i = 0; i < record->n; i++) {
    const hub_file *f = &record->file[i];
    bool there;
    uint64_t size = size_of(folder, f->path, &there);
    s->bytes += size;
    s->total += f->size;
    if (s->kind != DOWNLOAD_PARTIAL && (!there || size != f->size)) note(s, f->path, size, f->size, there);
  }
}

download_state download_look(const char *models, const char *name) {
  download_state s = {.kind = DOWNLOAD_NONE};
  char *place = file_join(models, name), *partial = join3(models, PLACES_PARTIAL, name);
  hub_listing record;
  if (place && file_is_directory(place)) {
    s.kind = DOWNLOAD_COMPLETE;
    if (record_read(place, &record, s.include, NULL) == ACE_OK) {
      compare(place, &record, &s);
      hub_listing_free(&record);
    }
  } else if (partial && record_read(partial, &record, s.include, NULL) == ACE_OK) {
    s.kind = DOWNLOAD_PARTIAL;
    compare(partial, &record, &s);
    hub_listing_free(&record);
  }
  free(place), free(partial);
  return s;
}

ace_status download_delete(const char *models, const char *name, ace_error *err) {
  places p;
  if (!hub_safe_path(name) || strchr(name, '/'))
    return ace_fail(err, ACE_EINVAL, "%s: not the name of a model's folder", name);
  download_state s = download_look(models, name);
  if (s.kind == DOWNLOAD_NONE)
    return ace_fail(err, ACE_ENOTFOUND, "%s: there is no model of that name in %s", name, models);
  ace_status status = places_open(&p, models, name, err);
  if (status != ACE_OK) return status;
  /* Out of its place first: nobody opens a model of which half is gone. */
  status = file_remove_tree(p.old, err);
  if (status == ACE_OK && rename(p.place, p.old) != 0 && errno != ENOENT)
    status = ace_fail_errno(err, "%s: cannot remove", p.place);
  if (status == ACE_OK) status = file_remove_tree(p.old, err);
  if (status == ACE_OK) status = file_remove_tree(p.partial, err);
  places_close(&p);
  return status;
}
