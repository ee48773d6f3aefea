/* The linear program of an encoding (verify/store/encode.h), solved by HiGHS, judged here.
 *
 * Columns and rows are the encoding's. A kink f of either sign is its triangle (Ehlers 2017,
 * arXiv:1705.01320): out >= f's two lines (for a concave one <=) and out below (above) the chord of
 * f over the box; where the box is on one side of zero it is that side's line. One more column t,
 * the objective, is at least (left - right side) of every row of the disjunct: its minimum above
 * zero says that no input is in the disjunct. Cuts (hull.h) come behind these rows. One program
 * serves a search: smaller boxes change bounds and chords only, so that HiGHS goes on from its last
 * basis. */
#ifndef BFI_VERIFY_SOLVER_LP_H
#define BFI_VERIFY_SOLVER_LP_H

#include "base/budget.h"
#include "verify/solver/highs.h"
#include "verify/solver/hull.h"
#include "verify/store/encode.h"

typedef struct bfi_lp bfi_lp;

/* |highs| and |encoding| are borrowed and have to live longer. |most_steps|: of the simplex method,
 * in one solve; 0: as many as it takes. |cuts|: with room for some. */
bf_status bfi_lp_create(const bfi_highs *highs, const bfi_encoding *encoding, int32_t most_steps,
                        bool cuts, bfi_lp **out, bf_error *err);
void bfi_lp_free(bfi_lp *lp);

/* Makes [lo, hi] the boxes of the encoding's columns: inside the encoding's own, not empty. */
void bfi_lp_restrict(bfi_lp *lp, const double *lo, const double *hi);

/* Adds a cut, for good. False when there is no room for more, or HiGHS does not take it. */
bool bfi_lp_add_cut(bfi_lp *lp, const bfi_hull_cut *cut);
int32_t bfi_lp_cuts(const bfi_lp *lp);

typedef struct bfi_lp_answer {
    bool refuted; /* certified */
    double lower; /* certified: of the objective; +inf when the constraints contradict each other */
    const double *x; /* columns at the optimum, as HiGHS has it; NULL: none */
    double optimum;  /* there, as HiGHS has it */
} bfi_lp_answer;

/* What the relaxation of kink |kink| costs at the last optimum. Of a chord: its multiplier times
 * how far it lies from the kink, which is what fixing the kink can win back at zero (Bunel et al.
 * 2020, JMLR 21, section 5.2, with exact multipliers in place of those of a backward bound). In a
 * program with cuts: the multipliers of chord and cuts times how far the point is from the kink. */
double bfi_lp_kink_cost(const bfi_lp *lp, int32_t kink);

/* After an answer that refutes: whether what its multipliers say also refutes the program as it is
 * restricted now; *lower is what they certify there. */
bool bfi_lp_refuted_alike(bfi_lp *lp, double *lower);

/* Solves. BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED leave |answer| with what is known. */
bf_status bfi_lp_solve(bfi_lp *lp, const bfi_budget *budget, bfi_lp_answer *answer, bf_error *err);

#endif
