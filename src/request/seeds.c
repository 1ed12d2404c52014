#include "request/seeds.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "request/text.h"

/* One entry of the list: its seed, -1 when it is none. */
static ace_status parse_entry(const char *s, size_t n, const char *field, int64_t *seed, ace_error *err) {
  double x;
  *seed = -1;
  if (!req_number_parse(s, n, &x)) return ACE_OK;
  x = trunc(x);
  if (x < 0) return ACE_OK;
  if (x > (double)REQ_SEED_MAX) {
    char text[REQ_EXCERPT_SIZE];
    return ace_fail(err, ACE_EINVAL, "%s: %s is outside 0..%lld (or -1 for a random one)", field,
                    req_excerpt(s, n, text), REQ_SEED_MAX);
  }
  *seed = (int64_t)x;
  return ACE_OK;
}

ace_status req_seeds_parse(const char *text, const char *field, req_seeds *out, ace_error *err) {
  req_seeds list = {0};
  const char *at = text;
  while (req_is_space(*at)) at++;
  bool more = *at != '\0';
  for (at = text; more; at++) {
    size_t n = strcspn(at, ",");
    int64_t seed;
    ace_status status = parse_entry(at, n, field, &seed, err);
    if (status != ACE_OK) return status;
    if (list.count < REQ_BATCH_MAX) list.value[list.count++] = seed;
    at += n;
    more = *at == ',';
  }
  *out = list;
  return ACE_OK;
}

static bool system_bits(void *user, uint64_t *bits) {
  return random_bytes(bits, sizeof *bits);
}

ace_status req_seeds_resolve(const req_seeds *list, bool random, int n, const req_entropy *entropy, uint32_t out[],
                             ace_error *err) {
  if (n < 0 || n > REQ_BATCH_MAX)
    return ace_fail(err, ACE_EINVAL, "seeds: %d items are outside 0..%d", n, REQ_BATCH_MAX);
  for (int i = 0; i < n; i++) {
    int64_t seed = !random && i < list->count ? list->value[i] : -1;
    if (seed >= 0 && seed <= REQ_SEED_MAX) {
      out[i] = (uint32_t)seed;
      continue;
    }
    uint64_t bits;
    bool ok = entropy ? entropy->next(entropy->user, &bits) : system_bits(NULL, &bits);
    if (!ok) return ace_fail(err, ACE_EIO, "seeds: the system gives no random numbers; set seed and try again");
    out[i] = (uint32_t)(bits >> 32);
  }
  return ACE_OK;
}
