#include "common/kv_private.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define PAGE ((size_t)4096)
#define LARGE_VALUE ((size_t)1024)

/* --- pairs ------------------------------------------------------------------------------------------------- */

static MDB_val val_of(struct sv s)
{
	return (MDB_val){ s.len, (void *)s.p };
}

static struct sv sv_of(MDB_val v)
{
	return (struct sv){ v.mv_data, v.mv_size };
}

static struct fault check_key(const struct kv_txn *txn, unsigned table, struct sv key)
{
	if (table >= txn->env->table_count)
		BUG("%s: table %u", txn->env->path, table);
	if (key.len == 0)
		return fault(FAULT_INVALID, "empty key");
	if (key.len > KV_KEY_MAX)
		return fault(FAULT_LIMIT, "key too long");
	return FAULT_OK;
}

static struct fault change_fault(struct kv_txn *txn, const char *what, int rc)
{
	if (rc == MDB_MAP_FULL)
		txn->is_full = true;
	return kv_fault(txn->env, what, rc);
}

struct fault kv_get(struct kv_txn *txn, unsigned table, struct sv key, struct sv *value)
{
	struct fault f = check_key(txn, table, key);
	MDB_val k = val_of(key), v;

	if (f.kind)
		return f;
	int rc = mdb_get(txn->mdb, txn->env->tables[table], &k, &v);
	if (!rc)
		*value = sv_of(v);
	return kv_fault(txn->env, "get", rc);
}

static struct fault put(struct kv_txn *txn, unsigned table, struct sv key, struct sv value, unsigned flags)
{
	struct fault f = check_key(txn, table, key);
	MDB_val k = val_of(key), v = val_of(value);

	if (f.kind)
		return f;
	return change_fault(txn, "put", mdb_put(txn->mdb, txn->env->tables[table], &k, &v, flags));
}

struct fault kv_put(struct kv_txn *txn, unsigned table, struct sv key, struct sv value)
{
	return put(txn, table, key, value, 0);
}

struct fault kv_insert(struct kv_txn *txn, unsigned table, struct sv key, struct sv value)
{
	return put(txn, table, key, value, MDB_NOOVERWRITE);
}

struct fault kv_append(struct kv_txn *txn, unsigned table, struct sv key, struct sv value)
{
	struct fault f = put(txn, table, key, value, MDB_APPEND);

	/* "Exists" also means "sorts before the last one". */
	return f.kind == FAULT_EXISTS ? put(txn, table, key, value, 0) : f;
}

struct fault kv_del(struct kv_txn *txn, unsigned table, struct sv key)
{
	struct fault f = check_key(txn, table, key);
	MDB_val k = val_of(key);

	if (f.kind)
		return f;
	return change_fault(txn, "del", mdb_del(txn->mdb, txn->env->tables[table], &k, NULL));
}

struct fault kv_del_range(struct kv_txn *txn, unsigned table, struct sv from, struct sv to,
			  uint64_t most, uint64_t *removed)
{
	struct kv_cursor *c = NULL;
	struct sv key;
	uint64_t n = 0;
	struct fault f = kv_cursor_open(txn, table, &c);

	if (!f.kind && most)
		f = kv_cursor_seek(c, from, &key, NULL);
	while (!f.kind && n < most && (!to.len || sv_cmp(key, to) < 0)) {
		f = kv_cursor_del(c);
		if (f.kind)
			break;
		n++;
		f = kv_cursor_next(c, &key, NULL);
	}
	kv_cursor_close(&c);
	if (removed)
		*removed = n;
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault kv_count(struct kv_txn *txn, unsigned table, uint64_t *out)
{
	MDB_stat st;

	if (table >= txn->env->table_count)
		BUG("%s: table %u", txn->env->path, table);
	int rc = mdb_stat(txn->mdb, txn->env->tables[table], &st);
	if (!rc)
		*out = st.ms_entries;
	return kv_fault(txn->env, "count", rc);
}

/* --- cursors ----------------------------------------------------------------------------------------------- */

struct fault kv_cursor_open(struct kv_txn *txn, unsigned table, struct kv_cursor **out)
{
	MDB_cursor *mdb;

	if (table >= txn->env->table_count)
		BUG("%s: table %u", txn->env->path, table);
	int rc = mdb_cursor_open(txn->mdb, txn->env->tables[table], &mdb);
	if (rc)
		return kv_fault(txn->env, "cursor", rc);
	struct kv_cursor *c = xmalloc(sizeof(*c));

	*c = (struct kv_cursor){ txn, mdb };
	txn->cursors++;
	*out = c;
	return FAULT_OK;
}

void kv_cursor_close(struct kv_cursor **c)
{
	if (!*c)
		return;
	mdb_cursor_close((*c)->mdb);
	(*c)->txn->cursors--;
	free(*c);
	*c = NULL;
}

static struct fault move(struct kv_cursor *c, MDB_cursor_op op, MDB_val k, struct sv *key, struct sv *value)
{
	MDB_val v = { 0, NULL };
	int rc = mdb_cursor_get(c->mdb, &k, &v, op);

	if (!rc && key)
		*key = sv_of(k);
	if (!rc && value)
		*value = sv_of(v);
	return kv_fault(c->txn->env, "cursor", rc);
}

struct fault kv_cursor_seek(struct kv_cursor *c, struct sv from, struct sv *key, struct sv *value)
{
	if (from.len > KV_KEY_MAX)
		return fault(FAULT_LIMIT, "key too long");
	return move(c, from.len ? MDB_SET_RANGE : MDB_FIRST, val_of(from), key, value);
}

struct fault kv_cursor_seek_back(struct kv_cursor *c, struct sv to, struct sv *key, struct sv *value)
{
	struct sv found, held;

	if (to.len > KV_KEY_MAX)
		return fault(FAULT_LIMIT, "key too long");
	struct fault f = to.len ? move(c, MDB_SET_RANGE, val_of(to), &found, &held) :
				  fault(FAULT_NOT_FOUND, "no such key");

	if (f.kind == FAULT_NOT_FOUND)
		return move(c, MDB_LAST, val_of(SV_NONE), key, value);
	if (f.kind)
		return f;
	if (!sv_eq(found, to))
		return move(c, MDB_PREV, val_of(SV_NONE), key, value);
	if (key)
		*key = found;
	if (value)
		*value = held;
	return FAULT_OK;
}

/* fetch_ahead - a page has room for few large values, so the next ones lie a page further on as a rule, and a processor does not
 * look across pages by itself. A hint: it reads nothing, and nowhere is as good a place as any. */
static inline void fetch_ahead(struct sv value)
{
	const char *ahead = value.p + PAGE;

	__builtin_prefetch((const void *)((uintptr_t)ahead & ~(uintptr_t)(PAGE - 1)));
	for (size_t i = 0; i < LARGE_VALUE; i += 128)
		__builtin_prefetch(ahead + i);
}

/* As move() does, in fewer instructions: a FETCH or SEARCH of everything comes here once or twice for each message. */
struct fault kv_cursor_next(struct kv_cursor *c, struct sv *key, struct sv *value)
{
	MDB_val k, v;
	int rc = mdb_cursor_get(c->mdb, &k, &v, MDB_NEXT);

	if (rc)
		return kv_fault(c->txn->env, "cursor", rc);
	if (key)
		*key = sv_of(k);
	if (value)
		*value = sv_of(v);
	if (v.mv_size >= LARGE_VALUE)
		fetch_ahead(sv_of(v));
	return FAULT_OK;
}

struct fault kv_cursor_del(struct kv_cursor *c)
{
	return change_fault(c->txn, "del", mdb_cursor_del(c->mdb, 0));
}

struct fault kv_each(struct kv_env *env, unsigned table, struct sv prefix, kv_row_fn *fn, void *arg)
{
	struct kv_cursor *c = NULL;
	struct kv_txn *txn = NULL;
	struct sv key, value;
	struct fault f = kv_read_begin(env, &txn);

	if (!f.kind)
		f = kv_cursor_open(txn, table, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, prefix, &key, &value);
	while (!f.kind && sv_starts(key, prefix) && fn(arg, key, value))
		f = kv_cursor_next(c, &key, &value);
	kv_cursor_close(&c);
	kv_read_end(&txn);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
