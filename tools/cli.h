/* What the commands share: ending, sessions, options of a run. */
#ifndef BFI_TOOLS_CLI_H
#define BFI_TOOLS_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "boundflow/boundflow.h"
#include "options.h"

/* Exit codes beside those of status.def. */
#define BFI_EXIT_WRONG 1 /* verify --batch --expected: a verdict contradicts a known one */

/* One function per command: prints the answer, returns the exit code. */
#define BF_COMMAND(ID, name, positional, fewest, most, completion, summary) \
    int bfi_cmd_##name(const bfi_arguments *args);
#include "options.def"

/* Prints "boundflow COMMAND: message" on stderr unless |status| is ok; the exit code. */
int bfi_cli_end(bfi_command command, bf_status status, const bf_error *err);

/* Flushes stdout: what could not be written (full disk, closed pipe) is BF_STATUS_IO. */
bf_status bfi_cli_flush(bf_error *err);

/* A session with --threads workers that signals stop, and the cache of --cache and its kin. The end
 * (NULL is allowed) says on stderr what --stats wants and what went wrong with the cache. */
bf_status bfi_cli_session(const bfi_arguments *args, bf_session **out, bf_error *err);
void bfi_cli_session_free(const bfi_arguments *args, bf_session *session);

/* Lays the options that were given over |options|. --executor and --backend must not differ. */
bf_status bfi_cli_options(const bfi_arguments *args, bf_options *options, bf_error *err);

/* The attack's --seed, --restarts and --steps, where they were given. */
void bfi_cli_attack(const bfi_arguments *args, uint64_t *seed, int *restarts, int *steps);

/* Names of option values, as the command line spells them. Static storage. */
const char *bfi_cli_method(bf_method method);
const char *bfi_cli_dtype(bf_dtype dtype);
const char *bfi_cli_executor(bf_executor executor);
const char *bfi_cli_rounding(bf_rounding rounding);
const char *bfi_cli_semantics(bf_semantics semantics);

/* Instruction set that |options| end up on: "scalar", "ref", "avx2" or "avx512". */
const char *bfi_cli_isa(const bf_options *options);

/* Most bytes of memory this process ever held; 0 where the system does not say. */
int64_t bfi_cli_peak_bytes(void);

/* "12.3 KiB" */
void bfi_cli_bytes(int64_t bytes, char *text, int size);

/* Says early that |path| cannot be written: its folder is missing or read-only, or it is a folder.
 * Leaves no file behind and an existing one alone. */
bf_status bfi_cli_writable(const char *path, bf_error *err);

/* A text that grows: print to |stream|, close, then read. */
typedef struct bfi_text {
    char *data;
    size_t size;
    FILE *stream;
} bfi_text;
bf_status bfi_text_open(bfi_text *text, bf_error *err);
/* Ends writing to |stream|: data and size are valid. */
bf_status bfi_text_close(bfi_text *text, bf_error *err);
void bfi_text_free(bfi_text *text);
/* Ends writing, writes it all to |path|, whole or not at all, and frees it. */
bf_status bfi_text_save(bfi_text *text, const char *path, bf_error *err);

#endif
