/* yaml_types.h - would a reader of YAML 1.1 take this bare text for something other than text? */
#ifndef ACE_PLANNER_YAML_TYPES_H
#define ACE_PLANNER_YAML_TYPES_H

#include "planner/span.h"

/* True for what reads as nothing, as a truth value, a number, a date, a merge key or a default key. */
bool plan_yaml_is_typed(plan_span s);

#endif
