/* The cache of a command: made from --cache and its kin, reported at the end. */
#ifndef BFI_TOOLS_CACHING_H
#define BFI_TOOLS_CACHING_H

#include "cli.h"
#include "json.h"

/* Attaches a cache to |session| where the options ask for one. A file that cannot be used is no
 * error: bfi_caching_close says so. */
bf_status bfi_caching_open(const bfi_arguments *args, bf_session *session, bf_error *err);

/* Writes what waits for the file and adds the counters as the object "cache"; nothing without a
 * cache. */
void bfi_caching_json(bfi_json *json, bf_session *session);

/* Prints the counters on stderr (--stats), says what went wrong with the file, frees the cache. */
void bfi_caching_close(const bfi_arguments *args, bf_session *session);

#endif
