/* Verbs about messages in the queue (admin/queue.c). The loop copies what it knows of messages; a job adds what stands
 * in their files and picks those that are meant; the loop answers, or does what is asked and then answers. */
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/memory.h"
#include "smtpd/relay/queue_filter.h"
#include "smtpd/relay/queue_line.h"
#include "smtpd/relay/queue_page.h"
#include "smtpd/relay/queue_show.h"
#include "smtpd/relay/relay_private.h"

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

struct asked {
	struct work work;
	struct asker asker;
	struct relay *relay;
	struct control_reply *reply;
	enum action action;
	struct queue_line *messages;
	size_t count;
	char *id;                       /* of the only one that is meant, or NULL */
	struct queue_filter filter;
	char *after, *until;            /* of all messages those between, or NULL */
	size_t page;                    /* at most so many of them */
	bool has_more;
	struct buf lines;               /* JSON objects, each followed by a newline */
	struct fault fault;
	char detail[256];
	/* doing: ops under way, and what came of them */
	uint64_t pending, done, busy, failed;
	size_t next;                    /* message */
};

static void take_page(struct asked *a)
{
	struct queue_page p;

	queue_page_take(a->relay->schedule, a->after, a->until, a->page, &p);
	for (size_t i = 0; i < p.count; i++)
		queue_line_of(a->relay, p.found[i], &a->messages[a->count++]);
	a->has_more = p.has_more;
	if (!a->until && p.last)
		a->until = sv_copy_z(sv_z(p.last));
	queue_page_done(&p);
}

/* ---- what the files say: in a job ---- */

static bool is_meant(const struct asked *a, const struct queue_line *k, const struct spool *sp, struct sv reason)
{
	const struct queue_facts facts = {
		.envelope = spool_envelope(sp),
		.destinations = sv_z(k->destinations),
		.reason = reason,
		.state = sv_z(k->state),
		.age_s = relay_now_s(a->relay) - k->received_s,
	};

	return queue_filter_fits(&a->filter, &facts);
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
		struct queue_line *k = &a->messages[i];
		struct spool *sp = NULL;
		size_t before = a->lines.len;
		struct sv reason;

		if (queue_read(a->relay->queue, sv_z(k->id), &sp).kind)
			continue;
		reason = queue_line_reason(k, sp);
		k->is_wanted = is_meant(a, k, sp, reason);
		if (k->is_wanted && a->action == ACTION_LIST && !queue_line_write(a->relay, k, sp, reason, &a->lines)) {
			a->lines.len = before;
			a->count = i ? i : 1;   /* this one begins the next answer */
			a->has_more = true;
		}
		spool_close(&sp);
	}
}

static void asked_run(struct work *w)
{
	struct asked *a = CONTAINER_OF(w, struct asked, work);

	if (a->action == ACTION_SHOW)
		a->fault = queue_show(a->relay, a->id, &a->messages[0], &a->lines);
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
	queue_filter_done(&a->filter);
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
		const struct queue_line *k = &a->messages[a->next++];
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
		queue_line_of(r, m, &a->messages[a->count++]);
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
	a->id = queue_filter_text(request, "id");
	a->after = queue_filter_text(request, "after");
	a->until = queue_filter_text(request, "until");
	queue_filter_read(request, &a->filter);
	buf_init(&a->lines, CONTROL_ANSWER_MAX);
	a->asker.go = ask_now;
	relay_when_known(r, &a->asker);
}

void relay_do_list(void *arg, const struct json *request, struct control_reply *reply)
{
	ask(arg, request, reply, ACTION_LIST);
}

void relay_do_show(void *arg, const struct json *request, struct control_reply *reply)
{
	ask(arg, request, reply, ACTION_SHOW);
}

void relay_do_action(void *arg, const struct json *request, struct control_reply *reply)
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
