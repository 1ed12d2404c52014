/* env_file.h - a file of settings that stand in for variables of the environment: KEY=VALUE a line, as the reference's
 * ".env" has them.
 *
 *   # the model
 *   export ACESTEP_CONFIG_PATH="acestep-v15-turbo"
 *   ACESTEP_API_PORT=8001
 *
 * Blank lines and what follows a '#' at the beginning of a line, or behind a blank outside of quotes, are passed over.
 * Double quotes know \\n, \\t, \\" and \\\\; single quotes know nothing.
 */
#ifndef ACE_CLI_ENV_FILE_H
#define ACE_CLI_ENV_FILE_H

#include "base/error.h"

/* Calls `set` for each setting, in order. The message of a failure names the line. */
ace_status env_file_parse(const char *text, size_t length, void (*set)(void *user, const char *key, const char *value),
                          void *user, ace_error *err);

/* Reads `path`, NULL: ".env" here, if there is one. A variable that is set already stays as it is, and only those that
 * are this program's are taken: ACESTEP_*, HF_*, MODELSCOPE_*, SERVICE_MODE_*, MAX_CUDA_VRAM, LANGUAGE. Before there are
 * threads. */
ace_status env_file_load(const char *path, ace_error *err);

#endif
