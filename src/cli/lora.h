/* lora.h - the adapters of a song: those of --lora, else those that a saved song was made with. */
#ifndef ACE_CLI_LORA_H
#define ACE_CLI_LORA_H

#include "cli/args.h"
#include "cli/report.h"
#include "cli/saved.h"

/* clang-format off */
#define LORA_FLAG \
  {"lora", 0, "PATH[:SCALE]", \
   "Sing with this LoRA or LoKr adapter: a folder or a .safetensors file; may be given several times. With --from it " \
   "stands in place of the song's own; none: without them"}
/* clang-format on */

/* Loads them into the engine. `from` may hold nothing. When an adapter is not what it was: a warning or, with `strict`,
 * an error. */
ace_status lora_load(ace_engine *engine, const args *a, const saved *from, bool strict, report *r, ace_error *err);

#endif
