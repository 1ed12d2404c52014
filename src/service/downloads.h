/* downloads.h - published models fetched while the service runs, one at a time, beside the jobs.
 *
 *   downloads *d = downloads_open(&(downloads_options){.models = folder, .hubs = hubs, .n_hubs = 2, .events = e}, &err);
 *   downloads_start(d, "acestep-v15-base", &err);          // others wait for it
 *   downloads_close(d);                                     // what has arrived stays for the next time
 *
 * Everybody is told by the event "download": {"name", "state": "waiting" | "running" | "done" | "failed" | "cancelled",
 * "bytes", "total", "message"}. Every function may be called from any thread.
 */
#ifndef ACE_SERVICE_DOWNLOADS_H
#define ACE_SERVICE_DOWNLOADS_H

#include "jobs/events.h"
#include "net/download.h"

typedef struct downloads downloads;

typedef struct downloads_options {
  const char *models;
  const hub *hubs; /* in the order in which they are tried; borrowed for as long as the downloads live */
  int n_hubs;
  int at_once; /* files at a time; 0: 4 */
  events *events;
} downloads_options;

downloads *downloads_open(const downloads_options *options, ace_error *err);
/* Stops what runs. */
void downloads_close(downloads *d);

/* ACE_EINVAL: no published model, a collection, or there already; ACE_EBUSY: too many wait. One that waits or runs
 * already is left alone. */
ace_status downloads_start(downloads *d, const char *name, ace_error *err);
/* ACE_ENOTFOUND when it neither waits nor runs. */
ace_status downloads_cancel(downloads *d, const char *name, ace_error *err);
/* How the download of a model stands, as in its event, or how the last one ended; NULL: none was begun. A new
 * reference. */
json_t *downloads_state(downloads *d, const char *name);

const char *downloads_folder(const downloads *d); /* where they go */

/* Asks the hubs, one after the other: {"files", "bytes", "left", "space", "licence", "source"}. A new reference; takes
 * seconds. */
json_t *downloads_ask(downloads *d, const char *name, ace_error *err);

#endif
