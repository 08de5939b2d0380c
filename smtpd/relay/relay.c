#include "smtpd/relay/relay.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/dkimkey.h"
#include "common/events.h"
#include "common/eventstore.h"
#include "common/memory.h"
#include "common/outbook.h"
#include "smtpd/dmarcreport.h"
#include "smtpd/fetch.h"
#include "smtpd/relay/clock.h"
#include "smtpd/relay/question.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/relay/watch.h"
#include "smtpd/tlsreport.h"
#include "smtpd/webhook.h"

#include "common/banned.h"

#define SWEEP_MAX_MS 60000
#define FORGET_MS 1000
#define RESCAN_MS 60000
#define AGAIN_MS 50             /* the row of jobs was full */

int64_t relay_now_s(const struct relay *r)
{
	return (clock_running_ms() + atomic_load(&r->clock_ms)) / 1000;
}

int64_t relay_skew_s(const struct relay *r)
{
	return date_now().seconds - relay_now_s(r);
}

int64_t relay_shown_s(const struct relay *r, int64_t at_s)
{
	int64_t skew_s = relay_skew_s(r);

	return !at_s || (skew_s >= -CLOCK_SAME_S && skew_s <= CLOCK_SAME_S) ? at_s : at_s + skew_s;
}

int64_t relay_expires_s(const struct relay *r, const struct message *m)
{
	const struct conf_queue *q = &r->worker->conf->queue;

	int64_t from_s = m->not_before_s > m->received_s ? m->not_before_s : m->received_s;
	int64_t end_s = from_s + (int64_t)((m->is_bounce ? q->lifetime_null_ms : q->lifetime_ms) / 1000);

	return m->is_by_return && m->by_s < end_s ? m->by_s : end_s;
}

void relay_set_not_before(const struct relay *r, struct message *m)
{
	int64_t left_s = m->not_before_s - relay_now_s(r);

	m->not_before_ms = m->not_before_s && left_s > 0 ? loop_now_ms(r->loop) + (uint64_t)left_s * 1000 : 0;
}

static bool may_send(const struct relay *r)
{
	return r->has_scanned && !r->mending && !r->is_stopping &&
	       r->worker->conf->relay.sending;
}

/* ---- rows of what is gone ---- */

struct forget {
	struct work work;
	struct relay *relay;
	char (*ids)[QUEUE_ID_LEN + 1];
	size_t count;
};

static void forget_run(struct work *w)
{
	struct forget *f = CONTAINER_OF(w, struct forget, work);

	queue_forget(f->relay->queue, (const char(*)[QUEUE_ID_LEN + 1])f->ids, f->count);
}

static void forget_done(struct work *w, bool is_cancelled)
{
	struct forget *f = CONTAINER_OF(w, struct forget, work);

	(void)is_cancelled;             /* the next queue_sync() mends rows */
	relay_job_ended(f->relay);
	free(f->ids);
	free(f);
}

static void forget_rows(struct relay *r)
{
	struct forget *f;

	if (!r->gone_count)
		return;
	f = xcalloc(1, sizeof(*f));
	f->relay = r;
	f->ids = r->gone;
	f->count = r->gone_count;
	f->work = (struct work){ .run = forget_run, .done = forget_done };
	r->gone = NULL;
	r->gone_count = r->gone_cap = 0;
	r->jobs++;
	if (work_submit(r->loop, WORK_MAIL, &f->work).kind)
		forget_done(&f->work, true);
}

static void note_gone(struct relay *r, const char *id)
{
	if (r->gone_count == r->gone_cap) {
		r->gone_cap = r->gone_cap ? 2 * r->gone_cap : 64;
		r->gone = xrealloc(r->gone, r->gone_cap * sizeof(*r->gone));
	}
	snprintf(r->gone[r->gone_count++], QUEUE_ID_LEN + 1, "%s", id);
	snprintf(r->recent[r->recent_at++ % RELAY_RECENT], QUEUE_ID_LEN + 1, "%s", id);
	if (!timer_is_running(&r->forget))
		timer_start_ms(&r->forget, FORGET_MS);
}

static void on_forget(struct timer *t)
{
	forget_rows(CONTAINER_OF(t, struct relay, forget));
}

/* ---- jobs on one message ---- */

struct fault relay_op_take(struct op *op)
{
	if (op->message->spool)
		return FAULT_OK;
	return queue_take(op->relay->queue, op->message->id, &op->message->spool);
}

static void op_run(struct work *w)
{
	struct op *op = CONTAINER_OF(w, struct op, work);

	op->run(op);
	if (op->fault.kind && op->fault.detail) {       /* its text belongs to this thread */
		snprintf(op->detail, sizeof(op->detail), "%s", op->fault.detail);
		op->fault.detail = op->detail;
	}
}

static void op_done(struct work *w, bool is_cancelled);

static void submit_first(struct message *m);

static void op_again(struct timer *t)
{
	struct op *op = CONTAINER_OF(t, struct op, late);

	relay_job_ended(op->relay);
	submit_first(op->message);
}

static void submit_first(struct message *m)
{
	struct op *op = m->ops;
	struct fault f;

	op->work = (struct work){ .run = op_run, .done = op_done };
	op->relay->jobs++;
	f = work_submit(op->relay->loop, WORK_MAIL, &op->work);
	if (f.kind && op->relay->is_stopping) {
		op->fault = f;
		op_done(&op->work, true);
	} else if (f.kind) {
		timer_init(&op->late, op->relay->loop, op_again);
		timer_start_ms(&op->late, AGAIN_MS);
	}
}

void relay_op(struct relay *r, struct message *m, struct op *op)
{
	bool is_first = !m->ops;

	op->relay = r;
	op->message = m;
	op->next = NULL;
	*m->ops_end = op;
	m->ops_end = &op->next;
	if (is_first)
		submit_first(m);
}

/* settle_message - nothing runs on it: let go of its file, or of all of it. */
static void settle_message(struct relay *r, struct message *m)
{
	if (m->ops || m->active)
		return;
	spool_close(&m->spool);
	if (m->is_leaving) {
		schedule_drop(r->schedule, m);
	} else if (!m->parts && !r->is_stopping) {
		/* Recipients whose way has changed meanwhile, or a message that came again. */
		char id[QUEUE_ID_LEN + 1];

		memcpy(id, m->id, sizeof(id));
		if (m->is_broken)       /* a full disk, say: not again at once */
			timer_start_ms(&r->rescan, RESCAN_MS);
		else
			relay_found(r, id, true);
		schedule_drop(r->schedule, m);
	}
}

static void op_done(struct work *w, bool is_cancelled)
{
	struct op *op = CONTAINER_OF(w, struct op, work);

	if (op->is_leaving)
		relay_leave(op->relay, op);
	else
		relay_op_end(op, is_cancelled);
}

void relay_op_end(struct op *op, bool is_cancelled)
{
	struct message *m = op->message;
	struct relay *r = op->relay;
	char notices[ARRAY_LEN(op->notices)][QUEUE_ID_LEN + 1];
	size_t notice_count = op->notice_count;
	bool is_gone = op->is_gone;
	struct op *next = op->next;     /* what done() adds to an empty row starts by itself */

	relay_job_ended(r);
	m->ops = next;
	if (!m->ops)
		m->ops_end = &m->ops;
	memcpy(notices, op->notices, sizeof(notices));
	op->is_cancelled = is_cancelled;
	if (is_cancelled && !op->fault.kind)
		op->fault = fault(FAULT_UNAVAILABLE, "the server is stopping");
	if (is_gone && !m->is_leaving) {
		m->is_leaving = true;
		spool_close(&m->spool);
		note_gone(r, m->id);
	}
	op->done(op);
	for (size_t i = 0; i < notice_count; i++)
		relay_found(r, notices[i], false);
	if (next)
		submit_first(m);
	else
		settle_message(r, m);
	relay_turn(r);
}

/* ---- turns ---- */

void relay_turn(struct relay *r)
{
	if (!r->is_ended)
		deferred_call(&r->turn);
}

void relay_job_ended(struct relay *r)
{
	r->jobs--;
	if (r->is_stopping)
		relay_turn(r);
}

static void stop_if_done(struct relay *r)
{
	if (r->is_stopping && !r->senders && !r->jobs)
		worker_stopped(r->worker);
}

static void on_turn(struct deferred *d)
{
	struct relay *r = CONTAINER_OF(d, struct relay, turn);
	uint64_t now = loop_now_ms(r->loop), next;
	struct destination *to;

	stop_if_done(r);
	if (atomic_load(&r->rules_changed) && r->has_scanned)
		relay_rule_all(r);
	if (!may_send(r) || r->is_ruling)
		return;
	schedule_tick(r->schedule, now);
	for (struct sender *s = r->senders, *after; s; s = after) {
		after = sender_next_of(s);
		sender_wake(s);
	}
	while ((to = schedule_pick(r->schedule)))
		sender_start(r, to);
	next = schedule_next_ms(r->schedule);
	if (next == UINT64_MAX)
		timer_stop(&r->tick);
	else
		timer_start_ms(&r->tick, next > now ? next - now : 1);
}

static void on_tick(struct timer *t)
{
	relay_turn(CONTAINER_OF(t, struct relay, tick));
}

/* ---- what is late or too old ---- */

struct late {
	struct op op;
	bool is_expired, is_by_return;
	int64_t until_s;
	char reason[320];               /* why its destination is blocked, or "" */
	const char *by;                 /* an administrator's "bounce", or NULL */
};

static struct sv why_waiting(const struct late *l, const struct spool_rcpt *known)
{
	if (l->is_by_return && l->is_expired && !l->by)
		return SV("5.4.7 delivery time expired");       /* RFC 2852 §4.1.3 */
	if (known->text.len)
		return known->text;
	return l->reason[0] ? sv_z(l->reason) : SV("4.4.7 it could not be sent in time");
}

static void late_run(struct op *op)
{
	struct late *l = CONTAINER_OF(op, struct late, op);
	struct settlement s = { .is_late = !l->is_expired, .until_s = l->until_s, .by = l->by };
	const struct envelope *e;

	op->fault = relay_op_take(op);
	if (op->fault.kind)
		return;
	e = spool_envelope(op->message->spool);
	s.changes = xcalloc(e->rcpt_count, sizeof(*s.changes));
	for (uint32_t i = 0; i < e->rcpt_count && l->is_expired; i++) {
		struct spool_rcpt known = spool_rcpt(op->message->spool, i);
		struct spool_change *c = &s.changes[s.change_count];
		struct sv text = why_waiting(l, &known);

		if (known.outcome)
			continue;
		/* A copy: the record that is written replaces what it points to. */
		*c = (struct spool_change){ i, l->by ? SPOOL_BOUNCED : SPOOL_EXPIRED,
					    { sv_copy_z(text), text.len } };
		s.change_count++;
	}
	op->fault = settle(op, &s);
	for (size_t i = 0; i < s.change_count; i++)
		free((char *)(uintptr_t)s.changes[i].text.p);
	free(s.changes);
}

static void late_done(struct op *op)
{
	struct late *l = CONTAINER_OF(op, struct late, op);
	struct message *m = op->message;

	m->is_expiring = false;
	if (op->fault.kind && op->fault.kind != FAULT_BUSY)
		log_error(NULL, "relay.late", KV_Z("queue_id", m->id),
			  KV_FAULT("fault", op->fault));
	else if (!op->fault.kind && !l->is_expired)
		m->is_late_told = true;
	if (op->fault.kind == FAULT_NOT_FOUND)
		m->is_leaving = true;
	free(l);
}

void relay_give_up(struct relay *r, struct message *m, bool is_expired, const char *by)
{
	struct late *l = xcalloc(1, sizeof(*l));
	const struct part *p = m->parts;

	l->op.run = late_run;
	l->op.done = late_done;
	l->is_expired = is_expired;
	l->by = by;
	l->until_s = relay_expires_s(r, m);
	l->is_by_return = m->is_by_return && relay_now_s(r) >= m->by_s;
	m->is_expiring = true;
	for (; p && !p->destination->reason[0]; p = p->next_of_message)
		continue;
	if (p)
		snprintf(l->reason, sizeof(l->reason), "%s %s", p->destination->status,
			 p->destination->reason);
	relay_op(r, m, &l->op);
}

/* is_at_its_turn - it is about to be tried. What got too old while nobody was there to try it, or waits behind others, goes back only when that
 * has failed, too. */
static bool is_at_its_turn(const struct message *m)
{
	for (const struct part *p = m->parts; p; p = p->next_of_message) {
		const struct destination *d = p->destination;

		if (p->state == PART_READY && !d->is_paused && !d->blocked_until_ms && !(d->provider && d->provider->blocked_until_ms))
			return true;
	}
	return false;
}

/* mind_hold - what is to leave at a time waits by the loop's clock, which stands still while the host is suspended. */
static void mind_hold(struct relay *r, struct message *m)
{
	uint64_t was_ms = m->not_before_ms;

	if (was_ms <= loop_now_ms(r->loop))
		return;
	relay_set_not_before(r, m);
	if (m->not_before_ms + 1000 < was_ms)
		schedule_hold(r->schedule, m, m->is_held);
}

static bool sweep_one(void *arg, struct message *m)
{
	struct relay *r = arg;
	int64_t now_s = relay_now_s(r);
	int64_t from_s = m->not_before_s > m->received_s ? m->not_before_s : m->received_s;
	int64_t notice_s = from_s + (int64_t)(r->worker->conf->queue.delay_notice_ms / 1000);

	mind_hold(r, m);
	if (m->active || m->is_held || m->is_leaving || m->ops || m->is_expiring)
		return true;
	if (m->by_s && !m->is_by_return)
		notice_s = m->by_s;     /* RFC 2852 §4.1.3 */
	/* A time that the sender set (BY) is no matter of trying. */
	if (now_s >= relay_expires_s(r, m) && (!is_at_its_turn(m) || (m->is_by_return && now_s >= m->by_s)))
		relay_give_up(r, m, true, NULL);
	else if (!m->is_bounce && !m->is_late_told && now_s >= notice_s)
		relay_give_up(r, m, false, NULL);
	/* Some thousands at a time: the row of jobs has an end. */
	return r->jobs < 500;
}

static void on_sweep(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, sweep);
	uint64_t every = r->worker->conf->queue.retry_min_ms / 2;

	relay_mind_clock(r);
	relay_keep_brake(r);
	if (may_send(r))
		schedule_each(r->schedule, sweep_one, r);
	timer_start_ms(&r->sweep, every < SWEEP_MAX_MS ? every : SWEEP_MAX_MS);
}

/* ---- life ---- */

static bool cancel_late(void *arg, struct message *m)
{
	(void)arg;
	if (m->ops && timer_is_running(&m->ops->late)) {
		timer_stop(&m->ops->late);
		op_done(&m->ops->work, true);
	}
	return true;
}

/* The loop ends: nothing of it may be touched afterwards. Jobs that run still come back. */
static void on_loop_end(struct loop_member *m)
{
	struct relay *r = CONTAINER_OF(m, struct relay, member);

	loop_leave(m);
	r->is_ended = r->is_stopping = true;
	while (r->senders) {
		struct sender *s = r->senders;

		sender_free(&s);
	}
	questions_free(&r->questions);
	relay_leave_no_more(r);
	schedule_each(r->schedule, cancel_late, r);
	tlspolicy_free(&r->tlspolicy);
	sts_free(&r->sts);
	tlsreport_free(&r->report);
	reporter_free(&r->dmarc);
	webhook_free(&r->webhook);
	free(r->control);
	deferred_cancel(&r->turn);
	timer_stop(&r->tick);
	timer_stop(&r->sweep);
	timer_stop(&r->forget);
	timer_stop(&r->rescan);
}

static void fetch_policy(void *arg, const char *url,
			 void (*done)(void *ctx, const struct fetch_result *result), void *ctx,
			 struct fetch **out)
{
	struct relay *r = arg;
	const struct fetch_request request = { .url = sv_z(url), .octets_max = STS_POLICY_MAX };

	fetch_ask(r->loop, r->control, &request, done, ctx, out);
}

/* start_policies - what other domains ask of TLS. */
static void start_policies(struct relay *r)
{
	const struct worker *w = r->worker;
	char folder[4096];

	r->control = instance_run_path(w->instance, "smtpd", ".sock");
	snprintf(folder, sizeof(folder), "%s/sts", instance_path(w->instance, INSTANCE_QUEUE));
	if (w->conf->relay.sts)
		r->sts = sts_new(r->loop, r->dns, folder, (uint16_t)w->conf->relay.sts_port,
				 fetch_policy, r);
	r->tlspolicy = tlspolicy_new(r->loop, r->dns, r->sts);
	r->questions = questions_new(r);
}

static void start_reports(struct relay *r)
{
	char folder[4096];
	struct reporter_settings settings = {
		.dns = r->dns, .queue = r->queue, .directory = r->directory, .hostname = r->hostname,
		.folder = folder, .control = r->control,
	};

	snprintf(folder, sizeof(folder), "%s/tlsrpt",
		 instance_path(r->worker->instance, INSTANCE_QUEUE));
	if (r->worker->conf->relay.reports)
		r->report = tlsreport_new(r->loop, &settings);
	snprintf(folder, sizeof(folder), "%s/" DMARCREPORT_FOLDER, instance_path(r->worker->instance, INSTANCE_QUEUE));
	if (r->worker->conf->policy.dmarc_reports)
		r->dmarc = reporter_new(r->loop, &dmarcreport_kind, &settings);
	if (r->events && r->worker->conf->relay.webhook_url[0])
		r->webhook = webhook_new(r->loop, r->worker->conf, r->events, r->queue, r->control);
}

static struct fault relay_open(struct worker *w)
{
	struct relay *r = xcalloc(1, sizeof(*r));
	const char *bad = smarthost_check(w->conf);
	struct fault f;

	w->state = r;
	r->worker = w;
	r->loop = w->loop;
	r->hostname = xstrdup(w->conf->host.hostname);
	f = bad ? fault_detail(FAULT_INVALID, "smarthosts: \"%s\" is not SELECTOR=HOST:PORT", bad)
		: FAULT_OK;
	if (!f.kind && webhook_check(w->conf))
		f = fault(FAULT_INVALID, webhook_check(w->conf));
	if (!f.kind)
		f = smarthosts_load(w->conf->relay.passwords, &r->smarthosts);
	if (!f.kind)
		f = tls_client_new(w->conf->relay.ca_file[0] ? w->conf->relay.ca_file : NULL,
				   &r->tls);
	if (!f.kind)
		f = directory_open(instance_path(w->instance, INSTANCE_DIRECTORY), false,
				   &r->directory);
	if (!f.kind)
		f = dns_new_from_conf(w->loop, &w->conf->dns, &r->dns);
	if (!f.kind)
		start_policies(r);
	return f;
}

static struct schedule_limits limits_of(const struct conf *conf)
{
	return (struct schedule_limits){
		.retry_min_ms = conf->queue.retry_min_ms,
		.retry_max_ms = conf->queue.retry_max_ms,
		.connections = (unsigned)conf->relay.connections,
		.per_destination = (unsigned)conf->relay.per_destination,
	};
}

static void read_limits(struct relay *r)
{
	atomic_store(&r->suppress_after, (unsigned)r->worker->conf->smtp.suppress_after);
	atomic_store(&r->brake_percent, (unsigned)r->worker->conf->queue.brake_percent);
}

/* open_outbook - without it nobody is held back, and mail goes on. */
static void open_outbook(struct relay *r)
{
	char folder[4096];
	struct fault f;

	snprintf(folder, sizeof(folder), "%s/outbook", instance_path(r->worker->instance, INSTANCE_QUEUE));
	f = outbook_open(folder, true, &r->outbook);
	if (f.kind)
		log_error(NULL, "outbook.unusable", KV_FAULT("fault", f));
	r->brake = brake_new();
	read_limits(r);
}

static struct fault relay_start(struct worker *w)
{
	struct relay *r = w->state;
	struct schedule_limits limits = limits_of(w->conf);
	char folder[4096];
	struct fault f = queue_open(instance_path(w->instance, INSTANCE_QUEUE), &r->queue);

	if (f.kind)
		return f;
	/* Mail does not wait for its history. */
	f = eventstore_open(instance_path(w->instance, INSTANCE_EVENTS), true, &r->events);
	if (f.kind)
		log_error(NULL, "events.closed", KV_FAULT("fault", f));
	else
		eventstore_start(r->events, w->loop, w->conf->log.events_ms);
	open_outbook(r);
	r->keys = dkimkeys_new(instance_path(w->instance, INSTANCE_KEYS));
	queue_use_keys(r->queue, r->keys);
	start_reports(r);
	relay_remember_clock(r);
	r->schedule = schedule_new(&limits);
	relay_remember_paused(r);
	relay_remember_brake(r);
	r->member.close = on_loop_end;
	loop_join(r->loop, &r->member);
	timer_init(&r->tick, r->loop, on_tick);
	timer_init(&r->sweep, r->loop, on_sweep);
	timer_init(&r->forget, r->loop, on_forget);
	timer_init(&r->rescan, r->loop, relay_rescan);
	timer_init(&r->leave, r->loop, relay_leave_again);
	deferred_init(&r->turn, r->loop, on_turn);
	snprintf(folder, sizeof(folder), "%s/msg", instance_path(w->instance, INSTANCE_QUEUE));
	/* First the watch, then the look: what comes in between is seen twice, not never. */
	f = watch_new(r->loop, folder, &relay_watch_events, r, &r->watch);
	if (f.kind)
		return f;
	relay_look(r);
	timer_start_ms(&r->sweep, 1000);
	return FAULT_OK;
}

static void relay_reload(struct worker *w, const struct conf *was)
{
	struct relay *r = w->state;
	struct schedule_limits limits = limits_of(w->conf);

	(void)was;
	questions_rest_no_more(r->questions);
	schedule_set_limits(r->schedule, &limits);
	read_limits(r);
	relay_turn(r);
}

static void relay_stop(struct worker *w)
{
	struct relay *r = w->state;

	r->is_stopping = true;
	questions_rest_no_more(r->questions);
	watch_free(&r->watch);
	timer_stop(&r->sweep);
	timer_stop(&r->rescan);
	forget_rows(r);
	relay_keep_brake(r);
	if (schedule_count(r->schedule))
		relay_keep_clock(r);
	for (struct sender *s = r->senders, *after; s; s = after) {
		after = sender_next_of(s);
		sender_stop(s);
	}
	relay_turn(r);
}

static bool close_file(void *arg, struct message *m)
{
	(void)arg;
	spool_close(&m->spool);
	return true;
}

static void relay_end(struct worker *w)
{
	struct relay *r = w->state;

	if (!r)
		return;
	if (r->schedule)
		schedule_each(r->schedule, close_file, r);
	schedule_free(&r->schedule);
	dns_free(&r->dns);
	tls_client_free(&r->tls);
	smarthosts_free(&r->smarthosts);
	queue_close(&r->queue);
	eventstore_close(&r->events);
	outbook_close(&r->outbook);
	brake_free(&r->brake);
	relay_notes_free(r);
	dkimkeys_free(&r->keys);
	directory_close(&r->directory);
	free(r->gone);
	free(r->hostname);
	free(r);
	w->state = NULL;
}

static void relay_status(struct worker *w, struct json_out *j)
{
	const struct relay *r = w->state;
	uint64_t senders = 0;

	for (const struct sender *s = r->senders; s; s = sender_next_of(s))
		senders++;
	json_out_u64(j, "queued", schedule_count(r->schedule));
	json_out_u64(j, "sending", senders);
	json_out_u64(j, "sent", r->delivered);
	json_out_u64(j, "send_deferred", r->deferred);
	json_out_u64(j, "send_failed", r->failed);
}

static const struct conf_list *relay_files(const struct conf *conf)
{
	return &conf->dns.anchors;
}

const struct daemon_spec relay_spec = {
	.name = "relay",
	.doc = "send what is queued to other servers",
	.writes = 1u << INSTANCE_QUEUE | 1u << INSTANCE_DIRECTORY | 1u << INSTANCE_EVENTS,
	.reads = 1u << INSTANCE_KEYS,
	.reads_files = relay_files,
	.may_connect = true,
	.open = relay_open,
	.start = relay_start,
	.reload = relay_reload,
	.stop = relay_stop,
	.end = relay_end,
	.status = relay_status,
	.verbs = relay_verbs,
};
