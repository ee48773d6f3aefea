/* Status codes and error messages.
 *
 * Every function that can fail returns a bf_status and takes, last, a caller-owned bf_error that
 * may be NULL. On failure the message is one line: what happened, where (file, line, node), what to
 * do. On success the message is left alone. A verdict is not an error. */
#ifndef BOUNDFLOW_STATUS_H
#define BOUNDFLOW_STATUS_H

#include "boundflow/export.h"

typedef enum bf_status {
#define BF_STATUS(NAME, name, exit_code, meaning) BF_STATUS_##NAME,
#include "boundflow/status.def"
#undef BF_STATUS
    BF_STATUS_COUNT
} bf_status;

typedef struct bf_error {
    char message[512]; /* NUL-terminated, no newline */
} bf_error;

/* Short stable name, e.g. "parse". Never NULL. Thread-safe. */
BF_API const char *bf_status_name(bf_status status);

/* One-line meaning. Never NULL. Thread-safe. */
BF_API const char *bf_status_meaning(bf_status status);

/* Exit code that the command line documents for |status|. */
BF_API int bf_status_exit_code(bf_status status);

#endif
