/* Accounts: made, changed, removed, listed. */
#include <stdlib.h>
#include <time.h>

#include "common/crypt.h"
#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

struct account_edit {
	struct name name;
	struct account_row row;                 /* to be written */
	struct directory_credential credential;
	bool has_credential;
	const struct directory_account *set;
};

static struct fault add_account(struct kv_txn *txn, void *arg)
{
	struct account_edit *e = arg;
	struct account_row row = e->row, old;
	struct name_row name;
	struct directory_domain d;
	struct fault f = domain_find(txn, e->name.domain, &d);

	if (f.kind)
		return f;
	f = name_read(txn, &e->name, &name);
	if (f.kind != FAULT_NOT_FOUND)
		return f.kind ? f : name_taken(&e->name);
	do {
		crypt_random_text(row.pub.id, DIRECTORY_ID_LEN);
		f = account_row_read(txn, sv_z(row.pub.id), &old);
	} while (!f.kind);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = account_write(txn, &row);
	if (!f.kind)
		f = name_write_account(txn, &e->name, row.pub.id);
	if (!f.kind && e->has_credential)
		f = credential_write(txn, row.pub.id, &e->credential);
	e->row.pub = row.pub;
	e->row.pub.revision = 0;
	return f;
}

/* With a password, with a hash, or with neither. */
static struct fault new_account(struct directory *dir, struct sv address, const struct sv *password, struct sv hash,
				uint32_t iterations, struct directory_account *out)
{
	struct account_edit e = { .has_credential = password != NULL };
	struct fault f = name_seen(dir, address, &e.name);

	if (!f.kind)
		f = iterations_check(iterations);
	if (!f.kind && password)
		f = password_check(*password);
	if (!f.kind && hash.len)
		f = passhash_check(hash);
	if (!f.kind && !copy_text(e.row.hash, sizeof(e.row.hash), hash))
		f = fault(FAULT_INVALID, "a password hash is text");
	if (f.kind)
		return f;
	e.row.pub = (struct directory_account){ .is_enabled = true, .scope = SCOPE_ALL, .created_s = (int64_t)time(NULL),
						.is_hashed = hash.len > 0 };
	name_text(&e.name, e.row.pub.address);
	e.row.iterations = iterations;
	e.row.next_number = 1;
	crypt_random(e.row.salt, sizeof(e.row.salt));
	if (password) {
		e.credential = (struct directory_credential){ .label = CREDENTIAL_MAIN_LABEL, .scope = SCOPE_ALL,
							      .created_s = e.row.pub.created_s };
		credential_make_keys(&e.credential, *password, e.row.salt, iterations);
	}
	f = kv_update(dir->env, add_account, &e);
	if (!f.kind && out) {
		*out = e.row.pub;
		out->revision = 1;
	}
	secret_wipe(&e, sizeof(e));
	return f;
}

struct fault directory_account_add(struct directory *dir, struct sv address, const struct sv *password,
				   uint32_t iterations, struct directory_account *out)
{
	return new_account(dir, address, password, SV_NONE, iterations, out);
}

struct fault directory_account_add_hashed(struct directory *dir, struct sv address, struct sv hash, uint32_t iterations,
					  struct directory_account *out)
{
	if (!hash.len)
		return fault(FAULT_INVALID, "no hash");
	return new_account(dir, address, NULL, hash, iterations, out);
}

struct fault directory_account_get(struct directory *dir, struct sv address, struct directory_account *out)
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct name n;
	struct fault f = name_seen(dir, address, &n);

	if (!f.kind)
		f = kv_read_begin(dir->env, &txn);
	if (f.kind)
		return f;
	f = account_find(txn, &n, &row);
	kv_read_end(&txn);
	if (!f.kind)
		*out = row.pub;
	return f;
}

struct fault directory_account_by_id(struct directory *dir, struct sv id, struct directory_account *out)
{
	struct kv_txn *txn = NULL;
	struct account_row row;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = account_row_read(txn, id, &row);
	kv_read_end(&txn);
	if (!f.kind)
		*out = row.pub;
	return f;
}

static struct fault set_account(struct kv_txn *txn, void *arg)
{
	const struct account_edit *e = arg;
	struct account_row row;
	struct fault f = account_row_read(txn, sv_z(e->set->id), &row);

	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_NOT_FOUND, "the account %s is gone", e->set->address);
	if (f.kind)
		return f;
	if (row.pub.revision != e->set->revision)
		return fault_detail(FAULT_BUSY, "the account %s was changed meanwhile", e->set->address);
	directory_account_copy_settings(&row.pub, e->set);
	row.pub.scope &= SCOPE_ALL;
	row.pub.password_denied &= SCOPE_ALL;
	f = directory_use_check(&row.pub);
	if (f.kind)
		return f;
	return account_write(txn, &row);
}

struct fault directory_account_set(struct directory *dir, const struct directory_account *account)
{
	struct account_edit e = { .set = account };

	return kv_update(dir->env, set_account, &e);
}

static struct fault remove_prefixed(struct kv_txn *txn, unsigned table, const char *id)
{
	struct kv_key from, to;

	kv_key_init(&from);
	kv_key_sv(&from, sv_z(id));
	to = from;
	to.octets[to.len - 1]++;        /* ids are letters and digits: no carry */
	return kv_del_range(txn, table, kv_key_view(&from), kv_key_view(&to), UINT64_MAX, NULL);
}

static struct fault forget_certificates(struct kv_txn *txn, const char *id)
{
	struct directory_credential *all = credentials_new();
	size_t count = 0;
	struct fault f = credentials_read(txn, id, all, &count);

	for (size_t i = 0; i < count && !f.kind; i++)
		f = certificate_forget(txn, id, &all[i]);
	credentials_free(&all);
	return f;
}

static struct fault remove_account(struct kv_txn *txn, void *arg)
{
	const struct account_edit *e = arg;
	struct account_row row;
	struct kv_key key;
	struct fault f = account_find(txn, &e->name, &row);

	name_key(&e->name, &key);
	if (!f.kind)
		f = kv_del(txn, DT_NAMES, kv_key_view(&key));
	if (!f.kind)
		f = kv_del(txn, DT_ACCOUNTS, sv_z(row.pub.id));
	if (!f.kind)
		f = forget_certificates(txn, row.pub.id);
	if (!f.kind)
		f = remove_prefixed(txn, DT_CREDENTIALS, row.pub.id);
	if (!f.kind)
		f = remove_prefixed(txn, DT_GRANTS, row.pub.id);
	return f;
}

struct fault directory_account_remove(struct directory *dir, struct sv address)
{
	struct account_edit e = { .set = NULL };
	struct fault f = name_seen(dir, address, &e.name);

	return f.kind ? f : kv_update(dir->env, remove_account, &e);
}

struct fault directory_account_list(struct directory *dir, struct sv domain, directory_account_fn *fn, void *arg)
{
	struct listing l;
	struct fault f = listing_begin_names(&l, dir, domain);

	if (f.kind)
		return f;
	while (!f.kind && !(f = listing_next(&l)).kind) {
		struct name_row name;
		struct account_row row;

		f = name_decode(l.value, &name);
		if (f.kind || !name.id[0])
			continue;
		f = account_row_read(l.txn, sv_z(name.id), &row);
		if (f.kind == FAULT_NOT_FOUND)
			f = fault_detail(FAULT_CORRUPT, "directory: a name without account %s", name.id);
		if (!f.kind && !fn(arg, &row.pub))
			break;
	}
	return listing_end(&l, f);
}

struct account_names {
	char **items;
	size_t count, cap;
};

static bool note_address(void *arg, const struct directory_account *account)
{
	struct account_names *l = arg;

	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->count++] = xstrdup(account->address);
	return true;
}

struct fault directory_account_addresses(struct directory *dir, struct sv domain, char ***out, size_t *count)
{
	struct account_names l = { 0 };
	struct fault f = directory_account_list(dir, domain, note_address, &l);

	*out = l.items;
	*count = l.count;
	return f;
}

void directory_addresses_free(char ***addresses, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		free((*addresses)[i]);
	free(*addresses);
	*addresses = NULL;
	*count = 0;
}
