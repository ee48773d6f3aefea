#include "svg.h"

#include <string.h>

void bfi_svg_text(FILE *out, const char *text, int length) {
    for (int i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else
            fputc(c < 32 || c > 126 ? '?' : c, out);
    }
}

void bfi_svg_open(FILE *out, double width, double height, int font_size, const char *title) {
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
            "viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\" "
            "font-family=\"sans-serif\" font-size=\"%d\">\n<title>",
            width, height, width, height, font_size);
    bfi_svg_text(out, title, (int)strlen(title));
    fputs("</title>\n", out);
}

double bfi_svg_width(const char *text, double size) { return 0.56 * size * (double)strlen(text); }

void bfi_svg_say(FILE *out, double x, double y, const char *style, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, style);
    bfi_svg_text(out, text, (int)strlen(text));
    fputs("</text>\n", out);
}

double bfi_svg_key(FILE *out, double x, double y, const char *fill, const char *stroke,
                   const char *meaning) {
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"%s\" stroke=\"%s\"/>\n",
            x, y - 10, fill, stroke);
    bfi_svg_say(out, x + 17, y, "font-size=\"11\"", meaning);
    return x + 17 + bfi_svg_width(meaning, 11) + 16;
}
