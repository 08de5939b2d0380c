#include "smtpd/recipient.h"

#include "common/date.h"
#include "common/log.h"
#include "common/outbook.h"
#include "smtpd/greylist.h"
#include "smtpd/local.h"
#include "smtpd/srs.h"

#include "common/banned.h"

/* refuse_fault - the log keeps what the peer is not told. */
static struct policy_verdict refuse_fault(struct fault f, const char *check)
{
	struct policy_verdict v = { .check = check };

	policy_refuse(&v, reply_for_fault(f.kind));
	if (f.kind != FAULT_QUOTA)
		log_warn(NULL, "smtp.recipient.failed", KV_Z("check", check), KV_FAULT("fault", f));
	return v;
}

/* check_queue - new mail for the queue waits while the queue is full; mail for our own people does
 * not. */
static struct policy_verdict check_queue(const struct policy_facts *facts,
					 const struct accept_rcpt *rcpt, struct queue *queue)
{
	struct policy_verdict v = { .action = POLICY_ACCEPT };
	uint64_t count = 0;

	for (const struct accept_place *p = rcpt->places; p; p = p->next) {
		struct fault f;

		if (p->kind != ACCEPT_REDIRECT)
			continue;
		f = queue_count(queue, &count);
		if (f.kind)
			return refuse_fault(f, "queue");
		if (count >= facts->conf->queue.messages) {
			policy_refuse(&v, REPLY_QUEUE_FULL);
			v.check = "queue";
		}
		break;
	}
	return v;
}

/* resolve_forwarded - an address that we made for mail which we sent on: what comes to it is a bounce, for who wrote that mail. */
static bool resolve_forwarded(struct policy_facts *facts, struct arena *arena, struct directory_route *route)
{
	struct directory_target *t;
	bool is_ours = false, ok;
	struct buf text;

	if (!srs_is_one(facts->recipient.local) ||
	    directory_is_local_domain(facts->directory, facts->recipient.domain, &is_ours).kind || !is_ours)
		return false;
	t = arena_alloc(arena, sizeof(*t));
	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	ok = t && srs_reverse(facts->directory, facts->recipient.local, date_now().seconds, &text);
	if (ok) {
		*t = (struct directory_target){ .is_remote = true, .address = arena_copy(arena, buf_sv(&text)) };
		ok = t->address.p && !address_parse(arena, t->address, &t->remote).kind;
		*route = (struct directory_route){ .answer = DIRECTORY_TARGETS, .targets = t, .count = 1 };
	}
	buf_done(&text);
	return ok;
}

/* is_for_root - what programs of this host report to root, or to the user they run as, and what comes back of their mail, reaches
 * somebody: when there is neither account nor alias of that name (postroom alias import), whoever answers for postmaster. */
static bool is_for_root(const struct policy_facts *facts)
{
	struct sv user, domain;

	if (facts->listener == LISTENER_LMTP && facts->sender.is_null && facts->local)
		return local_has(facts->local, &facts->recipient);
	if (facts->listener != LISTENER_LOCAL || !facts->identity)
		return false;
	domain = identity_address(facts->identity);
	user = sv_sub(domain, 0, sv_rfind(domain, '@'));
	sv_skip(&domain, user.len + 1);
	return sv_eq(facts->recipient.domain, domain) &&
	       (sv_eq_nocase(facts->recipient.local, SV("root")) || sv_eq(facts->recipient.local, user));
}

/* Aliases that lead in circles, or too far, are the administrator's to mend: until then the sender
 * tries again. */
static struct fault resolve(struct policy_facts *facts, struct arena *arena,
			    struct directory_route *route)
{
	struct fault f;

	if (resolve_forwarded(facts, arena, route)) {
		facts->route = route;
		return FAULT_OK;
	}
	f = directory_resolve(facts->directory, arena, &facts->recipient, route);
	if (!f.kind && route->answer == DIRECTORY_UNKNOWN && is_for_root(facts)) {
		facts->recipient.local = SV("postmaster");
		f = directory_resolve(facts->directory, arena, &facts->recipient, route);
	}

	if (f.kind == FAULT_LIMIT || f.kind == FAULT_INVALID)
		f.kind = FAULT_UNAVAILABLE;
	facts->route = route;
	return f;
}

/* note_asked - what the host of a relay domain has said is remembered. */
static void note_asked(const struct policy_facts *facts)
{
	struct fault f = FAULT_OK;
	struct buf address;

	if (!facts->outbook || (facts->asked != ASKING_KNOWN && facts->asked != ASKING_UNKNOWN))
		return;
	buf_init(&address, DIRECTORY_ADDRESS_MAX + 1);
	if (policy_asked_address(facts, &address))
		f = outbook_note_asked(facts->outbook, buf_sv(&address), facts->asked == ASKING_KNOWN, facts->now_s);
	buf_done(&address);
	if (f.kind && f.kind != FAULT_LIMIT)
		log_warn(NULL, "outbook.asked", KV_FAULT("fault", f));
}

/* note_knock - a suspect is remembered when nothing else was wrong with it. */
static void note_knock(const struct policy_facts *facts, const struct policy_verdict *v)
{
	uint8_t key[GREYLIST_KEY_LEN];
	struct fault f;

	if (!policy_is_suspect(facts->origin) || (v->action >= POLICY_DEFER && strcmp(v->check, "greylist")))
		return;
	greylist_key(facts->directory, &facts->peer, facts->sender.domain, facts->recipient.local, key);
	f = greylist_note(facts->greylist, key, facts->now_s, facts->conf->policy.greylist_ms);
	if (f.kind)
		log_warn(NULL, "greylist.note", KV_FAULT("fault", f));
}

struct policy_verdict recipient_add(struct policy_facts *facts, const struct smtp_path *path,
				    struct accept_plan *plan, struct store *store,
				    struct queue *queue, struct arena *arena)
{
	struct directory_route route = { .answer = DIRECTORY_UNKNOWN };
	struct accept_rcpt *rcpt = NULL;
	struct policy_verdict v, room;
	struct fault f;

	facts->recipient = path->address;
	f = resolve(facts, arena, &route);
	if (f.kind)
		return refuse_fault(f, "directory");
	note_asked(facts);
	v = policy_run(POLICY_RCPT, facts);
	if (facts->is_stranger && facts->greylist)
		note_knock(facts, &v);
	if (v.action >= POLICY_DEFER)
		return v;
	if (accept_add(plan, path, &route, &rcpt).kind) {
		policy_refuse(&v, REPLY_TOO_MANY_RCPTS);
		v.check = "plan";
		return v;
	}
	f = accept_open(plan, rcpt, store, facts->declared_size ? facts->declared_size : 1);
	room = f.kind ? refuse_fault(f, "store") : check_queue(facts, rcpt, queue);
	if (room.action < POLICY_DEFER)
		return v;       /* with what the checks found */
	accept_drop_last(plan);
	return room;
}
