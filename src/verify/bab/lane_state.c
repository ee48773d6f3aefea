#include "verify/bab/lane_state.h"

#include <string.h>

#include "base/alloc.h"

typedef struct head {
    double lower, error;
    int32_t splits, mixed, count, slopes;
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
    head h = {s->lower, s->error, s->splits, s->mixed, s->count, s->slopes != NULL};
    size_t slopes = s->slopes ? (size_t)slope_bytes : 0;
    size_t multipliers = (size_t)s->splits * sizeof *s->multipliers;
    size_t weights = (size_t)s->mixed * sizeof *s->weights;
    size_t candidates = (size_t)s->count * sizeof *s->candidates;
    size_t size = sizeof h + candidates + multipliers + weights + slopes;
    if (!bfi_grow((void **)&bytes->data, &bytes->room, size, 1)) return bfi_fail_memory(err);
    char *at = put(bytes->data, &h, sizeof h);
    at = put(at, s->candidates, candidates);
    at = put(at, s->multipliers, multipliers);
    at = put(at, s->weights, weights);
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
    *s = (bfi_lane_state){
        .splits = h.splits, .mixed = h.mixed, .count = h.count, .lower = h.lower, .error = h.error};
    s->candidates =
        (const bfi_candidate *)(const void *)get(&at, (size_t)h.count * sizeof *s->candidates);
    s->multipliers =
        (const float *)(const void *)get(&at, (size_t)h.splits * sizeof *s->multipliers);
    s->weights = (const float *)(const void *)get(&at, (size_t)h.mixed * sizeof *s->weights);
    if (h.slopes) s->slopes = (const uint8_t *)at;
    return true;
}

/* Weights that a lane takes. */
static bool are_weights(const float *weights, int32_t mixed) {
    bool some = mixed == 0;
    for (int32_t i = 0; i < mixed; i++) {
        if (!(weights[i] >= 0 && weights[i] <= 1)) return false;
        some = some || weights[i] > 0;
    }
    return some;
}

bool bfi_lane_state_valid(const void *data, size_t size, int32_t mixed, int64_t slope_bytes) {
    head h;
    bfi_lane_state state;
    if (size < sizeof h) return false;
    memcpy(&h, data, sizeof h);
    if (h.mixed != mixed || h.splits < 0 || h.count < 0 || h.count > BFI_RANKINGS || h.slopes < 0 ||
        h.slopes > 1)
        return false;
    size_t wanted = sizeof h + (size_t)h.count * sizeof(bfi_candidate);
    wanted += ((size_t)h.splits + (size_t)h.mixed) * sizeof(float);
    if (h.slopes) wanted += (size_t)slope_bytes;
    return size == wanted && bfi_lane_state_unpack(data, &state) &&
           are_weights(state.weights, state.mixed);
}
