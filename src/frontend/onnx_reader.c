/* TensorProto to host tensor. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

bool bfi_onnx_dtype(int32_t data_type, bfi_dtype *out) {
    switch (data_type) {
        case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
            *out = BFI_DTYPE_FLOAT32;
            return true;
        case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
            *out = BFI_DTYPE_FLOAT64;
            return true;
        case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
            *out = BFI_DTYPE_INT64;
            return true;
        case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
            *out = BFI_DTYPE_INT32;
            return true;
        case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
            *out = BFI_DTYPE_BOOL;
            return true;
        default:
            return false;
    }
}

static size_t element_size(bfi_dtype dtype) {
    static const size_t sizes[BFI_DTYPE_COUNT] = {4, 8, 8, 4, 1};
    return sizes[dtype];
}

/* Little-endian bytes to the low end of a word: no alignment, no host order assumed. */
static uint64_t load_bytes(const uint8_t *bytes, size_t size) {
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void read_raw(bfi_tensor *y, const uint8_t *bytes) {
    size_t size = element_size(y->dtype);
    for (int64_t i = 0; i < y->count; i++, bytes += size) {
        uint64_t word = load_bytes(bytes, size);
        uint32_t half = (uint32_t)word;
        float single;
        switch (y->dtype) {
            case BFI_DTYPE_FLOAT32:
                memcpy(&single, &half, sizeof single);
                y->real[i] = (double)single;
                break;
            case BFI_DTYPE_FLOAT64:
                memcpy(&y->real[i], &word, sizeof word);
                break;
            case BFI_DTYPE_INT64:
                y->integer[i] = (int64_t)word;
                break;
            case BFI_DTYPE_INT32:
                y->integer[i] = (int32_t)half;
                break;
            default:
                y->integer[i] = word != 0;
                break;
        }
    }
}

/* Elements in the typed field that belongs to |dtype|. */
static size_t typed_count(const Onnx__TensorProto *proto, bfi_dtype dtype) {
    switch (dtype) {
        case BFI_DTYPE_FLOAT32:
            return proto->n_float_data;
        case BFI_DTYPE_FLOAT64:
            return proto->n_double_data;
        case BFI_DTYPE_INT64:
            return proto->n_int64_data;
        default:
            return proto->n_int32_data;
    }
}

static void read_typed(bfi_tensor *y, const Onnx__TensorProto *proto) {
    for (int64_t i = 0; i < y->count; i++) {
        switch (y->dtype) {
            case BFI_DTYPE_FLOAT32:
                y->real[i] = (double)proto->float_data[i];
                break;
            case BFI_DTYPE_FLOAT64:
                y->real[i] = proto->double_data[i];
                break;
            case BFI_DTYPE_INT64:
                y->integer[i] = proto->int64_data[i];
                break;
            case BFI_DTYPE_INT32:
                y->integer[i] = proto->int32_data[i];
                break;
            default:
                y->integer[i] = proto->int32_data[i] != 0;
                break;
        }
    }
}

static bf_status fail_tensor(bfi_import *im, bf_status code, const char *what,
                             const char *problem) {
    return bfi_fail(im->err, code, "%s: tensor '%.*s': %s", im->file, BFI_ONNX_NAME_SHOWN, what,
                    problem);
}

static bf_status check_finite(bfi_import *im, const bfi_tensor *y, const char *what) {
    for (int64_t i = 0; y->real && i < y->count; i++) {
        if (isfinite(y->real[i])) continue;
        return bfi_fail(
            im->err, BF_STATUS_PARSE,
            "%s: tensor '%.*s': element %" PRId64 " is %s: only finite numbers can be verified",
            im->file, BFI_ONNX_NAME_SHOWN, what, i, isnan(y->real[i]) ? "NaN" : "infinite");
    }
    return BF_STATUS_OK;
}

static bf_status read_shape(bfi_import *im, const Onnx__TensorProto *proto, const char *what,
                            bfi_shape *shape) {
    if (proto->n_dims > BFI_MAX_RANK)
        return fail_tensor(im, BF_STATUS_UNSUPPORTED, what, "has more than 8 dimensions");
    shape->rank = (int)proto->n_dims;
    for (int i = 0; i < shape->rank; i++) {
        shape->dim[i] = proto->dims[i];
        if (shape->dim[i] < 0)
            return fail_tensor(im, BF_STATUS_SHAPE, what, "has a negative dimension");
    }
    if (!bfi_shape_is_sane(shape))
        return fail_tensor(im, BF_STATUS_LIMIT, what, "has more than 2^31-1 elements");
    return BF_STATUS_OK;
}

bf_status bfi_onnx_read_tensor(bfi_import *im, const Onnx__TensorProto *proto, const char *what,
                               bfi_tensor **out) {
    bfi_shape shape = {0};
    bfi_dtype dtype;
    if (proto->n_external_data > 0 || (proto->has_data_location && proto->data_location != 0))
        return fail_tensor(im, BF_STATUS_UNSUPPORTED, what,
                           "is stored outside the file: save the model with its weights inside");
    if (proto->segment)
        return fail_tensor(im, BF_STATUS_UNSUPPORTED, what, "is stored in segments");
    if (!proto->has_data_type || !bfi_onnx_dtype(proto->data_type, &dtype))
        return fail_tensor(im, BF_STATUS_UNSUPPORTED, what,
                           "has an element type other than float, double, int64, int32 and bool");
    BFI_TRY(read_shape(im, proto, what, &shape));
    /* The data must be there before memory is asked for: sizes in a file are claims. */
    size_t count = (size_t)bfi_shape_count(&shape, BFI_MAX_COUNT);
    size_t there =
        proto->has_raw_data ? proto->raw_data.len / element_size(dtype) : typed_count(proto, dtype);
    if (there != count || (proto->has_raw_data && proto->raw_data.len % element_size(dtype) != 0))
        return fail_tensor(im, BF_STATUS_SHAPE, what, "its data do not fill its shape");
    bfi_tensor *y = bfi_tensor_new(dtype, &shape, BFI_MAX_COUNT);
    if (!y) return bfi_fail_memory(im->err);
    if (proto->has_raw_data)
        read_raw(y, proto->raw_data.data);
    else
        read_typed(y, proto);
    bf_status st = check_finite(im, y, what);
    if (st == BF_STATUS_OK)
        *out = y;
    else
        bfi_tensor_free(y);
    return st;
}
