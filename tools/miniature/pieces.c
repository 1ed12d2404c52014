/* pieces.c - pieces of the conservatory as latents, without files in between: composing and rendering of many at once, and
 * the autoencoder on all threads, one sound after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "conservatory/describe.h"
#include "conservatory/render.h"
#include "miniature/miniature.h"
#include "models/vae.h"
#include "render/latents.h"
#include "train/piece.h"
#include "train/sample_set.h"

enum { TILE = 250 /* frames */, TOGETHER = 8 /* pieces rendered at once */, TENSORS = 1 + 2 * TRACK_COUNT };

typedef struct making {
  const miniature_order *o;
  const waves *waves;
  vae *vae;
  tens_ctx *c;
  json_t *names;
  int first; /* of the pieces that are rendered together */
  struct {
    cons_sound sound;
    json_t *about; /* NULL: it failed, or is not to be made */
    ace_error err;
  } ready[TOGETHER];
} making;

static uint64_t seed_of(const making *m, int i) {
  return m->o->seed + (uint64_t)i;
}

static void name_of(const making *m, int i, char name[64]) {
  snprintf(name, 64, "%08llu.safetensors", (unsigned long long)seed_of(m, i));
}

static bool is_there(const making *m, int i) {
  char name[64];
  piece p;
  name_of(m, i, name);
  char *path = file_join(m->o->folder, name);
  bool there = path && file_exists(path) && piece_open(path, &p, NULL) == ACE_OK;
  if (there) piece_close(&p);
  free(path);
  return there;
}

static void render_one(void *arg, int index, int worker) {
  making *m = arg;
  int i = m->first + index;
  if (i >= m->o->count || is_there(m, i)) return;
  cons_wish wish = {.seed = seed_of(m, i), .seconds = m->o->seconds};
  cons_piece *p = cons_compose(&wish, &m->ready[index].err);
  if (p && cons_render(p, m->waves, &m->ready[index].sound, &m->ready[index].err) == ACE_OK)
    m->ready[index].about = cons_describe(p);
  cons_piece_free(p);
}

/* ---- latents ------------------------------------------------------------------------------------------------------- */

/* Means in half precision [frames, channels]; NULL on failure. */
static uint16_t *encode(making *m, const float *samples, int64_t n, ace_error *err) {
  int64_t frames = n / m->vae->cfg.hop, width = m->vae->cfg.encoder_hidden / 2;
  float *moments = NULL, *means = malloc((size_t)(frames * width) * sizeof *means);
  uint16_t *half = malloc((size_t)(frames * width) * sizeof *half);
  ace_status status = means && half ? ACE_OK : ace_fail(err, ACE_ENOMEM, "pieces: out of memory");
  if (status == ACE_OK) status = latents_encode(m->c, m->vae, NULL, samples, n, TILE, NULL, &moments, err);
  if (status == ACE_OK) status = latents_draw(moments, frames, width, NULL, means, err);
  for (int64_t i = 0; status == ACE_OK && i < frames * width; i++) half[i] = f32_to_f16(means[i]);
  free(moments), free(means);
  if (status == ACE_OK) return half;
  free(half);
  return NULL;
}

/* What is being written: names and data are owned. */
typedef struct piece_file {
  st_tensor tensor[TENSORS];
  char name[TENSORS][PIECE_NAME_SIZE + 8];
  int n;
} piece_file;

static ace_status add(making *m, piece_file *f, const char *kind, const char *track, const float *samples, int64_t n,
                      ace_error *err) {
  uint16_t *half = encode(m, samples, n, err);
  if (!half) return err->status;
  snprintf(f->name[f->n], sizeof f->name[f->n], "%s%s", kind, track);
  int64_t width = m->vae->cfg.encoder_hidden / 2;
  f->tensor[f->n] =
      (st_tensor){.name = f->name[f->n], .dtype = ST_F16, .rank = 2, .dim = {n / m->vae->cfg.hop, width}, .data = half};
  f->n++;
  return ACE_OK;
}

/* The track, and the mix without it. */
static ace_status add_track(making *m, piece_file *f, const cons_sound *s, int track, ace_error *err) {
  const audio_buffer *stem = &s->stem[track];
  size_t n = (size_t)(stem->frames * stem->channels);
  float *rest = malloc(n * sizeof *rest);
  if (!rest) return ace_fail(err, ACE_ENOMEM, "pieces: out of memory");
  for (size_t i = 0; i < n; i++) rest[i] = s->mix.samples[i] - stem->samples[i];
  ace_status status = add(m, f, "stem/", cons_track_names[track], stem->samples, stem->frames, err);
  if (status == ACE_OK) status = add(m, f, "rest/", cons_track_names[track], rest, stem->frames, err);
  free(rest);
  return status;
}

/* Some of the tracks that play, others for every seed. */
static int choose(const cons_sound *s, uint64_t seed, int most, int chosen[TRACK_COUNT]) {
  int playing[TRACK_COUNT], n = 0;
  for (int t = 0; t < TRACK_COUNT; t++)
    if (s->stem[t].samples) playing[n++] = t;
  if (n < 2) return 0;
  int first = (int)(seed * 7 % (uint64_t)n), step = n > 2 ? 1 + (int)(seed / 3 % (uint64_t)(n - 1)) : 1, made = 0;
  for (int k = 0; k < n && made < most; k++) {
    int t = playing[(first + k * step) % n];
    bool again = false;
    for (int j = 0; j < made; j++) again |= chosen[j] == t;
    if (!again) chosen[made++] = t;
  }
  return made;
}

static ace_status write_piece(making *m, int index, ace_error *err) {
  const cons_sound *s = &m->ready[index].sound;
  int chosen[TRACK_COUNT], n = choose(s, seed_of(m, m->first + index), m->o->tracks, chosen);
  char name[64];
  piece_file f = {.n = 0};
  name_of(m, m->first + index, name);
  char *path = file_join(m->o->folder, name);
  ace_status status = path ? ACE_OK : ace_fail(err, ACE_ENOMEM, "pieces: out of memory");
  if (status == ACE_OK) status = add(m, &f, "mix", "", s->mix.samples, s->mix.frames, err);
  for (int i = 0; i < n && status == ACE_OK; i++) status = add_track(m, &f, s, chosen[i], err);
  if (status == ACE_OK) status = piece_write(path, m->ready[index].about, f.tensor, f.n, err);
  for (int i = 0; i < f.n; i++) free((void *)f.tensor[i].data);
  free(path);
  return status;
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static ace_status make_group(making *m, ace_error *err) {
  ace_status status = ACE_OK;
  pool_run(m->o->threads, TOGETHER, render_one, m);
  for (int k = 0; k < TOGETHER; k++) {
    int i = m->first + k;
    char name[64];
    if (status == ACE_OK && m->ready[k].err.status != ACE_OK) *err = m->ready[k].err, status = err->status;
    if (status == ACE_OK && m->ready[k].about) status = write_piece(m, k, err);
    if (status == ACE_OK && i < m->o->count) {
      name_of(m, i, name);
      json_array_append_new(m->names, json_string(name));
    }
    cons_sound_free(&m->ready[k].sound);
    json_decref(m->ready[k].about);
    m->ready[k].about = NULL;
  }
  return status;
}

static ace_status make_all(making *m, ace_error *err) {
  ace_status status = file_make_directory(m->o->folder, err);
  for (m->first = 0; m->first < m->o->count && status == ACE_OK; m->first += TOGETHER) {
    status = make_group(m, err);
    fprintf(stderr, "\r%d of %d pieces", (int)json_array_size(m->names), m->o->count);
  }
  fputc('\n', stderr);
  if (status != ACE_OK) return status;
  json_t *metadata = json_pack("{s:s}", "name", "conservatory");
  status = sample_set_write(m->o->folder, metadata, m->names, err);
  json_decref(metadata);
  return status;
}

ace_status miniature_pieces(const miniature_order *o, ace_error *err) {
  making m = {.o = o, .waves = waves_new(err), .names = json_array()};
  m.vae = m.waves ? vae_open(o->vae, VAE_ENCODER, err) : NULL;
  if (m.vae) {
    ckpt_pack(m.vae->checkpoint, tens_cpu(), o->threads);
    size_t bytes = vae_encode_memory(m.vae, TILE + 2 * vae_encoder_halo(&m.vae->cfg));
    m.c = tens_open(&(tens_options){.threads = o->threads, .capacity = bytes}, err);
  }
  ace_status status = m.c && m.names ? make_all(&m, err) : err->status;
  tens_close(m.c);
  vae_close(m.vae);
  json_decref(m.names);
  free((void *)m.waves);
  return status;
}
