/* What the terminal can show. All calls are cheap and read the environment anew. */
#ifndef BFI_TOOLS_TERMINAL_H
#define BFI_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

typedef enum bfi_style {
    BFI_STYLE_NONE,
    BFI_STYLE_BOLD,
    BFI_STYLE_DIM,
    BFI_STYLE_GOOD,  /* green */
    BFI_STYLE_BAD,   /* red */
    BFI_STYLE_DOUBT, /* yellow */
    BFI_STYLE_RESET
} bfi_style;

/* |stream| is a terminal that can move its cursor. */
bool bfi_terminal_is(FILE *stream);

/* |stream| is such a terminal and NO_COLOR (no-color.org) is not set. */
bool bfi_terminal_colors(FILE *stream);

/* Columns of |stream|'s terminal, else COLUMNS, else 80; within 40 to 400. */
int bfi_terminal_width(FILE *stream);

/* The escape sequence of |style|, or "" where |stream| shows no colours. */
const char *bfi_terminal_style(FILE *stream, bfi_style style);

/* Prints |text| broken at blanks; lines after the first start |indent| columns in. |column| is
 * where the cursor stands. Ends without a newline. */
void bfi_terminal_wrap(FILE *stream, const char *text, int indent, int column);

/* The last part of |path|. */
const char *bfi_path_name(const char *path);

#endif
