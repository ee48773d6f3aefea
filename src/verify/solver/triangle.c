#include "verify/solver/triangle.h"

#include <math.h>

#include "base/fp.h"

/* Both lines hold on their side of zero, with an end on the other where f is above (below) them;
 * the chord's intercept is the larger (smaller) of both corners. */
bfi_triangle bfi_triangle_of(const bfi_kink *k, double l, double u) {
    bfi_triangle r = {.slope = {k->slope[0], k->slope[1]}};
    bool convex = k->slope[1] >= k->slope[0], stable = l >= 0 || u <= 0;
    for (int row = 0; row < 2; row++) {
        bool equal = row ? l >= 0 : u <= 0;
        r.lo[row] = equal || convex ? -k->error : -INFINITY;
        r.hi[row] = equal || !convex ? k->error : INFINITY;
    }
    r.lo[2] = -INFINITY, r.hi[2] = INFINITY;
    if (stable) return r;
    double chord = r.slope[2] = (k->slope[1] * u - k->slope[0] * l) / (u - l);
    double below = (k->slope[0] - chord) * l, above = (k->slope[1] - chord) * u;
    double slack = bfi_up(bfi_up(4 * BF_U64 * (fabs(k->slope[0]) + fabs(chord)) * fabs(l)) +
                          bfi_up(4 * BF_U64 * (fabs(k->slope[1]) + fabs(chord)) * fabs(u))) +
                   k->error;
    if (convex)
        r.hi[2] = bfi_up(fmax(fmax(below, above), 0) + slack);
    else
        r.lo[2] = bfi_down(fmin(fmin(below, above), 0) - slack);
    return r;
}
