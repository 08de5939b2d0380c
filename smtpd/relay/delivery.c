#include "smtpd/relay/delivery.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/narrow.h"

#include "common/banned.h"

#define READ_AHEAD (64u << 10)
#define READ_MAX (6 * SPOOL_BODY_MAX)   /* one piece of the file beyond that, fourfold by smtpd/downgrade.h */
#define BUSY_MS 100             /* somebody has its file; seldom, since what smtpd is just finishing is not known yet (watch.h) */
#define AGAIN_MS 5000           /* verdicts that could not be written down */

enum load {
	LOAD_OK = 0,
	LOAD_LATER,             /* somebody works on it */
	LOAD_GONE,
	LOAD_NOBODY,            /* no recipient is left for this destination */
	LOAD_FAULT,
};

struct delivery {
	struct op op;                   /* loading, then finishing */
	struct work read;
	struct relay *relay;
	struct part *part;
	struct conf *conf;
	const struct delivery_events *events;   /* NULL: nobody listens */
	void *arg;
	char *destination;
	unsigned can;
	uint64_t size_max;
	uint32_t by_min_s;
	bool tells_by;                  /* the other server tells the sender what BY asks for */
	/* loaded */
	enum load load;
	struct arena arena;
	struct client_mail mail;
	uint32_t *numbers;              /* of the recipients, in the envelope */
	bool *wants_success;            /* NOTIFY=SUCCESS */
	bool has_more;                  /* recipients than fit */
	struct narrow narrow;           /* they take 7 bits only */
	struct spool *reader;
	struct data_scanner scanner;
	struct buf octets;
	bool is_last, is_untouched, is_loaded;
	struct fault read_fault;
	/* finishing */
	bool is_reading, is_finishing;
	char *peer, *tls, *talk;
	bool is_deferred, is_again, is_counted;
	struct timer again;             /* the verdicts could not be written down */
};

static struct delivery *of_op(struct op *op)
{
	return CONTAINER_OF(op, struct delivery, op);
}

static void delivery_free(struct delivery *d)
{
	for (size_t i = 0; i < d->mail.count; i++)
		free(d->mail.rcpts[i].text);
	spool_close(&d->reader);
	narrow_done(&d->narrow);
	buf_done(&d->octets);
	arena_done(&d->arena);
	conf_unref(&d->conf);
	free(d->destination);
	free(d->peer);
	free(d->tls);
	free(d->talk);
	free(d);
}

/* ---- loading: in a job ---- */

static bool is_declared(const struct envelope *e, struct sv name, const char *wanted)
{
	struct sv value;

	return envelope_param(e->params, name, &value) &&
	       (!wanted || sv_eq_nocase(value, sv_z(wanted)));
}

/* pass_on - " NOTIFY=NEVER ORCPT=..." of a recipient, as it came (RFC 3461 §5.2.1). */
static struct sv pass_on(struct delivery *d, const struct envelope_param *p,
			 const struct sv *names, size_t count)
{
	struct buf text;
	struct sv out;

	buf_init(&text, 4096);
	for (; p; p = p->next) {
		struct sv rest = p->text, name;

		if (!sv_split(&rest, '=', &name) || (sv_has_8bit(p->text) && !(d->can & CAN_SMTPUTF8)))
			continue;
		for (size_t i = 0; i < count; i++)
			if (sv_eq_nocase(name, names[i]))
				(void)buf_appendf(&text, " %.*s", SV_FMT(p->text));
	}
	out = arena_copy(&d->arena, buf_sv(&text));
	buf_done(&text);
	return out.p ? out : SV_NONE;
}

/* ascii_path - the address with A-labels, when that is enough to carry it. */
static struct sv ascii_path(struct delivery *d, struct sv address, bool *is_utf8)
{
	struct arena arena;
	struct address parsed;
	struct buf text;
	struct sv out = arena_copy(&d->arena, address);

	if (!sv_has_8bit(address))
		return out;
	arena_init(&arena, 16384);
	buf_init(&text, 1024);
	if (!address_parse(&arena, address, &parsed).kind && !parsed.is_utf8 &&
	    address_append(&text, &parsed, ADDRESS_ASCII_DOMAIN))
		out = arena_copy(&d->arena, buf_sv(&text));
	else
		*is_utf8 = true;
	buf_done(&text);
	arena_done(&arena);
	return out;
}

/* take_recipients - those of this destination that have no outcome, as many as fit. */
static struct fault take_recipients(struct delivery *d, const struct spool *sp, bool *is_utf8)
{
	static const struct sv names[] = { { "NOTIFY", 6 }, { "ORCPT", 5 } };
	const struct envelope *e = spool_envelope(sp);
	struct buf key;
	uint32_t i = 0;
	struct fault f = FAULT_OK;

	d->mail.rcpts = arena_array(&d->arena, CLIENT_RCPTS_MAX, sizeof(*d->mail.rcpts));
	d->numbers = arena_array(&d->arena, CLIENT_RCPTS_MAX, sizeof(*d->numbers));
	d->wants_success = arena_array(&d->arena, CLIENT_RCPTS_MAX, sizeof(*d->wants_success));
	buf_init(&key, 1024);
	for (const struct envelope_rcpt *r = e->rcpts; r && !f.kind; r = r->next, i++) {
		struct client_rcpt *to = &d->mail.rcpts[d->mail.count];
		struct sv notify = SV_NONE;

		if (spool_outcome(sp, i))
			continue;
		buf_clear(&key);
		if (!destination_of(d->relay, d->conf, e, r->address, &key)) {
			f = fault(FAULT_UNAVAILABLE, "the directory does not answer");
			break;
		}
		if (!sv_eq(buf_sv(&key), sv_z(d->destination)))
			continue;
		if (d->mail.count == CLIENT_RCPTS_MAX) {
			d->has_more = true;
			break;
		}
		to->address = ascii_path(d, r->address, is_utf8);
		if (d->can & CAN_DSN)
			to->params = pass_on(d, r->params, names, ARRAY_LEN(names));
		(void)envelope_param(r->params, SV("NOTIFY"), &notify);
		d->wants_success[d->mail.count] = sv_search(notify, SV("SUCCESS")) != SIZE_MAX;
		d->numbers[d->mail.count++] = i;
	}
	buf_done(&key);
	return f;
}

/* has_8bit_header - the header needs SMTPUTF8, whatever the addresses are. */
static bool has_8bit_header(struct delivery *d)
{
	struct buf octets;
	struct spool *s = NULL;
	bool found = false, is_over = false;
	unsigned pieces = 0;

	buf_init(&octets, 2 * SPOOL_BODY_MAX);
	if (queue_read(d->relay->queue, sv_z(d->op.message->id), &s).kind)
		return false;
	while (!found && !is_over) {
		size_t end;

		buf_clear(&octets);
		if (spool_read_body(s, &octets).kind || !octets.len)
			break;
		end = sv_search(buf_sv(&octets), SV("\r\n\r\n"));
		/* What was put on top is a piece of its own. */
		is_over = end != SIZE_MAX || ++pieces == 2;
		found = sv_has_8bit(sv_sub(buf_sv(&octets), 0, end));
	}
	spool_close(&s);
	buf_done(&octets);
	return found;
}

/* put_wishes - time and order, to those who know them: what is left of the time (RFC 2852 §4.1.4), the priority as it came (RFC
 * 6710 §4.2). */
static void put_wishes(struct delivery *d, const struct envelope *e, struct buf *text)
{
	struct wishes w = wishes_of(e);

	if (w.has_by && d->can & CAN_DELIVERBY)
		(void)buf_appendf(text, " BY=%lld;%c%s", (long long)(d->part->message->by_s - relay_now_s(d->relay)), w.is_by_return ? 'R' : 'N',
				  w.is_by_trace ? "T" : "");
	if (w.priority && d->can & CAN_MT_PRIORITY)
		(void)buf_appendf(text, " MT-PRIORITY=%d", w.priority);
	/* Whoever knows DELIVERBY tells the sender himself. */
	d->tells_by = w.has_by && (d->destination[0] == '=' || ((d->can & CAN_DELIVERBY) && !w.is_by_trace));
}

/* refuse_late - what has to be there by a time goes to nobody who cannot promise it (RFC 2852 §4.1.3, §4.1.4.1). */
static void refuse_late(struct delivery *d, const struct envelope *e)
{
	struct wishes w = wishes_of(e);
	int64_t left_s = d->part->message->by_s - relay_now_s(d->relay);

	if (!w.has_by || !w.is_by_return || d->destination[0] == '=')
		return;
	if (left_s <= 0)
		delivery_give_rest(d, CLIENT_REFUSED, "5.4.7", "delivery time expired");
	else if (!(d->can & CAN_DELIVERBY) || left_s < (int64_t)d->by_min_s)
		delivery_give_rest(d, CLIENT_REFUSED, "5.3.3", "the other server does not promise to deliver in time (DELIVERBY)");
}

/* refuse_8bit - RFC 6152 §3: what cannot be converted comes back. */
static void refuse_8bit(struct delivery *d)
{
	char text[300];

	snprintf(text, sizeof(text), "the other server takes 7-bit messages only, and this one cannot be converted: %s", d->narrow.obstacle);
	delivery_give_rest(d, CLIENT_REFUSED, "5.6.3", text);
}

/* make_params - what of the message's parameters the other side gets; false: it cannot take it. */
static void make_params(struct delivery *d, const struct envelope *e, uint64_t size, bool is_utf8)
{
	static const struct sv names[] = { { "RET", 3 }, { "ENVID", 5 } };
	struct buf text;
	bool is_8bit = is_declared(e, SV("BODY"), "8BITMIME");

	buf_init(&text, 4096);
	if (is_declared(e, SV("SMTPUTF8"), NULL) && !is_utf8)
		is_utf8 = has_8bit_header(d);
	/* RFC 6533 §3: with such an ORCPT, too; pass_on() keeps it only where it is understood. */
	for (size_t i = 0; i < d->mail.count; i++)
		is_utf8 |= sv_has_8bit(d->mail.rcpts[i].params);
	if (d->can & CAN_SIZE)
		(void)buf_appendf(&text, " SIZE=%llu", (unsigned long long)size);
	if (is_8bit && d->can & CAN_8BITMIME)
		(void)buf_append(&text, SV(" BODY=8BITMIME"));
	if (is_utf8 && d->can & CAN_SMTPUTF8)
		(void)buf_append(&text, SV(" SMTPUTF8"));
	if (d->can & CAN_REQUIRETLS && is_declared(e, SV("REQUIRETLS"), NULL))
		(void)buf_append(&text, SV(" REQUIRETLS"));
	put_wishes(d, e, &text);
	if (d->can & CAN_DSN) {
		struct sv more = pass_on(d, e->params, names, ARRAY_LEN(names));
		(void)buf_append(&text, more);
	}
	d->mail.params = arena_copy(&d->arena, buf_sv(&text));
	buf_done(&text);
	refuse_late(d, e);
	if (d->size_max && size > d->size_max)
		delivery_give_rest(d, CLIENT_REFUSED, "5.3.4",
				   "the message is larger than the other server takes");
	else if (is_declared(e, SV("REQUIRETLS"), NULL) && !(d->can & CAN_REQUIRETLS) &&
		 d->destination[0] != '=')
		delivery_give_rest(d, CLIENT_REFUSED, "5.7.30",
				   "the other server does not promise TLS all the way (REQUIRETLS)");
	else if (is_utf8 && !(d->can & CAN_SMTPUTF8))
		delivery_give_rest(d, CLIENT_REFUSED, "5.6.7",
				   "the other server does not take international mail (SMTPUTF8)");
	else if (d->narrow.obstacle)
		refuse_8bit(d);
}

/* to_wire - what becomes of the message's octets on the way to a client. */
static bool to_wire(void *ctx, struct sv octets)
{
	struct delivery *d = ctx;

	return d->narrow.downgrade ? downgrade_feed(d->narrow.downgrade, octets, byte_sink_buf, &d->octets) : buf_append(&d->octets, octets);
}

static void load_run(struct op *op)
{
	struct delivery *d = of_op(op);
	struct spool *sp;
	bool is_utf8 = false;

	op->fault = relay_op_take(op);
	if (op->fault.kind) {
		d->load = op->fault.kind == FAULT_BUSY        ? LOAD_LATER
			  : op->fault.kind == FAULT_NOT_FOUND ? LOAD_GONE : LOAD_FAULT;
		op->is_gone = d->load == LOAD_GONE;
		if (op->fault.kind == FAULT_CORRUPT) {
			queue_set_apart(d->relay->queue, op->message->id, op->fault);
			d->load = LOAD_GONE;
			op->is_gone = true;
		}
		return;
	}
	sp = op->message->spool;
	op->fault = take_recipients(d, sp, &is_utf8);
	if (!op->fault.kind && !d->mail.count) {
		d->load = LOAD_NOBODY;
		return;
	}
	if (!op->fault.kind)
		op->fault = queue_read(d->relay->queue, sv_z(op->message->id), &d->reader);
	if (op->fault.kind) {
		d->load = LOAD_FAULT;
		return;
	}
	d->mail.sender = ascii_path(d, spool_envelope(sp)->sender, &is_utf8);
	/* Without a connection nothing is sent: the verdict is known already. */
	if (!(d->can & CAN_SMTP))
		return;
	if (!(d->can & CAN_8BITMIME))
		op->fault = narrow_prepare(d->relay->queue, sv_z(op->message->id), d->relay->keys, date_now().seconds, &d->narrow);
	if (op->fault.kind) {
		d->load = LOAD_FAULT;
		return;
	}
	make_params(d, spool_envelope(sp), d->narrow.downgrade && !d->narrow.obstacle ? d->narrow.size : spool_size(sp), is_utf8);
}

static void load_done(struct op *op)
{
	struct delivery *d = of_op(op);
	struct relay *r = d->relay;
	uint64_t now = loop_now_ms(r->loop);
	enum delivery_load load = DELIVERY_NOTHING;

	if (op->is_cancelled)
		d->load = LOAD_LATER;
	d->is_loaded = d->load == LOAD_OK;
	switch (d->load) {
	case LOAD_OK:
		if (d->events && !d->part->message->is_held) {
			d->events->on_loaded(d->arg, DELIVERY_READY);
			return;
		}
		schedule_return(r->schedule, d->part, now, 0);
		break;
	case LOAD_LATER:
		schedule_return(r->schedule, d->part, now, BUSY_MS);
		break;
	case LOAD_GONE:
	case LOAD_NOBODY:
		schedule_drop_part(r->schedule, d->part);
		break;
	case LOAD_FAULT:
		log_error(NULL, "relay.load", KV_Z("queue_id", op->message->id),
			  KV_FAULT("fault", op->fault));
		schedule_defer(r->schedule, d->part, now);
		break;
	}
	if (d->events)
		d->events->on_loaded(d->arg, load);
	delivery_free(d);
}

struct delivery *delivery_new(struct relay *r, struct part *p, struct conf *conf, unsigned can,
			      uint64_t size_max, uint32_t by_min_s, const struct delivery_events *events, void *arg)
{
	struct delivery *d = xcalloc(1, sizeof(*d));

	d->relay = r;
	d->part = p;
	d->conf = conf_ref(conf);
	d->events = events;
	d->arg = arg;
	d->destination = xstrdup(p->destination->name);
	d->can = can;
	d->size_max = size_max;
	d->by_min_s = by_min_s;
	d->is_untouched = true;
	arena_init(&d->arena, 1u << 20);
	buf_init(&d->octets, READ_MAX);
	data_scanner_init(&d->scanner, DATA_NORMALISE | DATA_NO_DOTS, to_wire, d);
	d->op.run = load_run;
	d->op.done = load_done;
	relay_op(r, p->message, &d->op);
	return d;
}

struct client_mail *delivery_mail(struct delivery *d)
{
	return &d->mail;
}

bool delivery_is_loaded(const struct delivery *d)
{
	return d->is_loaded;
}

bool delivery_is_settled(const struct delivery *d)
{
	for (size_t i = 0; i < d->mail.count; i++)
		if (!d->mail.rcpts[i].verdict)
			return false;
	return true;
}

bool delivery_is_untouched(const struct delivery *d)
{
	for (size_t i = 0; i < d->mail.count; i++)
		if (d->mail.rcpts[i].verdict || d->mail.rcpts[i].is_taken)
			return false;
	return d->is_untouched;
}

void delivery_give_rest(struct delivery *d, enum client_verdict verdict, const char *status,
			const char *text)
{
	char both[ANSWER_STATUS_MAX + 600];

	snprintf(both, sizeof(both), "%s %.580s", status, text);
	for (size_t i = 0; i < d->mail.count; i++) {
		struct client_rcpt *r = &d->mail.rcpts[i];

		if (r->verdict)
			continue;
		r->verdict = verdict;
		snprintf(r->status, sizeof(r->status), "%s", status);
		free(r->text);
		r->text = xstrdup(both);
	}
}

/* ---- reading: in a job of its own, beside what else happens to the message ---- */

static void read_run(struct work *w)
{
	struct delivery *d = CONTAINER_OF(w, struct delivery, read);

	buf_clear(&d->octets);
	(void)buf_append(&d->octets, buf_sv(&d->narrow.top));
	buf_clear(&d->narrow.top);
	while (!d->read_fault.kind && !d->is_last && d->octets.len < READ_AHEAD)
		d->read_fault = narrow_read(d->reader, &d->scanner, &d->is_last);
	if (d->is_last && d->narrow.downgrade && !downgrade_end(d->narrow.downgrade, byte_sink_buf, &d->octets))
		d->read_fault = fault(FAULT_LIMIT, "a chunk too long");
}

static void read_done(struct work *w, bool is_cancelled)
{
	struct delivery *d = CONTAINER_OF(w, struct delivery, read);

	relay_job_ended(d->relay);
	d->is_reading = false;
	if (is_cancelled)
		d->read_fault = fault(FAULT_UNAVAILABLE, "stopping");
	if (d->relay->is_ended)
		delivery_free(d);
	else if (d->is_finishing)
		relay_op(d->relay, d->part->message, &d->op);
	else if (d->events)
		d->events->on_body(d->arg, buf_sv(&d->octets), d->is_last, d->read_fault);
}

void delivery_read(struct delivery *d)
{
	struct fault f;

	d->is_untouched = false;
	d->read = (struct work){ .run = read_run, .done = read_done };
	f = work_submit(d->relay->loop, WORK_MAIL, &d->read);
	if (f.kind) {
		d->events->on_body(d->arg, SV_NONE, false, f);
		return;
	}
	d->relay->jobs++;
	d->is_reading = true;
}

/* ---- finishing ---- */

static void finish_run(struct op *op)
{
	struct delivery *d = of_op(op);
	struct settlement s = { .remote = sv_z(d->peer), .tls = d->tls };
	uint32_t *deferred = xcalloc(d->mail.count + 1, sizeof(*deferred));
	struct sv *texts = xcalloc(d->mail.count + 1, sizeof(*texts));
	struct buf text;

	s.changes = xcalloc(d->mail.count + 1, sizeof(*s.changes));
	buf_init(&text, 4096);
	for (size_t i = 0; i < d->mail.count; i++) {
		const struct client_rcpt *r = &d->mail.rcpts[i];
		struct spool_change *c = &s.changes[s.change_count];
		struct sv copy;

		if (r->verdict == CLIENT_OPEN || r->verdict == CLIENT_TOO_MANY)
			continue;
		if (r->verdict == CLIENT_DEFERRED) {
			deferred[s.deferred_count] = d->numbers[i];
			texts[s.deferred_count++] = sv_z(r->text);
			continue;
		}
		buf_clear(&text);
		if (d->peer[0])
			(void)buf_appendf(&text, "%s\n", d->peer);
		(void)buf_append(&text, sv_z(r->text));
		copy = arena_copy(&d->arena, buf_sv(&text));
		c->rcpt = d->numbers[i];
		c->text = copy.p ? copy : SV_NONE;
		c->outcome = r->verdict == CLIENT_REFUSED                     ? SPOOL_BOUNCED
			     : d->wants_success[i] && (d->can & CAN_DSN) &&
					     d->destination[0] != '='         ? SPOOL_PASSED_ON
			     : d->tells_by && !d->wants_success[i]            ? SPOOL_PASSED_ON
									      : SPOOL_DELIVERED;
		s.change_count++;
	}
	s.deferred = deferred;
	s.deferred_texts = texts;
	if (d->talk && (s.deferred_count || s.change_count))
		queue_put_talk(d->relay->queue, op->message->id, sv_z(d->talk));
	op->fault = relay_op_take(op);
	if (op->fault.kind == FAULT_CORRUPT)
		queue_set_apart(d->relay->queue, op->message->id, op->fault);
	if (!op->fault.kind)
		op->fault = settle(op, &s);
	else
		op->is_gone = op->fault.kind == FAULT_NOT_FOUND || op->fault.kind == FAULT_CORRUPT;
	buf_done(&text);
	free(s.changes);
	free(deferred);
	free(texts);
}

static void count(struct delivery *d)
{
	if (d->is_counted)
		return;
	d->is_counted = true;
	for (size_t i = 0; i < d->mail.count; i++) {
		const struct client_rcpt *r = &d->mail.rcpts[i];

		d->relay->delivered += r->verdict == CLIENT_DELIVERED;
		d->relay->deferred += r->verdict == CLIENT_DEFERRED;
		d->relay->failed += r->verdict == CLIENT_REFUSED;
		d->is_deferred |= r->verdict == CLIENT_DEFERRED;
		d->is_again |= r->verdict == CLIENT_TOO_MANY || r->verdict == CLIENT_OPEN;
	}
	d->is_again |= d->has_more;
}

static void finish_done(struct op *op);

static void on_again(struct timer *t)
{
	struct delivery *d = CONTAINER_OF(t, struct delivery, again);
	struct message *m = d->part->message;

	d->op = (struct op){ .run = finish_run, .done = finish_done, .is_reported = d->op.is_reported };
	relay_op(d->relay, m, &d->op);
}

/* A full disk, say. What the other server took must not be sent again, so the part stays as it is until this is written
 * down; only our own end before that makes a second copy. */
static void finish_later(struct delivery *d)
{
	/* A file that could not be written takes nothing more: the next try opens it anew. */
	spool_close(&d->part->message->spool);
	timer_init(&d->again, d->relay->loop, on_again);
	timer_start_ms(&d->again, AGAIN_MS);
}

static void finish_done(struct op *op)
{
	struct delivery *d = of_op(op);
	struct relay *r = d->relay;
	uint64_t now = loop_now_ms(r->loop);

	if (op->fault.kind && op->fault.kind != FAULT_NOT_FOUND)
		log_error(NULL, "relay.settle", KV_Z("queue_id", op->message->id),
			  KV_FAULT("fault", op->fault));
	count(d);
	if (op->fault.kind && !op->is_gone && !op->is_cancelled && !r->is_stopping) {
		finish_later(d);
		return;
	}
	if (op->is_gone)
		schedule_drop_part(r->schedule, d->part);
	else if (op->fault.kind || d->is_deferred)
		schedule_defer(r->schedule, d->part, now);
	else if (d->is_again)
		schedule_return(r->schedule, d->part, now, 0);
	else
		schedule_drop_part(r->schedule, d->part);
	delivery_free(d);
}

void delivery_finish(struct delivery *d, const char *peer, const char *tls, struct sv talk)
{
	d->events = NULL;
	d->is_finishing = true;
	d->peer = xstrdup(peer);
	d->tls = xstrdup(tls);
	/* A conversation is of interest when it did not go well. */
	for (size_t i = 0; i < d->mail.count && !d->talk; i++)
		if (d->mail.rcpts[i].verdict != CLIENT_DELIVERED && talk.len)
			d->talk = sv_copy_z(talk);
	d->op = (struct op){ .run = finish_run, .done = finish_done };
	if (!d->is_reading)
		relay_op(d->relay, d->part->message, &d->op);
}

static void return_done(struct op *op)
{
	struct delivery *d = of_op(op);

	schedule_return(d->relay->schedule, d->part, loop_now_ms(d->relay->loop), 0);
	delivery_free(d);
}

static void return_run(struct op *op)
{
	(void)op;
}

void delivery_return(struct delivery *d)
{
	/* Through the row of jobs: one may still read. */
	d->events = NULL;
	d->is_finishing = true;
	d->op = (struct op){ .run = return_run, .done = return_done };
	if (!d->is_reading)
		relay_op(d->relay, d->part->message, &d->op);
}

void delivery_let_go(struct delivery *d)
{
	d->events = NULL;
	if (d->is_loaded && !d->relay->is_ended)
		delivery_return(d);
	else if (d->is_loaded && !d->is_reading)
		delivery_free(d);       /* the loop ends; the file says all that counts */
}
