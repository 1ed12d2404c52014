#define _GNU_SOURCE /* asprintf */
#include "net/hub.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/notify.h"
#include "net/http.h"

enum {
  ANSWER_MOST = 8 << 20, /* bytes of a listing */
  FILES_MOST = 900,      /* Hugging Face sends a thousand entries a page; no model comes near */
  PATH_MOST = 300,
  NAME_MOST = 120,
  ANSWER_SECONDS = 60
};
static const int64_t SIZE_MOST = INT64_C(1) << 42;

static const struct {
  const char *name, *word, *endpoint;
} hubs[HUB_KINDS] = {[HUB_HUGGINGFACE] = {"Hugging Face", "huggingface", "https://huggingface.co"},
                     [HUB_MODELSCOPE] = {"ModelScope", "modelscope", "https://www.modelscope.cn"}};

const char *hub_name(hub_kind kind) {
  return hubs[kind].name;
}

const char *hub_word(hub_kind kind) {
  return hubs[kind].word;
}

const char *hub_default_endpoint(hub_kind kind) {
  return hubs[kind].endpoint;
}

void hub_listing_free(hub_listing *l) {
  for (size_t i = 0; i < l->n; i++) free(l->file[i].path);
  free(l->file);
  free(l->revision), free(l->licence);
  *l = (hub_listing){0};
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

bool hub_safe_path(const char *path) {
  if (!*path || strlen(path) > PATH_MOST) return false;
  for (const char *p = path; *p; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\') return false;
  for (const char *name = path;; name++) {
    size_t n = strcspn(name, "/");
    if (n == 0 || n > NAME_MOST || *name == '.' || *name == ' ') return false;
    name += n;
    if (!*name) return true;
  }
}

/* Programs, pictures and pages of a repository are of no use here. */
static bool is_useful(const char *path) {
  static const char *const endings[] = {".json", ".safetensors", ".pt", ".txt", ".jinja", ".gguf", ".model"};
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  if (strncmp(name, "LICENSE", 7) == 0) return true;
  size_t n = strlen(name);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t m = strlen(endings[i]);
    if (n > m && strcmp(name + n - m, endings[i]) == 0) return true;
  }
  return false;
}

/* The path inside the model's folder; NULL when it lies elsewhere. */
static const char *inside(const catalog_model *model, const char *path) {
  size_t n = model->folder ? strlen(model->folder) : 0;
  if (!n) return path;
  return strncmp(path, model->folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static ace_status keep(char **out, const char *text, ace_error *err) {
  free(*out);
  *out = strdup(text);
  return *out ? ACE_OK : ace_fail(err, ACE_ENOMEM, "hub: out of memory");
}

/* A word that goes into URLs and onto the terminal. */
static bool is_word(const char *text) {
  size_t n = strlen(text);
  return n > 0 && n <= NAME_MOST &&
         strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._ ") == n;
}

static const char *text_of(const json_t *object, const char *field) {
  const char *text = json_string_value(json_object_get(object, field));
  return text && is_word(text) ? text : NULL;
}

static const char *licence_tag(const json_t *tags) {
  size_t i;
  json_t *tag;
  json_array_foreach((json_t *)tags, i, tag) {
    const char *text = json_string_value(tag);
    if (text && strncmp(text, "license:", 8) == 0 && is_word(text + 8)) return text + 8;
  }
  return NULL;
}

ace_status hub_read_about(hub_kind kind, const char *text, size_t length, const char *where, hub_listing *out,
                          ace_error *err) {
  json_t *json = json_parse(text, length, where, err);
  if (!json) return err ? err->status : ACE_EFORMAT;
  const char *revision = "master", *licence = NULL;
  if (kind == HUB_HUGGINGFACE) {
    revision = text_of(json, "sha");
    if (!revision || strchr(revision, ' ')) revision = "main";
    licence = text_of(json_object_get(json, "cardData"), "license");
    if (!licence) licence = licence_tag(json_object_get(json, "tags"));
  } else {
    licence = text_of(json_object_get(json, "Data"), "License");
  }
  ace_status status = keep(&out->revision, revision, err);
  if (status == ACE_OK) status = keep(&out->licence, licence ? licence : "unknown", err);
  json_decref(json);
  return status;
}

static bool is_sha256(const char *text) {
  return text && strlen(text) == HASH_HEX - 1 && strspn(text, "0123456789abcdef") == HASH_HEX - 1;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const hub_file *)a)->path, ((const hub_file *)b)->path);
}

/* One entry in either layout. */
typedef struct entry {
  const char *path, *sha256;
  json_int_t size;
  bool is_file;
} entry;

static entry read_entry(hub_kind kind, const json_t *e) {
  entry out = {.size = -1};
  if (kind == HUB_MODELSCOPE) {
    const char *type = json_string_value(json_object_get(e, "Type"));
    const json_t *size = json_object_get(e, "Size");
    out.is_file = !type || strcmp(type, "tree") != 0;
    out.path = json_string_value(json_object_get(e, "Path"));
    out.sha256 = json_string_value(json_object_get(e, "Sha256"));
    if (json_is_integer(size)) out.size = json_integer_value(size);
  } else {
    const char *type = json_string_value(json_object_get(e, "type"));
    const json_t *lfs = json_object_get(e, "lfs");
    const json_t *size = json_object_get(lfs, "size");
    if (!size) size = json_object_get(e, "size");
    out.is_file = type && strcmp(type, "file") == 0;
    out.path = json_string_value(json_object_get(e, "path"));
    out.sha256 = json_string_value(json_object_get(lfs, "oid"));
    if (json_is_integer(size)) out.size = json_integer_value(size);
  }
  return out;
}

ace_status hub_listing_add(hub_listing *l, const char *path, int64_t size, const char *sha256, const char *where,
                           ace_error *err) {
  if (!hub_safe_path(path))
    return ace_fail(err, ACE_EFORMAT,
                    "%s: it lists a file named \"%.80s\", which does not belong into a folder of its own", where, path);
  if (size < 0 || size > SIZE_MOST || l->n >= FILES_MOST)
    return ace_fail(err, ACE_EFORMAT, "%s: its list of files is not believable (%.80s)", where, path);
  hub_file *grown = realloc(l->file, (l->n + 1) * sizeof *grown);
  if (!grown) return ace_fail(err, ACE_ENOMEM, "hub: out of memory");
  l->file = grown;
  hub_file *f = &l->file[l->n];
  *f = (hub_file){.path = strdup(path), .size = (uint64_t)size};
  if (!f->path) return ace_fail(err, ACE_ENOMEM, "hub: out of memory");
  if (is_sha256(sha256)) memcpy(f->sha256, sha256, HASH_HEX);
  l->bytes += f->size;
  l->n++;
  return ACE_OK;
}

ace_status hub_read_files(hub_kind kind, const char *text, size_t length, const catalog_model *model,
                          const char *include, const char *where, hub_listing *out, ace_error *err) {
  json_t *json = json_parse(text, length, where, err), *e;
  if (!json) return err ? err->status : ACE_EFORMAT;
  const json_t *list = kind == HUB_MODELSCOPE ? json_object_get(json_object_get(json, "Data"), "Files") : json;
  ace_status status =
      json_is_array(list) ? ACE_OK : ace_fail(err, ACE_EFORMAT, "%s: its answer is no list of files", where);
  size_t i;
  json_array_foreach((json_t *)list, i, e) {
    entry found = read_entry(kind, e);
    const char *path = found.path && found.is_file ? inside(model, found.path) : NULL;
    if (status != ACE_OK || !path || !is_useful(path)) continue;
    if (include && fnmatch(include, path, 0) != 0) continue;
    status = hub_listing_add(out, path, found.size, found.sha256, where, err);
  }
  json_decref(json);
  if (out->n) qsort(out->file, out->n, sizeof *out->file, by_path);
  for (size_t k = 1; k < out->n && status == ACE_OK; k++)
    if (strcmp(out->file[k - 1].path, out->file[k].path) == 0)
      status = ace_fail(err, ACE_EFORMAT, "%s: it lists %.80s twice", where, out->file[k].path);
  return status;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool is_cancelled(void *user) {
  const ace_callbacks *notify = user;
  return notify_stopped(notify);
}

/* Takes the URL; NULL: out of memory. */
static ace_status ask(const hub *h, char *url, const ace_callbacks *notify, net_text *out, ace_error *err) {
  if (!url) return ace_fail(err, ACE_ENOMEM, "hub: out of memory");
  net_request r = {.url = url, .bearer = h->token, .seconds = ANSWER_SECONDS};
  ace_status status = net_exchange(&r, ANSWER_MOST, out, is_cancelled, (void *)notify, err);
  free(url);
  return status;
}

/* `part`: what follows the repository in the URL of the interface; revision "": not asked for one. */
static char *api_url(const hub *h, const catalog_model *model, const char *part, const char *revision) {
  static const char *const roots[HUB_KINDS] = {[HUB_HUGGINGFACE] = "api/models", [HUB_MODELSCOPE] = "api/v1/models"};
  char *url;
  int n = asprintf(&url, "%s/%s/%s%s%s%s%s", h->endpoint, roots[h->kind], model->repository, part, *revision ? "/" : "",
                   revision, *revision ? "?recursive=true" : "");
  return n < 0 ? NULL : url;
}

ace_status hub_list(const hub *h, const catalog_model *model, const char *include, const ace_callbacks *notify,
                    hub_listing *out, ace_error *err) {
  char host[NET_HOST_SIZE], where[NET_HOST_SIZE + 200];
  net_text text;
  *out = (hub_listing){0};
  ace_error own;
  if (!err) err = &own;
  ace_status status = net_check_url(h->endpoint, "endpoint", err);
  if (status != ACE_OK) return status;
  snprintf(where, sizeof where, "%s: %s", net_host(h->endpoint, host), model->repository);
  status = ask(h, api_url(h, model, "", ""), notify, &text, err);
  if (status == ACE_OK) {
    status = hub_read_about(h->kind, text.data, text.length, where, out, err);
    free(text.data);
  }
  if (status == ACE_OK) {
    bool tree = h->kind == HUB_HUGGINGFACE;
    const char *part = tree ? "/tree" : "/repo/files?Revision=master&Recursive=true";
    status = ask(h, api_url(h, model, part, tree ? out->revision : ""), notify, &text, err);
    if (status == ACE_OK) {
      status = hub_read_files(h->kind, text.data, text.length, model, include, where, out, err);
      free(text.data);
    }
  }
  if (status == ACE_OK && out->n == 0)
    status = ace_fail(err, ACE_ENOTFOUND, "%s: there are no files of %s%s%s", where, model->name,
                      include ? " that match " : "", include ? include : "");
  if (status != ACE_OK) hub_listing_free(out);
  return status;
}

/* Appends `text` with everything but letters, digits and a few marks as %XX. */
static char *add_escaped(char *to, const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~/", c);
    if (plain) *to++ = (char)c;
    else to += sprintf(to, "%%%02X", c);
  }
  *to = 0;
  return to;
}

char *hub_file_url(const hub *h, const catalog_model *model, const hub_listing *l, size_t i) {
  const char *folder = model->folder ? model->folder : "", *path = l->file[i].path;
  char *url = malloc(strlen(h->endpoint) + strlen(model->repository) + strlen(l->revision) * 3 +
                     3 * (strlen(folder) + strlen(path)) + 80);
  if (!url) return NULL;
  char *end = url;
  if (h->kind == HUB_HUGGINGFACE) {
    end += sprintf(end, "%s/%s/resolve/", h->endpoint, model->repository);
    end = add_escaped(end, l->revision);
    *end++ = '/';
  } else {
    end += sprintf(end, "%s/api/v1/models/%s/repo?Revision=", h->endpoint, model->repository);
    end = add_escaped(end, l->revision);
    end += sprintf(end, "&FilePath=");
  }
  end = add_escaped(end, folder);
  if (*folder) *end++ = '/';
  add_escaped(end, path);
  return url;
}
