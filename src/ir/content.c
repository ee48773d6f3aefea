#include "ir/content.h"

#include "ir/text_attr.h"

void bfi_content_integer(bfi_blake2b *hash, int64_t value) {
    bfi_blake2b_add(hash, &value, sizeof value);
}

void bfi_content_double(bfi_blake2b *hash, double value) {
    bfi_blake2b_add(hash, &value, sizeof value);
}

void bfi_content_digest(bfi_blake2b *hash, const bfi_digest *digest) {
    bfi_blake2b_add(hash, digest->bytes, sizeof digest->bytes);
}

static void add_shape(bfi_blake2b *hash, const bfi_shape *shape) {
    bfi_content_integer(hash, shape->rank);
    for (int i = 0; i < shape->rank; i++) bfi_content_integer(hash, shape->dim[i]);
}

static void add_attr(bfi_blake2b *hash, const bfi_attr *attr, const bfi_attrs *attrs) {
    const char *at = (const char *)attrs + attr->offset;
    int numbers =
        attr->kind == BFI_ATTR_RANK || attr->kind == BFI_ATTR_AXES ? BFI_MAX_RANK : attr->numbers;
    for (int i = 0; i < numbers; i++) switch (attr->kind) {
            case BFI_ATTR_I64:
            case BFI_ATTR_RANK:
                bfi_content_integer(hash, ((const int64_t *)(const void *)at)[i]);
                break;
            case BFI_ATTR_AXES:
            case BFI_ATTR_BOOL:
                bfi_content_integer(hash, ((const bool *)at)[i]);
                break;
            case BFI_ATTR_INT:
                bfi_content_integer(hash, ((const int *)(const void *)at)[i]);
                break;
            case BFI_ATTR_DOUBLE:
                bfi_content_double(hash, ((const double *)(const void *)at)[i]);
                break;
        }
}

static void add_numbers(bfi_blake2b *hash, const bfi_numbers *numbers) {
    bfi_content_integer(hash, numbers->count);
    bfi_blake2b_add(hash, numbers->data, (size_t)numbers->count * sizeof *numbers->data);
}

void bfi_content_node(bfi_blake2b *hash, const bfi_node *node) {
    bfi_content_integer(hash, node->op);
    add_shape(hash, &node->shape);
    for (int i = 0; i < BFI_ATTR_COUNT; i++)
        if (bfi_attr_belongs(&bfi_attr_table[i], node->op))
            add_attr(hash, &bfi_attr_table[i], &node->attrs);
    add_numbers(hash, &node->weight);
    add_numbers(hash, &node->bias);
    add_numbers(hash, &node->bias_error);
    add_shape(hash, &node->indices_shape);
    bfi_content_integer(hash, node->n_indices);
    bfi_blake2b_add(hash, node->indices, (size_t)node->n_indices * sizeof *node->indices);
}
