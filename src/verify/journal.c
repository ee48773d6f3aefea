#include "verify/journal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PERIOD 0.02 /* seconds between two reports of the same kind */

/* Writing checkpoints may take one part in so many of the time. */
#define SHARE 20

static void tell(bfi_journal *j, bool at_once) {
    const bf_verify_options *o = j->options;
    double now = bf_clock(), best = j->attack ? bfi_attack_nearest(j->attack)->margin : INFINITY;
    if (!o->progress || (!at_once && best >= j->told_best && now - j->told < PERIOD)) return;
    j->told = now;
    j->told_best = best;
    const bfi_ledger *l = j->ledger;
    bf_progress progress = {
        .phase = j->phase,
        .reason = j->reason,
        .done = l->property->count - l->open_cases,
        .total = l->property->count,
        .seconds = now - j->start,
        .limit = o->timeout,
        .bound = bfi_ledger_bound(l, false),
        .best = best,
        .nodes = j->nodes + j->search.nodes,
        .hidden_nodes = j->hidden_nodes + j->search.hidden_nodes,
        .open = j->search.open,
        .bytes = j->bytes + j->search.bytes,
        .branching = j->search.branching,
        .checkpoints = j->checkpoints,
        .checkpoint_bytes = j->checkpoint_bytes,
        .checkpoint_problem = j->problem.message[0] ? j->problem.message : NULL};
    o->progress(o->user, &progress);
}

/* Why a phase comes now: what the one before has left. */
static void explain(bfi_journal *j, const char *phase) {
    const bfi_ledger *l = j->ledger;
    char bound[32] = "";
    double worst = bfi_ledger_bound(l, true);
    if (isfinite(worst)) snprintf(bound, sizeof bound, ", bound %.4g", worst);
    if (j->phase)
        snprintf(j->reason, sizeof j->reason, "%s leaves %lld of %d cases open%s", j->phase,
                 (long long)l->open_cases, l->property->count, bound);
    else
        snprintf(j->reason, sizeof j->reason, "%s with %lld of %d cases open%s",
                 j->past > 0 ? "resumed" : "begins", (long long)l->open_cases, l->property->count,
                 bound);
    j->phase = phase;
}

void bfi_journal_phase(bfi_journal *j, const char *phase) {
    bool fresh = !j->phase || strcmp(j->phase, phase) != 0;
    if (fresh) explain(j, phase);
    j->kept_last = false;
    tell(j, fresh);
}

void bfi_journal_search(bfi_journal *j, const bfi_search_progress *progress) {
    j->search = *progress;
    tell(j, false);
}

void bfi_journal_search_over(bfi_journal *j) {
    j->nodes += j->search.nodes;
    j->hidden_nodes += j->search.hidden_nodes;
    j->search = (bfi_search_progress){.open = j->search.open};
}

void bfi_journal_keep(bfi_journal *j, const bfi_search_mark *mark, bool now) {
    const bf_verify_options *o = j->options;
    double begin = bf_clock();
    if (!o->checkpoint || (!now && begin - j->kept < fmax(o->checkpoint_interval, SHARE * j->cost)))
        return;
    bfi_checkpoint c = {.nodes = j->nodes,
                        .seconds = j->past + begin - j->start,
                        .nearest = INFINITY,
                        .programs = j->programs,
                        .searching = mark != NULL};
    if (j->attack) {
        c.nearest = bfi_attack_nearest(j->attack)->margin;
        c.x = bfi_attack_nearest(j->attack)->x;
    }
    if (mark) c.search = *mark;
    bf_error problem = {""};
    if (bfi_checkpoint_write(o->checkpoint, &j->key, j->ledger, &c, &j->checkpoint_bytes,
                             &problem) == BF_STATUS_OK)
        j->checkpoints++;
    j->problem = problem;
    j->kept = bf_clock();
    j->cost = j->kept - begin;
    j->kept_last = now && mark;
    tell(j, true);
}
