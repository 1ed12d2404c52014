/* download.h - models from a hub into a folder of models: whole or not at all, resumed where they were cut off.
 *
 *   download d = {.models = "checkpoints", .hub = &hub, .model = catalog_find("vae"), .at_once = 4, .notify = notify};
 *   if (hub_list(&hub, d.model, NULL, &notify, &listing, &err) == ACE_OK) {
 *     ... show the size and licence, ask ...
 *     download_fetch(&d, &listing, &err);
 *   }
 *
 * Files grow in "MODELS/.partial/NAME". What a download that was cancelled or cut off leaves there is read again,
 * checked, and continued by the next one. When every file has its size and, where the hub tells it, its SHA-256, the
 * folder takes its place as "MODELS/NAME" in one step. A record of the files (acestep-download.json) lies in it, by
 * which download_look finds what is missing later.
 */
#ifndef ACE_NET_DOWNLOAD_H
#define ACE_NET_DOWNLOAD_H

#include "net/hub.h"

#define DOWNLOAD_RECORD "acestep-download.json"

typedef struct download {
  const char *models;
  const hub *hub;
  const catalog_model *model;
  const char *include;         /* the pattern that the listing was made with; NULL: all */
  int at_once;                 /* files at a time, 1..16 */
  bool replace;                /* a folder of that name may be there; it goes when the new one is complete */
  const ace_callbacks *notify; /* stage "download"; may be NULL */
} download;

/* Fetches the listed files. On failure and when cancelled, what has arrived stays for the next time. */
ace_status download_fetch(const download *d, const hub_listing *listing, ace_error *err);

/* Bytes that must still be fetched, by the sizes of what lies there; and those that are free in the folder (or the
 * nearest above it that exists). */
uint64_t download_left(const char *models, const catalog_model *model, const hub_listing *listing);
uint64_t download_space(const char *models);
/* Fails when there is no room for so many bytes, and a little more. */
ace_status download_fits(const char *models, uint64_t bytes, ace_error *err);

typedef enum download_kind {
  DOWNLOAD_NONE,     /* nothing there */
  DOWNLOAD_COMPLETE, /* as its record says; without record anything: opening it tells what it is good for */
  DOWNLOAD_PARTIAL,  /* a download was cut off: bytes of total */
  DOWNLOAD_DAMAGED   /* files of its record are missing or have another size: `problem` */
} download_kind;

typedef struct download_state {
  download_kind kind;
  uint64_t bytes, total; /* there; by the record, 0: no record */
  char problem[400];
  char include[80]; /* complete as far as this pattern goes; "": all of it */
} download_state;

download_state download_look(const char *models, const char *name);

/* Removes a model's folder and what a cut-off download of it left. ACE_ENOTFOUND when there is neither. */
ace_status download_delete(const char *models, const char *name, ace_error *err);

#endif
