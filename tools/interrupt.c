#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* A signal handler has no argument to hang state on. */
static _Atomic(bf_session *) watched;
static atomic_int came;

static void stop(int number) {
    (void)number;
    atomic_store(&came, 1);
    bf_session *session = atomic_load(&watched);
    if (session) bf_session_stop(session);
}

void bfi_interrupt_watch(bf_session *session) {
    atomic_store(&watched, session);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    if (!session || atomic_load(&came)) return;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool bfi_interrupt_came(void) { return atomic_load(&came) != 0; }
