/* acestep schema - the parameters of a request as JSON Schema, or as the pages of docs/PARAMETERS.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "request/params.h"

static const cli_flag flags[] = {{"profile", 0, "NAME", "Whose defaults: cli, page, rest or chat (default: cli)"},
                                 {"markdown", 0, NULL, "As a document for people: docs/PARAMETERS.md"},
                                 {0}};

static ace_status find_profile(const char *name, ace_profile *profile, ace_error *err) {
  static const char *const names[ACE_PROFILE_COUNT] = {
      [ACE_PROFILE_CLI] = "cli", [ACE_PROFILE_PAGE] = "page", [ACE_PROFILE_REST] = "rest", [ACE_PROFILE_CHAT] = "chat"};
  for (int i = 0; i < ACE_PROFILE_COUNT; i++) {
    if (strcmp(names[i], name) != 0) continue;
    *profile = (ace_profile)i;
    return ACE_OK;
  }
  return ace_fail(err, ACE_EINVAL, "--profile: \"%.40s\" is none of cli, page, rest, chat", name);
}

static int run(const args *a, report *r) {
  ace_error err = {0};
  ace_profile profile = ACE_PROFILE_CLI;
  const char *name = args_value(a, "profile");
  if (name && find_profile(name, &profile, &err) != ACE_OK) return report_failure(r, &err);
  char *text = args_on(a, "markdown") ? req_markdown() : ace_request_schema(profile);
  if (!text) {
    ace_fail(&err, ACE_ENOMEM, "schema: out of memory");
    return report_failure(r, &err);
  }
  fputs(text, stdout);
  if (*text && text[strlen(text) - 1] != '\n') putchar('\n');
  free(text);
  return CLI_OK;
}

const cli_command cmd_schema = {
    .name = "schema",
    .operands = "",
    .summary = "print the parameters of a request as JSON Schema",
    .flags = flags,
    .run = run,
};
