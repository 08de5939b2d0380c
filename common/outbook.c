/* The outbook as a whole: opened, its keys, what is old forgotten. */
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/outbook_private.h"

#include "common/banned.h"

static const char *const tables[TABLES] = { "addresses", "rules", "sent", "known", "asked", "refusals" };

#define TIDY_MOST 2000          /* rows of a table that are forgotten at a time */

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

void outbook_key_more(struct kv_key *key, struct sv address)
{
	for (size_t i = 0; i < address.len; i++)
		kv_key_u8(key, (uint8_t)ascii_lower(address.p[i]));
}

void outbook_key(struct kv_key *key, unsigned before, struct sv address)
{
	kv_key_init(key);
	if (before)
		kv_key_u8(key, (uint8_t)before);
	outbook_key_more(key, address);
}

struct row_place {
	unsigned table;
	const struct kv_key *key;
};

static struct fault remove_row(struct kv_txn *txn, void *arg)
{
	const struct row_place *at = arg;

	return kv_del(txn, at->table, kv_key_view(at->key));
}

struct fault outbook_remove(struct outbook *b, unsigned table, const struct kv_key *key)
{
	struct row_place at = { table, key };

	return kv_update(b->env, remove_row, &at);
}

/* ---- forgetting ---- */

struct old {
	int64_t now_s;
	unsigned table;
	outbook_old_fn *is_old;
	struct kv_key keys[TIDY_MOST];
	size_t count;
};

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
			if (o->is_old(key, value, o->now_s)) {
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
	static const struct {
		unsigned table;
		outbook_old_fn *is_old;
	} rows[] = {
		{ TABLE_ADDRESSES, outbook_address_is_old },
		{ TABLE_KNOWN, outbook_known_is_old },
		{ TABLE_ASKED, outbook_asked_is_old },
	};
	struct old *o = xcalloc(1, sizeof(*o));

	o->now_s = now_s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		o->table = rows[i].table;
		o->is_old = rows[i].is_old;
		tidy_table(b, o);
	}
	free(o);
}
