/* How much each account has sent, and to whom it wrote before. */
#include "common/outbook_private.h"

#include "common/banned.h"

#define KNOWN_DAYS 180          /* whom an account wrote to is remembered for so long */

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
	struct row r = { .minute_at = 0 };
	struct kv_txn *txn = NULL;
	struct kv_key key;
	struct sv value;

	outbook_key(&key, 0, account);
	if (kv_read_begin(b->env, &txn).kind || kv_get(txn, TABLE_SENT, kv_key_view(&key), &value).kind || !read_row(value, &r))
		r = (struct row){ .minute_at = 0 };
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

	outbook_key(&key, 0, s->account);
	kv_key_u8(&key, ' ');
	outbook_key_more(&key, rcpt);
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
	struct row r = { .minute_at = 0 };
	struct kv_key key, v;
	struct sv value;
	struct fault f;

	outbook_key(&key, 0, s->account);
	f = kv_get(txn, TABLE_SENT, kv_key_view(&key), &value);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		return f;
	if (f.kind || !read_row(value, &r))
		r = (struct row){ .minute_at = 0 };
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

bool outbook_known_is_old(struct sv key, struct sv value, int64_t now_s)
{
	uint32_t day;

	(void)key;
	return !kv_take_u32(&value, &day) || (uint64_t)now_s / DAY_S > (uint64_t)day + KNOWN_DAYS;
}
