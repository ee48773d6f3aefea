/* SIGINT and SIGTERM ask a session to stop; a second one ends the process as usual. */
#ifndef BFI_TOOLS_INTERRUPT_H
#define BFI_TOOLS_INTERRUPT_H

#include <stdbool.h>

#include "boundflow/session.h"

/* From now on the signals stop |session| (NULL: nothing). Free a session only after replacing it.
 */
void bfi_interrupt_watch(bf_session *session);

/* One of the signals came. */
bool bfi_interrupt_came(void);

#endif
