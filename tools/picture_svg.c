#include <math.h>
#include <string.h>

#include "picture_panel.h"
#include "svg.h"

#define PANEL 240 /* user units a panel takes */
#define MARGIN 16
#define LINE 18
#define CAPTION_WIDTH 100 /* characters */
#define MOST_BARS 64
#define MOST_CELLS 128 /* of a side: larger images are averaged down */

/* Characters of the next line of at most CAPTION_WIDTH, broken at a blank. */
static int line_length(const char *text) {
    int length = (int)strlen(text);
    if (length <= CAPTION_WIDTH) return length;
    int at = CAPTION_WIDTH;
    while (at > 0 && text[at] != ' ') at--;
    return at > 0 ? at : CAPTION_WIDTH;
}

static int caption_lines(const char *text) {
    int lines = 0;
    while (*text) {
        text += line_length(text);
        while (*text == ' ') text++;
        lines++;
    }
    return lines;
}

static void write_caption(FILE *out, const char *text, int y) {
    for (; *text; y += LINE) {
        int length = line_length(text);
        fprintf(out, "<text x=\"%d\" y=\"%d\">", MARGIN, y);
        bfi_svg_text(out, text, length);
        fputs("</text>\n", out);
        text += length;
        while (*text == ' ') text++;
    }
}

static void write_head(FILE *out, const bfi_picture *p, int width, int height) {
    bfi_svg_open(out, width, height, 13, p->title);
    fputs("<desc>", out);
    bfi_svg_text(out, p->caption, (int)strlen(p->caption));
    fprintf(out, "</desc>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", width, height);
}

static int byte_of(double value) { return (int)lround(value * 255); }

/* Differences: white is no change, red more, blue less. */
static int color_of(const bfi_panel *panel, int x, int y, int shrink) {
    double rgb[3];
    bfi_panel_cell(panel, x, y, shrink, rgb);
    if (panel->difference) {
        int rest = byte_of(1 - fabs(rgb[0]));
        return rgb[0] >= 0 ? 0xff0000 | rest << 8 | rest : rest << 16 | rest << 8 | 0xff;
    }
    return byte_of(rgb[0]) << 16 | byte_of(rgb[1]) << 8 | byte_of(rgb[2]);
}

/* Neighbours of one colour become one rectangle. */
static void write_panel(FILE *out, const bfi_panel *panel, int left, int top) {
    const bfi_picture *p = panel->picture;
    int side = p->width > p->height ? p->width : p->height,
        shrink = (side + MOST_CELLS - 1) / MOST_CELLS;
    int width = (p->width + shrink - 1) / shrink, height = (p->height + shrink - 1) / shrink;
    double cell = (double)PANEL / side * shrink;
    fprintf(out, "<text x=\"%d\" y=\"%d\">", left, top - 6);
    bfi_svg_text(out, panel->title, (int)strlen(panel->title));
    fprintf(
        out,
        "</text>\n<g transform=\"translate(%d %d) scale(%.6g)\" shape-rendering=\"crispEdges\">\n",
        left, top, cell);
    for (int y = 0; y < height; y++)
        for (int x = 0, end; x < width; x = end) {
            int color = color_of(panel, x, y, shrink);
            for (end = x + 1; end < width && color_of(panel, end, y, shrink) == color;) end++;
            fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"1\" fill=\"#%06x\"/>\n", x,
                    y, end - x, (unsigned)color);
        }
    fprintf(out,
            "<rect width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\" "
            "stroke-width=\"%.6g\"/>\n</g>\n",
            width, height, 1 / cell);
}

static void write_image(FILE *out, const bfi_picture *p) {
    bfi_panel panels[3];
    int count = bfi_panels_make(p, panels), width = MARGIN + 3 * (PANEL + MARGIN),
        top = 2 * MARGIN + LINE;
    int side = p->width > p->height ? p->width : p->height;
    int tall = (int)ceil((double)PANEL * p->height / side);
    const char *legend = count == 3 ? "Difference: red pixels got more, blue ones less." : "";
    int height =
        top + tall + MARGIN + LINE * (caption_lines(p->caption) + caption_lines(legend)) + MARGIN;
    write_head(out, p, width, height);
    for (int i = 0; i < count; i++)
        write_panel(out, &panels[i], MARGIN + i * (PANEL + MARGIN), top);
    int y = top + tall + MARGIN + LINE / 2;
    write_caption(out, legend, y);
    write_caption(out, p->caption, y + LINE * caption_lines(legend));
}

static double part(double value, double lo, double hi) {
    return hi > lo ? (value - lo) / (hi - lo) : 0.5;
}

static void write_bars(FILE *out, const bfi_picture *p) {
    int64_t shown = p->count < MOST_BARS ? p->count : MOST_BARS;
    int width = MARGIN + 3 * (PANEL + MARGIN), left = 180, room = width - left - 200,
        top = 2 * MARGIN + LINE;
    int bottom = top + (int)shown * LINE + MARGIN;
    char more[64] = "";
    if (shown < p->count)
        snprintf(more, sizeof more, "%lld more inputs are not drawn.",
                 (long long)(p->count - shown));
    int lines = caption_lines(p->caption) + caption_lines(more);
    write_head(out, p, width, bottom + LINE * lines + MARGIN);
    write_caption(out, "Each bar is the range of one input: line = centre, dot = counterexample.",
                  2 * MARGIN);
    for (int64_t i = 0; i < shown; i++) {
        int y = top + (int)i * LINE;
        double centre = left + room * part(p->before[i], p->lo[i], p->hi[i]);
        fprintf(out, "<text x=\"%d\" y=\"%d\">X_%lld</text>\n", MARGIN, y + 12, (long long)i);
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.6g</text>\n", left - 8, y + 12,
                p->lo[i]);
        fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"6\" fill=\"#ccc\"/>\n", left,
                y + 5, room);
        fprintf(out, "<rect x=\"%.2f\" y=\"%d\" width=\"2\" height=\"14\" fill=\"#444\"/>\n",
                centre - 1, y + 1);
        if (p->after)
            fprintf(out, "<circle cx=\"%.2f\" cy=\"%d\" r=\"5\" fill=\"#c00\"/>\n",
                    left + room * part(p->after[i], p->lo[i], p->hi[i]), y + 8);
        fprintf(out, "<text x=\"%d\" y=\"%d\">%.6g</text>\n", left + room + 8, y + 12, p->hi[i]);
    }
    write_caption(out, more, bottom);
    write_caption(out, p->caption, bottom + LINE * caption_lines(more));
}

void bfi_picture_svg(FILE *out, const bfi_picture *picture) {
    if (picture->width)
        write_image(out, picture);
    else
        write_bars(out, picture);
    fputs("</svg>\n", out);
}
