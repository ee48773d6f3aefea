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

/* What a heading or a legend is made of: text at (x, y), and how wide it comes out about. */
void bfi_plan_svg_say(FILE *out, double x, double y, const char *style, const char *text);
double bfi_plan_svg_width(const char *text, double size);
/* A coloured square with its meaning; returns where the next one may stand. */
double bfi_plan_svg_key(FILE *out, double x, double y, const char *fill, const char *stroke,
                        const char *meaning);

/* Colours of tasks of |kind|. */
typedef struct bfi_plan_colors {
    const char *kind, *fill, *stroke;
} bfi_plan_colors;
const bfi_plan_colors *bfi_plan_svg_colors(const char *kind);

#endif
