/* order.h - which samples a training sees when, and which it never trains on. */
#ifndef ACE_TRAIN_ORDER_H
#define ACE_TRAIN_ORDER_H

#include <stdint.h>

/* Splits samples 0..n-1 by chance: max(1, floor(n split)) of them for validation when split is above 0 and there is
 * more than one. Both lists (room for n) ascend. Returns how many are for validation. */
int order_split(uint64_t seed, int n, double split, int *training, int *validation);

/* The n samples of a list in the order of one epoch. */
void order_epoch(uint64_t seed, int epoch, const int *list, int n, int *out);

/* Brings samples of like length together: within pieces of `piece` samples they are sorted by length. lengths: of each
 * sample, by its number. */
void order_bucket(int *order, int n, int piece, const int64_t *lengths);

#endif
