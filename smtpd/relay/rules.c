/* Mail that is held back as a whole: by an administrator's rule, or since its sender's account looks stolen. The rules lie in the
 * outbook; what they mean for the messages that wait is found out by a look at all files, whenever they changed. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/outbook.h"
#include "smtpd/outlet.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

bool relay_is_ruled(struct relay *r, const struct envelope *e)
{
	struct sv user = e->facts[ENVELOPE_USER];

	if (!r->outbook || !outbook_has_rules(r->outbook))
		return false;
	if ((user.len && outbook_is_held(r->outbook, OUTBOOK_USER, user)) || outbook_is_held(r->outbook, OUTBOOK_FROM, e->sender))
		return true;
	for (const struct envelope_rcpt *to = e->rcpts; to; to = to->next)
		if (outbook_is_held(r->outbook, OUTBOOK_TO, to->address))
			return true;
	return false;
}

/* ---- what waits already ---- */

struct ruling {
	struct work work;
	struct relay *relay;
	struct ruled {
		char id[QUEUE_ID_LEN + 1];
		bool is_held;
	} *messages;
	size_t count;
};

static bool copy_id(void *arg, struct message *m)
{
	struct ruling *g = arg;

	if (m->is_leaving)
		return true;
	g->messages[g->count].is_held = m->is_held;     /* unless its file says something else */
	memcpy(g->messages[g->count++].id, m->id, sizeof(m->id));
	return true;
}

static void ruling_run(struct work *w)
{
	struct ruling *g = CONTAINER_OF(w, struct ruling, work);

	for (size_t i = 0; i < g->count; i++) {
		struct spool *sp = NULL;

		if (queue_read(g->relay->queue, sv_z(g->messages[i].id), &sp).kind)
			continue;
		g->messages[i].is_held = spool_is_held(sp) || relay_is_ruled(g->relay, spool_envelope(sp));
		spool_close(&sp);
	}
}

static void ruling_done(struct work *w, bool is_cancelled)
{
	struct ruling *g = CONTAINER_OF(w, struct ruling, work);
	struct relay *r = g->relay;

	r->is_ruling = false;
	relay_job_ended(r);
	for (size_t i = 0; i < g->count && !is_cancelled && !r->is_ended; i++) {
		struct message *m = schedule_find(r->schedule, sv_z(g->messages[i].id));

		if (m && m->is_held != g->messages[i].is_held)
			schedule_hold(r->schedule, m, g->messages[i].is_held);
	}
	free(g->messages);
	free(g);
	relay_turn(r);
}

void relay_rule_all(struct relay *r)
{
	struct ruling *g;

	if (r->is_ruling || r->is_stopping || !r->outbook)
		return;
	atomic_store(&r->rules_changed, false);
	r->is_ruling = true;
	g = xcalloc(1, sizeof(*g));
	g->relay = r;
	g->messages = xcalloc(schedule_count(r->schedule) + 1, sizeof(*g->messages));
	schedule_each(r->schedule, copy_id, g);
	g->work = (struct work){ .run = ruling_run, .done = ruling_done };
	r->jobs++;
	if (work_submit(r->loop, WORK_MAIL, &g->work).kind) {
		atomic_store(&r->rules_changed, true);
		ruling_done(&g->work, true);
	}
}

/* ---- the brake ---- */

static bool write_alarm(struct relay *r, struct sv user, const char *why, const char *id, struct sv from, struct buf *out)
{
	return buf_appendf(out, "From: Mail delivery <%.*s>\r\nTo: <%.*s>, <%.*s>\r\n"
				"Subject: Mail of %.*s is held back\r\nDate: ",
			   SV_FMT(from), SV_FMT(user), SV_FMT(from), SV_FMT(user)) &&
	       date_append_5322(out, date_now()) &&
	       buf_appendf(out, "\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
				"Content-Type: text/plain; charset=utf-8\r\n\r\n"
				"This is the mail server %s.\r\n\r\n"
				"Nothing that %.*s sends leaves any more: %s.\r\n"
				"That happens when somebody else uses the password of an account to send spam,\r\n"
				"or when a list of addresses is very old.\r\n\r\n"
				"What was sent waits, and is not lost. If the mail was not written by the owner of\r\n"
				"the account, change its password first. The administrator lets the mail go by\r\n\r\n"
				"  postroom hold remove --user %.*s\r\n\r\n"
				"or removes it before:\r\n\r\n"
				"  postroom queue remove --user %.*s\r\n",
			   id, r->hostname, r->hostname, SV_FMT(user), why, SV_FMT(user), SV_FMT(user));
}

/* tell - the account's owner, and whoever administers. */
static void tell(struct relay *r, struct sv user, const char *why)
{
	struct directory_domain first;
	char id[QUEUE_ID_LEN + 1];
	struct buf from, text;
	struct fault f = directory_domain_default(r->directory, &first);

	buf_init(&from, 512);
	buf_init(&text, 16384);
	queue_new_id(id);
	if (!f.kind && buf_appendf(&from, "postmaster@%s", first.name) && write_alarm(r, user, why, id, buf_sv(&from), &text)) {
		const struct sv to[] = { user, buf_sv(&from) };

		f = outlet_send(r->queue, id, to, ARRAY_LEN(to), SV_NONE, buf_sv(&text), NULL);
	}
	if (f.kind)
		log_error(NULL, "relay.brake.notice", KV_FAULT("fault", f));
	buf_done(&from);
	buf_done(&text);
}

/* is_of_address - does the recipient's address not exist? 5.1.7 to 5.1.9 are about the sender's, and no fault of the other (RFC 3463
 * §3.2, RFC 7505 §4.2: 5.1.10 is the recipient's again). */
static bool is_of_address(struct sv status)
{
	return (sv_starts(status, SV("5.1.")) && !sv_eq(status, SV("5.1.7")) && !sv_eq(status, SV("5.1.8")) &&
		!sv_eq(status, SV("5.1.9"))) || sv_eq(status, SV("5.2.1"));
}

void relay_note_outcome(struct relay *r, const struct envelope *e, const struct envelope_rcpt *to, struct sv reply, struct sv status,
			bool is_sent, bool was_asked)
{
	struct sv user = e->facts[ENVELOPE_USER];
	uint32_t limit = (uint32_t)r->suppress_after;
	struct fault f = FAULT_OK;
	unsigned failed;
	char why[120];

	if (!r->outbook || !was_asked)
		return;
	if (is_sent)
		outbook_delivered(r->outbook, to->address);
	else if (is_of_address(status))
		f = outbook_bounced(r->outbook, to->address, reply, limit, relay_now_s(r));
	if (f.kind)
		log_warn(NULL, "relay.outbook", KV_FAULT("fault", f));
	/* Whom a list or an alias leads to is not the sender's choice. */
	failed = user.len && !to->original.len ? brake_note(r->brake, user, !is_sent, (unsigned)r->brake_percent) : 0;
	if (!failed)
		return;
	snprintf(why, sizeof(why), "%u of its last %d recipients were refused for good", failed, BRAKE_RCPTS);
	f = outbook_hold(r->outbook, OUTBOOK_USER, user, sv_z(why), relay_now_s(r));
	if (f.kind == FAULT_EXISTS)
		return;
	log_warn(NULL, "relay.brake", KV_SV("user", user), KV_Z("reason", why), KV_FAULT("fault", f));
	if (f.kind)
		return;
	tell(r, user, why);
	atomic_store(&r->rules_changed, true);
}
