/* What the SVG writers share. */
#ifndef BFI_TOOLS_SVG_H
#define BFI_TOOLS_SVG_H

#include <stdio.h>

/* Writes |length| bytes of |text| as character data or an attribute's value; what is not printable
 * ASCII becomes '?'. */
void bfi_svg_text(FILE *out, const char *text, int length);

/* Begins a stand-alone SVG 1.1 document of |width| x |height| user units: its title, and no more.
 */
void bfi_svg_open(FILE *out, double width, double height, int font_size, const char *title);

/* A line of text at (x, y) with the attributes |style|, and how wide it comes out about. */
void bfi_svg_say(FILE *out, double x, double y, const char *style, const char *text);
double bfi_svg_width(const char *text, double size);

/* A coloured square with its meaning, for a legend; returns where the next one may stand. */
double bfi_svg_key(FILE *out, double x, double y, const char *fill, const char *stroke,
                   const char *meaning);

#endif
