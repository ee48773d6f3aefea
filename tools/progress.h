/* One line on stderr that is rewritten in place. Where stderr is no terminal: silent, or, when
 * asked for, plain lines every two seconds. */
#ifndef BFI_TOOLS_PROGRESS_H
#define BFI_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bfi_progress {
    bool shown;   /* and not --quiet */
    bool plain;   /* stderr is no terminal */
    bool visible; /* a line stands there now */
    double last;  /* bf_clock() of the last rewrite */
} bfi_progress;

void bfi_progress_start(bfi_progress *progress, bool quiet);

/* Shows also where stderr is no terminal. */
void bfi_progress_ask(bfi_progress *progress);

/* Rewrites the line, at most ten times a second: a bar for |done| of |total|, then |text|. |total|
 * 0: no bar. */
void bfi_progress_show(bfi_progress *progress, int64_t done, int64_t total, const char *text);

/* Clears the line, so that other output can follow. */
void bfi_progress_clear(bfi_progress *progress);

/* "0.4 s", "41 s", "3:07" or "2:05:40". */
void bfi_progress_duration(double seconds, char *text, int size);

#endif
