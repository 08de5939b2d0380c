#include "common/roster.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/shared.h"
#include "common/stream.h"

#include "common/banned.h"

#define MAGIC 0x726f737465723031ull     /* "roster01" */
#define SLOTS 32768
#define PROCESSES 256
#define KEY_LEN 16
#define OPEN_WAIT_MS 2000               /* for the lock, before anybody is served */
#define LOOK_MS 500                     /* until a session of another process has made place */
#define EVICTIONS_MAX 16                /* by one login: more only after a limit was made smaller */

struct slot {
	uint8_t account[KEY_LEN], address[KEY_LEN];
	_Atomic uint64_t heard_ms;      /* by the monotonic clock, which is the same for all */
	_Atomic bool must_go;
	uint16_t process;
};

/* A slot is taken under the lock, its tag last, and given back without it by making the tag 0: so one that is half written is free.
 * Tags lie together, since each login looks at all of them. */
struct memory {
	struct shared_head head;
	uint32_t used;                          /* slots beyond are free */
	_Atomic uint32_t calls[PROCESSES];      /* grows when a session of the process is to go */
	_Atomic uint32_t tags[SLOTS];           /* of the account; 0: free */
	_Atomic uint32_t places[SLOTS];         /* of the address */
	struct slot slots[SLOTS];
};

static const struct shared_kind kind_of_memory = { .magic = MAGIC, .size = sizeof(struct memory), .begin = NULL };

struct roster {
	struct memory *memory;
	struct loop *loop;
	struct roster_guest *guests;    /* of this process */
	struct timer look;
	uint32_t heeded;                /* calls that were answered */
	uint16_t process;
	int fd;                         /* -1: nobody else maps it */
};

static void take_key(uint8_t out[KEY_LEN], struct sv text)
{
	text = sv_sub(text, 0, KEY_LEN);
	memset(out, 0, KEY_LEN);
	if (text.len)
		memcpy(out, text.p, text.len);
}

/* Ids are random and addresses are compared in full, so nobody gains by two that have one tag. */
static uint32_t tag_of(const uint8_t key[KEY_LEN])
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < KEY_LEN; i++)
		h = (h ^ key[i]) * 16777619u;
	return h | 1;
}

/* ---- processes ---- */

static bool lock_octet(int fd, int command, uint16_t process, struct flock *lock)
{
	*lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = process, .l_len = 1 };
	return fcntl(fd, command, lock) == 0;
}

static bool lives(const struct roster *r, uint16_t process)
{
	struct flock lock;

	if (r->fd < 0 || process == r->process)
		return true;
	return !lock_octet(r->fd, F_OFD_GETLK, process, &lock) || lock.l_type != F_UNLCK;
}

static void forget_process(struct memory *m, uint16_t process)
{
	for (uint32_t i = 0; i < m->used; i++)
		if (m->tags[i] && m->slots[i].process == process)
			m->tags[i] = 0;
}

/* Under the lock. */
static void sweep(struct roster *r)
{
	struct memory *m = r->memory;
	bool looked[PROCESSES] = { false };

	for (uint32_t i = 0; i < m->used; i++) {
		uint16_t process = m->slots[i].process;

		if (!m->tags[i] || process >= PROCESSES || looked[process])
			continue;
		looked[process] = true;
		if (!lives(r, process))
			forget_process(m, process);
	}
	while (m->used && !m->tags[m->used - 1])
		m->used--;
}

/* ---- opening ---- */

static struct fault be_process(struct roster *r)
{
	struct flock lock;

	for (uint16_t p = 0; p < PROCESSES; p++) {
		if (!lock_octet(r->fd, F_OFD_SETLK, p, &lock))
			continue;
		r->process = p;
		/* What whoever had the number before has left. */
		if (shared_take(&r->memory->head, OPEN_WAIT_MS)) {
			forget_process(r->memory, p);
			shared_give(&r->memory->head);
		}
		r->heeded = r->memory->calls[p];
		return FAULT_OK;
	}
	r->process = PROCESSES;         /* none: nobody's sessions are ours to forget */
	return fault(FAULT_LIMIT, "more processes than the roster has room for");
}

static void heed(struct roster *r, uint32_t calls, const struct roster_guest *newcomer);

static void on_look(struct timer *t)
{
	struct roster *r = CONTAINER_OF(t, struct roster, look);

	timer_start_ms(&r->look, LOOK_MS);
	heed(r, r->memory->calls[r->process], NULL);
}

struct fault roster_open(const char *path, struct loop *loop, struct roster **out)
{
	struct roster *r = xcalloc(1, sizeof(*r));
	void *memory = NULL;
	struct fault f = FAULT_OK;

	r->fd = -1;
	r->loop = loop;
	timer_init(&r->look, loop, on_look);
	if (path)
		f = shared_open(&kind_of_memory, path, true, &memory, &r->fd);
	else
		memory = shared_new(&kind_of_memory);
	r->memory = memory;
	if (!f.kind && path)
		f = be_process(r);
	if (f.kind)
		roster_close(&r);
	*out = r;
	return f;
}

struct roster *roster_open_instance(const struct instance *instance, struct loop *loop)
{
	char *path = instance_run_path(instance, "roster", "");
	struct roster *r = NULL;
	struct fault f = roster_open(path, loop, &r);

	if (f.kind) {
		log_error(NULL, "roster.alone", KV_FAULT("fault", f));
		f = roster_open(NULL, loop, &r);
		if (f.kind)
			BUG("roster: %s", f.detail);
	}
	free(path);
	return r;
}

void roster_close(struct roster **pr)
{
	struct roster *r = *pr;
	void *memory;

	if (!r)
		return;
	*pr = NULL;
	timer_stop(&r->look);
	memory = r->memory;
	if (memory && shared_take(&r->memory->head, ROSTER_WAIT_MS)) {
		forget_process(r->memory, r->process);
		shared_give(&r->memory->head);
	}
	shared_free(&kind_of_memory, &memory);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

/* ---- who is in ---- */

struct sums {
	uint64_t account, account_address, address;
	uint32_t oldest, oldest_here, place;    /* SLOTS: none */
};

static bool is_longer_silent(const struct memory *m, uint32_t a, uint32_t than)
{
	return than == SLOTS || m->slots[a].heard_ms < m->slots[than].heard_ms;
}

/* Under the lock. Those who were told to go do not count. */
static void add_up(const struct memory *m, const uint8_t account[KEY_LEN], const uint8_t address[KEY_LEN], struct sums *out)
{
	uint32_t tag = tag_of(account), place = tag_of(address);

	*out = (struct sums){ .oldest = SLOTS, .oldest_here = SLOTS, .place = SLOTS };
	for (uint32_t i = 0; i < m->used; i++) {
		uint32_t has = atomic_load_explicit(&m->tags[i], memory_order_relaxed);
		const struct slot *s = &m->slots[i];

		if (!has && out->place == SLOTS)
			out->place = i;
		bool is_here = has && m->places[i] == place && memcmp(s->address, address, KEY_LEN) == 0;
		bool is_mine = has == tag && memcmp(s->account, account, KEY_LEN) == 0;

		if ((!is_here && !is_mine) || s->must_go)
			continue;
		out->address += is_here;
		if (!is_mine)
			continue;
		out->account++;
		if (is_longer_silent(m, i, out->oldest))
			out->oldest = i;
		out->account_address += is_here;
		if (is_here && is_longer_silent(m, i, out->oldest_here))
			out->oldest_here = i;
	}
	if (out->place == SLOTS && m->used < SLOTS)
		out->place = m->used;
}

/* Who must make place for one more? SLOTS: nobody. */
static uint32_t too_many(const struct sums *sums, const struct roster_limits *limits)
{
	if (sums->account_address >= limits->per_account_address)
		return sums->oldest_here;
	return sums->account >= limits->per_account ? sums->oldest : SLOTS;
}

static bool is_full(const struct sums *sums, const struct roster_limits *limits)
{
	/* Whoever makes place for a session of his own at the same address does not add to it. */
	return limits->per_address && sums->address >= limits->per_address &&
	       sums->account_address < limits->per_account_address;
}

static void call(struct memory *m, uint32_t slot)
{
	uint16_t process = m->slots[slot].process;

	m->slots[slot].must_go = true;
	if (process < PROCESSES)
		atomic_fetch_add(&m->calls[process], 1);
}

static void join(struct roster *r, struct roster_guest *guest, uint32_t at, const uint8_t account[KEY_LEN],
		 const uint8_t address[KEY_LEN])
{
	struct memory *m = r->memory;
	struct slot *s = &m->slots[at];

	memcpy(s->account, account, KEY_LEN);
	memcpy(s->address, address, KEY_LEN);
	s->heard_ms = loop_now_ms(r->loop);
	s->must_go = false;
	s->process = r->process;
	m->places[at] = tag_of(address);
	m->tags[at] = tag_of(account);
	if (m->used <= at)
		m->used = at + 1;
	guest->roster = r;
	guest->slot = at;
	guest->next = r->guests;
	guest->at = &r->guests;
	if (guest->next)
		guest->next->at = &guest->next;
	else
		timer_start_ms(&r->look, LOOK_MS);
	r->guests = guest;
}

bool roster_put(struct roster *r, struct roster_guest *guest, struct sv account, const struct netaddr *address,
		const struct roster_limits *limits)
{
	struct netaddr cut = netaddr_cut(address, 32, 64);
	struct memory *m = r->memory;
	uint8_t key[KEY_LEN];
	struct sums sums;
	uint32_t victim;

	take_key(key, account);
	if (!shared_take(&m->head, ROSTER_WAIT_MS))
		return true;
	add_up(m, key, cut.ip, &sums);
	if (too_many(&sums, limits) != SLOTS || is_full(&sums, limits) || sums.place == SLOTS) {
		sweep(r);
		add_up(m, key, cut.ip, &sums);
	}
	bool may = !is_full(&sums, limits);

	for (unsigned i = 0; may && i < EVICTIONS_MAX && (victim = too_many(&sums, limits)) != SLOTS; i++) {
		call(m, victim);
		add_up(m, key, cut.ip, &sums);
	}
	if (may && sums.place != SLOTS)
		join(r, guest, sums.place, key, cut.ip);
	/* Whoever calls the guest from now on is heeded later: our caller is still letting it in. */
	uint32_t calls = m->calls[r->process];

	shared_give(&m->head);
	heed(r, calls, guest);
	return may;
}

void roster_leave(struct roster_guest *guest)
{
	struct roster *r = guest->roster;

	if (!r)
		return;
	if (guest->stream)
		stream_note_heard(guest->stream, NULL);
	*guest->at = guest->next;
	if (guest->next)
		guest->next->at = guest->at;
	guest->roster = NULL;
	guest->stream = NULL;
	r->memory->tags[guest->slot] = 0;
	if (!r->guests)
		timer_stop(&r->look);
}

/* heed - those of this process who must make place do so, after so many calls. Each may end others, too. */
static void heed(struct roster *r, uint32_t calls, const struct roster_guest *newcomer)
{
	struct memory *m = r->memory;
	struct roster_guest *g;

	if (calls == r->heeded)
		return;
	r->heeded = calls;
	do {
		for (g = r->guests; g && (g == newcomer || !m->slots[g->slot].must_go); g = g->next)
			continue;
		if (g) {
			void (*evict)(void *) = g->evict;
			void *arg = g->arg;

			roster_leave(g);
			evict(arg);
		}
	} while (g);
}

size_t roster_count(struct roster *r, struct sv account)
{
	static const uint8_t nowhere[KEY_LEN];
	uint8_t key[KEY_LEN];
	struct sums sums = { .account = 0 };

	take_key(key, account);
	if (!shared_take(&r->memory->head, ROSTER_WAIT_MS))
		return 0;
	sweep(r);
	add_up(r->memory, key, nowhere, &sums);
	shared_give(&r->memory->head);
	return (size_t)sums.account;
}

bool roster_enter(struct roster *r, struct roster_guest *guest, const struct auth_identity *identity, struct stream *stream,
		  const struct conf *conf, const struct log_ctx *log)
{
	const struct netaddr *peer = stream_peer(stream);
	const struct roster_limits limits = {
		.per_account = conf->limits.sessions_per_user,
		.per_account_address = conf->limits.sessions_per_user_address,
		.per_address = netaddr_in(peer, &conf->host.exempt_networks) ? 0 : conf->limits.sessions_per_address,
	};

	if (!roster_put(r, guest, identity_account(identity), peer, &limits)) {
		log_warn(log, "login.refused", KV_Z("rule", "sessions-per-address"), KV_SV("user", identity_address(identity)),
			 KV_U64("count", limits.per_address));
		return false;
	}
	if (!guest->roster)
		return true;
	guest->stream = stream;
	stream_note_heard(stream, &r->memory->slots[guest->slot].heard_ms);
	return true;
}
