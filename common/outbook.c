#include "common/outbook.h"

#include <stdlib.h>

#include "common/kv.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

enum { TABLE_ADDRESSES, TABLE_RULES, TABLE_SENT, TABLE_KNOWN, TABLE_ASKED, TABLE_REFUSALS, TABLES };
static const char *const tables[TABLES] = { "addresses", "rules", "sent", "known", "asked", "refusals" };

#define DAY_S 86400
#define KNOWN_DAYS 180          /* whom an account wrote to is remembered for so long */
#define TIDY_MOST 2000

struct outbook {
	struct kv_env *env;
	uint64_t asked_max;
};

struct fault outbook_open(const char *folder, bool create, struct outbook **out)
{
	const struct kv_options options = {
		.kind = KV_PRECIOUS, .create = create, .map_size = 64u << 20, .tables = tables, .table_count = TABLES,
	};
	struct outbook *b = xcalloc(1, sizeof(*b));

	b->asked_max = OUTBOOK_ASKED_MAX;
	struct fault f = kv_env_open(folder, &options, &b->env);

	if (f.kind)
		free(b);
	else
		*out = b;
	return f;
}

void outbook_close(struct outbook **b)
{
	if (!*b)
		return;
	kv_env_close(&(*b)->env);
	free(*b);
	*b = NULL;
}

/* lower_key - what stands before it, and the address in lower case. */
static void lower_key(struct kv_key *k, unsigned before, struct sv address)
{
	kv_key_init(k);
	if (before)
		kv_key_u8(k, (uint8_t)before);
	for (size_t i = 0; i < address.len; i++)
		kv_key_u8(k, (uint8_t)ascii_lower(address.p[i]));
}

/* ---- suppressed addresses ---- */

/* A row: bounces u32, since u64, last u64, manual u8, reason. */
static bool read_address(struct sv key, struct sv value, struct outbook_address *a)
{
	uint64_t since, last;
	uint8_t manual;

	if (!kv_take_u32(&value, &a->bounces) || !kv_take_u64(&value, &since) || !kv_take_u64(&value, &last) ||
	    !kv_take_u8(&value, &manual))
		return false;
	a->address = key;
	a->since_s = (int64_t)since;
	a->last_s = (int64_t)last;
	a->is_manual = manual;
	a->reason = value;
	return true;
}

static bool is_old(const struct outbook_address *a, int64_t now_s)
{
	return !a->is_manual && now_s - a->last_s > (int64_t)OUTBOOK_BOUNCE_DAYS * DAY_S;
}

static bool is_suppressed(const struct outbook_address *a, uint32_t limit, int64_t now_s)
{
	return a->is_manual || (a->bounces >= limit && !is_old(a, now_s));
}

static struct fault put_address(struct kv_txn *txn, struct sv key, const struct outbook_address *a)
{
	struct kv_key v;

	kv_key_init(&v);
	kv_key_u32(&v, a->bounces);
	kv_key_u64(&v, (uint64_t)a->since_s);
	kv_key_u64(&v, (uint64_t)a->last_s);
	kv_key_u8(&v, a->is_manual);
	kv_key_sv(&v, sv_sub(a->reason, 0, OUTBOOK_REASON_MAX));
	return kv_put(txn, TABLE_ADDRESSES, key, kv_key_view(&v));
}

struct bounce {
	struct kv_key key;
	struct sv reason;
	uint32_t limit;
	int64_t now_s;
	bool is_manual;
};

static struct fault note_bounce(struct kv_txn *txn, void *arg)
{
	const struct bounce *n = arg;
	struct outbook_address a = { .bounces = 0 };
	struct sv value;
	uint64_t count = 0;
	struct fault f = kv_get(txn, TABLE_ADDRESSES, kv_key_view(&n->key), &value);

	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (f.kind || !read_address(kv_key_view(&n->key), value, &a) || is_old(&a, n->now_s))
		a = (struct outbook_address){ .since_s = n->now_s };
	if (f.kind) {
		f = kv_count(txn, TABLE_ADDRESSES, &count);
		if (f.kind || count >= OUTBOOK_SUPPRESSED_MAX)
			return f.kind ? f : fault(FAULT_LIMIT, "too many addresses");
	}
	if (!n->is_manual)
		a.bounces++;
	if (!a.is_manual || n->is_manual)
		a.reason = n->reason;
	a.is_manual |= n->is_manual;
	a.last_s = n->now_s;
	return put_address(txn, kv_key_view(&n->key), &a);
}

struct fault outbook_bounced(struct outbook *b, struct sv address, struct sv reason, uint32_t limit, int64_t now_s)
{
	struct bounce n = { .reason = reason, .limit = limit, .now_s = now_s };

	lower_key(&n.key, 0, address);
	return kv_update(b->env, note_bounce, &n);
}

struct fault outbook_suppress(struct outbook *b, struct sv address, struct sv reason, int64_t now_s)
{
	struct bounce n = { .reason = reason, .now_s = now_s, .is_manual = true };

	lower_key(&n.key, 0, address);
	return kv_update(b->env, note_bounce, &n);
}

static struct fault remove_address(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, TABLE_ADDRESSES, kv_key_view(arg));
}

struct fault outbook_allow(struct outbook *b, struct sv address)
{
	struct kv_key key;

	lower_key(&key, 0, address);
	return kv_update(b->env, remove_address, &key);
}

/* look_up - what is known of an address; its reason goes to why. */
static bool look_up(struct outbook *b, struct sv address, struct outbook_address *a, struct buf *why)
{
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct sv value;
	bool found;

	lower_key(&key, 0, address);
	found = !kv_read_begin(b->env, &txn).kind && !kv_get(txn, TABLE_ADDRESSES, kv_key_view(&key), &value).kind &&
		read_address(SV_NONE, value, a);
	if (found && why)
		(void)buf_append(why, a->reason);
	a->reason = SV_NONE;
	kv_read_end(&txn);
	return found;
}

void outbook_delivered(struct outbook *b, struct sv address)
{
	struct outbook_address a = { .bounces = 0 };
	struct fault f;

	if (!look_up(b, address, &a, NULL) || a.is_manual)
		return;
	f = outbook_allow(b, address);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		log_warn(NULL, "outbook.delivered", KV_FAULT("fault", f));
}

bool outbook_is_suppressed(struct outbook *b, struct sv address, uint32_t limit, int64_t now_s, struct buf *why)
{
	struct outbook_address a = { .bounces = 0 };

	return look_up(b, address, &a, why) && is_suppressed(&a, limit, now_s);
}

struct address_reader {
	uint32_t limit;
	int64_t now_s;
	outbook_address_fn *fn;
	void *arg;
};

static bool tell_address(void *arg, struct sv key, struct sv value)
{
	const struct address_reader *r = arg;
	struct outbook_address a = { .bounces = 0 };

	if (!read_address(key, value, &a))
		return true;
	a.is_suppressed = is_suppressed(&a, r->limit, r->now_s);
	return r->fn(r->arg, &a);
}

struct fault outbook_addresses(struct outbook *b, uint32_t limit, int64_t now_s, outbook_address_fn *fn, void *arg)
{
	struct address_reader r = { limit, now_s, fn, arg };

	return kv_each(b->env, TABLE_ADDRESSES, SV_NONE, tell_address, &r);
}

/* ---- names at relay domains ---- */

struct asked {
	struct kv_key key;
	bool is_known;
	int64_t now_s;
	uint64_t most;
};

/* A row: known u8, when u64. */
static bool read_asked(struct sv value, bool *is_known, int64_t *at_s)
{
	uint8_t known;
	uint64_t at;

	if (!kv_take_u8(&value, &known) || !kv_take_u64(&value, &at))
		return false;
	*is_known = known;
	*at_s = (int64_t)at;
	return true;
}

/* make_room - names that nobody has are what strangers invent: they go first, many at once, so that a full table is not gone through for
 * each of them. */
static struct fault make_room(struct kv_txn *txn, uint64_t most)
{
	uint64_t wanted = most / 64 + 1, gone = 0;
	struct kv_cursor *c = NULL;
	struct sv key, value;
	bool is_known;
	int64_t at_s;
	struct fault f = kv_cursor_open(txn, TABLE_ASKED, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, &value);
	while (!f.kind && gone < wanted) {
		if (!read_asked(value, &is_known, &at_s) || !is_known) {
			f = kv_cursor_del(c);
			gone++;
		}
		if (!f.kind)
			f = kv_cursor_next(c, &key, &value);
	}
	kv_cursor_close(&c);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	return gone ? FAULT_OK : fault(FAULT_LIMIT, "too many names");
}

static struct fault put_asked(struct kv_txn *txn, void *arg)
{
	const struct asked *a = arg;
	struct kv_key v;
	struct sv value;
	uint64_t count = 0;
	struct fault f = kv_get(txn, TABLE_ASKED, kv_key_view(&a->key), &value);

	if (f.kind == FAULT_NOT_FOUND) {
		f = kv_count(txn, TABLE_ASKED, &count);
		if (!f.kind && count >= a->most)
			f = make_room(txn, a->most);
	}
	kv_key_init(&v);
	kv_key_u8(&v, a->is_known);
	kv_key_u64(&v, (uint64_t)a->now_s);
	return f.kind ? f : kv_put(txn, TABLE_ASKED, kv_key_view(&a->key), kv_key_view(&v));
}

struct fault outbook_note_asked(struct outbook *b, struct sv address, bool is_known, int64_t now_s)
{
	struct asked a = { .is_known = is_known, .now_s = now_s, .most = b->asked_max };

	lower_key(&a.key, 0, address);
	return kv_update(b->env, put_asked, &a);
}

void outbook_set_asked_max(struct outbook *b, uint64_t most)
{
	b->asked_max = most;
}

bool outbook_asked(struct outbook *b, struct sv address, bool *is_known, int64_t *at_s)
{
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct sv value;
	bool found;

	lower_key(&key, 0, address);
	found = !kv_read_begin(b->env, &txn).kind && !kv_get(txn, TABLE_ASKED, kv_key_view(&key), &value).kind &&
		read_asked(value, is_known, at_s);
	kv_read_end(&txn);
	return found;
}

/* ---- who wants nothing more of one sender ---- */

const char *outbook_no_name(enum outbook_no no)
{
	static const char *const names[] = { "", "complaint", "unsubscribed", "administrator" };

	return (size_t)no < ARRAY_LEN(names) ? names[no] : "";
}

/* pair_key - sender, NUL, address: neither has one. */
static void pair_key(struct kv_key *k, struct sv sender, struct sv address)
{
	lower_key(k, 0, sender);
	kv_key_u8(k, 0);
	for (size_t i = 0; i < address.len; i++)
		kv_key_u8(k, (uint8_t)ascii_lower(address.p[i]));
}

struct refusal {
	struct kv_key key;
	enum outbook_no no;
	int64_t now_s;
};

/* A row: why u8, since u64. */
static struct fault put_refusal(struct kv_txn *txn, void *arg)
{
	const struct refusal *n = arg;
	struct kv_key v;
	uint64_t count;
	struct sv value;
	struct fault f = kv_get(txn, TABLE_REFUSALS, kv_key_view(&n->key), &value);

	if (!f.kind || f.kind != FAULT_NOT_FOUND)
		return f;
	f = kv_count(txn, TABLE_REFUSALS, &count);
	if (!f.kind && count >= OUTBOOK_SUPPRESSED_MAX)
		f = fault(FAULT_LIMIT, "too many addresses");
	kv_key_init(&v);
	kv_key_u8(&v, (uint8_t)n->no);
	kv_key_u64(&v, (uint64_t)n->now_s);
	return f.kind ? f : kv_put(txn, TABLE_REFUSALS, kv_key_view(&n->key), kv_key_view(&v));
}

struct fault outbook_refuse(struct outbook *b, struct sv sender, struct sv address, enum outbook_no no, int64_t now_s)
{
	struct refusal n = { .no = no, .now_s = now_s };

	pair_key(&n.key, sender, address);
	return kv_update(b->env, put_refusal, &n);
}

static struct fault remove_refusal(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, TABLE_REFUSALS, kv_key_view(arg));
}

struct fault outbook_welcome(struct outbook *b, struct sv sender, struct sv address)
{
	struct kv_key key;

	pair_key(&key, sender, address);
	return kv_update(b->env, remove_refusal, &key);
}

static bool read_refusal(struct sv value, struct outbook_refusal *out)
{
	uint64_t since;
	uint8_t no;

	if (!kv_take_u8(&value, &no) || !kv_take_u64(&value, &since))
		return false;
	out->no = (enum outbook_no)no;
	out->since_s = (int64_t)since;
	return true;
}

static bool find_refusal(struct kv_txn *txn, struct sv sender, struct sv address, struct outbook_refusal *out)
{
	struct kv_key key;
	struct sv value;

	pair_key(&key, sender, address);
	return sender.len && !kv_get(txn, TABLE_REFUSALS, kv_key_view(&key), &value).kind && read_refusal(value, out);
}

bool outbook_is_refused(struct outbook *b, struct sv sender, struct sv address, struct outbook_refusal *out)
{
	struct kv_txn *txn = NULL;
	size_t at = sv_rfind(sender, '@');
	bool found;

	*out = (struct outbook_refusal){ .no = 0 };
	found = !kv_read_begin(b->env, &txn).kind &&
		(find_refusal(txn, sender, address, out) || (at != SIZE_MAX && find_refusal(txn, sv_sub(sender, at, SIZE_MAX), address, out)));
	kv_read_end(&txn);
	return found;
}

struct refusal_reader {
	outbook_refusal_fn *fn;
	void *arg;
};

static bool tell_refusal(void *arg, struct sv key, struct sv value)
{
	const struct refusal_reader *r = arg;
	struct outbook_refusal row = { .address = key };

	return !sv_split(&row.address, '\0', &row.sender) || !read_refusal(value, &row) || r->fn(r->arg, &row);
}

struct fault outbook_refusals(struct outbook *b, outbook_refusal_fn *fn, void *arg)
{
	struct refusal_reader r = { fn, arg };

	return kv_each(b->env, TABLE_REFUSALS, SV_NONE, tell_refusal, &r);
}

/* ---- what is held back ---- */

const char *outbook_who_name(enum outbook_who who)
{
	switch (who) {
	case OUTBOOK_USER: return "user";
	case OUTBOOK_FROM: return "from";
	case OUTBOOK_TO:   return "to";
	}
	return "";
}

struct hold {
	struct kv_key key;
	struct sv reason;
	int64_t now_s;
};

static struct fault put_rule(struct kv_txn *txn, void *arg)
{
	const struct hold *h = arg;
	struct kv_key v;
	uint64_t count;
	struct fault f = kv_count(txn, TABLE_RULES, &count);

	if (!f.kind && count >= OUTBOOK_RULES_MAX)
		f = fault(FAULT_LIMIT, "too many rules");
	kv_key_init(&v);
	kv_key_u64(&v, (uint64_t)h->now_s);
	kv_key_sv(&v, sv_sub(h->reason, 0, OUTBOOK_REASON_MAX));
	return f.kind ? f : kv_insert(txn, TABLE_RULES, kv_key_view(&h->key), kv_key_view(&v));
}

struct fault outbook_hold(struct outbook *b, enum outbook_who who, struct sv address, struct sv reason, int64_t now_s)
{
	struct hold h = { .reason = reason, .now_s = now_s };

	lower_key(&h.key, who, address);
	return kv_update(b->env, put_rule, &h);
}

static struct fault remove_rule(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, TABLE_RULES, kv_key_view(arg));
}

struct fault outbook_unhold(struct outbook *b, enum outbook_who who, struct sv address)
{
	struct kv_key key;

	lower_key(&key, who, address);
	return kv_update(b->env, remove_rule, &key);
}

static bool has_rule(struct kv_txn *txn, enum outbook_who who, struct sv address)
{
	struct kv_key key;
	struct sv value;

	lower_key(&key, who, address);
	return address.len && !kv_get(txn, TABLE_RULES, kv_key_view(&key), &value).kind;
}

bool outbook_is_held(struct outbook *b, enum outbook_who who, struct sv address)
{
	struct kv_txn *txn = NULL;
	size_t at = sv_rfind(address, '@');
	bool found = !kv_read_begin(b->env, &txn).kind &&
		     (has_rule(txn, who, address) || (at != SIZE_MAX && has_rule(txn, who, sv_sub(address, at, SIZE_MAX))));

	kv_read_end(&txn);
	return found;
}

bool outbook_has_rules(struct outbook *b)
{
	struct kv_txn *txn = NULL;
	uint64_t count = 0;
	bool has = !kv_read_begin(b->env, &txn).kind && !kv_count(txn, TABLE_RULES, &count).kind && count;

	kv_read_end(&txn);
	return has;
}

struct rule_reader {
	outbook_rule_fn *fn;
	void *arg;
};

static bool tell_rule(void *arg, struct sv key, struct sv value)
{
	const struct rule_reader *r = arg;
	uint64_t since;
	uint8_t who;

	if (!kv_take_u8(&key, &who) || !kv_take_u64(&value, &since))
		return true;
	return r->fn(r->arg, &(struct outbook_rule){ (enum outbook_who)who, key, (int64_t)since, value });
}

struct fault outbook_rules(struct outbook *b, outbook_rule_fn *fn, void *arg)
{
	struct rule_reader r = { fn, arg };

	return kv_each(b->env, TABLE_RULES, SV_NONE, tell_rule, &r);
}

/* ---- how much an account has sent ---- */

/* A row: for minute, hour and day the window's number and what came in it; then the new ones of the day. */
struct row {
	uint64_t minute_at, minute, hour_at, hour, day_at, day, fresh;
};

static bool read_row(struct sv value, struct row *r)
{
	uint64_t *const all[] = { &r->minute_at, &r->minute, &r->hour_at, &r->hour, &r->day_at, &r->day, &r->fresh };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!kv_take_u64(&value, all[i]))
			return false;
	return true;
}

/* roll - windows that are over begin anew. A clock that jumps begins new ones, too. */
static void roll(struct row *r, int64_t now_s)
{
	uint64_t minute = (uint64_t)now_s / 60, hour = (uint64_t)now_s / 3600, day = (uint64_t)now_s / DAY_S;

	if (r->minute_at != minute)
		r->minute = 0;
	if (r->hour_at != hour)
		r->hour = 0;
	if (r->day_at != day)
		r->day = r->fresh = 0;
	r->minute_at = minute;
	r->hour_at = hour;
	r->day_at = day;
}

struct outbook_sent outbook_sent(struct outbook *b, struct sv account, int64_t now_s)
{
	struct row r = { 0, 0, 0, 0, 0, 0, 0 };
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct sv value;

	lower_key(&key, 0, account);
	if (kv_read_begin(b->env, &txn).kind || kv_get(txn, TABLE_SENT, kv_key_view(&key), &value).kind || !read_row(value, &r))
		r = (struct row){ 0, 0, 0, 0, 0, 0, 0 };
	kv_read_end(&txn);
	roll(&r, now_s);
	return (struct outbook_sent){ r.minute, r.hour, r.day, r.fresh };
}

struct sending {
	struct sv account;
	const struct sv *rcpts;
	size_t count;
	int64_t now_s;
};

/* note_rcpt - "account recipient": when it was last written to. True: never before. */
static struct fault note_rcpt(struct kv_txn *txn, const struct sending *s, struct sv rcpt, bool *is_fresh)
{
	struct kv_key key, day;
	struct sv value;
	uint32_t today = (uint32_t)((uint64_t)s->now_s / DAY_S), was = 0;
	struct fault f;

	lower_key(&key, 0, s->account);
	kv_key_u8(&key, ' ');
	for (size_t i = 0; i < rcpt.len; i++)
		kv_key_u8(&key, (uint8_t)ascii_lower(rcpt.p[i]));
	if (key.is_over)
		return FAULT_OK;
	f = kv_get(txn, TABLE_KNOWN, kv_key_view(&key), &value);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	*is_fresh = f.kind || !kv_take_u32(&value, &was);
	if (!*is_fresh && was == today)
		return FAULT_OK;
	kv_key_init(&day);
	kv_key_u32(&day, today);
	return kv_put(txn, TABLE_KNOWN, kv_key_view(&key), kv_key_view(&day));
}

static struct fault count_message(struct kv_txn *txn, void *arg)
{
	const struct sending *s = arg;
	struct row r = { 0, 0, 0, 0, 0, 0, 0 };
	struct kv_key key, v;
	struct sv value;
	struct fault f;

	lower_key(&key, 0, s->account);
	f = kv_get(txn, TABLE_SENT, kv_key_view(&key), &value);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (f.kind || !read_row(value, &r))
		r = (struct row){ 0, 0, 0, 0, 0, 0, 0 };
	roll(&r, s->now_s);
	r.minute++;
	r.hour++;
	r.day += s->count;
	f = FAULT_OK;
	for (size_t i = 0; i < s->count && !f.kind; i++) {
		bool is_fresh = false;

		f = note_rcpt(txn, s, s->rcpts[i], &is_fresh);
		r.fresh += is_fresh;
	}
	kv_key_init(&v);
	kv_key_u64(&v, r.minute_at);
	kv_key_u64(&v, r.minute);
	kv_key_u64(&v, r.hour_at);
	kv_key_u64(&v, r.hour);
	kv_key_u64(&v, r.day_at);
	kv_key_u64(&v, r.day);
	kv_key_u64(&v, r.fresh);
	return f.kind ? f : kv_put(txn, TABLE_SENT, kv_key_view(&key), kv_key_view(&v));
}

struct fault outbook_count(struct outbook *b, struct sv account, const struct sv *rcpts, size_t count, int64_t now_s)
{
	struct sending s = { account, rcpts, count, now_s };

	return count ? kv_update(b->env, count_message, &s) : FAULT_OK;
}

/* ---- forgetting ---- */

struct old {
	int64_t now_s;
	unsigned table;
	struct kv_key keys[TIDY_MOST];
	size_t count;
};

static bool is_forgotten(const struct old *o, struct sv key, struct sv value)
{
	struct outbook_address a;
	uint32_t day;
	bool is_known;
	int64_t at_s;

	if (o->table == TABLE_ADDRESSES)
		return !read_address(key, value, &a) || is_old(&a, o->now_s);
	if (o->table == TABLE_ASKED)
		return !read_asked(value, &is_known, &at_s) ||
		       o->now_s - at_s > (int64_t)(is_known ? OUTBOOK_ASKED_DAYS : 1) * DAY_S;
	return !kv_take_u32(&value, &day) || (uint64_t)o->now_s / DAY_S > (uint64_t)day + KNOWN_DAYS;
}

static struct fault forget(struct kv_txn *txn, void *arg)
{
	const struct old *o = arg;
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < o->count && !f.kind; i++) {
		f = kv_del(txn, o->table, kv_key_view(&o->keys[i]));
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
	}
	return f;
}

static void tidy_table(struct outbook *b, struct old *o)
{
	struct kv_txn *txn = NULL;
	struct kv_cursor *c = NULL;
	struct sv key, value;

	o->count = 0;
	if (!kv_read_begin(b->env, &txn).kind && !kv_cursor_open(txn, o->table, &c).kind)
		for (struct fault f = kv_cursor_seek(c, SV_NONE, &key, &value); !f.kind && o->count < TIDY_MOST;
		     f = kv_cursor_next(c, &key, &value))
			if (is_forgotten(o, key, value)) {
				kv_key_init(&o->keys[o->count]);
				kv_key_sv(&o->keys[o->count++], key);
			}
	kv_cursor_close(&c);
	kv_read_end(&txn);
	if (o->count) {
		struct fault f = kv_update(b->env, forget, o);

		if (f.kind)
			log_warn(NULL, "outbook.tidy", KV_FAULT("fault", f));
	}
}

void outbook_tidy(struct outbook *b, int64_t now_s)
{
	struct old *o = xcalloc(1, sizeof(*o));

	o->now_s = now_s;
	o->table = TABLE_ADDRESSES;
	tidy_table(b, o);
	o->table = TABLE_KNOWN;
	tidy_table(b, o);
	o->table = TABLE_ASKED;
	tidy_table(b, o);
	free(o);
}
