#include "verify/solver/conflicts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/status.h"

/* Sides of all conflicts, at most. */
enum { MOST_SIDES = 1 << 20 };

/* An older conflict counts less by this factor; activities stay below the second one. */
#define AGES 0.99
#define LARGEST 1e100

bf_status bfi_conflicts_create(int32_t kinks, bfi_conflicts *out, bf_error *err) {
    *out = (bfi_conflicts){.kinks = kinks, .bump = 1};
    out->activity = bfi_calloc((size_t)kinks, sizeof *out->activity);
    bool ok =
        out->activity && bfi_grow((void **)&out->first, &out->first_room, 1, sizeof *out->first);
    if (!ok) return bfi_fail_memory(err);
    out->first[0] = 0;
    return BF_STATUS_OK;
}

void bfi_conflicts_clear(bfi_conflicts *c) {
    free(c->sides);
    free(c->first);
    free(c->activity);
    *c = (bfi_conflicts){0};
}

static int32_t count_kept(const bool *kept, int32_t count) {
    int32_t sides = 0;
    for (int32_t i = 0; i < count; i++) sides += kept[i];
    return sides;
}

/* A conflict of few sides says more about each. */
static void note_activity(bfi_conflicts *c, const bfi_side *sides, const bool *kept,
                          int32_t count) {
    double share = c->bump / count_kept(kept, count);
    for (int32_t i = 0; i < count; i++)
        if (kept[i]) c->activity[sides[i].kink] += share;
    c->bump /= AGES;
}

/* Keeps all activities finite, in the same order. */
static void scale_down(bfi_conflicts *c) {
    if (c->bump < LARGEST) return;
    for (int32_t i = 0; i < c->kinks; i++) c->activity[i] /= LARGEST;
    c->bump /= LARGEST;
}

bf_status bfi_conflicts_add(bfi_conflicts *c, const bfi_side *sides, const bool *kept,
                            int32_t count, bf_error *err) {
    int64_t end = c->first[c->count] + count_kept(kept, count);
    note_activity(c, sides, kept, count);
    scale_down(c);
    if (end > MOST_SIDES) return BF_STATUS_OK;
    if (!bfi_grow((void **)&c->sides, &c->side_room, (size_t)end + 1, sizeof *c->sides) ||
        !bfi_grow((void **)&c->first, &c->first_room, (size_t)c->count + 2, sizeof *c->first))
        return bfi_fail_memory(err);
    int64_t at = c->first[c->count];
    for (int32_t i = 0; i < count; i++)
        if (kept[i]) c->sides[at++] = sides[i];
    c->first[++c->count] = at;
    return BF_STATUS_OK;
}

bfi_conflict_state bfi_conflicts_look(const bfi_conflicts *c, int64_t index, const int32_t *place,
                                      bfi_side *missing) {
    bfi_conflict_state state = BFI_CONFLICT_BROKEN;
    for (int64_t i = c->first[index]; i < c->first[index + 1]; i++) {
        bfi_side side = c->sides[i];
        int32_t at = place[side.kink];
        if (at != 0 && (at > 0) == (side.sign > 0)) continue;
        if (at != 0 || state == BFI_CONFLICT_IMPLIES) return BFI_CONFLICT_QUIET;
        *missing = side;
        state = BFI_CONFLICT_IMPLIES;
    }
    return state;
}
