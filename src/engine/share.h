/* share.h - a job inside a longer one: whatever it reports of itself is its share of the whole.
 *
 *   share s = share_begin(&p, notify, work);
 *   ace_callbacks inner = share_callbacks(&s);
 *   ... ace_audio_to_codes(e, path, &inner, &err) ...
 *   share_end(&s, step, steps);
 */
#ifndef ACE_ENGINE_SHARE_H
#define ACE_ENGINE_SHARE_H

#include "render/progress.h"

typedef struct share {
  progress *p;
  const ace_callbacks *notify; /* of the whole; may be NULL */
  double from, work;           /* in the unit of p */
} share;

share share_begin(progress *p, const ace_callbacks *notify, double work);
/* Valid as long as `s`. The log and the wish to stop are those of the whole; stage and steps too. */
ace_callbacks share_callbacks(share *s);
/* All of it is done, whatever came of it, and with it `step` of `steps`. */
void share_end(share *s, int step, int steps);

#endif
