/* adapter_norms.h - arithmetic on the modules of an adapter: the factors of a Kronecker product, and DoRA's norms.
 * Inside this room only. */
#ifndef ACE_ADAPTER_NORMS_H
#define ACE_ADAPTER_NORMS_H

#include "formats/adapter_file.h"
#include "tensor/tensor.h"

/* w1 [p, q], w2 [c, d] */
typedef struct adapter_kron_shape {
  int64_t p, q, c, d;
} adapter_kron_shape;
adapter_kron_shape adapter_kron_shape_of(const adapter_module *m);

/* scale * whole, or scale * left right, into `out` (F32 or BF16), which has the shape of the product. */
void adapter_kron_factor(const st_tensor *whole, const st_tensor *left, const st_tensor *right, double scale,
                         const tens *out);

/* Does its magnitude belong to columns? */
bool adapter_norm_of_columns(const adapter_module *m);
/* m / (norm(V) + eps) for each row or column of V = W + the module at its own scale. w: of any type that an embedding
 * can be read from. free() *out. */
ace_status adapter_norm_factors(const adapter_module *m, const tens *w, pool *threads, float **out, ace_error *err);

#endif
