/* info_plan.h - `acestep info --plan`: what a song would take of main memory, before it is made. */
#ifndef ACE_CLI_INFO_PLAN_H
#define ACE_CLI_INFO_PLAN_H

#include "cli/cli.h"

/* The flags that describe the song. */
#define INFO_PLAN_FLAGS                                                                                              \
  {"plan", 0, NULL, "The memory that a song takes, phase by phase, before it is made; the flags below describe it"}, \
      {"model", 0, "NAME", "With --plan: folder of the diffusion model (default: as generate)"},                     \
      {"duration", 0, "SECONDS", "With --plan: length of the song (default: as generate)"},                          \
      {"batch", 0, "N", "With --plan: items (default 1)"},                                                           \
      {"task", 0, "NAME", "With --plan: text2music (default), cover, repaint, ..."},                                 \
      {"src-audio", 0, "FILE", "With --plan: the recording that the task works on"},                                 \
      {"reference-audio", 0, "FILE", "With --plan: the recording whose timbre is taken"},                            \
      {"think", 0, NULL, "With --plan: the language model plans the song first"},                                    \
      {"lm", 0, "NAME", "With --plan: folder of the language model"},                                                \
      {"threads", 0, "N", "With --plan: threads for computing"}, {                                                   \
    "memory", 0, "SIZE", "With --plan: memory to keep within, such as 6G"                                            \
  }

/* Prints the plan for the models in `folder`; the exit code. */
int info_plan(const args *a, const char *folder, report *r);

#endif
