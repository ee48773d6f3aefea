#include "progress.h"

#include <stdio.h>
#include <string.h>

#include "boundflow/bounds.h"
#include "terminal.h"

#define BAR 24
#define PERIOD 0.1
#define PLAIN_PERIOD 2.0

void bfi_progress_start(bfi_progress *progress, bool quiet) {
    *progress = (bfi_progress){.shown = !quiet && bfi_terminal_is(stderr)};
}

void bfi_progress_ask(bfi_progress *progress) {
    progress->plain = !bfi_terminal_is(stderr);
    progress->shown = true;
}

void bfi_progress_show(bfi_progress *progress, int64_t done, int64_t total, const char *text) {
    if (!progress->shown) return;
    double now = bf_clock(), period = progress->plain ? PLAIN_PERIOD : PERIOD;
    if (progress->visible && now - progress->last < period) return;
    progress->last = now;
    progress->visible = true;
    char bar[BAR + 1] = "";
    if (total > 0) {
        int filled = (int)((double)done / (double)total * BAR);
        for (int i = 0; i < BAR; i++) bar[i] = i < filled ? '#' : '.';
    }
    char line[512];
    if (total > 0)
        snprintf(line, sizeof line, "[%s] %lld/%lld %s", bar, (long long)done, (long long)total,
                 text);
    else
        snprintf(line, sizeof line, "%s", text);
    if (progress->plain)
        fprintf(stderr, "%s\n", line);
    else
        fprintf(stderr, "\r\033[K%.*s", bfi_terminal_width(stderr) - 1, line);
    fflush(stderr);
}

void bfi_progress_clear(bfi_progress *progress) {
    if (!progress->visible) return;
    progress->visible = false;
    if (progress->plain) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

void bfi_progress_duration(double seconds, char *text, int size) {
    long long s = seconds > 0 && seconds < 1e15 ? (long long)(seconds + 0.5) : 0;
    if (seconds < 9.95)
        snprintf(text, (size_t)size, "%.1f s", seconds);
    else if (s < 60)
        snprintf(text, (size_t)size, "%lld s", s);
    else if (s < 3600)
        snprintf(text, (size_t)size, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(text, (size_t)size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}
