/* seeds.h - from what the user wrote in the seed field to one seed an item.
 *
 *   req_seeds list;
 *   req_seeds_parse("7", "seeds", &list, &err);                  // one seed, three items:
 *   uint32_t seed[3];
 *   req_seeds_resolve(&list, false, 3, NULL, seed, &err);        // 7 and two freshly drawn ones
 *
 * Seeds are resolved once per request; planner, noise, saved JSON and page all use the resolved list.
 */
#ifndef ACE_REQUEST_SEEDS_H
#define ACE_REQUEST_SEEDS_H

#include "base/error.h"

enum { REQ_BATCH_MAX = 8 }; /* most items of one request; seeds beyond that belong to no item and are dropped */

#define REQ_SEED_MAX 4294967295LL /* seeds are 32-bit: that is all PyTorch's CPU generator looks at */

typedef struct req_seeds {
  int count;                    /* 0: none given, every item draws */
  int64_t value[REQ_BATCH_MAX]; /* 0..4294967295, or -1: draw */
} req_seeds;

/* Where random seeds come from. `next` writes 64 random bits and returns false when it cannot. */
typedef struct req_entropy {
  bool (*next)(void *user, uint64_t *bits);
  void *user;
} req_entropy;

/* Comma-separated seeds: blanks around an entry are ignored, "12.7" is 12, "1e3" is 1000; an empty, negative or
 * unreadable entry is -1. Blank text is an empty list. A number above REQ_SEED_MAX is an error naming `field`. */
ace_status req_seeds_parse(const char *text, const char *field, req_seeds *out, ace_error *err);

/* One seed for each of `n` items (0..REQ_BATCH_MAX): entry i, or a draw where the entry is -1 or missing. When the list
 * has exactly one entry it belongs to the first item and the others draw. `random`: every item draws.
 * entropy NULL: the system's generator. */
ace_status req_seeds_resolve(const req_seeds *list, bool random, int n, const req_entropy *entropy, uint32_t out[],
                             ace_error *err);

#endif
