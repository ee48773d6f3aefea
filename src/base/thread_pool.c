#include "base/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"

/* Loops follow each other within microseconds, so both sides look for news this long before they
 * sleep: a worker for the next loop, the caller for the last worker. */
#define SPIN_SECONDS 50e-6

/* A loop is open (odd |ticket|) while items may be left. A worker that finds it open joins: it
 * counts itself in |inside|, then looks at the ticket again; the caller closes the loop, then waits
 * for |inside| to be zero. One of the two sees the other, so nobody is left behind, and a worker
 * that wakes up late costs nothing: the loop is over without it. All of these are sequentially
 * consistent. */
struct bfi_pool {
    int threads; /* the caller included */
    int started;
    bool spin; /* every thread can have a CPU of its own */
    pthread_t *workers;
    pthread_mutex_t turn; /* one loop at a time */
    pthread_mutex_t lock; /* of both conditions */
    pthread_cond_t wake, done;
    atomic_int sleeping; /* workers that may wait for |wake| */
    atomic_bool waiting; /* the caller may wait for |done| */
    atomic_bool quit;
    atomic_uint_fast64_t ticket;
    atomic_int inside;
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

/* The loop whose items this thread runs, and as which worker; NULL: none. */
typedef struct place {
    const bfi_pool *pool;
    int worker;
} place;

static _Thread_local place inside;

static void drain(bfi_pool *pool, int worker) {
    place before = inside;
    inside = (place){pool, worker};
    for (;;) {
        int64_t item = atomic_fetch_add(&pool->next, 1);
        if (item >= pool->items) break;
        pool->work(pool->user, item, worker);
    }
    inside = before;
}

static bool is_open(uint64_t ticket) { return ticket & 1; }

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* News for a worker that has seen loop |seen|. */
static bool has_news(bfi_pool *pool, uint64_t seen) {
    uint64_t ticket = atomic_load(&pool->ticket);
    return (is_open(ticket) && ticket != seen) || atomic_load(&pool->quit);
}

static bool nobody_inside(bfi_pool *pool, uint64_t unused) {
    (void)unused;
    return atomic_load(&pool->inside) == 0;
}

/* Looks for |happened| for a while; false when it did not. */
static bool spin_for(bfi_pool *pool, bool (*happened)(bfi_pool *, uint64_t), uint64_t seen) {
    if (happened(pool, seen)) return true;
    if (!pool->spin) return false;
    double until = bfi_clock() + SPIN_SECONDS;
    do {
        for (int i = 0; i < 32; i++) {
            relax();
            if (happened(pool, seen)) return true;
        }
    } while (bfi_clock() < until);
    return false;
}

/* Returns the open loop's ticket, or any other one to quit. */
static uint64_t next_ticket(bfi_pool *pool, uint64_t seen) {
    if (!spin_for(pool, has_news, seen)) {
        pthread_mutex_lock(&pool->lock);
        atomic_fetch_add(&pool->sleeping, 1);
        while (!has_news(pool, seen)) pthread_cond_wait(&pool->wake, &pool->lock);
        atomic_fetch_sub(&pool->sleeping, 1);
        pthread_mutex_unlock(&pool->lock);
    }
    return atomic_load(&pool->ticket);
}

static void leave(bfi_pool *pool) {
    if (atomic_fetch_sub(&pool->inside, 1) != 1 || !atomic_load(&pool->waiting)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument) {
    start begin = *(start *)argument;
    free(argument);
    bfi_pool *pool = begin.pool;
    uint64_t seen = 0;
    for (;;) {
        uint64_t ticket = next_ticket(pool, seen);
        if (atomic_load(&pool->quit)) return NULL;
        if (!is_open(ticket)) continue;
        seen = ticket;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->ticket) == ticket && begin.index < pool->taking_part)
            drain(pool, begin.index);
        leave(pool);
    }
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
    pool->spin = pool->threads <= sysconf(_SC_NPROCESSORS_ONLN);
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
    atomic_store(&pool->quit, true);
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

bool bfi_pool_awake(const bfi_pool *pool) { return atomic_load(&pool->sleeping) < pool->started; }

static void open_loop(bfi_pool *pool) {
    atomic_fetch_add(&pool->ticket, 1);
    if (atomic_load(&pool->sleeping) == 0) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void close_loop(bfi_pool *pool) {
    atomic_fetch_add(&pool->ticket, 1);
    if (spin_for(pool, nobody_inside, 0)) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, true);
    while (!nobody_inside(pool, 0)) pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->lock);
}

void bfi_pool_run(bfi_pool *pool, int64_t items, int workers,
                  void (*work)(void *user, int64_t item, int worker), void *user) {
    if (inside.pool == pool) {
        for (int64_t item = 0; item < items; item++) work(user, item, inside.worker);
        return;
    }
    pthread_mutex_lock(&pool->turn);
    pool->items = items;
    pool->taking_part = workers;
    pool->work = work;
    pool->user = user;
    atomic_store(&pool->next, 0);
    bool parallel = pool->started > 0 && items > 1 && workers > 1;
    if (parallel) open_loop(pool);
    drain(pool, 0);
    if (parallel) close_loop(pool);
    pthread_mutex_unlock(&pool->turn);
}
