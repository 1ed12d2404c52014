/* acestep version - which build this is and how it computes here. */
#include <stdio.h>

#include "cli/cli.h"
#include "tensor/cpu/isa.h"

static int run(const args *a, report *r) {
  printf("acestep %s\ninstruction set: %s\n", ACE_VERSION, tens_isa_name());
  return CLI_OK;
}

const cli_command cmd_version = {
    .name = "version",
    .operands = "",
    .summary = "print the version",
    .run = run,
};
