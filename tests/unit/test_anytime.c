/* A verification that is stopped says what is certified: at every look at the budget, after any
 * time, and whatever memory the tree may take. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "runtime/session.h"
#include "search_kit.h"
#include "solver_kit.h"
#include "verify/bab/tree.h"

enum { MANY = 1 << 30 };

static bf_verify_result decide(const bf_model *model, const bf_property *property,
                               const bf_verify_options *o) {
    bf_verify_result result;
    bf_error err = {""};
    if (bf_verify(kit_session(1), model, property, o, &result, &err)) fail_msg("%s", err.message);
    return result;
}

/* Stopped at its k-th look for every k (|all|; else large ones in steps): the bound only rises, the
 * best point only comes nearer, both hold, and a checkpoint of that moment leads to the same
 * verdict. */
static void stop_everywhere(const bf_model *model, const bf_property *property, double least,
                            bf_engine engine, bf_branching branching, bool all) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/bf_test_anytime_%ld", (long)getpid());
    bf_verify_options o = kit_verify_options();
    o.engine = engine, o.branching = branching;
    atomic_int *stop = &kit_session(1)->stop;
    atomic_store(stop, -MANY);
    bf_verify_result whole = decide(model, property, &o);
    int looks = atomic_load(stop) + MANY, step = all ? 1 : looks / 200 + 1, stopped = 0;
    double bound = -INFINITY, best = INFINITY;
    for (int k = 1; k <= looks; k += k < 100 ? 1 : step) {
        bf_verify_options with = o;
        if (k % 8 == 0) with.checkpoint = path;
        atomic_store(stop, -k);
        bf_verify_result r = decide(model, property, &with);
        bf_session_resume(kit_session(1));
        bool early = r.verdict == BF_VERDICT_UNKNOWN;
        stopped += early;
        if (early) assert_string_equal(r.reason, "stopped on request");
        if (!early) assert_int_equal(r.verdict, whole.verdict);
        if (!isnan(r.margin)) {
            assert_true(r.margin >= bound && r.margin <= fmax(least, 0) + 1e-6);
            bound = r.margin;
        }
        if (!isnan(r.best_margin)) {
            assert_true(r.best_margin <= best && (isnan(r.margin) || r.best_margin >= r.margin));
            best = r.best_margin;
        }
        if (early && r.checkpoints > 0) {
            with = o;
            with.resume = path;
            bf_verify_result again = decide(model, property, &with);
            assert_int_equal(again.verdict, whole.verdict);
            if (engine == BF_ENGINE_AUTO && branching == BF_BRANCHING_INPUTS)
                assert_int_equal(again.nodes, whole.nodes);
            bf_verify_result_clear(&again);
        }
        bf_verify_result_clear(&r);
    }
    print_message("%d looks, %d stops; %lld nodes\n", looks, stopped, (long long)whole.nodes);
    assert_true(stopped > 20);
    bf_verify_result_clear(&whole);
    unlink(path);
}

/* A question a little below the least that some points come to. */
static void stop_one(bf_engine engine, bf_branching branching, double part, bool all) {
    bf_model *model = kit_model(3, 2, 10);
    double low, high;
    kit_range(model, &low, &high);
    double slack = part * (high - low);
    bf_property *property = kit_property(3, low - slack);
    stop_everywhere(model, property, slack, engine, branching, all);
    bf_property_free(property);
    bf_model_free(model);
}

static void test_stopped_everywhere(void **unused) {
    (void)unused;
    stop_one(BF_ENGINE_AUTO, BF_BRANCHING_INPUTS, 0.1, false);
    stop_one(BF_ENGINE_AUTO, BF_BRANCHING_INPUTS, 0.02, true);
    stop_one(BF_ENGINE_AUTO, BF_BRANCHING_NEURONS, 0.1, false);
    stop_one(BF_ENGINE_AUTO, BF_BRANCHING_NEURONS, 0.02, KIT_SLOWER == 1);
}

/* The same where linear programs search. */
static void test_programs_stopped_everywhere(void **unused) {
    (void)unused;
    if (!solver_there(BFI_SOLVER_MIP)) skip();
    stop_one(BF_ENGINE_MIP, BF_BRANCHING_AUTO, 0.02, KIT_SLOWER == 1);
}

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double stopped_at; /* a signal handler has no argument */

static void on_time(int number) {
    (void)number;
    stopped_at = cpu();
    bf_session_stop(kit_session(1));
}

/* Processor time that passes between a stop and the end, which does not depend on what else the
 * machine does: a time limit is looked for where stops are. */
static void test_stops_soon(void **unused) {
    (void)unused;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    char line[600], list[1024];
    double worst = 0;
    int runs = 0, stopped = 0;
    if (!root) skip();
    snprintf(list, sizeof list, "%s/models/instances.csv", root);
    FILE *file = fopen(list, "r");
    assert_non_null(file);
    struct sigaction action = {.sa_handler = on_time};
    sigaction(SIGVTALRM, &action, NULL);
    for (int row = 0; fgets(line, sizeof line, file); row++) {
        char onnx[1024], vnnlib[1024], *a = strtok(line, ","), *b = strtok(NULL, ",\n");
        if (!a || !b || row % 4) continue;
        snprintf(onnx, sizeof onnx, "%s/models/%s", root, a);
        snprintf(vnnlib, sizeof vnnlib, "%s/models/%s", root, b);
        bf_model *model;
        bf_property *property;
        if (bf_model_load(onnx, &model, NULL) != BF_STATUS_OK) continue;
        assert_int_equal(bf_property_load(vnnlib, &property, NULL), BF_STATUS_OK);
        bf_verify_options o = bf_verify_options_default();
        o.restarts = 100000;
        o.bounds.method = BF_METHOD_ALPHA_CROWN;
        for (int i = 0; i < 4; i++, runs++) {
            stopped_at = INFINITY;
            struct itimerval when = {.it_value = {.tv_usec = (suseconds_t)kit_int(1000, 60000)}};
            setitimer(ITIMER_VIRTUAL, &when, NULL);
            bf_verify_result r = decide(model, property, &o);
            stopped += r.verdict == BF_VERDICT_UNKNOWN;
            if (cpu() - stopped_at > worst) worst = cpu() - stopped_at;
            setitimer(ITIMER_VIRTUAL, &(struct itimerval){0}, NULL);
            bf_session_resume(kit_session(1));
            bf_verify_result_clear(&r);
        }
        bf_property_free(property);
        bf_model_free(model);
    }
    fclose(file);
    print_message("%d of %d runs stopped; %.1f ms from a stop to the end at worst\n", stopped, runs,
                  1e3 * worst);
    assert_true(stopped > 0 && worst < 0.05 * KIT_SLOWER);
}

/* A search of 2^20 and more nodes that all stay open down to a depth, each with data, in a tree
 * of 64 MiB. */
static void test_tree_of_a_million(void **unused) {
    (void)unused;
    enum { DEPTH = 20, DATA = 200 };
    const int64_t cap = (int64_t)64 << 20;
    int64_t before = kit_resident(), most = 0, leaves = 0;
    bfi_tree *tree;
    char data[DATA] = {0};
    int32_t nodes[64];
    assert_int_equal(bfi_tree_create(0, &tree, NULL), BF_STATUS_OK);
    bfi_tree_limit(tree, cap / 4 / BFI_TREE_NODE_BYTES, cap - cap / 4);
    bfi_decision d = {-1, 0, 0};
    assert_int_equal(bfi_tree_add(tree, -1, 0, d, -1, 1, NULL), BF_STATUS_OK);
    for (int32_t n; (n = bfi_tree_take(tree, 64, nodes)) > 0;) {
        for (int32_t i = 0; i < n; i++) {
            int32_t depth = bfi_tree_depth(tree, nodes[i]);
            for (int side = -1; side <= 1 && depth < DEPTH; side += 2) {
                double margin = -(double)kit_int(1, 1000);
                assert_int_equal(bfi_tree_add(tree, nodes[i], side, d, margin, 1, NULL),
                                 BF_STATUS_OK);
                bfi_tree_attach(tree, data, sizeof data);
            }
            leaves += depth == DEPTH;
            bfi_tree_close(tree, nodes[i]);
        }
        bfi_tree_stats s = {0};
        if (leaves % 1024 < 64) s = bfi_tree_stats_of(tree);
        assert_true(s.bytes <= cap);
        if (leaves % 4096 < 64 && kit_resident() - before > most) most = kit_resident() - before;
    }
    assert_int_equal(leaves, 1 << DEPTH);
    assert_int_equal(bfi_tree_stats_of(tree).created, (2 << DEPTH) - 1);
    print_message("%.1f MiB more for 2^21 nodes\n", (double)most / (1 << 20));
    if (KIT_SLOWER == 1) assert_true(most < cap);
    bfi_tree_free(tree);
}

static void note_bytes(void *user, const bf_progress *progress) {
    int64_t *most = user;
    if (progress->bytes > most[0]) most[0] = progress->bytes;
    if (progress->nodes > most[1]) bf_session_stop(kit_session(1));
}

/* The same verdict when memory is short, and no more of it than is allowed. */
static void test_short_of_memory(void **unused) {
    (void)unused;
    int proved = 0, tight = 0, nets = KIT_SLOWER > 1 ? 3 : 12;
    for (int i = 0; i < nets; i++) {
        bf_model *model = kit_model(5, 3, 12);
        double low, high;
        kit_range(model, &low, &high);
        bf_property *property = kit_property(5, low - 0.1 * (high - low));
        bf_verify_options o = kit_verify_options();
        o.branching = BF_BRANCHING_INPUTS;
        int64_t most[2] = {0, 10000};
        o.progress = note_bytes;
        o.user = most;
        bf_verify_result free_of_it = decide(model, property, &o);
        bf_session_resume(kit_session(1));
        for (int64_t memory = 256 << 10; memory <= 4 << 20; memory *= 4) {
            o.bounds.memory = memory;
            most[0] = 0;
            bf_verify_result r = decide(model, property, &o);
            bf_session_resume(kit_session(1));
            assert_true(most[0] <= memory);
            bool full = r.verdict == BF_VERDICT_UNKNOWN;
            if (!full && free_of_it.verdict != BF_VERDICT_UNKNOWN)
                assert_int_equal(r.verdict, free_of_it.verdict);
            proved += r.verdict == BF_VERDICT_UNSAT;
            tight += full && strstr(r.reason, "memory");
            bf_verify_result_clear(&r);
        }
        bf_verify_result_clear(&free_of_it);
        bf_property_free(property);
        bf_model_free(model);
    }
    print_message("%d proved, %d ended by memory\n", proved, tight);
    assert_true(proved >= nets / 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_everywhere),
        cmocka_unit_test(test_programs_stopped_everywhere), cmocka_unit_test(test_stops_soon),
        cmocka_unit_test(test_tree_of_a_million), cmocka_unit_test(test_short_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
