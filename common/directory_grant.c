/* Who may send as whom. */
#include "common/directory_private.h"

#include "common/banned.h"

struct grant_edit {
	struct name account;
	char address[DIRECTORY_ADDRESS_MAX + 1];
	bool is_removal;
};

static struct fault put_grant(struct kv_txn *txn, void *arg)
{
	const struct grant_edit *e = arg;
	struct account_row row;
	struct kv_key key;
	struct fault f = account_find(txn, &e->account, &row);

	if (f.kind)
		return f;
	kv_key_init(&key);
	kv_key_sv(&key, sv_z(row.pub.id));
	kv_key_sv(&key, sv_z(e->address));
	if (e->is_removal) {
		f = kv_del(txn, DT_GRANTS, kv_key_view(&key));
		return f.kind == FAULT_NOT_FOUND ?
		       fault_detail(f.kind, "%s has no grant for %s", row.pub.address, e->address) : f;
	}
	f = kv_insert(txn, DT_GRANTS, kv_key_view(&key), SV_NONE);
	return f.kind == FAULT_EXISTS ?
	       fault_detail(f.kind, "%s may send as %s already", row.pub.address, e->address) : f;
}

static struct fault grant_change(struct directory *dir, struct sv account, struct sv address, bool is_removal)
{
	struct grant_edit e = { .is_removal = is_removal };
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct name n;
	struct fault f = name_seen(dir, account, &e.account);

	if (f.kind)
		return f;
	if (sv_starts(address, SV("@"))) {
		f = domain_seen(dir, sv_sub(address, 1, address.len), domain);
		if (f.kind)
			return f;
		e.address[0] = '@';
		memcpy(e.address + 1, domain, sizeof(domain));
	} else {
		f = name_seen(dir, address, &n);
		if (f.kind)
			return f;
		name_text(&n, e.address);
	}
	return kv_update(dir->env, put_grant, &e);
}

struct fault directory_grant_add(struct directory *dir, struct sv account, struct sv address)
{
	return grant_change(dir, account, address, false);
}

struct fault directory_grant_remove(struct directory *dir, struct sv account, struct sv address)
{
	return grant_change(dir, account, address, true);
}

static struct sv domain_of(struct sv address)
{
	return sv_sub(address, sv_rfind(address, '@') + 1, SIZE_MAX);
}

struct fault directory_grant_list(struct directory *dir, struct sv account, directory_grant_fn *fn, void *arg)
{
	struct account_row row;
	struct listing l;
	struct name n;
	struct fault f = account.len ? name_seen(dir, account, &n) : FAULT_OK;

	if (f.kind)
		return f;
	f = listing_begin(&l, dir, DT_GRANTS);
	if (f.kind)
		return f;
	if (account.len) {
		f = account_find(l.txn, &n, &row);
		if (f.kind) {
			listing_close(&l);
			return f;
		}
		kv_key_sv(&l.prefix, sv_z(row.pub.id));
	}
	while (!f.kind && !(f = listing_next(&l)).kind) {
		struct sv address = sv_sub(l.key, DIRECTORY_ID_LEN, l.key.len);

		if (l.key.len <= DIRECTORY_ID_LEN) {
			f = fault(FAULT_CORRUPT, "directory: bad grant");
			break;
		}
		f = account_row_read(l.txn, sv_sub(l.key, 0, DIRECTORY_ID_LEN), &row);
		if (!f.kind && (!directory_sees(dir, domain_of(sv_z(row.pub.address))) || !directory_sees(dir, domain_of(address))))
			continue;
		if (!f.kind && !fn(arg, sv_z(row.pub.address), address))
			break;
	}
	return listing_end(&l, f);
}
