/* Kernels from the store and from the compiler, and everything that can go wrong on the way: a
 * damaged store, a compiler that fails, no TVM, folders that must not be used. The compiler is the
 * fake one. Whatever happens, bounds are the native executor's. */
#include "tvm_kit.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/alloc.h"
#include "exec/tvm/kernel_file.h"
#include "exec/tvm/loader.h"
#include "exec/tvm/record.h"
#include "exec/tvm/store.h"
#include "fixtures/fake_kernel.h"

enum { INPUTS = 20, OUTPUTS = 10 };

static bf_model *model;
static double lo[INPUTS], hi[INPUTS], native[2 * OUTPUTS];

static void bounds(bf_session *session, bf_executor executor, double out[2 * OUTPUTS]) {
    bf_options o = bf_options_default();
    o.executor = executor;
    kit_engine e = tvm_engine(session, model, o);
    kit_bounds(&e, lo, hi, NULL, 0, out, out + OUTPUTS);
    kit_engine_free(&e);
}

static int setup(void **state) {
    (void)state;
    tvm_begin();
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, INPUTS));
    int a = net_linear(graph, NET_PLAIN, 0, 1, INPUTS, 24);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, 24, 24);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, 24, OUTPUTS);
    model = net_model(graph);
    net_box(NET_PLAIN, INPUTS, lo, hi);
    bounds(kit_session(1), BF_EXECUTOR_NATIVE, native);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bf_model_free(model);
    return 0;
}

static void expect_native(bf_session *session) {
    double got[2 * OUTPUTS];
    bounds(session, BF_EXECUTOR_TVM, got);
    for (int i = 0; i < 2 * OUTPUTS; i++) assert_true(got[i] == native[i]);
}

/* One session with |options|: its bounds are right; what it did. */
static bf_tvm_stats use(const bf_tvm_options *options) {
    bf_session *session = tvm_session(2, options);
    expect_native(session);
    bf_tvm_stats stats = bf_session_tvm_stats(session);
    bf_session_free(session);
    return stats;
}

/* The reason of the first op that fell back, NULL when none did. */
static const char *fallback(const bf_plan *plan) {
    for (int i = 0; i < bf_plan_lowering_count(plan); i++) {
        bf_lowering_info l = bf_plan_lowering(plan, i);
        if (strcmp(l.backend, "native") == 0 && l.reason) return l.reason;
    }
    return NULL;
}

/* Falls back with a reason that contains |reason|, or fails when strict. */
static bf_tvm_stats expect_fallback(bf_tvm_options options, const char *reason) {
    bf_options o = bf_options_default();
    o.executor = BF_EXECUTOR_TVM;
    bf_plan *plan = NULL;
    bf_error err = {""};
    options.strict = 0;
    bf_session *session = tvm_session(2, &options);
    if (bf_plan_create(session, model, &o, &plan, &err)) fail_msg("%s", err.message);
    const char *why = fallback(plan);
    if (!why || !strstr(why, reason))
        fail_msg("'%s' is not in the reason '%s'", reason, why ? why : "(none)");
    bf_plan_free(plan);
    expect_native(session);
    bf_tvm_stats stats = bf_session_tvm_stats(session);
    bf_session_free(session);
    options.strict = 1;
    session = tvm_session(2, &options);
    assert_int_equal(bf_plan_create(session, model, &o, &plan, &err), BF_STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "strict"));
    assert_non_null(strstr(err.message, reason));
    bf_session_free(session);
    return stats;
}

/* Calls |act| for every kernel file of the store |name|; how many. */
static int each_entry(const char *name, void (*act)(const char *path)) {
    char path[PATH_MAX];
    DIR *stream = opendir(tvm_path(name));
    int count = 0;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (!strstr(entry->d_name, ".so")) continue;
        snprintf(path, sizeof path, "%.128s/%s", tvm_path(name), entry->d_name);
        if (act) act(path);
        count++;
    }
    if (stream) closedir(stream);
    return count;
}

static void warm(void **state) {
    (void)state;
    bf_tvm_options o = tvm_fake("warm");
    bf_tvm_stats first = use(&o);
    assert_true(first.compiled > 5 && first.loaded == 0 && first.failed == 0);
    assert_int_equal(each_entry("warm", NULL), first.compiled);
    o.compiler = "/nonexistent", o.tvm = "none"; /* what is stored needs neither */
    bf_tvm_stats second = use(&o);
    assert_true(second.compiled == 0 && second.loaded == first.compiled && second.rejected == 0);
    bf_session *session = tvm_session(1, &o);
    double best = 1;
    for (int i = 0; i < 20; i++) {
        bf_session_set_tvm(session, &o, NULL);
        bf_options native_options = bf_options_default(), tvm_options = native_options;
        tvm_options.executor = BF_EXECUTOR_TVM;
        double start = bf_clock();
        kit_engine e = tvm_engine(session, model, native_options);
        double middle = bf_clock();
        kit_engine f = tvm_engine(session, model, tvm_options);
        double added = (bf_clock() - middle) - (middle - start);
        if (added < best) best = added;
        kit_engine_free(&e), kit_engine_free(&f);
    }
    printf("warm start adds %.3f ms for %d kernels\n", best * 1e3, (int)first.compiled);
    expect_native(session);
    bf_tvm_stats again = bf_session_tvm_stats(session);
    expect_native(session); /* in memory by now */
    assert_int_equal(bf_session_tvm_stats(session).loaded, again.loaded);
    bf_session_free(session);
}

static void flip(const char *path) {
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 3000, SEEK_SET);
    int c = fgetc(f);
    fseek(f, 3000, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

static void cut_end(const char *path) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 1), 0);
}

static void cut_most(const char *path) { assert_int_equal(truncate(path, 5000), 0); }

static void empty(const char *path) { assert_int_equal(truncate(path, 0), 0); }

static void append(const char *path) {
    FILE *f = fopen(path, "ab");
    assert_non_null(f);
    fputs("more", f);
    fclose(f);
}

/* A sound file of an older version: the same kernel, its key says another TVM. */
static void age(const char *path) {
    char *data, key[BFI_TVM_KEY_SIZE];
    size_t size;
    assert_int_equal(bfi_file_read(path, (size_t)1 << 24, &data, &size, NULL), BF_STATUS_OK);
    snprintf(key, sizeof key, "abi=0 tvm=0.26.0 relax");
    assert_int_equal(bfi_tvm_file_write(path, data, size, key, NULL), BF_STATUS_OK);
    free(data);
}

static char donor[PATH_MAX];

static void choose_donor(const char *path) { snprintf(donor, sizeof donor, "%s", path); }

/* A sound file of another kernel. */
static void replace(const char *path) {
    char *data;
    size_t size;
    if (strcmp(path, donor) == 0) return;
    assert_int_equal(bfi_file_read(donor, (size_t)1 << 24, &data, &size, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_file_write(path, data, size, NULL), BF_STATUS_OK);
    free(data);
}

static void share(const char *path) { assert_int_equal(chmod(path, 0666), 0); }

static void link_away(const char *path) {
    char other[PATH_MAX + 8];
    snprintf(other, sizeof other, "%s.moved", path);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
}

/* Entries that are not what they should be are rejected, and made again. */
static void damaged(void **state) {
    (void)state;
    static void (*const acts[])(const char *) = {flip, cut_end, cut_most, empty,    append,
                                                 age,  replace, share,    link_away};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        char name[32];
        snprintf(name, sizeof name, "damaged%d", (int)i);
        bf_tvm_options o = tvm_fake(name);
        int64_t made = use(&o).compiled;
        each_entry(name, choose_donor);
        each_entry(name, acts[i]);
        bf_tvm_stats stats = use(&o);
        int64_t spared = acts[i] == replace;
        if (stats.rejected != made - spared || stats.compiled != made - spared)
            fail_msg("case %d: %d of %d rejected, %d compiled", (int)i, (int)stats.rejected,
                     (int)made, (int)stats.compiled);
        stats = use(&o);
        assert_true(stats.rejected == 0 && stats.compiled == 0 && stats.loaded == made);
    }
}

/* Two processes that want the same kernels at once. */
static void two_processes(void **state) {
    (void)state;
    enum { PROCESSES = 3 };
    pid_t pids[PROCESSES];
    bf_tvm_options o = tvm_fake("shared");
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            child = true;
            bf_tvm_stats stats = use(&o);
            _exit(stats.failed == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    bf_tvm_stats stats = use(&o);
    assert_true(stats.compiled == 0 && stats.rejected == 0 && stats.loaded > 5);
}

static void failing_compiler(void **state) {
    (void)state;
    static const struct {
        const char *what, *reason;
        double seconds;
    } cases[] = {{"crash", "signal 6", 20},      {"exit", "exit code 3", 20},
                 {"hang", "took too long", 0.2}, {"half", "signal 6", 20},
                 {"garbage", "nonsense", 20},    {"flood", "nonsense", 20},
                 {"error", "no rule", 20},       {"absent", "library missing", 20},
                 {"nothing", "left no", 20},     {"lie", "left no", 20},
                 {"other", "left no", 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("FAKE_TVMC", cases[i].what, 1);
        char name[32];
        snprintf(name, sizeof name, "failing%d", (int)i);
        bf_tvm_options o = tvm_fake(name);
        o.seconds = cases[i].seconds;
        bf_tvm_stats stats = expect_fallback(o, cases[i].reason);
        assert_true(stats.compiled == 0 && stats.failed > 0);
        unsetenv("FAKE_TVMC");
        o.seconds = 20; /* and when it works again */
        assert_int_equal(use(&o).failed, 0);
    }
}

/* A process is lost in the middle of its work: what it made before counts, another goes on. */
static void failing_midway(void **state) {
    (void)state;
    static const char *const what[] = {"crash", "hang", "half", "garbage", "exit"};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        setenv("FAKE_TVMC", what[i], 1);
        setenv("FAKE_TVMC_AT", "3", 1);
        bf_tvm_options o = tvm_fake(what[i]);
        o.seconds = 0.3, o.strict = 0;
        bf_tvm_stats stats = use(&o);
        assert_true(stats.compiled >= 4 && stats.failed >= 1);
        unsetenv("FAKE_TVMC"), unsetenv("FAKE_TVMC_AT");
        o.seconds = 20, o.strict = 1;
        bf_tvm_stats after = use(&o);
        assert_int_equal(after.compiled, stats.failed);
        assert_int_equal(after.loaded, stats.compiled);
    }
}

static void nothing_to_compile_with(void **state) {
    (void)state;
    bf_tvm_options o = tvm_fake("without");
    o.compiler = "/nonexistent/boundflow-tvmc";
    expect_fallback(o, "/nonexistent/boundflow-tvmc");
    o = tvm_fake("without");
    o.tvm = "none";
    expect_fallback(o, "TVM: not used");
    o.tvm = tvm_make_place("old-tvm", "0.26.0");
    expect_fallback(o, "0.26.0");
    o.tvm = tvm_path("nowhere");
    expect_fallback(o, "does not exist");
}

/* The folder is refused, kernels are made all the same, and nothing is left behind. */
static void expect_own_folder(const char *name) {
    bf_tvm_options o = tvm_fake(name);
    bf_tvm_stats first = use(&o), second = use(&o);
    assert_true(first.compiled > 5 && first.failed == 0);
    assert_true(second.compiled == first.compiled && second.loaded == 0);
}

static void unsafe_folders(void **state) {
    (void)state;
    bf_tvm_options o = tvm_fake("unsafe");
    use(&o);
    const char *tmp = tvm_path("tmp");
    mkdir(tmp, 0700);
    setenv("TMPDIR", tmp, 1);
    assert_int_equal(chmod(tvm_path("unsafe"), 0777), 0);
    expect_own_folder("unsafe");
    assert_int_equal(chmod(tvm_path("unsafe"), 0720), 0);
    expect_own_folder("unsafe");
    assert_int_equal(symlink(tvm_path("warm"), tvm_path("link")), 0);
    expect_own_folder("link");
    tvm_touch(tvm_path("file"));
    expect_own_folder("file");
    tvm_touch(tvm_path("open/x"));
    assert_int_equal(chmod(tvm_path("open"), 0777), 0);
    expect_own_folder("open/below");
    assert_int_equal(each_entry("tmp", NULL), 0);
    assert_int_equal(rmdir(tmp), 0); /* it is empty */
    unsetenv("TMPDIR");
    assert_int_equal(chmod(tvm_path("unsafe"), 0700), 0);
    assert_true(use(&o).loaded > 5);
}

/* As a user who may read the folder but not write it: stored kernels run, others are made. */
static void read_only_folder(void **state) {
    (void)state;
    if (geteuid() != 0) {
        bf_tvm_options o = tvm_fake("read-only");
        use(&o);
        assert_int_equal(chmod(tvm_path("read-only"), 0500), 0);
        assert_true(use(&o).loaded > 5);
        mkdir(tvm_path("read-only-empty"), 0500);
        expect_own_folder("read-only-empty");
        return;
    }
    enum { NOBODY = 65534 };
    chmod(tvm_root, 0755), chmod(tvm_path("tvm"), 0755);
    mkdir(tvm_path("read-only-empty"), 0500);
    assert_int_equal(chown(tvm_path("read-only-empty"), NOBODY, NOBODY), 0);
    pid_t pid = fork();
    if (pid == 0) {
        child = true;
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0 || access(tvm_fake_compiler(), X_OK) != 0)
            _exit(77);
        expect_own_folder("read-only-empty");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    chmod(tvm_root, 0700);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *stop_soon(void *session) {
    usleep(100000);
    bf_session_stop(session);
    return NULL;
}

/* A plan that waits for kernels gives up when it is asked to, or when its time is over. */
static void stopped(void **state) {
    (void)state;
    setenv("FAKE_TVMC", "hang", 1);
    bf_tvm_options o = tvm_fake("stopped");
    bf_session *session = tvm_session(2, &o);
    bf_options options = bf_options_default();
    options.executor = BF_EXECUTOR_TVM;
    bf_plan *plan = NULL;
    bf_error err = {""};
    pthread_t thread;
    double start = bf_clock();
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, session), 0);
    assert_int_equal(bf_plan_create(session, model, &options, &plan, &err), BF_STATUS_CANCELLED);
    pthread_join(thread, NULL);
    bf_session_resume(session);
    options.deadline = bf_clock() + 0.1;
    assert_int_equal(bf_plan_create(session, model, &options, &plan, &err), BF_STATUS_TIMEOUT);
    assert_true(bf_clock() - start < 5);
    unsetenv("FAKE_TVMC");
    expect_native(session);
    bf_session_free(session);
}

static int compiled_ops(bf_session *session, bf_executor executor) {
    bf_options o = bf_options_default();
    o.executor = executor;
    bf_plan *plan = NULL;
    bf_error err = {""};
    if (bf_plan_create(session, model, &o, &plan, &err)) fail_msg("%s", err.message);
    int count = tvm_count(plan, "tvm");
    for (int i = 0; i < bf_plan_lowering_count(plan); i++) {
        bf_lowering_info l = bf_plan_lowering(plan, i);
        assert_true(strcmp(l.backend, "native") != 0 || !l.reason); /* nothing was missed */
    }
    bf_plan_free(plan);
    double got[2 * OUTPUTS];
    bounds(session, executor, got);
    for (int i = 0; i < 2 * OUTPUTS; i++)
        if (got[i] != native[i]) fail_msg("bound %d is %a, native %a", i, got[i], native[i]);
    return count;
}

/* Every measure of the record becomes |native_s| and |compiled_s|. */
static void rewrite_record(const char *path, double native_s, double compiled_s) {
    bfi_record record;
    assert_int_equal(bfi_record_read(path, &record, NULL), BF_STATUS_OK);
    assert_true(record.count > 5);
    for (int i = 0; i < record.count; i++)
        record.items[i].native_s = native_s, record.items[i].compiled_s = compiled_s;
    assert_int_equal(bfi_record_write(path, &record, NULL), BF_STATUS_OK);
    bfi_record_clear(&record);
}

/* auto compiles nothing, and takes what is stored where it was measured to be faster. */
static void automatic(void **state) {
    (void)state;
    bf_tvm_options o = tvm_fake("auto");
    bf_options options = bf_options_default();
    const char *path = tvm_path("auto/tune.txt");
    assert_int_equal(options.executor, BF_EXECUTOR_AUTO);
    bf_session *session = tvm_session(1, &o);
    assert_int_equal(compiled_ops(session, BF_EXECUTOR_AUTO), 0);
    assert_int_equal(access(tvm_path("auto"), F_OK), -1); /* not even the folder is made */
    assert_int_equal(bf_session_tvm_stats(session).compiled, 0);
    bf_tune_result *results = NULL;
    int count = 0;
    bf_error err = {""};
    if (bf_tune(session, model, &options, &results, &count, &err)) fail_msg("%s", err.message);
    assert_true(count > 5);
    for (int i = 0; i < count; i++) {
        assert_true(results[i].native_s > 0 && results[i].compiled_s > 0 && *results[i].kernel);
        assert_true(!results[i].compiled_wins || results[i].compiled_s < results[i].native_s);
    }
    free(results);
    rewrite_record(path, 2e-6, 1e-6);
    assert_int_equal(bf_session_set_tvm(session, &o, NULL), BF_STATUS_OK);
    int all = compiled_ops(session, BF_EXECUTOR_TVM);
    assert_true(all > 5);
    assert_int_equal(compiled_ops(session, BF_EXECUTOR_AUTO), all);
    rewrite_record(path, 1e-6, 1e-6);
    assert_int_equal(bf_session_set_tvm(session, &o, NULL), BF_STATUS_OK);
    assert_int_equal(compiled_ops(session, BF_EXECUTOR_AUTO), 0);
    options.isa = "ref";
    if (bf_tune(session, model, &options, &results, &count, &err) != BF_STATUS_UNSUPPORTED)
        fail_msg("tuned the reference: %s", err.message);
    bf_session_free(session);
}

/* A record that is not whole, ours, or of this version is not used; auto goes on without. */
static void bad_records(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "boundflow-tune 1",
                                        "boundflow-tune 2\n1 1 abi=1 x\n",
                                        "boundflow-tune 1\n1 1\n",
                                        "boundflow-tune 1\n1 1 abi=1 x",
                                        "boundflow-tune 1\n-1 1 abi=1 x\n",
                                        "boundflow-tune 1\n1 nan abi=1 x\n",
                                        "boundflow-tune 1\n1 1 x\n",
                                        "\001\002\003"};
    bf_tvm_options o = tvm_fake("records");
    use(&o);
    const char *path = tvm_path("records/tune.txt");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bfi_record record;
        bf_error err = {""};
        assert_int_equal(bfi_file_write(path, texts[i], strlen(texts[i]), NULL), BF_STATUS_OK);
        assert_int_equal(bfi_record_read(path, &record, &err), BF_STATUS_PARSE);
        assert_non_null(strstr(err.message, "tune"));
        assert_int_equal(record.count, 0);
        bf_session *session = tvm_session(1, &o);
        compiled_ops(session, BF_EXECUTOR_AUTO);
        bf_session_free(session);
    }
    bfi_record record;
    static const char good[] = "boundflow-tune 1\n2000 1000 abi=1 a b\n3000 4000 abi=1 c\n";
    assert_int_equal(bfi_file_write(path, good, strlen(good), NULL), BF_STATUS_OK);
    assert_int_equal(bfi_record_read(path, &record, NULL), BF_STATUS_OK);
    assert_int_equal(record.count, 2);
    const bfi_measure *m = bfi_record_find(&record, "abi=1 a b");
    assert_true(m && fabs(m->native_s - 2e-9) < 1e-20 && fabs(m->compiled_s - 1e-9) < 1e-20);
    assert_null(bfi_record_find(&record, "abi=1 d"));
    bfi_record_clear(&record);
}

static void bad_options(void **state) {
    (void)state;
    bf_tvm_options o = tvm_fake("bad");
    o.seconds = 0;
    bf_error err = {""};
    assert_int_equal(bf_session_set_tvm(kit_session(1), &o, &err), BF_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "seconds"));
    setenv("BOUNDFLOW_TVM_STRICT", "1", 1);
    assert_int_equal(bf_tvm_options_default().strict, 1);
    setenv("BOUNDFLOW_TVM_STRICT", "0", 1);
    assert_int_equal(bf_tvm_options_default().strict, 0);
    unsetenv("BOUNDFLOW_TVM_STRICT");
}

/* The fake kernel in |mode|, loaded. */
static bfi_compiled *load_fake(fake_mode mode) {
    char path[PATH_MAX], *image;
    size_t size;
    snprintf(path, sizeof path, "%s", tvm_fake_compiler());
    strcpy(strrchr(path, '/') + 1, "fake_kernel.so");
    assert_int_equal(bfi_file_read(path, (size_t)1 << 24, &image, &size, NULL), BF_STATUS_OK);
    fake_patch patch = {
        .mark = FAKE_MARK, .mode = mode, .kernel = {.op = BFI_TVM_OP_ACCUMULATE, .dtype = BFI_F32}};
    size_t i = 0;
    while (i + sizeof patch <= size && memcmp(image + i, FAKE_MARK, sizeof FAKE_MARK) != 0) i += 8;
    assert_true(i + sizeof patch <= size);
    memcpy(image + i, &patch, sizeof patch);
    snprintf(path, sizeof path, "%s/mode%d.so", tvm_root, (int)mode);
    assert_int_equal(bfi_file_write(path, image, size, NULL), BF_STATUS_OK);
    free(image);
    bfi_compiled *kernel = NULL;
    bf_error err = {""};
    if (bfi_compiled_load(path, &patch.kernel, &kernel, &err)) fail_msg("%s", err.message);
    return kernel;
}

enum { WORKERS = 3, ARENA = 1024, TASKS = 50 };

typedef struct slots {
    bfi_compiled *kernel;
    bfi_kernel_host host;
    float *out;
} slots;

static bool call(const slots *s, int64_t number) {
    bfi_kernel_call c = {.host = &s->host, .tensors = 2, .integers = 1, .integer = {number}};
    c.tensor[0].data = s->out, c.tensor[0].count = TASKS;
    return bfi_compiled_call(s->kernel, &c);
}

static slots slots_of(fake_mode mode, bfi_pool *pool, char *arena) {
    return (slots){.kernel = load_fake(mode),
                   .host = {.pool = pool,
                            .arena = arena,
                            .stride = 2 * ARENA,
                            .bytes = ARENA,
                            .workers = WORKERS},
                   .out = bfi_alloc_aligned(TASKS * sizeof(float))};
}

static void clear_slots(slots *s) {
    bfi_compiled_release(s->kernel);
    free(s->out);
}

/* A kernel gets the planned memory of its worker and no byte more. */
static void workspace_slot(void **state) {
    (void)state;
    char *arena = bfi_alloc_aligned(WORKERS * 2 * ARENA);
    slots s = slots_of(FAKE_WORKSPACE, NULL, arena);
    s.host.worker = 1;
    memset(arena, 7, WORKERS * 2 * ARENA);
    assert_true(call(&s, ARENA / 2)); /* twice */
    for (int i = 0; i < WORKERS * 2 * ARENA; i++) {
        bool own = i >= 2 * ARENA && i < 3 * ARENA;
        assert_true(own ? arena[i] == 1 || arena[i] == 2 : arena[i] == 7);
    }
    assert_false(call(&s, ARENA / 2 + 1));
    assert_false(call(&s, ARENA + 1));
    assert_false(call(&s, INT64_MAX));
    assert_int_equal(atomic_load(&s.kernel->failures), 3);
    assert_true(call(&s, ARENA / 2)); /* and the next one is fine */
    s.host.arena = NULL, s.host.bytes = 0;
    assert_false(call(&s, 64));
    clear_slots(&s);
    free(arena);
}

static void call_item(void *user, int64_t item, int worker) {
    slots s = ((slots *)user)[item];
    s.host.worker = worker;
    assert_true(call(&s, TASKS));
}

/* Parallel loops of a kernel: on the pool, and one after the other inside it. */
static void launch_slot(void **state) {
    (void)state;
    bfi_pool *pool = NULL;
    char *arena = bfi_alloc_aligned(WORKERS * 2 * ARENA);
    assert_int_equal(bfi_pool_create(WORKERS, &pool, NULL), BF_STATUS_OK);
    slots s[4];
    for (int i = 0; i < 4; i++) s[i] = slots_of(FAKE_LAUNCH, i == 3 ? NULL : pool, arena);
    for (int round = 0; round < 100; round++) {
        memset(s[0].out, 0, TASKS * sizeof(float));
        assert_true(call(&s[0], TASKS));
        for (int i = 0; i < TASKS; i++) assert_true(s[0].out[i] == (float)(i + 1));
    }
    bfi_pool_run(pool, 4, WORKERS, call_item, s);
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < TASKS; i++) assert_true(s[k].out[i] == (float)(i + 1));
    assert_true(call(&s[1], 0)); /* as many tasks as the host likes */
    s[0].host.bytes = 32;        /* too little for a task */
    assert_false(call(&s[0], TASKS));
    slots barrier = slots_of(FAKE_BARRIER, pool, arena);
    assert_false(call(&barrier, 1));
    clear_slots(&barrier);
    for (int i = 0; i < 4; i++) clear_slots(&s[i]);
    bfi_pool_free(pool);
    free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm),           cmocka_unit_test(damaged),
        cmocka_unit_test(two_processes),  cmocka_unit_test(failing_compiler),
        cmocka_unit_test(failing_midway), cmocka_unit_test(nothing_to_compile_with),
        cmocka_unit_test(unsafe_folders), cmocka_unit_test(read_only_folder),
        cmocka_unit_test(stopped),        cmocka_unit_test(automatic),
        cmocka_unit_test(bad_records),    cmocka_unit_test(bad_options),
        cmocka_unit_test(workspace_slot), cmocka_unit_test(launch_slot),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
