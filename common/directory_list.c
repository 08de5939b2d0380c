/* One alias or list, and who may send to it. */
#include "common/directory_private.h"

#include "common/banned.h"

static struct fault find_alias(struct kv_txn *txn, struct sv address, struct name *n, struct name_row *row)
{
	struct fault f = name_from_text(address, n);

	if (!f.kind)
		f = name_read(txn, n, row);
	if (f.kind == FAULT_NOT_FOUND || (!f.kind && (row->id[0] || row->is_relayed)))
		f = fault_detail(FAULT_NOT_FOUND, "there is no alias %.*s", SV_FMT(address));
	return f;
}

struct fault directory_alias_get(struct directory *dir, struct arena *arena, struct sv address, struct directory_alias *out)
{
	struct sv *targets = arena_array(arena, DIRECTORY_ALIAS_TARGETS_MAX + DIRECTORY_NAMED_MAX, sizeof(*targets));
	struct kv_txn *txn = NULL;
	struct name_row row;
	struct name n;
	struct fault f = targets ? name_seen(dir, address, &n) : fault(FAULT_LIMIT, "alias: the arena is full");

	if (!f.kind)
		f = kv_read_begin(dir->env, &txn);
	if (f.kind)
		return f;
	f = find_alias(txn, address, &n, &row);
	if (!f.kind)
		f = alias_read(arena, &n, &row, targets, targets + DIRECTORY_ALIAS_TARGETS_MAX, out);
	kv_read_end(&txn);
	return f;
}

typedef bool next_fn(struct record_in *fields, struct sv *local, struct sv *domain, struct fault *f);

/* is_among - is one of the two addresses in that part of the row? An empty one is nobody's. */
static struct fault is_among(struct record_in fields, next_fn *next, const struct name *sender, const struct name *account, bool *is)
{
	struct sv local, domain;
	struct name n;
	struct fault f;

	while (next(&fields, &local, &domain, &f)) {
		if (name_set(&n, local, domain).kind)
			continue;
		*is |= (sender->local[0] && !strcmp(n.local, sender->local) && !strcmp(n.domain, sender->domain)) ||
		       (account->local[0] && !strcmp(n.local, account->local) && !strcmp(n.domain, account->domain));
	}
	return f;
}

/* name_of - empty when it is no address. */
static void name_of(struct sv address, struct name *n)
{
	*n = (struct name){ .local = "" };
	if (address.len && name_from_text(address, n).kind)
		*n = (struct name){ .local = "" };
}

struct fault directory_may_post(struct directory *dir, struct sv list, struct sv sender, struct sv account, bool *may)
{
	struct name n, from, login;
	struct kv_txn *txn = NULL;
	struct name_row row;
	struct fault f = kv_read_begin(dir->env, &txn);

	*may = false;
	if (f.kind)
		return f;
	name_of(sender, &from);
	name_of(account, &login);
	f = find_alias(txn, list, &n, &row);
	if (!f.kind) {
		*may = row.posters == DIRECTORY_POST_ANYONE ||
		       (row.posters == DIRECTORY_POST_ACCOUNTS && login.local[0] && !strcmp(login.domain, n.domain));
		if (row.posters == DIRECTORY_POST_MEMBERS)
			f = is_among(row.targets, alias_next, &from, &login, may);
	}
	if (!f.kind && !*may)
		f = is_among(row.targets, alias_next_named, &from, &login, may);
	kv_read_end(&txn);
	return f;
}
