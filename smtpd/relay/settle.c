/* What became of recipients: written down durably, told to the sender once, and the message let go
 * when nothing is left to do. Runs in jobs, one at a time per message.
 *
 * The order is what makes a crash harmless (RFC 5321 §4.2.5, §6.1):
 *   outcomes            flushed: nobody gets the message again
 *   the notice begins   flushed, with the id that the DSN will have
 *   the DSN             durable in the queue, still locked, so that nobody sends it yet
 *   the notice is done, or the message goes: flushed
 *   the DSN is released
 * A crash before the last step but one leaves a notice that was begun: the DSN is there by its id,
 * or is made again with the same id. The relay sends nothing before it has mended all of these. */
#include <stdlib.h>

#include "common/events.h"
#include "common/memory.h"
#include "smtpd/relay/dsn.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

#define RETURN_DEFAULT_MAX (64u << 10)  /* without RET: the whole message when it is small */

static bool is_pending(enum spool_outcome outcome)
{
	return !outcome;
}

/* ---- who is to be told what ---- */

static bool has_word(struct sv list, struct sv word)
{
	struct sv item;

	while (sv_split(&list, ',', &item))
		if (sv_eq_nocase(item, word))
			return true;
	return false;
}

/* RFC 3461 §4.1: without NOTIFY failures are told, and delays if the server likes. */
static bool is_wanted(const struct envelope *e, const struct envelope_rcpt *r, enum spool_notice notice)
{
	static const char *const words[] = { [SPOOL_NOTICE_FAILURE] = "FAILURE",
					     [SPOOL_NOTICE_DELAY] = "DELAY",
					     [SPOOL_NOTICE_SUCCESS] = "SUCCESS" };
	struct wishes w = notice == SPOOL_NOTICE_SUCCESS ? wishes_of(e) : (struct wishes){ .has_by = false };
	/* RFC 2852 §4.1.4: who asked for a time, or for a trace, hears that others have it now. */
	bool is_traced = w.has_by && (!w.is_by_return || w.is_by_trace);
	struct sv value;

	if (!envelope_param(r->params, SV("NOTIFY"), &value))
		return notice != SPOOL_NOTICE_SUCCESS || is_traced;
	if (is_traced && !sv_eq_nocase(value, SV("NEVER")))
		return true;
	return has_word(value, sv_z(words[notice]));
}

static bool is_due(const struct spool *sp, const struct envelope_rcpt *r, uint32_t i,
		   enum spool_notice notice, bool is_late)
{
	struct spool_rcpt known = spool_rcpt(sp, i);

	if (known.told & 1u << notice || !is_wanted(spool_envelope(sp), r, notice))
		return false;
	switch (notice) {
	case SPOOL_NOTICE_FAILURE:
		return known.outcome == SPOOL_BOUNCED || known.outcome == SPOOL_EXPIRED;
	case SPOOL_NOTICE_SUCCESS:
		return known.outcome == SPOOL_DELIVERED;
	case SPOOL_NOTICE_DELAY:
		return is_late && is_pending(known.outcome);
	}
	return false;
}

/* ---- making a DSN ---- */

/* status_in - "5.1.1" among the first two words of a reply. */
static struct sv status_in(struct sv reply)
{
	struct sv word;

	for (int i = 0; i < 2 && sv_split(&reply, ' ', &word); i++)
		if (word.len >= 5 && word.p[1] == '.' && ascii_is_digit(word.p[0]) &&
		    ascii_is_digit(word.p[2]))
			return word;
	return SV_NONE;
}

static void describe(const struct op *op, const struct envelope_rcpt *r, uint32_t i,
		     enum spool_notice notice, struct dsn_rcpt *out)
{
	struct spool_rcpt known = spool_rcpt(op->message->spool, i);
	struct sv rest = known.text, remote = SV_NONE;

	/* "remote\nreply", or our own words alone. */
	if (sv_find(rest, '\n') != SIZE_MAX)
		(void)sv_split(&rest, '\n', &remote);
	*out = (struct dsn_rcpt){ .address = r->address, .remote = remote, .reply = rest,
				  .at_s = relay_shown_s(op->relay, known.at_s) };
	(void)envelope_param(r->params, SV("ORCPT"), &out->original);
	switch (notice) {
	case SPOOL_NOTICE_FAILURE:
		out->action = DSN_FAILED;
		out->status = status_in(rest);
		if (known.outcome == SPOOL_EXPIRED)
			out->status = sv_starts(rest, SV("5.4.7")) ? SV("5.4.7") : SV("4.4.7"); /* RFC 3463 §3.5: time expired */
		else if (!out->status.len || out->status.p[0] != '5')
			out->status = SV("5.0.0");
		break;
	case SPOOL_NOTICE_DELAY:
		out->action = DSN_DELAYED;
		out->status = status_in(rest);
		if (!out->status.len || out->status.p[0] != '4')
			out->status = SV("4.0.0");
		break;
	case SPOOL_NOTICE_SUCCESS:
		out->action = sv_eq(remote, SV("local delivery")) ? DSN_DELIVERED : DSN_RELAYED;
		out->status = SV("2.0.0");
		break;
	}
}

/* what_to_return - the message, or its header up to the empty line. */
static struct fault what_to_return(struct op *op, enum spool_notice notice, struct buf *out,
				   bool *is_whole)
{
	const struct envelope *e = spool_envelope(op->message->spool);
	uint64_t size = spool_size(op->message->spool);
	struct spool *reader = NULL;
	struct sv ret = SV_NONE;
	bool has_ret = envelope_param(e->params, SV("RET"), &ret);
	struct fault f = queue_read(op->relay->queue, sv_z(op->message->id), &reader);
	size_t before = 0, end;

	/* RFC 3461 §4.3: RET is about failures; what is fine needs no copy. */
	*is_whole = notice == SPOOL_NOTICE_FAILURE &&
		    (has_ret ? sv_eq_nocase(ret, SV("FULL")) && size <= DSN_RETURN_MAX
			     : size <= RETURN_DEFAULT_MAX);
	while (!f.kind && (*is_whole || sv_search(buf_sv(out), SV("\r\n\r\n")) == SIZE_MAX) &&
	       out->max - out->len >= SPOOL_BODY_MAX) {
		f = spool_read_body(reader, out);
		if (out->len == before)
			break;
		before = out->len;
	}
	spool_close(&reader);
	end = sv_search(buf_sv(out), SV("\r\n\r\n"));
	if (!*is_whole && end != SIZE_MAX)
		out->len = end + 2;
	return f;
}

static void make_from(struct op *op, struct sv sender, struct buf *out)
{
	size_t at = sv_rfind(sender, '@');
	struct sv domain = at == SIZE_MAX ? SV_NONE : sv_sub(sender, at + 1, SIZE_MAX);
	struct directory_domain first;
	bool is_ours = false;

	(void)!directory_is_local_domain(op->relay->directory, domain, &is_ours).kind;
	if (is_ours)
		buf_appendf(out, "postmaster@%.*s", SV_FMT(domain));
	else if (!directory_domain_default(op->relay->directory, &first).kind)
		buf_appendf(out, "postmaster@%s", first.name);
	else
		buf_appendf(out, "postmaster@%s", op->relay->hostname);
}

/* make_envelope - @about: of the message; what had to be encrypted all the way comes back so (RFC
 * 8689 §5). */
static bool make_envelope(const char *id, struct sv to, const struct envelope *about,
			  struct envelope *e)
{
	struct envelope_rcpt *r;
	struct sv unused;

	e->received_s = date_now().seconds;
	if (!envelope_set_fact(e, ENVELOPE_ID, sv_z(id)) ||
	    !envelope_set_fact(e, ENVELOPE_LISTENER, SV("relay")) ||
	    !envelope_set_fact(e, ENVELOPE_PROTOCOL, SV("DSN")) ||
	    !envelope_set_sender(e, SV_NONE))
		return false;
	if (sv_has_8bit(to) && !envelope_add_param(e, SV("SMTPUTF8")))
		return false;
	if (!envelope_add_param(e, SV("BODY=8BITMIME")) ||
	    (envelope_param(about->params, SV("REQUIRETLS"), &unused) &&
	     !envelope_add_param(e, SV("REQUIRETLS"))))
		return false;
	r = envelope_add_rcpt(e, to, SV_NONE);
	return r && envelope_add_rcpt_param(e, r, SV("NOTIFY=NEVER"));
}

/* queue_dsn - durable in the queue, not released. */
static struct fault queue_dsn(struct op *op, const struct envelope *e, struct sv text,
			      struct queue_entry **entry)
{
	struct queue *q = op->relay->queue;
	struct fault f = queue_begin(q, e, entry);

	if (f.kind == FAULT_EXISTS) {
		/* A crash left it half written under this id. */
		queue_sweep(q, e->facts[ENVELOPE_ID]);
		f = queue_begin(q, e, entry);
	}
	if (!f.kind)
		queue_sign(*entry);
	if (!f.kind)
		f = queue_write(*entry, text);
	if (!f.kind)
		f = queue_finish(*entry);
	if (!f.kind)
		f = queue_commit(*entry);
	if (f.kind)
		queue_abort(entry);
	return f;
}

struct notice {
	enum spool_notice kind;
	char id[QUEUE_ID_LEN + 1];
	uint32_t *rcpts;                /* numbers */
	uint32_t count;
	int64_t until_s;
};

static struct fault compose(struct op *op, const struct notice *n, struct buf *out)
{
	const struct spool *sp = op->message->spool;
	const struct envelope *e = spool_envelope(sp);
	struct dsn_rcpt *rcpts = xcalloc(n->count, sizeof(*rcpts));
	struct buf returned, from;
	struct dsn d = { .notice = n->kind };
	uint32_t i = 0, k = 0;
	struct fault f;

	buf_init(&returned, DSN_RETURN_MAX + SPOOL_BODY_MAX);
	buf_init(&from, 512);
	for (const struct envelope_rcpt *r = e->rcpts; r && k < n->count; r = r->next, i++)
		if (n->rcpts[k] == i)
			describe(op, r, i, n->kind, &rcpts[k++]);
	f = what_to_return(op, n->kind, &returned, &d.is_whole);
	make_from(op, e->sender, &from);
	d.hostname = op->relay->hostname;
	d.id = sv_z(n->id);
	d.from = buf_sv(&from);
	d.to = e->sender;
	(void)envelope_param(e->params, SV("ENVID"), &d.envelope_id);
	d.hold = wishes_of(e);
	d.original_id = sv_z(op->message->id);
	d.now = date_now();
	d.received_s = e->received_s;
	d.until_s = relay_shown_s(op->relay, n->until_s);
	d.rcpts = rcpts;
	d.count = n->count;
	d.returned = buf_sv(&returned);
	if (!f.kind && !dsn_write(&d, out))
		f = fault(FAULT_LIMIT, "a notice too long");
	buf_done(&returned);
	buf_done(&from);
	free(rcpts);
	return f;
}

static void note_dsn(struct op *op, const struct notice *n)
{
	static const char *const kinds[] = { "", "failure", "delay", "success" };
	const struct envelope *e = spool_envelope(op->message->spool);

	event_emit(NULL, EVENT_QUEUE_NOTICE, KV_Z("queue_id", op->message->id),
		   KV_Z("notice", kinds[n->kind]), KV_Z("notice_id", n->id),
		   KV_SV("to", e->sender), KV_U64("recipients", n->count));
	memcpy(op->notices[op->notice_count++], n->id, sizeof(n->id));
}

/* tell - one notice, in the order that the head of this file gives. is_last: the message goes after
 * it, which is as good as "done". */
static struct fault tell(struct op *op, struct notice *n, bool is_begun, bool is_last)
{
	struct spool *sp = op->message->spool;
	const struct envelope *from = spool_envelope(sp);
	struct queue_entry *entry = NULL;
	struct envelope e;
	struct buf text;
	struct fault f = FAULT_OK;

	buf_init(&text, DSN_MAX);
	envelope_init(&e);
	if (!is_begun) {
		queue_new_id(n->id);
		f = spool_put_notice(sp, n->kind, n->id, n->rcpts, n->count, relay_now_s(op->relay),
				     false);
	}
	if (!f.kind && !queue_has(op->relay->queue, n->id)) {
		f = compose(op, n, &text);
		if (!f.kind && !make_envelope(n->id, from->sender, from, &e))
			f = fault(FAULT_LIMIT, "a notice's envelope");
		if (!f.kind)
			f = queue_dsn(op, &e, buf_sv(&text), &entry);
	}
	if (!f.kind && is_last)
		f = queue_drop(op->relay->queue, op->message->id);
	else if (!f.kind)
		f = spool_put_notice(sp, n->kind, n->id, n->rcpts, n->count, relay_now_s(op->relay),
				     true);
	if (!f.kind)
		note_dsn(op, n);
	if (entry)
		queue_release(&entry);
	buf_done(&text);
	envelope_done(&e);
	return f;
}

/* collect - the recipients of whom the sender is to be told now. */
static void collect(const struct spool *sp, enum spool_notice kind, bool is_late,
		    struct notice *n)
{
	const struct envelope *e = spool_envelope(sp);
	uint32_t i = 0;

	n->kind = kind;
	n->count = 0;
	for (const struct envelope_rcpt *r = e->rcpts; r && e->sender.len; r = r->next, i++)
		if (is_due(sp, r, i, kind, is_late))
			n->rcpts[n->count++] = i;
}

/* collect_begun - the same for a notice that a crash left: its recipients are told already, by the
 * record. */
static void collect_begun(const struct spool *sp, enum spool_notice kind, struct notice *n)
{
	uint32_t count = spool_envelope(sp)->rcpt_count;

	n->kind = kind;
	n->count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (spool_rcpt(sp, i).told & 1u << kind)
			n->rcpts[n->count++] = i;
}

static bool is_all_done(const struct spool *sp)
{
	uint32_t count = spool_envelope(sp)->rcpt_count;

	for (uint32_t i = 0; i < count; i++)
		if (is_pending(spool_rcpt(sp, i).outcome))
			return false;
	return true;
}

/* tell_all - whatever the sender must know; *is_gone: the message went with the last notice. */
static struct fault tell_all(struct op *op, bool is_late, int64_t until_s)
{
	static const enum spool_notice kinds[] = { SPOOL_NOTICE_SUCCESS, SPOOL_NOTICE_DELAY,
						   SPOOL_NOTICE_FAILURE };
	struct spool *sp = op->message->spool;
	struct notice n = { .until_s = until_s };
	enum spool_notice begun;
	struct fault f = FAULT_OK;

	n.rcpts = xcalloc(spool_envelope(sp)->rcpt_count, sizeof(*n.rcpts));
	if (spool_open_notice(sp, &begun, n.id)) {
		collect_begun(sp, begun, &n);
		f = tell(op, &n, true, false);
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds) && !f.kind && !op->is_gone; i++) {
		bool is_last = kinds[i] == SPOOL_NOTICE_FAILURE && is_all_done(sp);

		collect(sp, kinds[i], is_late, &n);
		if (!n.count || op->notice_count == ARRAY_LEN(op->notices))
			continue;
		f = tell(op, &n, false, is_last);
		op->is_gone = !f.kind && is_last;
	}
	free(n.rcpts);
	return f;
}

/* ---- outcomes ---- */

static const struct envelope_rcpt *rcpt_at(const struct envelope *e, uint32_t i)
{
	const struct envelope_rcpt *r = e->rcpts;

	while (r && i--)
		r = r->next;
	return r;
}

static void report(struct op *op, const struct settlement *s)
{
	const struct envelope *e = spool_envelope(op->message->spool);
	int64_t age_s = relay_now_s(op->relay) - op->message->received_s;

	for (size_t i = 0; i < s->change_count; i++) {
		const struct spool_change *c = &s->changes[i];
		const struct envelope_rcpt *r = rcpt_at(e, c->rcpt);
		struct sv reply = c->text, remote = SV_NONE;
		bool is_sent = c->outcome == SPOOL_DELIVERED || c->outcome == SPOOL_PASSED_ON;

		if (sv_find(reply, '\n') != SIZE_MAX)
			(void)sv_split(&reply, '\n', &remote);
		if (r && (is_sent || c->outcome == SPOOL_BOUNCED))
			relay_note_outcome(op->relay, e, r, reply, status_in(reply), is_sent,
					   remote.len && !sv_eq(remote, SV("local delivery")));
		event_emit(NULL, is_sent ? EVENT_RELAY_SENT : EVENT_RELAY_FAILED,
			   KV_Z("queue_id", op->message->id), KV_SV("from", e->sender),
			   KV_SV("to", r ? r->address : SV_NONE), KV_SV("remote", remote),
			   KV_Z("tls", s->tls ? s->tls : ""), KV_SV("reply", reply),
			   KV_I64("age_s", age_s));
	}
	for (size_t i = 0; i < s->deferred_count; i++) {
		const struct envelope_rcpt *r = rcpt_at(e, s->deferred[i]);

		event_emit(NULL, EVENT_RELAY_DEFERRED, KV_Z("queue_id", op->message->id),
			   KV_SV("from", e->sender), KV_SV("to", r ? r->address : SV_NONE),
			   KV_SV("remote", s->remote), KV_Z("tls", s->tls ? s->tls : ""),
			   KV_SV("reply", s->deferred_texts[i]), KV_I64("age_s", age_s));
	}
}

/* put_attempts - recipients with the same words share a record. */
static struct fault put_attempts(struct op *op, const struct settlement *s)
{
	uint32_t *same = xcalloc(s->deferred_count + 1, sizeof(*same));
	struct fault f = FAULT_OK;
	struct buf text;

	buf_init(&text, 4096);
	for (size_t i = 0; i < s->deferred_count && !f.kind; i++) {
		uint32_t count = 0;
		bool is_first = true;

		for (size_t k = 0; k < i && is_first; k++)
			is_first = !sv_eq(s->deferred_texts[k], s->deferred_texts[i]);
		for (size_t k = i; k < s->deferred_count && is_first; k++)
			if (sv_eq(s->deferred_texts[k], s->deferred_texts[i]))
				same[count++] = s->deferred[k];
		if (!is_first)
			continue;
		buf_clear(&text);
		if (s->remote.len)
			(void)buf_appendf(&text, "%.*s\n", SV_FMT(sv_sub(s->remote, 0, 300)));
		(void)buf_append(&text, sv_sub(s->deferred_texts[i], 0, 2000));
		f = spool_put_attempt(op->message->spool, same, count, relay_now_s(op->relay),
				      buf_sv(&text));
	}
	buf_done(&text);
	free(same);
	return f;
}

static bool needs_telling(const struct spool *sp, const struct settlement *s)
{
	const struct envelope *e = spool_envelope(sp);
	uint32_t i = 0;
	enum spool_notice begun;
	char id[QUEUE_ID_LEN + 1];

	if (spool_open_notice(sp, &begun, id))
		return true;
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next, i++)
		if (spool_outcome(sp, i) == SPOOL_BOUNCED || spool_outcome(sp, i) == SPOOL_EXPIRED ||
		    (spool_outcome(sp, i) == SPOOL_DELIVERED && is_wanted(e, r, SPOOL_NOTICE_SUCCESS)))
			return true;
	for (size_t k = 0; k < s->change_count; k++) {
		const struct envelope_rcpt *r = rcpt_at(e, s->changes[k].rcpt);

		if (s->changes[k].outcome == SPOOL_BOUNCED ||
		    s->changes[k].outcome == SPOOL_EXPIRED ||
		    (s->changes[k].outcome == SPOOL_DELIVERED && r &&
		     is_wanted(e, r, SPOOL_NOTICE_SUCCESS)))
			return true;
	}
	return false;
}

/* is_the_end - will everybody have an outcome after these changes? */
static bool is_the_end(const struct spool *sp, const struct settlement *s)
{
	uint32_t count = spool_envelope(sp)->rcpt_count, pending = 0;

	for (uint32_t i = 0; i < count; i++)
		pending += is_pending(spool_rcpt(sp, i).outcome);
	for (size_t k = 0; k < s->change_count; k++)
		pending -= pending && is_pending(spool_rcpt(sp, s->changes[k].rcpt).outcome);
	return !pending;
}

void relay_note_gone(const struct op *op)
{
	bool is_removed = !strcmp(op->gone_as, "removed");

	event_emit(NULL, EVENT_QUEUE_REMOVE, KV_Z("queue_id", op->message->id), KV_Z("outcome", op->gone_as),
		   KV_Z("reason", is_removed ? "administrator" : ""), KV_Z("by", op->gone_by));
}

/* leave - everything is written down and told that had to be: only the flush is left to do, for which many wait together. */
static struct fault leave(struct op *op, const char *as, const char *by)
{
	struct fault f = queue_unlink(op->relay->queue, op->message->id);

	op->is_gone = op->is_leaving = !f.kind;
	op->gone_as = as;
	op->gone_by = by ? by : "relay";
	return f;
}

struct fault settle(struct op *op, const struct settlement *s)
{
	struct spool *sp = op->message->spool;
	struct fault f = FAULT_OK;

	if (s->is_removal)
		return leave(op, "removed", s->by);
	/* All is well and nobody is waiting to hear of it: the file's end says everything. */
	if (!s->deferred_count && is_the_end(sp, s) && !needs_telling(sp, s)) {
		f = leave(op, "delivered", s->by);
		if (!f.kind)
			report(op, s);
		return f;
	}
	if (s->change_count)
		f = spool_put_outcomes(sp, s->changes, s->change_count, relay_now_s(op->relay));
	if (!f.kind && s->deferred_count)
		f = put_attempts(op, s);
	if (!f.kind && !op->is_reported) {
		report(op, s);
		op->is_reported = true;
	}
	if (!f.kind)
		f = tell_all(op, s->is_late, s->until_s);
	if (op->is_gone) {              /* with the last notice, which is on its way already: flushed */
		op->gone_as = "done";
		op->gone_by = s->by ? s->by : "relay";
		relay_note_gone(op);
	} else if (!f.kind && is_all_done(sp)) {
		f = leave(op, "done", s->by);
	}
	return f;
}

/* ---- where to ---- */

static struct sv domain_of(struct sv address)
{
	size_t at = sv_rfind(address, '@');

	return at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, SIZE_MAX);
}

/* put_sign - what the message wants of TLS. */
static bool put_sign(const struct envelope *e, struct buf *out)
{
	struct sv unused;

	if (envelope_param(e->params, SV("REQUIRETLS"), &unused))
		return buf_append_c(out, '+');
	return !envelope_param(e->params, SV("TLS-REQUIRED"), &unused) || buf_append_c(out, '-');
}

bool destination_of(struct relay *r, const struct conf *conf, const struct envelope *e,
		    struct sv recipient, struct buf *out)
{
	struct arena arena;
	struct sv domain = domain_of(recipient), ascii = SV_NONE, from = SV_NONE, sender = e->sender;
	bool is_ours = false, fits;

	if (domain.len && *domain.p == '[')
		return put_sign(e, out) && buf_append(out, domain);
	arena_init(&arena, 8192);
	if (address_domain(&arena, domain, &ascii).kind)
		ascii = domain;
	fits = !directory_is_local_domain(r->directory, ascii, &is_ours).kind;
	if (sender.len && address_domain(&arena, domain_of(sender), &from).kind)
		from = SV_NONE;
	if (fits && is_ours)
		fits = buf_append_c(out, '=');
	else if (fits)
		fits = put_sign(e, out) &&
		       (smarthost_for(conf, from, ascii, out) || buf_append(out, ascii));
	arena_done(&arena);
	return fits;
}
