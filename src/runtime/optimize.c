#include "runtime/optimize.h"

#include "exec/alpha.h"
#include "exec/shared.h"
#include "runtime/job.h"
#include "runtime/run.h"

/* The open rows of one side. */
static bfi_job side_job(const bf_plan *plan, bf_workspace *ws, int index, int64_t box,
                        double sign) {
    const bfi_step *step = &plan->tasks.steps[index];
    const bfi_value_state *state = &plan->state[step->node];
    bfi_job job = {.plan = plan,
                   .ws = ws,
                   .program = step->program,
                   .step = index,
                   .node = step->node,
                   .rows = state->rows,
                   .sides = 1,
                   .first_sign = sign,
                   .lower = bfi_ws_doubles(ws, 0, state->lo),
                   .upper = bfi_ws_doubles(ws, 0, state->hi),
                   .result_stride = plan->persistent_bytes / (int64_t)sizeof(double),
                   .keep_better = true,
                   .shared = true};
    for (int64_t b = 0; b < ws->boxes; b++) {
        bfi_lane_groups rows = {.level = -1};
        if (b == box) rows = bfi_select_rows(plan, ws, b, step->node, step->program);
        bfi_job_add_box(&job, b, rows);
    }
    return job;
}

static void optimize_side(const bf_plan *plan, bf_workspace *ws, int index, int64_t box,
                          double sign) {
    int program = plan->tasks.steps[index].program, rounds = plan->options.iterations;
    bfi_alpha_pace pace = bfi_alpha_start(plan);
    bfi_shared_start(plan, ws, box, program);
    for (int round = 0; round < rounds; round++) {
        bfi_job job = side_job(plan, ws, index, box, sign);
        if (job.lanes == 0) return;
        job.gradient = round + 1 < rounds;
        bfi_run_job(plan, ws, &job);
        if (bfi_ws_stopped(ws) || !job.gradient) return;
        bfi_ascent ascent = bfi_alpha_next(&pace, plan);
        bfi_shared_step(plan, ws, box, program, &ascent);
    }
}

void bfi_optimize_shared(const bf_plan *plan, bf_workspace *ws, int index, int64_t box) {
    if (bfi_ws_idle(ws, box)) return;
    optimize_side(plan, ws, index, box, 1);
    if (!bfi_ws_stopped(ws)) optimize_side(plan, ws, index, box, -1);
}
