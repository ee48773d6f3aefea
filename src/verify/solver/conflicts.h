/* Conflicts: sides of kinks that no counterexample satisfies together.
 *
 * A refutation of branch and bound seldom needs all decisions on the way to its node. Those that it
 * needs are remembered: wherever all but one of them are taken, the other side of the last one
 * follows, without a bound (Marques-Silva and Sakallah 1999, GRASP, IEEE Trans. Comput. 48; for
 * linear programs Achterberg 2007, Conflict analysis in mixed integer programming, Discrete Optim.
 * 4). Kinks that conflicts are about are those to branch on next. Internal to verify/solver. */
#ifndef BFI_VERIFY_SOLVER_CONFLICTS_H
#define BFI_VERIFY_SOLVER_CONFLICTS_H

#include "verify/solver/backend.h"

typedef struct bfi_conflicts {
    bfi_side *sides; /* of all conflicts, one after the other */
    int64_t *first;  /* count + 1 */
    int64_t count;
    size_t side_room, first_room;
    int32_t kinks;
    double *activity; /* by kink: conflicts that it is in, recent ones most */
    double bump;      /* of the next one */
} bfi_conflicts;

bf_status bfi_conflicts_create(int32_t kinks, bfi_conflicts *out, bf_error *err);
void bfi_conflicts_clear(bfi_conflicts *conflicts);

/* Remembers those of the |count| sides that |kept| says, unless there are too many conflicts
 * already: nothing depends on that. */
bf_status bfi_conflicts_add(bfi_conflicts *conflicts, const bfi_side *sides, const bool *kept,
                            int32_t count, bf_error *err);

/* What conflict |index| says where |place| (by kink: 0, or the sign times one more than the side's
 * place) says which sides are taken. */
typedef enum bfi_conflict_state {
    BFI_CONFLICT_QUIET,   /* nothing */
    BFI_CONFLICT_IMPLIES, /* all sides but |missing| are taken */
    BFI_CONFLICT_BROKEN   /* all are */
} bfi_conflict_state;

bfi_conflict_state bfi_conflicts_look(const bfi_conflicts *conflicts, int64_t index,
                                      const int32_t *place, bfi_side *missing);

#endif
