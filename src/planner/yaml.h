/* yaml.h - metadata as the text that the language model was trained on: YAML, byte for byte as PyYAML's dump writes it
 * (block style, sorted keys, Unicode kept, lines folded at 80 columns). A quote more or less is other tokens.
 *
 *   char *text = plan_yaml(&metadata, &err);       // "bpm: 96\nlanguage: 'no'\ntimesignature: 3"
 */
#ifndef ACE_PLANNER_YAML_H
#define ACE_PLANNER_YAML_H

#include "planner/metadata.h"
#include "request/text.h"

/* The metadata of a codes prompt, free() it; "" when nothing is present. Genres are never part of it, digits alone
 * become a number, "4/4" becomes 4, and the caption loses its control characters. NULL on failure. */
char *plan_yaml(const plan_metadata *m, ace_error *err);

/* Appends "name: value" as it is: text of digits stays text, in quotes. */
void plan_yaml_entry(req_text *out, plan_field field, const plan_value *value);

#endif
