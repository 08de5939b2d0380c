/* What the command line (admin/queue.c), smtpd's workers and webd may ask the relay: queue_verbs.c, destination_verbs.c and refusals.c, and here
 * what is asked of others.
 *
 *   queue.list    {filters, page}          a line per message
 *   queue.show    {"id":ID}                a line with all of the envelope, then lines {"line":TEXT} for people
 *   queue.do      {"action":A, "id":ID or filters, page}   retry, hold, release, remove, bounce; a line with counts
 *   queue.pause, queue.resume {"destination":NAME}
 *   queue.destinations                     a line per destination
 *   unsubscribe {sender, address}          webd's: a link of ours was followed
 *   webhook.status                         one line (smtpd/webhook.h)
 *   queue.rules                            whose mail is held (common/outbook.h) has changed
 * Page: an answer is about at most PAGE_MOST messages, or "page":N of them, in the order of their ids. When there are more it ends with a
 * line {"more":ID,"until":ID}, or has these members in its one line: {"after":ID,"until":ID} with the same filters asks for what comes
 * next, up to the last one that was there at first.
 * Filters: smtpd/relay/queue_filter.h. */
#include "common/json.h"
#include "smtpd/relay/question.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/webhook.h"

#include "common/banned.h"

static void do_rules(void *arg, const struct json *request, struct control_reply *reply)
{
	struct relay *r = ((struct worker *)arg)->state;

	(void)request;
	atomic_store(&r->rules_changed, true);
	relay_turn(r);
	control_finish(&reply, FAULT_OK);
}

static void do_ask(void *arg, const struct json *request, struct control_reply *reply)
{
	struct relay *r = ((struct worker *)arg)->state;
	struct sv address;

	if (!json_get_sv(request, "address", &address) || address.len > DIRECTORY_ADDRESS_MAX)
		control_finish(&reply, fault(FAULT_INVALID, "no address"));
	else if (!r->questions)
		control_finish(&reply, fault(FAULT_UNAVAILABLE, "it is ending"));
	else
		questions_ask(r->questions, address, reply);
}

static void do_webhook(void *arg, const struct json *request, struct control_reply *reply)
{
	const struct relay *r = ((struct worker *)arg)->state;

	(void)request;
	webhook_status(r->webhook, control_line(reply));
	(void)control_line_end(reply);
	control_finish(&reply, FAULT_OK);
}

const struct control_verb relay_verbs[] = {
	{ "queue.list", "messages in the queue", relay_do_list, true },
	{ "queue.show", "one message in the queue", relay_do_show, true },
	{ "queue.do", "retry, hold, release, remove or bounce messages", relay_do_action, true },
	{ "queue.pause", "send nothing to a destination", relay_do_pause, true },
	{ "queue.resume", "send to it again", relay_do_resume, true },
	{ "queue.rules", "whose mail is held has changed", do_rules, true },
	{ "recipient.ask", "does the host of a relay domain know a name?", do_ask, true },
	{ "queue.destinations", "where mail goes, and how that does", relay_do_destinations, true },
	{ "webhook.status", "is the program told that wants to know what happens?", do_webhook, true },
	{ "unsubscribe", "somebody wants no more mail of an account", relay_do_unsubscribe, true },
	{ NULL, NULL, NULL, false },
};
