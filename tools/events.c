#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "json.h"

#define PERIOD 0.1 /* seconds between two "progress" */

bf_status bfi_events_open(bfi_events *e, const char *path, bool append, bf_error *err) {
    *e = (bfi_events){.path = path};
    e->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC), 0666);
    if (e->fd >= 0) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
}

void bfi_events_close(bfi_events *e) {
    if (e->path && e->fd >= 0) close(e->fd);
    *e = (bfi_events){0};
}

static void give_up(bfi_events *e, const char *why) {
    fprintf(stderr, "boundflow verify: %s: cannot be written: %s; its events end here\n", e->path,
            why);
    close(e->fd);
    e->fd = -1;
}

/* A line: what follows goes between these two. */
static bool open_line(bfi_events *e, bfi_text *text, bfi_json *json, const char *event) {
    if (!e->path || e->fd < 0) return false;
    if (bfi_text_open(text, NULL) != BF_STATUS_OK) return false;
    *json = (bfi_json){.out = text->stream};
    bfi_json_open(json, NULL, '{');
    bfi_json_string(json, "event", event);
    bfi_json_number(json, "t", bf_clock() - e->start);
    return true;
}

static void close_line(bfi_events *e, bfi_text *text, bfi_json *json) {
    bfi_json_close(json, '}');
    fputc('\n', text->stream);
    if (bfi_text_close(text, NULL) == BF_STATUS_OK) {
        ssize_t put;
        do put = write(e->fd, text->data, text->size);
        while (put < 0 && errno == EINTR);
        if (put < 0 || (size_t)put != text->size)
            give_up(e, put < 0 ? strerror(errno) : "it takes no more");
    }
    bfi_text_free(text);
}

/* Infinite: nothing is known. */
static void write_known(bfi_json *json, const char *key, double value) {
    if (isfinite(value))
        bfi_json_number(json, key, value);
    else
        bfi_json_null(json, key);
}

void bfi_events_begin(bfi_events *e, const bfi_events_start *start) {
    bfi_text text;
    bfi_json json;
    e->start = e->last = e->rate_time = bf_clock();
    e->phase[0] = e->branching[0] = '\0';
    e->best = (double)INFINITY;
    e->checkpoints = e->rate_nodes = 0;
    e->problem = false;
    if (!open_line(e, &text, &json, "start")) return;
    bfi_json_string(&json, "version", bf_version());
    bfi_json_integer(&json, "unix_s", (int64_t)time(NULL));
    bfi_json_string(&json, "model", start->model);
    bfi_json_string(&json, "property", start->property);
    write_known(&json, "timeout_s", start->timeout > 0 ? start->timeout : (double)INFINITY);
    bfi_json_integer(&json, "threads", start->threads);
    if (start->checkpoint) bfi_json_string(&json, "checkpoint", start->checkpoint);
    if (start->resume) bfi_json_string(&json, "resume", start->resume);
    close_line(e, &text, &json);
}

static void tell_phase(bfi_events *e, const bf_progress *p) {
    bfi_text text;
    bfi_json json;
    snprintf(e->phase, sizeof e->phase, "%s", p->phase);
    if (!open_line(e, &text, &json, "phase")) return;
    bfi_json_string(&json, "phase", p->phase);
    bfi_json_string(&json, "reason", p->reason);
    bfi_json_integer(&json, "done", p->done);
    bfi_json_integer(&json, "total", p->total);
    write_known(&json, "bound", p->bound);
    close_line(e, &text, &json);
}

static void tell_branching(bfi_events *e, const bf_progress *p) {
    bfi_text text;
    bfi_json json;
    snprintf(e->branching, sizeof e->branching, "%s", p->branching);
    if (!open_line(e, &text, &json, "branching")) return;
    bfi_json_string(&json, "phase", p->phase);
    bfi_json_string(&json, "branching", p->branching);
    close_line(e, &text, &json);
}

static void tell_incumbent(bfi_events *e, const bf_progress *p) {
    bfi_text text;
    bfi_json json;
    e->best = p->best;
    if (!open_line(e, &text, &json, "incumbent")) return;
    bfi_json_string(&json, "phase", p->phase);
    bfi_json_number(&json, "best", p->best);
    close_line(e, &text, &json);
}

static void tell_checkpoint(bfi_events *e, const bf_progress *p) {
    bfi_text text;
    bfi_json json;
    e->checkpoints = p->checkpoints;
    e->problem = p->checkpoint_problem != NULL;
    if (!open_line(e, &text, &json, "checkpoint")) return;
    bfi_json_integer(&json, "written", p->checkpoints);
    bfi_json_integer(&json, "bytes", p->checkpoint_bytes);
    if (p->checkpoint_problem) bfi_json_string(&json, "problem", p->checkpoint_problem);
    close_line(e, &text, &json);
}

static void tell_progress(bfi_events *e, const bf_progress *p) {
    bfi_text text;
    bfi_json json;
    int64_t nodes = p->nodes + p->hidden_nodes;
    double now = bf_clock(), rate = (double)(nodes - e->rate_nodes) / (now - e->rate_time);
    e->last = e->rate_time = now;
    e->rate_nodes = nodes;
    if (!open_line(e, &text, &json, "progress")) return;
    bfi_json_string(&json, "phase", p->phase);
    bfi_json_integer(&json, "done", p->done);
    bfi_json_integer(&json, "total", p->total);
    write_known(&json, "bound", p->bound);
    write_known(&json, "best", p->best);
    bfi_json_integer(&json, "nodes", p->nodes);
    bfi_json_integer(&json, "hidden_nodes", p->hidden_nodes);
    bfi_json_integer(&json, "open", p->open);
    write_known(&json, "nodes_per_s", rate);
    bfi_json_integer(&json, "bytes", p->bytes);
    close_line(e, &text, &json);
}

void bfi_events_progress(bfi_events *e, const bf_progress *p) {
    if (!e->path || e->fd < 0) return;
    if (strncmp(e->phase, p->phase, sizeof e->phase - 1) != 0) tell_phase(e, p);
    if (p->branching && strncmp(e->branching, p->branching, sizeof e->branching - 1) != 0)
        tell_branching(e, p);
    if (p->best < e->best) tell_incumbent(e, p);
    if (p->checkpoints > e->checkpoints || (p->checkpoint_problem && !e->problem))
        tell_checkpoint(e, p);
    if (bf_clock() - e->last >= PERIOD) tell_progress(e, p);
}

void bfi_events_end(bfi_events *e, const bf_verify_result *r, double seconds) {
    bfi_text text;
    bfi_json json;
    if (!open_line(e, &text, &json, "end")) return;
    bfi_json_string(&json, "verdict", bf_verdict_name(r->verdict));
    bfi_json_string(&json, "decided_by", r->decided_by);
    bfi_json_string(&json, "reason", r->reason);
    write_known(&json, "bound", r->margin);
    write_known(&json, "best", r->best_margin);
    bfi_json_integer(&json, "nodes", r->nodes);
    bfi_json_integer(&json, "hidden_nodes", r->hidden_nodes);
    bfi_json_integer(&json, "open", r->open);
    bfi_json_integer(&json, "checkpoints", r->checkpoints);
    bfi_json_number(&json, "time_s", seconds);
    close_line(e, &text, &json);
}

void bfi_events_fail(bfi_events *e, const char *message) {
    bfi_text text;
    bfi_json json;
    if (!open_line(e, &text, &json, "end")) return;
    bfi_json_string(&json, "verdict", "error");
    bfi_json_string(&json, "reason", message);
    close_line(e, &text, &json);
}
