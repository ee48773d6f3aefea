#include "sweep_svg.h"

#include <math.h>
#include <string.h>

#include "svg.h"
#include "terminal.h"

#define WIDTH 760
#define HEIGHT 470
#define LEFT 70
#define RIGHT 736
#define TOP 108
#define BOTTOM 404
#define LOGARITHMIC 50 /* largest radius over smallest, from which on */

/* One line and colour each, told apart by dashes too. Okabe and Ito's palette. */
static const struct {
    const char *light, *dark, *dash;
} styles[BFI_SWEEP_METHODS] = {
    {"#d55e00", "#e69f00", "2 3"},  {"#0072b2", "#56b4e9", "7 3"},
    {"#007d5c", "#2bc49a", "none"}, {"#a3417a", "#e08cc0", "9 3 2 3"},
    {"#6b5b00", "#f0e442", "4 2"},  {"#444444", "#bbbbbb", "1 2"},
    {"#5b3fa0", "#b39ddb", "12 3"}, {"#8a1c1c", "#ef9a9a", "5 2 1 2"},
};

typedef struct axis {
    double from, to;
    bool logarithmic;
} axis;

static axis make_axis(const bfi_sweep *s) {
    double least = s->radius[0], most = s->radius[s->radii - 1];
    axis a = {0, most > 0 ? most : 1, false};
    if (least > 0 && most >= LOGARITHMIC * least) a = (axis){least, most, true};
    return a;
}

static double at_x(const axis *a, double radius) {
    double part = a->logarithmic ? log(radius / a->from) / log(a->to / a->from)
                                 : (radius - a->from) / (a->to - a->from);
    return LEFT + part * (RIGHT - LEFT);
}

static double at_y(double share) { return BOTTOM - share * (BOTTOM - TOP); }

static void write_style(const bfi_sweep *s, FILE *out) {
    fputs(
        "<style>\n.paper{fill:#fff}.ink{fill:#222}.soft{fill:#555}.axis{stroke:#777}"
        ".grid{stroke:#e2e2e2}.line{fill:none;stroke-width:2}\n",
        out);
    for (int dark = 0; dark < 2; dark++) {
        if (dark)
            fputs(
                "@media (prefers-color-scheme: dark){\n.paper{fill:#16181d}.ink{fill:#eee}"
                ".soft{fill:#aaa}.axis{stroke:#999}.grid{stroke:#33363d}\n",
                out);
        for (int m = 0; m < s->methods; m++) {
            const char *color = dark ? styles[s->method[m]].dark : styles[s->method[m]].light;
            fprintf(out, ".l%d{stroke:%s}.d%d{fill:%s}\n", m, color, m, color);
        }
    }
    fputs("}\n</style>\n", out);
}

static void tick(const axis *a, double radius, FILE *out) {
    char text[32];
    double x = at_x(a, radius);
    snprintf(text, sizeof text, "%.4g", radius);
    fprintf(out, "<path class=\"axis\" d=\"M%.1f %d v5\"/>\n", x, BOTTOM);
    bfi_svg_say(out, x, BOTTOM + 19, "class=\"ink\" text-anchor=\"middle\"", text);
}

/* 1, 2 or 5 times a power of ten, so that about |count| steps span |range|. */
static double nice_step(double range, int count) {
    double rough = range / count, power = pow(10, floor(log10(rough)));
    return power * (rough <= power ? 1 : rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
}

static void write_axes(const axis *a, FILE *out) {
    for (int i = 0; i <= 5; i++) {
        char text[16];
        double y = at_y(i / 5.0);
        snprintf(text, sizeof text, "%d %%", 20 * i);
        fprintf(out, "<path class=\"%s\" d=\"M%d %.1f H%d\"/>\n", i ? "grid" : "axis", LEFT, y,
                RIGHT);
        bfi_svg_say(out, LEFT - 8, y + 4, "class=\"ink\" text-anchor=\"end\"", text);
    }
    if (a->logarithmic) {
        static const double digits[] = {1, 2, 5};
        bool few = a->to / a->from < 2000;
        for (int p = (int)floor(log10(a->from)); p <= (int)ceil(log10(a->to)); p++)
            for (int d = 0; d < (few ? 3 : 1); d++) {
                double radius = digits[d] * pow(10, p);
                if (radius >= a->from * 0.999 && radius <= a->to * 1.001) tick(a, radius, out);
            }
    } else {
        double step = nice_step(a->to, 8);
        for (int i = 0; i * step <= a->to * 1.0001; i++) tick(a, i * step, out);
    }
    bfi_svg_say(out, (LEFT + RIGHT) / 2.0, BOTTOM + 40, "class=\"ink\" text-anchor=\"middle\"",
                a->logarithmic ? "radius (logarithmic)" : "radius");
    fprintf(out,
            "<text class=\"ink\" text-anchor=\"middle\" transform=\"translate(18 %d) "
            "rotate(-90)\">certified accuracy</text>\n",
            (TOP + BOTTOM) / 2);
}

static void write_clean(const bfi_sweep *s, FILE *out) {
    char text[48];
    double share = (double)bfi_sweep_clean(s) / (double)s->inputs.count, y = at_y(share);
    fprintf(out, "<path class=\"axis\" stroke-dasharray=\"3 4\" d=\"M%d %.1f H%d\"/>\n", LEFT, y,
            RIGHT);
    snprintf(text, sizeof text, "accuracy at the centres: %.1f %%", 100 * share);
    bfi_svg_say(out, RIGHT - 4, y - 6, "class=\"soft\" font-size=\"11\" text-anchor=\"end\"", text);
}

static void write_line(const bfi_sweep *s, const axis *a, int method, FILE *out) {
    const char *name = bfi_cli_method(s->method[method]);
    bool first = true;
    fprintf(out, "<path class=\"line l%d\" stroke-dasharray=\"%s\" d=\"", method,
            styles[s->method[method]].dash);
    for (int r = 0; r < s->radii; r++) {
        bfi_sweep_count n = bfi_sweep_count_rows(s, method, r);
        if (n.decided == 0) continue;
        fprintf(out, "%c%.1f %.1f", first ? 'M' : 'L', at_x(a, s->radius[r]),
                at_y((double)n.certified / (double)n.decided));
        first = false;
    }
    if (first) fprintf(out, "M%d %d", LEFT, BOTTOM);
    fputs("\"/>\n", out);
    for (int r = 0; r < s->radii; r++) {
        bfi_sweep_count n = bfi_sweep_count_rows(s, method, r);
        if (n.decided == 0) continue;
        double share = (double)n.certified / (double)n.decided;
        fprintf(out,
                "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s, radius %.6g: "
                "%lld of %lld certified (%.1f %%)</title></circle>\n",
                method, at_x(a, s->radius[r]), at_y(share), name, s->radius[r],
                (long long)n.certified, (long long)n.decided, 100 * share);
    }
}

static double write_key(const bfi_sweep *s, int method, double x, FILE *out) {
    const char *name = bfi_cli_method(s->method[method]);
    fprintf(out, "<path class=\"line l%d\" stroke-dasharray=\"%s\" d=\"M%.1f 82 h34\"/>\n", method,
            styles[s->method[method]].dash, x);
    fprintf(out, "<circle class=\"d%d\" cx=\"%.1f\" cy=\"82\" r=\"3\"/>\n", method, x + 17);
    bfi_svg_say(out, x + 41, 86, "class=\"ink\"", name);
    return x + 41 + bfi_svg_width(name, 13) + 24;
}

static void write_head(const bfi_sweep *s, const char *title, FILE *out) {
    char text[256], clip[80] = "";
    int64_t open = 0, rows = s->methods * s->inputs.count * s->radii;
    for (int64_t i = 0; i < rows; i++) open += s->rows[i].how == BFI_SWEEP_OPEN;
    bfi_svg_say(out, LEFT, 34, "class=\"ink\" font-size=\"18\" font-weight=\"bold\"", title);
    if (isfinite(s->clip_lo) || isfinite(s->clip_hi))
        snprintf(clip, sizeof clip, ", inputs within [%.4g, %.4g]", s->clip_lo, s->clip_hi);
    snprintf(text, sizeof text, "%lld inputs, %d radii%s%s.", (long long)s->inputs.count, s->radii,
             s->scale.x ? ", each input with its own scale" : "", clip);
    if (open)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 " Not finished: %lld of %lld rows are open and left out.", (long long)open,
                 (long long)rows);
    bfi_svg_say(out, LEFT, 56, "class=\"soft\"", text);
}

void bfi_sweep_svg(const bfi_sweep *s, FILE *out) {
    axis a = make_axis(s);
    char title[192];
    snprintf(title, sizeof title, "Certified accuracy of %.120s", bfi_path_name(s->path));
    bfi_svg_open(out, WIDTH, HEIGHT, 13, title);
    write_style(s, out);
    fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
    write_head(s, title, out);
    double x = LEFT;
    for (int m = 0; m < s->methods; m++) x = write_key(s, m, x, out);
    write_axes(&a, out);
    write_clean(s, out);
    for (int m = 0; m < s->methods; m++) write_line(s, &a, m, out);
    fputs("</svg>\n", out);
}
