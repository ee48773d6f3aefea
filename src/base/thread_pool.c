#include "base/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"

struct bfi_pool {
    int threads; /* the caller included */
    int started;
    pthread_t *workers;
    pthread_mutex_t turn; /* one loop at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint64_t generation;
    int busy;
    bool quit;
    atomic_int_fast64_t next;
    int64_t items;
    int taking_part; /* workers of this loop */
    void (*work)(void *user, int64_t item, int worker);
    void *user;
};

typedef struct start {
    bfi_pool *pool;
    int index;
} start;

static void drain(bfi_pool *pool, int worker) {
    for (;;) {
        int64_t item = atomic_fetch_add(&pool->next, 1);
        if (item >= pool->items) return;
        pool->work(pool->user, item, worker);
    }
}

static void *worker_main(void *argument) {
    start begin = *(start *)argument;
    free(argument);
    bfi_pool *pool = begin.pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->quit && pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->quit) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        if (begin.index < pool->taking_part) drain(pool, begin.index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bf_status start_workers(bfi_pool *pool, bf_error *err) {
    for (int i = 1; i < pool->threads; i++) {
        start *begin = bfi_malloc(1, sizeof *begin);
        if (!begin) return bfi_fail_memory(err);
        *begin = (start){pool, i};
        if (pthread_create(&pool->workers[i - 1], NULL, worker_main, begin)) {
            free(begin);
            return bfi_fail(err, BF_STATUS_LIMIT,
                            "cannot start thread %d of %d: use fewer --threads", i + 1,
                            pool->threads);
        }
        pool->started++;
    }
    return BF_STATUS_OK;
}

bf_status bfi_pool_create(int threads, bfi_pool **out, bf_error *err) {
    bfi_pool *pool = bfi_calloc(1, sizeof *pool);
    if (!pool) return bfi_fail_memory(err);
    pool->threads = threads < 1 ? 1 : threads;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = bfi_calloc((size_t)pool->threads, sizeof *pool->workers);
    bf_status status = pool->workers ? start_workers(pool, err) : bfi_fail_memory(err);
    if (status != BF_STATUS_OK) {
        bfi_pool_free(pool);
        return status;
    }
    *out = pool;
    return BF_STATUS_OK;
}

void bfi_pool_free(bfi_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    free(pool->workers);
    free(pool);
}

int bfi_pool_threads(const bfi_pool *pool) { return pool->threads; }

void bfi_pool_run(bfi_pool *pool, int64_t items, int workers,
                  void (*work)(void *user, int64_t item, int worker), void *user) {
    pthread_mutex_lock(&pool->turn);
    pool->items = items;
    pool->taking_part = workers;
    pool->work = work;
    pool->user = user;
    atomic_store(&pool->next, 0);
    bool parallel = pool->started > 0 && items > 1 && workers > 1;
    if (parallel) {
        pthread_mutex_lock(&pool->lock);
        pool->busy = pool->started;
        pool->generation++;
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    drain(pool, 0);
    if (parallel) {
        pthread_mutex_lock(&pool->lock);
        while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->turn);
}
