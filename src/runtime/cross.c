#include "runtime/cross.h"

#include <math.h>

#include "base/alloc.h"
#include "exec/pool_lines.h"

bool bfi_cut_valid(const bf_plan *plan, const bfi_lane_cut *cut) {
    for (int32_t i = 0; i < cut->count; i++) {
        const bf_split *s = &cut->splits[i], *before = s - 1;
        if (s->activation < 0 || s->activation >= plan->split_count || s->neuron < 0 ||
            s->neuron >= plan->graph->nodes[plan->split_values[s->activation]].count ||
            (s->sign != 1 && s->sign != -1) || !isfinite(s->point))
            return false;
        if (cut->start && !(cut->start[i] >= 0 && cut->start[i] < INFINITY)) return false;
        if (i > 0 && (before->activation > s->activation ||
                      (before->activation == s->activation && before->neuron > s->neuron)))
            return false;
    }
    return true;
}

/* Op |kind| of the program's way back that takes value |value|, the last one before op |before|;
 * -1: none. Only the intervals of what these take are there after the run. */
static int taker(const bf_plan *plan, const bfi_program *p, bfi_back_kind kind, int value,
                 int before) {
    for (int i = before - 1; i >= p->loop; i--) {
        const bfi_node *node = &plan->graph->nodes[p->ops[i].node];
        if (p->ops[i].kind == kind && bfi_value_root(plan->graph, node->inputs[0]) == value)
            return i;
    }
    return -1;
}

int bfi_taker(const bf_plan *plan, int program, int value) {
    const bfi_program *p = &plan->programs[program];
    int op = taker(plan, p, BFI_BACK_RELAX, value, p->adjoint);
    return op >= 0 ? p->ops[op].node : -1;
}

/* What the splits [first, first + count) of one neuron leave of its interval. False: nothing. */
static bool narrow(const bf_plan *plan, const bf_workspace *ws, const bfi_lane_cut *cut,
                   int32_t first, int32_t count, double *lo, double *hi) {
    const bf_split *s = &cut->splits[first];
    const bfi_value_state *state = &plan->state[plan->split_values[s->activation]];
    *lo = bfi_ws_doubles(ws, cut->box, state->lo)[s->neuron];
    *hi = bfi_ws_doubles(ws, cut->box, state->hi)[s->neuron];
    for (int32_t i = 0; i < count; i++) {
        if (s[i].sign > 0)
            *lo = fmax(*lo, s[i].point);
        else
            *hi = fmin(*hi, s[i].point);
    }
    return *lo <= *hi;
}

static void add_crossing(bfi_crossings *out, bfi_crossing crossing) {
    out->failed = out->failed ||
                  !bfi_grow((void **)&out->list, &out->room, out->count + 1, sizeof *out->list);
    if (!out->failed) out->list[out->count++] = crossing;
}

/* Splits of a lane: of one value, and among these of one neuron. */
typedef struct split_group {
    const bf_plan *plan;
    const bf_workspace *ws;
    const bfi_lane_cut *cut;
    int32_t all, first; /* where those of the value and of the neuron begin */
    int32_t all_count, count;
    bfi_multiplier *multipliers; /* of the neuron */
} split_group;

/* An earlier split neuron of the value has output |j|'s window too. */
static bool has_window(const split_group *g, const bfi_window *w, int64_t j) {
    for (int32_t i = g->all; i < g->first; i++)
        for (int64_t k = 0; k < w->kh * w->kw; k++)
            if (bfi_pool_element(w, j, k) == g->cut->splits[i].neuron) return true;
    return false;
}

/* Crossings of a max pooling: the windows that hold the neuron, and its multipliers when |carries|.
 */
static void cross_pool(const split_group *g, int id, bool carries, bfi_crossings *out) {
    const bfi_node *node = &g->plan->graph->nodes[id];
    const bfi_value_state *in = &g->plan->state[node->inputs[0]];
    const bfi_window *w = &node->attrs.window;
    int64_t neuron = g->cut->splits[g->first].neuron;
    bfi_pool_ranges ranges = {.window = w,
                              .lo = bfi_ws_doubles(g->ws, g->cut->box, in->lo),
                              .hi = bfi_ws_doubles(g->ws, g->cut->box, in->hi),
                              .splits = g->cut->splits + g->all,
                              .count = g->all_count};
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t j = bfi_pool_output(w, neuron, k);
        if (j < 0 || has_window(g, w, j)) continue;
        bfi_pool_lines p = bfi_pool_lines_of(&ranges, j);
        double lo, hi;
        bfi_pool_range(&ranges, p.below, &lo, &hi);
        add_crossing(out, (bfi_crossing){.node = id,
                                         .neuron = j,
                                         .lines = p.lines,
                                         .below = p.below,
                                         .above = p.above,
                                         .reach = fmax(fabs(lo), fabs(hi))});
    }
    if (carries)
        add_crossing(out, (bfi_crossing){.node = id,
                                         .neuron = neuron,
                                         .bare = true,
                                         .multipliers = g->multipliers,
                                         .count = g->count});
}

static void cross_activation(const split_group *g, int id, double lo, double hi, bool carries,
                             bfi_crossings *out) {
    const bf_plan *plan = g->plan;
    int64_t neuron = g->cut->splits[g->first].neuron;
    add_crossing(out, (bfi_crossing){.node = id,
                                     .neuron = neuron,
                                     .lines = bfi_unary_lines(&plan->graph->nodes[id], plan->dtype,
                                                              plan->outward, lo, hi),
                                     .below = neuron,
                                     .above = neuron,
                                     .reach = fmax(fabs(lo), fabs(hi)),
                                     .multipliers = g->multipliers,
                                     .count = carries ? g->count : 0});
}

/* The crossings of one neuron; none where the rows do not see it. */
static bool cross_neuron(const split_group *g, bfi_crossings *out) {
    const bf_plan *plan = g->plan;
    const bfi_program *p = &plan->programs[g->cut->program];
    const bf_split *s = &g->cut->splits[g->first];
    int value = plan->split_values[s->activation], carriers = 0;
    double lo = 0, hi = 0;
    for (int32_t i = 0; i < g->count; i++)
        g->multipliers[i] =
            (bfi_multiplier){.sign = s[i].sign,
                             .point = s[i].point,
                             .value = g->cut->start ? (double)g->cut->start[g->first + i] : 0};
    int relax = taker(plan, p, BFI_BACK_RELAX, value, p->adjoint);
    int pool = taker(plan, p, BFI_BACK_POOL, value, p->adjoint);
    if ((relax >= 0 || pool >= 0) && !narrow(plan, g->ws, g->cut, g->first, g->count, &lo, &hi))
        return false;
    for (; relax >= 0; relax = taker(plan, p, BFI_BACK_RELAX, value, relax))
        cross_activation(g, p->ops[relax].node, lo, hi, carriers++ == 0, out);
    for (; pool >= 0; pool = taker(plan, p, BFI_BACK_POOL, value, pool))
        cross_pool(g, p->ops[pool].node, carriers++ == 0, out);
    return true;
}

bool bfi_cross(const bf_plan *plan, const bf_workspace *ws, const bfi_lane_cut *cut,
               bfi_multiplier *multipliers, bfi_crossings *out) {
    const bf_split *s = cut->splits;
    split_group g = {.plan = plan, .ws = ws, .cut = cut};
    for (; g.first < cut->count; g.first += g.count) {
        if (g.first == 0 || s[g.first].activation != s[g.all].activation) {
            g.all = g.first, g.all_count = 0;
            while (g.all + g.all_count < cut->count &&
                   s[g.all + g.all_count].activation == s[g.all].activation)
                g.all_count++;
        }
        int32_t end = g.first + 1;
        while (end < g.all + g.all_count && s[end].neuron == s[g.first].neuron) end++;
        g.count = end - g.first;
        g.multipliers = multipliers + g.first;
        if (!cross_neuron(&g, out)) return false;
    }
    return true;
}
