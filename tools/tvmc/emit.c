#include "emit.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static any with_attribute(tvm *t, any function, const char *name, any value) {
    return CALL(t, WITH_ATTR, function, any_text(name), value);
}

static any run_pass(tvm *t, any pass, any module) { return CALL(t, RUN_PASS, pass, module); }

void emit_object(tvm *t, any function, const bfi_tvm_target *target, const char *path) {
    static const tvm_global passes[] = {TVM_FLATTEN_BUFFER, TVM_SIMPLIFY,    TVM_VERIFY_MEMORY,
                                        TVM_ANNOTATE_ENTRY, TVM_MAKE_PACKED, TVM_LOWER_BUILTIN,
                                        TVM_LOWER_INTRIN,   TVM_SKIP_ASSERT};
    function = with_attribute(t, function, "global_symbol", any_text("bf_kernel"));
    any functions = CALL(t, MAP, CALL(t, GLOBAL_VAR, any_text("bf_kernel")), function);
    any module = CALL(t, IR_MODULE, functions, any_none(), CALL0(t, MAP));
    any host = CALL(t, TARGET, any_text(target->json));
    host = CALL(t, WITH_HOST, host, host);
    module = run_pass(t, CALL(t, BIND_TARGET, host), module);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        module = run_pass(t, tvm_call(t, passes[i], NULL, 0), module);
    any code = CALL(t, BUILD_LLVM, module, host);
    CALL(t, WRITE_MODULE, code, any_text(path), any_text("o"));
}

/* Runs |argv|; its exit status, or -1 when it cannot be started. */
static int run(char *const argv[]) {
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ)) return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

tvm_trouble emit_shared(const char *object, const char *path, bf_error *err) {
    char *ld[] = {"ld", "-shared",    "--build-id=none", "-z", "noseparate-code",
                  "-o", (char *)path, (char *)object,    NULL};
    char *cc[] = {"cc", "-shared",    "-nostdlib",    "-Wl,-z,noseparate-code",
                  "-o", (char *)path, (char *)object, NULL};
    if (run(ld) == 0 || run(cc) == 0) return TVM_FINE;
    bfi_fail(err, BF_STATUS_IO, "neither 'ld -shared' nor 'cc -shared' made %s; install binutils",
             path);
    return TVM_LINK;
}
