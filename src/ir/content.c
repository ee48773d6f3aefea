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

static bool all_float32(const double *x, int64_t n) {
    bool all = true;
    for (int64_t i = 0; i < n; i++) all &= (double)(float)x[i] == x[i];
    return all;
}

/* Numbers that are float32 as such: half the bytes, and hashing weights is most of an identity. */
static void add_numbers(bfi_blake2b *hash, const bfi_numbers *numbers) {
    const double *x = numbers->data;
    int64_t n = numbers->count;
    bool narrow = all_float32(x, n);
    bfi_content_integer(hash, n);
    bfi_content_integer(hash, narrow ? 4 : 8);
    if (!narrow) {
        bfi_blake2b_add(hash, x, (size_t)n * sizeof *x);
        return;
    }
    float part[1024];
    for (int64_t from = 0; from < n; from += 1024) {
        int64_t count = n - from < 1024 ? n - from : 1024;
        for (int64_t i = 0; i < count; i++) part[i] = (float)x[from + i];
        bfi_blake2b_add(hash, part, (size_t)count * sizeof *part);
    }
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
