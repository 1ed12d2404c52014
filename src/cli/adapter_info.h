/* adapter_info.h - what an adapter is, and which of the models at hand it was made for. */
#ifndef ACE_CLI_ADAPTER_INFO_H
#define ACE_CLI_ADAPTER_INFO_H

#include "cli/args.h"
#include "cli/report.h"

/* acestep info PATH of an adapter. The exit code: 0 when it fits a model, or when there is none to try. */
int adapter_info(const args *a, const char *path, report *r);

#endif
