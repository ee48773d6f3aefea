/* Optimising the lower slopes of one lane tile. */
#ifndef BFI_EXEC_ALPHA_H
#define BFI_EXEC_ALPHA_H

#include "exec/splits.h"

/* Rounds without gain after which a row gives up, as auto_LiRPA's early_stop_patience. */
enum { BFI_ALPHA_PATIENCE = 10 };

/* The pace of Adam: step size, and its constants to the power of the round. */
typedef struct bfi_alpha_pace {
    double lr, power_1, power_2;
} bfi_alpha_pace;

static inline bfi_alpha_pace bfi_alpha_start(const bf_plan *plan) {
    return (bfi_alpha_pace){plan->options.lr, 1, 1};
}
/* What the next step takes. */
bfi_ascent bfi_alpha_next(bfi_alpha_pace *pace, const bf_plan *plan);

/* As bfi_backward_tile, for a program with slopes by lane, whose lanes belong to one box: runs up
 * to |rounds| rounds of a way back and a step of Adam (plan->options.lr, decayed by lr_decay every
 * round), and keeps each lane's best bound. lower[l] and error[l] hold what is known of lane l
 * before, and only get better. A lane is done when its bound is at least stop[l] (NULL: never), or
 * after BFI_ALPHA_PATIENCE rounds without gain; with |pairs| lanes 2i and 2i + 1 are done together
 * when one of them stops. Lanes that are done leave the tile: no bit of the others depends on it.
 * The bounds hold whatever the slopes; they are written even when the budget stops the tile. */
typedef struct bfi_alpha_request {
    bfi_tile_request tile;
    int rounds;
    const double *stop;
    bool pairs;
    double lr;                      /* 0: the plan's */
    bfi_lane_splits *const *splits; /* by lane; NULL: none has any. Lanes then have rounds, and
                                       where to start, of their own, and lanes that are to be looked
                                       at stay until they are */
    double multiplier_lr;           /* relative to the typical coefficient (exec/splits.h) */
    bfi_look look;
    void *user;
} bfi_alpha_request;

bf_status bfi_alpha_tile(const bf_plan *plan, bf_workspace *ws, const bfi_alpha_request *request,
                         double *lower, double *error);

#endif
