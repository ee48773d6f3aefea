/* The panels of a picture: before, after, difference, scaled to what can be shown. */
#ifndef BFI_TOOLS_PICTURE_PANEL_H
#define BFI_TOOLS_PICTURE_PANEL_H

#include "picture.h"

typedef struct bfi_panel {
    const bfi_picture *picture;
    const char *title;
    const double *values;
    bool difference;    /* shows after - before */
    double zero, scale; /* shown value = (value - zero) * scale */
} bfi_panel;

/* Fills |panels| (room for three) and returns how many there are: one without an |after|. */
int bfi_panels_make(const bfi_picture *picture, bfi_panel *panels);

/* Mean of the |shrink| by |shrink| pixels at cell |x|, |y|. Grey and colour: three numbers in [0,
 * 1]. Difference: the largest change among the channels in [-1, 1], in all three. */
void bfi_panel_cell(const bfi_panel *panel, int x, int y, int shrink, double rgb[3]);

#endif
