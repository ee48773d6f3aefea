#include "runtime/session.h"

#include <unistd.h>

#include "base/alloc.h"
#include "boundflow/version.h"

enum { MAX_THREADS = 256 };

bf_status bf_session_create(int threads, bf_session **out, bf_error *err) {
    if (threads < 0 || threads > MAX_THREADS)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "threads is %d: give 1 to %d, or 0 for all CPUs", threads, MAX_THREADS);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int count = threads                ? threads
                : online < 1           ? 1
                : online > MAX_THREADS ? MAX_THREADS
                                       : (int)online;
    bf_session *session = bfi_calloc(1, sizeof *session);
    if (!session) return bfi_fail_memory(err);
    atomic_init(&session->stop, 0);
    bf_status status = bfi_pool_create(count, &session->pool, err);
    if (status == BF_STATUS_OK)
        status = bfi_library_create(session->pool, &session->stop, &session->library, err);
    if (status != BF_STATUS_OK) {
        bf_session_free(session);
        return status;
    }
    *out = session;
    return BF_STATUS_OK;
}

void bf_session_free(bf_session *session) {
    if (!session) return;
    bfi_library_free(session->library);
    bfi_pool_free(session->pool);
    free(session);
}

int bf_session_threads(const bf_session *session) { return bfi_pool_threads(session->pool); }

void bf_session_set_cache(bf_session *session, bf_cache *cache) { session->cache = cache; }

bf_cache *bf_session_cache(const bf_session *session) { return session->cache; }

void bf_session_stop(bf_session *session) { atomic_store(&session->stop, 1); }

void bf_session_resume(bf_session *session) { atomic_store(&session->stop, 0); }

bfi_library *bfi_session_library(const bf_session *session) { return session->library; }

bf_status bf_session_set_tvm(bf_session *session, const bf_tvm_options *options, bf_error *err) {
    return bfi_library_configure(session->library, options, err);
}

bf_tvm_stats bf_session_tvm_stats(bf_session *session) {
    return bfi_library_stats(session->library);
}

const char *bf_version(void) { return BF_VERSION; }
