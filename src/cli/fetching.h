/* fetching.h - from names of published models to folders: which hub, the question, the download.
 *
 *   fetching f;
 *   if (fetching_plan(&f, a, r, &err) == ACE_OK) {      // reads FETCHING_FLAGS and the environment
 *     f.models = folder;
 *     f.ask = true;
 *     status = fetching_run(&f, models, n, &err);
 *   }
 *   fetching_free(&f);
 */
#ifndef ACE_CLI_FETCHING_H
#define ACE_CLI_FETCHING_H

#include "cli/args.h"
#include "cli/report.h"
#include "net/download.h"

/* clang-format off */
#define FETCHING_FLAGS \
  {"source", 0, "HUB", "huggingface, modelscope, or auto: the first that answers (default: auto)"}, \
  {"endpoint", 0, "URL", "A mirror of that hub (with --source)"}, \
  {"token-file", 0, "FILE", "File with a key for the hub (else $HF_TOKEN)"}, \
  {"parallel", 0, "N", "Files at a time, 1..16 (default: 4)"}
/* clang-format on */

typedef struct fetching {
  const char *models, *include; /* set by the caller; include NULL: all files */
  bool ask, replace;
  /* planned */
  hub hubs[HUB_KINDS]; /* in the order in which they are tried */
  int n_hubs, at_once;
  char *token; /* owned */
  report *report;
} fetching;

/* Zeroes `f` first, so that fetching_free is always right. */
ace_status fetching_plan(fetching *f, const args *a, report *r, ace_error *err);
void fetching_free(fetching *f);
/* Those that are complete already are passed over, unless they are to be replaced. */
ace_status fetching_run(fetching *f, const catalog_model *const *models, int n, ace_error *err);

/* "4.8 GB", "310 MB" */
enum { FETCHING_SIZE = 24 };
const char *fetching_size(uint64_t bytes, char out[FETCHING_SIZE]);

#endif
