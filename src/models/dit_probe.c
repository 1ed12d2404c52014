#include "models/dit_probe.h"

#include <string.h>

static void add(dit_heads *out, int64_t layer, int64_t head, int layers, int heads) {
  if (layer < 0 || layer >= layers || head < 0 || head >= heads || out->n == DIT_MOST_HEADS) return;
  out->head[out->n++] = (dit_head){(int)layer, (int)head};
}

/* A key such as "12"; -1 for anything else. */
static int layer_number(const char *key) {
  enum { DIGITS = 4 };
  int n = 0;
  size_t length = strlen(key);
  if (length < 1 || length > DIGITS) return -1;
  for (; *key; key++) {
    if (*key < '0' || *key > '9') return -1;
    n = n * 10 + (*key - '0');
  }
  return n;
}

/* False when the object is not of the form {"2": [6], ...}. */
static bool read_config(const json_t *config, int layers, int heads, dit_heads *out) {
  const char *key;
  json_t *list, *head;
  size_t i;
  if (!json_is_object(config)) return false;
  json_object_foreach((json_t *)config, key, list) {
    int layer = layer_number(key);
    if (layer < 0 || !json_is_array(list)) return false;
    json_array_foreach(list, i, head) {
      if (!json_is_integer(head)) return false;
      add(out, layer, json_integer_value(head), layers, heads);
    }
  }
  return true;
}

void dit_heads_read(const json_t *config, int layers, int heads, dit_heads *out) {
  static const dit_head published[] = {{2, 6}, {3, 10}, {3, 11}, {4, 3}, {5, 8}, {5, 9}, {6, 8}};
  out->n = 0;
  if (read_config(json_object_get(config, "lyric_alignment_layers_config"), layers, heads, out)) return;
  out->n = 0;
  for (size_t i = 0; i < sizeof published / sizeof *published; i++)
    add(out, published[i].layer, published[i].head, layers, heads);
}

ace_status dit_lyric_heads(const acestep_dit *m, dit_heads *out, ace_error *err) {
  dit_heads_read(ckpt_config(m->checkpoint), m->cfg.layers, m->cfg.decoder.heads, out);
  if (out->n > 0) return ACE_OK;
  return ace_fail(err, ACE_EUNSUPPORTED,
                  "%s: no valid attention heads found: lyric_alignment_layers_config names none of its %d layers of %d "
                  "heads",
                  ckpt_config_path(m->checkpoint), m->cfg.layers, m->cfg.decoder.heads);
}
