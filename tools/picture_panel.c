#include "picture_panel.h"

#include <math.h>

static void widen(const double *values, int64_t count, double *least, double *most) {
    for (int64_t i = 0; i < count; i++) {
        *least = fmin(*least, values[i]);
        *most = fmax(*most, values[i]);
    }
}

int bfi_panels_make(const bfi_picture *picture, bfi_panel *panels) {
    double least = 0, most = 1; /* the usual range of pixels, unless values leave it */
    widen(picture->before, picture->count, &least, &most);
    if (picture->after) widen(picture->after, picture->count, &least, &most);
    bfi_panel plain = {.picture = picture, .zero = least, .scale = 1 / (most - least)};
    panels[0] = panels[1] = panels[2] = plain;
    panels[0].title = picture->before_title;
    panels[0].values = picture->before;
    if (!picture->after) return 1;
    panels[1].title = picture->after_title;
    panels[1].values = picture->after;
    double largest = 0;
    for (int64_t i = 0; i < picture->count; i++)
        largest = fmax(largest, fabs(picture->after[i] - picture->before[i]));
    panels[2].title = "difference";
    panels[2].values = picture->after;
    panels[2].difference = true;
    panels[2].zero = 0;
    panels[2].scale = largest > 0 ? 1 / largest : 0;
    return 3;
}

static int64_t offset(const bfi_picture *p, int x, int y, int channel) {
    int64_t pixel = (int64_t)y * p->width + x;
    return p->planar ? (int64_t)channel * p->width * p->height + pixel
                     : pixel * p->channels + channel;
}

static double mean(const bfi_panel *panel, int x, int y, int shrink, int channel) {
    const bfi_picture *p = panel->picture;
    double sum = 0;
    int pixels = 0;
    for (int j = y * shrink; j < (y + 1) * shrink && j < p->height; j++)
        for (int i = x * shrink; i < (x + 1) * shrink && i < p->width; i++) {
            int64_t at = offset(p, i, j, channel);
            sum += panel->values[at] - (panel->difference ? p->before[at] : 0);
            pixels++;
        }
    return pixels ? (sum / pixels - panel->zero) * panel->scale : 0;
}

void bfi_panel_cell(const bfi_panel *panel, int x, int y, int shrink, double rgb[3]) {
    int channels = panel->picture->channels;
    for (int c = 0; c < 3; c++) rgb[c] = c < channels ? mean(panel, x, y, shrink, c) : rgb[0];
    double low = panel->difference ? -1 : 0;
    for (int c = 0; c < 3; c++) rgb[c] = rgb[c] < low ? low : rgb[c] > 1 ? 1 : rgb[c];
    if (!panel->difference) return;
    for (int c = 1; c < channels; c++)
        if (fabs(rgb[c]) > fabs(rgb[0])) rgb[0] = rgb[c];
    rgb[1] = rgb[2] = rgb[0];
}
