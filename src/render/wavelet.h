/* wavelet.h - the filters of the wavelets that the sampler correction (DCW) may use.
 *
 *   const wavelet *w = wavelet_find("sym8");      // NULL: no such name, see wavelet_names
 *   op_dwt(c, x, w->dec_lo, w->dec_hi, w->taps, &low, &high);
 *   op_idwt(c, low, high, w->rec_lo, w->rec_hi, w->taps, T);
 *
 * Orthonormal filters in the order and with the signs of PyWavelets: rec_lo is the scaling filter h, and for F taps
 *   dec_lo[k] = h[F-1-k],   rec_hi[k] = (-1)^k h[F-1-k],   dec_hi[k] = rec_hi[F-1-k].
 * Sources: Daubechies, "Ten Lectures on Wavelets" (1992): dbN and symN have N vanishing moments and 2N taps; coifN has
 * 2N vanishing moments of the wavelet, 2N-1 of the scaling function, and 6N taps.
 */
#ifndef ACE_RENDER_WAVELET_H
#define ACE_RENDER_WAVELET_H

enum { WAVELET_MAX_TAPS = 16 };

typedef struct wavelet {
  const char *name;
  int taps;                         /* even, 2..WAVELET_MAX_TAPS */
  int moments;                      /* vanishing moments of the wavelet */
  double scaling[WAVELET_MAX_TAPS]; /* h in double precision; the filters below are its float32 form */
  float dec_lo[WAVELET_MAX_TAPS], dec_hi[WAVELET_MAX_TAPS];
  float rec_lo[WAVELET_MAX_TAPS], rec_hi[WAVELET_MAX_TAPS];
} wavelet;

/* "haar", "db2", "db4", "sym4", "sym8", "coif1" or "coif2"; NULL for any other name. */
const wavelet *wavelet_find(const char *name);
/* All of them, i from 0; NULL behind the last. */
const wavelet *wavelet_at(int i);
/* "haar, db2, ..." for error messages. */
const char *wavelet_names(void);

#endif
