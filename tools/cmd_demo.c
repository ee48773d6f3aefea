#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "demo_data.h"
#include "picture.h"
#include "terminal.h"

#define LIMIT 60.0 /* seconds; both questions take milliseconds */
#define DEFAULT_SVG "boundflow-demo.svg"

typedef struct demo {
    bf_session *session;
    bf_model *model;
    const char *svg;
} demo;

/* One question: a property, what the network says at the centre of its box, and the answer. */
typedef struct question {
    bf_property *property;
    bf_verify_result result;
    bfi_picture picture;
    double *scores; /* of the centre */
    int64_t label;  /* largest of them */
    double radius;  /* largest distance of an input from the centre */
} question;

static void say(const char *text) {
    bfi_terminal_wrap(stdout, text, 0, 0);
    putchar('\n');
}

/* "a 3", "an 8" */
static const char *article(int64_t digit) { return digit == 8 ? "an" : "a"; }

/* The picture that the box was drawn around: its radius is the same everywhere, but the box stops
 * at 0 and 1, the range of pixels. */
static void restore_centre(question *q) {
    bfi_picture *p = &q->picture;
    for (int64_t i = 0; i < p->count; i++) q->radius = fmax(q->radius, (p->hi[i] - p->lo[i]) / 2);
    for (int64_t i = 0; i < p->count; i++)
        p->before[i] = p->lo[i] > 0 ? p->lo[i] + q->radius : p->hi[i] - q->radius;
}

static int64_t largest(const double *values, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

static bf_status ask(demo *d, const unsigned char *text, size_t size, const char *name, question *q,
                     bf_error *err) {
    bf_status status = bf_property_parse((const char *)text, size, name, &q->property, err);
    if (status != BF_STATUS_OK) return status;
    bf_verify_options options = bf_verify_options_default();
    options.timeout = LIMIT;
    status = bf_verify(d->session, d->model, q->property, &options, &q->result, err);
    if (status != BF_STATUS_OK) return status;
    bool refuted = q->result.verdict == BF_VERDICT_SAT;
    if (!bfi_picture_make(d->model, q->property, 0, refuted ? q->result.x : NULL, &q->picture))
        return bfi_fail_memory(err);
    restore_centre(q);
    int64_t outputs = bf_model_output_count(d->model);
    q->scores = bfi_malloc((size_t)outputs, sizeof *q->scores);
    if (!q->scores) return bfi_fail_memory(err);
    status = bf_model_evaluate(d->model, 1, q->picture.before, q->scores, err);
    if (status != BF_STATUS_OK) return status;
    q->label = largest(q->scores, outputs);
    return BF_STATUS_OK;
}

static void clear(question *q) {
    bfi_picture_free(&q->picture);
    free(q->scores);
    bf_verify_result_clear(&q->result);
    bf_property_free(q->property);
}

static void print_heading(const char *text) {
    printf("\n%s%s%s\n", bfi_terminal_style(stdout, BFI_STYLE_BOLD), text,
           bfi_terminal_style(stdout, BFI_STYLE_RESET));
}

static void print_answer(bfi_style style, const char *word, const char *text) {
    printf("\n%s%s%s ", bfi_terminal_style(stdout, style), word,
           bfi_terminal_style(stdout, BFI_STYLE_RESET));
    bfi_terminal_wrap(stdout, text, 0, (int)strlen(word) + 1);
    putchar('\n');
}

static void print_introduction(const demo *d) {
    char text[512];
    print_heading("BoundFlow demo");
    snprintf(text, sizeof text,
             "A small neural network reads handwritten digits: %lld grey pixels go in, %lld scores "
             "come out, and the digit with the largest score wins. Testing tries some pictures. "
             "BoundFlow answers for all pictures of a region at once: it proves that none breaks "
             "the rule, or it shows one that does.",
             (long long)bf_model_input_count(d->model), (long long)bf_model_output_count(d->model));
    say(text);
}

static bf_status unexpected(const question *q, const char *wanted, bf_error *err) {
    return bfi_fail(err, BF_STATUS_INTERNAL,
                    "the demo's %s should be %s but came out %s%s%s: please report",
                    q->property->source, wanted, bf_verdict_name(q->result.verdict),
                    *q->result.reason ? ": " : "", q->result.reason);
}

static bf_status show_proved(demo *d, bf_error *err) {
    question q = {0};
    char text[512];
    bf_status status = ask(d, bfi_demo_proved, bfi_demo_proved_size, "proved.vnnlib", &q, err);
    if (status == BF_STATUS_OK && q.result.verdict != BF_VERDICT_UNSAT)
        status = unexpected(&q, "unsat", err);
    if (status == BF_STATUS_OK) {
        print_heading("Question 1");
        snprintf(text, sizeof text,
                 "Take this picture, which the network reads as %s %lld, and let every pixel "
                 "become darker or lighter by up to %.3g %% of the full range, each on its own. "
                 "Does the network read %s %lld every time?",
                 article(q.label), (long long)q.label, 100 * q.radius, article(q.label),
                 (long long)q.label);
        say(text);
        putchar('\n');
        q.picture.before_title = "the picture";
        bfi_picture_print(stdout, &q.picture);
        snprintf(text, sizeof text,
                 "proved in %.3g ms (verdict unsat, by %s). No such change makes any other digit "
                 "win, not one out of infinitely many: over the whole region the score of %lld "
                 "stays ahead by at least %.3g.",
                 1e3 * q.result.total_s, q.result.decided_by, (long long)q.label, q.result.margin);
        print_answer(BFI_STYLE_GOOD, "Yes:", text);
    }
    clear(&q);
    return status;
}

static void print_scores(const question *q, int64_t found) {
    int64_t outputs = q->result.n_out;
    printf("\n  %-16s", "score of digit");
    for (int64_t i = 0; i < outputs; i++) printf("%6lld", (long long)i);
    for (int line = 0; line < 2; line++) {
        const double *scores = line ? q->result.y : q->scores;
        printf("\n  %-16s", line ? "counterexample" : "the picture");
        for (int64_t i = 0; i < outputs; i++) {
            bool best = i == (line ? found : q->label);
            printf("%s%6.1f%s",
                   bfi_terminal_style(
                       stdout, best ? line ? BFI_STYLE_BAD : BFI_STYLE_GOOD : BFI_STYLE_NONE),
                   scores[i], best ? bfi_terminal_style(stdout, BFI_STYLE_RESET) : "");
        }
    }
    putchar('\n');
}

static bf_status write_svg(const demo *d, const bfi_picture *picture, bf_error *err) {
    bfi_text text;
    bf_status status = bfi_text_open(&text, err);
    if (status != BF_STATUS_OK) return status;
    bfi_picture_svg(text.stream, picture);
    return bfi_text_save(&text, d->svg, err);
}

static bf_status show_refuted(demo *d, bf_error *err) {
    question q = {0};
    char text[512];
    bf_status status = ask(d, bfi_demo_refuted, bfi_demo_refuted_size, "refuted.vnnlib", &q, err);
    if (status == BF_STATUS_OK && q.result.verdict != BF_VERDICT_SAT)
        status = unexpected(&q, "sat", err);
    if (status == BF_STATUS_OK) {
        int64_t found = largest(q.result.y, q.result.n_out);
        print_heading("Question 2");
        snprintf(text, sizeof text,
                 "The same for a picture of %s %lld, but with up to %.3g %% per pixel. Is it %s "
                 "%lld every time?",
                 article(q.label), (long long)q.label, 100 * q.radius, article(q.label),
                 (long long)q.label);
        say(text);
        snprintf(text, sizeof text,
                 "refuted in %.3g ms (verdict sat, by %s). Here is a counterexample. Every pixel "
                 "moved by no more than was allowed, and still the network reads %s %lld:",
                 1e3 * q.result.total_s, q.result.decided_by, article(found), (long long)found);
        print_answer(BFI_STYLE_BAD, "No:", text);
        putchar('\n');
        char before[48], after[48], caption[256];
        snprintf(before, sizeof before, "read as %lld", (long long)q.label);
        snprintf(after, sizeof after, "read as %lld", (long long)found);
        snprintf(caption, sizeof caption,
                 "Every pixel on the right differs from the left by at most %.3g %% of the full "
                 "range. Before a counterexample is printed, separate code evaluates it again.",
                 100 * q.radius);
        q.picture.title = "BoundFlow demo: a counterexample";
        q.picture.before_title = before;
        q.picture.after_title = after;
        q.picture.caption = caption;
        bfi_picture_print(stdout, &q.picture);
        print_scores(&q, found);
        status = write_svg(d, &q.picture, err);
    }
    clear(&q);
    return status;
}

static void print_next(const demo *d) {
    print_heading("Next");
    printf("  The second picture is in %s: open it in a browser.\n", d->svg);
    puts(
        "  With networks and properties of your own:\n"
        "    boundflow info net.onnx\n"
        "    boundflow verify property.vnnlib --network net.onnx\n"
        "    boundflow bound net.onnx --center x.npy --eps 0.01 --margin 3\n"
        "  boundflow help tells the rest.");
}

int bfi_cmd_demo(const bfi_arguments *args) {
    bf_error err = {""};
    demo d = {.svg = args->given[BFI_OPTION_SVG] ? args->text[BFI_OPTION_SVG][0] : DEFAULT_SVG};
    bf_status status = bfi_cli_writable(d.svg, &err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &d.session, &err);
    if (status == BF_STATUS_OK)
        status =
            bf_model_parse(bfi_demo_model, bfi_demo_model_size, "digits_mlp.onnx", &d.model, &err);
    if (status == BF_STATUS_OK) {
        print_introduction(&d);
        status = show_proved(&d, &err);
    }
    if (status == BF_STATUS_OK) status = show_refuted(&d, &err);
    if (status == BF_STATUS_OK) print_next(&d);
    bf_model_free(d.model);
    bfi_cli_session_free(args, d.session);
    return bfi_cli_end(BFI_COMMAND_DEMO, status, &err);
}
