#include "ir/text_attr.h"

_Static_assert(BFI_OP_COUNT <= 64, "a set of ops is one 64-bit mask");
_Static_assert(offsetof(bfi_window, w_in) == offsetof(bfi_window, c_in) + 2 * sizeof(int64_t) &&
                   offsetof(bfi_window, w_out) == offsetof(bfi_window, c_out) + 2 * sizeof(int64_t),
               "sizes are written as one list");
_Static_assert(offsetof(bfi_window, kw) == offsetof(bfi_window, kh) + sizeof(int64_t) &&
                   offsetof(bfi_window, stride_w) ==
                       offsetof(bfi_window, stride_h) + sizeof(int64_t) &&
                   offsetof(bfi_window, dil_w) == offsetof(bfi_window, dil_h) + sizeof(int64_t) &&
                   offsetof(bfi_window, pad_left) ==
                       offsetof(bfi_window, pad_top) + sizeof(int64_t),
               "pairs are written as one list");

#define ON(op) (UINT64_C(1) << BFI_OP_##op)
#define WINDOWED (ON(CONV) | ON(CONV_TRANSPOSE) | ON(MAX_POOL) | ON(AVERAGE_POOL))
#define WEIGHTED (ON(LINEAR) | ON(CONV) | ON(CONV_TRANSPOSE) | ON(SCALE_SHIFT))

const bfi_attr bfi_attr_table[BFI_ATTR_COUNT] = {
#define BF_ATTR(name, kind, member, numbers, fallback, ops) \
    {#name, BFI_ATTR_##kind, offsetof(bfi_attrs, member), numbers, fallback, ops},
#include "ir/text_attr.def"
#undef BF_ATTR
};

bool bfi_attr_belongs(const bfi_attr *attr, bfi_op op) { return attr->ops >> op & 1u; }

int bfi_attr_fallback(const bfi_attr *attr, bfi_op op) {
    return bfi_attr_belongs(attr, op) ? attr->fallback : 0;
}

bool bfi_op_has_weight(bfi_op op) { return (WEIGHTED | ON(CONST)) >> op & 1u; }
bool bfi_op_has_bias(bfi_op op) { return WEIGHTED >> op & 1u; }
bool bfi_op_has_indices(bfi_op op) { return (ON(GATHER) | ON(RESIZE)) >> op & 1u; }
