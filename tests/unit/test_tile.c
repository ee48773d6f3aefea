/* bfi_tile_relax: wherever a parameter comes from (one vector for all lanes, one per box, one per
 * lane), the bits are those of one kernel call with every parameter written out per lane. */
#include "bounds_kit.h"
#include "exec/tile.h"
#include "kernels/kernel.h"

enum { PARAMETERS = 5, MOST_N = 150, BOXES = 5, TRIALS = 3000, WIDEST = BFI_WIDEST_TILE };

/* Storage that the runs of one dtype share. */
typedef struct room {
    bfi_dtype dtype;
    size_t size;
    char *memory;               /* persistent parts of all boxes: PARAMETERS vectors each */
    void *vectors[PARAMETERS];  /* shared, or by lane */
    void *expanded[PARAMETERS]; /* what every lane sees */
    void *a, *out, *expected;
    void *spread, *t_sum, *e_sum, *t_expected, *e_expected;
    int64_t box[WIDEST];
} room;

static void *fresh(size_t count, size_t size) {
    void *memory = bfi_alloc_aligned(count * size);
    assert_non_null(memory);
    return memory;
}

static void fill(bfi_dtype dtype, void *to, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        bfi_store(dtype, to, i, kit_int(0, 20) ? net_uniform() : kit_int(0, 1) ? 0 : -0.0);
}

static int64_t box_bytes(const room *r) {
    return PARAMETERS * bfi_align64(MOST_N * (int64_t)r->size);
}

static room room_new(bfi_dtype dtype) {
    room r = {.dtype = dtype, .size = bfi_dtype_size(dtype)};
    size_t lanes = MOST_N * WIDEST;
    r.memory = fresh((size_t)(BOXES * box_bytes(&r)), 1);
    fill(dtype, r.memory, BOXES * box_bytes(&r) / (int64_t)r.size);
    for (int p = 0; p < PARAMETERS; p++) {
        r.vectors[p] = fresh(lanes, r.size);
        r.expanded[p] = fresh(lanes, r.size);
        fill(dtype, r.vectors[p], (int64_t)lanes);
    }
    r.a = fresh(lanes, r.size), r.out = fresh(lanes, r.size), r.expected = fresh(lanes, r.size);
    r.spread = fresh((size_t)BFI_SPREAD_ELEMENTS * WIDEST, r.size);
    r.t_sum = fresh(WIDEST, r.size), r.e_sum = fresh(WIDEST, r.size);
    r.t_expected = fresh(WIDEST, r.size), r.e_expected = fresh(WIDEST, r.size);
    return r;
}

static void room_free(room *r) {
    for (int p = 0; p < PARAMETERS; p++) free(r->vectors[p]), free(r->expanded[p]);
    free(r->memory), free(r->a), free(r->out), free(r->expected), free(r->spread);
    free(r->t_sum), free(r->e_sum), free(r->t_expected), free(r->e_expected);
}

/* A random source for parameter |p|, and its numbers written out for every lane. */
static bfi_parameter parameter(room *r, int p, int64_t n, int64_t ls, int64_t lanes) {
    bfi_parameter from = {r->vectors[p], (bfi_source)kit_int(0, 2)};
    char *in_box = r->memory + p * bfi_align64(MOST_N * (int64_t)r->size);
    if (from.by == BFI_BY_BOX) from.data = in_box;
    for (int64_t j = 0; j < n; j++)
        for (int64_t l = 0; l < ls; l++) {
            int64_t box = r->box[l < lanes ? l : 0];
            double x = from.by == BFI_BY_LANE
                           ? bfi_load(r->dtype, from.data, j * ls + l)
                           : bfi_load(r->dtype,
                                      from.by == BFI_BY_BOX ? in_box + box * box_bytes(r)
                                                            : (const char *)from.data,
                                      j);
            bfi_store(r->dtype, r->expanded[p], j * ls + l, x);
        }
    return from;
}

static void same_lanes(const room *r, const void *a, const void *b, int64_t n, int64_t ls,
                       int64_t lanes) {
    for (int64_t j = 0; j < n; j++)
        for (int64_t l = 0; l < lanes; l++)
            assert_true(bfi_load(r->dtype, a, j * ls + l) == bfi_load(r->dtype, b, j * ls + l));
}

static void random_step(room *r, const bfi_kernels *kernels) {
    int64_t lanes = kit_int(0, 3) ? kit_int(1, WIDEST) : 1, ls = bfi_lane_stride(lanes);
    int64_t n = kit_int(1, MOST_N), boxes = kit_int(1, BOXES);
    for (int64_t l = 0; l < lanes; l++) /* in runs, or any */
        r->box[l] = l && kit_int(0, 3) ? r->box[l - 1] : kit_int(0, boxes - 1);
    fill(r->dtype, r->a, n * ls);
    bf_plan plan = {.dtype = r->dtype, .persistent_bytes = box_bytes(r), .tile_lanes = WIDEST, .lane_room = WIDEST};
    bfi_lowering lowering = {.backend = BFI_BACKEND_NATIVE, .kernels = kernels};
    bfi_tile t = {.plan = &plan,
                  .run = bfi_dispatch_of(&lowering, NULL, 0),
                  .lanes = lanes,
                  .ls = ls,
                  .size = r->size,
                  .one_box = true,
                  .v = {.box = r->box, .t_sum = r->t_sum, .e_sum = r->e_sum, .spread = r->spread}};
    for (int64_t l = 0; l < lanes; l++) t.one_box = t.one_box && r->box[l] == r->box[0];
    bfi_parameter all[PARAMETERS];
    for (int p = 0; p < PARAMETERS; p++) all[p] = parameter(r, p, n, ls, lanes);
    bfi_tile_step s = {.n = n, .a = r->a};
    bfi_relax e = {.n = n, .ls = ls, .lanes = lanes, .ps = ls, .a = r->a};
    bool in_place = kit_int(0, 1);
    if (kit_int(0, 3)) {
        s.out = in_place ? r->a : r->out, s.s_pos = all[0], s.s_neg = all[1];
        e.out = r->expected, e.s_pos = r->expanded[0], e.s_neg = r->expanded[1];
    }
    if (kit_int(0, 3)) {
        bool bias = kit_int(0, 3) == 0;
        s.t_pos = all[2], s.t_neg = all[bias ? 2 : 3], e.t_sum = r->t_expected;
        e.t_pos = r->expanded[2], e.t_neg = r->expanded[bias ? 2 : 3];
    }
    if (kit_int(0, 3)) s.e = all[4], e.e = r->expanded[4], e.e_sum = r->e_expected;
    if (e.out || e.t_sum || e.e_sum) bfi_kernels_ref(r->dtype)->relax(&e);
    bfi_tile_relax(&t, &s);
    if (e.out) same_lanes(r, s.out, r->expected, n, ls, lanes);
    if (e.t_sum) same_lanes(r, r->t_sum, r->t_expected, 1, ls, lanes);
    if (e.e_sum) same_lanes(r, r->e_sum, r->e_expected, 1, ls, lanes);
}

static void every_source(void **state) {
    (void)state;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    for (int dtype = BFI_F32; dtype <= BFI_F64; dtype++) {
        room r = room_new((bfi_dtype)dtype);
        for (int i = 0; i < 3; i++) {
            const bfi_kernels *kernels = bfi_kernels_native((bfi_dtype)dtype, isas[i]);
            for (int trial = 0; kernels && trial < TRIALS; trial++) random_step(&r, kernels);
        }
        room_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_source)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
