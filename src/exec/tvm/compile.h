/* Running the kernel compiler: boundflow-tvmc, in several processes at once.
 *
 * A process reads requests from its standard input, one at a time: the path of the kernel file to
 * write (it appears whole, by rename), a tab, the kernel's key, a line end. It answers a line on
 * its standard output, fields between tabs: "ok PATH SECONDS" or "error PATH REASON MESSAGE", and
 * waits for the next. A process that crashes, takes too long, or answers anything else is killed
 * with its group: its kernel fails, the rest go to another one. */
#ifndef BFI_EXEC_TVM_COMPILE_H
#define BFI_EXEC_TVM_COMPILE_H

#include <stdbool.h>

#include "base/budget.h"
#include "exec/tvm/store.h"

typedef struct bfi_compile_job {
    const char *key;           /* one line */
    char path[BFI_STORE_PATH]; /* to write; absolute */
    bool done;                 /* provided: compiled */
    char reason[160];          /* provided when not done */
} bfi_compile_job;

typedef struct bfi_compile_settings {
    const char *program; /* path of boundflow-tvmc */
    const char *tvm;     /* the folder that holds TVM */
    int processes;       /* at once, at most */
    double seconds;      /* that one kernel may take */
} bfi_compile_settings;

/* Compiles |jobs|. A kernel that fails is no error of the call: see its job. Polls |budget|; on
 * BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED all processes have been killed and jobs that are not
 * done have no reason. */
bf_status bfi_compile_run(const bfi_compile_settings *settings, bfi_compile_job *jobs, int count,
                          const bfi_budget *budget, bf_error *err);

#endif
