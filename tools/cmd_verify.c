#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assignment.h"
#include "base/alloc.h"
#include "cli.h"
#include "cmd_batch.h"
#include "interrupt.h"
#include "json.h"
#include "picture.h"
#include "progress.h"
#include "terminal.h"
#include "verify_run.h"

static bf_status check_batch(const bfi_arguments *args, bf_error *err) {
    static const bfi_option single[] = {BFI_OPTION_NETWORK,     BFI_OPTION_RESULTS_FILE,
                                        BFI_OPTION_WITNESS_SVG, BFI_OPTION_TRACE,
                                        BFI_OPTION_CHECKPOINT,  BFI_OPTION_CHECKPOINT_INTERVAL,
                                        BFI_OPTION_RESUME};
    if (args->positional)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "'%.80s' and --batch: give one property with --network, or a batch",
                        args->positional);
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (args->given[single[i]])
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s does not go with --batch%s",
                            bfi_options[single[i]].name,
                            single[i] == BFI_OPTION_RESULTS_FILE ? ": use --csv F.csv" : "");
    return BF_STATUS_OK;
}

static bf_status check_single(const bfi_arguments *args, bf_error *err) {
    if (!args->positional)
        return bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "P.vnnlib is missing: boundflow verify P.vnnlib --network M.onnx (or --batch F.csv)");
    if (!args->given[BFI_OPTION_NETWORK])
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "which network? boundflow verify %.80s --network M.onnx", args->positional);
    if (args->given[BFI_OPTION_CSV] || args->given[BFI_OPTION_EXPECTED])
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s goes with --batch only",
                        args->given[BFI_OPTION_CSV] ? "csv" : "expected");
    bf_status status = BF_STATUS_OK;
    if (args->given[BFI_OPTION_RESULTS_FILE])
        status = bfi_cli_writable(args->text[BFI_OPTION_RESULTS_FILE][0], err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_WITNESS_SVG])
        status = bfi_cli_writable(args->text[BFI_OPTION_WITNESS_SVG][0], err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_TRACE])
        status = bfi_cli_writable(args->text[BFI_OPTION_TRACE][0], err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_CHECKPOINT])
        status = bfi_cli_writable(args->text[BFI_OPTION_CHECKPOINT][0], err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_CHECKPOINT_INTERVAL] &&
        !args->given[BFI_OPTION_CHECKPOINT])
        status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                          "--checkpoint-interval goes with --checkpoint only");
    return status;
}

/* --network takes M.onnx or NAME=M.onnx: the file, and how long its name is. */
static const char *network_path(const bfi_arguments *args, int *name) {
    const char *text = args->text[BFI_OPTION_NETWORK][0], *equals = strchr(text, '=');
    bool named = equals && equals[1] && access(text, F_OK) != 0;
    *name = named ? (int)(equals - text) : 0;
    return named ? equals + 1 : text;
}

/* A query of VNN-LIB 2 gives its network a name, and so may --network. */
static bf_status check_name(const bfi_arguments *args, const bfi_verify_run *run, int length,
                            bf_error *err) {
    const char *declared = run->property->network, *given = args->text[BFI_OPTION_NETWORK][0];
    if (length == 0 || !declared) return BF_STATUS_OK;
    if (strlen(declared) == (size_t)length && strncmp(declared, given, (size_t)length) == 0)
        return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                    "--network: %.80s declares the network '%.80s', not '%.*s'", run->source,
                    declared, length < 80 ? length : 80, given);
}

static bf_status write_results(const bfi_arguments *args, const bfi_verify_run *run,
                               bf_error *err) {
    if (!args->given[BFI_OPTION_RESULTS_FILE]) return BF_STATUS_OK;
    bfi_text text;
    bf_status status = bfi_text_open(&text, err);
    if (status != BF_STATUS_OK) return status;
    bfi_assignment_write(text.stream, run->property, &run->result);
    return bfi_text_save(&text, args->text[BFI_OPTION_RESULTS_FILE][0], err);
}

static bf_status write_svg(const bfi_arguments *args, const bfi_verify_run *run, bf_error *err) {
    if (!args->given[BFI_OPTION_WITNESS_SVG] || run->result.verdict != BF_VERDICT_SAT)
        return BF_STATUS_OK;
    char caption[512];
    snprintf(
        caption, sizeof caption,
        "%.120s refutes %.120s: the counterexample lies inside the box and violates the property.",
        bfi_path_name(run->network), bfi_path_name(run->source));
    bfi_picture picture;
    int index = bfi_assignment_case(run->property, run->result.x);
    if (!bfi_picture_make(run->model, run->property, index, run->result.x, &picture))
        return bfi_fail_memory(err);
    picture.caption = caption;
    bfi_text text;
    bf_status status = bfi_text_open(&text, err);
    if (status == BF_STATUS_OK) {
        bfi_picture_svg(text.stream, &picture);
        status = bfi_text_save(&text, args->text[BFI_OPTION_WITNESS_SVG][0], err);
    }
    bfi_picture_free(&picture);
    return status;
}

static bf_status write_trace(bfi_verify_run *run, bf_error *err) {
    if (!run->trace_path) return BF_STATUS_OK;
    if (run->trace_status != BF_STATUS_OK)
        return bfi_fail(err, run->trace_status, "%s", run->trace_error.message);
    if (run->trace.dropped > 0)
        fprintf(stderr, "boundflow verify: %s lacks %lld events: no room for them\n",
                run->trace_path, (long long)run->trace.dropped);
    return bfi_trace_save(&run->trace, run->trace_path, err);
}

static void print_nodes(const bf_verify_result *r) {
    char hidden[64] = "";
    if (r->hidden_nodes > 0)
        snprintf(hidden, sizeof hidden, " and %lld for hidden bounds", (long long)r->hidden_nodes);
    fprintf(stderr, "boundflow verify: %lld nodes%s, splits %s\n", (long long)r->nodes, hidden,
            r->branching);
}

static void print_summary(const bfi_verify_run *run) {
    const bf_verify_result *r = &run->result;
    fprintf(stderr, "boundflow verify: %s in %.3f s", bf_verdict_name(r->verdict), run->total_s);
    if (*r->decided_by) fprintf(stderr, ", decided by %s", r->decided_by);
    if (r->verdict == BF_VERDICT_UNSAT && isfinite(r->margin))
        fprintf(stderr, ", margin %.6g", r->margin);
    if (*r->reason) fprintf(stderr, ": %s", r->reason);
    fputc('\n', stderr);
    if (*r->branching) print_nodes(r);
    if (r->verdict == BF_VERDICT_SAT || r->verdict == BF_VERDICT_UNSAT) return;
    char bound[32] = "unknown", best[32] = "unknown";
    if (isfinite(r->margin)) snprintf(bound, sizeof bound, "%.6g", r->margin);
    if (isfinite(r->best_margin)) snprintf(best, sizeof best, "%.6g", r->best_margin);
    fprintf(stderr,
            "boundflow verify: known so far: certified bound %s, best point's margin %s, %lld "
            "nodes, %lld left open\n",
            bound, best, (long long)r->nodes, (long long)r->open);
    if (r->checkpoints > 0 && !*r->checkpoint_problem)
        fprintf(stderr, "boundflow verify: go on with --resume %s\n", run->options.checkpoint);
}

static bf_status verify_single(const bfi_arguments *args, bfi_verify_run *run, int *code,
                               bf_error *err) {
    bf_status status = check_single(args, err);
    if (status != BF_STATUS_OK) return status;
    bool quiet = args->given[BFI_OPTION_QUIET];
    status = bfi_cli_session(args, &run->session, err);
    if (status != BF_STATUS_OK) return status;
    bfi_progress_start(&run->progress, quiet);
    if (args->given[BFI_OPTION_PROGRESS] && !quiet) bfi_progress_ask(&run->progress);
    int name;
    const char *path = network_path(args, &name);
    status = bfi_verify_run_load(run, path, args->positional, err);
    if (status == BF_STATUS_OK) status = check_name(args, run, name, err);
    if (status == BF_STATUS_OK)
        status = bfi_verify_run_decide(run, args->real[BFI_OPTION_TIMEOUT][0], err);
    bfi_progress_clear(&run->progress);
    if (status == BF_STATUS_OK) status = write_results(args, run, err);
    if (status == BF_STATUS_OK) status = write_svg(args, run, err);
    if (status == BF_STATUS_OK) status = write_trace(run, err);
    if (status != BF_STATUS_OK) return status;
    if (args->given[BFI_OPTION_JSON]) { /* the verdict is the first line in every form */
        puts(bfi_assignment_verdict(run->property, run->result.verdict));
        bfi_verify_run_json(run, stdout);
    } else {
        bfi_assignment_write(stdout, run->property, &run->result);
    }
    status = bfi_cli_flush(err);
    if (status == BF_STATUS_OK && !quiet) print_summary(run);
    if (run->result.verdict == BF_VERDICT_UNKNOWN && bfi_interrupt_came())
        *code = bf_status_exit_code(BF_STATUS_CANCELLED);
    return status;
}

int bfi_cmd_verify(const bfi_arguments *args) {
    bf_error err = {""};
    bfi_verify_run run;
    int code = 0;
    bf_status status = bfi_verify_run_init(args, &run, &err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_BATCH]) {
        status = check_batch(args, &err);
        if (status == BF_STATUS_OK) status = bfi_batch(args, &run, &code, &err);
    } else if (status == BF_STATUS_OK) {
        status = verify_single(args, &run, &code, &err);
    }
    bf_session *session = run.session;
    bfi_verify_run_clear(&run);
    bfi_cli_session_free(args, session);
    return status == BF_STATUS_OK ? code : bfi_cli_end(BFI_COMMAND_VERIFY, status, &err);
}
