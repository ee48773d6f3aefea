/* Kernels that Apache TVM compiles for a plan's exact shapes (executor tvm). The compiler is a
 * program of its own, boundflow-tvmc; kernels are kept in a folder, and run without TVM. */
#ifndef BOUNDFLOW_TVM_H
#define BOUNDFLOW_TVM_H

#include <stdint.h>

#include "boundflow/bounds.h"

typedef struct bf_tvm_options {
    const char *cache;    /* folder of compiled kernels; NULL: $BOUNDFLOW_TVM_CACHE, else
                             $XDG_CACHE_HOME/boundflow/tvm, else ~/.cache/boundflow/tvm. It must be
                             this user's, and nobody else may write there */
    const char *compiler; /* path of boundflow-tvmc; NULL: $BOUNDFLOW_TVMC, else beside the program
                             or the library */
    const char *tvm; /* the folder that holds TVM; NULL: $BOUNDFLOW_TVM, else .tvm in the folder
                        above the program's, else the user's data folder; "none": no TVM */
    double seconds;  /* that compiling one kernel may take */
    int strict;      /* 1: a plan fails where a kernel cannot be had, instead of using native */
} bf_tvm_options;

/* NULL three times, 60 seconds, strict when $BOUNDFLOW_TVM_STRICT is set to anything but 0. */
BF_API bf_tvm_options bf_tvm_options_default(void);

/* Sets |options| (copied) for plans that |session| makes from now on, and forgets which kernels
 * could not be compiled. Thread-safe. */
BF_API bf_status bf_session_set_tvm(bf_session *session, const bf_tvm_options *options,
                                    bf_error *err);

/* Since the session began: kernels compiled, loaded from the folder, and asked for in vain; stored
 * files that were rejected (damaged, foreign, older). */
typedef struct bf_tvm_stats {
    int64_t compiled, loaded, failed, rejected;
} bf_tvm_stats;
BF_API bf_tvm_stats bf_session_tvm_stats(bf_session *session);

/* One compiled kernel, measured: fastest call of native's and of TVM's, on this machine, alone. */
typedef struct bf_tune_result {
    char kernel[352]; /* as in bf_lowering_info.key */
    double native_s, compiled_s;
    int compiled_wins; /* what the executor auto takes from now on */
} bf_tune_result;

/* Compiles the kernels that |options| needs for |model|, measures them beside native's, and keeps
 * the results in the folder of compiled kernels, where plans with executor auto find them. On
 * success
 * *|out| (free() it) has *|count| results. BF_STATUS_UNSUPPORTED when no kernel can be had;
 * BF_STATUS_IO when the folder cannot be written; BF_STATUS_CANCELLED. */
BF_API bf_status bf_tune(bf_session *session, const bf_model *model, const bf_options *options,
                         bf_tune_result **out, int *count, bf_error *err);

#endif
