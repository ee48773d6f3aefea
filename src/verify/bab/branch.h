/* Branching: what to cut next, and what a cut does to a box. One file per rule.
 *
 * A rule lists what a box could be cut at, each with an estimate of what that would gain. The
 * search bounds both children of the most promising candidates in one batch, keeps the children of
 * the best (filtered strong branching, De Palma et al. 2021, arXiv:2104.06718, for neurons; the
 * same for inputs), and tells the rule what it measured. */
#ifndef BFI_VERIFY_BAB_BRANCH_H
#define BFI_VERIFY_BAB_BRANCH_H

#include "exec/splits.h"
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

/* How much cutting the range of a neuron may gain, from what a way back showed of its activation: a
 * number >= 0 in units of the bound. [lo, hi] is what the node's splits leave of the neuron's
 * range, which holds a kink or bends. Pure functions. */
typedef struct bfi_neuron_rule {
    const char *name;
    double (*score)(const bfi_node_view *view, int64_t neuron, double lo, double hi);
} bfi_neuron_rule;

/* Of BaBSR (Bunel et al. 2020, JMLR 21, section 5.3.2): what of the bound hangs on the neuron's
 * relaxation, its layer's bias included; and the part of the relaxation's intercept alone, which
 * ranks well where the first one does not (De Palma et al. 2021, arXiv:2104.06718, section 5). */
extern const bfi_neuron_rule bfi_rule_babsr, bfi_rule_intercept;
/* How far from the function the relaxation is where the bound has its minimum. */
extern const bfi_neuron_rule bfi_rule_gap;

/* Where the range [lo, hi] of the neuron is cut: at the kink, else at the minimiser if that is well
 * inside, else in the middle. False: there is nothing to gain. */
bool bfi_branch_point(const bfi_node_view *view, int64_t neuron, double lo, double hi,
                      double *point);

/* Of a max pooling, an element of output |j|'s window to cut, where, and how much that may gain. By
 * |gap|: what the line loses where the bound has its minimum, by cutting the element that is
 * largest there; else what it may lose anywhere, by cutting the one with the largest upper end.
 * False: the maximum is decided, or nothing hangs on it. */
typedef struct bfi_pool_choice {
    int64_t element;
    double point, gain;
} bfi_pool_choice;
bool bfi_branch_pool(const bfi_node_view *view, const bf_split *splits, int32_t count, int64_t j,
                     bool gap, bfi_pool_choice *choice);

/* Neurons by several rules, the best of each. */
enum { BFI_NEURON_RULES = 3, BFI_RANKED = 4, BFI_RANKINGS = BFI_NEURON_RULES * BFI_RANKED };
typedef struct bfi_rankings {
    bfi_candidate best[BFI_NEURON_RULES][BFI_RANKED]; /* by estimate, largest first */
    int count[BFI_NEURON_RULES];
} bfi_rankings;

/* Adds the neurons of an activation under the node's |splits| (ascending by activation, then
 * neuron). */
void bfi_branch_rank(const bfi_node_view *view, const bf_split *splits, int32_t count,
                     bfi_rankings *rankings);

/* The candidates of all rules, each once: the best of every rule first, then the second ones, and
 * so on; at most BFI_RANKINGS. Returns their number. */
int bfi_branch_merge(const bfi_rankings *rankings, bfi_candidate *out);

/* Filtered strong branching: of |count| candidates the one whose worse child rises most, given the
 * rises of the low and the high side of each; ties by the better child. */
int bfi_branch_choose(int count, const double *low, const double *high);

/* Applies an input cut to the box; cuts of activations leave it as it is. */
void bfi_branch_apply(const bfi_cut *cut, double *lo, double *hi);

/* Puts a split among |count| others, which are ascending and have room for it; of two on one side
 * of a neuron the tighter one is kept. Where the new one stands, -1: another one covers it. */
int32_t bfi_branch_insert(bf_split *splits, int32_t *count, bf_split split);

#endif
