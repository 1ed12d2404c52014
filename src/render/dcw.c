#include "render/dcw.h"

#include <string.h>

dcw_mode dcw_mode_find(const char *name) {
  static const char *const names[] = {
      [DCW_LOW] = "low", [DCW_HIGH] = "high", [DCW_DOUBLE] = "double", [DCW_PIX] = "pix"};
  for (int i = DCW_LOW; i <= DCW_PIX; i++)
    if (strcmp(name, names[i]) == 0) return (dcw_mode)i;
  return DCW_OFF;
}

/* a += k (a - b) */
static bool push_away(tens_ctx *c, tens *a, const tens *b, double k) {
  return op_mix_into(c, a, (float)(1 + k), a, (float)-k, b);
}

bool dcw_correct(tens_ctx *c, const dcw_params *p, tens *x, const tens *y, double t) {
  double low = p->mode == DCW_LOW || p->mode == DCW_DOUBLE ? t * p->scaler : 0;
  double high = p->mode == DCW_HIGH ? (1 - t) * p->scaler : p->mode == DCW_DOUBLE ? (1 - t) * p->high_scaler : 0;
  if (p->mode == DCW_PIX && p->scaler != 0) return push_away(c, x, y, p->scaler);
  if (low == 0 && high == 0) return tens_status(c) == ACE_OK;
  const wavelet *w = p->wavelet;
  tens_mark scratch = tens_here(c);
  tens *x_low, *x_high, *y_low, *y_high;
  bool ok = op_dwt(c, x, w->dec_lo, w->dec_hi, w->taps, &x_low, &x_high) &&
            op_dwt(c, y, w->dec_lo, w->dec_hi, w->taps, &y_low, &y_high) && push_away(c, x_low, y_low, low) &&
            push_away(c, x_high, y_high, high);
  tens *back = ok ? op_idwt(c, x_low, x_high, w->rec_lo, w->rec_hi, w->taps, x->dim[1]) : NULL;
  ok = op_mix_into(c, x, 1.0f, back, 0.0f, NULL);
  tens_release(c, scratch);
  return ok;
}
