#include <assert.h>
#include <math.h>

#include "verify/bab/branch.h"

bool bfi_branch_input(int64_t n, const double *lo, const double *hi, const double *functional,
                      bfi_decision *decision) {
    double best = -1, widest = -1;
    bool found = false, felt = false;
    for (int64_t i = 0; i < n; i++) {
        double middle = lo[i] / 2 + hi[i] / 2, width = hi[i] - lo[i];
        if (!(middle > lo[i] && middle < hi[i])) continue;
        double reach = fabs(functional[i]) * width;
        bool better = reach > 0 ? reach > best : !felt && width > widest;
        felt = felt || reach > 0;
        if (!better) continue;
        if (reach > 0)
            best = reach;
        else
            widest = width;
        *decision = (bfi_decision){-1, (int32_t)i, middle};
        found = true;
    }
    return found;
}

void bfi_branch_apply(const bfi_cut *cut, double *lo, double *hi) {
    int32_t i = cut->decision.index;
    assert(cut->decision.activation < 0);
    if (cut->sign > 0 && cut->decision.point > lo[i]) lo[i] = cut->decision.point;
    if (cut->sign < 0 && cut->decision.point < hi[i]) hi[i] = cut->decision.point;
}
