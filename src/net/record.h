/* record.h - the list of files that a download leaves beside them, by which they are checked later.
 *
 *   {"source": "huggingface", "repository": "ACE-Step/Ace-Step1.5", "revision": "...", "licence": "mit",
 *    "include": "*.json" or null, "files": [{"path": "config.json", "size": 120, "sha256": "..." or null}, ...]}
 */
#ifndef ACE_NET_RECORD_H
#define ACE_NET_RECORD_H

#include "net/download.h"

/* Writes it into `folder`. */
ace_status record_write(const char *folder, const download *d, const hub_listing *listing, ace_error *err);
/* Reads the files back, and into `include` (may be NULL) the pattern, "" for none. ACE_ENOTFOUND when there is none. */
ace_status record_read(const char *folder, hub_listing *out, char include[80], ace_error *err);

#endif
