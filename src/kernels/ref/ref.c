/* Reference tables: plain scalar loops, the oracle of the vector ones. */
#include <math.h>
#include <stdbool.h>

#include "kernels/kernel.h"

/* Source coordinate of tap |k| for destination |d| along one axis; -1 when outside or between
 * samples. */
static int64_t source_coordinate(int transposed, int64_t d, int64_t k, int64_t stride, int64_t dil,
                                 int64_t pad, int64_t size) {
    int64_t s = transposed ? d + pad - k * dil : d * stride - pad + k * dil;
    if (transposed) {
        if (s < 0 || s % stride != 0) return -1;
        s /= stride;
    }
    return s >= 0 && s < size ? s : -1;
}

/* Index of the source pixel of tap (ky, kx) for destination (dy, dx) within its channel; -1
 * outside. */
static int64_t source_pixel(const bfi_conv *c, int64_t dy, int64_t dx, int64_t ky, int64_t kx) {
    int64_t sy =
        source_coordinate(c->transposed, dy, ky, c->stride_h, c->dil_h, c->pad_top, c->h_src);
    int64_t sx =
        source_coordinate(c->transposed, dx, kx, c->stride_w, c->dil_w, c->pad_left, c->w_src);
    return sy < 0 || sx < 0 ? -1 : sy * c->w_src + sx;
}

static int64_t destination(const bfi_conv *c, int64_t g, int64_t m, int64_t dy, int64_t dx) {
    return ((g * c->c_dst + m) * c->h_dst + dy) * c->w_dst + dx;
}

/* max(|lo|, |hi|) */
static double largest(double lo, double hi) {
    double a = fabs(lo), b = fabs(hi);
    return a > b || a != a ? a : b;
}

#define T float
#define FMA fmaf
#define SQRT sqrtf
#define DTYPE BFI_F32
#define NAME(x) x##_f32
#include "ref_kernels.inc"
#undef T
#undef FMA
#undef SQRT
#undef DTYPE
#undef NAME

#define T double
#define FMA fma
#define SQRT sqrt
#define DTYPE BFI_F64
#define NAME(x) x##_f64
#include "ref_kernels.inc"

const bfi_kernels *bfi_kernels_ref(bfi_dtype dtype) {
    return dtype == BFI_F32 ? &table_f32 : &table_f64;
}
