/* imapd/commands/idle.c - IDLE (RFC 2177): tell at once what happens, until the client says DONE.
 */
#include "imapd/arrivals.h"
#include "imapd/notify.h"

#include "common/banned.h"

/* rest - an idle session keeps what it must and nothing else. */
static enum step rest(struct command *c, enum step step)
{
	if (step == STEP_WAIT) {
		keywords_free(&c->keywords);
		arena_done(&c->arena);
	}
	return step;
}

/* Notices are level-triggered and "look again" only, so each one runs a whole look: two deliveries
 * in quick succession are both told, by one look or by two. Between notices nothing is held but the
 * command itself. */
enum step do_idle(struct command *c)
{
	bool more = false;
	struct fault f;

	switch (c->wake) {
	case WAKE_LINE:
		if (sv_eq_nocase(c->line, SV("DONE")))
			return command_ok(c, "Idle ended");
		return command_bad(c, "DONE was expected");
	case WAKE_NOTICE:
		break;
	default:
		if (!c->is_line_wanted) {
			if (!args_end(&c->args))
				return command_bad(c, "IDLE takes no arguments");
			/* What was new is in the output already, before the client hears that it
			 * idles. */
			writer_z(&c->out, "+ idling\r\n");
			c->is_line_wanted = true;
		}
		break;
	}
	if (c->room->notify)    /* RFC 5465 §4: the same events, told in the same way */
		return rest(c, notify_look(c, true));
	if (!c->room->box)
		return STEP_WAIT;
	f = arrivals_are_fetched(c->room) ? FAULT_OK : room_updates(c, UPDATES_EXPUNGE, NULL, &more);
	if (f.kind == FAULT_GONE) {
		writer_z(&c->out, "* BYE The selected mailbox was deleted; log in again\r\n");
		return STEP_CLOSE;
	}
	if (f.kind)
		return command_fault(c, f);
	if (more || arrivals_step(c) != STEP_DONE)
		return STEP_MORE;
	return rest(c, STEP_WAIT);
}
