/* adapter_inner.h - what the files of this room that implement adapter_file.h share; nobody else includes it. */
#ifndef ACE_ADAPTER_INNER_H
#define ACE_ADAPTER_INNER_H

#include "formats/adapter_file.h"

/* Refuses configurations that ask for what is not supported. */
ace_status adapter_check_config(const adapter_file *f, ace_error *err);
/* *alpha: the module's own, or NAN; then the configuration's for it, else its rank. */
ace_status adapter_alpha(const adapter_file *f, const adapter_module *m, double *alpha, ace_error *err);
/* Is its scale alpha / sqrt(rank)? */
bool adapter_rank_stabilised(const adapter_file *f, const adapter_module *m);
/* Does PEFT's configuration promise DoRA? */
bool adapter_has_magnitudes(const adapter_file *f);

#endif
