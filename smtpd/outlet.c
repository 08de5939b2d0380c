#include "smtpd/outlet.h"

#include <stdlib.h>

#include "common/events.h"
#include "common/file_pieces.h"
#include "smtpd/receipt.h"
#include "smtpd/srs.h"

#include "common/banned.h"


/* ---- opening ---- */

/* copy_params - everything as it came: whoever relays decides what it means. */
static bool copy_params(struct envelope *to, const struct envelope *from)
{
	for (const struct envelope_param *p = from->params; p; p = p->next)
		if (!envelope_add_param(to, p->text))
			return false;
	return true;
}

static bool copy_facts(struct envelope *to, const struct envelope *from)
{
	for (unsigned i = 0; i < ENVELOPE_FACTS; i++)
		if (!envelope_set_fact(to, (enum envelope_fact)i, from->facts[i]))
			return false;
	to->received_s = from->received_s;
	return envelope_set_sender(to, from->sender) && copy_params(to, from);
}

static bool add_dsn(struct envelope *e, struct envelope_rcpt *r, const struct accept_place *place)
{
	struct buf text;
	bool ok = true;

	buf_init(&text, 256);
	if (place->dsn_notify.len)
		ok = buf_append(&text, SV("NOTIFY=")) && buf_append(&text, place->dsn_notify) &&
		     envelope_add_rcpt_param(e, r, buf_sv(&text));
	buf_clear(&text);
	if (ok && place->dsn_ret.len && !e->params)
		ok = buf_append(&text, SV("RET=")) && buf_append(&text, place->dsn_ret) &&
		     envelope_add_param(e, buf_sv(&text));
	buf_done(&text);
	return ok;
}

/* add_notify - of what a sender asks for whom nobody vouches: no notices of success, and of a forged one none at all. */
static bool add_notify(struct envelope *e, struct envelope_rcpt *r, struct sv param, const struct outlet_source *source)
{
	struct sv words = sv_sub(param, sizeof("NOTIFY=") - 1, SIZE_MAX), word;
	struct buf text;
	bool ok;

	buf_init(&text, 64);
	while (!source->is_disbelieved && sv_split(&words, ',', &word))
		if (!sv_eq_nocase(word, SV("SUCCESS")))
			(void)buf_appendf(&text, "%s%.*s", text.len ? "," : "NOTIFY=", SV_FMT(word));
	ok = envelope_add_rcpt_param(e, r, text.len ? buf_sv(&text) : SV("NOTIFY=NEVER"));
	buf_done(&text);
	return ok;
}

static bool add_redirect(struct envelope *e, const struct accept_rcpt *rcpt,
			 const struct accept_place *place, const struct outlet_source *source)
{
	struct envelope_rcpt *r = envelope_add_rcpt(e, place->redirect, place->via);

	for (size_t i = 0; r && i < rcpt->param_count; i++) {
		/* What a filter asks for stands instead of what the sender did (RFC 6009 §6). */
		if (place->dsn_notify.len && sv_starts_nocase(rcpt->params[i], SV("NOTIFY=")))
			continue;
		/* Its members are the list's own business (RFC 3461 §5.2.7.2). */
		if (place->list_owner.len &&
		    (sv_starts_nocase(rcpt->params[i], SV("NOTIFY=")) || sv_starts_nocase(rcpt->params[i], SV("ORCPT="))))
			continue;
		if (!source->is_believed && sv_starts_nocase(rcpt->params[i], SV("NOTIFY="))) {
			if (!add_notify(e, r, rcpt->params[i], source))
				return false;
		} else if (!envelope_add_rcpt_param(e, r, rcpt->params[i])) {
			return false;
		}
	}
	return r && add_dsn(e, r, place);
}

/* has_rcpt - two recipients may lead to the same address: it gets one copy. */
static bool has_rcpt(const struct envelope *e, struct sv address)
{
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next)
		if (sv_eq(r->address, address))
			return true;
	return false;
}

/* is_by - is it a redirect that this entry carries? */
static bool is_by(const struct accept_place *p, const struct outlet_entry *entry)
{
	return p->kind == ACCEPT_REDIRECT && sv_eq(p->via, entry->via) &&
	       p->message == entry->message;
}

static bool add_redirects(struct outlet_entry *entry, const struct outlet_source *source)
{
	struct envelope *e = &entry->envelope;

	for (const struct accept_rcpt *r = source->plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			if (is_by(p, entry) && !has_rcpt(e, p->redirect) && !add_redirect(e, r, p, source))
				return false;
	return true;
}

/* rewrite_sender - mail that an address of ours sends on has a sender of ours; our own people's stay, and what cannot be
 * rewritten. */
static bool rewrite_sender(struct outlet_entry *entry, const struct outlet_source *source)
{
	size_t at = sv_rfind(source->mail->sender, '@'), via_at = sv_rfind(entry->via, '@');
	struct sv domain = sv_sub(entry->via, via_at + 1, SIZE_MAX);
	bool is_ours = false, ok = true;
	struct buf text;

	if (entry->list_owner.len)
		return envelope_set_sender(&entry->envelope, entry->list_owner);
	if (!source->directory || at == SIZE_MAX || via_at == SIZE_MAX ||
	    directory_is_local_domain(source->directory, sv_sub(source->mail->sender, at + 1, SIZE_MAX), &is_ours).kind ||
	    is_ours)
		return true;
	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	if (srs_forward(source->directory, source->mail->sender, domain, source->mail->received_s, &text))
		ok = envelope_set_sender(&entry->envelope, buf_sv(&text));
	buf_done(&text);
	return ok;
}

/* silence - nobody is told by us, nor by servers behind us, what becomes of it (RFC 3461 §4.1): a notice would go to somebody who never
 * wrote (RFC 5321 §6.1). */
static bool silence(struct envelope *e)
{
	struct sv unused;

	for (struct envelope_rcpt *r = e->rcpts; r; r = r->next)
		if (!envelope_param(r->params, SV("NOTIFY"), &unused) && !envelope_add_rcpt_param(e, r, SV("NOTIFY=NEVER")))
			return false;
	return true;
}

/* make_envelope - the first entry has the message's own id, others one of their own. */
static struct fault make_envelope(struct outlet_entry *entry, const struct outlet_source *source,
				  bool is_first)
{
	char id[QUEUE_ID_LEN + 1];
	bool fits;

	envelope_init(&entry->envelope);
	fits = copy_facts(&entry->envelope, source->mail);
	if (!is_first) {
		queue_new_id(id);
		fits = fits && envelope_set_fact(&entry->envelope, ENVELOPE_ID, sv_z(id));
	}
	/* Not a parameter that a client could give: the relay reads it, and passes it on to nobody. */
	fits = fits && (!source->is_tls_optional ||
			envelope_add_param(&entry->envelope, SV("TLS-REQUIRED=NO")));
	fits = fits && rewrite_sender(entry, source) && add_redirects(entry, source) &&
	       (!source->is_disbelieved || silence(&entry->envelope));
	return fits ? FAULT_OK : fault(FAULT_LIMIT, "envelope too large");
}

static struct fault write_entry_top(struct outlet_entry *entry, const struct outlet_source *source)
{
	struct fault f = FAULT_OK;
	struct buf top;

	buf_init(&top, TRACE_MAX + OUTLET_EXTRA_MAX);
	if ((entry->via.len && !trace_delivered_to(&top, entry->via)) ||
	    (entry->list_owner.len && !trace_list(&top, entry->via, entry->list_owner)) ||
	    !buf_append(&top, source->extra) || !trace_received(&top, source->trace))
		f = fault(FAULT_LIMIT, "trace too long");
	if (!f.kind)
		f = queue_write(entry->entry, buf_sv(&top));
	buf_done(&top);
	return f;
}

static struct outlet_entry *add_entry(struct outlets *o)
{
	struct outlet_entry *entry = xcalloc(1, sizeof(*entry));

	o->entries = xrealloc(o->entries, (o->entry_count + 1) * sizeof(*o->entries));
	o->entries[o->entry_count++] = entry;
	return entry;
}

/* begin_entry - with whatever signature the message gets. */
static struct fault begin_entry(struct outlet_entry *entry, const struct outlet_source *source)
{
	struct fault f = queue_begin(source->queue, &entry->envelope, &entry->entry);
	size_t at = sv_rfind(entry->via, '@');

	/* A header that a filter edited is not what its author wrote: it is sealed, not signed. */
	if (!f.kind && source->is_ours && !entry->message) {
		queue_sign(entry->entry);
	} else if (!f.kind && source->seal && at != SIZE_MAX) {
		struct signer_seal seal = *source->seal;

		seal.domain = sv_sub(entry->via, at + 1, entry->via.len);
		queue_seal(entry->entry, &seal);
	}
	return f;
}

/* owner_of - of a list, by its address. */
static struct sv owner_of(const struct accept_plan *plan, struct sv via)
{
	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			if (p->kind == ACCEPT_REDIRECT && p->list_owner.len && sv_eq(p->via, via))
				return p->list_owner;
	return SV_NONE;
}

static struct fault open_queue(struct outlets *o, const struct outlet_source *source)
{
	struct sv forwarders[ACCEPT_FORWARDERS_MAX + 1];
	size_t count = accept_forwarders(source->plan, forwarders);
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < count && !f.kind; i++) {
		struct outlet_entry *entry = add_entry(o);

		entry->via = forwarders[i];
		entry->list_owner = owner_of(source->plan, forwarders[i]);
		f = make_envelope(entry, source, !i);
		if (!f.kind)
			f = begin_entry(entry, source);
		if (!f.kind)
			f = write_entry_top(entry, source);
	}
	return f;
}

static struct maildir_drop *first_drop(const struct accept_plan *plan)
{
	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			if (p->kind == ACCEPT_MAILBOX)
				return p->drop;
	return NULL;
}

static struct fault open_incoming(struct outlets *o, const struct outlet_source *source)
{
	struct fault f = incoming_new(NULL, first_drop(source->plan), source->size_max + TRACE_MAX + OUTLET_EXTRA_MAX,
				      &o->incoming);
	struct buf top;

	if (f.kind)
		return f;
	buf_init(&top, TRACE_MAX + OUTLET_EXTRA_MAX);
	if (!trace_return_path(&top, source->mail->sender) || !buf_append(&top, source->extra) ||
	    !trace_received(&top, source->trace))
		f = fault(FAULT_LIMIT, "trace too long");
	if (!f.kind)
		f = incoming_write(o->incoming, buf_sv(&top));
	buf_done(&top);
	return f;
}

struct fault outlets_open(struct outlets *o, const struct outlet_source *source)
{
	struct fault f = FAULT_OK;

	o->is_open = true;
	if (accept_count(source->plan, ACCEPT_REDIRECT))
		f = open_queue(o, source);
	if (!f.kind && accept_count(source->plan, ACCEPT_MAILBOX))
		f = open_incoming(o, source);
	return f;
}

struct fault outlets_write(struct outlets *o, struct sv octets)
{
	struct fault f = o->incoming ? incoming_write(o->incoming, octets) : FAULT_OK;

	for (size_t i = 0; i < o->entry_count && !f.kind; i++)
		f = queue_write(o->entries[i]->entry, octets);
	return f;
}

/* ---- what a filter adds ---- */

static void release(struct outlet_entry *entry, const struct log_ctx *log, struct sv message_id,
		    uint64_t size)
{
	const struct envelope *e = &entry->envelope;

	event_emit(log, EVENT_QUEUE_ADD, KV_SV("queue_id", e->facts[ENVELOPE_ID]),
		   KV_SV("message_id", message_id), KV_SV("from", e->sender),
		   KV_U64("recipients", e->rcpt_count), KV_U64("size", size));
	queue_release(&entry->entry);
}

struct fault outlets_parse(struct outlets *o)
{
	return o->incoming ? incoming_finish(o->incoming) : FAULT_OK;
}

struct forwarding {
	struct queue_entry *to;
	bool is_begun;
};

/* Everything behind the Return-Path that stands on top of what is filed here: the next server writes its own
 * (RFC 5321 §4.4). */
static struct fault forward_octets(void *arg, struct sv octets)
{
	struct forwarding *f = arg;

	if (!f->is_begun && sv_starts_nocase(octets, SV("Return-Path:")))
		sv_skip(&octets, sv_find(octets, '\n') + 1);
	f->is_begun = true;
	return queue_write(f->to, octets);
}

static struct fault copy_message(struct queue_entry *to, struct incoming *from)
{
	struct forwarding forwarding = { .to = to };

	return file_pieces_each(incoming_file(from), 0, incoming_size(from), forward_octets, &forwarding);
}

struct fault outlets_forward(struct outlets *o, const struct outlet_source *source, struct sv via,
			     struct incoming *message)
{
	struct outlet_entry *entry;
	struct buf top;
	struct fault f;

	for (size_t i = 0; i < o->entry_count; i++)
		if (!o->entries[i]->owner && sv_eq(o->entries[i]->via, via) &&
		    o->entries[i]->message == message)
			return FAULT_OK;
	entry = add_entry(o);
	entry->via = via;
	entry->message = message;
	f = make_envelope(entry, source, false);
	if (!f.kind)
		f = begin_entry(entry, source);
	buf_init(&top, TRACE_MAX);
	if (!f.kind && !trace_delivered_to(&top, via))
		f = fault(FAULT_LIMIT, "trace too long");
	if (!f.kind)
		f = queue_write(entry->entry, buf_sv(&top));
	if (!f.kind)
		f = copy_message(entry->entry, message ? message : o->incoming);
	buf_done(&top);
	return f;
}

/* own_envelope - of what we ourselves have to say. */
static bool own_envelope(struct envelope *e, const char *id, const struct sv *to, size_t to_count,
			 struct sv user)
{
	bool ok, is_utf8 = false;

	envelope_init(e);
	e->received_s = date_now().seconds;
	ok = envelope_set_fact(e, ENVELOPE_ID, sv_z(id)) &&
	     envelope_set_fact(e, ENVELOPE_LISTENER, SV("filter")) &&
	     envelope_set_fact(e, ENVELOPE_USER, user) && envelope_set_sender(e, SV(""));
	for (size_t i = 0; ok && i < to_count; i++) {
		struct envelope_rcpt *r = envelope_add_rcpt(e, to[i], SV_NONE);

		is_utf8 |= sv_has_8bit(to[i]);
		ok = r && envelope_add_rcpt_param(e, r, SV("NOTIFY=NEVER"));
	}
	return ok && (!is_utf8 || envelope_add_param(e, SV("SMTPUTF8")));
}

struct fault outlets_answer(struct outlets *o, const struct outlet_source *source,
			    const struct accept_rcpt *owner, struct sv to, struct sv text)
{
	struct outlet_entry *entry = add_entry(o);
	char id[QUEUE_ID_LEN + 1];
	struct fault f = FAULT_OK;

	entry->owner = owner;
	queue_new_id(id);
	if (!own_envelope(&entry->envelope, id, &to, 1, SV_NONE))
		f = fault(FAULT_LIMIT, "envelope too large");
	if (!f.kind)
		f = queue_begin(source->queue, &entry->envelope, &entry->entry);
	if (f.kind)
		return f;
	queue_sign(entry->entry);
	return queue_write(entry->entry, text);
}

/* is_tls_optional - does a message of ours say "TLS-Required: No" (RFC 8689 §3)? */
static bool is_tls_optional(struct sv text)
{
	struct sv header = sv_sub(text, 0, sv_search(text, SV("\r\n\r\n")));

	return sv_search(header, SV("\r\nTLS-Required: No")) != SIZE_MAX;
}

struct fault outlet_send(struct queue *queue, const char *id, const struct sv *to, size_t to_count,
			 struct sv user, struct sv text, const struct log_ctx *log)
{
	struct outlet_entry entry = { .entry = NULL };
	struct fault f = FAULT_OK;

	if (!own_envelope(&entry.envelope, id, to, to_count, user) ||
	    (is_tls_optional(text) && !envelope_add_param(&entry.envelope, SV("TLS-REQUIRED=NO"))))
		f = fault(FAULT_LIMIT, "envelope too large");
	if (!f.kind)
		f = queue_begin(queue, &entry.envelope, &entry.entry);
	if (!f.kind) {
		queue_sign(entry.entry);
		f = queue_write(entry.entry, text);
	}
	if (!f.kind)
		f = queue_finish(entry.entry);
	if (!f.kind)
		f = queue_commit(entry.entry);
	if (!f.kind)
		release(&entry, log, SV_NONE, text.len);
	queue_abort(&entry.entry);
	envelope_done(&entry.envelope);
	return f;
}

/* ---- committing ---- */

/* The places of the plan, each mailbox once. */
struct places {
	struct delivery *items;
	const struct accept_place **from;
	const struct accept_rcpt **rcpt;
	size_t count;
};

static bool has_place(const struct places *l, const struct accept_place *p)
{
	for (size_t i = 0; i < l->count; i++)
		if (sv_eq(l->from[i]->account, p->account) &&
		    sv_eq(l->from[i]->mailbox, p->mailbox) &&
		    l->from[i]->message == p->message)
			return true;
	return false;
}

/* collect - of one recipient, or of all (only == NULL). */
static void collect(struct places *l, const struct accept_plan *plan,
		    const struct accept_rcpt *only)
{
	size_t most = accept_count(plan, ACCEPT_MAILBOX);

	*l = (struct places){ .count = 0 };
	l->items = xcalloc(most + 1, sizeof(*l->items));
	l->from = xcalloc(most + 1, sizeof(*l->from));
	l->rcpt = xcalloc(most + 1, sizeof(*l->rcpt));
	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next) {
		if (only && r != only)
			continue;
		for (const struct accept_place *p = r->places; p; p = p->next) {
			if (p->kind != ACCEPT_MAILBOX || has_place(l, p))
				continue;
			l->items[l->count] = (struct delivery){
				.drop = p->drop,
				.mailbox = p->mailbox,
				.create = p->create,
				.flags = p->flags,
				.keywords = p->keywords,
				.keyword_count = p->keyword_count,
				.message = p->message,
			};
			l->rcpt[l->count] = r;
			l->from[l->count++] = p;
		}
	}
}

static void places_done(struct places *l)
{
	free(l->items);
	free(l->from);
	free(l->rcpt);
}

static void report(const struct places *l, const struct outlet_source *source, uint64_t size,
		   struct fault f, const struct log_ctx *log, struct sv message_id)
{
	struct sv id = source->mail->facts[ENVELOPE_ID];

	for (size_t i = 0; i < l->count; i++) {
		const struct delivery *d = &l->items[i];

		if (!f.kind)
			event_emit(
				log, EVENT_DELIVER_DONE, KV_SV("queue_id", id),
				KV_SV("message_id", message_id), KV_SV("to", l->rcpt[i]->address),
				KV_SV("account", l->from[i]->account), KV_SV("mailbox", d->mailbox),
				KV_U64("uid", d->uid), KV_U64("size", size));
		else
			event_emit(
				log, EVENT_DELIVER_FAILED, KV_SV("queue_id", id),
				KV_SV("message_id", message_id), KV_SV("to", l->rcpt[i]->address),
				KV_SV("account", l->from[i]->account), KV_SV("mailbox", d->mailbox),
				KV_FAULT("reason", d->result.kind ? d->result : f));
	}
}

/* deliver - into the mailboxes of one recipient, or of all; only == NULL. */
static struct fault deliver(struct outlets *o, const struct outlet_source *source,
			    const struct accept_rcpt *only, const struct log_ctx *log,
			    struct sv message_id)
{
	struct places l;
	struct fault f = FAULT_OK;

	collect(&l, source->plan, only);
	if (l.count)
		f = incoming_deliver(o->incoming, l.items, l.count);
	report(&l, source, o->incoming ? incoming_size(o->incoming) : 0, f, log, message_id);
	places_done(&l);
	return f;
}

static struct fault flush_all(struct outlets *o)
{
	struct fault f = o->incoming ? incoming_finish(o->incoming) : FAULT_OK;

	for (size_t i = 0; i < o->entry_count && !f.kind; i++)
		f = queue_finish(o->entries[i]->entry);
	for (size_t i = 0; i < o->entry_count && !f.kind; i++)
		f = queue_commit(o->entries[i]->entry);
	return f;
}

/* is_wanted - does a recipient that got its mail need this entry? */
static bool is_wanted(const struct accept_plan *plan, const struct outlet_result *results,
		      const struct outlet_entry *entry)
{
	size_t i = 0;

	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next, i++) {
		if (results[i].fault.kind)
			continue;
		if (entry->owner == r)
			return true;
		for (const struct accept_place *p = r->places; p && !entry->owner; p = p->next)
			if (is_by(p, entry))
				return true;
	}
	return false;
}

/* The queue's names come first, and local mail second: a name in the queue can be taken back for
 * certain, mail that was delivered cannot. Entries that are not released here are aborted by
 * outlets_close(). */
struct fault outlets_commit(struct outlets *o, const struct outlet_source *source, bool per_rcpt,
			    struct outlet_result *results, const struct log_ctx *log,
			    struct sv message_id)
{
	struct fault f = flush_all(o);
	bool is_flushed = !f.kind;
	size_t i = 0;
	uint64_t size = o->entry_count ? queue_entry_size(o->entries[0]->entry) : 0;

	if (!f.kind)
		f = deliver(o, source, NULL, log, message_id);
	for (const struct accept_rcpt *r = source->plan->rcpts; r; r = r->next, i++) {
		results[i].fault = f;
		/* Together they failed; one by one those that can have it, get it. */
		if (f.kind && is_flushed && per_rcpt && source->plan->rcpt_count > 1)
			results[i].fault = deliver(o, source, r, log, message_id);
	}
	for (size_t k = 0; k < o->entry_count; k++)
		if (is_wanted(source->plan, results, o->entries[k]))
			release(o->entries[k], log, message_id, size);
	receipt_send(source, results, log);
	return f;
}

void outlets_close(struct outlets *o)
{
	incoming_free(&o->incoming);
	for (size_t i = 0; i < o->entry_count; i++) {
		queue_abort(&o->entries[i]->entry);
		envelope_done(&o->entries[i]->envelope);
		free(o->entries[i]);
	}
	free(o->entries);
	*o = (struct outlets){ .is_open = false };
}
