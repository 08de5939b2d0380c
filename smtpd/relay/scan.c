/* Finding messages: all files at start and when events were missed, each new one as it comes. What a crash left in the middle is
 * mended before anything is sent. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "smtpd/relay/clock.h"
#include "smtpd/relay/relay_private.h"
#include "smtpd/relay/watch.h"

#include "common/banned.h"

#define SCAN_CHUNK 500          /* files read in one job */

/* ---- who waits until all is known ---- */

static void look_begin(struct relay *r, struct look *look, uint64_t number)
{
	look->number = number;
	look->next = r->looks;
	r->looks = look;
}

/* oldest_look - UINT64_MAX: none is under way. */
static uint64_t oldest_look(const struct relay *r)
{
	uint64_t oldest = UINT64_MAX;

	for (const struct look *look = r->looks; look; look = look->next)
		if (look->number < oldest)
			oldest = look->number;
	return oldest;
}

static void look_end(struct relay *r, const struct look *look)
{
	struct look **at = &r->looks;
	struct asker *asker;

	while (*at != look)
		at = &(*at)->next;
	*at = look->next;
	if (!r->askers)
		return;
	for (uint64_t oldest = oldest_look(r); (asker = r->askers) && asker->number < oldest;) {
		r->askers = asker->next;
		asker->go(asker);
	}
}

void relay_when_known(struct relay *r, struct asker *asker)
{
	struct asker **end = &r->askers;

	if (r->watch)
		watch_look(r->watch);
	while (*end)
		end = &(*end)->next;
	asker->number = r->look_count;
	asker->next = NULL;
	if (!r->askers && oldest_look(r) > asker->number)
		asker->go(asker);
	else
		*end = asker;
}

/* ---- what a message is: read from its file ---- */

struct found_part {
	struct buf key;
	uint32_t attempts;
	int64_t at_s;
};

struct found {
	char id[QUEUE_ID_LEN + 1];
	bool is_there, is_bounce, is_held, is_late_told, needs_mending;
	int64_t received_s;     /* by the host's clock of that time */
	int64_t born_s;         /* by the queue's; 0: nobody wrote it down */
	struct wishes wishes;   /* but for `hold`, whose text is gone */
	struct found_part *parts;
	size_t part_count;
};

struct scan {
	struct work work;
	struct look look;
	struct relay *relay;
	struct conf *conf;
	struct found *items;
	size_t count;
	bool is_start;          /* part of the scan at start */
	bool is_new;            /* it has come just now */
};

static struct found_part *part_for(struct found *f, struct buf *key)
{
	for (size_t i = 0; i < f->part_count; i++)
		if (sv_eq(buf_sv(&f->parts[i].key), buf_sv(key)))
			return &f->parts[i];
	f->parts = xrealloc(f->parts, (f->part_count + 1) * sizeof(*f->parts));
	f->parts[f->part_count] = (struct found_part){ .key = *key };
	buf_init(key, 1024);
	return &f->parts[f->part_count++];
}

static void look_at(struct scan *scan, struct found *f)
{
	struct spool *sp = NULL;
	struct fault fault = queue_read(scan->relay->queue, sv_z(f->id), &sp);
	const struct envelope *e;
	enum spool_notice begun;
	char id[QUEUE_ID_LEN + 1];
	struct buf key;
	uint32_t i = 0;

	if (fault.kind) {
		if (fault.kind == FAULT_CORRUPT)
			queue_set_apart(scan->relay->queue, f->id, fault);
		return;
	}
	e = spool_envelope(sp);
	f->is_there = true;
	f->is_bounce = !e->sender.len;
	f->is_held = spool_is_held(sp) || relay_is_ruled(scan->relay, e);
	f->received_s = e->received_s;
	f->born_s = spool_born(sp);
	f->wishes = wishes_of(e);
	f->needs_mending = spool_open_notice(sp, &begun, id);
	buf_init(&key, 1024);
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next, i++) {
		struct spool_rcpt known = spool_rcpt(sp, i);
		struct found_part *p;

		f->is_late_told |= known.told & 1u << SPOOL_NOTICE_DELAY;
		/* An outcome whose message still lies here: a crash may have come before the
		 * sender was told, or before the file went. */
		f->needs_mending |= known.outcome != 0;
		if (known.outcome)
			continue;
		buf_clear(&key);
		if (!destination_of(scan->relay, scan->conf, e, r->address, &key))
			(void)buf_append(&key, SV("invalid"));
		p = part_for(f, &key);
		if (known.attempts > p->attempts)
			p->attempts = known.attempts;
		if (known.at_s > p->at_s)
			p->at_s = known.at_s;
	}
	buf_done(&key);
	spool_close(&sp);
}

static void scan_run(struct work *w)
{
	struct scan *scan = CONTAINER_OF(w, struct scan, work);

	for (size_t i = 0; i < scan->count; i++)
		look_at(scan, &scan->items[i]);
}

/* ---- mending after a crash ---- */

static void mend_run(struct op *op)
{
	static const struct settlement nothing = { .change_count = 0 };

	op->fault = relay_op_take(op);
	if (!op->fault.kind)
		op->fault = settle(op, &nothing);
	op->is_gone |= op->fault.kind == FAULT_NOT_FOUND;
}

static void mend_done(struct op *op)
{
	struct relay *r = op->relay;

	if (op->fault.kind && op->fault.kind != FAULT_NOT_FOUND) {
		log_error(NULL, "relay.mend", KV_Z("queue_id", op->message->id),
			  KV_FAULT("fault", op->fault));
		op->message->is_broken = true;
	}
	if (r->mending)
		r->mending--;
	free(op);
}

static void mend(struct relay *r, struct message *m, bool is_start)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->run = mend_run;
	op->done = mend_done;
	r->mending += is_start || !r->has_scanned;
	relay_op(r, m, op);
}

static bool has_part(const struct message *m, struct sv key)
{
	for (const struct part *p = m->parts; p; p = p->next_of_message)
		if (sv_eq(sv_z(p->destination->name), key))
			return true;
	return false;
}

/* ---- when it came ---- */

static void born_run(struct op *op)
{
	op->fault = relay_op_take(op);
	if (!op->fault.kind)
		op->fault = spool_put_born(op->message->spool, op->message->received_s);
}

static void born_done(struct op *op)
{
	if (op->fault.kind && op->fault.kind != FAULT_NOT_FOUND)
		log_error(NULL, "relay.born", KV_Z("queue_id", op->message->id), KV_FAULT("fault", op->fault));
	free(op);
}

static void set_times(struct relay *r, struct message *m, const struct found *f, int64_t born_s)
{
	int64_t later_s = born_s - f->received_s;

	m->received_s = born_s;
	m->not_before_s = f->wishes.not_before_s ? f->wishes.not_before_s + later_s : 0;
	relay_set_not_before(r, m);
	m->by_s = f->wishes.has_by ? f->wishes.by_s + later_s : 0;
}

/* date - by the queue's time. What came by another clock than its envelope says has that written down, for the next start. */
static void date(struct relay *r, struct message *m, const struct found *f, bool is_new)
{
	int64_t life_s;
	struct op *op;

	set_times(r, m, f, f->received_s);
	life_s = relay_expires_s(r, m) - f->received_s;
	set_times(r, m, f, f->born_s ? f->born_s : clock_born(relay_now_s(r), relay_skew_s(r), f->received_s, is_new, life_s));
	if (f->born_s)
		return;
	/* One without recipients leaves at once, and nothing may be under way for it then. */
	if (!f->part_count || (m->received_s - f->received_s >= -CLOCK_SAME_S && m->received_s - f->received_s <= CLOCK_SAME_S))
		return;
	op = xcalloc(1, sizeof(*op));
	op->run = born_run;
	op->done = born_done;
	relay_op(r, m, op);
}

/* register_found - into the schedule. What was tried before the start waits for the rest of its
 * time. */
static void register_found(struct relay *r, const struct found *f, bool is_start, bool is_new)
{
	struct message *m = schedule_find(r->schedule, sv_z(f->id));
	uint64_t now = loop_now_ms(r->loop);

	if (!f->is_there || (m && m->is_leaving))
		return;
	if (!m) {
		m = schedule_add(r->schedule, f->id);
		m->is_bounce = f->is_bounce;
		m->is_held = f->is_held;
		m->is_by_return = f->wishes.is_by_return;
		m->level = wishes_level(f->wishes.priority);
		m->is_late_told = f->is_late_told;
		date(r, m, f, is_new);
	}
	for (size_t i = 0; i < f->part_count; i++) {
		const struct found_part *p = &f->parts[i];
		uint64_t due = 0;

		if (has_part(m, buf_sv(&p->key)))
			continue;
		if (p->attempts) {
			int64_t since_s = relay_now_s(r) - p->at_s;
			uint64_t wait = r->worker->conf->queue.retry_min_ms
					<< (p->attempts < 10 ? p->attempts - 1 : 9);

			if (wait > r->worker->conf->queue.retry_max_ms)
				wait = r->worker->conf->queue.retry_max_ms;
			if (since_s >= 0 && (uint64_t)since_s * 1000 < wait)
				due = now + wait - (uint64_t)since_s * 1000;
		}
		schedule_add_part(r->schedule, m, buf_sv(&p->key), due, p->attempts);
	}
	if (f->needs_mending)
		mend(r, m, is_start);
	else if (!m->parts)
		schedule_drop(r->schedule, m);
}

static void scan_done(struct work *w, bool is_cancelled)
{
	struct scan *scan = CONTAINER_OF(w, struct scan, work);
	struct relay *r = scan->relay;

	relay_job_ended(r);
	for (size_t i = 0; i < scan->count; i++) {
		struct found *f = &scan->items[i];

		if (!is_cancelled && !r->is_stopping)
			register_found(r, f, scan->is_start, scan->is_new);
		for (size_t k = 0; k < f->part_count; k++)
			buf_done(&f->parts[k].key);
		free(f->parts);
	}
	if (scan->is_start && !--r->scans_left) {
		r->has_scanned = true;
		log_info(NULL, "relay.scanned", KV_U64("messages", schedule_count(r->schedule)),
			 KV_U64("mending", r->mending));
	}
	look_end(r, &scan->look);
	free(scan->items);
	conf_unref(&scan->conf);
	free(scan);
	relay_turn(r);
}

static void scan_submit(struct relay *r, struct scan *scan, uint64_t number)
{
	scan->relay = r;
	look_begin(r, &scan->look, number);
	scan->conf = conf_ref(r->worker->conf);
	scan->work = (struct work){ .run = scan_run, .done = scan_done };
	r->jobs++;
	if (work_submit(r->loop, WORK_MAIL, &scan->work).kind) {
		/* The row is full: a look at everything, later. */
		timer_start_ms(&r->rescan, 1000);
		r->scans_left += scan->is_start;        /* it still has to come */
		scan_done(&scan->work, true);
	}
}

void relay_found(struct relay *r, const char *id, bool may_be_known)
{
	struct scan *scan;

	if (r->is_stopping || strlen(id) != QUEUE_ID_LEN ||
	    (!may_be_known && schedule_find(r->schedule, sv_z(id))))
		return;
	for (size_t i = 0; i < RELAY_RECENT; i++)
		if (!strcmp(r->recent[i], id))
			return;
	scan = xcalloc(1, sizeof(*scan));
	scan->items = xcalloc(1, sizeof(*scan->items));
	scan->count = 1;
	scan->is_new = !may_be_known;
	snprintf(scan->items[0].id, sizeof(scan->items[0].id), "%s", id);
	scan_submit(r, scan, ++r->look_count);
}

static void on_file(void *arg, const char *name)
{
	relay_found(arg, name, false);
}

/* ---- looking at all files: at start, and when events were missed ---- */

struct listing {
	struct work work;
	struct look look;
	struct relay *relay;
	char (*ids)[QUEUE_ID_LEN + 1];
	size_t count, cap;
	struct fault fault;
	bool is_start;
};

static bool list_one(void *arg, const char *id)
{
	struct listing *l = arg;

	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 1024;
		l->ids = xrealloc(l->ids, l->cap * sizeof(*l->ids));
	}
	memcpy(l->ids[l->count++], id, QUEUE_ID_LEN + 1);
	return true;
}

static void listing_run(struct work *w)
{
	struct listing *l = CONTAINER_OF(w, struct listing, work);

	l->fault = queue_each(l->relay->queue, list_one, l);
}

static void listing_done(struct work *w, bool is_cancelled)
{
	struct listing *l = CONTAINER_OF(w, struct listing, work);
	struct relay *r = l->relay;

	relay_job_ended(r);
	r->is_scanning = false;
	if (is_cancelled || l->fault.kind) {
		timer_start_ms(&r->rescan, 1000);
		if (l->fault.kind)
			log_error(NULL, "relay.scan", KV_FAULT("fault", l->fault));
	}
	r->scans_left += l->is_start;   /* one for the loop below */
	for (size_t at = 0; at < l->count && !is_cancelled && !l->fault.kind;) {
		struct scan *scan = xcalloc(1, sizeof(*scan));

		scan->items = xcalloc(SCAN_CHUNK, sizeof(*scan->items));
		scan->is_start = l->is_start;
		for (; at < l->count && scan->count < SCAN_CHUNK; at++)
			if (!schedule_find(r->schedule, sv_z(l->ids[at])))
				memcpy(scan->items[scan->count++].id, l->ids[at],
				       QUEUE_ID_LEN + 1);
		r->scans_left += l->is_start;
		scan_submit(r, scan, l->look.number);   /* part of the same look */
	}
	if (l->is_start && !is_cancelled && !l->fault.kind && !--r->scans_left) {
		r->has_scanned = true;
		log_info(NULL, "relay.scanned", KV_U64("messages", 0));
	} else if (l->is_start && (is_cancelled || l->fault.kind)) {
		r->scans_left--;
	}
	look_end(r, &l->look);
	free(l->ids);
	free(l);
	relay_turn(r);
}

void relay_look(struct relay *r)
{
	struct listing *l;

	if (r->is_scanning || r->is_stopping)
		return;
	r->is_scanning = true;
	l = xcalloc(1, sizeof(*l));
	l->relay = r;
	l->is_start = !r->has_scanned;
	look_begin(r, &l->look, ++r->look_count);
	l->work = (struct work){ .run = listing_run, .done = listing_done };
	r->jobs++;
	if (work_submit(r->loop, WORK_MAIL, &l->work).kind)
		listing_done(&l->work, true);
}

void relay_rescan(struct timer *t)
{
	relay_look(CONTAINER_OF(t, struct relay, rescan));
}

static void on_overflow(void *arg)
{
	relay_look(arg);
}

const struct watch_events relay_watch_events = { on_file, on_overflow };
