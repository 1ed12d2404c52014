#include "net/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/notify.h"
#include "net/http.h"
#include "net/places.h"
#include "net/record.h"

enum {
  TRIES = 4, /* of a file, after failures that may pass */
  BLOCK = 1 << 20
};

/* ---- one file ---------------------------------------------------------------------------------------------------- */

typedef enum file_turn { FILE_WAITING, FILE_FLYING, FILE_DONE } file_turn;

typedef struct job job;

typedef struct file_job {
  job *all;
  const hub_file *what;
  char *path, *url; /* owned */
  int fd;           /* -1: not open */
  hash sum;         /* of the bytes below `have` */
  uint64_t have;
  net_retry retry;
  bool restarted; /* its checksum was wrong once */
  file_turn turn;
  net_request request;
} file_job;

struct job {
  const download *d;
  const hub_listing *listing;
  file_job *file;
  char *partial; /* folder in which the files grow */
  uint64_t done; /* bytes of all files that are there */
  double started, told;
  uint64_t at_start;
};

static bool is_cancelled(void *user) {
  const job *j = user;
  const ace_callbacks *notify = j->d->notify;
  return notify_stopped(notify);
}

static void tell(job *j, bool anyway) {
  const double least = 0.2; /* seconds between two reports */
  const ace_callbacks *notify = j->d->notify;
  double t = clock_seconds(), total = (double)j->listing->bytes, done = (double)j->done;
  if (!notify || !notify->progress || (!anyway && t - j->told < least)) return;
  j->told = t;
  double came = (double)(j->done - (j->done < j->at_start ? j->done : j->at_start)), took = t - j->started;
  int finished = 0;
  for (size_t i = 0; i < j->listing->n; i++) finished += j->file[i].turn == FILE_DONE;
  notify->progress(notify->user, &(ace_progress){.stage = "download",
                                                 .fraction = total > 0 ? done / total : 1,
                                                 .seconds_left = came > 0 ? (total - done) * took / came : -1,
                                                 .step = finished,
                                                 .steps = (int)j->listing->n});
}

/* Nothing of the file counts any more. */
static ace_status start_over(file_job *f, ace_error *err) {
  f->all->done -= f->have;
  f->have = 0;
  hash_begin(&f->sum);
  if (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) < 0)
    return ace_fail_errno(err, "%s: cannot write", f->path);
  return ACE_OK;
}

/* Reads what an earlier download left; a part whose checksum nobody knows is not worth keeping. */
static ace_status read_part(file_job *f, ace_error *err) {
  struct stat st;
  hash_begin(&f->sum);
  if (fstat(f->fd, &st) != 0) return ace_fail_errno(err, "%s: cannot read", f->path);
  uint64_t size = (uint64_t)st.st_size;
  if (!*f->what->sha256 || size > f->what->size) return start_over(f, err);
  char *block = malloc(BLOCK);
  if (!block) return ace_fail(err, ACE_ENOMEM, "download: out of memory");
  ace_status status = ACE_OK;
  while (f->have < size && status == ACE_OK) {
    ssize_t n = read(f->fd, block, BLOCK);
    if (is_cancelled(f->all)) status = ace_fail(err, ACE_ECANCELED, "cancelled");
    else if (n == 0) status = ace_fail(err, ACE_EIO, "%s: it shrinks while it is read", f->path);
    else if (n < 0 && errno != EINTR) status = ace_fail_errno(err, "%s: cannot read", f->path);
    if (n <= 0 || status != ACE_OK) continue;
    hash_add(&f->sum, block, (size_t)n);
    f->have += (uint64_t)n;
    f->all->done += (uint64_t)n;
    tell(f->all, false);
  }
  free(block);
  return status;
}

/* Opens the file where it grows, with the folders above it. */
static ace_status open_part(file_job *f, ace_error *err) {
  char *slash = strrchr(f->path, '/');
  *slash = 0;
  ace_status status = file_make_directory(f->path, err);
  *slash = '/';
  if (status != ACE_OK) return status;
  f->fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (f->fd < 0) return ace_fail_errno(err, "%s: cannot create", f->path);
  return read_part(f, err);
}

static ace_status write_bytes(file_job *f, const char *bytes, size_t n, ace_error *err) {
  while (n > 0) {
    ssize_t written = write(f->fd, bytes, n);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == ENOSPC || errno == EDQUOT))
      return ace_fail(err, ACE_EIO,
                      "%s: the disk is full; make room (%" PRIu64
                      " MB are missing) and start again: what has arrived stays",
                      f->path, (f->all->listing->bytes - f->all->done) / 1000000 + 1);
    if (written < 0) return ace_fail_errno(err, "%s: cannot write", f->path);
    hash_add(&f->sum, bytes, (size_t)written);
    f->have += (uint64_t)written;
    f->all->done += (uint64_t)written;
    bytes += written;
    n -= (size_t)written;
  }
  tell(f->all, false);
  return ACE_OK;
}

static ace_status on_begin(void *user, const net_head *head, ace_error *err) {
  file_job *f = user;
  uint64_t total = head->at + (uint64_t)(head->length > 0 ? head->length : 0);
  if (head->length >= 0 && total != f->what->size)
    return ace_fail(err, ACE_EFORMAT, "%s: the hub lists %" PRIu64 " bytes and sends %" PRIu64 "; start again",
                    f->what->path, f->what->size, total);
  if (head->at != f->have) return start_over(f, err); /* a server that does not resume */
  return ACE_OK;
}

static ace_status on_data(void *user, const void *bytes, size_t n, ace_error *err) {
  file_job *f = user;
  if (n > f->what->size - f->have)
    return ace_fail(err, ACE_EFORMAT, "%s: the hub sends more than the %" PRIu64 " bytes that it lists", f->what->path,
                    f->what->size);
  return write_bytes(f, bytes, n, err);
}

/* Complete by size: is it the right content? */
static ace_status close_part(file_job *f, ace_error *err) {
  char sum[HASH_HEX];
  hash copy = f->sum;
  hash_end(&copy, sum);
  if (*f->what->sha256 && strcmp(sum, f->what->sha256) != 0) {
    ace_status status = start_over(f, err);
    if (status != ACE_OK || !f->restarted) {
      f->restarted = true;
      f->turn = FILE_WAITING;
      return status;
    }
    return ace_fail(err, ACE_EFORMAT,
                    "%s: its SHA-256 is %.12s..., the hub lists %.12s...; something on the way changes it",
                    f->what->path, sum, f->what->sha256);
  }
  if (fsync(f->fd) != 0) return ace_fail_errno(err, "%s: cannot write", f->path);
  close(f->fd);
  f->fd = -1;
  f->turn = FILE_DONE;
  tell(f->all, true);
  return ACE_OK;
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

static net_turn next_file(void *user, net_request **out) {
  job *j = user;
  bool waiting = false;
  double t = clock_seconds();
  for (size_t i = 0; i < j->listing->n; i++) {
    file_job *f = &j->file[i];
    if (f->turn != FILE_WAITING) continue;
    waiting = true;
    if (t < f->retry.not_before) continue;
    f->turn = FILE_FLYING;
    f->request = (net_request){.url = f->url,
                               .bearer = j->d->hub->token,
                               .from = f->have,
                               .most = f->what->size,
                               .begin = on_begin,
                               .data = on_data,
                               .user = f};
    *out = &f->request;
    return NET_START;
  }
  return waiting ? NET_WAIT : NET_END;
}

static ace_status file_done(void *user, net_request *r, ace_error *err) {
  file_job *f = r->user;
  const int out_of_range = 416;
  if (r->error.status == ACE_OK && f->have == f->what->size) return close_part(f, err);
  bool short_answer = r->error.status == ACE_OK;
  if (r->status == out_of_range && start_over(f, err) != ACE_OK) return ACE_EIO;
  bool again = short_answer || r->again || r->status == out_of_range;
  if (!again || !net_retry_again(&f->retry, TRIES)) {
    if (short_answer)
      return ace_fail(err, ACE_EFORMAT, "%s: the hub sends %" PRIu64 " bytes and lists %" PRIu64, f->what->path,
                      f->have, f->what->size);
    return ace_fail(err, r->error.status, "%s: %s", f->what->path, r->error.message);
  }
  f->turn = FILE_WAITING;
  return ACE_OK;
}

static ace_status prepare(job *j, ace_error *err) {
  for (size_t i = 0; i < j->listing->n; i++) {
    file_job *f = &j->file[i];
    *f = (file_job){.all = j, .what = &j->listing->file[i], .fd = -1};
    f->path = file_join(j->partial, f->what->path);
    f->url = hub_file_url(j->d->hub, j->d->model, j->listing, i);
    if (!f->path || !f->url) return ace_fail(err, ACE_ENOMEM, "download: out of memory");
  }
  for (size_t i = 0; i < j->listing->n; i++) {
    file_job *f = &j->file[i];
    ace_status status = open_part(f, err);
    if (status == ACE_OK && f->have == f->what->size) status = close_part(f, err);
    if (status != ACE_OK) return status;
  }
  j->started = clock_seconds();
  j->at_start = j->done;
  return download_fits(j->d->models, j->listing->bytes - j->done, err);
}

static void clean_up(job *j) {
  for (size_t i = 0; j->file && i < j->listing->n; i++) {
    if (j->file[i].path && j->file[i].fd >= 0) close(j->file[i].fd);
    free(j->file[i].path), free(j->file[i].url);
  }
  free(j->file);
}

static ace_status fetch_files(job *j, ace_error *err) {
  const download *d = j->d;
  j->file = calloc(j->listing->n, sizeof *j->file);
  if (!j->file) return ace_fail(err, ACE_ENOMEM, "download: out of memory");
  j->started = clock_seconds();
  ace_status status = prepare(j, err);
  tell(j, true);
  int at_once = d->at_once < 1 ? 1 : d->at_once > NET_MOST_AT_ONCE ? NET_MOST_AT_ONCE : d->at_once;
  const net_queue q = {.at_once = at_once, .next = next_file, .done = file_done, .cancelled = is_cancelled, .user = j};
  if (status == ACE_OK) status = net_run(&q, err);
  clean_up(j);
  return status;
}

ace_status download_fetch(const download *d, const hub_listing *listing, ace_error *err) {
  places p;
  ace_error own;
  if (!err) err = &own;
  ace_status status = places_open(&p, d->models, d->model->name, err);
  if (status != ACE_OK) return status;
  if (!d->replace && file_exists(p.place))
    status = ace_fail(err, ACE_EINVAL, "%s: it is already there; --force fetches it anew", p.place);
  job j = {.d = d, .listing = listing, .partial = p.partial};
  if (status == ACE_OK) status = places_sweep(&p, listing, err);
  if (status == ACE_OK) status = record_write(p.partial, d, listing, err);
  if (status == ACE_OK) status = fetch_files(&j, err);
  if (status == ACE_OK) status = places_move(&p, err);
  places_close(&p);
  return status;
}
