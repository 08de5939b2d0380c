/* The octets of a message: scanner -> facts -> fix-up -> window -> job -> outlets. */
#include <stdio.h>
#include <stdlib.h>

#include "common/daybook.h"
#include "common/events.h"
#include "common/outbook.h"
#include "common/unsubscribe.h"
#include "smtpd/dmarcreport.h"
#include "smtpd/feedback.h"
#include "smtpd/filtering.h"
#include "smtpd/rejects.h"
#include "smtpd/transaction_private.h"

#include "common/banned.h"

/* ---- on the loop ---- */

static void on_refused(struct deferred *d)
{
	struct transaction *t = CONTAINER_OF(d, struct transaction, refused);

	data_settle(t);
	t->events->on_end(t->user, t->answers, t->answer_count);
}

void data_init(struct transaction *t)
{
	buf_init(&t->window, WINDOW_MAX);
	buf_init(&t->chunk, WINDOW_MAX);
	buf_init(&t->date_line, 128);
	buf_init(&t->id_line, 512);
	buf_init(&t->unsubscribe_lines, 2048);
	buf_init(&t->from_line, 512);
	facts_init(&t->facts);
	arena_init(&t->seal_arena, 2 * AUTHRES_MAX);
	deferred_init(&t->refused, t->server->loop, on_refused);
	if (t->is_stranger)
		t->author = author_new(date_now().seconds);
}

void data_done(struct transaction *t)
{
	deferred_cancel(&t->refused);
	attachments_free(&t->attachments);
	buf_done(&t->window);
	buf_done(&t->chunk);
	buf_done(&t->date_line);
	buf_done(&t->id_line);
	buf_done(&t->unsubscribe_lines);
	buf_done(&t->from_line);
	facts_done(&t->facts);
	arena_done(&t->seal_arena);
}

bool transaction_is_too_big(const struct transaction *t)
{
	return t->scanner.size > conf_message_size(t->conf, t->listener);
}

/* is_doomed - nothing that still comes can be accepted: it is read, and dropped. */
static bool is_doomed(const struct transaction *t)
{
	return transaction_is_too_big(t) || t->is_failed;
}

static bool to_window(void *ctx, struct sv run)
{
	struct transaction *t = ctx;

	if (!buf_append(&t->window, run))
		BUG("transaction: window of %zu octets is too small", t->window.max);
	return true;
}

static bool on_octets(void *ctx, struct sv run)
{
	struct transaction *t = ctx;

	facts_feed(&t->facts, run);
	if (is_doomed(t))
		return true;
	if (t->author)
		author_feed(t->author, run);
	if (t->is_stripping)
		return strip_feed(&t->strip, run);
	return t->is_fixing ? fixup_feed(&t->fixup, run) : to_window(t, run);
}

static void prepare_trace(struct transaction *t)
{
	struct sv utf8;
	const struct accept_rcpt *only = t->plan.rcpt_count == 1 ? t->plan.rcpts : NULL;
	const char *protocol =
		trace_protocol(t->listener, t->is_extended, t->is_tls, t->identity && !t->is_device,
			       envelope_param(t->mail.params, SV("SMTPUTF8"), &utf8));

	if (!envelope_set_fact(&t->mail, ENVELOPE_PROTOCOL, sv_z(protocol)))
		BUG("transaction: the protocol does not fit an envelope");
	t->trace = (struct trace){
		.hostname = t->conf->host.hostname,
		.helo = t->mail.facts[ENVELOPE_HELO],
		.peer = t->peer,
		.protocol = protocol,
		.tls = t->mail.facts[ENVELOPE_TLS],
		.id = t->mail.facts[ENVELOPE_ID],
		.for_rcpt = only ? only->address : SV_NONE,
		.now = date_now(),
	};
}

/* prepare_unsubscribe - the link of a bulk sender's message: who gets it must be one alone. */
static void prepare_unsubscribe(struct transaction *t)
{
	struct sv account = identity_address(t->identity);

	if (t->plan.rcpt_count == 1 && unsubscribe_mode(t->conf, account) == UNSUBSCRIBE_ADD &&
	    unsubscribe_write(t->conf, t->server->directory, account, t->plan.rcpts->address, &t->unsubscribe_lines))
		t->fixup.unsubscribe = buf_sv(&t->unsubscribe_lines);
}

void transaction_begin(struct transaction *t, bool is_bdat)
{
	bool is_submission = t->identity != NULL;
	bool normalise = is_submission &&
			 t->conf->smtp.submission_bare_newline == CONF_BARE_NEWLINE_NORMALISE;

	t->has_begun = true;
	t->is_bdat = is_bdat;
	t->is_fixing = is_submission;
	t->is_stripping = t->is_stranger;
	t->is_spilling |= t->sender.is_binary;
	if (t->is_stripping)
		strip_init(&t->strip, t->conf->host.hostname, to_window, t);
	prepare_trace(t);
	data_scanner_init(&t->scanner,
			  (t->sender.is_binary ? DATA_BINARY : normalise ? DATA_NORMALISE : 0) | (is_bdat ? DATA_NO_DOTS : 0),
			  on_octets, t);
	if (t->is_fixing && trace_date(&t->date_line, t->trace.now) &&
	    trace_message_id(&t->id_line, t->trace.id, t->trace.hostname))
		fixup_init(&t->fixup, buf_sv(&t->date_line), buf_sv(&t->id_line), to_window, t);
	else
		t->is_fixing = false;
	if (t->is_fixing)
		prepare_unsubscribe(t);
	/* A device may know no author: it is who sends. */
	if (t->is_fixing && t->listener == LISTENER_LEGACY &&
	    buf_appendf(&t->from_line, "From: <%.*s>\r\n", SV_FMT(identity_address(t->identity))))
		t->fixup.from = buf_sv(&t->from_line);
}

bool transaction_has_begun(const struct transaction *t)
{
	return t->has_begun;
}

/* take_window - the window becomes the job's chunk; the chunk's memory gathers next. */
static void take_window(struct transaction *t)
{
	struct buf b = t->chunk;

	t->is_tls_optional = t->facts.is_tls_optional;  /* the job must not look at facts that still change */
	t->chunk = t->window;
	t->window = b;
	buf_clear(&t->window);
}

static void flush(struct transaction *t);

/* ---- what wants the whole message in the file ---- */

/* submit_octets - a job for them. */
static void submit_octets(struct transaction *t, enum task task)
{
	if (transaction_submit(t, task))
		return;
	t->failed = fault(FAULT_BUSY, "no thread for it");
	t->is_failed = true;
	flush(t);
}

static void spill_rest(struct transaction *t)
{
	t->is_spilled = true;
	take_window(t);
	submit_octets(t, TASK_WRITE);
}

/* drop_window - the next step may take its time, and all octets are in the file. */
static void drop_window(struct transaction *t)
{
	buf_done(&t->window);
	buf_done(&t->chunk);
}

/* Of a binary message filters, attachments and everybody else see the lines that will be delivered. */
static bool wants_lines(const struct transaction *t)
{
	return t->sender.is_binary && !t->has_lines && !is_doomed(t);
}

static void make_lines(struct transaction *t)
{
	t->has_lines = true;
	drop_window(t);
	submit_octets(t, TASK_LINES);
}

static bool wants_filter(const struct transaction *t)
{
	return t->filters && !t->has_filter && !t->lines.obstacle && !is_doomed(t);
}

static void on_filter(void *arg, const struct screen_verdict *v)
{
	struct transaction *t = arg;
	struct buf headers = t->filter.headers;

	buf_append(&headers, buf_sv(&v->headers));
	t->filter = *v;
	t->filter.headers = headers;
	t->has_filter = true;
	screen_free(&t->screen);
	flush(t);
}

static void ask_filter(struct transaction *t)
{
	struct screen_message message = {
		.peer = t->peer,
		.host = t->origin_facts.name == ORIGIN_NAME_CONFIRMED ? sv_z(t->origin_facts.host) : SV_NONE,
		.helo = t->mail.facts[ENVELOPE_HELO],
		.sender = t->mail.sender,
		.user = t->mail.facts[ENVELOPE_USER],
		.tls = t->mail.facts[ENVELOPE_TLS],
		.password = sv_z(t->server->rspamd_password),
		.queue_id = t->mail.facts[ENVELOPE_ID],
		.hostname = sv_z(t->conf->host.hostname),
		.octets = &t->spill,
	};
	struct sv *rcpts;

	drop_window(t);
	rcpts = arena_array(&t->sender_arena, t->plan.rcpt_count, sizeof(*rcpts));
	for (const struct accept_rcpt *r = t->plan.rcpts; rcpts && r; r = r->next)
		rcpts[message.rcpt_count++] = r->address;
	message.rcpts = rcpts;
	t->screen = screen_ask(t->server->loop, t->filters, (uint32_t)t->conf->policy.milter_ms, &message, &t->log, on_filter, t);
}

/* flush - have a job write the window, or finish when everything is there. */
static void flush(struct transaction *t)
{
	if (t->task != TASK_NONE)
		return;         /* its end comes back here */
	if (t->is_finishing && (t->is_author_open || t->screen))
		return;         /* so do their answers */
	if (t->is_finishing && (wants_lines(t) || wants_filter(t))) {
		if (!t->is_spilled)
			spill_rest(t);
		else if (wants_lines(t))
			make_lines(t);
		else
			ask_filter(t);
		return;
	}
	if (t->is_finishing) {
		take_window(t);
		if (!transaction_submit(t, TASK_FINISH)) {
			t->answer = (struct transaction_answer){ .reply = REPLY_BUSY };
			t->outcome = fault(FAULT_BUSY, "no thread for it");
			deferred_call(&t->refused);
		}
		return;
	}
	if (is_doomed(t))
		buf_clear(&t->window);
	if (t->window.len < TRANSACTION_CHUNK)
		return;
	take_window(t);
	if (!transaction_submit(t, TASK_WRITE)) {
		t->failed = fault(FAULT_BUSY, "no thread for it");
		t->is_failed = true;
		buf_clear(&t->window);
	}
}

static void on_author(void *arg)
{
	struct transaction *t = arg;

	t->is_author_open = false;
	flush(t);
}

/* ask_author - once the header is there. */
static void ask_author(struct transaction *t)
{
	if (!t->author || !t->facts.has_ended || author_is_asked(t->author))
		return;
	t->is_author_open = true;
	author_ask(t->author, t->server->dns, t->server->loop, &t->facts, &t->origin_facts, on_author, t);
}

enum feed transaction_feed(struct transaction *t, struct sv *in)
{
	struct sv part = sv_sub(*in, 0, FEED_AT_ONCE);
	size_t had = part.len;
	enum feed r = data_scanner_feed(&t->scanner, &part);

	sv_skip(in, had - part.len);
	ask_author(t);
	flush(t);
	return r;
}

bool transaction_is_full(const struct transaction *t)
{
	return t->task == TASK_WRITE && t->window.len >= TRANSACTION_CHUNK;
}

void data_wrote(struct transaction *t)
{
	t->is_failed = t->failed.kind != FAULT_NONE;
	flush(t);
	if (!t->is_finishing)
		t->events->on_room(t->user);
}

void transaction_finish(struct transaction *t)
{
	if (t->is_bdat)
		data_scanner_finish(&t->scanner);
	facts_finish(&t->facts);
	if (t->is_fixing && !is_doomed(t) && !fixup_finish(&t->fixup))
		BUG("transaction: the fix-up does not fit the window");
	if (t->is_stripping && !is_doomed(t) && !strip_finish(&t->strip))
		BUG("transaction: what was held back does not fit the window");
	if (t->author)
		author_end(t->author);
	ask_author(t);
	t->is_finishing = true;
	flush(t);
}

/* ---- in a job ---- */

/* is_of_author - is the sender's domain one of the author's organization, for which DMARC speaks? */
static bool is_of_author(const struct transaction *t)
{
	struct sv org = sv_z(t->author_facts->dmarc.organization), domain = t->sender.address.domain;
	size_t more = domain.len > org.len ? domain.len - org.len : 0;

	return org.len && sv_eq_nocase(sv_sub(domain, more, SIZE_MAX), org) && (!more || domain.p[more - 1] == '.');
}

/* is_disbelieved - is the sender most likely forged? What DMARC, or a trusted sealer who saw it pass, says of the author counts more
 * than what SPF does, when it is the sender's, too: else whoever signs as himself could have notices sent to anybody. */
static bool is_disbelieved(const struct transaction *t)
{
	const struct author_facts *a = t->author_facts;

	if (!t->is_stranger || !t->has_origin || (a && (a->dmarc.result == DMARC_PASS || a->is_vouched) && is_of_author(t)))
		return false;
	return (a && a->dmarc.result == DMARC_FAIL && !a->is_vouched) || t->origin_facts.spf == SPF_FAIL || t->origin_facts.spf == SPF_SOFTFAIL;
}

/* is_believed - who logged in, hosts that are listed, and whom SPF confirms, or DMARC in the sender's own domain. Of hosts in
 * exempt-networks nothing was asked. */
static bool is_believed(const struct transaction *t)
{
	const struct author_facts *a = t->author_facts;

	if (t->identity || t->is_relay_client)
		return true;
	if (!t->is_stranger || !t->has_origin || t->sender.address.is_null || is_disbelieved(t))
		return false;
	return (t->origin_facts.spf == SPF_PASS && !t->origin_facts.is_spf_of_helo) ||
	       (a && a->dmarc.result == DMARC_PASS && sv_eq_nocase(sv_z(a->domain), t->sender.address.domain));
}

static struct outlet_source source_of(const struct transaction *t)
{
	return (struct outlet_source){
		.plan = &t->plan, .queue = t->server->queue, .mail = &t->mail, .trace = &t->trace,
		.extra = buf_sv(&t->extra),
		.directory = t->conf->policy.srs ? t->server->directory : NULL,
		/* fix-ups may add a little to a message of the largest size */
		.size_max = (t->lines.size > t->conf->smtp.message_size ? t->lines.size : t->conf->smtp.message_size) + TRACE_MAX,
		.is_tls_optional = t->is_tls_optional,
		.is_ours = t->identity != NULL,
		.is_disbelieved = is_disbelieved(t),
		.is_believed = is_believed(t),
		.seal = t->seal.authserv_id.len ? &t->seal : NULL,
	};
}

/* prepare_seal - what an address of ours that sends the message on vouches for: the results, and the chain that came. */
static void prepare_seal(struct transaction *t)
{
	struct sv results = buf_sv(&t->extra);
	size_t end = sv_find(results, ';');

	if (!t->author_facts || !t->author_facts->dkim)
		return;
	t->seal = (struct signer_seal){ .authserv_id = sv_z(t->conf->host.hostname),
					.chain = dkim_verifier_arc(t->author_facts->dkim) };
	if (end == SIZE_MAX)
		return;
	sv_skip(&results, end + 1);
	t->seal.results = arena_copy(&t->seal_arena, results);
}

static bool to_outlets(void *ctx, struct sv octets)
{
	struct transaction *t = ctx;

	t->failed = outlets_write(&t->outlets, octets);
	return !t->failed.kind;
}

static struct fault unspill(void *arg, struct sv octets)
{
	return strip_feed(arg, octets) ? FAULT_OK : fault(FAULT_INTERNAL, "an outlet is closed");
}

/* write_spilled - without the fields that filters take out. */
static void write_spilled(struct transaction *t)
{
	struct sv names[SCREEN_REMOVED_MAX];
	struct strip strip;
	struct fault f;

	for (size_t i = 0; i < t->filter.removed.count; i++)
		names[i] = sv_z(t->filter.removed.names[i]);
	strip_init_names(&strip, names, t->filter.removed.count, to_outlets, t);
	if (t->spill.fd >= 0) {
		f = spill_read(&t->spill, unspill, &strip);
		t->failed = t->failed.kind ? t->failed : f;
		spill_close(&t->spill);
	}
	/* The sink keeps its fault. */
	if (!t->failed.kind && strip_feed(&strip, buf_sv(&t->chunk)))
		(void)strip_finish(&strip);
}

/* write_out - to where the message goes. */
static void write_out(struct transaction *t)
{
	struct outlet_source source = source_of(t);

	if (!t->failed.kind && !t->outlets.is_open)
		t->failed = outlets_open(&t->outlets, &source);
	if (!t->failed.kind && t->is_spilling)
		write_spilled(t);
	else if (!t->failed.kind)
		t->failed = outlets_write(&t->outlets, buf_sv(&t->chunk));
}

/* data_write - where the header on top says what was found out in the end, the octets lie in a file until then. */
void data_write(struct transaction *t)
{
	if (!t->failed.kind && t->is_spilling)
		t->failed = spill_write(&t->spill, instance_path(t->server->worker->instance, INSTANCE_QUEUE),
					buf_sv(&t->chunk));
	else
		write_out(t);
	buf_clear(&t->chunk);
}

void data_to_lines(struct transaction *t)
{
	uint64_t octets = t->spill.size;

	t->failed = binary_to_lines(&t->spill, instance_path(t->server->worker->instance, INSTANCE_QUEUE), &t->lines);
	log_info(&t->log, "smtp.binary", KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]), KV_U64("octets", octets), KV_U64("lines", t->lines.size),
		 KV_Z("obstacle", t->lines.obstacle ? t->lines.obstacle : "-"));
}

static struct fault to_attachments(void *arg, struct sv octets)
{
	attachments_feed(arg, octets);
	return FAULT_OK;
}

/* look_at_attachments - now, and not while the message streams by: what a hostile one makes a parser keep (common/mime.h) is then
 * a job's and not each session's, for as long as it likes to say nothing. */
static void look_at_attachments(struct transaction *t)
{
	if (!t->is_stranger || t->conf->policy.attachment == CONF_OFF || t->failed.kind)
		return;
	t->attachments = attachments_new(&t->conf->policy.attachment_endings);
	t->failed = spill_read(&t->spill, to_attachments, t->attachments);
	attachments_feed(t->attachments, buf_sv(&t->chunk));
	t->attachment = attachments_end(t->attachments);
}

/* judge_message - the last word of policy, before anything is delivered. */
static bool judge_message(struct transaction *t)
{
	struct policy_facts facts;
	struct sv forwarders[ACCEPT_FORWARDERS_MAX + 1];
	struct policy_verdict v;

	if (t->author)
		t->author_facts = author_judge(t->author, &t->origin_facts, t->conf);
	look_at_attachments(t);
	facts = transaction_facts(t);
	facts.message = &t->facts;
	facts.size = t->scanner.size;
	facts.is_binary = t->sender.is_binary;
	facts.no_lines = t->lines.obstacle;
	facts.longest_line = facts.is_binary ? t->lines.longest_line : t->scanner.longest_line;
	facts.data_faults = facts.is_binary ? t->lines.faults : t->scanner.faults;
	facts.forwarders = forwarders;
	facts.forwarder_count = accept_forwarders(&t->plan, forwarders);
	v = policy_run(POLICY_MESSAGE, &facts);
	return transaction_judge(t, &v);
}

/* message_id - the message's own, or the one it got here. */
static struct sv message_id(const struct transaction *t)
{
	struct sv line = buf_sv(&t->id_line);
	size_t start = sv_find(line, '<');

	if (t->facts.message_id.len || !t->is_fixing || start == SIZE_MAX)
		return t->facts.message_id;
	return sv_sub(line, start + 1, sv_find(line, '>') - start - 1);
}

/* count_sent - what goes elsewhere counts for the account. */
static void count_sent(const struct transaction *t)
{
	size_t most = accept_count(&t->plan, ACCEPT_REDIRECT), count = 0;
	struct sv *rcpts = xcalloc(most + 1, sizeof(*rcpts));
	struct fault f;

	for (const struct accept_rcpt *r = t->plan.rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			if (p->kind == ACCEPT_REDIRECT && !p->via.len && count < most)
				rcpts[count++] = p->redirect;
	f = outbook_count(t->server->outbook, identity_address(t->identity), rcpts, count, date_now().seconds);
	if (f.kind)
		log_warn(&t->log, "smtp.count", KV_FAULT("fault", f));
	free(rcpts);
}

/* deliver - the receivers' filters change the plan, then the plan is carried out. */
static struct fault deliver(struct transaction *t)
{
	bool is_lmtp = t->listener == LISTENER_LMTP, is_refused = false;
	struct outlet_source source = source_of(t);
	struct filtering_source filtered = {
		.filters = t->server->filters, .store = t->server->store,
		.directory = t->server->directory, .conf = t->conf,
		.plan = &t->plan, .outlets = &t->outlets, .outlet = &source, .facts = &t->facts,
		.is_lmtp = is_lmtp, .is_junk = t->plan.is_junk, .log = &t->log,
	};
	struct filtering filtering;
	struct fault f;

	t->results = xcalloc(t->plan.rcpt_count, sizeof(*t->results));
	f = filtering_run(&filtering, &filtered, t->results, &is_refused);
	if (!f.kind && !is_refused)
		f = outlets_commit(&t->outlets, &source, is_lmtp, t->results, &t->log,
				   message_id(t));
	else
		for (size_t i = 0; i < t->plan.rcpt_count; i++)
			t->results[i].fault = f;
	if (!f.kind && !is_refused && t->identity && t->server->outbook)
		count_sent(t);
	filtering_settle(&filtering, t->results);
	filtering_done(&filtering);
	return f;
}

/* tell - what was found out, for programs and people; and where junk goes. */
static void tell(struct transaction *t)
{
	struct authres results = transaction_results(t);

	if (t->is_stranger && !authres_write(&t->extra, &results))
		log_warn(&t->log, "smtp.results.too-long", KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]));
	if (t->is_stranger)
		prepare_seal(t);
	(void)!buf_append(&t->extra, buf_sv(&t->filter.headers));
	if (!t->junk.len)
		return;
	accept_set_junk(&t->plan);
	if (!trace_junk(&t->extra, buf_sv(&t->junk)))
		log_warn(&t->log, "smtp.reasons.too-long", KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]));
}

static bool is_for_reports(const struct transaction *t)
{
	const struct conf_list *list = &t->conf->policy.report_addresses;

	for (const struct accept_rcpt *r = t->plan.rcpts; r; r = r->next)
		for (size_t i = 0; i < list->count; i++)
			if (sv_eq_nocase(sv_z(list->items[i]), r->address))
				return true;
	return false;
}

/* is_reporter - does a proven domain, one above it, or its one author, stand in complaint-reporters? */
static bool is_reporter(const struct transaction *t, struct sv domain)
{
	const struct conf_list *list = &t->conf->policy.complaint_reporters;
	bool is_one = t->facts.from_count == 1 && t->facts.from_address_count == 1 && !t->facts.is_from_capped;

	for (size_t i = 0; i < list->count; i++) {
		struct sv name = sv_z(list->items[i]), end = domain.len >= name.len ? sv_sub(domain, domain.len - name.len, SIZE_MAX) : SV_NONE;

		if (sv_find(name, '@') != SIZE_MAX && is_one && sv_eq_nocase(t->facts.from[0], name))
			return true;
		if (end.len && sv_eq_nocase(end, name) && (end.len == domain.len || domain.p[domain.len - end.len - 1] == '.'))
			return true;
	}
	return false;
}

/* heed - who complained gets no more of that sender. Anybody can write such a report: it counts when it quotes our own link, or when
 * a provider that is known for it has proven to be its author. */
static void heed(struct transaction *t, const struct complaint *c, const struct feedback_mail *mail)
{
	struct sv sender = sv_z(c->sender), recipient = sv_z(c->recipient);
	struct buf account, address;
	bool is_ours = false, is_believed;
	struct fault f = FAULT_OK;

	if (!complaint_is_about_spam(c) || !t->server->outbook)
		return;
	buf_init(&account, DIRECTORY_ADDRESS_MAX);
	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	is_believed = c->token[0] && unsubscribe_read(t->server->directory, sv_z(c->token), &account, &address);
	if (is_believed) {
		sender = buf_sv(&account);
		recipient = buf_sv(&address);
	} else {
		is_believed = mail->is_proven && is_reporter(t, mail->sender) && recipient.len &&
			      !directory_is_local_domain(t->server->directory, sv_sub(sender, sv_rfind(sender, '@') + 1, SIZE_MAX), &is_ours).kind &&
			      is_ours;
	}
	if (is_believed)
		f = outbook_refuse(t->server->outbook, sender, recipient, OUTBOOK_COMPLAINED, mail->at_s);
	event_emit(&t->log, EVENT_SMTP_COMPLAINT, KV_SV("of", recipient), KV_SV("about", sender), KV_Z("type", c->type),
		   KV_Z("believed", is_believed ? "yes" : "no"), KV_Z("message_id", c->message_id), KV_FAULT("fault", f));
	buf_done(&account);
	buf_done(&address);
}

/* keep_reports - of a message that was delivered, as any other is. */
static void keep_reports(struct transaction *t)
{
	const struct author_facts *author = t->author_facts;
	struct feedback_mail mail = { .at_s = date_now().seconds };
	struct complaint complaint = { .type = "" };
	char folder[4096];

	if (!t->outlets.incoming || !is_for_reports(t))
		return;
	if (author) {
		mail.sender = sv_z(author->domain);
		mail.is_proven = author->dmarc.result == DMARC_PASS;
	}
	snprintf(folder, sizeof(folder), "%s/" FEEDBACK_FOLDER, instance_path(t->server->worker->instance, INSTANCE_QUEUE));
	feedback_keep(incoming_file(t->outlets.incoming), incoming_size(t->outlets.incoming), &mail, folder, &complaint);
	if (complaint.type[0])
		heed(t, &complaint, &mail);
}

/* is_kept - although it is refused: for what it says, and for good. */
static bool is_kept(const struct transaction *t)
{
	return t->conf->policy.rejects == CONF_REJECTS_KEEP && t->is_stranger && t->check && policy_is_of_content(t->check) &&
	       reply_get(t->answer.reply)->code >= 500 && !t->failed.kind && !transaction_is_too_big(t);
}

static void keep_refused(struct transaction *t)
{
	char why[800];
	struct rejects_message m = {
		.plan = &t->plan, .trace = &t->trace, .sender = t->mail.sender, .queue_id = t->mail.facts[ENVELOPE_ID],
		.extra = buf_sv(&t->extra), .octets = &t->spill, .rest = buf_sv(&t->chunk),
	};

	snprintf(why, sizeof(why), "%s (%s)", t->check, t->answer.text[0] ? t->answer.text : reply_get(t->answer.reply)->text);
	m.why = sv_z(why);
	rejects_keep(&m, &t->log);
}

void data_finish(struct transaction *t)
{
	buf_done(&t->window);   /* nothing gathers any more, and reading the file again wants as much */
	t->answer = (struct transaction_answer){ .reply = REPLY_OK };
	if (judge_message(t)) {
		tell(t);
		write_out(t);
		t->outcome = t->failed.kind ? t->failed : deliver(t);
		if (!t->outcome.kind)
			keep_reports(t);
	} else if (is_kept(t)) {
		tell(t);
		keep_refused(t);
	}
	transaction_clean(t);
}

/* ---- the end, on the loop ---- */

static enum reply_id reply_for_result(const struct transaction *t, struct fault f)
{
	enum reply_id r = reply_for_fault(f.kind);

	/* One full mailbox among several: a final refusal would keep the mail from the others. */
	if (r == REPLY_MAILBOX_FULL && t->listener != LISTENER_LMTP && t->plan.rcpt_count > 1)
		return REPLY_SOME_MAILBOX_FULL;
	return r;
}

/* answer_one - for the whole message, or for one recipient of LMTP. */
static void answer_one(struct transaction *t, const struct outlet_result *result, struct sv to,
		       struct transaction_answer *out)
{
	struct fault f = result->fault;

	*out = t->answer;
	if (out->reply == REPLY_OK && f.kind) {
		out->reply = reply_for_result(t, f);
		if (f.kind != FAULT_QUOTA)
			log_warn(&t->log, "smtp.message.failed",
				 KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]),
				 KV_FAULT("fault", f));
	}
	if (out->reply == REPLY_OK && result->refusal.p) {
		out->reply = REPLY_FILTERED;
		snprintf(out->text, sizeof(out->text), "%.*s",
			 SV_FMT(sv_sub(sv_trim(result->refusal), 0, sizeof(out->text) - 1)));
	}
	if (out->reply == REPLY_OK)
		snprintf(out->text, sizeof(out->text), "Accepted, id %.*s",
			 SV_FMT(t->mail.facts[ENVELOPE_ID]));
	else
		transaction_report(t, "message", to, out->reply);
}

static void report_accepted(struct transaction *t)
{
	struct buf results;
	bool any = false;

	for (size_t i = 0; i < t->answer_count; i++)
		any |= t->answers[i].reply == REPLY_OK;
	if (!any)
		return;
	t->server->counters.accepted++;
	buf_init(&results, AUTHRES_MAX);
	transaction_results_text(t, &results);
	event_emit(&t->log, EVENT_SMTP_ACCEPT, KV_SV("queue_id", t->mail.facts[ENVELOPE_ID]),
		   KV_SV("message_id", message_id(t)), KV_SV("from", t->mail.sender),
		   KV_U64("recipients", t->plan.rcpt_count), KV_U64("size", t->scanner.size),
		   KV_SV("listener", t->mail.facts[ENVELOPE_LISTENER]),
		   KV_SV("user", t->mail.facts[ENVELOPE_USER]),
		   KV_SV("tls", t->mail.facts[ENVELOPE_TLS]),
		   KV_U64("took_ms", loop_now_ms(t->server->loop) - t->began_ms),
		   KV_SV("results", buf_sv(&results)), KV_SV("checks", buf_sv(&t->found)));
	buf_done(&results);
}

/* note_for_report - of what was put off nothing is noted: it comes again. */
static void note_for_report(struct transaction *t)
{
	enum reply_id reply = t->answers[0].reply;
	bool is_refused = reply_get(reply)->code >= 500;
	struct dmarcreport_message m = {
		.author = t->author_facts, .origin = &t->origin_facts, .peer = &t->peer, .action = t->dmarc_action,
		.refused_by = is_refused && t->check && strcmp(t->check, "dmarc") != 0 ? t->check : NULL,
	};
	struct buf line;

	if (!t->server->dmarc || !m.author || (reply != REPLY_OK && !is_refused))
		return;
	buf_init(&line, DAYBOOK_LINE_MAX);
	if (dmarcreport_line(&m, &line))
		daybook_add(t->server->dmarc, buf_sv(&line));
	buf_done(&line);
}

void data_settle(struct transaction *t)
{
	bool is_lmtp = t->listener == LISTENER_LMTP;
	struct outlet_result whole = { .fault = t->outcome };
	size_t i = 0;

	/* Of SMTP a refusal is everybody's, or it is no answer but a message (RFC 5429 §2.1.2). */
	if (t->results && !is_lmtp)
		whole.refusal = t->results[0].refusal;
	t->answer_count = is_lmtp ? t->plan.rcpt_count : 1;
	t->answers = xcalloc(t->answer_count, sizeof(*t->answers));
	if (!is_lmtp)
		answer_one(t, &whole, SV_NONE, &t->answers[0]);
	for (const struct accept_rcpt *r = t->plan.rcpts; is_lmtp && r; r = r->next, i++)
		answer_one(t, t->results ? &t->results[i] : &whole, r->address, &t->answers[i]);
	report_accepted(t);
	note_for_report(t);
}
