/* Who has no verifier for SCRAM with a hash. */
#include "common/directory_private.h"

#include "common/banned.h"

/* Who cannot log in with a password at all lacks nothing. */
static struct fault lacks_verifier(struct kv_txn *txn, const struct account_row *row, enum crypt_hash hash, bool *lacks)
{
	struct directory_credential *all;
	struct fault f = FAULT_OK;
	size_t count = 0;

	*lacks = false;
	if (!row->pub.is_enabled || !directory_account_scope(&row->pub))
		return FAULT_OK;
	*lacks = row->hash[0] != '\0';
	if (*lacks)
		return FAULT_OK;
	all = credentials_new();
	f = credentials_read(txn, row->pub.id, all, &count);
	for (size_t i = 0; i < count && !f.kind; i++)
		*lacks |= !all[i].is_certificate && !all[i].verifiers[hash].is_there;
	credentials_free(&all);
	return f;
}

/* From the account `from` on to the one before `end`, or to the last. FAULT_NOT_FOUND: none of them. */
static struct fault find_lacking(struct kv_txn *txn, enum crypt_hash hash, struct sv from, struct sv end, char id[DIRECTORY_ID_LEN + 1])
{
	struct kv_cursor *c = NULL;
	struct account_row row;
	struct sv key, value;
	bool lacks = false;
	struct fault f = kv_cursor_open(txn, DT_ACCOUNTS, &c);

	if (!f.kind)
		f = kv_cursor_seek(c, from, &key, &value);
	while (!f.kind && !(end.len && sv_eq(key, end))) {
		f = account_decode(key, value, &row);
		if (!f.kind)
			f = lacks_verifier(txn, &row, hash, &lacks);
		if (f.kind || lacks)
			break;
		f = kv_cursor_next(c, &key, &value);
	}
	if (lacks)
		copy_text(id, DIRECTORY_ID_LEN + 1, sv_z(row.pub.id));
	else if (!f.kind)
		f = fault(FAULT_NOT_FOUND, "all accounts have verifiers");
	kv_cursor_close(&c);
	return f;
}

struct fault directory_lacks_verifier(struct directory *dir, enum crypt_hash hash, char id[DIRECTORY_ID_LEN + 1], bool *lacks)
{
	struct kv_txn *txn = NULL;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (f.kind)
		return f;
	f = find_lacking(txn, hash, sv_z(id), SV_NONE, id);
	if (f.kind == FAULT_NOT_FOUND && id[0])         /* what lies before it may have changed, too */
		f = find_lacking(txn, hash, SV_NONE, sv_z(id), id);
	kv_read_end(&txn);
	*lacks = !f.kind;
	if (f.kind == FAULT_NOT_FOUND) {
		id[0] = '\0';
		f = FAULT_OK;
	}
	return f;
}

struct fault directory_account_lacks_verifier(struct directory *dir, struct sv address, enum crypt_hash hash, bool *lacks)
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
	if (!f.kind)
		f = lacks_verifier(txn, &row, hash, lacks);
	kv_read_end(&txn);
	return f;
}
