#include "common/throttle.h"

#include <stdlib.h>
#include <time.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/shared.h"

#include "common/banned.h"

/* Two tables of buckets of eight. A key is looked for in one bucket; a new one takes the slot that matters least. So there are
 * no links that a process which dies in the middle could leave torn, and any content of a slot is good. */
#define MAGIC 0x7468726f74746c32ull     /* "throttl2" */
#define BUCKET 8
#define ADDRESS_SLOTS 8192
#define ACCOUNT_SLOTS 2048
#define MARKS 10
#define MINUTE_MS 60000u
#define DAY_MS (24u * 60 * MINUTE_MS)
#define FORGET_MS (15u * MINUTE_MS)     /* then delays begin anew */

struct slot {
	uint8_t key[THROTTLE_KEY_LEN];
	uint64_t minute_ms, day_ms;     /* when the windows began */
	uint64_t last_ms;
	uint32_t minute, day;
	uint16_t streak;                /* for the delay */
	uint8_t kind;                   /* 0: empty */
	uint8_t mark_at;
	uint32_t marks[MARKS];          /* the last wrong passwords */
};

struct memory {
	struct shared_head head;
	uint8_t secret[32];             /* so that nobody can choose names that meet in one bucket */
	struct slot addresses[ADDRESS_SLOTS], accounts[ACCOUNT_SLOTS];
};

struct throttle {
	struct memory *memory;
};

uint64_t throttle_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *throttle_rule_name(enum throttle_rule rule)
{
	switch (rule) {
	case THROTTLE_NONE:             return "none";
	case THROTTLE_ADDRESS_MINUTE:   return "address-minute";
	case THROTTLE_ADDRESS_DAY:      return "address-day";
	case THROTTLE_NETWORK_MINUTE:   return "network-minute";
	case THROTTLE_NETWORK_DAY:      return "network-day";
	case THROTTLE_WIDER_MINUTE:     return "wider-network-minute";
	case THROTTLE_WIDER_DAY:        return "wider-network-day";
	case THROTTLE_ACCOUNT_DAY:      return "account-day";
	}
	BUG("throttle rule %d", (int)rule);
}

/* ---- the memory ---- */

static void begin(void *memory)
{
	struct memory *m = memory;

	crypt_random(m->secret, sizeof(m->secret));
}

static const struct shared_kind kind_of_memory = { .magic = MAGIC, .size = sizeof(struct memory), .begin = begin };

static struct throttle *wrap(void *memory)
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	t->memory = memory;
	return t;
}

struct throttle *throttle_new(void)
{
	return wrap(shared_new(&kind_of_memory));
}

struct fault throttle_open(const char *path, bool create, struct throttle **out)
{
	void *memory = NULL;
	struct fault f = shared_open(&kind_of_memory, path, create, &memory, NULL);

	if (f.kind == FAULT_NOT_FOUND)
		f = fault(FAULT_NOT_FOUND, "no failed logins were counted since the machine was started");
	if (!f.kind)
		*out = wrap(memory);
	return f;
}

void throttle_free(struct throttle **t)
{
	void *memory;

	if (!*t)
		return;
	memory = (*t)->memory;
	shared_free(&kind_of_memory, &memory);
	free(*t);
	*t = NULL;
}

/* False: somebody is stopped while he holds it. */
static bool take(struct throttle *t)
{
	return shared_take(&t->memory->head, THROTTLE_WAIT_MS);
}

static void give(struct throttle *t)
{
	shared_give(&t->memory->head);
}

/* ---- slots ---- */

/* since - how long ago. Whoever counts reads the clock before he has the lock: what stands in a slot may be a moment ahead of his. */
static uint64_t since(uint64_t then_ms, uint64_t now_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

static bool is_day_over(const struct slot *s, uint64_t now_ms)
{
	return since(s->day_ms, now_ms) >= DAY_MS;
}

static bool is_over(const struct slot *s, uint64_t now_ms)
{
	return !s->kind || (is_day_over(s, now_ms) && since(s->last_ms, now_ms) >= FORGET_MS);
}

static struct slot *bucket_of(struct memory *m, enum throttle_kind kind, const uint8_t key[THROTTLE_KEY_LEN])
{
	uint8_t mac[CRYPT_HASH_MAX], what[THROTTLE_KEY_LEN + 1];
	uint32_t n;

	memcpy(what, key, THROTTLE_KEY_LEN);
	what[THROTTLE_KEY_LEN] = (uint8_t)kind;
	crypt_hmac(CRYPT_SHA256, sv_from((const char *)m->secret, sizeof(m->secret)),
		   sv_from((const char *)what, sizeof(what)), mac);
	memcpy(&n, mac, sizeof(n));
	if (kind == THROTTLE_ACCOUNT)
		return &m->accounts[n % (ACCOUNT_SLOTS / BUCKET) * BUCKET];
	return &m->addresses[n % (ADDRESS_SLOTS / BUCKET) * BUCKET];
}

static struct slot *find_in(struct slot *bucket, enum throttle_kind kind, const uint8_t key[THROTTLE_KEY_LEN])
{
	for (size_t i = 0; i < BUCKET; i++)
		if (bucket[i].kind == kind && memcmp(bucket[i].key, key, THROTTLE_KEY_LEN) == 0)
			return &bucket[i];
	return NULL;
}

/* Many that failed once must not push out one that is under attack. */
static struct slot *make_in(struct slot *bucket, enum throttle_kind kind, const uint8_t key[THROTTLE_KEY_LEN],
			    uint64_t now_ms)
{
	struct slot *least = &bucket[0];

	for (size_t i = 0; i < BUCKET && !is_over(least, now_ms); i++)
		if (is_over(&bucket[i], now_ms) || bucket[i].day < least->day ||
		    (bucket[i].day == least->day && bucket[i].last_ms < least->last_ms))
			least = &bucket[i];
	*least = (struct slot){ .kind = (uint8_t)kind, .minute_ms = now_ms, .day_ms = now_ms, .last_ms = now_ms };
	memcpy(least->key, key, THROTTLE_KEY_LEN);
	return least;
}

static bool has_mark(const struct slot *s, uint32_t mark)
{
	for (unsigned i = 0; mark && i < MARKS; i++)
		if (s->marks[i] == mark)
			return true;
	return false;
}

static void count(struct slot *s, uint32_t mark, uint64_t now_ms)
{
	if (since(s->last_ms, now_ms) >= FORGET_MS)
		s->streak = 0;
	if (since(s->minute_ms, now_ms) >= MINUTE_MS) {
		s->minute_ms = now_ms;
		s->minute = 0;
	}
	if (is_day_over(s, now_ms)) {
		s->day_ms = now_ms;
		s->day = 0;
		memset(s->marks, 0, sizeof(s->marks));
	}
	if (s->last_ms < now_ms)
		s->last_ms = now_ms;
	if (s->streak < UINT16_MAX && !(s->streak && has_mark(s, mark)))
		s->streak++;            /* the first failure after a while is delayed, whatever it is */
	if (has_mark(s, mark))
		return;
	s->minute++;
	s->day++;
	if (mark)
		s->marks[s->mark_at++ % MARKS] = mark;
}

/* ---- rules ---- */

static const struct {
	enum throttle_kind kind;
	unsigned v4_bits, v6_bits, times;
	enum throttle_rule minute, day;
} nets[] = {
	{ THROTTLE_ADDRESS, 32, 64, 1, THROTTLE_ADDRESS_MINUTE, THROTTLE_ADDRESS_DAY },
	{ THROTTLE_NETWORK, 26, 48, 3, THROTTLE_NETWORK_MINUTE, THROTTLE_NETWORK_DAY },
	{ THROTTLE_WIDER, 21, 32, 9, THROTTLE_WIDER_MINUTE, THROTTLE_WIDER_DAY },
};

/* Which limit has the slot reached, and until when does it hold? */
static enum throttle_rule reached(const struct slot *s, size_t net, const struct throttle_limits *limits, uint64_t now_ms,
				  uint64_t *until_ms)
{
	bool is_account = s->kind == THROTTLE_ACCOUNT;
	uint64_t per_day = is_account ? limits->per_account : limits->per_day * nets[net].times;

	*until_ms = 0;
	if (!is_day_over(s, now_ms) && s->day >= per_day) {
		*until_ms = s->day_ms + DAY_MS;
		return is_account ? THROTTLE_ACCOUNT_DAY : nets[net].day;
	}
	if (!is_account && since(s->minute_ms, now_ms) < MINUTE_MS && s->minute >= limits->per_minute * nets[net].times) {
		*until_ms = s->minute_ms + MINUTE_MS;
		return nets[net].minute;
	}
	return THROTTLE_NONE;
}

enum throttle_rule throttle_look(struct throttle *t, const struct throttle_who *who, const struct throttle_limits *limits,
				 uint64_t now_ms)
{
	enum throttle_rule rule = THROTTLE_NONE;
	uint64_t until_ms;
	struct slot *s;

	if (who->is_known || !take(t))
		return THROTTLE_NONE;
	for (size_t i = 0; i < ARRAY_LEN(nets) && !rule; i++) {
		struct netaddr cut = netaddr_cut(&who->address, nets[i].v4_bits, nets[i].v6_bits);

		s = find_in(bucket_of(t->memory, nets[i].kind, cut.ip), nets[i].kind, cut.ip);
		if (s)
			rule = reached(s, i, limits, now_ms, &until_ms);
	}
	s = rule ? NULL : find_in(bucket_of(t->memory, THROTTLE_ACCOUNT, who->account), THROTTLE_ACCOUNT, who->account);
	if (s)
		rule = reached(s, 0, limits, now_ms, &until_ms);
	give(t);
	return rule;
}

static struct slot *count_one(struct throttle *t, enum throttle_kind kind, const uint8_t key[THROTTLE_KEY_LEN],
			      uint32_t mark, uint64_t now_ms)
{
	struct slot *bucket = bucket_of(t->memory, kind, key), *s = find_in(bucket, kind, key);

	if (!s)
		s = make_in(bucket, kind, key, now_ms);
	count(s, mark, now_ms);
	return s;
}

uint32_t throttle_failure(struct throttle *t, const struct throttle_who *who, uint64_t mark,
			  const struct throttle_limits *limits, uint64_t now_ms)
{
	uint32_t small = (uint32_t)(mark ^ mark >> 32);
	uint64_t delay = limits->first_ms;
	unsigned streak = 1;

	if (mark && !small)
		small = 1;
	if (take(t)) {
		for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
			struct netaddr cut = netaddr_cut(&who->address, nets[i].v4_bits, nets[i].v6_bits);
			const struct slot *s = count_one(t, nets[i].kind, cut.ip, small, now_ms);

			if (nets[i].kind == THROTTLE_ADDRESS)
				streak = s->streak;
		}
		if (!who->is_known)
			(void)count_one(t, THROTTLE_ACCOUNT, who->account, small, now_ms);
		give(t);
	}
	for (unsigned i = 1; i < streak && delay < limits->most_ms; i++)
		delay *= 2;
	if (delay > limits->most_ms)
		delay = limits->most_ms;
	return delay > UINT32_MAX ? UINT32_MAX : (uint32_t)delay;
}

/* ---- for the administrator ---- */

static void tell(const struct slot *s, const struct throttle_limits *limits, uint64_t now_ms, throttle_fn *fn, void *arg)
{
	static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	struct throttle_entry e = { .kind = s->kind, .day = s->day, .last_ms = s->last_ms };
	size_t net = 0;

	for (size_t i = 0; i < ARRAY_LEN(nets); i++)
		if (nets[i].kind == e.kind)
			net = i;
	if (since(s->minute_ms, now_ms) < MINUTE_MS)
		e.minute = s->minute;
	if (e.kind == THROTTLE_ACCOUNT) {
		memcpy(e.account, s->key, sizeof(e.account));
	} else {
		memcpy(e.address.ip, s->key, sizeof(e.address.ip));
		e.address.family = memcmp(s->key, v4_prefix, sizeof(v4_prefix)) == 0 ? NET_IPV4 : NET_IPV6;
	}
	(void)reached(s, net, limits, now_ms, &e.until_ms);
	fn(arg, &e);
}

void throttle_list(struct throttle *t, const struct throttle_limits *limits, uint64_t now_ms, throttle_fn *fn, void *arg)
{
	const struct memory *m = t->memory;
	struct slot bucket[BUCKET];

	for (size_t i = 0; i < ADDRESS_SLOTS + ACCOUNT_SLOTS; i += BUCKET) {
		const struct slot *from = i < ADDRESS_SLOTS ? &m->addresses[i] : &m->accounts[i - ADDRESS_SLOTS];

		if (!take(t))
			return;
		memcpy(bucket, from, sizeof(bucket));
		give(t);
		for (size_t k = 0; k < BUCKET; k++)
			if (bucket[k].kind && !is_day_over(&bucket[k], now_ms))
				tell(&bucket[k], limits, now_ms, fn, arg);
	}
}

static bool forget(struct throttle *t, enum throttle_kind kind, const uint8_t key[THROTTLE_KEY_LEN])
{
	struct slot *s = find_in(bucket_of(t->memory, kind, key), kind, key);

	if (s)
		*s = (struct slot){ .kind = 0 };
	return s != NULL;
}

bool throttle_forget_address(struct throttle *t, const struct netaddr *address)
{
	bool any = false;

	if (!take(t))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		struct netaddr cut = netaddr_cut(address, nets[i].v4_bits, nets[i].v6_bits);

		any |= forget(t, nets[i].kind, cut.ip);
	}
	give(t);
	return any;
}

bool throttle_forget_account(struct throttle *t, const uint8_t account[THROTTLE_KEY_LEN])
{
	if (!take(t))
		return false;
	bool any = forget(t, THROTTLE_ACCOUNT, account);

	give(t);
	return any;
}

void throttle_forget_all(struct throttle *t)
{
	if (!take(t))
		return;
	memset(t->memory->addresses, 0, sizeof(t->memory->addresses));
	memset(t->memory->accounts, 0, sizeof(t->memory->accounts));
	give(t);
}
