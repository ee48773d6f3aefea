/* What this installation is, what it found and what it lacks: the answers of `boundflow doctor`. */
#ifndef BFI_TOOLS_DOCTOR_H
#define BFI_TOOLS_DOCTOR_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"

typedef enum bfi_finding_state {
    BFI_FINDING_OK,
    BFI_FINDING_OFF,     /* left out because somebody said so (a variable that says none) */
    BFI_FINDING_MISSING, /* optional and absent */
    BFI_FINDING_BROKEN   /* there, but it does not work */
} bfi_finding_state;

typedef struct bfi_finding {
    const char *group; /* "core", "TVM", "optional", "development" */
    const char *name;
    bfi_finding_state state;
    char version[96];    /* "" where there is none */
    char path[PATH_MAX]; /* "" where there is none */
    char detail[512];    /* what was seen, or why it is not ok */
    const char *advice;  /* how to get it; NULL when ok */
} bfi_finding;

#define BFI_FINDINGS_MOST 24

typedef struct bfi_findings {
    bfi_finding items[BFI_FINDINGS_MOST];
    int count;
} bfi_findings;

/* Looks at everything. |tvm|: of --tvm, may be NULL. |try|: compiles kernels of a small network,
 * from nothing, and runs them. The status is ok when the core works, and what was tried; whatever
 * else is missing. */
bf_status bfi_doctor_look(const char *tvm, bool try, bfi_findings *out, bf_error *err);

/* "ok", "off", "missing" or "broken". Static storage. */
const char *bfi_finding_state_name(bfi_finding_state state);

#endif
