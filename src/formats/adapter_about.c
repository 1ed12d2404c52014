/* What an adapter is, for people and programs. */
#include <ctype.h>
#include <string.h>

#include "formats/adapter_file.h"

/* "self_attn.q_proj" of "layers.0.self_attn.q_proj": which layer of each block. */
static const char *target_of(const char *name) {
  static const char stack[] = "layers";
  size_t n = sizeof stack - 1;
  if (strncmp(name, stack, n) != 0 || !name[n] || !isdigit((unsigned char)name[n + 1])) return name;
  const char *rest = name + n + 1;
  while (isdigit((unsigned char)*rest)) rest++;
  return *rest && rest[1] ? rest + 1 : name;
}

static void add_target(json_t *targets, const char *target) {
  enum { MOST = 64 };
  size_t i;
  json_t *known;
  json_array_foreach(targets, i, known) {
    if (strcmp(json_string_value(known), target) == 0) return;
  }
  if (i < MOST) json_array_append_new(targets, json_string(target));
}

json_t *adapter_file_about(const adapter_file *f) {
  json_t *targets = json_array();
  const adapter_module *first = &f->module[0];
  int64_t rank = 0;
  bool dora = false, same = true, lokr = false;
  for (int i = 0; i < f->n_modules; i++) {
    const adapter_module *m = &f->module[i];
    rank = m->rank > rank ? m->rank : rank;
    dora |= m->magnitude != NULL;
    lokr |= m->kind == ADAPTER_LOKR;
    same &= m->alpha == first->alpha;
    if (targets) add_target(targets, target_of(m->name));
  }
  json_t *about = json_pack("{s:s, s:b, s:i, s:o, s:I}", "type", lokr ? "lokr" : "lora", "dora", dora, "layers",
                            f->n_modules, "targets", targets, "bytes", (json_int_t)f->bytes);
  if (!about) return NULL;
  json_object_set_new(about, "rank", rank ? json_integer(rank) : json_null());
  json_object_set_new(about, "alpha", same && rank ? json_real(first->alpha) : json_null());
  return about;
}
