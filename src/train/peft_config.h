/* peft_config.h - adapter_config.json of PEFT as the portable subset that its versions share. */
#ifndef ACE_TRAIN_PEFT_CONFIG_H
#define ACE_TRAIN_PEFT_CONFIG_H

#include "base/json.h"

/* base: name of the model's folder, or NULL. targets: ends of layer names, sorted, ending with NULL. A new reference; NULL:
 * out of memory. */
json_t *peft_config(int rank, double alpha, double dropout, bool rslora, const char *const *targets, const char *base);

/* A number as JSON, an integer where it is one: a reader in C++ parses alpha with atoi. */
json_t *peft_number(double x);
json_t *peft_strings(const char *const *list);

#endif
