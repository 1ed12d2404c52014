/* backward.h - the gradients of the CPU device, as in ops_backward.h; results that are not wanted are NULL. */
#ifndef ACE_CPU_BACKWARD_H
#define ACE_CPU_BACKWARD_H

#include "tensor/cpu/cpu.h"

void cpu_linear_backward_input(const cpu_micro *m, tens_ctx *c, tens *dx, const tens *dy, const tens *w);
void cpu_linear_backward_weight(const cpu_micro *m, tens_ctx *c, tens *dw, const tens *dy, const tens *x);
void cpu_attention_backward(const cpu_micro *m, tens_ctx *c, const tens_attention_grads *g, const tens *dy,
                            const tens *q, const tens *k, const tens *v, const tens *y, const op_attn *a);
void cpu_conv1d_backward(const cpu_micro *m, tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x,
                         const tens *w, const op_conv *v);
void cpu_conv1d_transposed_backward(const cpu_micro *m, tens_ctx *c, tens *dx, tens *dw, const tens *dy, const tens *x,
                                    const tens *w, const op_conv *v);
void cpu_snake_backward(const cpu_micro *m, tens_ctx *c, const tens_snake_grads *g, const tens *dy, const tens *x,
                        const tens *alpha, const tens *inv_beta);
/* ops_train.h; slope NULL: it is not wanted */
void cpu_spectral_distance(const cpu_micro *m, tens_ctx *c, tens *distance, tens *slope, const tens *x, const tens *y,
                           const op_spectrum *s);

#endif
