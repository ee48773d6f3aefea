#include "verify/bab/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

typedef struct head {
    int32_t count;
    int32_t box;
} head;

static size_t margins_size(int64_t rows) {
    size_t bytes = (size_t)rows * sizeof(float);
    return (bytes + 7) / 8 * 8;
}

static size_t box_size(int64_t n) { return 2 * (size_t)n * sizeof(double); }

bf_status bfi_state_pack(int64_t n, int64_t rows, const bfi_state *state, bfi_state_bytes *bytes,
                         bf_error *err) {
    head h = {state->count, state->lo && n <= BFI_STATE_INPUTS};
    size_t size = sizeof h + (h.box ? box_size(n) : 0) + margins_size(rows) +
                  (size_t)state->count * sizeof *state->candidates;
    if (!bfi_grow((void **)&bytes->data, &bytes->room, size, 1)) return bfi_fail_memory(err);
    memset(bytes->data, 0, size);
    char *at = bytes->data;
    memcpy(at, &h, sizeof h), at += sizeof h;
    if (h.box) {
        memcpy(at, state->lo, box_size(n) / 2), at += box_size(n) / 2;
        memcpy(at, state->hi, box_size(n) / 2), at += box_size(n) / 2;
    }
    memcpy(at, state->margins, (size_t)rows * sizeof(float)), at += margins_size(rows);
    if (state->count) memcpy(at, state->candidates, (size_t)state->count * sizeof(bfi_candidate));
    bytes->size = size;
    return BF_STATUS_OK;
}

bool bfi_state_unpack(int64_t n, int64_t rows, const void *data, bfi_state *state) {
    const char *at = data;
    head h;
    *state = (bfi_state){0};
    if (!data) return false;
    memcpy(&h, at, sizeof h), at += sizeof h;
    if (h.box) {
        state->lo = (const double *)(const void *)at;
        state->hi = state->lo + n;
        at += box_size(n);
    }
    state->margins = (const float *)(const void *)at, at += margins_size(rows);
    state->candidates = (const bfi_candidate *)(const void *)at;
    state->count = h.count;
    return true;
}

bool bfi_state_valid(int64_t n, int64_t rows, const void *data, size_t size) {
    bfi_state state;
    head h;
    if (size < sizeof h) return false;
    memcpy(&h, data, sizeof h);
    if (h.count < 0 || h.count > BFI_STATE_CANDIDATES ||
        (h.box != 0 && (h.box != 1 || n > BFI_STATE_INPUTS)) ||
        size != sizeof h + (h.box ? box_size(n) : 0) + margins_size(rows) +
                    (size_t)h.count * sizeof(bfi_candidate))
        return false;
    bfi_state_unpack(n, rows, data, &state);
    bool ok = true;
    for (int64_t i = 0; h.box && i < n; i++) ok = ok && state.lo[i] <= state.hi[i];
    for (int k = 0; k < h.count; k++) {
        const bfi_decision *d = &state.candidates[k].decision;
        ok = ok && d->activation == -1 && d->index >= 0 && d->index < n;
    }
    return ok;
}
