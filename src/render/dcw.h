/* dcw.h - correction of each sampling step in the wavelet domain: bands of the latent are pushed away from those of the
 * estimate of the finished music that the step was made from. One level, along time, per channel.
 *
 *   low:    xL += t s (xL - yL)          high: xH += (1 - t) s (xH - yH)
 *   double: low with s, high with s_high pix:  x  += s (x - y)
 */
#ifndef ACE_RENDER_DCW_H
#define ACE_RENDER_DCW_H

#include "render/wavelet.h"
#include "tensor/ops.h"

typedef enum dcw_mode { DCW_OFF, DCW_LOW, DCW_HIGH, DCW_DOUBLE, DCW_PIX } dcw_mode;

typedef struct dcw_params {
  dcw_mode mode;
  double scaler, high_scaler; /* s; s_high of the double mode */
  const wavelet *wavelet;
} dcw_params;

/* "low", "high", "double", "pix"; DCW_OFF for any other name. */
dcw_mode dcw_mode_find(const char *name);

/* x: the latent after the step, changed in place; y: the estimate x_before - t v. Both [B, T, C]. */
bool dcw_correct(tens_ctx *c, const dcw_params *p, tens *x, const tens *y, double t);

#endif
