#include "smtpd/filtering.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/address.h"
#include "common/directory.h"
#include "common/events.h"
#include "smtpd/compose.h"

#include "common/banned.h"

#define NOTIFIES_MAX 4          /* that one message sets off, */
#define NOTIFY_MAX 5            /* and receivers of each */
#define RUNS_MAX 8              /* of one account's scripts for one message: its mail to further tags lies in INBOX */

/* The filters of one account, for one recipient. */
struct filtering_one {
	struct accept_rcpt *rcpt;
	size_t index;                   /* of the recipient in the plan */
	struct accept_place *place;     /* where its mail goes without a filter; not in the plan any more once it was applied */
	struct maildir_drop *drop;      /* its own */
	struct filter_request request;
	struct filter_result result;
	const struct sieve_action *refusal;
	struct filtering_one *next;
};

/* ---- running ---- */

static struct sv param_of(const struct accept_rcpt *r, struct sv keyword)
{
	for (size_t i = 0; i < r->param_count; i++) {
		struct sv text = r->params[i];

		if (sv_starts_nocase(text, keyword) && text.len > keyword.len && text.p[keyword.len] == '=')
			return sv_sub(text, keyword.len + 1, SIZE_MAX);
	}
	return SV_NONE;
}

static void fill_request(struct filtering_one *one, const struct filtering_source *s)
{
	const struct envelope *mail = s->outlet->mail;
	struct sieve_envelope *e = &one->request.envelope;
	struct sv value;

	one->request = (struct filter_request){
		.filters = s->filters,
		.drop = one->drop,
		.account = one->place->account,
		.message = s->outlets->incoming,
		.message_max = s->outlet->size_max + HEADER_BLOCK_MAX,
		.hostname = sv_z(s->conf->host.hostname),
		.peer_ip = mail->facts[ENVELOPE_PEER],
		.is_junk = s->is_junk,
	};
	e->from = mail->sender;
	e->to = one->rcpt->address;
	if (mail->facts[ENVELOPE_USER].len)
		e->auth = mail->facts[ENVELOPE_USER];
	if (envelope_param(mail->params, SV("RET"), &value))
		e->ret = value;
	if (envelope_param(mail->params, SV("ENVID"), &value))
		e->envid = value;
	e->notify = param_of(one->rcpt, SV("NOTIFY"));
	e->orcpt = param_of(one->rcpt, SV("ORCPT"));
}

static struct fault run_one(struct filtering *all, struct accept_rcpt *rcpt, size_t index, struct accept_place *place)
{
	const struct filtering_source *s = all->source;
	struct filtering_one *one = xcalloc(1, sizeof(*one));
	struct fault f = maildir_drop_open(s->store, place->account, &place->quota, &one->drop);

	one->rcpt = rcpt;
	one->index = index;
	one->place = place;
	*all->end = one;
	all->end = &one->next;
	if (f.kind)
		return f;
	fill_request(one, s);
	f = filter_run(&one->request, &one->result);
	for (size_t i = 0; i < one->result.deed_count; i++) {
		const struct sieve_action *a = one->result.deeds[i].action;

		if (a->kind == SIEVE_REJECT || a->kind == SIEVE_EREJECT)
			one->refusal = a;
	}
	return f;
}

static unsigned runs_of(const struct filtering *all, struct sv account)
{
	unsigned n = 0;

	for (const struct filtering_one *one = all->list; one; one = one->next)
		n += sv_eq(one->place->account, account);
	return n;
}

static struct fault run_all(struct filtering *all)
{
	struct fault f = FAULT_OK;
	size_t index = 0;

	for (struct accept_rcpt *r = all->source->plan->rcpts; r && !f.kind; r = r->next, index++)
		for (struct accept_place *p = r->places; p && !f.kind; p = p->next)
			if (p->kind == ACCEPT_MAILBOX && runs_of(all, p->account) < RUNS_MAX)
				f = run_one(all, r, index, p);
	return f;
}

/* ---- refusals ---- */

static struct sv read_header(struct incoming *message, struct buf *out)
{
	uint64_t len = incoming_message(message)->header_len;
	ssize_t n = -1;

	if (len > HEADER_BLOCK_MAX)
		len = HEADER_BLOCK_MAX;
	if (buf_reserve(out, len))
		do
			n = pread(incoming_file(message), out->p, len, 0);
		while (n < 0 && errno == EINTR);
	out->len = n > 0 ? (size_t)n : 0;
	return buf_sv(out);
}

static struct compose compose_for(const struct filtering_one *one, const struct filtering_source *s, const char *id, struct buf *header)
{
	return (struct compose){
		.hostname = sv_z(s->conf->host.hostname), .id = sv_z(id), .account = one->place->account, .rcpt = one->rcpt->address,
		.sender = s->outlet->mail->sender, .message = incoming_message(s->outlets->incoming),
		.header = read_header(s->outlets->incoming, header), .now = date_now(),
	};
}

/* May it be said in the protocol? RFC 5429 §2.1.1, §2.2. */
static bool is_sayable(const struct filtering_one *one)
{
	bool is_only = one->rcpt->places == one->place && !one->place->next;

	return one->refusal && is_only && !one->result.place_count &&
	       (one->refusal->kind == SIEVE_EREJECT || !sv_has_8bit(one->refusal->text));
}

static bool is_refused_by_all(const struct filtering *all)
{
	size_t count = 0;

	for (const struct filtering_one *one = all->list; one; one = one->next) {
		if (!is_sayable(one))
			return false;
		count++;
	}
	return count && count == all->source->plan->rcpt_count;
}

/* The reason as a reply says it: its lines end in LF. */
static struct sv reply_text(struct arena *arena, struct sv reason)
{
	char *text = arena_alloc(arena, reason.len + 1);
	size_t n = 0;

	for (size_t i = 0; text && i < reason.len; i++)
		if (reason.p[i] != '\r')
			text[n++] = reason.p[i];
	return sv_from(text, n);
}

static struct fault refuse(struct filtering *all, struct filtering_one *one, struct outlet_result *results, bool is_said)
{
	const struct filtering_source *s = all->source;
	const struct sieve_action *a = one->refusal;
	struct fault f = FAULT_OK;
	char id[QUEUE_ID_LEN + 1];
	struct buf header, text;

	log_info(s->log, "sieve.refuse", KV_SV("account", one->place->account), KV_BOOL("in_protocol", is_said),
		 KV_BOOL("has_sender", s->outlet->mail->sender.len > 0));
	if (is_said) {
		results[one->index].refusal = reply_text(&s->plan->arena, sv_has_8bit(a->text) || !a->text.len ?
							 SV("Refused by the recipient") : a->text);
		return results[one->index].refusal.p ? FAULT_OK : fault(FAULT_LIMIT, "plan: refusal");
	}
	if (!s->outlet->mail->sender.len)
		return FAULT_OK;        /* RFC 3464 §2: nobody is to be told */
	queue_new_id(id);
	buf_init(&header, HEADER_BLOCK_MAX);
	buf_init(&text, COMPOSE_MAX);
	struct compose c = compose_for(one, s, id, &header);

	if (compose_refusal(&text, &c, a))
		f = outlets_answer(s->outlets, s->outlet, one->rcpt, c.sender, buf_sv(&text));
	else
		f = fault(FAULT_LIMIT, "refusal too long");
	buf_done(&header);
	buf_done(&text);
	return f;
}

/* ---- the plan ---- */

static bool is_loop(const struct filtering_source *s, struct sv account)
{
	for (size_t i = 0; i < s->facts->delivered_to_count; i++)
		if (sv_eq_nocase(s->facts->delivered_to[i], account))
			return true;
	return false;
}

/* What the plan keeps must live as long as the plan, longer than the result. */
static struct fault keep_words(struct accept_plan *plan, struct accept_place *p, const struct filter_place *from)
{
	struct sv *words = arena_array(&plan->arena, from->keyword_count + 1, sizeof(*words));

	if (!from->is_kept)
		p->mailbox = arena_copy(&plan->arena, from->mailbox);
	for (size_t i = 0; words && i < from->keyword_count; i++)
		words[i] = arena_copy(&plan->arena, from->keywords[i]);
	p->keywords = words;
	p->keyword_count = words ? from->keyword_count : 0;
	return words && p->mailbox.p ? FAULT_OK : fault(FAULT_LIMIT, "plan: filter");
}

static struct fault add_mailbox(struct filtering *all, struct filtering_one *one, const struct filter_place *from)
{
	struct accept_place *p = NULL;
	struct fault f = accept_refile(all->source->plan, one->rcpt, one->place, ACCEPT_MAILBOX, all->source->store, &p);

	if (f.kind)
		return f;
	p->mailbox = one->place->mailbox;
	p->create = from->is_kept ? one->place->create : from->create;
	p->flags = from->flags | (from->is_kept ? one->place->flags : 0);
	p->message = from->message;
	return keep_words(all->source->plan, p, from);
}

static struct fault add_redirect(struct filtering *all, struct filtering_one *one, const struct filter_deed *deed)
{
	const struct filtering_source *s = all->source;
	const struct sieve_action *a = deed->action;
	struct accept_place *p = NULL;
	uint64_t count = 0;
	struct fault f = queue_count(s->outlet->queue, &count);

	if (!f.kind && count >= s->conf->queue.messages)
		f = fault(FAULT_NO_SPACE, "queue is full");
	if (!f.kind)
		f = accept_refile(s->plan, one->rcpt, one->place, ACCEPT_REDIRECT, s->store, &p);
	if (f.kind)
		return f;
	p->redirect = arena_copy(&s->plan->arena, a->address);
	p->via = one->place->account;
	p->message = deed->message;
	p->dsn_ret = arena_copy(&s->plan->arena, a->dsn_ret);
	p->dsn_notify = arena_copy(&s->plan->arena, a->dsn_notify);
	return p->redirect.p && p->dsn_ret.p && p->dsn_notify.p ? FAULT_OK : fault(FAULT_LIMIT, "plan: redirect");
}

/* A redirect that would go in a circle is not done; the mail stays here instead (RFC 5228 §4.2, §10). */
static struct fault apply_redirects(struct filtering *all, struct filtering_one *one)
{
	const struct filter_result *result = &one->result;
	struct filter_place here = { .is_kept = true };
	struct fault f = FAULT_OK;
	bool is_dropped = false;

	for (size_t i = 0; i < result->deed_count && !f.kind; i++) {
		const struct sieve_action *a = result->deeds[i].action;

		if (a->kind != SIEVE_REDIRECT)
			continue;
		if (!a->address.len || is_loop(all->source, one->place->account))
			is_dropped = true;
		else
			f = add_redirect(all, one, &result->deeds[i]);
	}
	if (!f.kind && is_dropped) {
		log_warn(all->source->log, "sieve.redirect.loop", KV_SV("account", one->place->account));
		if (!result->place_count)
			f = add_mailbox(all, one, &here);
	}
	return f;
}

/* take_out - the place as it was leaves the plan; its facts stay with us. */
static void take_out(struct filtering_one *one)
{
	accept_drop_place(one->rcpt, one->place);
}

static struct fault apply(struct filtering *all, struct filtering_one *one, struct outlet_result *results, bool is_all)
{
	const struct filter_result *result = &one->result;
	bool is_said = one->refusal && (is_all || (all->source->is_lmtp && is_sayable(one)));
	struct fault f = FAULT_OK;

	if (!result->is_filtered)
		return FAULT_OK;
	if (one->refusal)
		f = refuse(all, one, results, is_said);
	for (size_t i = 0; i < result->place_count && !f.kind; i++)
		f = add_mailbox(all, one, &result->places[i]);
	if (!f.kind)
		f = apply_redirects(all, one);
	if (!f.kind)
		take_out(one);
	return f;
}

static struct fault add_entries(struct filtering *all)
{
	const struct filtering_source *s = all->source;
	struct fault f = FAULT_OK;

	for (const struct filtering_one *one = all->list; one && !f.kind; one = one->next)
		for (const struct accept_place *p = one->rcpt->places; p && !f.kind; p = p->next)
			if (p->kind == ACCEPT_REDIRECT && p->via.p == one->place->account.p)
				f = outlets_forward(s->outlets, s->outlet, p->via, p->message);
	return f;
}

struct fault filtering_run(struct filtering *all, const struct filtering_source *source, struct outlet_result *results,
			   bool *is_refused)
{
	struct fault f = FAULT_OK;

	*all = (struct filtering){ .source = source };
	all->end = &all->list;
	*is_refused = false;
	if (!source->outlets->incoming)
		return FAULT_OK;
	f = outlets_parse(source->outlets);
	if (!f.kind)
		f = run_all(all);
	if (!f.kind) {
		*is_refused = is_refused_by_all(all);
		for (struct filtering_one *one = all->list; one && !f.kind; one = one->next)
			f = apply(all, one, results, *is_refused);
	}
	if (!f.kind && !*is_refused)
		f = add_entries(all);
	/* What does not fit into our memory is no fault of the message. */
	if (f.kind == FAULT_LIMIT || f.kind == FAULT_INVALID)
		f.kind = FAULT_UNAVAILABLE;
	return f;
}

/* ---- answers ---- */

/* RFC 8580: a copy of what was sent. The answer is on its way whatever becomes of it. */
static void file_copy(const struct filtering_one *one, const struct sieve_action *a, struct sv text)
{
	struct sv words[64];
	struct delivery place = { .drop = one->drop, .mailbox = a->fcc, .create = a->fcc_create, .keywords = words };
	struct incoming *copy = NULL;
	struct fault f;

	if (!a->fcc.p)
		return;
	for (size_t i = 0; i < a->fcc_flag_count; i++) {
		uint32_t flag = filter_flag(a->fcc_flags[i]);

		place.flags |= flag;
		if (!flag && place.keyword_count < ARRAY_LEN(words))
			words[place.keyword_count++] = a->fcc_flags[i];
	}
	f = incoming_new(NULL, one->drop, text.len, &copy);
	if (!f.kind)
		f = incoming_write(copy, text);
	if (!f.kind)
		f = incoming_finish(copy);
	if (!f.kind)
		f = incoming_deliver(copy, &place, 1);
	incoming_free(&copy);
	if (f.kind)
		log_warn(NULL, "sieve.fcc", KV_SV("account", one->place->account), KV_FAULT("fault", f));
}

static void send_text(const struct filtering *all, const struct filtering_one *one, const struct sieve_action *a, const char *id,
		      const struct sv *to, size_t count, struct sv text)
{
	const struct filtering_source *s = all->source;
	struct fault f = outlet_send(s->outlet->queue, id, to, count, one->place->account, text, s->log);

	if (f.kind)
		log_error(s->log, "sieve.send", KV_SV("account", one->place->account), KV_FAULT("fault", f));
	else
		file_copy(one, a, text);
}

static bool owns(struct directory *directory, struct sv account_id, struct sv text)
{
	struct arena arena;
	struct address a;
	bool yes = false;

	arena_init(&arena, 8192);
	if (!address_parse(&arena, text, &a).kind && directory_owns(directory, account_id, &a, &yes).kind)
		yes = false;
	arena_done(&arena);
	return yes;
}

/* A script writes in its owner's name alone, as its owner would have to (RFC 5230 §9, RFC 6409 §6.1): we sign it. Else the
 * account's address is taken. */
static struct sieve_action in_own_name(const struct filtering *all, const struct filtering_one *one, const struct sieve_action *a)
{
	struct sieve_action mine = *a;
	struct directory_account account;
	struct address_list list;
	struct address_item item;
	struct buf text;
	bool yes = a->from.len && !directory_account_get(all->source->directory, one->place->account, &account).kind;

	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	address_list_init(&list, a->from);
	while (yes && address_list_next(&list, &item)) {
		buf_clear(&text);
		yes = item.kind == ADDRESS_ITEM_MAILBOX && address_local_append(&text, item.mailbox) && buf_append_c(&text, '@') &&
		      buf_append(&text, item.host) && owns(all->source->directory, sv_z(account.id), buf_sv(&text));
	}
	address_list_done(&list);
	buf_done(&text);
	if (a->from.len && !yes) {
		log_info(all->source->log, "sieve.from.refused", KV_SV("account", one->place->account), KV_SV("from", a->from));
		mine.from = SV("");
	}
	return mine;
}

static void send_vacation(struct filtering *all, struct filtering_one *one, const struct sieve_action *a)
{
	char id[QUEUE_ID_LEN + 1];
	struct buf header, text;

	if (!filter_remember_answer(&one->result, a))
		return;
	queue_new_id(id);
	buf_init(&header, HEADER_BLOCK_MAX);
	buf_init(&text, COMPOSE_MAX);
	struct compose c = compose_for(one, all->source, id, &header);

	struct sieve_action mine = in_own_name(all, one, a);

	if (compose_vacation(&text, &c, &mine))
		send_text(all, one, a, id, &a->address, 1, buf_sv(&text));
	buf_done(&header);
	buf_done(&text);
}

static void send_notify(struct filtering *all, struct filtering_one *one, const struct sieve_action *a)
{
	struct sv to[NOTIFY_MAX];
	struct buf header, text, address;
	struct arena arena;
	char id[QUEUE_ID_LEN + 1];
	size_t count = 0, at = 0;

	queue_new_id(id);
	arena_init(&arena, 64 << 10);
	buf_init(&header, HEADER_BLOCK_MAX);
	buf_init(&text, COMPOSE_MAX);
	buf_init(&address, 4096);
	struct compose c = compose_for(one, all->source, id, &header);

	while (count < NOTIFY_MAX && compose_notify_next(a->method, &at, &address)) {
		to[count] = arena_copy(&arena, buf_sv(&address));
		count += to[count].p != NULL;
	}
	struct sieve_action mine = in_own_name(all, one, a);

	if (count && compose_notify(&text, &c, &mine))
		send_text(all, one, a, id, to, count, buf_sv(&text));
	buf_done(&header);
	buf_done(&text);
	buf_done(&address);
	arena_done(&arena);
}

static void settle_one(struct filtering *all, struct filtering_one *one)
{
	unsigned notifies = 0;

	for (size_t i = 0; i < one->result.deed_count; i++) {
		const struct sieve_action *a = one->result.deeds[i].action;

		if (a->kind == SIEVE_VACATION)
			send_vacation(all, one, a);
		else if (a->kind == SIEVE_NOTIFY && notifies++ < NOTIFIES_MAX)
			send_notify(all, one, a);
	}
	filter_remember_seen(&one->result);
	filter_tell(&one->result);
}

void filtering_settle(struct filtering *all, const struct outlet_result *results)
{
	for (struct filtering_one *one = all->list; one; one = one->next)
		if (one->result.is_filtered && !results[one->index].fault.kind)
			settle_one(all, one);
}

void filtering_done(struct filtering *all)
{
	while (all->list) {
		struct filtering_one *one = all->list;

		all->list = one->next;
		filter_done(&one->result);
		maildir_drop_close(&one->drop);
		free(one);
	}
}
