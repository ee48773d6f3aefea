/* A picture of a plan: its task graph, and which buffer lives where, when. */
#ifndef BFI_TOOLS_PLAN_SVG_H
#define BFI_TOOLS_PLAN_SVG_H

#include <stdbool.h>
#include <stdio.h>

#include "plan_report.h"

enum { BFI_PLAN_SVG_MARGIN = 24 };

/* A stand-alone SVG 1.1 document. False when out of memory; what was written is then no document.
 */
bool bfi_plan_svg(const bfi_plan_view *view, FILE *out);

/* The parts under the task graph (plan_svg_map.c): from |top|, |width| user units wide; returns
 * where they end. */
double bfi_plan_svg_vectors(const bfi_plan_view *view, double top, double width, FILE *out);
double bfi_plan_svg_tile(const bfi_plan_view *view, double top, double width, FILE *out);

/* Colours of tasks of |kind|. */
typedef struct bfi_plan_colors {
    const char *kind, *fill, *stroke;
} bfi_plan_colors;
const bfi_plan_colors *bfi_plan_svg_colors(const char *kind);

#endif
