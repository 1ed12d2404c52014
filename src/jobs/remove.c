/* remove.c - ended jobs go, with their files. Files go first: what is still in the database can be removed again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "jobs/jobs_inner.h"

/* Bytes of the plain files of a folder; 0 when it is not there. Job folders have no folders in them. */
static uint64_t folder_bytes(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return 0;
  uint64_t sum = 0;
  struct stat st;
  for (struct dirent *e; (e = readdir(dir));)
    if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
      sum += (uint64_t)st.st_size;
  closedir(dir);
  return sum;
}

static ace_status remove_job(jobs *q, int64_t seq, const char *id, uint64_t *freed, ace_error *err) {
  char *folder = jobs_folder(q, id);
  if (!folder) return ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  *freed = folder_bytes(folder);
  ace_status status = file_remove_tree(folder, err);
  if (status == ACE_OK) status = store_remove(q->store, seq, err);
  free(folder);
  return status;
}

/* The number of a job that has ended. The lock is held. */
static ace_status find_ended(jobs *q, const char *id, int64_t *seq, ace_error *err) {
  job_state state;
  ace_status status = store_find(q->store, id, seq, &state, err);
  if (status == ACE_OK && state <= JOB_RUNNING)
    status = ace_fail(err, ACE_EINVAL, "job %.64s: it has not ended; cancel it first", id);
  return status;
}

ace_status jobs_delete(jobs *q, const char *id, ace_error *err) {
  int64_t seq;
  uint64_t freed;
  pthread_mutex_lock(&q->lock);
  ace_status status = find_ended(q, id, &seq, err);
  if (status == ACE_OK) status = remove_job(q, seq, id, &freed, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_hide(jobs *q, const char *id, ace_error *err) {
  int64_t seq;
  pthread_mutex_lock(&q->lock);
  ace_status status = find_ended(q, id, &seq, err);
  if (status == ACE_OK) status = store_hide(q->store, seq, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_unhide(jobs *q, const char *session, const char *id, ace_error *err) {
  char whose[256];
  pthread_mutex_lock(&q->lock);
  ace_status status = store_session_of_hidden(q->store, id, whose, sizeof whose, err);
  if (status == ACE_OK && strcmp(whose, session) != 0)
    status = ace_fail(err, ACE_ENOTFOUND, "job %.64s: there is none", id);
  if (status == ACE_OK) status = store_unhide(q->store, id, err);
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_purge(jobs *q, double age, ace_error *err) {
  int64_t seq = 1;
  char id[JOBS_ID];
  uint64_t freed;
  ace_status status = ACE_OK;
  while (status == ACE_OK && seq) {
    pthread_mutex_lock(&q->lock);
    status = store_hidden(q->store, store_now() - (int64_t)(age * 1000), &seq, id, err);
    if (status == ACE_OK && seq) status = remove_job(q, seq, id, &freed, err);
    pthread_mutex_unlock(&q->lock);
  }
  return status;
}

/* The files of a folder that begin like this. */
static ace_status remove_files(const char *path, const char *with, ace_error *err) {
  DIR *dir = opendir(path);
  if (!dir) return errno == ENOENT ? ACE_OK : ace_fail_errno(err, "%s: cannot read", path);
  ace_status status = ACE_OK;
  for (struct dirent *e; status == ACE_OK && (e = readdir(dir));)
    if (strncmp(e->d_name, with, strlen(with)) == 0 && unlinkat(dirfd(dir), e->d_name, 0) != 0)
      status = ace_fail_errno(err, "%s/%s: cannot remove", path, e->d_name);
  closedir(dir);
  return status;
}

ace_status jobs_delete_sample(jobs *q, const char *id, int item, ace_error *err) {
  int64_t seq;
  char with[16];
  snprintf(with, sizeof with, "%d.", item + 1);
  pthread_mutex_lock(&q->lock);
  ace_status status = find_ended(q, id, &seq, err);
  char *folder = status == ACE_OK ? jobs_folder(q, id) : NULL;
  if (status == ACE_OK && !folder) status = ace_fail(err, ACE_ENOMEM, "jobs: out of memory");
  if (status == ACE_OK) status = store_forget_sample(q->store, seq, item, err);
  if (status == ACE_OK) status = remove_files(folder, with, err);
  pthread_mutex_unlock(&q->lock);
  free(folder);
  return status;
}

static uint64_t outputs_bytes(const jobs *q) {
  DIR *dir = opendir(q->outputs);
  if (!dir) return 0;
  uint64_t sum = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    if (*e->d_name == '.') continue;
    char *folder = jobs_folder(q, e->d_name);
    if (folder) sum += folder_bytes(folder);
    free(folder);
  }
  closedir(dir);
  return sum;
}

/* Removes the oldest job that may go; *freed is 0 and *gone false when there is none. */
static ace_status remove_oldest(jobs *q, int64_t before, bool *gone, uint64_t *freed, ace_error *err) {
  int64_t seq;
  char id[JOBS_ID];
  *gone = false, *freed = 0;
  pthread_mutex_lock(&q->lock);
  ace_status status = store_oldest(q->store, before, &seq, id, err);
  if (status == ACE_OK && seq) {
    status = remove_job(q, seq, id, freed, err);
    *gone = status == ACE_OK;
  }
  pthread_mutex_unlock(&q->lock);
  return status;
}

ace_status jobs_prune(jobs *q, double age, uint64_t bytes, int *removed, ace_error *err) {
  ace_status status = ACE_OK;
  uint64_t freed, used = bytes ? outputs_bytes(q) : 0;
  bool gone = age > 0;
  *removed = 0;
  while (status == ACE_OK && gone) {
    status = remove_oldest(q, store_now() - (int64_t)(age * 1000), &gone, &freed, err);
    used -= freed < used ? freed : used;
    *removed += gone;
  }
  gone = true;
  while (status == ACE_OK && gone && bytes && used > bytes) {
    status = remove_oldest(q, 0, &gone, &freed, err);
    used -= freed < used ? freed : used;
    *removed += gone;
  }
  return status;
}
