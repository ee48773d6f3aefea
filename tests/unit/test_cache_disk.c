/* The file layer: what other processes and times left is found with its own bits; whatever is
 * damaged, foreign, full or killed is reported and never believed. */
#include "cache_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runtime/cache/disk.h"
#include "runtime/cache/sqlite.h"

static char folder[] = "/tmp/boundflow-cache-XXXXXX";

/* A name in the test's folder; five can be in use at once. */
static const char *file(const char *name) {
    static char paths[5][128];
    static int next;
    char *path = paths[next++ % 5];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static bool have_sqlite(void) {
    bfi_dylib lib;
    bfi_sqlite api;
    bf_error err = {""};
    bool have = bfi_sqlite_load(&lib, &api, &err) == BF_STATUS_OK;
    if (have) bfi_dylib_close(&lib);
    if (!have) print_message("skipped: %s\n", err.message);
    return have;
}

#define NEED_SQLITE \
    if (!have_sqlite()) skip()

static bf_cache *open_cache(const char *path, bool read_only) {
    bf_cache_options options = bf_cache_options_default();
    options.path = path, options.read_only = read_only;
    return cache_new(options);
}

/* Puts [first, last) into a new process's view of |path|. */
static void fill(const char *path, uint64_t first, uint64_t last) {
    bf_cache *cache = open_cache(path, false);
    for (uint64_t n = first; n < last; n++) ask_put(cache, n);
    bf_error err = {""};
    if (bf_cache_flush(cache, &err)) fail_msg("%s", err.message);
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_string_equal(stats.problem, "");
    assert_int_equal(stats.disk_written, last - first);
    bf_cache_free(cache);
}

/* How many of [first, last) |cache| knows; those have their own bits. */
static int64_t known(bf_cache *cache, uint64_t first, uint64_t last) {
    int64_t count = 0;
    for (uint64_t n = first; n < last; n++) count += ask_get(cache, n);
    return count;
}

static void slurp(const char *path, char **data, size_t *size) {
    bf_error err = {""};
    if (bfi_file_read(path, (size_t)1 << 30, data, size, &err)) fail_msg("%s", err.message);
}

static void spill(const char *path, const void *data, size_t size) {
    static const char *const endings[] = {"-wal", "-shm"};
    char name[200];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    bf_error err = {""};
    if (bfi_file_write(path, data, size, &err)) fail_msg("%s", err.message);
}

static void survives(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("survives");
    fill(path, 0, 300);
    fill(path, 300, 500);
    bf_cache *cache = open_cache(path, false);
    assert_int_equal(known(cache, 0, 600), 500);
    assert_int_equal(known(cache, 0, 500), 500); /* from memory now */
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_int_equal(stats.disk_hits, 500);
    assert_int_equal(stats.disk_misses, 100);
    assert_int_equal(stats.misses, 100);
    assert_int_equal(stats.hits, 500);
    assert_int_equal(stats.problems, 0);
    bf_cache_free(cache);
    bf_cache_file info;
    bf_error err = {""};
    assert_int_equal(bf_cache_file_check(path, &info, &err), BF_STATUS_OK);
    assert_int_equal(info.entries, 500);
    assert_int_equal(info.damaged, 0);
    assert_true(info.oldest > 1.7e9 && info.newest >= info.oldest);
    assert_true(info.bytes > info.key_bytes + info.value_bytes);
    assert_int_equal(bf_cache_file_clear(path, &err), BF_STATUS_OK);
    assert_int_equal(bf_cache_file_info(path, &info, &err), BF_STATUS_OK);
    assert_int_equal(info.entries, 0);
}

/* Without memory of its own a cache still has the file. */
static void disk_alone(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("alone");
    bf_cache_options options = bf_cache_options_default();
    options.path = path, options.bytes = 0;
    bf_cache *cache = cache_new(options);
    for (uint64_t n = 0; n < 50; n++) ask_put(cache, n);
    assert_int_equal(bf_cache_flush(cache, NULL), BF_STATUS_OK);
    assert_int_equal(known(cache, 0, 50), 50);
    assert_int_equal(bf_cache_stats_now(cache).entries, 0);
    bf_cache_free(cache);
}

/* What is sooner computed than found stays in memory. */
static void brief_answers(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("brief");
    bf_cache *cache = open_cache(path, false);
    for (uint64_t n = 0; n < 40; n++) {
        asked a;
        ask_make(&a, n);
        a.q.brief = n % 2;
        bfi_cache_put(cache, &a.q, &a.answer);
    }
    assert_int_equal(known(cache, 0, 40), 40);
    bf_cache_free(cache);
    cache = open_cache(path, false);
    for (uint64_t n = 0; n < 40; n++) {
        asked a;
        ask_make(&a, n);
        assert_int_equal(bfi_cache_get(cache, &a.q, &a.answer), n % 2 == 0);
        a.q.brief = true; /* where it was absent the file is not asked again */
        assert_int_equal(bfi_cache_get(cache, &a.q, &a.answer), n % 2 == 0);
    }
    assert_int_equal(bf_cache_stats_now(cache).disk_misses, 20);
    bf_cache_free(cache);
}

static void read_only(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("readonly");
    bf_cache *cache = open_cache(path, true);
    assert_non_null(strstr(bf_cache_stats_now(cache).problem, "no cache file"));
    ask_put(cache, 1);
    bf_cache_free(cache);
    assert_int_equal(access(path, F_OK), -1);

    fill(path, 0, 20);
    char *before, *after;
    size_t size, size_after;
    slurp(path, &before, &size);
    cache = open_cache(path, true);
    assert_int_equal(known(cache, 0, 30), 20);
    for (uint64_t n = 20; n < 30; n++) ask_put(cache, n);
    assert_int_equal(bf_cache_flush(cache, NULL), BF_STATUS_OK);
    assert_int_equal(bf_cache_stats_now(cache).problems, 0);
    bf_cache_free(cache);
    slurp(path, &after, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
}

/* Whatever |path| holds is reported, left as it is, and the cache works on in memory. */
static void expect_refused(const char *path, const char *words) {
    struct stat info;
    char *before = NULL, *after = NULL;
    size_t size = 0, size_after = 0;
    bool regular = stat(path, &info) == 0 && S_ISREG(info.st_mode);
    if (regular) slurp(path, &before, &size);
    bf_cache *cache = open_cache(path, false);
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_int_equal(stats.problems, 1);
    if (!strstr(stats.problem, words)) fail_msg("no '%s' in: %s", words, stats.problem);
    ask_put(cache, 3);
    assert_true(ask_get(cache, 3));
    assert_false(ask_get(cache, 4));
    assert_int_equal(bf_cache_flush(cache, NULL), BF_STATUS_OK);
    bf_cache_free(cache);
    if (!regular) return;
    slurp(path, &after, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    char log[200];
    snprintf(log, sizeof log, "%s-wal", path);
    assert_int_equal(access(log, F_OK), -1);
}

static void run_sql(const char *path, const char *text) {
    bfi_dylib lib;
    bfi_sqlite api;
    sqlite3 *db = NULL;
    assert_int_equal(bfi_sqlite_load(&lib, &api, NULL), BF_STATUS_OK);
    assert_int_equal(
        api.open_v2(path, &db, BFI_SQLITE_OPEN_READWRITE | BFI_SQLITE_OPEN_CREATE, NULL), 0);
    if (api.exec(db, text, NULL, NULL, NULL) != 0) fail_msg("%s: %s", text, api.errmsg(db));
    api.close(db);
    bfi_dylib_close(&lib);
}

static void foreign(void **state) {
    (void)state;
    NEED_SQLITE;
    bf_error err = {""};
    char text[300];
    memset(text, 'x', sizeof text);
    spill(file("text"), text, sizeof text);
    expect_refused(file("text"), "not a cache file");
    spill(file("short"), "SQLite format 3", 16);
    expect_refused(file("short"), "not a cache file");
    run_sql(file("other"), "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    expect_refused(file("other"), "not a cache file");
    mkdir(file("folder"), 0777);
    expect_refused(file("folder"), "not a cache file");
    expect_refused("/dev/null", "not a cache file");
    expect_refused(file("no/such/folder"), "");
    assert_int_equal(bf_cache_file_clear(file("text"), &err), BF_STATUS_PARSE);
    assert_int_equal(bf_cache_file_clear(file("other"), &err), BF_STATUS_PARSE);
    assert_int_equal(bf_cache_file_clear(file("nothing"), &err), BF_STATUS_IO);
    bf_cache_file info;
    assert_int_equal(bf_cache_file_info(file("other"), &info, &err), BF_STATUS_PARSE);
    assert_int_equal(bf_cache_file_check(file("nothing"), &info, &err), BF_STATUS_IO);

    /* of another version */
    const char *path = file("version");
    fill(path, 0, 5);
    run_sql(path, "PRAGMA user_version=77");
    expect_refused(path, "cache format 77");
    assert_int_equal(bf_cache_file_info(path, &info, &err), BF_STATUS_UNSUPPORTED);
    assert_int_equal(bf_cache_file_clear(path, &err), BF_STATUS_OK);
    fill(path, 0, 5);

    /* an empty file is a new one */
    spill(file("empty"), "", 0);
    fill(file("empty"), 0, 5);
}

/* Bytes changed anywhere: an answer is its own bits or none. */
static void damaged(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("damaged");
    fill(path, 0, 60);
    char *whole;
    size_t size;
    slurp(path, &whole, &size);
    uint64_t seed = 11;
    int64_t rejected = 0, refused = 0, lost = 0, found_errors = 0;
    for (int round = 0; round < 150; round++) {
        char *copy = bfi_malloc(size, 1);
        memcpy(copy, whole, size);
        int changes = round % 3 == 0 ? 1 : 40;
        for (int i = 0; i < changes; i++)
            copy[round < 20 ? ask_bits(&seed) % 120 : ask_bits(&seed) % size] ^=
                (char)(1 + ask_bits(&seed) % 255);
        spill(path, copy, size);
        free(copy);
        bf_cache_file info;
        bf_error err = {""};
        found_errors += bf_cache_file_check(path, &info, &err) != BF_STATUS_OK;
        bf_cache *cache = open_cache(path, false);
        int64_t here = known(cache, 0, 60);
        ask_put(cache, 1000);
        bf_cache_flush(cache, NULL);
        bf_cache_stats stats = bf_cache_stats_now(cache);
        lost += 60 - here;
        rejected += stats.disk_rejected;
        refused += stats.problems > stats.disk_rejected;
        if (here < 60 && stats.problems == 0 && err.message[0] == '\0')
            fail_msg("round %d: %d answers vanished and nobody said why", round, (int)(60 - here));
        bf_cache_free(cache);
    }
    assert_true(rejected > 20 && refused > 20 && lost > 100 && found_errors > 100);
    free(whole);
}

static void truncated(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("truncated");
    fill(path, 0, 60);
    char *whole;
    size_t size;
    slurp(path, &whole, &size);
    for (size_t keep = 1; keep < size; keep += keep < 200 ? 33 : 4096 - 7) {
        spill(path, whole, keep);
        bf_cache *cache = open_cache(path, false);
        known(cache, 0, 60);
        assert_true(bf_cache_stats_now(cache).problems > 0);
        bf_cache_free(cache);
        bf_cache_file info;
        bf_error err = {""};
        assert_int_equal(bf_cache_file_check(path, &info, &err), BF_STATUS_PARSE);
        if (keep < 100) continue;
        assert_int_equal(bf_cache_file_clear(path, &err), BF_STATUS_OK); /* ours: made anew */
        fill(path, 0, 3);
    }
    free(whole);
}

/* A damaged entry is replaced when its answer is computed again. */
static void heals(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("heals");
    fill(path, 0, 30);
    run_sql(path, "UPDATE entry SET value=zeroblob(length(value))");
    bf_cache_file info;
    bf_error err = {""};
    assert_int_equal(bf_cache_file_check(path, &info, &err), BF_STATUS_PARSE);
    assert_int_equal(info.damaged, 30);
    bf_cache *cache = open_cache(path, false);
    assert_int_equal(known(cache, 0, 30), 0);
    assert_int_equal(bf_cache_stats_now(cache).disk_rejected, 30);
    assert_non_null(strstr(bf_cache_stats_now(cache).problem, "damaged"));
    for (uint64_t n = 0; n < 30; n++) ask_put(cache, n);
    bf_cache_free(cache);
    assert_int_equal(bf_cache_file_check(path, &info, &err), BF_STATUS_OK);
    /* answers that changed places: the key is compared */
    run_sql(path, "UPDATE entry SET name=randomblob(32) WHERE id=(SELECT max(id) FROM entry)");
    run_sql(path,
            "UPDATE entry SET name=(SELECT a.name FROM entry a WHERE a.id=(SELECT min(id) FROM "
            "entry)+1) WHERE id=-1");
    assert_int_equal(bf_cache_file_check(path, &info, &err), BF_STATUS_PARSE);
    assert_int_equal(info.damaged, 1);
}

static pid_t child(void) {
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    return pid;
}

static int wait_for(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Two processes write at once, each some of its own and some of both. */
static void two_writers(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("two");
    pid_t pids[2];
    for (int p = 0; p < 2; p++) {
        pids[p] = child();
        if (pids[p] != 0) continue;
        bf_cache *cache = open_cache(path, false);
        bf_cache_stats stats = bf_cache_stats_now(cache);
        for (uint64_t n = 0; n < 400; n++) {
            ask_put(cache, n % 2 ? n : n + 10000 * (uint64_t)(p + 1));
            if (n % 10 == 9) bf_cache_flush(cache, NULL);
            ask_get(cache, n);
        }
        bf_cache_flush(cache, NULL);
        stats = bf_cache_stats_now(cache);
        if (stats.problems) fprintf(stderr, "%s\n", stats.problem);
        _exit(stats.problems || stats.disk_lost ? 1 : 0);
    }
    for (int p = 0; p < 2; p++) assert_int_equal(wait_for(pids[p]), 0);
    bf_cache_file info;
    bf_error err = {""};
    if (bf_cache_file_check(path, &info, &err)) fail_msg("%s", err.message);
    assert_int_equal(info.entries, 200 + 2 * 200);
    bf_cache *cache = open_cache(path, false);
    assert_int_equal(known(cache, 0, 400), 200);
    for (uint64_t n = 0; n < 400; n += 2)
        assert_true(ask_get(cache, n + 10000) && ask_get(cache, n + 20000));
    bf_cache_free(cache);
}

static void nap(long microseconds) { nanosleep(&(struct timespec){0, microseconds * 1000}, NULL); }

/* kill -9 at any moment: the file stays whole and keeps all that was flushed before. */
static void killed(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("killed");
    uint64_t seed = 5;
    int64_t last = 0;
    for (int round = 0; round < 60; round++) {
        int pipes[2];
        if (round < 20) { /* while it is made */
            char name[200];
            unlink(path);
            snprintf(name, sizeof name, "%s-wal", path), unlink(name);
            snprintf(name, sizeof name, "%s-shm", path), unlink(name);
            snprintf(name, sizeof name, "%s-journal", path), unlink(name);
            last = 0;
        }
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = child();
        if (pid == 0) {
            bf_cache *cache = open_cache(path, false);
            for (uint64_t n = (uint64_t)round * 100000;; n++) {
                ask_put(cache, n);
                if (n % 5 == 4 && bf_cache_flush(cache, NULL) == BF_STATUS_OK &&
                    write(pipes[1], &n, sizeof n) != sizeof n)
                    _exit(1);
            }
        }
        close(pipes[1]);
        nap((long)(ask_bits(&seed) % (round < 20 ? 4000 : 25000)));
        kill(pid, SIGKILL);
        wait_for(pid);
        uint64_t flushed = (uint64_t)round * 100000, n;
        while (read(pipes[0], &n, sizeof n) == sizeof n) flushed = n + 1;
        close(pipes[0]);
        bf_cache *cache = open_cache(path, false);
        assert_string_equal(bf_cache_stats_now(cache).problem, "");
        int64_t kept = known(cache, (uint64_t)round * 100000, flushed);
        assert_int_equal(kept, flushed - (uint64_t)round * 100000);
        last += kept;
        bf_cache_free(cache);
    }
    assert_true(last > 0);
    bf_cache_file info;
    bf_error err = {""};
    if (bf_cache_file_check(path, &info, &err)) fail_msg("%s", err.message);
    assert_true(info.entries >= last);
}

/* No more room: said once, and the cache goes on in memory with what the file had. */
static void full(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("full");
    fill(path, 0, 20);
    pid_t pid = child();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){65536, 65536});
        bf_cache *cache = open_cache(path, false);
        int bad = 0;
        for (uint64_t n = 20; n < 2000; n++) {
            ask_put(cache, n);
            if (n % 50 == 0) bf_cache_flush(cache, NULL);
        }
        bf_cache_stats stats = bf_cache_stats_now(cache);
        bad += stats.problems != 1 || !strstr(stats.problem, "full") || stats.disk_lost == 0;
        if (bad) fprintf(stderr, "%d problems: %s\n", (int)stats.problems, stats.problem);
        for (uint64_t n = 0; n < 2000; n++) bad += !ask_get(cache, n);
        bf_cache_free(cache);
        _exit(bad ? 1 : 0);
    }
    assert_int_equal(wait_for(pid), 0);
    bf_cache_file info;
    bf_error err = {""};
    if (bf_cache_file_check(path, &info, &err)) fail_msg("%s", err.message);
    bf_cache *cache = open_cache(path, false);
    assert_int_equal(known(cache, 0, 20), 20);
    bf_cache_free(cache);
}

/* The file keeps what was used last and stays within its limit. */
static void disk_limit(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("limit");
    bf_cache_options options = bf_cache_options_default();
    options.path = path, options.bytes = 0, options.disk_bytes = 100000;
    bf_cache *cache = cache_new(options);
    for (uint64_t n = 0; n < 1000; n++) {
        ask_put(cache, n);
        if (n % 20 == 19) {
            assert_int_equal(bf_cache_flush(cache, NULL), BF_STATUS_OK);
            assert_true(ask_get(cache, 0)); /* in use: stays */
        }
    }
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_true(stats.disk_evictions > 500);
    assert_int_equal(known(cache, 990, 1000), 10);
    assert_int_equal(known(cache, 1, 200), 0);
    bf_cache_free(cache);
    bf_cache_file info;
    bf_error err = {""};
    if (bf_cache_file_check(path, &info, &err)) fail_msg("%s", err.message);
    assert_int_equal(info.entries, 1000 - stats.disk_evictions);
    assert_true(info.bytes <= 100000 + 65536); /* pages that were freed are used again */
    assert_true(info.key_bytes + info.value_bytes <= 100000);
}

static void no_library(void **state) {
    (void)state;
    setenv("BOUNDFLOW_SQLITE", "none", 1);
    bf_cache *cache = open_cache(file("nolib"), false);
    assert_non_null(strstr(bf_cache_stats_now(cache).problem, "SQLite"));
    ask_put(cache, 1);
    assert_true(ask_get(cache, 1));
    bf_cache_free(cache);
    bf_cache_file info;
    bf_error err = {""};
    spill(file("nolib"), "", 0);
    assert_int_not_equal(bf_cache_file_info(file("nolib"), &info, &err), BF_STATUS_OK);
    setenv("BOUNDFLOW_SQLITE", "/no/such/library.so", 1);
    cache = open_cache(file("nolib2"), false);
    assert_non_null(strstr(bf_cache_stats_now(cache).problem, "SQLite"));
    bf_cache_free(cache);
    assert_int_equal(access(file("nolib2"), F_OK), -1);
    unsetenv("BOUNDFLOW_SQLITE");
}

/* Another process holds the write lock: the answers wait, and arrive later. */
static void busy(void **state) {
    (void)state;
    NEED_SQLITE;
    const char *path = file("busy");
    fill(path, 0, 1);
    bfi_dylib lib;
    bfi_sqlite api;
    sqlite3 *db = NULL;
    assert_int_equal(bfi_sqlite_load(&lib, &api, NULL), BF_STATUS_OK);
    assert_int_equal(api.open_v2(path, &db, BFI_SQLITE_OPEN_READWRITE, NULL), 0);
    assert_int_equal(api.exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), 0);
    bf_cache *cache = open_cache(path, false);
    for (uint64_t n = 1; n < 3000; n++) ask_put(cache, n); /* more than one flush */
    assert_int_equal(bf_cache_stats_now(cache).disk_written, 0);
    assert_true(ask_get(cache, 0)); /* reading goes on */
    assert_int_equal(api.exec(db, "ROLLBACK", NULL, NULL, NULL), 0);
    assert_int_equal(bf_cache_flush(cache, NULL), BF_STATUS_OK);
    assert_int_equal(bf_cache_stats_now(cache).disk_written, 2999);
    assert_int_equal(bf_cache_stats_now(cache).problems, 0);
    bf_cache_free(cache);
    api.close(db);
    bfi_dylib_close(&lib);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives),   cmocka_unit_test(disk_alone), cmocka_unit_test(brief_answers),
        cmocka_unit_test(read_only),  cmocka_unit_test(foreign),    cmocka_unit_test(damaged),
        cmocka_unit_test(truncated),  cmocka_unit_test(heals),      cmocka_unit_test(two_writers),
        cmocka_unit_test(killed),     cmocka_unit_test(full),       cmocka_unit_test(disk_limit),
        cmocka_unit_test(no_library), cmocka_unit_test(busy),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
