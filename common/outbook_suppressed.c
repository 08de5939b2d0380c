/* Whom nothing is sent: addresses that refuse for good, and those who want nothing more of one sender. */
#include "common/log.h"
#include "common/outbook_private.h"

#include "common/banned.h"

/* ---- by anybody ---- */

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

	outbook_key(&n.key, 0, address);
	return kv_update(b->env, note_bounce, &n);
}

struct fault outbook_suppress(struct outbook *b, struct sv address, struct sv reason, int64_t now_s)
{
	struct bounce n = { .reason = reason, .now_s = now_s, .is_manual = true };

	outbook_key(&n.key, 0, address);
	return kv_update(b->env, note_bounce, &n);
}

struct fault outbook_allow(struct outbook *b, struct sv address)
{
	struct kv_key key;

	outbook_key(&key, 0, address);
	return outbook_remove(b, TABLE_ADDRESSES, &key);
}

/* look_up - what is known of an address; its reason goes to why. */
static bool look_up(struct outbook *b, struct sv address, struct outbook_address *a, struct buf *why)
{
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct sv value;
	bool found;

	outbook_key(&key, 0, address);
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

bool outbook_address_is_old(struct sv key, struct sv value, int64_t now_s)
{
	struct outbook_address a;

	return !read_address(key, value, &a) || is_old(&a, now_s);
}

/* ---- of one sender ---- */

const char *outbook_no_name(enum outbook_no no)
{
	static const char *const names[] = { "", "complaint", "unsubscribed", "administrator" };

	return (size_t)no < ARRAY_LEN(names) ? names[no] : "";
}

/* pair_key - sender, NUL, address: neither has one. */
static void pair_key(struct kv_key *k, struct sv sender, struct sv address)
{
	outbook_key(k, 0, sender);
	kv_key_u8(k, 0);
	outbook_key_more(k, address);
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

struct fault outbook_welcome(struct outbook *b, struct sv sender, struct sv address)
{
	struct kv_key key;

	pair_key(&key, sender, address);
	return outbook_remove(b, TABLE_REFUSALS, &key);
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
