/* An input before and after a change, shown in a terminal or as SVG: as images where the shape is
 * one of an image, else as one bar per input. */
#ifndef BFI_TOOLS_PICTURE_H
#define BFI_TOOLS_PICTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "boundflow/model.h"
#include "boundflow/property.h"

typedef struct bfi_picture {
    int width, height; /* pixels; 0: no image */
    int channels;      /* 1 grey, 3 red green blue */
    bool planar;       /* channels are planes ([C][H][W]), else innermost ([H][W][C]) */
    int64_t count;     /* numbers in each array below */
    double *before;    /* centre of the box */
    double *after;     /* the changed input; NULL: there is none */
    double *lo, *hi;   /* the box */
    const char *title, *before_title, *after_title;
    const char *caption; /* sentences under an SVG */
} bfi_picture;

/* Takes the shape of |model|'s input and case |index| of |property|; |after| may be NULL. Images
 * are [H, W], [3, H, W] or [H, W, 3], dimensions of one aside, and flat squares of 8 by 8 and more.
 * False when out of memory. bfi_picture_free frees the arrays. */
bool bfi_picture_make(const bf_model *model, const bf_property *property, int index,
                      const double *after, bfi_picture *picture);
void bfi_picture_free(bfi_picture *picture);

/* Side by side: before, after, difference; 256 colours on a terminal that has them, characters
 * elsewhere. */
void bfi_picture_print(FILE *out, const bfi_picture *picture);

/* A stand-alone SVG 1.1 document. */
void bfi_picture_svg(FILE *out, const bfi_picture *picture);

#endif
