#include "verify/solver/watch.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/alloc.h"

struct bfi_watch {
    bfi_budget budget;
    void (*stop)(void *user);
    void *user;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool ended;
};

static struct timespec soon(void) {
    enum { NANOSECONDS = 5000000 };
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += NANOSECONDS;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

static void *watch(void *user) {
    bfi_watch *w = user;
    pthread_mutex_lock(&w->mutex);
    while (!w->ended) {
        struct timespec at = soon();
        pthread_cond_timedwait(&w->wake, &w->mutex, &at);
        if (!w->ended && bfi_budget_check(&w->budget) != BF_STATUS_OK) w->stop(w->user);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

bf_status bfi_watch_begin(const bfi_budget *budget, void (*stop)(void *user), void *user,
                          bfi_watch **out, bf_error *err) {
    bfi_watch *w = bfi_calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return bfi_fail_memory(err);
    w->budget = *budget, w->stop = stop, w->user = user;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, watch, w) == 0) {
        *out = w;
        return BF_STATUS_OK;
    }
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    free(w);
    return bfi_fail(err, BF_STATUS_LIMIT, "no thread to watch the time with");
}

void bfi_watch_end(bfi_watch *w) {
    if (!w) return;
    pthread_mutex_lock(&w->mutex);
    w->ended = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
