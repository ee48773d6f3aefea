/* Sessions: the threads and the stop flag that work hangs on. */
#ifndef BOUNDFLOW_SESSION_H
#define BOUNDFLOW_SESSION_H

#include "boundflow/status.h"

typedef struct bf_session bf_session;

/* Creates a session with |threads| worker threads in all (the caller's included); 0 means one per
 * online CPU, at most 256. Bounds do not depend on the number. A session may be used from several
 * threads; parallel parts then take turns on the pool. */
BF_API bf_status bf_session_create(int threads, bf_session **out, bf_error *err);

/* Stops and joins the pool. NULL is allowed. No call may be using the session. */
BF_API void bf_session_free(bf_session *session);

BF_API int bf_session_threads(const bf_session *session);

/* Asks every running call of the session to stop: it returns BF_STATUS_CANCELLED (or the anytime
 * verdict) within 50 ms. Async-signal-safe, thread-safe. bf_session_resume clears the request. */
BF_API void bf_session_stop(bf_session *session);
BF_API void bf_session_resume(bf_session *session);

#endif
