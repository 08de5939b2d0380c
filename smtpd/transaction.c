#include "smtpd/transaction.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/events.h"
#include "smtpd/local.h"
#include "smtpd/recipient.h"
#include "smtpd/transaction_private.h"

#include "common/banned.h"

#define SENDER_MEMORY (32u << 10)
#define RCPT_MEMORY (2u << 20)          /* an address may lead to 1,000 others */

/* ---- life ---- */

/* set_facts - all of them are bounded by the session, so they fit. */
static void set_facts(struct transaction *t, const struct transaction_source *source)
{
	char id[QUEUE_ID_LEN + 1];
	struct envelope *e = &t->mail;
	struct sv user = t->identity ? identity_address(t->identity) : SV_NONE;

	queue_new_id(id);
	e->received_s = date_now().seconds;
	if (!envelope_set_fact(e, ENVELOPE_ID, sv_z(id)) ||
	    !envelope_set_fact(e, ENVELOPE_LISTENER, source->listener_name) ||
	    !envelope_set_fact(e, ENVELOPE_HELO, source->helo) ||
	    !envelope_set_fact(e, ENVELOPE_TLS, source->tls) ||
	    !envelope_set_fact(e, ENVELOPE_SESSION, sv_z(t->log.sid)) ||
	    !envelope_set_fact(e, ENVELOPE_PEER, sv_z(t->log.peer)) ||
	    !envelope_set_fact(e, ENVELOPE_USER, user))
		BUG("transaction: a session's facts do not fit an envelope");
}

/* filters_of - which content filters are asked is a matter of the listener's role; NULL: none. */
static const struct conf_list *filters_of(const struct transaction *t)
{
	const struct conf_policy *p = &t->conf->policy;
	const struct conf_list *list = t->is_stranger ? &p->milters : t->identity ? &p->submission_milters : NULL;

	return list && screen_is_wanted(list) ? list : NULL;
}

struct transaction *transaction_new(const struct transaction_source *source,
				    const struct transaction_events *events, void *user)
{
	struct transaction *t = xcalloc(1, sizeof(*t));

	t->events = events;
	t->user = user;
	t->server = source->server;
	t->conf = conf_ref(source->conf);
	t->log = source->log;
	t->listener = source->listener;
	t->peer = source->peer;
	t->identity = source->identity ? identity_ref(source->identity) : NULL;
	t->is_extended = source->is_extended;
	t->is_local_admin = source->is_local_admin;
	t->is_device = source->is_device;
	t->is_tls = source->tls.len > 0;
	t->is_stranger = source->listener == LISTENER_MX && !source->identity && source->server->dns &&
			 !netaddr_in(&source->peer, &source->conf->host.exempt_networks);
	t->is_relay_client = source->listener == LISTENER_MX &&
			     netaddr_in(&source->peer, &source->conf->policy.relay_networks);
	t->is_stranger &= !t->is_relay_client;
	t->filters = filters_of(t);
	t->is_spilling = t->is_stranger || t->filters;
	t->spill = SPILL_NONE;
	buf_init(&t->junk, JUNK_MAX);
	buf_init(&t->found, FOUND_MAX);
	screen_verdict_init(&t->filter);
	buf_init(&t->extra, OUTLET_EXTRA_MAX);
	t->began_ms = loop_now_ms(source->server->loop);
	envelope_init(&t->mail);
	accept_init(&t->plan);
	arena_init(&t->sender_arena, SENDER_MEMORY);
	arena_init(&t->rcpt_arena, RCPT_MEMORY);
	data_init(t);
	set_facts(t, source);
	return t;
}

/* release - memory only: nothing blocks here. */
static void release(struct transaction *t)
{
	data_done(t);
	origin_free(&t->origin);
	asking_forget(&t->asking);
	author_free(&t->author);
	screen_free(&t->screen);
	screen_verdict_done(&t->filter);
	buf_done(&t->junk);
	buf_done(&t->found);
	buf_done(&t->extra);
	accept_done(&t->plan);
	envelope_done(&t->mail);
	arena_done(&t->sender_arena);
	arena_done(&t->rcpt_arena);
	identity_unref(&t->identity);
	conf_unref(&t->conf);
	free(t->results);
	free(t->answers);
	free(t);
}

void transaction_clean(struct transaction *t)
{
	outlets_close(&t->outlets);
	spill_close(&t->spill);
	accept_close(&t->plan);
}

void transaction_free(struct transaction **pt)
{
	struct transaction *t = *pt;

	*pt = NULL;
	if (!t || t->is_orphan)
		return;
	t->is_orphan = true;
	screen_free(&t->screen);        /* before a job closes what it reads */
	asking_forget(&t->asking);      /* its answer would begin a job beside that one */
	if (t->task != TASK_NONE)
		return;         /* the job's end comes back here */
	/* Without a thread to do it (the process is ending) the loop removes its few files itself.
	 */
	if ((t->outlets.is_open || t->plan.is_open || t->spill.fd >= 0) && transaction_submit(t, TASK_CLEAN))
		return;
	transaction_clean(t);
	release(t);
}

/* ---- answers ---- */

struct policy_facts transaction_facts(const struct transaction *t)
{
	return (struct policy_facts){
		.conf = t->conf,
		.directory = t->server->directory,
		.listener = t->listener,
		.peer = t->peer,
		.identity = t->identity,
		.is_stranger = t->is_stranger,
		.is_relay_client = t->is_relay_client,
		.local = t->server->local,
		.is_local_admin = t->is_local_admin,
		.greylist = t->server->greylist,
		.outbook = t->server->outbook,
		.remote_count = (uint32_t)accept_count(&t->plan, ACCEPT_REDIRECT),
		.now_s = date_now().seconds,
		.messages = t->messages,
		.recipients = t->recipients,
		.asked = t->asked,
		.helo = t->mail.facts[ENVELOPE_HELO],
		.origin = t->has_origin ? &t->origin_facts : NULL,
		.author = t->author_facts,
		.filter = t->has_filter ? &t->filter : NULL,
		.attachment = t->attachment,
		.sender = t->sender.address,
		.declared_size = t->sender.has_size ? t->sender.size : 0,
		.rcpt_count = t->plan.rcpt_count,
	};
}

/* note - what checks found goes to the log, and what makes junk of the message into its header. */
static void note(struct transaction *t, const struct policy_finding *f)
{
	static const char *const names[] = { "off", "log", "junk", "defer", "reject" };

	log_info(&t->log, "smtp.finding", KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]),
		 KV_Z("check", f->check), KV_Z("action", names[f->action]), KV_Z("reason", f->text),
		 KV_SV("from", t->mail.sender), KV_SV("helo", t->mail.facts[ENVELOPE_HELO]));
	if (!strcmp(f->check, "dmarc"))
		t->dmarc_action = f->action;
	buf_appendf(&t->found, "%s%s: %s (%s)", t->found.len ? "; " : "", f->check, f->text, names[f->action]);
	if (f->action == CONF_JUNK)
		buf_appendf(&t->junk, "%s%s (%s)", t->junk.len ? "; " : "", f->check, f->text);
}

bool transaction_judge(struct transaction *t, const struct policy_verdict *v)
{
	for (size_t i = 0; i < v->finding_count; i++)
		note(t, &v->findings[i]);
	if (v->action < POLICY_DEFER)
		return true;
	t->answer.reply = v->reply;
	t->check = v->check;
	snprintf(t->answer.text, sizeof(t->answer.text), "%s", v->text);
	return false;
}

struct authres transaction_results(const struct transaction *t)
{
	return (struct authres){
		.hostname = t->conf->host.hostname,
		.peer = t->peer,
		.sender = t->mail.sender,
		.helo = t->mail.facts[ENVELOPE_HELO],
		.origin = &t->origin_facts,
		.author = t->author_facts,
	};
}

void transaction_results_text(const struct transaction *t, struct buf *out)
{
	struct authres results = transaction_results(t);
	struct buf field;
	struct sv value;
	size_t name;

	buf_init(&field, AUTHRES_MAX);
	if (t->is_stranger && t->has_origin && authres_write(&field, &results)) {
		value = buf_sv(&field);
		name = sv_find(value, ';');     /* behind our own */
		if (name != SIZE_MAX)
			(void)header_unfold(sv_sub(value, name + 1, SIZE_MAX), out);
	}
	for (size_t i = 0; i < out->len; i++)
		if (out->p[i] == '\t')
			out->p[i] = ' ';        /* of the folding */
	buf_done(&field);
}

void transaction_report(const struct transaction *t, const char *stage, struct sv to,
			enum reply_id reply)
{
	const struct reply *r = reply_get(reply);
	bool is_final = r->code >= 500, is_own = t->answer.reply == reply && t->answer.text[0];
	struct buf results;

	buf_init(&results, AUTHRES_MAX);
	transaction_results_text(t, &results);
	if (!to.len && t->plan.rcpt_count == 1)
		to = t->plan.rcpts->address;

	if (is_final)
		t->server->counters.rejected++;
	else
		t->server->counters.deferred++;
	event_emit(&t->log, is_final ? EVENT_SMTP_REJECT : EVENT_SMTP_DEFER, KV_Z("stage", stage),
		   KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]), KV_SV("message_id", t->facts.message_id),
		   KV_SV("from", t->mail.sender),
		   KV_SV("to", to), KV_Z("reason", r->reason ? r->reason : "none"),
		   KV_Z("check", t->check ? t->check : "-"), KV_U64("code", r->code),
		   KV_Z("text", is_own ? t->answer.text : r->text),
		   KV_SV("listener", t->mail.facts[ENVELOPE_LISTENER]),
		   KV_SV("user", t->mail.facts[ENVELOPE_USER]),
		   KV_SV("results", buf_sv(&results)), KV_SV("checks", buf_sv(&t->found)));
	buf_done(&results);
}

/* ---- MAIL ---- */

/* text_of - as the envelope keeps it: local@domain, nothing for the null sender. */
static bool text_of(const struct address *a, struct buf *out)
{
	buf_init(out, DIRECTORY_ADDRESS_MAX);
	return address_append(out, a, ADDRESS_AS_GIVEN);
}

static bool keep_sender(struct transaction *t)
{
	struct buf text;
	bool fits =
		text_of(&t->sender.address, &text) && envelope_set_sender(&t->mail, buf_sv(&text));

	buf_done(&text);
	for (size_t i = 0; fits && i < t->sender.param_count; i++) {
		const struct smtp_param *param = &t->sender.params[i];

		/* What gets to the queue is lines (binary.h). */
		fits = envelope_add_param(&t->mail, t->sender.is_binary && sv_eq_nocase(param->keyword, SV("BODY")) ? SV("BODY=8BITMIME") : param->text);
	}
	return fits;
}

/* refuse - without a job. */
static enum transaction_step refuse(struct transaction *t, const char *stage, struct sv to,
				    enum reply_id reply, struct transaction_answer *answer)
{
	*answer = (struct transaction_answer){ .reply = reply };
	transaction_report(t, stage, to, reply);
	return TRANSACTION_ANSWERED;
}

/* judge_sender - in a job where policy blocks, else on the loop. */
static void judge_sender(struct transaction *t)
{
	struct policy_facts facts = transaction_facts(t);
	struct policy_verdict v = policy_run(POLICY_MAIL, &facts);

	t->answer = (struct transaction_answer){ .reply = REPLY_SENDER_OK };
	(void)transaction_judge(t, &v);
}

static void report_sender(struct transaction *t)
{
	if (t->answer.reply != REPLY_SENDER_OK)
		transaction_report(t, "mail", SV_NONE, t->answer.reply);
}

/* count - one more of these from a stranger. */
static struct policy_rates count(const struct transaction *t, enum rates_kind kind)
{
	struct netaddr one = netaddr_cut(&t->peer, 32, 64), around = netaddr_cut(&t->peer, 24, 48);
	struct rates *rates = t->server->rates;
	uint64_t now_ms = rates_now_ms();

	if (!rates)
		return (struct policy_rates){ 0, 0 };
	/* A network of one address has rows of its own: its prefix is shorter, the octets may be the same. */
	around.ip[15] ^= 0xff;
	return (struct policy_rates){ rates_add(rates, kind, &one, now_ms, 1), rates_add(rates, kind, &around, now_ms, 1) };
}

static void on_origin(void *arg, const struct origin_facts *facts)
{
	struct transaction *t = arg;
	struct transaction_answer answer;

	t->origin_facts = *facts;
	t->has_origin = true;
	origin_free(&t->origin);
	judge_sender(t);
	report_sender(t);
	answer = t->answer;     /* the session may free t as it reads it */
	t->events->on_answer(t->user, &answer);
}

/* may_hold - not longer than we said, nor longer than until it has to be there (RFC 4865 §4.2 and §5.2.2). */
static bool may_hold(const struct transaction *t)
{
	const struct smtp_path *p = &t->sender;

	return p->hold_s <= (int64_t)(t->conf->queue.hold_max_ms / 1000) && (!p->has_by || p->hold_s < p->by_s);
}

/* qualify - a program's "root" is one of ours. */
static void qualify(const struct transaction *t, struct address *a)
{
	if (t->listener == LISTENER_LOCAL && !a->is_null && !a->domain.len)
		a->domain = a->domain_given = local_domain(t->server->local);
}

/* settle_sender - whatever a device says that has not logged in, its mail is legacy-sender's. */
static enum reply_id settle_sender(struct transaction *t)
{
	struct address *a = &t->sender.address;

	if (t->is_device && address_parse(&t->sender_arena, sv_z(t->conf->legacy.sender), a).kind)
		return REPLY_INTERNAL;
	if (t->listener == LISTENER_LEGACY && !a->is_null && !a->domain.len)
		return REPLY_BAD_SENDER;
	qualify(t, a);
	return REPLY_OK;
}

enum transaction_step transaction_sender(struct transaction *t, struct sv args,
					 struct transaction_answer *answer)
{
	struct sv copy = arena_copy(&t->sender_arena, args);
	enum reply_id r = copy.p ? smtp_parse_path(&t->sender_arena, copy, SMTP_MAIL_FROM,
						   t->listener, &t->sender)
				 : REPLY_LINE_TOO_LONG;

	if (r == REPLY_OK)
		r = settle_sender(t);
	if (r == REPLY_OK && smtp_needs_utf8(&t->sender.address) && !t->sender.has_smtputf8)
		r = REPLY_NEEDS_SMTPUTF8;
	if (r == REPLY_OK && t->sender.has_requiretls && !t->is_tls && t->listener != LISTENER_LOCAL)
		r = REPLY_NEEDS_TLS;    /* RFC 8689 §4.2: it is offered over TLS only */
	if (r == REPLY_OK && t->sender.has_hold && !may_hold(t))
		r = REPLY_BAD_ARGUMENT;
	if (r == REPLY_OK && !keep_sender(t))
		r = REPLY_BAD_SENDER;
	if (r == REPLY_OK && space_is_read_only(&t->server->space))
		r = REPLY_READ_ONLY;
	if (r == REPLY_OK && space_is_low(&t->server->space, t->conf))
		r = REPLY_NO_SPACE;
	if (r != REPLY_OK)
		return refuse(t, "mail", SV_NONE, r, answer);
	if (t->listener == LISTENER_LEGACY)
		t->messages = count(t, RATES_MESSAGES);
	t->plan.is_held = t->sender.has_hold && t->sender.hold_s > 0;
	if (t->is_stranger) {
		struct origin_question q = {
			.conf = t->conf,
			.peer = t->peer,
			.sender = t->sender.address,
			.helo = t->mail.facts[ENVELOPE_HELO],
		};

		t->messages = count(t, RATES_MESSAGES);
		t->origin = origin_ask(t->server->dns, t->server->loop, &q, on_origin, t);
		return TRANSACTION_WAIT;
	}
	if (!policy_blocks(POLICY_MAIL, t->listener)) {
		judge_sender(t);
		report_sender(t);
		*answer = t->answer;
		return TRANSACTION_ANSWERED;
	}
	return transaction_submit(t, TASK_SENDER) ? TRANSACTION_WAIT
						  : refuse(t, "mail", SV_NONE, REPLY_BUSY, answer);
}

/* ---- RCPT ---- */

/* judge_recipient - in a job. */
static void judge_recipient(struct transaction *t)
{
	struct policy_facts facts = transaction_facts(t);
	struct policy_verdict v = recipient_add(&facts, &t->rcpt, &t->plan, t->server->store,
						t->server->queue, &t->rcpt_arena);

	t->answer = (struct transaction_answer){ .reply = REPLY_RCPT_OK };
	(void)transaction_judge(t, &v);
	t->is_to_be_asked = v.is_to_be_asked;
	memcpy(t->asked_for, v.asked_for, sizeof(t->asked_for));
}

static void report_recipient(struct transaction *t)
{
	struct buf text;

	if (t->answer.reply == REPLY_RCPT_OK)
		return;
	(void)!text_of(&t->rcpt.address, &text);
	transaction_report(t, "rcpt", buf_sv(&text), t->answer.reply);
	buf_done(&text);
}

enum transaction_step transaction_recipient(struct transaction *t, struct sv args,
					    struct transaction_answer *answer)
{
	struct sv copy;
	enum reply_id r;

	t->check = NULL;
	t->asked = ASKING_NOT_ASKED;
	arena_clear(&t->rcpt_arena);
	copy = arena_copy(&t->rcpt_arena, args);
	r = copy.p ? smtp_parse_path(&t->rcpt_arena, copy, SMTP_RCPT_TO, t->listener, &t->rcpt)
		   : REPLY_LINE_TOO_LONG;
	if (r == REPLY_OK && smtp_needs_utf8(&t->rcpt.address) && !t->sender.has_smtputf8)
		r = REPLY_NEEDS_SMTPUTF8;
	if (r == REPLY_OK)
		qualify(t, &t->rcpt.address);
	if (t->is_stranger)
		t->recipients = count(t, RATES_RECIPIENTS);
	if (r == REPLY_OK && transaction_submit(t, TASK_RECIPIENT))
		return TRANSACTION_WAIT;
	return refuse(t, "rcpt", args, r == REPLY_OK ? REPLY_BUSY : r, answer);
}

bool transaction_is_binary(const struct transaction *t)
{
	return t->sender.is_binary;
}

/* ---- jobs ---- */

static void run(struct work *w)
{
	struct transaction *t = (struct transaction *)w;

	switch (t->task) {
	case TASK_NONE:
		break;
	case TASK_SENDER:
		judge_sender(t);
		break;
	case TASK_RECIPIENT:
		judge_recipient(t);
		break;
	case TASK_WRITE:
		data_write(t);
		break;
	case TASK_LINES:
		data_to_lines(t);
		break;
	case TASK_FINISH:
		data_finish(t);
		break;
	case TASK_CLEAN:
		transaction_clean(t);
		break;
	}
}

/* on_asked - the recipient is judged again, by somebody who knows more. */
static void on_asked(void *arg, enum asking_answer answer, struct sv text)
{
	struct transaction *t = arg;

	t->asking = NULL;
	t->asked = answer;
	log_info(&t->log, "smtp.asked", KV_Z("to", t->asked_for), KV_Z("known", asking_word(answer)), KV_SV("answer", text));
	if (!transaction_submit(t, TASK_RECIPIENT)) {
		t->answer = (struct transaction_answer){ .reply = REPLY_BUSY };
		t->events->on_answer(t->user, &t->answer);
	}
}

static void ask_host(struct transaction *t)
{
	t->asking = asking_start(t->server->loop, t->server->control, sv_z(t->asked_for), on_asked, t);
	if (!t->asking)
		on_asked(t, ASKING_LATER, SV("too much is asked at this time"));
}

/* settle - on the loop: what the job found goes to the log, whoever still listens. */
static void settle(struct transaction *t, enum task task, bool is_cancelled)
{
	if (is_cancelled) {
		t->answer = (struct transaction_answer){ .reply = REPLY_SHUTDOWN };
		t->outcome = fault(FAULT_UNAVAILABLE, "the process is ending");
		if (task == TASK_WRITE || task == TASK_LINES)
			t->failed = t->outcome; /* octets that nobody has written */
	}
	if (task == TASK_SENDER)
		report_sender(t);
	else if (task == TASK_RECIPIENT)
		report_recipient(t);
	else if (task == TASK_FINISH)
		data_settle(t);
}

static void done(struct work *w, bool is_cancelled)
{
	struct transaction *t = (struct transaction *)w;
	enum task task = t->task;

	t->task = TASK_NONE;
	if (task == TASK_RECIPIENT && t->is_to_be_asked && !is_cancelled && !t->is_orphan) {
		ask_host(t);
		return;
	}
	settle(t, task, is_cancelled);
	if (t->is_orphan) {
		t->is_orphan = false;
		transaction_free(&t);
	} else if (task == TASK_WRITE || task == TASK_LINES) {
		data_wrote(t);
	} else if (task == TASK_FINISH) {
		t->events->on_end(t->user, t->answers, t->answer_count);
	} else {
		struct transaction_answer answer =
			t->answer; /* the session may free t as it reads it */

		t->events->on_answer(t->user, &answer);
	}
}

bool transaction_submit(struct transaction *t, enum task task)
{
	if (t->task != TASK_NONE)
		BUG("transaction: task %d while %d runs", task, t->task);
	t->work.run = run;
	t->work.done = done;
	t->task = task;
	if (!work_submit(t->server->loop, WORK_MAIL, &t->work).kind)
		return true;
	t->task = TASK_NONE;
	return false;
}
