/* Tasks: what a plan runs, as a directed acyclic graph over buffers.
 *
 * A step is the forward (interval) transfer of one node, the backward program that bounds one
 * value, or the program of the spec. A task is a run of steps; its edges are the vectors that one
 * task writes and another reads. Tasks stand in topological order; tasks of one wave do not depend
 * on each other and may run at the same time. */
#ifndef BFI_IR_TASK_H
#define BFI_IR_TASK_H

#include "ir/graph.h"

typedef enum bfi_step_kind {
    BFI_STEP_FORWARD,
    BFI_STEP_BOUND,
    BFI_STEP_SPEC,
    BFI_STEP_REFINE,       /* a forward transfer again, from better intervals */
    BFI_STEP_OPTIMIZE,     /* BOUND with slopes that are optimised */
    BFI_STEP_OPTIMIZE_SPEC /* SPEC likewise */
} bfi_step_kind;

typedef struct bfi_step {
    bfi_step_kind kind;
    int node;    /* FORWARD, REFINE: its node; BOUND, OPTIMIZE: the value that is bounded; SPEC,
                    OPTIMIZE_SPEC: the output */
    int program; /* -1: FORWARD, REFINE */
} bfi_step;

typedef enum bfi_task_kind {
    BFI_TASK_ALL,      /* partition 0: everything */
    BFI_TASK_FORWARD,  /* a region of forward steps */
    BFI_TASK_LAYOUT,   /* forward steps that only move elements */
    BFI_TASK_BACKWARD, /* one bounded layer */
    BFI_TASK_SPEC,     /* the rows of C, or the outputs */
    BFI_TASK_REFINE,   /* a region of refine steps */
    BFI_TASK_OPTIMIZE  /* one bounded layer, or the rows of C, with optimised slopes */
} bfi_task_kind;

static inline bool bfi_step_is_forward(bfi_step_kind kind) {
    return kind == BFI_STEP_FORWARD || kind == BFI_STEP_REFINE;
}
static inline bool bfi_step_is_spec(bfi_step_kind kind) {
    return kind == BFI_STEP_SPEC || kind == BFI_STEP_OPTIMIZE_SPEC;
}

typedef struct bfi_task {
    bfi_task_kind kind;
    int first, count; /* steps */
    int wave;         /* every dependency is in an earlier one */
    int first_edge, edge_count;
} bfi_task;

/* Buffer edge: |from| writes vectors of value |value| that the task reads. */
typedef struct bfi_task_edge {
    int from, value;
} bfi_task_edge;

typedef struct bfi_task_graph {
    bfi_step *steps;
    int step_count;
    size_t step_capacity;
    bfi_task *tasks;
    int task_count;
    size_t task_capacity;
    bfi_task_edge *edges;
    int edge_count;
    size_t edge_capacity;
    int wave_count;
} bfi_task_graph;

enum { BFI_STEP_KINDS = BFI_STEP_OPTIMIZE_SPEC + 1, BFI_TASK_KINDS = BFI_TASK_OPTIMIZE + 1 };

const char *bfi_step_kind_name(bfi_step_kind kind);
const char *bfi_task_kind_name(bfi_task_kind kind);

void bfi_task_graph_clear(bfi_task_graph *graph);
/* Appends; false when out of memory. */
bool bfi_task_graph_add_step(bfi_task_graph *graph, bfi_step step);
bool bfi_task_graph_add_task(bfi_task_graph *graph, bfi_task task);
/* Adds an edge to the last task, once per (from, value). */
bool bfi_task_graph_add_edge(bfi_task_graph *graph, bfi_task_edge edge);

/* Steps covered once and in order, edges from earlier tasks and waves. */
bf_status bfi_task_graph_validate(const bfi_task_graph *graph, bf_error *err);

#endif
