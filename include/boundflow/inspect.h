/* Looking into plans and runs, as data: tasks, buffers, lowering, traces. For reports and pictures.
 *
 * Strings live as long as the plan. All functions are thread-safe on a shared plan; traces belong
 * to their workspace. Indices out of range give zeroed structs. */
#ifndef BOUNDFLOW_INSPECT_H
#define BOUNDFLOW_INSPECT_H

#include "boundflow/bounds.h"

/* A task: a run of steps. Tasks are in topological order; those of one wave may run at the same
 * time. */
typedef struct bf_task_info {
    const char *kind; /* "all", "forward", "layout", "backward", "spec" */
    const char *name; /* of its last step's node */
    int wave;
    int first_step, steps;
    int edges;
    int64_t rows; /* backward: rows at worst (all neurons of the layer); 0 else */
    double flops; /* per lane for backward tasks, in all for forward ones */
} bf_task_info;

BF_API int bf_plan_task_count(const bf_plan *plan);
BF_API bf_task_info bf_plan_task(const bf_plan *plan, int task);

/* Edge |edge| of |task|: the task |from| writes vectors of layer |layer| that it reads. */
typedef struct bf_edge_info {
    int from, layer;
} bf_edge_info;
BF_API bf_edge_info bf_plan_edge(const bf_plan *plan, int task, int edge);

/* A buffer with its place. Persistent vectors live over steps of the plan (offset in bytes from the
 * workspace's start); coefficient buffers of a task live over ops of its program (offset in bytes
 * from the start of a tile of |tile_lanes| lanes). */
typedef struct bf_buffer_info {
    const char *name;  /* role of a vector ("lo", "s_pos", ...), "A" for coefficients */
    const char *layer; /* node name */
    int task;          /* -1: persistent */
    int64_t bytes, offset;
    int first, last; /* steps, or ops of the program */
    int alias_of;    /* vector, or buffer of the same program, whose storage it takes over, -1:
                        none */
} bf_buffer_info;

BF_API int bf_plan_buffer_count(const bf_plan *plan);
BF_API bf_buffer_info bf_plan_buffer(const bf_plan *plan, int buffer);

/* Sizes: workspace = boxes * persistent + workers * tile. */
typedef struct bf_memory_info {
    int64_t persistent_bytes, tile_bytes, workspace_bytes, baseline_bytes, constant_bytes;
    int64_t tile_lanes;
    int64_t boxes; /* in flight */
    int workers, steps;
} bf_memory_info;
BF_API bf_memory_info bf_plan_memory(const bf_plan *plan);

/* How one op is run. */
typedef struct bf_lowering_info {
    const char *op;    /* e.g. "backward_linear" */
    const char *layer; /* node name */
    int task;
    const char *backend; /* "native", "reference", "scalar", "tvm" */
    const char *kernel;  /* name of the kernel */
    const char *key;     /* tvm: the compiled kernel with its shape and schedule; else NULL */
    const char *origin;  /* tvm: "stored" (found compiled), "compiled" (for this plan); else NULL */
    const char *schedule; /* hint */
    const char *layout;   /* of the data it reads and writes */
    const char *error;    /* error model */
    int64_t depth;        /* roundings a term passes at most; 0: exact */
    const char *reason;   /* why not the backend asked for; NULL: it is */
} bf_lowering_info;

BF_API int bf_plan_lowering_count(const bf_plan *plan);
BF_API bf_lowering_info bf_plan_lowering(const bf_plan *plan, int index);

/* What the graph passes did, or left alone and why: line |index| or NULL past the end. */
BF_API const char *bf_plan_rewrite(const bf_plan *plan, int index);

/* What |pass| left, as text (docs/ir.md); *|text| is the caller's to free(), NULL on failure.
 * "import", "simplify", "permute": the graph, long lists of numbers elided; "partition",
 * "liveness", "reuse": the backward programs, each time with more of their storage; "tasks": the
 * task graph; "vectors", "lower", "workspace": tables, as comments. BF_STATUS_INVALID_ARGUMENT
 * lists these names when |pass| is none of them. */
BF_API bf_status bf_plan_dump(const bf_plan *plan, const char *pass, char **text, bf_error *err);

/* Layouts of the values of the planned network, and what became of its transposes. A layout is only
 * a convention of how an array lies in memory; a transpose is an op. */
typedef struct bf_layout_info {
    const char *layer;
    char possible[64]; /* e.g. "nchw nhwc" */
    const char *preferred;
    char reason[160];
    int coefficients; /* 1: on the way back it has coefficients, which lie lanes-innermost */
} bf_layout_info;

typedef struct bf_permute_info {
    const char *mark;   /* "folded", "movable", "fixed" */
    const char *reason; /* with the node's name */
} bf_permute_info;

/* One entry per value; *|out| (free() it) has *|count| of them. */
BF_API bf_status bf_plan_layouts(const bf_plan *plan, bf_layout_info **out, int *count,
                                 bf_error *err);
BF_API int bf_plan_permute_count(const bf_plan *plan);
BF_API bf_permute_info bf_plan_permute(const bf_plan *plan, int index);

/* Starts recording in |workspace|, at most |events| of every later run together; replaces an older
 * trace. */
BF_API bf_status bf_workspace_trace(bf_workspace *workspace, int64_t events, bf_error *err);

typedef struct bf_trace_event {
    const char *name;  /* op, e.g. "interval_linear", "backward_conv2d" */
    const char *layer; /* node name */
    int task, worker;
    int64_t lanes;
    double flops;      /* multiply-adds times two: of its lanes, or the layer's intervals */
    double begin, end; /* bf_clock() seconds */
} bf_trace_event;

/* Recorded events (not more than there was room for) and how many were dropped. */
BF_API int64_t bf_workspace_trace_count(const bf_workspace *workspace, int64_t *dropped);
BF_API bf_trace_event bf_workspace_trace_event(const bf_workspace *workspace, int64_t index);

#endif
