/* Making errors: one line into the caller's buffer, the code back. */
#ifndef BFI_BASE_STATUS_H
#define BFI_BASE_STATUS_H

#include "boundflow/status.h"

/* Formats the message into |err| (may be NULL) and returns |code|, so that
 * `return bfi_fail(err, BF_STATUS_PARSE, "%s:%d: ...", ...)` is one statement. Thread-safe. */
bf_status bfi_fail(bf_error *err, bf_status code, const char *fmt, ...) BF_PRINTF(3, 4);

/* Puts "|context|: " in front of the message already in |err|; returns |code|. */
bf_status bfi_fail_in(bf_error *err, bf_status code, const char *context);

/* The message for a failed allocation. */
bf_status bfi_fail_memory(bf_error *err);

#endif
