#include "verify/solver/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between two looks at the budget. */
enum { MILLISECONDS = 5 };

/* Address space in use, 0: unknown. */
static int64_t space_used(void) {
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%lld", &pages) != 1) pages = 0;
    fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void limit_memory(int64_t memory) {
    int64_t used = space_used();
    struct rlimit limit = {(rlim_t)(used + memory), (rlim_t)(used + memory)};
    if (used > 0 && memory > 0) setrlimit(RLIMIT_AS, &limit);
}

static void work_and_end(int out, int64_t memory, void (*work)(void *, void *), void *user,
                         void *answer, size_t size) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit_memory(memory);
    work(user, answer);
    for (size_t sent = 0; sent < size;) {
        ssize_t n = write(out, (const char *)answer + sent, size - sent);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        sent += (size_t)n;
    }
    _exit(0);
}

/* Reads until the other end is closed or the budget is spent. */
static bf_status receive(const bfi_budget *budget, int in, char *answer, size_t size, size_t *got) {
    for (;;) {
        bf_status status = bfi_budget_check(budget);
        if (status != BF_STATUS_OK) return status;
        struct pollfd wait = {in, POLLIN, 0};
        if (poll(&wait, 1, MILLISECONDS) <= 0) continue;
        char rest;
        bool full = *got == size;
        ssize_t n = read(in, full ? &rest : answer + *got, full ? 1 : size - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return BF_STATUS_OK;
        if (!full) *got += (size_t)n;
    }
}

static void end_child(pid_t pid, bool kill_it) {
    if (kill_it) kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}

bf_status bfi_apart_run(const bfi_budget *budget, int64_t memory,
                        void (*work)(void *user, void *answer), void *user, void *answer,
                        size_t size, bool *answered, bf_error *err) {
    int ends[2];
    size_t got = 0;
    *answered = false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return bfi_fail(err, BF_STATUS_LIMIT, "no pipe to a child process: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) work_and_end(ends[1], memory, work, user, answer, size);
    close(ends[1]);
    bf_status status =
        pid > 0 ? receive(budget, ends[0], answer, size, &got)
                : bfi_fail(err, BF_STATUS_LIMIT, "no child process: %s", strerror(errno));
    close(ends[0]);
    if (pid > 0) end_child(pid, status != BF_STATUS_OK);
    *answered = status == BF_STATUS_OK && got == size;
    return status == BF_STATUS_TIMEOUT || status == BF_STATUS_CANCELLED
               ? bfi_fail(err, status, "while a solver was working")
               : status;
}
