#include "frontend/npy.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"

enum { MAGIC_LENGTH = 6, HEADER_ALIGN = 64, MAX_HEADER = 1 << 20 };
static const char magic[MAGIC_LENGTH + 1] = "\x93NUMPY";

static const size_t file_limit = (size_t)1 << 36;

typedef enum element { F4, F8, I4, I8, U1, B1 } element;

typedef struct header {
    element element;
    bool fortran;
    int32_t rank;
    int64_t dims[BFI_ARRAY_MAX_RANK];
    int64_t count;
} header;

typedef struct reader {
    const char *at, *end;
    const char *name;
    bf_error *err;
} reader;

static size_t size_of(element e) { return e == F8 || e == I8 ? 8 : e == F4 || e == I4 ? 4 : 1; }

static bf_status fail(reader *r, bf_status code, const char *what) {
    return bfi_fail(r->err, code, "%s: %s", r->name, what);
}

static void skip_blanks(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t')) r->at++;
}

/* Takes |text| after blanks when it is there. */
static bool take(reader *r, const char *text) {
    skip_blanks(r);
    size_t length = strlen(text);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, text, length) != 0) return false;
    r->at += length;
    return true;
}

static bf_status read_string(reader *r, char *out, size_t capacity) {
    char quote = take(r, "'") ? '\'' : take(r, "\"") ? '"' : '\0';
    size_t length = 0;
    if (!quote) return fail(r, BF_STATUS_PARSE, "the .npy header lacks a quoted word");
    while (r->at < r->end && *r->at != quote) {
        if (length + 1 >= capacity) return fail(r, BF_STATUS_UNSUPPORTED, "unknown .npy header word");
        out[length++] = *r->at++;
    }
    if (r->at == r->end) return fail(r, BF_STATUS_PARSE, "the .npy header has an open quotation mark");
    r->at++;
    out[length] = '\0';
    return BF_STATUS_OK;
}

static bf_status read_element(reader *r, header *h) {
    static const struct {
        const char *name;
        element element;
    } known[] = {{"<f4", F4}, {"<f8", F8}, {"<i4", I4}, {"<i8", I8},
                 {"|u1", U1}, {"<u1", U1}, {"|b1", B1}, {"<b1", B1}};
    char word[16];
    skip_blanks(r);
    if (r->at < r->end && *r->at == '[')
        return fail(r, BF_STATUS_UNSUPPORTED, "structured .npy arrays are not read");
    bf_status status = read_string(r, word, sizeof word);
    if (status != BF_STATUS_OK) return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(word, known[i].name) != 0) continue;
        h->element = known[i].element;
        return BF_STATUS_OK;
    }
    return bfi_fail(r->err, BF_STATUS_UNSUPPORTED,
                    "%s: element type '%s' is not read; save it as float32 or float64", r->name, word);
}

static bool read_dimension(reader *r, int64_t *out) {
    int64_t value = 0;
    const char *first = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (!bfi_mul_i64(value, 10, &value) ||
            __builtin_add_overflow(value, (int64_t)(*r->at - '0'), &value))
            return false;
    *out = value;
    return r->at > first;
}

static bf_status read_shape(reader *r, header *h) {
    if (!take(r, "(")) return fail(r, BF_STATUS_PARSE, "the .npy header has no shape tuple");
    h->rank = 0;
    h->count = 1;
    while (!take(r, ")")) {
        int64_t dim;
        if (h->rank == BFI_ARRAY_MAX_RANK)
            return fail(r, BF_STATUS_UNSUPPORTED, "arrays of more than 8 dimensions are not read");
        if (!read_dimension(r, &dim) || !bfi_mul_i64(h->count, dim, &h->count))
            return fail(r, BF_STATUS_PARSE, "the .npy header has an impossible shape");
        h->dims[h->rank++] = dim;
        skip_blanks(r);
        if (!take(r, ",") && (r->at == r->end || *r->at != ')'))
            return fail(r, BF_STATUS_PARSE, "the .npy header has an impossible shape");
    }
    return BF_STATUS_OK;
}

static bf_status read_entry(reader *r, header *h, unsigned *seen) {
    char key[16];
    bf_status status = read_string(r, key, sizeof key);
    if (status != BF_STATUS_OK) return status;
    unsigned bit = !strcmp(key, "descr") ? 1 : !strcmp(key, "fortran_order") ? 2
                 : !strcmp(key, "shape") ? 4 : 0;
    if (!bit || (*seen & bit))
        return bfi_fail(r->err, BF_STATUS_PARSE, "%s: unexpected key '%s' in the .npy header", r->name,
                        key);
    *seen |= bit;
    if (!take(r, ":")) return fail(r, BF_STATUS_PARSE, "the .npy header lacks a ':'");
    if (bit == 1) return read_element(r, h);
    if (bit == 4) return read_shape(r, h);
    h->fortran = take(r, "True");
    if (!h->fortran && !take(r, "False"))
        return fail(r, BF_STATUS_PARSE, "fortran_order is neither True nor False");
    return BF_STATUS_OK;
}

static bf_status read_dictionary(reader *r, header *h) {
    unsigned seen = 0;
    if (!take(r, "{")) return fail(r, BF_STATUS_PARSE, "the .npy header is no dictionary");
    while (!take(r, "}")) {
        bf_status status = read_entry(r, h, &seen);
        if (status != BF_STATUS_OK) return status;
        skip_blanks(r);
        if (!take(r, ",") && (r->at == r->end || *r->at != '}'))
            return fail(r, BF_STATUS_PARSE, "the .npy header lacks a ',' or '}'");
    }
    if (seen != 7)
        return fail(r, BF_STATUS_PARSE, "the .npy header lacks descr, fortran_order or shape");
    skip_blanks(r);
    if (r->at != r->end) return fail(r, BF_STATUS_PARSE, "text behind the .npy header's dictionary");
    return BF_STATUS_OK;
}

/* Leaves |r| at the data. */
static bf_status read_header(reader *r, header *h) {
    size_t size = (size_t)(r->end - r->at);
    const unsigned char *bytes = (const unsigned char *)r->at;
    if (size < 10 || memcmp(bytes, magic, MAGIC_LENGTH) != 0)
        return fail(r, BF_STATUS_PARSE, "no .npy file (wrong first bytes)");
    int version = bytes[6];
    if (version < 1 || version > 3 || bytes[7] != 0)
        return fail(r, BF_STATUS_UNSUPPORTED, "a .npy version other than 1.0, 2.0 and 3.0");
    size_t prefix = version == 1 ? 10 : 12;
    if (size < prefix) return fail(r, BF_STATUS_PARSE, "truncated .npy header");
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (version > 1) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > MAX_HEADER) return fail(r, BF_STATUS_LIMIT, "a .npy header of more than 1 MiB");
    if (length > size - prefix) return fail(r, BF_STATUS_PARSE, "truncated .npy header");
    reader inner = {r->at + prefix, r->at + prefix + length, r->name, r->err};
    r->at += prefix + length;
    return read_dictionary(&inner, h);
}

static bf_status check_size(reader *r, const header *h) {
    int64_t bytes, held = r->end - r->at;
    if (!bfi_mul_i64(h->count, (int64_t)size_of(h->element), &bytes))
        return fail(r, BF_STATUS_LIMIT, "the shape asks for more bytes than can exist");
    if (bytes == held) return BF_STATUS_OK;
    return bfi_fail(r->err, BF_STATUS_PARSE, "%s: %s: the shape needs %lld bytes of data, the file has %lld",
                    r->name, held < bytes ? "truncated" : "trailing bytes", (long long)bytes,
                    (long long)held);
}

static uint64_t little_endian(const char *at, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | (unsigned char)at[i];
    return value;
}

static bool is_inexact(uint64_t bits) {
    uint64_t magnitude = bits >> 63 ? 0 - bits : bits;
    return magnitude > UINT64_C(1) << 53;
}

static double decode(element e, const char *at) {
    uint64_t bits = little_endian(at, size_of(e));
    double f8;
    float f4;
    switch (e) {
    case F8: memcpy(&f8, &bits, sizeof f8); return f8;
    case F4: {
        uint32_t low = (uint32_t)bits;
        memcpy(&f4, &low, sizeof f4);
        return (double)f4;
    }
    case I8: return (double)(int64_t)bits;
    case I4: return (double)(int32_t)(uint32_t)bits;
    case U1: return (double)bits;
    case B1: return bits ? 1 : 0;
    }
    return 0;
}

/* Position in C order of each element in turn, when the first index runs fastest. */
static void decode_fortran(const header *h, const char *at, double *out) {
    int64_t index[BFI_ARRAY_MAX_RANK] = {0}, stride[BFI_ARRAY_MAX_RANK] = {0}, position = 0;
    for (int32_t d = h->rank - 1; d >= 0; d--)
        stride[d] = d == h->rank - 1 ? 1 : stride[d + 1] * h->dims[d + 1];
    for (int64_t i = 0; i < h->count; i++, at += size_of(h->element)) {
        out[position] = decode(h->element, at);
        for (int32_t d = 0; d < h->rank; d++) {
            position += stride[d];
            if (++index[d] < h->dims[d]) break;
            position -= index[d] * stride[d];
            index[d] = 0;
        }
    }
}

bf_status bfi_npy_parse(const void *bytes, size_t size, const char *name, bf_array *out,
                        bf_error *err) {
    reader r = {bytes, (const char *)bytes + size, name, err};
    header h = {0};
    bf_status status = read_header(&r, &h);
    if (status == BF_STATUS_OK) status = check_size(&r, &h);
    if (status != BF_STATUS_OK) return status;
    for (int64_t i = 0; h.element == I8 && i < h.count; i++)
        if (is_inexact(little_endian(r.at + 8 * i, 8)))
            return fail(&r, BF_STATUS_UNSUPPORTED, "an integer beyond 2^53, which no double can hold");
    double *data = bfi_malloc((size_t)h.count, sizeof *data);
    if (!data) return bfi_fail_memory(err);
    if (h.fortran)
        decode_fortran(&h, r.at, data);
    else
        for (int64_t i = 0; i < h.count; i++)
            data[i] = decode(h.element, r.at + i * (int64_t)size_of(h.element));
    *out = (bf_array){.rank = h.rank, .count = h.count, .data = data};
    memcpy(out->dims, h.dims, sizeof h.dims);
    return BF_STATUS_OK;
}

bf_status bfi_npy_read(const char *path, bf_array *out, bf_error *err) {
    char *bytes = NULL;
    size_t size = 0;
    bf_status status = bfi_file_read(path, file_limit, &bytes, &size, err);
    if (status == BF_STATUS_OK) status = bfi_npy_parse(bytes, size, path, out, err);
    free(bytes);
    return status;
}

/* The header with its prefix, padded so that the data start at a multiple of 64. */
static size_t write_header(const int64_t *dims, int32_t rank, char *out, size_t capacity) {
    size_t used = 10;
    used += (size_t)snprintf(out + used, capacity - used,
                             "{'descr': '<f8', 'fortran_order': False, 'shape': (");
    for (int32_t d = 0; d < rank; d++)
        used += (size_t)snprintf(out + used, capacity - used, d + 1 < rank ? "%lld, " : "%lld,",
                                 (long long)dims[d]);
    used += (size_t)snprintf(out + used, capacity - used, "), }");
    size_t total = (used + HEADER_ALIGN) / HEADER_ALIGN * HEADER_ALIGN;
    memset(out + used, ' ', total - 1 - used);
    out[total - 1] = '\n';
    memcpy(out, magic, MAGIC_LENGTH);
    out[6] = 1;
    out[7] = 0;
    out[8] = (char)((total - 10) & 255);
    out[9] = (char)((total - 10) >> 8);
    return total;
}

bf_status bfi_npy_write_f64(const char *path, const double *data, const int64_t *dims, int32_t rank,
                            bf_error *err) {
    int64_t count = 1;
    bool ok = rank >= 0 && rank <= BFI_ARRAY_MAX_RANK;
    for (int32_t d = 0; ok && d < rank; d++) ok = dims[d] >= 0 && bfi_mul_i64(count, dims[d], &count);
    size_t bytes;
    if (!ok || !bfi_mul_size((size_t)count, 8, &bytes) || bytes > SIZE_MAX - 1024)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "%s: not a shape that can be written", path);
    unsigned char *file = bfi_malloc(bytes + 1024, 1);
    if (!file) return bfi_fail_memory(err);
    size_t start = write_header(dims, rank, (char *)file, 1024);
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &data[i], sizeof bits);
        for (size_t b = 0; b < 8; b++) file[start + 8 * (size_t)i + b] = (unsigned char)(bits >> 8 * b);
    }
    bf_status status = bfi_file_write(path, file, start + bytes, err);
    free(file);
    return status;
}

void bfi_array_clear(bf_array *array) {
    if (!array) return;
    free(array->data);
    *array = (bf_array){0};
}
