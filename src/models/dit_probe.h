/* dit_probe.h - which heads of the diffusion transformer follow the lyrics.
 *
 *   dit_heads heads;
 *   if (dit_lyric_heads(m, &heads, &err) != ACE_OK) return err.status;
 *   dit_look look = {.heads = heads.head, .n = heads.n, .see = ...};          // dit_look_at, dit.h
 *
 * config.json may name them, {"lyric_alignment_layers_config": {"2": [6], "3": [10, 11]}}: heads by layer. Without that
 * key, or when its value is of another form, the heads published for the 2B model are taken. Layers and heads that the
 * checkpoint does not have are left out.
 */
#ifndef ACE_DIT_PROBE_H
#define ACE_DIT_PROBE_H

#include "models/dit.h"

enum { DIT_MOST_HEADS = 256 };

typedef struct dit_heads {
  dit_head head[DIT_MOST_HEADS];
  int n;
} dit_heads;

/* ACE_EUNSUPPORTED when none is left. */
ace_status dit_lyric_heads(const acestep_dit *m, dit_heads *out, ace_error *err);

/* The list of a config.json for a model of so many layers and heads. */
void dit_heads_read(const json_t *config, int layers, int heads, dit_heads *out);

#endif
