/* checkpoint_pack.c - copies of weights in the layout that a device's products want, made once after opening. */
#define _DEFAULT_SOURCE /* madvise */
#include <sys/mman.h>

#include "formats/checkpoint_inner.h"

enum { LINE = 64, LARGE_PAGE = 2 << 20, PART = 4 << 20 /* bytes of a copy that one thread makes at once */ };

tens ckpt_packable(ckpt_reader *r, tens w, int stride) {
  if (r->failed || !w.data) return w;
  ckpt_copy *copy = ckpt_alloc(r->checkpoint, sizeof *copy);
  if (!copy) {
    r->failed = true;
    ace_fail(r->err, ACE_ENOMEM, "%s: out of memory", r->checkpoint->folder);
    return w;
  }
  *copy = (ckpt_copy){.next = r->checkpoint->copies, .weight = w, .packed = {.rows = w.dim[0], .stride = stride}};
  r->checkpoint->copies = copy;
  w.packed = &copy->packed;
  w.packed_row = 0;
  return w;
}

/* Bytes of one copy, up to the next line; 0: none is wanted, or it exists. */
static size_t wanted(const ckpt_copy *copy, const tens_device *device) {
  if (copy->packed.data) return 0;
  return (tens_packed_bytes(device, &copy->weight, copy->packed.stride) + LINE - 1) / LINE * LINE;
}

size_t ckpt_packing(const ckpt *k, const tens_device *device) {
  size_t bytes = 0;
  for (const ckpt_copy *copy = k->copies; copy; copy = copy->next) bytes += wanted(copy, device);
  return bytes;
}

typedef struct packing {
  const tens_device *device;
  const ckpt_copy *copy;
  void *out;
  int parts;
} packing;

static void pack_part(void *arg, int part, int worker) {
  const packing *p = arg;
  tens_pack(p->device, &p->copy->weight, p->copy->packed.stride, p->out, part, p->parts);
}

/* On large pages where the system has them: products read gigabytes in one stream. */
void ckpt_pack(ckpt *k, const tens_device *device, pool *threads) {
  size_t bytes = ckpt_packing(k, device);
  uint8_t *memory = bytes ? ckpt_alloc(k, bytes + 2 * LARGE_PAGE) : NULL;
  if (!memory) return;
  memory += LARGE_PAGE - (uintptr_t)memory % LARGE_PAGE;
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  size_t at = 0;
  for (ckpt_copy *copy = k->copies; copy; copy = copy->next) {
    size_t size = wanted(copy, device);
    if (!size) continue;
    packing p = {.device = device, .copy = copy, .out = memory + at, .parts = (int)(size / PART) + 1};
    pool_run(threads, p.parts, pack_part, &p);
    copy->packed.data = p.out;
    at += size;
  }
  ckpt_release(k, ""); /* few of the weights themselves are read again */
}
