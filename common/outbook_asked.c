/* What hosts of relay domains said of names. */
#include "common/outbook_private.h"

#include "common/banned.h"

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

	outbook_key(&a.key, 0, address);
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

	outbook_key(&key, 0, address);
	found = !kv_read_begin(b->env, &txn).kind && !kv_get(txn, TABLE_ASKED, kv_key_view(&key), &value).kind &&
		read_asked(value, is_known, at_s);
	kv_read_end(&txn);
	return found;
}

bool outbook_asked_is_old(struct sv key, struct sv value, int64_t now_s)
{
	bool is_known;
	int64_t at_s;

	(void)key;
	return !read_asked(value, &is_known, &at_s) || now_s - at_s > (int64_t)(is_known ? OUTBOOK_ASKED_DAYS : 1) * DAY_S;
}
