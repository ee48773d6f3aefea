/* Checkpoints: a verification that is killed again and again ends as one that never was; a file
 * that is damaged, cut off or of another question is refused; one that was sealed again after
 * damage crashes nothing. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sealed.h"
#include "runtime/session.h"
#include "search_kit.h"
#include "solver_kit.h"
#include "verify/checkpoint.h"

static char path[64], other[64];

static int make_folder(void **state) {
    static char folder[] = "/tmp/bf_test_checkpoint_XXXXXX";
    *state = folder;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/c", folder);
    snprintf(other, sizeof other, "%s/d", folder);
    return 0;
}

static int remove_folder(void **state) {
    unlink(path);
    unlink(other);
    return rmdir(*state); /* nothing temporary is left */
}

typedef struct question {
    bf_branching branching;
    bf_model *model;
    bf_property *property;
    bf_verify_result whole; /* of a run without a stop */
} question;

static void clear(question *q) {
    bf_verify_result_clear(&q->whole);
    bf_property_free(q->property);
    bf_model_free(q->model);
}

static bf_verify_result decide(const question *q, bf_session *session, const bf_verify_options *o) {
    bf_verify_result result;
    bf_error err = {""};
    if (bf_verify(session, q->model, q->property, o, &result, &err)) fail_msg("%s", err.message);
    return result;
}

static void stop_late(void *user, const bf_progress *progress) {
    if (progress->nodes > *(int64_t *)user) bf_session_stop(kit_session(1));
}

/* A question that is proved after |least| nodes or more, though not many more. */
static question hard_question(int64_t least, bf_branching branching) {
    for (;;) {
        question q = {.branching = branching, .model = kit_model(5, 3, 12)};
        double low, high;
        kit_range(q.model, &low, &high);
        for (double share = 0.5; share > 1e-3; share /= 2) {
            q.property = kit_property(5, low - share * (high - low));
            bf_verify_options o = kit_verify_options();
            o.branching = branching;
            int64_t most = 10 * least;
            o.progress = stop_late;
            o.user = &most;
            q.whole = decide(&q, kit_session(1), &o);
            bf_session_resume(kit_session(1));
            if (q.whole.verdict == BF_VERDICT_UNSAT && q.whole.nodes >= least) return q;
            bf_verify_result_clear(&q.whole);
            bf_property_free(q.property);
        }
        bf_model_free(q.model);
    }
}

/* Ends the process some nodes after a checkpoint: what came between is lost. */
static void die(void *user, const bf_progress *progress) {
    int64_t *first = user;
    if (*first == 0 && progress->checkpoints > 0) *first = progress->nodes + 1;
    if (*first > 0 && progress->nodes > *first + 100) raise(SIGKILL);
}

/* Goes on in a process of its own that may be killed; true when it was not: the verdict and the
 * nodes come through |ends|. */
static bool go_on(const question *q, bool resume, int ends[2]) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bf_session *session;
        bf_verify_options o = kit_verify_options();
        bf_verify_result r;
        int64_t first = 0;
        o.branching = q->branching;
        o.user = &first;
        o.checkpoint_interval = 0.01;
        o.checkpoint = path;
        o.resume = resume ? path : NULL;
        o.progress = die;
        if (bf_session_create(1, &session, NULL) != BF_STATUS_OK) _exit(2);
        if (bf_verify(session, q->model, q->property, &o, &r, NULL) != BF_STATUS_OK) _exit(3);
        int64_t end[2] = {r.verdict, r.nodes};
        _exit(write(ends[1], end, sizeof end) == (ssize_t)sizeof end ? 0 : 4);
    }
    int state;
    assert_int_equal(waitpid(child, &state, 0), child);
    if (WIFSIGNALED(state)) {
        assert_int_equal(WTERMSIG(state), SIGKILL);
        return false;
    }
    assert_int_equal(WEXITSTATUS(state), 0);
    return true;
}

/* Kills a search of |least| nodes or more again and again; how often. */
static int kill_search(int64_t least, bf_branching branching) {
    question q = hard_question(least, branching);
    int ends[2], kills = 0;
    int64_t end[2];
    assert_int_equal(pipe(ends), 0);
    while (!go_on(&q, kills > 0, ends)) assert_true(++kills < 10000);
    assert_int_equal(read(ends[0], end, sizeof end), sizeof end);
    print_message("killed %d times in %lld nodes\n", kills, (long long)end[1]);
    assert_int_equal(end[0], q.whole.verdict);
    /* how long the root of a search over neurons may take depends on the clock */
    if (branching == BF_BRANCHING_INPUTS) assert_int_equal(end[1], q.whole.nodes);
    close(ends[0]), close(ends[1]);
    clear(&q);
    return kills;
}

/* A fast machine ends a small search before its first checkpoint is due. */
static void kill_often(int64_t least, bf_branching branching) {
    int kills = 0;
    for (int longer = 0; kills == 0 && longer < 8; longer++, least *= 2)
        kills = kill_search(least, branching);
    assert_true(kills >= 1);
}

static void test_killed_inputs(void **unused) {
    (void)unused;
    kill_often(4000, BF_BRANCHING_INPUTS);
}

static void test_killed_neurons(void **unused) {
    (void)unused;
    kill_often(2500, BF_BRANCHING_NEURONS);
}

/* How often a verification with |options| looks at its budget. */
static int count_looks(const question *q, const bf_verify_options *options) {
    enum { MANY = 1 << 30 };
    atomic_int *stop = &kit_session(1)->stop;
    bf_verify_options plain = *options;
    plain.checkpoint = NULL;
    atomic_store(stop, -MANY);
    bf_verify_result r = decide(q, kit_session(1), &plain);
    int looks = atomic_load(stop) + MANY;
    bf_session_resume(kit_session(1));
    bf_verify_result_clear(&r);
    return looks;
}

/* Stops a verification at its |look|th look. */
static bf_verify_result stop_at(const question *q, const bf_verify_options *options, int look) {
    atomic_store(&kit_session(1)->stop, -look);
    bf_verify_result r = decide(q, kit_session(1), options);
    bf_session_resume(kit_session(1));
    return r;
}

/* Stops a verification |part| / 20 through its looks; it has |options|. */
static bf_verify_result stop_in(const question *q, const bf_verify_options *options, int part) {
    return stop_at(q, options, count_looks(q, options) / 20 * part);
}

/* A checkpoint in the middle of the search. */
static void write_checkpoint(const question *q) {
    bf_verify_options o = kit_verify_options();
    bf_verify_result r = {0};
    o.branching = q->branching;
    o.checkpoint = path;
    o.checkpoint_interval = 1e6;
    for (int part = 16; part > 0 && r.open == 0; part--) {
        bf_verify_result_clear(&r);
        r = stop_in(q, &o, part);
    }
    assert_int_equal(r.verdict, BF_VERDICT_UNKNOWN);
    assert_int_equal(r.checkpoints, 1);
    assert_string_equal(r.checkpoint_problem, "");
    assert_true(r.open > 0 && r.nodes > 0 && r.margin <= 0 && r.best_margin > 0);
    bf_verify_result_clear(&r);
}

static bf_status resume(const question *q, const bf_verify_options *options, const char *from,
                        bf_error *err) {
    bf_verify_options o = *options;
    bf_verify_result r = {0};
    o.resume = from;
    o.branching = q->branching;
    bf_status status = bf_verify(kit_session(1), q->model, q->property, &o, &r, err);
    if (status == BF_STATUS_OK && o.timeout == 0) {
        assert_int_equal(r.verdict, q->whole.verdict);
        if (o.bounds.memory == 0) assert_int_equal(r.nodes, q->whole.nodes);
        assert_true(r.past_s > 0);
    }
    bf_verify_result_clear(&r);
    return status;
}

static void refuse(const question *q, const bf_verify_options *o, const char *from,
                   bf_status wanted, const char *words) {
    bf_error err = {""};
    assert_int_equal(resume(q, o, from, &err), wanted);
    if (!strstr(err.message, words)) fail_msg("'%s' lacks '%s'", err.message, words);
}

static void test_other_questions(void **unused) {
    (void)unused;
    question q = hard_question(200, BF_BRANCHING_AUTO),
             another = hard_question(200, BF_BRANCHING_AUTO), mixed;
    bf_verify_options o = kit_verify_options();
    write_checkpoint(&q);
    assert_int_equal(resume(&q, &o, path, NULL), BF_STATUS_OK);
    mixed = (question){q.branching, another.model, q.property, q.whole};
    refuse(&mixed, &o, path, BF_STATUS_INVALID_ARGUMENT, "another network");
    mixed = (question){q.branching, q.model, another.property, q.whole};
    refuse(&mixed, &o, path, BF_STATUS_INVALID_ARGUMENT, "another property");
    o.bounds.dtype = BF_DTYPE_FLOAT64;
    refuse(&q, &o, path, BF_STATUS_INVALID_ARGUMENT, "other options");
    o = kit_verify_options();
    o.bounds.semantics = BF_SEMANTICS_FLOAT32;
    refuse(&q, &o, path, BF_STATUS_INVALID_ARGUMENT, "other options");
    o = kit_verify_options();
    refuse(&q, &o, "/nowhere/c", BF_STATUS_IO, "/nowhere/c");
    refuse(&q, &o, "/dev/null", BF_STATUS_IO, "regular");
    o.bounds.executor = BF_EXECUTOR_REFERENCE; /* the same bits, so the same question */
    o.bounds.memory = 8 << 20;
    assert_int_equal(resume(&q, &o, path, NULL), BF_STATUS_OK);
    clear(&q), clear(&another);
}

static void test_damaged(void **unused) {
    (void)unused;
    question q = hard_question(200, BF_BRANCHING_AUTO);
    bf_verify_options o = kit_verify_options();
    char *data;
    size_t size;
    write_checkpoint(&q);
    assert_int_equal(bfi_file_read(path, 1 << 24, &data, &size, NULL), BF_STATUS_OK);
    size_t step = size > 4000 ? size / 4000 : 1;
    for (size_t i = 0; i < size; i += i < 300 || i + 300 > size ? 1 : step) {
        char was = data[i];
        data[i] ^= (char)(1 << kit_int(0, 7));
        assert_int_equal(bfi_file_write(other, data, size, NULL), BF_STATUS_OK);
        refuse(&q, &o, other, BF_STATUS_PARSE, i < 8 ? "no such file" : "damaged or cut off");
        data[i] = was;
        if (i % 7) continue;
        assert_int_equal(bfi_file_write(other, data, i, NULL), BF_STATUS_OK);
        refuse(&q, &o, other, BF_STATUS_PARSE, i < 8 ? "no such file" : "damaged or cut off");
    }
    free(data);
    clear(&q);
}

/* Whoever seals a file may say what he likes; even so nothing is read or written out of place. */
static void forge(bf_branching branching) {
    enum { HEAD = 8, KEY = 96, SEAL = 40 };
    question q = hard_question(100, branching);
    bf_verify_options o = kit_verify_options();
    o.branching = branching;
    o.timeout = 0.02;
    char *data;
    size_t size;
    int refused = 0;
    write_checkpoint(&q);
    assert_int_equal(bfi_file_read(path, 1 << 24, &data, &size, NULL), BF_STATUS_OK);
    for (int i = 0; i < 400; i++) {
        bfi_sealed_writer *w;
        int64_t bytes;
        size_t at = HEAD + KEY + (size_t)kit_int(0, (int64_t)size - HEAD - KEY - SEAL - 1);
        if (i % 2) at = HEAD + KEY + (size_t)kit_int(0, 400);
        char was = data[at];
        data[at] = (char)kit_int(0, 255);
        assert_int_equal(bfi_sealed_create(other, BFI_CHECKPOINT_MAGIC, &w, NULL), BF_STATUS_OK);
        bfi_sealed_put(w, data + HEAD, size - HEAD - SEAL - (i % 5 == 0 ? 8 : 0));
        assert_int_equal(bfi_sealed_commit(w, &bytes, NULL), BF_STATUS_OK);
        data[at] = was;
        bf_status status = resume(&q, &o, other, NULL);
        if (i % 5 == 0) assert_int_equal(status, BF_STATUS_PARSE);
        refused += status != BF_STATUS_OK;
    }
    assert_true(refused > 80);
    free(data);
    clear(&q);
}

static void test_forged(void **unused) {
    (void)unused;
    forge(BF_BRANCHING_INPUTS);
    forge(BF_BRANCHING_NEURONS);
}

/* A checkpoint that cannot be written is told, and stops nothing. */
static void test_unwritable(void **unused) {
    (void)unused;
    question q = hard_question(200, BF_BRANCHING_AUTO);
    bf_verify_options o = kit_verify_options();
    o.checkpoint = "/nowhere/at/all";
    bf_verify_result r = stop_in(&q, &o, 10);
    assert_int_equal(r.checkpoints, 0);
    assert_non_null(strstr(r.checkpoint_problem, "/nowhere/at/all"));
    bf_verify_result_clear(&r);
    clear(&q);
}

static void watch_programs(void *user, const bf_progress *progress) {
    bool *asked = user;
    *asked = *asked || strcmp(progress->phase, "mip") == 0;
}

/* Whether programs are over comes back as it was written. */
static void check_flag(const question *q, bool programs) {
    bf_verify_options o = kit_verify_options();
    bfi_question_key key = bfi_question_key_of(q->model, q->property, &o);
    bfi_checkpoint in = {.nearest = INFINITY, .programs = programs}, out;
    bfi_ledger ledger;
    int64_t bytes;
    assert_int_equal(bfi_ledger_create(q->property, &ledger, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_checkpoint_write(other, &key, &ledger, &in, &bytes, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_checkpoint_read(other, &key, &ledger, &out, NULL), BF_STATUS_OK);
    assert_true(out.programs == programs && !out.searching);
    bfi_checkpoint_clear(&out);
    bfi_ledger_clear(&ledger);
}

/* Small networks' conjunctions get linear programs after some nodes: a run that was stopped before
 * has them ahead of it, one that was stopped later behind it. */
static void test_programs(void **unused) {
    (void)unused;
    if (!solver_there(BFI_SOLVER_MIP)) skip();
    bool met = false;
    for (int i = 0; i < 40 && !met; i++) {
        char text[100];
        double low, high;
        kit_seed((uint64_t)i + 1);
        question q = {.branching = BF_BRANCHING_NEURONS, .model = kit_model(2, 3, 12)};
        kit_range(q.model, &low, &high);
        snprintf(text, sizeof text, "(assert (<= Y_0 %.17g))(assert (<= Y_1 1e9))",
                 low - 0.01 * (high - low));
        q.property = kit_square_property(text);
        bf_verify_options o = kit_verify_options();
        bool asked = false;
        o.branching = q.branching;
        o.progress = watch_programs;
        o.user = &asked;
        int looks = count_looks(&q, &o);
        for (int part = 1; part < 20 && !met; part++) {
            o.checkpoint = path, o.resume = NULL;
            asked = false;
            bf_verify_result r = stop_at(&q, &o, looks / 20 * part);
            bool searching = r.verdict == BF_VERDICT_UNKNOWN && r.open > 0 && !asked;
            bf_verify_result_clear(&r);
            if (!searching) continue;
            o.checkpoint = NULL, o.resume = path;
            r = decide(&q, kit_session(1), &o);
            met = asked && r.verdict == BF_VERDICT_UNSAT;
            bf_verify_result_clear(&r);
        }
        check_flag(&q, false), check_flag(&q, true);
        clear(&q);
    }
    assert_true(met);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_inputs),   cmocka_unit_test(test_killed_neurons),
        cmocka_unit_test(test_other_questions), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_forged),          cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_programs)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
