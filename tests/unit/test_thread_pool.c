/* The pool: every item once, one call at a time per worker, nobody left behind; loops of every
 * length right after each other and with pauses that put the workers to sleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/budget.h"
#include "base/thread_pool.h"

enum { MOST_ITEMS = 300, MOST_WORKERS = 8 };

typedef struct count {
    atomic_int of_item[MOST_ITEMS], busy[MOST_WORKERS];
    atomic_int wrong; /* a worker number twice at a time, or out of range */
    int workers;
    int64_t items;
    double seconds; /* that an item takes */
} count;

static void pause_for(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static void count_item(void *user, int64_t item, int worker) {
    count *c = user;
    if (worker < 0 || worker >= c->workers || item < 0 || item >= c->items) {
        atomic_store(&c->wrong, 1);
        return;
    }
    if (atomic_fetch_add(&c->busy[worker], 1)) atomic_store(&c->wrong, 1);
    atomic_fetch_add(&c->of_item[item], 1);
    if (c->seconds > 0) pause_for(c->seconds);
    atomic_fetch_sub(&c->busy[worker], 1);
}

static void loop(bfi_pool *pool, int64_t items, int workers, double seconds) {
    count c;
    memset(&c, 0, sizeof c);
    c.items = items, c.workers = workers, c.seconds = seconds;
    bfi_pool_run(pool, items, workers, count_item, &c);
    assert_int_equal(atomic_load(&c.wrong), 0);
    for (int64_t i = 0; i < items; i++) assert_int_equal(atomic_load(&c.of_item[i]), 1);
    for (int i = 0; i < MOST_WORKERS; i++) assert_int_equal(atomic_load(&c.busy[i]), 0);
}

static bfi_pool *pool_of(int threads) {
    bfi_pool *pool;
    assert_int_equal(bfi_pool_create(threads, &pool, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_pool_threads(pool), threads);
    return pool;
}

static void every_item_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        bfi_pool *pool = pool_of(threads);
        for (int round = 0; round < 400; round++)
            loop(pool, (round * 37) % MOST_ITEMS, 1 + round % threads, 0);
        for (int round = 0; round < 10; round++) { /* sleeping workers; a caller that has to wait */
            pause_for(2e-4);
            loop(pool, round, threads, 2e-4);
        }
        bfi_pool_free(pool);
    }
}

/* A worker that is asleep or late does not hold up the caller: the loop takes no longer than the
 * caller alone, give or take the scheduler's whims (the fastest of many). */
static void late_workers_cost_nothing(void **state) {
    (void)state;
    bfi_pool *pool = pool_of(2);
    double best = 1;
    for (int round = 0; round < 300; round++) {
        pause_for(1e-4);
        double from = bfi_clock();
        loop(pool, 2, 2, 0);
        double took = bfi_clock() - from;
        if (took < best) best = took;
    }
    assert_true(best < 1e-3);
    bfi_pool_free(pool);
}

static void *call_many(void *pool) {
    for (int round = 0; round < 300; round++) loop(pool, round % 20, 3, 0);
    return NULL;
}

static void callers_take_turns(void **state) {
    (void)state;
    bfi_pool *pool = pool_of(3);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, call_many, pool), 0);
    call_many(pool);
    assert_int_equal(pthread_join(other, NULL), 0);
    bfi_pool_free(pool);
}

typedef struct nest {
    bfi_pool *pool;
    atomic_int calls[3]; /* by worker */
} nest;

static void inner_item(void *user, int64_t item, int worker) {
    nest *n = user;
    (void)item;
    atomic_fetch_add(&n->calls[worker], 1);
}

static void outer_item(void *user, int64_t item, int worker) {
    nest *n = user;
    (void)item;
    int before = atomic_load(&n->calls[worker]);
    bfi_pool_run(n->pool, 10, 3, inner_item, n);
    assert_int_equal(atomic_load(&n->calls[worker]), before + 10); /* this worker did them all */
}

static void a_loop_within_a_loop(void **state) {
    (void)state;
    nest n = {.pool = pool_of(3)};
    for (int round = 0; round < 100; round++) bfi_pool_run(n.pool, 6, 3, outer_item, &n);
    assert_int_equal(n.calls[0] + n.calls[1] + n.calls[2], 6000);
    bfi_pool_free(n.pool);
}

static void free_at_once(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) bfi_pool_free(pool_of(1 + round % 4));
    bfi_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),    cmocka_unit_test(late_workers_cost_nothing),
        cmocka_unit_test(callers_take_turns), cmocka_unit_test(a_loop_within_a_loop),
        cmocka_unit_test(free_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
