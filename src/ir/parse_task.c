/* The task graph block of `.bfir`. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/parse.h"

/* An edge of the task at hand, and where it was written. */
typedef struct need {
    bfi_task_edge edge;
    size_t at;
} need;

typedef struct task_parser {
    bfi_lexer *lexer;
    const bfi_graph *graph;
    const bfi_program *programs;
    int program_count;
    bfi_task_graph *tasks;
    need *needs;
    size_t need_count, need_capacity;
    int *root;     /* of every value: itself, or what it is a reshape of */
    bool *forward; /* values whose forward step has come */
    bool *ran;     /* programs that a step has */
} task_parser;

static int by_edge(const void *left, const void *right) {
    const need *a = left, *b = right;
    if (a->edge.from != b->edge.from) return a->edge.from < b->edge.from ? -1 : 1;
    if (a->edge.value != b->edge.value) return a->edge.value < b->edge.value ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* "t0(%1)" */
static bf_status parse_need(task_parser *p, const bfi_task *task) {
    bfi_lexer *l = p->lexer;
    bfi_task_graph *g = p->tasks;
    void *needs = p->needs, *edges = g->edges;
    need n = {.at = l->at};
    TRY(bfi_lex_label(l, 't', "task", g->task_count - 1, &n.edge.from));
    if (g->tasks[n.edge.from].wave >= task->wave)
        return bfi_lex_fail(l, n.at, BF_STATUS_PARSE, "task t%d is not in an earlier wave",
                            n.edge.from);
    TRY(bfi_lex_expect(l, "("));
    TRY(bfi_lex_value(l, p->graph->count, &n.edge.value));
    TRY(bfi_lex_expect(l, ")"));
    if (g->edge_count == INT_MAX ||
        !bfi_grow(&needs, &p->need_capacity, p->need_count + 1, sizeof *p->needs))
        return bfi_fail_memory(l->err);
    p->needs = needs;
    p->needs[p->need_count++] = n;
    if (!bfi_grow(&edges, &g->edge_capacity, (size_t)g->edge_count + 1, sizeof *g->edges))
        return bfi_fail_memory(l->err);
    g->edges = edges;
    g->edges[g->edge_count++] = n.edge;
    return BF_STATUS_OK;
}

/* bfi_task_graph_add_edge would look at all pairs: sorting finds repetitions of any text fast. */
static bf_status parse_needs(task_parser *p) {
    bfi_task *task = &p->tasks->tasks[p->tasks->task_count - 1];
    p->need_count = 0;
    if (!bfi_lex_accept(p->lexer, "needs")) return BF_STATUS_OK;
    do TRY(parse_need(p, task));
    while (bfi_lex_at_label(p->lexer, 't'));
    task->edge_count = p->tasks->edge_count - task->first_edge;
    qsort(p->needs, p->need_count, sizeof *p->needs, by_edge);
    for (size_t i = 1; i < p->need_count; i++) {
        const bfi_task_edge *a = &p->needs[i - 1].edge, *b = &p->needs[i].edge;
        if (a->from == b->from && a->value == b->value)
            return bfi_lex_fail(p->lexer, p->needs[i].at, BF_STATUS_PARSE,
                                "t%d(%%%d) is named twice", b->from, b->value);
    }
    return BF_STATUS_OK;
}

static bool suits(bfi_step_kind step, bfi_task_kind task) {
    switch (task) {
        case BFI_TASK_FORWARD:
        case BFI_TASK_LAYOUT:
            return step == BFI_STEP_FORWARD;
        case BFI_TASK_BACKWARD:
            return step == BFI_STEP_BOUND;
        case BFI_TASK_SPEC:
            return step == BFI_STEP_SPEC;
        case BFI_TASK_REFINE:
            return step == BFI_STEP_REFINE;
        case BFI_TASK_OPTIMIZE:
            return step == BFI_STEP_OPTIMIZE || step == BFI_STEP_OPTIMIZE_SPEC;
        default:
            return true;
    }
}

/* Nothing twice, and nothing before the intervals that it starts from. |at|: of the step. */
static bf_status check_order(task_parser *p, const bfi_step *step, size_t at) {
    const bfi_node *node = &p->graph->nodes[step->node];
    if (step->kind == BFI_STEP_FORWARD) {
        if (p->forward[step->node])
            return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "%%%d is computed already",
                                step->node);
        for (int i = 0; i < node->n_inputs; i++)
            if (!p->forward[p->root[node->inputs[i]]])
                return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE,
                                    "%%%d reads %%%d, which no step above computes", step->node,
                                    p->root[node->inputs[i]]);
        p->forward[step->node] = true;
        return BF_STATUS_OK;
    }
    if (!p->forward[p->root[step->node]])
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "no step above computes %%%d",
                            p->root[step->node]);
    if (step->kind == BFI_STEP_REFINE) return BF_STATUS_OK;
    const bfi_program *program = &p->programs[step->program];
    for (int i = 0; i < program->op_count; i++)
        if (!p->forward[p->root[program->ops[i].node]])
            return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE,
                                "p%d reads %%%d, which no step above computes", step->program,
                                p->root[program->ops[i].node]);
    if (p->ran[step->program])
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "p%d has a step already", step->program);
    p->ran[step->program] = true;
    return BF_STATUS_OK;
}

/* "bound %4 program p0" */
static bf_status parse_step(task_parser *p, bfi_task *task) {
    bfi_lexer *l = p->lexer;
    bfi_step step = {.program = -1};
    size_t at = l->at;
    int kind = 0;
    while (kind < BFI_STEP_KINDS && !bfi_lex_is(l, bfi_step_kind_name((bfi_step_kind)kind))) kind++;
    if (kind == BFI_STEP_KINDS)
        return bfi_lex_expected(
            l, "'forward', 'bound', 'spec', 'refine', 'optimize' or 'optimize_spec'");
    step.kind = (bfi_step_kind)kind;
    if (!suits(step.kind, task->kind))
        return bfi_lex_fail(l, at, BF_STATUS_PARSE, "a task '%s' has no step '%s'",
                            bfi_task_kind_name(task->kind), bfi_step_kind_name(step.kind));
    bfi_lex_next(l);
    TRY(bfi_lex_value(l, p->graph->count, &step.node));
    if (!bfi_step_is_forward(step.kind)) {
        TRY(bfi_lex_expect(l, "program"));
        size_t named = l->at;
        TRY(bfi_lex_label(l, 'p', "program", p->program_count, &step.program));
        const bfi_program *program = &p->programs[step.program];
        if (program->target != step.node || program->spec != bfi_step_is_spec(step.kind))
            return bfi_lex_fail(l, named, BF_STATUS_PARSE,
                                "p%d is the program with target=%%%d spec=%s", step.program,
                                program->target, program->spec ? "true" : "false");
    }
    TRY(check_order(p, &step, at));
    if (p->tasks->step_count == INT_MAX || !bfi_task_graph_add_step(p->tasks, step))
        return bfi_fail_memory(l->err);
    task->count++;
    return BF_STATUS_OK;
}

/* "task t1 backward wave 1 needs t0(%1) t0(%0) { steps }" */
static bf_status parse_task(task_parser *p, int waves) {
    bfi_lexer *l = p->lexer;
    bfi_task_graph *g = p->tasks;
    size_t at = l->at;
    int id, kind = 0;
    int64_t wave;
    TRY(bfi_lex_expect(l, "task"));
    TRY(bfi_lex_label(l, 't', "task", (int64_t)g->task_count + 1, &id));
    if (id != g->task_count)
        return bfi_lex_fail(l, at, BF_STATUS_PARSE, "t%d is declared already: this is t%d", id,
                            g->task_count);
    while (kind < BFI_TASK_KINDS && !bfi_lex_accept(l, bfi_task_kind_name((bfi_task_kind)kind)))
        kind++;
    if (kind == BFI_TASK_KINDS)
        return bfi_lex_expected(
            l, "'all', 'forward', 'layout', 'backward', 'spec', 'refine' or 'optimize'");
    TRY(bfi_lex_expect(l, "wave"));
    TRY(bfi_lex_integer(l, "the wave", 0, waves - 1, &wave));
    bfi_task task = {.kind = (bfi_task_kind)kind, .first = g->step_count, .wave = (int)wave};
    if (g->task_count == INT_MAX || !bfi_task_graph_add_task(g, task))
        return bfi_fail_memory(l->err);
    TRY(parse_needs(p));
    TRY(bfi_lex_expect(l, "{"));
    do TRY(parse_step(p, &g->tasks[id]));
    while (!bfi_lex_accept(l, "}"));
    return BF_STATUS_OK;
}

static bf_status parse_tasks(task_parser *p) {
    bfi_lexer *l = p->lexer;
    size_t start = l->at;
    bf_error why;
    int64_t waves;
    TRY(bfi_lex_expect(l, "tasks"));
    TRY(bfi_lex_expect(l, "waves"));
    TRY(bfi_lex_expect(l, "="));
    TRY(bfi_lex_integer(l, "the number of waves", 0, INT_MAX, &waves));
    TRY(bfi_lex_expect(l, "{"));
    while (!bfi_lex_accept(l, "}")) TRY(parse_task(p, (int)waves));
    if (waves != p->tasks->wave_count)
        return bfi_lex_fail(l, start, BF_STATUS_PARSE, "the tasks have %d waves, not %d",
                            p->tasks->wave_count, (int)waves);
    if (bfi_task_graph_validate(p->tasks, &why) != BF_STATUS_OK)
        return bfi_lex_fail(l, start, BF_STATUS_PARSE, "%s", why.message);
    return BF_STATUS_OK;
}

static void find_roots(const bfi_graph *graph, int *root) {
    for (int id = 0; id < graph->count; id++)
        root[id] = graph->nodes[id].op == BFI_OP_RESHAPE ? root[graph->nodes[id].inputs[0]] : id;
}

bf_status bfi_parse_task_block(bfi_lexer *lexer, const bfi_graph *graph,
                               const bfi_program *programs, int program_count,
                               bfi_task_graph *out) {
    task_parser p = {.lexer = lexer,
                     .graph = graph,
                     .programs = programs,
                     .program_count = program_count,
                     .tasks = out,
                     .root = bfi_malloc((size_t)graph->count, sizeof(int)),
                     .forward = bfi_calloc((size_t)graph->count, sizeof(bool)),
                     .ran = bfi_calloc((size_t)program_count, sizeof(bool))};
    bf_status status = BF_STATUS_OK;
    *out = (bfi_task_graph){0};
    if (!p.root || !p.forward || !p.ran) status = bfi_fail_memory(lexer->err);
    if (status == BF_STATUS_OK) {
        find_roots(graph, p.root);
        status = parse_tasks(&p);
    }
    if (status != BF_STATUS_OK) bfi_task_graph_clear(out);
    free(p.needs);
    free(p.root);
    free(p.forward);
    free(p.ran);
    return status;
}
