/* A plan as tables for people or as JSON. Reads the plan only; nothing is run. */
#ifndef BFI_TOOLS_PLAN_REPORT_H
#define BFI_TOOLS_PLAN_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "boundflow/inspect.h"

/* In the order of --report's choices. */
typedef enum bfi_report {
    BFI_REPORT_TASKS,
    BFI_REPORT_LAYOUT,
    BFI_REPORT_MEMORY,
    BFI_REPORT_LOWERING,
    BFI_REPORT_COUNT
} bfi_report;

/* What a report is about; nothing in it is owned. */
typedef struct bfi_plan_view {
    const char *path; /* of the model */
    const bf_model *model;
    const bf_plan *plan;
    const bf_options *options;
    int threads;
    double load_s, plan_s; /* seconds to read the model, to create the plan */
} bfi_plan_view;

/* The tasks that |task| waits for, each once and ascending: "0-2, 5". */
const char *bfi_plan_needs(const bf_plan *plan, int task, char *text, size_t size);

/* |name|, or the end of it behind dots where it has more than |width| bytes: ends differ. */
const char *bfi_plan_short_name(const char *name, int width, char *text, size_t size);

/* Percent that reuse saves against one buffer per vector and coefficient tensor. */
double bfi_plan_saving(const bf_plan *plan);

/* One line on what the plan is for and one on its memory, then the table. False: out of memory. */
bool bfi_plan_report(const bfi_plan_view *view, bfi_report report, FILE *out);

/* One JSON object on one line; BFI_REPORT_COUNT: with all reports. False: out of memory. */
bool bfi_plan_json(const bfi_plan_view *view, bfi_report report, FILE *out);

#endif
