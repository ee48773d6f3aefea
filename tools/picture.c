#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "picture_panel.h"
#include "terminal.h"

#define SMALLEST_SIDE 4
#define SMALLEST_FLAT 8
#define LARGEST_SIDE 4096
#define GAP 3
#define MOST_BARS 32
#define BAR_WIDTH 40

static int square_root(int64_t n) {
    int64_t side = (int64_t)llround(sqrt((double)n));
    return side * side == n && side <= LARGEST_SIDE ? (int)side : 0;
}

static void set_image(bfi_picture *p, int64_t width, int64_t height, int channels, bool planar) {
    if (width < SMALLEST_SIDE || height < SMALLEST_SIDE) return;
    if (width > LARGEST_SIDE || height > LARGEST_SIDE) return;
    p->width = (int)width;
    p->height = (int)height;
    p->channels = channels;
    p->planar = planar;
}

static void guess_image(const bf_layer_info *input, bfi_picture *p) {
    int64_t d[3] = {0};
    int rank = 0;
    for (int i = 0; i < input->rank; i++) {
        if (input->shape[i] == 1) continue;
        if (rank == 3) return;
        d[rank++] = input->shape[i];
    }
    if (rank == 3 && d[0] == 3)
        set_image(p, d[2], d[1], 3, true);
    else if (rank == 3 && d[2] == 3)
        set_image(p, d[1], d[0], 3, false);
    else if (rank == 2)
        set_image(p, d[1], d[0], 1, true);
    else if (rank == 1) {
        int grey = square_root(d[0]), colour = d[0] % 3 == 0 ? square_root(d[0] / 3) : 0;
        if (grey >= SMALLEST_FLAT)
            set_image(p, grey, grey, 1, true);
        else if (colour >= SMALLEST_FLAT)
            set_image(p, colour, colour, 3, true);
    }
}

bool bfi_picture_make(const bf_model *model, const bf_property *property, int index,
                      const double *after, bfi_picture *picture) {
    bf_layer_info input = bf_model_layer(model, 0);
    *picture = (bfi_picture){.count = input.count,
                             .title = "counterexample",
                             .before_title = "centre of the box",
                             .after_title = "counterexample",
                             .caption = ""};
    guess_image(&input, picture);
    const bf_case *box = &property->cases[index];
    size_t count = (size_t)input.count, bytes = count * sizeof(double);
    picture->before = bfi_malloc(count, sizeof(double));
    picture->lo = bfi_malloc(count, sizeof(double));
    picture->hi = bfi_malloc(count, sizeof(double));
    picture->after = after ? bfi_malloc(count, sizeof(double)) : NULL;
    if (!picture->before || !picture->lo || !picture->hi || (after && !picture->after)) {
        bfi_picture_free(picture);
        return false;
    }
    memcpy(picture->lo, box->lo, bytes);
    memcpy(picture->hi, box->hi, bytes);
    if (after) memcpy(picture->after, after, bytes);
    for (size_t i = 0; i < count; i++) picture->before[i] = box->lo[i] / 2 + box->hi[i] / 2;
    return true;
}

void bfi_picture_free(bfi_picture *picture) {
    free(picture->before);
    free(picture->after);
    free(picture->lo);
    free(picture->hi);
    picture->before = picture->after = picture->lo = picture->hi = NULL;
}

/* How panels are laid on the terminal. */
typedef struct layout {
    int shrink;  /* pixels per cell, in both directions */
    int columns; /* characters per cell: 2 (square cells), or 1 with two cells per character */
    int abreast; /* panels per row */
    bool colors, half_blocks;
} layout;

static bool utf8_locale(void) {
    const char *names[] = {getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")};
    for (int i = 0; i < 3; i++)
        if (names[i] && *names[i])
            return strstr(names[i], "UTF-8") || strstr(names[i], "utf8") ||
                   strstr(names[i], "UTF8");
    return false;
}

static layout choose_layout(FILE *out, const bfi_picture *p, int panels) {
    layout l = {.shrink = 1, .columns = 2, .colors = bfi_terminal_colors(out)};
    int room = bfi_terminal_width(out) - 2 + GAP, least = panels < 2 ? panels : 2;
    while (room / (2 * (p->width / l.shrink) + GAP) < least &&
           room / (p->width / l.shrink + GAP) < 1)
        l.shrink++;
    if (room / (2 * (p->width / l.shrink) + GAP) < least) l.columns = 1;
    l.half_blocks = l.columns == 1 && l.colors && utf8_locale();
    l.abreast = room / (l.columns * (p->width / l.shrink) + GAP);
    if (l.abreast < 1) l.abreast = 1;
    return l;
}

/* One of the 256 terminal colours (xterm): greys 232-255, the 6x6x6 cube from 16. */
static int terminal_color(const bfi_panel *panel, const double rgb[3]) {
    if (panel->difference) {
        int level = (int)lround(fabs(rgb[0]) * 5);
        return rgb[0] >= 0 ? 16 + 36 * level : 16 + level;
    }
    if (panel->picture->channels == 1) return 232 + (int)lround(rgb[0] * 23);
    return 16 + 36 * (int)lround(rgb[0] * 5) + 6 * (int)lround(rgb[1] * 5) +
           (int)lround(rgb[2] * 5);
}

/* A cell as characters: darker pictures get fewer strokes; differences are signs. */
static void print_characters(FILE *out, const bfi_panel *panel, const double rgb[3], int columns) {
    static const char ramp[] = " .:-=+*#%@";
    char cell[3] = "  ";
    if (panel->difference) {
        double size = fabs(rgb[0]);
        char sign = rgb[0] > 0 ? '+' : '-';
        cell[0] = size < 0.1 ? '.' : sign;
        cell[1] = size < 0.5 ? ' ' : sign;
    } else {
        double light =
            panel->picture->channels == 1 ? rgb[0] : 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
        cell[0] = cell[1] = ramp[(int)lround(light * 9)];
    }
    fprintf(out, "%.*s", columns, cell);
}

static void print_cell(FILE *out, const bfi_panel *panel, const layout *l, int x, int y) {
    double rgb[3], below[3];
    bfi_panel_cell(panel, x, y, l->shrink, rgb);
    if (l->columns == 1) {
        bfi_panel_cell(panel, x, y + 1, l->shrink, below);
        for (int c = 0; c < 3 && !l->half_blocks; c++) rgb[c] = (rgb[c] + below[c]) / 2;
    }
    if (l->half_blocks)
        fprintf(out, "\033[38;5;%dm\033[48;5;%dm\xe2\x96\x80", terminal_color(panel, rgb),
                terminal_color(panel, below));
    else if (l->colors)
        fprintf(out, "\033[48;5;%dm%*s", terminal_color(panel, rgb), l->columns, "");
    else
        print_characters(out, panel, rgb, l->columns);
}

static void print_abreast(FILE *out, const bfi_panel *panels, int count, const layout *l) {
    const bfi_picture *p = panels[0].picture;
    int width = p->width / l->shrink, height = p->height / l->shrink;
    fputs("  ", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "%-*.*s", l->columns * width + (i + 1 < count ? GAP : 0),
                l->columns * width + GAP - 1, panels[i].title);
    fputc('\n', out);
    for (int y = 0; y < height; y += l->columns == 1 ? 2 : 1) {
        fputs("  ", out);
        for (int i = 0; i < count; i++) {
            for (int x = 0; x < width; x++) print_cell(out, &panels[i], l, x, y);
            fprintf(out, "%s%*s", l->colors ? "\033[0m" : "", i + 1 < count ? GAP : 0, "");
        }
        fputc('\n', out);
    }
}

/* Place of |value| in [lo, hi] on a bar of |width| characters. */
static int place(double value, double lo, double hi, int width) {
    if (!(hi > lo)) return width / 2;
    double at = (value - lo) / (hi - lo) * (width - 1);
    return at <= 0 ? 0 : at >= width - 1 ? width - 1 : (int)lround(at);
}

static void print_bars(FILE *out, const bfi_picture *p) {
    int64_t shown = p->count < MOST_BARS ? p->count : MOST_BARS;
    fprintf(out, "  %-7s %12s %*s%-12s %12s\n", "", "low end", BAR_WIDTH + 2, "", "high end",
            p->after ? p->after_title : p->before_title);
    for (int64_t i = 0; i < shown; i++) {
        char bar[BAR_WIDTH + 1], name[24];
        memset(bar, '-', BAR_WIDTH);
        bar[BAR_WIDTH] = '\0';
        bar[place(p->before[i], p->lo[i], p->hi[i], BAR_WIDTH)] = '|';
        if (p->after) bar[place(p->after[i], p->lo[i], p->hi[i], BAR_WIDTH)] = 'o';
        snprintf(name, sizeof name, "X_%lld", (long long)i);
        fprintf(out, "  %-7s %12.6g [%s] %-12.6g %12.6g\n", name, p->lo[i], bar, p->hi[i],
                p->after ? p->after[i] : p->before[i]);
    }
    if (shown < p->count)
        fprintf(out, "  ... and %lld more inputs\n", (long long)(p->count - shown));
}

void bfi_picture_print(FILE *out, const bfi_picture *picture) {
    if (!picture->width) {
        print_bars(out, picture);
        return;
    }
    bfi_panel panels[3];
    int count = bfi_panels_make(picture, panels);
    layout l = choose_layout(out, picture, count);
    for (int first = 0; first < count; first += l.abreast)
        print_abreast(out, panels + first, count - first < l.abreast ? count - first : l.abreast,
                      &l);
}
