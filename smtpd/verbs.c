#include "smtpd/verbs.h"

#include <stdlib.h>

#include "common/kick.h"
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

static void do_kick(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct worker *w = arg;
	struct smtpd *server = w->state;
	struct kick kick;
	size_t ended = 0;

	if (!kick_parse(request, &reply, &kick))
		return;
	for (struct session *s = server->sessions, *next; s; s = next) {
		next = session_next_of(s);
		ended += session_is_open(s) && session_kick(s, &kick);
	}
	kick_answer(&reply, ended);
}

const struct control_verb smtpd_verbs[] = {
	{ "kick", "end the sessions of an account or of an id", do_kick, false },
	{ "sessions", "the connections that are open", do_sessions, false },
	{ "explain", "what would happen to a message", explain_run, true },
	{ NULL, NULL, NULL, false },
};
