/* grammar_mask.c - which tokens free text may hold: one look at the text of every token, then a bit for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/grammar_table.h"

static bool is_blank(unsigned char c) {
  return c == ' ' || c == '\t';
}

/* Bytes of UTF-8 that do not belong together were replaced when the token was decoded; ASCII is as it was. */
static unsigned traits_of(const char *text, size_t n) {
  unsigned t = TRAIT_TEXT;
  if (is_blank((unsigned char)text[0])) t |= TRAIT_BLANK_START;
  if (text[0] == ':') t |= TRAIT_COLON_START;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '\n') t |= TRAIT_LINE_FEED;
    else if (t & TRAIT_LINE_FEED) t |= TRAIT_BARRED;
    if (c == ':') t |= TRAIT_COLON;
    if (c == '`') t |= TRAIT_BACKTICK;
    if (c == '<' || c == 0x7F || (c < 0x20 && c != '\n' && c != '\t')) t |= TRAIT_BARRED;
    if (c > 0x20 && c != 0x7F) t |= TRAIT_INK;
  }
  return t;
}

static bool spells_code(const char *text, size_t n) {
  static const char head[] = "<|audio_code_";
  return n >= sizeof head && memcmp(text, head, sizeof head - 1) == 0;
}

static bool is_special(const plan_grammar *g, int32_t id) {
  return id >= g->first_barred || bpe_is_special(g->tokenizer, id);
}

static ace_status find_traits(plan_grammar *g) {
  g->trait = calloc((size_t)g->known + 1, sizeof *g->trait);
  if (!g->trait) return ACE_ENOMEM;
  for (int32_t id = 0; id < g->known; id++) {
    if (g->code_tokens > 0 && id >= g->first_code && id < g->first_code + g->code_tokens) continue;
    size_t n;
    char *text = bpe_decode(g->tokenizer, &id, 1, 0, &n);
    if (!text) return ACE_ENOMEM;
    if (n > 0 && !spells_code(text, n)) g->trait[id] = (uint8_t)traits_of(text, n);
    if (n > 0 && is_special(g, id)) g->trait[id] |= TRAIT_BARRED;
    free(text);
  }
  return ACE_OK;
}

static bool in_mask(const plan_grammar *g, int mask, int32_t id) {
  const unsigned t = g->trait[id];
  const bool plain = t & TRAIT_TEXT && !(t & TRAIT_BARRED), caption = plain && !(t & TRAIT_BACKTICK);
  switch (mask) {
    case MASK_CAPTION: return caption;
    case MASK_CAPTION_START: return caption && (!(t & TRAIT_COLON) || t & (TRAIT_BLANK_START | TRAIT_COLON_START));
    case MASK_CAPTION_BARE: return caption && !(t & TRAIT_COLON);
    case MASK_GENRES: return plain;
    case MASK_GENRES_BLANK: return plain && !(t & TRAIT_LINE_FEED);
    case MASK_LYRICS: return t & TRAIT_TEXT;
    case MASK_ALL: return true;
    default: return t & TRAIT_TEXT && (id == g->end || !is_special(g, id));
  }
}

ace_status gram_build_masks(plan_grammar *g, ace_error *err) {
  const int32_t ids = g->known < g->rows ? g->known : g->rows;
  ace_status status = find_traits(g);
  for (int mask = 0; mask < MASKS && status == ACE_OK; mask++) {
    uint64_t *bits = g->mask[mask] = calloc((size_t)g->rows / 64 + 1, sizeof *bits);
    if (!bits) status = ACE_ENOMEM;
    for (int32_t id = 0; bits && id < ids; id++)
      if (in_mask(g, mask, id)) bits[id / 64] |= UINT64_C(1) << id % 64, g->mask_count[mask]++;
  }
  return status == ACE_OK ? ACE_OK : ace_fail(err, status, "planner: out of memory for the grammar");
}
