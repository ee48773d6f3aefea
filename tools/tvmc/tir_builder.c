#include "tir_builder.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

static const bfi_dl_dtype index_dtype = {BFI_DL_INT, 64, 1};

static bfi_dl_dtype number_dtype(const tir *b, int lanes) {
    return (bfi_dl_dtype){BFI_DL_FLOAT, b->dtype == BFI_F32 ? 32 : 64, (uint16_t)lanes};
}

static any type_of(tir *b, int lanes) {
    assert(lanes >= 1 && lanes <= 16);
    if (b->number_types[lanes].kind == BFI_FFI_NONE)
        b->number_types[lanes] = CALL(b->t, PRIM_TYPE, any_dtype(number_dtype(b, lanes)));
    return b->number_types[lanes];
}

static any intrinsic(tir *b, const char *name) {
    any id = CALL(b->t, INTRINSIC_ID, any_text(name));
    if (!b->t->failed && id.u.i == 0) tvm_fail(b->t, "LLVM has no intrinsic %s", name);
    return CALL(b->t, INT_IMM, any_dtype((bfi_dl_dtype){BFI_DL_UINT, 32, 1}), id, any_none());
}

void tir_begin(tir *b, tvm *t, bfi_dtype dtype) {
    memset(b, 0, sizeof *b);
    b->t = t;
    b->dtype = dtype;
    b->type_missing = CALL0(t, TYPE_MISSING);
    b->index_type = CALL(t, PRIM_TYPE, any_dtype(index_dtype));
    b->call_op = CALL(t, GET_OP, any_text("tirx.call_llvm_pure_intrin"));
    b->id_fma = intrinsic(b, "llvm.fma");
    b->id_abs = intrinsic(b, "llvm.fabs");
}

static void emit(tir *b, any statement) {
    void *items = b->statements;
    if (b->t->failed) return;
    if (!bfi_grow(&items, &b->capacity, b->count + 1, sizeof *b->statements)) {
        tvm_fail(b->t, "out of memory");
        return;
    }
    b->statements = items;
    b->statements[b->count++] = statement;
}

static any array_of(tir *b, const any *items, size_t count) {
    return tvm_call(b->t, TVM_ARRAY, items, (int)count);
}

/* The statements from |first| on as one; they leave the list. */
static any gather(tir *b, size_t first) {
    if (!b->t->failed && b->count == first) tvm_fail(b->t, "a block without statements");
    if (b->t->failed) return any_none();
    size_t n = b->count - first;
    any body = b->statements[first];
    if (n > 1) body = CALL(b->t, SEQ, array_of(b, b->statements + first, n), any_none());
    b->count = first;
    return body;
}

any tir_finish(tir *b, bool aliased) {
    assert(b->t->failed || b->depth == 0);
    any body = gather(b, 0);
    any attrs = CALL(b->t, MAKE_OBJECT, any_text("ir.DictAttrs"), any_text("__dict__"),
                     CALL(b->t, MAP, any_text("tirx.noalias"), any_bool(!aliased)));
    any function = CALL(b->t, PRIM_FUNC, array_of(b, b->params, (size_t)b->param_count), body,
                        b->type_missing, attrs, any_none());
    free(b->statements);
    b->statements = NULL;
    return function;
}

static any buffer_type(tir *b, const char *scope, any dtype, any elements) {
    return CALL(b->t, BUFFER_TYPE, any_text(scope), dtype, array_of(b, &elements, 1),
                CALL0(b->t, ARRAY), any_none(), any_int(64), any_int(0), any_none(),
                CALL0(b->t, ARRAY), any_none());
}

void tir_param(tir *b, any var) {
    assert(b->param_count < TIR_PARAMS);
    b->params[b->param_count++] = var;
}

any tir_param_array(tir *b, const char *name, any elements) {
    any type = buffer_type(b, "global", any_dtype(number_dtype(b, 1)), elements);
    any var = CALL(b->t, BUFFER_VAR, any_text(name), type, any_none());
    tir_param(b, var);
    return var;
}

any tir_var(tir *b, const char *name) {
    return CALL(b->t, VAR, any_text(name), b->index_type, any_none());
}

any tir_param_int(tir *b, const char *name) {
    any var = tir_var(b, name);
    tir_param(b, var);
    return var;
}

any tir_int(tir *b, int64_t value) {
    return CALL(b->t, INT_IMM, any_dtype(index_dtype), any_int(value), any_none());
}

any tir_add(tir *b, any x, any y) { return CALL(b->t, ADD, x, y, any_none()); }
any tir_sub(tir *b, any x, any y) { return CALL(b->t, SUB, x, y, any_none()); }
any tir_mul(tir *b, any x, any y) { return CALL(b->t, MUL, x, y, any_none()); }
any tir_div(tir *b, any x, any y) { return CALL(b->t, DIV, x, y, any_none()); }
any tir_mod(tir *b, any x, any y) { return CALL(b->t, MOD, x, y, any_none()); }
any tir_min(tir *b, any x, any y) { return CALL(b->t, MIN, x, y, any_none()); }
any tir_max(tir *b, any x, any y) { return CALL(b->t, MAX, x, y, any_none()); }
any tir_eq(tir *b, any x, any y) { return CALL(b->t, EQ, x, y, any_none()); }
any tir_lt(tir *b, any x, any y) { return CALL(b->t, LT, x, y, any_none()); }
any tir_add_int(tir *b, any x, int64_t y) { return tir_add(b, x, tir_int(b, y)); }
any tir_mul_int(tir *b, any x, int64_t y) { return tir_mul(b, x, tir_int(b, y)); }

any tir_select(tir *b, any condition, any x, any y) {
    return CALL(b->t, SELECT, condition, x, y, any_none());
}

any tir_splat(tir *b, any scalar, int lanes) {
    if (lanes == 1) return scalar;
    any count = CALL(b->t, INT_IMM, any_dtype((bfi_dl_dtype){BFI_DL_INT, 32, 1}), any_int(lanes),
                     any_none());
    return CALL(b->t, BROADCAST, scalar, count, any_none());
}

any tir_zero(tir *b, int lanes) {
    any zero = CALL(b->t, FLOAT_IMM, any_dtype(number_dtype(b, 1)), any_float(0), any_none());
    return tir_splat(b, zero, lanes);
}

any tir_sum(tir *b, any x, any y) { return tir_add(b, x, y); }
any tir_difference(tir *b, any x, any y) { return tir_sub(b, x, y); }
any tir_product(tir *b, any x, any y) { return tir_mul(b, x, y); }

static any call_intrinsic(tir *b, const any *args, size_t count, int lanes) {
    return CALL(b->t, CALL, type_of(b, lanes), b->call_op, array_of(b, args, count), any_none(),
                CALL0(b->t, ARRAY), any_none());
}

any tir_fma(tir *b, any x, any y, any z, int lanes) {
    return call_intrinsic(b, (const any[]){b->id_fma, x, y, z}, 4, lanes);
}

any tir_abs(tir *b, any x, int lanes) {
    return call_intrinsic(b, (const any[]){b->id_abs, x}, 2, lanes);
}

any tir_nonneg(tir *b, any x, int lanes) {
    return CALL(b->t, GE, x, tir_zero(b, lanes), any_none());
}

any tir_greater(tir *b, any x, any y) { return CALL(b->t, LT, y, x, any_none()); }
any tir_is_nan(tir *b, any x) { return CALL(b->t, IS_NAN, x, any_none()); }
any tir_or(tir *b, any x, any y) { return CALL(b->t, OR, x, y, any_none()); }
any tir_and(tir *b, any x, any y) { return CALL(b->t, AND, x, y, any_none()); }
any tir_is_zero(tir *b, any x, int lanes) { return tir_eq(b, x, tir_zero(b, lanes)); }

any tir_not_zero(tir *b, any x) {
    /* not NE, nor Not of EQ: TVM makes both false for NaN. LLVM finds the one comparison that this
     * is. */
    return tir_or(b, tir_lt(b, tir_zero(b, 1), tir_abs(b, x, 1)), tir_is_nan(b, x));
}

/* Index expression of |lanes| neighbours. */
static any span_of(tir *b, any index, int lanes) {
    if (lanes == 1) return array_of(b, &index, 1);
    any count = CALL(b->t, INT_IMM, any_dtype((bfi_dl_dtype){BFI_DL_INT, 32, 1}), any_int(lanes),
                     any_none());
    any ramp = CALL(b->t, RAMP, index, tir_int(b, 1), count, any_none());
    return array_of(b, &ramp, 1);
}

any tir_load(tir *b, any array, any index, int lanes) {
    return CALL(b->t, BUFFER_LOAD, array, span_of(b, index, lanes), any_none());
}

void tir_store(tir *b, any array, any index, any value, int lanes) {
    emit(b, CALL(b->t, BUFFER_STORE, array, value, span_of(b, index, lanes), any_none()));
}

static any local_of(tir *b, const char *name, any dtype, int64_t count) {
    any type = buffer_type(b, "global", dtype, tir_int(b, count));
    any var = CALL(b->t, BUFFER_VAR, any_text(name), type, any_none());
    emit(b, CALL(b->t, ALLOC_BUFFER, var, CALL0(b->t, MAP), any_none()));
    return var;
}

any tir_local(tir *b, const char *name, int lanes, int64_t count) {
    return local_of(b, name, any_dtype(number_dtype(b, lanes)), count);
}

any tir_local_index(tir *b, const char *name) {
    return local_of(b, name, any_dtype(index_dtype), 1);
}

any tir_get(tir *b, any local, int64_t position) {
    return tir_load(b, local, tir_int(b, position), 1);
}

void tir_set(tir *b, any local, int64_t position, any value) {
    tir_store(b, local, tir_int(b, position), value, 1);
}

static any bind(tir *b, const char *name, any type, any value) {
    any var = CALL(b->t, VAR, any_text(name), type, any_none());
    emit(b, CALL(b->t, BIND, var, value, any_none()));
    return var;
}

any tir_let(tir *b, const char *name, any value) { return bind(b, name, b->index_type, value); }

any tir_let_number(tir *b, const char *name, any value, int lanes) {
    return bind(b, name, type_of(b, lanes), value);
}

static tir_frame *open_frame(tir *b) {
    assert(b->depth < TIR_DEPTH);
    tir_frame *f = &b->frames[b->depth++];
    *f = (tir_frame){.first = b->count};
    return f;
}

any tir_for(tir *b, const char *name, any low, any high, tir_loop_kind kind) {
    tir_frame *f = open_frame(b);
    f->kind = kind;
    f->low = low;
    f->extent = tir_sub(b, high, low);
    f->var = tir_var(b, name);
    return f->var;
}

any tir_for_int(tir *b, const char *name, int64_t count) {
    return tir_for(b, name, tir_int(b, 0), tir_int(b, count), TIR_SERIAL);
}

void tir_if(tir *b, any condition) { open_frame(b)->condition = condition; }

void tir_end(tir *b) {
    assert(b->depth > 0);
    tir_frame f = b->frames[--b->depth];
    any body = gather(b, f.first);
    if (f.extent.kind != BFI_FFI_NONE)
        emit(b, CALL(b->t, FOR, f.var, f.low, f.extent, any_int((int64_t)f.kind), body, any_none(),
                     CALL0(b->t, MAP), any_none(), any_none()));
    else
        emit(b, CALL(b->t, IF, f.condition, body, any_none(), any_none()));
}
