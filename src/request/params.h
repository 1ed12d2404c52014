/* params.h - the one table of parameters: everything that is known about each field of a request.
 *
 *   size_t n;
 *   const req_param *p = req_params(&n);                        // in the order of the JSON form
 *   const req_param *d = req_param_find("duration");            // also finds "--duration" and "audio-format"
 *   printf("--%s %s  %s\n", ..., d->unit, d->help);
 *
 * Command line flags, help, JSON Schema, docs/PARAMETERS.md and the page are made from it. A new parameter is one field
 * in request.h and one line in params.c.
 */
#ifndef ACE_REQUEST_PARAMS_H
#define ACE_REQUEST_PARAMS_H

#include <stdio.h>

#include "request/request.h"

typedef enum req_type {
  REQ_BOOL,      /* bool */
  REQ_TRI,       /* int: REQ_AUTO, REQ_OFF, REQ_ON */
  REQ_INT,       /* int */
  REQ_SEED,      /* int64_t: -1 or a seed; text with several goes to `seeds` */
  REQ_NUMBER,    /* double */
  REQ_ENUM,      /* int: index into `values` */
  REQ_STRING,    /* char *, owned, never NULL */
  REQ_PATH,      /* the same, naming a file */
  REQ_SEEDS,     /* req_seeds */
  REQ_TIMESTEPS, /* req_timesteps */
  REQ_TRACKS     /* req_tracks */
} req_type;

/* Modes of the page, and the tasks behind them. */
enum {
  REQ_IN_SIMPLE = 1,
  REQ_IN_CUSTOM = 2,
  REQ_IN_REMIX = 4,
  REQ_IN_REPAINT = 8,
  REQ_IN_EXTRACT = 16,
  REQ_IN_LEGO = 32,
  REQ_IN_COMPLETE = 64,
  REQ_IN_ALL = 127,
  REQ_MODE_COUNT = 7
};

typedef enum req_group { /* in the order of the page */
                         REQ_GROUP_SONG,
                         REQ_GROUP_METADATA,
                         REQ_GROUP_TASK,
                         REQ_GROUP_DIFFUSION,
                         REQ_GROUP_GUIDANCE,
                         REQ_GROUP_VARIATION,
                         REQ_GROUP_BATCH,
                         REQ_GROUP_LM,
                         REQ_GROUP_OUTPUT,
                         REQ_GROUP_NUMBERS,
                         REQ_GROUP_RESULT,
                         REQ_GROUP_COUNT
} req_group;

typedef struct req_param {
  const char *name; /* of the field, the JSON key; with dashes for underscores the command line flag */
  req_type type;
  req_group group;
  size_t offset;             /* of the field in struct ace_request */
  bool result;               /* filled by the program: read and written as JSON, not settable */
  bool nullable;             /* has a value "not given", below, which JSON writes as null */
  bool null_number;          /* ... or as that number */
  double null;               /* that value (numbers); outside lo..hi */
  double lo, hi;             /* accepted range, both ends included; strings: hi is the most bytes */
  double step;               /* of the page's slider; 0: none */
  const char *const *values; /* names of an enumeration, or the only accepted texts of an int or a string; NULL ends */
  const char *def;           /* default as text, "" for not given */
  const char *page, *rest, *chat; /* where they differ from def; NULL: they do not */
  unsigned modes;                 /* REQ_IN_* bits in which it matters */
  unsigned models;                /* req_model bits on which it matters */
  const char *unit;               /* "s", "dB", ...: NULL for none */
  const char *null_means;         /* what "not given" means: "automatic"; NULL when nothing needs saying */
  const char *help;               /* one line */
} req_param;

/* The whole table, in the order of the JSON form. */
const req_param *req_params(size_t *count);
/* By name, flag ("--audio-format") or flag without dashes ("audio-format"); NULL if there is none. */
const req_param *req_param_find(const char *name);
/* The parameter whose name looks most like a misspelt one; NULL when none is near. */
const req_param *req_param_nearest(const char *name);
/* Default text of a profile, in the form that ace_request_set reads. */
const char *req_param_default(const req_param *p, ace_profile profile);
/* "--audio-format" into `out`; returns it. */
enum { REQ_FLAG_SIZE = 64 };
const char *req_param_flag(const req_param *p, char out[REQ_FLAG_SIZE]);
/* What stands behind the flag in help: "SECONDS", "N", "NAME"; NULL for switches. */
const char *req_param_operand(const req_param *p);
const char *req_group_title(req_group group);
const char *req_mode_name(int bit_index); /* 0: "simple", ... 6: "complete" */
const char *req_type_name(req_type type); /* "bool", "number", ... */
/* "10..600", "turbo, sft", ...: the accepted values in words into `out`; returns it. */
enum { REQ_RANGE_SIZE = 400 };
const char *req_param_range(const req_param *p, char out[REQ_RANGE_SIZE]);

/* The vocal languages that the models know, NULL-terminated; "unknown" is the last. */
const char *const *req_languages(void);

/* ---- what is made from the table (help.c) ----------------------------------------------------------------------- */

/* The flags, grouped and wrapped to `columns`, with range and default of the profile. */
ace_status req_print_help(FILE *out, ace_profile profile, int columns);
/* The content of docs/PARAMETERS.md. free() it; NULL when out of memory. */
char *req_markdown(void);

#endif
