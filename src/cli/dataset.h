/* dataset.h - what the actions of acestep dataset share; Inside of src/cli/dataset*.c only. */
#ifndef ACE_CLI_DATASET_H
#define ACE_CLI_DATASET_H

#include "cli/opening.h"
#include "train/dataset.h"

/* One run of an action; everything but args and report is owned. */
typedef struct dataset_run {
  const args *args;
  report *report;
  const char *file; /* the second operand */
  dataset d;
  ace_request *request;
  opening open;
  ace_engine *engine;
} dataset_run;

typedef ace_status (*dataset_action)(dataset_run *k, ace_error *err);

ace_status dataset_action_scan(dataset_run *k, ace_error *err);
ace_status dataset_action_edit(dataset_run *k, ace_error *err);
ace_status dataset_action_check(dataset_run *k, ace_error *err);
ace_status dataset_action_label(dataset_run *k, ace_error *err);
ace_status dataset_action_preprocess(dataset_run *k, ace_error *err);

/* --name, --tag, --tag-position, --genre-ratio, --all-instrumental, those that were given. *changed: any was. */
ace_status dataset_take_wishes(dataset_run *k, bool *changed, ace_error *err);
/* The samples as a table on standard output; not with --json. */
void dataset_print(const dataset_run *k);
/* The dataset as an event: {"event": "dataset", "path", "name", "samples", "labeled", ...}. */
void dataset_report(dataset_run *k, const char *path);

#endif
