/* flow_edit.h - a source changed by words without inverting it (FlowEdit: Kulikov et al. 2024): instead of from noise,
 * the path leads from the source, along the difference of two velocities.
 *
 *   z = source
 *   steps a..b-1, the mean over draws of noise e:   zs = (1 - t) source + t e,  zt = z + zs - source
 *                                                   z += (t' - t) (v(zt | target) - v(zs | source words))
 *   steps b..n-1, from y = z + zs - source on:      y += (t' - t) v(y | target)
 *
 * a and b are shares of the n steps. Both branches have their own guidance and smoothing; each draw of a step starts
 * from the same running difference, which then moves on by the mean.
 */
#ifndef ACE_RENDER_FLOW_EDIT_H
#define ACE_RENDER_FLOW_EDIT_H

#include "render/sampler.h"

/* The parts of sampler.h for parameters with an edit: sampler_run, sampler_steps and sampler_step_work call these. */
tens *flow_edit_run(tens_ctx *c, const acestep_dit *m, const sampler_params *p, const sampler_input *in);
int flow_edit_steps(const sampler_params *p);
sampler_work flow_edit_step_work(const sampler_params *p, int step);

#endif
