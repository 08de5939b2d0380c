#include <stdlib.h>

#include "common/logins_private.h"

#include "common/banned.h"

#define EXPIRE_STEP 5000        /* rows that one transaction looks at */

bool logins_is_known(struct logins *l, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address)
{
	uint64_t at_s = 0, now_s = (uint64_t)logins_now_ms() / 1000;
	struct kv_txn *txn = NULL;
	struct kv_key k;
	struct sv value;

	logins_known_key(&k, name, address);
	struct fault f = kv_read_begin(l->env, &txn);

	if (!f.kind)
		f = kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &value);
	bool is_known = !f.kind && kv_take_u64(&value, &at_s) && now_s < at_s + LOGINS_KNOWN_S;

	kv_read_end(&txn);
	return is_known;
}

/* ---- reading ---- */

struct device_reader {
	struct sv account;
	logins_device_fn *fn;
	void *arg;
};

static bool read_device(void *arg, struct sv key, struct sv value)
{
	const struct device_reader *r = arg;
	struct json *row = NULL;

	if (json_parse(value, &row).kind)
		return true;
	struct logins_device d = {
		.name = logins_text_of(row, "name"),
		.client = logins_text_of(row, "client"),
		.protocol = logins_text_of(row, "protocol"),
		.mechanism = logins_text_of(row, "mechanism"),
		.credential = logins_text_of(row, "credential"),
		.address = logins_text_of(row, "address"),
		.tls = logins_text_of(row, "tls"),
		.account = r->account,
		.first_s = (int64_t)logins_number_of(row, "first"),
		.last_s = (int64_t)logins_number_of(row, "last"),
		.count = logins_number_of(row, "count"),
		.modseq = logins_number_of(row, "modseq"),
		.synced_s = (int64_t)logins_number_of(row, "synced"),
		.number = (uint32_t)logins_number_of(row, "number"),
	};

	logins_copy_text(d.key, sizeof(d.key), sv_sub(key, r->account.len, key.len));
	bool more = r->fn(r->arg, &d);

	json_free(&row);
	return more;
}

struct fault logins_devices(struct logins *l, struct sv account, logins_device_fn *fn, void *arg)
{
	struct device_reader r = { account, fn, arg };

	return kv_each(l->env, TABLE_DEVICES, account, read_device, &r);
}

struct login_reader {
	logins_fn *fn;
	void *arg;
};

static bool read_login(void *arg, struct sv key, struct sv value)
{
	const struct login_reader *r = arg;

	(void)key;
	return r->fn(r->arg, value);
}

struct fault logins_history(struct logins *l, struct sv account, logins_fn *fn, void *arg)
{
	struct login_reader r = { fn, arg };

	return kv_each(l->env, TABLE_LOGINS, account, read_login, &r);
}

struct forgotten {
	enum table table;
	struct kv_key key;
};

static struct fault forget_one(struct kv_txn *txn, void *arg)
{
	const struct forgotten *w = arg;

	return kv_del(txn, w->table, kv_key_view(&w->key));
}

struct fault logins_forget_device(struct logins *l, struct sv account, const char *key)
{
	struct forgotten w = { .table = TABLE_DEVICES };

	kv_key_init(&w.key);
	kv_key_sv(&w.key, account);
	kv_key_sv(&w.key, sv_z(key));
	return kv_update(l->env, forget_one, &w);
}

static struct fault forget_range(struct kv_txn *txn, void *arg)
{
	char to[LOGINS_KEY_LEN + 16];
	const uint8_t *name = arg;

	memcpy(to, name, LOGINS_KEY_LEN);
	memset(to + LOGINS_KEY_LEN, 0xff, 16);
	return kv_del_range(txn, TABLE_KNOWN, sv_from((const char *)name, LOGINS_KEY_LEN), sv_from(to, sizeof(to)), UINT64_MAX,
			    NULL);
}

struct fault logins_forget_name(struct logins *l, const uint8_t name[LOGINS_KEY_LEN])
{
	uint8_t copy[LOGINS_KEY_LEN];

	memcpy(copy, name, sizeof(copy));
	return kv_update(l->env, forget_range, copy);
}

/* ---- removing ---- */

struct expiry {
	int64_t older_than_s;
	enum table table;
	struct kv_key from, next;       /* where this transaction begins, and the one behind it */
	bool is_at_end;
};

static bool is_old(enum table table, struct sv key, struct sv value, int64_t older_than_s)
{
	struct json *row = NULL;
	uint64_t at_s = 0;

	if (table == TABLE_KNOWN)
		return !kv_take_u64(&value, &at_s) || (int64_t)at_s < older_than_s;
	if (table == TABLE_LOGINS) {
		sv_skip(&key, DIRECTORY_ID_LEN);
		return !kv_take_u64(&key, &at_s) || (int64_t)(at_s + 1) * (LOGINS_HOUR_MS / 1000) < older_than_s;
	}
	if (json_parse(value, &row).kind)
		return true;
	at_s = logins_number_of(row, "last");
	json_free(&row);
	return (int64_t)at_s < older_than_s;
}

static struct fault expire_some(struct kv_txn *txn, void *arg)
{
	struct expiry *e = arg;
	struct kv_cursor *c = NULL;
	struct sv key, value;
	struct fault f = kv_cursor_open(txn, e->table, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&e->from), &key, &value);
	for (int i = 0; !f.kind && i < EXPIRE_STEP; i++) {
		if (is_old(e->table, key, value, e->older_than_s))
			f = kv_cursor_del(c);
		if (!f.kind)
			f = kv_cursor_next(c, &key, &value);
	}
	e->is_at_end = f.kind == FAULT_NOT_FOUND;
	kv_key_init(&e->next);
	if (!f.kind)
		kv_key_sv(&e->next, key);
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault logins_expire(struct logins *l, int64_t older_than_s)
{
	struct fault f = FAULT_OK;

	for (enum table t = TABLE_KNOWN; t <= TABLE_LOGINS && !f.kind; t++) {
		struct expiry e = { .older_than_s = older_than_s, .table = t };

		if (t == TABLE_KNOWN && older_than_s > logins_now_ms() / 1000 - LOGINS_KNOWN_S)
			e.older_than_s = logins_now_ms() / 1000 - LOGINS_KNOWN_S;
		do {
			f = kv_update(l->env, expire_some, &e);
			e.from = e.next;
		} while (!f.kind && !e.is_at_end);
	}
	return f;
}
