/* checkpoint_resident.c - what of a checkpoint is in main memory, and how it leaves again. */
#define _GNU_SOURCE /* madvise */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/strings.h"
#include "formats/checkpoint_inner.h"

/* Is it its packed copy that is read? */
static bool is_packed(const ckpt *k, const st_tensor *t) {
  for (const ckpt_copy *copy = k->copies; copy; copy = copy->next)
    if (copy->packed.data && copy->weight.data == t->data) return true;
  return false;
}

/* Checkpoints that never were folders are not. */
static bool is_mapped(const ckpt *k) {
  return k->n_files || k->gguf;
}

size_t ckpt_mapped_bytes(const ckpt *k, const char *prefix) {
  size_t bytes = 0;
  for (int i = 0; i < k->n_entries && is_mapped(k); i++) {
    const ckpt_entry *e = &k->entries[i];
    bool copied = e->wide || e->small || e->moved; /* the copy is what is read */
    if (copied || !string_begins(e->tensor->name, prefix) || is_packed(k, e->tensor)) continue;
    bytes += e->tensor->size;
  }
  return bytes;
}

void ckpt_release(const ckpt *k, const char *prefix) {
  if (!is_mapped(k)) return;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < k->n_entries; i++) {
    const st_tensor *t = k->entries[i].tensor;
    if (!string_begins(t->name, prefix) || t->size == 0) continue;
    /* Pages that it shares with its neighbours go too: clean pages of a file only come back. */
    uintptr_t from = (uintptr_t)t->data / page * page, to = (uintptr_t)t->data + t->size;
    madvise((void *)from, to - from, MADV_DONTNEED);
  }
}
