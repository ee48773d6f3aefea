#include "exec/tvm/library.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/status.h"
#include "exec/tvm/compile.h"
#include "exec/tvm/kernel_file.h"
#include "exec/tvm/locate.h"
#include "exec/tvm/store.h"

/* What became of a key in this session. */
typedef struct entry {
    char *key;
    bfi_compiled *compiled; /* NULL: could not be had */
    bfi_origin origin;
    char reason[200];
} entry;

struct bfi_library {
    pthread_mutex_t lock; /* of all below */
    bfi_pool *pool;
    const atomic_int *stop;
    char *compiler, *tvm; /* as asked for, NULL: default */
    double seconds;
    bool strict;
    bfi_kernel_store *store;
    entry *entries;
    int count;
    size_t capacity;
    bf_tvm_stats stats;
    bool record_read; /* whatever came of it */
    bfi_record record;
};

bf_tvm_options bf_tvm_options_default(void) {
    const char *strict = getenv("BOUNDFLOW_TVM_STRICT");
    return (bf_tvm_options){.seconds = 60, .strict = strict && *strict && strcmp(strict, "0") != 0};
}

bf_status bfi_library_create(bfi_pool *pool, const atomic_int *stop, bfi_library **out,
                             bf_error *err) {
    bfi_library *l = bfi_calloc(1, sizeof *l);
    if (!l) return bfi_fail_memory(err);
    bf_tvm_options defaults = bf_tvm_options_default();
    pthread_mutex_init(&l->lock, NULL);
    l->pool = pool, l->stop = stop;
    l->seconds = defaults.seconds, l->strict = defaults.strict;
    bf_status status = bfi_store_open(NULL, &l->store, err);
    if (status != BF_STATUS_OK) {
        bfi_library_free(l);
        return status;
    }
    *out = l;
    return BF_STATUS_OK;
}

/* Forgets kernels; with |all| those that were loaded too. */
static void forget(bfi_library *l, bool all) {
    int kept = 0;
    for (int i = 0; i < l->count; i++) {
        if (l->entries[i].compiled && !all) {
            l->entries[kept++] = l->entries[i];
            continue;
        }
        bfi_compiled_release(l->entries[i].compiled);
        free(l->entries[i].key);
    }
    l->count = kept;
}

void bfi_library_free(bfi_library *l) {
    if (!l) return;
    forget(l, true);
    free(l->entries);
    bfi_record_clear(&l->record);
    bfi_store_free(l->store);
    free(l->compiler);
    free(l->tvm);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bf_status bfi_library_configure(bfi_library *l, const bf_tvm_options *o, bf_error *err) {
    if (!(o->seconds > 0))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "tvm options: %g seconds per kernel: give a number above 0", o->seconds);
    char *compiler = o->compiler ? bfi_strdup(o->compiler) : NULL;
    char *tvm = o->tvm ? bfi_strdup(o->tvm) : NULL;
    bfi_kernel_store *store = NULL;
    bf_status status = BF_STATUS_OK;
    if ((o->compiler && !compiler) || (o->tvm && !tvm)) status = bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = bfi_store_open(o->cache, &store, err);
    if (status != BF_STATUS_OK) {
        free(compiler);
        free(tvm);
        return status;
    }
    pthread_mutex_lock(&l->lock);
    forget(l, true);
    bfi_store_free(l->store);
    bfi_record_clear(&l->record);
    l->record_read = false;
    free(l->compiler);
    free(l->tvm);
    l->store = store;
    l->compiler = compiler, l->tvm = tvm;
    l->seconds = o->seconds, l->strict = o->strict;
    pthread_mutex_unlock(&l->lock);
    return BF_STATUS_OK;
}

bf_tvm_stats bfi_library_stats(bfi_library *l) {
    pthread_mutex_lock(&l->lock);
    bf_tvm_stats stats = l->stats;
    pthread_mutex_unlock(&l->lock);
    return stats;
}

bool bfi_library_strict(bfi_library *l) {
    pthread_mutex_lock(&l->lock);
    bool strict = l->strict;
    pthread_mutex_unlock(&l->lock);
    return strict;
}

bfi_pool *bfi_library_pool(const bfi_library *l) { return l->pool; }

const atomic_int *bfi_library_stop(const bfi_library *l) { return l->stop; }

static bf_status read_record(bfi_library *l, bf_error *err) {
    char path[BFI_STORE_PATH];
    if (l->record_read) return BF_STATUS_OK;
    bf_status status = BF_STATUS_OK;
    if (bfi_store_record(l->store, path)) status = bfi_record_read(path, &l->record, err);
    if (status == BF_STATUS_OUT_OF_MEMORY) return status;
    l->record_read = true;
    return BF_STATUS_OK;
}

bf_status bfi_library_measured(bfi_library *l, const bfi_tvm_kernel *kernel,
                               const bfi_tvm_target *target, bfi_timing *out, bf_error *err) {
    char key[BFI_TVM_KEY_SIZE];
    *out = (bfi_timing){0, 0};
    pthread_mutex_lock(&l->lock);
    bf_status status = read_record(l, err);
    if (status == BF_STATUS_OK && bfi_tvm_key_print(kernel, target, key, sizeof key)) {
        const bfi_measure *m = bfi_record_find(&l->record, key);
        if (m) *out = (bfi_timing){m->native_s, m->compiled_s};
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

bf_status bfi_library_record(bfi_library *l, const bfi_measure *measures, int count,
                             bf_error *err) {
    char path[BFI_STORE_PATH];
    pthread_mutex_lock(&l->lock);
    bf_status status = BF_STATUS_OK;
    if (!bfi_store_record(l->store, path))
        status = bfi_fail(err, BF_STATUS_IO, "the measurements cannot be kept: %s",
                          bfi_store_problem(l->store) ? bfi_store_problem(l->store)
                                                      : "there is no folder for them");
    if (status == BF_STATUS_OK) {
        bfi_record_clear(&l->record); /* another process may have added to it */
        l->record_read = false;
        status = read_record(l, err);
    }
    for (int i = 0; i < count && status == BF_STATUS_OK; i++)
        status = bfi_record_put(&l->record, measures[i].key, measures[i].native_s,
                                measures[i].compiled_s, err);
    if (status == BF_STATUS_OK) status = bfi_record_write(path, &l->record, err);
    pthread_mutex_unlock(&l->lock);
    return status;
}

static entry *find(bfi_library *l, const char *key) {
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->entries[i].key, key) == 0) return &l->entries[i];
    return NULL;
}

static entry *add(bfi_library *l, const char *key) {
    char *copy = bfi_strdup(key);
    if (!copy ||
        !bfi_grow((void **)&l->entries, &l->capacity, (size_t)l->count + 1, sizeof *l->entries)) {
        free(copy);
        return NULL;
    }
    entry *e = &l->entries[l->count++];
    *e = (entry){.key = copy, .origin = BFI_ORIGIN_FAILED};
    return e;
}

/* Loads |path|, which was checked, as the kernel of |e|. */
static bf_status load(entry *e, const char *path, bfi_origin origin, const bfi_tvm_kernel *kernel) {
    bf_error why = {""};
    bf_status status = bfi_compiled_load(path, kernel, &e->compiled, &why);
    if (status == BF_STATUS_OUT_OF_MEMORY) return status;
    if (status == BF_STATUS_OK)
        e->origin = origin;
    else
        snprintf(e->reason, sizeof e->reason, "%.190s", why.message);
    return BF_STATUS_OK;
}

/* One kernel to compile. */
typedef struct miss {
    const bfi_tvm_kernel *kernel;
    char key[BFI_TVM_KEY_SIZE];
    char rejected[64]; /* what was in its place */
} miss;

typedef struct misses {
    miss *items;
    int count;
    size_t capacity;
} misses;

/* Answers |r| from memory or the store, or notes it in |m|. */
static bf_status look_up(bfi_library *l, const bfi_kernel_request *r, misses *m, bf_error *err) {
    miss here = {.kernel = &r->kernel};
    char path[BFI_STORE_PATH];
    if (!bfi_tvm_key_print(&r->kernel, &r->target, here.key, sizeof here.key))
        return bfi_fail(err, BF_STATUS_INTERNAL, "the key of a kernel is too long");
    if (find(l, here.key)) return BF_STATUS_OK;
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->items[i].key, here.key) == 0) return BF_STATUS_OK;
    if (bfi_store_find(l->store, here.key, path, here.rejected, sizeof here.rejected)) {
        entry *e = add(l, here.key);
        bf_status status =
            e ? load(e, path, BFI_ORIGIN_STORED, &r->kernel) : BF_STATUS_OUT_OF_MEMORY;
        if (status == BF_STATUS_OUT_OF_MEMORY) return bfi_fail_memory(err);
        if (e->compiled) {
            l->stats.loaded++;
            return BF_STATUS_OK;
        }
        l->count--; /* what cannot be loaded is compiled again */
        snprintf(here.rejected, sizeof here.rejected, "%.60s", e->reason);
        free(e->key);
    }
    l->stats.rejected += *here.rejected != '\0';
    if (!bfi_grow((void **)&m->items, &m->capacity, (size_t)m->count + 1, sizeof *m->items))
        return bfi_fail_memory(err);
    m->items[m->count++] = here;
    return BF_STATUS_OK;
}

/* Notes how the compilation of |m| ended, and loads what it made. */
static bf_status take_over(bfi_library *l, const miss *m, const bfi_compile_job *job,
                           bf_error *err) {
    entry *e = add(l, m->key);
    if (!e) return bfi_fail_memory(err);
    bf_error why = {""};
    bf_status status = BF_STATUS_OK;
    snprintf(e->reason, sizeof e->reason, "%.190s", job->reason);
    if (job->done && bfi_tvm_file_check(job->path, m->key, &why) != BF_STATUS_OK)
        snprintf(e->reason, sizeof e->reason, "the kernel compiler left no such kernel: %.140s",
                 why.message);
    else if (job->done)
        status = load(e, job->path, BFI_ORIGIN_COMPILED, m->kernel);
    if (e->compiled)
        l->stats.compiled++;
    else
        l->stats.failed++;
    return status == BF_STATUS_OK ? status : bfi_fail_memory(err);
}

/* No job can be run, for a reason that holds for all of them. */
static bf_status fail_all(bfi_library *l, const misses *m, const char *reason, bf_error *err) {
    for (int i = 0; i < m->count; i++) {
        bfi_compile_job job = {.done = false};
        snprintf(job.reason, sizeof job.reason, "%.150s", reason);
        bf_status status = take_over(l, &m->items[i], &job, err);
        if (status != BF_STATUS_OK) return status;
    }
    return BF_STATUS_OK;
}

/* The compiler and TVM, and a place for every kernel. */
static bf_status prepare(bfi_library *l, const misses *m, char *program, bfi_tvm_place *tvm,
                         bfi_compile_job *jobs, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    if (l->compiler)
        snprintf(program, PATH_MAX, "%s", l->compiler);
    else
        status = bfi_tvm_locate_helper(program, err);
    if (status == BF_STATUS_OK) status = bfi_tvm_locate(l->tvm, tvm, err);
    for (int i = 0; i < m->count && status == BF_STATUS_OK; i++) {
        jobs[i].key = m->items[i].key;
        status = bfi_store_place(l->store, jobs[i].key, jobs[i].path, err);
    }
    return status;
}

static bf_status compile(bfi_library *l, const misses *m, const bfi_budget *budget, bf_error *err) {
    char program[PATH_MAX];
    bfi_tvm_place tvm;
    bf_error why = {""};
    bfi_compile_job *jobs = bfi_calloc((size_t)m->count, sizeof *jobs);
    if (!jobs) return bfi_fail_memory(err);
    bf_status status = prepare(l, m, program, &tvm, jobs, &why);
    if (status != BF_STATUS_OK) {
        status = fail_all(l, m, why.message, err);
    } else {
        bfi_compile_settings settings = {program, tvm.folder, bfi_pool_threads(l->pool),
                                         l->seconds};
        status = bfi_compile_run(&settings, jobs, m->count, budget, err);
        for (int i = 0; i < m->count && status == BF_STATUS_OK; i++)
            status = take_over(l, &m->items[i], &jobs[i], err);
    }
    free(jobs);
    return status;
}

static void answer(bfi_library *l, bfi_kernel_request *r) {
    char key[BFI_TVM_KEY_SIZE];
    bfi_tvm_key_print(&r->kernel, &r->target, key, sizeof key);
    const entry *e = find(l, key);
    r->origin = e ? e->origin : BFI_ORIGIN_NONE;
    r->compiled = e && e->compiled ? bfi_compiled_retain(e->compiled) : NULL;
    snprintf(r->reason, sizeof r->reason, "%s", e ? e->reason : "it has not been compiled yet");
}

/* Another thread may compile for long. */
static bf_status lock(bfi_library *l, const bfi_budget *budget, bf_error *err) {
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 20000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_mutex_timedlock(&l->lock, &until) != ETIMEDOUT) return BF_STATUS_OK;
        bf_status status = bfi_budget_check(budget);
        if (status != BF_STATUS_OK)
            return bfi_fail(err, status, "stopped while kernels were compiled");
    }
}

bf_status bfi_library_get(bfi_library *l, bfi_kernel_request *requests, int count, bool compiling,
                          double deadline, bf_error *err) {
    bfi_budget budget = {deadline, l->stop};
    misses m = {0};
    for (int i = 0; i < count; i++) requests[i].compiled = NULL;
    bf_status status = lock(l, &budget, err);
    if (status != BF_STATUS_OK) return status;
    for (int i = 0; i < count && status == BF_STATUS_OK; i++)
        status = look_up(l, &requests[i], &m, err);
    if (status == BF_STATUS_OK && compiling && m.count) status = compile(l, &m, &budget, err);
    for (int i = 0; i < count && status == BF_STATUS_OK; i++) answer(l, &requests[i]);
    free(m.items);
    pthread_mutex_unlock(&l->lock);
    return status;
}
