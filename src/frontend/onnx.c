/* The import: names, order, one handler per node, then simplification. */
#include "frontend/onnx.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "frontend/onnx_import.h"
#include "frontend/simplify.h"

enum { MIN_OPSET = 7, MAX_OPSET = 21 };

#define FILE_LIMIT ((size_t)1 << 31)
/* Elements of constants made at load time, on top of one per byte of the file. */
#define FOLD_BUDGET ((int64_t)1 << 27)

void bfi_onnx_opsets(int64_t *least, int64_t *most) {
    *least = MIN_OPSET;
    *most = MAX_OPSET;
}

static bool is_default_domain(const char *domain) {
    return !domain || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

static bf_status read_opset(bfi_import *im, const Onnx__ModelProto *model) {
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (is_default_domain(model->opset_import[i]->domain))
            im->opset = model->opset_import[i]->version;
    if (im->opset >= MIN_OPSET && im->opset <= MAX_OPSET) return BF_STATUS_OK;
    return bfi_fail(im->err, BF_STATUS_UNSUPPORTED,
                    "%s: uses opset %" PRId64
                    ": opsets %d to %d can be read (onnx.version_converter "
                    "translates others)",
                    im->file, im->opset, MIN_OPSET, MAX_OPSET);
}

static bf_status fail_value(bfi_import *im, bf_status code, const char *name, const char *problem) {
    return bfi_fail(im->err, code, "%s: value '%.*s': %s", im->file, BFI_ONNX_NAME_SHOWN, name,
                    problem);
}

static bf_status define(bfi_import *im, const bfi_onnx_value *value) {
    bool existing;
    if (!bfi_onnx_names_define(im->names, value, &existing)) return bfi_fail_memory(im->err);
    return existing ? fail_value(im, BF_STATUS_PARSE, value->name, "is defined twice")
                    : BF_STATUS_OK;
}

static bf_status define_initializers(bfi_import *im, const Onnx__GraphProto *graph) {
    if (graph->n_sparse_initializer > 0)
        return bfi_fail(im->err, BF_STATUS_UNSUPPORTED,
                        "%s: has sparse initializers: save it with dense ones", im->file);
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (!tensor->name || !tensor->name[0])
            return bfi_fail(im->err, BF_STATUS_PARSE, "%s: initializer %zu has no name", im->file,
                            i);
        BFI_TRY(
            define(im, &(bfi_onnx_value){.name = tensor->name, .initializer = tensor, .id = -1}));
    }
    return BF_STATUS_OK;
}

/* The shape of the network's input. A first dimension that is symbolic, missing or 0 is the
 * batch: 1. */
static bf_status input_shape(bfi_import *im, const char *name, const Onnx__TypeProto__Tensor *type,
                             bfi_shape *shape) {
    if (!type->shape) return fail_value(im, BF_STATUS_UNSUPPORTED, name, "the input has no shape");
    if (type->shape->n_dim > BFI_MAX_RANK)
        return fail_value(im, BF_STATUS_UNSUPPORTED, name, "the input has more than 8 dimensions");
    shape->rank = (int)type->shape->n_dim;
    for (int i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = type->shape->dim[i];
        bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        shape->dim[i] = known ? dim->dim_value : 0;
        if (i == 0 && (shape->dim[i] == 0 || shape->dim[i] == -1)) shape->dim[i] = 1;
        if (shape->dim[i] <= 0)
            return fail_value(
                im, BF_STATUS_UNSUPPORTED, name,
                "the input has a dimension, not the first, that is symbolic or not positive");
    }
    if (bfi_shape_count(shape, BFI_MAX_COUNT) < 0)
        return fail_value(im, BF_STATUS_LIMIT, name, "the input has more than 2^31-1 elements");
    return BF_STATUS_OK;
}

/* Name, shape and type of a graph input. */
static bf_status read_input(bfi_import *im, const Onnx__ValueInfoProto *input, bfi_shape *shape,
                            bfi_dtype *dtype) {
    const char *name = input->name;
    if (!input->type || input->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return fail_value(im, BF_STATUS_UNSUPPORTED, name, "the input is no tensor");
    const Onnx__TypeProto__Tensor *type = input->type->tensor_type;
    if (!type->has_elem_type || !bfi_onnx_dtype(type->elem_type, dtype) ||
        !bfi_dtype_is_real(*dtype))
        return fail_value(im, BF_STATUS_UNSUPPORTED, name,
                          "the input must be of type float or double");
    return input_shape(im, name, type, shape);
}

static int add_node(bfi_import *im, bfi_op op, const char *name, const char *onnx_op, int from,
                    const bfi_shape *shape) {
    char *kept = bfi_strndup(name, strnlen(name, BFI_ONNX_NAME_KEPT));
    int id = kept ? bfi_graph_add(im->graph, op, kept, onnx_op, &from, from >= 0, shape) : -1;
    free(kept);
    return id;
}

/* An input among several: |first| is where it begins in value 0. */
static bf_status cut_input(bfi_import *im, const char *name, const bfi_shape *shape,
                           int64_t first) {
    bfi_shape flat = {1, {bfi_shape_count(shape, BFI_MAX_COUNT)}};
    int id = add_node(im, BFI_OP_SLICE, name, "Input", 0, &flat);
    if (id < 0) return bfi_fail_memory(im->err);
    im->graph->nodes[id].attrs.start[0] = first;
    im->graph->nodes[id].attrs.step[0] = 1;
    if (!bfi_shape_equal(&flat, shape)) id = add_node(im, BFI_OP_RESHAPE, name, "Input", id, shape);
    if (id < 0) return bfi_fail_memory(im->err);
    return define(im, &(bfi_onnx_value){.name = name, .id = id});
}

/* Makes value 0 of the inputs |of|: the one, or all of them one behind the other. */
static bf_status join_inputs(bfi_import *im, const Onnx__ValueInfoProto *const *of, int count) {
    bfi_shape *shapes = im->graph->inputs, all = {1, {0}};
    for (int i = 0; i < count; i++) {
        all.dim[0] += bfi_shape_count(&shapes[i], BFI_MAX_COUNT);
        if (all.dim[0] > BFI_MAX_COUNT)
            return fail_value(im, BF_STATUS_LIMIT, of[i]->name,
                              "the inputs have more than 2^31-1 elements");
    }
    const char *name = of[0]->name;
    free(im->graph->input_name);
    im->graph->input_name = bfi_strndup(name, strnlen(name, BFI_ONNX_NAME_KEPT));
    if (!im->graph->input_name ||
        add_node(im, BFI_OP_INPUT, name, "Input", -1, count > 1 ? &all : shapes) != 0)
        return bfi_fail_memory(im->err);
    if (count == 1) return define(im, &(bfi_onnx_value){.name = name, .id = 0});
    im->graph->n_inputs = count;
    for (int64_t i = 0, first = 0; i < count; i++) {
        BFI_TRY(cut_input(im, of[i]->name, &shapes[i], first));
        first += bfi_shape_count(&shapes[i], BFI_MAX_COUNT);
    }
    return BF_STATUS_OK;
}

/* Graph inputs that are initializers too are defaults of old files, not inputs. */
static bf_status find_inputs(bfi_import *im, const Onnx__GraphProto *graph,
                             const Onnx__ValueInfoProto **of, int *count) {
    for (size_t i = 0; i < graph->n_input; i++) {
        const Onnx__ValueInfoProto *input = graph->input[i];
        bfi_dtype dtype = BFI_DTYPE_FLOAT32;
        if (!input->name || !input->name[0])
            return bfi_fail(im->err, BF_STATUS_PARSE, "%s: graph input %zu has no name", im->file,
                            i);
        if (bfi_onnx_names_find(im->names, input->name)) continue;
        BFI_TRY(read_input(im, input, &im->graph->inputs[*count], &dtype));
        bool wide = dtype == BFI_DTYPE_FLOAT64;
        if (*count > 0 && wide != im->graph->is_float64)
            return fail_value(im, BF_STATUS_UNSUPPORTED, input->name,
                              "the inputs are of different types");
        im->graph->is_float64 = wide;
        of[(*count)++] = input;
    }
    if (*count > 0) return BF_STATUS_OK;
    return bfi_fail(im->err, BF_STATUS_UNSUPPORTED, "%s: the network has no input", im->file);
}

static bf_status define_inputs(bfi_import *im, const Onnx__GraphProto *graph) {
    int count = 0;
    const Onnx__ValueInfoProto **of = bfi_calloc(graph->n_input, sizeof *of);
    im->graph->inputs = bfi_calloc(graph->n_input, sizeof *im->graph->inputs);
    bf_status st = of && im->graph->inputs ? BF_STATUS_OK : bfi_fail_memory(im->err);
    if (st == BF_STATUS_OK) st = find_inputs(im, graph, of, &count);
    if (st == BF_STATUS_OK) st = join_inputs(im, of, count);
    free(of);
    return st;
}

/* ---- order: nodes as listed; one that is listed too early waits for its last input ---- */

typedef struct ordering {
    const Onnx__GraphProto *graph;
    bfi_onnx_names *producers; /* output name -> node index in |id| */
    size_t *missing;           /* per node: inputs not computed yet */
    size_t *first, *edge;      /* readers of node i: edge[first[i]] .. edge[first[i+1]-1] */
    size_t *order, n_order;
    size_t *stack;
} ordering;

static void ordering_clear(ordering *o) {
    bfi_onnx_names_free(o->producers);
    free(o->missing);
    free(o->first);
    free(o->edge);
    free(o->order);
    free(o->stack);
}

static bf_status collect_producers(bfi_import *im, ordering *o) {
    o->producers = bfi_onnx_names_new(o->graph->n_node);
    if (!o->producers || o->graph->n_node > INT32_MAX) return bfi_fail_memory(im->err);
    for (size_t i = 0; i < o->graph->n_node; i++) {
        const Onnx__NodeProto *node = o->graph->node[i];
        for (size_t k = 0; k < node->n_output; k++) {
            bool existing;
            bfi_onnx_value value = {.name = node->output[k], .id = (int)i};
            if (!value.name[0]) continue;
            if (!bfi_onnx_names_define(o->producers, &value, &existing))
                return bfi_fail_memory(im->err);
            if (existing || bfi_onnx_names_find(im->names, value.name))
                return fail_value(im, BF_STATUS_PARSE, value.name, "is defined twice");
        }
    }
    return BF_STATUS_OK;
}

/* Counts (edge NULL) or stores the readers of every node. */
static void visit_edges(ordering *o, bool store) {
    for (size_t i = 0; i < o->graph->n_node; i++) {
        const Onnx__NodeProto *node = o->graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            const bfi_onnx_value *from = bfi_onnx_names_find(o->producers, node->input[k]);
            if (!from) continue;
            if (store) {
                o->edge[o->first[from->id]++] = i;
            } else {
                o->first[from->id + 1]++;
                o->missing[i]++;
            }
        }
    }
}

static bool collect_readers(ordering *o) {
    size_t n = o->graph->n_node;
    o->missing = bfi_calloc(n, sizeof *o->missing);
    o->first = bfi_calloc(n + 2, sizeof *o->first);
    o->order = bfi_calloc(n, sizeof *o->order);
    o->stack = bfi_calloc(n, sizeof *o->stack);
    if (!o->missing || !o->first || !o->order || !o->stack) return false;
    visit_edges(o, false);
    for (size_t i = 0; i < n; i++) o->first[i + 1] += o->first[i];
    o->edge = bfi_calloc(o->first[n], sizeof *o->edge);
    if (!o->edge) return false;
    visit_edges(o, true);
    /* Storing moved first[i] to the start of node i + 1. */
    memmove(o->first + 1, o->first, n * sizeof *o->first);
    o->first[0] = 0;
    return true;
}

/* Appends node |i|, then every earlier-listed node that only waited for it. */
static void append(ordering *o, size_t i) {
    size_t depth = 0;
    size_t cursor = i;
    o->stack[depth++] = i;
    while (depth > 0) {
        size_t node = o->stack[--depth];
        o->order[o->n_order++] = node;
        for (size_t e = o->first[node]; e < o->first[node + 1]; e++)
            if (--o->missing[o->edge[e]] == 0 && o->edge[e] < cursor)
                o->stack[depth++] = o->edge[e];
    }
}

static bf_status sort_nodes(bfi_import *im, ordering *o) {
    BFI_TRY(collect_producers(im, o));
    if (!collect_readers(o)) return bfi_fail_memory(im->err);
    for (size_t i = 0; i < o->graph->n_node; i++)
        if (o->missing[i] == 0) append(o, i);
    for (size_t i = 0; o->n_order < o->graph->n_node && i < o->graph->n_node; i++)
        if (o->missing[i] > 0)
            return bfi_fail(im->err, BF_STATUS_PARSE,
                            "%s: node '%.*s' (%.32s): lies on or behind a cycle", im->file,
                            BFI_ONNX_NAME_SHOWN,
                            o->graph->node[i]->name ? o->graph->node[i]->name : "",
                            o->graph->node[i]->op_type ? o->graph->node[i]->op_type : "");
    return BF_STATUS_OK;
}

/* ---- one node ---- */

static void set_label(bfi_import *im, const Onnx__NodeProto *node) {
    const char *name = node->name && node->name[0] ? node->name
                       : node->n_output            ? node->output[0]
                                                   : "";
    snprintf(im->label, sizeof im->label, "%.*s", BFI_ONNX_NAME_KEPT, name);
}

static bf_status check_attributes(bfi_import *im, const bfi_onnx_op *op) {
    for (size_t i = 0; i < im->node->n_attribute; i++) {
        char padded[64];
        const char *name = im->node->attribute[i]->name;
        if (!name) return bfi_onnx_fail(im, BF_STATUS_PARSE, "an attribute has no name");
        int length = snprintf(padded, sizeof padded, " %s ", name);
        if (length < 0 || (size_t)length >= sizeof padded || strchr(name, ' ') ||
            !strstr(op->attributes, padded))
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "attribute '%.*s' is not known",
                                 BFI_ONNX_NAME_SHOWN, name);
    }
    return BF_STATUS_OK;
}

static bf_status import_node(bfi_import *im, const Onnx__NodeProto *node) {
    im->node = node;
    set_label(im, node);
    if (!node->op_type) return bfi_onnx_fail(im, BF_STATUS_PARSE, "has no op type");
    const bfi_onnx_op *op =
        is_default_domain(node->domain) ? bfi_onnx_find_op(node->op_type) : NULL;
    if (!op) return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "this op cannot be imported");
    if (node->n_output == 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "has no output");
    if (node->n_input < op->min_inputs || node->n_input > op->max_inputs)
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "has %zu inputs, %zu to %zu are allowed",
                             node->n_input, op->min_inputs, op->max_inputs);
    BFI_TRY(check_attributes(im, op));
    BFI_TRY(op->import(im));
    for (size_t i = 0; i < node->n_output; i++)
        if (node->output[i][0] && !bfi_onnx_names_find(im->names, node->output[i]))
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                                 "output %zu of this op cannot be imported", i);
    return BF_STATUS_OK;
}

/* Marks the nodes that the outputs depend on: others (and what is wrong in them) do not matter. */
static void mark_needed(const ordering *o, size_t *needed) {
    for (size_t i = 0; i < o->graph->n_output; i++) {
        const bfi_onnx_value *last = bfi_onnx_names_find(o->producers, o->graph->output[i]->name);
        if (last) needed[last->id] = 1;
    }
    for (size_t i = o->n_order; i-- > 0;) {
        const Onnx__NodeProto *node = o->graph->node[o->order[i]];
        for (size_t k = 0; needed[o->order[i]] && k < node->n_input; k++) {
            const bfi_onnx_value *from = bfi_onnx_names_find(o->producers, node->input[k]);
            if (from) needed[from->id] = 1;
        }
    }
}

static bf_status import_nodes(bfi_import *im, const Onnx__GraphProto *graph) {
    ordering o = {.graph = graph};
    bf_status st = sort_nodes(im, &o);
    if (st == BF_STATUS_OK) {
        memset(o.stack, 0, graph->n_node * sizeof *o.stack);
        mark_needed(&o, o.stack);
        for (size_t i = 0; i < o.n_order && st == BF_STATUS_OK; i++)
            if (o.stack[o.order[i]]) st = import_node(im, graph->node[o.order[i]]);
    }
    ordering_clear(&o);
    return st;
}

static bf_status check_outputs(bfi_import *im, const Onnx__GraphProto *graph) {
    bool named = graph->n_output > 0;
    for (size_t i = 0; i < graph->n_output; i++)
        named = named && graph->output[i]->name && graph->output[i]->name[0];
    if (named) return BF_STATUS_OK;
    return bfi_fail(im->err, BF_STATUS_UNSUPPORTED,
                    "%s: the network has %zu outputs, or one without a name", im->file,
                    graph->n_output);
}

static bf_status output_value(bfi_import *im, const char *name, int *id) {
    const bfi_onnx_value *value = bfi_onnx_names_find(im->names, name);
    if (!value)
        return fail_value(im, BF_STATUS_PARSE, name,
                          "is the network's output, but nothing computes it");
    if (value->id < 0)
        return fail_value(im, BF_STATUS_UNSUPPORTED, name, "is the network's output, but constant");
    *id = value->id;
    return BF_STATUS_OK;
}

/* Joins the outputs |ids|, one behind the other. */
static bf_status join_outputs(bfi_import *im, const Onnx__GraphProto *graph, int *ids) {
    bfi_graph *g = im->graph;
    bfi_shape all = {1, {0}};
    for (int i = 0; i < (int)graph->n_output; i++) {
        bfi_shape flat = {1, {g->nodes[ids[i]].count}};
        g->outputs[g->n_outputs++] = g->nodes[ids[i]].shape;
        all.dim[0] += flat.dim[0];
        if (all.dim[0] > BFI_MAX_COUNT)
            return fail_value(im, BF_STATUS_LIMIT, graph->output[i]->name,
                              "the outputs have more than 2^31-1 elements");
        ids[i] = add_node(im, BFI_OP_RESHAPE, graph->output[i]->name, "Output", ids[i], &flat);
        if (ids[i] < 0) return bfi_fail_memory(im->err);
    }
    g->output = bfi_graph_add(g, BFI_OP_CONCAT, "outputs", "Output", ids, g->n_outputs, &all);
    return g->output >= 0 ? BF_STATUS_OK : bfi_fail_memory(im->err);
}

static bf_status set_outputs(bfi_import *im, const Onnx__GraphProto *graph) {
    size_t count = graph->n_output;
    const char *name = graph->output[0]->name;
    int *ids = bfi_calloc(count, sizeof *ids);
    free(im->graph->output_name);
    im->graph->output_name = bfi_strndup(name, strnlen(name, BFI_ONNX_NAME_KEPT));
    im->graph->outputs = bfi_calloc(count, sizeof *im->graph->outputs);
    bool memory = ids && im->graph->output_name && im->graph->outputs && count < INT32_MAX;
    bf_status st = memory ? BF_STATUS_OK : bfi_fail_memory(im->err);
    for (size_t i = 0; i < count && st == BF_STATUS_OK; i++)
        st = output_value(im, graph->output[i]->name, &ids[i]);
    if (st == BF_STATUS_OK) im->graph->output = ids[0];
    if (st == BF_STATUS_OK && count > 1) st = join_outputs(im, graph, ids);
    free(ids);
    return st;
}

static bf_status import_model(bfi_import *im, const Onnx__ModelProto *model) {
    const Onnx__GraphProto *graph = model->graph;
    if (!graph)
        return bfi_fail(im->err, BF_STATUS_PARSE, "%s: holds no graph: is it an ONNX model?",
                        im->file);
    BFI_TRY(read_opset(im, model));
    BFI_TRY(check_outputs(im, graph));
    im->names = bfi_onnx_names_new(graph->n_initializer + graph->n_node);
    im->graph = bfi_graph_new();
    if (!im->names || !im->graph) return bfi_fail_memory(im->err);
    free(im->graph->source);
    im->graph->source = bfi_strdup(im->file);
    if (!im->graph->source) return bfi_fail_memory(im->err);
    BFI_TRY(define_initializers(im, graph));
    BFI_TRY(define_inputs(im, graph));
    BFI_TRY(import_nodes(im, graph));
    BFI_TRY(set_outputs(im, graph));
    BFI_TRY(bfi_graph_simplify(im->graph, im->err));
    return bfi_graph_validate(im->graph, im->err);
}

bf_status bfi_onnx_parse(const void *data, size_t size, const char *name, bfi_graph **out,
                         bf_error *err) {
    Onnx__ModelProto *model = NULL;
    bfi_import im = {.file = name, .budget = FOLD_BUDGET + (int64_t)size, .err = err};
    BFI_TRY(bfi_onnx_unpack(data, size, name, &model, err));
    bf_status st = import_model(&im, model);
    bfi_onnx_names_free(im.names);
    onnx__model_proto__free_unpacked(model, NULL);
    if (st == BF_STATUS_OK)
        *out = im.graph;
    else
        bfi_graph_free(im.graph);
    return st;
}

bf_status bfi_onnx_load(const char *path, bfi_graph **out, bf_error *err) {
    char *data;
    size_t size;
    BFI_TRY(bfi_file_read(path, FILE_LIMIT, &data, &size, err));
    bf_status st = bfi_onnx_parse(data, size, path, out, err);
    free(data);
    return st;
}
