#include "exec/tvm/compile.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/process.h"
#include "exec/tvm/kernel_key.h"

/* Milliseconds between two looks at the budget; processes at once; kernels in a row that cost a
 * process before the others are given up. */
enum { POLL_MS = 20, MOST_PROCESSES = 64, MOST_LOST = 3 };

typedef struct worker {
    bfi_process process;
    int job; /* -1: none */
    double deadline;
    char line[BFI_STORE_PATH + 512]; /* what came of its answer */
    size_t used;
} worker;

typedef struct pool {
    const bfi_compile_settings *settings;
    bfi_compile_job *jobs;
    int count, next;  /* jobs [next, count) have not been handed out */
    int lost;         /* processes lost since the last kernel that was compiled */
    char of_all[160]; /* why nothing can be compiled, "" it can */
    worker workers[MOST_PROCESSES];
    int worker_count;
} pool;

static void give_up(pool *p, worker *w, const char *what) {
    char how[32] = "";
    bfi_process_end(&w->process, how, sizeof how);
    bfi_compile_job *job = &p->jobs[w->job];
    snprintf(job->reason, sizeof job->reason, "the kernel compiler %s (%s)", what, how);
    w->job = -1;
    p->lost++;
}

/* Hands the next job to |w|. */
static void hand_out(pool *p, worker *w) {
    bf_error err = {""};
    bfi_compile_job *job = &p->jobs[p->next];
    char name[] = "boundflow-tvmc", tvm[] = "--tvm", jobs[] = "--jobs", input[] = "-";
    char *const arguments[] = {name, tvm, (char *)(uintptr_t)p->settings->tvm, jobs, input, NULL};
    w->job = p->next++;
    w->used = 0;
    w->deadline = bfi_clock() + p->settings->seconds;
    if (w->process.pid == 0 &&
        bfi_process_start(p->settings->program, arguments, &w->process, &err) != BF_STATUS_OK) {
        snprintf(job->reason, sizeof job->reason, "%.150s", err.message);
        w->job = -1;
        p->lost++;
        return;
    }
    char request[BFI_TVM_KEY_SIZE + BFI_STORE_PATH + 2];
    int size = snprintf(request, sizeof request, "%s\t%s\n", job->path, job->key);
    assert(size > 0 && size < (int)sizeof request && !strchr(job->key, '\n'));
    if (!bfi_process_send(&w->process, request, (size_t)size)) give_up(p, w, "went away");
}

/* The field of a line at |*at|, which moves behind it; "" past the end. */
static char *next_field(char **at) {
    char *field = *at, *tab = strchr(field, '\t');
    *at = tab ? tab + 1 : field + strlen(field);
    if (tab) *tab = '\0';
    return field;
}

static void take_answer(pool *p, worker *w) {
    bfi_compile_job *job = &p->jobs[w->job];
    char *at = w->line, *word = next_field(&at), *path = next_field(&at);
    bool mine = strcmp(path, job->path) == 0, all = strcmp(path, "-") == 0;
    if (strcmp(word, "ok") == 0 && mine) {
        job->done = true;
        p->lost = 0;
    } else if (strcmp(word, "error") == 0 && (mine || all)) {
        char *reason = next_field(&at);
        for (char *c = at; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 127) *c = ' ';
        snprintf(job->reason, sizeof job->reason, "%.30s: %.120s", reason, at);
        if (all) p->lost = MOST_LOST;
        if (all) snprintf(p->of_all, sizeof p->of_all, "%s", job->reason);
    } else {
        give_up(p, w, "answered nonsense");
        return;
    }
    w->job = -1;
}

/* Reads what |w| has answered; a line is the answer. */
static void hear(pool *p, worker *w) {
    ssize_t got =
        recv(w->process.socket, w->line + w->used, sizeof w->line - 1 - w->used, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) {
        give_up(p, w, "ended in the middle of its work");
        return;
    }
    w->used += (size_t)got;
    w->line[w->used] = '\0';
    char *end = memchr(w->line, '\n', w->used);
    if (!end && w->used + 1 < sizeof w->line) return;
    if (end) *end = '\0';
    if (!end || end + 1 != w->line + w->used)
        give_up(p, w, "answered nonsense");
    else
        take_answer(p, w);
}

/* Waits for answers a moment, and acts on them. */
static void listen_once(pool *p) {
    struct pollfd polls[MOST_PROCESSES];
    worker *who[MOST_PROCESSES];
    nfds_t count = 0;
    for (int i = 0; i < p->worker_count; i++)
        if (p->workers[i].job >= 0) {
            polls[count] = (struct pollfd){.fd = p->workers[i].process.socket, .events = POLLIN};
            who[count++] = &p->workers[i];
        }
    if (poll(polls, count, POLL_MS) < 0) return;
    for (nfds_t i = 0; i < count; i++) {
        if (polls[i].revents)
            hear(p, who[i]);
        else if (bfi_clock() > who[i]->deadline)
            give_up(p, who[i], "took too long");
    }
}

/* True while there is something to wait for. */
static bool hand_out_all(pool *p) {
    bool busy = false;
    for (int i = 0; i < p->worker_count; i++) {
        worker *w = &p->workers[i];
        while (w->job < 0 && p->next < p->count && p->lost < MOST_LOST) hand_out(p, w);
        busy = busy || w->job >= 0;
    }
    return busy;
}

bf_status bfi_compile_run(const bfi_compile_settings *settings, bfi_compile_job *jobs, int count,
                          const bfi_budget *budget, bf_error *err) {
    pool *p = bfi_calloc(1, sizeof *p);
    if (!p) return bfi_fail_memory(err);
    p->settings = settings, p->jobs = jobs, p->count = count;
    p->worker_count = settings->processes < count ? settings->processes : count;
    if (p->worker_count > MOST_PROCESSES) p->worker_count = MOST_PROCESSES;
    for (int i = 0; i < p->worker_count; i++) p->workers[i] = (worker){{0, -1}, -1, 0, "", 0};
    bf_status status = bfi_budget_check(budget);
    while (status == BF_STATUS_OK && hand_out_all(p)) {
        listen_once(p);
        status = bfi_budget_check(budget);
    }
    for (int i = 0; i < p->worker_count; i++) bfi_process_end(&p->workers[i].process, NULL, 0);
    for (int i = p->next; i < count && status == BF_STATUS_OK; i++)
        snprintf(jobs[i].reason, sizeof jobs[i].reason, "%s",
                 *p->of_all ? p->of_all : "the kernel compiler failed too often for other kernels");
    free(p);
    if (status == BF_STATUS_TIMEOUT)
        return bfi_fail(err, status, "time budget ran out while kernels were compiled");
    if (status == BF_STATUS_CANCELLED) return bfi_fail(err, status, "stopped on request");
    return status;
}
