/* What the SVG writers share. */
#ifndef BFI_TOOLS_SVG_H
#define BFI_TOOLS_SVG_H

#include <stdio.h>

/* Writes |length| bytes of |text| as character data or an attribute's value; what is not printable
 * ASCII becomes '?'. */
void bfi_svg_text(FILE *out, const char *text, int length);

#endif
