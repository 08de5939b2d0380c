#include "smtpd/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/lines.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "common/work.h"
#include "smtpd/attachment.h"
#include "smtpd/policy/policy.h"
#include "smtpd/smtpd.h"

#include "common/banned.h"

#define ROWS_MAX 32

/* What became of one row. */
struct row {
	struct policy_row row;
	const char *skipped; /* NULL: it was asked */
	enum policy_action action;
	enum reply_id reply;
	bool has_finding;
	char text[640];
};

struct explain {
	struct work work;
	struct loop_member member; /* for the loop's end while the DNS is asked */
	bool is_submitted;
	struct smtpd *server;
	struct conf *conf;
	struct control_reply *reply;
	struct arena arena;
	struct address sender, recipient;
	struct netaddr peer;
	struct sv helo;
	bool is_stranger, is_relay_client, has_message;
	struct buf message;
	struct data_scanner scanner;
	struct origin *origin;
	struct origin_facts origin_facts;
	struct author *author;
	const struct author_facts *author_facts;
	struct message_facts facts;
	struct attachments *attachments;
	struct directory_route route;
	struct fault fault;
	char detail[256];
	struct row rows[ROWS_MAX];
	size_t count;
};

static void end(struct explain *e, struct fault f)
{
	loop_leave(&e->member);
	origin_free(&e->origin);
	author_free(&e->author);
	facts_done(&e->facts);
	attachments_free(&e->attachments);
	buf_done(&e->message);
	conf_unref(&e->conf);
	control_finish(&e->reply, f);
	arena_done(&e->arena);
	free(e);
}

static void on_loop_end(struct loop_member *m)
{
	struct explain *e = CONTAINER_OF(m, struct explain, member);

	if (e->is_submitted)
		loop_leave(m); /* the job's end comes */
	else
		end(e, fault(FAULT_UNAVAILABLE, "the server is stopping"));
}

/* ---- the answer ---- */

static const char *const actions[] = { "off", "log", "junk", "defer", "reject" };

static bool say_fact(struct explain *e, const char *name, struct sv text)
{
	struct json_out *j = control_line(e->reply);

	json_out_z(j, "fact", name);
	json_out_sv(j, "text", text);
	return control_line_end(e->reply);
}

static void say_factf(struct explain *e, const char *name, const char *format, ...)
	PRINTF_LIKE(3, 4);
static void say_factf(struct explain *e, const char *name, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, 4096);
	va_start(ap, format);
	buf_vappendf(&text, format, ap);
	va_end(ap);
	(void)say_fact(e, name, buf_sv(&text));
	buf_done(&text);
}

static void say_origin(struct explain *e)
{
	static const char *const names[] = { "the DNS does not answer", "none",
					     "not confirmed: ", "" };
	static const char *const senders[] = { "the DNS does not answer", "takes mail",
					       "does not exist", "says that it has no mail" };
	const struct origin_facts *o = &e->origin_facts;

	say_factf(e, "name", "%s%s", names[o->name],
		  o->name >= ORIGIN_NAME_UNCONFIRMED ? o->host : "");
	say_factf(e, "spf", "%s for %s%s%s%s%s%s", spf_result_name(o->spf), o->spf_domain,
		  *o->spf_why ? " (" : "", o->spf_why, o->spf_mechanism[0] ? ": " : "",
		  o->spf_mechanism, *o->spf_why ? ")" : "");
	say_factf(e, "sender's domain", "%s",
		  e->sender.is_null ? "none: the null sender" : senders[o->sender]);
	if (o->lists[0])
		say_factf(e, "lists", "%s, weight %d", o->lists, o->weight);
}

static void say_author(struct explain *e)
{
	const struct author_facts *a = e->author_facts;

	if (!a)
		return;
	for (size_t i = 0; a->dkim && i < dkim_verifier_count(a->dkim, NULL); i++) {
		const struct dkim_signature *s = dkim_verifier_get(a->dkim, i);

		say_factf(e, "dkim", "%s for %.*s%s%s", dkim_result_name(s->result),
			  SV_FMT(s->domain), *s->reason ? ": " : "", s->reason);
	}
	if (a->dkim && dkim_verifier_arc(a->dkim)->result != DKIM_NONE)
		say_factf(e, "arc", "%s%s", dkim_result_name(dkim_verifier_arc(a->dkim)->result),
			  a->is_vouched ? ", trusted" : "");
	say_factf(e, "author", "%s", a->domain[0] ? a->domain : "not one domain");
	say_factf(e, "dmarc", "%s%s%s%s%s", dmarc_result_name(a->dmarc.result),
		  a->dmarc.record_at[0] ? ", record at " : "", a->dmarc.record_at,
		  a->dmarc.record_at[0] ? ", policy " : "",
		  a->dmarc.record_at[0] ? dmarc_policy_name(a->dmarc.policy) : "");
}

static void say_route(struct explain *e)
{
	static const char *const answers[] = {
		[DIRECTORY_NOT_OURS] = "not one of ours",
		[DIRECTORY_UNKNOWN] = "no such name",
		[DIRECTORY_CLOSED] = "an account that takes no mail",
		[DIRECTORY_TARGETS] = "",
	};
	struct buf text;

	buf_init(&text, 2000);
	buf_append(&text, sv_z(answers[e->route.answer]));
	for (size_t i = 0;
	     e->route.answer == DIRECTORY_TARGETS && i < e->route.count && text.len < 1500; i++)
		buf_appendf(&text, "%s%.*s%s", i ? ", " : "", SV_FMT(e->route.targets[i].address),
			    e->route.targets[i].is_remote ? " (elsewhere)" : "");
	(void)say_fact(e, "recipient", buf_sv(&text));
	buf_done(&text);
}

static void say_row(struct explain *e, const struct row *r)
{
	struct json_out *j = control_line(e->reply);

	json_out_z(j, "stage", r->row.stage);
	json_out_z(j, "check", r->row.name);
	json_out_z(j, "option", r->row.option ? r->row.option : "");
	json_out_z(j, "action", actions[r->row.action]);
	if (r->skipped)
		json_out_z(j, "skipped", r->skipped);
	else if (r->has_finding)
		json_out_z(j, "finding", r->text);
	else
		json_out_null(j, "finding");
	(void)control_line_end(e->reply);
}

static void say_reply(struct explain *e)
{
	const struct row *deciding = NULL;
	bool is_junk = false;
	struct json_out *j;
	char text[800];

	for (size_t i = 0; i < e->count && !deciding; i++) {
		if (e->rows[i].action >= POLICY_DEFER)
			deciding = &e->rows[i];
		is_junk |= e->rows[i].action == POLICY_JUNK;
	}
	if (deciding) {
		const struct reply *r = reply_get(deciding->reply);

		snprintf(text, sizeof(text), "%u %s %s", r->code, r->enhanced ? r->enhanced : "",
			 deciding->text[0] ? deciding->text : r->text);
	} else {
		snprintf(text, sizeof(text), "250 2.0.0 Accepted");
	}
	j = control_line(e->reply);
	json_out_z(j, "reply", text);
	json_out_z(j, "place",
		   deciding  ? "none"
		   : is_junk ? "Junk"
			     : "as the recipient's filters say, else INBOX");
	(void)control_line_end(e->reply);
}

static void on_judged(struct work *w, bool is_cancelled)
{
	struct explain *e = CONTAINER_OF(w, struct explain, work);

	if (is_cancelled)
		e->fault = fault(FAULT_UNAVAILABLE, "the server is stopping");
	if (!e->fault.kind) {
		if (e->is_stranger) {
			say_origin(e);
			say_author(e);
		}
		say_route(e);
		for (size_t i = 0; i < e->count; i++)
			say_row(e, &e->rows[i]);
		say_reply(e);
	}
	end(e, e->fault);
}

/* ---- asking the rows, in a job ---- */

static void run_row(struct explain *e, size_t i, const struct policy_facts *facts)
{
	struct row *r = &e->rows[e->count];
	struct policy_verdict v;

	if (r->row.action == CONF_OFF)
		r->skipped = "off";
	else if (!e->has_message && !strcmp(r->row.stage, "message"))
		r->skipped = "no message was given";
	else if (!strcmp(r->row.name, "milter"))
		r->skipped = "filters are not asked dry";
	else if (!policy_run_row(i, facts, &v))
		r->skipped = "not a stranger";
	else if (v.is_to_be_asked)
		r->skipped = "its host would be asked";
	e->count++;
	if (r->skipped)
		return;
	r->action = v.action;
	r->reply = v.reply;
	r->has_finding = v.finding_count || v.action != POLICY_ACCEPT;
	snprintf(r->text, sizeof(r->text), "%s",
		 v.finding_count  ? v.findings[0].text
		 : v.text[0]      ? v.text
		 : r->has_finding ? reply_get(v.reply)->text
				  : "");
}

static void judge(struct work *w)
{
	struct explain *e = CONTAINER_OF(w, struct explain, work);
	struct policy_facts facts = {
		.conf = e->conf,
		.directory = e->server->directory,
		.listener = LISTENER_MX,
		.peer = e->peer,
		.is_stranger = e->is_stranger,
		.is_relay_client = e->is_relay_client,
		.greylist = e->server->greylist,
		.outbook = e->server->outbook,
		.now_s = date_now().seconds,
		.helo = e->helo,
		.sender = e->sender,
		.recipient = e->recipient,
		.route = &e->route,
		.message = &e->facts,
		.size = e->message.len,
		.longest_line = e->scanner.longest_line,
		.data_faults = e->scanner.faults,
	};

	e->fault = directory_resolve(e->server->directory, &e->arena, &e->recipient, &e->route);
	if (e->fault.kind) {
		snprintf(e->detail, sizeof(e->detail), "%s",
			 e->fault.detail ? e->fault.detail : "");
		e->fault.detail = e->detail;
		return;
	}
	if (e->is_stranger) {
		facts.origin = &e->origin_facts;
		if (e->has_message)
			facts.author = e->author_facts =
				author_judge(e->author, &e->origin_facts, e->conf);
		if (e->has_message)
			facts.attachment = attachments_end(e->attachments);
	}
	for (size_t i = 0; e->count < ROWS_MAX && policy_row(i, e->conf, &e->rows[e->count].row);
	     i++)
		run_row(e, i, &facts);
}

static void submit(struct explain *e)
{
	struct fault f;

	e->work.run = judge;
	e->work.done = on_judged;
	f = work_submit(e->server->loop, WORK_MAIL, &e->work);
	e->is_submitted = !f.kind;
	if (f.kind)
		end(e, f);
}

/* ---- asking the DNS ---- */

static void on_author(void *arg)
{
	submit(arg);
}

static void on_origin(void *arg, const struct origin_facts *facts)
{
	struct explain *e = arg;

	e->origin_facts = *facts;
	if (e->has_message)
		author_ask(e->author, e->server->dns, e->server->loop, &e->facts, &e->origin_facts,
			   on_author, e);
	else
		submit(e);
}

static bool to_facts(void *arg, struct sv octets)
{
	struct explain *e = arg;

	facts_feed(&e->facts, octets);
	author_feed(e->author, octets);
	attachments_feed(e->attachments, octets);
	return true;
}

/* read_message - through the scanner that DATA has, as far as it came; a file's LF is what a client
 * would send as CRLF. */
static void read_message(struct explain *e)
{
	struct sv octets = buf_sv(&e->message);

	data_scanner_init(&e->scanner, DATA_NORMALISE | DATA_NO_DOTS, to_facts, e);
	while (octets.len && data_scanner_feed(&e->scanner, &octets) == FEED_MORE)
		;
	data_scanner_finish(&e->scanner);
	e->scanner.faults &= ~(unsigned)(DATA_BARE_CR | DATA_BARE_LF);
	facts_finish(&e->facts);
	author_end(e->author);
}

/* ---- the request ---- */

static bool get_copy(struct explain *e, const struct json *request, const char *name,
		     struct sv *out)
{
	struct sv text;

	if (!json_get_sv(request, name, &text))
		return false;
	*out = arena_copy(&e->arena, text);
	return out->p != NULL;
}

static struct fault read_request(struct explain *e, const struct json *request)
{
	struct sv from = SV_NONE, to = SV_NONE, ip = SV_NONE, message;

	if (!get_copy(e, request, "from", &from) || !get_copy(e, request, "to", &to) ||
	    !get_copy(e, request, "ip", &ip))
		return fault(FAULT_INVALID, "from, to and ip are needed");
	if (!get_copy(e, request, "helo", &e->helo))
		e->helo = SV("mail.example.org");
	if (!from.len || sv_eq(from, SV("<>")))
		e->sender.is_null = true;
	else if (address_parse(&e->arena, from, &e->sender).kind)
		return fault(FAULT_INVALID, "--from is no address");
	if (address_parse(&e->arena, to, &e->recipient).kind)
		return fault(FAULT_INVALID, "--to is no address");
	if (!netaddr_parse(ip, &e->peer))
		return fault(FAULT_INVALID, "--ip is no address");
	if (json_get_sv(request, "message", &message)) {
		if (!base64_decode(message, &e->message))
			return fault(FAULT_INVALID, "the message cannot be read");
		e->has_message = true;
	}
	return FAULT_OK;
}

void explain_run(void *arg, const struct json *request, struct control_reply *reply)
{
	struct worker *w = arg;
	struct explain *e = xcalloc(1, sizeof(*e));
	struct origin_question q;
	struct fault f;

	e->server = w->state;
	e->conf = conf_ref(w->conf);
	e->reply = reply;
	arena_init(&e->arena, 4u << 20);
	buf_init(&e->message, EXPLAIN_MESSAGE_MAX);
	facts_init(&e->facts);
	e->attachments = attachments_new(&e->conf->policy.attachment_endings);
	e->author = author_new(date_now().seconds);
	e->member.close = on_loop_end;
	loop_join(w->loop, &e->member);
	f = read_request(e, request);
	if (f.kind) {
		end(e, f);
		return;
	}
	if (e->has_message)
		read_message(e);
	e->is_relay_client = netaddr_in(&e->peer, &e->conf->policy.relay_networks);
	e->is_stranger =
		!e->is_relay_client && !netaddr_in(&e->peer, &e->conf->host.exempt_networks);
	if (!e->is_stranger) {
		submit(e);
		return;
	}
	q = (struct origin_question){
		.conf = e->conf, .peer = e->peer, .sender = e->sender, .helo = e->helo
	};
	e->origin = origin_ask(e->server->dns, e->server->loop, &q, on_origin, e);
}
