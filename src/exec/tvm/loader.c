#include "exec/tvm/loader.h"

#include <assert.h>
#include <dlfcn.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

/* What the calls on this thread may use; |used| bytes of its arena are taken. */
typedef struct scope {
    const bfi_kernel_host *host; /* NULL: no kernel runs on this thread */
    char *arena;
    uint64_t used;
} scope;

static _Thread_local scope current;

static void *take(int device, int id, uint64_t bytes, int code, int bits) {
    (void)device, (void)id, (void)code, (void)bits;
    const bfi_kernel_host *host = current.host;
    if (!host || bytes > (uint64_t)host->bytes) return NULL;
    uint64_t size = (bytes + 63) / 64 * 64;
    if (size > (uint64_t)host->bytes - current.used) return NULL;
    char *block = current.arena + current.used;
    current.used += size;
    return block;
}

/* Blocks are given back in the opposite order. */
static int give_back(int device, int id, void *block) {
    (void)device, (void)id;
    if (!current.host || (char *)block < current.arena ||
        (char *)block > current.arena + current.used)
        return -1;
    current.used = (uint64_t)((char *)block - current.arena);
    return 0;
}

typedef struct launch {
    const bfi_kernel_host *host;
    bfi_tvm_task_fn *task;
    void *data;
    bfi_tvm_group group;
    atomic_int failed;
} launch;

/* One task. On another thread than the caller's it works in that worker's arena. */
static void run_task(void *user, int64_t item, int worker) {
    launch *l = user;
    scope before = current;
    if (!current.host) current = (scope){l->host, l->host->arena + worker * l->host->stride, 0};
    if (l->task((int)item, &l->group, l->data) != 0) atomic_store(&l->failed, 1);
    current = before;
}

static int launch_tasks(bfi_tvm_task_fn *task, void *data, int count) {
    const bfi_kernel_host *host = current.host;
    if (!host || count < 0) return -1;
    launch l = {.host = host, .task = task, .data = data};
    l.group.tasks = count ? count : host->workers;
    atomic_init(&l.failed, 0);
    if (host->pool && host->workers > 1)
        bfi_pool_run(host->pool, l.group.tasks, host->workers, run_task, &l);
    else
        for (int i = 0; i < l.group.tasks; i++) run_task(&l, i, host->worker);
    return atomic_load(&l.failed) ? -1 : 0;
}

/* Tasks may run one after the other, so none can wait for another. */
static int refuse_barrier(int task, bfi_tvm_group *group) {
    (void)task, (void)group;
    return -1;
}

static void *address_of(void (*function)(void)) {
    void *address;
    memcpy(&address, &function, sizeof address);
    return address;
}

static void fill_slots(void *handle) {
    const struct {
        const char *name;
        void *function;
    } slots[] = {{BFI_TVM_SLOT_ALLOC, address_of((void (*)(void))take)},
                 {BFI_TVM_SLOT_FREE, address_of((void (*)(void))give_back)},
                 {BFI_TVM_SLOT_LAUNCH, address_of((void (*)(void))launch_tasks)},
                 {BFI_TVM_SLOT_BARRIER, address_of((void (*)(void))refuse_barrier)}};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        void **slot = dlsym(handle, slots[i].name);
        if (slot) *slot = slots[i].function;
    }
}

bf_status bfi_compiled_load(const char *path, const bfi_tvm_kernel *kernel, bfi_compiled **out,
                            bf_error *err) {
    bfi_compiled *c = bfi_calloc(1, sizeof *c);
    if (!c) return bfi_fail_memory(err);
    atomic_init(&c->references, 1);
    atomic_init(&c->failures, 0);
    c->kernel = *kernel;
    c->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = c->handle ? dlsym(c->handle, BFI_TVM_KERNEL_SYMBOL) : NULL;
    if (!symbol) {
        const char *why = dlerror();
        bf_status status =
            bfi_fail(err, BF_STATUS_IO, "cannot be loaded: %.200s", why ? why : "it has no kernel");
        bfi_compiled_release(c);
        return status;
    }
    memcpy(&c->call, &symbol, sizeof symbol);
    fill_slots(c->handle);
    *out = c;
    return BF_STATUS_OK;
}

bfi_compiled *bfi_compiled_retain(bfi_compiled *kernel) {
    atomic_fetch_add(&kernel->references, 1);
    return kernel;
}

void bfi_compiled_release(bfi_compiled *kernel) {
    if (!kernel || atomic_fetch_sub(&kernel->references, 1) != 1) return;
    if (kernel->handle) dlclose(kernel->handle);
    free(kernel);
}

bool bfi_compiled_call(bfi_compiled *kernel, const bfi_kernel_call *call) {
    bfi_dl_tensor tensors[BFI_KERNEL_TENSORS];
    bfi_ffi_any args[BFI_KERNEL_TENSORS + BFI_KERNEL_INTEGERS], result = {0};
    int64_t counts[BFI_KERNEL_TENSORS];
    const bfi_kernel_host *host = call->host;
    assert(call->tensors <= BFI_KERNEL_TENSORS && call->integers <= BFI_KERNEL_INTEGERS);
    for (int i = 0; i < call->tensors; i++) {
        void *data = (void *)(uintptr_t)call->tensor[i].data;
        assert((uintptr_t)data % 64 == 0 && call->tensor[i].count >= 0);
        counts[i] = call->tensor[i].count;
        tensors[i] =
            (bfi_dl_tensor){.data = data,
                            .device = {BFI_DL_CPU, 0},
                            .ndim = 1,
                            .dtype = {BFI_DL_FLOAT, kernel->kernel.dtype == BFI_F32 ? 32 : 64, 1},
                            .shape = &counts[i]};
        args[i] = (bfi_ffi_any){.kind = BFI_FFI_TENSOR, .u.p = &tensors[i]};
    }
    for (int i = 0; i < call->integers; i++)
        args[call->tensors + i] = (bfi_ffi_any){.kind = BFI_FFI_INT, .u.i = call->integer[i]};
    scope before = current;
    current = (scope){host, host->arena ? host->arena + host->worker * host->stride : NULL, 0};
    int code = kernel->call(NULL, args, call->tensors + call->integers, &result);
    current = before;
    if (code != 0) atomic_fetch_add(&kernel->failures, 1);
    return code == 0;
}
