/* Branching: what to cut next, and what a cut does to a box. One file per rule.
 *
 * A rule lists what a box could be cut at, each with an estimate of what that would gain. The
 * search bounds both children of the most promising candidates in one batch, keeps the children of
 * the best (filtered strong branching, De Palma et al. 2021, arXiv:2104.06718, for neurons; the
 * same for inputs), and tells the rule what it measured. */
#ifndef BFI_VERIFY_BAB_BRANCH_H
#define BFI_VERIFY_BAB_BRANCH_H

#include "verify/bab/tree.h"

/* A possible decision. Estimates and gains are in units of margins; INFINITY: not known yet. */
typedef struct bfi_candidate {
    bfi_decision decision;
    double estimate;
} bfi_candidate;

/* Candidates for cutting the box in half at a coordinate, for those that can be divided, at most
 * |room|; returns their number. |inherited| are the parent's, with what was measured there (count
 * 0: the root). New ones are not known where there are few, else estimated by how far the
 * coordinate moves |line|, the linear bound that has to rise: ReluVal's "smear" (Wang et al. 2018,
 * arXiv:1804.10829, section 4.3), or by its width without |line|. |out| may be |inherited|. */
int bfi_branch_inputs(int64_t n, const double *lo, const double *hi, const double *line,
                      const bfi_candidate *inherited, int count, int room, bfi_candidate *out);

/* Moves the candidates that are worth measuring to the front, most promising first; returns how
 * many of |count| >= 1: at least one, at most |most|; of those that are not known |room|. */
int bfi_branch_filter(bfi_candidate *candidates, int count, int most, int room);

/* What a cut with these children gains: over the rows of open disjuncts (|wanted|), the rises of
 * both children above the parent, up to what refutes. */
double bfi_branch_gain(int64_t rows, const bool *wanted, const float *parent, const double *low,
                       const double *high);

/* Estimates for the children of a node: |measured| first ones have been measured, |chosen| is cut.
 */
void bfi_branch_inherit(bfi_candidate *candidates, int count, int measured, int chosen);

/* Applies an input cut to the box; cuts of activations leave it as it is. */
void bfi_branch_apply(const bfi_cut *cut, double *lo, double *hi);

#endif
