/* `verify --batch`: many instances, a row each as it finishes. */
#ifndef BFI_TOOLS_CMD_BATCH_H
#define BFI_TOOLS_CMD_BATCH_H

#include "verify_run.h"

/* Decides every line (onnx, vnnlib, timeout) of --batch with |run|. An error is returned only where
 * the batch itself cannot go on; *|code| is the exit code otherwise: BFI_EXIT_WRONG after a wrong
 * verdict, else that of the first instance that failed, else 0. */
bf_status bfi_batch(const bfi_arguments *args, bfi_verify_run *run, int *code, bf_error *err);

#endif
