/* Which neurons of a layer need backward bounds, and which of them share a lane tile.
 *
 * Rows of convolutional layers are grouped by blocks of positions when windows (plan/windows.h)
 * make that cheaper than whole layers: rows of one block stand together, and a tile never crosses
 * a block. Bounds do not depend on the choice. */
#ifndef BFI_RUNTIME_LANE_GROUPS_H
#define BFI_RUNTIME_LANE_GROUPS_H

#include "exec/workspace.h"

typedef struct bfi_lane_groups {
    int64_t count;         /* rows */
    int level;             /* of the program's windows, -1: whole layers, tiles cut anywhere */
    int64_t groups;        /* tiles, with a level */
    const int32_t *starts; /* first row of every tile, with a level */
} bfi_lane_groups;

/* Fills the value's rows vector in box |box| for backward program |program| of |node|: the neurons
 * that need bounds, in the order of the lanes, behind them the starts. Every row takes two lanes,
 * one in a program with shared slopes, from which rows that gain nothing any more are missing. */
bfi_lane_groups bfi_select_rows(const bf_plan *plan, const bf_workspace *ws, int64_t box, int node,
                                int program);

#endif
