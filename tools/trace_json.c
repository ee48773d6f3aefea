#include "trace_json.h"

#include <math.h>

#include "base/file.h"

#define ROOM (1 << 18) /* events; memory is touched only as far as they come */

bf_status bfi_trace_start(bf_workspace *workspace, bf_error *err) {
    return bf_workspace_trace(workspace, ROOM, err);
}

/* Whole nanoseconds: what the clock tells, without the digits of a binary fraction. */
static double microseconds(double seconds) { return round(seconds * 1e9) / 1e3; }

/* Names a row: the process's (tid -1) or a worker's. */
static void write_name(bfi_json *json, int worker) {
    char name[32];
    snprintf(name, sizeof name, worker < 0 ? "boundflow" : "worker %d", worker);
    fputc('\n', json->out);
    bfi_json_open(json, NULL, '{');
    bfi_json_string(json, "name", worker < 0 ? "process_name" : "thread_name");
    bfi_json_string(json, "ph", "M");
    bfi_json_integer(json, "pid", 1);
    if (worker >= 0) bfi_json_integer(json, "tid", worker);
    bfi_json_open(json, "args", '{');
    bfi_json_string(json, "name", name);
    bfi_json_close(json, '}');
    bfi_json_close(json, '}');
}

static void write_event(bfi_json *json, const bf_plan *plan, const bf_trace_event *event,
                        double start) {
    fputc('\n', json->out);
    bfi_json_open(json, NULL, '{');
    bfi_json_string(json, "name", event->name);
    bfi_json_string(json, "cat", bf_plan_task(plan, event->task).kind);
    bfi_json_string(json, "ph", "X");
    bfi_json_number(json, "ts", microseconds(event->begin - start));
    bfi_json_number(json, "dur", microseconds(event->end - event->begin));
    bfi_json_integer(json, "pid", 1);
    bfi_json_integer(json, "tid", event->worker);
    bfi_json_open(json, "args", '{');
    bfi_json_string(json, "layer", event->layer);
    bfi_json_integer(json, "lanes", event->lanes);
    bfi_json_number(json, "flops", event->flops);
    bfi_json_integer(json, "task", event->task);
    bfi_json_close(json, '}');
    bfi_json_close(json, '}');
}

static bf_status open_file(bfi_trace_file *file, bf_error *err) {
    if (file->open) return BF_STATUS_OK;
    bf_status status = bfi_text_open(&file->text, err);
    if (status != BF_STATUS_OK) return status;
    *file = (bfi_trace_file){.text = file->text, .open = true, .start = INFINITY};
    file->json.out = file->text.stream;
    bfi_json_open(&file->json, NULL, '[');
    write_name(&file->json, -1);
    return BF_STATUS_OK;
}

bf_status bfi_trace_append(bfi_trace_file *file, const bf_plan *plan, const bf_workspace *workspace,
                           bf_error *err) {
    bf_status status = open_file(file, err);
    if (status != BF_STATUS_OK) return status;
    int64_t dropped = 0, count = bf_workspace_trace_count(workspace, &dropped);
    file->dropped += dropped;
    int workers = file->workers;
    for (int64_t i = 0; i < count; i++) {
        bf_trace_event event = bf_workspace_trace_event(workspace, i);
        file->start = fmin(file->start, event.begin);
        if (event.worker >= workers) workers = event.worker + 1;
    }
    for (; file->workers < workers; file->workers++) write_name(&file->json, file->workers);
    for (int64_t i = 0; i < count; i++) {
        bf_trace_event event = bf_workspace_trace_event(workspace, i);
        write_event(&file->json, plan, &event, file->start);
    }
    return BF_STATUS_OK;
}

bf_status bfi_trace_save(bfi_trace_file *file, const char *path, bf_error *err) {
    bf_status status = open_file(file, err);
    if (status != BF_STATUS_OK) return status;
    bfi_json_close(&file->json, ']');
    fputc('\n', file->json.out);
    status = bfi_text_close(&file->text, err);
    if (status == BF_STATUS_OK)
        status = bfi_file_write(path, file->text.data, file->text.size, err);
    bfi_text_free(&file->text);
    file->open = false;
    return status;
}

void bfi_trace_discard(bfi_trace_file *file) {
    if (!file->open) return;
    bfi_text_close(&file->text, NULL);
    bfi_text_free(&file->text);
    file->open = false;
}
