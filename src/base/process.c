#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The caller's signal mask and ignored signals are not the child's. */
static int set_attributes(posix_spawnattr_t *attributes) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code) code = posix_spawnattr_setsigdefault(attributes, &all);
    if (!code) code = posix_spawnattr_setpgroup(attributes, 0);
    if (!code)
        code = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return code;
}

static int set_files(posix_spawn_file_actions_t *files, int socket) {
    int code = posix_spawn_file_actions_adddup2(files, socket, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(files, socket, 1);
    if (!code) code = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
    return code;
}

static int spawn(const char *program, char *const *arguments, int socket, pid_t *pid) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    int code = posix_spawnattr_init(&attributes);
    if (code) return code;
    code = posix_spawn_file_actions_init(&files);
    if (!code) {
        code = set_attributes(&attributes);
        if (!code) code = set_files(&files, socket);
        if (!code) code = posix_spawn(pid, program, &files, &attributes, arguments, environ);
        posix_spawn_file_actions_destroy(&files);
    }
    posix_spawnattr_destroy(&attributes);
    return code;
}

bf_status bfi_process_start(const char *program, char *const *arguments, bfi_process *out,
                            bf_error *err) {
    int ends[2];
    *out = (bfi_process){0, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot connect to it: %s", program,
                        strerror(errno));
    int code = spawn(program, arguments, ends[1], &out->pid);
    close(ends[1]);
    if (code) {
        close(ends[0]);
        out->pid = 0;
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be started: %s", program, strerror(code));
    }
    out->socket = ends[0];
    return BF_STATUS_OK;
}

bool bfi_process_send(const bfi_process *process, const char *text, size_t size) {
    while (size > 0) {
        ssize_t sent = send(process->socket, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        text += sent;
        size -= (size_t)sent;
    }
    return true;
}

void bfi_process_end(bfi_process *process, char *how, size_t size) {
    int status = 0;
    if (process->pid <= 0) return;
    if (process->socket >= 0) close(process->socket);
    kill(-process->pid, SIGKILL);
    pid_t got;
    do got = waitpid(process->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (how && got > 0 && WIFEXITED(status))
        snprintf(how, size, "exit code %d", WEXITSTATUS(status));
    else if (how && got > 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        snprintf(how, size, "signal %d", WTERMSIG(status));
    else if (how)
        snprintf(how, size, "killed");
    *process = (bfi_process){0, -1};
}
