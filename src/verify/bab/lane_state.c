#include "verify/bab/lane_state.h"

#include <string.h>

#include "base/alloc.h"

typedef struct head {
    int32_t rows, splits, count, slopes;
} head;

static char *put(char *at, const void *from, size_t bytes) {
    if (bytes > 0) memcpy(at, from, bytes);
    return at + bytes;
}

static const char *get(const char **at, size_t bytes) {
    const char *from = *at;
    *at += bytes;
    return from;
}

bf_status bfi_lane_state_pack(const bfi_lane_state *s, int64_t slope_bytes, bfi_state_bytes *bytes,
                              bf_error *err) {
    head h = {s->rows, s->splits, s->count, s->slopes != NULL};
    size_t rows = (size_t)s->rows, slopes = s->slopes ? rows * (size_t)slope_bytes : 0;
    size_t multipliers = rows * (size_t)s->splits * sizeof *s->multipliers;
    size_t candidates = (size_t)s->count * sizeof *s->candidates;
    size_t size = sizeof h + 2 * rows * sizeof *s->lower + candidates + multipliers + slopes;
    if (!bfi_grow((void **)&bytes->data, &bytes->room, size, 1)) return bfi_fail_memory(err);
    char *at = put(bytes->data, &h, sizeof h);
    at = put(at, s->lower, rows * sizeof *s->lower);
    at = put(at, s->error, rows * sizeof *s->error);
    at = put(at, s->candidates, candidates);
    at = put(at, s->multipliers, multipliers);
    put(at, s->slopes, slopes);
    bytes->size = size;
    return BF_STATUS_OK;
}

bool bfi_lane_state_unpack(const void *data, bfi_lane_state *s) {
    const char *at = data;
    head h;
    *s = (bfi_lane_state){0};
    if (!data) return false;
    memcpy(&h, get(&at, sizeof h), sizeof h);
    size_t rows = (size_t)h.rows;
    *s = (bfi_lane_state){.rows = h.rows, .splits = h.splits, .count = h.count};
    s->lower = (const double *)(const void *)get(&at, rows * sizeof *s->lower);
    s->error = (const double *)(const void *)get(&at, rows * sizeof *s->error);
    s->candidates =
        (const bfi_candidate *)(const void *)get(&at, (size_t)h.count * sizeof *s->candidates);
    s->multipliers =
        (const float *)(const void *)get(&at, rows * (size_t)h.splits * sizeof *s->multipliers);
    if (h.slopes) s->slopes = (const uint8_t *)at;
    return true;
}

bool bfi_lane_state_valid(const void *data, size_t size, int rows, int64_t slope_bytes) {
    head h;
    if (size < sizeof h) return false;
    memcpy(&h, data, sizeof h);
    if (h.rows != rows || h.splits < 0 || h.count < 0 || h.count > BFI_RANKINGS || h.slopes < 0 ||
        h.slopes > 1)
        return false;
    size_t wanted = sizeof h + (size_t)h.count * sizeof(bfi_candidate);
    wanted += (size_t)rows * (2 * sizeof(double) + (size_t)h.splits * sizeof(float));
    if (h.slopes) wanted += (size_t)rows * (size_t)slope_bytes;
    return size == wanted;
}
