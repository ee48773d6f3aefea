/* Boxes of a search in flight: their bounds, and what these say of the disjuncts that are looked
 * for. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_BOUNDER_H
#define BFI_VERIFY_BAB_BOUNDER_H

#include "boundflow/bounds.h"
#include "boundflow/property.h"
#include "verify/bab/tree.h"
#include "verify/refute.h"

enum { BFI_SEARCH_DISJUNCTS = 64 }; /* of a tree: bits of a node's mask */

/* What is searched: some disjuncts of one case, their rows one after the other. */
typedef struct bfi_problem {
    bf_session *session;
    const bf_model *model;
    const bf_property *property;
    const bf_case *c;
    int32_t index;   /* of the case */
    int64_t n, rows; /* inputs; rows of the disjuncts */
    int32_t disjuncts[BFI_SEARCH_DISJUNCTS];
    int32_t first_row[BFI_SEARCH_DISJUNCTS + 1];
    int count;           /* of disjuncts */
    double *spec;        /* rows x outputs */
    double *y_lo, *y_hi; /* of the outputs on the case's box, once a root has been bounded */
    bool outputs_known;
} bfi_problem;

bf_status bfi_problem_create(bf_session *session, const bf_model *model,
                             const bf_property *property, int32_t case_index, bfi_problem *out,
                             bf_error *err);
void bfi_problem_clear(bfi_problem *problem);

/* Takes the next disjuncts that |states| leave open, from |from| on; where to go on. None are left
 * when problem->count is 0. */
bf_status bfi_problem_gather(bfi_problem *problem, const bfi_disjunct_state *states, int32_t *from,
                             bf_error *err);

/* The half-space of |row|, which belongs to the disjunct of |bit|. */
static inline const bf_halfspace *bfi_problem_row(const bfi_problem *p, int bit, int64_t row) {
    return &p->c->disjuncts[p->disjuncts[bit]].rows[row - p->first_row[bit]];
}

/* Rows of a disjunct that a lane mixes (runtime/nodes.h), from its first on; 0: it has one row. */
static inline int32_t bfi_problem_mixed(const bfi_problem *p, int bit) {
    int32_t rows = p->first_row[bit + 1] - p->first_row[bit];
    return rows > 1 ? rows : 0;
}

/* The most that any has. */
static inline int32_t bfi_problem_most_mixed(const bfi_problem *p) {
    int32_t most = 0;
    for (int bit = 0; bit < p->count; bit++)
        if (bfi_problem_mixed(p, bit) > most) most = bfi_problem_mixed(p, bit);
    return most;
}

/* What bounds say of a box. */
typedef struct bfi_box {
    uint64_t mask; /* disjuncts still open */
    double margin; /* of the worst of them: its best row's; +inf when none is open */
    int32_t row;   /* that row */
    bool rounding; /* all open ones would be refuted but for error terms */
} bfi_box;

/* A plan, a workspace, and room for boxes and their results. */
typedef struct bfi_bounder {
    bfi_problem *problem;
    bf_plan *plan;
    bf_workspace *ws;
    int room; /* boxes */
    bfi_box *boxes;
    double *lo, *hi;               /* room x n */
    double *lower, *error;         /* room x rows */
    double *margins;               /* room x rows: bfi_row_margin */
    double *functional, *constant; /* room x rows (x n): certified lines */
    bf_split *splits;              /* of all boxes */
    int64_t *first_split;          /* room + 1 */
    size_t split_room;
} bfi_bounder;

bf_status bfi_bounder_create(bfi_problem *problem, const bf_options *options, int room,
                             bfi_bounder **out, bf_error *err);
void bfi_bounder_free(bfi_bounder *bounder);

/* Bytes of its workspace and of boxes and results. */
int64_t bfi_bounder_bytes(const bfi_bounder *bounder);

/* Says which input box and splits box |index| has; boxes in order, from 0 on. */
bf_status bfi_bounder_place(bfi_bounder *bounder, int index, const double *lo, const double *hi,
                            const bfi_cut *cuts, int32_t cut_count, uint64_t mask, bf_error *err);

/* Bounds the first |count| boxes and judges them. */
bf_status bfi_bounder_run(bfi_bounder *bounder, int count, double deadline, bf_error *err);

/* Box |from| of |source| becomes box |index|, to be bounded by |bounder|; in order, from 0 on. */
bf_status bfi_bounder_take(bfi_bounder *bounder, int index, const bfi_bounder *source, int from,
                           bf_error *err);
/* What is known of box |index| goes to box |to| of |target|. */
void bfi_bounder_give(const bfi_bounder *bounder, int index, bfi_bounder *target, int to);

static inline double *bfi_bounder_lo(const bfi_bounder *b, int box) {
    return b->lo + box * b->problem->n;
}
static inline double *bfi_bounder_hi(const bfi_bounder *b, int box) {
    return b->hi + box * b->problem->n;
}
static inline double *bfi_bounder_line(const bfi_bounder *b, int box, int64_t row) {
    return b->functional + (box * b->problem->rows + row) * b->problem->n;
}

#endif
