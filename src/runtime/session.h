/* The session behind the public handle. */
#ifndef BFI_RUNTIME_SESSION_H
#define BFI_RUNTIME_SESSION_H

#include <stdatomic.h>

#include "base/thread_pool.h"
#include "boundflow/cache.h"
#include "exec/tvm/library.h"

struct bf_session {
    bfi_pool *pool;
    atomic_int stop;
    bf_cache *cache;      /* NULL: none; borrowed */
    bfi_library *library; /* compiled kernels */
};

#endif
