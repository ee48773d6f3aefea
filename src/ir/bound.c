#include "ir/bound.h"

#include <stdlib.h>

#include "base/alloc.h"

static const struct {
    const char *name;
    bool in_place;
} kinds[] = {
#define BF_BACK_OP(NAME, text, in_place, meaning) {text, in_place},
#include "ir/bound_op.def"
#undef BF_BACK_OP
};

const char *bfi_back_name(bfi_back_kind kind) { return kinds[kind].name; }

bool bfi_back_in_place(bfi_back_kind kind) { return kinds[kind].in_place; }

bool bfi_back_crosses(const bfi_back_op *op) {
    switch (op->kind) {
        case BFI_BACK_LINEAR:
        case BFI_BACK_CONV:
        case BFI_BACK_SCALE:
        case BFI_BACK_PASS:
        case BFI_BACK_RELAX:
        case BFI_BACK_POOL:
        case BFI_BACK_BOX:
            return true;
        case BFI_BACK_SPARSE:
        case BFI_BACK_PLANE:
            return op->which == 0;
        default: /* seeds, sums and negations leave the value as it is */
            return false;
    }
}

void bfi_program_clear(bfi_program *program) {
    free(program->ops);
    free(program->buffers);
    *program = (bfi_program){0};
}

int bfi_program_add_buffer(bfi_program *program, int64_t count) {
    if (!bfi_grow((void **)&program->buffers, &program->buffer_capacity,
                  (size_t)program->buffer_count + 1, sizeof *program->buffers))
        return -1;
    program->buffers[program->buffer_count] =
        (bfi_buffer){.count = count, .first = -1, .last = -1, .alias_of = -1, .offset = -1};
    return program->buffer_count++;
}

int bfi_program_add_op(bfi_program *program, bfi_back_op op) {
    if (!bfi_grow((void **)&program->ops, &program->op_capacity, (size_t)program->op_count + 1,
                  sizeof *program->ops))
        return -1;
    program->ops[program->op_count] = op;
    return program->op_count++;
}

int bfi_shared_vectors(const bfi_node *node) {
    int vectors = bfi_slope_vectors(node);
    return vectors == BFI_SLOPE_SMOOTH_VECTORS ? BFI_SHARED_CHANGES + 4 : vectors;
}

int bfi_slope_vectors(const bfi_node *node) {
    switch (node->op) {
        case BFI_OP_RELU:
            return BFI_SLOPE_KINK_VECTORS;
        case BFI_OP_LEAKY_RELU: /* convex: every slope in between is a lower line */
            return node->attrs.slope >= 0 && node->attrs.slope < 1 ? BFI_SLOPE_KINK_VECTORS : 0;
        case BFI_OP_SIGMOID:
        case BFI_OP_TANH:
            return BFI_SLOPE_SMOOTH_VECTORS;
        default:
            return 0;
    }
}

static bool reads(const bfi_back_op *op, int buffer) {
    return op->a == buffer || op->b == buffer || op->c == buffer;
}

/* Operands that ops of |kind| need: 1 a, 2 b, 4 out, 8 c; |may|: those they may do without. */
static int needs(bfi_back_kind kind, int *may) {
    *may = 0;
    switch (kind) {
        case BFI_BACK_SEED_SPEC:
        case BFI_BACK_SEED_UNIT:
        case BFI_BACK_SEED_LINEAR:
        case BFI_BACK_SEED_CONV:
        case BFI_BACK_SLOPES:
            return 4;
        case BFI_BACK_RELAX:
            *may = 2;
            return 5;
        case BFI_BACK_MOMENTS:
            *may = 2;
            return 5;
        case BFI_BACK_ADJOINT_RELAX:
            *may = 4 | 8;
            return 3;
        case BFI_BACK_SCALE:
            *may = 4;
            return 1;
        case BFI_BACK_PASS:
        case BFI_BACK_BOX:
        case BFI_BACK_TRY:
        case BFI_BACK_ADJOINT_SPEC:
            return 1;
        case BFI_BACK_ACCUMULATE:
        case BFI_BACK_LINEARIZE:
        case BFI_BACK_ADJOINT_ADD:
        case BFI_BACK_ADJOINT_SUB:
        case BFI_BACK_ADJOINT_PLANE:
        case BFI_BACK_ADJOINT_POOL:
            return 7;
        default:
            return 5;
    }
}

static bf_status check_op(const bfi_program *p, const bfi_graph *graph, int index, bf_error *err) {
    const bfi_back_op *op = &p->ops[index];
    if ((unsigned)op->kind >= BFI_BACK_COUNT)
        return bfi_fail(err, BF_STATUS_INTERNAL, "bound op %d: kind %d does not exist", index,
                        (int)op->kind);
    if (op->node < 0 || op->node >= graph->count)
        return bfi_fail(err, BF_STATUS_INTERNAL, "bound op %d: node %d does not exist", index,
                        op->node);
    const int used[4] = {op->a, op->b, op->out, op->c};
    int may, must = needs(op->kind, &may);
    for (int i = 0; i < 4; i++) {
        if (used[i] < -1 || used[i] >= p->buffer_count)
            return bfi_fail(err, BF_STATUS_INTERNAL, "bound op %d: buffer %d does not exist", index,
                            used[i]);
        bool here = used[i] >= 0, needed = must & 1 << i;
        if (here != needed && !(may & 1 << i))
            return bfi_fail(err, BF_STATUS_INTERNAL, "bound op %d (%s) %s operand %d", index,
                            bfi_back_name(op->kind), here ? "has no use for" : "lacks", i);
        int first = here ? p->buffers[used[i]].first : -1;
        if (i != 2 && here && (first < 0 || first >= index))
            return bfi_fail(err, BF_STATUS_INTERNAL,
                            "bound op %d reads buffer %d before it is written", index, used[i]);
        if (i == 2 && here && first != index)
            return bfi_fail(err, BF_STATUS_INTERNAL,
                            "bound op %d writes buffer %d, which op %d writes", index, used[i],
                            first);
    }
    return BF_STATUS_OK;
}

static bool overlap(const bfi_buffer *x, const bfi_buffer *y) {
    return x->offset < y->offset + y->count && y->offset < x->offset + x->count;
}

bf_status bfi_program_validate(const bfi_program *p, const bfi_graph *graph, bf_error *err) {
    if (p->loop < 0 || p->adjoint < p->loop || p->mix < p->adjoint || p->op_count < p->mix ||
        (p->shared && (p->loop > 0 || !bfi_program_optimises(p))))
        return bfi_fail(err, BF_STATUS_INTERNAL,
                        "the parts of a program begin at ops %d, %d and %d of %d", p->loop,
                        p->adjoint, p->mix, p->op_count);
    for (int i = 0; i < p->op_count; i++) {
        bf_status status = check_op(p, graph, i, err);
        if (status != BF_STATUS_OK) return status;
    }
    for (int x = 0; x < p->buffer_count; x++) {
        const bfi_buffer *bx = &p->buffers[x];
        if (bx->offset < 0 || bx->count < 0 || bx->count > p->height ||
            bx->offset > p->height - bx->count)
            return bfi_fail(err, BF_STATUS_INTERNAL, "buffer %d lies outside the storage plan", x);
        for (int y = 0; y < x; y++) {
            const bfi_buffer *by = &p->buffers[y];
            bool live_together = bx->first <= by->last && by->first <= bx->last;
            bool handed_over =
                (bx->alias_of == y && bx->first == by->last && reads(&p->ops[bx->first], y) &&
                 bfi_back_in_place(p->ops[bx->first].kind)) ||
                (by->alias_of == x && by->first == bx->last && reads(&p->ops[by->first], x) &&
                 bfi_back_in_place(p->ops[by->first].kind));
            if (live_together && !handed_over && overlap(bx, by))
                return bfi_fail(err, BF_STATUS_INTERNAL,
                                "buffers %d and %d are live together and overlap", y, x);
        }
    }
    return BF_STATUS_OK;
}
