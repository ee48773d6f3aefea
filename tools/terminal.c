#include "terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool bfi_terminal_is(FILE *stream) {
    if (!isatty(fileno(stream))) return false;
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0;
}

bool bfi_terminal_colors(FILE *stream) {
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && bfi_terminal_is(stream);
}

int bfi_terminal_width(FILE *stream) {
    struct winsize size;
    long columns = 0;
    if (isatty(fileno(stream)) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    const char *text = getenv("COLUMNS");
    if (columns == 0 && text) columns = strtol(text, NULL, 10);
    if (columns <= 0) return 80;
    return columns < 40 ? 40 : columns > 400 ? 400 : (int)columns;
}

const char *bfi_terminal_style(FILE *stream, bfi_style style) {
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m", "\033[32m",
                                        "\033[31m", "\033[33m", "\033[0m"};
    return bfi_terminal_colors(stream) ? codes[style] : "";
}

void bfi_terminal_wrap(FILE *stream, const char *text, int indent, int column) {
    int width = bfi_terminal_width(stream);
    if (width > 100) width = 100;
    bool first = true;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (!first && column + 1 + length > width) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", length, text);
        column += length;
        text += length;
        while (*text == ' ') text++;
        first = false;
    }
}

const char *bfi_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}
