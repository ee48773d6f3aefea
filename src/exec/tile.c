#include "exec/tile.h"

#include <assert.h>
#include <string.h>

/* What a step asks for. */
enum { SCALE = 1, T_SUM = 2, E_SUM = 4 };

typedef struct group {
    int what;
    const bfi_parameter *pos, *neg;
} group;

static bool same_for_all(const bfi_tile *t, const bfi_parameter *p) {
    return !p->data || p->by == BFI_BY_NOTHING || t->ls == 1 || (p->by == BFI_BY_BOX && t->one_box);
}

/* The vector of lane 0. */
static const void *of_first_lane(const bfi_tile *t, const bfi_parameter *p) {
    return p->data && p->by == BFI_BY_BOX ? bfi_tile_of_box(t, p->data, 0) : p->data;
}

/* The parts |what| of the step, parameters as lane 0 has them. */
static bfi_relax shared_call(const bfi_tile *t, const bfi_tile_step *s, int what) {
    bool scale = what & SCALE;
    return (bfi_relax){.n = s->n,
                       .ls = t->ls,
                       .lanes = t->lanes,
                       .ps = 1,
                       .a = s->a,
                       .out = scale ? s->out : NULL,
                       .s_pos = scale ? of_first_lane(t, &s->s_pos) : NULL,
                       .s_neg = scale ? of_first_lane(t, &s->s_neg) : NULL,
                       .t_pos = what & T_SUM ? of_first_lane(t, &s->t_pos) : NULL,
                       .t_neg = what & T_SUM ? of_first_lane(t, &s->t_neg) : NULL,
                       .e = what & E_SUM ? of_first_lane(t, &s->e) : NULL,
                       .t_sum = what & T_SUM ? t->v.t_sum : NULL,
                       .e_sum = what & E_SUM ? t->v.e_sum : NULL};
}

#define SPREAD(T, name)                                                                       \
    static void name(const bfi_tile *t, const bfi_parameter *p, int64_t first, int64_t n,     \
                     T *room) {                                                               \
        for (int64_t l = 0, end; l < t->ls; l = end) {                                        \
            int64_t lane = l < t->lanes ? l : t->lanes - 1;                                   \
            const T *from =                                                                   \
                p->by == BFI_BY_BOX ? (const T *)bfi_tile_of_box(t, p->data, lane) : p->data; \
            end = l + 1;                                                                      \
            while (end < t->ls && (end >= t->lanes || p->by == BFI_BY_NOTHING ||              \
                                   t->v.box[end] == t->v.box[lane]))                          \
                end++;                                                                        \
            for (int64_t j = 0; j < n; j++)                                                   \
                for (int64_t i = l; i < end; i++) room[j * t->ls + i] = from[first + j];      \
        }                                                                                     \
    }
SPREAD(float, spread_float)
SPREAD(double, spread_double)
#undef SPREAD

/* Elements [first, first + n) of |p| for every lane, where they stand or copied to part |part| of
 * the tile's room. */
static const void *lane_block(const bfi_tile *t, const bfi_parameter *p, int64_t first, int64_t n,
                              int part) {
    if (!p->data) return NULL;
    if (p->by == BFI_BY_LANE) return (const char *)p->data + (size_t)(first * t->ls) * t->size;
    char *room = (char *)t->v.spread + (size_t)(part * BF_SUM_BLOCK * t->ls) * t->size;
    if (t->plan->dtype == BFI_F32)
        spread_float(t, p, first, n, (float *)(void *)room);
    else
        spread_double(t, p, first, n, (double *)(void *)room);
    return room;
}

static bool same_parameter(const bfi_parameter *a, const bfi_parameter *b) {
    return a->data == b->data && a->by == b->by;
}

/* |sum| becomes the block's sum, or has it added. */
static void add_block(const bfi_tile *t, bool start, const void *block, void *sum) {
    if (start) memcpy(sum, block, (size_t)t->lanes * t->size);
    for (int64_t l = 0; l < t->lanes && !start; l++) {
        if (t->plan->dtype == BFI_F32)
            ((float *)sum)[l] += ((const float *)block)[l];
        else
            ((double *)sum)[l] += ((const double *)block)[l];
    }
}

static bfi_relax block_call(const bfi_tile *t, const bfi_tile_step *s, int what, int64_t first) {
    int64_t n = s->n - first < BF_SUM_BLOCK ? s->n - first : BF_SUM_BLOCK;
    size_t skip = (size_t)(first * t->ls) * t->size;
    char *sums = (char *)t->v.spread + (size_t)(5 * BF_SUM_BLOCK * t->plan->tile_lanes) * t->size;
    bfi_relax r = {.n = n, .ls = t->ls, .lanes = t->lanes, .ps = t->ls};
    r.a = (const char *)s->a + skip;
    if (what & SCALE) {
        r.out = (char *)s->out + skip;
        r.s_pos = lane_block(t, &s->s_pos, first, n, 0);
        r.s_neg =
            same_parameter(&s->s_neg, &s->s_pos) ? r.s_pos : lane_block(t, &s->s_neg, first, n, 1);
    }
    if (what & T_SUM) {
        r.t_pos = lane_block(t, &s->t_pos, first, n, 2);
        r.t_neg =
            same_parameter(&s->t_neg, &s->t_pos) ? r.t_pos : lane_block(t, &s->t_neg, first, n, 3);
        r.t_sum = sums;
    }
    if (what & E_SUM) {
        r.e = lane_block(t, &s->e, first, n, 4);
        r.e_sum = sums + (size_t)t->plan->tile_lanes * t->size;
    }
    return r;
}

/* The parts |what|, whose parameters differ between lanes. Adding the blocks' sums in order is what
 * a kernel does with the whole vector (base/fp.h), so the bits are those of one call. */
static void run_blocks(const bfi_tile *t, const bfi_tile_step *s, int what) {
    assert(t->v.spread);
    for (int64_t first = 0; first < s->n; first += BF_SUM_BLOCK) {
        bfi_relax r = block_call(t, s, what, first);
        t->kernels->relax(&r);
        if (r.t_sum) add_block(t, first == 0, r.t_sum, t->v.t_sum);
        if (r.e_sum) add_block(t, first == 0, r.e_sum, t->v.e_sum);
    }
}

static void run_shared(const bfi_tile *t, const bfi_tile_step *s, int what) {
    bfi_relax r = shared_call(t, s, what);
    t->kernels->relax(&r);
}

void bfi_tile_relax(const bfi_tile *t, const bfi_tile_step *s) {
    const group groups[3] = {{s->out ? SCALE : 0, &s->s_pos, &s->s_neg},
                             {s->t_pos.data ? T_SUM : 0, &s->t_pos, &s->t_neg},
                             {s->e.data ? E_SUM : 0, &s->e, &s->e}};
    int shared = 0, by_lane = 0;
    for (int g = 0; g < 3; g++) {
        if (same_for_all(t, groups[g].pos) && same_for_all(t, groups[g].neg))
            shared |= groups[g].what;
        else
            by_lane |= groups[g].what;
    }
    /* scaling may overwrite what the sums read */
    if (shared && !(shared & SCALE)) run_shared(t, s, shared);
    if (by_lane) run_blocks(t, s, by_lane);
    if (shared & SCALE) run_shared(t, s, shared);
}
