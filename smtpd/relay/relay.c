#include "smtpd/relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
#define PAUSED_NOTE "paused"
#define BRAKE_NOTE "brake"
#define CLOCK_NOTE "clock"
#define CLOCK_KEEP_MS (15 * 60000)      /* a boot after a crash counts from then on */

int64_t relay_now_s(const struct relay *r)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + atomic_load(&r->clock_ms)) / 1000;
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

static bool sweep_one(void *arg, struct message *m)
{
	struct relay *r = arg;
	int64_t now_s = relay_now_s(r);
	int64_t from_s = m->not_before_s > m->received_s ? m->not_before_s : m->received_s;
	int64_t notice_s = from_s + (int64_t)(r->worker->conf->queue.delay_notice_ms / 1000);

	if (m->active || m->is_held || m->is_leaving || m->ops || m->is_expiring)
		return true;
	if (m->by_s && !m->is_by_return)
		notice_s = m->by_s;     /* RFC 2852 §4.1.3 */
	if (now_s >= relay_expires_s(r, m))
		relay_give_up(r, m, true, NULL);
	else if (!m->is_bounce && !m->is_late_told && now_s >= notice_s)
		relay_give_up(r, m, false, NULL);
	/* Some thousands at a time: the row of jobs has an end. */
	return r->jobs < 500;
}

static void keep_brake(struct relay *r);
static void mind_clock(struct relay *r);

static void on_sweep(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, sweep);
	uint64_t every = r->worker->conf->queue.retry_min_ms / 2;

	mind_clock(r);
	keep_brake(r);
	if (may_send(r))
		schedule_each(r->schedule, sweep_one, r);
	timer_start_ms(&r->sweep, every < SWEEP_MAX_MS ? every : SWEEP_MAX_MS);
}

/* ---- paused destinations ---- */

struct note {
	struct work work;
	struct relay *relay;
	const char *name;
	struct buf names;
};

static void note_run(struct work *w)
{
	struct note *n = CONTAINER_OF(w, struct note, work);
	struct fault f = queue_put_note(n->relay->queue, n->name, buf_sv(&n->names));

	if (f.kind)
		log_error(NULL, "relay.note", KV_FAULT("fault", f));
}

static void note_done(struct work *w, bool is_cancelled)
{
	struct note *n = CONTAINER_OF(w, struct note, work);

	(void)is_cancelled;
	relay_job_ended(n->relay);
	buf_done(&n->names);
	free(n);
}

static struct note *new_note(struct relay *r, const char *name, size_t max)
{
	struct note *n = xcalloc(1, sizeof(*n));

	n->relay = r;
	n->name = name;
	buf_init(&n->names, max);
	return n;
}

static void keep_note(struct note *n)
{
	n->work = (struct work){ .run = note_run, .done = note_done };
	n->relay->jobs++;
	if (work_submit(n->relay->loop, WORK_MAIL, &n->work).kind)
		note_done(&n->work, true);
}

static bool add_paused(void *arg, struct destination *d)
{
	struct note *n = arg;

	return !d->is_paused || buf_appendf(&n->names, "%s\n", d->name);
}

void relay_keep_paused(struct relay *r)
{
	struct note *n = new_note(r, PAUSED_NOTE, 16000);

	schedule_each_destination(r->schedule, add_paused, n);
	keep_note(n);
}

static void remember_paused(struct relay *r)
{
	struct buf names;
	struct sv rest, name;

	buf_init(&names, 20000);
	(void)queue_note(r->queue, PAUSED_NOTE, &names);
	rest = buf_sv(&names);
	while (sv_split(&rest, '\n', &name))
		if (name.len)
			schedule_pause(r->schedule, schedule_destination(r->schedule, name), true);
	buf_done(&names);
}

/* keep_brake - a stolen account must not begin anew because we did. What a crash takes is the last minute. */
static void keep_brake(struct relay *r)
{
	struct note *n = new_note(r, BRAKE_NOTE, BRAKE_NOTE_MAX);

	if (brake_write(r->brake, &n->names)) {
		keep_note(n);
		return;
	}
	buf_done(&n->names);
	free(n);
}

/* keep_clock - the queue's time as it goes now. */
static void keep_clock(struct relay *r)
{
	struct note *n = new_note(r, CLOCK_NOTE, CLOCK_NOTE_MAX);
	struct clock_host host;
	struct clock_note note = { .offset_ms = atomic_load(&r->clock_ms) };

	clock_read(&host);
	memcpy(note.boot, host.boot, sizeof(note.boot));
	note.last_ms = host.running_ms + note.offset_ms;
	note.wall_ms = host.wall_ms;
	clock_note_write(&note, &n->names);
	r->clock_kept_ms = loop_now_ms(r->loop);
	keep_note(n);
}

/* mind_clock - with nothing in the queue its time is the host's again; else it is written down now and then. */
static void mind_clock(struct relay *r)
{
	bool is_empty = r->has_scanned && !schedule_count(r->schedule) && !r->looks && !r->jobs;
	struct clock_host host;
	int64_t was_ms = atomic_load(&r->clock_ms), skew_ms;

	clock_read(&host);
	skew_ms = host.wall_ms - host.running_ms - was_ms;
	if (is_empty && (skew_ms <= -1000 || skew_ms >= 1000)) {
		atomic_store(&r->clock_ms, was_ms + skew_ms);
		if (skew_ms < -CLOCK_SAME_S * 1000 || skew_ms > CLOCK_SAME_S * 1000)
			log_info(NULL, "relay.clock", KV_I64("moved_s", skew_ms / 1000));
		keep_clock(r);
	} else if (!is_empty && loop_now_ms(r->loop) - r->clock_kept_ms >= CLOCK_KEEP_MS) {
		keep_clock(r);
	}
}

static void remember_clock(struct relay *r)
{
	struct clock_host host;
	struct clock_note was;
	bool has_note;
	struct buf text;

	buf_init(&text, CLOCK_NOTE_MAX);
	has_note = queue_note(r->queue, CLOCK_NOTE, &text) && clock_note_read(buf_sv(&text), &was);
	clock_read(&host);
	atomic_store(&r->clock_ms, clock_start(&host, has_note ? &was : NULL));
	buf_done(&text);
	if (!has_note || strcmp(was.boot, host.boot))
		keep_clock(r);
}

static void remember_brake(struct relay *r)
{
	struct buf text;

	buf_init(&text, BRAKE_NOTE_MAX);
	if (queue_note(r->queue, BRAKE_NOTE, &text))
		brake_read(r->brake, buf_sv(&text));
	buf_done(&text);
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
	remember_clock(r);
	r->schedule = schedule_new(&limits);
	remember_paused(r);
	remember_brake(r);
	r->member.close = on_loop_end;
	loop_join(r->loop, &r->member);
	timer_init(&r->tick, r->loop, on_tick);
	timer_init(&r->sweep, r->loop, on_sweep);
	timer_init(&r->forget, r->loop, on_forget);
	timer_init(&r->rescan, r->loop, relay_rescan);
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
	keep_brake(r);
	if (schedule_count(r->schedule))
		keep_clock(r);
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
