#include "runtime/cross.h"

#include <math.h>

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

/* Activations that the program's way back crosses, of value |value|: at most |room| of their ids,
 * ascending. Only the intervals of what these take are there after the run. */
static int takers(const bf_plan *plan, const bfi_program *p, int value, int *ids, int room) {
    int count = 0;
    for (int i = p->adjoint - 1; i >= p->loop; i--) {
        int id = p->ops[i].node;
        if (p->ops[i].kind != BFI_BACK_RELAX ||
            bfi_value_root(plan->graph, plan->graph->nodes[id].inputs[0]) != value)
            continue;
        if (count < room) ids[count++] = id;
    }
    return count;
}

int bfi_taker(const bf_plan *plan, int program, int value) {
    int id = -1;
    return takers(plan, &plan->programs[program], value, &id, 1) > 0 ? id : -1;
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

/* The crossings of one neuron; none where the rows do not see it. */
static bool cross_neuron(const bf_plan *plan, const bf_workspace *ws, const bfi_lane_cut *cut,
                         int32_t first, int32_t count, bfi_multiplier *multipliers,
                         bfi_lane_splits *out) {
    const bf_split *s = &cut->splits[first];
    double lo, hi;
    int ids[BFI_MOST_TAKERS];
    int found = takers(plan, &plan->programs[cut->program], plan->split_values[s->activation], ids,
                       BFI_MOST_TAKERS);
    if (found > 0 && !narrow(plan, ws, cut, first, count, &lo, &hi)) return false;
    for (int32_t i = 0; i < count; i++)
        multipliers[first + i] =
            (bfi_multiplier){.sign = s[i].sign,
                             .point = s[i].point,
                             .value = cut->start ? (double)cut->start[first + i] : 0};
    for (int k = 0; k < found; k++) {
        const bfi_node *node = &plan->graph->nodes[ids[k]];
        out->crossings[out->count++] =
            (bfi_crossing){.node = ids[k],
                           .neuron = s->neuron,
                           .lines = bfi_unary_lines(node, plan->dtype, plan->outward, lo, hi),
                           .reach = fmax(fabs(lo), fabs(hi)),
                           .multipliers = multipliers + first,
                           .count = k == 0 ? count : 0};
    }
    return true;
}

bool bfi_cross(const bf_plan *plan, const bf_workspace *ws, const bfi_lane_cut *cut,
               bfi_multiplier *multipliers, bfi_lane_splits *out) {
    for (int32_t first = 0, end; first < cut->count; first = end) {
        const bf_split *s = cut->splits;
        end = first + 1;
        while (end < cut->count && s[end].activation == s[first].activation &&
               s[end].neuron == s[first].neuron)
            end++;
        if (!cross_neuron(plan, ws, cut, first, end - first, multipliers, out)) return false;
    }
    return true;
}
