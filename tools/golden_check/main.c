/* golden-check DIR - runs every case of every golden folder at or below DIR and prints a table: case, tensor, largest
 * difference, the same relative to the largest reference value, tolerance, verdict.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden.h"
#include "tensor/cpu/isa.h"

/* What the beginning of a case's name means. Tolerances are those that the golden data states. */
static const struct {
  const char *prefix;
  golden_check *check; /* NULL: not built yet, for the reason given */
  double tolerance;
  const char *reason;
} kinds[] = {
    {"text_encoder", check_text_encoder, 1e-4, NULL},
    {"lyric_embed", check_lyric_embed, 0, NULL},
    {"condition_encoder", check_condition_encoder, 1e-4, NULL},
    {"dit_forward", check_dit_forward, 1e-4, NULL},
    {"audio_tokenizer", check_audio_tokenizer, 1e-4, NULL},
    {"detokenizer", check_detokenizer, 1e-4, NULL},
    {"fsq_codes", check_fsq_codes, 1e-5, NULL},
    {"fsq_grid", check_fsq_grid, 1e-6, NULL},
    {"lm_forward", check_lm_forward, 1e-4, NULL},
    {"lm_left_pad", check_lm_left_pad, 1e-4, NULL},
    {"vae_decode", check_vae_decode, 1e-4, NULL},
    {"vae_encode", check_vae_encode, 1e-4, NULL},
    {"vae_tiled_decode", check_vae_tiled_decode, 1e-4, NULL},
    {"vae_tiled_encode", check_vae_tiled_encode, 1e-4, NULL},
    {"prepare", check_prepare, 1e-4, NULL},
    {"generate", check_generate, 1e-3, NULL},
    {"e2e", check_e2e, 1e-3, NULL},
    {"torch_rng", check_rng, 3e-6, NULL},
    {"schedules", check_schedules, 1e-7, NULL},
    {"dcw", check_dcw, 1e-5, NULL},
    {"dwt", check_dwt, 1e-6, NULL},
    {"apg", check_apg, 1e-5, NULL},
    {"adg", check_adg, 1e-3, NULL},
    {"train_lora_grads", check_train_lora_grads, 1e-3, NULL},
    {"train_lora_adamw", check_train_lora_adamw, 1e-3, NULL},
    {"train_forward", check_train_forward, 1e-4, NULL},
    {"train_grads", check_train_grads, 1e-3, NULL},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

static void run_case(golden *g, const char *path, const char *name) {
  int kind = 0;
  while (kind < N_KINDS && strncmp(name, kinds[kind].prefix, strlen(kinds[kind].prefix)) != 0) kind++;
  if (kind == N_KINDS || !kinds[kind].check) {
    golden_skip(g, name, kind == N_KINDS ? "no check of that name" : kinds[kind].reason);
    return;
  }
  ace_error err;
  golden_case k = {.g = g, .tolerance = kinds[kind].tolerance};
  snprintf(k.name, sizeof k.name, "%s", name);
  tens_reset(g->c);
  k.file = st_open(path, &err);
  if (!k.file) {
    golden_fail(g, name, err.message);
    return;
  }
  const char *params = st_metadata(k.file, "params");
  k.params = params ? json_parse(params, strlen(params), path, &err) : json_object();
  if (k.params) kinds[kind].check(&k);
  else case_fail(&k, "params", err.message);
  if (tens_status(g->c) != ACE_OK) {
    tens_error(g->c, &err);
    case_fail(&k, "computation", err.message);
  }
  if (k.compared == 0) case_fail(&k, "", "nothing was compared");
  if (k.wrong == 0) g->passed++;
  else g->failed++;
  json_decref(k.params);
  st_close(k.file);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names in a folder; NULL when it cannot be read. Free each and the list. */
static char **list_folder(const char *path, size_t *n) {
  DIR *dir = opendir(path);
  if (!dir) return NULL;
  char **names = NULL;
  *n = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    char **more = realloc(names, (*n + 1) * sizeof *names);
    if (!more) break;
    names = more;
    if (!(names[*n] = strdup(e->d_name))) break;
    (*n)++;
  }
  closedir(dir);
  if (names) qsort(names, *n, sizeof *names, by_name);
  return names;
}

static void free_list(char **names, size_t n) {
  for (size_t i = 0; i < n; i++) free(names[i]);
  free(names);
}

static void run_cases(golden *g, const char *folder) {
  size_t n;
  char **names = list_folder(folder, &n);
  for (size_t i = 0; names && i < n; i++) {
    char *end = strstr(names[i], ".safetensors");
    char *path = file_join(folder, names[i]);
    if (path && end && end[strlen(".safetensors")] == 0) {
      *end = 0;
      run_case(g, path, names[i]);
    }
    free(path);
  }
  if (names) free_list(names, n);
}

static void run_root(golden *g, const char *root) {
  g->root = root;
  printf("\n%s\n%-36s %-28s %10s %10s %9s  %s\n", root, "case", "tensor", "error", "relative", "allowed", "verdict");
  char *cases = file_join(root, "cases");
  if (cases) run_cases(g, cases);
  free(cases);
  tens_reset(g->c);
  check_tokenizer_vectors(g);
  check_dit_prompts(g);
  check_fsm(g);
  check_lm_prompts(g);
  check_cot_yaml(g);
  check_codes_lists(g);
}

/* Visits every golden folder at or below `path`. */
static int visit(golden *g, const char *path, int depth) {
  static const char *const marks[] = {"cases", "tokenizer/vectors.json", "text"};
  int found = 0;
  for (size_t i = 0; i < sizeof marks / sizeof *marks && !found; i++) {
    char *mark = file_join(path, marks[i]);
    found = mark && file_exists(mark);
    free(mark);
  }
  if (found) {
    run_root(g, path);
    return 1;
  }
  size_t n;
  char **names = depth > 0 ? list_folder(path, &n) : NULL;
  for (size_t i = 0; names && i < n; i++) {
    char *below = file_join(path, names[i]);
    if (below && file_is_directory(below)) found += visit(g, below, depth - 1);
    free(below);
  }
  if (names) free_list(names, n);
  return found;
}

int main(int argc, char **argv) {
  if (argc != 2 || strcmp(argv[1], "--help") == 0) {
    fprintf(argc == 2 ? stdout : stderr,
            "usage: golden-check DIR\n"
            "Compares this build with the golden data at or below DIR, number by number: in float32, or with the\n"
            "instruction set that ACESTEP_ISA names, such as amx (bf16).\n");
    return argc == 2 ? 0 : 2;
  }
  enum { DEPTH = 4 };
  ace_error err;
  setenv("ACESTEP_ISA", "float32", 0);
  golden g = {.threads = pool_new(0, &err), .tiles = tens_isa_has_tiles(tens_isa_name())};
  if (g.threads) g.c = tens_open(&(tens_options){.threads = g.threads, .capacity = (size_t)4 << 30}, &err);
  if (!g.c) {
    fprintf(stderr, "golden-check: %s\n", err.message);
    return 1;
  }
  printf("kernels: %s, %d threads, %s\n", tens_isa_name(), pool_threads(g.threads), g.tiles ? "bf16" : "float32");
  int roots = visit(&g, argv[1], DEPTH);
  if (roots == 0) fprintf(stderr, "golden-check: %s: no golden data here\n", argv[1]);
  printf("\n%d passed, %d failed, %d skipped\n", g.passed, g.failed, g.skipped);
  tens_close(g.c);
  pool_free(g.threads);
  return g.failed || roots == 0 ? 1 : 0;
}
