/* checkpoint.c - which folders there are, and how one appears at once. What is in training_state.safetensors is in
 * checkpoint_state.c. */
#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/strings.h"
#include "train/checkpoint_state.h"

static const char fresh[] = ".tmp-", replaced[] = ".old-";

/* FOLDER/PREFIXname. free() it. */
static char *place(const char *folder, const char *prefix, const char *name) {
  size_t n = strlen(folder) + strlen(prefix) + strlen(name) + 2;
  char *path = malloc(n);
  if (path) snprintf(path, n, "%s/%s%s", folder, prefix, name);
  return path;
}

/* Makes a rename last. */
static void sync_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* ---- one folder, whole or not at all ----------------------------------------------------------------------------- */

typedef struct publishing {
  char *folder, *target, *temporary, *old;
} publishing;

static void publishing_free(publishing *p) {
  free(p->folder), free(p->target), free(p->temporary), free(p->old);
}

/* An empty FOLDER/.tmp-NAME. */
static ace_status publish_begin(publishing *p, const char *folder, const char *name, ace_error *err) {
  *p = (publishing){strdup(folder), place(folder, "", name), place(folder, fresh, name), place(folder, replaced, name)};
  if (!p->folder || !p->target || !p->temporary || !p->old)
    return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  ace_status status = file_remove_tree(p->temporary, err);
  return status == ACE_OK ? file_make_directory(p->temporary, err) : status;
}

static ace_status publish_commit(publishing *p, ace_error *err) {
  if (file_is_directory(p->target)) file_remove_tree(p->old, NULL);
  bool had = rename(p->target, p->old) == 0;
  if (rename(p->temporary, p->target) != 0) {
    ace_fail_errno(err, "%s: cannot put the new folder in place", p->target);
    if (had) rename(p->old, p->target);
    return err ? err->status : ACE_EIO;
  }
  sync_folder(p->folder);
  if (had) file_remove_tree(p->old, NULL);
  return ACE_OK;
}

/* Ends it either way. */
static ace_status publish_end(publishing *p, ace_status status, ace_error *err) {
  if (status == ACE_OK) status = publish_commit(p, err);
  if (status != ACE_OK && p->temporary) file_remove_tree(p->temporary, NULL);
  publishing_free(p);
  return status;
}

ace_status checkpoint_write(const char *output, const char *name, const train_task *task, const train_state *s,
                            const json_t *about, ace_error *err) {
  publishing p = {0};
  char *folder = file_join(output, CHECKPOINT_FOLDER);
  if (!folder) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", output);
  ace_status status = file_make_directory(folder, err);
  if (status == ACE_OK) status = publish_begin(&p, folder, name, err);
  if (status == ACE_OK) status = task->write(task->user, p.temporary, err);
  if (status == ACE_OK) status = checkpoint_state_write(p.temporary, task, s, about, err);
  free(folder);
  return publish_end(&p, status, err);
}

/* A fault of the disk or of memory shows here, while the checkpoints are still there. */
static ace_status check_final(const train_task *task, const char *folder, ace_error *err) {
  size_t bytes = (size_t)task->count * sizeof *task->values;
  float *kept = malloc(2 * bytes), *written = kept ? kept + task->count : NULL;
  if (!kept) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", folder);
  memcpy(kept, task->values, bytes);
  if (task->settle) task->settle(task->user);
  memcpy(written, task->values, bytes);
  ace_status status = task->read(task->user, folder, err);
  for (int64_t i = 0; i < task->count && status == ACE_OK; i++) {
    if (!isfinite(written[i]))
      status =
          ace_fail(err, ACE_EFORMAT, "%s: parameter %lld is not finite; the training went wrong", folder, (long long)i);
    else if (memcmp(&written[i], &task->values[i], sizeof *written) != 0)
      status = ace_fail(err, ACE_EIO, "%s: does not read back as it was written", folder);
  }
  memcpy(task->values, kept, bytes);
  free(kept);
  return status;
}

ace_status checkpoint_write_final(const char *output, const train_task *task, ace_error *err) {
  publishing p = {0};
  ace_status status = publish_begin(&p, output, "final", err);
  if (status == ACE_OK) status = task->write(task->user, p.temporary, err);
  if (status == ACE_OK) status = check_final(task, p.temporary, err);
  return publish_end(&p, status, err);
}

/* ---- finding one ------------------------------------------------------------------------------------------------- */

/* When the state of a checkpoint was written; false: it has none. */
static bool state_time(const char *folder, struct timespec *when) {
  struct stat st;
  char *path = file_join(folder, CHECKPOINT_STATE);
  bool has = path && stat(path, &st) == 0;
  if (has) *when = st.st_mtim;
  free(path);
  return has;
}

static bool has_state(const char *folder) {
  struct timespec when;
  return state_time(folder, &when);
}

/* The folder in FOLDER whose state was written last, of several at once the one with the most steps; NULL: none has a
 * state. Steps alone would not do: the folder may hold a longer training of earlier days. free() it. */
static char *newest_in(const char *folder) {
  char **names = file_names(folder, NULL), *newest = NULL;
  struct timespec last = {0}, when;
  for (int i = 0; names && names[i]; i++) {
    char *path = file_join(folder, names[i]);
    bool has = path && state_time(path, &when);
    int order = has && newest ? clock_compare(when, last) : 1;
    if (has && (order > 0 || (order == 0 && checkpoint_state_steps(path) > checkpoint_state_steps(newest)))) {
      free(newest);
      newest = path;
      last = when;
    } else free(path);
  }
  file_names_free(names);
  return newest;
}

static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return strdup(".");
  return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static bool holds_adapter(const char *folder) {
  char **names = file_names(folder, NULL);
  bool holds = false;
  for (int i = 0; names && names[i]; i++) holds |= string_ends(names[i], ".safetensors");
  file_names_free(names);
  return holds;
}

char *checkpoint_find(const char *path, ace_error *err) {
  struct stat st;
  if (stat(path, &st) != 0) {
    ace_fail_errno(err, "resume: %s", path);
    return NULL;
  }
  char *folder = S_ISDIR(st.st_mode) ? strdup(path) : folder_of(path);
  char *inside = folder ? file_join(folder, CHECKPOINT_FOLDER) : NULL, *newest = NULL;
  if (inside && file_is_directory(inside)) {
    checkpoint_recover(folder);
    newest = newest_in(inside);
  }
  free(inside);
  if (newest) {
    free(folder);
    return newest;
  }
  if (folder && holds_adapter(folder)) return folder;
  ace_fail(err, ACE_ENOTFOUND, "resume: No valid checkpoint found in %s: no " CHECKPOINT_STATE ", and no adapter",
           path);
  free(folder);
  return NULL;
}

/* N of the last epoch_N in a path; 0: none. */
static int epoch_of_name(const char *path) {
  static const char word[] = "epoch_";
  int epoch = 0;
  for (const char *at = path; (at = strstr(at, word)); at += sizeof word - 1) {
    char *end;
    long n = strtol(at + sizeof word - 1, &end, 10);
    if (end != at + sizeof word - 1 && n > 0 && n < INT_MAX) epoch = (int)n;
  }
  return epoch;
}

ace_status checkpoint_read(const char *folder, const train_task *task, train_state *s, bool *warm, ace_error *err) {
  ace_status status = task->read(task->user, folder, err);
  *warm = status == ACE_OK && !has_state(folder);
  if (*warm) s->epoch = epoch_of_name(folder);
  else if (status == ACE_OK) status = checkpoint_state_read(folder, task, s, err);
  return status;
}

/* A folder that a dying program had moved out of the way, back in its place if that is empty. */
static void recover(const char *folder, const char *name) {
  char *target = place(folder, "", name), *old = place(folder, replaced, name);
  if (target && old && file_is_directory(old)) {
    if (file_is_directory(target)) file_remove_tree(old, NULL);
    else rename(old, target);
  }
  free(target), free(old);
}

void checkpoint_recover(const char *output) {
  char *folder = file_join(output, CHECKPOINT_FOLDER);
  DIR *dir = folder ? opendir(folder) : NULL;
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (string_begins(e->d_name, replaced)) recover(folder, e->d_name + strlen(replaced));
  if (dir) closedir(dir);
  recover(output, "final");
  free(folder);
}
