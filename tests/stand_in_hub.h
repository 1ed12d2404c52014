/* stand_in_hub.h - a model hub inside a test, in both public layouts, with one repository and any fault that is wanted.
 *
 *   hub_site s;
 *   hub_site_open(&s);
 *   s.fault = HUB_WRONG_BYTES;
 *   hub h = {.kind = HUB_HUGGINGFACE, .endpoint = s.endpoint};
 *   hub_site_close(&s);
 *
 * The repository ACE-Step/Ace-Step1.5 holds the folder vae: a configuration, weights of HUB_WEIGHTS bytes, and things
 * that nobody needs.
 */
#ifndef ACE_TESTS_STAND_IN_HUB_H
#define ACE_TESTS_STAND_IN_HUB_H

#include "stand_in.h"

#include "base/hash.h"
#include "net/hub.h"

enum { HUB_WEIGHTS = 300000 };

typedef enum hub_fault {
  HUB_WELL,
  HUB_CUT,         /* the weights break off in the middle, the first two times */
  HUB_CUT_ALWAYS,  /* ... every time */
  HUB_WRONG_BYTES, /* other weights than the list says */
  HUB_WRONG_ONCE,
  HUB_TOO_MANY,  /* more bytes than announced in the list, without a length of its own */
  HUB_MISSING,   /* the weights are listed and not there */
  HUB_ESCAPE,    /* a file that would lie outside */
  HUB_HUGE,      /* a file of a petabyte */
  HUB_GARBAGE,   /* the list is no JSON */
  HUB_LOCKED,    /* wants a key */
  HUB_NO_RANGES, /* sends everything whatever is asked for; breaks off once */
  HUB_TRICKLE    /* sends so slowly that one can cancel */
} hub_fault;

typedef struct hub_site {
  stand_in server, far; /* far: where the data lies */
  char endpoint[64];
  char *weights, sum[HASH_HEX];
  hub_fault fault;
  atomic_int data_requests, resumed; /* of the weights; those that asked for a part */
  char key_at_far[1024];
} hub_site;

static const char hub_config[] = "{\"downsampling_ratios\": [2]}";

static inline void hub_send_weights(hub_site *s, const stand_request *r, int fd) {
  static const char headers[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
  char range[1024], length[128];
  int count = ++s->data_requests;
  if (*stand_header(r, "Range", range)) s->resumed++;
  bool cut =
      s->fault == HUB_CUT_ALWAYS || (s->fault == HUB_CUT && count <= 2) || (s->fault == HUB_NO_RANGES && count == 1);
  bool wrong = s->fault == HUB_WRONG_BYTES || (s->fault == HUB_WRONG_ONCE && count == 1);
  if (s->fault == HUB_MISSING) {
    stand_text(fd, 404, "Entry not found");
  } else if (s->fault == HUB_TOO_MANY) {
    stand_send(fd, headers, sizeof headers - 1);
    for (int i = 0; i < 3; i++) stand_send(fd, s->weights, HUB_WEIGHTS);
  } else if (s->fault == HUB_TRICKLE) {
    int n = snprintf(length, sizeof length, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", HUB_WEIGHTS);
    stand_send(fd, length, (size_t)n);
    stand_send(fd, s->weights, 1000);
    for (int i = 1000; i < 1300 && send(fd, s->weights + i, 1, MSG_NOSIGNAL) == 1; i++) stand_wait(10);
  } else if (cut) {
    uint64_t from = 0;
    if (sscanf(range, "bytes=%" SCNu64, &from) != 1 || s->fault == HUB_NO_RANGES) from = 0;
    char head[256];
    int n = from ? snprintf(head, sizeof head,
                            "HTTP/1.1 206 P\r\nContent-Range: bytes %" PRIu64 "-%d/%d\r\nContent-Length: %d\r\n\r\n",
                            from, HUB_WEIGHTS - 1, HUB_WEIGHTS, HUB_WEIGHTS - (int)from)
                 : snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", HUB_WEIGHTS);
    stand_send(fd, head, (size_t)n);
    stand_send(fd, s->weights + from, (size_t)(HUB_WEIGHTS - (int)from) / 3);
  } else if (wrong) {
    char *other = malloc(HUB_WEIGHTS);
    memset(other, 'w', HUB_WEIGHTS);
    stand_bytes(fd, 200, "", other, HUB_WEIGHTS);
    free(other);
  } else if (s->fault == HUB_NO_RANGES) {
    stand_bytes(fd, 200, "", s->weights, HUB_WEIGHTS);
  } else {
    stand_file(fd, r, "", s->weights, HUB_WEIGHTS);
  }
}

static inline void hub_far_answer(void *user, const stand_request *r, int fd) {
  hub_site *s = user;
  stand_header(r, "Authorization", s->key_at_far);
  hub_send_weights(s, r, fd);
}

static inline void hub_send_list(hub_site *s, bool modelscope, int fd) {
  char text[4096];
  const char *escape = s->fault == HUB_ESCAPE ? "vae/../../evil.json" : "vae/extra.txt";
  long long size = s->fault == HUB_HUGE ? 1000000000000LL : HUB_WEIGHTS;
  int config = sizeof hub_config - 1;
  if (s->fault == HUB_GARBAGE) {
    snprintf(text, sizeof text, "<html>maintenance</html>");
  } else if (modelscope) {
    snprintf(text, sizeof text,
             "{\"Code\": 200, \"Data\": {\"Files\": [{\"Type\": \"tree\", \"Path\": \"vae\", \"Size\": 0},"
             "{\"Type\": \"blob\", \"Path\": \"vae/config.json\", \"Size\": %d, \"Sha256\": \"\"},"
             "{\"Type\": \"blob\", \"Path\": \"%s\", \"Size\": 5},"
             "{\"Type\": \"blob\", \"Path\": \"README.md\", \"Size\": 99},"
             "{\"Type\": \"blob\", \"Path\": \"vae/diffusion_pytorch_model.safetensors\", \"Size\": %lld, \"Sha256\": "
             "\"%s\"}]}}",
             config, escape, size, s->sum);
  } else {
    snprintf(
        text, sizeof text,
        "[{\"type\": \"directory\", \"oid\": \"a\", \"size\": 0, \"path\": \"vae\"},"
        "{\"type\": \"file\", \"oid\": \"b\", \"size\": %d, \"path\": \"vae/config.json\"},"
        "{\"type\": \"file\", \"oid\": \"c\", \"size\": 5, \"path\": \"%s\"},"
        "{\"type\": \"file\", \"oid\": \"d\", \"size\": 500, \"path\": \"vae/model.py\"},"
        "{\"type\": \"file\", \"oid\": \"e\", \"size\": 134, \"path\": \"vae/diffusion_pytorch_model.safetensors\","
        " \"lfs\": {\"oid\": \"%s\", \"size\": %lld, \"pointerSize\": 134}}]",
        config, escape, s->sum, size);
  }
  stand_text(fd, 200, text);
}

static inline bool hub_ends(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static inline void hub_answer(void *user, const stand_request *r, int fd) {
  hub_site *s = user;
  const char *t = r->target;
  char key[1024], to[256];
  if (s->fault == HUB_LOCKED && strcmp(stand_header(r, "Authorization", key), "Bearer right") != 0) {
    stand_text(fd, 401, "Repository not found");
  } else if (strcmp(t, "/api/models/ACE-Step/Ace-Step1.5") == 0) {
    stand_text(fd, 200, "{\"sha\": \"0123abcd\", \"cardData\": {\"license\": \"mit\"}}");
  } else if (strcmp(t, "/api/v1/models/ACE-Step/Ace-Step1.5") == 0) {
    stand_text(fd, 200, "{\"Code\": 200, \"Data\": {\"License\": \"MIT License\"}}");
  } else if (strcmp(t, "/api/models/ACE-Step/Ace-Step1.5/tree/0123abcd?recursive=true") == 0) {
    hub_send_list(s, false, fd);
  } else if (strcmp(t, "/api/v1/models/ACE-Step/Ace-Step1.5/repo/files?Revision=master&Recursive=true") == 0) {
    hub_send_list(s, true, fd);
  } else if (hub_ends(t, "vae/config.json")) {
    stand_file(fd, r, "", hub_config, sizeof hub_config - 1);
  } else if (hub_ends(t, "vae/extra.txt")) {
    stand_text(fd, 200, "extra");
  } else if (strcmp(t, "/ACE-Step/Ace-Step1.5/resolve/0123abcd/vae/diffusion_pytorch_model.safetensors") == 0) {
    snprintf(to, sizeof to, "http://127.0.0.1:%d/blob?signature=x", s->far.port);
    stand_redirect(fd, to);
  } else if (strcmp(t,
                    "/api/v1/models/ACE-Step/Ace-Step1.5/repo?Revision=master&FilePath=vae/"
                    "diffusion_pytorch_model.safetensors") == 0) {
    hub_send_weights(s, r, fd);
  } else {
    stand_text(fd, 404, "not here");
  }
}

static inline void hub_site_open(hub_site *s) {
  *s = (hub_site){.weights = malloc(HUB_WEIGHTS)};
  assert_non_null(s->weights);
  uint32_t x = 1;
  for (int i = 0; i < HUB_WEIGHTS; i++) s->weights[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
  hash_memory(s->weights, HUB_WEIGHTS, s->sum);
  stand_open(&s->server, hub_answer, s);
  stand_open(&s->far, hub_far_answer, s);
  snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d", s->server.port);
}

static inline void hub_site_close(hub_site *s) {
  stand_close(&s->server);
  stand_close(&s->far);
  free(s->weights);
}

#endif
