/* adapter_norms.h - arithmetic on the modules of an adapter: the factors of a Kronecker product, and DoRA's norms.
 * Inside this room only. */
#ifndef ACE_ADAPTER_NORMS_H
#define ACE_ADAPTER_NORMS_H

#include "base/half.h"
#include "formats/adapter_file.h"
#include "tensor/tensor.h"

/* Sets value `at` of a tensor of F32 or BF16. */
static inline void adapter_store(const tens *t, int64_t at, float x) {
  if (t->dtype == TENS_F32) tens_f32(t)[at] = x;
  else ((uint16_t *)t->data)[at] = f32_to_bf16(x);
}

/* scale * whole, or scale * left right, into `out` (F32 or BF16), which has the shape of the product. */
void adapter_kron_factor(const st_tensor *whole, const st_tensor *left, const st_tensor *right, double scale,
                         const tens *out);

/* m / (norm(V) + eps) for each row or column of V = W + the module at its own scale. w: of any type that an embedding
 * can be read from. free() *out. */
ace_status adapter_norm_factors(const adapter_module *m, const tens *w, pool *threads, float **out, ace_error *err);

#endif
