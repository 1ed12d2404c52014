/* checkpoint_derived.c - weights that are kept in another form than their file's, and how they came about. */
#include "formats/checkpoint_inner.h"

tens ckpt_derive(ckpt_reader *r, ckpt_derived d) {
  if (r->failed) return (tens){0};
  ckpt_derived *kept = ckpt_alloc(r->checkpoint, sizeof *kept);
  d.y.data = ckpt_alloc(r->checkpoint, tens_bytes(TENS_F32, tens_count(&d.y)));
  if (!kept || !d.y.data) {
    r->failed = true;
    ace_fail(r->err, ACE_ENOMEM, "%s: out of memory", r->checkpoint->folder);
    return (tens){0};
  }
  *kept = d;
  kept->next = r->checkpoint->derived;
  r->checkpoint->derived = kept;
  kept->make(kept);
  return kept->y;
}

const ckpt_derived *ckpt_derived_of(const ckpt *k) {
  return k->derived;
}
