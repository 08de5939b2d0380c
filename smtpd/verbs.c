#include "smtpd/verbs.h"

#include <stdlib.h>

#include "common/memory.h"
#include "common/work.h"
#include "smtpd/explain.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

#include "common/banned.h"

/* ---- sessions ---- */

static void do_sessions(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	const struct smtpd *server = w->state;

	(void)request;
	for (const struct session *s = server->sessions; s; s = session_next_of(s)) {
		if (!session_is_open(s))
			continue;
		session_describe(s, control_line(reply));
		if (!control_line_end(reply))
			break;
	}
	control_finish(&reply, FAULT_OK);
}

const struct control_verb smtpd_verbs[] = {
	{ "sessions", "the connections that are open", do_sessions, false },
	{ "explain", "what would happen to a message", explain_run, true },
	{ NULL, NULL, NULL, false },
};
