/* args.h - the command line of one subcommand, taken apart.
 *
 *   args a;
 *   if (args_parse(&a, command, argc, argv, &err) != ACE_OK) ...   // values point into argv
 *   const char *models = args_value(&a, "models");
 *   args_free(&a);
 *
 * A flag is one of the subcommand's own or, where the subcommand says so, any parameter of the request table with
 * dashes for underscores. --name VALUE, --name=VALUE, -o VALUE, -oVALUE; switches: --name, --no-name, --name=false and,
 * those that are parameters, --name false.
 * What stands behind "--" is never a flag.
 */
#ifndef ACE_CLI_ARGS_H
#define ACE_CLI_ARGS_H

#include "request/params.h"

typedef struct cli_flag {
  const char *name;    /* without dashes; NULL ends a list */
  char letter;         /* 'o' for -o; 0: none */
  const char *operand; /* what stands behind it, "DIR"; "[BOOL]": a switch that may say so; NULL: a switch */
  const char *help;
} cli_flag;

typedef struct cli_command cli_command;

/* One flag as given: either one of the subcommand's own or a parameter. */
typedef struct arg {
  const cli_flag *flag;
  const req_param *param;
  const char *value; /* "true" or "false" for switches */
} arg;

typedef struct args {
  const cli_command *command;
  arg *given; /* in the order of the command line */
  int n_given;
  const char **operand; /* what is no flag */
  int n_operands;
} args;

/* Zeroes `a` first, so that args_free is always right. The message of a failure names the flag and, for an unknown one,
 * the nearest known. Values of parameters are not checked here. */
ace_status args_parse(args *a, const cli_command *command, int argc, const char *const *argv, ace_error *err);
void args_free(args *a);

/* Is this parameter a flag of the command? */
bool args_takes(const cli_command *c, const req_param *p);

/* The value of an own flag that was given last; NULL if it was not given. */
const char *args_value(const args *a, const char *name);
/* All values of one that may be given several times, as a list that ends with NULL, at most `most` with that NULL. */
void args_values(const args *a, const char *name, const char **out, int most);
/* Is an own switch on? */
bool args_on(const args *a, const char *name);
/* Was this parameter given? */
bool args_gives(const args *a, const char *parameter);

/* "6G", "1.5g", "512M", "1000000" as bytes. */
ace_status args_bytes(const char *text, const char *flag, uint64_t *bytes, ace_error *err);
ace_status args_int(const char *text, const char *flag, int lo, int hi, int *out, ace_error *err);

#endif
