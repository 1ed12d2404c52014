/* train.h - training an adapter of the engine's diffusion model, or all weights of one of its models (settings->adapter
 * TRAIN_FULL): what the command line, the page and the API start.
 *
 *   train_events events = {.log = ..., .step = ..., .cancelled = ..., .user = ...};
 *   ace_status status = engine_train(engine, &settings, NULL, &events, &out, &err);
 *
 * The model's weights are never changed, and after the training the engine sings as before: adapters that are loaded are
 * switched off meanwhile. While it runs the engine must
 * not be used, except by the training itself for its sample songs.
 */
#ifndef ACE_ENGINE_TRAIN_H
#define ACE_ENGINE_TRAIN_H

#include "engine/engine.h"
#include "train/trainer.h"

/* Memory and time before anything starts, told to events->log and, as numbers, returned: {"samples", "seconds" (of
 * sound), "steps", "parameters", "bytes", "step_bytes", "parameter_bytes", "sample_bytes", "room", "recompute",
 * "epoch_seconds", "total_seconds", "timesteps", "cfg_ratio"}. Times are null when there is no telling. ACE_ENOMEM with
 * numbers when it does not fit. A new reference. */
json_t *engine_train_estimate(ace_engine *e, const train_settings *s, const train_events *events, ace_error *err);

/* group: processes that train together (train/group.h), NULL: this one alone. `out` is to be freed in any case. */
ace_status engine_train(ace_engine *e, const train_settings *s, const train_group *group, const train_events *events,
                        train_outcome *out, ace_error *err);

#endif
