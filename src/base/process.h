/* Child processes that are spoken to over one socket: their standard input and output. Standard
 * error goes nowhere. A process value belongs to one thread at a time. */
#ifndef BFI_BASE_PROCESS_H
#define BFI_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

typedef struct bfi_process {
    pid_t pid;  /* also its process group; 0: none */
    int socket; /* -1: none */
} bfi_process;

/* Starts |program| (a path) with |arguments| (NULL-terminated, [0] is its name) in a process group
 * of its own. On success the caller ends it with bfi_process_end. */
bf_status bfi_process_start(const char *program, char *const *arguments, bfi_process *out,
                            bf_error *err);

/* Sends all of |text| unless the process is gone or reads nothing; never raises SIGPIPE, never
 * blocks: |size| must fit the socket's buffer (64 KiB do). */
bool bfi_process_send(const bfi_process *process, const char *text, size_t size);

/* Kills what is left of the process and its group, and reaps it. |how| (may be NULL) says how it
 * ended: "exit code 3", "signal 11", "killed". Does nothing on a process that was never started. */
void bfi_process_end(bfi_process *process, char *how, size_t size);

#endif
