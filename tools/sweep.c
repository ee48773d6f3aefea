#include "sweep.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "verify/ball.h"
#include "verify/certify.h"

#define SLOTS 16 /* inputs that are worked on together */

typedef struct slot {
    int64_t input; /* -1: free */
    int radius;    /* next one to bound */
} slot;

typedef struct engine {
    bf_session *session;
    bfi_sweep *sweep;
    double deadline;
    bfi_progress *progress;
    bfi_sweep_row_done *row_done;
    void *user;
    bf_error *err;
    bfi_certifier *certifier;
    slot slots[SLOTS];
    int64_t next_input;
    int method;
    int64_t total, done, before; /* rows; before: those that were decided when it began */
    double start;
} engine;

static const char *const names[] = {"", "run", "larger", "centre"};

const char *bfi_sweep_how_name(bfi_sweep_how how) { return names[how]; }

bfi_sweep_how bfi_sweep_how_find(const char *name) {
    for (int how = BFI_SWEEP_RUN; how <= BFI_SWEEP_CENTRE; how++)
        if (strcmp(names[how], name) == 0) return (bfi_sweep_how)how;
    return BFI_SWEEP_OPEN;
}

bfi_sweep_row *bfi_sweep_at(const bfi_sweep *sweep, int method, int64_t input, int radius) {
    return &sweep->rows[(method * sweep->inputs.count + input) * sweep->radii + radius];
}

bfi_sweep_count bfi_sweep_count_rows(const bfi_sweep *sweep, int method, int radius) {
    bfi_sweep_count count = {0};
    for (int64_t i = 0; i < sweep->inputs.count; i++) {
        const bfi_sweep_row *row = bfi_sweep_at(sweep, method, i, radius);
        count.decided += row->how != BFI_SWEEP_OPEN;
        count.certified += row->certified;
    }
    return count;
}

int64_t bfi_sweep_clean(const bfi_sweep *sweep) {
    int64_t clean = 0;
    for (int64_t i = 0; i < sweep->inputs.count; i++) clean += sweep->clean[i] > 0;
    return clean;
}

static void show(engine *e) {
    if (!e->progress->shown) return;
    char text[160], left[24];
    double seconds = bf_clock() - e->start;
    int64_t now = e->done - e->before;
    const char *method = bfi_cli_method(e->sweep->method[e->method]);
    if (now > 0) {
        double rate = (double)now / seconds;
        bfi_progress_duration((double)(e->total - e->done) / rate, left, sizeof left);
        snprintf(text, sizeof text, "%s: %.3g rows/s, about %s left", method, rate, left);
    } else {
        snprintf(text, sizeof text, "%s", method);
    }
    bfi_progress_show(e->progress, e->done, e->total, text);
}

static bf_status decide(engine *e, int64_t input, int radius, bfi_sweep_row row) {
    bfi_sweep_row *at = bfi_sweep_at(e->sweep, e->method, input, radius);
    if (at->how != BFI_SWEEP_OPEN) return BF_STATUS_OK;
    *at = row;
    e->done++;
    return e->row_done ? e->row_done(e->user, e->method, input, radius, e->err) : BF_STATUS_OK;
}

/* Rows that need no bounds: of a wrong label, or below a radius that is certified. */
static bf_status conclude(engine *e, int64_t input) {
    const bfi_sweep *s = e->sweep;
    bf_status status = BF_STATUS_OK;
    const bfi_sweep_row *larger = NULL;
    for (int r = s->radii - 1; r >= 0 && status == BF_STATUS_OK; r--) {
        const bfi_sweep_row *row = bfi_sweep_at(s, e->method, input, r);
        if (!(s->clean[input] > 0))
            status =
                decide(e, input, r, (bfi_sweep_row){BFI_SWEEP_CENTRE, false, s->clean[input], 0});
        else if (row->how != BFI_SWEEP_OPEN && row->certified)
            larger = row;
        else if (larger && !s->all_radii)
            status =
                decide(e, input, r, (bfi_sweep_row){BFI_SWEEP_LARGER, true, larger->margin, 0});
    }
    return status;
}

/* Gives the slot its next open row; input -1 when there is none left. */
static bf_status advance(engine *e, slot *s) {
    const bfi_sweep *sweep = e->sweep;
    for (;;) {
        if (s->input >= 0) {
            bf_status status = conclude(e, s->input);
            if (status != BF_STATUS_OK) return status;
            for (s->radius = sweep->radii - 1; s->radius >= 0; s->radius--)
                if (bfi_sweep_at(sweep, e->method, s->input, s->radius)->how == BFI_SWEEP_OPEN)
                    return BF_STATUS_OK;
        }
        if (e->next_input == sweep->inputs.count) {
            s->input = -1;
            return BF_STATUS_OK;
        }
        s->input = e->next_input++;
    }
}

/* Bounds the rows of all slots at once. */
static bf_status bound(engine *e, const int *busy, int count) {
    const bfi_sweep *s = e->sweep;
    int64_t labels[SLOTS];
    double margins[SLOTS], start = bf_clock();
    for (int i = 0; i < count; i++) {
        const slot *at = &e->slots[busy[i]];
        bf_ball ball = {.center = s->inputs.x + at->input * s->inputs.inputs,
                        .scale = s->scale.x,
                        .clip_lo = s->clip_lo,
                        .clip_hi = s->clip_hi};
        bfi_ball_box(&ball, s->inputs.inputs, s->radius[at->radius],
                     bfi_certifier_lo(e->certifier, i), bfi_certifier_hi(e->certifier, i));
        labels[i] = s->labels[at->input];
    }
    bf_status status = bfi_certifier_run(e->certifier, labels, count, e->deadline, margins, e->err);
    double each = (bf_clock() - start) / count;
    for (int i = 0; i < count && status == BF_STATUS_OK; i++) {
        const slot *at = &e->slots[busy[i]];
        status = decide(e, at->input, at->radius,
                        (bfi_sweep_row){BFI_SWEEP_RUN, margins[i] > 0, margins[i], each});
    }
    return status;
}

static bf_status sweep_method(engine *e) {
    bf_options options = e->sweep->options;
    options.method = e->sweep->method[e->method];
    options.deadline = e->deadline;
    bf_status status = BF_STATUS_OK;
    e->next_input = 0;
    for (int i = 0; i < SLOTS; i++) e->slots[i].input = -1;
    while (status == BF_STATUS_OK) {
        int busy[SLOTS], count = 0;
        for (int i = 0; i < SLOTS && status == BF_STATUS_OK; i++) {
            status = advance(e, &e->slots[i]);
            if (e->slots[i].input >= 0) busy[count++] = i;
        }
        if (status != BF_STATUS_OK || count == 0) break;
        show(e);
        if (!e->certifier)
            status = bfi_certifier_create(e->session, e->sweep->model, &options, SLOTS,
                                          &e->certifier, e->err);
        if (status == BF_STATUS_OK) status = bound(e, busy, count);
    }
    bfi_certifier_free(e->certifier);
    e->certifier = NULL;
    return status;
}

bf_status bfi_sweep_run(bf_session *session, bfi_sweep *sweep, double deadline,
                        bfi_progress *progress, bfi_sweep_row_done *row_done, void *user,
                        bf_error *err) {
    engine e = {.session = session,
                .sweep = sweep,
                .deadline = deadline,
                .progress = progress,
                .row_done = row_done,
                .user = user,
                .err = err,
                .start = bf_clock()};
    e.total = sweep->methods * sweep->inputs.count * sweep->radii;
    for (int64_t i = 0; i < e.total; i++) e.before += sweep->rows[i].how != BFI_SWEEP_OPEN;
    e.done = e.before;
    bf_status status = BF_STATUS_OK;
    for (; e.method < sweep->methods && status == BF_STATUS_OK; e.method++)
        status = sweep_method(&e);
    bfi_progress_clear(progress);
    return status;
}
