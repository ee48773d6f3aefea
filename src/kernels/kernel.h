/* Bound kernels: the interface of every ISA's table. Kernels do not allocate, call libc, keep state
 * or read outside their buffers.
 *
 * Data layout. A "lanes" array holds n elements for |lanes| lanes, element j of lane l at [j * ls +
 * l] (rows innermost). ls is a multiple of BF_LANE_PAD and arrays are 64-byte aligned, except that
 * lanes == ls == 1 (a single lane, packed) is allowed too. lanes <= ls; a kernel may compute and
 * write the padding lanes [lanes, ls) of its outputs, whose inputs are always initialised. Element
 * type of every void pointer: the table's dtype. Inputs and outputs do not overlap unless said so.
 *
 * Arithmetic (base/fp.h): one lane's result depends on nothing but that lane's inputs. Sums run in
 * index order with fma in blocks of BF_SUM_BLOCK of the original index; block sums are added in
 * order (the first block's sum is the start, not added to zero). All tables give the same bits. */
#ifndef BFI_KERNELS_KERNEL_H
#define BFI_KERNELS_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fp.h"

#define BF_LANE_PAD 16 /* lanes: ls is a multiple of this (64 bytes of float32) */
#define BF_PACK 16     /* outputs per packed weight panel */

/* Weights of out[m] = sum_k w[m][k] in[k], panels of BF_PACK outputs: element (m, k) at
 * data[((m / BF_PACK) * k_count + k) * BF_PACK + m % BF_PACK], zero-padded, 64-byte aligned. */
typedef struct bfi_packed {
    int64_t m, k;
    const void *data;
} bfi_packed;

/* Index in elements of a packed array that holds |m| x |k|. */
static inline int64_t bfi_packed_size(int64_t m, int64_t k) {
    return (m + BF_PACK - 1) / BF_PACK * BF_PACK * k;
}

/* Some outputs and inputs of a product, ascending; NULL: all. */
typedef struct bfi_part {
    const int32_t *rows, *terms;
    int64_t row_count, term_count;
} bfi_part;

/* Direct convolution in gather form: every destination element sums over its taps. Per group,
 * destination channel m and term t = (c * kh + ky) * kw + kx (c: source channel within the group):
 *   dst[g*c_dst + m][dy][dx] = sum_t w[g][m][t] * src[g*c_src + c][sy][sx]   over taps inside the
 * source, transposed == 0:  sy = dy*stride_h - pad_top + ky*dil_h        (forward of conv)
 *   transposed == 1:  sy = (dy + pad_top - ky*dil_h) / stride_h, only when divisible
 *                                                                   (backward of conv, forward of
 * its transpose) likewise sx. Blocks of the sum are cut by t. Channel counts are per group.
 * |packed| holds one bfi_packed panel array of (c_dst x c_src*kh*kw) per group, one after the
 * other. */
typedef struct bfi_conv {
    int64_t groups, c_src, h_src, w_src, c_dst, h_dst, w_dst;
    int64_t kh, kw, stride_h, stride_w, dil_h, dil_w, pad_top, pad_left;
    int transposed;
    const void *packed;
} bfi_conv;

/* Elements of a convolution's source that may be other than zero, and of its destination that are
 * asked for: a byte for each, as they lie in the arrays, 0 where not. NULL: all. */
typedef struct bfi_conv_part {
    const uint8_t *src, *dst;
} bfi_conv_part;

/* Rows of a sparse matrix; val NULL: all ones. idx ascending within a row. Blocks are cut by idx.
 */
typedef struct bfi_csr {
    int64_t rows;
    const int64_t *ptr;
    const int32_t *idx;
    const void *val;
} bfi_csr;

/* One step down through an elementwise relaxation, with the constants it leaves behind:
 *   out[j] = a[j] * (a[j] >= 0 ? s_pos[j] : s_neg[j])          (one rounding; out may be a, or
 * NULL) t_sum  = sum_j a[j] * (a[j] >= 0 ? t_pos[j] : t_neg[j])    (when t_sum is not NULL) e_sum
 * = sum_j |a[j]| * e[j]                               (when e_sum is not NULL) Sums over j in the
 * order of the contract; t_sum and e_sum are |lanes| elements and are overwritten. Parameter
 * element j of lane l is at [j * ps + (ps == 1 ? 0 : l)]: ps 1 is shared by all lanes, else ps ==
 * ls. NaN coefficients take the negative branch and stay NaN. Concretisation on a box is this with
 * out NULL, t_pos = lower, t_neg = upper; a bias is t_pos == t_neg.
 * What has zero parameters leaves nothing behind, even when the coefficient is infinite or not a
 * number: out[j] is 0 where both slopes are, and the sums skip j where both t (or e) are 0.
 * When the elements are a window of a larger array (ls > 1), |cuts| says where its blocks end:
 * block b of the sums is the elements [cuts[b - 1], cuts[b]), none empty, the last end n. NULL:
 * every BF_SUM_BLOCK.
 * |only| (ls > 1): the step takes place on these elements alone, n of them, ascending, where they
 * stand; blocks are cut at the original index, or where |cuts| says, which counts entries. NULL: on
 * elements 0 to n - 1. */
typedef struct bfi_relax {
    int64_t n, ls, lanes, ps, ps_pos;
    const int32_t *cuts, *only;
    const void *a;
    void *out;
    const void *s_pos, *s_neg;
    const void *t_pos, *t_neg;
    const void *e;
    void *t_sum, *e_sum;
} bfi_relax;

/* Elementwise float64 arithmetic of the forward transfers; docs/soundness.md has the formulas.
 * "Kept" numbers are rounded to T, outward when |outward|; what is not a number becomes the
 * infinite end. Outputs may be the inputs of the same kind; those that are NULL are not wanted. */

/* Sums of a weighted or structural node become its interval, and the errors of its way back:
 *   lo = s_lo + bias, hi = s_hi + bias, outward both wider by
 *        gamma_forward m + inexact + exec + flat,  m = mag (1 + 2 gamma_forward) + flat
 *   e   = gamma m + dot |bias| + |bias - bias_t| + inexact + exec,   own = inexact + exec
 *   inexact = weight_rel m + bias_rel |bias| + bias_error,   exec = exec_rel (m + |bias|) +
 * exec_abs where element j has gamma[j / gamma_inner % gamma_count] and dot = gamma_unit
 * bfi_term_depth(n, j). */
typedef struct bfi_finish {
    int64_t n;
    int outward;
    const void *s_lo, *s_hi, *mag;   /* T; mag only when outward */
    const double *bias, *bias_error; /* NULL: zeros */
    const void *bias_t;              /* T: the bias as kept; NULL: it is exact */
    double gamma_forward, weight_rel, bias_rel, exec_rel, exec_abs, flat;
    const double *gamma; /* only when outward, like the next two */
    int64_t gamma_inner, gamma_count;
    double gamma_unit;
    double *lo, *hi, *own; /* kept numbers; own is not rounded to T */
    void *e;               /* T, never rounded down */
} bfi_finish;

/* The interval of x + y, or x - y:
 *   lo = x_lo + y_lo, hi = x_hi + y_hi (subtract: x_lo - y_hi, x_hi - y_lo), outward both wider by
 *        exec = (exec_rel max(|lo|, |hi|) + exec_abs) BFI_ERROR_ROOM;   e = own = exec
 * BFI_ERROR_ROOM */
typedef struct bfi_add {
    int64_t n;
    int outward, subtract;
    const double *x_lo, *x_hi, *y_lo, *y_hi;
    double exec_rel, exec_abs;
    double *lo, *hi, *own; /* kept numbers; own is not rounded to T; only when outward */
    void *e;               /* T, never rounded down; only when outward */
} bfi_add;

/* The interval of relu, and its lines over the finite intervals [lo, hi] (exec/relaxation.c). */
typedef struct bfi_relu {
    int64_t n;
    int outward;
    const double *lo, *hi;
    double gamma_unit;                   /* as in bfi_finish */
    double *out_lo, *out_hi;             /* kept numbers, as lo and hi are */
    void *s_pos, *s_neg, *t_pos, *t_neg; /* T; all or none */
    void *e;                             /* T; with s_pos and outward */
} bfi_relu;

/* What a final interval of kept numbers leaves for concretisation and accumulation:
 *   lo_t = lo, hi_t = hi,   e_box = gamma_unit bfi_term_depth(n, j) m,   e_sum = u m,   m =
 * max(|lo|, |hi|) */
typedef struct bfi_keep {
    int64_t n;
    const double *lo, *hi;
    double gamma_unit;
    void *lo_t, *hi_t, *e_box, *e_sum; /* T; errors are never rounded down */
} bfi_keep;

/* What a step down leaves behind joins the constants and errors of lanes:
 *   constant += t_sum,   outward: error += (own + u |constant|) BFI_ERROR_ROOM, then error += e_sum
 * room where u is float64's. Without sums, lanes whose |own| is not above zero stay as they are. */
typedef struct bfi_settle {
    int64_t n;
    const void *t_sum, *e_sum; /* T; NULL: none */
    const double *own;         /* NULL: not outward */
    double room, *constant, *error;
} bfi_settle;

/* Partial sums of bfi_kernels.magnitudes: element j goes to sum j % 8, then the sums are added in
 * order. */
#define BF_MAGNITUDE_SUMS 8
/* Values forward along the lines that lanes took on the way back, the adjoint of bfi_relax:
 *   out[j] = a[j] >= 0 ? s_pos[j] * z[j] + t_pos[j] : s_neg[j] * z[j] + t_neg[j]    (one fma; out
 * may be z) Strides of the parameters as in bfi_relax. Without |s_pos| all slopes are one (a bias:
 * t_pos == t_neg), without |z| they are zero (a corner of a box); without |t_pos| all intercepts
 * are zero. A line without slope is t whatever z is, infinite or not a number. */
typedef struct bfi_follow {
    int64_t n, ls, lanes, ps, ps_pos;
    const void *a, *z;
    void *out;
    const void *s_pos, *s_neg, *t_pos, *t_neg;
} bfi_follow;

/* One step of Adam (Kingma and Ba 2015, algorithm 1) uphill, clamped, for the rows j with lo[j] < 0
 * < hi[j] (lo NULL: all rows), by lane: g = a[j] * x[j] where (a[j] >= 0) == (side >= 0), else 0 m
 * = fma(g - m, rate_m, m)     v = fma(g g, rate_v, v (1 - rate_v)) p = fma(step, m / fma(sqrt(v),
 * root, eps), p), clamped to [low, high]; NaN becomes low The scalars are rounded to the dtype
 * first. */
typedef struct bfi_ascend {
    int64_t n, ls, lanes;
    const double *lo, *hi;
    const void *a, *x;
    int side;
    void *p, *m, *v;
    double rate_m, rate_v, step, root, eps, low, high;
} bfi_ascend;

/* Derivatives by slopes that all lanes share, added up (ls a multiple of BF_LANE_PAD, or 1):
 *   sum[j] += q(a[j] * x * scale[l]) over all lanes l where (a[j] >= 0) == (side >= 0)
 * for the rows j with lo[j] < 0 < hi[j] (lo NULL: all rows), x = z[j], or fma(s[j], z[j], t[j]) in
 * T where |s| and |t| are there, products in float64. q rounds to a whole number, and to 0 what is
 * larger than |limit| (at most 2^51) or not a number: while all sums stay below 2^53 they are
 * exact, in any order. */
typedef struct bfi_gradient {
    int64_t n, ls;
    const double *lo, *hi;
    const void *a, *z, *s, *t;
    int side;
    const double *scale; /* ls of them; padding lanes: 0 */
    double limit, *sum;
} bfi_gradient;

/* Parameters of lanes that read different arrays (ls > 1):
 *   out[j * ls + l] = from[l][index ? index[j] : j]        for j in [0, n)
 * Padding lanes that are written are those of lane |lanes| - 1. */
typedef struct bfi_spread {
    int64_t n, ls, lanes;
    const void *const *from; /* by lane */
    const int32_t *index;
    void *out;
} bfi_spread;

typedef struct bfi_kernels {
    const char *isa; /* "ref", "avx2", "avx512" */
    bfi_dtype dtype;

    /* out[m] = sum_k w[m][k] in[k] for m in [m0, m1), m0 a multiple of BF_PACK. */
    void (*linear)(const bfi_packed *w, int64_t m0, int64_t m1, const void *in, void *out,
                   int64_t ls, int64_t lanes);

    /* The same with ls > 1 for rows [i0, i1) of the part, each a sum over the terms of the part:
     * what linear gives where the other inputs are zero. Other elements are not touched. */
    void (*linear_part)(const bfi_packed *w, const bfi_part *part, int64_t i0, int64_t i1,
                        const void *in, void *out, int64_t ls, int64_t lanes);

    /* Destination rows dy in [y0, y1), all channels and columns. */
    void (*conv)(const bfi_conv *c, int64_t y0, int64_t y1, const void *in, void *out, int64_t ls,
                 int64_t lanes);

    /* The same with ls > 1 for the destinations of the part, each a sum over the sources of the
     * part: what conv gives where the others are zero. Other destinations are not touched. */
    void (*conv_part)(const bfi_conv *c, const bfi_conv_part *part, int64_t y0, int64_t y1,
                      const void *in, void *out, int64_t ls, int64_t lanes);

    /* out[r] = sum over the row's entries; empty rows give 0. */
    void (*sparse)(const bfi_csr *m, const void *in, void *out, int64_t ls, int64_t lanes);

    /* out[j] += in[j] (sign >= 0) or out[j] -= in[j]. */
    void (*accumulate)(int64_t n, int sign, const void *in, void *out, int64_t ls, int64_t lanes);

    void (*relax)(const bfi_relax *r);
    void (*follow)(const bfi_follow *f);
    void (*ascend)(const bfi_ascend *a);
    void (*gradient)(const bfi_gradient *g);

    void (*spread)(const bfi_spread *s);

    /* Interval versions: sums for the lower end, the upper end and the magnitude:
     *   out_lo  = sum w * (w >= 0 ? lo : hi)      out_hi = sum w * (w >= 0 ? hi : lo)
     *   out_mag = sum |w| * max(|lo|, |hi|)
     * For the first sums terms with w == 0 are fma'd like all others. */
    void (*interval_linear)(const bfi_packed *w, int64_t m0, int64_t m1, const void *lo,
                            const void *hi, void *out_lo, void *out_hi, void *out_mag, int64_t ls,
                            int64_t lanes);
    void (*interval_conv)(const bfi_conv *c, int64_t y0, int64_t y1, const void *lo, const void *hi,
                          void *out_lo, void *out_hi, void *out_mag, int64_t ls, int64_t lanes);

    /* The same of one lane (ls == 1), over the terms or sources of the part: what they give where
     * the others are zeros. The rows or destinations are all. */
    void (*interval_linear_part)(const bfi_packed *w, const bfi_part *part, int64_t m0, int64_t m1,
                                 const void *lo, const void *hi, void *out_lo, void *out_hi,
                                 void *out_mag);
    void (*interval_conv_part)(const bfi_conv *c, const bfi_conv_part *part, int64_t y0, int64_t y1,
                               const void *lo, const void *hi, void *out_lo, void *out_hi,
                               void *out_mag);

    void (*interval_sparse)(const bfi_csr *m, const void *lo, const void *hi, void *out_lo,
                            void *out_hi, void *out_mag, int64_t ls, int64_t lanes);

    void (*finish)(const bfi_finish *f);
    void (*add)(const bfi_add *a);
    /* out_lo = lo, out_hi = hi, kept (outward: rounded so). */
    void (*enclose)(int64_t n, bool outward, const double *lo, const double *hi, double *out_lo,
                    double *out_hi);
    void (*settle)(const bfi_settle *s);
    /* lower = constant - error, kept (outward: error enlarged by BFI_ERROR_ROOM). */
    void (*certify)(int64_t n, bool outward, const double *constant, const double *error,
                    double *lower);
    bool (*relu)(const bfi_relu *r); /* true when the product with some slope rounds */
    void (*keep)(const bfi_keep *k);
    double (*magnitudes)(int64_t n, const double *lo,
                         const double *hi); /* sum of max(|lo|, |hi|) */
} bfi_kernels;

/* Plain scalar tables (fma, fmaf): complete, the oracle of the others. */
const bfi_kernels *bfi_kernels_ref(bfi_dtype dtype);

/* Fastest tables this CPU runs; falls back to ref. |isa| NULL picks, else "ref", "avx2" or "avx512"
 * forces one (NULL when the CPU cannot run it). Entries an ISA does not override are the ref ones.
 */
const bfi_kernels *bfi_kernels_native(bfi_dtype dtype, const char *isa);

#endif
