/* common/control_call.h - how a daemon asks one over its control socket: on the loop, without waiting (control_ask() is for the
 * command line). One call is one request. A helper that is just starting is asked again until the time is over. Loop thread only. */
#ifndef COMMON_CONTROL_CALL_H
#define COMMON_CONTROL_CALL_H

#include "common/control.h"

struct control_call;

struct control_call_events {
	/* each line but the last; borrowed for the call */
	void (*line)(void *arg, const struct json *line);
	/* once, in a later turn, after the last line: FAULT_UNAVAILABLE (nobody answers, or not in time), what the daemon answered.
	 * The detail is borrowed for the call. The handle is NULL by then. */
	void (*end)(void *arg, struct fault f);
};

/**
 * control_call - send a request.
 * @socket:  the control socket's path; copied
 * @request: {"verb":...}, one line without its end; copied. Empty (it did not fit) or longer than CONTROL_LINE_MAX: FAULT_LIMIT
 * @wait_ms: for the whole answer
 * @out:     for control_call_forget(); may be NULL
 */
void control_call(struct loop *loop, const char *socket, struct sv request, uint32_t wait_ms, const struct control_call_events *events,
		  void *arg, struct control_call **out);
/** control_call_forget - do not call. Sets *call to NULL. NULL is fine. */
void control_call_forget(struct control_call **call);

#endif
