#include "smtpd/relay/schedule.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/memory.h"

#include "common/banned.h"

#define LIMIT_START 2
#define HELD_MS UINT64_MAX      /* due: when released */

struct schedule {
	struct schedule_limits limits;
	struct message **messages;
	struct destination **destinations;
	size_t message_count, message_slots, destination_count, destination_slots;
	struct part **heap;             /* waiting parts, the next due first; from 1 */
	size_t heap_count, heap_cap;
	struct destination *ring, **ring_end;
	struct provider *providers;     /* as many as the configuration names */
	unsigned connections;
	uint64_t now_ms;
};

struct schedule *schedule_new(const struct schedule_limits *limits)
{
	struct schedule *s = xcalloc(1, sizeof(*s));

	s->limits = *limits;
	s->message_slots = s->destination_slots = 256;
	s->messages = xcalloc(s->message_slots, sizeof(struct message *));
	s->destinations = xcalloc(s->destination_slots, sizeof(struct destination *));
	s->ring_end = &s->ring;
	return s;
}

void schedule_set_limits(struct schedule *s, const struct schedule_limits *limits)
{
	s->limits = *limits;
}

/* ---- the heap of waiting parts ---- */

static void heap_put(struct schedule *s, size_t place, struct part *p)
{
	s->heap[place] = p;
	p->place = place;
}

static void heap_up(struct schedule *s, size_t place)
{
	struct part *p = s->heap[place];

	for (; place > 1 && s->heap[place / 2]->due_ms > p->due_ms; place /= 2)
		heap_put(s, place, s->heap[place / 2]);
	heap_put(s, place, p);
}

static void heap_down(struct schedule *s, size_t place)
{
	struct part *p = s->heap[place];

	for (;;) {
		size_t child = 2 * place;

		if (child > s->heap_count)
			break;
		if (child < s->heap_count && s->heap[child + 1]->due_ms < s->heap[child]->due_ms)
			child++;
		if (s->heap[child]->due_ms >= p->due_ms)
			break;
		heap_put(s, place, s->heap[child]);
		place = child;
	}
	heap_put(s, place, p);
}

static void heap_add(struct schedule *s, struct part *p)
{
	if (s->heap_count + 1 >= s->heap_cap) {
		s->heap_cap = s->heap_cap ? 2 * s->heap_cap : 256;
		s->heap = xrealloc(s->heap, s->heap_cap * sizeof(*s->heap));
	}
	p->state = PART_WAITING;
	s->heap[++s->heap_count] = p;
	heap_up(s, s->heap_count);
}

static void heap_remove(struct schedule *s, struct part *p)
{
	size_t place = p->place;
	struct part *last = s->heap[s->heap_count--];

	p->place = 0;
	if (last == p)
		return;
	heap_put(s, place, last);
	heap_up(s, place);
	heap_down(s, last->place);
}

/* ---- the ring of destinations with work ---- */

static void ring_leave(struct schedule *s, struct destination *d)
{
	if (!d->ring_at)
		return;
	*d->ring_at = d->ring;
	if (d->ring)
		d->ring->ring_at = d->ring_at;
	else
		s->ring_end = d->ring_at;
	d->ring = NULL;
	d->ring_at = NULL;
}

static void ring_join(struct schedule *s, struct destination *d)
{
	if (d->ring_at || !d->ready_count || d->blocked_until_ms || d->is_paused || (d->provider && d->provider->blocked_until_ms))
		return;
	d->ring = NULL;
	d->ring_at = s->ring_end;
	*s->ring_end = d;
	s->ring_end = &d->ring;
}

static void ready_add(struct schedule *s, struct part *p, bool is_first)
{
	struct destination *d = p->destination;
	struct ready *list = &d->ready[p->message->level];

	p->state = PART_READY;
	if (is_first && list->first) {
		p->next = list->first;
		p->at = &list->first;
		list->first->at = &p->next;
		list->first = p;
	} else {
		p->next = NULL;
		p->at = list->end;
		*list->end = p;
		list->end = &p->next;
	}
	d->ready_count++;
	ring_join(s, d);
}

static void ready_remove(struct schedule *s, struct part *p)
{
	struct destination *d = p->destination;

	*p->at = p->next;
	if (p->next)
		p->next->at = p->at;
	else
		d->ready[p->message->level].end = p->at;
	p->next = NULL;
	p->at = NULL;
	if (!--d->ready_count)
		ring_leave(s, d);
}

static void leave_lists(struct schedule *s, struct part *p)
{
	if (p->state == PART_WAITING)
		heap_remove(s, p);
	else if (p->state == PART_READY)
		ready_remove(s, p);
}

/* ---- destinations ---- */

static void grow_destinations(struct schedule *s)
{
	size_t slots = 2 * s->destination_slots;
	struct destination **all = xcalloc(slots, sizeof(struct destination *));

	for (size_t i = 0; i < s->destination_slots; i++)
		for (struct destination *d = s->destinations[i], *next; d; d = next) {
			struct destination **to = &all[sv_hash(sv_z(d->name)) & (slots - 1)];

			next = d->next;
			d->next = *to;
			*to = d;
		}
	free(s->destinations);
	s->destinations = all;
	s->destination_slots = slots;
}

struct destination *schedule_destination(struct schedule *s, struct sv name)
{
	struct destination **slot = &s->destinations[sv_hash(name) & (s->destination_slots - 1)];
	struct destination *d;

	for (d = *slot; d; d = d->next)
		if (sv_eq(sv_z(d->name), name))
			return d;
	d = xcalloc(1, sizeof(*d) + name.len + 1);
	memcpy(d->name, name.p, name.len);
	for (size_t i = 0; i < WISHES_LEVELS; i++)
		d->ready[i].end = &d->ready[i].first;
	d->limit = LIMIT_START < s->limits.per_destination ? LIMIT_START
							   : s->limits.per_destination;
	d->next = *slot;
	*slot = d;
	if (++s->destination_count > s->destination_slots)
		grow_destinations(s);
	return d;
}

/* One that nobody needs, and about which nothing is to be remembered. */
static void forget_if_idle(struct schedule *s, struct destination *d)
{
	struct destination **slot = &s->destinations[sv_hash(sv_z(d->name)) &
						      (s->destination_slots - 1)];

	if (d->part_count || d->active || d->is_paused || d->blocked_until_ms)
		return;
	ring_leave(s, d);
	while (*slot != d)
		slot = &(*slot)->next;
	*slot = d->next;
	s->destination_count--;
	free(d);
}

/* ---- messages ---- */

static void grow_messages(struct schedule *s)
{
	size_t slots = 2 * s->message_slots;
	struct message **all = xcalloc(slots, sizeof(struct message *));

	for (size_t i = 0; i < s->message_slots; i++)
		for (struct message *m = s->messages[i], *next; m; m = next) {
			struct message **to = &all[sv_hash(sv_z(m->id)) & (slots - 1)];

			next = m->next;
			m->next = *to;
			*to = m;
		}
	free(s->messages);
	s->messages = all;
	s->message_slots = slots;
}

struct message *schedule_find(const struct schedule *s, struct sv id)
{
	struct message *m = s->messages[sv_hash(id) & (s->message_slots - 1)];

	while (m && !sv_eq(sv_z(m->id), id))
		m = m->next;
	return m;
}

struct message *schedule_add(struct schedule *s, const char *id)
{
	struct message **slot, *m;

	if (schedule_find(s, sv_z(id)))
		return NULL;
	m = xcalloc(1, sizeof(*m));
	memcpy(m->id, id, strnlen(id, QUEUE_ID_LEN));
	m->ops_end = &m->ops;
	slot = &s->messages[sv_hash(sv_z(id)) & (s->message_slots - 1)];
	m->next = *slot;
	*slot = m;
	if (++s->message_count > s->message_slots)
		grow_messages(s);
	return m;
}

static void part_free(struct schedule *s, struct part *p)
{
	struct part **at = &p->message->parts;
	struct destination *d = p->destination;

	leave_lists(s, p);
	if (p->state == PART_ACTIVE)
		p->message->active--;
	while (*at != p)
		at = &(*at)->next_of_message;
	*at = p->next_of_message;
	free(p);
	d->part_count--;
	forget_if_idle(s, d);
}

void schedule_drop_part(struct schedule *s, struct part *p)
{
	part_free(s, p);
}

void schedule_drop(struct schedule *s, struct message *m)
{
	struct message **slot = &s->messages[sv_hash(sv_z(m->id)) & (s->message_slots - 1)];

	while (m->parts)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): part_free() moves m->parts on */
		part_free(s, m->parts);
	while (*slot != m)
		slot = &(*slot)->next;
	*slot = m->next;
	s->message_count--;
	free(m);
}

size_t schedule_count(const struct schedule *s)
{
	return s->message_count;
}

void schedule_each(struct schedule *s, bool (*fn)(void *arg, struct message *m), void *arg)
{
	for (size_t i = 0; i < s->message_slots; i++)
		for (struct message *m = s->messages[i], *next; m; m = next) {
			next = m->next;
			if (!fn(arg, m))
				return;
		}
}

void schedule_each_destination(struct schedule *s, bool (*fn)(void *arg, struct destination *d),
			       void *arg)
{
	for (size_t i = 0; i < s->destination_slots; i++)
		for (struct destination *d = s->destinations[i], *next; d; d = next) {
			next = d->next;
			if (!fn(arg, d))
				return;
		}
}

void schedule_free(struct schedule **s)
{
	if (!*s)
		return;
	for (size_t i = 0; i < (*s)->message_slots; i++)
		while ((*s)->messages[i])
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): schedule_drop() moves the slot on */
			schedule_drop(*s, (*s)->messages[i]);
	for (size_t i = 0; i < (*s)->destination_slots; i++)
		for (struct destination *d = (*s)->destinations[i], *next; d; d = next) {
			next = d->next;
			free(d);
		}
	for (struct provider *p = (*s)->providers, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	free((*s)->messages);
	free((*s)->destinations);
	free((*s)->heap);
	free(*s);
	*s = NULL;
}

/* ---- parts ---- */

static void wait_until(struct schedule *s, struct part *p, uint64_t due_ms)
{
	p->due_ms = p->message->is_held                     ? HELD_MS
		    : due_ms < p->message->not_before_ms ? p->message->not_before_ms : due_ms;
	if (p->due_ms <= s->now_ms)
		ready_add(s, p, false);
	else
		heap_add(s, p);
}

struct part *schedule_add_part(struct schedule *s, struct message *m, struct sv destination,
			       uint64_t due_ms, uint32_t failures)
{
	struct part *p = xcalloc(1, sizeof(*p));

	p->message = m;
	p->destination = schedule_destination(s, destination);
	p->destination->part_count++;
	p->failures = failures;
	p->next_of_message = m->parts;
	m->parts = p;
	wait_until(s, p, due_ms);
	return p;
}

static void deactivate(struct part *p)
{
	if (p->state != PART_ACTIVE)
		BUG("a part in state %d was given back", p->state);
	p->message->active--;
}

/* 5 min, 10, 20, 40, 70, ...; plus or minus a tenth, so that what failed together does not come
 * back together. */
static uint64_t wait_of(const struct schedule *s, unsigned failures)
{
	uint64_t ms = s->limits.retry_min_ms;
	uint32_t dice;

	for (unsigned i = 1; i < failures && ms < s->limits.retry_max_ms; i++)
		ms *= 2;
	if (ms > s->limits.retry_max_ms)
		ms = s->limits.retry_max_ms;
	crypt_random(&dice, sizeof(dice));
	return ms - ms / 10 + ms / 5 * (dice % 1024) / 1024;
}

void schedule_defer(struct schedule *s, struct part *p, uint64_t now_ms)
{
	deactivate(p);
	p->failures++;
	wait_until(s, p, now_ms + wait_of(s, p->failures));
}

void schedule_return(struct schedule *s, struct part *p, uint64_t now_ms, uint64_t delay_ms)
{
	deactivate(p);
	if (delay_ms || p->message->is_held) {
		wait_until(s, p, now_ms + delay_ms);
		return;
	}
	p->due_ms = now_ms;
	ready_add(s, p, true);
}

void schedule_hurry(struct schedule *s, struct message *m)
{
	for (struct part *p = m->parts; p; p = p->next_of_message) {
		schedule_unblock(s, p->destination);
		if (p->state == PART_WAITING && !m->is_held) {
			heap_remove(s, p);
			wait_until(s, p, s->now_ms);
		}
	}
}

void schedule_hold(struct schedule *s, struct message *m, bool is_held)
{
	m->is_held = is_held;
	for (struct part *p = m->parts; p; p = p->next_of_message) {
		if (p->state == PART_ACTIVE)
			continue;       /* what is under way is finished */
		leave_lists(s, p);
		wait_until(s, p, s->now_ms);
	}
}

/* ---- time and turns ---- */

static bool unblock_if_due(void *arg, struct destination *d)
{
	struct schedule *s = arg;

	if (d->blocked_until_ms && d->blocked_until_ms <= s->now_ms) {
		d->blocked_until_ms = 0;
		d->is_expected = true;
		ring_join(s, d);
		forget_if_idle(s, d);
	}
	return true;
}

static bool rejoin(void *arg, struct destination *d)
{
	ring_join(arg, d);
	return true;
}

static void unblock_provider(struct schedule *s, struct provider *p)
{
	p->blocked_until_ms = 0;
	p->is_expected = true;
	schedule_each_destination(s, rejoin, s);
}

void schedule_tick(struct schedule *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
	while (s->heap_count && s->heap[1]->due_ms <= now_ms) {
		struct part *p = s->heap[1];

		heap_remove(s, p);
		ready_add(s, p, false);
	}
	schedule_each_destination(s, unblock_if_due, s);
	for (struct provider *p = s->providers; p; p = p->next)
		if (p->blocked_until_ms && p->blocked_until_ms <= now_ms)
			unblock_provider(s, p);
}

uint64_t schedule_next_ms(const struct schedule *s)
{
	uint64_t next = s->heap_count ? s->heap[1]->due_ms : UINT64_MAX;

	for (size_t i = 0; i < s->destination_slots; i++)
		for (const struct destination *d = s->destinations[i]; d; d = d->next)
			if (d->blocked_until_ms && d->blocked_until_ms < next)
				next = d->blocked_until_ms;
	for (const struct provider *p = s->providers; p; p = p->next)
		if (p->blocked_until_ms && p->blocked_until_ms < next)
			next = p->blocked_until_ms;
	return next;
}

static unsigned limit_of(const struct provider *p)
{
	return p->is_expected ? 1 : p->limit;
}

struct destination *schedule_pick(struct schedule *s)
{
	size_t turns = s->destination_count;

	if (s->connections >= s->limits.connections)
		return NULL;
	while (s->ring && turns--) {
		struct destination *d = s->ring;
		/* After a block one connection shows whether it is over. */
		unsigned limit = d->is_expected ? 1 : d->limit;

		ring_leave(s, d);
		ring_join(s, d);        /* behind the others */
		if (d->provider && d->provider->active >= limit_of(d->provider))
			continue;
		if (d->active < limit && d->fresh < d->ready_count) {
			d->active++;
			if (d->provider)
				d->provider->active++;
			d->fresh++;
			s->connections++;
			return d;
		}
	}
	return NULL;
}

void schedule_hang_up(struct schedule *s, struct destination *d)
{
	d->active--;
	if (d->provider)
		d->provider->active--;
	s->connections--;
	forget_if_idle(s, d);
}

struct part *schedule_take(struct schedule *s, struct destination *d)
{
	struct part *p = NULL;

	for (size_t i = WISHES_LEVELS; i && !p; i--)
		p = d->ready[i - 1].first;
	if (!p || d->blocked_until_ms || d->is_paused || (d->provider && d->provider->blocked_until_ms))
		return NULL;
	ready_remove(s, p);
	p->state = PART_ACTIVE;
	p->message->active++;
	return p;
}

void schedule_works(struct schedule *s, struct destination *d)
{
	d->failures = 0;
	d->is_expected = false;
	d->status[0] = d->reason[0] = '\0';
	if (d->limit < s->limits.per_destination)
		d->limit++;
	if (!d->provider)
		return;
	d->provider->failures = 0;
	d->provider->is_expected = false;
	d->provider->status[0] = d->provider->reason[0] = '\0';
	if (d->provider->limit < s->limits.per_destination)
		d->provider->limit++;
}

/* ---- providers ---- */

static struct provider *provider_named(struct schedule *s, struct sv name)
{
	struct provider *p = s->providers;

	while (p && !sv_eq(sv_z(p->name), name))
		p = p->next;
	if (p || !name.len)
		return p && name.len ? p : NULL;
	p = xcalloc(1, sizeof(*p) + name.len + 1);
	memcpy(p->name, name.p, name.len);
	p->limit = LIMIT_START < s->limits.per_destination ? LIMIT_START : s->limits.per_destination;
	p->next = s->providers;
	s->providers = p;
	return p;
}

bool schedule_provide(struct schedule *s, struct destination *d, struct sv name)
{
	struct provider *p = provider_named(s, name);

	if (d->provider != p && d->provider)
		d->provider->active -= d->active;
	if (d->provider != p && p)
		p->active += d->active;
	d->provider = p;
	if (!p)
		return true;
	if (p->blocked_until_ms)
		ring_leave(s, d);
	return !p->blocked_until_ms && p->active <= limit_of(p);
}

static bool leave_blocked(void *arg, struct destination *d)
{
	if (d->provider && d->provider->blocked_until_ms)
		ring_leave(arg, d);
	return true;
}

void schedule_slow(struct schedule *s, struct destination *d, uint64_t now_ms, const char *status, const char *reason, bool stops)
{
	struct provider *p = d->provider;

	if (!p)
		return;
	snprintf(p->status, sizeof(p->status), "%s", status);
	snprintf(p->reason, sizeof(p->reason), "%s", reason);
	p->limit = p->limit > 2 ? p->limit / 2 : 1;
	if (p->blocked_until_ms || !stops)
		return;
	p->failures++;
	p->blocked_until_ms = now_ms + wait_of(s, p->failures) / 5;
	schedule_each_destination(s, leave_blocked, s);
}

void schedule_fails(struct schedule *s, struct destination *d, uint64_t now_ms, const char *status,
		    const char *reason)
{
	snprintf(d->status, sizeof(d->status), "%s", status);
	snprintf(d->reason, sizeof(d->reason), "%s", reason);
	d->limit = d->limit > 2 ? d->limit / 2 : 1;
	if (d->blocked_until_ms)
		return;                 /* several connections saw the same */
	d->failures++;
	d->blocked_until_ms = now_ms + wait_of(s, d->failures);
	ring_leave(s, d);
}

void schedule_unblock(struct schedule *s, struct destination *d)
{
	if (d->provider && d->provider->blocked_until_ms)
		unblock_provider(s, d->provider);
	if (!d->blocked_until_ms)
		return;
	d->blocked_until_ms = 0;
	d->is_expected = true;
	ring_join(s, d);
}

void schedule_pause(struct schedule *s, struct destination *d, bool is_paused)
{
	d->is_paused = is_paused;
	if (is_paused)
		ring_leave(s, d);
	else
		ring_join(s, d);
	forget_if_idle(s, d);
}
