/* What the printer and the parser of `.bfir` share: which op has which attributes and constants. */
#ifndef BFI_IR_TEXT_ATTR_H
#define BFI_IR_TEXT_ATTR_H

#include "ir/graph.h"

typedef enum bfi_attr_kind {
    BFI_ATTR_I64,
    BFI_ATTR_RANK,
    BFI_ATTR_AXES,
    BFI_ATTR_INT,
    BFI_ATTR_BOOL,
    BFI_ATTR_DOUBLE
} bfi_attr_kind;

enum {
#define BF_ATTR(name, kind, member, numbers, fallback, ops) BFI_ATTR_OF_##name,
#include "ir/text_attr.def"
#undef BF_ATTR
    BFI_ATTR_COUNT
};

typedef struct bfi_attr {
    const char *name;
    bfi_attr_kind kind;
    size_t offset; /* in bfi_attrs */
    int numbers;
    int fallback;
    uint64_t ops; /* bit of each op that has it */
} bfi_attr;

extern const bfi_attr bfi_attr_table[BFI_ATTR_COUNT];

/* The value that |attr| has when |op| does not tell, for one number of it. */
int bfi_attr_fallback(const bfi_attr *attr, bfi_op op);
bool bfi_attr_belongs(const bfi_attr *attr, bfi_op op);

/* Which of its constants an op may have. */
bool bfi_op_has_weight(bfi_op op);
bool bfi_op_has_bias(bfi_op op);
bool bfi_op_has_indices(bfi_op op);

#endif
