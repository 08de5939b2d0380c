/* What the command line may ask the relay (admin/queue.c). The loop copies what it knows of messages; a job adds what stands
 * in their files and picks those that are meant; the loop answers, or does what is asked and then answers.
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
 * Filters: "user" (who was logged in), "from" and "to" (an address, or @domain), "domain" (where it goes), "older" (seconds), "reason" (part of it), "state". */
#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/explain.h"
#include "smtpd/relay/question.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/webhook.h"

#include "common/banned.h"

#define PENDING_MOST 200
#define PAGE_MOST 1000

enum action { ACTION_LIST = 0, ACTION_SHOW, ACTION_RETRY, ACTION_HOLD, ACTION_RELEASE, ACTION_REMOVE, ACTION_BOUNCE };

static const struct {
	const char *name;
	enum action action;
} actions[] = {
	{ "retry", ACTION_RETRY }, { "hold", ACTION_HOLD }, { "release", ACTION_RELEASE },
	{ "remove", ACTION_REMOVE }, { "bounce", ACTION_BOUNCE },
};

/* A message as the loop knows it. */
struct known {
	char id[QUEUE_ID_LEN + 1];
	const char *state;              /* a literal */
	int64_t received_s;             /* by the queue's time */
	int64_t next_s;                 /* next attempt, likewise; 0: none is planned */
	uint32_t failures;
	char destinations[120], reason[300];
	bool is_wanted;
};

struct asked {
	struct work work;
	struct asker asker;
	struct relay *relay;
	struct control_reply *reply;
	enum action action;
	struct known *messages;
	size_t count;
	char *id, *from, *to, *user, *domain, *reason, *state;         /* filters, or NULL */
	char *after, *until;            /* of all messages those between, or NULL */
	size_t page;                    /* at most so many of them */
	bool has_more;
	uint64_t older_s;
	int64_t now_s;
	struct buf lines;               /* JSON objects, each followed by a newline */
	struct fault fault;
	char detail[256];
	/* doing: ops under way, and what came of them */
	uint64_t pending, done, busy, failed;
	size_t next;                    /* message */
};

/* ---- what the loop knows ---- */

static void append_word(char *to, size_t size, const char *word)
{
	size_t len = strlen(to);

	if (len + strlen(word) + 2 < size)
		snprintf(to + len, size - len, "%s%s", len ? " " : "", word);
}

static const char *state_of(const struct message *m)
{
	const char *state = "waiting";

	if (m->is_held)
		return "held";
	for (const struct part *p = m->parts; p; p = p->next_of_message) {
		if (p->state == PART_ACTIVE)
			return "sending";
		if (p->destination->is_paused)
			state = "paused";
		else if (p->failures || p->destination->blocked_until_ms ||
			 (p->destination->provider && p->destination->provider->blocked_until_ms))
			state = "deferred";
	}
	return state;
}

static void copy_known(struct asked *a, const struct message *m)
{
	struct known *k = &a->messages[a->count++];
	uint64_t now = loop_now_ms(a->relay->loop), next = UINT64_MAX;

	memcpy(k->id, m->id, sizeof(k->id));
	k->state = state_of(m);
	k->received_s = m->received_s;
	for (const struct part *p = m->parts; p; p = p->next_of_message) {
		const struct destination *d = p->destination;
		uint64_t due = p->state == PART_WAITING ? p->due_ms : now;

		if (d->blocked_until_ms > due)
			due = d->blocked_until_ms;
		if (d->provider && d->provider->blocked_until_ms > due)
			due = d->provider->blocked_until_ms;
		if (due < next)
			next = due;
		if (p->failures > k->failures)
			k->failures = p->failures;
		append_word(k->destinations, sizeof(k->destinations),
			    d->name[0] == '=' ? "(local)" : d->name);
		if (d->reason[0] && !k->reason[0])
			snprintf(k->reason, sizeof(k->reason), "%s %.280s", d->status, d->reason);
		else if (d->provider && d->provider->blocked_until_ms && !k->reason[0])
			snprintf(k->reason, sizeof(k->reason), "%s %s: %.200s", d->provider->status, d->provider->name, d->provider->reason);
	}
	if (next != UINT64_MAX && next > now && !m->is_held)
		k->next_s = a->now_s + (int64_t)((next - now) / 1000);
}

/* The messages that this answer is about: those of the lowest ids. */
struct page {
	struct asked *asked;
	const struct message **found;   /* room for twice as many */
	size_t count;
	const char *before;             /* the highest id of a full page: all others are lower; NULL: not full yet */
	const char *last;               /* of all */
};

static int by_id(const void *x, const void *y)
{
	return strcmp((*(const struct message *const *)x)->id, (*(const struct message *const *)y)->id);
}

static void cut_page(struct page *p)
{
	qsort(p->found, p->count, sizeof(*p->found), by_id);
	if (p->count <= p->asked->page)
		return;
	p->count = p->asked->page;
	p->before = p->found[p->count - 1]->id;
	p->asked->has_more = true;
}

static bool collect(void *arg, struct message *m)
{
	struct page *p = arg;
	const struct asked *a = p->asked;

	if (m->is_leaving || (a->after && strcmp(m->id, a->after) <= 0) || (a->until && strcmp(m->id, a->until) > 0))
		return true;
	if (!p->last || strcmp(m->id, p->last) > 0)
		p->last = m->id;
	if (p->before && strcmp(m->id, p->before) > 0)
		return true;
	p->found[p->count++] = m;
	if (p->count == 2 * a->page)
		cut_page(p);
	return true;
}

/* take_page - what comes while somebody asks page by page is behind `until`, so that he comes to an end. */
static void take_page(struct asked *a)
{
	struct page p = { .asked = a, .found = xcalloc(2 * a->page, sizeof(*p.found)) };

	schedule_each(a->relay->schedule, collect, &p);
	cut_page(&p);
	for (size_t i = 0; i < p.count; i++)
		copy_known(a, p.found[i]);
	if (!a->until && p.last)
		a->until = sv_copy_z(sv_z(p.last));
	free(p.found);
}

/* ---- what the files say: in a job ---- */

static bool has_text(struct sv text, const char *wanted)
{
	struct sv w = sv_z(wanted);

	for (size_t i = 0; i + w.len <= text.len; i++)
		if (sv_starts_nocase(sv_sub(text, i, SIZE_MAX), w))
			return true;
	return !w.len;
}

/* is_address - the filter "alice@example.org", "@example.org" or "<>". */
static bool is_address(struct sv address, const char *filter)
{
	if (!strcmp(filter, "<>"))
		return !address.len;
	if (*filter == '@')
		return sv_ends(address, sv_z(filter));
	return sv_eq_nocase(address, sv_z(filter));
}

static bool is_meant(const struct asked *a, const struct known *k, const struct spool *sp, struct sv reason)
{
	const struct envelope *e = spool_envelope(sp);
	bool to = !a->to;

	for (const struct envelope_rcpt *r = e->rcpts; r && !to; r = r->next)
		to = is_address(r->address, a->to);
	return to && (!a->user || is_address(e->facts[ENVELOPE_USER], a->user)) && (!a->from || is_address(e->sender, a->from)) &&
	       (!a->domain || has_text(sv_z(k->destinations), a->domain)) &&
	       (!a->reason || has_text(reason, a->reason)) && (!a->state || !strcmp(a->state, k->state)) &&
	       (!a->older_s || k->received_s + (int64_t)a->older_s <= a->now_s);
}

/* why - the last words about the recipients that are left: the remote's, or our own. */
static struct sv why(const struct known *k, const struct spool *sp)
{
	const struct envelope *e = spool_envelope(sp);
	int64_t newest = -1;
	struct sv text = SV_NONE;

	for (uint32_t i = 0; i < e->rcpt_count; i++) {
		struct spool_rcpt r = spool_rcpt(sp, i);

		if (!r.outcome && r.text.len && r.at_s > newest) {
			newest = r.at_s;
			text = r.text;
		}
	}
	return k->reason[0] || !text.len ? sv_z(k->reason) : text;
}

/* said - "mx.example.net [192.0.2.1]\n550 no" as one line. */
static void put_said(struct json_out *j, const char *name, struct sv text)
{
	struct buf line;
	size_t eol = sv_find(text, '\n');

	buf_init(&line, 8192);
	if (eol != SIZE_MAX)
		(void)buf_appendf(&line, "%.*s said: %.*s", SV_FMT(sv_sub(text, 0, eol)),
				  SV_FMT(sv_sub(text, eol + 1, SIZE_MAX)));
	else
		(void)buf_append(&line, text);
	json_out_sv(j, name, buf_sv(&line));
	buf_done(&line);
}

static bool put_line(struct asked *a, const struct known *k, const struct spool *sp, struct sv reason)
{
	const struct envelope *e = spool_envelope(sp);
	struct json_out j;
	size_t n = 0;

	json_out_init(&j, &a->lines);
	json_out_object(&j, NULL);
	json_out_z(&j, "id", k->id);
	json_out_i64(&j, "since", e->received_s);
	json_out_u64(&j, "size", spool_size(sp));
	json_out_sv(&j, "from", e->sender);
	json_out_array(&j, "to");
	for (const struct envelope_rcpt *r = e->rcpts; r && n < QUEUE_RCPTS_LISTED; r = r->next, n++)
		json_out_sv(&j, NULL, r->address);
	json_out_array_end(&j);
	json_out_u64(&j, "recipients", e->rcpt_count);
	json_out_sv(&j, "user", e->facts[ENVELOPE_USER]);
	json_out_z(&j, "state", k->state);
	json_out_u64(&j, "attempts", k->failures);
	json_out_i64(&j, "next", relay_shown_s(a->relay, k->next_s));
	json_out_z(&j, "destinations", k->destinations);
	put_said(&j, "reason", reason);
	json_out_object_end(&j);
	return !j.overflow && buf_append_c(&a->lines, '\n');
}

/* put_more - what asks for the messages behind these. */
static void put_more(const struct asked *a, struct json_out *j)
{
	json_out_z(j, "more", a->messages[a->count - 1].id);
	json_out_z(j, "until", a->until);
}

static void pick(struct asked *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct known *k = &a->messages[i];
		struct spool *sp = NULL;
		size_t before = a->lines.len;
		struct sv reason;

		if (queue_read(a->relay->queue, sv_z(k->id), &sp).kind)
			continue;
		reason = why(k, sp);
		k->is_wanted = is_meant(a, k, sp, reason);
		if (k->is_wanted && a->action == ACTION_LIST && !put_line(a, k, sp, reason)) {
			a->lines.len = before;
			a->count = i ? i : 1;   /* this one begins the next answer */
			a->has_more = true;
		}
		spool_close(&sp);
	}
}

static void describe_facts(struct json_out *j, const struct envelope *e)
{
	static const char *const names[ENVELOPE_FACTS] = {
		[ENVELOPE_ID] = "id",
		[ENVELOPE_LISTENER] = "listener",
		[ENVELOPE_PROTOCOL] = "protocol",
		[ENVELOPE_PEER] = "peer",
		[ENVELOPE_HELO] = "helo",
		[ENVELOPE_USER] = "user",
		[ENVELOPE_TLS] = "tls",
		[ENVELOPE_SESSION] = "sid",
	};

	for (unsigned i = 0; i < ENVELOPE_FACTS; i++)
		json_out_sv(j, names[i], e->facts[i]);
	json_out_i64(j, "since", e->received_s);
	json_out_sv(j, "from", e->sender);
}

static void describe_params(struct json_out *j, const struct envelope_param *p)
{
	json_out_array(j, "parameters");
	for (; p; p = p->next)
		json_out_sv(j, NULL, p->text);
	json_out_array_end(j);
}

static void describe(struct asked *a, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	const struct known *k = &a->messages[0];
	struct json_out json, *j = &json;
	uint32_t i = 0;

	json_out_init(j, &a->lines);
	json_out_object(j, NULL);
	describe_facts(j, e);
	json_out_u64(j, "size", spool_size(s));
	json_out_z(j, "state", k->state);
	json_out_i64(j, "next", relay_shown_s(a->relay, k->next_s));
	describe_params(j, e->params);
	json_out_array(j, "recipients");
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next, i++) {
		struct spool_rcpt known = spool_rcpt(s, i);

		json_out_object(j, NULL);
		json_out_sv(j, "to", r->address);
		json_out_sv(j, "original", r->original);
		json_out_z(j, "status", spool_outcome_name(known.outcome));
		json_out_u64(j, "attempts", known.attempts);
		json_out_i64(j, "last", relay_shown_s(a->relay, known.at_s));
		put_said(j, "reason", known.text.len || known.outcome ? known.text : sv_z(k->reason));
		describe_params(j, r->params);
		json_out_object_end(j);
	}
	json_out_array_end(j);
	json_out_object_end(j);
	(void)buf_append_c(&a->lines, '\n');
}

/* ---- the same for people ---- */

static void say_line(struct asked *a, const char *name, struct sv value)
{
	struct json_out j;
	struct buf text;

	buf_init(&text, 4096);
	if (*name)
		buf_appendf(&text, "%-12s", name);
	buf_append(&text, sv_sub(value, 0, 2000));
	json_out_init(&j, &a->lines);
	json_out_object(&j, NULL);
	json_out_sv(&j, "line", buf_sv(&text));
	json_out_object_end(&j);
	buf_append_c(&a->lines, '\n');
	buf_done(&text);
}

/* say_meaning - the plain sentence for a well-known refusal. */
static void say_meaning(struct asked *a, struct sv reply)
{
	struct sv rest = reply, word, status = SV_NONE;
	const char *sentence;

	for (int i = 0; i < 2 && !status.len && sv_split(&rest, ' ', &word); i++)
		if (word.len >= 5 && word.p[1] == '.')
			status = word;
	sentence = reply.len ? explain_refusal(status, reply) : NULL;
	if (sentence)
		say_line(a, "means", sv_z(sentence));
}

static void say_recipient(struct asked *a, const struct envelope_rcpt *r, struct spool_rcpt known, struct buf *text)
{
	struct sv words = known.text, remote = SV_NONE;

	buf_clear(text);
	buf_appendf(text, "%.*s (%s%s%.*s", SV_FMT(r->address), spool_outcome_name(known.outcome),
		    r->original.len ? ", for " : "", SV_FMT(r->original));
	if (known.attempts && !known.outcome)
		buf_appendf(text, ", %u attempt%s", known.attempts, known.attempts == 1 ? "" : "s");
	buf_append_c(text, ')');
	say_line(a, "to", buf_sv(text));
	if (sv_find(words, '\n') != SIZE_MAX)
		(void)sv_split(&words, '\n', &remote);
	buf_clear(text);
	if (remote.len)
		buf_appendf(text, "%.*s said: ", SV_FMT(remote));
	buf_append(text, words);
	if (text->len)
		say_line(a, "", buf_sv(text));
	say_meaning(a, words);
}

static void say_state(struct asked *a, struct buf *text)
{
	const struct known *k = &a->messages[0];

	buf_clear(text);
	buf_appendf(text, "%s", k->state);
	if (k->next_s > a->now_s)
		buf_appendf(text, ", next attempt in %lld s", (long long)(k->next_s - a->now_s));
	say_line(a, "state", buf_sv(text));
	if (k->destinations[0])
		say_line(a, "goes to", sv_z(k->destinations));
	if (k->reason[0])
		say_line(a, "because", sv_z(k->reason));
	say_meaning(a, sv_z(k->reason));
}

static void say_envelope(struct asked *a, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	struct buf text;
	uint32_t i = 0;

	buf_init(&text, 8192);
	say_line(a, "id", e->facts[ENVELOPE_ID]);
	say_line(a, "from", e->sender.len ? e->sender : SV("<>"));
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next)
		say_recipient(a, r, spool_rcpt(s, i++), &text);
	say_state(a, &text);
	buf_clear(&text);
	buf_appendf(&text, "%llu octets", (unsigned long long)spool_size(s));
	say_line(a, "size", buf_sv(&text));
	buf_clear(&text);
	buf_appendf(&text, "%.*s by %.*s, session %.*s", SV_FMT(e->facts[ENVELOPE_PEER]),
		    SV_FMT(e->facts[ENVELOPE_PROTOCOL]), SV_FMT(e->facts[ENVELOPE_SESSION]));
	say_line(a, "came from", buf_sv(&text));
	say_line(a, "user", e->facts[ENVELOPE_USER]);
	buf_done(&text);
}

/* say_header - up to the empty line, as far as it lies in the first records: what was put on top is
 * one. */
static struct fault say_header(struct asked *a, struct spool *s)
{
	struct buf body;
	struct sv rest, line;
	struct fault f;

	buf_init(&body, 2 * SPOOL_BODY_MAX);
	f = spool_read_body(s, &body);
	if (!f.kind && body.len < SPOOL_BODY_MAX)
		f = spool_read_body(s, &body);
	rest = buf_sv(&body);
	say_line(a, "", SV_NONE);
	while (!f.kind && sv_split(&rest, '\n', &line) && sv_trim(line).len)
		say_line(a, "", line.len && line.p[line.len - 1] == '\r' ? sv_sub(line, 0, line.len - 1) : line);
	buf_done(&body);
	return f;
}

static void say_talk(struct asked *a)
{
	struct buf talk;
	struct sv rest, line;

	buf_init(&talk, 32768);
	if (queue_talk(a->relay->queue, a->id, &talk)) {
		say_line(a, "", SV_NONE);
		say_line(a, "", SV("The last conversation about it:"));
		rest = buf_sv(&talk);
		while (sv_split(&rest, '\n', &line))
			say_line(a, "", line);
	}
	buf_done(&talk);
}

static void show(struct asked *a)
{
	struct spool *s = NULL;

	a->fault = queue_read(a->relay->queue, sv_z(a->id), &s);
	if (a->fault.kind)
		return;
	describe(a, s);
	say_envelope(a, s);
	say_talk(a);
	a->fault = say_header(a, s);
	spool_close(&s);
}

static void asked_run(struct work *w)
{
	struct asked *a = CONTAINER_OF(w, struct asked, work);

	if (a->action == ACTION_SHOW)
		show(a);
	else
		pick(a);
	if (a->fault.kind && a->fault.detail) {         /* its text belongs to this thread */
		snprintf(a->detail, sizeof(a->detail), "%s", a->fault.detail);
		a->fault.detail = a->detail;
	}
}

/* ---- answering ---- */

static void asked_free(struct asked *a)
{
	free(a->messages);
	free(a->id);
	free(a->after);
	free(a->until);
	free(a->from);
	free(a->to);
	free(a->user);
	free(a->domain);
	free(a->reason);
	free(a->state);
	buf_done(&a->lines);
	free(a);
}

static void copy_member(void *arg, const char *name, const struct json *value)
{
	json_out_value(arg, name, value);
}

static bool send_line(struct control_reply *reply, struct sv line)
{
	struct json *object = NULL;

	if (json_parse(line, &object).kind)
		return true;
	json_iterate(object, copy_member, control_line(reply));
	json_free(&object);
	return control_line_end(reply);
}

static void answer_lines(struct asked *a)
{
	struct sv rest = buf_sv(&a->lines), line;

	while (!a->fault.kind && sv_split(&rest, '\n', &line))
		if (line.len && !send_line(a->reply, line))
			break;
	if (!a->fault.kind && a->has_more) {
		put_more(a, control_line(a->reply));
		(void)control_line_end(a->reply);
	}
	control_finish(&a->reply, a->fault);
	asked_free(a);
}

/* Everything that was begun has ended. */
static void answer_counts(struct asked *a)
{
	struct json_out *j;

	if (a->pending)
		return;
	if (a->id && a->busy)
		a->fault = fault(FAULT_BUSY, "the message is being sent just now: try again");
	else if (a->id && !a->done && !a->failed)
		a->fault = fault(FAULT_NOT_FOUND, "there is no such message in the queue");
	if (!a->fault.kind) {
		j = control_line(a->reply);
		json_out_u64(j, "changed", a->done);
		json_out_u64(j, "busy", a->busy);
		json_out_u64(j, "failed", a->failed);
		if (a->has_more)
			put_more(a, j);
		(void)control_line_end(a->reply);
	}
	control_finish(&a->reply, a->fault);
	asked_free(a);
}

/* ---- doing ---- */

struct doing {
	struct op op;
	struct asked *asked;
};

static void doing_run(struct op *op)
{
	struct doing *d = CONTAINER_OF(op, struct doing, op);
	struct settlement s = { .is_removal = d->asked->action == ACTION_REMOVE, .by = "administrator" };
	struct spool_change *changes;
	uint32_t count;

	op->fault = relay_op_take(op);
	if (op->fault.kind)
		return;
	switch (d->asked->action) {
	case ACTION_HOLD:
	case ACTION_RELEASE:
		op->fault = spool_put_hold(op->message->spool, d->asked->action == ACTION_HOLD, relay_now_s(op->relay),
					   SV("administrator"));
		return;
	case ACTION_BOUNCE:
		count = spool_envelope(op->message->spool)->rcpt_count;
		changes = xcalloc(count, sizeof(*changes));
		for (uint32_t i = 0; i < count; i++)
			if (!spool_outcome(op->message->spool, i))
				changes[s.change_count++] = (struct spool_change){
					i, SPOOL_BOUNCED, SV("5.0.0 the administrator of this server gave it back") };
		s.changes = changes;
		op->fault = settle(op, &s);
		free(changes);
		return;
	case ACTION_REMOVE:
		op->fault = settle(op, &s);
		return;
	case ACTION_LIST:
	case ACTION_SHOW:
	case ACTION_RETRY:
		return;
	}
}

static void go_on(struct asked *a);

static void doing_done(struct op *op)
{
	struct doing *d = CONTAINER_OF(op, struct doing, op);
	struct asked *a = d->asked;

	a->pending--;
	if (op->fault.kind == FAULT_BUSY)
		a->busy++;
	else if (op->fault.kind)
		a->failed++;
	else
		a->done++;
	if (!op->fault.kind && (a->action == ACTION_HOLD || a->action == ACTION_RELEASE))
		schedule_hold(op->relay->schedule, op->message, a->action == ACTION_HOLD);
	free(d);
	go_on(a);
}

static void do_one(struct asked *a, struct message *m)
{
	struct doing *d;

	if (a->action == ACTION_RETRY) {
		schedule_hurry(a->relay->schedule, m);
		a->done++;
		return;
	}
	/* What is on its way may be accepted at this moment. */
	if (m->active && a->action != ACTION_RELEASE) {
		a->busy++;
		return;
	}
	d = xcalloc(1, sizeof(*d));
	d->asked = a;
	d->op.run = doing_run;
	d->op.done = doing_done;
	a->pending++;
	relay_op(a->relay, m, &d->op);
}

/* go_on - some hundred at a time, so that mail on its way still finds its jobs. */
static void go_on(struct asked *a)
{
	a->pending++;                   /* so that nobody answers before the last one is begun */
	while (a->next < a->count && a->pending < PENDING_MOST) {
		const struct known *k = &a->messages[a->next++];
		struct message *m = k->is_wanted ? schedule_find(a->relay->schedule, sv_z(k->id)) : NULL;

		if (m && !m->is_leaving)
			do_one(a, m);
	}
	a->pending--;
	answer_counts(a);
}

static void asked_done(struct work *w, bool is_cancelled)
{
	struct asked *a = CONTAINER_OF(w, struct asked, work);

	relay_job_ended(a->relay);
	if (is_cancelled)
		a->fault = fault(FAULT_UNAVAILABLE, "the server is stopping");
	if (a->fault.kind || a->action == ACTION_LIST || a->action == ACTION_SHOW) {
		answer_lines(a);
		return;
	}
	relay_turn(a->relay);
	go_on(a);
}

/* ---- asking ---- */

static char *text_of(const struct json *request, const char *name)
{
	struct sv value;

	return json_get_sv(request, name, &value) && value.len ? sv_copy_z(value) : NULL;
}

/* ask_now - all that was accepted before the question is known. */
static void ask_now(struct asker *asker)
{
	struct asked *a = CONTAINER_OF(asker, struct asked, asker);
	struct relay *r = a->relay;
	const struct message *m;
	struct fault f;

	if (schedule_count(r->schedule) < a->page)
		a->page = schedule_count(r->schedule) + 1;
	a->messages = xcalloc(a->page, sizeof(*a->messages));
	m = a->id ? schedule_find(r->schedule, sv_z(a->id)) : NULL;
	if (m && !m->is_leaving)
		copy_known(a, m);
	else if (a->id && a->action == ACTION_SHOW)
		a->messages[0].state = "waiting";
	else if (!a->id)
		take_page(a);
	a->work = (struct work){ .run = asked_run, .done = asked_done };
	r->jobs++;
	f = work_submit(r->loop, WORK_MAIL, &a->work);
	if (f.kind) {
		a->fault = f;
		asked_done(&a->work, false);
	}
}

static void ask(struct worker *w, const struct json *request, struct control_reply *reply, enum action action)
{
	struct relay *r = w->state;
	struct asked *a = xcalloc(1, sizeof(*a));
	uint64_t page = 0;

	a->relay = r;
	a->reply = reply;
	a->action = action;
	(void)json_get_u64(request, "page", &page);
	a->page = page && page < PAGE_MOST ? (size_t)page : PAGE_MOST;
	a->now_s = relay_now_s(r);
	a->id = text_of(request, "id");
	a->after = text_of(request, "after");
	a->until = text_of(request, "until");
	a->from = text_of(request, "from");
	a->to = text_of(request, "to");
	a->user = text_of(request, "user");
	a->domain = text_of(request, "domain");
	a->reason = text_of(request, "reason");
	a->state = text_of(request, "state");
	(void)json_get_u64(request, "older", &a->older_s);
	buf_init(&a->lines, CONTROL_ANSWER_MAX);
	a->asker.go = ask_now;
	relay_when_known(r, &a->asker);
}

static void do_list(void *arg, const struct json *request, struct control_reply *reply)
{
	ask(arg, request, reply, ACTION_LIST);
}

static void do_show(void *arg, const struct json *request, struct control_reply *reply)
{
	ask(arg, request, reply, ACTION_SHOW);
}

static void do_action(void *arg, const struct json *request, struct control_reply *reply)
{
	struct sv name = SV_NONE;

	(void)json_get_sv(request, "action", &name);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (sv_eq(name, sv_z(actions[i].name))) {
			ask(arg, request, reply, actions[i].action);
			return;
		}
	control_finish(&reply, fault(FAULT_INVALID, "no such action"));
}

/* ---- destinations ---- */

/* pause_all - a domain is three destinations: mail that requires TLS, or wants none, has connections of its own (destination_of()). */
static void pause_all(struct relay *r, struct sv name, bool is_paused)
{
	static const char *const signs[] = { "", "+", "-" };

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		char key[260];

		snprintf(key, sizeof(key), "%s%.*s", signs[i], SV_FMT(name));
		schedule_pause(r->schedule, schedule_destination(r->schedule, sv_z(key)), is_paused);
	}
}

static void set_paused(struct worker *w, const struct json *request, struct control_reply *reply, bool is_paused)
{
	struct relay *r = w->state;
	struct sv name = SV_NONE;
	struct fault f = FAULT_OK;

	(void)json_get_sv(request, "destination", &name);
	if (!name.len || name.len > 255) {
		f = fault(FAULT_INVALID, "a domain is missing");
	} else {
		pause_all(r, name, is_paused);
		relay_keep_paused(r);
		log_info(NULL, is_paused ? "relay.paused" : "relay.resumed", KV_SV("destination", name));
	}
	control_finish(&reply, f);
	relay_turn(r);
}

static void do_pause(void *arg, const struct json *request, struct control_reply *reply)
{
	set_paused(arg, request, reply, true);
}

static void do_resume(void *arg, const struct json *request, struct control_reply *reply)
{
	set_paused(arg, request, reply, false);
}

struct listing {
	struct asker asker;
	struct relay *relay;
	struct control_reply *reply;
};

static bool list_destination(void *arg, struct destination *d)
{
	const struct listing *l = arg;
	const struct provider *p = d->provider;
	struct json_out *j;
	uint64_t now = loop_now_ms(l->relay->loop), until = d->blocked_until_ms;
	bool is_slowed = p && p->blocked_until_ms;

	if (is_slowed && p->blocked_until_ms > until)
		until = p->blocked_until_ms;
	if (destination_way(d->name) != d->name && !d->part_count && !d->active)
		return true;            /* paused with the domain, and nothing lies there */
	j = control_line(l->reply);
	json_out_z(j, "destination", d->name[0] == '=' ? "(local)" : d->name);
	json_out_z(j, "provider", p ? p->name : "");
	json_out_z(j, "state", d->is_paused ? "paused" : d->blocked_until_ms ? "unreachable" : is_slowed ? "slowed"
				 : d->active ? "sending" : "waiting");
	json_out_u64(j, "messages", d->part_count);
	json_out_u64(j, "connections", d->active);
	json_out_u64(j, "most", d->limit);
	json_out_u64(j, "failures", d->failures);
	json_out_i64(j, "next", until > now ? date_now().seconds + (int64_t)((until - now) / 1000) : 0);
	json_out_z(j, "status", d->reason[0] || !p ? d->status : p->status);
	json_out_z(j, "reason", d->reason[0] || !p ? d->reason : p->reason);
	return control_line_end(l->reply);
}

static void list_now(struct asker *asker)
{
	struct listing *l = CONTAINER_OF(asker, struct listing, asker);

	schedule_each_destination(l->relay->schedule, list_destination, l);
	control_finish(&l->reply, FAULT_OK);
	free(l);
}

static void do_destinations(void *arg, const struct json *request, struct control_reply *reply)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	(void)request;
	l->relay = ((struct worker *)arg)->state;
	l->reply = reply;
	l->asker.go = list_now;
	relay_when_known(l->relay, &l->asker);
}

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
	{ "queue.list", "messages in the queue", do_list, true },
	{ "queue.show", "one message in the queue", do_show, true },
	{ "queue.do", "retry, hold, release, remove or bounce messages", do_action, true },
	{ "queue.pause", "send nothing to a destination", do_pause, true },
	{ "queue.resume", "send to it again", do_resume, true },
	{ "queue.rules", "whose mail is held has changed", do_rules, true },
	{ "recipient.ask", "does the host of a relay domain know a name?", do_ask, true },
	{ "queue.destinations", "where mail goes, and how that does", do_destinations, true },
	{ "webhook.status", "is the program told that wants to know what happens?", do_webhook, true },
	{ "unsubscribe", "somebody wants no more mail of an account", relay_do_unsubscribe, true },
	{ NULL, NULL, NULL, false },
};
