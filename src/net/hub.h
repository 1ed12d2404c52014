/* hub.h - the two model hubs: what a repository holds, and where each of its files is fetched.
 *
 *   hub h = {.kind = HUB_HUGGINGFACE, .endpoint = hub_default_endpoint(HUB_HUGGINGFACE)};
 *   hub_listing l;
 *   if (hub_list(&h, catalog_find("vae"), NULL, &notify, &l, &err) == ACE_OK) {
 *     for (size_t i = 0; i < l.n; i++) ... l.file[i].path, l.file[i].size, hub_file_url(&h, model, &l, i) ...
 *     hub_listing_free(&l);
 *   }
 *
 * Hugging Face:  GET /api/models/OWNER/NAME                     {"sha", "cardData": {"license"}, "tags": ["license:mit"]}
 *                GET /api/models/OWNER/NAME/tree/REV?recursive=true  [{"type", "path", "size", "lfs": {"oid", "size"}}]
 *                GET /OWNER/NAME/resolve/REV/PATH
 * ModelScope:    GET /api/v1/models/OWNER/NAME                  {"Data": {"License"}}
 *                GET /api/v1/models/OWNER/NAME/repo/files?Revision=master&Recursive=true
 *                                                {"Data": {"Files": [{"Type", "Path", "Size", "Sha256"}]}}
 *                GET /api/v1/models/OWNER/NAME/repo?Revision=master&FilePath=PATH
 *
 * What a hub says is not believed: a path that would leave the model's folder, a size that no file has, a list that has
 * no end make the listing fail.
 */
#ifndef ACE_NET_HUB_H
#define ACE_NET_HUB_H

#include "base/hash.h"
#include "net/catalog.h"

typedef enum hub_kind { HUB_HUGGINGFACE, HUB_MODELSCOPE, HUB_KINDS } hub_kind;

typedef struct hub {
  hub_kind kind;
  const char *endpoint; /* "https://host", without a slash at its end */
  const char *token;    /* NULL: none */
} hub;

typedef struct hub_file {
  char *path; /* inside the model's folder: "model.safetensors" */
  uint64_t size;
  char sha256[HASH_HEX]; /* "": the hub does not tell */
} hub_file;

typedef struct hub_listing {
  char *revision; /* a commit where the hub has them, else a branch */
  char *licence;  /* "mit"; "unknown" */
  hub_file *file; /* by path */
  size_t n;
  uint64_t bytes; /* of all files */
} hub_listing;

const char *hub_name(hub_kind kind);             /* "Hugging Face" */
const char *hub_word(hub_kind kind);             /* "huggingface" */
const char *hub_default_endpoint(hub_kind kind); /* the public one */

/* Asks the hub for the files of a model that are of use here (weights, configurations, tokenizers, licences) and match
 * `include` (a shell pattern on the path; NULL: all). */
ace_status hub_list(const hub *h, const catalog_model *model, const char *include, const ace_callbacks *notify,
                    hub_listing *out, ace_error *err);
void hub_listing_free(hub_listing *l);
/* free() it; NULL when out of memory. */
char *hub_file_url(const hub *h, const catalog_model *model, const hub_listing *l, size_t i);

/* ---- reading the answers ----------------------------------------------------------------------------------------- */

/* revision and licence of `out`, which is empty before. `where` stands in messages. */
ace_status hub_read_about(hub_kind kind, const char *text, size_t length, const char *where, hub_listing *out,
                          ace_error *err);
/* Adds the files. */
ace_status hub_read_files(hub_kind kind, const char *text, size_t length, const catalog_model *model,
                          const char *include, const char *where, hub_listing *out, ace_error *err);
/* Adds one: for a path that would leave the folder, a size that no file has, a file too many it fails. What is no SHA-256
 * (NULL too) counts as none. */
ace_status hub_listing_add(hub_listing *l, const char *path, int64_t size, const char *sha256, const char *where,
                           ace_error *err);
/* A relative path of plain names that stays in its folder. */
bool hub_safe_path(const char *path);

#endif
