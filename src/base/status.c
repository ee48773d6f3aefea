#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
    const char *meaning;
} table[] = {
#define BF_STATUS(NAME, name, exit_code, meaning) {name, exit_code, meaning},
#include "boundflow/status.def"
#undef BF_STATUS
};

static unsigned row_of(bf_status status) {
    return (unsigned)status < BF_STATUS_COUNT ? (unsigned)status : BF_STATUS_INTERNAL;
}

const char *bf_status_name(bf_status status) { return table[row_of(status)].name; }

const char *bf_status_meaning(bf_status status) { return table[row_of(status)].meaning; }

int bf_status_exit_code(bf_status status) { return table[row_of(status)].exit_code; }

bf_status bfi_fail(bf_error *err, bf_status code, const char *fmt, ...) {
    if (err) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->message, sizeof err->message, fmt, args);
        va_end(args);
        for (char *p = err->message; *p; p++)
            if ((unsigned char)*p < 32) *p = ' ';
    }
    return code;
}

bf_status bfi_fail_in(bf_error *err, bf_status code, const char *context) {
    if (err) {
        char old[sizeof err->message];
        memcpy(old, err->message, sizeof old);
        old[sizeof old - 1] = '\0';
        bfi_fail(err, code, "%s: %s", context, old);
    }
    return code;
}

bf_status bfi_fail_memory(bf_error *err) {
    return bfi_fail(err, BF_STATUS_OUT_OF_MEMORY,
                    "out of memory: free some, or set a smaller --memory budget");
}
